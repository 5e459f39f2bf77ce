//! Checks and lowers comparisons, `in` and arithmetic: which types fit, and what to say when they do not.

use std::ops::Range;
use std::sync::Arc;

use zyklus_model::nearest;

use super::{Lowering, Result};
use crate::condition::ast::{Named, NodeId, Op, Reference};
use crate::condition::error::ConditionError;
use crate::condition::motion::Comparison;
use crate::condition::schema::{FieldId, Type};
use crate::condition::value::{Operation, Value};
use crate::facts::MOODS;

impl Lowering<'_> {
    pub(super) fn check_comparison(
        &mut self,
        how: Comparison,
        left: NodeId,
        right: NodeId,
        span: Range<usize>,
    ) -> Result<NodeId> {
        let (a, b) = (self.kind(left), self.kind(right));
        let equality = matches!(how, Comparison::Equal | Comparison::NotEqual);
        let numbers = is_number(a) && is_number(b);
        let fits = match (a, b) {
            (Type::Null, Type::Null) => equality,
            (Type::Null, _) | (_, Type::Null) => equality,
            (Type::Any, _) | (_, Type::Any) => true,
            (Type::Texts | Type::List, Type::Texts | Type::List) => equality,
            (a, b) if a == b => equality || matches!(a, Type::Text | Type::Instant | Type::Span) || numbers,
            _ => numbers,
        };
        if !fits {
            return Err(self.mismatch(left, right, equality, span));
        }
        for (amount, text) in [(left, right), (right, left)] {
            if let Some(Value::Text(text)) = self.literal(text)
                && self.is_amount(amount, text, equality)
            {
                let message = format!("`{}` is a number, compared with a text", self.written(amount));
                let number = text.split(' ').find(|word| word.parse::<f64>().is_ok()).unwrap_or("100.0");
                let help = format!(
                    "write the number without quotation marks and currency: {number}; amounts are in the shop's currency"
                );
                return Err(ConditionError::new(span, message).help(help));
            }
        }
        if equality {
            for (one, other) in [(left, right), (right, left)] {
                if let Some(text) = self.literal(other).cloned() {
                    self.check_mood(one, &text, other)?;
                    self.refer(one, &text, other);
                }
            }
        }
        let as_text = self.is_key(left) || self.is_key(right);
        Ok(self.push(Op::Compare { how, left, right, as_text }, Type::Bool, span))
    }

    fn mismatch(&self, left: NodeId, right: NodeId, equality: bool, span: Range<usize>) -> ConditionError {
        // The computed side is the subject, the literal what it is compared with.
        let (subject, object) = if self.literal(left).is_some() { (right, left) } else { (left, right) };
        let error = if self.kind(subject) == self.kind(object) {
            let kind = self.kind(subject);
            return ConditionError::new(
                span,
                format!(
                    "`{}` is {kind}, which has no order: compare with `==` or `!=`",
                    self.written(subject)
                ),
            );
        } else {
            let message = format!(
                "`{}` is {}, compared with {}",
                self.written(subject),
                self.kind(subject),
                self.named(object)
            );
            ConditionError::new(span, message)
        };
        match (self.kind(subject), self.literal(object)) {
            (Type::Int | Type::Double, Some(Value::Text(text))) if text.parse::<f64>().is_ok() => {
                error.help(format!("write the number without quotation marks: {text}"))
            }
            (Type::Int | Type::Double, Some(Value::Text(_))) => error.help("write a number, for example 3"),
            (Type::Text, Some(Value::Int(whole))) => error.help(format!("write it as a text: '{whole}'")),
            (Type::Instant, Some(Value::Text(_))) => {
                error.help("write the instant as timestamp(\"2026-01-01T00:00:00Z\")")
            }
            (Type::Instant, Some(Value::Int(_))) => {
                error.help("days are counted by fields as `orders.days_since_last`")
            }
            (Type::Span, _) => error.help("write the duration as duration(\"24h\")"),
            (Type::Bool, _) if equality => {
                error.help(format!("`{}` stands alone, or as `!{0}`", self.written(subject)))
            }
            (Type::Texts, Some(Value::Text(text))) => {
                error.help(format!("write `'{text}' in {}`", self.written(subject)))
            }
            _ => error,
        }
    }

    pub(super) fn check_in(&mut self, item: NodeId, list: NodeId, span: Range<usize>) -> Result<NodeId> {
        if let (Type::Map, Op::Field(map)) = (self.kind(list), &self.node(list).op) {
            let map = *map;
            return match (self.kind(item), self.literal(item).and_then(Value::as_text).map(Arc::<str>::from))
            {
                (Type::Text, Some(name)) => {
                    let entry = self.push(Op::Entry(map, Box::new([name])), Type::Any, span.clone());
                    Ok(self.push(Op::Present(entry), Type::Bool, span))
                }
                (Type::Text | Type::Any, _) => {
                    let entry = self.push(Op::EntryAt(map, item), Type::Any, span.clone());
                    Ok(self.push(Op::Present(entry), Type::Bool, span))
                }
                _ => Err(ConditionError::new(
                    span,
                    format!("{} is no name of an entry: `in` wants a text here", self.named(item)),
                )),
            };
        }
        let fits = match self.kind(list) {
            Type::Texts => matches!(self.kind(item), Type::Text | Type::Any),
            Type::List | Type::Any | Type::Map => true,
            _ => {
                let error = ConditionError::new(span, self.is_not(list, "a list"));
                return Err(match self.kind(list) {
                    Type::Text => {
                        error.help(format!("write `{}.contains({})`", self.written(list), self.written(item)))
                    }
                    _ => error,
                });
            }
        };
        if !fits && self.literal(list) != Some(&Value::List(Arc::from([]))) {
            let message = format!("{} is looked for in {}", self.named(item), self.named(list));
            return Err(ConditionError::new(span, message));
        }
        if let Some(text) = self.literal(item).cloned() {
            self.refer(list, &text, item);
        }
        if let Some(Value::List(items)) = self.literal(list).cloned() {
            for text in items.iter() {
                self.check_mood(item, text, list)?;
                self.refer(item, text, list);
            }
        }
        let as_text = self.is_key(item);
        Ok(self.push(Op::In { item, list, as_text }, Type::Bool, span))
    }

    pub(super) fn check_calculation(
        &mut self,
        operation: Operation,
        left: NodeId,
        right: NodeId,
        span: Range<usize>,
    ) -> Result<NodeId> {
        use Operation::{Add, Remainder, Subtract};
        let kind = match (self.kind(left), self.kind(right)) {
            (Type::Int, Type::Int) => Some(Type::Int),
            (a, b) if is_number(a) && is_number(b) => (operation != Remainder).then_some(Type::Double),
            (Type::Text, Type::Text) if operation == Add => Some(Type::Text),
            (Type::Instant, Type::Span) if matches!(operation, Add | Subtract) => Some(Type::Instant),
            (Type::Span, Type::Instant) if operation == Add => Some(Type::Instant),
            (Type::Instant, Type::Instant) if operation == Subtract => Some(Type::Span),
            (Type::Span, Type::Span) if matches!(operation, Add | Subtract) => Some(Type::Span),
            (Type::Any, Type::Int | Type::Double | Type::Text | Type::Instant | Type::Span | Type::Any)
            | (Type::Int | Type::Double | Type::Text | Type::Instant | Type::Span, Type::Any) => {
                Some(Type::Any)
            }
            _ => None,
        };
        match kind {
            Some(kind) => Ok(self.push(Op::Calculate(operation, left, right), kind, span)),
            None => {
                let what = match operation {
                    Add => "added",
                    Subtract => "subtracted",
                    Operation::Multiply => "multiplied",
                    Operation::Divide => "divided",
                    Remainder => "divided with a remainder",
                };
                Err(ConditionError::new(
                    span,
                    format!("{} and {} cannot be {what}", self.named(left), self.named(right)),
                ))
            }
        }
    }

    /// Whether a field of an event, whose types nobody knows, must be an amount where it is compared with this text.
    fn is_amount(&self, field: NodeId, text: &str, equality: bool) -> bool {
        let Op::Entry(FieldId::Event, path) = &self.node(field).op else { return false };
        let is_currency = |word: &str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_uppercase());
        let looks_so = text.split(' ').all(|word| word.parse::<f64>().is_ok() || is_currency(word))
            && text.split(' ').any(|word| word.parse::<f64>().is_ok());
        path.len() == 1 && (&*path[0] == "total" || (looks_so && !equality))
    }

    fn is_key(&self, id: NodeId) -> bool {
        matches!(self.node(id).op, Op::Field(FieldId::Key))
    }

    /// There are three moods, and a fourth never comes.
    fn check_mood(&self, field: NodeId, literal: &Value, at: NodeId) -> Result<()> {
        let Value::Text(mood) = literal else { return Ok(()) };
        let is_mood = matches!(self.node(field).op, Op::Field(FieldId::FeedbackSentiment));
        if !is_mood || MOODS.contains(&&**mood) {
            return Ok(());
        }
        let [a, b, c] = MOODS;
        let message = format!("`feedback.sentiment` is never {mood:?}");
        let help = match nearest(mood, MOODS) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("it is '{a}', '{b}', '{c}' or absent"),
        };
        Err(ConditionError::new(self.node(at).span.clone(), message).help(help))
    }

    /// Notes that a literal names a thing of the configuration.
    fn refer(&mut self, field: NodeId, literal: &Value, at: NodeId) {
        let named = match &self.node(field).op {
            Op::Field(FieldId::PhaseId | FieldId::PhasePrevious) => Named::Phase,
            Op::Field(FieldId::CustomerTags) => Named::Tag,
            Op::Field(FieldId::FeedbackTopics) => Named::Topic,
            Op::Entry(FieldId::Event, path) if path.len() == 1 && &*path[0] == "name" => Named::Event,
            _ => return,
        };
        if let Value::Text(id) = literal {
            let span = self.node(at).span.clone();
            self.references.push(Reference { named, id: id.clone(), span });
        }
    }
}

fn is_number(kind: Type) -> bool {
    matches!(kind, Type::Int | Type::Double)
}
