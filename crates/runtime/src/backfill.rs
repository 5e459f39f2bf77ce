//! Lets customers in who came to a phase or segment before its journey went live (rule R18): so many a day, whoever
//! came last is first. Whether anything lies ahead of them, the engine says.

use std::sync::Arc;

use zyklus_engine::playbook::{Backfill, Start};
use zyklus_engine::{Book, Journey, Mode, candidates};
use zyklus_model::{At, CustomerId};
use zyklus_store::{Admission, Store};

use crate::error::RuntimeError;

/// How many customers are looked at at a time.
const BATCH: usize = 500;

/// Lets in who is next, where a day has places, and gives the book with everybody who was let in. Each journey is
/// looked at once an hour, and no more on a day whose places are taken.
///
/// # Errors
/// The store's.
pub(crate) async fn admit(store: &Store, book: &Arc<Book>, now: At) -> Result<Arc<Book>, RuntimeError> {
    let mut any = false;
    for journey in book.journeys.iter().filter(|j| j.mode != Mode::Off) {
        let Some(backfill) = journey.backfill else { continue };
        any = true;
        if book.active_from.contains_key(journey.root()) {
            let_in(store, book, journey, backfill, now).await?;
        }
    }
    if !any {
        return Ok(Arc::clone(book));
    }
    let admitted = store.admitted().await?;
    if admitted == book.admitted {
        return Ok(Arc::clone(book));
    }
    Ok(Arc::new(Book { admitted, ..(**book).clone() }))
}

async fn let_in(
    store: &Store,
    book: &Arc<Book>,
    journey: &Journey,
    backfill: Backfill,
    now: At,
) -> Result<(), RuntimeError> {
    let local = now.timestamp().to_zoned(book.settings.zone.clone());
    let (day, hour) = (local.date().to_string(), local.hour());
    let name = format!("backfill:{}", journey.root());
    // What it was done for: under another definition or rate there may be others, or more places.
    let done_for = |until: &str| format!("{day} {until} {} {backfill:?}", journey.definition);
    let known = store.get_meta(&name).await?.unwrap_or_default();
    let looked = done_for(&hour.to_string());
    if known == looked || known == done_for("full") {
        return Ok(());
    }
    let per_day = backfill.per_day;
    let customers = choose(store, book, journey, backfill, now).await?;
    let admission = Admission { journey: journey.root().to_owned(), day: day.clone(), per_day, customers };
    let places = store.admit(admission, now).await?;
    store.set_meta(&name, &if places == 0 { done_for("full") } else { looked }).await?;
    Ok(())
}

/// The next customers in turn, as many as a day has places.
async fn choose(
    store: &Store,
    book: &Arc<Book>,
    journey: &Journey,
    backfill: Backfill,
    now: At,
) -> Result<Vec<CustomerId>, RuntimeError> {
    let days = backfill.since.rough_days().ceil().min(100_000.0) as i64 + 1;
    let since = now.plus_days(-days);
    let inside = match &journey.start {
        Start::Phase(phase) => store.standing_in(&book.lifecycle.id, phase, since).await?,
        Start::Segment { id, .. } => store.inside_segment(id, since).await?,
        Start::Left(_) | Start::Event { .. } | Start::Schedule { .. } | Start::Date { .. } => Vec::new(),
    };
    let mut chosen = Vec::new();
    for some in inside.chunks(BATCH) {
        let snapshots = store.snapshots(some).await?;
        let (book, root) = (Arc::clone(book), journey.root().to_owned());
        let judging = tokio::task::spawn_blocking(move || {
            let is_next = |s: &&zyklus_model::Snapshot| {
                candidates(&book, s, now).iter().any(|(journey, _)| *journey == root)
            };
            snapshots.iter().filter(is_next).map(|s| s.customer.id).collect::<Vec<_>>()
        });
        chosen.extend(judging.await.map_err(|_| RuntimeError::Panicked { what: "deciding" })?);
        if chosen.len() >= backfill.per_day as usize {
            break;
        }
    }
    chosen.truncate(backfill.per_day as usize);
    Ok(chosen)
}
