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
    is_open: false,
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
        Key::new(
            "yield",
            Kind::Words(&["wait", "end"]),
            "what a running journey of a group does when one of higher priority comes: it waits, or ends",
            "\"end\"",
        )
        .or("\"wait\""),
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
    is_open: false,
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
    is_open: false,
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
    is_open: false,
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
    is_open: false,
};

static LEFT: Table = Table {
    name: "start_left",
    title: "start = { left = … }",
    doc: "Somebody leaves a phase.",
    keys: &[Key::new("left", Kind::Id, "the phase", "\"lapsed\"").needed()],
    is_later: false,
    is_open: false,
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
    is_open: false,
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
    is_open: false,
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
    is_open: false,
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
    is_open: false,
};

const MOMENT: Kind = Kind::Form(
    "^-?[0-9]+(s|m|h|d|w|mo|y)( ([01][0-9]|2[0-3]):[0-5][0-9])?$",
    "a length of time from the start of the test, for days also with a time of day, `\"3d 18:00\"`",
);

static TEST: Table = Table {
    name: "test",
    title: "[[tests]]",
    doc: "What happens to an invented customer, and what must come of it. All that goes out must be expected.",
    keys: &[
        Key::new("name", Kind::Text, "what it shows, as a sentence", "\"a first order ends the welcome\"")
            .needed(),
        Key::new(
            "journey",
            Kind::Id,
            "the journey it is about; it runs alone, live and without a holdout",
            "\"welcome\"",
        )
        .or("all journeys"),
        Key::new("beside", Kind::List(&Kind::Id), "journeys that run along with it", "[\"won-back\"]")
            .or("none"),
        Key::new("start", Kind::Text, "when it begins, where the customer lives", "\"2026-05-04 09:00\"")
            .or("Monday, 2 March 2026, 10:00"),
        Key::new("zone", Kind::Text, "where the customer lives", "\"Europe/Vienna\"")
            .or("the zone of their country, or the shop's"),
        Key::new("customer", Kind::Table(&CUSTOMER), "whom it is about", "{ has_account = false }")
            .or("somebody with an account who agreed to mails"),
        Key::new("until", MOMENT, "when it ends", "\"60d\"")
            .or("when all given and expected lies behind and no run goes on"),
        Key::new(
            "given",
            Kind::List(&Kind::Table(&GIVEN)),
            "what happens; before the start it is history and starts nothing",
            "[{ at = \"0h\", event = \"order.placed\", total = \"49.90 EUR\" }]",
        )
        .or("nothing"),
        Key::new(
            "expect",
            Kind::Some(&Kind::Table(&EXPECT)),
            "what must come of it",
            "[{ at = \"0h\", send = \"welcome-1\" }]",
        )
        .needed(),
    ],
    is_later: false,
    is_open: false,
};

static CUSTOMER: Table = Table {
    name: "customer",
    title: "customer = { … }",
    doc: "The invented customer of a test.",
    keys: &[
        Key::new(
            "number",
            Kind::Int(0, 999_999),
            "another number is another customer, who may go another way at a `split`",
            "2",
        )
        .or("0"),
        Key::new("since", MOMENT, "when we came to know them", "\"-90d\"")
            .or("the first thing given, or the start"),
        Key::new("consent", Kind::Bool, "whether they agreed to marketing e-mail", "false").or("true"),
        Key::new("has_account", Kind::Bool, "whether they have an account", "false").or("true"),
        Key::new("email", Kind::Text, "where mail goes", "\"erika@example.org\"").or("an invented address"),
        Key::new("phone", Kind::Text, "where text messages go", "\"+4915112345678\"").or("none"),
        Key::new("first_name", Kind::Text, "the first name", "\"Erika\"").or("none"),
        Key::new("last_name", Kind::Text, "the last name", "\"Muster\"").or("none"),
        Key::new("locale", Kind::Text, "the language, as `de` or `de-AT`", "\"de\"").or("the shop's"),
        Key::new("country", Kind::Text, "the country, as two letters", "\"AT\"").or("none"),
        Key::new(
            "attributes",
            Kind::Named("", &Kind::Anything),
            "what conditions see as `customer.attributes.…`",
            "{ size = \"M\" }",
        )
        .or("none"),
    ],
    is_later: false,
    is_open: false,
};

static GIVEN: Table = Table {
    name: "given",
    title: "given = [{ … }]",
    doc: "One thing that happens: an event, a cart, a consent, feedback, a label, a mail that had gone out; with `at` alone the \
          clock gets there. Further keys of an event of your own are what conditions see as `event.…`.",
    keys: &[
        Key::new("at", MOMENT, "when", "\"-30d\"").needed(),
        Key::new("event", Kind::Event, "an event, `order.placed` for example", "\"order.placed\"").or("none"),
        Key::new("cart", Kind::Text, "a cart is touched; with an order: the cart it came from", "\"c1\"")
            .or("none"),
        Key::new("consent", Kind::Words(&["granted", "requested", "withdrawn"]), "a consent", "\"granted\"")
            .or("none"),
        Key::new(
            "feedback",
            Kind::Words(&["review", "nps", "csat", "comment"]),
            "a word from the customer",
            "\"nps\"",
        )
        .or("none"),
        Key::new("tag", Kind::Text, "a label is put on", "\"vip\"").or("none"),
        Key::new("untag", Kind::Text, "a label is taken off", "\"vip\"").or("none"),
        Key::new("sent", Kind::Text, "before the start: a mail of this template had gone out", "\"cart-1\"")
            .or("none"),
        Key::new(
            "order",
            Kind::Text,
            "the order's id; one that was given before, if it is not placed here",
            "\"o1\"",
        )
        .or("the last one given"),
        Key::new("total", AMOUNT, "what order or cart are worth", "\"49.90 EUR\"").or("50"),
        Key::new("amount", AMOUNT, "what is refunded", "\"10 EUR\"").or("all"),
        Key::new("products", Kind::List(&Kind::Text), "what is in order or cart", "[\"tea-1\"]").or("none"),
        Key::new("categories", Kind::List(&Kind::Text), "the categories of an order's products", "[\"tea\"]")
            .or("none"),
        Key::new("coupons", Kind::List(&Kind::Text), "the codes used with an order", "[\"HELLO\"]")
            .or("none"),
        Key::new("open", Kind::Bool, "`false` empties the cart", "false").or("true"),
        Key::new(
            "channel",
            Kind::Words(&["email", "sms", "social", "push", "post"]),
            "the consent's channel",
            "\"sms\"",
        )
        .or("\"email\""),
        Key::new(
            "purpose",
            Kind::Words(&["marketing", "service", "transactional"]),
            "the consent's purpose",
            "\"service\"",
        )
        .or("\"marketing\""),
        Key::new("score", Kind::Number, "the feedback's score", "9").or("none"),
        Key::new("text", Kind::Text, "the feedback's words", "\"lovely tea\"").or("none"),
        Key::new("product", Kind::Text, "the product it is about", "\"tea-1\"").or("none"),
        Key::new("answer", Kind::Id, "an answer to a survey", "\"nps\"").or("none").later(),
    ],
    is_later: false,
    is_open: true,
};

const AMOUNT: Kind =
    Kind::Any(&[Kind::Number, Kind::Form("^-?[0-9]+([.][0-9]+)?( [A-Z]{3})?$", "`\"49.90 EUR\"`")]);

static EXPECT: Table = Table {
    name: "expect",
    title: "expect = [{ … }]",
    doc: "One thing that must happen: one of `send`, `call`, `tag`, `untag`, `phase`, `goal`, `exit`, `ended`, `nothing`. \
          `3d` is any time on that day, `2h` any time in that hour, `3d 18:00` that minute.",
    keys: &[
        Key::new("at", MOMENT, "when; only `nothing` can do without, and then means never", "\"3d 10:00\"")
            .or("never"),
        Key::new("until", MOMENT, "at the latest then", "\"5d\"").or("as exact as `at`"),
        Key::new("send", Kind::Text, "a message goes out", "\"welcome-1\"").or("none"),
        Key::new("call", Kind::Text, "an action is done", "\"shop.note\"").or("none"),
        Key::new("tag", Kind::Text, "a journey puts a label on", "\"vip\"").or("none"),
        Key::new("untag", Kind::Text, "a journey takes a label off", "\"vip\"").or("none"),
        Key::new("phase", Kind::Id, "the customer comes into the phase", "\"lapsed\"").or("none"),
        Key::new("goal", RUN, "the run reaches its goal", "true").or("none"),
        Key::new("exit", RUN, "the run is left by its `exit`", "true").or("none"),
        Key::new("ended", RUN, "the run ends, in whatever way", "true").or("none"),
        Key::new("nothing", Kind::True, "nothing goes out", "true").or("none"),
    ],
    is_later: false,
    is_open: false,
};

/// The test's journey, or another by its name.
const RUN: Kind = Kind::Any(&[Kind::True, Kind::Id]);
