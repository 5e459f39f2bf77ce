//! A grammar of playbooks: random journeys as values that can be written as TOML and judged by the model. Knows nothing
//! of how the engine reads them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::model::View;

/// A condition that operators write. Between two facts each of them changes at most once, and any of several does too
/// for one of them: the model relies on it.
#[derive(Debug, Clone)]
pub(crate) enum Cond {
    Orders(&'static str, i64),
    SinceLast(i64),
    Within(i64),
    Viewed(i64, i64),
    Consents,
    Not(Box<Cond>),
    Any(Box<Cond>, Box<Cond>),
}

impl Cond {
    fn text(&self) -> String {
        match self {
            Cond::Orders(op, n) => format!("orders.count {op} {n}"),
            Cond::SinceLast(days) => format!("orders.days_since_last > {days}"),
            Cond::Within(days) => format!("orders.days_since_last <= {days}"),
            Cond::Viewed(n, days) => format!("events.count('page.viewed', {days}) >= {n}"),
            Cond::Consents => "consent.email.marketing".into(),
            Cond::Not(inner) => format!("!({})", inner.text()),
            Cond::Any(a, b) => format!("({}) || ({})", a.text(), b.text()),
        }
    }

    /// What the words mean, on what is known.
    pub(crate) fn holds(&self, view: &View<'_>) -> bool {
        match self {
            Cond::Orders(op, n) => {
                let count = view.orders_placed().len() as i64;
                match *op {
                    "==" => count == *n,
                    ">=" => count >= *n,
                    _ => count < *n,
                }
            }
            Cond::SinceLast(days) => view.days_since_order().is_none_or(|since| since > *days),
            Cond::Within(days) => view.days_since_order().is_some_and(|since| since <= *days),
            Cond::Viewed(n, days) => view.viewed(*days) >= *n,
            Cond::Consents => view.last_word("email").is_some_and(|(yes, _)| yes),
            Cond::Not(inner) => !inner.holds(view),
            Cond::Any(a, b) => a.holds(view) || b.holds(view),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum GoalWhen {
    /// A later event of this name.
    Happens(&'static str),
    State(Cond),
}

#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(crate) when: GoalWhen,
    pub(crate) within_days: i64,
    pub(crate) stay: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait { number: u8, length: &'static str, at: Option<&'static str>, until: Option<Cond> },
    Send { number: u8, more: &'static str },
    Call { number: u8 },
    Tag { number: u8, on: bool },
    If { number: u8, when: Result<Cond, u8>, then: Vec<Step>, otherwise: Vec<Step> },
    Split { number: u8, again: bool, a: Vec<Step>, b: Vec<Step> },
    Exit { number: u8 },
}

/// One journey.
#[derive(Debug, Clone)]
pub(crate) struct Journey {
    pub(crate) start: String,
    pub(crate) when: Option<Cond>,
    pub(crate) exit: Option<Cond>,
    pub(crate) goal: Option<Goal>,
    pub(crate) overlap: &'static str,
    pub(crate) reenter: &'static str,
    pub(crate) key: bool,
    pub(crate) group: &'static str,
    pub(crate) holdout: u8,
    pub(crate) mode: &'static str,
    pub(crate) on_change: &'static str,
    pub(crate) backfill: bool,
    pub(crate) steps: Vec<Step>,
}

impl Journey {
    /// The journey as a file has it.
    pub(crate) fn text(&self, name: &str) -> String {
        let mut text = format!(
            "[journeys.{name}]\nlabel = {{ en = \"J\" }}\nstart = {}\nreenter = \"{}\"\nmode = \"{}\"\non_change = \"{}\"\nholdout = {}\n{}",
            self.start, self.reenter, self.mode, self.on_change, self.holdout, self.group
        );
        let mut line = |key: &str, value: String| text.push_str(&format!("{key} = {value}\n"));
        if let Some(when) = &self.when {
            line("when", format!("\"{}\"", when.text()));
        }
        if let Some(exit) = &self.exit {
            line("exit", format!("\"{}\"", exit.text()));
        }
        if let Some(Goal { when, within_days, stay }) = &self.goal {
            let when = match when {
                GoalWhen::Happens(name) => format!("event.name == '{name}'"),
                GoalWhen::State(cond) => cond.text(),
            };
            line("goal", format!("{{ when = \"{when}\", within = \"{within_days}d\", stay = {stay} }}"));
        }
        if self.key {
            line("key", "\"event.n\"".into());
        }
        let overlap = if self.overlap == "parallel" && !self.key { "ignore" } else { self.overlap };
        line("overlap", format!("\"{overlap}\""));
        if self.backfill && (self.start.contains("phase") || self.start.contains("segment")) {
            line("backfill", "{ since = \"60d\", per_day = 5 }".into());
        }
        let mut steps = written(&self.steps, &mut BTreeSet::new());
        if steps.is_empty() {
            steps = "{ tag = \"only\" }".into();
        }
        line("steps", format!("[{steps}]"));
        text
    }
}

/// A list as TOML; a step whose id is taken already is left out, as `check` demands.
fn written(steps: &[Step], taken: &mut BTreeSet<String>) -> String {
    let mut parts = Vec::new();
    for step in steps {
        let id = match step {
            Step::Wait { number, .. } => format!("w{number}"),
            Step::Send { number, .. } => format!("m{number}"),
            Step::Call { number } => format!("c{number}"),
            Step::Tag { number, on } => format!("{}{number}", if *on { "t" } else { "u" }),
            Step::If { number, .. } => format!("i{number}"),
            Step::Split { number, .. } => format!("s{number}"),
            Step::Exit { number } => format!("x{number}"),
        };
        if !taken.insert(id.clone()) {
            continue;
        }
        parts.push(match step {
            Step::Wait { length, at, until, .. } => {
                let at = at.map_or(String::new(), |at| format!(", at = \"{at}\""));
                let until = until.as_ref().map_or(String::new(), |c| format!(", until = \"{}\"", c.text()));
                format!("{{ wait = \"{length}\", id = \"{id}\"{at}{until} }}")
            }
            Step::Send { more, .. } => {
                // A day would be over to the microsecond when the next day's cap begins.
                let is_plain = !more.contains("expires") && !more.contains("purpose");
                let expires = if is_plain { ", expires = \"26h\"" } else { "" };
                format!("{{ send = \"{id}\", id = \"{id}\"{more}{expires} }}")
            }
            Step::Call { .. } => format!("{{ call = \"x.{id}\", id = \"{id}\" }}"),
            Step::Tag { number, on: true } => format!("{{ tag = \"t{number}\", for = \"5d\", id = \"{id}\" }}"),
            Step::Tag { number, on: false } => format!("{{ untag = \"t{number}\", id = \"{id}\" }}"),
            Step::If { when, then, otherwise, .. } => {
                let (then, otherwise) = (written(then, taken), written(otherwise, taken));
                // Only what is surely there can be asked for.
                let when = match when {
                    Ok(cond) => cond.text(),
                    Err(number) if taken.contains(&format!("m{number}")) => format!("sent('m{number}')"),
                    Err(_) => "orders.count > 0".into(),
                };
                format!("{{ if = \"{when}\", id = \"{id}\", then = [{then}], else = [{otherwise}] }}")
            }
            Step::Split { again, a, b, .. } => format!(
                "{{ split = \"{id}\", id = \"{id}\", again = {again}, ways = [{{ name = \"a\", steps = [{}] }}, {{ name = \"b\", weight = 2, steps = [{}] }}] }}",
                written(a, taken),
                written(b, taken)
            ),
            Step::Exit { .. } => format!("{{ exit = \"enough\", id = \"{id}\" }}"),
        });
        if matches!(step, Step::Exit { .. }) {
            break;
        }
    }
    parts.join(", ")
}

const KINDS: [&str; 5] = [
    "",
    ", purpose = \"service\"",
    ", via = \"sms\", purpose = \"service\"",
    ", expires = \"2h\"",
    ", purpose = \"transactional\", expires = \"5d\"",
];

/// The steps without those that put labels on or off, which somebody held out does not get; and each message is of one
/// kind whatever the files become, since only one that is really waiting can be shortened.
pub(crate) fn without_labels(steps: &[Step]) -> Vec<Step> {
    let mut kept = Vec::new();
    for step in steps {
        kept.push(match step {
            Step::Tag { .. } => continue,
            Step::Send { number, .. } => Step::Send { number: *number, more: KINDS[usize::from(*number)] },
            Step::If { number, when, then, otherwise } => Step::If {
                number: *number,
                when: when.clone(),
                then: without_labels(then),
                otherwise: without_labels(otherwise),
            },
            Step::Split { number, again, a, b } => {
                Step::Split { number: *number, again: *again, a: without_labels(a), b: without_labels(b) }
            }
            other => other.clone(),
        });
    }
    kept
}

fn days() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1i64), Just(7), Just(30), 1i64..60]
}

fn leaf() -> BoxedStrategy<Cond> {
    prop_oneof![
        3 => (prop::sample::select(vec!["==", ">=", "<"]), 0i64..4).prop_map(|(op, n)| Cond::Orders(op, n)),
        2 => days().prop_map(Cond::SinceLast),
        2 => days().prop_map(Cond::Within),
        2 => (1i64..4, days()).prop_map(|(n, d)| Cond::Viewed(n, d)),
        1 => Just(Cond::Consents),
    ]
    .boxed()
}

fn cond() -> BoxedStrategy<Cond> {
    prop_oneof![
        5 => leaf(),
        1 => leaf().prop_map(|c| Cond::Not(Box::new(c))),
        1 => (leaf(), leaf()).prop_map(|(a, b)| Cond::Any(Box::new(a), Box::new(b))),
    ]
    .boxed()
}

/// What ends a run: seldom true at once.
fn ending() -> BoxedStrategy<Cond> {
    prop_oneof![
        3 => (2i64..5).prop_map(|n| Cond::Orders(">=", n)),
        2 => (1i64..4, days()).prop_map(|(n, d)| Cond::Viewed(n, d)),
        3 => (1i64..9).prop_map(Cond::SinceLast),
        1 => Just(Cond::Not(Box::new(Cond::Consents))),
        1 => (2i64..4, days()).prop_map(|(n, d)| Cond::Any(Box::new(Cond::Orders(">=", n)), Box::new(Cond::Within(d)))),
    ]
    .boxed()
}

fn step() -> BoxedStrategy<Step> {
    let length = || prop::sample::select(vec!["0d", "90m", "2h", "20h", "1d", "3d", "3d", "1w", "1w", "1mo"]);
    // By the clock, not by the calendar, a microsecond could decide about a day.
    let at = (
        prop::sample::select(vec!["1d", "3d", "1w", "1mo"]),
        prop::sample::select(vec!["02:30", "10:00", "18:00"]),
    );
    let send = prop::sample::select(vec![
        "",
        "",
        "",
        ", expires = \"2h\"",
        ", purpose = \"service\"",
        ", purpose = \"transactional\"",
        ", via = \"sms\"",
        ", via = \"sms\", purpose = \"service\", expires = \"3h\"",
        ", cap = \"ignore\"",
        ", expires = \"5d\"",
    ]);
    let simple = prop_oneof![
        6 => (0u8..4, length()).prop_map(|(number, length)| Step::Wait { number, length, at: None, until: None }),
        2 => (0u8..4, at).prop_map(|(number, (length, at))| Step::Wait { number, length, at: Some(at), until: None }),
        1 => (0u8..4, length(), cond())
            .prop_map(|(number, length, until)| Step::Wait { number, length, at: None, until: Some(until) }),
        7 => (0u8..5, send).prop_map(|(number, more)| Step::Send { number, more }),
        1 => (0u8..2).prop_map(|number| Step::Call { number }),
        1 => (0u8..2, any::<bool>()).prop_map(|(number, on)| Step::Tag { number, on }),
    ];
    let simple = simple.boxed();
    let some = || prop::collection::vec(simple.clone(), 0..3);
    let asked = prop_oneof![3 => cond().prop_map(Ok), 1 => (0u8..5).prop_map(Err)];
    prop_oneof![
        24 => simple.clone(),
        4 => (0u8..2, asked, some(), some())
            .prop_map(|(number, when, then, otherwise)| Step::If { number, when, then, otherwise }),
        2 => (0u8..2, any::<bool>(), some(), some())
            .prop_map(|(number, again, a, b)| Step::Split { number, again, a, b }),
        1 => (0u8..2).prop_map(|number| Step::Exit { number }),
    ]
    .boxed()
}

/// A journey of the whole language.
pub(crate) fn journey() -> BoxedStrategy<Journey> {
    let phase = || prop::sample::select(vec!["lapsed", "loyal", "buyer", "reach"]);
    let start = prop_oneof![
        3 => phase().prop_map(|p| format!("{{ phase = \"{p}\" }}")),
        1 => phase().prop_map(|p| format!("{{ left = \"{p}\" }}")),
        10 => prop::sample::select(vec!["go", "go", "go", "go", "go", "go", "order.placed", "page.viewed", "order.cancelled"])
            .prop_map(|e| format!("{{ event = \"{e}\" }}")),
        1 => cond().prop_map(|c| format!("{{ event = \"go\", where = \"{}\" }}", c.text())),
        2 => cond().prop_map(|c| format!("{{ segment = \"{}\" }}", c.text())),
        1 => prop::sample::select(vec!["daily 02:30", "monthly 3 09:00"]).prop_map(|s| format!("{{ schedule = \"{s}\" }}")),
        1 => Just("{ date = \"orders.last_at\", offset = \"10d\", at = \"10:00\" }".to_owned()),
    ];
    let goal = (
        prop_oneof![
            2 => Just(GoalWhen::Happens("order.placed")),
            1 => Just(GoalWhen::Happens("page.viewed")),
            1 => ending().prop_map(GoalWhen::State),
        ],
        prop::sample::select(vec![2i64, 9, 30]),
        prop::bool::weighted(0.25),
    )
        .prop_map(|(when, within_days, stay)| Goal { when, within_days, stay });
    let words = (
        prop::sample::select(vec!["ignore", "restart", "queue", "parallel"]),
        prop::sample::select(vec!["always", "always", "always", "after 5d", "never"]),
        prop::bool::weighted(0.25),
        prop::sample::select(vec![
            "",
            "",
            "priority = 80\n",
            "priority = 20\n",
            "group = \"g\"\n",
            "group = \"g\"\npriority = 80\n",
            "group = \"g\"\nyield = \"end\"\n",
        ]),
        prop::sample::select(vec![0u8, 0, 0, 50]),
        prop::sample::select(vec![
            "live", "live", "live", "live", "live", "live", "live", "live", "live", "shadow", "test",
        ]),
        prop::sample::select(vec!["follow", "follow", "follow", "follow", "finish", "exit"]),
        prop::bool::weighted(0.8),
    );
    let maybe = |often| prop::option::weighted(often, ending());
    let parts = (start, prop::option::weighted(0.1, cond()), maybe(0.2), prop::option::weighted(0.3, goal));
    // Often with a message at once, so that journeys contend.
    let first = prop::option::weighted(0.5, (0u8..5).prop_map(|number| Step::Send { number, more: "" }));
    let later = prop::option::weighted(0.25, leaf());
    (parts, words, (first, later), prop::collection::vec(step(), 2..7))
        .prop_map(|((start, when, exit, goal), words, (first, later), mut steps)| {
            first.into_iter().for_each(|first| steps.insert(0, first));
            if let Some(when) = later {
                // Two customers come to one step at different times.
                let wait = Step::Wait { number: 3, length: "1w", at: None, until: None };
                let number = 1;
                steps.insert(0, Step::If { number, when: Ok(when), then: vec![wait], otherwise: Vec::new() });
            }
            let (overlap, reenter, key, group, holdout, mode, on_change, backfill) = words;
            Journey {
                start,
                when,
                exit,
                goal,
                overlap,
                reenter,
                key,
                group,
                holdout,
                mode,
                on_change,
                backfill,
                steps,
            }
        })
        .boxed()
}
