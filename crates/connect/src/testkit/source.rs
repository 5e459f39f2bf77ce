//! Cases of reading: pages end, cursors hold, nothing comes twice.

use std::collections::BTreeSet;

use futures::FutureExt;
use serde_json::{Value, json};
use zyklus_model::Record;

use super::bench::{Bench, Open, Verdict, words};
use super::{Case, cases, ensure, source};
use crate::error::ErrorKind;
use crate::read::{Cursor, Mode, Next, Page, ReadRequest, Reject};

/// A stream with more pages than this in a kit does not end.
const MOST_PAGES: usize = 10_000;

pub(super) fn all() -> Vec<Case> {
    cases![
        pages_end_and_no_record_comes_twice in source,
        the_same_cursor_gives_the_same_records in source,
        reading_goes_on_where_it_stopped in source,
        what_was_caught_up_with_stays_so in source,
        an_unknown_stream_is_refused in source,
        a_strangers_cursor_is_survived in source,
        a_read_that_is_given_up_harms_nothing in source,
    ]
}

struct Turn {
    cursor: Option<Cursor>,
    page: Page,
}

async fn read(
    open: &Open,
    stream: &str,
    cursor: Option<Cursor>,
    mode: Mode,
    limit: u32,
) -> Result<Page, String> {
    let source = open.connector().source().ok_or("there is no source")?;
    let request = ReadRequest { stream: stream.to_owned(), cursor, mode, limit };
    source.read(request).await.map_err(|e| format!("{stream}: {}", words(&e)))
}

/// Reads until it has caught up.
async fn read_all(open: &Open, stream: &str, from: Option<Cursor>, limit: u32) -> Result<Vec<Turn>, String> {
    let (mut turns, mut cursor) = (Vec::new(), from);
    let mut seen = BTreeSet::new();
    loop {
        let page = read(open, stream, cursor.clone(), Mode::Backfill { from: None }, limit).await?;
        let next = page.next.clone();
        turns.push(Turn { cursor, page });
        let Next::More { cursor: after } = next else { return Ok(turns) };
        ensure!(
            seen.insert(after.0.to_string()),
            "{stream}: the cursor {} comes again: it never ends",
            after.0
        );
        ensure!(turns.len() < MOST_PAGES, "{stream}: there is no end after {MOST_PAGES} pages");
        cursor = Some(after);
    }
}

fn records(turns: &[Turn]) -> Vec<&Record> {
    turns.iter().flat_map(|turn| &turn.page.records).collect()
}

/// What makes a record the same one.
fn identity(record: &Record) -> String {
    let value = serde_json::to_value(record).unwrap_or_default();
    match (value.get("type"), value.get("external_id")) {
        (Some(kind), Some(id @ Value::String(_))) => format!("{kind} {id}"),
        _ => value.to_string(),
    }
}

fn backfilled(open: &Open) -> Vec<String> {
    open.manifest().streams.iter().filter(|s| s.backfill).map(|s| s.name.clone()).collect()
}

async fn pages_end_and_no_record_comes_twice(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    for name in bench.kit.streams.keys() {
        ensure!(open.manifest().streams.iter().any(|s| s.name == *name), "there is no stream `{name}`");
    }
    for stream in backfilled(&open) {
        let turns = read_all(&open, &stream, None, bench.kit.limit).await?;
        let all = records(&turns);
        let expected = bench.kit.streams.get(&stream);
        let expected =
            expected.ok_or_else(|| format!("say in the kit file how many records [streams.{stream}] has"))?;
        ensure!(all.len() == expected.records, "{stream}: {} records, not {}", all.len(), expected.records);
        for turn in &turns {
            let (given, most) = (turn.page.records.len(), 2 * bench.kit.limit as usize);
            ensure!(
                given <= most,
                "{stream}: a page of {given} records, where {} were asked for",
                bench.kit.limit
            );
        }
        let rejects: Vec<&Reject> = turns.iter().flat_map(|turn| &turn.page.rejects).collect();
        ensure!(
            rejects.len() == expected.rejects,
            "{stream}: {} records could not be read, not {}: {rejects:?}; if they make no sense on purpose, say \
             `rejects = {}` in [streams.{stream}]",
            rejects.len(),
            expected.rejects,
            rejects.len()
        );
        let mut seen = BTreeSet::new();
        for record in all {
            let identity = identity(record);
            ensure!(seen.insert(identity.clone()), "{stream}: {identity} came twice");
        }
    }
    Ok(())
}

async fn the_same_cursor_gives_the_same_records(bench: Bench) -> Verdict {
    let (open, other) = (bench.open().await?, bench.open().await?);
    for stream in backfilled(&open) {
        for turn in read_all(&open, &stream, None, bench.kit.limit).await? {
            for (open, place) in [(&open, "again"), (&other, "in another instance")] {
                let mode = Mode::Backfill { from: None };
                let again = read(open, &stream, turn.cursor.clone(), mode, bench.kit.limit).await?;
                ensure!(
                    again.records == turn.page.records,
                    "{stream}: {:?} gives other records {place}",
                    turn.cursor
                );
            }
        }
    }
    Ok(())
}

async fn reading_goes_on_where_it_stopped(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    for stream in backfilled(&open) {
        let turns = read_all(&open, &stream, None, bench.kit.limit).await?;
        for at in 1..turns.len().min(4) {
            let other = bench.open().await?;
            let rest = read_all(&other, &stream, turns[at].cursor.clone(), bench.kit.limit).await?;
            ensure!(
                records(&rest) == records(&turns[at..]),
                "{stream}: from page {} on it reads otherwise",
                at + 1
            );
        }
    }
    Ok(())
}

async fn what_was_caught_up_with_stays_so(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    for stream in open.manifest().streams.clone().iter().filter(|s| s.incremental && s.backfill) {
        let turns = read_all(&open, &stream.name, None, bench.kit.limit).await?;
        let mut cursor = turns.last().map(|turn| turn.page.next.cursor().clone());
        for _ in 0..MOST_PAGES {
            let page = read(&open, &stream.name, cursor, Mode::Incremental, bench.kit.limit).await?;
            match page.next {
                Next::More { cursor: after } => cursor = Some(after),
                Next::CaughtUp { .. } => {
                    cursor = None;
                    break;
                }
            }
        }
        ensure!(cursor.is_none(), "{}: nothing changed, and reading on never ends", stream.name);
    }
    Ok(())
}

async fn an_unknown_stream_is_refused(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let Some(source) = open.connector().source() else { return Ok(()) };
    let stream = "no_such_stream".to_owned();
    let request =
        ReadRequest { stream, cursor: None, mode: Mode::Backfill { from: None }, limit: bench.kit.limit };
    match source.read(request).await {
        Ok(_) => Err("it gives a page".into()),
        Err(error) => {
            let fits =
                [ErrorKind::Unsupported, ErrorKind::NotFound, ErrorKind::Invalid].contains(&error.kind);
            ensure!(fits, "it is refused as {}; `unsupported` says what it is", words(&error));
            Ok(())
        }
    }
}

async fn a_strangers_cursor_is_survived(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    for stream in backfilled(&open) {
        for cursor in [json!({"from": "somebody else"}), json!(-1), json!("9999"), json!([])] {
            let mode = Mode::Backfill { from: None };
            if let Err(said) =
                read(&open, &stream, Some(Cursor(cursor.clone())), mode.clone(), bench.kit.limit).await
            {
                ensure!(!said.contains("panicked"), "{stream}: the cursor {cursor} makes it panic: {said}");
            }
        }
        read(&open, &stream, None, Mode::Backfill { from: None }, bench.kit.limit).await?;
    }
    Ok(())
}

async fn a_read_that_is_given_up_harms_nothing(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    for stream in backfilled(&open) {
        let mode = || Mode::Backfill { from: None };
        let first = read(&open, &stream, None, mode(), bench.kit.limit).await?;
        for _ in 0..20 {
            // Begun, and left where it first has to wait.
            drop(read(&open, &stream, None, mode(), bench.kit.limit).now_or_never());
        }
        let again = read(&open, &stream, None, mode(), bench.kit.limit).await?;
        ensure!(again.records == first.records, "{stream}: afterwards it reads otherwise");
    }
    Ok(())
}
