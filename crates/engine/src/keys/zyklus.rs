//! The keys of `zyklus.toml`. A connector's own keys stand in its manifest, not here.

use super::{File, Key, Kind, Table};

const LANGUAGES: &[&str] = &["en", "de", "fr", "es", "it", "pt", "nl", "da", "sv", "pl"];
const CHANNELS: &[&str] = &["email", "sms", "social", "push", "post"];

/// `zyklus.toml`.
pub static ZYKLUS: File = File { name: "zyklus", place: "zyklus.toml", root: &ROOT };

static ROOT: Table = Table {
    name: "zyklus",
    title: "zyklus.toml",
    doc: "The shop, its connections, and the rules that hold for every message.",
    keys: &[
        Key::new("store", Kind::Table(&STORE), "where everything is kept", "{ url = \"sqlite:zyklus.db\" }").or("a file beside this one"),
        Key::new("shop", Kind::Table(&SHOP), "what customers see of the shop", "{ name = \"Teehaus\", currency = \"EUR\" }").needed(),
        Key::new("rates", Kind::Named("^[A-Z]{3}$", &Kind::Positive), "what one unit of a currency is worth in the shop's", "{ USD = 0.92 }")
            .or("only the shop's currency"),
        Key::new("lifecycle", Kind::Table(&LIFECYCLE), "which lifecycle", "{ model = \"ecommerce\" }").or("`ecommerce`"),
        Key::new(
            "caps",
            Kind::Table(&CAPS),
            "at most so many marketing messages to one customer, by channel and in `total`; what is named replaces that channel's default",
            "{ email = [{ max = 1, per = \"day\" }, { max = 3, per = \"7d\" }] }",
        )
        .or("e-mail one a day and three in 7 days, text messages two in 7 days"),
        Key::new("holdout", Kind::Table(&HOLDOUT), "customers who get no marketing at all, to compare with", "{ share = 5 }")
            .or("nobody"),
        Key::new(
            "quiet",
            Kind::Chosen(CHANNELS, &Kind::Any(&[Kind::Table(&QUIET), Kind::False])),
            "local hours in which nothing but transactional messages goes out, by channel; `false` has none",
            "{ email = { from = \"21:00\", until = \"08:00\" } }",
        )
        .or("text messages from 21:00 to 08:00"),
        Key::new("consent", Kind::Table(&CONSENT), "who may be written to", "{ existing_customers = false }").or("whoever agreed"),
        Key::new("test", Kind::Table(&TEST), "for journeys in test mode", "{ recipients = [\"erika@teehaus.example\"] }").or("nobody"),
        Key::new(
            "topics",
            Kind::Named("^[a-z0-9_-]{1,80}$", &Kind::Table(&TOPIC)),
            "what customers write about, besides delivery, quality, fit, price, service and returns: one `[topics.NAME]` each",
            "{ taste = { words = { en = [\"taste\", \"flavour\"], de = [\"geschmack-\", \"schmeckt\"] } } }",
        )
        .or("ours"),
        Key::new(
            "connectors",
            Kind::Named("^[a-z][a-z0-9_-]{0,39}$", &Kind::Connector),
            "the shop and the ways out, one `[connectors.NAME]` each",
            "{ mail = { type = \"maildir\", path = \"mail\" } }",
        )
        .or("none"),
        Key::new("plugins", Kind::Table(&PLUGINS), "connectors that are not part of the program", "{ folder = \"plugins\" }")
            .or("a folder `plugins` beside this file, and every library in it pinned"),
    ],
    is_later: false,
    is_open: false,
};

static STORE: Table = Table {
    name: "store",
    title: "[store]",
    doc: "Where everything is kept.",
    keys: &[
        Key::new(
            "url",
            Kind::Text,
            "`sqlite:` and a file, or `postgres://user@host/name`",
            "\"sqlite:zyklus.db\"",
        )
        .or("\"sqlite:zyklus.db\""),
        Key::new(
            "keep_past_days",
            Kind::Int(0, 36_500),
            "so many days back `--as-of` can ask what was known; 0 keeps nothing",
            "365",
        )
        .or("760"),
    ],
    is_later: false,
    is_open: false,
};

static SHOP: Table = Table {
    name: "shop",
    title: "[shop]",
    doc: "What customers see of the shop, and the imprint below every mail. Marketing mails need `url`, `email`, \
          `legal_name` and `address_lines`.",
    keys: &[
        Key::new("name", Kind::Text, "its name", "\"Teehaus\"").needed(),
        Key::new(
            "currency",
            Kind::Form("^[A-Z]{3}$", "three capital letters"),
            "the currency everything is reported in",
            "\"EUR\"",
        )
        .needed(),
        Key::new("url", Kind::Text, "its address on the web", "\"https://teehaus.example\"").or("none"),
        Key::new("locale", Kind::Text, "the language of customers whose language is not known", "\"de\"")
            .or("\"en\""),
        Key::new(
            "time_zone",
            Kind::Text,
            "the time zone of customers whose zone is not known",
            "\"Europe/Berlin\"",
        )
        .or("\"UTC\""),
        Key::new(
            "salutation",
            Kind::Words(&["formal", "informal"]),
            "German mails say Sie, or du",
            "\"informal\"",
        )
        .or("\"formal\""),
        Key::new("legal_name", Kind::Text, "imprint: the firm", "\"Teehaus GmbH\"").or("none"),
        Key::new(
            "address_lines",
            Kind::List(&Kind::Text),
            "imprint: the postal address",
            "[\"Am Markt 1\", \"20095 Hamburg\"]",
        )
        .or("none"),
        Key::new(
            "email",
            Kind::Text,
            "imprint: where answers and unsubscriptions go",
            "\"hallo@teehaus.example\"",
        )
        .or("none"),
        Key::new("phone", Kind::Text, "imprint: the telephone number", "\"+49 40 123456\"").or("none"),
        Key::new(
            "register",
            Kind::Text,
            "imprint: the commercial register",
            "\"Amtsgericht Hamburg, HRB 12345\"",
        )
        .or("none"),
        Key::new("vat_id", Kind::Text, "imprint: the VAT number", "\"DE123456789\"").or("none"),
        Key::new("representative", Kind::Text, "imprint: who speaks for the firm", "\"Erika Muster\"")
            .or("none"),
        Key::new(
            "imprint_url",
            Kind::Text,
            "a page with the full imprint",
            "\"https://teehaus.example/impressum\"",
        )
        .or("none"),
        Key::new(
            "logo_url",
            Kind::Text,
            "a picture for the head of mails",
            "\"https://teehaus.example/logo.png\"",
        )
        .or("none"),
    ],
    is_later: false,
    is_open: false,
};

static LIFECYCLE: Table = Table {
    name: "model",
    title: "[lifecycle]",
    doc: "Which lifecycle the shop has.",
    keys: &[Key::new("model", Kind::Text, "a file in `lifecycles/`, without `.toml`", "\"ecommerce\"")
        .or("\"ecommerce\"")],
    is_later: false,
    is_open: false,
};

const CAP_OR_CAPS: Kind = Kind::Any(&[Kind::Table(&CAP), Kind::List(&Kind::Table(&CAP))]);
const CAP_EXAMPLE: &str = "{ max = 2, per = \"7d\" }";

static CAPS: Table = Table {
    name: "caps",
    title: "[caps]",
    doc: "At most so many marketing messages to one customer. What is named replaces the default of that channel, an empty \
          list switches it off.",
    keys: &[
        Key::new("email", CAP_OR_CAPS, "e-mails", "[{ max = 1, per = \"day\" }, { max = 3, per = \"7d\" }]")
            .or("one a day and three in 7 days"),
        Key::new("sms", CAP_OR_CAPS, "text messages", CAP_EXAMPLE).or("two in 7 days"),
        Key::new("social", CAP_OR_CAPS, "messages on social networks", CAP_EXAMPLE).or("any number"),
        Key::new("push", CAP_OR_CAPS, "push messages", CAP_EXAMPLE).or("any number"),
        Key::new("post", CAP_OR_CAPS, "letters", CAP_EXAMPLE).or("any number"),
        Key::new("total", CAP_OR_CAPS, "on all channels together", CAP_EXAMPLE).or("any number"),
        Key::new(
            "contend",
            Kind::Length,
            "of messages on one channel that are due so near to each other, the one of highest priority goes first",
            "\"4h\"",
        )
        .or("\"2h\""),
    ],
    is_later: false,
    is_open: false,
};

static HOLDOUT: Table = Table {
    name: "holdout",
    title: "[holdout]",
    doc: "Customers who get no marketing from any journey, to compare with; service mail goes on.",
    keys: &[
        Key::new("share", Kind::Int(0, 50), "per cent of customers", "5").needed(),
        Key::new("epoch", Kind::Int(0, 999_999), "another number draws anew", "1").or("0"),
    ],
    is_later: false,
    is_open: false,
};

static CAP: Table = Table {
    name: "cap",
    title: "[caps] email = { … }",
    doc: "At most so many in so long. An empty list switches the channel's default off.",
    keys: &[
        Key::new("max", Kind::Int(0, 999_999), "how many", "3").needed(),
        Key::new(
            "per",
            Kind::Form("^(day|[0-9]*[1-9][0-9]*(s|m|h|d|w|mo|y))$", "`\"day\"` or a length of time"),
            "`\"day\"` is the calendar day where the customer lives, anything else the time just gone by",
            "\"7d\"",
        )
        .needed(),
    ],
    is_later: false,
    is_open: false,
};

static QUIET: Table = Table {
    name: "quiet_hours",
    title: "[quiet] email = { … }",
    doc: "Quiet hours of one channel, where the customer lives.",
    keys: &[
        Key::new("from", Kind::Time, "from this time", "\"21:00\"").needed(),
        Key::new("until", Kind::Time, "until this one, of the next day if it is earlier", "\"08:00\"")
            .needed(),
        Key::new(
            "weekdays",
            Kind::List(&Kind::Words(&[
                "monday",
                "tuesday",
                "wednesday",
                "thursday",
                "friday",
                "saturday",
                "sunday",
            ])),
            "days that are quiet as a whole",
            "[\"sunday\"]",
        )
        .or("none"),
        Key::new("holidays", Kind::List(&Kind::Date), "dates that are quiet as a whole", "[\"2026-12-25\"]")
            .or("none"),
    ],
    is_later: false,
    is_open: false,
};

static CONSENT: Table = Table {
    name: "consent",
    title: "[consent]",
    doc: "Who may be written to without having agreed.",
    keys: &[Key::new(
        "existing_customers",
        Kind::Bool,
        "customers who bought may get e-mail advertising without consent (UWG §7(3))",
        "true",
    )
    .or("false")],
    is_later: false,
    is_open: false,
};

static TEST: Table = Table {
    name: "test_mode",
    title: "[test]",
    doc: "For journeys with `mode = \"test\"`.",
    keys: &[Key::new(
        "recipients",
        Kind::List(&Kind::Text),
        "the only addresses they write to",
        "[\"erika@teehaus.example\"]",
    )
    .or("nobody")],
    is_later: false,
    is_open: false,
};

static TOPIC: Table = Table {
    name: "topic",
    title: "[topics.NAME]",
    doc: "A topic that reviews, answers and comments are searched for. One of ours (`delivery`, `quality`, `fit`, `price`, \
          `service`, `returns`) that is named here gets more words.",
    keys: &[
        Key::new(
            "label",
            Kind::Chosen(LANGUAGES, &Kind::Text),
            "what people call it, by language",
            "{ en = \"Taste\", de = \"Geschmack\" }",
        )
        .or("its name"),
        Key::new(
            "words",
            Kind::Chosen(LANGUAGES, &Kind::List(&Kind::Text)),
            "the words that speak for it, by language: `schmeckt` with every form of it, `geschmack-` for words that begin so, \
             `-tee` for those that end so, `-aroma-` for those that hold it, several words for a phrase",
            "{ en = [\"taste\", \"too bitter\"], de = [\"geschmack-\", \"schmeckt\"] }",
        )
        .needed(),
    ],
    is_later: false,
    is_open: false,
};

static PLUGINS: Table = Table {
    name: "plugins",
    title: "[plugins]",
    doc: "Where libraries of connectors are, and which may be loaded. What `library` names is looked for here.",
    keys: &[
        Key::new(
            "folder",
            Kind::Text,
            "the folder they lie in; nobody but its owner may write to it",
            "\"/usr/lib/zyklus\"",
        )
        .or("\"plugins\""),
        Key::new(
            "allow_unpinned",
            Kind::List(&Kind::Text),
            "libraries that are loaded whatever is in them, while you build one",
            "[\"libacme.so\"]",
        )
        .or("none"),
    ],
    is_later: false,
    is_open: false,
};

/// What a `[connectors.NAME]` says of its library, besides the keys of the host and of the connector.
pub static LIBRARY: Table = Table {
    name: "library",
    title: "[connectors.NAME] with a library",
    doc: "A connector that is not part of the program. Beside these keys stand those every connector has, without `type`, and \
          the connector's own; `zyklus plugin check FILE` shows them.",
    keys: &[
        Key::new("library", Kind::Text, "the file, below the folder that [plugins] names", "\"libacme.so\"")
            .needed(),
        Key::new(
            "sha256",
            Kind::Form("^[0-9a-fA-F]{64}$", "64 hexadecimal digits"),
            "the hash it must have",
            "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
        )
        .or("the one in plugins.lock, which `zyklus plugin lock` writes"),
        Key::new(
            "isolation",
            Kind::Words(&["process", "in-process"]),
            "a process of its own, or the daemon's, which its crash then ends",
            "\"process\"",
        )
        .or("\"process\""),
        Key::new(
            "memory_limit",
            Kind::Form("^[0-9]+ ?(MiB|GiB)$", "a number with MiB or GiB"),
            "memory of its process",
            "\"1 GiB\"",
        )
        .or("\"512 MiB\""),
        Key::new("cpu_limit", Kind::Text, "processor time one call may take", "\"2m\"").or("\"60s\""),
        Key::new(
            "network",
            Kind::Bool,
            "whether its process may open connections of its own; HTTP goes through the daemon",
            "true",
        )
        .or("false"),
    ],
    is_later: false,
    is_open: true,
};

/// What every `[connectors.NAME]` may say besides the connector's own keys. Where a connector has a key of the same
/// name, it is the connector's.
pub static HOST: Table = Table {
    name: "connector",
    title: "[connectors.NAME]",
    doc: "A connection; the name is yours, `type` says what it is. Lengths of time here are hours, minutes and seconds. \
          Secrets never stand in the file: write `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ credential = \"NAME\" }`.",
    keys: &[
        Key::new("type", Kind::Text, "the kind of connector", "\"csv\"").needed(),
        Key::new("enabled", Kind::Bool, "`false` keeps the table but not the connector", "false").or("true"),
        Key::new("sync_every", Kind::Text, "how often to look for news", "\"5m\"").or("\"5m\""),
        Key::new("streams", Kind::List(&Kind::Text), "only these streams", "[\"orders\", \"customers\"]")
            .or("all it has"),
        Key::new(
            "allow_hosts",
            Kind::List(&Kind::Text),
            "hosts it may talk to besides its own",
            "[\"cdn.teehaus.example\"]",
        )
        .or("none"),
        Key::new(
            "allow_private_network",
            Kind::Bool,
            "whether hosts the connector itself names may have private addresses",
            "true",
        )
        .or("false"),
        Key::new(
            "rate_limit",
            Kind::Any(&[Kind::Positive, Kind::Table(&RATE)]),
            "requests a second",
            "{ per_second = 5, burst = 10 }",
        )
        .or("the connector's own"),
        Key::new("timeout", Kind::Text, "of one request", "\"30s\"").or("\"30s\""),
        Key::new("record_to", Kind::Text, "a folder to record its HTTP exchanges to", "\"recordings\"")
            .or("none"),
        Key::new(
            "replay_from",
            Kind::Text,
            "a folder to play recorded HTTP exchanges back from",
            "\"recordings\"",
        )
        .or("none"),
    ],
    is_later: false,
    is_open: false,
};

static RATE: Table = Table {
    name: "rate_limit",
    title: "rate_limit = { … }",
    doc: "How fast requests may follow each other.",
    keys: &[
        Key::new("per_second", Kind::Positive, "requests a second", "5").needed(),
        Key::new("burst", Kind::Int(1, 4_294_967_295), "so many at once", "10").or("as many as a second has"),
    ],
    is_later: false,
    is_open: false,
};
