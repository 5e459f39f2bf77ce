//! What customers say more, or less, than before: words, topics and moods of two periods, with how sure that is.
//! Never calls a difference one that chance could have made, and never says why it came.

mod keyness;
mod month;
mod share;

pub use keyness::{Key, KeyOptions, WordCounts, keys};
pub use month::{Month, MonthError};
pub use share::{Interval, Share};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sentiment::Polarity;

/// A comment, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// When it was given, on the shop's calendar.
    pub month: Month,
    /// The ids of its topics.
    pub topics: BTreeSet<String>,
    /// Its mood, as far as it is known.
    pub polarity: Option<Polarity>,
}

/// One topic in one month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TopicMonth {
    /// How many of the month's comments were about it.
    pub mentions: Share,
    /// How many of the month's comments were about it and negative.
    pub complaints: Share,
}

/// One month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonthTrend {
    /// Which.
    pub month: Month,
    /// How many comments there were.
    pub comments: u64,
    /// How many of those whose mood is known were negative; none known is no share.
    pub negative: Option<Share>,
    /// How many were positive.
    pub positive: Option<Share>,
    /// By topic: those that were mentioned in any month.
    pub topics: BTreeMap<String, TopicMonth>,
}

/// Every month with a comment, in order. The order of the comments makes no difference.
#[must_use]
pub fn months(comments: &[Comment]) -> Vec<MonthTrend> {
    let topics: BTreeSet<&String> = comments.iter().flat_map(|comment| &comment.topics).collect();
    let mut by_month: BTreeMap<Month, Vec<&Comment>> = BTreeMap::new();
    for comment in comments {
        by_month.entry(comment.month).or_default().push(comment);
    }
    let trend = |(month, comments): (Month, Vec<&Comment>)| {
        let all = comments.len() as u64;
        let count = |holds: &dyn Fn(&Comment) -> bool| {
            comments.iter().filter(|comment| holds(comment)).count() as u64
        };
        let known = count(&|comment| comment.polarity.is_some());
        let of_mood = |mood: Polarity| Share::new(count(&|comment| comment.polarity == Some(mood)), known);
        let topic = |topic: &&String| {
            let mentions = Share::new(count(&|comment| comment.topics.contains(*topic)), all)?;
            let complains = |comment: &Comment| {
                comment.topics.contains(*topic) && comment.polarity == Some(Polarity::Negative)
            };
            let complaints = Share::new(count(&complains), all)?;
            Some(((*topic).clone(), TopicMonth { mentions, complaints }))
        };
        MonthTrend {
            month,
            comments: all,
            negative: of_mood(Polarity::Negative),
            positive: of_mood(Polarity::Positive),
            topics: topics.iter().filter_map(topic).collect(),
        }
    };
    by_month.into_iter().map(trend).collect()
}

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// More than before.
    More,
    /// Less than before.
    Less,
    /// Chance could have made the difference.
    Unclear,
}

/// A share in two periods.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// Before.
    pub before: Share,
    /// And now.
    pub now: Share,
    /// The share now less the share before.
    pub difference: Interval,
    /// What can be said.
    pub change: Change,
}

impl Shift {
    fn of(before: Share, now: Share, z: f64) -> Self {
        let difference = now.less(&before, z);
        let change = if difference.low > 0.0 {
            Change::More
        } else if difference.high < 0.0 {
            Change::Less
        } else {
            Change::Unclear
        };
        Self { before, now, difference, change }
    }
}

/// Complaints about one topic in two periods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The topic.
    pub topic: String,
    /// Negative comments about it among all comments.
    #[serde(flatten)]
    pub shift: Shift,
}

/// Whether customers are more, or less, often displeased than before: negative comments among those whose mood is known.
/// `None` when in one of the periods none is.
#[must_use]
pub fn displeased(before: &[Comment], now: &[Comment]) -> Option<Shift> {
    let share = |comments: &[Comment]| {
        let known = comments.iter().filter_map(|comment| comment.polarity);
        let negative = known.clone().filter(|polarity| *polarity == Polarity::Negative).count();
        Share::new(negative as u64, known.count() as u64)
    };
    Some(Shift::of(share(before)?, share(now)?, share::z_of(1)))
}

/// What customers complain about more, or less, than before: of every topic its negative comments among all comments of
/// the period, those first that became more, by how much. Empty when one of the periods has no comments.
///
/// The intervals hold for all topics together in 95 of 100 cases (each is made wider by the number of topics, after
/// Bonferroni), so that a shop with twenty topics is not told of a change every month.
#[must_use]
pub fn complaints(before: &[Comment], now: &[Comment]) -> Vec<Comparison> {
    let topics: BTreeSet<&String> = before.iter().chain(now).flat_map(|comment| &comment.topics).collect();
    let share = |comments: &[Comment], topic: &String| {
        let negative = comments.iter().filter(|comment| comment.polarity == Some(Polarity::Negative));
        Share::new(
            negative.filter(|comment| comment.topics.contains(topic)).count() as u64,
            comments.len() as u64,
        )
    };
    let z = share::z_of(topics.len());
    let compare = |topic: &String| {
        let shift = Shift::of(share(before, topic)?, share(now, topic)?, z);
        Some(Comparison { topic: topic.clone(), shift })
    };
    let mut compared: Vec<Comparison> = topics.into_iter().filter_map(compare).collect();
    let rank = |change: Change| match change {
        Change::More => 0,
        Change::Less => 1,
        Change::Unclear => 2,
    };
    compared.sort_by(|a, b| {
        let size = |one: &Comparison| one.shift.difference.middle.abs();
        let by_size = size(b).total_cmp(&size(a));
        rank(a.shift.change).cmp(&rank(b.shift.change)).then(by_size).then(a.topic.cmp(&b.topic))
    });
    compared
}
