//! Chance for simulated shops, from a seed. A generator of another family than the crate's own.

/// xorshift64* (Marsaglia 2003; Vigna 2016, ACM TOMS 42, 30).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            dice.even();
        }
        dice
    }

    /// Evenly between 0 and 1.
    pub(crate) fn even(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let top = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (top as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn hit(&mut self, rate: f64) -> bool {
        self.even() < rate
    }

    /// Standard normal (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.even().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.even()).cos()
    }

    /// Exponential with this mean.
    pub(crate) fn wait(&mut self, mean: f64) -> f64 {
        -mean * self.even().ln()
    }
}
