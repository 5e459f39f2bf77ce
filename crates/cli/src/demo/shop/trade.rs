//! What happens in the shop, as plain data with its instants. Says nothing about how it comes about.

use zyklus_model::At;

use super::people::Home;

/// Somebody who left an address.
pub(super) struct Person {
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    pub(super) email: String,
    pub(super) phone: Option<String>,
    pub(super) home: &'static Home,
    /// How they say they found the shop.
    pub(super) found_by: &'static str,
    /// Since when the shop's customer list has them; `None` = only ever a guest.
    pub(super) listed_at: Option<At>,
    /// Since when they have an account.
    pub(super) account_at: Option<At>,
    /// When they followed the link sent to their address.
    pub(super) confirmed_at: Option<At>,
}

/// One product in a cart or order.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) product: usize,
    pub(super) quantity: i64,
    /// What the line costs, after discounts, in cents.
    pub(super) cents: i64,
}

/// Money that goes back.
pub(super) struct Refund {
    pub(super) at: At,
    pub(super) cents: i64,
    pub(super) reason: &'static str,
}

/// An order with everything that will become of it.
pub(super) struct Order {
    pub(super) person: usize,
    pub(super) placed_at: At,
    pub(super) paid_at: At,
    /// Sent and delivered, unless it is cancelled first.
    pub(super) fate: Fate,
    pub(super) lines: Vec<Line>,
    pub(super) postage: i64,
    pub(super) coupon: Option<&'static str>,
    pub(super) cart: Option<String>,
}

/// What becomes of an order.
pub(super) enum Fate {
    Cancelled(At),
    Delivered { shipped_at: At, delivered_at: At, refund: Option<Refund> },
}

/// A saved cart.
pub(super) struct Cart {
    pub(super) id: String,
    pub(super) person: usize,
    pub(super) opened_at: At,
    /// When it was ordered, or cleared after a month.
    pub(super) closed_at: At,
    pub(super) lines: Vec<Line>,
}

/// A review (with a product) or an answer to "would you recommend us" (without).
pub(super) struct Feedback {
    pub(super) id: String,
    pub(super) person: usize,
    pub(super) at: At,
    pub(super) product: Option<usize>,
    pub(super) score: i64,
    pub(super) text: &'static str,
}

/// A word about the newsletter.
pub(super) struct Consent {
    pub(super) person: usize,
    pub(super) at: At,
    pub(super) state: &'static str,
    /// Where it was said.
    pub(super) form: &'static str,
    /// Which wording was shown.
    pub(super) wording: &'static str,
    /// The network it came from, without the last part of the address.
    pub(super) network: &'static str,
    /// When it was asked for, if this confirms it.
    pub(super) asked_at: Option<At>,
}

/// Something seen in the shop's pages.
pub(super) struct Event {
    pub(super) id: String,
    pub(super) person: usize,
    pub(super) at: At,
    pub(super) name: &'static str,
    pub(super) product: Option<usize>,
    pub(super) category: usize,
    pub(super) seconds: i64,
}

/// Everything that happens.
#[derive(Default)]
pub(super) struct Trade {
    pub(super) people: Vec<Person>,
    pub(super) orders: Vec<Order>,
    pub(super) carts: Vec<Cart>,
    pub(super) feedback: Vec<Feedback>,
    pub(super) consents: Vec<Consent>,
    pub(super) events: Vec<Event>,
}

impl Trade {
    /// Brings everything into the order of time, as a shop's tables have it.
    pub(super) fn sort(&mut self) {
        self.orders.sort_by_key(|o| (o.placed_at, o.person));
        self.carts.sort_by(|a, b| (a.opened_at, &a.id).cmp(&(b.opened_at, &b.id)));
        self.feedback.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        self.consents.sort_by_key(|c| (c.at, c.person));
        self.events.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    }
}
