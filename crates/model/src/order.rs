//! What was bought, returned, or left in the cart. Never computes a customer's figures: the engine does.

use serde::{Deserialize, Serialize};

use crate::consent::words;
use crate::id::{OrderId, ProductId};
use crate::money::Money;
use crate::origin::Origin;
use crate::time::At;

words! {
    /// Where an order stands.
    OrderState {
        /// Placed; it counts.
        Placed = "placed",
        /// Cancelled as a whole; it counts for nothing.
        Cancelled = "cancelled",
    }
}

words! {
    /// A dated step in an order's life; each is an event named `order.<word>`.
    MarkKind {
        /// The customer bought.
        Placed = "placed",
        /// The money arrived.
        Paid = "paid",
        /// It left the house.
        Shipped = "shipped",
        /// It arrived.
        Delivered = "delivered",
        /// Money went back.
        Refunded = "refunded",
        /// The order was cancelled.
        Cancelled = "cancelled",
    }
}

/// When a step happened and how we learnt of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which step.
    pub kind: MarkKind,
    /// When it happened in the shop.
    pub at: At,
    /// When we heard.
    pub received_at: At,
    /// Whether it may start a journey.
    pub origin: Origin,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// The product's id in the shop, if it has one.
    pub product: Option<String>,
    /// Stock-keeping unit.
    pub sku: Option<String>,
    /// What the customer saw.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// What the line cost after discounts, tax included, in the order's currency.
    pub total_minor: i64,
    /// The product's categories when it was bought.
    #[serde(default)]
    pub categories: Vec<String>,
}

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its id in the shop.
    pub external_id: String,
    /// When.
    pub at: At,
    /// How much, positive, in the order's currency.
    pub amount_minor: i64,
    /// Why, in the shop's words.
    pub reason: Option<String>,
}

/// One order, resolved to a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Our id.
    pub id: OrderId,
    /// The connector it came through.
    pub system: String,
    /// Its id in the shop.
    pub external_id: String,
    /// The number the customer knows.
    pub number: String,
    /// Where it stands.
    pub state: OrderState,
    /// When it was placed.
    pub placed_at: At,
    /// What the customer paid, tax and shipping included.
    pub total: Money,
    /// `total` in the reporting currency's minor units; `None` while there is no rate.
    pub total_reporting_minor: Option<i64>,
    /// Money that went back.
    pub refunds: Vec<Refund>,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// How many pieces.
    pub item_count: i64,
    /// Coupon codes used, as typed.
    pub coupons: Vec<String>,
    /// The cart it grew from, if the shop says so.
    pub cart: Option<String>,
    /// Dated steps after `placed`.
    pub marks: Vec<Mark>,
    /// When we first heard of it.
    pub received_at: At,
    /// How we first heard of it.
    pub origin: Origin,
}

impl Order {
    /// Whether it counts at an instant: placed and not cancelled by then.
    pub fn counts_at(&self, at: At) -> bool {
        let cancelled_later = || self.marks.iter().any(|m| m.kind == MarkKind::Cancelled && m.at > at);
        self.placed_at <= at && (self.state == OrderState::Placed || cancelled_later())
    }

    /// Minor units that had gone back by an instant, in the order's currency, never more than the total.
    pub fn refunded_minor_at(&self, at: At) -> i64 {
        let back = self.refunds.iter().filter(|r| r.at <= at);
        let sum = back.fold(0i64, |sum, r| sum.saturating_add(r.amount_minor));
        sum.clamp(0, self.total.amount_minor.max(0))
    }

    /// The same of all refunds known.
    pub fn refunded_minor(&self) -> i64 {
        self.refunded_minor_at(At::MAX)
    }

    /// What it came to and what of that had gone back by an instant, in the reporting currency's minor units:
    /// the share that went back of the total, rounded. `None` without a rate.
    pub fn reporting_minor_at(&self, at: At) -> Option<(i64, i64)> {
        let total = self.total_reporting_minor?;
        let back = self.refunded_minor_at(at);
        if back == 0 {
            return Some((total, 0));
        }
        let share = back as f64 / self.total.amount_minor as f64;
        Some((total, (total as f64 * share).round() as i64))
    }

    /// What remains after refunds, in the reporting currency's minor units; `None` without a rate. Zero when
    /// cancelled.
    pub fn net_reporting_minor(&self) -> Option<i64> {
        if self.state == OrderState::Cancelled {
            return Some(0);
        }
        self.reporting_minor_at(At::MAX).map(|(total, back)| total - back)
    }

    /// Whether nothing of it is left: cancelled, or wholly refunded.
    pub fn is_void(&self) -> bool {
        self.state == OrderState::Cancelled
            || (self.total.amount_minor > 0 && self.refunded_minor() >= self.total.amount_minor)
    }
}

/// One line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// The product's id in the shop.
    pub product: Option<String>,
    /// What the customer saw.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// What the line costs now.
    pub total_minor: i64,
    /// A picture of it.
    pub image_url: Option<String>,
    /// Its page in the shop.
    pub url: Option<String>,
}

/// A cart that was not (yet) ordered, or was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    /// The connector it came through.
    pub system: String,
    /// Its id in the shop.
    pub external_id: String,
    /// Still open, with something in it.
    pub is_open: bool,
    /// When the customer last touched it.
    pub updated_at: At,
    /// What it would cost.
    pub total: Money,
    /// `total` in the reporting currency's minor units.
    pub total_reporting_minor: Option<i64>,
    /// What is in it.
    pub lines: Vec<CartLine>,
    /// Where the customer finds it again.
    pub url: Option<String>,
}

/// Something the shop sells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Our id.
    pub id: ProductId,
    /// The connector it came through.
    pub system: String,
    /// Its id in the shop.
    pub external_id: String,
    /// What it is called.
    pub title: String,
    /// Its page.
    pub url: Option<String>,
    /// Its picture.
    pub image_url: Option<String>,
    /// What it costs.
    pub price: Option<Money>,
    /// Where it stands in the shop.
    pub categories: Vec<String>,
    /// Whether it can be bought now.
    pub available: bool,
}
