//! MJML to HTML, once a template, when it loads.
//!
//! mrml recurses, so it only sees text whose nesting was checked, on a thread with a deep stack; it never sees a
//! customer's data, and it never loads anything.

use mrml::prelude::parser::{Error, ParserOptions};
use mrml::prelude::render::RenderOptions;

use super::error::{Place, TemplateProblem};
use super::markup::{Token, attribute, tokens};
use super::source::Source;

/// Stack of the compiling thread. Only pages that are touched cost memory.
const STACK: usize = 128 * 1024 * 1024;

/// Runs `work` on a thread whose stack fits any template that passed the nesting check.
pub(super) fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("templates".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)?;
        thread.join().map_err(|_| std::io::Error::other("the thread that compiles templates panicked"))
    })
}

/// Compiles an expanded, checked template.
pub(super) fn html(source: &Source) -> Result<String, TemplateProblem> {
    let broken = |at: Place, problem: String| TemplateProblem::new(at, problem, "see the MJML reference");
    let parsed = mrml::parse_with_options(&source.text, &ParserOptions::default()).map_err(|error| {
        broken(position(&error).map_or_else(|| source.at(0), |at| source.at(at)), plain(&error))
    })?;
    if let Some(warning) = parsed.warnings.first() {
        return Err(broken(source.at(warning.span.start), format!("mjml: {warning}")));
    }
    let options = RenderOptions { fonts: Default::default(), ..RenderOptions::default() };
    let html =
        parsed.element.render(&options).map_err(|error| broken(source.at(0), format!("mjml: {error}")))?;
    resources(&html)
        .map_or(Ok(()), |what| Err(broken(source.at(0), format!("the mail would fetch {what}"))))?;
    Ok(html)
}

/// Anything in compiled HTML that would be loaded or run, other than pictures (which are linted).
fn resources(html: &str) -> Option<String> {
    tokens(html).find_map(|(_, token)| match token {
        Token::Open {
            name: name @ ("script" | "link" | "iframe" | "object" | "embed" | "form" | "base"),
            ..
        } => Some(format!("<{name}>")),
        Token::Open { attributes, .. } => {
            attribute(&attributes, "background").map(|value| format!("the background {value}"))
        }
        Token::Comment(text) | Token::Text(text) => ["@import", "url(http"]
            .iter()
            .find(|bad| text.contains(**bad))
            .map(|bad| format!("a style ({bad})")),
        Token::Close { .. } => None,
    })
}

/// mrml's error with its causes, in one line, without its own notion of files.
fn plain(error: &Error) -> String {
    let mut text = format!("mjml: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text.replace(" in root template", "").replace('\n', " ")
}

fn position(error: &Error) -> Option<usize> {
    match error {
        Error::UnexpectedElement { position, .. }
        | Error::UnexpectedToken { position, .. }
        | Error::MissingAttribute { position, .. }
        | Error::InvalidAttribute { position, .. }
        | Error::InvalidFormat { position, .. }
        | Error::IncludeLoaderError { position, .. } => Some(position.start),
        Error::EndOfStream { .. }
        | Error::SizeLimit { .. }
        | Error::ParserError { .. }
        | Error::NoRootNode => None,
    }
}
