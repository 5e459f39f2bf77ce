//! Playbooks: journeys as operators write them. Types and small rules; `playbook_file` reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Time;
use zyklus_model::{Channel, Purpose};

use crate::condition::{Condition, Expression};
use crate::lifecycle::Label;
use crate::playtest::Playtest;
use crate::source::Mention;
use crate::wait::Length;

/// What starts a journey.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// A phase was entered.
    Phase(String),
    /// A phase was left.
    Left(String),
    /// Something happened.
    Event {
        /// Its name.
        name: String,
        /// Which of them.
        filter: Option<Condition>,
    },
    /// A condition became true.
    Segment {
        /// The segment's id; for a condition written in place, the journey's.
        id: String,
        /// Who is inside.
        condition: Condition,
    },
    /// The calendar.
    Schedule {
        /// Every day, or on a day of every month.
        every: Every,
        /// At this local time.
        at: Time,
        /// In the customer's zone rather than the shop's.
        customer_zone: bool,
    },
    /// An instant in the customer's data.
    Date {
        /// The field.
        field: Expression,
        /// Moved by so much.
        offset: Option<Length>,
        /// At this local time of that day.
        at: Option<Time>,
    },
}

/// How often a schedule comes round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Every day.
    Day,
    /// Every month on this day (the last, if the month is shorter).
    Month(i8),
}

/// What happens when a start finds a live run of the same journey and key (rule R6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Nothing.
    Ignore,
    /// The old run ends and a new one begins.
    Restart,
    /// The new one waits until the old one has ended; a third is refused.
    Queue,
    /// Both go on.
    Parallel,
}

/// What a run does when one of its group with a higher priority begins (rule R13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yield {
    /// It stands still until that one has ended, and goes on where it stood.
    Wait,
    /// It ends.
    End,
}

/// Whether a customer can enter again (rule R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reenter {
    /// Never.
    Never,
    /// Always.
    Always,
    /// So long after the last run's start.
    After(Length),
}

/// How real a journey is (rule R19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It acts.
    Live,
    /// It decides and records, and sends nothing.
    Shadow,
    /// Only test recipients get anything.
    Test,
    /// It does nothing.
    Off,
}

impl Mode {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Live => "live",
            Mode::Shadow => "shadow",
            Mode::Test => "test",
            Mode::Off => "off",
        }
    }
}

/// What happens to runs going on when the files say something else of their journey (rule R10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// They go on by the new definition, from where they stand.
    Follow,
    /// They stay on the definition and the templates they have until they end.
    Finish,
    /// They end.
    Exit,
}

/// Who is let in although they came to the phase or segment before the journey went live (rule R18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// Only those who came there within so long.
    pub since: Length,
    /// So many a day, of the shop's calendar.
    pub per_day: u32,
    /// The run counts from when they are let in, rather than from when they came there.
    pub as_new: bool,
}

/// Stands among the steps a run has acted on once its goal was reached while it went on or after it had ended
/// otherwise; no step can be called so. A goal that ended the run is [`zyklus_model::RunEnd::Goal`] alone.
pub const GOAL_STEP: &str = "goal:";

/// The outcome of a step that another run had sent to the same customer before their two identities were found to be
/// one (rule R20): it is not sent again.
pub const SENT_BEFORE: &str = "sent-before";

/// When a run has done what it was for (rule R17).
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// Judged on every later event, or on the customer's state when it reads no event.
    pub when: Condition,
    /// How long after the run's start.
    pub within: Length,
    /// The run goes on all the same.
    pub stay: bool,
}

/// What a `send` step sends.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// The template.
    pub template: String,
    /// By which way.
    pub channel: Channel,
    /// What for.
    pub purpose: Purpose,
    /// No longer worth sending after so long.
    pub expires: Length,
    /// Another template when this one cannot be rendered.
    pub fallback: Option<String>,
    /// What the template gets besides.
    pub with: BTreeMap<String, serde_json::Value>,
    /// Whether it is held by and counts against caps.
    pub capped: bool,
}

/// When in the day a wait ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daytime {
    /// At this time.
    At(Time),
    /// At the hour at which the customer is most likely to act.
    Best,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Waits.
    Wait {
        /// How long.
        length: Length,
        /// Until this local time then.
        at: Option<Daytime>,
        /// Or until this holds.
        until: Option<Condition>,
    },
    /// Sends a message.
    Send(Box<Send>),
    /// Asks a connector to do something.
    Call {
        /// The connector.
        connector: String,
        /// Its action.
        action: String,
        /// Its input.
        with: BTreeMap<String, serde_json::Value>,
        /// Not worth doing after so long.
        expires: Length,
    },
    /// Goes one of two ways.
    If {
        /// Which.
        condition: Condition,
        /// The first node of the `then` way (or what follows the `if`).
        then: Option<usize>,
        /// The first node of the `else` way (or what follows the `if`).
        otherwise: Option<usize>,
    },
    /// Goes one of several ways, by chance and for good.
    Split {
        /// Name, weight and first node of each.
        ways: Vec<Way>,
        /// Drawn anew in every run.
        again: bool,
        /// What its shares are learned by; nothing if the weights hold for good.
        learn: Option<Learn>,
    },
    /// Puts a label on.
    Tag {
        /// The label.
        tag: String,
        /// For how long.
        lasts: Option<Length>,
    },
    /// Takes a label off.
    Untag(String),
    /// Ends the run.
    Exit(String),
}

/// What tells a split which of its ways is best.
#[derive(Debug, Clone, PartialEq)]
pub struct Learn {
    /// What counts.
    pub by: Measure,
    /// How long after the run's start.
    pub within: Length,
}

/// What counts as a way's success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// The journey's goal is reached.
    Goal,
    /// Something happens.
    Event(String),
    /// What is ordered, after refunds.
    Orders,
}

impl std::fmt::Display for Learn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.by {
            Measure::Goal => write!(f, "the goal within {}", self.within),
            Measure::Event(name) => write!(f, "{name} within {}", self.within),
            Measure::Orders => write!(f, "the value of orders within {}", self.within),
        }
    }
}

/// One way of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Its name.
    pub name: String,
    /// Its share relative to the others.
    pub weight: u32,
    /// Its first node (or what follows the split).
    pub first: Option<usize>,
}

/// One step in the flattened tree of a journey.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its stable id: `id`, else verb and target; the target of a `wait` is the step it leads to.
    pub id: String,
    /// The ways that lead into the list it stands in, outermost first: the id of the step that branches, and the
    /// name of the way. Empty in the outermost list.
    pub branch: Vec<(String, String)>,
    /// What it does.
    pub verb: Verb,
    /// What follows; `None` = the end.
    pub next: Option<usize>,
}

/// One journey.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey {
    /// Its id.
    pub id: Arc<str>,
    /// Its id before it was renamed: runs and re-entry go on under the root.
    pub was: Option<String>,
    /// What people call it.
    pub label: Label,
    /// What starts it.
    pub start: Start,
    /// Who qualifies, judged when it starts (rule R4).
    pub when: Option<Condition>,
    /// What separates runs.
    pub key: Option<Expression>,
    /// What a second start does.
    pub overlap: Overlap,
    /// Whether a customer can enter again; `None` = the default of rule R5.
    pub reenter: Option<Reenter>,
    /// Occurrences older than this when they arrive start nothing.
    pub late: Length,
    /// For how long a start that does not qualify is judged again.
    pub patience: Length,
    /// When it has done what it was for.
    pub goal: Option<Goal>,
    /// When it has become pointless.
    pub exit: Option<Condition>,
    /// 0 to 100; 50 unless it says otherwise.
    pub priority: u8,
    /// At most one live run per customer and group.
    pub group: Option<String>,
    /// What its runs do when one of the group with a higher priority begins.
    pub gives_way: Yield,
    /// Per cent who get nothing.
    pub holdout: u8,
    /// Re-draws the holdout.
    pub epoch: i64,
    /// How real it is.
    pub mode: Mode,
    /// What happens to its runs when it is changed.
    pub on_change: OnChange,
    /// Who is let in from before it went live.
    pub backfill: Option<Backfill>,
    /// The flattened tree; the first node is the first step.
    pub nodes: Vec<Node>,
    /// Where it stands: file and line.
    pub place: String,
    /// Hash of everything its runs live by.
    pub definition: String,
    /// A playbook file with nothing but this journey, what it takes from `[defaults]` and the segment it names: what
    /// [`Journey::rebuild`] reads.
    pub text: Arc<str>,
}

impl Journey {
    /// The id under which runs are kept: the first name it ever had in this file.
    pub fn root(&self) -> &str {
        self.was.as_deref().unwrap_or(&self.id)
    }

    /// The node with a step id.
    pub fn node(&self, step: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == step)
    }

    /// Whether any of its steps sends marketing.
    pub fn sends_marketing(&self) -> bool {
        let is_marketing =
            |verb: &Verb| matches!(verb, Verb::Send(send) if send.purpose == Purpose::Marketing);
        self.nodes.iter().any(|node| is_marketing(&node.verb))
    }

    /// Whether a customer can enter again.
    pub fn reentry(&self) -> Reenter {
        self.reenter.unwrap_or(Reenter::Never)
    }
}

/// A playbook file, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Playbook {
    /// Segments by id.
    pub segments: BTreeMap<String, Condition>,
    /// Journeys in the order of the file.
    pub journeys: Vec<Journey>,
    /// Its `[[tests]]`.
    pub tests: Vec<Playtest>,
    /// Phases, journeys and steps it names, for [`crate::Book::assemble`] to check.
    pub mentions: Vec<Mention>,
}
