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
    let text = &examples()["playbooks/tested.toml"];
    let (playbook, warnings) = Playbook::parse("playbooks/tested.toml", text, &BTreeMap::new()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let book = book("ecommerce", vec![playbook]);
    assert_eq!(book.tests.len(), 2);
    assert_eq!(failures(&book), "");
}
