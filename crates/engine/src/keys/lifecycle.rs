//! The keys of a lifecycle file.

use super::{File, Key, Kind, Table};

/// `lifecycles/NAME.toml`.
pub static LIFECYCLE: File = File { name: "lifecycle", place: "lifecycles/NAME.toml", root: &ROOT };

static ROOT: Table = Table {
    name: "lifecycle",
    title: "lifecycles/NAME.toml",
    doc: "Phases in order. The first whose condition holds is the customer's; any phase can follow any other.",
    keys: &[
        Key::new("label", Kind::Label, "what people call the lifecycle", "{ en = \"Simple\" }").needed(),
        Key::new(
            "phases",
            Kind::Some(&Kind::Table(&PHASE)),
            "the phases, one `[[phases]]` each",
            "[{ id = \"everybody\", label = { en = \"Everybody\" }, when = \"true\" }]",
        )
        .needed(),
    ],
    is_later: false,
    is_open: false,
};

static PHASE: Table = Table {
    name: "phase",
    title: "[[phases]]",
    doc: "One phase. The last one must say `when = \"true\"`, so that everybody is always in exactly one.",
    keys: &[
        Key::new("id", Kind::Id, "its name in playbooks and conditions", "\"lapsed\"").needed(),
        Key::new("label", Kind::Label, "what people call it", "{ en = \"Lapsed\", de = \"Inaktiv\" }")
            .needed(),
        Key::new("when", Kind::Cel, "who stands in it", "\"orders.days_since_last > 365\"").needed(),
        Key::new(
            "hold",
            Kind::Length,
            "the least stay: until it is over no other phase is considered",
            "\"7d\"",
        )
        .or("none"),
    ],
    is_later: false,
    is_open: false,
};
