//! Random shops, lifecycles and playbooks for the properties: what can happen to a customer, and conditions as
//! operators write them. Draws nothing itself: proptest does.

use proptest::prelude::*;
use serde_json::json;
use zyklus_model::{ConsentState, FeedbackKind, LegalBasis, Origin};

use crate::world::{World, shipped};

/// Something that happens, after so many seconds.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) after_seconds: i64,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Order(i64),
    Refund(usize, i64),
    Cancel(usize),
    Event(&'static str),
    Feedback(FeedbackKind, u8),
    Consent(bool),
    Cart(i64, bool),
    /// An order or event heard of so many seconds after it happened.
    LateOrder(i64, Origin),
    LateEvent(&'static str, i64),
    /// The daemon stops, or is there again.
    Sleep(bool),
    /// Only time passes.
    Nothing,
}

fn after_seconds() -> BoxedStrategy<i64> {
    prop_oneof![
        3 => 1i64..7_200,
        4 => 3_600i64..400_000,
        2 => 400_000i64..6_000_000,
        // Exact days put facts on the edges of windows.
        2 => (1i64..95).prop_map(|days| days * 86_400),
    ]
    .boxed()
}

const EVENTS: [&str; 3] = ["page.viewed", "mail.clicked", "go"];

/// Steps whose facts are heard of when they happen.
pub(crate) fn prompt_steps(count: usize) -> BoxedStrategy<Vec<Step>> {
    let what = prop_oneof![
        5 => (100i64..20_000).prop_map(What::Order),
        2 => (0usize..6, 1i64..20_000).prop_map(|(order, minor)| What::Refund(order, minor)),
        1 => (0usize..6).prop_map(What::Cancel),
        6 => prop::sample::select(EVENTS.to_vec()).prop_map(What::Event),
        2 => (prop::sample::select(FeedbackKind::ALL.to_vec()), 0u8..11).prop_map(|(k, s)| What::Feedback(k, s)),
        1 => any::<bool>().prop_map(What::Consent),
        1 => any::<bool>().prop_map(What::Sleep),
        2 => Just(What::Nothing),
    ];
    let step = (after_seconds(), what).prop_map(|(after_seconds, what)| Step { after_seconds, what });
    prop::collection::vec(step, 1..count).boxed()
}

/// All steps, with carts and with facts heard of late.
pub(crate) fn any_steps(count: usize) -> BoxedStrategy<Vec<Step>> {
    let other = prop_oneof![
        2 => (0i64..20_000, any::<bool>()).prop_map(|(minor, is_open)| What::Cart(minor, is_open)),
        2 => (0i64..9_000_000, any::<bool>()).prop_map(|(seconds, live)| {
            What::LateOrder(seconds, if live { Origin::Live } else { Origin::History })
        }),
        1 => (prop::sample::select(EVENTS.to_vec()), 0i64..200_000).prop_map(|(n, s)| What::LateEvent(n, s)),
    ];
    let step = (after_seconds(), other).prop_map(|(after_seconds, what)| Step { after_seconds, what });
    (prompt_steps(count), prop::collection::vec((any::<prop::sample::Index>(), step), 0..count / 2))
        .prop_map(|(mut steps, others)| {
            for (place, other) in others {
                steps.insert(place.index(steps.len() + 1), other);
            }
            steps
        })
        .boxed()
}

impl World {
    /// Lets time pass and something happen; what cannot happen (a refund without an order) does not.
    pub(crate) fn take(&mut self, step: &Step) {
        self.pass(step.after_seconds);
        let ids: Vec<String> = self.snapshot.orders.iter().map(|o| o.external_id.clone()).collect();
        let chosen = |index: usize| (!ids.is_empty()).then(|| ids[index % ids.len()].clone());
        match step.what {
            What::Order(minor) => drop(self.order(minor)),
            What::Refund(index, minor) => {
                if let Some(order) = chosen(index) {
                    self.refund(&order, minor);
                }
            }
            What::Cancel(index) => {
                let order = chosen(index);
                let placed = self.snapshot.orders.iter().filter(|o| Some(&o.external_id) == order.as_ref());
                if placed.filter(|o| o.state == zyklus_model::OrderState::Placed).count() == 1 {
                    self.cancel(&order.expect("it was counted"));
                }
            }
            What::Event(name) => self.event(name, json!({ "n": 1 })),
            What::Feedback(kind, score) => self.feedback(kind, f64::from(score)),
            What::Consent(yes) => {
                let state = if yes { ConsentState::Granted } else { ConsentState::Withdrawn };
                self.consent(state, LegalBasis::Consent);
            }
            What::Cart(minor, is_open) => self.cart("c", minor, is_open),
            What::LateOrder(seconds, origin) => {
                let placed_at = self.now.plus_seconds(-seconds);
                self.order_at(1_000, placed_at, origin);
            }
            What::LateEvent(name, seconds) => {
                let occurred_at = self.now.plus_seconds(-seconds);
                self.event_at(name, json!({ "n": 1 }), occurred_at, Origin::Live);
            }
            What::Sleep(sleeps) => {
                self.awake = !sleeps;
                self.settle();
            }
            What::Nothing => {}
        }
    }
}

fn days() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1i64), Just(7), Just(30), Just(90), 1i64..120]
}

fn leaf() -> BoxedStrategy<String> {
    prop_oneof![
        (0i64..5, prop::sample::select(vec!["==", ">=", "<"]))
            .prop_map(|(n, op)| format!("orders.count {op} {n}")),
        days().prop_map(|n| format!("orders.days_since_last > {n}")),
        days().prop_map(|n| format!("orders.days_since_last <= {n}")),
        days().prop_map(|n| format!("orders.days_since_first >= {n}")),
        (1i64..5).prop_map(|n| format!("orders.days_since_last > orders.mean_gap_days * {n}.0")),
        (1i64..300).prop_map(|n| format!("orders.revenue >= {n}.0")),
        (1i64..9).prop_map(|n| format!("orders.refund_share > 0.{n}")),
        (1i64..4, days()).prop_map(|(n, d)| format!("events.count('page.viewed', {d}) >= {n}")),
        (1i64..4, days()).prop_map(|(n, d)| format!("events.count('order.placed', {d}) >= {n}")),
        days().prop_map(|d| format!("events.days_since('order.refunded') < {d}")),
        days().prop_map(|d| format!("events.days_since('page.viewed') > {d}")),
        Just("consent.email.marketing".to_owned()),
        (5i64..11).prop_map(|n| format!("feedback.nps >= {n}")),
        (1i64..6).prop_map(|n| format!("feedback.rating < {n}.0")),
        days().prop_map(|d| format!("feedback.days_since_last < {d}")),
        days().prop_map(|d| format!("customer.days_since_created < {d}")),
        days().prop_map(|d| format!("engagement.days_since_click <= {d}")),
        (1i64..3).prop_map(|n| format!("engagement.clicked_30d >= {n}")),
    ]
    .boxed()
}

fn cart_leaf() -> BoxedStrategy<String> {
    prop_oneof![
        (1i64..50).prop_map(|n| format!("cart.is_open && cart.hours_idle >= {n}")),
        (1i64..150).prop_map(|n| format!("cart.value > {n}.0")),
    ]
    .boxed()
}

fn phase_leaf() -> BoxedStrategy<String> {
    let phase = || prop::sample::select(vec!["p0", "p1", "p2", "rest"]);
    prop_oneof![
        3 => (phase(), days()).prop_map(|(p, d)| format!("phase.id == '{p}' && phase.days < {d}")),
        1 => (phase(), days()).prop_map(|(p, d)| format!("phase.id == '{p}' && phase.days >= {d}")),
        2 => phase().prop_map(|p| format!("phase.previous == '{p}'")),
        2 => (phase(), phase()).prop_map(|(a, b)| format!("phase.id in ['{a}', '{b}']")),
    ]
    .boxed()
}

fn joined(leaf: BoxedStrategy<String>) -> BoxedStrategy<String> {
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            1 => inner.prop_map(|a| format!("!({a})")),
        ]
    })
    .boxed()
}

/// Conditions on nothing but facts, carts among them.
pub(crate) fn condition() -> BoxedStrategy<String> {
    joined(prop_oneof![8 => leaf(), 1 => cart_leaf()].boxed())
}

/// A lifecycle whose phases follow from the facts alone.
pub(crate) fn plain_lifecycle() -> BoxedStrategy<String> {
    lifecycle(condition(), Just(None).boxed())
}

/// A lifecycle that comes with Zyklus.
pub(crate) fn shipped_lifecycle() -> BoxedStrategy<String> {
    let texts: Vec<String> = shipped("lifecycles").into_iter().map(|(_, text)| text).collect();
    prop::sample::select(texts).boxed()
}

/// A lifecycle in which it matters where the customer stood before, and how long.
pub(crate) fn remembering_lifecycle() -> BoxedStrategy<String> {
    let hold = prop_oneof![
        2 => Just(None),
        1 => prop::sample::select(vec!["1d", "14d", "1mo", "36h"]).prop_map(Some),
    ];
    lifecycle(joined(prop_oneof![3 => leaf(), 1 => phase_leaf()].boxed()), hold.boxed())
}

fn lifecycle(
    condition: BoxedStrategy<String>,
    hold: BoxedStrategy<Option<&'static str>>,
) -> BoxedStrategy<String> {
    prop::collection::vec((condition, hold), 3)
        .prop_map(|phases| {
            let mut text = "label = { en = \"T\" }\n".to_owned();
            let mut push = |id: &str, when: &str, hold: Option<&str>| {
                text.push_str(&format!(
                    "[[phases]]\nid = \"{id}\"\nlabel = {{ en = \"P\" }}\nwhen = \"{when}\"\n"
                ));
                text.extend(hold.map(|hold| format!("hold = \"{hold}\"\n")));
            };
            for (n, (when, hold)) in phases.iter().enumerate() {
                push(&format!("p{n}"), when, *hold);
            }
            push("rest", "true", None);
            text
        })
        .boxed()
}

/// One to three journeys.
pub(crate) fn journeys() -> BoxedStrategy<String> {
    let phase = || prop::sample::select(vec!["p0", "p1", "p2", "rest"]);
    let start = prop_oneof![
        2 => phase().prop_map(|p| format!("{{ phase = \"{p}\" }}")),
        1 => phase().prop_map(|p| format!("{{ left = \"{p}\" }}")),
        3 => prop::sample::select(vec!["go", "order.placed", "order.cancelled", "page.viewed"])
            .prop_map(|e| format!("{{ event = \"{e}\" }}")),
        1 => condition().prop_map(|c| format!("{{ event = \"order.placed\", where = \"{c}\" }}")),
        2 => condition().prop_map(|c| format!("{{ segment = \"{c}\" }}")),
        1 => Just("{ schedule = \"monthly 3 09:00\" }".to_owned()),
        1 => Just("{ date = \"orders.last_at\", offset = \"10d\", at = \"10:00\" }".to_owned()),
    ];
    let maybe = |key: &'static str, often: f64, value: BoxedStrategy<String>| {
        prop::option::weighted(often, value)
            .prop_map(move |v| v.map_or(String::new(), |v| format!("{key} = {v}\n")))
    };
    let quoted = || condition().prop_map(|c| format!("\"{c}\"")).boxed();
    let goal = prop_oneof![
        condition().prop_map(|c| format!("{{ when = \"{c}\", within = \"20d\" }}")),
        condition().prop_map(|c| format!(
            "{{ when = \"event.name == 'order.placed' && ({c})\", within = \"20d\", stay = true }}"
        )),
        Just("{ when = \"event.name == 'order.placed'\", within = \"9d\" }".to_owned()),
    ];
    let words = |words: &'static [&'static str]| {
        prop::sample::select(words.to_vec()).prop_map(|w| format!("\"{w}\"")).boxed()
    };
    let journey = (
        start,
        (maybe("when", 0.2, quoted()), maybe("exit", 0.25, quoted()), maybe("goal", 0.4, goal.boxed())),
        maybe("reenter", 0.8, words(&["always", "always", "after 20d", "never"])),
        maybe("overlap", 0.5, words(&["ignore", "restart", "queue"])),
        maybe("mode", 0.4, words(&["live", "shadow", "test"])),
        prop_oneof![
            6 => Just(""),
            1 => Just("group = \"g\"\n"),
            1 => Just("group = \"g\"\npriority = 80\n"),
            1 => Just("group = \"g\"\nyield = \"end\"\n"),
        ],
        prop::sample::select(vec!["", "holdout = 40\n", "key = \"event.name\"\n"]),
        prop::collection::vec(step(), 1..5),
    );
    prop::collection::vec(journey, 1..4)
        .prop_map(|journeys| {
            let mut text = String::new();
            for (n, (start, (when, exit, goal), reenter, overlap, mode, group, other, steps)) in
                journeys.into_iter().enumerate()
            {
                let steps: Vec<String> =
                    steps.iter().enumerate().map(|(s, step)| step.replace('#', &format!("s{s}"))).collect();
                text.push_str(&format!(
                    "[journeys.j{n}]\nlabel = {{ en = \"J\" }}\nstart = {start}\n{when}{exit}{goal}{reenter}{overlap}{mode}{group}{other}steps = [{}]\n",
                    steps.join(", ")
                ));
            }
            text
        })
        .boxed()
}

/// A step; `#` becomes its id.
fn step() -> BoxedStrategy<String> {
    let wait = prop::sample::select(vec!["2h", "1d", "3d", "14d", "1mo"]);
    prop_oneof![
        3 => wait.clone().prop_map(|w| format!("{{ wait = \"{w}\", id = \"#\" }}")),
        1 => wait.clone().prop_map(|w| format!("{{ wait = \"{w}\", at = \"02:30\", id = \"#\" }}")),
        2 => (wait, condition()).prop_map(|(w, c)| format!("{{ wait = \"{w}\", until = \"{c}\", id = \"#\" }}")),
        4 => prop::sample::select(vec!["", ", expires = \"2h\"", ", purpose = \"service\"", ", via = \"sms\", purpose = \"service\""])
            .prop_map(|more| format!("{{ send = \"mail\", id = \"#\"{more} }}")),
        2 => condition().prop_map(|c| format!(
            "{{ if = \"{c}\", id = \"#\", then = [{{ send = \"yes\", id = \"#-y\" }}, {{ wait = \"1d\", id = \"#-w\" }}], else = [{{ tag = \"no\", for = \"5d\", id = \"#-n\" }}] }}"
        )),
        1 => Just("{ if = \"'no' in customer.tags || journey('j0').state == 'completed'\", id = \"#\", then = [{ untag = \"no\", id = \"#-u\" }] }".to_owned()),
        1 => Just("{ split = \"#\", ways = [{ name = \"a\", steps = [{ call = \"x.y\", id = \"#-a\" }] }, { name = \"b\", weight = 2, steps = [{ wait = \"1d\", id = \"#-b\" }] }] }".to_owned()),
    ]
    .boxed()
}
