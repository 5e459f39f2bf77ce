//! What is wrong with a condition, and where. Knows no files: the caller turns the place into file, line and column.

use std::ops::Range;

/// Why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where: byte offsets into the text.
    pub span: Range<usize>,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

impl ConditionError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        ConditionError { message: message.into(), span, help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
