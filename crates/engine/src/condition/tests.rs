//! What conditions accept, refuse, find and explain. Part of the tests only.

use std::collections::HashMap;
use std::sync::Arc;

use zyklus_model::{At, DAY_MICROS};

use super::*;

/// A customer with the named values; everything else is missing.
#[derive(Default)]
struct Given(HashMap<&'static str, Timed>);

impl Given {
    fn with(mut self, name: &'static str, value: impl Into<Timed>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    fn find(&self, name: &str) -> Timed {
        self.0.get(name).cloned().unwrap_or(Timed::constant(Value::Absent))
    }
}

impl Fields for Given {
    fn field(&self, id: FieldId, _: At) -> Timed {
        self.find(id.path())
    }

    fn entry(&self, map: FieldId, path: &[Arc<str>], _: At) -> Timed {
        self.find(&format!("{}.{}", map.path(), path.join(".")))
    }

    fn call(&self, function: FunctionId, arguments: &[Value], _: At) -> Timed {
        self.find(&format!(
            "{}({})",
            function.spec().key,
            arguments.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
        ))
    }
}

fn now() -> At {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn holds(text: &str, given: &Given) -> bool {
    Condition::parse(text, Scope::If)
        .unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.help))
        .eval(given, now())
        .value
}

fn refused(text: &str, scope: Scope) -> String {
    let error = Condition::parse(text, scope).expect_err(text);
    let help = error.help.map(|help| format!(" | {help}")).unwrap_or_default();
    format!("{} @ {}{help}", error.message, &text[error.span])
}

#[test]
fn every_example_that_needs_no_later_programme_is_accepted() {
    use Scope::{Exit, Goal, If, JourneyWhen, Key, Segment, StartWhere, Until};
    let examples = [
        (StartWhere, "event.channel == 'email' && event.purpose == 'marketing'"),
        (JourneyWhen, "orders.count == 0"),
        (Goal, "orders.count > 0"),
        (JourneyWhen, "cart.is_open && cart.value >= 20.0"),
        (Goal, "event.name == 'order.placed' && event.cart_id == key"),
        (Exit, "!cart.is_open"),
        (If, "cart.value >= 80.0 && orders.count == 0"),
        (If, "consent.sms.marketing && cart.value >= 150.0"),
        (StartWhere, "event.order_number == 1"),
        (Exit, "order(key).refund_share > 0.5"),
        (Goal, "event.name == 'order.placed' && key in event.product_ids"),
        (Goal, "event.name == 'order.placed'"),
        (JourneyWhen, "!product(key).sold_out"),
        (JourneyWhen, "replenish.confidence >= 0.5 && !product(key).sold_out"),
        (StartWhere, "event.up"),
        (If, "event.tier == 'gold'"),
        (Exit, "phase.id != 'lapsed'"),
        (
            Segment,
            "engagement.sent_365d >= 6 && engagement.days_since_click > 365 && orders.days_since_last > 365",
        ),
        (Until, "engagement.days_since_click < 14"),
        (If, "engagement.days_since_click >= 14"),
        (JourneyWhen, "orders.count >= 2 && feedback.days_since_asked > 180"),
        (JourneyWhen, "recommend.count >= 3"),
    ];
    for (scope, text) in examples {
        let condition =
            Condition::parse(text, scope).unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.help));
        assert_eq!(condition.text(), text);
        assert!(!condition.reads().is_empty(), "{text}");
    }
    for text in ["event.cart_id", "event.order_id", "event.tier", "event.referral_id", "replenish.product_id"]
    {
        Expression::parse(text, Key).unwrap();
    }
}

#[test]
fn names_of_later_programmes_say_so() {
    for text in [
        "coupon('welcome-5').state == 'open'",
        "answer('ask').score <= 2",
        "loyalty.tier == 'silver' && loyalty.to_next <= 50.0",
        "feedback.nps >= 9 && referral.open == 0",
        "referral.clicks > 0",
    ] {
        assert!(
            refused(text, Scope::If).contains("comes with a later version"),
            "{text}: {}",
            refused(text, Scope::If)
        );
    }
}

#[test]
fn misspelt_names_are_answered_with_the_nearest() {
    for (wrong, right) in [
        ("orders.cuont > 1", "`orders.count`"),
        ("order.count > 1", "`orders.count`"),
        ("orders.days_since_lst > 90", "`orders.days_since_last`"),
        ("customer.fist_name == 'A'", "`customer.first_name`"),
        ("consent.email.marketting", "`consent.email.marketing`"),
        ("cart.isopen", "`cart.is_open`"),
        ("engagement.day_since_click > 3", "`engagement.days_since_click`"),
        ("phases.id == 'x'", "`phase.id`"),
        ("events.cuont('a', 3) > 1", "`events.count(\"name\", 30)`"),
        ("sennt('a')", "`sent('step')`"),
        ("customer.locale.startWith('de')", "`startsWith`"),
    ] {
        let message = refused(wrong, Scope::If);
        assert!(message.contains(&format!("did you mean {right}?")), "{wrong}: {message}");
    }
}

#[test]
fn every_one_letter_slip_in_a_field_is_answered_with_that_field() {
    for field in FIELDS.iter().filter(|field| field.path.len() > 8 && field.kind != Type::Map) {
        let wrong = format!("{}x", field.path);
        assert_eq!(names::similar(&wrong, Scope::If), Some(field.path), "{wrong}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    insta::assert_snapshot!(
        [
            ("orders.count == \"3\"", Scope::If),
            ("'3' < orders.count", Scope::If),
            ("orders.count", Scope::If),
            ("orders.count && cart.is_open", Scope::If),
            ("cart.is_open == 'yes'", Scope::If),
            ("cart.is_open > cart.is_open", Scope::If),
            ("customer.tags == 'vip'", Scope::If),
            ("customer.tags", Scope::If),
            ("'de' in customer.locale", Scope::If),
            ("customer.tags.contains('vip')", Scope::If),
            ("3 in customer.tags", Scope::If),
            ("orders.last_at > '2026-01-01'", Scope::If),
            ("orders.last_at > timestamp('yesterday')", Scope::If),
            ("orders.last_at - orders.first_at > 5", Scope::If),
            ("orders.last_at - orders.first_at > duration('5 days')", Scope::If),
            ("now - orders.last_at > duration('24h')", Scope::If),
            ("orders > 3", Scope::If),
            ("orders.count.size > 3", Scope::If),
            ("events.count > 3", Scope::If),
            ("events.count('a') > 3", Scope::If),
            ("events.count('a', '30') > 3", Scope::If),
            ("events.count('a', 0) > 3", Scope::If),
            ("journey('a') == 'x'", Scope::If),
            ("journey('a').stat == 'x'", Scope::If),
            ("event.total > 3", Scope::Phase),
            ("run.step == 'a'", Scope::JourneyWhen),
            ("key == 'a'", Scope::StartWhere),
            ("sent('a')", Scope::Segment),
            ("orders.count = 3", Scope::If),
            ("orders.count > 3 and cart.is_open", Scope::If),
            ("orders.count >", Scope::If),
            ("(orders.count > 3", Scope::If),
            ("customer.locale == 'de", Scope::If),
            ("customer.locale == „de“", Scope::If),
            ("", Scope::If),
            ("customer.locale.matches('(')", Scope::If),
            ("orders.categories.map(c, c)", Scope::If),
            ("{'a': 1}", Scope::If),
            ("customer.locale == de", Scope::If),
            ("customer.locale + 1 == 'x'", Scope::If),
            ("orders.products[0] == 3", Scope::If),
        ]
        .map(|(text, scope)| format!("{text}\n    {}", refused(text, scope)))
        .join("\n")
    );
}

#[test]
fn missing_values_make_comparisons_false() {
    let nobody = Given::default();
    for text in [
        "customer.email == 'a'",
        "cart.value > 1.0",
        "cart.value <= 1.0",
        "cart.value + 1.0 > 0.0",
        "cart.is_open",
        "cart.is_open == true",
        "event.x == 3",
        "event.x in ['a']",
        "'a' in customer.tags",
        "has(event.x)",
        "'x' in customer.attributes",
        "orders.categories.exists(c, true)",
        "orders.categories.all(c, true)",
        "customer.email.startsWith('')",
        "event.up",
        "orders.count / 0 == 1",
    ] {
        assert!(!holds(text, &nobody), "{text}");
    }
    for text in [
        "customer.email != 'a'",
        "!cart.is_open",
        "cart.is_open == false",
        "customer.email == null",
        "event.x == event.y",
        "!has(event.x)",
        "cart.value == null || cart.value < 20.0",
        "orders.count / 0 == null",
    ] {
        assert!(holds(text, &nobody), "{text}");
    }
}

#[test]
fn never_is_greater_than_every_number() {
    let silent = Given::default().with("engagement.days_since_click", Timed::days_since(None, now()));
    assert!(holds("engagement.days_since_click > 365", &silent));
    assert!(holds("engagement.days_since_click > 9223372036854775807", &silent));
    assert!(holds("engagement.days_since_click >= 1e308 * 10.0", &silent));
    assert!(holds("engagement.days_since_click - 5 > 365", &silent));
    assert!(!holds("engagement.days_since_click < 14", &silent));
    assert!(!holds("engagement.days_since_click == 14", &silent));
    let explained =
        Condition::parse("engagement.days_since_click < 14", Scope::If).unwrap().explain(&silent, now());
    assert_eq!(explained.to_string(), "engagement.days_since_click < 14 → false (never)");
}

#[test]
fn numbers_of_both_kinds_mix_exactly() {
    let rich = Given::default()
        .with("orders.count", Value::Int(9_007_199_254_740_993))
        .with("cart.value", Value::Double(20.0));
    assert!(holds("orders.count > 9007199254740992.0", &rich));
    assert!(holds("orders.count != 9007199254740992.0", &rich));
    assert!(holds("cart.value == 20", &rich));
    assert!(holds("cart.value >= 20 && cart.value < 20.01", &rich));
    assert!(holds("7 / 2 == 3 && 7 / 2.0 == 3.5 && -7 % 3 == -1", &rich));
    assert!(holds("9223372036854775807 + 1 == 9223372036854775807", &rich));
    assert!(holds("-9223372036854775808 / -1 == 9223372036854775807", &rich));
}

#[test]
fn a_numeric_key_from_an_event_equals_its_text() {
    let run = Given::default()
        .with("key", Value::text("42"))
        .with("event.cart_id", Value::Int(42))
        .with("event.product_ids", Value::from_json(&serde_json::json!([7, 42])));
    assert!(holds("event.cart_id == key && key in event.product_ids", &run));
    assert!(!holds("event.cart_id == '42'", &run));
}

#[test]
fn maps_lists_and_texts_are_read() {
    let customer = Given::default()
        .with("customer.attributes.size", Value::text("M"))
        .with("customer.attributes.address.city", Value::text("Köln"))
        .with(
            "event.lines",
            Value::from_json(&serde_json::json!([{"sku": "a", "n": 2}, {"sku": "b", "n": 1}])),
        )
        .with("orders.categories", Value::texts(["books", "music"]))
        .with("events.count(\"order.placed\", 30)", Value::Int(3));
    for text in [
        "customer.attributes.size == 'M'",
        "customer.attributes['size'] in ['S', 'M']",
        "customer.attributes.address.city.startsWith('Kö')",
        "'size' in customer.attributes && has(customer.attributes.size)",
        "event.lines.exists(l, l.sku == 'b' && l.n < 2)",
        "event.lines[0].sku == 'a' && size(event.lines) == 2",
        "orders.categories.all(c, c.size() == 5)",
        "orders.categories.exists(c, event.lines.exists(l, l.sku == 'a' && c == 'books'))",
        "orders.categories[1] == 'music'",
        "events.count(\"order.placed\", 30) == 3",
        "customer.attributes.address.city.matches('^K.ln$')",
        "string(events.count('order.placed', 30)) + 'x' == '3x'",
        "(orders.count > 3 ? 'a' : 'b') == 'b'",
        "duration('1h30m') < duration('2d') && timestamp('2026-01-01T01:00:00+01:00') == timestamp('2026-01-01T00:00:00Z')",
    ] {
        assert!(holds(text, &customer), "{text}");
    }
}

#[test]
fn counts_are_due_exactly_when_they_cross() {
    let last = now().plus_days(-78);
    let customer = Given::default().with("orders.days_since_last", Timed::days_since(Some(last), now()));
    let due = |text: &str| Condition::parse(text, Scope::If).unwrap().eval(&customer, now());
    let day = |days: i64| Some(last.plus_micros(days * DAY_MICROS));
    for (text, value, revisit_at) in [
        ("orders.days_since_last > 90", false, day(91)),
        ("orders.days_since_last >= 90", false, day(90)),
        ("orders.days_since_last > 90.5", false, day(91)),
        ("orders.days_since_last < 90", true, day(90)),
        ("orders.days_since_last > 30", true, None),
        ("orders.days_since_last == 78", true, day(79)),
        ("orders.days_since_last == 80", false, day(80)),
        ("orders.days_since_last == 70", false, None),
        ("orders.days_since_last != 80", true, day(80)),
        ("90 - orders.days_since_last <= 0", false, day(90)),
        ("2 * orders.days_since_last + 1 > 170", false, day(85)),
        ("!(orders.days_since_last > 90)", true, day(91)),
        ("orders.days_since_last in [70, 85, 82]", false, day(82)),
        ("orders.days_since_last > 90 && orders.days_since_last > 85", false, day(91)),
        ("orders.days_since_last > 90 && cart.is_open", false, None),
        ("orders.days_since_last < 90 || orders.days_since_last < 85", true, day(90)),
        ("orders.days_since_last < 90 && orders.days_since_last < 85", true, day(85)),
        ("orders.days_since_last > 90 || orders.days_since_last > 85", false, day(86)),
    ] {
        assert_eq!(due(text), Verdict { value, revisit_at }, "{text}");
    }
}

#[test]
fn explanation_shows_values_distances_and_instants() {
    let customer = Given::default()
        .with("orders.days_since_last", Timed::days_since(Some(now().plus_days(-78)), now()))
        .with("orders.count", Value::Int(2))
        .with("cart.value", Value::Double(17.5))
        .with("phase.id", Value::text("develop"))
        .with("engagement.sent_30d", Timed::until(Value::Int(4), Some(now().plus_days(2))));
    let show = |text: &str| Condition::parse(text, Scope::If).unwrap().explain(&customer, now()).to_string();
    insta::assert_snapshot!(
        [
            "orders.days_since_last > 90",
            "orders.count >= 5",
            "cart.is_open",
            "(orders.count >= 2 || cart.is_open) && !(cart.value >= 20.0) && phase.id in ['lapsed', 'develop']",
            "orders.days_since_last > orders.mean_gap_days * 2.0",
            "engagement.sent_30d < 4",
            "engagement.sent_30d < 2",
            "14 > orders.days_since_last",
            "orders.count * 10 > orders.days_since_last",
            "customer.first_name == null",
        ]
        .map(show)
        .join("\n\n")
    );
    let json = serde_json::to_value(
        Condition::parse("orders.days_since_last > 90", Scope::If).unwrap().explain(&customer, now()),
    )
    .unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "kind": "comparison", "text": "orders.days_since_last > 90", "value": false,
            "revisit_at": "2026-12-04T10:00:00Z", "turns": true, "short_by": {"by": 12, "side": "short", "unit": "days"},
            "parts": [
                {"kind": "value", "text": "orders.days_since_last", "value": 78, "revisit_at": "2026-11-22T10:00:00Z"},
                {"kind": "literal", "text": "90", "value": 90},
            ],
        })
    );
}

#[test]
fn references_name_phases_journeys_steps_events_and_tags() {
    let text = "phase.id != 'lapsed' && journey('welcome').days > 3 && sent('mail-2') && events.count('order.placed', 9) > 1 \
                && 'vip' in customer.tags && event.name == 'x' && phase.previous in ['a', 'b']";
    let condition = Condition::parse(text, Scope::If).unwrap();
    let found: Vec<(Named, &str)> =
        condition.references().iter().map(|reference| (reference.named, &*reference.id)).collect();
    assert_eq!(
        found,
        [
            (Named::Phase, "lapsed"),
            (Named::Journey, "welcome"),
            (Named::Step, "mail-2"),
            (Named::Event, "order.placed"),
            (Named::Tag, "vip"),
            (Named::Event, "x"),
            (Named::Phase, "a"),
            (Named::Phase, "b"),
        ]
    );
    assert!(condition.reads().contains(Group::Phase) && !condition.reads().contains(Group::Cart));
    assert_eq!(&text[condition.references()[0].span.clone()], "'lapsed'");
}

#[test]
fn deep_and_long_texts_are_refused_not_crashed_on() {
    let deep = format!("{}cart.is_open{}", "(".repeat(3000), ")".repeat(3000));
    assert!(refused(&deep, Scope::If).contains("nested too deeply"));
    let chain = format!("orders.count{} > 3", " + 1".repeat(500));
    assert!(refused(&chain, Scope::If).contains("nested too deeply"));
    let long = vec!["cart.is_open"; 400].join(" && ");
    assert!(Condition::parse(&long, Scope::If).is_ok());
    assert!(refused(&"x".repeat(9000), Scope::If).contains("longer than"));
    let fits = format!("orders.count{} > 3", " + 1".repeat(100));
    assert!(Condition::parse(&fits, Scope::If).is_ok());
}

#[test]
fn the_reference_in_config_is_the_schema_s() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/conditions.md");
    let written = reference_markdown();
    if std::env::var_os("ZYKLUS_WRITE_REFERENCE").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == written,
        "config/conditions.md differs from the schema: run this test once with ZYKLUS_WRITE_REFERENCE=1"
    );
}

#[test]
fn the_tables_stand_in_the_order_of_their_ids() {
    for (place, field) in FIELDS.iter().enumerate() {
        assert_eq!(field.id as usize, place);
        assert_eq!(FieldId::find(field.path), Some(field.id));
    }
    for (place, function) in FUNCTIONS.iter().enumerate() {
        assert_eq!(function.id as usize, place);
    }
    assert_eq!(FieldId::ConsentSmsMarketing.consent(), Some(("sms", "marketing")));
    assert_eq!(FieldId::OrdersCount.consent(), None);
}

#[test]
fn quantifiers_stand_at_most_two_deep() {
    let inner = "event.a.exists(x, event.b.all(y, x == y))";
    Condition::parse(inner, Scope::StartWhere).unwrap();
    let error = Condition::parse(&format!("event.c.exists(z, {inner})"), Scope::StartWhere).unwrap_err();
    assert!(error.to_string().contains("at most two deep"), "{error}");
}

#[test]
fn reasons_for_people_write_instants_as_asked_and_are_cut_where_they_get_long() {
    let customer = Given::default()
        .with("orders.last_at", Value::Instant(now()))
        .with("orders.days_since_last", Timed::days_since(Some(now()), now()));
    let explain = |text: &str| Condition::parse(text, Scope::If).unwrap().explain(&customer, now());
    let when = |_: At| "at noon".to_owned();
    assert_eq!(
        explain("orders.last_at < timestamp('2026-01-01T00:00:00Z')").shown(&when, 9),
        "orders.last_at < timestamp('2026-01-01T00:00:00Z') → false (at noon, 7786h over)"
    );
    assert_eq!(
        explain("orders.days_since_last > 90").shown(&when, 9),
        "orders.days_since_last > 90 → false (0, 90 days short; true from at noon)"
    );
    let deep = explain(&(0..20).map(|n| format!("orders.count == {n}")).collect::<Vec<_>>().join(" || "));
    let shown = deep.shown(&when, 5);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].contains("… → false") && lines[0].chars().count() < 140, "{}", lines[0]);
    assert_eq!(lines[4], "  … and 17 more lines");
    // All of it is there for whoever wants it.
    assert_eq!(deep.to_string().lines().count(), 21);
}

#[test]
fn a_condition_says_which_event_alone_can_meet_it() {
    for (text, name) in [
        ("event.name == 'order.placed'", Some("order.placed")),
        ("'order.placed' == event.name", Some("order.placed")),
        ("event.total > 10.0 && event.name == 'order.placed' && key == event.order_id", Some("order.placed")),
        ("event.name == 'a' || event.name == 'b'", None),
        ("event.name != 'a'", None),
        ("!(event.name == 'a')", None),
        ("event.name in ['a']", None),
        ("event.kind == 'a'", None),
        ("event.name == key", None),
        ("orders.count > 0", None),
    ] {
        let condition = Condition::parse(text, Scope::Goal).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(condition.event_name(), name, "{text}");
        let Some(name) = name else { continue };
        let of = |name: &str| {
            let given = Given::default()
                .with("event.name", Value::text(name))
                .with("event.total", Value::Double(20.0))
                .with("key", Value::text("7"))
                .with("event.order_id", Value::text("7"));
            condition.eval(&given, now())
        };
        assert!(of(name).value, "{text}");
        assert_eq!(of("other"), Verdict { value: false, revisit_at: None }, "{text}");
    }
}
