//! One mail: subject, HTML and text from a compiled template and a context.
//!
//! Bounded in steps and in bytes; what goes wrong names the template's file and line, never the customer.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value, context};

use super::context::{MailContext, clean, host};
use super::error::RenderError;
use super::filters::{EMPTY, FUEL, UNSAFE_LINK};
use super::locale::TemplateLocale;
use super::markup::{Token, attribute, tokens, unescape};
use super::source::{Source, TemplateClass};
use super::text;

/// Largest HTML or text of one mail, in bytes. Far above what a mail program shows; a bomb ends here.
const MAX_OUTPUT: usize = 256 * 1024;
/// Longest subject and preview, in characters.
const MAX_SUBJECT: usize = 150;

/// A finished message. Nothing in it is a template any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedMail {
    /// Subject line: one line, no control characters. Empty for text messages (SMS).
    pub subject: String,
    /// What mail programs show beside the subject; it is in the HTML already. Empty for text messages.
    pub preview: String,
    /// HTML part; none for text messages.
    pub html: Option<String>,
    /// Text part, lines of at most 74 characters except for links.
    pub text: String,
    /// Language of the text, for `Content-Language`: `en` or `de`.
    pub language: &'static str,
    /// The locale it was rendered in: the one asked for, or the nearest there is.
    pub locale: TemplateLocale,
}

/// A compiled template in one locale. Cheap to share, safe to use from many tasks.
#[derive(Debug)]
pub struct Template {
    pub(super) name: String,
    pub(super) locale: TemplateLocale,
    pub(super) class: TemplateClass,
    pub(super) file: String,
    pub(super) is_html: bool,
    /// Hosts pictures may be on besides the shop's own.
    pub(super) hosts: Arc<[String]>,
    /// Expanded MJML or text: what errors point into.
    pub(super) source: Source,
    /// Subject as written, with its line.
    pub(super) subject: Source,
    /// Preview as written, with its line.
    pub(super) preview: Source,
    pub(super) env: Environment<'static>,
}

/// What is offered to the customer: a list, of which `recommend(4)` gives the first four.
#[derive(Debug)]
struct Offered(Vec<Value>);

impl Object for Offered {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (most,): (usize,) = from_args(args)?;
        Ok(self.0.iter().take(most).cloned().collect())
    }
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

    /// True if a reader learns from it how to stop: the marketing footer is in it (why this mail, how to stop, the
    /// right to object, the sender), or, in a text message, which includes nothing, the address for stopping.
    pub fn has_footer(&self) -> bool {
        if self.is_html {
            self.source.included.iter().any(|partial| partial == "footer")
        } else {
            let tags = self.source.text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
            tags.flat_map(|tag| tag.split(|c: char| c != '_' && !c.is_alphanumeric()))
                .any(|word| word == "unsubscribe_url")
        }
    }

    /// Renders one mail; the output is at most 256 KiB a part.
    pub fn render(&self, context: &MailContext) -> Result<RenderedMail, RenderError> {
        let mut root = context.bounded(&self.hosts);
        let fields = root.as_object_mut().expect("a context is a record");
        let offered = fields.get("recommend").map(|list| Value::from(Serde(list))).unwrap_or_default();
        let offered = Value::from_object(Offered(offered.try_iter().into_iter().flatten().collect()));
        let first = context! { recommend => offered.clone(), ..Value::from(Serde(&*fields)) };
        let subject = one_line(&self.part("subject", &first, &self.subject)?);
        let preview = one_line(&self.part("preview", &first, &self.preview)?);
        fields.insert("subject".to_owned(), subject.clone().into());
        fields.insert("preview".to_owned(), preview.clone().into());
        let root = context! { recommend => offered, ..Value::from(Serde(&root)) };
        let (html, text) = if self.is_html {
            let html = self.part("body.html", &root, &self.source)?;
            self.pictures(&html, context)?;
            let text = text::from_html(&html);
            (Some(html), text)
        } else {
            (None, self.part("body.txt", &root, &self.source)?.trim().to_owned())
        };
        Ok(RenderedMail {
            subject,
            preview,
            html,
            text,
            language: self.locale.language(),
            locale: self.locale,
        })
    }

    /// The last word on what the reader's mail program will fetch: looks at the finished HTML.
    fn pictures(&self, html: &str, context: &MailContext) -> Result<(), RenderError> {
        for (_, token) in tokens(html) {
            let Token::Open { attributes, .. } = token else { continue };
            let loaded = attribute(&attributes, "src").or_else(|| attribute(&attributes, "background"));
            let Some(address) = loaded.map(unescape) else { continue };
            if !context.may_load(&address, &self.hosts) {
                let host = host(&address).unwrap_or_else(|| "(none)".to_owned());
                return Err(RenderError::ForeignHost { file: self.file.clone(), host });
            }
        }
        Ok(())
    }

    fn part(&self, name: &str, root: &Value, source: &Source) -> Result<String, RenderError> {
        let template = self.env.get_template(name).expect("added when the template was compiled");
        let mut out = Capped { bytes: Vec::new(), full: false };
        match template.render_captured_to(root.clone(), &mut out) {
            Ok(_) => Ok(String::from_utf8(out.bytes).expect("minijinja writes whole strings")),
            Err(_) if out.full => Err(RenderError::TooLarge { file: self.file.clone(), limit: MAX_OUTPUT }),
            Err(error) => Err(self.explain(&error, template.source(), source)),
        }
    }

    /// Says where in the operator's file an error of the compiled text comes from.
    fn explain(&self, error: &Error, compiled: &str, source: &Source) -> RenderError {
        if error.kind() == ErrorKind::OutOfFuel {
            return RenderError::Endless { file: self.file.clone(), fuel: FUEL };
        }
        let tag = error.range().and_then(|range| tag_around(compiled, range.start));
        let tag = tag.unwrap_or_else(|| compiled_line(compiled, error.line()));
        let whole = &compiled[tag.clone()];
        let inner = whole.trim_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | '%' | '-'));
        let start = find_same(compiled, &source.text, whole, tag.start);
        let at = source.at(start + whole.find(inner).unwrap_or(0));
        let what = format!("`{}`", inner.chars().take(80).collect::<String>());
        match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, _) | (_, Some(EMPTY)) => RenderError::Empty { at, what },
            (_, Some(UNSAFE_LINK)) => RenderError::UnsafeLink { at, what },
            (kind, detail) => {
                let problem = format!("{what}: {}", detail.map_or_else(|| kind.to_string(), str::to_owned));
                RenderError::Broken { at, problem }
            }
        }
    }
}

/// The `{{ … }}` or `{% … %}` that a byte of compiled text is in.
fn tag_around(compiled: &str, at: usize) -> Option<Range<usize>> {
    let before = compiled.get(..at)?;
    let start = before.rfind("{{").max(before.rfind("{%"))?;
    let closing = if compiled[start..].starts_with("{{") { "}}" } else { "%}" };
    let end = start + compiled[start..].find(closing)? + closing.len();
    (at < end).then_some(start..end)
}

fn compiled_line(text: &str, line: Option<usize>) -> Range<usize> {
    let line = line.unwrap_or(1).max(1) - 1;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    start..end
}

/// Where the operator wrote the part of the compiled text that starts at `at`: MJML keeps expressions and their
/// order, so the third `{{ x }}` of the one is the third of the other.
fn find_same(compiled: &str, source: &str, part: &str, at: usize) -> usize {
    let before = compiled.match_indices(part).take_while(|(start, _)| *start < at).count();
    let same = |text: &str| text.match_indices(part).count();
    let wanted = if same(compiled) == same(source) { before } else { 0 };
    source.match_indices(part).nth(wanted).map_or(0, |(start, _)| start)
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
