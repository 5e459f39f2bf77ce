//! What journeys came to: runs and how they ended, the goal with and without the messages, and orders that followed a
//! click (rules R16, R17). Counts what is stored; decides nothing.
//!
//! An order is credited to the delivery clicked last within five days before it, to no other, and never for opening a
//! mail. Beside that stands the lift: the goal among customers who were treated against those held out by the journey.
//! Who was both (two customers who became one, a share that was moved) is in neither, and neither is who is held out of
//! all marketing, since they differ in more than this journey.

use std::collections::BTreeMap;

use serde::Serialize;
use zyklus_engine::Book;
use zyklus_engine::playbook::GOAL_STEP;
use zyklus_insight::experiment::{Anytime, Arms, Boundary, share_lift};
use zyklus_insight::interval::{Level, Tally as Counts};
use zyklus_model::{
    At, Currency, DAY_MICROS, Delivery, DeliveryKind, DeliveryState, GuardReason, Holdout, Money, Run,
    RunEnd, RunState, Snapshot,
};

/// A click counts for orders of so many microseconds after it.
const CLICK_COUNTS: i64 = 5 * DAY_MICROS;

/// What one journey came to.
#[derive(Debug, Clone, Serialize)]
pub struct JourneyRow {
    /// The journey's root id.
    pub journey: String,
    /// What people call it; its id if it is gone from the files.
    pub label: String,
    /// Runs that began, ghosts of a holdout among them; what only ran in shadow mode is counted in `shadow`.
    pub started: u64,
    /// Those that go on.
    pub live: u64,
    /// The others by how they ended.
    pub ended: BTreeMap<String, u64>,
    /// Customers who were treated, under the journey's `epoch`.
    pub treated: Arm,
    /// Customers held out by the journey.
    pub held: Arm,
    /// Customers held out of all marketing.
    pub held_globally: Arm,
    /// Customers who were both treated and held out, and are in no comparison.
    pub left_out: u64,
    /// What the messages changed; `None` without a goal, or where an arm is empty.
    pub lift: Option<Lift>,
    /// What happened in shadow mode; `None` when nothing did.
    pub shadow: Option<Shadow>,
    /// Orders credited to its messages.
    pub orders: u64,
    /// What they came to after refunds, in minor units of the reporting currency.
    pub revenue_minor: i64,
    /// The same as a decimal number.
    pub revenue: String,
}

/// What a journey would have done: runs that only recorded, because its mode was `shadow`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// Runs that began.
    pub started: u64,
    /// Those that go on.
    pub live: u64,
    /// The others by how they ended.
    pub ended: BTreeMap<String, u64>,
    /// Customers, and how many of them reached the goal.
    pub customers: Arm,
    /// Messages that would have gone out.
    pub messages: u64,
    /// Actions that would have been done.
    pub actions: u64,
}

/// Customers treated alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Arm {
    /// How many.
    pub customers: u64,
    /// How many of them reached the goal; `None` without a goal.
    pub reached: Option<u64>,
}

/// A difference between two shares with its 95 % interval, as shares of 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lift {
    /// The goal among the treated less the goal among the held out.
    pub difference: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// The intervals of lifts are narrowest when a journey has treated and held out so many customers. Fixed, because a choice
/// by what was seen would not hold.
const NARROWEST_AT: u64 = 1_000;

/// How a report's lifts are looked at: again each day, by somebody who stops when they like what they see. The intervals of
/// all those looks together hold the truth 95 times in 100 (a confidence sequence).
pub(crate) fn whenever() -> Boundary<'static> {
    Boundary::Anytime(Anytime::narrowest_at(NARROWEST_AT, Level::P95))
}

impl Arm {
    /// As the figures count; nothing without a goal.
    pub(crate) fn tally(self) -> Option<Counts> {
        Counts::new(self.reached?, self.customers).ok()
    }
}

/// Both arms, where there is a goal and somebody in each.
pub(crate) fn both(treated: Arm, held: Arm) -> Option<Arms<Counts>> {
    let is_empty = treated.customers == 0 || held.customers == 0;
    Some(Arms { treated: treated.tally()?, held: held.tally()? }).filter(|_| !is_empty)
}

impl Lift {
    /// Of customers treated and held out; nothing if an arm is empty.
    pub fn of(treated: Arm, held: Arm) -> Option<Self> {
        let found = share_lift(both(treated, held)?, whenever()).ok()?;
        Some(Lift { difference: found.value(), low: found.low(), high: found.high() })
    }
}

#[derive(Default)]
struct Tally {
    started: u64,
    live: u64,
    ended: BTreeMap<String, u64>,
    treated: Arm,
    held: Arm,
    held_globally: Arm,
    left_out: u64,
    shadow: Shadow,
    orders: u64,
    revenue: i64,
}

/// Counts customer by customer.
#[derive(Default)]
pub(crate) struct Journeys(BTreeMap<String, Tally>);

impl Journeys {
    pub(crate) fn add(&mut self, book: &Book, snapshot: &Snapshot, now: At) {
        let mut by_journey: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
        let mut in_shadow: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
        let begun = |run: &&Run| run.started_at <= now && run.state != RunState::Queued;
        for run in snapshot.runs.iter().filter(begun) {
            let is_shown = run.ghost && run.held.is_none();
            let of = if is_shown { &mut in_shadow } else { &mut by_journey };
            of.entry(&run.journey).or_default().push(run);
        }
        for (journey, runs) in in_shadow {
            self.0.entry(journey.to_owned()).or_default().shadow.add(snapshot, &runs, now);
        }
        for (journey, runs) in by_journey {
            let tally = self.0.entry(journey.to_owned()).or_default();
            tally.started += runs.len() as u64;
            tally.live += count_ends(&mut tally.ended, &runs, now);
            let epoch = book.journey(journey).map(|j| j.epoch);
            tally.compare(snapshot, runs.into_iter().filter(|run| epoch.is_none_or(|e| e == run.epoch)));
        }
        self.credit(snapshot, now);
    }

    fn credit(&mut self, snapshot: &Snapshot, now: At) {
        let clicks: Vec<(At, &str)> = snapshot
            .events
            .iter()
            .filter(|e| e.name == "mail.clicked" && e.occurred_at <= now)
            .filter_map(|e| Some((e.occurred_at, e.data.get("journey")?.as_str()?)))
            .collect();
        for order in snapshot.orders.iter().filter(|o| o.counts_at(now)) {
            let near = |at: At| (0..=CLICK_COUNTS).contains(&order.placed_at.micros_since(at));
            // Events are in the order in which they happened.
            let Some((_, journey)) = clicks.iter().rfind(|(at, _)| near(*at)) else { continue };
            let tally = self.0.entry((*journey).to_owned()).or_default();
            tally.orders += 1;
            let net = order.reporting_minor_at(now).map_or(0, |(total, refunded)| total - refunded);
            tally.revenue += net;
        }
    }

    pub(crate) fn finish(mut self, book: &Book, currency: Currency, language: &str) -> Vec<JourneyRow> {
        for journey in &book.journeys {
            self.0.entry(journey.root().to_owned()).or_default();
        }
        let row = |(id, tally): (String, Tally)| {
            let journey = book.journey(&id);
            let has_goal = journey.is_some_and(|j| j.goal.is_some());
            let told = |arm: Arm| {
                let reached = arm.reached.unwrap_or(0);
                Arm { reached: (has_goal || reached > 0).then_some(reached), ..arm }
            };
            let (treated, held) = (told(tally.treated), told(tally.held));
            let shadow = Shadow { customers: told(tally.shadow.customers), ..tally.shadow };
            JourneyRow {
                label: journey
                    .and_then(|j| j.label.get(language).or_else(|| j.label.get("en")))
                    .unwrap_or(&id)
                    .clone(),
                journey: id,
                started: tally.started,
                live: tally.live,
                ended: tally.ended,
                treated,
                held,
                held_globally: told(tally.held_globally),
                left_out: tally.left_out,
                lift: has_goal.then(|| Lift::of(treated, held)).flatten(),
                shadow: Some(shadow).filter(|shadow| shadow.started > 0),
                orders: tally.orders,
                revenue_minor: tally.revenue,
                revenue: Money::new(tally.revenue, currency).decimal(),
            }
        };
        self.0.into_iter().map(row).collect()
    }
}

impl Tally {
    /// Puts one customer into one arm by all runs of the journey.
    fn compare<'r>(&mut self, snapshot: &Snapshot, runs: impl Iterator<Item = &'r Run>) {
        let (mut treated, mut held, mut globally, mut reached) = (false, false, false, false);
        for run in runs {
            let kept_back =
                snapshot.deliveries.iter().filter(|d| d.run == Some(run.id)).any(|d| {
                    matches!(d.reason, Some(GuardReason::GlobalHoldout | GuardReason::JourneyHoldout))
                });
            match run.held {
                Some(Holdout::Global) => globally = true,
                Some(Holdout::Journey) => held = true,
                // Held out only after it had begun.
                None if kept_back => (treated, held) = (true, true),
                None => treated = true,
            }
            reached |= has_reached(run);
        }
        let arm = match (treated, held, globally) {
            (true, false, false) => &mut self.treated,
            (false, true, false) => &mut self.held,
            (false, false, true) => &mut self.held_globally,
            (false, false, false) => return,
            _ => {
                self.left_out += 1;
                return;
            }
        };
        arm.add(reached);
    }
}

impl Shadow {
    /// Adds what one customer's runs in the shadow came to.
    fn add(&mut self, snapshot: &Snapshot, runs: &[&Run], now: At) {
        self.started += runs.len() as u64;
        self.live += count_ends(&mut self.ended, runs, now);
        self.customers.add(runs.iter().any(|run| has_reached(run)));
        let is_theirs = |d: &&Delivery| {
            d.state == DeliveryState::Shadow
                && d.done_at.is_none_or(|at| at <= now)
                && runs.iter().any(|run| d.run == Some(run.id))
        };
        for delivery in snapshot.deliveries.iter().filter(is_theirs) {
            let is_message = delivery.kind == DeliveryKind::Message;
            *(if is_message { &mut self.messages } else { &mut self.actions }) += 1;
        }
    }
}

impl Arm {
    fn add(&mut self, reached: bool) {
        self.customers += 1;
        *self.reached.get_or_insert(0) += u64::from(reached);
    }
}

fn has_reached(run: &Run) -> bool {
    run.end == Some(RunEnd::Goal) || run.acted.iter().any(|(step, _)| step == GOAL_STEP)
}

/// Counts how runs ended; how many go on.
fn count_ends(ended: &mut BTreeMap<String, u64>, runs: &[&Run], now: At) -> u64 {
    let mut live = 0;
    for run in runs {
        match (run.ended_at.filter(|at| *at <= now), run.end) {
            (Some(_), Some(end)) => *ended.entry(end.as_str().to_owned()).or_default() += 1,
            _ => live += 1,
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zyklus_engine::{Lifecycle, Playbook, Settings};
    use zyklus_model::{
        Customer, CustomerId, Event, EventId, Order, OrderId, OrderState, Origin, Refund, RunId, RunPosition,
    };

    use super::*;

    fn day(day: i64) -> At {
        At::from_seconds(1_767_225_600).plus_days(day)
    }

    fn book() -> Book {
        let lifecycle =
            "label = { en = \"L\" }\n[[phases]]\nid = \"all\"\nlabel = { en = \"All\" }\nwhen = \"true\"";
        let journey = "[journeys.j]\nlabel = { en = \"J\" }\nstart = { event = \"go\" }\nholdout = 10\ngoal = { when = \"orders.count > 0\", within = \"9d\" }\nsteps = [{ send = \"one\" }]";
        let lifecycle = Lifecycle::parse("l", "l.toml", lifecycle).unwrap().0;
        let playbook = Playbook::parse("p.toml", journey, &BTreeMap::new()).unwrap().0;
        Book::assemble(lifecycle, vec![playbook], Settings::default(), 2).unwrap()
    }

    fn somebody(name: &str) -> Snapshot {
        Snapshot::of(Customer {
            id: CustomerId::derive(&[name.as_bytes()]),
            email: None,
            phone: None,
            first_name: None,
            last_name: None,
            locale: None,
            country: None,
            time_zone: None,
            created_at: day(0),
            has_account: true,
            attributes: BTreeMap::new(),
        })
    }

    fn enrol(snapshot: &mut Snapshot, held: Option<Holdout>, end: Option<RunEnd>) {
        let number = [snapshot.runs.len() as u8];
        snapshot.runs.push(Run {
            id: RunId::derive(&[snapshot.customer.id.uuid().as_bytes(), &number]),
            customer: snapshot.customer.id,
            began_for: snapshot.customer.id,
            journey: "j".into(),
            key: String::new(),
            occurrence: String::new(),
            definition: String::new(),
            epoch: 0,
            ghost: held == Some(Holdout::Journey),
            held,
            state: if end.is_some() { RunState::Ended } else { RunState::Live },
            end,
            end_reason: None,
            started_at: day(1),
            ended_at: end.map(|_| day(2)),
            queued_at: None,
            yielded_at: None,
            position: RunPosition { step: None, reached_at: day(1), due_at: None },
            acted: Vec::new(),
            event: serde_json::Map::new(),
        });
    }

    fn click(snapshot: &mut Snapshot, journey: &str, at: At) {
        let data = json!({ "journey": journey }).as_object().cloned().unwrap();
        let id = EventId::derive(&[&at.as_micros().to_be_bytes()]);
        let origin = Origin::Live;
        let event = Event { id, name: "mail.clicked".into(), occurred_at: at, received_at: at, origin, data };
        snapshot.events.push(event);
    }

    fn order(snapshot: &mut Snapshot, placed_at: At, minor: i64, back: i64) {
        let number = snapshot.orders.len().to_string();
        let refund = Refund { external_id: "r".into(), at: placed_at, amount_minor: back, reason: None };
        snapshot.orders.push(Order {
            id: OrderId::derive(&[number.as_bytes()]),
            system: "shop".into(),
            external_id: number.clone(),
            number,
            state: OrderState::Placed,
            placed_at,
            total: Money::new(minor, Currency::EUR),
            total_reporting_minor: Some(minor),
            refunds: if back > 0 { vec![refund] } else { Vec::new() },
            lines: Vec::new(),
            item_count: 1,
            coupons: Vec::new(),
            cart: None,
            marks: Vec::new(),
            received_at: placed_at,
            origin: Origin::Live,
        });
    }

    /// Makes the last run one of shadow mode, with a delivery it would have made.
    fn shadow(snapshot: &mut Snapshot, kind: DeliveryKind, goal: bool) {
        let run = snapshot.runs.last_mut().unwrap();
        (run.ghost, run.held) = (true, None);
        if goal {
            run.acted.push((GOAL_STEP.to_owned(), "reached".to_owned()));
        }
        snapshot.deliveries.push(Delivery {
            id: zyklus_model::DeliveryId::derive(&[run.id.uuid().as_bytes()]),
            customer: run.customer,
            run: Some(run.id),
            journey: "j".into(),
            step: "one".into(),
            kind,
            channel: None,
            connector: None,
            target: "one".into(),
            purpose: zyklus_model::Purpose::Marketing,
            capped: true,
            state: DeliveryState::Shadow,
            reason: None,
            outranked_by: None,
            created_at: day(1),
            due_at: day(1),
            expires_at: day(2),
            done_at: Some(day(1)),
            attempt_count: 0,
            payload: serde_json::Value::Null,
        });
    }

    #[test]
    fn what_ran_in_the_shadow_stands_beside_what_was_live() {
        let mut people = Vec::new();
        for n in 0..4 {
            let mut one = somebody(&n.to_string());
            enrol(&mut one, None, (n < 1).then_some(RunEnd::Completed));
            if n < 3 {
                let kind = if n == 2 { DeliveryKind::Action } else { DeliveryKind::Message };
                shadow(&mut one, kind, n == 1);
            }
            people.push(one);
        }
        let row = row(&people);
        assert_eq!((row.started, row.live, row.treated.customers), (1, 1, 1));
        let expected = Shadow {
            started: 3,
            live: 2,
            ended: [("completed".to_owned(), 1)].into(),
            customers: Arm { customers: 3, reached: Some(1) },
            messages: 2,
            actions: 1,
        };
        assert_eq!(row.shadow, Some(expected));
    }

    #[test]
    fn without_a_goal_nobody_is_said_to_have_missed_it() {
        let mut book = book();
        book.journeys[0].goal = None;
        let mut one = somebody("one");
        enrol(&mut one, None, None);
        let mut journeys = Journeys::default();
        journeys.add(&book, &one, day(40));
        let row = journeys.finish(&book, Currency::EUR, "en").remove(0);
        assert_eq!(row.treated, Arm { customers: 1, reached: None });
        assert_eq!(row.shadow, None);
        assert!(serde_json::to_value(&row).unwrap()["treated"]["reached"].is_null());
    }

    fn row(people: &[Snapshot]) -> JourneyRow {
        let book = book();
        let mut journeys = Journeys::default();
        people.iter().for_each(|snapshot| journeys.add(&book, snapshot, day(40)));
        journeys.finish(&book, Currency::EUR, "en").into_iter().find(|row| row.journey == "j").unwrap()
    }

    #[test]
    fn r17_the_interval_is_wider_than_that_of_a_single_look() {
        let arm = |reached, customers| Arm { customers, reached: Some(reached) };
        let lift = Lift::of(arm(56, 70), arm(48, 80)).unwrap();
        assert!((lift.difference - 0.2).abs() < 1e-12);
        // Newcombe's published example, looked at once: 0.0524 to 0.3339.
        assert!(lift.low < 0.0524 && lift.high > 0.3339 && lift.low > -0.2 && lift.high < 0.6, "{lift:?}");
        // With many customers, what is there is seen all the same.
        let lift = Lift::of(arm(5_600, 7_000), arm(4_800, 8_000)).unwrap();
        assert!(lift.low > 0.15 && lift.high < 0.25, "{lift:?}");
        assert_eq!(Lift::of(arm(1, 1), arm(0, 0)), None);
        assert_eq!(Lift::of(arm(1, 1), Arm { customers: 1, reached: None }), None);
    }

    #[test]
    fn r17_treated_and_held_out_customers_are_counted_apart_and_who_was_both_is_in_neither() {
        let mut people = Vec::new();
        for n in 0..10 {
            let mut one = somebody(&n.to_string());
            match n {
                0..5 => enrol(&mut one, None, Some(if n < 2 { RunEnd::Goal } else { RunEnd::Completed })),
                5..8 => enrol(&mut one, Some(Holdout::Journey), Some(RunEnd::Exit)),
                8 => enrol(&mut one, Some(Holdout::Global), None),
                _ => {
                    enrol(&mut one, None, Some(RunEnd::Merged));
                    enrol(&mut one, Some(Holdout::Journey), Some(RunEnd::Goal));
                }
            }
            people.push(one);
        }
        // Again, which makes no second customer.
        enrol(&mut people[0], None, None);
        let row = row(&people);
        assert_eq!((row.started, row.live), (12, 2));
        let ended: Vec<(&str, u64)> = row.ended.iter().map(|(end, n)| (end.as_str(), *n)).collect();
        assert_eq!(ended, [("completed", 3), ("exit", 3), ("goal", 3), ("merged", 1)]);
        assert_eq!(row.treated, Arm { customers: 5, reached: Some(2) });
        assert_eq!(row.held, Arm { customers: 3, reached: Some(0) });
        assert_eq!(row.held_globally, Arm { customers: 1, reached: Some(0) });
        assert_eq!(row.left_out, 1);
        assert!((row.lift.unwrap().difference - 0.4).abs() < 1e-9);
    }

    #[test]
    fn r17_an_order_is_credited_to_the_last_click_within_five_days_and_to_no_other() {
        let mut one = somebody("one");
        click(&mut one, "j", day(1));
        click(&mut one, "other", day(2));
        order(&mut one, day(3), 1_000, 0);
        click(&mut one, "j", day(10));
        order(&mut one, day(15), 5_000, 2_000);
        order(&mut one, day(15).plus_micros(1), 7_000, 0);
        let row = row(&[one]);
        assert_eq!((row.orders, row.revenue_minor, row.revenue.as_str()), (1, 3_000, "30.00"));
    }
}
