//! Replays one customer through the engine: what was known at the beginning, then fact after fact, with a round
//! whenever something is due. Reads no store.

use zyklus_engine::Book;
use zyklus_engine::sim::{Happening, Life};
use zyklus_model::{At, Origin, Snapshot};

use super::history::{Fact, History};

/// The stretch of time that is replayed; facts and what is due at its ends are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From this instant …
    pub from: At,
    /// … to this one.
    pub to: At,
}

/// A customer's life in a window, as it would have gone under a book whose journeys went live at its beginning;
/// `None` for somebody who became known only later. Every happening is told to `watch`.
pub fn replay_customer(
    book: &Book,
    snapshot: Snapshot,
    window: Window,
    watch: &mut dyn FnMut(At, Happening<'_>),
) -> Option<Life> {
    let scale = 10f64.powi(i32::from(book.decimals));
    replay(book, &History::of(snapshot, window.from, scale), window, watch).map(|(life, _)| life)
}

/// The same of a history, with how many facts there were in the window.
pub(super) fn replay(
    book: &Book,
    history: &History,
    window: Window,
    watch: &mut dyn FnMut(At, Happening<'_>),
) -> Option<(Life, u64)> {
    let Window { from, to } = window;
    let before = history.facts.partition_point(|(at, _)| *at <= from);
    let (known, news) = history.facts.split_at(before);
    let news = &news[..news.partition_point(|(at, _)| *at <= to)];
    let first = if known.is_empty() { news.first()?.0 } else { from };
    let mut life = Life::unseen(history.bare.clone(), first);
    if !known.is_empty() {
        life.commit(Origin::History, |snapshot| known.iter().for_each(|(_, fact)| fact.put(snapshot)));
        life.round(book, watch);
    }
    for same in news.chunk_by(|(a, _), (b, _)| a == b) {
        let at = same[0].0;
        // What happens at an instant is known before anything that is due at it is done.
        if life.now < at {
            life.run_to(book, at.plus_micros(-1).max(life.now), watch);
        }
        life.now = life.now.max(at);
        life.commit(Origin::Live, |snapshot| same.iter().for_each(|(_, fact)| fact.put(snapshot)));
        life.round(book, watch);
    }
    life.run_to(book, to.max(life.now), watch);
    let facts = news.iter().filter(|(_, fact)| !matches!(fact, Fact::Arrived)).count() as u64;
    Some((life, facts))
}
