//! The condition language: CEL text, checked once against the schema, evaluated with its explanation and its `revisit_at`. Never
//! fails while evaluating, reads a clock or does I/O.
//!
//! [`Condition::parse`] turns text into a small typed tree: the `cel` crate parses, `check` lowers and type-checks, `eval` walks the
//! tree over whatever implements [`Fields`]. Evaluation is total: a missing value is [`Value::Absent`], which makes every comparison
//! false (except `==` with another absent value or `null`), arithmetic absent and a flag false; "days since" what never happened is
//! [`Value::Never`], greater than every number; whole numbers saturate; division by zero is absent.
//!
//! Every result carries the earliest instant at which the passage of time alone could change it. It is never late.

mod ast;
mod check;
mod error;
mod eval;
mod explain;
mod functions;
mod motion;
mod names;
mod reference;
mod schema;
mod source;
mod value;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use zyklus_model::At;

pub use ast::{Named, Reference};
pub use error::ConditionError;
pub use explain::{Explained, ExplainedKind, Gap, Side};
pub use functions::{FUNCTIONS, FunctionId, FunctionSpec};
pub use motion::{Motion, Timed};
pub use reference::reference_markdown;
pub use schema::{FIELDS, FieldId, FieldSet, FieldSpec, Group, Moves, Type};
pub use value::Value;

use motion::Comparison;

/// Where a condition stands, which decides what it can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A phase's `when`.
    Phase,
    /// A segment, saved or written into a `start`.
    Segment,
    /// A start's `where`: the starting event is known, the key is not.
    StartWhere,
    /// A journey's `key`: the starting event is known.
    Key,
    /// A journey's `when`: event and key are known, the run does not exist yet.
    JourneyWhen,
    /// A goal's `when`: `event` is the later event.
    Goal,
    /// A journey's `exit`.
    Exit,
    /// A step's `if`.
    If,
    /// A wait's `until`.
    Until,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 9] = [
        Scope::Phase,
        Scope::Segment,
        Scope::StartWhere,
        Scope::Key,
        Scope::JourneyWhen,
        Scope::Goal,
        Scope::Exit,
        Scope::If,
        Scope::Until,
    ];
}

/// What conditions read: implemented by the engine's snapshot of one customer. Answers must depend on nothing but the recorded state
/// and `now`, and each says how it moves with time; what is not known is [`Value::Absent`].
pub trait Fields {
    /// The value of a field. Fields of type [`Type::Map`] are read through [`Fields::entry`]; asked here, they are absent.
    fn field(&self, id: FieldId, now: At) -> Timed;

    /// The value at a path (never empty) inside a map field: `event.total` is `(FieldId::Event, ["total"])`.
    fn entry(&self, map: FieldId, path: &[Arc<str>], now: At) -> Timed;

    /// The value of a function. As many arguments as [`FunctionSpec::params`]; an argument of another type than declared can occur
    /// when it came out of an event, and is answered with [`Value::Absent`].
    fn call(&self, function: FunctionId, arguments: &[Value], now: At) -> Timed;

    /// A number that only falls while nothing is recorded, to be compared with a limit: its value, and until when it stays on
    /// its side of it. That is below it or not; with `or_at`, at most as great or not. `None` for every other field, and while
    /// it is not known: then it is read with [`Fields::field`].
    fn falling(&self, _id: FieldId, _limit: f64, _or_at: bool, _now: At) -> Option<Timed> {
        None
    }
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict<T = bool> {
    /// The value now.
    pub value: T,
    /// The earliest instant, after now, at which the passage of time alone could change the value; none is never. Never late,
    /// sometimes early.
    pub revisit_at: Option<At>,
}

/// A checked expression of any type: a journey's `key`.
#[derive(Clone)]
pub struct Expression {
    tree: Arc<ast::Tree>,
}

/// A checked expression that is true or false.
#[derive(Clone, PartialEq)]
pub struct Condition(Expression);

impl Expression {
    /// Parses and checks a text.
    ///
    /// # Errors
    /// With the place in the text: what cannot be parsed, names nothing known here, or compares what cannot be compared.
    pub fn parse(text: &str, scope: Scope) -> Result<Self, ConditionError> {
        check::check(text, scope).map(|tree| Expression { tree: Arc::new(tree) })
    }

    /// The value now.
    pub fn eval<F: Fields + ?Sized>(&self, fields: &F, now: At) -> Verdict<Value> {
        let Timed { value, motion } = eval::Evaluation::new(&self.tree, fields, now).root();
        Verdict { value, revisit_at: motion.next_change(now) }
    }

    /// The value of every sub-expression now.
    pub fn explain<F: Fields + ?Sized>(&self, fields: &F, now: At) -> Explained {
        explain::explain(&self.tree, fields, now)
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.tree.text
    }

    fn hash(&self) -> &str {
        &self.tree.hash
    }

    /// The type of its value.
    pub fn kind(&self) -> Type {
        self.tree.root().kind
    }

    /// The groups of fields it reads.
    pub fn reads(&self) -> FieldSet {
        self.tree.reads
    }

    /// The journeys, steps, phases and events it names, for the caller to check against what exists.
    pub fn references(&self) -> &[Reference] {
        &self.tree.references
    }
}

impl Condition {
    /// Parses and checks a text that must be true or false.
    ///
    /// # Errors
    /// As [`Expression::parse`], and when the value is of another type.
    pub fn parse(text: &str, scope: Scope) -> Result<Self, ConditionError> {
        check::check_condition(text, scope).map(|tree| Condition(Expression { tree: Arc::new(tree) }))
    }

    /// Whether it holds now. Absent counts as false.
    pub fn eval<F: Fields + ?Sized>(&self, fields: &F, now: At) -> Verdict {
        let Verdict { value, revisit_at } = self.0.eval(fields, now);
        Verdict { value: value.is_true(), revisit_at }
    }

    /// The value of every sub-expression now.
    pub fn explain<F: Fields + ?Sized>(&self, fields: &F, now: At) -> Explained {
        self.0.explain(fields, now)
    }

    /// The only name an event can have if the condition is to hold, where it asks for one: `event.name == "order.placed"`,
    /// alone or before `&&`. With any other it is false, whatever comes to pass.
    pub(crate) fn event_name(&self) -> Option<&str> {
        let tree = &*self.0.tree;
        let asked = |id: ast::NodeId| {
            let ast::Op::Compare { how: Comparison::Equal, left, right, .. } = &tree.node(id).op else {
                return None;
            };
            match (&tree.node(*left).op, &tree.node(*right).op) {
                (ast::Op::Entry(FieldId::Event, path), ast::Op::Literal(Value::Text(name)))
                | (ast::Op::Literal(Value::Text(name)), ast::Op::Entry(FieldId::Event, path))
                    if matches!(&**path, [key] if **key == *"name") =>
                {
                    Some(&**name)
                }
                _ => None,
            }
        };
        match &tree.root().op {
            ast::Op::All(terms) => terms.iter().find_map(|term| asked(*term)),
            _ => asked(tree.root_id()),
        }
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// What tells it from other conditions: a hash of its text, in 16 hexadecimal digits.
    pub fn hash(&self) -> &str {
        self.0.hash()
    }

    /// The groups of fields it reads.
    pub fn reads(&self) -> FieldSet {
        self.0.reads()
    }

    /// The journeys, steps, phases and events it names, for the caller to check against what exists.
    pub fn references(&self) -> &[Reference] {
        self.0.references()
    }
}

/// Explains a condition: [`Condition::explain`] as a function.
pub fn explain(condition: &Condition, fields: &dyn Fields, now: At) -> Explained {
    condition.explain(fields, now)
}

/// Two expressions are equal when their texts are: a definition's content is its text.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.tree.text == other.tree.text
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.tree.text)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
