//! One thing that is wrong in the configuration, with its place. Never quotes a secret.

use std::fmt;
use std::ops::Range;

use super::place::Source;

/// One thing that is wrong in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The file as the operator calls it.
    pub file: String,
    /// The key: `connectors.shop.page_size`; empty when the problem is the file's.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The place in bytes of the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether what stands at the place is a secret, and must not be shown.
    pub is_secret: bool,
}

impl ConfigProblem {
    /// A problem at a place.
    pub fn at(source: &Source<'_>, path: String, span: Range<usize>, message: String) -> Self {
        let (line, column) = source.line_column(span.start);
        let (file, help) = (source.file.to_owned(), None);
        ConfigProblem { file, path, line, column, span, message, help, is_secret: false }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblem {}
