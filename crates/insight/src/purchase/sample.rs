//! A shop's customers as the fits read them: equal summaries as one row with a weight.
//!
//! A million customers make a third as many rows. Never keeps who they were.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::rfm::Rfm;
use crate::span::Unit;

/// Customers with the same orders at the same times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// x.
    pub(crate) repeats: u32,
    /// Place of t_x in the sample's times.
    pub(crate) recency: u32,
    /// Place of T in the sample's times.
    pub(crate) age: u32,
    /// How many.
    pub(crate) weight: f64,
}

/// What the likelihoods of a shop's customers need, grouped and sorted: the order in which customers came makes no
/// difference, not even in the last digit, as long as weights are whole numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub(crate) rows: Vec<Row>,
    /// All different recencies and ages in days, ascending.
    pub(crate) times: Vec<f64>,
    /// At i: the weight of the customers with more than i repeats.
    pub(crate) more_than: Vec<f64>,
    pub(crate) weight: f64,
    pub(crate) repeats: f64,
    /// Weight of those with repeats.
    pub(crate) repeaters: f64,
    /// Σ weight · T, in days.
    pub(crate) exposure: f64,
}

/// Collects customers one by one, without keeping more than their different summaries.
#[derive(Debug, Default)]
pub struct Grouping {
    found: HashMap<(u32, u64, u64), f64, BuildHasherDefault<Mix>>,
}

/// A multiplicative hash (Knuth, The Art of Computer Programming 3, 6.4), because the standard one takes longer than
/// everything else here and nobody chooses keys to make it slow.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        // The table takes low and high bits.
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value ^ (value >> 41)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Grouping {
    /// No customer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more customer.
    pub fn add(&mut self, rfm: &Rfm) {
        self.add_many(rfm, 1.0);
    }

    /// So many customers with the same summary; a weight that is not positive and finite counts nothing.
    pub fn add_many(&mut self, rfm: &Rfm, weight: f64) {
        if weight > 0.0 && weight.is_finite() {
            // Positive floats sort as their bits do.
            let key = (rfm.repeats(), rfm.recency().as_days().to_bits(), rfm.age().as_days().to_bits());
            *self.found.entry(key).or_insert(0.0) += weight;
        }
    }

    /// All that were added.
    pub fn finish(self) -> Sample {
        let mut keys: Vec<((u32, u64, u64), f64)> = self.found.into_iter().collect();
        keys.sort_unstable_by_key(|(key, _)| *key);
        let mut times: Vec<u64> = keys.iter().flat_map(|((_, recency, age), _)| [*recency, *age]).collect();
        times.sort_unstable();
        times.dedup();
        let place = |time: u64| times.partition_point(|other| *other < time) as u32;
        let rows = keys.iter().map(|&((repeats, recency, age), weight)| Row {
            repeats,
            recency: place(recency),
            age: place(age),
            weight,
        });
        Sample::of_rows(rows.collect(), times.iter().map(|bits| f64::from_bits(*bits)).collect())
    }
}

impl<'a> FromIterator<&'a Rfm> for Sample {
    fn from_iter<I: IntoIterator<Item = &'a Rfm>>(customers: I) -> Self {
        let mut grouping = Grouping::new();
        customers.into_iter().for_each(|rfm| grouping.add(rfm));
        grouping.finish()
    }
}

impl Sample {
    fn of_rows(rows: Vec<Row>, times: Vec<f64>) -> Self {
        let most = rows.last().map_or(0, |row| row.repeats as usize);
        let mut exactly = vec![0.0; most + 1];
        let (mut weight, mut repeats, mut exposure) = (0.0, 0.0, 0.0);
        for row in &rows {
            exactly[row.repeats as usize] += row.weight;
            weight += row.weight;
            repeats += row.weight * f64::from(row.repeats);
            exposure += row.weight * times[row.age as usize];
        }
        let mut above = 0.0;
        let mut more_than = vec![0.0; most];
        for (repeats, count) in exactly.iter().enumerate().skip(1).rev() {
            above += count;
            more_than[repeats - 1] = above;
        }
        Self { rows, times, more_than, weight, repeats, repeaters: above, exposure }
    }

    /// How many customers.
    pub fn customers(&self) -> f64 {
        self.weight
    }

    /// How many of them ordered again.
    pub fn repeaters(&self) -> f64 {
        self.repeaters
    }

    /// How many different summaries there are.
    pub fn distinct(&self) -> usize {
        self.rows.len()
    }

    /// The longest age in days; 1 if there is none, so that it can scale.
    pub(crate) fn longest(&self) -> f64 {
        self.times.last().copied().filter(|days| *days > 0.0).unwrap_or(1.0)
    }

    /// The same customers with all times multiplied.
    pub(crate) fn scaled(&self, by: f64) -> Self {
        let mut scaled = self.clone();
        scaled.times.iter_mut().for_each(|time| *time *= by);
        scaled.exposure *= by;
        scaled
    }

    /// What turns a log-likelihood of times in days into one of times in `unit`: every repeat purchase is a density
    /// over time.
    pub(crate) fn per(&self, unit: Unit) -> f64 {
        self.repeats * unit.days().ln()
    }

    /// The smallest number of repeats that at least `share` of the customers do not exceed.
    pub(crate) fn quantile(&self, share: f64) -> u32 {
        let above = (1.0 - share) * self.weight;
        self.more_than.partition_point(|more| *more > above) as u32
    }

    /// The same customers, nobody with more than `most` repeats.
    pub(crate) fn capped(&self, most: u32) -> Self {
        let mut rows = self.rows.clone();
        rows.iter_mut().for_each(|row| row.repeats = row.repeats.min(most));
        rows.sort_by_key(|row| (row.repeats, row.recency, row.age));
        Self::of_rows(rows, self.times.clone())
    }

    /// Σ over customers and their repeats of ln(r + i), and its derivative by r: what remains of the ratio of gamma
    /// functions Γ(r + x) / Γ(r).
    pub(crate) fn rising(&self, r: f64) -> (f64, f64) {
        rising(&self.more_than, r)
    }
}

/// Σ weight(i) · ln(r + i) and its derivative.
pub(crate) fn rising(weights: &[f64], r: f64) -> (f64, f64) {
    let (mut value, mut slope) = (0.0, 0.0);
    for (i, weight) in weights.iter().enumerate() {
        let at = r + i as f64;
        value += weight * at.ln();
        slope += weight / at;
    }
    (value, slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    fn rfm(repeats: u32, recency: u32, age: u32) -> Rfm {
        Rfm::new(repeats, Span::of_days(recency), Span::of_days(age), None).unwrap()
    }

    #[test]
    fn equal_customers_are_one_row_whatever_their_order() {
        let customers = [rfm(2, 5, 9), rfm(0, 0, 7), rfm(2, 5, 9), rfm(3, 9, 9), rfm(0, 0, 7), rfm(0, 0, 8)];
        let sample: Sample = customers.iter().collect();
        assert_eq!(sample.distinct(), 4);
        assert_eq!((sample.customers(), sample.repeaters(), sample.repeats), (6.0, 3.0, 7.0));
        assert_eq!(sample.more_than, [3.0, 3.0, 1.0]);
        assert_eq!(sample, customers.iter().rev().collect());
        assert_eq!((sample.quantile(0.5), sample.quantile(0.8), sample.quantile(1.0)), (0, 2, 3));
        assert_eq!(sample.capped(2).more_than, [3.0, 3.0]);
    }

    #[test]
    fn nobody_is_a_sample_too() {
        let sample: Sample = [].iter().collect();
        assert_eq!((sample.customers(), sample.distinct(), sample.longest()), (0.0, 0, 1.0));
    }
}
