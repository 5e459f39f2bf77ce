//! Numbers that look random and follow from a seed, for what the benchmarks invent. Never the same for two customers,
//! always the same for one.

/// SplitMix64 (Steele, Lea and Flood 2014): enough to scatter figures, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    /// Those of one of many.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        Dice(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number below `end`.
    pub(crate) fn below(&mut self, end: i64) -> i64 {
        (self.roll() % end.unsigned_abs().max(1)).cast_signed()
    }

    /// Whether something of so many per cent happens.
    pub(crate) fn percent(&mut self, share: i64) -> bool {
        self.below(100) < share
    }

    /// Evenly between 0 and 1, neither of them.
    pub(crate) fn even(&mut self) -> f64 {
        ((self.roll() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Exponential with mean 1.
    pub(crate) fn wait(&mut self) -> f64 {
        -self.even().ln()
    }

    /// Standard normal (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.wait()).sqrt();
        radius * (std::f64::consts::TAU * self.even()).cos()
    }

    /// Gamma with this shape, above 0, and scale 1 (Marsaglia and Tsang 2000).
    pub(crate) fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let share = self.even().powf(1.0 / shape);
            return self.gamma(shape + 1.0) * share;
        }
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            if v > 0.0 && self.even().ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    /// Beta with these shapes.
    pub(crate) fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (one, other) = (self.gamma(a), self.gamma(b));
        if one + other > 0.0 { one / (one + other) } else { a / (a + b) }
    }
}
