//! A share of a number of cases, and how sure it is. Never a share of nothing.

use serde::{Deserialize, Serialize};

/// How far to both sides 95 of 100 cases of the standard normal distribution reach.
const Z_95: f64 = 1.959_963_984_540_054;

/// An estimate and what is likely around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The estimate.
    pub middle: f64,
    /// The upper end.
    pub high: f64,
}

/// `count` of `of` cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many; at least one.
    pub of: u64,
    /// The share, and where it lies in 95 of 100 cases.
    pub share: Interval,
}

impl Share {
    /// `None` when there are no cases; more than all are all.
    #[must_use]
    pub fn new(count: u64, of: u64) -> Option<Self> {
        let count = count.min(of);
        (of > 0).then(|| Self { count, of, share: wilson(count, of, Z_95) })
    }

    /// This share less another one, of other cases.
    ///
    /// Source: R. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    /// Medicine 17, 1998, method 10.
    pub(super) fn less(&self, other: &Self, z: f64) -> Interval {
        let (one, two) = (wilson(self.count, self.of, z), wilson(other.count, other.of, z));
        let middle = one.middle - two.middle;
        let below = (one.middle - one.low).hypot(two.high - two.middle);
        let above = (one.high - one.middle).hypot(two.middle - two.low);
        Interval { low: middle - below, middle, high: middle + above }
    }
}

/// The score interval. Source: E. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA
/// 22(158), 1927.
fn wilson(count: u64, of: u64, z: f64) -> Interval {
    let n = of as f64;
    let share = count as f64 / n;
    let z2 = z * z;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // Rounding may leave the estimate a hair outside of its own interval at 0 and 1.
    Interval {
        low: (centre - half).clamp(0.0, share),
        middle: share,
        high: (centre + half).clamp(share, 1.0),
    }
}

/// The z with which `several` two-sided intervals hold together in 95 of 100 cases, after Bonferroni.
///
/// By bisection of the tail of the normal distribution, which is φ(z) / (z + 1 / (z + 2 / (z + 3 / …))) (M. Abramowitz
/// and I. Stegun, Handbook of Mathematical Functions, 26.2.14).
pub(super) fn z_of(several: usize) -> f64 {
    let tail = |z: f64| {
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        density / (1..=60u32).rev().fold(z, |below, k| z + f64::from(k) / below)
    };
    if several <= 1 {
        return Z_95;
    }
    let wanted = 0.025 / f64::from(u32::try_from(several).unwrap_or(u32::MAX));
    let (mut low, mut high) = (Z_95, 10.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if tail(middle) > wanted { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_publication() {
        // Newcombe 1998, table II, method 10, contrast (a): 56/70 against 48/80 gives .0524 to .3339.
        let (one, two) = (Share::new(56, 70).unwrap(), Share::new(48, 80).unwrap());
        let difference = one.less(&two, Z_95);
        assert!((difference.low - 0.0524).abs() < 5e-5, "{difference:?}");
        assert!((difference.high - 0.3339).abs() < 5e-5, "{difference:?}");
        // Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3: 15/148 gives .0624 to .1605.
        let share = Share::new(15, 148).unwrap().share;
        assert!((share.low - 0.0624).abs() < 5e-5 && (share.high - 0.1605).abs() < 5e-5, "{share:?}");
    }

    #[test]
    fn z_grows_with_the_number_of_intervals() {
        // Two-sided 5 % over 2, 5 and 20: the normal quantiles of .9875, .995 and .99875.
        for (several, z) in [(2, 2.2414), (5, 2.5758), (20, 3.0233)] {
            assert!((z_of(several) - z).abs() < 5e-5, "{several}: {}", z_of(several));
        }
    }
}
