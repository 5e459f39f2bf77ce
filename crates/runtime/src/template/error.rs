//! What can be wrong with a template: at load a [`TemplateProblem`], at one mail a [`RenderError`].
//!
//! Never carries a customer's data: a message names the place in the template, not the value found there.

use std::fmt;

/// A place in a file of the template folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// File below the template folder, with `/` between its parts.
    pub file: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// Column in that line, in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a template did not load: shown to the operator as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}; {help}")]
pub struct TemplateProblem {
    /// File below the template folder.
    pub file: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// Column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl TemplateProblem {
    pub(super) fn new(at: Place, message: impl Into<String>, help: impl Into<String>) -> TemplateProblem {
        let Place { file, line, column } = at;
        TemplateProblem { file, line, column, message: message.into(), help: help.into() }
    }

    /// A problem of a whole file.
    pub(super) fn file(file: &str, message: impl Into<String>, help: impl Into<String>) -> TemplateProblem {
        TemplateProblem::new(Place { file: file.to_owned(), line: 1, column: 1 }, message, help)
    }

    pub(super) fn too_large(file: &str, what: &str, limit: usize) -> TemplateProblem {
        let message = format!("{what} is larger than {limit} bytes");
        TemplateProblem::file(file, message, "shorten it or show fewer items")
    }
}

/// Why one mail was not rendered. The delivery fails; sending it again changes nothing until the template or the
/// customer's data change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// No template of that name.
    #[error("there is no template `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest existing name.
        nearest: Option<String>,
    },
    /// A mail needs a value that this customer's context does not have.
    #[error("{at}: {what} is empty for this customer; {}", remedy(what))]
    Empty {
        /// Where.
        at: Place,
        /// The expression.
        what: String,
    },
    /// A link that mail programs or customers must not be given.
    #[error("{at}: {what} is not a link that may go into a mail; only http, https, mailto and tel are")]
    UnsafeLink {
        /// Where.
        at: Place,
        /// The expression.
        what: String,
    },
    /// A picture that would be fetched from somewhere else than the shop.
    #[error(
        "{file}: a picture is on the foreign host `{host}`; list the host as one of the shop's, or leave the picture out"
    )]
    ForeignHost {
        /// The template's file.
        file: String,
        /// The host.
        host: String,
    },
    /// Rendering went on for longer than any mail needs.
    #[error("{file}: rendering did not end within {fuel} steps; look for loops inside loops")]
    Endless {
        /// The template's file.
        file: String,
        /// How many steps one mail may take.
        fuel: u64,
    },
    /// Too much text.
    #[error("{file}: the mail is larger than {limit} bytes; show fewer items")]
    TooLarge {
        /// The template's file.
        file: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A value of `with` in a playbook's step cannot be expanded for this customer.
    #[error("journey `{journey}`, step `{step}`: with.{key}: {problem}")]
    With {
        /// The journey.
        journey: String,
        /// The step.
        step: String,
        /// The key of `with`.
        key: String,
        /// What is wrong in its text.
        problem: String,
    },
    /// A filter was given something it cannot work with.
    #[error("{at}: {problem}; correct the expression")]
    Broken {
        /// Where.
        at: Place,
        /// What is wrong.
        problem: String,
    },
}

/// What to write where a value is empty. `event.…` and `with.…` have no key at all where nothing was given, so that even
/// `{% if event.number %}` fails.
fn remedy(what: &str) -> String {
    let asks = what.trim_start_matches('`').split_whitespace().next().filter(|w| matches!(*w, "if" | "elif"));
    match (loose_path(what), asks) {
        (Some(path), Some(word)) => {
            format!("ask first whether it is there: {{% {word} {path} is defined %}}")
        }
        (Some(path), None) => format!("wrap it in {{% if {path} is defined %}} or add |default('…')"),
        (None, _) => "wrap it in {% if %} or add |default('…')".to_owned(),
    }
}

/// The first `event.…` or `with.…` in an expression.
fn loose_path(what: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let words = what.split(|c: char| !is_part(c));
    words.into_iter().find(|word| word.starts_with("event.") || word.starts_with("with."))
}

impl RenderError {
    /// The same as a problem of the template itself, for when a sample cannot be rendered.
    pub(super) fn at_load(self) -> TemplateProblem {
        match self {
            RenderError::Unknown { name, .. } => {
                TemplateProblem::file(&name, "there is no such template", "check it")
            }
            RenderError::Empty { at, what } => {
                let help = remedy(&what);
                TemplateProblem::new(at, format!("{what} is empty for some customers"), help)
            }
            RenderError::UnsafeLink { at, what } => {
                let help = "only http, https, mailto and tel links are";
                TemplateProblem::new(at, format!("{what} is not a link that may go into a mail"), help)
            }
            RenderError::ForeignHost { file, host } => {
                let help = "list the host as one of the shop's, or use a picture on the shop's own host";
                TemplateProblem::file(&file, format!("a picture is on the foreign host `{host}`"), help)
            }
            RenderError::Endless { file, fuel } => {
                let message = format!("rendering did not end within {fuel} steps");
                TemplateProblem::file(&file, message, "look for loops inside loops")
            }
            RenderError::TooLarge { file, limit } => TemplateProblem::too_large(&file, "the mail", limit),
            RenderError::With { journey, step, key, problem } => {
                let message = format!("step `{step}`: with.{key}: {problem}");
                TemplateProblem::file(&journey, message, "correct it in the playbook")
            }
            RenderError::Broken { at, problem } => {
                TemplateProblem::new(at, problem, "correct the expression")
            }
        }
    }
}
