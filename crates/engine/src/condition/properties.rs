//! Properties over random expressions and a random, moving customer. Part of the tests only.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use proptest::prelude::*;
use zyklus_model::{At, DAY_MICROS, HOUR_MICROS};

use super::*;

/// A customer whose every field is drawn from a seed, and moves as real ones do: counts, windows that run out, things missing.
pub(super) struct Synthetic {
    pub(super) seed: u64,
    pub(super) extreme: bool,
}

pub(super) const BASE: At = At::from_micros(1_780_000_000_000_000);

impl Synthetic {
    fn draw(&self, what: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what).hash(&mut hasher);
        hasher.finish()
    }

    fn value(&self, kind: Type, draw: u64, now: At) -> Timed {
        let texts = ["lapsed", "develop", "books", "de", "vip", ""];
        let text = |draw: u64| Value::text(texts[(draw % 6) as usize]);
        let plain = |draw: u64| match kind {
            Type::Bool => Value::Bool(draw.is_multiple_of(2)),
            Type::Int if self.extreme => {
                Value::Int([i64::MAX, i64::MIN, 0, -1, i64::MAX - 3][(draw % 5) as usize])
            }
            Type::Int => Value::Int((draw % 12) as i64 - 2),
            Type::Double if self.extreme => {
                Value::Double([f64::MAX, f64::INFINITY, -0.0, f64::MIN, 9.3e18][(draw % 5) as usize])
            }
            Type::Double => Value::Double((draw % 50) as f64 / 4.0 - 1.0),
            Type::Instant if self.extreme => Value::Instant([At::MAX, At::MIN][(draw % 2) as usize]),
            Type::Instant => Value::Instant(BASE.plus_micros((draw % 1000) as i64 * HOUR_MICROS)),
            Type::Texts => Value::texts((0..draw % 4).map(|at| texts[((draw >> at) % 6) as usize])),
            Type::Any => match draw % 5 {
                0 => Value::Int((draw % 7) as i64),
                1 => Value::texts(["books", "vip"]),
                2 => Value::Bool(true),
                _ => text(draw),
            },
            _ => text(draw),
        };
        let origin = BASE.plus_micros(-((draw % (90 * DAY_MICROS as u64)) as i64)).plus_days(3);
        match (draw >> 8) % 6 {
            0 | 1 if kind == Type::Int => {
                let unit = if (draw >> 16).is_multiple_of(3) { HOUR_MICROS } else { DAY_MICROS };
                Timed::counting(if self.extreme { At::MIN } else { origin }, unit, now)
            }
            2 if kind == Type::Int => Timed::constant(Value::Never),
            3 => {
                let turns = origin.plus_days(40);
                if now < turns {
                    Timed::until(plain(draw), Some(turns))
                } else {
                    Timed::constant(plain(draw >> 20))
                }
            }
            4 => Timed::constant(Value::Absent),
            _ => Timed::constant(plain(draw)),
        }
    }
}

impl Fields for Synthetic {
    fn field(&self, id: FieldId, now: At) -> Timed {
        self.value(id.spec().kind, self.draw(id), now)
    }

    fn entry(&self, map: FieldId, path: &[Arc<str>], now: At) -> Timed {
        self.value(Type::Any, self.draw((map, path)), now)
    }

    fn call(&self, function: FunctionId, arguments: &[Value], now: At) -> Timed {
        let arguments: Vec<String> = arguments.iter().map(Value::to_string).collect();
        self.value(function.spec().kind, self.draw((function, arguments)), now)
    }
}

fn number() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => prop::sample::select(
            FIELDS.iter().filter(|field| matches!(field.kind, Type::Int | Type::Double)).map(|field| field.path.to_owned()).collect::<Vec<_>>()
        ),
        2 => (-3i64..60).prop_map(|n| n.to_string()),
        1 => (-3i64..240).prop_map(|n| format!("{:?}", n as f64 / 4.0)),
        1 => Just("events.count('order.placed', 30)".to_owned()),
        1 => Just("events.days_since('order.placed')".to_owned()),
        1 => Just("journey('welcome').days".to_owned()),
        1 => Just("size(orders.categories)".to_owned()),
        1 => prop::sample::select(vec!["9223372036854775807", "-9223372036854775808", "1e300"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/"]), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => (boolean_leaf(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => inner.prop_map(|a| format!("int({a})")),
        ]
    })
    .boxed()
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        prop::sample::select(vec![
            "phase.id",
            "phase.previous",
            "customer.locale",
            "event.name",
            "key",
            "event['a b']",
            "run.step"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "'lapsed'",
            "\"books\"",
            "'vip'",
            "''",
            "customer.attributes.size",
            "journey('x').state"
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

fn boolean_leaf() -> BoxedStrategy<String> {
    prop_oneof![
        prop::sample::select(vec![
            "true",
            "cart.is_open",
            "consent.sms.marketing",
            "event.up",
            "has(event.x)",
            "sent('a')",
            "timed_out('b')",
            "'x' in customer.attributes",
            "'vip' in customer.tags",
            "orders.categories.exists(c, c == 'books' || c == phase.id)",
            "orders.products.all(p, p.startsWith('b') && orders.days_since_last < 30)",
            "orders.last_at - orders.first_at > duration('20h')",
            "orders.last_at + duration('2d') >= timestamp('2026-06-01T00:00:00Z')",
            "customer.phone == null",
            "orders.days_since_last > orders.days_since_first",
            "orders.days_since_last == phase.days",
            "phase.id in ['lapsed', customer.locale]",
            "phase.days in [3, 5, 40]",
            "customer.locale.matches('^d')",
            "key in event.ids",
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

fn boolean() -> BoxedStrategy<String> {
    let comparison = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let leaf = prop_oneof![
        5 => (number(), comparison, number()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (text(), prop::sample::select(vec!["==", "!=", "<"]), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        3 => boolean_leaf(),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}) && {b} && ({c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) == ({b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
    .boxed()
}

/// `==` between types that do not fit is refused; everything else that the strategies write must be accepted.
fn parse(text: &str) -> Option<Condition> {
    match Condition::parse(text, Scope::If) {
        Ok(condition) => Some(condition),
        Err(error) => {
            assert!(error.message.contains("compared with"), "{text}: {error}");
            assert!(text.get(error.span.clone()).is_some());
            None
        }
    }
}

/// Where the value is looked at before it is due: densely at first, then every seven hours, and just before.
fn instants(now: At, due: Option<At>) -> impl Iterator<Item = At> {
    let end = due.map_or(now.plus_days(160), |due| due.min(now.plus_days(160)));
    let last = due.map(|due| due.plus_micros(-1));
    let grid = (1..560).map(move |step| now.plus_micros(step * 7 * HOUR_MICROS - 1));
    let near =
        [1, 999, HOUR_MICROS, HOUR_MICROS * 2 + 1].into_iter().map(move |micros| now.plus_micros(micros));
    grid.chain(near).filter(move |at| *at < end).chain(last)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn revisit_at_is_never_late(text in boolean(), seeds in prop::collection::vec((any::<u64>(), 0i64..40 * DAY_MICROS), 12)) {
        let Some(condition) = parse(&text) else { return Ok(()) };
        for (seed, shift) in seeds {
            let fields = Synthetic { seed, extreme: false };
            let now = BASE.plus_micros(shift);
            let verdict = condition.eval(&fields, now);
            prop_assert!(verdict.revisit_at.is_none_or(|due| due > now), "{} is due in the past", text);
            for at in instants(now, verdict.revisit_at) {
                let later = condition.eval(&fields, at).value;
                prop_assert_eq!(
                    later, verdict.value,
                    "{} changed at {} although due at {:?}\nnow: {}\nthen: {}",
                    text, at, verdict.revisit_at, condition.explain(&fields, now), condition.explain(&fields, at)
                );
            }
        }
    }

    #[test]
    fn numbers_are_never_late_either(text in number(), seeds in prop::collection::vec((any::<u64>(), 0i64..40 * DAY_MICROS), 6)) {
        let expression = Expression::parse(&text, Scope::If).unwrap();
        for (seed, shift) in seeds {
            let fields = Synthetic { seed, extreme: false };
            let now = BASE.plus_micros(shift);
            let verdict = expression.eval(&fields, now);
            for at in instants(now, verdict.revisit_at) {
                prop_assert_eq!(&expression.eval(&fields, at).value, &verdict.value, "{} changed at {}, due {:?}", text, at, verdict.revisit_at);
            }
        }
    }

    #[test]
    fn explanation_agrees_with_evaluation(text in boolean(), seed in any::<u64>(), extreme in any::<bool>()) {
        let Some(condition) = parse(&text) else { return Ok(()) };
        let fields = Synthetic { seed, extreme };
        let verdict = condition.eval(&fields, BASE);
        let explained = condition.explain(&fields, BASE);
        prop_assert_eq!(explained.value.is_true(), verdict.value);
        prop_assert_eq!(explained.revisit_at, verdict.revisit_at);
        prop_assert_eq!(&explained.text, &text);
        prop_assert!(serde_json::to_string(&explained).is_ok());
        prop_assert!(parts_stand_in(&text, &explained), "{:#?}", explained);
        if let (true, Some(due)) = (explained.turns, explained.revisit_at) {
            prop_assert_ne!(condition.eval(&fields, due).value, verdict.value, "{} was to turn at {}", text, due);
        }
    }

    #[test]
    fn evaluation_is_total_at_the_extremes(text in boolean(), seed in any::<u64>(), now in any::<i64>()) {
        let Some(condition) = parse(&text) else { return Ok(()) };
        for now in [At::from_micros(now), At::MIN, At::MAX, At::MAX.plus_micros(-1)] {
            let fields = Synthetic { seed, extreme: true };
            let verdict = condition.eval(&fields, now);
            prop_assert!(verdict.revisit_at.is_none_or(|due| due > now || now == At::MAX));
            prop_assert_eq!(condition.eval(&fields, now), verdict);
        }
    }

    #[test]
    fn any_text_is_accepted_or_refused_in_place(text in "[a-z.'\"()\\[\\]=<>&|!?:+*/%0-9 ü€-]{0,40}") {
        if let Err(error) = Expression::parse(&text, Scope::If) {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {:?}", error, text);
        }
    }
}

/// A customer with two counts that run beside each other.
struct TwoCounts {
    last: (At, i64),
    first: (At, i64),
}

impl Fields for TwoCounts {
    fn field(&self, id: FieldId, now: At) -> Timed {
        let (origin, unit) = if id == FieldId::OrdersDaysSinceLast { self.last } else { self.first };
        Timed::counting(origin, unit, now)
    }

    fn entry(&self, _: FieldId, _: &[Arc<str>], _: At) -> Timed {
        Timed::constant(Value::Absent)
    }

    fn call(&self, _: FunctionId, _: &[Value], _: At) -> Timed {
        Timed::constant(Value::Absent)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn two_counts_beside_each_other_are_never_late(
        op in prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]),
        (times, offset) in (-3i64..4, -4i64..5),
        origins in prop::collection::vec((-3 * DAY_MICROS..3 * DAY_MICROS, -3 * DAY_MICROS..3 * DAY_MICROS), 8),
        units in prop::sample::select(vec![(DAY_MICROS, DAY_MICROS), (DAY_MICROS, HOUR_MICROS), (HOUR_MICROS, HOUR_MICROS)]),
    ) {
        let text = format!("orders.days_since_last * {times} {op} orders.days_since_first * {times} + {offset}");
        let condition = Condition::parse(&text, Scope::If).unwrap();
        for (last, first) in origins {
            let fields = TwoCounts { last: (BASE.plus_micros(last), units.0), first: (BASE.plus_micros(first), units.1) };
            let verdict = condition.eval(&fields, BASE);
            for at in instants(BASE, verdict.revisit_at.map(|due| due.min(BASE.plus_days(20)))) {
                prop_assert_eq!(condition.eval(&fields, at).value, verdict.value, "{} changed at {}", text, at);
            }
        }
    }
}

/// Every part's text is a piece of the whole, with its brackets paired.
fn parts_stand_in(whole: &str, explained: &Explained) -> bool {
    let paired = explained.text.matches('(').count() == explained.text.matches(')').count();
    whole.contains(&explained.text)
        && paired
        && explained.parts.iter().all(|part| parts_stand_in(whole, part))
}
