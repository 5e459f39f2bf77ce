//! How values move as time passes, and the exact instant at which a comparison of them turns. Never late; sometimes early.

use zyklus_model::{At, DAY_MICROS, HOUR_MICROS};

use super::value::{Operation, Value};

/// How a value moves with the passage of time alone, everything recorded staying as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// Stays for ever.
    Constant,
    /// Stays until that instant; unknown from then on.
    ChangesAt(At),
    /// A whole number that moves by `by` at `origin + k × unit_micros` for every whole k after now.
    Counts {
        /// Where the counting begins.
        origin: At,
        /// Microseconds from one step to the next, at least 1.
        unit_micros: i64,
        /// What each step adds; 1 for a plain count.
        by: i64,
    },
}

/// A value and how it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// The value now.
    pub value: Value,
    /// How it moves after now.
    pub motion: Motion,
}

impl Timed {
    /// A value that time alone never changes.
    pub fn constant(value: Value) -> Self {
        Timed { value, motion: Motion::Constant }
    }

    /// A value that stays until `at` (for ever when none): a count over the last 30 days stays until its oldest item leaves.
    pub fn until(value: Value, at: Option<At>) -> Self {
        Timed { value, motion: at.map_or(Motion::Constant, Motion::ChangesAt) }
    }

    /// Whole units since `origin`: floor((now − origin) / unit).
    pub fn counting(origin: At, unit_micros: i64, now: At) -> Self {
        let unit_micros = unit_micros.max(1);
        Timed {
            value: Value::Int(steps(origin, unit_micros, now)),
            motion: Motion::Counts { origin, unit_micros, by: 1 },
        }
    }

    /// Whole days (of 24 hours) since something; never when it did not happen.
    pub fn days_since(at: Option<At>, now: At) -> Self {
        Self::since(at, DAY_MICROS, now)
    }

    /// Whole hours since something; never when it did not happen.
    pub fn hours_since(at: Option<At>, now: At) -> Self {
        Self::since(at, HOUR_MICROS, now)
    }

    fn since(at: Option<At>, unit_micros: i64, now: At) -> Self {
        match at {
            Some(at) => Self::counting(at, unit_micros, now),
            None => Self::constant(Value::Never),
        }
    }
}

impl From<Value> for Timed {
    fn from(value: Value) -> Self {
        Timed::constant(value)
    }
}

/// Whole units from origin to now; negative before it.
fn steps(origin: At, unit_micros: i64, now: At) -> i64 {
    now.micros_since(origin).div_euclid(unit_micros.max(1))
}

impl Motion {
    /// The earliest instant after now at which the value may differ; none is never. What claims to have changed already is due at
    /// once.
    pub fn next_change(self, now: At) -> Option<At> {
        match self {
            Motion::Constant | Motion::Counts { by: 0, .. } => None,
            Motion::ChangesAt(at) => Some(at.max(now.plus_micros(1))),
            Motion::Counts { origin, unit_micros, .. } => step_at(origin, unit_micros, now, 1),
        }
    }

    /// The motion of something made of two values: still only while both are.
    pub(super) fn join(self, other: Motion, now: At) -> Motion {
        match (self, other) {
            (Motion::Constant, motion) | (motion, Motion::Constant) => motion,
            _ => at_earliest(self.next_change(now), other.next_change(now)),
        }
    }

    /// The same motion as a mere instant, for results that are no count.
    pub(super) fn coarse(self, now: At) -> Motion {
        self.next_change(now).map_or(Motion::Constant, Motion::ChangesAt)
    }

    /// The motion of `a operation b`: sums and multiples of one count stay counts, everything else waits for the next step.
    pub(super) fn calculated(operation: Operation, a: &Timed, b: &Timed, result: &Value, now: At) -> Motion {
        let counted = match (a.motion, b.motion, &a.value, &b.value) {
            (Motion::Constant, Motion::Constant, ..) => return Motion::Constant,
            (Motion::Counts { origin, unit_micros, by }, Motion::Constant, Value::Int(_), Value::Int(b)) => {
                match operation {
                    Operation::Add | Operation::Subtract => Some((origin, unit_micros, by)),
                    Operation::Multiply => by.checked_mul(*b).map(|by| (origin, unit_micros, by)),
                    Operation::Divide | Operation::Remainder => None,
                }
            }
            (Motion::Constant, Motion::Counts { origin, unit_micros, by }, Value::Int(a), Value::Int(_)) => {
                match operation {
                    Operation::Add => Some((origin, unit_micros, by)),
                    Operation::Subtract => by.checked_neg().map(|by| (origin, unit_micros, by)),
                    Operation::Multiply => by.checked_mul(*a).map(|by| (origin, unit_micros, by)),
                    Operation::Divide | Operation::Remainder => None,
                }
            }
            _ => None,
        };
        match counted {
            Some(count) => Motion::line(count, result, now),
            None => a.motion.join(b.motion, now).coarse(now),
        }
    }

    /// The motion of `-a`.
    pub(super) fn negated(a: &Timed, result: &Value, now: At) -> Motion {
        match a.motion {
            Motion::Constant => Motion::Constant,
            Motion::ChangesAt(at) => Motion::ChangesAt(at),
            Motion::Counts { origin, unit_micros, by } => match by.checked_neg() {
                Some(by) => Motion::line((origin, unit_micros, by), result, now),
                None => a.motion.coarse(now),
            },
        }
    }

    /// A count, if neither its value nor its steps can reach the ends of i64 before [`At::MAX`] (where saturation would bend the
    /// line: 2^40 + 2^20 × 5·10^11 s < 2^60).
    fn line((origin, unit_micros, by): (At, i64, i64), value: &Value, now: At) -> Motion {
        let count = Motion::Counts { origin, unit_micros, by };
        let straight = by.unsigned_abs() <= 1 << 20
            && unit_micros >= 1_000_000
            && matches!(value, Value::Int(value) if value.unsigned_abs() <= 1 << 40);
        if straight { count } else { count.coarse(now) }
    }
}

fn at_earliest(a: Option<At>, b: Option<At>) -> Motion {
    a.into_iter().chain(b).min().map_or(Motion::Constant, Motion::ChangesAt)
}

/// The instant of the k-th step after now; none beyond the representable years.
fn step_at(origin: At, unit_micros: i64, now: At, k: i128) -> Option<At> {
    // Instants lie so close together that their distance is no overflow; where one is, it is beyond the years.
    let unit = unit_micros.max(1);
    let elapsed = now.as_micros().checked_sub(origin.as_micros())?;
    let steps = elapsed.div_euclid(unit).checked_add(i64::try_from(k).ok()?)?;
    let micros = steps.checked_mul(unit)?.checked_add(origin.as_micros())?;
    (micros <= At::MAX.as_micros()).then_some(At::from_micros(micros))
}

/// The six comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it holds between two values.
    pub(super) fn holds(self, a: &Value, b: &Value) -> bool {
        match self {
            Comparison::Equal => a.equals(b),
            Comparison::NotEqual => !a.equals(b),
            Comparison::Less => a.order(b).is_some_and(|order| order.is_lt()),
            Comparison::LessOrEqual => a.order(b).is_some_and(|order| order.is_le()),
            Comparison::Greater => a.order(b).is_some_and(|order| order.is_gt()),
            Comparison::GreaterOrEqual => a.order(b).is_some_and(|order| order.is_ge()),
        }
    }

    /// The same comparison with its sides swapped.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Comparison::Equal => Comparison::Equal,
            Comparison::NotEqual => Comparison::NotEqual,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }
}

/// How the result of a comparison moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turning {
    pub(super) motion: Motion,
    /// Whether the result certainly turns at that instant, rather than perhaps.
    pub(super) exact: bool,
}

/// When `a comparison b` may turn. A count against what stands still gives the exact instant.
pub(super) fn turning(
    comparison: Comparison,
    (a, a_moves): (&Value, &Motion),
    (b, b_moves): (&Value, &Motion),
    now: At,
) -> Turning {
    let loose = |motion: Motion| Turning { motion, exact: false };
    match (a_moves, b_moves) {
        (Motion::Constant, Motion::Constant) => loose(Motion::Constant),
        (&Motion::Counts { origin, unit_micros, by }, Motion::Constant | Motion::ChangesAt(_)) => {
            against_still(comparison, (origin, unit_micros, by), a, (b, b_moves), now)
        }
        (Motion::Constant | Motion::ChangesAt(_), &Motion::Counts { origin, unit_micros, by }) => {
            against_still(comparison.mirrored(), (origin, unit_micros, by), b, (a, a_moves), now)
        }
        (
            &Motion::Counts { origin, unit_micros, by },
            &Motion::Counts { origin: other_origin, unit_micros: other_unit, by: other_by },
        ) if unit_micros == other_unit && by == other_by => match (a, b) {
            // Two counts of one pace keep their distance, but for the moment between their steps.
            (Value::Int(left), Value::Int(right)) => {
                let gap = i128::from(*left) - i128::from(*right);
                let slack = if origin == other_origin { 0 } else { i128::from(by).abs() };
                let outcome = |gap: i128| {
                    Comparison::holds(comparison, &Value::Int(gap.signum() as i64), &Value::Int(0))
                };
                let same = outcome(gap - slack) == outcome(gap) && outcome(gap) == outcome(gap + slack);
                if same { loose(Motion::Constant) } else { loose(a_moves.join(*b_moves, now)) }
            }
            _ => loose(a_moves.join(*b_moves, now)),
        },
        _ => loose(a_moves.join(*b_moves, now).coarse(now)),
    }
}

/// A count (on the left) against a value that stands still, at least for a while.
fn against_still(
    comparison: Comparison,
    count: (At, i64, i64),
    value: &Value,
    (still, still_moves): (&Value, &Motion),
    now: At,
) -> Turning {
    let (origin, unit_micros, by) = count;
    let Value::Int(value) = value else {
        let moving = Motion::Counts { origin, unit_micros, by };
        return Turning { motion: moving.join(*still_moves, now).coarse(now), exact: false };
    };
    let cross = steps_to_turn(comparison, i128::from(*value), i128::from(by), still)
        .and_then(|k| step_at(origin, unit_micros, now, k));
    let stale = still_moves.next_change(now);
    Turning {
        motion: at_earliest(cross, stale),
        exact: cross.is_some() && stale.is_none_or(|stale| cross < Some(stale)),
    }
}

/// After how many steps of `by` a count that is now `value` turns its comparison with a fixed value; none is never.
fn steps_to_turn(comparison: Comparison, value: i128, by: i128, fixed: &Value) -> Option<i128> {
    const FAR: f64 = 1e30;
    if by == 0 {
        return None;
    }
    // A whole number is above a limit with decimals when it is above its floor, and not below it when not below its ceiling.
    let (floor, ceiling) = match fixed {
        Value::Int(whole) => (i128::from(*whole), i128::from(*whole)),
        Value::Double(number) if number.is_nan() => return None,
        Value::Double(number) => {
            (number.floor().clamp(-FAR, FAR) as i128, number.ceil().clamp(-FAR, FAR) as i128)
        }
        _ => return None,
    };
    let threshold = match comparison {
        Comparison::Equal | Comparison::NotEqual => {
            if floor != ceiling {
                return None;
            }
            if value == floor {
                return Some(1);
            }
            let distance = floor - value;
            return (distance % by == 0).then_some(distance / by).filter(|k| *k > 0);
        }
        Comparison::Greater | Comparison::LessOrEqual => floor + 1,
        Comparison::GreaterOrEqual | Comparison::Less => ceiling,
    };
    let reached = value >= threshold;
    if by > 0 {
        let missing = threshold - value;
        (!reached).then(|| if by == 1 { missing } else { (missing + by - 1) / by })
    } else {
        reached.then(|| (value - threshold) / -by + 1)
    }
}
