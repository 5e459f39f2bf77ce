//! One mail: subject, HTML and text from a compiled template and a context.
//!
//! Bounded in steps and in bytes; what goes wrong names the template's file and line, never the customer.

use std::io::{self, Write};

use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::context::{Context, clean};
use super::error::TemplateError;
use super::filters::{EMPTY, FUEL, UNSAFE_LINK};
use super::locale::TemplateLocale;
use super::source::{Source, TemplateClass};
use super::text;

/// Largest HTML or text of one mail, in bytes. Far above what a mail program shows; a bomb ends here.
pub const MAX_OUTPUT: usize = 256 * 1024;
/// Longest subject and preview, in characters.
const MAX_SUBJECT: usize = 150;

/// A finished message. Nothing in it is a template any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Subject line: one line, no control characters. Empty for text messages (SMS).
    pub subject: String,
    /// HTML part; none for text messages.
    pub html: Option<String>,
    /// Text part, lines of at most 74 characters except for links.
    pub text: String,
}

/// A compiled template in one locale. Cheap to share, safe to use from many tasks.
#[derive(Debug)]
pub struct Template {
    pub(super) name: String,
    pub(super) locale: TemplateLocale,
    pub(super) class: TemplateClass,
    pub(super) file: String,
    pub(super) is_html: bool,
    /// Expanded MJML or text: what errors point into.
    pub(super) source: Source,
    /// Subject as written, with its line.
    pub(super) subject: Source,
    /// Preview as written, with its line.
    pub(super) preview: Source,
    pub(super) env: Environment<'static>,
}

impl Template {
    /// Its folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The language it is written in.
    pub fn locale(&self) -> TemplateLocale {
        self.locale
    }

    /// Marketing or service.
    pub fn class(&self) -> TemplateClass {
        self.class
    }

    /// Its file below the template folder.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its text with all includes: the same text renders the same mail, so its hash names the version.
    pub fn source(&self) -> &str {
        &self.source.text
    }

    /// Renders one mail. Takes some ten microseconds; allocates at most a few times [`MAX_OUTPUT`].
    pub fn render(&self, context: &Context) -> Result<Rendered, TemplateError> {
        let mut root = context.bounded();
        let fields = root.as_object_mut().expect("a context is a record");
        let first = Value::from(Serde(&*fields));
        let subject = one_line(&self.part("subject", &first, &self.subject)?);
        let preview = one_line(&self.part("preview", &first, &self.preview)?);
        fields.insert("subject".to_owned(), subject.clone().into());
        fields.insert("preview".to_owned(), preview.into());
        let root = Value::from(Serde(&root));
        if self.is_html {
            let html = self.part("body.html", &root, &self.source)?;
            let text = text::from_html(&html);
            Ok(Rendered { subject, html: Some(html), text })
        } else {
            let text = self.part("body.txt", &root, &self.source)?;
            Ok(Rendered { subject, html: None, text: text.trim().to_owned() })
        }
    }

    fn part(&self, name: &str, root: &Value, source: &Source) -> Result<String, TemplateError> {
        let template = self.env.get_template(name).expect("added when the template was compiled");
        let mut out = Capped { bytes: Vec::new(), full: false };
        match template.render_captured_to(root.clone(), &mut out) {
            Ok(_) => Ok(String::from_utf8(out.bytes).expect("minijinja writes whole strings")),
            Err(_) if out.full => {
                Err(TemplateError::TooLarge { file: self.file.clone(), what: "the mail", limit: MAX_OUTPUT })
            }
            Err(error) => Err(self.explain(&error, template.source(), source)),
        }
    }

    /// Says where in the operator's file an error of the compiled text comes from.
    fn explain(&self, error: &Error, compiled: &str, source: &Source) -> TemplateError {
        if error.kind() == ErrorKind::OutOfFuel {
            return TemplateError::Endless { file: self.file.clone(), fuel: FUEL };
        }
        let expression = error.range().and_then(|range| compiled.get(range)).unwrap_or_default();
        let whole = if expression.is_empty() { compiled_line(compiled, error.line()) } else { expression };
        let found = source.text.find(whole).filter(|_| !whole.is_empty());
        let (file, line) = source.at(found.unwrap_or(0));
        let what = format!("`{}`", whole.chars().take(80).collect::<String>());
        match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, _) | (_, Some(EMPTY)) => TemplateError::Empty { file, line, what },
            (_, Some(UNSAFE_LINK)) => TemplateError::UnsafeLink { file, line, what },
            (kind, detail) => {
                let problem = format!("{what}: {}", detail.map_or_else(|| kind.to_string(), str::to_owned));
                TemplateError::Broken { file, line, problem, advice: "correct the expression".to_owned() }
            }
        }
    }
}

fn compiled_line(text: &str, line: Option<usize>) -> &str {
    line.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default().trim()
}

/// White space as one space, no control characters, a sensible length.
fn one_line(text: &str) -> String {
    let words: Vec<String> = clean(text).split_whitespace().map(str::to_owned).collect();
    let line = words.join(" ");
    if line.chars().count() <= MAX_SUBJECT {
        return line;
    }
    let mut short: String = line.chars().take(MAX_SUBJECT - 1).collect();
    short.push('…');
    short
}

/// Takes at most [`MAX_OUTPUT`] bytes.
struct Capped {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for &mut Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_OUTPUT {
            self.full = true;
            return Err(io::Error::other("the output is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
