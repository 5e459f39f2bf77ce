//! From files to one text: front matter taken off, `<mj-include>` expanded, every line's origin remembered.
//!
//! Never follows a path out of the template folder: an include names a partial, not a file.

use std::collections::BTreeMap;

use super::error::{TemplateError, nearest};
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

/// One text made of several files; every line knows where it came from.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) text: String,
    lines: Vec<(String, usize)>,
    /// Partials that were included, in order.
    pub(super) included: Vec<String>,
}

impl Source {
    /// File and line of a byte offset.
    pub(super) fn at(&self, offset: usize) -> (String, usize) {
        let offset = offset.min(self.text.len());
        self.at_line(self.text.as_bytes()[..offset].iter().filter(|b| **b == b'\n').count() + 1)
    }

    /// File and line of a line of this text, from 1.
    pub(super) fn at_line(&self, line: usize) -> (String, usize) {
        let index = line.max(1).min(self.lines.len().max(1)) - 1;
        self.lines.get(index).cloned().unwrap_or_default()
    }

    /// A text from one file, starting at a line of it.
    pub(super) fn plain(file: &str, first_line: usize, text: &str) -> Source {
        let mut source = Source::default();
        source.append(file, first_line, text);
        source
    }

    fn append(&mut self, file: &str, first_line: usize, text: &str) {
        if self.lines.is_empty() {
            self.lines.push((file.to_owned(), first_line));
        }
        for (index, part) in text.split('\n').enumerate() {
            if index > 0 {
                self.text.push('\n');
                self.lines.push((file.to_owned(), first_line + index));
            }
            self.text.push_str(part);
        }
    }
}

/// Splits `+++ … +++` from the text below it; returns the line the text starts at.
pub(super) fn front_matter<'a>(file: &str, text: &'a str) -> Result<(Front, usize, &'a str), TemplateError> {
    let advice = "start the file with a +++ line, then subject = \"…\" and preview = \"…\", then another +++ line";
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let missing = || TemplateError::broken(&(file.to_owned(), 1), "the front matter is missing", advice);
    let rest = text.strip_prefix("+++\n").or_else(|| text.strip_prefix("+++\r\n")).ok_or_else(missing)?;
    let end = rest.find("\n+++").ok_or_else(missing)?;
    let front = &rest[..=end];
    let after = &rest[end + 4..];
    let body = after.split_once('\n').map_or("", |(_, body)| body);
    let line = front.lines().count() + 3;
    match toml::from_str::<Front>(front) {
        Ok(front) => Ok((front, line, body)),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let line = 2 + front.as_bytes()[..at.min(front.len())].iter().filter(|b| **b == b'\n').count();
            let problem = format!("the front matter is not valid: {}", error.message().replace('\n', " "));
            Err(TemplateError::broken(&(file.to_owned(), line), problem, "it knows subject, preview and class"))
        }
    }
}

/// The line of the file on which a key of the front matter stands.
pub(super) fn front_line(text: &str, key: &str) -> usize {
    text.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |index| index + 1)
}

/// Expands every `<mj-include path="name" />` with `partials/name.<locale>.mjml`, else the language's, else
/// `partials/name.mjml`.
pub(super) fn expand(
    file: &str,
    first_line: usize,
    body: &str,
    locale: TemplateLocale,
    partials: &BTreeMap<String, String>,
) -> Result<Source, TemplateError> {
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
) -> Result<(), TemplateError> {
    let file = open.last().cloned().unwrap_or_default();
    let mut from = 0;
    let mut skip = false;
    for (at, token) in tokens(body) {
        let line = first_line + body.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
        let here = (file.clone(), line);
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
            let start = first_line + body.as_bytes()[..from].iter().filter(|b| **b == b'\n').count();
            source.append(&file, start, &body[from..at]);
            from = at + comment.len();
            continue;
        }
        let Token::Open { name: "mj-include", attributes, .. } = token else { continue };
        let start = first_line + body.as_bytes()[..from].iter().filter(|b| **b == b'\n').count();
        source.append(&file, start, &body[from..at]);
        let name = attribute(&attributes, "path").unwrap_or_default();
        let partial = find_partial(name, locale, partials).ok_or_else(|| {
            let names = partials.keys().filter_map(|p| p.split('.').next());
            let hint = nearest(name, names).map_or_else(
                || "partials live in partials/<name>.mjml".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            TemplateError::broken(&here, format!("there is no partial `{name}`"), hint)
        })?;
        let path = format!("partials/{partial}");
        if open.contains(&path) {
            let chain = open.join(" → ");
            let problem = format!("the include goes round in a circle: {chain} → {path}");
            return Err(TemplateError::broken(&here, problem, "remove one of these includes"));
        }
        if open.len() > MAX_INCLUDES {
            return Err(TemplateError::broken(&here, "includes are nested too deep", "flatten them"));
        }
        source.included.push(name.to_owned());
        open.push(path);
        into(source, open, 1, partials[partial].trim_end(), locale, partials)?;
        open.pop();
        if source.text.len() > MAX_SOURCE {
            let file = open.first().cloned().unwrap_or_default();
            return Err(TemplateError::TooLarge { file, what: "the template with its includes", limit: MAX_SOURCE });
        }
        from = body.len();
        skip = true;
    }
    if from < body.len() {
        let start = first_line + body.as_bytes()[..from].iter().filter(|b| **b == b'\n').count();
        source.append(&file, start, &body[from..]);
    }
    if source.text.len() > MAX_SOURCE {
        return Err(TemplateError::TooLarge { file, what: "the template with its includes", limit: MAX_SOURCE });
    }
    Ok(())
}

fn find_partial<'a>(
    name: &str,
    locale: TemplateLocale,
    partials: &'a BTreeMap<String, String>,
) -> Option<&'a str> {
    [format!("{name}.{}.mjml", locale.as_str()), format!("{name}.{}.mjml", locale.language()), format!("{name}.mjml")]
        .iter()
        .find_map(|candidate| partials.get_key_value(candidate))
        .map(|(key, _)| key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(body: &str, partials: &[(&str, &str)]) -> Result<Source, TemplateError> {
        let partials = partials.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        expand("x/de-du.mjml", 5, body, TemplateLocale::DeDu, &partials)
    }

    #[test]
    fn includes_are_expanded_and_lines_keep_their_origin() {
        let partials = [("a.mjml", "<p>\n<mj-include path=\"b\" /></p>"), ("b.mjml", "en"), ("b.de.mjml", "de")];
        let source = expanded("one\n<mj-include path=\"a\" />\ntwo", &partials).unwrap();
        assert_eq!(source.text, "one\n<p>\nde</p>\ntwo");
        assert_eq!(source.at(source.text.find("one").unwrap()), ("x/de-du.mjml".to_owned(), 5));
        assert_eq!(source.at(source.text.find("de<").unwrap()), ("partials/a.mjml".to_owned(), 2));
        assert_eq!(source.at(source.text.find("two").unwrap()), ("x/de-du.mjml".to_owned(), 7));
        assert_eq!(source.included, ["a", "b"]);
    }

    #[test]
    fn circular_missing_and_exploding_includes_are_refused() {
        let circle = [("a.mjml", "<mj-include path='b' />"), ("b.mjml", "\n<mj-include path='a' />")];
        let error = expanded("<mj-include path='a' />", &circle).unwrap_err();
        assert_eq!((error.file(), error.line()), (Some("partials/b.mjml"), Some(2)));
        let error = expanded("<mj-include path='foter' />", &[("footer.mjml", "")]).unwrap_err();
        assert!(error.to_string().contains("did you mean `footer`"), "{error}");
        let text = "x".repeat(200) + &"<mj-include path='a' />".repeat(3);
        let names: Vec<String> = (0..8).map(|i| format!("p{i}.mjml")).collect();
        let bodies: Vec<String> = (0..8)
            .map(|i| if i < 7 { format!("<mj-include path='p{}' />", i + 1).repeat(60) } else { text.clone() })
            .collect();
        let partials: Vec<_> = names.iter().map(String::as_str).zip(bodies.iter().map(String::as_str)).collect();
        assert!(expanded("<mj-include path='p0' />", &partials).is_err());
    }
}
