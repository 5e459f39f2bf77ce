//! What can be wrong with a template, at load or at a mail: the file, the line, and what to do.
//!
//! Never carries a customer's data: a message names the place in the template, not the value found there.

/// Why templates did not load, or why one mail was not rendered.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file or folder cannot be read.
    #[error("cannot read {file}: check that it exists and that its text is UTF-8")]
    Read {
        /// Path as given.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The template's text breaks a rule: syntax, an unknown tag, a forbidden construct.
    #[error("{file}:{line}: {problem}; {advice}")]
    Broken {
        /// File below the template folder.
        file: String,
        /// Line in that file, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        advice: String,
    },
    /// No template of that name.
    #[error("there is no template `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest existing name.
        nearest: Option<String>,
    },
    /// A mail needs a value that this customer's context does not have.
    #[error("{file}:{line}: {what} is empty for this customer; wrap it in {{% if %}} or add |default('…')")]
    Empty {
        /// File below the template folder.
        file: String,
        /// Line in that file, from 1.
        line: usize,
        /// The expression.
        what: String,
    },
    /// A link that mail programs or customers must not be given.
    #[error("{file}:{line}: {what} is not a link that may go into a mail; only http, https, mailto and tel are")]
    UnsafeLink {
        /// File below the template folder.
        file: String,
        /// Line in that file, from 1.
        line: usize,
        /// The expression.
        what: String,
    },
    /// Rendering went on for longer than any mail needs.
    #[error("{file}: rendering did not end within {fuel} steps; look for loops inside loops")]
    Endless {
        /// File below the template folder.
        file: String,
        /// How many steps one mail may take.
        fuel: u64,
    },
    /// Too much text.
    #[error("{file}: {what} is larger than {limit} bytes; shorten the template or show fewer items")]
    TooLarge {
        /// File below the template folder.
        file: String,
        /// What grew too large.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl TemplateError {
    pub(super) fn broken(
        at: &(String, usize),
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> TemplateError {
        TemplateError::Broken { file: at.0.clone(), line: at.1, problem: problem.into(), advice: advice.into() }
    }

    /// The file the error is in, below the template folder.
    pub fn file(&self) -> Option<&str> {
        match self {
            TemplateError::Read { file, .. }
            | TemplateError::Broken { file, .. }
            | TemplateError::Empty { file, .. }
            | TemplateError::UnsafeLink { file, .. }
            | TemplateError::Endless { file, .. }
            | TemplateError::TooLarge { file, .. } => Some(file),
            TemplateError::Unknown { .. } => None,
        }
    }

    /// The line the error is in, from 1, where one is known.
    pub fn line(&self) -> Option<usize> {
        match self {
            TemplateError::Broken { line, .. }
            | TemplateError::Empty { line, .. }
            | TemplateError::UnsafeLink { line, .. } => Some(*line),
            TemplateError::Read { .. }
            | TemplateError::Unknown { .. }
            | TemplateError::Endless { .. }
            | TemplateError::TooLarge { .. } => None,
        }
    }
}

/// The candidate nearest to `word` by edit distance, if it is near enough to be a slip of the pen.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(steps, candidate)| *steps <= 1 + candidate.len().max(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters, with two rows.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != *y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
