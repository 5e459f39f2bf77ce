//! Learning: reads all orders and reviews, fits the shop's models, keeps them, and puts them into books. Off the path of
//! everything else: it reads page by page, computes on a thread that may take long, and writes once. Never decides.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zyklus_engine::Book;
use zyklus_engine::condition::Group;
use zyklus_engine::outlook::{day_of, start_of};
use zyklus_engine::wait::local;
use zyklus_insight::cadence::Cadence;
use zyklus_insight::experiment::WeekCounts;
use zyklus_insight::learned::Learned;
use zyklus_insight::purchase::fit::{Budget, Kind, Options};
use zyklus_insight::recommend::{Goods, Line, Pairings};
use zyklus_insight::rfm::{Day, History};
use zyklus_insight::validate::{Report, ValidateError, rolling};
use zyklus_model::{At, CustomerId};
use zyklus_store::{AsOf, Lesson, Store};

use crate::error::RuntimeError;
use crate::experiments::learn_shares;
use crate::feedback::listen::listen;
use crate::offers::goods_of;
use crate::project::Project;

/// When shops sleep.
const NIGHT: Time = jiff::civil::time(3, 0, 0, 0);
/// A shop's figures hardly move in so many days.
const REFIT_DAYS: i64 = 28;
/// So many of what was learned of the products are in books: each is large, and everybody was looked at with each.
const RECENT: usize = 3;
/// Orders read at a time.
const PAGE: u32 = 10_000;

/// What learning came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnReport {
    /// As of when.
    pub at: At,
    /// Customers with orders.
    pub customers: u64,
    /// Their purchases: orders of one day are one.
    pub purchases: u64,
    /// Products that were bought.
    pub products: u64,
    /// Whether the shop's model is another from now on.
    pub is_kept: bool,
    /// From how many reviews it was learned anew how customers praise and blame; none if it stays at what was known.
    pub reviews: Option<u64>,
    /// Splits that go by learned shares.
    pub splits: u64,
}

/// A shop's orders, as learning needs them.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) histories: Vec<History>,
    /// How many were placed in each hour of a day, of those whose time is known.
    hours: BTreeMap<Day, [u32; 24]>,
    pub(crate) lines: Vec<Line>,
    /// System and id of the products, by the number that lines have.
    pub(crate) products: Vec<(String, String)>,
}

impl Orders {
    /// What they teach of the shop's customers, as of the end of a day.
    fn learned(&self, until: Day) -> Option<Learned> {
        let mut hours = WeekCounts::default();
        for (day, counts) in self.hours.range(..=until) {
            // Days are counted from a Thursday.
            let weekday = (day + 3).rem_euclid(7) as u8;
            for (hour, count) in (0u8..).zip(counts) {
                // No weekday is above 6, and no hour above 23.
                let _ = hours.add(weekday, hour, *count);
            }
        }
        let learned = Learned::of(&self.histories, until, Kind::default(), Budget::default())?;
        Some(learned.with_hours(hours))
    }

    /// What they teach of which products go together, as of the end of a day.
    fn pairings(&self, until: Day, on_offer: &HashSet<(String, String)>) -> Pairings {
        let (mut products, mut places) = (Vec::new(), HashMap::new());
        let by_then = self.lines.iter().filter(|line| line.day <= until);
        // Numbered as reading would have numbered them then.
        let lines = by_then.filter_map(|line| {
            let name = self.products.get(line.item as usize)?;
            let item = *places.entry(line.item).or_insert_with(|| {
                products.push(name.clone());
                products.len() as u32 - 1
            });
            Some(Line { item, ..*line })
        });
        let lines = lines.collect();
        Goods::learn(products, lines, until).pairings(on_offer)
    }
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
            // Midnight sharp is what shops write that know the day only.
            if purchase.placed_at != start_of(day, zone) {
                let hour = purchase.placed_at.timestamp().to_zoned(zone.clone()).hour();
                orders.hours.entry(day).or_default()[usize::from(hour.unsigned_abs())] += 1;
            }
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

/// Learns of the shop as of `now` and keeps it; nothing if nobody has ordered yet. Whoever decides by it is looked at again
/// then. Shares of splits and how customers praise are learned even if nobody has ordered.
///
/// # Errors
/// The store's.
pub async fn learn(store: &Store, project: &Project, now: At) -> Result<Option<LearnReport>, RuntimeError> {
    learn_when(store, project, now, true).await
}

/// The same as each night: what conditions go by is kept if it judges by another measure than what is in place, or if that
/// is older than four weeks. In between, it would move hardly anybody, and everybody would be looked at for it.
///
/// # Errors
/// The store's.
pub(crate) async fn learn_nightly(
    store: &Store,
    project: &Project,
    now: At,
) -> Result<Option<LearnReport>, RuntimeError> {
    learn_when(store, project, now, false).await
}

/// Whether something learned `now` is to take the place of what is known.
fn is_news<T>(
    new: &T,
    known: Option<&(At, Arc<T>)>,
    now: At,
    is_unlike: impl Fn(&T, Option<&T>) -> bool,
) -> bool {
    let is_old = known.is_none_or(|(at, _)| at.plus_days(REFIT_DAYS) <= now);
    is_old || is_unlike(new, known.map(|(_, known)| &**known))
}

/// [`Learned::is_unlike`], or with the first hours to tell when the shop's customers are about.
fn is_other_shop(learned: &Learned, known: Option<&Learned>) -> bool {
    let has_first_hours = learned.hours.n() > 0 && known.is_some_and(|known| known.hours.n() == 0);
    has_first_hours || learned.is_unlike(known)
}

async fn learn_when(
    store: &Store,
    project: &Project,
    now: At,
    is_asked: bool,
) -> Result<Option<LearnReport>, RuntimeError> {
    let splits = learn_shares(store, &project.book, now).await?;
    let mut lessons = Vec::new();
    let heard = listen(store, now).await?;
    let reviews = heard.as_ref().map(|(reviews, _)| *reviews);
    lessons.extend(heard.map(|(_, body)| (Lesson::Voice, body)));
    let orders = read_orders(store, &project.shop.zone, now).await?;
    let until = day_of(now, &project.shop.zone);
    let fitting = tokio::task::spawn_blocking(move || {
        let learned = orders.learned(until);
        drop(orders.histories);
        (learned, Goods::learn(orders.products, orders.lines, until))
    });
    let (learned, goods) = fitting.await.map_err(|_| RuntimeError::Panicked { what: "learning" })?;
    // Kept each night: it says when that was.
    lessons.push((Lesson::Goods, text(&goods)?));
    if goes_by(&project.book, Lesson::Pairings) {
        let pairings = goods.pairings(&store.on_offer().await?);
        let known = versions(store.learned_by(Lesson::Pairings, now).await?);
        if is_asked || is_news(&pairings, known.last(), now, Pairings::is_unlike) {
            lessons.push((Lesson::Pairings, text(&pairings)?));
        }
    }
    let mut report = None;
    if let Some(learned) = learned {
        let known = learned_by(store, now).await?;
        let is_kept = is_asked || is_news(&learned, known.as_ref(), now, is_other_shop);
        if is_kept {
            lessons.push((Lesson::Shop, text(&learned)?));
        }
        let (customers, purchases) = (learned.customers, learned.purchases);
        let products = goods.products().len() as u64;
        report = Some(LearnReport { at: now, customers, purchases, products, is_kept, reviews, splits });
    }
    // Shares are not among them: they only move who comes next.
    let wakes = lessons.iter().any(|(lesson, _)| goes_by(&project.book, *lesson));
    store.keep_learned(now, lessons, wakes).await?;
    Ok(report)
}

/// What was learned as it is kept.
pub(crate) fn text(lesson: &impl Serialize) -> Result<String, RuntimeError> {
    serde_json::to_string(lesson).map_err(RuntimeError::NotKept)
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
    if !is_time(store, &project.shop.zone, now).await? {
        return Ok(Arc::clone(book));
    }
    learn_nightly(store, project, now).await?;
    let mut next = Book::clone(book);
    put_learned(store, &mut next).await?;
    Ok(Arc::new(next))
}

/// What had been learned last of the shop by an instant, and as of when.
///
/// # Errors
/// The store's.
pub async fn learned_by(store: &Store, at: At) -> Result<Option<(At, Arc<Learned>)>, RuntimeError> {
    Ok(versions(store.learned_by(Lesson::Shop, at).await?).last().cloned())
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

/// Whether a book decides by something that is learned.
fn goes_by(book: &Book, lesson: Lesson) -> bool {
    match lesson {
        Lesson::Shop => book.reads(Group::Prediction) || book.waits_for_best_hours(),
        Lesson::Pairings => book.reads(Group::Recommend),
        Lesson::Voice => book.reads(Group::Voice),
        Lesson::Shares => book.experiments().next().is_some(),
        // Mails are made of it, and nothing is decided by it.
        Lesson::Goods => false,
    }
}

/// Puts what was learned into a book that decides by it, where it is not there yet. Of the shop all that is kept, since a
/// customer who is late is judged by what counted then.
///
/// # Errors
/// The store's.
pub(crate) async fn put_learned(store: &Store, book: &mut Book) -> Result<(), RuntimeError> {
    if is_other(store, book, Lesson::Shop, &book.learned).await? {
        book.learned = versions(store.learned_until(Lesson::Shop, At::MAX).await?);
    }
    if is_other(store, book, Lesson::Pairings, &book.pairings).await? {
        book.pairings = recent(store.learned_until(Lesson::Pairings, At::MAX).await?).await?;
    }
    if is_other(store, book, Lesson::Voice, &book.voice).await? {
        book.voice = versions(store.learned_by(Lesson::Voice, At::MAX).await?);
    }
    if is_other(store, book, Lesson::Shares, &book.shares).await? {
        book.shares = versions(store.learned_until(Lesson::Shares, At::MAX).await?);
    }
    Ok(())
}

/// Whether something was learned that a book decides by and does not have.
///
/// # Errors
/// The store's.
pub(crate) async fn is_behind(store: &Store, book: &Book) -> Result<bool, RuntimeError> {
    let is_behind = is_outdated(store, book).await?;
    Ok(is_behind || is_other(store, book, Lesson::Shares, &book.shares).await?)
}

/// Whether something was learned that made everybody due, and a book does not have. Shares only move who comes next.
///
/// # Errors
/// The store's.
pub(crate) async fn is_outdated(store: &Store, book: &Book) -> Result<bool, RuntimeError> {
    Ok(is_other(store, book, Lesson::Shop, &book.learned).await?
        || is_other(store, book, Lesson::Pairings, &book.pairings).await?
        || is_other(store, book, Lesson::Voice, &book.voice).await?)
}

async fn is_other<T>(
    store: &Store,
    book: &Book,
    lesson: Lesson,
    known: &[(At, T)],
) -> Result<bool, RuntimeError> {
    let known = known.last().map(|(at, _)| *at);
    Ok(goes_by(book, lesson) && store.learned_at(lesson, At::MAX).await? != known)
}

/// Puts into a book what had been learned by an instant, as far as it decides by it.
///
/// # Errors
/// The store's.
pub(crate) async fn put_learned_by(past: &AsOf, book: &mut Book) -> Result<(), RuntimeError> {
    if goes_by(book, Lesson::Shop) {
        book.learned = versions(past.learned_until(Lesson::Shop).await?);
    }
    if goes_by(book, Lesson::Pairings) {
        book.pairings = recent(past.learned_until(Lesson::Pairings).await?).await?;
    }
    if goes_by(book, Lesson::Voice) {
        book.voice = versions(past.learned_until(Lesson::Voice).await?.pop());
    }
    if goes_by(book, Lesson::Shares) {
        book.shares = versions(past.learned_until(Lesson::Shares).await?);
    }
    Ok(())
}

/// What goes together by what was learned of the products last, for a book that asks for it while nothing of it is kept:
/// nobody asked before. As of when that was learned.
///
/// # Errors
/// The store's.
pub(crate) async fn first_pairings(
    store: &Store,
    book: &Book,
) -> Result<Option<(At, Pairings)>, RuntimeError> {
    if !goes_by(book, Lesson::Pairings) || store.learned_at(Lesson::Pairings, At::MAX).await?.is_some() {
        return Ok(None);
    }
    let Some(at) = store.learned_at(Lesson::Goods, At::MAX).await? else { return Ok(None) };
    let Some(goods) = goods_of(store).await? else { return Ok(None) };
    Ok(Some((at, goods.pairings(&store.on_offer().await?))))
}

/// Puts into books that replay a stretch of time what was known then: of the shop and of what goes together also what would
/// have been, of the rest what was kept.
///
/// # Errors
/// The store's.
pub async fn put_learned_over(
    store: &Store,
    books: &mut [Book],
    (from, to): (At, At),
) -> Result<(), RuntimeError> {
    if let Some(book) = books.iter().find(|book| goes_by(book, Lesson::Shop)) {
        let zone = book.settings.zone.clone();
        let learned = taught_over(store, zone, Lesson::Shop, (from, to), Orders::learned).await?;
        books.iter_mut().for_each(|book| book.learned = Arc::clone(&learned));
    }
    if let Some(book) = books.iter().find(|book| goes_by(book, Lesson::Pairings)) {
        let (zone, on_offer) = (book.settings.zone.clone(), store.on_offer().await?);
        let teach = move |orders: &Orders, day| Some(orders.pairings(day, &on_offer));
        let pairings = taught_over(store, zone, Lesson::Pairings, (from, to), teach).await?;
        books.iter_mut().for_each(|book| book.pairings = Arc::clone(&pairings));
    }
    if books.iter().any(|book| goes_by(book, Lesson::Voice)) {
        let voice = versions(store.learned_until(Lesson::Voice, to).await?);
        books.iter_mut().for_each(|book| book.voice = Arc::clone(&voice));
    }
    if books.iter().any(|book| goes_by(book, Lesson::Shares)) {
        let shares = versions(store.learned_until(Lesson::Shares, to).await?);
        books.iter_mut().for_each(|book| book.shares = Arc::clone(&shares));
    }
    Ok(())
}

/// What was, or would have been, known in a stretch of time: what was learned then, as far as it is kept; before
/// that, what the orders placed by then teach, every 28 days. Those are taken as they stand now: of an order
/// that was cancelled later it is not known when learning would have heard of it, nor of a product which day it sold out.
async fn taught_over<T: DeserializeOwned + Send + Sync + 'static>(
    store: &Store,
    zone: TimeZone,
    lesson: Lesson,
    (from, to): (At, At),
    teach: impl Fn(&Orders, Day) -> Option<T> + Send + 'static,
) -> Result<Arc<[(At, Arc<T>)]>, RuntimeError> {
    let kept: Arc<[(At, Arc<T>)]> = versions(store.learned_until(lesson, to).await?);
    let first = kept.first().map_or(to, |(at, _)| *at);
    if first <= from {
        return Ok(kept);
    }
    let orders = read_orders(store, &zone, first).await?;
    let work = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        let mut at = from;
        while at < first {
            let taught = teach(&orders, day_of(at, &zone));
            all.extend(taught.map(|taught| (at, Arc::new(taught))));
            at = at.plus_days(REFIT_DAYS);
        }
        all.extend(kept.iter().cloned());
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
    let Some(last) = store.learned_at(Lesson::Goods, At::MAX).await? else {
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

/// What was kept, as books have it. What cannot be read, because another version of the program wrote it, counts as not
/// learned: the next night learns anew.
pub(crate) fn versions<T: DeserializeOwned>(
    kept: impl IntoIterator<Item = (At, String)>,
) -> Arc<[(At, Arc<T>)]> {
    let read = |(at, body): (At, String)| match serde_json::from_str(&body) {
        Ok(lesson) => Some((at, Arc::new(lesson))),
        Err(error) => {
            tracing::warn!(learned.at = %at, %error, "what was learned cannot be read; it is learned anew");
            None
        }
    };
    kept.into_iter().filter_map(read).collect()
}

/// The last of what was kept, read where nobody waits for the thread.
async fn recent<T: DeserializeOwned + Send + Sync + 'static>(
    mut kept: Vec<(At, String)>,
) -> Result<Arc<[(At, Arc<T>)]>, RuntimeError> {
    let last = kept.split_off(kept.len().saturating_sub(RECENT));
    let reading = tokio::task::spawn_blocking(move || versions(last));
    reading.await.map_err(|_| RuntimeError::Panicked { what: "reading what was learned" })
}
