//! The `[[tests]]` that come with the starter playbooks: they pass, quickly, under every setting an operator may
//! reasonably choose, and every journey has one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::civil::time;
use jiff::tz::TimeZone;
use zyklus_engine::playtest::run;
use zyklus_engine::settings::QuietHours;
use zyklus_engine::{Book, Playbook, Settings};
use zyklus_model::Channel;

use crate::loads::examples;
use crate::{book, lifecycle, playbooks};

fn failures(book: &Book) -> String {
    let verdicts = book.tests.iter().map(|test| run(book, test)).filter(|verdict| !verdict.passed);
    verdicts.map(|verdict| format!("{}: {}\n{verdict}", verdict.place, verdict.name)).collect()
}

#[test]
fn the_starter_tests_pass_in_under_a_second() {
    let book = book("ecommerce", playbooks());
    let began = Instant::now();
    let failed = failures(&book);
    let took = began.elapsed();
    assert_eq!(failed, "");
    assert!(took < Duration::from_secs(1), "{took:?} for {} tests", book.tests.len());
}

#[test]
fn every_starter_journey_has_a_test() {
    let book = book("ecommerce", playbooks());
    let tested = |id: &str| book.tests.iter().any(|test| test.journey.as_deref() == Some(id));
    let untested: Vec<&str> = book.journeys.iter().map(|j| &*j.id).filter(|id| !tested(id)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn the_starter_tests_pass_with_quiet_nights_and_in_other_zones() {
    let quiet = QuietHours {
        channel: Channel::Email,
        from: time(21, 0, 0, 0),
        until: time(8, 0, 0, 0),
        weekdays: Vec::new(),
        holidays: Default::default(),
    };
    for zone in ["UTC", "America/Los_Angeles", "Pacific/Auckland"] {
        let zone = TimeZone::get(zone).unwrap();
        let settings = Settings { zone, quiet: vec![quiet.clone()], ..Settings::default() };
        let book = Book::assemble(lifecycle("ecommerce"), playbooks(), settings, 2).unwrap();
        assert_eq!(failures(&book), "");
    }
}

#[test]
fn the_tests_of_the_guide_pass() {
    for (name, count) in [("playbooks/tested.toml", 2), ("playbooks/23-seldom.toml", 1)] {
        let text = &examples()[name];
        let (playbook, warnings) = Playbook::parse(name, text, &BTreeMap::new()).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let book = book("ecommerce", vec![playbook]);
        assert_eq!(book.tests.len(), count);
        assert_eq!(failures(&book), "");
    }
}

/// What two files say together: in a file of its own, so that each of them can be left out of a folder.
const ACROSS: &str = r#"[[tests]]
name    = "an order after a farewell is one like any other"
journey = "review-again"
beside  = ["sunset-over"]
given   = [
  { at = "-60d", event = "order.placed" },
  { at = "-1d", tag = "sunset" },
  { at = "0h", event = "order.placed" },
]
expect  = [
  { at = "0h", untag = "sunset" },
  { at = "21d 17:00", send = "review-request" },
]

[[tests]]
name    = "whoever comes back after a farewell is welcomed"
journey = "won-back"
beside  = ["sunset-over"]
given   = [
  { at = "-200d", event = "order.placed" },
  { at = "-1d", tag = "sunset" },
  { at = "0h", event = "order.placed" },
]
expect  = [
  { at = "0h", untag = "sunset" },
  { at = "1d 10:00", send = "won-back-welcome" },
]
"#;

#[test]
fn an_order_after_a_farewell_is_one_like_any_other() {
    let (across, _) = Playbook::parse("playbooks/across.toml", ACROSS, &BTreeMap::new()).unwrap();
    let mut all = playbooks();
    all.push(across);
    let book = book("ecommerce", all);
    assert_eq!(book.tests.iter().filter(|test| &*test.place.file == "playbooks/across.toml").count(), 2);
    assert_eq!(failures(&book), "");
}
