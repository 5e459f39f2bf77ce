//! Each starter journey starts for whom it is meant, and its mails come when they should.

use std::collections::BTreeSet;

use zyklus_engine::{Book, Mode};
use zyklus_model::At;

use crate::life::Life;
use crate::person::now;
use crate::told::{
    Act, Story, agree, agreed, buy, click, fill_cart, one_more, praise, receive, silent, stories,
};
use crate::{book, playbooks};

fn live<'b>(book: &'b Book, story: &Story) -> Life<'b> {
    let mut life = Life::begin(book, story.was.clone(), now().plus_days(-1));
    for (days, act) in &story.acts {
        let when = now().plus_days(*days);
        life.until(when);
        life.tell(|s| act(s, when), when);
    }
    life.until(now().plus_days(90));
    life
}

#[test]
fn each_journey_starts_for_whom_it_is_meant_and_sends_what_it_should_when_it_should() {
    let book = book("ecommerce", playbooks());
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for story in stories() {
        let life = live(&book, &story);
        let runs: Vec<&str> = life.snapshot.runs.iter().map(|r| r.journey.as_str()).collect();
        if !runs.contains(&story.journey) || life.mails() != story.mails {
            wrong.push(format!("{}: {runs:?} {:?}", story.who, life.mails()));
        }
        seen.extend(runs.into_iter().map(str::to_owned));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What is left starts for a tag that only a live farewell sets: see the next test.
    let never: Vec<&str> = book.journeys.iter().map(|j| &*j.id).filter(|id| !seen.contains(*id)).collect();
    assert_eq!(never, ["sunset-over", "sunset-signed-up"]);
}

#[test]
fn a_farewell_marks_the_silent_and_an_order_forgets_it() {
    let mut book = book("ecommerce", playbooks());
    let sunset = book.journeys.iter_mut().find(|j| &*j.id == "sunset").unwrap();
    sunset.mode = Mode::Live;
    let story = |acts| Story { who: "", was: silent(), acts, journey: "", mails: &[] };
    let tags = |life: &Life<'_>| life.snapshot.tags.iter().map(|t| t.tag.clone()).collect::<Vec<_>>();

    let gone = live(&book, &story(vec![(0, one_more)]));
    // Tuesday's newsletter fills the day's cap; the farewell waits for the next day.
    assert_eq!(gone.mails(), [("03-04 00:00", "sunset-keep-me")]);
    assert_eq!(tags(&gone), ["sunset"]);
    let stays = live(&book, &story(vec![(0, one_more), (5, click)]));
    assert!(tags(&stays).is_empty());
    let back = live(&book, &story(vec![(0, one_more), (30, buy)]));
    assert!(tags(&back).is_empty());
    assert!(back.snapshot.runs.iter().any(|r| r.journey == "sunset-over"));
}

#[test]
fn whatever_advertises_heeds_a_farewell() {
    let book = book("ecommerce", playbooks());
    for journey in book.journeys.iter().filter(|journey| journey.sends_marketing()) {
        // The farewell itself, and the welcome of those who have just asked to be written to.
        if ["sunset", "welcome"].contains(&&*journey.id) {
            continue;
        }
        let when = journey.when.as_ref().map_or("", |condition| condition.text());
        let exit = journey.exit.as_ref().map_or("", |condition| condition.text());
        assert!(when.contains("!('sunset' in customer.tags)"), "{}: {when}", journey.id);
        assert!(exit.contains("|| 'sunset' in customer.tags"), "{}: {exit}", journey.id);
    }
}

#[test]
fn nobody_gets_more_than_one_mail_a_day_or_three_a_week_however_much_happens() {
    let book = book("ecommerce", playbooks());
    let acts: Vec<(i64, Act)> = vec![
        (0, agree),
        (1, fill_cart),
        (3, fill_cart),
        (4, buy),
        (5, receive),
        (6, fill_cart),
        (8, buy),
        (9, buy),
        (10, praise),
        (12, fill_cart),
    ];
    let busy = Story { who: "busy", was: agreed(&[400]), acts, journey: "", mails: &[] };
    let life = live(&book, &busy);
    let sent = life.snapshot.deliveries.iter().filter(|d| d.state.counts() && d.capped);
    let sent: Vec<At> = sent.filter_map(|d| d.done_at).collect();
    assert!(sent.len() >= 6, "{:?}", life.mails());
    for first in &sent {
        // An hour less, for the change to summer time.
        let week = *first..first.plus_seconds(7 * 86_400 - 3_600);
        assert!(sent.iter().filter(|at| week.contains(at)).count() <= 3, "{:?}", life.mails());
    }
    let dates: BTreeSet<&str> = life.mails().iter().map(|(when, _)| &when[..5]).collect();
    assert_eq!(dates.len(), life.mails().len(), "{:?}", life.mails());
}
