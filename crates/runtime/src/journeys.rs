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
use zyklus_model::{At, Currency, DAY_MICROS, GuardReason, Holdout, Money, Run, RunEnd, RunState, Snapshot};

/// A click counts for orders of so many microseconds after it.
const CLICK_COUNTS: i64 = 5 * DAY_MICROS;

/// What one journey came to.
#[derive(Debug, Clone, Serialize)]
pub struct JourneyRow {
    /// The journey's root id.
    pub journey: String,
    /// What people call it; its id if it is gone from the files.
    pub label: String,
    /// Runs that began, ghosts of a holdout among them; what only ran in shadow mode is not counted.
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
    /// Orders credited to its messages.
    pub orders: u64,
    /// What they came to after refunds, in minor units of the reporting currency.
    pub revenue_minor: i64,
    /// The same as a decimal number.
    pub revenue: String,
}

/// Customers treated alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Arm {
    /// How many.
    pub customers: u64,
    /// How many of them reached the goal.
    pub reached: u64,
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

impl Lift {
    /// Newcombe's interval for the difference of two independent proportions, from Wilson's interval of each (method 10
    /// in R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine
    /// 17, 1998, pages 873-890): it holds for small counts and shares near 0, where the textbook's does not.
    pub fn of(treated: Arm, held: Arm) -> Option<Self> {
        let (p, p_low, p_high) = wilson(treated)?;
        let (q, q_low, q_high) = wilson(held)?;
        let difference = p - q;
        Some(Lift {
            difference,
            low: difference - (p - p_low).hypot(q_high - q),
            high: difference + (p_high - p).hypot(q - q_low),
        })
    }
}

/// A share with Wilson's 95 % interval.
fn wilson(arm: Arm) -> Option<(f64, f64, f64)> {
    const Z: f64 = 1.959_963_984_540_054;
    if arm.customers == 0 {
        return None;
    }
    let n = arm.customers as f64;
    let share = arm.reached as f64 / n;
    let middle = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((share, (middle - half) / scale, (middle + half) / scale))
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
    orders: u64,
    revenue: i64,
}

/// Counts customer by customer.
#[derive(Default)]
pub(crate) struct Journeys(BTreeMap<String, Tally>);

impl Journeys {
    pub(crate) fn add(&mut self, book: &Book, snapshot: &Snapshot, now: At) {
        let mut by_journey: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
        let begun = |run: &&Run| {
            let is_shown = run.ghost && run.held.is_none();
            run.started_at <= now && run.state != RunState::Queued && !is_shown
        };
        for run in snapshot.runs.iter().filter(begun) {
            by_journey.entry(&run.journey).or_default().push(run);
        }
        for (journey, runs) in by_journey {
            let tally = self.0.entry(journey.to_owned()).or_default();
            for run in &runs {
                tally.started += 1;
                match (run.ended_at.filter(|at| *at <= now), run.end) {
                    (Some(_), Some(end)) => *tally.ended.entry(end.as_str().to_owned()).or_default() += 1,
                    _ => tally.live += 1,
                }
            }
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
            JourneyRow {
                label: journey
                    .and_then(|j| j.label.get(language).or_else(|| j.label.get("en")))
                    .unwrap_or(&id)
                    .clone(),
                journey: id,
                started: tally.started,
                live: tally.live,
                ended: tally.ended,
                treated: tally.treated,
                held: tally.held,
                held_globally: tally.held_globally,
                left_out: tally.left_out,
                lift: has_goal.then(|| Lift::of(tally.treated, tally.held)).flatten(),
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
            reached |= run.end == Some(RunEnd::Goal) || run.acted.iter().any(|(step, _)| step == GOAL_STEP);
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
        arm.customers += 1;
        arm.reached += u64::from(reached);
    }
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

    fn row(people: &[Snapshot]) -> JourneyRow {
        let book = book();
        let mut journeys = Journeys::default();
        people.iter().for_each(|snapshot| journeys.add(&book, snapshot, day(40)));
        journeys.finish(&book, Currency::EUR, "en").into_iter().find(|row| row.journey == "j").unwrap()
    }

    #[test]
    fn r17_the_interval_is_that_of_the_published_example() {
        let arm = |reached, customers| Arm { customers, reached };
        let lift = Lift::of(arm(56, 70), arm(48, 80)).unwrap();
        let rounded = [lift.difference, lift.low, lift.high].map(|share| format!("{share:.4}"));
        assert_eq!(rounded, ["0.2000", "0.0524", "0.3339"]);
        assert_eq!(Lift::of(arm(1, 1), arm(0, 0)), None);
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
        assert_eq!(row.treated, Arm { customers: 5, reached: 2 });
        assert_eq!(row.held, Arm { customers: 3, reached: 0 });
        assert_eq!(row.held_globally, Arm { customers: 1, reached: 0 });
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
