//! When to write to somebody: their own best hour if they have one, else the shop's. Hours are local to the customer, the
//! caller counts them. Says plainly when no preference is known.

use serde::{Deserialize, Serialize};

use crate::interval::Unknown;

/// Hours of a week, from Monday 0:00.
pub const HOURS: usize = 168;
const DAY: usize = 24;
/// How many deeds of a customer the shop's curve is worth when it is mixed with theirs.
const SHOP_WEIGHT: f64 = 8.0;
/// How much likelier a curve of their own must make what they did than the shop's curve does: "strong" by Kass and
/// Raftery (1995, JASA 90, 773).
const STRONG: f64 = 10.0;

/// How often something was done (clicked, ordered) in each hour of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>")]
pub struct WeekCounts(Vec<u32>);

impl TryFrom<Vec<u32>> for WeekCounts {
    type Error = Unknown;

    fn try_from(counts: Vec<u32>) -> Result<Self, Unknown> {
        if counts.len() == HOURS { Ok(WeekCounts(counts)) } else { Err(Unknown::Impossible) }
    }
}

impl Default for WeekCounts {
    fn default() -> Self {
        WeekCounts(vec![0; HOURS])
    }
}

impl WeekCounts {
    /// From deeds: weekday (0 is Monday) and hour, both local.
    ///
    /// # Errors
    /// [`Unknown::Impossible`] for a weekday above 6 or an hour above 23.
    pub fn of(deeds: impl IntoIterator<Item = (u8, u8)>) -> Result<Self, Unknown> {
        let mut counts = Self::default();
        for (weekday, hour) in deeds {
            counts.add(weekday, hour, 1)?;
        }
        Ok(counts)
    }

    /// So many deeds more at a weekday (0 is Monday) and hour.
    ///
    /// # Errors
    /// [`Unknown::Impossible`] for a weekday above 6 or an hour above 23.
    pub fn add(&mut self, weekday: u8, hour: u8, times: u32) -> Result<(), Unknown> {
        if weekday > 6 || hour > 23 {
            return Err(Unknown::Impossible);
        }
        let count = &mut self.0[usize::from(weekday) * DAY + usize::from(hour)];
        *count = count.saturating_add(times);
        Ok(())
    }

    /// How many deeds.
    pub fn n(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    fn by_hour(&self) -> Vec<f64> {
        (0..DAY)
            .map(|hour| self.0.iter().skip(hour).step_by(DAY).map(|count| f64::from(*count)).sum())
            .collect()
    }

    fn by_week(&self) -> Vec<f64> {
        self.0.iter().map(|count| f64::from(*count)).collect()
    }
}

/// Whose hour it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// The customer's own, and the weekday matters.
    OwnWeek {
        /// 0 is Monday.
        weekday: u8,
        /// 0 to 23, local.
        hour: u8,
    },
    /// The customer's own, on any day.
    OwnHour {
        /// 0 to 23, local.
        hour: u8,
    },
    /// No preference of the customer's is known; the shop's best hour.
    Shop {
        /// 0 to 23, local.
        hour: u8,
    },
    /// Nobody has done anything yet.
    NotKnown,
}

impl Preference {
    /// The hour of the day, 0 to 23, local; `None` if nobody has done anything yet.
    pub fn hour(self) -> Option<u8> {
        match self {
            Preference::OwnWeek { hour, .. } | Preference::OwnHour { hour } | Preference::Shop { hour } => {
                Some(hour)
            }
            Preference::NotKnown => None,
        }
    }
}

/// The hour to choose, and what speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestTime {
    /// The choice.
    pub preference: Preference,
    /// The customer's deeds it rests on.
    pub n: u64,
    /// How many times likelier a habit of their own makes what they did than the shop's curve; of the finer
    /// curve if that decided. 1 without deeds.
    pub evidence: f64,
}

/// The customer's best hour. Their deeds follow either the shop's curve q, or a curve of their own drawn from
/// Dirichlet(m q) with m = 8; the Bayes factor of the two says whether they have a habit. The hour is where the posterior
/// mean (k + m q)/(n + m), smoothed with the neighbouring hours, is highest.
pub fn best_time(own: &WeekCounts, shop: &WeekCounts) -> BestTime {
    let n = own.n();
    // One deed spread over the hours of the shop, so that no hour is impossible.
    let hours = curve(&shop.by_hour());
    let week = curve(&shop.by_week());
    if n == 0 && shop.n() == 0 {
        return BestTime { preference: Preference::NotKnown, n, evidence: 1.0 };
    }
    let by_week = factor(&own.by_week(), &week);
    let by_hour = factor(&own.by_hour(), &hours);
    // The week must say more than the hours alone already do.
    if by_week >= STRONG && by_hour >= STRONG && weekdays_matter(own) {
        let at = peak(&own.by_week(), &week);
        let preference = Preference::OwnWeek { weekday: (at / DAY) as u8, hour: (at % DAY) as u8 };
        return BestTime { preference, n, evidence: by_week };
    }
    let own_hours = own.by_hour();
    let preference = if by_hour >= STRONG {
        Preference::OwnHour { hour: peak(&own_hours, &hours) as u8 }
    } else if shop.n() > 0 {
        Preference::Shop { hour: peak(&[0.0; DAY], &hours) as u8 }
    } else {
        Preference::NotKnown
    };
    BestTime { preference, n, evidence: by_hour }
}

/// Whether the weekdays differ more than even ones would, by the same factor.
fn weekdays_matter(own: &WeekCounts) -> bool {
    let days: Vec<f64> =
        own.0.chunks(DAY).map(|day| day.iter().map(|count| f64::from(*count)).sum()).collect();
    factor(&days, &curve(&[0.0; 7])) >= STRONG
}

/// Shares, each a little above zero, smoothed over a ring with weights 1 2 1.
fn curve(counts: &[f64]) -> Vec<f64> {
    let cells = counts.len();
    let total: f64 = counts.iter().sum::<f64>() + 1.0;
    let share = |at: usize| (counts[at % cells] + 1.0 / cells as f64) / total;
    (0..cells).map(|at| 0.25 * share(at + cells - 1) + 0.5 * share(at) + 0.25 * share(at + 1)).collect()
}

/// Dirichlet-multinomial over multinomial likelihood of `counts`, at most 1e12.
fn factor(counts: &[f64], shop: &[f64]) -> f64 {
    let n: f64 = counts.iter().sum();
    let prior = |share: f64| SHOP_WEIGHT * share;
    let cell = |(count, share): (&f64, &f64)| {
        if *count == 0.0 {
            return 0.0;
        }
        libm::lgamma(prior(*share) + count) - libm::lgamma(prior(*share)) - count * share.ln()
    };
    let cells: f64 = counts.iter().zip(shop).map(cell).sum();
    (libm::lgamma(SHOP_WEIGHT) - libm::lgamma(SHOP_WEIGHT + n) + cells).min(1e12_f64.ln()).exp()
}

/// Where the smoothed posterior mean is highest; the earliest such hour.
fn peak(counts: &[f64], shop: &[f64]) -> usize {
    let cells = counts.len();
    let mean = |at: usize| counts[at % cells] + SHOP_WEIGHT * shop[at % cells];
    let smooth = |at: usize| mean(at + cells - 1) + 2.0 * mean(at) + mean(at + 1);
    (0..cells).fold(0, |best, at| if smooth(at) > smooth(best) { at } else { best })
}
