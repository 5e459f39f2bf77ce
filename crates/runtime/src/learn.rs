//! Learning: reads all orders and reviews, fits the shop's models, keeps them, and puts them into books. Off the path of everything
//! else: it reads page by page, computes on a thread that may take long, and writes once. Never decides.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use zyklus_engine::Book;
use zyklus_engine::condition::Group;
use zyklus_engine::outlook::day_of;
use zyklus_engine::wait::local;
use zyklus_insight::cadence::Cadence;
use zyklus_insight::learned::Learned;
use zyklus_insight::purchase::fit::{Budget, Kind, Options};
use zyklus_insight::recommend::{Goods, Line};
use zyklus_insight::rfm::{Day, History};
use zyklus_insight::validate::{Report, ValidateError, rolling};
use zyklus_model::{At, CustomerId};
use zyklus_store::{AsOf, Store};

use crate::error::RuntimeError;
use crate::experiments::{self, learn_shares};
use crate::feedback::listen::{self, listen, put_voice, put_voice_by};
use crate::project::Project;

/// When shops sleep.
const NIGHT: Time = jiff::civil::time(3, 0, 0, 0);
/// A replay learns every so many days: a shop's figures hardly move in a month.
const REPLAYED_EVERY: i64 = 28;
/// Orders read at a time.
const PAGE: u32 = 10_000;

/// What learning came to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LearnReport {
    /// As of when.
    pub at: At,
    /// Customers with orders.
    pub customers: u64,
    /// Their purchases: orders of one day are one.
    pub purchases: u64,
    /// Products that were bought.
    pub products: u64,
    /// From how many reviews it was learned anew how customers praise and blame; none if it stays at what was known.
    pub reviews: Option<u64>,
    /// Splits that go by learned shares.
    pub splits: u64,
}

/// A shop's orders, as learning needs them.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) histories: Vec<History>,
    pub(crate) lines: Vec<Line>,
    /// System and id of the products, by the number that lines have.
    pub(crate) products: Vec<(String, String)>,
}

/// Reads all orders that were placed by `now` and not cancelled.
pub(crate) async fn read_orders(store: &Store, zone: &TimeZone, now: At) -> Result<Orders, RuntimeError> {
    let mut orders = Orders::default();
    let mut numbers: HashMap<(String, String), u32> = HashMap::new();
    let mut after = None;
    let mut theirs: Vec<(Day, i64)> = Vec::new();
    let mut of: Option<CustomerId> = None;
    let mut customer = 0u32;
    loop {
        let page = store.purchases_page(now, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.customer, last.id));
        for purchase in page {
            if of != Some(purchase.customer) {
                orders.histories.extend(History::new(std::mem::take(&mut theirs)));
                customer += u32::from(of.is_some());
                of = Some(purchase.customer);
            }
            let day = day_of(purchase.placed_at, zone);
            theirs.push((day, purchase.net_reporting.unwrap_or(0)));
            for (product, quantity) in purchase.products {
                let next = numbers.len() as u32;
                let item = *numbers.entry((purchase.system.clone(), product)).or_insert(next);
                let quantity = u32::try_from(quantity.max(0)).unwrap_or(u32::MAX);
                orders.lines.push(Line { customer, item, day, quantity });
            }
        }
    }
    orders.histories.extend(History::new(theirs));
    let mut products: Vec<((String, String), u32)> = numbers.into_iter().collect();
    products.sort_unstable_by_key(|(_, number)| *number);
    orders.products = products.into_iter().map(|(product, _)| product).collect();
    Ok(orders)
}

/// Learns of the shop as of `now` and keeps it; nothing if nobody has ordered yet. Whoever decides by predictions is
/// looked at again then. The shares of splits are learned even if nobody has ordered.
///
/// # Errors
/// The store's.
pub async fn learn(store: &Store, project: &Project, now: At) -> Result<Option<LearnReport>, RuntimeError> {
    let splits = learn_shares(store, &project.book, now).await?;
    let orders = read_orders(store, &project.shop.zone, now).await?;
    let until = day_of(now, &project.shop.zone);
    let fitting = tokio::task::spawn_blocking(move || {
        let learned = Learned::of(&orders.histories, until, Kind::default(), Budget::default())?;
        drop(orders.histories);
        let goods = Goods::learn(orders.products, orders.lines, until);
        Some((learned, goods))
    });
    let fitted = fitting.await.map_err(|_| RuntimeError::Panicked { what: "learning" })?;
    let Some((learned, goods)) = fitted else { return Ok(None) };
    let mut report = LearnReport {
        at: now,
        customers: learned.customers,
        purchases: learned.purchases,
        products: goods.products().len() as u64,
        reviews: None,
        splits,
    };
    let text = |what: Result<String, serde_json::Error>| what.map_err(RuntimeError::NotKept);
    let (body, goods) = (text(serde_json::to_string(&learned))?, text(serde_json::to_string(&goods))?);
    store.keep_learned(now, body, goods).await?;
    report.reviews = listen(store, now).await?;
    if project.book.reads(Group::Prediction) || (report.reviews.is_some() && project.book.reads(Group::Voice))
    {
        store.reconsider(now).await?;
    }
    Ok(Some(report))
}

/// Learns if it is time to, and gives the book with what was learned; the same book if it was not.
///
/// # Errors
/// The store's.
pub async fn learn_if_due(
    store: &Store,
    project: &Project,
    book: &Arc<Book>,
    now: At,
) -> Result<Arc<Book>, RuntimeError> {
    if !is_time(store, &project.shop.zone, now).await? || learn(store, project, now).await?.is_none() {
        return Ok(Arc::clone(book));
    }
    let mut next = Book::clone(book);
    put_learned(store, &mut next).await?;
    Ok(Arc::new(next))
}

/// What was learned last of the shop, and as of when.
///
/// # Errors
/// The store's.
pub async fn last_learned(store: &Store) -> Result<Option<(At, Arc<Learned>)>, RuntimeError> {
    Ok(versions(store.learned().await?).last().cloned())
}

/// Forecasts the past as of several days, a window apart, by what was known then, and holds that against what came. The
/// last window ends today; without one, it is the shop's horizon as of today.
///
/// # Errors
/// The store's; inside, what is missing for it.
pub async fn validate(
    store: &Store,
    project: &Project,
    now: At,
    window: Option<u32>,
    cutoffs: u32,
) -> Result<Result<Report, ValidateError>, RuntimeError> {
    let orders = read_orders(store, &project.shop.zone, now).await?;
    let until = day_of(now, &project.shop.zone);
    let work = tokio::task::spawn_blocking(move || {
        let histories = orders.histories;
        let horizon = || Cadence::observe(&histories, until).horizon().0.as_days().round() as u32;
        let window = window.unwrap_or_else(horizon);
        let back = |n: u32| until.saturating_sub_unsigned(n.saturating_mul(window));
        let days: Vec<Day> = (1..=cutoffs).map(back).collect();
        rolling(&histories, &days, window, until, &Options::default())
    });
    work.await.map_err(|_| RuntimeError::Panicked { what: "holding forecasts against what came" })
}

/// Puts what was learned last into a book, if its conditions or splits go by it and it is not there yet. What cannot be read, because
/// another version wrote it, counts as not learned: the next night learns anew.
///
/// # Errors
/// The store's.
pub(crate) async fn put_learned(store: &Store, book: &mut Book) -> Result<(), RuntimeError> {
    if book.reads(Group::Prediction) && store.learned_at().await? != learned_at(book) {
        book.learned = versions(store.learned().await?);
    }
    if experiments::is_behind(store, book).await? {
        book.shares = experiments::versions(store.shares_by(At::MAX).await?);
    }
    put_voice(store, book).await
}

/// Whether something was learned since, that a book's conditions or splits go by.
///
/// # Errors
/// The store's.
pub(crate) async fn is_behind(store: &Store, book: &Book) -> Result<bool, RuntimeError> {
    let is_other = book.reads(Group::Prediction) && store.learned_at().await? != learned_at(book);
    Ok(is_other || experiments::is_behind(store, book).await? || listen::is_behind(store, book).await?)
}

fn learned_at(book: &Book) -> Option<At> {
    book.learned.last().map(|(at, _)| *at)
}

/// Puts into a book what had been learned by an instant.
///
/// # Errors
/// The store's.
pub(crate) async fn put_learned_by(past: &AsOf, book: &mut Book) -> Result<(), RuntimeError> {
    if book.reads(Group::Prediction) {
        book.learned = versions(past.learned().await?);
    }
    if book.experiments().next().is_some() {
        book.shares = experiments::versions(past.shares().await?);
    }
    put_voice_by(past, book).await
}

/// What was, or would have been, known of the shop in a stretch of time: what was learned then, as far as it is kept; before
/// that, what the orders placed by then teach, every 28 days. Those are taken as they stand now: of an order
/// that was cancelled later it is not known when learning would have heard of it.
///
/// # Errors
/// The store's.
pub async fn learned_over(
    store: &Store,
    zone: &TimeZone,
    (from, to): (At, At),
) -> Result<Arc<[(At, Arc<Learned>)]>, RuntimeError> {
    let kept = store.learned_between(from, to).await?;
    let kept: Vec<(At, Arc<Learned>)> = kept.into_iter().filter_map(read_version).collect();
    let first = kept.first().map_or(to, |(at, _)| *at);
    if first <= from {
        return Ok(kept.into());
    }
    let orders = read_orders(store, zone, first).await?;
    let zone = zone.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        let mut at = from;
        while at < first {
            let learned =
                Learned::of(&orders.histories, day_of(at, &zone), Kind::default(), Budget::default());
            all.extend(learned.map(|learned| (at, Arc::new(learned))));
            at = at.plus_days(REPLAYED_EVERY);
        }
        all.extend(kept);
        all
    });
    let all = work.await.map_err(|_| RuntimeError::Panicked { what: "learning" })?;
    Ok(all.into())
}

/// Whether it is time to learn: the first time once everything was read that the shop has, and then each night from three
/// o'clock of the shop's zone on.
///
/// # Errors
/// The store's.
pub(crate) async fn is_time(store: &Store, zone: &TimeZone, now: At) -> Result<bool, RuntimeError> {
    let Some(last) = store.learned_at().await? else {
        let cursors = store.cursors().await?;
        return Ok(!cursors.is_empty() && cursors.iter().all(|cursor| cursor.caught_up_at.is_some()));
    };
    let today = now.timestamp().to_zoned(zone.clone()).date();
    let tonight = local(today, NIGHT, zone);
    let night = if tonight <= now {
        tonight
    } else {
        today.yesterday().map_or(tonight, |yesterday| local(yesterday, NIGHT, zone))
    };
    Ok(last < night)
}

pub(crate) fn versions(kept: Option<(At, String)>) -> Arc<[(At, Arc<Learned>)]> {
    kept.and_then(read_version).into_iter().collect()
}

fn read_version((at, body): (At, String)) -> Option<(At, Arc<Learned>)> {
    match serde_json::from_str(&body) {
        Ok(learned) => Some((at, Arc::new(learned))),
        Err(error) => {
            tracing::warn!(%error, "what was learned cannot be read; it is learned anew");
            None
        }
    }
}
