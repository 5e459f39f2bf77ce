//! Simulated shops and refits of random parts, from a seed. Never two answers for one seed.

use zyklus_insight::rfm::{Day, History};

/// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In (0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.share() * count as f64) as usize
    }

    fn exponential(&mut self, rate: f64) -> f64 {
        -self.share().ln() / rate
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.share().ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }

    /// G. Marsaglia, W. Tsang, "A simple method for generating gamma variables", ACM TOMS 26(3), 2000.
    pub(crate) fn gamma(&mut self, shape: f64, rate: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0, rate) * self.share().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.share().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v / rate;
            }
        }
    }

    fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (one, other) = (self.gamma(a, 1.0), self.gamma(b, 1.0));
        one / (one + other)
    }
}

/// How customers of a simulated shop leave.
#[derive(Clone, Copy)]
pub(crate) enum Leaving {
    /// After each purchase but the first, with a chance that is beta-distributed.
    AfterRepeats(f64, f64),
    /// After each purchase, with a chance that is beta-distributed.
    AfterAny(f64, f64),
    /// At any time, at a rate that is gamma-distributed, with a scale in days.
    Anytime(f64, f64),
    /// Not at all.
    Never,
}

/// A shop: r, alpha in days; p, q, v in cents of the gamma-gamma model; first purchases spread over 90 days.
#[derive(Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) customers: usize,
    pub(crate) r: f64,
    pub(crate) alpha: f64,
    pub(crate) leaving: Leaving,
    pub(crate) spend: [f64; 3],
    pub(crate) days: Day,
}

impl Shop {
    /// Like CDNOW.
    pub(crate) fn new(customers: usize, days: Day, leaving: Leaving) -> Self {
        Self { customers, r: 0.55, alpha: 60.0, leaving, spend: [6.25, 3.74, 1_544.0], days }
    }

    /// The customers' lives, from day 0 to the shop's last. Continuous time is floored to days.
    pub(crate) fn live(&self, dice: &mut Dice) -> Vec<History> {
        (0..self.customers).map(|_| self.life(dice)).collect()
    }

    fn life(&self, dice: &mut Dice) -> History {
        let rate = dice.gamma(self.r, self.alpha);
        let [p, q, v] = self.spend;
        let scale = dice.gamma(q, v);
        let mut at = dice.share() * 90.0;
        let (mut chance, mut end, mut chances) = (0.0, f64::INFINITY, 0_u32);
        match self.leaving {
            Leaving::AfterRepeats(a, b) => chance = dice.beta(a, b),
            Leaving::AfterAny(a, b) => (chance, chances) = (dice.beta(a, b), 1),
            Leaving::Anytime(s, beta) => {
                let leaving = dice.gamma(s, beta);
                end = at + dice.exponential(leaving);
            }
            Leaving::Never => {}
        }
        let mut orders = Vec::new();
        while at < f64::from(self.days) && at < end {
            orders.push((at as Day, dice.gamma(p, scale).round() as i64));
            let may_leave = chances > 0 || orders.len() > 1;
            if may_leave && dice.share() < chance {
                break;
            }
            at += dice.exponential(rate);
        }
        History::new(orders).unwrap()
    }
}
