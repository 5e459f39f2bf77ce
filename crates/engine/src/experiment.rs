//! Splits that learn: which runs tell something of a way, what came of them, and which shares hold at an instant. Never
//! learns: shares are given, and without any the weights of the file hold.
//!
//! How a run came by its way stands in its outcome, with the share it had when it was drawn. So the way stays when shares
//! move, and a run drawn against the odds can be told from one that was likely.

use std::fmt;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use zyklus_model::{At, Run, RunEnd, RunState, Snapshot};

use crate::book::Book;
use crate::facts::events_of;
use crate::playbook::{GOAL_STEP, Journey, Learn, Measure, Node, Verb, Way};

/// All of them, as shares are written.
pub const WHOLE: u32 = 10_000;
/// What is over for longer says nothing of today's customers.
const REMEMBERED_DAYS: i64 = 365;

/// The shares of all splits that learn, as of one night. A split that is not among them goes by its weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// One each.
    pub splits: Vec<SplitShares>,
}

/// What one split has learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitShares {
    /// The journey's root id.
    pub journey: String,
    /// The step's id.
    pub step: String,
    /// The journey's epoch: another one begins anew.
    pub epoch: i64,
    /// What counted as success, and within which time.
    pub measure: String,
    /// Its ways, but for those without a weight.
    pub ways: Vec<WayShare>,
    /// About so many more runs until the best way is told from the next one, if their difference is what it seems; nothing if
    /// that cannot be said yet.
    pub more_runs: Option<u64>,
}

/// How one way stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WayShare {
    /// Its name.
    pub name: String,
    /// The share of the next runs, of [`WHOLE`].
    pub share: u32,
    /// The probability that it is the best.
    pub best: f64,
    /// Runs that count.
    pub runs: u64,
    /// Those of them that came to something.
    pub hits: u64,
    /// Hits per run, each run weighed by how unlikely its way was.
    pub rate: Option<Range>,
    /// What a run brought in, in minor units of the reporting currency, weighed alike; only where orders count.
    pub value: Option<Range>,
}

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The figure.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// How a run came by its way of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// The way.
    pub way: String,
    /// How.
    #[serde(flatten)]
    pub how: How,
}

/// How a way was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "drawn", content = "share", rename_all = "snake_case")]
pub enum How {
    /// Drawn by the weights in the file, in a split that does not learn.
    Plain,
    /// Drawn by the weights in the file, which were this share of [`WHOLE`], because nothing had been learned.
    Written(u32),
    /// Drawn by a share that was learned, of [`WHOLE`].
    Learned(u32),
    /// Not drawn: the customer's earlier run had gone this way.
    Kept,
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "way:{}", self.way)?;
        match self.how {
            How::Plain => Ok(()),
            How::Written(share) => write!(f, " {}%", f64::from(share) / 100.0),
            How::Learned(share) => write!(f, " {}% learned", f64::from(share) / 100.0),
            How::Kept => f.write_str(" kept"),
        }
    }
}

impl Drawn {
    /// Reads a step's outcome; nothing if it is no split's.
    pub fn parse(outcome: &str) -> Option<Self> {
        let mut words = outcome.strip_prefix("way:")?.split(' ');
        let way = words.next()?.to_owned();
        let share = |word: &str| {
            let percent: f64 = word.strip_suffix('%')?.parse().ok()?;
            let whole = f64::from(WHOLE);
            Some((percent / 100.0 * whole).round().clamp(0.0, whole) as u32)
        };
        let how = match (words.next(), words.next()) {
            (None, _) => How::Plain,
            (Some("kept"), None) => How::Kept,
            (Some(word), None) => How::Written(share(word)?),
            (Some(word), Some("learned")) => How::Learned(share(word)?),
            _ => return None,
        };
        Some(Drawn { way, how })
    }
}

/// A split that learns.
#[derive(Debug, Clone, Copy)]
pub struct Experiment<'b> {
    /// Where it stands.
    pub journey: &'b Journey,
    /// The step's id.
    pub step: &'b str,
    /// Its ways.
    pub ways: &'b [Way],
    /// What it learns by.
    pub learn: &'b Learn,
    again: bool,
}

/// A run that tells something of a way.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'r> {
    /// The way, by its place among the split's.
    pub way: usize,
    /// How likely it was when it was drawn.
    pub share: f64,
    /// Whether the run reached its goal, or a later one of this journey in the run's time did.
    pub reached: bool,
    run: &'r Run,
    until: At,
}

/// What came of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Came {
    /// Whether it counts as a success.
    pub hit: bool,
    /// What it brought in, in minor units of the reporting currency.
    pub value: f64,
}

impl Book {
    /// The splits that learn.
    pub fn experiments(&self) -> impl Iterator<Item = Experiment<'_>> {
        self.journeys
            .iter()
            .flat_map(|journey| journey.nodes.iter().filter_map(|node| Experiment::of(journey, node)))
    }

    /// The shares that hold at an instant, and since when.
    pub fn shares_at(&self, now: At) -> Option<(At, &Shares)> {
        let place = self.shares.partition_point(|(at, _)| *at <= now);
        let (at, shares) = &self.shares[place.checked_sub(1)?];
        Some((*at, shares))
    }
}

impl<'b> Experiment<'b> {
    /// Of a step; nothing if it does not learn.
    pub fn of(journey: &'b Journey, node: &'b Node) -> Option<Self> {
        match &node.verb {
            Verb::Split { ways, again, learn: Some(learn) } => {
                Some(Experiment { journey, step: &node.id, ways, learn, again: *again })
            }
            _ => None,
        }
    }

    /// The ways that can be drawn, with their places.
    pub fn open(&self) -> impl Iterator<Item = (usize, &'b Way)> + use<'b> {
        self.ways.iter().enumerate().filter(|(_, way)| way.weight > 0)
    }

    /// What was learned of it, if that is about these ways and what they are held against now.
    pub fn found_in<'s>(&self, shares: &'s Shares) -> Option<&'s SplitShares> {
        let found = shares.splits.iter().find(|s| s.journey == self.journey.root() && s.step == self.step)?;
        let is_same = found.epoch == self.journey.epoch && found.measure == self.learn.to_string();
        let knows = |name: &str| found.ways.iter().any(|way| way.name == name);
        let is_whole =
            self.open().count() == found.ways.len() && self.open().all(|(_, way)| knows(&way.name));
        (is_same && is_whole).then_some(found)
    }

    /// The learned share of each way at an instant; nothing while the weights in the file hold.
    pub(crate) fn weights(&self, book: &Book, now: At) -> Option<Vec<u32>> {
        let found = self.found_in(book.shares_at(now)?.1)?;
        let share = |way: &Way| {
            let of = found.ways.iter().find(|known| known.name == way.name && way.weight > 0);
            of.map_or(0, |known| known.share)
        };
        let shares: Vec<u32> = self.ways.iter().map(share).collect();
        (shares.iter().any(|share| *share > 0)).then_some(shares)
    }

    /// The way that an earlier run of the same customer took, which this one takes too: shares that move draw nobody anew.
    /// What somebody held out would have got is no way they went, and no way for those who get something.
    pub(crate) fn kept(&self, runs: &[Run], run: &Run) -> Option<&'b Way> {
        if self.again {
            return None;
        }
        let earlier = runs.iter().filter(|other| {
            other.id != run.id
                && other.journey == run.journey
                && other.epoch == run.epoch
                && other.ghost == run.ghost
        });
        let (_, drawn) = earlier
            .filter_map(|other| Some((other, self.drawn(other)?)))
            .max_by_key(|(other, _)| (other.started_at, other.id))?;
        self.open().map(|(_, way)| way).find(|way| way.name == drawn.way)
    }

    fn drawn(&self, run: &Run) -> Option<Drawn> {
        let (_, outcome) = run.acted.iter().find(|(step, _)| step == self.step)?;
        Drawn::parse(outcome)
    }

    /// Which of one customer's runs tell something by an instant.
    ///
    /// Only those whose window is over, whether or not they reached anything: were successes counted at once and failures
    /// only later, a way whose share has just grown would look better than it is. Of a split that does not draw again, only
    /// a customer's first run. Not those of customers held out, in shadow or test mode, and not those that something cut
    /// short that has nothing to do with the way.
    pub fn trials<'r>(&self, runs: &'r [Run], now: At, zone: &TimeZone) -> Vec<Trial<'r>> {
        let is_theirs = |run: &&Run| {
            run.journey == self.journey.root()
                && run.epoch == self.journey.epoch
                && run.state != RunState::Queued
                && !run.ghost
                && run.held.is_none()
        };
        let theirs: Vec<&Run> = runs.iter().filter(is_theirs).collect();
        let mut taken: Vec<(&Run, Drawn)> =
            theirs.iter().filter_map(|run| Some((*run, self.drawn(run)?))).collect();
        taken.sort_by_key(|(run, _)| (run.started_at, run.id));
        if !self.again {
            taken.truncate(1);
        }
        let trial = |(run, drawn): (&'r Run, Drawn)| {
            let (way, taken) = self.open().find(|(_, way)| way.name == drawn.way)?;
            let total: u32 = self.ways.iter().map(|way| way.weight).sum();
            let share = match drawn.how {
                How::Kept => return None,
                How::Plain => f64::from(taken.weight) / f64::from(total),
                How::Written(share) | How::Learned(share) => f64::from(share) / f64::from(WHOLE),
            };
            let until = self.learn.within.after(run.started_at, zone);
            if until > now || until.plus_days(REMEMBERED_DAYS) < now || self.is_spoilt(run) {
                return None;
            }
            let is_in_time = |other: &&&Run| (run.started_at..=until).contains(&other.started_at);
            let reached = if self.again {
                has_reached(run)
            } else {
                theirs.iter().filter(is_in_time).any(|other| has_reached(other))
            };
            Some(Trial { way, share, reached, run, until })
        };
        taken.into_iter().filter_map(trial).collect()
    }

    /// Whether what came of a run says nothing of its way.
    fn is_spoilt(&self, run: &Run) -> bool {
        let was_cut = match run.end {
            Some(RunEnd::Merged | RunEnd::Erased | RunEnd::Removed) => true,
            // The customer's next run goes the same way, and is looked at with this one, unless it draws again.
            Some(RunEnd::Restarted | RunEnd::GaveWay) => self.again,
            Some(RunEnd::Completed | RunEnd::Goal | RunEnd::Exit | RunEnd::StepRemoved) | None => false,
        };
        let place = |step: &str| run.acted.iter().position(|(id, _)| id == step);
        let was_before = place(GOAL_STEP).zip(place(self.step)).is_some_and(|(goal, split)| goal < split);
        let is_unsent = |(_, outcome): &(String, String)| {
            matches!(outcome.as_str(), "shadow" | "test_mode" | "global_holdout" | "journey_holdout")
        };
        was_cut || was_before || run.acted.iter().any(is_unsent)
    }

    /// What came of a trial, by what is known of the customer.
    pub fn came(&self, trial: &Trial<'_>, snapshot: &Snapshot, now: At) -> Came {
        let (from, until) = (trial.run.started_at, trial.until.min(now));
        match &self.learn.by {
            Measure::Goal => Came { hit: trial.reached, value: 0.0 },
            Measure::Event(name) => {
                let wanted = |event: &str, at: At, _: At, _| event == name && from < at && at <= until;
                let events = events_of(snapshot, wanted, 0);
                // A click says which journey's mail it was in.
                let is_other = |data: &serde_json::Map<String, serde_json::Value>| {
                    name.starts_with("mail.")
                        && data.get("journey").is_some_and(|journey| journey != self.journey.root())
                };
                Came { hit: events.iter().any(|event| !is_other(&event.data)), value: 0.0 }
            }
            Measure::Orders => {
                let theirs = snapshot.orders.iter().filter(|order| {
                    from < order.placed_at && order.placed_at <= until && order.counts_at(now)
                });
                let net = theirs
                    .filter_map(|order| order.reporting_minor_at(now))
                    .map(|(total, back)| total - back);
                let value = net.fold(0i64, i64::saturating_add).max(0);
                Came { hit: value > 0, value: value as f64 }
            }
        }
    }
}

fn has_reached(run: &Run) -> bool {
    run.end == Some(RunEnd::Goal) || run.acted.iter().any(|(step, _)| step == GOAL_STEP)
}
