//! From files to one text: front matter taken off, `<mj-include>` expanded, every line's origin remembered.
//!
//! Never follows a path out of the template folder: an include names a partial, not a file.

use std::collections::BTreeMap;

use zyklus_engine::problem::line_column;
use zyklus_model::nearest;

use super::error::{Place, TemplateProblem};
use super::locale::TemplateLocale;
use super::markup::{Token, attribute, tokens};

/// Largest template after its includes, in bytes.
pub(super) const MAX_SOURCE: usize = 128 * 1024;
/// Deepest chain of includes.
const MAX_INCLUDES: usize = 8;

/// The `+++` block a template starts with.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Front {
    /// Subject line; minijinja. Empty in text templates (SMS).
    #[serde(default)]
    pub(super) subject: String,
    /// What mail programs show beside the subject; minijinja.
    #[serde(default)]
    pub(super) preview: String,
    /// Marketing unless said otherwise: the stricter rules are the default.
    #[serde(default)]
    pub(super) class: TemplateClass,
}

/// What a template is for; marketing templates must carry the marketing footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TemplateClass {
    /// Advertising in the sense of the law, feedback requests included.
    #[default]
    Marketing,
    /// Something the customer asked for; carries no advertising.
    Service,
}

impl TemplateClass {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            TemplateClass::Marketing => "marketing",
            TemplateClass::Service => "service",
        }
    }
}

/// One text made of several files; every part knows where it came from.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) text: String,
    /// Byte offset each part starts at, and its place; ascending.
    parts: Vec<(usize, Place)>,
    /// Partials that were included, in order.
    pub(super) included: Vec<String>,
}

impl Source {
    /// The place of a byte offset.
    pub(super) fn at(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let index = self.parts.partition_point(|(start, _)| *start <= offset);
        let Some((start, place)) = index.checked_sub(1).and_then(|index| self.parts.get(index)) else {
            return Place::default();
        };
        place_in(&self.text[*start..], offset - start, place)
    }

    /// The place of a line of this text, from 1: where its first word stands.
    pub(super) fn at_line(&self, line: usize) -> Place {
        let skipped: usize = self.text.split_inclusive('\n').take(line.max(1) - 1).map(str::len).sum();
        let rest = self.text.get(skipped..).unwrap_or_default();
        let indent = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        self.at(skipped + indent)
    }

    /// A text from one file, starting at a line of it.
    pub(super) fn plain(file: &str, first_line: usize, text: &str) -> Source {
        Source::at_place(Place { file: file.to_owned(), line: first_line, column: 1 }, text)
    }

    /// A text that starts at a place of a file.
    pub(super) fn at_place(place: Place, text: &str) -> Source {
        Source { text: text.to_owned(), parts: vec![(0, place)], included: Vec::new() }
    }

    /// Adds a piece `from..to` of a file's text.
    fn append(&mut self, file: &str, first_line: usize, text: &str, from: usize, to: usize) {
        let start = Place { file: file.to_owned(), line: first_line, column: 1 };
        self.parts.push((self.text.len(), place_in(text, from, &start)));
        self.text.push_str(&text[from..to]);
    }
}

/// The place of a byte offset in `text`, which starts at `start`.
fn place_in(text: &str, offset: usize, start: &Place) -> Place {
    let (line, column) = line_column(text, offset);
    let column = if line == 1 { start.column + column - 1 } else { column };
    Place { file: start.file.clone(), line: start.line + line - 1, column }
}

/// Splits `+++ … +++` from the text below it; returns the line the text starts at.
pub(super) fn front_matter<'a>(
    file: &str,
    text: &'a str,
) -> Result<(Front, usize, &'a str), TemplateProblem> {
    let help =
        "start the file with a +++ line, then subject = \"…\" and preview = \"…\", then another +++ line";
    let missing = || TemplateProblem::file(file, "the front matter is missing", help);
    let rest = text.strip_prefix("+++\n").ok_or_else(missing)?;
    let end = if rest.starts_with("+++") { 0 } else { rest.find("\n+++").ok_or_else(missing)? + 1 };
    let front = &rest[..end];
    let body = rest[end..].split_once('\n').map_or("", |(_, body)| body);
    let line = front.lines().count() + 3;
    match toml::from_str::<Front>(front) {
        Ok(front) => Ok((front, line, body)),
        Err(error) => {
            let start = Place { file: file.to_owned(), line: 2, column: 1 };
            let offset = error.span().map_or(0, |span| span.start);
            let message = format!("the front matter is not valid: {}", error.message().replace('\n', " "));
            let help = "it knows subject, preview and class (\"marketing\" or \"service\")";
            Err(TemplateProblem::new(place_in(front, offset, &start), message, help))
        }
    }
}

/// Where the value of a key of the front matter stands.
pub(super) fn front_place(file: &str, text: &str, key: &str) -> Place {
    let found = text.lines().enumerate().find(|(_, line)| line.trim_start().starts_with(key));
    let (line, column) = found.map_or((1, 1), |(index, line)| {
        let quote = line.find(['"', '\'']).map_or(0, |at| at + 1);
        (index + 1, line[..quote].chars().count() + 1)
    });
    Place { file: file.to_owned(), line, column }
}

/// Expands every `<mj-include path="name" />` with `partials/name.<locale>.mjml`, else the language's, else
/// `partials/name.mjml`.
pub(super) fn expand(
    file: &str,
    first_line: usize,
    body: &str,
    locale: TemplateLocale,
    partials: &BTreeMap<String, String>,
) -> Result<Source, TemplateProblem> {
    let mut source = Source::default();
    let mut open = vec![file.to_owned()];
    into(&mut source, &mut open, first_line, body, locale, partials)?;
    Ok(source)
}

fn into(
    source: &mut Source,
    open: &mut Vec<String>,
    first_line: usize,
    body: &str,
    locale: TemplateLocale,
    partials: &BTreeMap<String, String>,
) -> Result<(), TemplateProblem> {
    let file = open.last().cloned().unwrap_or_default();
    let too_large = |open: &[String]| {
        let file = open.first().map_or("", String::as_str);
        TemplateProblem::too_large(file, "the template with its includes", MAX_SOURCE)
    };
    let mut from = 0;
    let mut skip = false;
    for (at, token) in tokens(body) {
        if skip {
            // The end of the include tag is where the next token starts.
            from = at;
            skip = false;
            if matches!(token, Token::Close { name: "mj-include" }) {
                skip = true;
                continue;
            }
        }
        if let Token::Comment(comment) = token
            && !comment.starts_with("<!--[if")
            && !comment.ends_with("<![endif]-->")
        {
            // Remarks are for whoever edits the template, not for whoever gets the mail.
            source.append(&file, first_line, body, from, at);
            from = at + comment.len();
            continue;
        }
        let Token::Open { name: "mj-include", attributes, .. } = token else { continue };
        source.append(&file, first_line, body, from, at);
        let here = place_in(body, at, &Place { file: file.clone(), line: first_line, column: 1 });
        let name = attribute(&attributes, "path").unwrap_or_default();
        let Some(partial) = find_partial(name, locale, partials) else {
            let names = partials.keys().filter_map(|p| p.split('.').next());
            let help = nearest(name, names).map_or_else(
                || "partials live in partials/<name>.mjml".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(TemplateProblem::new(here, format!("there is no partial `{name}`"), help));
        };
        let path = format!("partials/{partial}");
        if open.contains(&path) {
            let message = format!("the include goes round in a circle: {} → {path}", open.join(" → "));
            return Err(TemplateProblem::new(here, message, "remove one of these includes"));
        }
        if open.len() > MAX_INCLUDES {
            return Err(TemplateProblem::new(here, "includes are nested too deep", "flatten them"));
        }
        source.included.push(name.to_owned());
        open.push(path);
        into(source, open, 1, partials[partial].trim_end(), locale, partials)?;
        open.pop();
        if source.text.len() > MAX_SOURCE {
            return Err(too_large(open));
        }
        from = body.len();
        skip = true;
    }
    if from < body.len() {
        source.append(&file, first_line, body, from, body.len());
    }
    if source.text.len() > MAX_SOURCE { Err(too_large(open)) } else { Ok(()) }
}

fn find_partial<'a>(
    name: &str,
    locale: TemplateLocale,
    partials: &'a BTreeMap<String, String>,
) -> Option<&'a str> {
    [
        format!("{name}.{}.mjml", locale.as_str()),
        format!("{name}.{}.mjml", locale.language()),
        format!("{name}.mjml"),
    ]
    .iter()
    .find_map(|candidate| partials.get_key_value(candidate))
    .map(|(key, _)| key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, line: usize, column: usize) -> Place {
        Place { file: file.to_owned(), line, column }
    }

    fn expanded(body: &str, partials: &[(&str, &str)]) -> Result<Source, TemplateProblem> {
        let partials = partials.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        expand("x/de-du.mjml", 5, body, TemplateLocale::DeDu, &partials)
    }

    #[test]
    fn includes_are_expanded_and_lines_keep_their_origin() {
        let partials =
            [("a.mjml", "<p>\n<mj-include path=\"b\" /></p>"), ("b.mjml", "en"), ("b.de.mjml", "de")];
        let source = expanded("one\n<mj-include path=\"a\" />\ntwo", &partials).unwrap();
        assert_eq!(source.text, "one\n<p>\nde</p>\ntwo");
        assert_eq!(source.at(source.text.find("one").unwrap()), place("x/de-du.mjml", 5, 1));
        assert_eq!(source.at(source.text.find("de<").unwrap()), place("partials/b.de.mjml", 1, 1));
        assert_eq!(source.at(source.text.find("two").unwrap()), place("x/de-du.mjml", 7, 1));
        assert_eq!(source.at(source.text.find("</p>").unwrap()), place("partials/a.mjml", 2, 24));
        assert_eq!(source.at_line(4), place("x/de-du.mjml", 7, 1));
        assert_eq!(source.included, ["a", "b"]);
    }

    #[test]
    fn circular_missing_and_exploding_includes_are_refused() {
        let circle = [("a.mjml", "<mj-include path='b' />"), ("b.mjml", "\n<mj-include path='a' />")];
        let error = expanded("<mj-include path='a' />", &circle).unwrap_err();
        assert_eq!((error.file.as_str(), error.line, error.column), ("partials/b.mjml", 2, 1));
        let error = expanded("<mj-include path='foter' />", &[("footer.mjml", "")]).unwrap_err();
        assert!(error.to_string().contains("did you mean `footer`"), "{error}");
        let text = "x".repeat(200) + &"<mj-include path='a' />".repeat(3);
        let names: Vec<String> = (0..8).map(|i| format!("p{i}.mjml")).collect();
        let bodies: Vec<String> = (0..8)
            .map(
                |i| if i < 7 { format!("<mj-include path='p{}' />", i + 1).repeat(60) } else { text.clone() },
            )
            .collect();
        let partials: Vec<_> =
            names.iter().map(String::as_str).zip(bodies.iter().map(String::as_str)).collect();
        assert!(expanded("<mj-include path='p0' />", &partials).is_err());
    }
}
