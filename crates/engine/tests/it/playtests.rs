//! `[[tests]]` of playbooks: what they understand, what they say when something is not as expected, and the mistakes
//! people make in them. The starter's own tests are run by tests/starter.

use std::collections::BTreeMap;

use zyklus_engine::playtest::{Verdict, run};
use zyklus_engine::settings::Settings;
use zyklus_engine::{Book, Playbook};

use crate::world::{LIFECYCLE, lifecycle};

/// Two mails after an order, unless there is another one.
const JOURNEYS: &str = r#"
[journeys.thanks]
label = { en = "Thanks" }
start = { event = "order.placed", where = "event.total >= 20.0" }
when = "orders.count < 3"
goal = { when = "event.name == 'order.placed'", within = "30d" }
exit = "orders.refund_share > 0.5"
steps = [
  { send = "thanks", expires = "3d" },
  { wait = "5d", at = "10:00" },
  { if = "feedback.nps >= 9", id = "happy", then = [{ send = "share" }], else = [{ call = "desk.ticket" }] },
]
[journeys.loyal]
label = { en = "Loyal" }
start = { phase = "loyal" }
mode = "off"
holdout = 50
steps = [{ tag = "vip" }, { send = "vip" }]
"#;

fn book(tests: &str) -> Result<Book, String> {
    let text = format!("{JOURNEYS}{tests}");
    let told = |problems: Vec<zyklus_engine::Problem>| {
        problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
    };
    let (playbook, warnings) = Playbook::parse("play.toml", &text, &BTreeMap::new()).map_err(told)?;
    assert!(warnings.is_empty(), "{warnings:?}");
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone");
    let settings = Settings { zone, ..Settings::default() };
    Book::assemble(lifecycle(LIFECYCLE), vec![playbook], settings, 2).map_err(told)
}

/// What came of one test, written without its `[[tests]]` and `name`.
fn verdict(test: &str) -> Verdict {
    let book = book(&format!("[[tests]]\nname = \"it\"\n{test}")).unwrap_or_else(|error| panic!("{error}"));
    run(&book, &book.tests[0])
}

fn passes(test: &str) {
    let verdict = verdict(test);
    assert!(verdict.passed, "{test}\n{verdict}");
}

#[test]
fn an_offset_means_its_day_its_hour_or_its_minute() {
    let test = |at: &str| {
        format!(
            r#"journey = "thanks"
given = [{{ at = "0h", event = "order.placed" }}]
expect = [{{ at = "0h", send = "thanks" }}, {{ at = "{at}", call = "desk.ticket" }}]"#
        )
    };
    for at in ["5d", "5d 10:00", "120h"] {
        passes(&test(at));
    }
    for at in ["4d", "6d", "5d 10:01", "5d 09:59", "119h", "121h", "7260m"] {
        assert!(!verdict(&test(at)).passed, "{at}");
    }
    passes(
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0h", send = "thanks" }, { at = "3d", until = "6d", call = "desk.ticket" }]"#,
    );
}

#[test]
fn days_are_counted_where_the_customer_lives_over_the_change_to_summer_time() {
    passes(
        r#"journey = "thanks"
start = "2026-03-26 23:30"
zone = "America/New_York"
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0d", send = "thanks" }, { at = "5d 10:00", call = "desk.ticket" }]"#,
    );
}

#[test]
fn what_was_given_before_the_start_is_history_and_starts_nothing() {
    passes(
        r#"journey = "thanks"
given = [{ at = "-3d", event = "order.placed" }]
expect = [{ nothing = true }]"#,
    );
}

#[test]
fn a_test_runs_its_journey_live_and_without_a_holdout() {
    for number in 0..8 {
        passes(&format!(
            r#"journey = "loyal"
customer = {{ number = {number} }}
given = [
  {{ at = "-9d", event = "order.placed" }}, {{ at = "-6d", event = "order.placed" }},
  {{ at = "0h", event = "order.placed" }},
]
expect = [{{ at = "0h", phase = "loyal" }}, {{ at = "0h", tag = "vip" }}, {{ at = "0h", send = "vip" }}]"#
        ));
    }
}

#[test]
fn a_test_without_a_journey_is_about_all_of_them() {
    let given = r#"given = [
  { at = "-9d", event = "order.placed" },
  { at = "0h", event = "order.placed" },
  { at = "1h", event = "order.placed" },
]
"#;
    // One mail a day: the other journey's waits for midnight.
    passes(&format!(
        r#"{given}expect = [
  {{ at = "0h", send = "thanks" }}, {{ at = "1h", goal = "thanks" }}, {{ at = "1d 00:00", send = "vip" }},
]"#
    ));
    let half = format!(r#"{given}expect = [{{ at = "0h", send = "thanks" }}]"#);
    assert!(!verdict(&half).passed, "the other journey's mail was not expected");
}

#[test]
fn what_is_said_when_something_is_not_as_expected() {
    let cases = [
        (
            "a message that nobody expected",
            r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0h", send = "thanks" }]"#,
        ),
        (
            "a message at another time",
            r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed" }, { at = "1d", feedback = "nps", score = 10 }]
expect = [{ at = "0h", send = "thanks" }, { at = "6d", send = "share" }]"#,
        ),
        (
            "the other way at a condition",
            r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0h", send = "thanks" }, { at = "5d", send = "share" }]"#,
        ),
        (
            "no consent",
            r#"journey = "thanks"
customer = { consent = false }
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0h", send = "thanks" }, { at = "5d", call = "desk.ticket" }]"#,
        ),
        (
            "an event that does not fit",
            r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed", total = "12 EUR" }]
expect = [{ at = "0h", send = "thanks" }]"#,
        ),
        (
            "a customer who does not qualify",
            r#"journey = "thanks"
given = [
  { at = "-9d", event = "order.placed" }, { at = "-6d", event = "order.placed" },
  { at = "0h", event = "order.placed" },
]
expect = [{ at = "0h", send = "thanks" }]"#,
        ),
        (
            "an exit",
            r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed" }, { at = "2d", event = "order.refunded" }]
expect = [{ at = "0h", send = "thanks" }, { at = "5d", call = "desk.ticket" }]"#,
        ),
        (
            "a phase that was not reached",
            r#"journey = "loyal"
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0h", phase = "loyal" }, { at = "0h", send = "vip" }]"#,
        ),
        (
            "something that happened before the start",
            r#"journey = "thanks"
given = [{ at = "-1d", event = "order.placed" }]
expect = [{ at = "0h", send = "thanks" }]"#,
        ),
        (
            "the end of the test",
            r#"journey = "thanks"
until = "2d"
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0h", send = "thanks" }, { at = "5d", send = "share" }]"#,
        ),
        (
            "nothing",
            r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed" }]
expect = [{ at = "0h", send = "thanks" }, { at = "5d", nothing = true }]"#,
        ),
    ];
    let told = cases.map(|(what, test)| {
        let verdict = verdict(test);
        assert!(!verdict.passed, "{what}");
        format!("# {what}\n{verdict}")
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_goal_that_was_reached_is_explained_by_the_event_that_reached_it() {
    let text = r#"
[journeys.note]
label = { en = "Note" }
start = { event = "cart.updated" }
goal = { when = "event.name == 'order.placed' && event.total >= 20.0", within = "30d" }
steps = [{ wait = "5d" }, { send = "note" }]
[[tests]]
name = "it"
journey = "note"
given = [
  { at = "0h", cart = "c1" },
  { at = "1d", event = "order.placed", total = 10 },
  { at = "2d", event = "order.placed", total = 30 },
]
expect = [{ at = "5d", send = "note" }]
"#;
    let (playbook, _) = Playbook::parse("play.toml", text, &BTreeMap::new()).unwrap();
    let book = Book::assemble(lifecycle(LIFECYCLE), vec![playbook], Settings::default(), 2).unwrap();
    let told = run(&book, &book.tests[0]).to_string();
    assert!(told.contains("its goal was reached"), "{told}");
    assert!(told.contains("event.name == 'order.placed' → true (\"order.placed\")"), "{told}");
    assert!(told.contains("event.total >= 20.0 → true (30"), "{told}");
}

#[test]
fn mistakes_in_tests_are_named_with_their_place() {
    let mistakes = [
        r#"journey = "thnaks"
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
beside = ["loyall"]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks""#,
        r#"journey = "thanks"
expect = []"#,
        r#"journey = "thanks"
expekt = [{ nothing = true }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ event = "order.placed" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "soon", event = "order.placed" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "2h 10:00", event = "order.placed" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.payed" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed", totl = "20 EUR" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed", total = "20,50 EUR" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", evnt = "order.placed" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", consent = "given" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", cart = "c1", tag = "x" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "3d", answer = "nps", score = 3 }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "3d", sent = "thanks" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
expect = [{ at = "0h", send = "thansk" }]"#,
        r#"journey = "thanks"
expect = [{ send = "thanks" }]"#,
        r#"journey = "thanks"
expect = [{ at = "0h", sned = "thanks" }]"#,
        r#"journey = "thanks"
expect = [{ at = "0h" }]"#,
        r#"journey = "thanks"
expect = [{ at = "0h", send = "thanks", tag = "x" }]"#,
        r#"journey = "thanks"
expect = [{ at = "0h", send = "thanks" }, { nothing = true }]"#,
        r#"journey = "thanks"
expect = [{ at = "0h", phase = "loyl" }]"#,
        r#"journey = "loyal"
expect = [{ at = "0h", goal = true }]"#,
        r#"expect = [{ at = "0h", exit = true }]"#,
        r#"journey = "thanks"
start = "yesterday"
zone = "Berlin"
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
customer = { emale = "a@example.org" }
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
customer = { country = "Germany", locale = "german" }
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed", order = "o21" }, { at = "1d", event = "order.refunded", order = "o22" }]
expect = [{ at = "0h", send = "thanks" }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.placed", order = "first" }, { at = "1d", event = "order.paid", order = "o22" }]
expect = [{ at = "0h", send = "thanks" }]"#,
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.delivered", order = "o22" }]
expect = [{ nothing = true }]"#,
        r#"journey = "thanks"
given = [{ at = "1d", event = "order.paid", order = "o22" }, { at = "2d", event = "order.placed", order = "o22" }]
expect = [{ at = "2d", send = "thanks" }]"#,
    ];
    let told = mistakes.map(|test| {
        let tests = format!("[[tests]]\nname = \"it\"\n{test}\n");
        let Err(error) = book(&tests) else { panic!("nothing is wrong with\n{test}") };
        format!("{test}\n{error}")
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_happens_to_an_order_happens_to_one_that_was_given() {
    // By its id, whatever the order of the lines; without one, to the last, or to one that nobody speaks of.
    passes(
        r#"journey = "thanks"
given = [
  { at = "2d 18:00", event = "order.refunded", order = "o1" },
  { at = "0h", event = "order.placed", order = "o1" },
]
expect = [{ at = "0h", send = "thanks" }, { at = "2d 18:00", exit = true }]"#,
    );
    passes(
        r#"journey = "thanks"
given = [
  { at = "0h", event = "order.placed", order = "o1" },
  { at = "0h", event = "order.paid", order = "o1" },
  { at = "2d", event = "order.refunded" },
]
expect = [{ at = "0h", send = "thanks" }, { at = "2d", exit = true }]"#,
    );
    passes(
        r#"journey = "thanks"
given = [{ at = "0h", event = "order.delivered" }]
expect = [{ at = "0h", send = "thanks" }, { at = "5d", call = "desk.ticket" }]"#,
    );
}

#[test]
fn a_country_and_a_language_are_read_as_the_store_keeps_them() {
    let test = "[[tests]]\nname = \"it\"\ncustomer = { country = \"at\", locale = \"de_AT\" }\nexpect = [{ nothing = true }]\n";
    let book = book(test).unwrap();
    let who = &book.tests[0].who;
    assert_eq!((who.country.as_deref(), who.locale.as_deref()), (Some("AT"), Some("de-AT")));
}

#[test]
fn two_tests_of_one_name_are_a_mistake() {
    let one = "[[tests]]\nname = \"it\"\nexpect = [{ nothing = true }]\n";
    let error = book(&format!("{one}{one}")).expect_err("a mistake");
    assert!(error.contains("there are two tests \"it\""), "{error}");
}

#[test]
fn tests_are_no_part_of_a_journeys_definition() {
    let with = book("[[tests]]\nname = \"it\"\nexpect = [{ nothing = true }]\n").expect("right");
    let without = book("").expect("right");
    assert_eq!(with.journeys, without.journeys);
}

/// A journey for orders of 100 and more, and one for carts of as much; what a test of it gives, without its `[[tests]]`.
fn in_currencies(given: &str, expect: &str) -> Verdict {
    let text = format!(
        r#"
[journeys.big]
label = {{ en = "Big" }}
start = {{ event = "order.placed", where = "event.total >= 100.0" }}
steps = [{{ send = "thanks" }}, {{ wait = "3d" }}, {{ if = "orders.refund_share > 0.4", then = [{{ tag = "half" }}] }}]
[journeys.full]
label = {{ en = "Full" }}
start = {{ event = "cart.updated", where = "event.total >= 100.0" }}
steps = [{{ send = "full" }}]
[[tests]]
name = "it"
given = [{given}]
expect = [{expect}]
"#
    );
    let (playbook, _) = Playbook::parse("play.toml", &text, &BTreeMap::new()).expect("a playbook");
    let mut settings = Settings::default();
    settings.rates.rates.insert("USD".parse().expect("a currency"), 0.5);
    let book = Book::assemble(lifecycle(LIFECYCLE), vec![playbook], settings, 2).expect("a book");
    run(&book, &book.tests[0])
}

#[test]
fn amounts_are_converted_as_the_store_converts_them() {
    for fact in ["event = \"order.placed\"", "cart = \"c1\""] {
        let (sent, given) = (if fact.starts_with("cart") { "full" } else { "thanks" }, |total: &str| {
            format!("{{ at = \"0h\", {fact}, total = {total} }}")
        });
        let goes = format!("{{ at = \"0h\", send = \"{sent}\" }}");
        for total in ["100", "\"100\"", "\"100 EUR\"", "\"200 USD\""] {
            let verdict = in_currencies(&given(total), &goes);
            assert!(verdict.passed, "{total}\n{verdict}");
        }
        // 120 dollars are 60 euros, and what has no rate is worth nothing that could be compared.
        for total in ["\"120 USD\"", "\"1000 JPY\"", "99.99"] {
            let verdict = in_currencies(&given(total), "{ nothing = true }");
            assert!(verdict.passed, "{total}\n{verdict}");
        }
    }
}

#[test]
fn a_refund_is_in_the_orders_currency_or_converted_to_it() {
    for (amount, is_half) in [
        ("100", true),
        ("\"100 USD\"", true),
        ("\"50 EUR\"", true),
        ("\"30 EUR\"", false),
        ("\"900 JPY\"", false),
    ] {
        let given = format!(
            "{{ at = \"0h\", event = \"order.placed\", total = \"200 USD\" }}, {{ at = \"1d\", event = \"order.refunded\", amount = {amount} }}"
        );
        let tagged = if is_half { ", { at = \"3d\", tag = \"half\" }" } else { "" };
        let verdict = in_currencies(&given, &format!("{{ at = \"0h\", send = \"thanks\" }}{tagged}"));
        assert!(verdict.passed, "{amount}\n{verdict}");
        if !is_half {
            let wrong = "{ at = \"0h\", send = \"thanks\" }, { at = \"3d\", tag = \"half\" }";
            assert!(!in_currencies(&given, wrong).passed, "{amount}");
        }
    }
}
