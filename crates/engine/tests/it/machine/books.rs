//! Books made of what the model's files say: the one everybody lives by, and two that differ in nothing but whether the
//! first customer is held out.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use zyklus_engine::holdout::held_out;
use zyklus_engine::playbook::Mode;
use zyklus_engine::settings::{CapWindow, FrequencyCap, GlobalHoldout, QuietHours};
use zyklus_engine::wait::Length;
use zyklus_engine::{Book, Lifecycle, Settings};
use zyklus_model::{At, Channel, Currency, Rates};

use super::lives::{customer, somebody};
use super::model::{Model, Per};
use super::playbooks::{Journey, without_labels};
use crate::world::{LIFECYCLE, lifecycle, playbook};

/// Which book.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Everybody,
    Held,
    Treated,
}

fn phases() -> Lifecycle {
    static PHASES: OnceLock<Lifecycle> = OnceLock::new();
    PHASES.get_or_init(|| lifecycle(LIFECYCLE)).clone()
}

/// The book as the files say now, after another one.
pub(crate) fn book(model: &Model, kind: Kind, before: Option<&Book>) -> Book {
    let mut text = String::new();
    for (index, journey) in model.journeys.iter().enumerate() {
        let Some(journey) = journey else { continue };
        let name = format!("j{index}");
        if kind == Kind::Everybody {
            let mode = if model.is_off[index] { "off" } else { journey.mode };
            text.push_str(&Journey { mode, ..journey.clone() }.text(&name));
        } else if index == 0 {
            text.push_str(&alone(journey, kind).text(&name));
        }
    }
    let mut book = match Book::assemble(phases(), vec![playbook(&text)], settings(model, kind), 2) {
        Ok(book) => book,
        Err(problems) => panic!("{text}\n{problems:#?}"),
    };
    activate(&mut book, before, model.now);
    book
}

/// A journey in which nothing but being held out makes a difference: no others and no caps stand in its way, and nobody
/// gets a label.
fn alone(journey: &Journey, kind: Kind) -> Journey {
    let overlap = if journey.overlap == "parallel" { "ignore" } else { journey.overlap };
    let holdout = if kind == Kind::Held { 50 } else { 0 };
    let steps = without_labels(&journey.steps);
    Journey { overlap, holdout, mode: "live", group: "", backfill: false, steps, ..journey.clone() }
}

/// What the store keeps when files change (rules R3, R10 and R19).
fn activate(book: &mut Book, before: Option<&Book>, now: At) {
    let Some(before) = before else {
        book.active_from = book.journeys.iter().map(|j| (j.root().to_owned(), now)).collect();
        return;
    };
    let old = before.definitions.values().map(AsRef::as_ref).chain(&before.journeys);
    let known: Vec<(String, String)> = old.map(|j| (j.definition.clone(), j.text.to_string())).collect();
    book.remember(known.iter().map(|(hash, text)| (hash.as_str(), text.as_str())));
    book.active_from.clone_from(&before.active_from);
    for journey in book.journeys.iter().filter(|j| j.mode != Mode::Off) {
        let was = before.journey(journey.root()).map(|old| old.mode);
        let anew = matches!(was, Some(Mode::Off))
            || matches!(was, Some(Mode::Shadow)) && journey.mode != Mode::Shadow
            || !before.active_from.contains_key(journey.root());
        if anew {
            book.active_from.insert(journey.root().to_owned(), now);
        }
    }
}

fn settings(model: &Model, kind: Kind) -> Settings {
    let house = model.house;
    let channel = |name: &str| Channel::parse(name).expect("a channel");
    let cap = |(max, name, per): (u32, Option<&str>, Per)| FrequencyCap {
        channel: name.map(channel),
        max,
        per: match per {
            Per::Day => CapWindow::Day,
            Per::Days(days) => CapWindow::Rolling(Length::days(days)),
            Per::Hours(hours) => CapWindow::Rolling(Length::hours(hours)),
        },
    };
    let quiet = |name: &str| QuietHours {
        channel: channel(name),
        from: Time::constant(21, 0, 0, 0),
        until: Time::constant(8, 0, 0, 0),
        weekdays: Vec::new(),
        holidays: Default::default(),
    };
    let is_pair = kind != Kind::Everybody;
    Settings {
        zone: TimeZone::get("Europe/Berlin").expect("a zone"),
        caps: house.cap.filter(|_| !is_pair).map(cap).into_iter().collect(),
        // A minute at least: what follows at once may follow a microsecond later.
        contend: Length::minutes(if is_pair {
            0
        } else if house.contends {
            120
        } else {
            1
        }),
        holdout: GlobalHoldout { share: if is_pair { 0 } else { house.global_holdout }, epoch: 0 },
        quiet: house.quiet.map(quiet).into_iter().collect(),
        topics: zyklus_engine::voice::Subjects::ours(),
        existing_customers: house.existing_customers,
        rates: Rates::only(Currency::EUR),
        // Of the two only the first is a tester.
        test_recipients: ["person0@example.com".to_owned()].into(),
        seed: if is_pair { holding_seed().to_owned() } else { "zyklus".to_owned() },
    }
}

/// A seed under which the first customer is held out of journey `j0` at one half.
fn holding_seed() -> &'static str {
    static SEED: OnceLock<String> = OnceLock::new();
    SEED.get_or_init(|| {
        let text = "[journeys.j0]\nlabel = { en = \"J\" }\nstart = { event = \"go\" }\nholdout = 50\nsteps = [{ send = \"m\" }]";
        let mut snapshot = somebody().clone();
        snapshot.customer.id = customer(0);
        let holds = |seed: &String| {
            let settings = Settings { seed: seed.clone(), ..Settings::default() };
            let book = Book::assemble(phases(), vec![playbook(text)], settings, 2).expect("a book");
            held_out(&book, &snapshot, &book.journeys[0])
        };
        (0..100).map(|n| format!("seed {n}")).find(holds).expect("half of all seeds")
    })
}

/// The journeys of a book by the hash of what they are now, as the model has them.
pub(crate) fn described(model: &Model, book: &Book) -> BTreeMap<String, Journey> {
    let index = |root: &str| root.trim_start_matches('j').parse::<usize>().expect("a number");
    let of = |root: &str| model.journeys[index(root)].clone().expect("it is in the files");
    book.journeys.iter().map(|j| (j.definition.clone(), of(j.root()))).collect()
}
