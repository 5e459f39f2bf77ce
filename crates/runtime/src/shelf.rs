//! The products a mail may show: what its cart and orders name, and what sells best. Counts nothing itself, predicts
//! nothing, and says no prices: they would have to be of the moment, and with the price per kilogram where the law
//! wants it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tokio::sync::Mutex;
use zyklus_model::{At, Delivery, Order, Product, Snapshot};
use zyklus_store::{Store, StoreError};

use crate::offers::{Offer, context};
use crate::template::ProductContext;

/// So far back best sellers are counted.
const WINDOW_DAYS: i64 = 90;
/// For so long a count is good enough.
const FRESH_MICROS: i64 = 3_600_000_000;
/// So many are kept, of which every customer is shown some they have not bought.
const KEPT: usize = 500;
/// So many a template is given at most.
const SHOWN: usize = 12;

/// The shop's best sellers, counted once an hour.
#[derive(Debug, Default)]
pub(crate) struct BestSellers(Mutex<Option<(At, Arc<[Product]>)>>);

impl BestSellers {
    /// Those of the last 90 days that can be bought.
    pub(crate) async fn at(&self, store: &Store, now: At) -> Result<Arc<[Product]>, StoreError> {
        let mut counted = self.0.lock().await;
        if let Some((at, best)) = &*counted
            && (0..FRESH_MICROS).contains(&(now.as_micros() - at.as_micros()))
        {
            return Ok(Arc::clone(best));
        }
        let best: Arc<[Product]> = store.best_sellers(now.plus_days(-WINDOW_DAYS), now, KEPT).await?.into();
        *counted = Some((now, Arc::clone(&best)));
        Ok(best)
    }
}

/// What one mail may show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf {
    /// What its cart and orders name.
    pub(crate) named: Vec<Product>,
    /// What sells best in the shop, most often bought first.
    pub(crate) best: Arc<[Product]>,
    /// What to offer this customer, best first.
    pub(crate) offers: Vec<Offer>,
    /// What the journey is about.
    pub(crate) about: Option<Product>,
}

impl Shelf {
    /// A product that a cart or an order names.
    pub(crate) fn named(&self, id: Option<&str>, system: &str) -> Option<&Product> {
        let id = id?;
        self.named.iter().find(|p| p.external_id == id && p.system == system)
    }

    /// Best sellers the customer has not bought.
    pub(crate) fn new_to(&self, snapshot: &Snapshot) -> Vec<ProductContext> {
        self.unbought(snapshot).take(SHOWN).map(context).collect()
    }

    /// Those of them that share a category with what an order has.
    pub(crate) fn related_to(&self, order: Option<&Order>, snapshot: &Snapshot) -> Vec<ProductContext> {
        let lines = order.into_iter().flat_map(|order| order.lines.iter().map(move |line| (line, order)));
        let categories: BTreeSet<&str> = lines
            .flat_map(|(line, order)| {
                let product = self.named(line.product.as_deref(), &order.system);
                line.categories.iter().chain(product.into_iter().flat_map(|p| &p.categories))
            })
            .map(String::as_str)
            .collect();
        let shares = |p: &&Product| p.categories.iter().any(|c| categories.contains(c.as_str()));
        self.unbought(snapshot).filter(shares).take(SHOWN).map(context).collect()
    }

    fn unbought(&self, snapshot: &Snapshot) -> impl Iterator<Item = &Product> {
        let bought: HashSet<(String, String)> = snapshot
            .orders
            .iter()
            .flat_map(|order| {
                order.lines.iter().filter_map(|l| Some((order.system.clone(), l.product.clone()?)))
            })
            .collect();
        let is_new = move |p: &&Product| !bought.contains(&(p.system.clone(), p.external_id.clone()));
        self.best.iter().filter(is_new)
    }
}

/// The products a mail's cart and order name, to be looked up before rendering.
pub(crate) fn products_named(snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for cart in snapshot.carts.iter().rev().take(3) {
        named.extend(cart.lines.iter().filter_map(|l| Some((cart.system.clone(), l.product.clone()?))));
    }
    for order in snapshot.orders.iter().rev().take(3) {
        named.extend(order.lines.iter().filter_map(|l| Some((order.system.clone(), l.product.clone()?))));
    }
    named.sort();
    named.dedup();
    named
}

/// The product that what started the journey names, if the customer has ordered it.
pub(crate) fn product_of_event(snapshot: &Snapshot, delivery: &Delivery) -> Option<(String, String)> {
    let product = delivery.payload.get("event")?.get("product_id")?.as_str()?;
    let has = |order: &&Order| order.lines.iter().any(|line| line.product.as_deref() == Some(product));
    snapshot.orders.iter().rev().find(has).map(|order| (order.system.clone(), product.to_owned()))
}
