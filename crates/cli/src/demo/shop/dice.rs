//! Chance that is the same on every machine and in every version: a named ChaCha generator, whole numbers only.
//! Never asks the operating system, and never computes with floating point, whose last bit differs by platform.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Quantiles, at every sixteenth, of a gamma distribution of shape 2 and mean 1, in thousandths: gaps between
/// purchases spread like that (regular buyers are neither clocks nor Poisson).
const GAPS: [i64; 17] =
    [60, 200, 305, 400, 480, 565, 650, 740, 839, 940, 1_060, 1_190, 1_346, 1_540, 1_810, 2_275, 4_000];

/// A stream of random decisions.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of this number under a seed; streams are independent of each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Dice(rng)
    }

    /// A number below `n`, by multiplication and shift; its bias is below `n` / 2^64.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `low` to `high`, both possible.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).unsigned_abs()) as i64
    }

    /// Yes in so many of a thousand cases.
    pub(super) fn chance(&mut self, thousandths: u64) -> bool {
        self.below(1000) < thousandths
    }

    /// One of them.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// An index, as likely as its weight. At least one weight must be above zero.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum());
        for (index, weight) in weights.enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("the number drawn is below the sum of the weights")
    }

    /// Days to the next purchase of somebody who buys every `mean` days, at least one.
    pub(super) fn gap(&mut self, mean: i64) -> i64 {
        let place = self.below(16_000) as i64;
        let (step, rest) = ((place / 1000) as usize, place % 1000);
        let share = GAPS[step] + (GAPS[step + 1] - GAPS[step]) * rest / 1000;
        (mean * share / 1000).max(1)
    }
}
