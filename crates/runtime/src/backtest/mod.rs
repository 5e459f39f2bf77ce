//! `zyklus backtest`: replays the store's history through the real engine on a virtual clock, with a channel that takes
//! everything the guards let through. Writes nothing, reads no clock, and forgets each customer once counted.
//!
//! At the beginning of the window the shop is as if it had just been connected: what was known is history, nobody is
//! in a journey, nothing was sent, and the journeys go live, whatever their mode. From then on every fact arrives live, in the order in
//! which it became known.

mod history;
mod page;
mod replay;
mod result;
mod tally;

use std::sync::Arc;

use zyklus_engine::{Book, Mode};
use zyklus_model::Snapshot;
use zyklus_store::Store;

use crate::error::RuntimeError;
use crate::evaluate::sold_out;
use crate::learn::put_learned_over;
use tally::{Calendar, Tally, count_customer};

pub use page::page;
pub use replay::{Window, replay_customer};
pub use result::{
    Backtest, COLUMNS, Day, Figure, Guarded, HEADS, JourneyFigures, Moves, Share, Side, Standing, difference,
};

/// How many customers are read at a time.
const BATCH: u32 = 2_000;
/// Pieces a batch is cut into: more than threads, since one customer's life can be long.
const PIECE: usize = 125;

/// Replays everybody under each of the books, which are named by their folders. All of them have the same lifecycle
/// and settings. `progress` is told how many customers lie behind.
///
/// # Errors
/// The store's.
pub async fn backtest(
    store: &Store,
    books: Vec<(String, Book)>,
    window: Window,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Backtest, RuntimeError> {
    let (names, mut books): (Vec<String>, Vec<Book>) = books.into_iter().unzip();
    for book in &mut books {
        book.sold_out = sold_out(store, book).await?;
        goes_live(book, window);
    }
    put_learned_over(store, &mut books, (window.from, window.to)).await?;
    let zone = books.first().map_or(jiff::tz::TimeZone::UTC, |book| book.settings.zone.clone());
    let calendar = Arc::new(Calendar::new(window, &zone));
    let books = Arc::new(books);
    let mut tallies: Vec<Tally> = books.iter().map(|_| Tally::new(&calendar)).collect();
    let mut done = 0u64;
    let mut after = None;
    let mut snapshots = read(store, &mut after).await?;
    while !snapshots.is_empty() {
        let count = snapshots.len() as u64;
        let work = count_all(Arc::clone(&books), Arc::clone(&calendar), snapshots, window);
        // The next batch is read while this one is counted.
        let (counted, next) = tokio::join!(work, read(store, &mut after));
        for (tally, other) in tallies.iter_mut().zip(counted?) {
            tally.join(other);
        }
        snapshots = next?;
        done += count;
        progress(done);
    }
    let named: Vec<(String, &Book)> = names.into_iter().zip(books.iter()).collect();
    Ok(Backtest::new(window, &calendar, &named, tallies))
}

/// The book as it is at the beginning of the window: all its journeys but those switched off go live then, also those
/// in shadow or test mode.
pub fn goes_live(book: &mut Book, window: Window) {
    book.active_from.clear();
    for journey in book.journeys.iter_mut().filter(|journey| journey.mode != Mode::Off) {
        journey.mode = Mode::Live;
        book.active_from.insert(journey.root().to_owned(), window.from);
    }
}

async fn read(
    store: &Store,
    after: &mut Option<zyklus_model::CustomerId>,
) -> Result<Vec<Snapshot>, RuntimeError> {
    let ids = store.customer_ids(*after, BATCH).await?;
    if let Some(last) = ids.last() {
        *after = Some(*last);
    }
    Ok(store.snapshots(&ids).await?)
}

/// Counts a batch on as many threads as there are processors, each taking the next piece when it is free.
async fn count_all(
    books: Arc<Vec<Book>>,
    calendar: Arc<Calendar>,
    snapshots: Vec<Snapshot>,
    window: Window,
) -> Result<Vec<Tally>, RuntimeError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut pieces: Vec<Vec<Snapshot>> = Vec::new();
    let mut rest = snapshots.into_iter().peekable();
    while rest.peek().is_some() {
        pieces.push(rest.by_ref().take(PIECE).collect());
    }
    let pieces = Arc::new(std::sync::Mutex::new(pieces));
    let mut tasks = Vec::new();
    for _ in 0..threads {
        let (books, calendar, pieces) = (Arc::clone(&books), Arc::clone(&calendar), Arc::clone(&pieces));
        tasks.push(tokio::task::spawn_blocking(move || {
            let mut tallies: Vec<Tally> = books.iter().map(|_| Tally::new(&calendar)).collect();
            let next = || pieces.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
            while let Some(piece) = next() {
                for snapshot in piece {
                    count_customer(&mut tallies, &books, snapshot, window, &calendar);
                }
            }
            tallies
        }));
    }
    let mut sums: Vec<Tally> = books.iter().map(|_| Tally::new(&calendar)).collect();
    for task in tasks {
        let tallies = task.await.map_err(|_| RuntimeError::Panicked { what: "replaying" })?;
        for (sum, tally) in sums.iter_mut().zip(tallies) {
            sum.join(tally);
        }
    }
    Ok(sums)
}
