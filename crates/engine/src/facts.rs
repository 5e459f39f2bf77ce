//! What conditions read: one customer's snapshot, looked at as of an instant. Facts dated later are invisible.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use zyklus_model::{
    At, Cart, Channel, ConsentState, DAY_MICROS, Delivery, DeliveryKind, DeliveryState, Event, MarkKind,
    Order, OrderState, Origin, Purpose, Run, RunState, Snapshot,
};

use crate::book::Book;
use crate::condition::{FieldId, Fields, FunctionId, Timed, Value};
use crate::outlook::{Falling, Outlook};
use crate::playbook::SENT_BEFORE;

mod predictions;
mod recommend;
mod rhythm;
mod voice;

use predictions::whole_days;
use rhythm::Rhythm;
use voice::Heard;
pub(crate) use voice::MOODS;

/// The run a condition is judged for.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunFacts<'s> {
    /// The event: the starting one, in a goal the later one.
    pub event: Option<&'s Map<String, Json>>,
    /// The key.
    pub key: Option<&'s str>,
    /// The run, once it exists.
    pub run: Option<&'s Run>,
}

/// The phase a customer stands in while deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The phase.
    pub phase: Arc<str>,
    /// Since when.
    pub since: At,
    /// The one before.
    pub previous: Option<Arc<str>>,
}

/// Figures over the orders that count at an instant.
#[derive(Debug, Default)]
struct OrderFigures {
    count: i64,
    revenue_minor: i64,
    paid_minor: i64,
    refunded_minor: i64,
    refund_count: i64,
    first_at: Option<At>,
    last_at: Option<At>,
}

/// A snapshot as of an instant.
pub struct View<'s> {
    snapshot: &'s Snapshot,
    at: At,
    /// 10 to the power of the reporting currency's decimals.
    scale: f64,
    /// Nothing remembered below depends on it.
    pub(crate) standing: Option<Standing>,
    /// Runs as they are while deciding, in place of the snapshot's.
    runs: Option<&'s [Run]>,
    facts: RunFacts<'s>,
    book: Option<&'s Book>,
    orders: OnceCell<OrderFigures>,
    cart: OnceCell<Option<&'s Cart>>,
    outlook: OnceCell<Option<Outlook<'s>>>,
    rhythm: OnceCell<Option<Rhythm<'s>>>,
    recommendable: OnceCell<Timed>,
    heard: Heard,
}

impl<'s> View<'s> {
    /// The snapshot as of `at`; `decimals` are the reporting currency's.
    pub fn new(snapshot: &'s Snapshot, at: At, decimals: u8, standing: Option<Standing>) -> Self {
        View {
            snapshot,
            at,
            scale: 10f64.powi(i32::from(decimals)),
            standing,
            runs: None,
            facts: RunFacts::default(),
            book: None,
            orders: OnceCell::new(),
            cart: OnceCell::new(),
            outlook: OnceCell::new(),
            rhythm: OnceCell::new(),
            recommendable: OnceCell::new(),
            heard: Heard::default(),
        }
    }

    /// The same with runs as they are while deciding.
    #[must_use]
    pub fn with_runs(mut self, runs: &'s [Run]) -> Self {
        self.runs = Some(runs);
        self
    }

    /// The same for a run.
    #[must_use]
    pub fn for_run(mut self, facts: RunFacts<'s>) -> Self {
        self.facts = facts;
        self
    }

    /// The same knowing which products cannot be bought and what journeys were called before.
    #[must_use]
    pub fn with_book(mut self, book: &'s Book) -> Self {
        self.book = Some(book);
        self
    }

    /// The earliest instant after this view's at which a fact dated in the future becomes visible.
    pub fn next_fact(&self) -> Option<At> {
        next_fact(self.snapshot, self.at)
    }

    fn visible_orders(&self) -> impl Iterator<Item = &'s Order> {
        let at = self.at;
        self.snapshot.orders.iter().take_while(move |o| o.placed_at <= at).filter(move |o| o.counts_at(at))
    }

    fn figures(&self) -> &OrderFigures {
        self.orders.get_or_init(|| {
            let mut figures = OrderFigures::default();
            for order in self.visible_orders() {
                figures.count += 1;
                figures.first_at.get_or_insert(order.placed_at);
                figures.last_at = Some(order.placed_at);
                let (total, refunded) = order.reporting_minor_at(self.at).unwrap_or_default();
                let refunds = order.refunds.iter().filter(|r| r.at <= self.at).count();
                figures.refund_count += i64::try_from(refunds).unwrap_or(i64::MAX);
                figures.paid_minor = figures.paid_minor.saturating_add(total);
                figures.refunded_minor = figures.refunded_minor.saturating_add(refunded);
                figures.revenue_minor = figures.revenue_minor.saturating_add(total - refunded);
            }
            figures
        })
    }

    fn open_cart(&self) -> Option<&'s Cart> {
        *self.cart.get_or_init(|| {
            let newest = self.snapshot.carts.iter().rev().find(|c| c.updated_at <= self.at && c.is_open)?;
            // An order placed after the cart was last touched is taken for the cart's end, whatever the shop
            // still says of it.
            let ordered = self.visible_orders().any(|o| {
                o.cart.as_deref() == Some(newest.external_id.as_str())
                    || (o.system == newest.system && o.placed_at >= newest.updated_at)
            });
            (!ordered).then_some(newest)
        })
    }

    fn money(&self, minor: i64) -> Value {
        Value::Double(minor as f64 / self.scale)
    }

    fn runs(&self) -> &'s [Run] {
        self.runs.unwrap_or(&self.snapshot.runs)
    }

    /// Messages handed over, oldest first, with the instant they count from.
    fn sent(&self) -> impl DoubleEndedIterator<Item = At> {
        let at = self.at;
        self.snapshot
            .deliveries
            .iter()
            .filter(|d| d.kind == DeliveryKind::Message && d.state.counts())
            .map(handed_over)
            .filter(move |sent| *sent <= at)
    }

    fn clicks(&self) -> impl DoubleEndedIterator<Item = At> {
        let at = self.at;
        self.snapshot
            .events
            .iter()
            .filter(move |e| e.occurred_at <= at && e.name == "mail.clicked")
            .map(|e| e.occurred_at)
    }

    fn feedback(&self) -> impl DoubleEndedIterator<Item = &'s zyklus_model::Feedback> {
        let at = self.at;
        self.snapshot.feedback.iter().filter(move |f| f.at <= at)
    }

    /// Whether the customer's latest word on a channel and purpose is yes.
    pub fn consents(&self, channel: Channel, purpose: Purpose) -> bool {
        let latest = self.snapshot.last_word(channel, purpose, self.at);
        latest.is_some_and(|c| c.state == ConsentState::Granted)
    }

    fn tags(&self) -> Timed {
        let here = |t: &&zyklus_model::Tag| t.since <= self.at && t.until.is_none_or(|until| until > self.at);
        let tags = Value::texts(self.snapshot.tags.iter().filter(here).map(|t| t.tag.as_str()));
        let ends = self.snapshot.tags.iter().filter(here).filter_map(|t| t.until);
        let begins = self.snapshot.tags.iter().map(|t| t.since).filter(|since| *since > self.at);
        Timed::until(tags, ends.chain(begins).min())
    }

    /// How many of some instants (oldest first) lie in the last so many days, and until when.
    fn windowed(&self, instants: impl DoubleEndedIterator<Item = At>, days: i64) -> Timed {
        let window = days.clamp(0, 100_000).saturating_mul(DAY_MICROS);
        let after = self.at.plus_micros(-window);
        let mut count = 0i64;
        let mut oldest: Option<At> = None;
        for at in instants {
            if at > after && at <= self.at {
                count += 1;
                oldest = Some(oldest.map_or(at, |o| o.min(at)));
            }
        }
        Timed::until(Value::Int(count), oldest.map(|o| o.plus_micros(window)))
    }

    fn event_instants(&self, name: &str) -> Vec<At> {
        if let Some(kind) = name.strip_prefix("order.").and_then(MarkKind::parse) {
            let orders = self.snapshot.orders.iter();
            return orders.flat_map(|o| order_instants(o, kind)).filter(|at| *at <= self.at).collect();
        }
        let events = self.snapshot.events.iter().filter(|e| e.name == name);
        events.map(|e| e.occurred_at).filter(|at| *at <= self.at).collect()
    }
}

/// When a delivery counts from: when it was handed over, or will have been claimed.
pub fn handed_over(delivery: &Delivery) -> At {
    delivery.done_at.unwrap_or(delivery.due_at)
}

fn order_instants(order: &Order, kind: MarkKind) -> Vec<At> {
    match kind {
        MarkKind::Placed => vec![order.placed_at],
        MarkKind::Refunded => order.refunds.iter().map(|r| r.at).collect(),
        MarkKind::Paid | MarkKind::Shipped | MarkKind::Delivered | MarkKind::Cancelled => {
            order.marks.iter().filter(|m| m.kind == kind).map(|m| m.at).collect()
        }
    }
}

/// The earliest instant after `at` at which a fact dated in the future becomes visible.
pub fn next_fact(snapshot: &Snapshot, at: At) -> Option<At> {
    let mut next: Option<At> = None;
    let mut consider = |candidate: At| {
        if candidate > at && next.is_none_or(|n| candidate < n) {
            next = Some(candidate);
        }
    };
    for order in &snapshot.orders {
        consider(order.placed_at);
        order.refunds.iter().for_each(|r| consider(r.at));
        order.marks.iter().for_each(|m| consider(m.at));
    }
    snapshot.carts.iter().for_each(|c| consider(c.updated_at));
    snapshot.events.iter().for_each(|e| consider(e.occurred_at));
    snapshot.feedback.iter().for_each(|f| consider(f.at));
    snapshot.consents.iter().for_each(|c| consider(c.at));
    next
}

/// All events of a customer that are wanted, stored ones and those that follow from orders, as conditions see them.
/// `wanted` is asked by name, instant, when it was heard of and origin, before anything is made.
pub fn events_of(
    snapshot: &Snapshot,
    wanted: impl Fn(&str, At, At, Origin) -> bool,
    decimals: u8,
) -> Vec<Event> {
    let scale = 10f64.powi(i32::from(decimals));
    let mut events: Vec<Event> = snapshot
        .events
        .iter()
        .filter(|e| wanted(&e.name, e.occurred_at, e.received_at, e.origin))
        .map(|e| {
            let mut event = e.clone();
            event.data.insert("name".into(), Json::from(e.name.as_str()));
            event
        })
        .collect();
    let mut number = 0i64;
    for order in &snapshot.orders {
        let was_counted = order.state == OrderState::Placed;
        number += i64::from(was_counted);
        let mut push = |kind: MarkKind, at: At, received_at: At, origin| {
            let name = event_name(kind);
            if wanted(name, at, received_at, origin) {
                // Of refunds one order can have several.
                let suffix = if kind == MarkKind::Refunded { at.to_string() } else { String::new() };
                let id = zyklus_model::EventId::derive(&[
                    order.system.as_bytes(),
                    b"order",
                    order.external_id.as_bytes(),
                    kind.as_str().as_bytes(),
                    suffix.as_bytes(),
                ]);
                let data = order_data(order, name, number, scale);
                events.push(Event { id, name: name.to_owned(), occurred_at: at, received_at, origin, data });
            }
        };
        push(MarkKind::Placed, order.placed_at, order.received_at, order.origin);
        for mark in &order.marks {
            push(mark.kind, mark.at, mark.received_at, mark.origin);
        }
    }
    events.sort_by_key(|e| (e.occurred_at, e.id));
    events
}

/// What a dated step of an order is called as an event.
fn event_name(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Placed => "order.placed",
        MarkKind::Paid => "order.paid",
        MarkKind::Shipped => "order.shipped",
        MarkKind::Delivered => "order.delivered",
        MarkKind::Cancelled => "order.cancelled",
        MarkKind::Refunded => "order.refunded",
    }
}

fn order_data(order: &Order, name: &str, number: i64, scale: f64) -> Map<String, Json> {
    let mut data = Map::new();
    data.insert("name".into(), Json::from(name));
    data.insert("order_id".into(), Json::from(order.external_id.as_str()));
    data.insert("number".into(), Json::from(order.number.as_str()));
    data.insert("order_number".into(), Json::from(number));
    if let Some(total) = order.total_reporting_minor {
        data.insert("total".into(), Json::from(total as f64 / scale));
    }
    data.insert("currency".into(), Json::from(order.total.currency.code()));
    if let Some(cart) = &order.cart {
        data.insert("cart_id".into(), Json::from(cart.as_str()));
    }
    let products: Vec<&str> = order.lines.iter().filter_map(|l| l.product.as_deref()).collect();
    data.insert("product_ids".into(), Json::from(products));
    data.insert("coupons".into(), Json::from(order.coupons.clone()));
    data
}

impl Fields for View<'_> {
    fn field(&self, id: FieldId, now: At) -> Timed {
        let customer = &self.snapshot.customer;
        let text = |text: Option<&str>| Timed::constant(Value::maybe_text(text));
        if let Some((channel, purpose)) = id.consent() {
            let granted = match (Channel::parse(channel), Purpose::parse(purpose)) {
                (Some(channel), Some(purpose)) => self.consents(channel, purpose),
                _ => false,
            };
            return Timed::constant(Value::Bool(granted));
        }
        match id {
            FieldId::CustomerEmail => text(customer.email.as_ref().map(|e| e.as_str())),
            FieldId::CustomerPhone => text(customer.phone.as_ref().map(|p| p.as_str())),
            FieldId::CustomerFirstName => text(customer.first_name.as_deref()),
            FieldId::CustomerLastName => text(customer.last_name.as_deref()),
            FieldId::CustomerLocale => text(customer.locale.as_deref()),
            FieldId::CustomerCountry => text(customer.country.as_deref()),
            FieldId::CustomerTimeZone => text(customer.time_zone.as_deref()),
            FieldId::CustomerTags => self.tags(),
            FieldId::CustomerCreatedAt => Value::Instant(customer.created_at).into(),
            FieldId::CustomerDaysSinceCreated => Timed::days_since(Some(customer.created_at), now),
            FieldId::CustomerHasAccount => Value::Bool(customer.has_account).into(),
            FieldId::CustomerAttributes => Value::Map(Arc::new(
                customer
                    .attributes
                    .iter()
                    .map(|(k, v)| (Arc::from(k.as_str()), Value::from_json(v)))
                    .collect::<BTreeMap<_, _>>(),
            ))
            .into(),
            FieldId::OrdersCount => Value::Int(self.figures().count).into(),
            FieldId::OrdersRevenue => self.money(self.figures().revenue_minor).into(),
            FieldId::OrdersAverage => {
                let figures = self.figures();
                let average = (figures.count > 0)
                    .then(|| figures.revenue_minor as f64 / self.scale / figures.count as f64);
                Value::maybe_double(average).into()
            }
            FieldId::OrdersFirstAt => Value::maybe_instant(self.figures().first_at).into(),
            FieldId::OrdersLastAt => Value::maybe_instant(self.figures().last_at).into(),
            FieldId::OrdersDaysSinceFirst => Timed::days_since(self.figures().first_at, now),
            FieldId::OrdersDaysSinceLast => Timed::days_since(self.figures().last_at, now),
            FieldId::OrdersMeanGapDays => {
                let figures = self.figures();
                let gap = match (figures.first_at, figures.last_at) {
                    (Some(first), Some(last)) if figures.count > 1 => {
                        Some(last.micros_since(first) as f64 / DAY_MICROS as f64 / (figures.count - 1) as f64)
                    }
                    _ => None,
                };
                Value::maybe_double(gap).into()
            }
            FieldId::OrdersRefundCount => Value::Int(self.figures().refund_count).into(),
            FieldId::OrdersRefundShare => {
                let figures = self.figures();
                let share = (figures.paid_minor > 0)
                    .then(|| figures.refunded_minor as f64 / figures.paid_minor as f64);
                Value::maybe_double(share).into()
            }
            FieldId::OrdersProducts => {
                let lines = self.visible_orders().flat_map(|o| &o.lines);
                let products: BTreeSet<&str> = lines.filter_map(|l| l.product.as_deref()).collect();
                Value::texts(products).into()
            }
            FieldId::OrdersCategories => {
                let lines = self.visible_orders().flat_map(|o| &o.lines);
                let categories: BTreeSet<&str> =
                    lines.flat_map(|l| &l.categories).map(String::as_str).collect();
                Value::texts(categories).into()
            }
            FieldId::ReplenishDueAt => self.replenish_due_at(),
            FieldId::ReplenishProductId => self.replenish_product(),
            FieldId::ReplenishEveryDays => self.replenish_every_days(),
            FieldId::ReplenishConfidence => self.replenish_confidence(),
            FieldId::CartIsOpen => Value::Bool(self.open_cart().is_some()).into(),
            FieldId::CartValue => match self.open_cart().and_then(|c| c.total_reporting_minor) {
                Some(minor) => self.money(minor).into(),
                None => Value::Absent.into(),
            },
            FieldId::CartUpdatedAt => Value::maybe_instant(self.open_cart().map(|c| c.updated_at)).into(),
            FieldId::CartHoursIdle => Timed::hours_since(self.open_cart().map(|c| c.updated_at), now),
            FieldId::CartProducts => {
                let lines = self.open_cart().into_iter().flat_map(|c| &c.lines);
                Value::texts(lines.filter_map(|l| l.product.as_deref())).into()
            }
            FieldId::FeedbackNps => {
                let last = self.feedback().rfind(|f| f.kind == zyklus_model::FeedbackKind::Nps);
                last.and_then(|f| f.score).map_or(Value::Absent, |s| Value::Int(s.round() as i64)).into()
            }
            FieldId::FeedbackRating => {
                let scores: Vec<f64> = self
                    .feedback()
                    .filter(|f| f.kind == zyklus_model::FeedbackKind::Review)
                    .filter_map(|f| f.score)
                    .collect();
                let mean = (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64);
                Value::maybe_double(mean).into()
            }
            FieldId::FeedbackCount => Value::Int(self.feedback().count() as i64).into(),
            FieldId::FeedbackDaysSinceLast => {
                Timed::days_since(self.feedback().map(|f| f.at).next_back(), now)
            }
            FieldId::FeedbackSentiment => self.sentiment(),
            FieldId::FeedbackTopics => self.troubles(),
            FieldId::FeedbackContradicts => self.contradicts(),
            FieldId::FeedbackDaysSinceAsked => {
                // Surveys are asked with `ask`, which comes later; until then a review request is the asking.
                let asked = self.snapshot.deliveries.iter().rev().find(|d| {
                    d.state.counts() && d.target.starts_with("review-request") && handed_over(d) <= self.at
                });
                Timed::days_since(asked.map(handed_over), now)
            }
            FieldId::EngagementSent30d => self.windowed(self.sent(), 30),
            FieldId::EngagementSent365d => self.windowed(self.sent(), 365),
            FieldId::EngagementClicked30d => self.windowed(self.clicks(), 30),
            FieldId::EngagementClicked365d => self.windowed(self.clicks(), 365),
            FieldId::EngagementDaysSinceClick => Timed::days_since(self.clicks().max(), now),
            FieldId::EngagementDaysSinceSent => Timed::days_since(self.sent().max(), now),
            FieldId::PhaseId => match &self.standing {
                Some(standing) => Value::Text(Arc::clone(&standing.phase)).into(),
                None => Value::Absent.into(),
            },
            FieldId::PhaseDays => Timed::days_since(self.standing.as_ref().map(|s| s.since), now),
            FieldId::PhasePrevious => match self.standing.as_ref().and_then(|s| s.previous.as_ref()) {
                Some(previous) => Value::Text(Arc::clone(previous)).into(),
                None => Value::Absent.into(),
            },
            FieldId::PredictionIsKnown => self.learned_value(|_| Value::Bool(self.outlook().is_some())),
            FieldId::PredictionPOrder => self.stepped(Outlook::chance, Value::maybe_double),
            FieldId::PredictionPOrder365d => self.stepped(Outlook::chance_in_a_year, Value::maybe_double),
            FieldId::PredictionOrders365d => self.stepped(Outlook::orders_in_a_year, Value::maybe_double),
            FieldId::PredictionOverduePercentile => {
                self.stepped(Outlook::overdue, |percent| percent.map_or(Value::Absent, Value::Int))
            }
            FieldId::CustomerValueExpected => self.stepped(Outlook::value, |minor: Option<f64>| {
                Value::maybe_double(minor.map(|minor| minor / self.scale))
            }),
            FieldId::RecommendCount => self.recommend_count(),
            FieldId::ShopBaseRate => self.learned_value(|l| Value::maybe_double(l.base_rate)),
            FieldId::ShopHorizonDays => self.learned_value(|l| whole_days(Some(l.horizon))),
            FieldId::ShopNewDays => self.learned_value(|l| whole_days(Some(l.new_for()))),
            FieldId::Event => match self.facts.event {
                Some(event) => Value::from_json(&Json::Object(event.clone())).into(),
                None => Value::Absent.into(),
            },
            FieldId::Key => text(self.facts.key),
            FieldId::RunStartedAt => Value::maybe_instant(self.facts.run.map(|r| r.started_at)).into(),
            FieldId::RunStep => text(self.facts.run.and_then(|r| r.position.step.as_deref())),
            // The consent fields were answered above.
            _ => Value::Absent.into(),
        }
    }

    fn entry(&self, map: FieldId, path: &[Arc<str>], _now: At) -> Timed {
        let found = match (map, path.split_first()) {
            (FieldId::CustomerAttributes, Some((first, rest))) => {
                let value = self.snapshot.customer.attributes.get(&**first);
                value.map_or(Value::Absent, |v| Value::at_json_path(v, rest))
            }
            (FieldId::Event, Some((first, rest))) => {
                let value = self.facts.event.and_then(|e| e.get(&**first));
                value.map_or(Value::Absent, |v| Value::at_json_path(v, rest))
            }
            _ => Value::Absent,
        };
        found.into()
    }

    #[inline]
    fn falling(&self, id: FieldId, limit: f64, or_at: bool, _now: At) -> Option<Timed> {
        let (which, per) = match id {
            FieldId::PredictionPOrder => (Falling::Chance, 1.0),
            FieldId::PredictionPOrder365d => (Falling::ChanceInAYear, 1.0),
            FieldId::PredictionOrders365d => (Falling::OrdersInAYear, 1.0),
            FieldId::CustomerValueExpected => (Falling::Value, self.scale),
            _ => return None,
        };
        self.falls_past(which, limit, or_at, per)
    }

    fn call(&self, function: FunctionId, arguments: &[Value], now: At) -> Timed {
        let name = arguments.first().and_then(Value::as_text);
        let run = |name: Option<&str>| {
            let name = name?;
            // Runs are kept under the name a journey had first.
            let journey = self.book.and_then(|book| book.journeys.iter().find(|j| *j.id == *name));
            let root = journey.map_or(name, |j| j.root());
            let its = || self.runs().iter().rev().filter(|r| r.journey == root);
            its().find(|r| r.state != RunState::Queued).or_else(|| its().next())
        };
        match function {
            FunctionId::EventsCount => match (name, arguments.get(1).and_then(Value::as_int)) {
                (Some(name), Some(days)) => self.windowed(self.event_instants(name).into_iter(), days),
                _ => Value::Absent.into(),
            },
            FunctionId::EventsDaysSince => {
                Timed::days_since(name.and_then(|n| self.event_instants(n).into_iter().max()), now)
            }
            FunctionId::JourneyState => match run(name) {
                Some(run) => Value::text(match (run.state, run.end) {
                    (RunState::Live | RunState::Waiting | RunState::Queued, _) => run.state.as_str(),
                    (RunState::Ended, Some(end)) => end.as_str(),
                    (RunState::Ended, None) => "ended",
                })
                .into(),
                None => Value::Absent.into(),
            },
            FunctionId::JourneyStep => {
                Value::maybe_text(run(name).and_then(|r| r.position.step.as_deref())).into()
            }
            FunctionId::JourneyDays => Timed::days_since(run(name).map(|r| r.started_at), now),
            FunctionId::OrderRefundShare => {
                let order = name.and_then(|n| {
                    self.snapshot.orders.iter().find(|o| o.external_id == n && o.placed_at <= self.at)
                });
                let share = order.filter(|o| o.total.amount_minor > 0).map(|o| {
                    if o.counts_at(self.at) {
                        o.refunded_minor_at(self.at) as f64 / o.total.amount_minor as f64
                    } else {
                        1.0
                    }
                });
                Value::maybe_double(share).into()
            }
            FunctionId::ProductSoldOut => match (name, self.book) {
                (Some(name), Some(book)) => Value::Bool(book.sold_out.contains(name)).into(),
                _ => Value::Absent.into(),
            },
            FunctionId::Sent => {
                // Who is held out goes the way they would go if they were not (rule R16).
                let sent = self.facts.run.zip(name).is_some_and(|(run, name)| {
                    run.acted.iter().any(|(step, outcome)| {
                        (step == name || step.strip_prefix("send:") == Some(name))
                            && (outcome == "sent"
                                || outcome == SENT_BEFORE
                                || outcome == DeliveryState::Shadow.as_str())
                    })
                });
                Value::Bool(sent).into()
            }
            FunctionId::TimedOut => {
                let out = self.facts.run.zip(name).is_some_and(|(run, name)| {
                    run.acted.iter().any(|(step, outcome)| step == name && outcome == "timed-out")
                });
                Value::Bool(out).into()
            }
        }
    }
}
