//! The verbs of the playbook language and the keys beside them.

use super::{Choice, Key, Kind, Table};

const CHANNELS: Kind = Kind::Words(&["email", "sms", "social", "push", "post"]);
/// Named by the verbs that hold steps themselves; a static, because only its address may be needed to make them.
static STEP: Kind = Kind::OneOf(&STEPS);
const ID: Key = Key::new("id", Kind::Id, "the step's name in conditions and reports", "\"reminder\"")
    .or("the verb and its value");

pub(super) static STEPS: Choice = Choice {
    name: "step",
    doc: "Every step does one thing. Two that would look the same need an `id`.",
    tables: &[&WAIT, &SEND, &IF, &SPLIT, &TAG, &UNTAG, &CALL, &EXIT, &ASK, &COUPON, &AUDIENCE],
};

static WAIT: Table = Table {
    name: "step_wait",
    title: "{ wait = … }",
    doc: "Waits.",
    keys: &[
        Key::new("wait", Kind::Length, "how long", "\"3d\"").needed(),
        Key::new(
            "at",
            Kind::Any(&[Kind::Time, Kind::Words(&["best"])]),
            "until this local time then; `\"best\"` is the hour at which the customer orders, if that is a habit, else the \
             one at which the shop's customers do",
            "\"10:00\"",
        )
        .or("the time it began"),
        Key::new("until", Kind::Cel, "goes on as soon as this holds", "\"orders.count > 0\"")
            .or("the whole time"),
        ID,
    ],
    is_later: false,
    is_open: false,
};

static SEND: Table = Table {
    name: "step_send",
    title: "{ send = … }",
    doc: "Sends a message.",
    keys: &[
        Key::new("send", Kind::Text, "the template", "\"welcome-1\"").needed(),
        Key::new("via", CHANNELS, "the channel", "\"sms\"").or("\"email\""),
        Key::new(
            "purpose",
            Kind::Words(&["marketing", "service", "transactional"]),
            "marketing needs consent and is capped; service and transactional are neither, and must carry no advertising",
            "\"service\"",
        )
        .or("\"marketing\""),
        Key::new("expires", Kind::Length, "no longer worth sending after so long", "\"3d\"").or("24 hours; 72 for service and transactional"),
        Key::new("fallback", Kind::Text, "another template, if this one cannot be filled", "\"welcome-1\"").or("none"),
        Key::new("with", Kind::Named("", &Kind::Anything), "values for the template, texts of which may use `{{ … }}`", "{ tone = \"short\" }").or("none"),
        Key::new("cap", Kind::Words(&["count", "ignore"]), "`\"ignore\"` neither waits for the caps nor counts", "\"ignore\"").or("\"count\""),
        ID,
    ],
    is_later: false,
    is_open: false,
};

static IF: Table = Table {
    name: "step_if",
    title: "{ if = … }",
    doc: "Goes one of two ways.",
    keys: &[
        Key::new("if", Kind::Cel, "which way", "\"cart.value >= 80.0\"").needed(),
        Key::new("then", Kind::List(&STEP), "when it holds", "[{ send = \"cart-2\" }]").needed(),
        Key::new("else", Kind::List(&STEP), "when it does not", "[{ tag = \"small-cart\" }]").or("goes on"),
        ID,
    ],
    is_later: false,
    is_open: false,
};

static SPLIT: Table = Table {
    name: "step_split",
    title: "{ split = … }",
    doc: "Goes one of several ways by chance.",
    keys: &[
        Key::new("split", Kind::Id, "its name; the same customer always goes the same way", "\"subject\"")
            .needed(),
        Key::new(
            "ways",
            Kind::Some(&Kind::Table(&WAY)),
            "the ways",
            "[{ name = \"care\", steps = [{ send = \"care-how-to\" }] }, { name = \"nothing\", steps = [] }]",
        )
        .needed(),
        Key::new("again", Kind::Bool, "draws anew in every run", "true").or("false"),
        Key::new(
            "learn",
            Kind::Any(&[Kind::Words(&["goal"]), Kind::Bool, Kind::OneOf(&LEARN)]),
            "moves the shares, each night, towards the way that works best: by the journey's goal (also `true`), by an event or by what is ordered; no way falls below 5 %",
            "\"goal\"",
        )
        .or("false"),
        ID,
    ],
    is_later: false,
    is_open: false,
};

static LEARN: Choice = Choice {
    name: "measure",
    doc: "What a split learns by, if not by the journey's goal. Only runs count whose time is over.",
    tables: &[&LEARN_EVENT, &LEARN_ORDERS],
};

const WITHIN: Key = Key::new("within", Kind::Length, "how long after the start of the run", "\"5d\"")
    .or("as the goal has it");

static LEARN_EVENT: Table = Table {
    name: "learn_event",
    title: "learn = { event = … }",
    doc: "By how many runs are followed by an event.",
    keys: &[
        Key::new(
            "event",
            Kind::Event,
            "the event's name; a `mail.clicked` of another journey is none",
            "\"mail.clicked\"",
        )
        .needed(),
        WITHIN,
    ],
    is_later: false,
    is_open: false,
};

static LEARN_ORDERS: Table = Table {
    name: "learn_orders",
    title: "learn = { orders = … }",
    doc: "By what customers order, after refunds.",
    keys: &[
        Key::new("orders", Kind::Words(&["value"]), "what they are worth in all", "\"value\"").needed(),
        WITHIN,
    ],
    is_later: false,
    is_open: false,
};

static WAY: Table = Table {
    name: "way",
    title: "ways = [{ … }]",
    doc: "One way of a split.",
    keys: &[
        Key::new("name", Kind::Id, "its name in reports", "\"care\"").needed(),
        Key::new("weight", Kind::Int(0, 10_000), "its share relative to the others", "3").or("1"),
        Key::new("steps", Kind::List(&STEP), "what it does", "[{ send = \"care-how-to\" }]").needed(),
    ],
    is_later: false,
    is_open: false,
};

static TAG: Table = Table {
    name: "step_tag",
    title: "{ tag = … }",
    doc: "Puts a label on the customer: `'vip' in customer.tags`.",
    keys: &[
        Key::new("tag", Kind::Text, "the label", "\"vip\"").needed(),
        Key::new("for", Kind::Length, "for how long", "\"30d\"").or("until it is taken off"),
        ID,
    ],
    is_later: false,
    is_open: false,
};

static UNTAG: Table = Table {
    name: "step_untag",
    title: "{ untag = … }",
    doc: "Takes a label off the customer.",
    keys: &[Key::new("untag", Kind::Text, "the label", "\"vip\"").needed(), ID],
    is_later: false,
    is_open: false,
};

static CALL: Table = Table {
    name: "step_call",
    title: "{ call = … }",
    doc: "Asks a connector to do something.",
    keys: &[
        Key::new(
            "call",
            Kind::Form("^[^.]+\\..+$", "the connector's name, a dot, the action"),
            "the connector and its action",
            "\"shop.note\"",
        )
        .needed(),
        Key::new(
            "with",
            Kind::Named("", &Kind::Anything),
            "what the action needs",
            "{ text = \"care mail sent\" }",
        )
        .or("nothing"),
        Key::new("expires", Kind::Length, "not worth doing after so long", "\"3d\"").or("\"72h\""),
        ID,
    ],
    is_later: false,
    is_open: false,
};

static EXIT: Table = Table {
    name: "step_exit",
    title: "{ exit = … }",
    doc: "Ends the run.",
    keys: &[Key::new("exit", Kind::Text, "why, for reports", "\"bought elsewhere\"").needed(), ID],
    is_later: false,
    is_open: false,
};

static ASK: Table = Table {
    name: "step_ask",
    title: "{ ask = … }",
    doc: "Sends a survey and waits for the answer: `answer('nps').score`.",
    keys: &[
        Key::new("ask", Kind::Id, "the survey", "\"nps\"").needed(),
        Key::new("via", CHANNELS, "the channel", "\"sms\"").or("\"email\""),
        Key::new("wait", Kind::Length, "how long to wait at most", "\"10d\"").or("not at all"),
        ID,
    ],
    is_later: true,
    is_open: false,
};

static COUPON: Table = Table {
    name: "step_coupon",
    title: "{ coupon = … }",
    doc: "Makes the customer a code: `coupon('welcome-5').code`.",
    keys: &[Key::new("coupon", Kind::Id, "the coupon", "\"welcome-5\"").needed(), ID],
    is_later: true,
    is_open: false,
};

static AUDIENCE: Table = Table {
    name: "step_audience",
    title: "{ audience = … }",
    doc: "Puts the customer into an audience elsewhere, or takes them out.",
    keys: &[
        Key::new(
            "audience",
            Kind::Form("^[^.]+\\..+$", "the connector's name, a dot, the audience"),
            "the connector and its audience",
            "\"meta.vip\"",
        )
        .needed(),
        Key::new("do", Kind::Words(&["add", "remove"]), "in or out", "\"remove\"").or("\"add\""),
        ID,
    ],
    is_later: true,
    is_open: false,
};
