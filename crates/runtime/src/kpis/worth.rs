//! What customers are expected to bring in, and what they say: predicted value, surveys, messages, visits. Never a value
//! for a shop of which nothing was learned.

use serde::Serialize;
use zyklus_insight::chart::bins;
use zyklus_insight::interval::{Moments, Tally, mean, median, share};
use zyklus_insight::kpi::{Limits, csat, rate, score};
use zyklus_insight::learned::YEAR;
use zyklus_model::At;

use super::LEVEL;
use super::intake::Intake;
use super::measure::{Measure, Why};

/// About so many bars of the distribution.
const BINS: usize = 20;
/// What is above this share of customers is in no bar.
const TAIL: f64 = 0.99;

/// What customers are expected to bring in.
#[derive(Debug, Clone, Serialize)]
pub struct Predicted {
    /// For so many days from now on.
    pub horizon_days: u32,
    /// What money loses in worth in a year.
    pub yearly_discount: f64,
    /// When it was learned; `None` if nothing was.
    pub learned_at: Option<At>,
    /// Buyers with a value.
    pub customers: u64,
    /// All their values together, in minor units; `None` if nothing was learned.
    pub sum_minor: Option<f64>,
    /// A customer's value on average, in minor units. Its interval is that of the mean over customers; how far a forecast
    /// may be off is not in it.
    pub mean_minor: Measure,
    /// The median.
    pub median_minor: Measure,
    /// How many customers have how much, up to where hardly anybody is.
    pub bins: Vec<ValueBin>,
    /// How many have more than that.
    pub beyond: u64,
}

/// Customers with about as much.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ValueBin {
    /// From, in minor units.
    pub low_minor: f64,
    /// To.
    pub high_minor: f64,
    /// How many.
    pub customers: u64,
}

/// What customers say, within the window.
#[derive(Debug, Clone, Serialize)]
pub struct Voices {
    /// Each customer's last answer to "would you recommend us": promoters less detractors, from −100 to 100.
    pub nps: Measure,
    /// 9 and 10.
    pub promoters: u64,
    /// 7 and 8.
    pub passives: u64,
    /// 0 to 6.
    pub detractors: u64,
    /// Fours and fives of five.
    pub csat: Measure,
    /// Reviews with four or five stars.
    pub stars: Measure,
    /// Who said something within 30 days of being asked.
    pub response: Measure,
}

/// What became of messages, within the window.
#[derive(Debug, Clone, Serialize)]
pub struct Messages {
    /// Messages that arrived, as far as we know.
    pub arrived: u64,
    /// Of marketing messages that arrived, those through which somebody unsubscribed.
    pub unsubscribed: Measure,
    /// Of all that arrived, those reported as spam.
    pub complained: Measure,
    /// Whether that is as much as mailbox providers notice (0.1 %).
    pub complaints_notice: bool,
    /// Whether it is as much as does harm (0.3 %).
    pub complaints_harm: bool,
    /// Of those accepted, those that came back.
    pub bounced: Measure,
}

/// Visits with events of attention (`page.shown`, `page.input`, `page.hidden`), within the window.
#[derive(Debug, Clone, Serialize)]
pub struct Visits {
    /// How many.
    pub visits: u64,
    /// The median of their active seconds.
    pub active_seconds: Measure,
}

impl Intake {
    pub(crate) fn predicted(&self, learned_at: Option<At>) -> Predicted {
        let why = if self.learned.is_none() { Why::NotLearned } else { Why::NotForeseen };
        let values = &self.expected;
        let (bins, beyond) = distribution(values);
        let yearly_discount = self.learned.as_ref().map(|learned| learned.question().rate.as_yearly());
        Predicted {
            horizon_days: YEAR,
            yearly_discount: yearly_discount.unwrap_or_default(),
            learned_at,
            customers: values.len() as u64,
            sum_minor: (!values.is_empty()).then(|| values.iter().sum()),
            mean_minor: Measure::from(mean(&Moments::of(values.iter().copied()), LEVEL)).or_empty(why),
            median_minor: Measure::from(median(values, LEVEL)).or_empty(why),
            bins,
            beyond,
        }
    }

    pub(crate) fn voices(&self) -> Voices {
        let found = score(self.nps.iter().copied(), LEVEL);
        let answers = found.map(|score| score.answers).unwrap_or_default();
        Voices {
            nps: found.and_then(|score| score.nps).into(),
            promoters: answers.promoters,
            passives: answers.passives,
            detractors: answers.detractors,
            csat: csat(&self.csat, LEVEL).into(),
            stars: share(self.stars, LEVEL).into(),
            response: Measure::from(share(self.mailed.answered, LEVEL)).or_empty(Why::NotAsked),
        }
    }

    pub(crate) fn messages(&self) -> Messages {
        let of = |tally: Tally| Measure::from(share(tally, LEVEL));
        let complaints = rate(self.mailed.complained, Limits::COMPLAINTS, LEVEL);
        Messages {
            arrived: self.mailed.complained.of(),
            unsubscribed: of(self.mailed.unsubscribed),
            complained: complaints.share.into(),
            complaints_notice: complaints.notice,
            complaints_harm: complaints.harm,
            bounced: of(self.mailed.bounced),
        }
    }

    pub(crate) fn visited(&self) -> Visits {
        Visits {
            visits: self.visits.len() as u64,
            active_seconds: Measure::from(median(&self.visits, LEVEL)).or_empty(Why::NoEvents),
        }
    }
}

/// Bars of equal width up to where hardly anybody is, and how many are above.
fn distribution(values: &[f64]) -> (Vec<ValueBin>, u64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return (Vec::new(), 0) };
    let most = sorted[(last as f64 * TAIL).floor() as usize];
    let within = sorted.partition_point(|value| *value <= most);
    // The last bar ends at a round number, above some of the others.
    let edge = bins(&sorted[..within], BINS).last().map_or(most, |bin| bin.high);
    let drawn = sorted.partition_point(|value| *value < edge).max(within);
    let bin = |bin: zyklus_insight::chart::Bin| ValueBin {
        low_minor: bin.low,
        high_minor: bin.high,
        customers: bin.count,
    };
    let mut found: Vec<ValueBin> = bins(&sorted[..within], BINS).into_iter().map(bin).collect();
    if let Some(last) = found.last_mut() {
        last.customers += (drawn - within) as u64;
    }
    (found, (sorted.len() - drawn) as u64)
}
