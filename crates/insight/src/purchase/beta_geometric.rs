//! The beta-geometric/NBD model, BG/NBD, and its modified form, MBG/NBD.
//!
//! P. Fader, B. Hardie, K. L. Lee, "Counting your customers the easy way", Marketing Science 24(2), 2005; E. Batislam,
//! M. Denizel, A. Filiztekin, "Empirical validation and comparison of models for customer base analysis", International
//! Journal of Research in Marketing 24(3), 2007; D. Hoppe, U. Wagner, "Customer base analysis: the case for a central
//! variant of the Betageometric/NBD model", Marketing JRM 3, 2007. In both a customer leaves with a chance that is
//! beta-distributed over the shop: in the first after each repeat purchase, in the second after every purchase.
//!
//! Never evaluates a gamma or a hypergeometric function: ratios of gamma functions are sums of logarithms, and Euler's
//! transformation leaves a series without a pole at a = 1.

use serde::{Deserialize, Serialize};

use super::model::{NextOrder, arrives_by};
use super::sample::{Sample, rising};
use crate::rfm::Rfm;
use crate::span::{Span, Unit};
use crate::special::{softplus, worn};

/// The series of the expectation ends here at the latest; it needs about 14 terms, a thousand where horizons are much
/// longer than histories.
const TERMS: u32 = 200_000;

/// A shop's model. `FIRST` is how many of a customer's purchases before the repeats could have been the last: none in
/// [`BgNbd`], one in [`MbgNbd`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BetaGeometric<const FIRST: u32> {
    pub(crate) r: f64,
    pub(crate) alpha: Span,
    pub(crate) a: f64,
    pub(crate) b: f64,
}

/// BG/NBD: whoever has ordered once is still a customer for certain.
pub type BgNbd = BetaGeometric<0>;
/// MBG/NBD: whoever has ordered once may have left.
pub type MbgNbd = BetaGeometric<1>;

impl<const FIRST: u32> BetaGeometric<FIRST> {
    /// The model with these parameters: order rates are gamma-distributed with shape `r` and scale `alpha`, the chance
    /// of leaving beta-distributed with `a` and `b`. Nothing unless all are positive and finite.
    pub fn new(r: f64, alpha: Span, a: f64, b: f64) -> Option<Self> {
        let all = [r, alpha.as_days(), a, b];
        all.iter().all(|p| *p > 0.0 && p.is_finite()).then_some(Self { r, alpha, a, b })
    }

    /// Shape of the order rates.
    pub fn r(&self) -> f64 {
        self.r
    }

    /// Scale of the order rates: the mean rate is r orders per alpha.
    pub fn alpha(&self) -> Span {
        self.alpha
    }

    /// First parameter of the chance of leaving, whose mean is a / (a + b).
    pub fn a(&self) -> f64 {
        self.a
    }

    /// Second parameter of the chance of leaving.
    pub fn b(&self) -> f64 {
        self.b
    }

    /// Purchases after which the customer could have left and did not, or did at the last.
    fn chances(rfm: &Rfm) -> f64 {
        f64::from(rfm.repeats()) + f64::from(FIRST)
    }

    /// The log-likelihood of a shop's customers, as a density of purchase times in `per` (Fader et al. 2005, equation
    /// 6; Batislam et al. 2007).
    pub fn log_likelihood(&self, sample: &Sample, per: Unit) -> f64 {
        let logs = [self.r.ln(), self.alpha.as_days().ln(), self.a.ln(), self.b.ln()];
        Self::likelihood(sample, &logs).0 + sample.per(per)
    }

    /// The log-likelihood at the logarithms of r, alpha (in the sample's unit of time), a and b, and its gradient.
    pub(crate) fn likelihood(sample: &Sample, logs: &[f64; 4]) -> (f64, [f64; 4]) {
        let [r, alpha, a, b] = logs.map(f64::exp);
        let (rates, rates_r) = sample.rising(r);
        // Stayed at each of the chances: Σ ln(b + i) - ln(a + b + i).
        let (mut stayed, mut stayed_a, mut stayed_b) = (0.0, 0.0, 0.0);
        let first = [sample.weight];
        for (weights, skip) in [(&first[..FIRST as usize], 0.0), (&sample.more_than[..], f64::from(FIRST))] {
            let ((kept, kept_b), (all, all_ab)) = (rising(weights, b + skip), rising(weights, a + b + skip));
            stayed += kept - all;
            stayed_a -= all_ab;
            stayed_b += kept_b - all_ab;
        }
        let mut value = rates + sample.weight * r * logs[1] + stayed;
        let mut by = [rates_r + sample.weight * logs[1], sample.weight * r / alpha, stayed_a, stayed_b];
        let ends: Vec<(f64, f64)> =
            sample.times.iter().map(|time| ((alpha + time).ln(), 1.0 / (alpha + time))).collect();
        let (mut repeats, mut shape, mut odds, mut chances) = (u32::MAX, 0.0, 0.0, 0.0);
        for row in &sample.rows {
            if row.repeats != repeats {
                repeats = row.repeats;
                shape = r + f64::from(repeats);
                chances = f64::from(repeats) + f64::from(FIRST);
                odds = logs[2] - (b + chances - 1.0).ln();
            }
            let (age, per_age) = ends[row.age as usize];
            value -= row.weight * shape * age;
            by[0] -= row.weight * age;
            by[1] -= row.weight * shape * per_age;
            if chances > 0.0 {
                let (last, per_last) = ends[row.recency as usize];
                // Left at the last chance, against stayed until today.
                let (either, left) = softplus(odds + shape * (age - last));
                value += row.weight * either;
                by[0] += row.weight * left * (age - last);
                by[1] += row.weight * left * shape * (per_age - per_last);
                by[2] += row.weight * left / a;
                by[3] -= row.weight * left / (b + chances - 1.0);
            }
        }
        (value, [by[0] * r, by[1] * alpha, by[2] * a, by[3] * b])
    }

    /// Whether the customer has not left (Batislam et al. 2007; the same idea for BG/NBD).
    pub(crate) fn p_alive(&self, rfm: &Rfm) -> f64 {
        let chances = Self::chances(rfm);
        if chances == 0.0 {
            return 1.0;
        }
        let alpha = self.alpha.as_days();
        let waited = ((alpha + rfm.age().as_days()) / (alpha + rfm.recency().as_days())).ln();
        let shape = self.r + f64::from(rfm.repeats());
        1.0 - softplus(self.a.ln() - (self.b + chances - 1.0).ln() + shape * waited).1
    }

    /// Expected orders within `horizon` (Fader et al. 2005, equation 10; Hoppe and Wagner 2007), by Euler's
    /// transformation of the hypergeometric function.
    pub fn expected_orders(&self, rfm: &Rfm, horizon: Span) -> f64 {
        let since = self.alpha.as_days() + rfm.age().as_days();
        let shape = self.r + f64::from(rfm.repeats());
        let most = shape * horizon.as_days() / since;
        let z = horizon.as_days() / (since + horizon.as_days());
        if z == 0.0 {
            return 0.0;
        }
        // With c = a + b + n - 1: E = P(alive) · (c · worn(a - 1, y) - e^(-(a-1)y) · cS), y = -ln(1 - z),
        // cS = Σ_{k≥1} (c-r-x)_k (a)_{k-1} / ((c+1)_{k-1} k!) z^k.
        let c = self.a + self.b + Self::chances(rfm) - 1.0;
        let first = c - shape;
        let y = (horizon.as_days() / since).ln_1p();
        let mut term = first * z;
        let mut sum = term;
        // The sum may exceed what a float holds; its logarithm's excess goes here.
        let mut excess = 0.0;
        for k in 1..TERMS {
            let k = f64::from(k);
            term *= (first + k) * (self.a + k - 1.0) / ((c + k) * (k + 1.0)) * z;
            sum += term;
            if sum.abs() > 1e200 {
                (sum, term, excess) = (sum * 1e-200, term * 1e-200, excess + 200.0 * std::f64::consts::LN_10);
            }
            if term.abs() <= 1e-16 * sum.abs()
                && (first + k + 1.0) * (self.a + k) * z < (c + k + 1.0) * (k + 2.0)
            {
                break;
            }
        }
        let staying = c * worn(self.a - 1.0, y) - (excess - (self.a - 1.0) * y).exp() * sum;
        let expected = if staying.is_nan() { most } else { staying.clamp(0.0, most) };
        self.p_alive(rfm) * expected
    }

    /// The chance of at least one order within `horizon`: alive, and the gamma-distributed rate brings one.
    pub fn any_order(&self, rfm: &Rfm, horizon: Span) -> f64 {
        let since = self.alpha.as_days() + rfm.age().as_days();
        let shape = self.r + f64::from(rfm.repeats());
        self.p_alive(rfm) * -(-shape * (horizon.as_days() / since).ln_1p()).exp_m1()
    }

    /// When the next order will have come with a chance of `share`.
    pub fn next_order(&self, rfm: &Rfm, share: f64) -> NextOrder {
        let since = self.alpha.as_days() + rfm.age().as_days();
        arrives_by(share, self.p_alive(rfm), self.r + f64::from(rfm.repeats()), since)
    }

    /// The chances of 0, 1, … `most` orders within `horizon`, and in the last place of more than that (after Fader et
    /// al. 2005, equation 8): alive after j more, or gone with the j-th.
    pub(crate) fn order_counts(&self, rfm: &Rfm, horizon: Span, most: usize) -> Vec<f64> {
        let since = self.alpha.as_days() + rfm.age().as_days();
        let shape = self.r + f64::from(rfm.repeats());
        let alive = self.p_alive(rfm);
        let counts = super::nbd::counts(shape, since, horizon.as_days(), most);
        let chances = Self::chances(rfm);
        // P(stayed at the next j chances), and P(at least j orders had nobody left).
        let (mut stayed, mut at_least) = (1.0, 1.0);
        let mut found = Vec::with_capacity(most + 2);
        let mut sum = 0.0;
        for (j, count) in counts.iter().enumerate().take(most + 1) {
            let mut chance = 0.0;
            if j > 0 {
                let at = chances + j as f64 - 1.0;
                let leave = self.a / (self.a + self.b + at);
                chance += stayed * leave * at_least;
                stayed *= 1.0 - leave;
            }
            chance += stayed * count;
            at_least = f64::max(at_least - count, 0.0);
            let chance = alive * chance + if j == 0 { 1.0 - alive } else { 0.0 };
            sum += chance;
            found.push(chance);
        }
        found.push(f64::max(1.0 - sum, 0.0));
        found
    }
}
