//! Stories: who somebody was, what they did, and what they should get. Decides nothing.

use serde_json::json;
use zyklus_model::{At, ConsentState, FeedbackKind, Mark, MarkKind, Order, OrderLine, Origin, Snapshot};

use crate::person::{Told, ago, news, now, somebody};

/// What somebody does at an instant.
pub(crate) type Act = fn(Snapshot, At) -> Snapshot;

/// Who they were, what they do live and when (days from now), and what they get in the ninety days after.
pub(crate) struct Story {
    pub(crate) who: &'static str,
    pub(crate) was: Snapshot,
    pub(crate) acts: Vec<(i64, Act)>,
    /// The journey that is meant for them, which must have started.
    pub(crate) journey: &'static str,
    /// Local time and template of everything they get.
    pub(crate) mails: &'static [(&'static str, &'static str)],
}

pub(crate) fn agree(s: Snapshot, when: At) -> Snapshot {
    let granted = json!({ "channel": "email", "purpose": "marketing" });
    s.consent(when, ConsentState::Granted).event("consent.granted", when, Origin::Live, granted)
}

pub(crate) fn ask(s: Snapshot, when: At) -> Snapshot {
    let asked = json!({ "channel": "email", "purpose": "marketing" });
    s.consent(when, ConsentState::Pending).event("consent.requested", when, Origin::Live, asked)
}

pub(crate) fn buy(s: Snapshot, when: At) -> Snapshot {
    s.order_from(when, Origin::Live)
}

fn coffee(order: &mut Order) {
    order.lines.push(OrderLine {
        product: Some("coffee".into()),
        sku: None,
        title: "Coffee".into(),
        quantity: 1,
        total_minor: order.total.amount_minor,
        categories: Vec::new(),
    });
}

pub(crate) fn buy_coffee(s: Snapshot, when: At) -> Snapshot {
    buy(s, when).edit(|s| s.orders.last_mut().into_iter().for_each(coffee))
}

pub(crate) fn fill_cart(s: Snapshot, when: At) -> Snapshot {
    let event = json!({ "cart_id": "c1" });
    let s = s.edit(|s| s.carts.clear());
    s.cart(when).event("cart.updated", when, Origin::Live, event)
}

pub(crate) fn praise(s: Snapshot, when: At) -> Snapshot {
    s.says(FeedbackKind::Nps, 10.0, when)
}

pub(crate) fn receive(s: Snapshot, when: At) -> Snapshot {
    s.edit(|s| {
        let mark = Mark { kind: MarkKind::Delivered, at: when, received_at: when, origin: Origin::Live };
        s.orders.last_mut().unwrap().marks.push(mark);
    })
}

pub(crate) fn click(s: Snapshot, when: At) -> Snapshot {
    s.event("mail.clicked", when, Origin::Live, json!({}))
}

pub(crate) fn send_back(s: Snapshot, when: At) -> Snapshot {
    s.refunded(0, -(when.micros_since(now()) / zyklus_model::DAY_MICROS))
}

pub(crate) fn one_more(s: Snapshot, when: At) -> Snapshot {
    s.edit(|s| s.deliveries.push(news(when)))
}

pub(crate) fn agreed(orders: &[i64]) -> Snapshot {
    somebody(500).consent(ago(500), ConsentState::Granted).orders(orders)
}

/// Five mails in a year and no reaction: one more, and it is six.
pub(crate) fn silent() -> Snapshot {
    agreed(&[]).was_sent(&[300, 200, 100, 50, 30])
}

pub(crate) fn stories() -> Vec<Story> {
    let quiet = agreed(&[]);
    vec![
        Story {
            who: "types an address in",
            was: somebody(2),
            acts: vec![(0, ask)],
            journey: "confirm",
            mails: &[("03-03 08:00", "confirm-signup")],
        },
        Story {
            who: "types an address in, and confirms a day later",
            was: somebody(2),
            acts: vec![(0, ask), (1, agree)],
            journey: "welcome",
            mails: &[
                ("03-03 08:00", "confirm-signup"),
                ("03-04 08:00", "welcome-1"),
                ("03-07 10:00", "welcome-2-bestsellers"),
                ("03-11 10:00", "welcome-3-reminder"),
                ("03-19 10:00", "convert-first-look"),
            ],
        },
        Story {
            who: "agrees, and does nothing",
            was: somebody(1),
            acts: vec![(0, agree)],
            journey: "first-look",
            mails: &[
                ("03-03 08:00", "welcome-1"),
                ("03-06 10:00", "welcome-2-bestsellers"),
                ("03-10 10:00", "welcome-3-reminder"),
                ("03-18 10:00", "convert-first-look"),
            ],
        },
        Story {
            who: "buys coffee every thirty days",
            was: agreed(&[90, 60, 30]).edit(|s| s.orders.iter_mut().for_each(coffee)),
            acts: vec![(0, buy_coffee)],
            journey: "replenish",
            mails: &[
                ("03-24 17:00", "review-request"),
                ("03-30 10:00", "replenish"),
                ("05-02 10:00", "at-risk-news"),
            ],
        },
        Story {
            who: "agrees, and buys after two days",
            was: somebody(1),
            acts: vec![(0, agree), (2, buy)],
            journey: "first-order-care",
            mails: &[
                ("03-03 08:00", "welcome-1"),
                ("03-15 09:30", "care-how-to"),
                ("03-24 17:00", "review-request"),
                ("04-04 10:00", "cross-sell-category"),
            ],
        },
        Story {
            who: "agrees, and leaves a cart at once",
            was: somebody(1),
            acts: vec![(0, agree), (0, fill_cart)],
            journey: "abandoned-cart",
            mails: &[("03-03 08:00", "welcome-1"), ("03-03 10:00", "cart-1"), ("03-04 18:00", "cart-2")],
        },
        Story {
            who: "leaves a cart",
            was: quiet.clone(),
            acts: vec![(0, fill_cart)],
            journey: "abandoned-cart",
            mails: &[("03-03 10:00", "cart-1"), ("03-04 18:00", "cart-2")],
        },
        Story {
            who: "leaves a cart without having agreed to mails",
            was: somebody(30),
            acts: vec![(0, fill_cart)],
            journey: "abandoned-cart",
            mails: &[],
        },
        Story {
            who: "fills a cart again and again for three days",
            was: quiet.clone(),
            acts: vec![(0, fill_cart), (1, fill_cart), (2, fill_cart)],
            journey: "abandoned-cart",
            mails: &[("03-03 10:00", "cart-1"), ("03-06 18:00", "cart-2")],
        },
        Story {
            who: "leaves a cart, and buys the next day",
            was: quiet.clone(),
            acts: vec![(0, fill_cart), (1, buy)],
            journey: "abandoned-cart",
            mails: &[
                ("03-03 10:00", "cart-1"),
                ("03-14 09:30", "care-how-to"),
                ("03-23 17:00", "review-request"),
                ("04-03 10:00", "cross-sell-category"),
            ],
        },
        Story {
            who: "buys for the first time",
            was: quiet.clone(),
            acts: vec![(0, buy)],
            journey: "cross-sell",
            mails: &[
                ("03-13 09:30", "care-how-to"),
                ("03-22 17:00", "review-request"),
                ("04-02 10:00", "cross-sell-category"),
            ],
        },
        Story {
            who: "buys for the first time, and has it in three days",
            was: quiet.clone(),
            acts: vec![(0, buy), (3, receive)],
            journey: "first-order-care",
            mails: &[
                ("03-07 09:30", "care-how-to"),
                ("03-16 17:00", "review-request"),
                ("04-02 10:00", "cross-sell-category"),
            ],
        },
        Story {
            who: "buys for the first time, and sends it back",
            was: quiet.clone(),
            acts: vec![(0, buy), (12, send_back)],
            journey: "first-order-care",
            mails: &[("03-13 09:30", "care-how-to")],
        },
        Story {
            who: "buys for the third time",
            was: agreed(&[60, 30]),
            acts: vec![(0, buy)],
            journey: "loyal-thanks",
            mails: &[
                ("03-05 10:00", "loyal-thank-you"),
                ("03-24 17:00", "review-request"),
                ("05-02 10:00", "at-risk-news"),
            ],
        },
        Story {
            who: "gives ten of ten",
            was: agreed(&[60, 30, 10]),
            acts: vec![(0, praise)],
            journey: "advocate-thanks",
            mails: &[("03-04 10:00", "advocate-thanks"), ("04-12 10:00", "at-risk-news")],
        },
        Story {
            who: "has not bought for 90 days",
            was: agreed(&[89]),
            acts: vec![],
            journey: "at-risk-news",
            mails: &[("03-04 10:00", "at-risk-news")],
        },
        Story {
            who: "has not bought for 180 days",
            was: agreed(&[179]),
            acts: vec![],
            journey: "win-back",
            mails: &[("03-04 10:00", "win-back-1-news"), ("04-03 10:00", "win-back-3-stay-or-go")],
        },
        Story {
            who: "comes back after a year",
            was: agreed(&[400, 370]),
            acts: vec![(0, buy)],
            journey: "won-back",
            mails: &[
                ("03-04 10:00", "won-back-welcome"),
                ("03-24 17:00", "review-request"),
                ("05-04 10:00", "loyal-thank-you"),
            ],
        },
        Story {
            who: "has not reacted for a year, while the farewell is in shadow mode",
            was: silent(),
            acts: vec![(0, one_more)],
            journey: "sunset",
            mails: &[],
        },
    ]
}
