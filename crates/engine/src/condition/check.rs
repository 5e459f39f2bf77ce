//! Lowers the parsed tree into ours and checks the types on the way: operators, lists and quantifiers; `calls` and `names` do the
//! rest. Evaluates nothing.

mod calls;
mod literals;
mod operators;

use std::ops::Range;
use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators as cel_op};
use sha2::{Digest, Sha256};

use super::Scope;
use super::ast::{Node, NodeId, Op, Reference, Tree};
use super::error::ConditionError;
use super::motion::Comparison;
use super::names::{self, Meaning};
use super::schema::{FieldSet, Type};
use super::source::{Places, Source};
use super::value::{Operation, Value};

type Result<T, E = ConditionError> = std::result::Result<T, E>;

/// Parses and checks a text of any type.
pub(super) fn check(text: &str, scope: Scope) -> Result<Tree> {
    let source = Source::parse(text)?;
    let text = source.text;
    let (root, places) = source.into_parts();
    let mut lowering = Lowering {
        text,
        places,
        scope,
        nodes: Vec::new(),
        items: Vec::new(),
        reads: FieldSet::EMPTY,
        references: Vec::new(),
    };
    lowering.lower(&root)?;
    let Lowering { nodes, reads, references, .. } = lowering;
    let hash = hex::encode(&Sha256::digest(text)[..8]);
    Ok(Tree { text: Arc::from(text), hash: Arc::from(hash), nodes, reads, references })
}

/// Parses and checks a text that must be true or false.
pub(super) fn check_condition(text: &str, scope: Scope) -> Result<Tree> {
    let tree = check(text, scope)?;
    match flag_error(text, tree.root()) {
        Some(error) => Err(error),
        None => Ok(tree),
    }
}

/// What is wrong with a node that must be true or false, if anything.
fn flag_error(text: &str, node: &Node) -> Option<ConditionError> {
    let example = match node.kind {
        Type::Bool | Type::Any => return None,
        Type::Int | Type::Double => "> 0",
        Type::Text => "== 'de'",
        Type::Texts => {
            return Some(
                not_a_flag(text, node)
                    .help(format!("write `size({}) > 0` or `'…' in {0}`", &text[node.span.clone()])),
            );
        }
        Type::Instant => "> timestamp(\"2026-01-01T00:00:00Z\")",
        Type::Span => "> duration(\"24h\")",
        Type::List | Type::Map | Type::Null => return Some(not_a_flag(text, node)),
    };
    Some(
        not_a_flag(text, node)
            .help(format!("compare it, for example `{} {example}`", &text[node.span.clone()])),
    )
}

fn not_a_flag(text: &str, node: &Node) -> ConditionError {
    ConditionError::new(
        node.span.clone(),
        format!("`{}` is {}, not true or false", &text[node.span.clone()], node.kind),
    )
}

/// How many quantifiers may stand in one another.
const DEEPEST: usize = 2;

struct Lowering<'a> {
    text: &'a str,
    places: Places<'a>,
    scope: Scope,
    nodes: Vec<Node>,
    /// Names and types of the elements of the quantifiers around, outermost first.
    items: Vec<(String, Type)>,
    reads: FieldSet,
    references: Vec<Reference>,
}

impl Lowering<'_> {
    fn push(&mut self, op: Op, kind: Type, span: Range<usize>) -> NodeId {
        self.nodes.push(Node { op, span, kind });
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn kind(&self, id: NodeId) -> Type {
        self.node(id).kind
    }

    fn written(&self, id: NodeId) -> &str {
        &self.text[self.node(id).span.clone()]
    }

    /// A node as a message names it: "`orders.count` is a whole number", "the text \"3\"".
    fn named(&self, id: NodeId) -> String {
        match &self.node(id).op {
            Op::Literal(Value::Text(text)) => format!("the text {text:?}"),
            Op::Literal(Value::Absent) => "null".to_owned(),
            Op::Literal(value @ (Value::Int(_) | Value::Double(_))) => format!("the number {value}"),
            Op::Literal(value @ Value::Bool(_)) => format!("{value}"),
            _ => format!("`{}`, {}", self.written(id), self.kind(id)),
        }
    }

    /// That a node is not what is wanted: "`customer.locale` is a text, not a list", "the number 3 is not a list".
    fn is_not(&self, id: NodeId, wanted: &str) -> String {
        match &self.node(id).op {
            Op::Literal(_) => format!("{} is not {wanted}", self.named(id)),
            _ => format!("`{}` is {}, not {wanted}", self.written(id), self.kind(id)),
        }
    }

    fn lower(&mut self, expr: &IdedExpr) -> Result<NodeId> {
        let span = self.places.span(expr);
        match &expr.expr {
            Expr::Literal(literal) => {
                let (value, kind) = match literal {
                    LiteralValue::Boolean(flag) => (Value::Bool(*flag.inner()), Type::Bool),
                    LiteralValue::Int(whole) => (Value::Int(*whole.inner()), Type::Int),
                    LiteralValue::UInt(whole) => {
                        (Value::Int(i64::try_from(*whole.inner()).unwrap_or(i64::MAX)), Type::Int)
                    }
                    LiteralValue::Double(number) => (Value::Double(*number.inner()), Type::Double),
                    LiteralValue::String(text) => (Value::text(text.inner()), Type::Text),
                    LiteralValue::Null => (Value::Absent, Type::Null),
                    LiteralValue::Bytes(_) => {
                        return Err(ConditionError::new(span, "bytes are not supported; write a text"));
                    }
                };
                Ok(self.push(Op::Literal(value), kind, span))
            }
            Expr::Ident(_) => self.lower_path(expr, span),
            Expr::Select(select) if select.test => {
                let inside = self.lower_select(&select.operand, &select.field, span.clone())?;
                Ok(self.push(Op::Present(inside), Type::Bool, span))
            }
            Expr::Select(_) => self.lower_path(expr, span),
            Expr::Call(call) => self.lower_call(call, span),
            Expr::List(list) => {
                let items = list.elements.iter().map(|item| self.lower(item)).collect::<Result<Vec<_>>>()?;
                let kind = if items.iter().all(|item| self.kind(*item) == Type::Text) {
                    Type::Texts
                } else {
                    Type::List
                };
                let literals: Option<Vec<Value>> =
                    items.iter().map(|item| self.literal(*item).cloned()).collect();
                Ok(match literals {
                    Some(values) => self.push(Op::Literal(Value::List(values.into())), kind, span),
                    None => self.push(Op::List(items.into()), kind, span),
                })
            }
            Expr::Comprehension(quantifier) => self.lower_quantifier(quantifier, span),
            Expr::Map(_) | Expr::Struct(_) => {
                Err(ConditionError::new(span, "maps cannot be written in conditions"))
            }
            Expr::Unspecified => Err(ConditionError::new(span, "this is not a condition")),
        }
    }

    fn literal(&self, id: NodeId) -> Option<&Value> {
        match &self.node(id).op {
            Op::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// A name, or names joined by dots; or a member of something computed.
    fn lower_path(&mut self, expr: &IdedExpr, span: Range<usize>) -> Result<NodeId> {
        match path_of(expr) {
            Some(segments) => match self.items.iter().rev().position(|(name, _)| name == segments[0]) {
                Some(up) => {
                    let kind = self.items[self.items.len() - 1 - up].1;
                    let item = self.push(Op::Item(up), kind, span.clone());
                    segments[1..]
                        .iter()
                        .try_fold(item, |inside, name| self.member(inside, name, span.clone()))
                }
                None => self.lower_name(&segments, span),
            },
            None => match &expr.expr {
                Expr::Select(select) => self.lower_select(&select.operand, &select.field, span),
                _ => Err(ConditionError::new(span, "this is not a name")),
            },
        }
    }

    fn lower_select(&mut self, operand: &IdedExpr, field: &str, span: Range<usize>) -> Result<NodeId> {
        if let Some(mut segments) = path_of(operand)
            && !self.items.iter().any(|(name, _)| name == segments[0])
        {
            segments.push(field);
            return self.lower_name(&segments, span);
        }
        if let Expr::Call(call) = &operand.expr
            && call.target.is_none()
            && let Some(id) = self.lower_object(call, field, span.clone())?
        {
            return Ok(id);
        }
        let inside = match path_of(operand) {
            Some(_) => {
                let operand_span = self.places.span(operand);
                self.lower_path(operand, operand_span)?
            }
            None => self.lower(operand)?,
        };
        self.member(inside, field, span)
    }

    fn member(&mut self, inside: NodeId, name: &str, span: Range<usize>) -> Result<NodeId> {
        match self.kind(inside) {
            Type::Any | Type::Map => Ok(self.push(Op::Name(inside, Arc::from(name)), Type::Any, span)),
            kind => Err(ConditionError::new(
                span,
                format!("`{}` is {kind} and has no `{name}`", self.written(inside)),
            )),
        }
    }

    fn lower_name(&mut self, segments: &[&str], span: Range<usize>) -> Result<NodeId> {
        let meaning = names::resolve(segments, self.scope, span.clone())?;
        Ok(match meaning {
            Meaning::Field(id) => {
                self.reads.insert(id.spec().group);
                self.push(Op::Field(id), id.spec().kind, span)
            }
            Meaning::Inside(id, length) => {
                self.reads.insert(id.spec().group);
                let path = segments[length..].iter().map(|name| Arc::from(*name)).collect();
                self.push(Op::Entry(id, path), Type::Any, span)
            }
        })
    }

    fn lower_call(&mut self, call: &CallExpr, span: Range<usize>) -> Result<NodeId> {
        let comparison = match call.func_name.as_str() {
            cel_op::EQUALS => Some(Comparison::Equal),
            cel_op::NOT_EQUALS => Some(Comparison::NotEqual),
            cel_op::LESS => Some(Comparison::Less),
            cel_op::LESS_EQUALS => Some(Comparison::LessOrEqual),
            cel_op::GREATER => Some(Comparison::Greater),
            cel_op::GREATER_EQUALS => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        let operation = match call.func_name.as_str() {
            cel_op::ADD => Some(Operation::Add),
            cel_op::SUBSTRACT => Some(Operation::Subtract),
            cel_op::MULTIPLY => Some(Operation::Multiply),
            cel_op::DIVIDE => Some(Operation::Divide),
            cel_op::MODULO => Some(Operation::Remainder),
            _ => None,
        };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (name @ (cel_op::LOGICAL_AND | cel_op::LOGICAL_OR), [_, _]) => {
                let mut terms = Vec::new();
                self.lower_terms(name, call, &mut terms)?;
                let op =
                    if name == cel_op::LOGICAL_AND { Op::All(terms.into()) } else { Op::Any(terms.into()) };
                Ok(self.push(op, Type::Bool, span))
            }
            (cel_op::LOGICAL_NOT, [inner]) => {
                let inner = self.lower_flag(inner)?;
                Ok(self.push(Op::Not(inner), Type::Bool, span))
            }
            (cel_op::NEGATE, [inner]) => {
                let inner = self.lower(inner)?;
                match self.kind(inner) {
                    kind @ (Type::Int | Type::Double | Type::Span | Type::Any) => {
                        Ok(self.push(Op::Negate(inner), kind, span))
                    }
                    _ => Err(ConditionError::new(span, format!("{} cannot be negated", self.named(inner)))),
                }
            }
            (cel_op::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.lower_flag(condition)?;
                let (yes, no) = (self.lower(yes)?, self.lower(no)?);
                let kind = match (self.kind(yes), self.kind(no)) {
                    (a, b) if a == b => a,
                    (Type::Int, Type::Double) | (Type::Double, Type::Int) => Type::Double,
                    (kind, Type::Null) | (Type::Null, kind) => kind,
                    _ => Type::Any,
                };
                Ok(self.push(Op::Choose { condition, yes, no }, kind, span))
            }
            (cel_op::IN, [item, list]) => {
                let (item, list) = (self.lower(item)?, self.lower(list)?);
                self.check_in(item, list, span)
            }
            (cel_op::INDEX, [of, key]) => self.lower_index(of, key, span),
            (_, [left, right]) if comparison.is_some() || operation.is_some() => {
                let (left, right) = (self.lower(left)?, self.lower(right)?);
                match (comparison, operation) {
                    (Some(how), _) => self.check_comparison(how, left, right, span),
                    (None, Some(operation)) => self.check_calculation(operation, left, right, span),
                    (None, None) => Err(ConditionError::new(span, "this operator is not supported")),
                }
            }
            _ => self.lower_function(call, span),
        }
    }

    /// The operands of a run of `&&` or `||`, flattened: the parser balances them into a tree of its own.
    fn lower_terms(&mut self, operator: &str, call: &CallExpr, terms: &mut Vec<NodeId>) -> Result<()> {
        for arg in &call.args {
            match &arg.expr {
                Expr::Call(inner) if inner.func_name == operator && inner.args.len() == 2 => {
                    self.lower_terms(operator, inner, terms)?
                }
                _ => terms.push(self.lower_flag(arg)?),
            }
        }
        Ok(())
    }

    fn lower_flag(&mut self, expr: &IdedExpr) -> Result<NodeId> {
        let id = self.lower(expr)?;
        match flag_error(self.text, self.node(id)) {
            Some(error) => Err(error),
            None => Ok(id),
        }
    }

    fn lower_index(&mut self, of: &IdedExpr, key: &IdedExpr, span: Range<usize>) -> Result<NodeId> {
        let (of, key) = (self.lower(of)?, self.lower(key)?);
        let (of_kind, key_kind) = (self.kind(of), self.kind(key));
        let by_name = matches!(key_kind, Type::Text | Type::Any);
        let by_place = matches!(key_kind, Type::Int | Type::Any);
        match (of_kind, &self.node(of).op) {
            (Type::Map, Op::Field(map)) if by_name => {
                let map = *map;
                let literal = self.literal(key).and_then(Value::as_text).map(Arc::<str>::from);
                Ok(match literal {
                    Some(name) => self.push(Op::Entry(map, Box::new([name])), Type::Any, span),
                    None => self.push(Op::EntryAt(map, key), Type::Any, span),
                })
            }
            (Type::Any | Type::Map, _) if by_name || by_place => {
                Ok(self.push(Op::Element(of, key), Type::Any, span))
            }
            (Type::Texts, _) if by_place => Ok(self.push(Op::Element(of, key), Type::Text, span)),
            (Type::List, _) if by_place => Ok(self.push(Op::Element(of, key), Type::Any, span)),
            _ => Err(ConditionError::new(
                span,
                format!("{} has no element {}", self.named(of), self.named(key)),
            )),
        }
    }

    fn lower_quantifier(&mut self, quantifier: &ComprehensionExpr, span: Range<usize>) -> Result<NodeId> {
        let every = match (&quantifier.accu_init.expr, &quantifier.loop_step.expr) {
            (Expr::Literal(LiteralValue::Boolean(start)), Expr::Call(step))
                if step.args.len() == 2
                    && step.func_name
                        == if *start.inner() { cel_op::LOGICAL_AND } else { cel_op::LOGICAL_OR }
                    && quantifier.iter_var2.is_none() =>
            {
                Some((*start.inner(), &step.args[1]))
            }
            _ => None,
        };
        let Some((every, body)) = every else {
            return Err(ConditionError::new(
                span,
                "of the list macros only `exists` and `all` are supported",
            )
            .help("for example `orders.categories.exists(c, c == 'books')`"));
        };
        if self.items.len() >= DEEPEST {
            return Err(ConditionError::new(
                span,
                "`exists` and `all` stand at most two deep: each one more multiplies the work by the list's length",
            )
            .help("ask about fewer lists at once, or use `in`, as in `'books' in orders.categories`"));
        }
        let list = self.lower(&quantifier.iter_range)?;
        let element = match self.kind(list) {
            Type::Texts => Type::Text,
            Type::List | Type::Any => Type::Any,
            _ => return Err(ConditionError::new(span, self.is_not(list, "a list"))),
        };
        self.items.push((quantifier.iter_var.clone(), element));
        let body = self.lower_flag(body);
        self.items.pop();
        Ok(self.push(Op::Quantify { every, list, body: body? }, Type::Bool, span))
    }
}

/// The names of `a.b.c`, if the expression is nothing but names and dots.
fn path_of(expr: &IdedExpr) -> Option<Vec<&str>> {
    let mut segments = Vec::new();
    let mut here = &expr.expr;
    loop {
        match here {
            Expr::Ident(name) => {
                segments.push(name.as_str());
                segments.reverse();
                return Some(segments);
            }
            Expr::Select(select) if !select.test => {
                segments.push(select.field.as_str());
                here = &select.operand.expr;
            }
            _ => return None,
        }
    }
}
