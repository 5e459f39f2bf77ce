//! The files change while runs are under way, on a real store: what plan announces is what happens to each run, runs
//! that finish get their mails as they were, and who was there before comes a few a day, however many daemons ask.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use zyklus_engine::change::Fate;
use zyklus_model::{At, Run, RunState};
use zyklus_runtime::{evaluate, plan, prepare};
use zyklus_tests::postgres;

use crate::life::{World, at, mails, write_orders, write_shop};

/// Writes a shop whose one journey begins with an order, with three mails that are told apart by their subject.
fn write(dir: &Path, playbook: &str, subject: &str) -> std::path::PathBuf {
    let config = write_shop(dir);
    std::fs::remove_dir_all(dir.join("playbooks")).unwrap();
    std::fs::create_dir(dir.join("playbooks")).unwrap();
    std::fs::write(dir.join("playbooks/p.toml"), playbook).unwrap();
    let templates = dir.join("templates");
    let text = std::fs::read_to_string(templates.join("loyal-thank-you/en.mjml")).unwrap();
    for entry in std::fs::read_dir(&templates).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("partials") {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    for n in 0..3 {
        let mail: Vec<String> = text
            .lines()
            .map(|line| match line {
                _ if line.starts_with("subject") => format!("subject = \"{subject} {n}\"\n"),
                // Nothing is to hold these mails up.
                _ if line.starts_with("class") => "class = \"service\"\n".to_owned(),
                _ => format!("{line}\n"),
            })
            .collect();
        std::fs::create_dir_all(templates.join(format!("m{n}"))).unwrap();
        std::fs::write(templates.join(format!("m{n}/en.mjml")), mail.concat()).unwrap();
    }
    config
}

fn journey(keys: &str, steps: &str) -> String {
    format!(
        "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"order.placed\" }}\nkey = \"event.order_id\"\n{keys}\nsteps = [{steps}]\n"
    )
}

/// The configuration as it stands in the folder now, over the store that is there.
async fn reload(dir: &Path, url: &str, now: At) -> World {
    World::open(&dir.join("zyklus.toml"), url, now).await
}

fn subjects(dir: &Path) -> Vec<String> {
    let line =
        |mail: String| mail.lines().find(|line| line.starts_with("Subject:")).unwrap_or_default().to_owned();
    mails(dir).into_iter().map(line).collect()
}

async fn runs(world: &World) -> Vec<Run> {
    world.store.runs_page(None, 10_000).await.unwrap()
}

/// Somebody orders; two days later, before their mail is due, the files change.
async fn sent_after_a_change(url: &str, dir: &Path, on_change: &str) -> Vec<String> {
    let steps = "{ wait = \"5d\" }, { send = \"m0\", purpose = \"service\" }";
    write(dir, &journey("on_change = \"finish\"", steps), "before");
    write_orders(dir, &[]);
    let world = reload(dir, url, at("2026-03-01T09:00:00Z")).await;
    world.sync().await;
    let mut book = Arc::new(prepare(&world.store, &world.project, world.clock.now(), true).await.unwrap());
    world.round(&book, &world.dispatcher()).await;
    let mut rows = vec!["1,anna@example.org,2026-03-02T10:00:00Z,40.00"];
    write_orders(dir, &rows);
    world.clock.set(at("2026-03-02T10:05:00Z"));
    world.sync().await;
    world.round(&book, &world.dispatcher()).await;
    assert_eq!(runs(&world).await.len(), 1);
    world.store.close().await;

    let steps = "{ wait = \"3d\" }, { send = \"m0\", purpose = \"service\" }, { send = \"m1\", purpose = \"service\" }";
    write(dir, &journey(&format!("on_change = \"{on_change}\""), steps), "after");
    rows.push("2,bert@example.org,2026-03-04T10:00:00Z,40.00");
    write_orders(dir, &rows);
    let world = reload(dir, url, at("2026-03-04T10:05:00Z")).await;
    book = Arc::new(prepare(&world.store, &world.project, world.clock.now(), true).await.unwrap());
    world.sync().await;
    for _ in 0..10 {
        world.round(&book, &world.dispatcher()).await;
        world.clock.set(world.clock.now().plus_days(1));
    }
    let all = runs(&world).await;
    assert!(all.iter().all(|run| run.state == RunState::Ended), "{all:#?}");
    world.store.close().await;
    subjects(dir)
}

async fn runs_that_finish_get_their_mails_as_they_were(url: &str, dir: &Path) {
    let mut sent = sent_after_a_change(url, dir, "finish").await;
    sent.sort();
    assert_eq!(sent, ["Subject: after 0", "Subject: after 1", "Subject: before 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_runs_that_finish_get_their_mails_as_they_were_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    runs_that_finish_get_their_mails_as_they_were(&url, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_runs_that_finish_get_their_mails_as_they_were_on_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let database = postgres::fresh_database().unwrap();
    runs_that_finish_get_their_mails_as_they_were(&database.url(), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_runs_that_follow_get_the_mails_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let mut sent = sent_after_a_change(&url, dir.path(), "follow").await;
    sent.sort();
    assert_eq!(sent, ["Subject: after 0", "Subject: after 0", "Subject: after 1", "Subject: after 1"]);
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// A definition from a small pool of steps, each at most once.
fn definition(dice: &mut Dice) -> String {
    let mut pool: Vec<String> = Vec::new();
    for n in 0..4 {
        let length = dice.one_of(&["2h", "1d", "3d", "9d"]);
        pool.push(format!("{{ wait = \"{length}\", id = \"w{n}\" }}"));
    }
    for n in 0..3 {
        let more =
            dice.one_of(&["", ", expires = \"3d\"", ", id = \"named-#\""]).replace('#', &n.to_string());
        pool.push(format!("{{ send = \"m{n}\", purpose = \"service\"{more} }}"));
    }
    pool.push("{ wait = \"4d\" }".into());
    let mut list: Vec<String> = Vec::new();
    for _ in 0..2 + dice.below(5) {
        let place = usize::try_from(dice.below(pool.len() as u64)).unwrap();
        list.push(pool.remove(place));
    }
    if list.len() > 3 && dice.below(2) == 0 {
        let then: Vec<String> = list.drain(1..3).collect();
        let condition = dice.one_of(&["orders.count == 1", "orders.count > 1", "customer.has_account"]);
        list.insert(1, format!("{{ if = \"{condition}\", id = \"i\", then = [{}] }}", then.join(", ")));
    }
    let keys = match dice.below(9) {
        0 => "on_change = \"exit\"",
        1 => "on_change = \"finish\"",
        2 => "mode = \"off\"",
        3 => "exit = \"orders.count > 1\"",
        _ => "",
    };
    journey(keys, &list.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_plan_announces_of_a_change_is_what_happens_to_every_run() {
    let cases =
        std::env::var("ZYKLUS_PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000) / 25;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in 0..cases {
        let mut dice = Dice(case * 7_919 + 17);
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
        let first = definition(&mut dice).replace("mode = \"off\"", "");
        write(dir.path(), &first, "old");
        write_orders(dir.path(), &[]);
        let start = at("2026-03-01T09:00:00Z");
        let world = reload(dir.path(), &url, start).await;
        world.sync().await;
        let book = Arc::new(prepare(&world.store, &world.project, start, true).await.unwrap());
        let mut rows: Vec<String> = Vec::new();
        for n in 0..14i64 {
            let placed_at = start.plus_seconds(n * 37_000 + 60);
            let who = dice.below(10);
            rows.push(format!("{n},c{who}@example.org,{placed_at},40.00"));
            write_orders(dir.path(), &rows.iter().map(String::as_str).collect::<Vec<_>>());
            world.clock.set(placed_at.plus_seconds(60));
            world.sync().await;
            if dice.below(4) == 0 {
                evaluate(&world.store, &book, world.clock.now(), &|_| {}).await.unwrap();
            } else {
                world.round(&book, &world.dispatcher()).await;
            }
        }
        let now = world.clock.now().plus_seconds(i64::try_from(dice.below(90_000)).unwrap());
        world.store.close().await;

        let next = definition(&mut dice);
        let next = if dice.below(12) == 0 { next.replace("journeys.j", "journeys.other") } else { next };
        write(dir.path(), &next, "new");
        let world = reload(dir.path(), &url, now).await;
        let before = runs(&world).await;
        let reading = zyklus_runtime::book_for_reading(&world.store, &world.project).await.unwrap();
        let planned = plan(&world.store, &reading, now, usize::MAX).await.unwrap();
        assert_eq!(runs(&world).await, before, "plan writes nothing");
        let book = prepare(&world.store, &world.project, now, true).await.unwrap();
        evaluate(&world.store, &book, now, &|_| {}).await.unwrap();
        let after: BTreeMap<_, _> = runs(&world).await.into_iter().map(|run| (run.id, run)).collect();
        let mut announced = 0;
        for change in &planned.changes {
            assert_eq!(change.runs, change.samples.len() as u64);
            announced += change.samples.len();
            for sample in &change.samples {
                let run = &after[&sample.run];
                let old = before.iter().find(|run| run.id == sample.run).unwrap();
                assert_eq!((&change.step, sample.due_before), (&old.position.step, old.position.due_at));
                let context = || format!("case {case}: {change:?}\n{first}\n{next}\n{old:#?}\n{run:#?}");
                if let Fate::Ends { end, reason } = &change.fate {
                    assert_eq!((run.end, &run.end_reason), (Some(*end), reason), "{}", context());
                } else {
                    assert_eq!(run.state, RunState::Live, "{}", context());
                    assert_eq!(sample.stands_at, run.position.step, "{}", context());
                    assert_eq!(sample.due_after, run.position.due_at, "{}", context());
                }
                let name = format!("{:?}", change.fate);
                *seen.entry(name.split([' ', '{']).next().unwrap().to_owned()).or_default() += 1;
            }
        }
        let live = before.iter().filter(|run| run.state != RunState::Ended).count();
        assert_eq!(
            announced as u64 + planned.runs_unchanged,
            live as u64,
            "case {case}: every run is told of"
        );
        world.store.close().await;
    }
    for wanted in ["GoesOn", "Moves", "Ends", "Finishes", "Paused"] {
        assert!(seen.contains_key(wanted), "{wanted}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_another_configuration_than_was_put_in_place_last_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    write(dir.path(), &journey("", "{ wait = \"5d\" }, { send = \"m0\", purpose = \"service\" }"), "old");
    write_orders(dir.path(), &[]);
    let now = at("2026-03-01T09:00:00Z");
    let world = reload(dir.path(), &url, now).await;
    world.sync().await;
    let old = prepare(&world.store, &world.project, now, true).await.unwrap();
    evaluate(&world.store, &old, now, &|_| {}).await.unwrap();
    world.store.close().await;
    write(dir.path(), &journey("", "{ wait = \"4d\" }, { send = \"m1\", purpose = \"service\" }"), "new");
    let world = reload(dir.path(), &url, now).await;
    let new = prepare(&world.store, &world.project, now, true).await.unwrap();
    let error = evaluate(&world.store, &old, now, &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("another configuration"), "{error}");
    evaluate(&world.store, &new, now, &|_| {}).await.unwrap();
    world.store.close().await;
}

const BACKFILLED: &str = "[journeys.j]\nlabel = { en = \"J\" }\nstart = { phase = \"develop\" }\nbackfill = { since = \"60d\", per_day = 4 }\n\
                          steps = [{ send = \"m0\", purpose = \"service\" }, { wait = \"20d\" }, { send = \"m1\", purpose = \"service\" }]\n";

/// Two daemons that share a store let in four a day between them.
async fn a_few_a_day(url: &str, dir: &Path) {
    write(dir, BACKFILLED, "hello");
    let start = at("2026-03-01T09:00:00Z");
    let placed = |n: i64| start.plus_days(-(n + 1)).plus_seconds(-60);
    let rows: Vec<String> = (0..26).map(|n| format!("{n},c{n}@example.org,{},40.00", placed(n))).collect();
    write_orders(dir, &rows.iter().map(String::as_str).collect::<Vec<_>>());
    let one = reload(dir, url, start).await;
    // SQLite has one owner.
    let other = if url.starts_with("sqlite:") { None } else { Some(reload(dir, url, start).await) };
    one.sync().await;
    let book = Arc::new(prepare(&one.store, &one.project, start, true).await.unwrap());
    evaluate(&one.store, &book, start, &|_| {}).await.unwrap();
    let planned = plan(&one.store, &book, start, 3).await.unwrap();
    let [backfill] = planned.backfills.as_slice() else { panic!("{:?}", planned.backfills) };
    // Whose twenty days are over has nothing ahead.
    assert_eq!(
        (backfill.customers, backfill.per_day, backfill.days, backfill.messages_at_most),
        (19, 4, 5, 2)
    );
    assert_eq!(planned.inside_without_run, [("j".to_owned(), 7)]);
    let mut counts = Vec::new();
    for _ in 0..8 {
        for hours in [0, 5] {
            let first = one.dispatcher();
            one.clock.set(one.clock.now().plus_seconds(hours * 3_600));
            match &other {
                None => drop(one.round(&book, &first).await),
                Some(other) => {
                    let second = other.dispatcher();
                    other.clock.set(one.clock.now());
                    tokio::join!(one.round(&book, &first), other.round(&book, &second));
                }
            }
        }
        counts.push(runs(&one).await.len());
        one.clock.set(one.clock.now().plus_seconds(19 * 3_600));
    }
    // Those who came last come first; whoever has nothing ahead any more when it is their turn does not come.
    assert_eq!(counts[..3], [4, 8, 12]);
    assert!(counts.windows(2).all(|w| w[1] - w[0] <= 4), "{counts:?}");
    let all = runs(&one).await;
    for run in &all {
        let enrolled_as = placed(0).micros_since(run.started_at) / zyklus_model::DAY_MICROS;
        assert!(enrolled_as < 19, "{run:#?}");
        assert_eq!(run.acted[0], ("send:m0".to_owned(), "missed".to_owned()));
    }
    let newest = all.iter().map(|run| run.started_at).max().unwrap();
    assert_eq!(newest, placed(0));
    assert!(subjects(dir).iter().all(|subject| subject == "Subject: hello 1"));
    one.store.close().await;
    if let Some(other) = other {
        other.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_a_few_a_day_are_let_in_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    a_few_a_day(&url, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_a_few_a_day_are_let_in_by_two_daemons_on_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let database = postgres::fresh_database().unwrap();
    a_few_a_day(&database.url(), dir.path()).await;
}
