//! The one table of functions whose values the host supplies. Holds no values; the language's own functions live in `check`.

use super::schema::{Group, Moves, Type};

/// A function that [`super::Fields::call`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum FunctionId {
    /// `events.count(name, days)`: args text, int.
    EventsCount,
    /// `events.days_since(name)`: args text.
    EventsDaysSince,
    /// `journey(id).state`: args text.
    JourneyState,
    /// `journey(id).step`: args text.
    JourneyStep,
    /// `journey(id).days`: args text.
    JourneyDays,
    /// `order(id).refund_share`: args text.
    OrderRefundShare,
    /// `product(id).sold_out`: args text.
    ProductSoldOut,
    /// `sent(step)`: args text.
    Sent,
    /// `timed_out(step)`: args text.
    TimedOut,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct FunctionSpec {
    /// Which function.
    pub id: FunctionId,
    /// Its name: `sent`, `events.count`, or `journey.state` for `journey(…).state`.
    pub key: &'static str,
    /// How it is written, for messages and the reference.
    pub shape: &'static str,
    /// The types of its arguments.
    pub params: &'static [Type],
    /// The type of its value.
    pub kind: Type,
    /// Its group.
    pub group: Group,
    /// Whether time alone moves it.
    pub moves: Moves,
    /// Its unit, or empty.
    pub unit: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// Every function, in the order of [`FunctionId`].
pub static FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        id: FunctionId::EventsCount,
        key: "events.count",
        shape: "events.count(\"name\", 30)",
        params: &[Type::Text, Type::Int],
        kind: Type::Int,
        group: Group::Events,
        moves: Moves::Expires,
        unit: "events",
        doc: "events of that name in the last so many days",
    },
    FunctionSpec {
        id: FunctionId::EventsDaysSince,
        key: "events.days_since",
        shape: "events.days_since(\"name\")",
        params: &[Type::Text],
        kind: Type::Int,
        group: Group::Events,
        moves: Moves::Counts,
        unit: "days",
        doc: "whole days since the last event of that name; never without",
    },
    FunctionSpec {
        id: FunctionId::JourneyState,
        key: "journey.state",
        shape: "journey(\"id\").state",
        params: &[Type::Text],
        kind: Type::Text,
        group: Group::Journeys,
        moves: Moves::No,
        unit: "",
        doc: "the state of the customer's latest run of that journey; absent without one",
    },
    FunctionSpec {
        id: FunctionId::JourneyStep,
        key: "journey.step",
        shape: "journey(\"id\").step",
        params: &[Type::Text],
        kind: Type::Text,
        group: Group::Journeys,
        moves: Moves::No,
        unit: "",
        doc: "the step that run is at; absent without one",
    },
    FunctionSpec {
        id: FunctionId::JourneyDays,
        key: "journey.days",
        shape: "journey(\"id\").days",
        params: &[Type::Text],
        kind: Type::Int,
        group: Group::Journeys,
        moves: Moves::Counts,
        unit: "days",
        doc: "whole days since that run started; never without one",
    },
    FunctionSpec {
        id: FunctionId::OrderRefundShare,
        key: "order.refund_share",
        shape: "order(key).refund_share",
        params: &[Type::Text],
        kind: Type::Double,
        group: Group::Orders,
        moves: Moves::No,
        unit: "0 to 1",
        doc: "the refunded share of that order of the customer; absent for an unknown order",
    },
    FunctionSpec {
        id: FunctionId::ProductSoldOut,
        key: "product.sold_out",
        shape: "product(key).sold_out",
        params: &[Type::Text],
        kind: Type::Bool,
        group: Group::Products,
        moves: Moves::No,
        unit: "",
        doc: "that product cannot be bought now",
    },
    FunctionSpec {
        id: FunctionId::Sent,
        key: "sent",
        shape: "sent('step')",
        params: &[Type::Text],
        kind: Type::Bool,
        group: Group::Run,
        moves: Moves::No,
        unit: "",
        doc: "the run's step of that id has sent its message, or would have if the customer were not held out",
    },
    FunctionSpec {
        id: FunctionId::TimedOut,
        key: "timed_out",
        shape: "timed_out('step')",
        params: &[Type::Text],
        kind: Type::Bool,
        group: Group::Run,
        moves: Moves::No,
        unit: "",
        doc: "the run's waiting step of that id ended by its time, not by its `until`",
    },
];

impl FunctionId {
    /// The function's line in the table.
    pub fn spec(self) -> &'static FunctionSpec {
        &FUNCTIONS[self as usize]
    }

    pub(super) fn find(key: &str) -> Option<&'static FunctionSpec> {
        FUNCTIONS.iter().find(|function| function.key == key)
    }
}
