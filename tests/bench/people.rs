//! Invented customers: the same for the same number, seed and instant. Plausible enough for every phase of the
//! lifecycle to occur (one-time buyers, regulars, lapsed ones); measures nothing.

use zyklus_model::{
    At, CartRecord, Channel, ConsentRecord, ConsentState, Currency, CustomerRecord, CustomerRef, LegalBasis,
    LineRecord, Money, OrderRecord, OrderState, Purpose, Record, RefundRecord,
};

use crate::dice::Dice;

const SEED: u64 = 0x5a79_6b6c_7573_0001;
const DAY: i64 = 86_400;

/// An order.
#[derive(Debug, Clone)]
pub(crate) struct Purchase {
    pub(crate) id: String,
    pub(crate) at: At,
    pub(crate) cents: i64,
    quantity: i64,
    product: i64,
    refunded: bool,
}

/// A customer with what they did.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    number: u64,
    german: bool,
    account_since: Option<At>,
    subscribed: bool,
    cart_at: Option<At>,
    pub(crate) purchases: Vec<Purchase>,
}

impl Person {
    /// The customer of this number, as of `now`.
    pub(crate) fn invent(number: u64, now: At) -> Self {
        let mut dice = Dice::of(SEED, number);
        let count = match dice.below(100) {
            0..8 => 0,
            8..58 => 1,
            58..78 => 2,
            _ => 3 + dice.below(5) + if dice.percent(20) { dice.below(12) } else { 0 },
        };
        let mean_gap = 12 * DAY + dice.below(70 * DAY);
        let joined = now.plus_seconds(-dice.below(720 * DAY) - 3_600);
        let mut at = joined;
        let mut purchases = Vec::new();
        for n in 0..count {
            if at >= now {
                break;
            }
            let quantity = 1 + dice.below(4);
            purchases.push(Purchase {
                id: format!("o{number}-{n}"),
                at,
                cents: quantity * (490 + dice.below(3_500)),
                quantity,
                product: dice.below(900),
                refunded: dice.percent(3),
            });
            at = at.plus_seconds(mean_gap / 4 + dice.below(mean_gap * 3 / 2));
        }
        Person {
            number,
            german: dice.percent(60),
            account_since: (purchases.is_empty() || dice.percent(40)).then_some(joined),
            subscribed: dice.percent(30),
            cart_at: dice.percent(4).then(|| now.plus_seconds(-dice.below(20 * DAY))),
            purchases,
        }
    }

    pub(crate) fn email(&self) -> String {
        format!("c{}@shop.example", self.number)
    }

    fn named(&self) -> CustomerRef {
        CustomerRef {
            external_id: self.account_since.map(|_| format!("c{}", self.number)),
            email: Some(self.email()),
            email_verified: true,
        }
    }

    fn profile(&self) -> CustomerRecord {
        CustomerRecord {
            customer: self.named(),
            first_name: Some(format!("Given{}", self.number % 400)),
            last_name: Some(format!("Family{}", self.number % 3_000)),
            locale: Some(if self.german { "de" } else { "en" }.to_owned()),
            country: Some(if self.german { "DE" } else { "GB" }.to_owned()),
            created_at: self.account_since,
            has_account: self.account_since.map(|_| true),
            ..CustomerRecord::default()
        }
    }

    /// All of it, as a shop's connector would read it.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        if self.account_since.is_some() {
            records.push(Record::Customer(self.profile()));
        }
        records.extend(self.purchases.iter().map(|purchase| Record::Order(self.order(purchase))));
        if self.subscribed {
            records.push(Record::Consent(ConsentRecord {
                customer: self.named(),
                channel: Channel::Email,
                purpose: Purpose::Marketing,
                state: ConsentState::Granted,
                basis: LegalBasis::Consent,
                at: self.purchases.first().map_or(At::from_seconds(1_700_000_000), |first| first.at),
                undated: false,
                evidence: serde_json::json!({ "form": "footer" }),
            }));
        }
        records.extend(self.cart_at.map(|updated_at| {
            Record::Cart(CartRecord {
                external_id: format!("k{}", self.number),
                customer: self.named(),
                profile: None,
                is_open: true,
                updated_at,
                total: Money::new(2_990, Currency::EUR),
                lines: vec![line(self.number.cast_signed() % 900, 1, 2_990)],
                url: None,
            })
        }));
        records
    }

    /// One more order of theirs, placed at `at`.
    pub(crate) fn orders_again(&self, at: At, id: String) -> Record {
        let purchase = Purchase { id, at, cents: 3_980, quantity: 2, product: 7, refunded: false };
        Record::Order(self.order(&purchase))
    }

    fn order(&self, purchase: &Purchase) -> OrderRecord {
        let refund = || RefundRecord {
            external_id: format!("r-{}", purchase.id),
            at: Some(purchase.at.plus_days(5)),
            amount_minor: purchase.cents / 2,
            reason: None,
        };
        OrderRecord {
            external_id: purchase.id.clone(),
            number: purchase.id.to_uppercase(),
            customer: self.named(),
            profile: self.account_since.is_none().then(|| Box::new(self.profile())),
            state: OrderState::Placed,
            placed_at: purchase.at,
            updated_at: None,
            paid_at: Some(purchase.at.plus_seconds(60)),
            shipped_at: None,
            delivered_at: None,
            cancelled_at: None,
            total: Money::new(purchase.cents, Currency::EUR),
            lines: vec![line(purchase.product, purchase.quantity, purchase.cents)],
            item_count: None,
            refunds: purchase.refunded.then(refund).into_iter().collect(),
            coupons: Vec::new(),
            cart: None,
        }
    }
}

fn line(product: i64, quantity: i64, total_minor: i64) -> LineRecord {
    LineRecord {
        product: Some(format!("p{product}")),
        title: format!("Thing {product}"),
        quantity,
        total_minor,
        categories: vec![format!("shelf-{}", product % 12)],
        ..LineRecord::default()
    }
}
