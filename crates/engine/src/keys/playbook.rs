//! The keys of a playbook file: segments, defaults, journeys and what starts them, tests. Steps stand in `steps`.

use super::steps::STEPS;
use super::{Choice, File, ID_FORM, Key, Kind, Table};

/// `playbooks/NAME.toml`.
pub static PLAYBOOK: File = File { name: "playbook", place: "playbooks/NAME.toml", root: &ROOT };

static ROOT: Table = Table {
    name: "playbook",
    title: "playbooks/NAME.toml",
    doc: "A file of journeys, with named conditions for them and tests of them.",
    keys: &[
        Key::new(
            "segments",
            Kind::Named("", &Kind::Cel),
            "conditions by name, for starts to use",
            "{ big-spender = \"orders.revenue >= 500.0\" }",
        )
        .or("none"),
        Key::new(
            "defaults",
            Kind::Part(&JOURNEY),
            "any key of a journey, for every journey of this file that does not say otherwise",
            "{ holdout = 5 }",
        )
        .or("none"),
        Key::new(
            "journeys",
            Kind::Named(ID_FORM, &Kind::Table(&JOURNEY)),
            "the journeys, one `[journeys.NAME]` each",
            "{ hello = { start = { event = \"go\" }, steps = [{ send = \"welcome-1\" }] } }",
        )
        .or("none"),
        Key::new(
            "tests",
            Kind::List(&Kind::Table(&TEST)),
            "what must come of it, one `[[tests]]` each; `zyklus test` and `zyklus check` run them",
            "[]",
        )
        .or("none"),
    ],
    is_later: false,
};

pub(super) static JOURNEY: Table = Table {
    name: "journey",
    title: "[journeys.NAME]",
    doc: "What is done for a customer, once something has started it. Every key can stand in `[defaults]`.",
    keys: &[
        Key::new("label", Kind::Label, "what people call it", "{ en = \"Welcome\", de = \"Willkommen\" }").or("its name"),
        Key::new("start", Kind::OneOf(&START), "what starts it", "{ phase = \"lapsed\" }").needed(),
        Key::new("steps", Kind::Some(&Kind::OneOf(&STEPS)), "what it does, from the top", "[{ send = \"welcome-1\" }]")
            .needed(),
        Key::new("when", Kind::Cel, "who qualifies; asked when it starts, and never afterwards", "\"orders.count == 0\"")
            .or("everybody"),
        Key::new("exit", Kind::Cel, "when it has become pointless; asked at every news and right before sending", "\"!cart.is_open\"")
            .or("never"),
        Key::new("goal", Kind::Table(&GOAL), "when it has done what it was for", "{ when = \"orders.count > 0\", within = \"14d\" }")
            .or("none"),
        Key::new("key", Kind::Expression, "what separates runs: one for each cart, for each order", "\"event.cart_id\"")
            .or("one run a customer"),
        Key::new(
            "overlap",
            Kind::Words(&["ignore", "restart", "queue", "parallel"]),
            "what a start means while a run of the same key goes on: nothing, end that run and begin anew, wait for its end, or run beside it (only with `key`)",
            "\"restart\"",
        )
        .or("\"ignore\""),
        Key::new(
            "reenter",
            Kind::Form("^(never|always|after [0-9]+(s|m|h|d|w|mo|y))$", "`\"never\"`, `\"always\"` or `\"after 90d\"`"),
            "whether a customer can come in again; counted from the last run's start, per key where there is one",
            "\"after 90d\"",
        )
        .or("\"never\""),
        Key::new("late", Kind::Length, "what we hear of later than this after it happened starts nothing", "\"6h\"").or("\"24h\""),
        Key::new("patience", Kind::Length, "for how long a start that does not qualify is asked again", "\"2h\"").or("\"30m\""),
        Key::new("priority", Kind::Int(0, 100), "which journey goes first when several want to write to one customer", "80").or("50"),
        Key::new("group", Kind::Id, "at most one running journey of that group per customer", "\"reviews\"").or("none"),
        Key::new("holdout", Kind::Int(0, 50), "per cent of the customers who get nothing, to compare with", "10").or("0"),
        Key::new("epoch", Kind::Int(0, 999_999), "another number draws the holdout anew", "1").or("0"),
        Key::new("backfill", Kind::Table(&BACKFILL), "lets people in who are inside already when it goes live", "{ since = \"90d\", per_day = 200 }")
            .or("nobody"),
        Key::new(
            "on_change",
            Kind::Words(&["follow", "finish", "exit"]),
            "what an edit means for runs that are under way: they follow it, finish as they began, or end",
            "\"finish\"",
        )
        .or("\"follow\""),
        Key::new(
            "mode",
            Kind::Words(&["live", "shadow", "test", "off"]),
            "`\"shadow\"` decides and records and sends nothing, `\"test\"` writes only to `[test] recipients`",
            "\"shadow\"",
        )
        .or("\"live\""),
        Key::new("was", Kind::Id, "its name before you renamed it: runs and re-entry go on", "\"hello\"").or("none"),
    ],
    is_later: false,
};

static GOAL: Table = Table {
    name: "goal",
    title: "goal",
    doc: "The first event after the run's start for which `when` holds, or the first instant if it reads no event.",
    keys: &[
        Key::new(
            "when",
            Kind::Cel,
            "what must have come true; `event` is the later event",
            "\"event.name == 'order.placed'\"",
        )
        .needed(),
        Key::new("within", Kind::Length, "how long after the run's start it counts", "\"14d\"").needed(),
        Key::new("stay", Kind::Bool, "the run goes on all the same", "true").or("false"),
    ],
    is_later: false,
};

static BACKFILL: Table = Table {
    name: "backfill",
    title: "backfill",
    doc: "People who came into the journey's phase before it went live. The latest come first.",
    keys: &[
        Key::new("since", Kind::Length, "only those who came in less long ago", "\"90d\"").needed(),
        Key::new("per_day", Kind::Int(1, 1_000_000), "so many a day at most", "200").needed(),
        Key::new(
            "as",
            Kind::Words(&["new"]),
            "they start today; without it the run counts from when they came in, and steps whose time is over are left out",
            "\"new\"",
        )
        .or("counted from when they came in"),
    ],
    is_later: false,
};

static START: Choice = Choice {
    name: "start",
    doc: "What starts a journey. Only a change does, and only one after the journey went live.",
    tables: &[&PHASE, &LEFT, &EVENT, &SEGMENT, &SCHEDULE, &DATE],
};

static PHASE: Table = Table {
    name: "start_phase",
    title: "start = { phase = … }",
    doc: "Somebody comes into a phase.",
    keys: &[Key::new("phase", Kind::Id, "the phase", "\"lapsed\"").needed()],
    is_later: false,
};

static LEFT: Table = Table {
    name: "start_left",
    title: "start = { left = … }",
    doc: "Somebody leaves a phase.",
    keys: &[Key::new("left", Kind::Id, "the phase", "\"lapsed\"").needed()],
    is_later: false,
};

static EVENT: Table = Table {
    name: "start_event",
    title: "start = { event = … }",
    doc: "Something happens: `order.placed` `.paid` `.shipped` `.delivered` `.refunded` `.cancelled`, `cart.updated`, \
          `consent.requested` `.granted` `.withdrawn`, `feedback.received`, `customer.created`, `mail.clicked`, or an \
          event of your own.",
    keys: &[
        Key::new("event", Kind::Event, "the event's name", "\"order.placed\"").needed(),
        Key::new("where", Kind::Cel, "which of them", "\"event.total >= 50.0\"").or("all"),
    ],
    is_later: false,
};

static SEGMENT: Table = Table {
    name: "start_segment",
    title: "start = { segment = … }",
    doc: "A condition becomes true.",
    keys: &[Key::new(
        "segment",
        Kind::Cel,
        "a name from `[segments]`, or the condition itself",
        "\"orders.revenue >= 500.0\"",
    )
    .needed()],
    is_later: false,
};

static SCHEDULE: Table = Table {
    name: "start_schedule",
    title: "start = { schedule = … }",
    doc: "The calendar. A day that a month does not have is its last.",
    keys: &[
        Key::new(
            "schedule",
            Kind::Form(
                "^\\s*(daily|monthly\\s+([1-9]|[12][0-9]|3[01]))\\s+([01][0-9]|2[0-3]):[0-5][0-9]\\s*$",
                "`\"daily 09:00\"` or `\"monthly 1 09:00\"`",
            ),
            "when",
            "\"daily 09:00\"",
        )
        .needed(),
        Key::new("zone", Kind::Words(&["customer", "shop"]), "whose time that is", "\"shop\"")
            .or("\"customer\""),
    ],
    is_later: false,
};

static DATE: Table = Table {
    name: "start_date",
    title: "start = { date = … }",
    doc: "An instant in the customer's data is reached. It is a single instant: a birthday does not come round.",
    keys: &[
        Key::new("date", Kind::Expression, "the field", "\"customer.attributes.renewal\"").needed(),
        Key::new("offset", Kind::Offset, "so much later, or earlier with `-`", "\"-5d\"").or("that instant"),
        Key::new("at", Kind::Time, "at this local time of that day", "\"10:00\"")
            .or("the instant's own time"),
    ],
    is_later: false,
};

static TEST: Table = Table {
    name: "test",
    title: "[[tests]]",
    doc: "What happens to one customer, and what must come of it.",
    keys: &[
        Key::new("name", Kind::Text, "what it shows, as a sentence", "\"a first order ends the welcome\"")
            .needed(),
        Key::new("journey", Kind::Id, "the journey it is about", "\"welcome\"").needed(),
        Key::new(
            "given",
            Kind::List(&Kind::Named("", &Kind::Anything)),
            "what happens, and when",
            "[{ at = \"0h\", event = \"order.placed\" }]",
        )
        .needed(),
        Key::new(
            "expect",
            Kind::List(&Kind::Named("", &Kind::Anything)),
            "what must come of it, all of it and in this order",
            "[{ at = \"0h\", send = \"welcome-1\" }]",
        )
        .needed(),
    ],
    is_later: false,
};
