//! What a connector reads out of another system, before identities are resolved.
//!
//! These types cross the plugin border: they are serialised as JSON, fields are only ever added, and every
//! field that can be missing has a default. Texts are cleaned and addresses folded by the store on the way in,
//! so a connector passes on what the shop says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::consent::{Channel, ConsentState, LegalBasis, Purpose};
use crate::delivery::ReceiptKind;
use crate::event::FeedbackKind;
use crate::money::{Currency, Money};
use crate::order::OrderState;
use crate::time::At;

/// One fact from another system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// A customer or a change of one.
    Customer(CustomerRecord),
    /// An order as it stands now, refunds included.
    Order(OrderRecord),
    /// A cart as it stands now.
    Cart(CartRecord),
    /// A product as it stands now.
    Product(ProductRecord),
    /// A coupon or promotion as it stands now.
    Coupon(CouponRecord),
    /// A review, survey answer or comment.
    Feedback(FeedbackRecord),
    /// Something that happened.
    Event(EventRecord),
    /// A customer's word on being contacted.
    Consent(ConsentRecord),
    /// A provider's word on a delivery.
    Receipt(ReceiptRecord),
    /// Something is gone.
    Deleted(DeletedRecord),
}

/// Whom a record is about. At least one of `external_id` and `email` is needed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomerRef {
    /// The customer's id in the system; `None` for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Their e-mail address as the system has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the system has proof that the address is theirs.
    pub email_verified: bool,
}

/// A customer as a system knows them. `None` means "the system does not say", never "empty".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomerRecord {
    /// Whom.
    #[serde(flatten)]
    pub customer: CustomerRef,
    /// Telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// When the system first knew them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<At>,
    /// When the system last changed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<At>,
    /// Whether they have an account; `None` = the record does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_account: Option<bool>,
    /// Groups or labels the shop put on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Anything else, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// One line of an order or cart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LineRecord {
    /// The product's id in the shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Stock-keeping unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// What the customer saw.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// What the line costs after discounts, tax included, minor units.
    pub total_minor: i64,
    /// The product's categories, if the order carries them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// Its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefundRecord {
    /// Its id in the shop.
    pub external_id: String,
    /// When; `None` = the shop does not say, the time we first hear of it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
    /// How much, positive, minor units of the order's currency.
    pub amount_minor: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An order as it stands now: a later record replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Its id in the shop.
    pub external_id: String,
    /// The number the customer knows.
    pub number: String,
    /// Who ordered.
    pub customer: CustomerRef,
    /// What else the order says about a guest (name, country, locale).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<CustomerRecord>>,
    /// Where it stands.
    pub state: OrderState,
    /// When it was placed.
    pub placed_at: At,
    /// When the shop last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<At>,
    /// When it was paid, shipped, delivered, cancelled, as far as the shop says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<At>,
    /// When it left the house.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped_at: Option<At>,
    /// When it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<At>,
    /// When it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<At>,
    /// What the customer paid, tax and shipping included.
    pub total: Money,
    /// What was bought.
    #[serde(default)]
    pub lines: Vec<LineRecord>,
    /// How many pieces; `None` = the sum of the lines' quantities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_count: Option<i64>,
    /// All refunds so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundRecord>,
    /// Coupon codes used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coupons: Vec<String>,
    /// The cart it grew from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cart: Option<String>,
}

impl OrderRecord {
    /// An order of which nothing is known but that it was placed; its number is its id.
    pub fn placed(
        external_id: impl Into<String>,
        customer: CustomerRef,
        placed_at: At,
        total: Money,
    ) -> Self {
        let external_id = external_id.into();
        OrderRecord {
            number: external_id.clone(),
            external_id,
            customer,
            profile: None,
            state: OrderState::Placed,
            placed_at,
            updated_at: None,
            paid_at: None,
            shipped_at: None,
            delivered_at: None,
            cancelled_at: None,
            total,
            lines: Vec::new(),
            item_count: None,
            refunds: Vec::new(),
            coupons: Vec::new(),
            cart: None,
        }
    }
}

/// A cart as it stands now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CartRecord {
    /// Its id in the shop.
    pub external_id: String,
    /// Whose.
    pub customer: CustomerRef,
    /// What else it says about a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<CustomerRecord>>,
    /// Open with something in it; false = ordered, emptied or abandoned for good.
    pub is_open: bool,
    /// When the customer last touched it.
    pub updated_at: At,
    /// What it would cost.
    pub total: Money,
    /// What is in it.
    #[serde(default)]
    pub lines: Vec<LineRecord>,
    /// Where the customer finds it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A product as it stands now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductRecord {
    /// Its id in the shop.
    pub external_id: String,
    /// What it is called.
    pub title: String,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// What it costs, tax included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Where it stands in the shop.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Whether it can be bought now.
    pub available: bool,
    /// When the shop last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<At>,
}

/// A coupon or promotion as it stands now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CouponRecord {
    /// Its id in the shop.
    pub external_id: String,
    /// What the customer types, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the shop calls it.
    pub name: String,
    /// Whether it works now, apart from its dates.
    pub enabled: bool,
    /// From when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<At>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<At>,
    /// Per cent off, if that is what it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// Amount off, if that is what it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// How often it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
}

/// A review, survey answer or comment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedbackRecord {
    /// Its id in the system.
    pub external_id: String,
    /// Whose.
    pub customer: CustomerRef,
    /// What kind.
    pub kind: FeedbackKind,
    /// The score on the kind's own scale (review and CSAT 1 to 5, NPS 0 to 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The product it is about, by its id in the shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// When it was given.
    pub at: At,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// The source's message id; `None` = name, customer and instant identify it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whose.
    pub customer: CustomerRef,
    /// Lower case, dotted.
    pub name: String,
    /// When.
    pub at: At,
    /// Whatever else.
    #[serde(default)]
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// A customer's word on being contacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsentRecord {
    /// Whose.
    pub customer: CustomerRef,
    /// By which way.
    pub channel: Channel,
    /// For what.
    pub purpose: Purpose,
    /// What they said.
    pub state: ConsentState,
    /// Why contacting is lawful.
    pub basis: LegalBasis,
    /// When they said it.
    pub at: At,
    /// The system does not say when, and `at` is the earliest it can have been. The same answer read again is then
    /// no new word, and another one than before counts from when it is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undated: bool,
    /// What proves it.
    #[serde(default)]
    pub evidence: serde_json::Value,
}

/// A provider's word on a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiptRecord {
    /// The provider's event id, against repeats.
    pub external_id: String,
    /// Our delivery id, if the provider carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The provider's reference of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
    /// What it reports.
    pub kind: ReceiptKind,
    /// The provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When.
    pub at: At,
}

/// Something is gone from the system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletedRecord {
    /// `customer`, `order`, `cart`, `product`, `coupon` or `feedback`.
    pub kind: String,
    /// Its id in the system.
    pub external_id: String,
    /// When, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

impl Record {
    /// The word for its kind, as in the `type` field.
    pub const fn kind(&self) -> &'static str {
        match self {
            Record::Customer(_) => "customer",
            Record::Order(_) => "order",
            Record::Cart(_) => "cart",
            Record::Product(_) => "product",
            Record::Coupon(_) => "coupon",
            Record::Feedback(_) => "feedback",
            Record::Event(_) => "event",
            Record::Consent(_) => "consent",
            Record::Receipt(_) => "receipt",
            Record::Deleted(_) => "deleted",
        }
    }

    /// Whom it is about, if it names a customer.
    pub fn customer(&self) -> Option<&CustomerRef> {
        match self {
            Record::Customer(r) => Some(&r.customer),
            Record::Order(r) => Some(&r.customer),
            Record::Cart(r) => Some(&r.customer),
            Record::Feedback(r) => Some(&r.customer),
            Record::Event(r) => Some(&r.customer),
            Record::Consent(r) => Some(&r.customer),
            Record::Product(_) | Record::Coupon(_) | Record::Receipt(_) | Record::Deleted(_) => None,
        }
    }

    /// The currency of its money, if it carries any.
    pub fn currency(&self) -> Option<Currency> {
        match self {
            Record::Order(r) => Some(r.total.currency),
            Record::Cart(r) => Some(r.total.currency),
            Record::Product(r) => r.price.map(|p| p.currency),
            Record::Coupon(r) => r.amount.map(|p| p.currency),
            Record::Customer(_)
            | Record::Feedback(_)
            | Record::Event(_)
            | Record::Consent(_)
            | Record::Receipt(_)
            | Record::Deleted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_cross_the_border_as_tagged_json() {
        let record = Record::Customer(CustomerRecord {
            customer: CustomerRef { external_id: Some("7".into()), ..CustomerRef::default() },
            first_name: Some("Ann".into()),
            ..CustomerRecord::default()
        });
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            r#"{"type":"customer","external_id":"7","email_verified":false,"first_name":"Ann"}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn fields_added_later_are_ignored() {
        let text = r#"{"type":"deleted","kind":"order","external_id":"9","added_in_2030":1}"#;
        assert!(serde_json::from_str::<Record>(text).is_ok());
    }
}
