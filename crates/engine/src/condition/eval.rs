//! Walks a checked tree over the host's fields. Total; numbers and flags are never put on the heap.

use std::sync::Arc;

use zyklus_model::At;

use super::Fields;
use super::ast::{NodeId, Op, TextTest, Tree};
use super::functions::FunctionId;
use super::motion::{Comparison, Motion, Timed, turning};
use super::schema::Type;
use super::value::{Value, calculate, double, negate};

/// The element a quantifier is at, and those of the quantifiers around it.
#[derive(Clone, Copy)]
pub(super) struct Items<'a> {
    item: &'a Timed,
    outer: Option<&'a Items<'a>>,
}

pub(super) struct Evaluation<'a, F: ?Sized> {
    tree: &'a Tree,
    fields: &'a F,
    now: At,
}

impl<'a, F: Fields + ?Sized> Evaluation<'a, F> {
    pub(super) fn new(tree: &'a Tree, fields: &'a F, now: At) -> Self {
        Evaluation { tree, fields, now }
    }

    /// The value of the whole.
    pub(super) fn root(&self) -> Timed {
        self.node(self.tree.root_id(), None)
    }

    /// The value of one node. What most conditions are made of is told apart first, in a small frame; each is written
    /// where it is wanted, for copying it costs more than most of them.
    pub(super) fn node(&self, id: NodeId, items: Option<&Items<'_>>) -> Timed {
        let node = self.tree.node(id);
        match &node.op {
            Op::Literal(value) => Timed::constant(value.clone()),
            Op::Field(field) if node.kind != Type::Bool => self.fields.field(*field, self.now),
            Op::Field(field) => self.typed(id, self.fields.field(*field, self.now)),
            Op::All(terms) => self.logic(terms, false, items),
            Op::Any(terms) => self.logic(terms, true, items),
            Op::Compare { .. } => self.compare(id, items, &mut false),
            _ => self.other(id, items),
        }
    }

    /// The other kinds of nodes.
    #[inline(never)]
    fn other(&self, id: NodeId, items: Option<&Items<'_>>) -> Timed {
        let now = self.now;
        match &self.tree.node(id).op {
            Op::Literal(_) | Op::Field(_) | Op::All(_) | Op::Any(_) | Op::Compare { .. } => {
                self.node(id, items)
            }
            Op::Entry(map, path) => self.fields.entry(*map, path, now),
            Op::EntryAt(map, name) => {
                let name = self.node(*name, items);
                match &name.value {
                    Value::Text(text) => {
                        let entry = self.fields.entry(*map, std::slice::from_ref(text), now);
                        Timed { motion: entry.motion.join(name.motion, now), value: entry.value }
                    }
                    _ => Timed { value: Value::Absent, motion: name.motion.coarse(now) },
                }
            }
            Op::Name(of, name) => {
                let of = self.node(*of, items);
                Timed { value: of.value.entry(name), motion: of.motion.coarse(now) }
            }
            Op::Element(of, key) => {
                let (of, key) = (self.node(*of, items), self.node(*key, items));
                let value = match (&of.value, &key.value) {
                    (Value::List(list), Value::Int(at)) => {
                        usize::try_from(*at).ok().and_then(|at| list.get(at)).cloned().unwrap_or_default()
                    }
                    (map, Value::Text(name)) => map.entry(name),
                    _ => Value::Absent,
                };
                Timed { value, motion: of.motion.join(key.motion, now).coarse(now) }
            }
            Op::Call(function, _, Some(literals)) => {
                self.typed(id, self.fields.call(*function, literals, now))
            }
            Op::Call(function, arguments, None) => self.typed(id, self.call(*function, arguments, items)),
            Op::Not(inner) => {
                let inner = self.node(*inner, items);
                flag(!inner.value.is_true(), inner.motion.coarse(now))
            }
            Op::Present(inner) => {
                let inner = self.node(*inner, items);
                // A count is there and stays there.
                let motion = if matches!(inner.motion, Motion::Counts { .. }) {
                    Motion::Constant
                } else {
                    inner.motion
                };
                flag(!inner.value.is_absent(), motion)
            }
            Op::In { item, list, as_text } => self.contained(*item, *list, *as_text, items),
            Op::Calculate(operation, left, right) => {
                let (left, right) = (self.node(*left, items), self.node(*right, items));
                let value = calculate(*operation, &left.value, &right.value);
                let motion = Motion::calculated(*operation, &left, &right, &value, now);
                Timed { value, motion }
            }
            Op::Negate(inner) => {
                let inner = self.node(*inner, items);
                let value = negate(&inner.value);
                let motion = Motion::negated(&inner, &value, now);
                Timed { value, motion }
            }
            Op::Choose { condition, yes, no } => {
                let condition = self.node(*condition, items);
                let chosen = self.node(if condition.value.is_true() { *yes } else { *no }, items);
                Timed { value: chosen.value, motion: chosen.motion.join(condition.motion, now) }
            }
            Op::List(elements) => {
                let mut motion = Motion::Constant;
                let values = elements.iter().map(|element| {
                    let element = self.node(*element, items);
                    motion = motion.join(element.motion.coarse(now), now);
                    element.value
                });
                let value = Value::List(values.collect());
                Timed { value, motion }
            }
            Op::Size(of) => {
                let of = self.node(*of, items);
                let size = match &of.value {
                    Value::Text(text) => Some(text.chars().count()),
                    Value::List(list) => Some(list.len()),
                    Value::Map(entries) => Some(entries.len()),
                    _ => None,
                };
                let value =
                    size.map_or(Value::Absent, |size| Value::Int(i64::try_from(size).unwrap_or(i64::MAX)));
                Timed { value, motion: of.motion.coarse(now) }
            }
            Op::TextTest(test, of, part) => {
                let (of, part) = (self.node(*of, items), self.node(*part, items));
                let holds = match (of.value.as_text(), part.value.as_text()) {
                    (Some(of), Some(part)) => match test {
                        TextTest::StartsWith => of.starts_with(part),
                        TextTest::EndsWith => of.ends_with(part),
                        TextTest::Contains => of.contains(part),
                    },
                    _ => false,
                };
                flag(holds, of.motion.join(part.motion, now).coarse(now))
            }
            Op::Matches(of, pattern) => {
                let of = self.node(*of, items);
                flag(of.value.as_text().is_some_and(|text| pattern.is_match(text)), of.motion.coarse(now))
            }
            Op::Convert(to, of) => {
                let of = self.node(*of, items);
                let motion = match (&of.value, to) {
                    (Value::Int(_), Type::Int) => of.motion,
                    _ => of.motion.coarse(now),
                };
                Timed { value: convert(*to, of.value), motion }
            }
            Op::Item(up) => {
                let mut here = items;
                for _ in 0..*up {
                    here = here.and_then(|items| items.outer);
                }
                here.map_or_else(|| Timed::constant(Value::Absent), |items| items.item.clone())
            }
            Op::Quantify { every, list, body } => self.quantify(*every, *list, *body, items),
        }
    }

    /// A flag that is absent is false; the count of a host that does not count is taken as it is.
    fn typed(&self, id: NodeId, mut timed: Timed) -> Timed {
        if timed.value.is_absent() && self.tree.node(id).kind == Type::Bool {
            timed.value = Value::Bool(false);
        }
        timed
    }

    fn call(&self, function: FunctionId, arguments: &[NodeId], items: Option<&Items<'_>>) -> Timed {
        let mut motion = Motion::Constant;
        let values: Vec<Value> = arguments
            .iter()
            .map(|argument| {
                let argument = self.node(*argument, items);
                motion = motion.join(argument.motion.coarse(self.now), self.now);
                argument.value
            })
            .collect();
        let called = self.fields.call(function, &values, self.now);
        Timed { motion: called.motion.join(motion, self.now), value: called.value }
    }

    /// `&&` (decided by a false operand) and `||` (by a true one). While one deciding operand stays, so does the result: it is due
    /// when the last of them may turn. Undecided, it is due when the first operand may turn.
    fn logic(&self, terms: &[NodeId], decisive: bool, items: Option<&Items<'_>>) -> Timed {
        let mut decided: Option<At> = None;
        let mut open: Option<At> = None;
        for term in terms {
            let term = self.node(*term, items);
            let due = term.motion.next_change(self.now);
            if term.value.is_true() == decisive {
                match due {
                    None => return flag(decisive, Motion::Constant),
                    Some(at) => decided = decided.max(Some(at)),
                }
            } else if let Some(at) = due {
                open = Some(open.map_or(at, |open| open.min(at)));
            }
        }
        match decided {
            Some(at) => flag(decisive, Motion::ChangesAt(at)),
            None => flag(!decisive, open.map_or(Motion::Constant, Motion::ChangesAt)),
        }
    }

    /// A comparison; `exact` becomes whether it turns for certain when it is due.
    pub(super) fn compare(&self, id: NodeId, items: Option<&Items<'_>>, exact: &mut bool) -> Timed {
        *exact = false;
        let Op::Compare { how, left: left_id, right: right_id, as_text } = &self.tree.node(id).op else {
            return Timed::constant(Value::Absent);
        };
        let computed;
        let (right, motion) = match &self.tree.node(*right_id).op {
            Op::Literal(value) => (value, Motion::Constant),
            _ => {
                computed = self.node(*right_id, items);
                (&computed.value, computed.motion)
            }
        };
        if let Some(turns) = self.falling(*left_id, *how, right, motion) {
            return turns;
        }
        let left = self.node(*left_id, items);
        if let Some(turns) = self.falling(*right_id, how.mirrored(), &left.value, left.motion) {
            return turns;
        }
        let holds = match (how, as_text) {
            (Comparison::Equal, true) => left.value.equals_as_text(right),
            (Comparison::NotEqual, true) => !left.value.equals_as_text(right),
            _ => how.holds(&left.value, right),
        };
        if *as_text {
            return flag(holds, left.motion.join(motion, self.now).coarse(self.now));
        }
        let turns = turning(*how, (&left.value, &left.motion), (right, &motion), self.now);
        *exact = turns.exact;
        flag(holds, turns.motion)
    }

    /// A field that only falls compared with a number: due when it comes below, not at every step on the way.
    #[inline]
    fn falling(&self, figure: NodeId, how: Comparison, other: &Value, moves: Motion) -> Option<Timed> {
        let Op::Field(field) = self.tree.node(figure).op else { return None };
        let limit = match *other {
            Value::Int(whole) => whole as f64,
            Value::Double(number) => number,
            _ => return None,
        };
        let or_at = match how {
            Comparison::Less | Comparison::GreaterOrEqual => false,
            Comparison::LessOrEqual | Comparison::Greater => true,
            Comparison::Equal | Comparison::NotEqual => return None,
        };
        let figure = self.fields.falling(field, limit, or_at, self.now)?;
        let motion = figure.motion.join(moves, self.now).coarse(self.now);
        Some(flag(how.holds(&figure.value, other), motion))
    }

    fn contained(&self, item: NodeId, list: NodeId, as_text: bool, items: Option<&Items<'_>>) -> Timed {
        let item = self.node(item, items);
        if item.value.is_absent() {
            // Nothing absent is in any list, whatever the list does.
            return flag(false, item.motion.coarse(self.now));
        }
        let equal = |element: &Value| {
            if as_text { item.value.equals_as_text(element) } else { item.value.equals(element) }
        };
        match &self.tree.node(list).op {
            Op::List(elements) => {
                let mut holds = false;
                let mut motion = item.motion.coarse(self.now);
                for element in elements {
                    let element = self.node(*element, items);
                    holds |= equal(&element.value);
                    motion = motion.join(element.motion.coarse(self.now), self.now);
                }
                flag(holds, motion)
            }
            Op::Literal(Value::List(elements)) => {
                let holds = elements.iter().any(equal);
                let motion = match item.motion {
                    // A count outside the list is due when it reaches the next element of it.
                    Motion::Counts { .. } if !holds && !as_text => {
                        elements.iter().fold(Motion::Constant, |motion, element| {
                            let (item, element) = ((&item.value, &item.motion), (element, &Motion::Constant));
                            let turn = turning(Comparison::Equal, item, element, self.now);
                            motion.join(turn.motion, self.now)
                        })
                    }
                    other => other.coarse(self.now),
                };
                flag(holds, motion)
            }
            _ => {
                let list = self.node(list, items);
                let holds = match &list.value {
                    Value::List(elements) => elements.iter().any(equal),
                    Value::Map(entries) => {
                        item.value.as_text().is_some_and(|name| entries.contains_key(name))
                    }
                    _ => false,
                };
                flag(holds, item.motion.join(list.motion, self.now).coarse(self.now))
            }
        }
    }

    fn quantify(&self, every: bool, list: NodeId, body: NodeId, items: Option<&Items<'_>>) -> Timed {
        let list = self.node(list, items);
        let list_motion = list.motion.coarse(self.now);
        let none: Arc<[Value]> = Arc::from([]);
        let elements = match &list.value {
            Value::List(elements) => elements,
            _ => &none,
        };
        let mut holds = every;
        let mut motion = list_motion;
        for element in elements.iter() {
            let item = Timed::constant(element.clone());
            let answer = self.node(body, Some(&Items { item: &item, outer: items }));
            motion = motion.join(answer.motion.coarse(self.now), self.now);
            if answer.value.is_true() != every {
                holds = !every;
                // This element decides while it and the list stay.
                motion = list_motion.join(answer.motion.coarse(self.now), self.now);
                break;
            }
        }
        // An absent list has no elements, but nothing holds for all of nothing known.
        let holds = holds && (!every || matches!(list.value, Value::List(_)));
        flag(holds, motion)
    }
}

fn flag(holds: bool, motion: Motion) -> Timed {
    Timed { value: Value::Bool(holds), motion }
}

fn convert(to: Type, value: Value) -> Value {
    match (to, value) {
        (Type::Int, value @ (Value::Int(_) | Value::Never)) => value,
        (Type::Int, Value::Double(number)) => Value::Int(number as i64),
        (Type::Int, Value::Bool(flag)) => Value::Int(i64::from(flag)),
        (Type::Int, Value::Text(text)) => text.trim().parse().map_or(Value::Absent, Value::Int),
        (Type::Double, value @ (Value::Double(_) | Value::Never)) => value,
        (Type::Double, Value::Int(whole)) => Value::Double(whole as f64),
        (Type::Double, Value::Text(text)) => text.trim().parse().map_or(Value::Absent, double),
        (Type::Text, value @ Value::Text(_)) => value,
        (Type::Text, value @ (Value::Int(_) | Value::Double(_) | Value::Bool(_))) => {
            Value::text(value.to_string())
        }
        _ => Value::Absent,
    }
}
