//! Measures of forecasts: each takes what was said and what came.
//!
//! Never a number that is not finite: a measure of nothing, or of customers who all did the same where they must differ,
//! is absent.

use serde::{Deserialize, Serialize};

/// Customers with similar chances.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// How many.
    pub customers: usize,
    /// The mean of their chances.
    pub said: f64,
    /// The share of them that ordered.
    pub came: f64,
}

/// By ascending score; scores that are no number are left out.
fn sorted(scores: impl IntoIterator<Item = (f64, bool)>) -> Vec<(f64, bool)> {
    let mut scores: Vec<(f64, bool)> = scores.into_iter().filter(|(score, _)| !score.is_nan()).collect();
    scores.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    scores
}

/// The area under the receiver's curve: the chance that one that came scores higher than one that did not, ties being
/// half (Mann and Whitney's U).
pub fn auc(scores: impl IntoIterator<Item = (f64, bool)>) -> Option<f64> {
    let scores = sorted(scores);
    let (mut came, mut stayed, mut sum) = (0.0, 0.0, 0.0);
    for same in scores.chunk_by(|one, next| one.0 == next.0) {
        let here = same.iter().filter(|(_, came)| *came).count() as f64;
        let others = same.len() as f64 - here;
        sum += here * (stayed + 0.5 * others);
        came += here;
        stayed += others;
    }
    (came > 0.0 && stayed > 0.0).then(|| sum / (came * stayed))
}

/// Brier's score: the mean squared difference between a chance and what came.
pub fn brier(chances: impl IntoIterator<Item = (f64, bool)>) -> Option<f64> {
    let (mut count, mut sum) = (0.0, 0.0);
    for (chance, came) in chances {
        count += 1.0;
        sum += (chance - f64::from(u8::from(came))).powi(2);
    }
    (count > 0.0).then(|| sum / count)
}

/// Chances against shares, in so many bins of equally many customers by ascending chance.
pub fn calibration(chances: impl IntoIterator<Item = (f64, bool)>, bins: usize) -> Vec<Bin> {
    let chances = sorted(chances);
    let cut = |i: usize| i * chances.len() / bins;
    let filled = (0..bins).map(|i| &chances[cut(i)..cut(i + 1)]).filter(|bin| !bin.is_empty());
    filled
        .map(|bin| {
            let customers = bin.len();
            let said = bin.iter().map(|(chance, _)| chance).sum::<f64>() / customers as f64;
            let came = bin.iter().filter(|(_, came)| *came).count() as f64 / customers as f64;
            Bin { customers, said, came }
        })
        .collect()
}

/// Half the share of those that came whose score reaches the threshold, plus half the share of the others whose does not.
pub fn balanced_accuracy(scores: impl IntoIterator<Item = (f64, bool)>, threshold: f64) -> Option<f64> {
    let (mut came, mut stayed, mut right, mut spared) = (0.0, 0.0, 0.0, 0.0);
    for (score, here) in scores {
        let reached = f64::from(u8::from(score >= threshold));
        if here {
            came += 1.0;
            right += reached;
        } else {
            stayed += 1.0;
            spared += 1.0 - reached;
        }
    }
    (came > 0.0 && stayed > 0.0).then(|| f64::midpoint(right / came, spared / stayed))
}

/// The score that as a threshold tells best, the lowest of several.
pub(crate) fn best_threshold(scores: impl IntoIterator<Item = (f64, bool)>) -> Option<f64> {
    let scores = sorted(scores);
    let came = scores.iter().filter(|(_, came)| *came).count() as f64;
    let stayed = scores.len() as f64 - came;
    if came == 0.0 || stayed == 0.0 {
        return None;
    }
    let (mut missed, mut spared) = (0.0, 0.0);
    let mut best: Option<(f64, f64)> = None;
    for same in scores.chunk_by(|one, next| one.0 == next.0) {
        // In whole numbers, so that ties are ties.
        let told = spared * came - missed * stayed;
        if best.is_none_or(|(most, _)| told > most) {
            best = Some((told, same[0].0));
        }
        let here = same.iter().filter(|(_, came)| *came).count() as f64;
        missed += here;
        spared += same.len() as f64 - here;
    }
    best.map(|(_, threshold)| threshold)
}

/// Pearson's correlation; none if one side does not vary.
pub fn correlation(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = pairs.into_iter().collect();
    let count = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / count, sum.1 + pair.1 / count));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for pair in &pairs {
        let (dx, dy) = (pair.0 - x, pair.1 - y);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    let correlation = xy / (xx.sqrt() * yy.sqrt());
    correlation.is_finite().then(|| correlation.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [(f64, bool); 6] =
        [(0.9, true), (0.7, false), (0.7, true), (0.4, false), (0.2, true), (0.1, false)];

    #[test]
    fn measures_are_those_counted_by_hand() {
        // Pairs won by those that came: 0.9 three, 0.7 two and a half, 0.2 one.
        assert_eq!(auc(SCORES), Some(6.5 / 9.0));
        let squares: f64 = [0.01, 0.49, 0.09, 0.16, 0.64, 0.01].iter().sum();
        assert!((brier(SCORES).unwrap() - squares / 6.0).abs() < 1e-15);
        assert_eq!(balanced_accuracy(SCORES, 0.7), Some((2.0 / 3.0 + 2.0 / 3.0) / 2.0));
        assert_eq!(best_threshold(SCORES), Some(0.2));
        let bins = calibration(SCORES, 2);
        assert_eq!((bins.len(), bins[1].customers, bins[1].came), (2, 3, 2.0 / 3.0));
        assert!((correlation([(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]).unwrap() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn a_measure_of_nothing_is_absent() {
        assert_eq!(
            (auc([]), brier([]), balanced_accuracy([], 0.5), best_threshold([])),
            (None, None, None, None)
        );
        assert_eq!(auc([(0.3, true), (0.4, true)]), None);
        assert_eq!(correlation([(1.0, 2.0), (1.0, 3.0)]), None);
        assert!(calibration([], 10).is_empty());
    }
}
