//! Customers' ways through the phases, from moves that come customer by customer: stays, and who was where at two points
//! in time. Never asks a store.
//!
//! Kept until the end: 32 bytes a stay. A customer's own moves are let go before the next one's come.

use std::collections::{BTreeMap, HashMap};

use zyklus_insight::interval::Moments;
use zyklus_insight::survival::Stay;
use zyklus_model::{At, CustomerId};

use super::intake::STEP_DAYS;

/// A phase by its number.
pub(crate) type Number = u16;

struct Step {
    from: Option<Number>,
    to: Number,
    at: At,
}

/// How many were in which phase at the first point in time and at the second; `None` is before the first phase.
pub(crate) type Flow = BTreeMap<(Option<Number>, Option<Number>), u64>;

/// What customers' ways came to.
pub(crate) struct Walked {
    /// The phases' names by number.
    pub(crate) names: Vec<String>,
    /// The stays in each.
    pub(crate) stays: Vec<Vec<Stay<Number>>>,
    /// Who was where.
    pub(crate) flow: Flow,
    /// What those who were in a phase at the first point in time have spent since.
    pub(crate) spent: BTreeMap<Number, Moments>,
}

/// All ways.
pub(crate) struct Paths {
    now: At,
    names: Vec<String>,
    stays: Vec<Vec<Stay<Number>>>,
    flow: Flow,
    lately: HashMap<CustomerId, i64>,
    spent: BTreeMap<Number, Moments>,
    of: Option<CustomerId>,
    steps: Vec<Step>,
}

impl Paths {
    /// Until `now`; `phases` are those of the lifecycle, others get the numbers after them.
    pub(crate) fn new(now: At, phases: impl Iterator<Item = String>) -> Self {
        let names: Vec<String> = phases.collect();
        let stays = names.iter().map(|_| Vec::new()).collect();
        Paths {
            now,
            names,
            stays,
            flow: BTreeMap::new(),
            lately: HashMap::new(),
            spent: BTreeMap::new(),
            of: None,
            steps: Vec::new(),
        }
    }

    /// What customers have spent since the first of the two points in time; to be told before the moves.
    pub(crate) fn spent(&mut self, lately: HashMap<CustomerId, i64>) {
        self.lately = lately;
    }

    fn number(&mut self, phase: &str) -> Option<Number> {
        let place = self.names.iter().position(|name| name == phase).unwrap_or_else(|| {
            self.names.push(phase.to_owned());
            self.stays.push(Vec::new());
            self.names.len() - 1
        });
        Number::try_from(place).ok()
    }

    /// One move, all of a customer's one after the other, in any order.
    pub(crate) fn add(&mut self, customer: CustomerId, from: Option<&str>, to: &str, at: At) {
        if self.of != Some(customer) {
            self.close();
            self.of = Some(customer);
        }
        let from = from.and_then(|phase| self.number(phase));
        if let Some(to) = self.number(to) {
            self.steps.push(Step { from, to, at });
        }
    }

    /// Puts the customer's moves in order: by time, and those of one instant so that each begins where the one before
    /// it ended.
    fn close(&mut self) {
        let mut left = std::mem::take(&mut self.steps);
        left.sort_by_key(|step| (step.at, step.from, step.to));
        let mut path: Vec<(Number, At)> = Vec::with_capacity(left.len());
        while let Some(first) = left.first().map(|step| step.at) {
            let here = path.last().map(|(phase, _)| *phase);
            let next = left.iter().take_while(|step| step.at == first).position(|step| step.from == here);
            let step = left.remove(next.unwrap_or(0));
            if here != Some(step.to) {
                path.push((step.to, step.at));
            }
        }
        for (place, (phase, entered)) in path.iter().enumerate() {
            let left = path.get(place + 1).map(|(to, at)| (*at, *to));
            self.stays[usize::from(*phase)].push(Stay { entered: *entered, left });
        }
        let phase_at = |at: At| path.iter().rev().find(|(_, since)| *since <= at).map(|(phase, _)| *phase);
        let (before, after) = (phase_at(self.now.plus_days(-STEP_DAYS)), phase_at(self.now));
        if let Some(phase) = before {
            let lately = self.of.and_then(|customer| self.lately.get(&customer));
            let spent = self.spent.entry(phase).or_default();
            *spent = spent.with(lately.map_or(0.0, |minor| *minor as f64));
        }
        if before.is_some() || after.is_some() {
            *self.flow.entry((before, after)).or_default() += 1;
        }
    }

    /// All of it.
    pub(crate) fn finish(mut self) -> Walked {
        self.close();
        Walked { names: self.names, stays: self.stays, flow: self.flow, spent: self.spent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> At {
        At::from_seconds(1_767_225_600).plus_days(day)
    }

    #[test]
    fn moves_of_one_instant_are_put_end_to_end() {
        let customer = |name: &str| CustomerId::derive(&[name.as_bytes()]);
        let phases = ["new", "active", "lost"].map(str::to_owned);
        let mut paths = Paths::new(day(200), phases.into_iter());
        paths.spent(HashMap::from([(customer("a"), 700), (customer("b"), 900)]));
        paths.add(customer("a"), Some("lost"), "active", day(10));
        paths.add(customer("a"), Some("new"), "lost", day(10));
        paths.add(customer("a"), None, "new", day(0));
        paths.add(customer("b"), None, "elsewhere", day(150));
        let Walked { names, stays, flow, spent } = paths.finish();
        assert_eq!(spent[&1].mean(), Some(700.0));
        assert_eq!(names, ["new", "active", "lost", "elsewhere"]);
        assert_eq!(stays[0], [Stay { entered: day(0), left: Some((day(10), 2)) }]);
        assert_eq!(stays[2], [Stay { entered: day(10), left: Some((day(10), 1)) }]);
        assert_eq!(stays[1], [Stay { entered: day(10), left: None }]);
        assert_eq!(flow.into_iter().collect::<Vec<_>>(), [((None, Some(3)), 1), ((Some(1), Some(1)), 1)]);
    }
}
