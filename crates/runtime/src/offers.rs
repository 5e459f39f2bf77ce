//! What to offer a customer: what was learned of the shop's products, asked with the customer's own orders, in words of the
//! mail's language. Never offers what cannot be bought, and says no prices.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::Mutex;
use zyklus_engine::outlook::day_of;
use zyklus_insight::recommend::{Goods, Line, Reason};
use zyklus_model::{At, Product, Snapshot};
use zyklus_store::{Lesson, Store};

use crate::error::RuntimeError;
use crate::template::{ProductContext, TemplateLocale};

/// For so long it is not asked whether something was learned since.
const FRESH_MICROS: i64 = 600_000_000;
/// So many are given to a template at most.
const SHOWN: usize = 12;
/// So many are looked up: some of them cannot be bought.
const WANTED: usize = 36;

/// What was learned of the products last.
#[derive(Debug, Default)]
pub(crate) struct LatestGoods(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    asked_at: At,
    learned_at: Option<At>,
    goods: Option<Arc<Goods>>,
}

impl LatestGoods {
    /// It, as of an instant; nothing before anything was learned.
    pub(crate) async fn at(&self, store: &Store, now: At) -> Result<Option<Arc<Goods>>, RuntimeError> {
        let mut known = self.0.lock().await;
        if let Some(known) = &*known
            && (0..FRESH_MICROS).contains(&(now.as_micros() - known.asked_at.as_micros()))
        {
            return Ok(known.goods.clone());
        }
        let learned_at = store.learned_at(Lesson::Goods, At::MAX).await?;
        let goods = match &*known {
            Some(known) if known.learned_at == learned_at => known.goods.clone(),
            _ => goods_of(store).await?,
        };
        *known = Some(Known { asked_at: now, learned_at, goods: goods.clone() });
        Ok(goods)
    }
}

/// What is kept of what was learned of the products.
pub(crate) async fn goods_of(store: &Store) -> Result<Option<Arc<Goods>>, RuntimeError> {
    let Some((_, text)) = store.learned_by(Lesson::Goods, At::MAX).await? else { return Ok(None) };
    // Thousands of products: not on a thread that others wait for.
    let reading = tokio::task::spawn_blocking(move || serde_json::from_str::<Goods>(&text));
    match reading.await.map_err(|_| RuntimeError::Panicked { what: "reading what was learned" })? {
        Ok(goods) => Ok(Some(Arc::new(goods.indexed()))),
        Err(error) => {
            tracing::warn!(%error, "what was learned of the products cannot be read; it is learned anew");
            Ok(None)
        }
    }
}

/// System and id of a product.
pub(crate) type Name = (String, String);

/// A product to offer, by name, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) product: Name,
    pub(crate) why: Why<Name>,
}

/// Why a product is offered; `P` is how the one it goes with is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why<P> {
    /// Customers who have that one have it, too.
    Together(P),
    /// Others bought it next after that one.
    Next(P),
    /// The customer's own is running out: they buy it every so many days.
    Due(u32),
    /// It sells well.
    Popular,
}

/// What to offer a customer on the day of `now`, best first.
pub(crate) fn wanted(goods: &Goods, snapshot: &Snapshot, zone: &TimeZone, now: At) -> Vec<Wanted> {
    let orders = snapshot.orders.iter().filter(|order| order.placed_at <= now && order.counts_at(now));
    let lines = orders.flat_map(|order| {
        let day = day_of(order.placed_at, zone);
        order.lines.iter().filter_map(move |line| {
            let item = goods.place(&order.system, line.product.as_deref()?)?;
            let quantity = u32::try_from(line.quantity.max(0)).unwrap_or(u32::MAX);
            Some(Line { customer: 0, item, day, quantity })
        })
    });
    let name = |item: u32| goods.products().get(item as usize).cloned();
    let found = goods.recommend(lines.collect(), day_of(now, zone), WANTED, &BTreeSet::new());
    let wanted = found.into_iter().filter_map(|offer| {
        let why = match offer.reason {
            Reason::BoughtTogether { with, .. } => Why::Together(name(with)?),
            Reason::BoughtNext { after, .. } => Why::Next(name(after)?),
            Reason::DueAgain { every_days } => Why::Due(every_days),
            Reason::Popular => Why::Popular,
        };
        Some(Wanted { product: name(offer.item)?, why })
    });
    wanted.collect()
}

/// The names of the products that some wishes speak of.
pub(crate) fn names(wanted: &[Wanted]) -> impl Iterator<Item = Name> + '_ {
    wanted.iter().flat_map(|wish| {
        let with = match &wish.why {
            Why::Together(with) | Why::Next(with) => Some(with.clone()),
            Why::Due(_) | Why::Popular => None,
        };
        [Some(wish.product.clone()), with].into_iter().flatten()
    })
}

/// A product to offer.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    product: Product,
    why: Why<Product>,
}

/// Those of the wishes whose products can be bought.
pub(crate) fn offers(wanted: &[Wanted], products: &HashMap<Name, Product>) -> Vec<Offer> {
    let known = wanted.iter().filter_map(|wish| {
        let product = products.get(&wish.product).filter(|product| product.available)?.clone();
        let why = match &wish.why {
            // A product the shop no longer has gives no reason, but the offer stands.
            Why::Together(with) => products.get(with).cloned().map_or(Why::Popular, Why::Together),
            Why::Next(after) => products.get(after).cloned().map_or(Why::Popular, Why::Next),
            Why::Due(days) => Why::Due(*days),
            Why::Popular => Why::Popular,
        };
        Some(Offer { product, why })
    });
    known.take(SHOWN).collect()
}

impl Offer {
    /// As templates see it.
    pub(crate) fn shown(&self, locale: TemplateLocale) -> ProductContext {
        ProductContext { because: Some(self.because(locale)), ..context(&self.product) }
    }

    /// The product it goes with.
    pub(crate) fn origin(&self) -> Option<ProductContext> {
        match &self.why {
            Why::Together(with) | Why::Next(with) => Some(context(with)),
            Why::Due(_) | Why::Popular => None,
        }
    }

    fn because(&self, locale: TemplateLocale) -> String {
        let is_english = locale == TemplateLocale::En;
        match &self.why {
            Why::Together(with) if is_english => format!("Goes with {}", with.title),
            Why::Together(with) => format!("Passt zu {}", with.title),
            Why::Next(after) if is_english => format!("What others chose after {}", after.title),
            Why::Next(after) => format!("Was andere nach {} genommen haben", after.title),
            Why::Due(_) if is_english => "May be running low".to_owned(),
            Why::Due(_) => "Könnte zur Neige gehen".to_owned(),
            Why::Popular if is_english => "Popular at the moment".to_owned(),
            Why::Popular => "Zurzeit beliebt".to_owned(),
        }
    }
}

/// A product as templates see it.
pub(crate) fn context(product: &Product) -> ProductContext {
    ProductContext {
        id: product.external_id.clone(),
        title: product.title.clone(),
        url: product.url.clone(),
        image_url: product.image_url.clone(),
        ..ProductContext::default()
    }
}
