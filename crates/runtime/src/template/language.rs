//! The template language: the part of minijinja that cannot grow, loop for ever or reach what is not declared.
//!
//! An allow-list over the syntax tree, checked when a template loads. A construct it does not know is refused, so
//! that a newer minijinja cannot widen the language behind our back. minijinja's fuel bounds steps but not memory:
//! what makes text out of text (`~`, `+`, `*`, `set`, list and map literals, calls) is therefore not in the
//! language, and every filter bounds its result.

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Stmt};
use minijinja::machinery::{Span, parse};
use serde_json::Value;
use zyklus_model::nearest;

use super::error::TemplateProblem;
use super::filters::{FILTERS, TESTS};
use super::source::Source;

/// Deepest nesting of `{% for %}`.
const MAX_LOOPS: usize = 2;
/// Deepest nesting of statements and expressions.
const MAX_DEPTH: usize = 40;
/// Fields that hold free data, which no schema describes.
const FREE: &[&str] = &["with", "event", "attributes"];

/// What is known about a value before there is one.
#[derive(Clone, Copy)]
enum Shape<'a> {
    /// A part of the sample context.
    Known(&'a Value),
    /// Free data, or the result of a filter.
    Free,
}

struct Checker<'a> {
    source: &'a Source,
    schema: &'a Value,
    scope: Vec<(String, Shape<'a>)>,
    loops: usize,
}

/// Checks a template's text against the language and the fields of `schema` (a complete sample context).
pub(super) fn check(source: &Source, schema: &Value) -> Result<(), TemplateProblem> {
    let parsed = parse(&source.text, "template", Default::default()).map_err(|error| {
        if let Some((at, name)) = unclosed(&source.text) {
            let help = format!("write {{% end{name} %}} where it ends");
            return TemplateProblem::new(source.at(at), format!("{{% {name} %}} is not closed"), help);
        }
        let line = || source.at_line(error.line().unwrap_or(1));
        let at = error.range().map_or_else(line, |range| source.at(range.start));
        let message = error.detail().unwrap_or("the template's syntax is wrong");
        TemplateProblem::new(at, message, "templates know {{ value }}, {% if %} and {% for %}")
    })?;
    Checker { source, schema, scope: Vec::new(), loops: 0 }.statement(&parsed, 0)
}

/// The innermost block that is still open at the end: where it starts, and its name.
fn unclosed(text: &str) -> Option<(usize, &'static str)> {
    let mut open = Vec::new();
    for (at, _) in text.match_indices("{%") {
        let tag = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
        match tag.split(|c: char| !c.is_ascii_alphanumeric()).next() {
            Some("if") => open.push((at, "if")),
            Some("for") => open.push((at, "for")),
            Some("endif" | "endfor") => {
                open.pop();
            }
            Some(_) | None => {}
        }
    }
    open.pop()
}

impl<'a> Checker<'a> {
    fn refuse<T>(&self, span: Span, problem: &str, advice: &str) -> Result<T, TemplateProblem> {
        Err(TemplateProblem::new(self.source.at(span.start_offset as usize), problem, advice))
    }

    fn statements(&mut self, body: &[Stmt<'_>], depth: usize) -> Result<(), TemplateProblem> {
        body.iter().try_for_each(|statement| self.statement(statement, depth + 1))
    }

    fn statement(&mut self, statement: &Stmt<'_>, depth: usize) -> Result<(), TemplateProblem> {
        match statement {
            Stmt::Template(template) => self.statements(&template.children, depth),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(emit) => match self.expression(&emit.expr, depth)? {
                Shape::Known(Value::Object(fields)) if fields.contains_key("amount_minor") => {
                    self.refuse(emit.span(), "this is money", "write it with |money")
                }
                Shape::Known(Value::Object(_) | Value::Array(_)) => {
                    self.refuse(emit.span(), "this is not a text", "name one of its fields, or loop over it")
                }
                Shape::Known(_) | Shape::Free => Ok(()),
            },
            Stmt::IfCond(condition) => {
                if depth > MAX_DEPTH {
                    return self.refuse(condition.span(), "blocks are nested too deep", "flatten them");
                }
                self.expression(&condition.expr, depth)?;
                self.statements(&condition.true_body, depth)?;
                self.statements(&condition.false_body, depth)
            }
            Stmt::ForLoop(each) => {
                if each.recursive || self.loops == MAX_LOOPS || depth > MAX_DEPTH {
                    let advice = "a mail needs at most two loops inside each other, none of them recursive";
                    return self.refuse(each.span(), "loops are nested too deep", advice);
                }
                let element = match self.expression(&each.iter, depth)? {
                    Shape::Known(Value::Array(items)) => items.first().map_or(Shape::Free, Shape::Known),
                    Shape::Known(Value::Object(_)) => {
                        return self.refuse(each.iter.span(), "this is not a list", "loop over a list");
                    }
                    Shape::Known(_) | Shape::Free => Shape::Free,
                };
                let Expr::Var(target) = &each.target else {
                    return self.refuse(
                        each.span(),
                        "a loop names one variable",
                        "write {% for item in list %}",
                    );
                };
                let scope = self.scope.len();
                self.scope.push((target.id.to_owned(), element));
                self.scope.push(("loop".to_owned(), Shape::Free));
                self.loops += 1;
                if let Some(filter) = &each.filter_expr {
                    self.expression(filter, depth)?;
                }
                self.statements(&each.body, depth)?;
                self.loops -= 1;
                self.scope.truncate(scope);
                self.statements(&each.else_body, depth)
            }
            other => {
                let (span, name) = foreign(other);
                let advice =
                    "templates know {{ value }}, {% if %} and {% for %} only; prepare data in the journey";
                self.refuse(span, &format!("{{% {name} %}} is not part of the template language"), advice)
            }
        }
    }

    fn expression(&mut self, expression: &Expr<'_>, depth: usize) -> Result<Shape<'a>, TemplateProblem> {
        if depth > MAX_DEPTH {
            return self.refuse(expression.span(), "the expression is nested too deep", "split it");
        }
        let depth = depth + 1;
        match expression {
            Expr::Const(_) => Ok(Shape::Free),
            Expr::Var(variable) => {
                if let Some((_, shape)) = self.scope.iter().rev().find(|(name, _)| name == variable.id) {
                    return Ok(*shape);
                }
                self.field(self.schema, variable.id, "", variable.span())
            }
            Expr::GetAttr(get) => match self.expression(&get.expr, depth)? {
                Shape::Known(owner) => self.field(owner, get.name, " here", get.span()),
                Shape::Free => Ok(Shape::Free),
            },
            Expr::GetItem(get) => {
                self.expression(&get.subscript_expr, depth)?;
                match self.expression(&get.expr, depth)? {
                    Shape::Known(Value::Array(items)) => Ok(items.first().map_or(Shape::Free, Shape::Known)),
                    Shape::Known(_) | Shape::Free => Ok(Shape::Free),
                }
            }
            Expr::Slice(slice) => {
                for part in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.expression(part, depth)?;
                }
                self.expression(&slice.expr, depth)
            }
            Expr::UnaryOp(unary) => {
                self.expression(&unary.expr, depth)?;
                Ok(Shape::Free)
            }
            Expr::BinOp(binary) => {
                match binary.op {
                    BinOpKind::Eq
                    | BinOpKind::Ne
                    | BinOpKind::Lt
                    | BinOpKind::Lte
                    | BinOpKind::Gt
                    | BinOpKind::Gte
                    | BinOpKind::In
                    | BinOpKind::ScAnd
                    | BinOpKind::ScOr => {}
                    BinOpKind::Add
                    | BinOpKind::Sub
                    | BinOpKind::Mul
                    | BinOpKind::Div
                    | BinOpKind::FloorDiv
                    | BinOpKind::Rem
                    | BinOpKind::Pow
                    | BinOpKind::Concat => {
                        let advice =
                            "write texts beside each other, and have figures computed by the journey";
                        return self.refuse(
                            binary.span(),
                            "templates do not calculate or join texts",
                            advice,
                        );
                    }
                }
                let left = self.expression(&binary.left, depth)?;
                let right = self.expression(&binary.right, depth)?;
                Ok(match binary.op {
                    BinOpKind::ScOr | BinOpKind::ScAnd => match left {
                        Shape::Known(Value::Object(_) | Value::Array(_)) => left,
                        Shape::Known(_) | Shape::Free => right,
                    },
                    _ => Shape::Free,
                })
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr, depth)?;
                for part in &compare.ops {
                    match part.op {
                        CompareOpKind::Eq
                        | CompareOpKind::Ne
                        | CompareOpKind::Lt
                        | CompareOpKind::Lte
                        | CompareOpKind::Gt
                        | CompareOpKind::Gte
                        | CompareOpKind::In
                        | CompareOpKind::NotIn => self.expression(&part.expr, depth)?,
                    };
                }
                Ok(Shape::Free)
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr, depth)?;
                let chosen = self.expression(&choice.true_expr, depth)?;
                if let Some(other) = &choice.false_expr {
                    self.expression(other, depth)?;
                }
                Ok(chosen)
            }
            Expr::Filter(filter) => {
                if !FILTERS.contains(&filter.name) {
                    return self.unknown("filter", filter.name, FILTERS, filter.span());
                }
                let argument_depth = depth;
                for argument in filter.args.iter() {
                    self.argument(argument, argument_depth, filter.span())?;
                }
                let input = match &filter.expr {
                    Some(input) => self.expression(input, depth)?,
                    None => {
                        return self.refuse(
                            filter.span(),
                            "a filter needs a value",
                            "write {{ value|filter }}",
                        );
                    }
                };
                Ok(match (filter.name, input) {
                    ("first" | "last", Shape::Known(Value::Array(items))) => {
                        items.first().map_or(Shape::Free, Shape::Known)
                    }
                    ("default", known) => known,
                    _ => Shape::Free,
                })
            }
            Expr::Test(test) => {
                if !TESTS.contains(&test.name) {
                    return self.unknown("test", test.name, TESTS, test.span());
                }
                for argument in test.args.iter() {
                    self.argument(argument, depth, test.span())?;
                }
                self.expression(&test.expr, depth)?;
                Ok(Shape::Free)
            }
            Expr::List(list) if list.items.iter().all(|item| matches!(item, Expr::Const(_))) => {
                Ok(Shape::Free)
            }
            Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {
                let advice = "only lists of constants may be written, as in {% if x in ['a', 'b'] %}";
                self.refuse(expression.span(), "templates do not build lists or maps", advice)
            }
            // The first so many of what is offered, as a list has them.
            Expr::Call(call)
                if matches!(&call.expr, Expr::Var(var) if var.id == "recommend")
                    && matches!(&*call.args, [CallArg::Pos(Expr::Const(_))]) =>
            {
                self.expression(&call.expr, depth)
            }
            Expr::Call(call) => {
                self.refuse(call.span(), "templates do not call functions", "use a filter: value|filter")
            }
        }
    }

    fn argument(
        &mut self,
        argument: &minijinja::machinery::ast::CallArg<'_>,
        depth: usize,
        span: Span,
    ) -> Result<(), TemplateProblem> {
        match argument {
            CallArg::Pos(value) => self.expression(value, depth).map(|_| ()),
            CallArg::Kwarg(..) | CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                self.refuse(span, "arguments have no names here", "write filter(value)")
            }
        }
    }

    fn field(
        &self,
        owner: &'a Value,
        name: &str,
        place: &str,
        span: Span,
    ) -> Result<Shape<'a>, TemplateProblem> {
        let Value::Object(fields) = owner else {
            return self.refuse(
                span,
                &format!("there is no field `{name}`{place}"),
                "only records have fields",
            );
        };
        match fields.get(name) {
            Some(_) if FREE.contains(&name) => Ok(Shape::Free),
            Some(field) => Ok(Shape::Known(field)),
            None => {
                let names: Vec<&str> = fields.keys().map(String::as_str).collect();
                let advice = match nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", names.join(", ")),
                };
                self.refuse(span, &format!("there is no field `{name}`{place}"), &advice)
            }
        }
    }

    fn unknown<T>(&self, kind: &str, name: &str, known: &[&str], span: Span) -> Result<T, TemplateProblem> {
        let advice = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        self.refuse(span, &format!("there is no {kind} `{name}`"), &advice)
    }
}

/// Where a statement outside the language stands, and what its tag is called.
fn foreign(statement: &Stmt<'_>) -> (Span, &'static str) {
    match statement {
        Stmt::WithBlock(s) => (s.span(), "with"),
        Stmt::Set(s) => (s.span(), "set"),
        Stmt::SetBlock(s) => (s.span(), "set"),
        Stmt::AutoEscape(s) => (s.span(), "autoescape"),
        Stmt::FilterBlock(s) => (s.span(), "filter"),
        Stmt::Do(s) => (s.span(), "do"),
        // Statements of minijinja features that this workspace does not switch on.
        _ => (Span::default(), "…"),
    }
}
