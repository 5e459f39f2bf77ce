//! The value of every sub-expression, for `why`: what held, what failed and by how much, and when it turns. Decides nothing.

use std::fmt;

use serde::Serialize;
use zyklus_model::At;

use super::Fields;
use super::ast::{NodeId, Op, Tree};
use super::eval::Evaluation;
use super::schema::Type;
use super::value::{Operation, Value, calculate};

/// One sub-expression and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// What kind of expression it is, which decides how it is shown.
    pub kind: ExplainedKind,
    /// Its text, as the operator wrote it.
    pub text: String,
    /// Its value.
    pub value: Value,
    /// The earliest instant at which time alone could change the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revisit_at: Option<At>,
    /// Whether the value certainly turns at `revisit_at`, unless something is recorded before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub turns: bool,
    /// For a comparison that failed: by how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_by: Option<Gap>,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explained>,
}

/// How an explanation is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedKind {
    /// `&&`, `||`, `!`, `? :`: its parts matter.
    Logic,
    /// A comparison: the values on its sides matter.
    Comparison,
    /// A value that is read or computed.
    Value,
    /// A value that stands in the text.
    Literal,
}

/// The distance from a value to the threshold it failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// How far, always positive: a number or a duration.
    pub by: Value,
    /// To which side.
    pub side: Side,
    /// Of what, or empty.
    pub unit: &'static str,
}

/// On which side of its threshold a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Below what was wanted.
    Short,
    /// Above what was wanted.
    Over,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Short => "short",
            Side::Over => "over",
        };
        match self.unit {
            "" => write!(f, "{} {side}", self.by),
            unit => write!(f, "{} {unit} {side}", self.by),
        }
    }
}

pub(super) fn explain<F: Fields + ?Sized>(tree: &Tree, fields: &F, now: At) -> Explained {
    let root = tree.root_id();
    let mut explained = part(tree, &Evaluation::new(tree, fields, now), root, now);
    explained.text = tree.text.to_string();
    explained
}

fn part<F: Fields + ?Sized>(tree: &Tree, evaluation: &Evaluation<'_, F>, id: NodeId, now: At) -> Explained {
    let node = tree.node(id);
    let mut turns = false;
    let timed = match &node.op {
        Op::Compare { .. } => evaluation.compare(id, None, &mut turns),
        _ => evaluation.node(id, None),
    };
    let (kind, ids): (ExplainedKind, Vec<NodeId>) = match &node.op {
        Op::Literal(_) => (ExplainedKind::Literal, Vec::new()),
        Op::All(terms) | Op::Any(terms) => (ExplainedKind::Logic, terms.to_vec()),
        Op::Not(inner) => (ExplainedKind::Logic, vec![*inner]),
        Op::Choose { condition, yes, no } => (ExplainedKind::Logic, vec![*condition, *yes, *no]),
        Op::Compare { left, right, .. } => (ExplainedKind::Comparison, vec![*left, *right]),
        Op::In { item, list, .. } => (ExplainedKind::Comparison, vec![*item, *list]),
        Op::TextTest(_, of, what) => (ExplainedKind::Comparison, vec![*of, *what]),
        Op::Matches(of, _) | Op::Present(of) => (ExplainedKind::Comparison, vec![*of]),
        Op::Quantify { list, .. } => (ExplainedKind::Comparison, vec![*list]),
        Op::Calculate(_, left, right) => (ExplainedKind::Value, vec![*left, *right]),
        Op::Element(of, key) => (ExplainedKind::Value, vec![*of, *key]),
        Op::EntryAt(_, key) => (ExplainedKind::Value, vec![*key]),
        Op::Negate(of) | Op::Size(of) | Op::Convert(_, of) | Op::Name(of, _) => {
            (ExplainedKind::Value, vec![*of])
        }
        Op::Call(_, arguments, _) => (ExplainedKind::Value, arguments.to_vec()),
        Op::List(elements) => (ExplainedKind::Value, elements.to_vec()),
        Op::Field(_) | Op::Entry(..) | Op::Item(_) => (ExplainedKind::Value, Vec::new()),
    };
    let parts: Vec<Explained> = ids.iter().map(|id| part(tree, evaluation, *id, now)).collect();
    let short_by = match (&node.op, timed.value.is_true(), parts.as_slice()) {
        (Op::Compare { left, right, .. }, false, [a, b]) => {
            gap(&a.value, &b.value, unit(tree, *left).or_else(|| unit(tree, *right)))
        }
        _ => None,
    };
    let value = if kind == ExplainedKind::Logic && node.kind == Type::Bool {
        Value::Bool(timed.value.is_true())
    } else {
        timed.value
    };
    Explained {
        kind,
        text: tree.text_of(id).to_owned(),
        value,
        revisit_at: timed.motion.next_change(now),
        turns,
        short_by,
        parts,
    }
}

/// How far a value is from another; whole numbers, numbers, instants and durations have a distance.
fn gap(subject: &Value, wanted: &Value, unit: Option<&'static str>) -> Option<Gap> {
    let side = if subject.order(wanted)?.is_lt() { Side::Short } else { Side::Over };
    let (small, large) = match side {
        Side::Short => (subject, wanted),
        Side::Over => (wanted, subject),
    };
    let by = match calculate(Operation::Subtract, large, small) {
        Value::Int(0) | Value::Span(0) => return None,
        Value::Double(number) if number == 0.0 || !number.is_finite() => return None,
        // Cents do not need sixteen digits.
        Value::Double(number) => Value::Double((number * 1e6).round() / 1e6),
        by @ (Value::Int(_) | Value::Span(_)) => by,
        _ => return None,
    };
    Some(Gap { by, side, unit: unit.unwrap_or_default() })
}

/// The unit of what a side reads, if it reads one thing that has a countable unit.
fn unit(tree: &Tree, id: NodeId) -> Option<&'static str> {
    let unit = match &tree.node(id).op {
        Op::Field(field) => field.spec().unit,
        Op::Call(function, ..) => function.spec().unit,
        Op::Calculate(Operation::Add | Operation::Subtract, left, right) => {
            return unit(tree, *left).or_else(|| unit(tree, *right));
        }
        _ => return None,
    };
    Some(unit).filter(|unit| !unit.is_empty() && !unit.contains(' '))
}

/// One line a sub-expression that decides: `orders.days_since_last > 90 → false (78, 12 days short; true from 2026-12-03T10:00:00Z)`,
/// with the parts of `&&`, `||` and `!` indented below.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        self.lines(&|at| at.to_string(), usize::MAX, 0, &mut lines);
        f.write_str(&lines.join("\n"))
    }
}

/// Longer texts of conditions are cut where their parts stand below them.
const LONGEST_TEXT: usize = 120;

impl Explained {
    /// The same for people: instants as `when` writes them, and of a deep condition so many lines at most.
    pub fn shown(&self, when: &dyn Fn(At) -> String, most: usize) -> String {
        let mut lines = Vec::new();
        self.lines(when, LONGEST_TEXT, 0, &mut lines);
        if lines.len() > most {
            let more = lines.len() - most.max(1) + 1;
            lines.truncate(most.max(1) - 1);
            lines.push(format!("  … and {more} more lines"));
        }
        lines.join("\n")
    }

    fn lines(&self, when: &dyn Fn(At) -> String, longest: usize, depth: usize, lines: &mut Vec<String>) {
        let shown = |value: &Value| match value {
            Value::Instant(at) => when(*at),
            other => other.to_string(),
        };
        let mut text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.kind == ExplainedKind::Logic && text.chars().count() > longest {
            text = text.chars().take(longest).chain(std::iter::once('…')).collect();
        }
        let mut line = format!("{:indent$}{text} → {}", "", shown(&self.value), indent = depth * 2);
        let mut notes = Vec::new();
        if self.kind == ExplainedKind::Comparison {
            let sides: Vec<&Explained> =
                self.parts.iter().filter(|side| side.kind != ExplainedKind::Literal).collect();
            match sides.as_slice() {
                [] => {}
                [side] => notes.push(shown(&side.value)),
                sides => {
                    notes.extend(sides.iter().map(|side| format!("{} = {}", side.text, shown(&side.value))))
                }
            }
            notes.extend(self.short_by.as_ref().map(Gap::to_string));
        }
        let due = match (self.revisit_at, self.turns, &self.value) {
            (Some(at), true, value) => Some(format!("{} from {}", !value.is_true(), when(at))),
            (Some(at), false, _) if self.kind != ExplainedKind::Logic || depth == 0 => {
                Some(format!("look again at {}", when(at)))
            }
            _ => None,
        };
        line += &match (notes.is_empty(), due) {
            (true, None) => String::new(),
            (true, Some(due)) => format!(" ({due})"),
            (false, None) => format!(" ({})", notes.join(", ")),
            (false, Some(due)) => format!(" ({}; {due})", notes.join(", ")),
        };
        lines.push(line);
        if self.kind == ExplainedKind::Logic {
            for part in self.parts.iter().filter(|part| part.kind != ExplainedKind::Literal) {
                part.lines(when, longest, depth + 1, lines);
            }
        }
    }
}
