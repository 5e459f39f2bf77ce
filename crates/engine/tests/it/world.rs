//! A small world for tests: one customer's life as the engine lives it, in the words of tests. Holds no expectations
//! of its own but the engine's promises: a decision is the same when made again, and changes nothing when it has been
//! applied.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use zyklus_engine::playbook::Playbook;
use zyklus_engine::settings::Settings;
use zyklus_engine::sim::{Happening, Life, unwatched};
use zyklus_engine::{Book, Lifecycle, decide};
use zyklus_model::consent::SuppressionReason;
use zyklus_model::{
    At, Cart, Channel, Consent, ConsentState, Currency, Customer, CustomerId, Decision, Delivery,
    DeliveryState, Email, Event, EventId, Feedback, FeedbackId, FeedbackKind, LegalBasis, Mark, MarkKind,
    Money, Order, OrderId, OrderState, Origin, PhoneNumber, Purpose, Refund, Run, RunEnd, RunState, Snapshot,
    Suppression,
};

/// Four phases, in the order of a life.
pub(crate) const LIFECYCLE: &str = r#"
label = { en = "Test", de = "Probe" }
[[phases]]
id = "lapsed"
label = { en = "Lapsed" }
when = "orders.days_since_last > 90 && orders.count > 0"
[[phases]]
id = "loyal"
label = { en = "Loyal" }
when = "orders.count >= 3"
[[phases]]
id = "buyer"
label = { en = "Buyer" }
when = "orders.count >= 1"
[[phases]]
id = "reach"
label = { en = "Reach" }
when = "true"
"#;

/// Monday, ten o'clock in Berlin.
pub(crate) const START: &str = "2026-03-02T10:00:00+01:00";

pub(crate) fn at(text: &str) -> At {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Reads a lifecycle that must be right.
pub(crate) fn lifecycle(text: &str) -> Lifecycle {
    match Lifecycle::parse("test", "test.toml", text) {
        Ok((lifecycle, _)) => lifecycle,
        Err(problems) => panic!("{text}\n{problems:#?}"),
    }
}

/// Reads a playbook that must be right.
pub(crate) fn playbook(text: &str) -> Playbook {
    match Playbook::parse("play.toml", text, &BTreeMap::new()) {
        Ok((playbook, _)) => playbook,
        Err(problems) => panic!("{text}\n{problems:#?}"),
    }
}

/// Puts a book together; the shop stands in Berlin, has no caps and no quiet hours.
fn book(phases: &str, journeys: &str) -> Book {
    assembled(phases, vec![playbook(journeys)])
}

/// The lifecycle of that name and all playbooks that come with Zyklus.
pub(crate) fn starter() -> Book {
    let mut segments = BTreeMap::new();
    let mut playbooks = Vec::new();
    for (name, text) in shipped("playbooks") {
        match Playbook::parse(&name, &text, &segments) {
            Ok((playbook, _)) => {
                segments.extend(playbook.segments.clone());
                playbooks.push(playbook);
            }
            Err(problems) => panic!("{problems:#?}"),
        }
    }
    let lifecycles = shipped("lifecycles");
    assembled(
        &lifecycles.iter().find(|(name, _)| name == "ecommerce.toml").expect("it is there").1,
        playbooks,
    )
}

/// Names and texts of the files in a folder of the configuration that comes with Zyklus.
pub(crate) fn shipped(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{error}")).path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((name, std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}"))));
        }
    }
    files.sort();
    files
}

fn assembled(phases: &str, playbooks: Vec<Playbook>) -> Book {
    let settings = Settings {
        zone: jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone"),
        caps: Vec::new(),
        quiet: Vec::new(),
        ..Settings::default()
    };
    match Book::assemble(lifecycle(phases), playbooks, settings, 2) {
        Ok(book) => book,
        Err(problems) => panic!("{problems:#?}"),
    }
}

pub(crate) struct World {
    pub(crate) book: Book,
    life: Life,
    /// Whether the dispatcher works.
    pub(crate) dispatching: bool,
    /// Whether the daemon works at all.
    pub(crate) awake: bool,
    handed_over: Vec<(String, At)>,
    numbers: u32,
}

/// The clock, what is known and the transitions are the life's.
impl Deref for World {
    type Target = Life;

    fn deref(&self) -> &Life {
        &self.life
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Life {
        &mut self.life
    }
}

impl World {
    /// A customer known from history who agreed to e-mails, at [`START`]; all journeys have just gone live.
    pub(crate) fn new(journeys: &str) -> Self {
        let mut world = Self::unseen(LIFECYCLE, journeys);
        world.run_to(world.now);
        world
    }

    /// The same before the first evaluation.
    pub(crate) fn unseen(phases: &str, journeys: &str) -> Self {
        Self::of(book(phases, journeys))
    }

    /// The same with a book from elsewhere.
    pub(crate) fn of(mut book: Book) -> Self {
        let now = at(START);
        for journey in &book.journeys {
            book.active_from.insert(journey.root().to_owned(), now);
        }
        let created_at = at("2026-01-10T08:00:00Z");
        let mut snapshot = Snapshot::of(Customer {
            id: CustomerId::derive(&[b"somebody"]),
            email: Some(Email::parse("somebody@example.com").expect("an address")),
            phone: Some(PhoneNumber::parse("+4915112345678").expect("a number")),
            first_name: Some("Some".into()),
            last_name: Some("Body".into()),
            locale: Some("de".into()),
            country: Some("DE".into()),
            time_zone: None,
            created_at,
            has_account: true,
            attributes: BTreeMap::new(),
        });
        snapshot.consents.push(consent(ConsentState::Granted, LegalBasis::Consent, created_at));
        snapshot.mark.due_at = now;
        World {
            book,
            life: Life::new(snapshot, now),
            dispatching: true,
            awake: true,
            handed_over: Vec::new(),
            numbers: 0,
        }
    }

    /// The files say something else from now on; what they said before is remembered, as the store does. A journey
    /// that is new is live from now on.
    pub(crate) fn edit(&mut self, journeys: &str) {
        self.edit_unseen(journeys);
        self.settle();
    }

    /// The same before anybody was evaluated by it.
    pub(crate) fn edit_unseen(&mut self, journeys: &str) {
        let mut next = book(LIFECYCLE, journeys);
        let old = self.book.definitions.values().map(AsRef::as_ref).chain(&self.book.journeys);
        let known: Vec<(&str, &str)> = old.map(|j| (j.definition.as_str(), &*j.text)).collect();
        next.remember(known);
        next.settings = self.book.settings.clone();
        next.active_from = self.book.active_from.clone();
        for journey in &next.journeys {
            next.active_from.entry(journey.root().to_owned()).or_insert(self.now.plus_micros(1));
        }
        self.book = next;
        self.snapshot.mark.seq += 1;
        self.snapshot.mark.due_at = self.snapshot.mark.due_at.min(self.now);
    }

    /// Commits a fact as the store would.
    pub(crate) fn commit(&mut self, origin: Origin, change: impl FnOnce(&mut Snapshot)) {
        self.life.commit(origin, change);
        self.settle();
    }

    /// Evaluates and dispatches what is due now, and what that made due a moment later.
    pub(crate) fn settle(&mut self) {
        self.run_to(self.now);
        while self.awake && self.snapshot.mark.due_at <= self.now.plus_micros(100) {
            self.run_to(self.snapshot.mark.due_at);
        }
    }

    /// Lets time pass until an instant.
    pub(crate) fn go(&mut self, to: &str) {
        self.run_to(at(to));
    }

    /// Lets so much time pass.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.run_to(self.now.plus_seconds(seconds));
    }

    /// Lets time pass, evaluating and dispatching whenever something is due.
    pub(crate) fn run_to(&mut self, to: At) {
        for _ in 0..5_000 {
            if !self.awake {
                self.now = to;
                return;
            }
            let waiting = self.snapshot.deliveries.iter().filter(|d| d.state == DeliveryState::Pending);
            let parcel = if self.dispatching { waiting.map(|d| d.due_at).min() } else { None };
            let next = parcel.map_or(self.snapshot.mark.due_at, |p| p.min(self.snapshot.mark.due_at));
            if next > to {
                self.now = to;
                return;
            }
            self.now = self.now.max(next);
            if self.snapshot.mark.due_at <= self.now {
                self.evaluate();
            } else {
                self.dispatch();
            }
        }
        panic!("still not at rest at {} on the way to {to}", self.now);
    }

    fn evaluate(&mut self) {
        let decision = decide(&self.book, &self.snapshot, self.now);
        assert_eq!(decision, decide(&self.book, &self.snapshot, self.now), "deciding again differs");
        let fate = |_: At, happening: Happening<'_>| {
            if let Happening::Delayed(delivery, _) = happening {
                assert!(delivery.due_at > decision.now, "a delay lies ahead");
            }
        };
        assert!(self.life.apply(&self.book, decision.clone(), &mut { fate }), "nobody else evaluated");
        // Applied twice it changes nothing: the fence refuses it.
        let applied = self.life.clone();
        assert!(!self.life.apply(&self.book, decision.clone(), &mut unwatched));
        assert_eq!(self.life, applied);
        if decision.revisit_at.is_none_or(|at| at > self.now.plus_micros(1)) {
            let again = decide(&self.book, &self.snapshot, self.now);
            assert!(again.is_quiet(), "after {decision:#?}\nit decided {again:#?}");
        }
    }

    /// Applies a decision; false when another evaluation came first.
    pub(crate) fn apply(&mut self, decision: &Decision) -> bool {
        self.life.apply(&self.book, decision.clone(), &mut unwatched)
    }

    /// Hands over what is due and permitted, the earliest first.
    fn dispatch(&mut self) {
        let handed_over = &mut self.handed_over;
        let found = self.life.dispatch(&self.book, &mut |at, happening| match happening {
            Happening::HandedOver(delivery) => handed_over.push((delivery.target.clone(), at)),
            Happening::Delayed(delivery, _) => assert!(delivery.due_at > at, "a delay lies ahead"),
            _ => {}
        });
        assert!(found, "something is due");
    }

    /// What was handed over: `template local-time` in Berlin.
    pub(crate) fn sent(&self) -> Vec<String> {
        let local = |at: At| at.timestamp().to_zoned(self.book.settings.zone.clone());
        let line = |(target, at): &(String, At)| format!("{target} {}", local(*at).strftime("%m-%d %H:%M"));
        self.handed_over.iter().map(line).collect()
    }

    pub(crate) fn phase(&self) -> &str {
        self.snapshot.phase.as_ref().map_or("none", |p| &p.phase)
    }

    pub(crate) fn live_runs(&self) -> usize {
        self.snapshot.runs.iter().filter(|r| r.state == RunState::Live).count()
    }

    pub(crate) fn last_run(&self) -> &Run {
        self.snapshot.runs.last().expect("a run")
    }

    /// How the runs ended, in the order they began.
    pub(crate) fn ends(&self) -> Vec<Option<RunEnd>> {
        self.snapshot.runs.iter().map(|r| r.end).collect()
    }

    pub(crate) fn tags(&self) -> Vec<&str> {
        let now = self.now;
        let here = self.snapshot.tags.iter().filter(move |t| t.until.is_none_or(|until| until > now));
        here.map(|t| t.tag.as_str()).collect()
    }

    pub(crate) fn delivery(&self, target: &str) -> &Delivery {
        let found = self.snapshot.deliveries.iter().rev().find(|d| d.target == target);
        found.unwrap_or_else(|| panic!("nothing for {target} among {:#?}", self.snapshot.deliveries))
    }

    fn number(&mut self) -> String {
        self.numbers += 1;
        self.numbers.to_string()
    }

    /// An event that happens and is heard of now.
    pub(crate) fn event(&mut self, name: &str, data: Json) {
        self.event_at(name, data, self.now, Origin::Live);
    }

    /// An event heard of now.
    pub(crate) fn event_at(&mut self, name: &str, data: Json, occurred_at: At, origin: Origin) {
        let number = self.number();
        let data: Map<String, Json> = data.as_object().cloned().unwrap_or_default();
        let id = EventId::derive(&[number.as_bytes()]);
        let event = Event { id, name: name.into(), occurred_at, received_at: self.now, origin, data };
        self.commit(origin, |s| s.events.push(event));
    }

    /// An order placed now.
    pub(crate) fn order(&mut self, minor: i64) -> String {
        self.order_at(minor, self.now, Origin::Live)
    }

    /// An order heard of now.
    pub(crate) fn order_at(&mut self, minor: i64, placed_at: At, origin: Origin) -> String {
        let number = self.number();
        let order = order(&number, minor, placed_at, self.now, origin);
        self.commit(origin, |s| s.orders.push(order));
        number
    }

    /// The order is cancelled now.
    pub(crate) fn cancel(&mut self, order: &str) {
        let mark =
            Mark { kind: MarkKind::Cancelled, at: self.now, received_at: self.now, origin: Origin::Live };
        self.commit(Origin::Live, |s| {
            let order = s.orders.iter_mut().find(|o| o.external_id == order).expect("the order");
            order.state = OrderState::Cancelled;
            order.marks.push(mark);
        });
    }

    /// A dated step in an order's life, now.
    pub(crate) fn mark(&mut self, order: &str, kind: MarkKind) {
        let mark = Mark { kind, at: self.now, received_at: self.now, origin: Origin::Live };
        self.commit(Origin::Live, |s| {
            s.orders.iter_mut().find(|o| o.external_id == order).expect("the order").marks.push(mark);
        });
    }

    /// Money goes back now.
    pub(crate) fn refund(&mut self, order: &str, amount_minor: i64) {
        let refund = Refund { external_id: self.number(), at: self.now, amount_minor, reason: None };
        self.commit(Origin::Live, |s| {
            s.orders.iter_mut().find(|o| o.external_id == order).expect("the order").refunds.push(refund);
        });
    }

    /// The cart is touched now.
    pub(crate) fn cart(&mut self, id: &str, minor: i64, is_open: bool) {
        let cart = Cart {
            system: "shop".into(),
            external_id: id.into(),
            is_open,
            updated_at: self.now,
            total: Money { amount_minor: minor, currency: euro() },
            total_reporting_minor: Some(minor),
            lines: Vec::new(),
            url: None,
        };
        let number = self.number();
        let mut data = Map::new();
        data.insert("cart_id".into(), json!(id));
        let event = Event {
            id: EventId::derive(&[number.as_bytes()]),
            name: "cart.updated".into(),
            occurred_at: self.now,
            received_at: self.now,
            origin: Origin::Live,
            data,
        };
        self.commit(Origin::Live, |s| {
            s.carts.retain(|c| c.external_id != cart.external_id);
            s.carts.push(cart);
            s.events.push(event);
        });
    }

    /// The customer says yes or no to marketing e-mails now.
    pub(crate) fn consent(&mut self, state: ConsentState, basis: LegalBasis) {
        let word = consent(state, basis, self.now);
        self.commit(Origin::Live, |s| s.consents.push(word));
    }

    /// Never again on any channel, whatever for.
    pub(crate) fn suppress(&mut self) {
        let word = Suppression {
            channel: None,
            all_purposes: true,
            reason: SuppressionReason::Bounced,
            at: self.now,
        };
        self.commit(Origin::Live, |s| s.suppressions.push(word));
    }

    pub(crate) fn feedback(&mut self, kind: FeedbackKind, score: f64) {
        let id = FeedbackId::derive(&[self.number().as_bytes()]);
        let word = Feedback { id, kind, score: Some(score), text: None, product: None, at: self.now };
        self.commit(Origin::Live, |s| s.feedback.push(word));
    }
}

fn euro() -> Currency {
    Currency::EUR
}

fn consent(state: ConsentState, basis: LegalBasis, at: At) -> Consent {
    Consent {
        channel: Channel::Email,
        purpose: Purpose::Marketing,
        state,
        basis,
        at,
        source: "test".into(),
        evidence: Json::Null,
    }
}

/// An order as a connector delivers it.
pub(crate) fn order(number: &str, minor: i64, placed_at: At, received_at: At, origin: Origin) -> Order {
    Order {
        id: OrderId::derive(&[number.as_bytes()]),
        system: "shop".into(),
        external_id: number.into(),
        number: number.into(),
        state: OrderState::Placed,
        placed_at,
        total: Money { amount_minor: minor, currency: euro() },
        total_reporting_minor: Some(minor),
        refunds: Vec::new(),
        lines: Vec::new(),
        item_count: 1,
        coupons: Vec::new(),
        cart: None,
        marks: Vec::new(),
        received_at,
        origin,
    }
}
