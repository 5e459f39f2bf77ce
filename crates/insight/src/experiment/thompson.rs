//! Which variant next: Thompson's rule (1933, Biometrika 25, 285), each variant in proportion to the probability that it
//! is the best. Decides nothing for good: a variant that looks bad keeps a small share and can come back.

use serde::Serialize;

use super::draw::Draw;
use crate::interval::{Moments, Tally, Unknown};

/// How often the posterior is drawn from to find who is best.
const DRAWS: u32 = 2_000;

/// A variant judged by whether an event (a click, an order, the goal) happens.
pub type EventArm = Tally;

/// A variant judged by what a customer brings in: who ordered, and the orders' values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueArm {
    /// Customers who ordered, of those who had the time to.
    pub ordered: Tally,
    /// The values of those orders, above zero, in any unit that is the same in all arms.
    pub values: Moments,
}

/// How a variant stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ArmShare {
    /// The probability that it is the best.
    pub best: f64,
    /// The share of the next customers it should get; of all arms these sum to one.
    pub share: f64,
}

/// One posterior a variant.
trait Posterior {
    fn draw(&self, draw: &mut Draw) -> f64;
}

/// Beta(1 + hits, 1 + misses): all rates alike before anything is seen.
struct EventRate(f64, f64);

impl EventRate {
    fn of(tally: Tally) -> Self {
        EventRate(1.0 + tally.hits() as f64, 1.0 + (tally.of() - tally.hits()) as f64)
    }
}

impl Posterior for EventRate {
    fn draw(&self, draw: &mut Draw) -> f64 {
        draw.beta(self.0, self.1)
    }
}

/// The share that orders times the mean order value. Values are Gamma with a shape all arms have in common and a rate of
/// the arm's own, whose conjugate prior is Gamma too, worth one order of the common mean.
struct CustomerValue {
    rate: EventRate,
    /// Shape per order.
    shape: f64,
    orders: f64,
    sum: f64,
}

impl Posterior for CustomerValue {
    fn draw(&self, draw: &mut Draw) -> f64 {
        let rate = draw.gamma(self.shape * self.orders) / self.sum;
        self.rate.draw(draw) * self.shape / rate.max(f64::MIN_POSITIVE)
    }
}

fn values(arms: &[ValueArm]) -> Result<Vec<CustomerValue>, Unknown> {
    let all = arms.iter().fold(Moments::default(), |all, arm| all.plus(arm.values));
    let Some(mean) = all.mean() else {
        // Without an order there is nothing to compare but who ordered: all values alike.
        let alike = |arm: &ValueArm| CustomerValue {
            rate: EventRate::of(arm.ordered),
            shape: 1.0,
            orders: 1.0,
            sum: 1.0,
        };
        return if all.n() == 0 { Ok(arms.iter().map(alike).collect()) } else { Err(Unknown::Impossible) };
    };
    if mean <= 0.0 {
        return Err(Unknown::Impossible);
    }
    // Moments: shape = mean²/variance. Within what orders are like, so that few values do not make it extreme.
    let shape = all.variance().map_or(1.0, |variance| mean * mean / variance).clamp(0.2, 20.0);
    let posterior = |arm: &ValueArm| {
        let n = arm.values.n() as f64;
        let sum = n * arm.values.mean().unwrap_or(0.0);
        CustomerValue { rate: EventRate::of(arm.ordered), shape, orders: n + 1.0, sum: sum + mean }
    };
    Ok(arms.iter().map(posterior).collect())
}

/// The probability of being best and the next share of each arm, by an event. No arm's share falls below `least`
/// divided by the number of arms (0.1: a tenth of an even split), so that a change of heart can be noticed.
///
/// # Errors
/// [`Unknown::Empty`] without arms, [`Unknown::Impossible`] if `least` is not between 0 and 1.
pub fn shares_by_event(arms: &[EventArm], least: f64, seed: u64) -> Result<Vec<ArmShare>, Unknown> {
    let posteriors: Vec<EventRate> = arms.iter().map(|arm| EventRate::of(*arm)).collect();
    shares(&posteriors, least, seed)
}

/// As [`shares_by_event`], by what a customer brings in.
///
/// # Errors
/// As [`shares_by_event`]; [`Unknown::Impossible`] also if order values are not above zero on average, or not finite.
pub fn shares_by_value(arms: &[ValueArm], least: f64, seed: u64) -> Result<Vec<ArmShare>, Unknown> {
    shares(&values(arms)?, least, seed)
}

/// The arm for one customer, by an event: the best in one draw. `None` without arms. A seed that follows from the
/// customer and the run makes the choice repeatable.
pub fn pick_event(arms: &[EventArm], seed: u64) -> Option<usize> {
    let posteriors: Vec<EventRate> = arms.iter().map(|arm| EventRate::of(*arm)).collect();
    best(&posteriors, &mut Draw::new(seed))
}

/// As [`pick_event`], by what a customer brings in.
///
/// # Errors
/// [`Unknown::Empty`] without arms, else as [`shares_by_value`].
pub fn pick_value(arms: &[ValueArm], seed: u64) -> Result<usize, Unknown> {
    best(&values(arms)?, &mut Draw::new(seed)).ok_or(Unknown::Empty)
}

fn best<P: Posterior>(arms: &[P], draw: &mut Draw) -> Option<usize> {
    let drawn: Vec<f64> = arms.iter().map(|arm| arm.draw(draw)).collect();
    (0..drawn.len()).max_by(|one, other| drawn[*one].total_cmp(&drawn[*other]))
}

fn shares<P: Posterior>(arms: &[P], least: f64, seed: u64) -> Result<Vec<ArmShare>, Unknown> {
    if !(0.0..=1.0).contains(&least) {
        return Err(Unknown::Impossible);
    }
    let mut draw = Draw::new(seed);
    let mut wins = vec![0_u32; arms.len()];
    for _ in 0..DRAWS {
        wins[best(arms, &mut draw).ok_or(Unknown::Empty)?] += 1;
    }
    let floor = least / arms.len() as f64;
    let share = |wins: u32| {
        let best = f64::from(wins) / f64::from(DRAWS);
        ArmShare { best, share: floor + (1.0 - least) * best }
    };
    Ok(wins.into_iter().map(share).collect())
}
