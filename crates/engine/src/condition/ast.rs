//! The checked tree: nodes in one vector, children before parents, each with its place in the text. Evaluates nothing.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;
use serde::Serialize;

use super::functions::FunctionId;
use super::motion::Comparison;
use super::schema::{FieldId, FieldSet, Type};
use super::value::{Operation, Value};

/// A node's place in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(pub(super) u32);

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) text: Arc<str>,
    pub(super) hash: Arc<str>,
    pub(super) nodes: Vec<Node>,
    pub(super) reads: FieldSet,
    pub(super) references: Vec<Reference>,
}

impl Tree {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn root_id(&self) -> NodeId {
        NodeId(self.nodes.len() as u32 - 1)
    }

    pub(super) fn root(&self) -> &Node {
        self.node(self.root_id())
    }

    pub(super) fn text_of(&self, id: NodeId) -> &str {
        let Range { start, end } = self.node(id).span.clone();
        self.text.get(start..end).unwrap_or(&self.text)
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) span: Range<usize>,
    pub(super) kind: Type,
}

#[derive(Debug)]
pub(super) enum Op {
    Literal(Value),
    Field(FieldId),
    /// A path inside a map field.
    Entry(FieldId, Box<[Arc<str>]>),
    /// A name inside a computed map.
    Name(NodeId, Arc<str>),
    /// A map field's or a list's element under a computed key.
    Element(NodeId, NodeId),
    /// A map field's entry under a computed name.
    EntryAt(FieldId, NodeId),
    /// A host function; the arguments' values too if all are literals.
    Call(FunctionId, Box<[NodeId]>, Option<Box<[Value]>>),
    All(Box<[NodeId]>),
    Any(Box<[NodeId]>),
    Not(NodeId),
    Present(NodeId),
    Compare {
        how: Comparison,
        left: NodeId,
        right: NodeId,
        as_text: bool,
    },
    In {
        item: NodeId,
        list: NodeId,
        as_text: bool,
    },
    Calculate(Operation, NodeId, NodeId),
    Negate(NodeId),
    Choose {
        condition: NodeId,
        yes: NodeId,
        no: NodeId,
    },
    List(Box<[NodeId]>),
    Size(NodeId),
    TextTest(TextTest, NodeId, NodeId),
    Matches(NodeId, Regex),
    Convert(Type, NodeId),
    /// A list's element inside a quantifier, counted from the innermost.
    Item(usize),
    /// `exists` (any) or `all` over a list.
    Quantify {
        every: bool,
        list: NodeId,
        body: NodeId,
    },
}

/// Tests of one text against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// A thing of the configuration that a condition names literally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What kind of thing.
    pub named: Named,
    /// Its id, as written.
    pub id: Arc<str>,
    /// Where it is written: byte offsets into the condition's text.
    pub span: Range<usize>,
}

/// Kinds of things conditions name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// A phase, compared with `phase.id` or `phase.previous`.
    Phase,
    /// A journey, in `journey("…")`.
    Journey,
    /// A step of the same journey, in `sent('…')` or `timed_out('…')`.
    Step,
    /// An event's name, in `events.count("…", n)` or compared with `event.name`.
    Event,
    /// A tag, in `'…' in customer.tags`.
    Tag,
    /// A topic, in `'…' in feedback.topics`.
    Topic,
}
