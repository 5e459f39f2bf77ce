//! Whether a fit may be believed: the doubts, with the figures that raise them.
//!
//! That a shop's orders do not determine a model is normal: nobody ever leaves, too few come back, one huge customer
//! outweighs all others. Never a matter of taste: every limit stands here.

use serde::{Deserialize, Serialize};

use crate::matrix::{Square, condition};
use crate::optimise::{End, Minimum};

/// Customers a full fit needs: with fewer, refits of random parts of CDNOW fail or scatter.
pub(crate) const CUSTOMERS: f64 = 500.0;
/// Repeat buyers a full fit needs; about as many for each of four parameters as a regression wants.
pub(crate) const REPEATERS: f64 = 40.0;
/// Repeat buyers without whom no model is fitted at all.
pub(crate) const FEWEST: f64 = 3.0;
/// A chance of leaving below this mean is none.
const LEAST: f64 = 1e-3;
/// Shapes beyond this say that customers do not differ.
const MOST: f64 = 1e3;
/// Largest by smallest curvature of the log-likelihood in the parameters' logarithms.
const CONDITION: f64 = 1e5;
/// How much more likely, as a difference of logarithms, leaving must make the orders than staying: 3 is the 5 % point of
/// twice a likelihood ratio with two parameters (5.99 / 2).
pub(crate) const GAIN: f64 = 3.0;

/// Why a fit is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Doubt {
    /// Fewer customers than a full fit needs.
    FewCustomers {
        /// How many there are.
        customers: f64,
        /// How many it needs.
        needed: f64,
    },
    /// Fewer repeat buyers than the rung needs.
    FewRepeaters {
        /// How many there are.
        repeaters: f64,
        /// How many it needs.
        needed: f64,
    },
    /// A parameter ran towards zero or infinity.
    OutOfBounds {
        /// Which, by its usual letter: for scales of time in tenths of the longest history.
        parameter: char,
        /// What it had become.
        value: f64,
    },
    /// The parameters cannot be told apart.
    Flat {
        /// Largest by smallest curvature; nothing if the smallest is not positive.
        condition: Option<f64>,
        /// What it may be.
        most: f64,
    },
    /// Leaving does not explain the orders better than staying does.
    NoGain {
        /// By how much the log-likelihood is higher.
        gain: f64,
        /// By how much it would have to be.
        needed: f64,
    },
    /// The search did not end where the gradient vanishes.
    NotFound {
        /// How often the likelihood was evaluated.
        evaluations: u32,
    },
}

/// What speaks against a minimum as such: where it was found, and how it is curved there. `names` are the parameters'
/// letters; of the chance of leaving, the third, the lower limit is [`LEAST`].
pub(crate) fn doubt<const N: usize>(
    found: &Minimum<N>,
    names: [char; N],
    curved: &Square<N>,
) -> Result<f64, Doubt> {
    for (log, parameter) in found.at.iter().zip(names) {
        let value = log.exp();
        if !(LEAST..=MOST).contains(&value) {
            return Err(Doubt::OutOfBounds { parameter, value });
        }
    }
    if found.end != End::Converged {
        return Err(Doubt::NotFound { evaluations: found.evaluations });
    }
    let condition = condition(curved);
    if condition > CONDITION {
        let condition = condition.is_finite().then_some(condition);
        return Err(Doubt::Flat { condition, most: CONDITION });
    }
    Ok(condition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(at: [f64; 2], end: End, curved: Square<2>) -> Result<f64, Doubt> {
        doubt(&Minimum { at: at.map(f64::ln), evaluations: 7, end }, ['a', 'b'], &curved)
    }

    #[test]
    fn each_doubt_is_raised_by_its_own_figures() {
        let round = [[2.0, 1.0], [1.0, 2.0]];
        assert!(
            judge([0.5, 2.0], End::Converged, round).is_ok_and(|condition| (condition - 3.0).abs() < 1e-12)
        );
        assert!(judge([1.1e-3, 990.0], End::Converged, round).is_ok());
        for (at, letter) in [([0.9e-3, 1.0], 'a'), ([1.0, 1010.0], 'b'), ([1.0, f64::NAN], 'b')] {
            let found = judge(at, End::Converged, round);
            assert!(
                matches!(found, Err(Doubt::OutOfBounds { parameter, .. }) if parameter == letter),
                "{found:?}"
            );
        }
        for end in [End::Escaped, End::Exhausted, End::Stuck] {
            assert_eq!(judge([1.0, 1.0], end, round), Err(Doubt::NotFound { evaluations: 7 }));
        }
        let valley = judge([1.0, 1.0], End::Converged, [[1e6, 0.0], [0.0, 1.0]]);
        assert!(matches!(valley, Err(Doubt::Flat { condition: Some(condition), .. }) if condition > 9e5));
        let saddle = judge([1.0, 1.0], End::Converged, [[1.0, 2.0], [2.0, 1.0]]);
        assert!(matches!(saddle, Err(Doubt::Flat { condition: None, .. })));
    }
}
