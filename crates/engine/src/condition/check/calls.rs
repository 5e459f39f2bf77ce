//! Checks and lowers calls: the host's functions, the methods of texts, and the few functions of the language itself.

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr};
use zyklus_model::At;

use super::{Lowering, Result, literals, path_of};
use crate::condition::ast::{Named, NodeId, Op, Reference, TextTest};
use crate::condition::error::ConditionError;
use crate::condition::functions::{FUNCTIONS, FunctionId, FunctionSpec};
use crate::condition::names;
use crate::condition::schema::Type;
use crate::condition::value::Value;

/// The language's own functions and methods, for messages.
const OWN: &[&str] = &[
    "size",
    "int",
    "double",
    "string",
    "timestamp",
    "duration",
    "has",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "exists",
    "all",
];

impl Lowering<'_> {
    pub(super) fn lower_function(&mut self, call: &CallExpr, span: Range<usize>) -> Result<NodeId> {
        let name = call.func_name.as_str();
        let Some(target) = call.target.as_deref() else {
            return match (name, call.args.as_slice()) {
                ("size", [of]) => self.lower_size(of, span),
                ("timestamp", [text]) => self.lower_timestamp(text, span),
                ("duration", [text]) => self.lower_duration(text, span),
                ("int" | "double" | "string", [of]) => self.lower_conversion(name, of, span),
                _ => self.lower_global(name, call, span),
            };
        };
        if let Some(mut segments) = path_of(target) {
            segments.push(name);
            let key = segments.join(".");
            if let Some(function) = FunctionId::find(&key).filter(|function| {
                !matches!(function.key.split('.').next(), Some("journey" | "order" | "product"))
            }) {
                return self.lower_host(function, &call.args, span);
            }
            if segments[0] == "events" {
                return Err(self.no_function(&key, span));
            }
        }
        match (name, call.args.as_slice()) {
            ("size", []) => self.lower_size(target, span),
            ("startsWith", [part]) => self.lower_text_test(TextTest::StartsWith, target, part, span),
            ("endsWith", [part]) => self.lower_text_test(TextTest::EndsWith, target, part, span),
            ("contains", [part]) => self.lower_text_test(TextTest::Contains, target, part, span),
            ("matches", [pattern]) => self.lower_matches(target, pattern, span),
            ("has" | "exists" | "all" | "startsWith" | "endsWith" | "contains" | "matches" | "size", _) => {
                Err(ConditionError::new(span, format!("`{name}` has the wrong number of arguments")))
            }
            _ => {
                // A wrong name before the dot explains more than the unknown method behind it.
                self.lower(target)?;
                Err(self.no_function(name, span))
            }
        }
    }

    fn lower_global(&mut self, name: &str, call: &CallExpr, span: Range<usize>) -> Result<NodeId> {
        if let Some(function) = FunctionId::find(name) {
            return self.lower_host(function, &call.args, span);
        }
        if let Some(error) = names::later(name, &span) {
            return Err(error);
        }
        let members: Vec<&FunctionSpec> = FUNCTIONS
            .iter()
            .filter(|function| function.key.split_once('.').is_some_and(|(object, _)| object == name))
            .collect();
        if let Some(first) = members.first() {
            let error = ConditionError::new(span, format!("`{name}(…)` is not a value itself"));
            return Err(error.help(format!("write for example `{}`", first.shape)));
        }
        if let Some(error) = names::group(name, "function", &span) {
            return Err(error);
        }
        if matches!(name, "now" | "today" | "getDate") {
            return Err(ConditionError::new(
                span,
                format!("`{name}()` is not available: a condition must know when it changes"),
            )
            .help("use a field that counts, as `orders.days_since_last`, or events.days_since(\"name\")"));
        }
        Err(self.no_function(name, span))
    }

    fn no_function(&self, name: &str, span: Range<usize>) -> ConditionError {
        let error = ConditionError::new(span, format!("there is no function `{name}`"));
        let known = FUNCTIONS.iter().map(|function| function.key).chain(OWN.iter().copied());
        match zyklus_model::nearest(name, known) {
            Some(near) => {
                let shape = FUNCTIONS
                    .iter()
                    .find(|function| function.key == near)
                    .map_or(near, |function| function.shape);
                error.help(format!("did you mean `{shape}`?"))
            }
            None => error.help("conditions.md (written by `zyklus init`) lists all functions"),
        }
    }

    /// `journey("id").state` and its like: a member of a call. None if the call is of another kind.
    pub(super) fn lower_object(
        &mut self,
        call: &CallExpr,
        field: &str,
        span: Range<usize>,
    ) -> Result<Option<NodeId>> {
        let object = call.func_name.as_str();
        if let Some(error) = names::later(object, &span) {
            return Err(error);
        }
        let prefix = format!("{object}.");
        let members: Vec<&'static FunctionSpec> = match object {
            "journey" | "order" | "product" => {
                FUNCTIONS.iter().filter(|function| function.key.starts_with(&prefix)).collect()
            }
            _ => return Ok(None),
        };
        match members.iter().find(|function| function.key[prefix.len()..] == *field) {
            Some(function) => self.lower_host(function, &call.args, span).map(Some),
            None => {
                let shapes: Vec<String> =
                    members.iter().map(|function| format!("`{}`", function.shape)).collect();
                Err(ConditionError::new(span, format!("`{object}(…)` has no `{field}`"))
                    .help(format!("known are {}", shapes.join(", "))))
            }
        }
    }

    fn lower_host(
        &mut self,
        function: &'static FunctionSpec,
        args: &[IdedExpr],
        span: Range<usize>,
    ) -> Result<NodeId> {
        names::visible(function.group, function.shape, self.scope, &span)?;
        if args.len() != function.params.len() {
            let error =
                ConditionError::new(span, format!("`{}` has the wrong number of arguments", function.key));
            return Err(error.help(format!("write it as `{}`", function.shape)));
        }
        let ids = args.iter().map(|arg| self.lower(arg)).collect::<Result<Vec<_>>>()?;
        for (id, wanted) in ids.iter().zip(function.params) {
            let kind = self.kind(*id);
            if kind != *wanted && kind != Type::Any {
                let message = format!("`{}` wants {wanted} here, not {}", function.key, self.named(*id));
                return Err(ConditionError::new(self.node(*id).span.clone(), message)
                    .help(format!("write it as `{}`", function.shape)));
            }
        }
        if function.id == FunctionId::EventsCount
            && let Some(Value::Int(days)) = self.literal(ids[1])
            && !(1..=36_500).contains(days)
        {
            let message = format!("events are counted over 1 to 36500 days, not {days}");
            return Err(ConditionError::new(self.node(ids[1]).span.clone(), message));
        }
        self.reads.insert(function.group);
        let named = match function.id {
            FunctionId::EventsCount | FunctionId::EventsDaysSince => Some(Named::Event),
            FunctionId::JourneyState | FunctionId::JourneyStep | FunctionId::JourneyDays => {
                Some(Named::Journey)
            }
            FunctionId::Sent | FunctionId::TimedOut => Some(Named::Step),
            FunctionId::OrderRefundShare | FunctionId::ProductSoldOut => None,
        };
        if let (Some(named), Some(Value::Text(id))) = (named, self.literal(ids[0])) {
            let (id, span) = (id.clone(), self.node(ids[0]).span.clone());
            self.references.push(Reference { named, id, span });
        }
        let literals: Option<Box<[Value]>> = ids.iter().map(|id| self.literal(*id).cloned()).collect();
        Ok(self.push(Op::Call(function.id, ids.into(), literals), function.kind, span))
    }

    fn lower_size(&mut self, of: &IdedExpr, span: Range<usize>) -> Result<NodeId> {
        let of = self.lower(of)?;
        match self.kind(of) {
            Type::Text | Type::Texts | Type::List | Type::Any => Ok(self.push(Op::Size(of), Type::Int, span)),
            _ => Err(ConditionError::new(span, format!("{} has no size", self.named(of)))),
        }
    }

    fn lower_text_test(
        &mut self,
        test: TextTest,
        of: &IdedExpr,
        part: &IdedExpr,
        span: Range<usize>,
    ) -> Result<NodeId> {
        let (of, part) = (self.lower(of)?, self.lower(part)?);
        if test == TextTest::Contains && matches!(self.kind(of), Type::Texts | Type::List) {
            let error = ConditionError::new(span, self.is_not(of, "a text"));
            return Err(error.help(format!("write `{} in {}`", self.written(part), self.written(of))));
        }
        for id in [of, part] {
            self.want_text(id)?;
        }
        Ok(self.push(Op::TextTest(test, of, part), Type::Bool, span))
    }

    fn want_text(&self, id: NodeId) -> Result<()> {
        match self.kind(id) {
            Type::Text | Type::Any => Ok(()),
            _ => Err(ConditionError::new(self.node(id).span.clone(), self.is_not(id, "a text"))),
        }
    }

    fn lower_matches(&mut self, of: &IdedExpr, pattern: &IdedExpr, span: Range<usize>) -> Result<NodeId> {
        let of = self.lower(of)?;
        self.want_text(of)?;
        let at = self.places.span(pattern);
        let text = literal_text(pattern)
            .ok_or_else(|| ConditionError::new(at.clone(), "a pattern must be written out as a text"))?;
        let compiled = literals::pattern(text).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            ConditionError::new(at, format!("this is not a pattern: {reason}"))
        })?;
        Ok(self.push(Op::Matches(of, compiled), Type::Bool, span))
    }

    fn lower_timestamp(&mut self, text: &IdedExpr, span: Range<usize>) -> Result<NodeId> {
        const HELP: &str = "write it as timestamp(\"2026-01-01T00:00:00Z\")";
        match literal_text(text).map(str::parse::<At>) {
            Some(Ok(at)) => Ok(self.push(Op::Literal(Value::Instant(at)), Type::Instant, span)),
            Some(Err(_)) => {
                Err(ConditionError::new(self.places.span(text), "this is not an instant").help(HELP))
            }
            None => Err(ConditionError::new(span, "an instant must be written out as a text").help(HELP)),
        }
    }

    fn lower_duration(&mut self, text: &IdedExpr, span: Range<usize>) -> Result<NodeId> {
        const HELP: &str = "write it as duration(\"24h\"), duration(\"1h30m\") or duration(\"2d\")";
        match literal_text(text).map(literals::duration) {
            Some(Some(micros)) => Ok(self.push(Op::Literal(Value::Span(micros)), Type::Span, span)),
            Some(None) => {
                Err(ConditionError::new(self.places.span(text), "this is not a duration").help(HELP))
            }
            None => Err(ConditionError::new(span, "a duration must be written out as a text").help(HELP)),
        }
    }

    fn lower_conversion(&mut self, name: &str, of: &IdedExpr, span: Range<usize>) -> Result<NodeId> {
        let to = match name {
            "int" => Type::Int,
            "double" => Type::Double,
            _ => Type::Text,
        };
        let of = self.lower(of)?;
        match self.kind(of) {
            Type::Int | Type::Double | Type::Text | Type::Any | Type::Bool => {
                Ok(self.push(Op::Convert(to, of), to, span))
            }
            _ => Err(ConditionError::new(span, format!("{} cannot become {to}", self.named(of)))),
        }
    }
}

fn literal_text(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(cel::common::ast::LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
