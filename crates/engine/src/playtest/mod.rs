//! Tests that stand beside the journeys they are about, as `[[tests]]` of a playbook: what is given, what is expected
//! and when. They run on an invented customer's life ([`crate::sim`]) with a virtual clock.
//!
//! A test is about one journey, which runs alone (with those it names in `beside`), live and without a holdout,
//! whatever its mode; a test without a journey is about all of them. Caps, quiet hours and the lifecycle are the
//! shop's own. Every message and action must be expected, or the test fails; phases, labels, goals and ends are only
//! looked at where the test names them.

mod facts;
mod file;
mod given;
mod names;
mod play;
mod reasons;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use zyklus_model::{At, Channel, ConsentState, FeedbackKind, MarkKind, Money, Purpose};

use crate::problem::Problem;
use crate::wait::{Length, Unit, local, time_of_day};

pub use verdict::{Line, Miss, Verdict, run};

pub(crate) use file::read_tests;
pub(crate) use names::unknown_names;

/// One `[[tests]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Playtest {
    /// What it shows, in the operator's words.
    pub name: String,
    /// Where it stands, as a problem without words.
    pub place: Problem,
    /// The journey it is about; `None` = all of them.
    pub journey: Option<String>,
    /// Journeys that run beside it, and whose messages are expected too.
    pub beside: Vec<String>,
    /// When it starts; `None` = Monday 2026-03-02, ten o'clock where the customer lives.
    pub start: Option<StartsAt>,
    /// Whom it is about.
    pub who: Who,
    /// When it ends; `None` = when everything given and expected lies behind and no run goes on.
    pub until: Option<Moment>,
    /// What happens, as the file orders it.
    pub given: Vec<Given>,
    /// What is expected, as the file orders it.
    pub expect: Vec<Expect>,
}

/// When a test starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartsAt {
    /// At an instant.
    Instant(At),
    /// At a time where the customer lives.
    Local(DateTime),
}

/// The invented customer. What is `None` has a default that `facts` gives it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Who {
    /// Draws ways of a split: another number, another customer.
    pub number: i64,
    /// Known since then, counted from the start; `None` = since the first thing given, at the latest the start.
    pub since: Option<Moment>,
    /// Whether they agreed to marketing e-mail when they became known; yes unless it says no.
    pub consent: Option<bool>,
    /// Whether they have an account; yes unless it says no.
    pub has_account: Option<bool>,
    /// Where mail goes.
    pub email: Option<zyklus_model::Email>,
    /// Where text messages go.
    pub phone: Option<zyklus_model::PhoneNumber>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Language.
    pub locale: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// Time zone.
    pub time_zone: Option<String>,
    /// Anything else.
    pub attributes: BTreeMap<String, Json>,
}

/// An offset from the start of a test: `2d`, `-30d`, `90m`, `14d 17:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// How long after the start; days and longer are counted on the customer's calendar.
    pub length: Length,
    /// At this local time of that day.
    pub time: Option<Time>,
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error: &dyn fmt::Display| format!("{error}; it is counted from the start of the test");
        match text.split_once(' ') {
            None => Ok(Moment { length: text.parse().map_err(|e| wrong(&e))?, time: None }),
            Some((length, time)) => {
                let length: Length = length.parse().map_err(|e| wrong(&e))?;
                let time = time_of_day(time.trim())?;
                if !length.is_calendar() {
                    return Err(format!("\"{text}\": a time of day needs a day, as in \"3d 10:00\""));
                }
                Ok(Moment { length, time: Some(time) })
            }
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Some(time) => write!(f, "{} {}", self.length, time.strftime("%H:%M")),
            None => write!(f, "{}", self.length),
        }
    }
}

impl Moment {
    /// The instant meant when something is given.
    pub fn at(self, start: At, zone: &TimeZone) -> At {
        let base = self.length.after(start, zone);
        self.time.map_or(base, |time| local(base.timestamp().to_zoned(zone.clone()).date(), time, zone))
    }

    /// The stretch of time meant when something is expected, without its end: with a time of day that minute, in
    /// days and longer that local day, else one of the unit it is written in (`2h` is the third hour).
    pub fn window(self, start: At, zone: &TimeZone) -> (At, At) {
        let at = self.at(start, zone);
        if self.time.is_some() {
            return (at, at.plus_seconds(60));
        }
        let unit = match self.length.unit {
            Unit::Seconds => 1,
            Unit::Minutes => 60,
            Unit::Hours => 3_600,
            Unit::Days | Unit::Weeks | Unit::Months | Unit::Years => {
                let date = at.timestamp().to_zoned(zone.clone()).date();
                let next = date.checked_add(1.day()).unwrap_or(date);
                return (local(date, Time::midnight(), zone), local(next, Time::midnight(), zone));
            }
        };
        (at, at.plus_seconds(unit))
    }
}

/// Something that happens at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// When.
    pub at: Moment,
    /// What.
    pub fact: Fact,
    /// In few words, for telling.
    pub told: String,
}

/// What something costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Major units of the reporting currency; of a refund, of its order's.
    Plain(f64),
    /// In a currency of its own.
    Money(Money),
}

/// What can be given.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Only the clock gets there.
    Clock,
    /// An order is placed.
    Order {
        /// Its id.
        order: Option<String>,
        /// What it costs.
        total: Option<Amount>,
        /// Products bought.
        products: Vec<String>,
        /// Their categories.
        categories: Vec<String>,
        /// Coupon codes used.
        coupons: Vec<String>,
        /// The cart it grew from.
        cart: Option<String>,
    },
    /// A later step of an order: the one named, else the last one given, else one placed this moment.
    Step {
        /// Which step.
        kind: MarkKind,
        /// Of which order.
        order: Option<String>,
        /// For a refund: how much; `None` = all of it.
        amount: Option<Amount>,
    },
    /// A cart is touched, emptied or ordered.
    Cart {
        /// Its id.
        cart: String,
        /// What it would cost.
        total: Option<Amount>,
        /// What is in it.
        products: Vec<String>,
        /// Whether something is still in it.
        is_open: bool,
    },
    /// The customer says whether they may be written to.
    Consent {
        /// On which channel.
        channel: Channel,
        /// What for.
        purpose: Purpose,
        /// What they say.
        state: ConsentState,
    },
    /// The customer says what they think.
    Feedback {
        /// What kind of word.
        kind: FeedbackKind,
        /// The score, on the kind's own scale.
        score: Option<f64>,
        /// The words.
        text: Option<String>,
        /// The product it is about.
        product: Option<String>,
    },
    /// An event of any other name.
    Event {
        /// Its name.
        name: String,
        /// What conditions see as `event.<key>`.
        data: serde_json::Map<String, Json>,
    },
    /// A message of this template went out before; only before the start.
    Sent(String),
    /// A label is put on or taken off, as journeys do it.
    Tag {
        /// The label.
        tag: String,
        /// On or off.
        is_on: bool,
    },
}

/// Something that is expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// When; `None` = at any time (`nothing` alone).
    pub at: Option<Moment>,
    /// Until when, if that is longer than what `at` means alone.
    pub until: Option<Moment>,
    /// What.
    pub what: Wanted,
    /// Where it stands, as a problem without words.
    pub place: Problem,
}

/// What can be expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A message of this template goes out.
    Send(String),
    /// An action is done: connector and action.
    Call(String),
    /// A label is put on.
    Tag(String),
    /// A label is taken off.
    Untag(String),
    /// The customer comes into this phase.
    Phase(String),
    /// A run of this journey reaches its goal.
    Goal(String),
    /// A run of this journey ends by its `exit` or an `exit` step.
    Exit(String),
    /// A run of this journey ends, in whatever way.
    Ended(String),
    /// No message and no action.
    Nothing,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Send(template) => write!(f, "send {template}"),
            Wanted::Call(action) => write!(f, "call {action}"),
            Wanted::Tag(tag) => write!(f, "tag {tag}"),
            Wanted::Untag(tag) => write!(f, "untag {tag}"),
            Wanted::Phase(phase) => write!(f, "phase {phase}"),
            Wanted::Goal(journey) => write!(f, "{journey} reaches its goal"),
            Wanted::Exit(journey) => write!(f, "{journey} is left"),
            Wanted::Ended(journey) => write!(f, "{journey} ends"),
            Wanted::Nothing => f.write_str("nothing"),
        }
    }
}
