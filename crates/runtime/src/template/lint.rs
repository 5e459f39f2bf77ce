//! Rules over MJML that mrml does not check: what it accepts silently, gets wrong, or would fetch from afar.
//!
//! It looks at the operator's own text after includes; customers' data never comes here.

use zyklus_model::nearest;

use super::context::{host, is_below};
use super::error::TemplateProblem;
use super::markup::{Token, VOID, attribute, tokens};
use super::source::{Source, TemplateClass};

/// Deepest nesting of elements; mrml recurses once for each.
const MAX_NESTING: usize = 200;

/// What a component may carry besides [`COMMON`].
const COMPONENTS: &[(&str, &[&str])] = &[
    ("mjml", &["lang", "dir"]),
    ("mj-head", &[]),
    ("mj-title", &[]),
    ("mj-preview", &[]),
    ("mj-breakpoint", &["width"]),
    ("mj-style", &[]),
    ("mj-raw", &[]),
    ("mj-attributes", &[]),
    ("mj-all", &["font-family", "color", "font-size", "line-height"]),
    ("mj-class", &["name", "align", "color", "font-size", "font-weight", "line-height", "background-color"]),
    ("mj-body", &["background-color", "width"]),
    ("mj-wrapper", &["background-color", "border", "border-radius", "full-width", "text-align"]),
    (
        "mj-section",
        &[
            "background-color",
            "border",
            "border-top",
            "border-bottom",
            "border-radius",
            "direction",
            "full-width",
            "text-align",
        ],
    ),
    ("mj-group", &["background-color", "direction", "vertical-align", "width"]),
    (
        "mj-column",
        &["background-color", "border", "border-radius", "inner-background-color", "vertical-align", "width"],
    ),
    (
        "mj-text",
        &[
            "align",
            "color",
            "font-family",
            "font-size",
            "font-style",
            "font-weight",
            "letter-spacing",
            "line-height",
            "text-decoration",
        ],
    ),
    (
        "mj-button",
        &[
            "align",
            "background-color",
            "border",
            "border-radius",
            "color",
            "font-family",
            "font-size",
            "font-weight",
            "href",
            "inner-padding",
            "line-height",
            "text-align",
            "title",
            "vertical-align",
            "width",
        ],
    ),
    (
        "mj-image",
        &["align", "alt", "border-radius", "fluid-on-mobile", "height", "href", "src", "title", "width"],
    ),
    ("mj-divider", &["align", "border-color", "border-style", "border-width", "width"]),
    ("mj-spacer", &["height"]),
    (
        "mj-table",
        &["align", "cellpadding", "cellspacing", "color", "font-family", "font-size", "line-height", "width"],
    ),
];
/// What every component may carry.
const COMMON: &[&str] = &[
    "css-class",
    "mj-class",
    "padding",
    "padding-top",
    "padding-right",
    "padding-bottom",
    "padding-left",
    "container-background-color",
];
/// HTML inside text, tables and raw blocks.
const ELEMENTS: &[&str] = &[
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "div",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "hr",
    "i",
    "img",
    "li",
    "meta",
    "ol",
    "p",
    "s",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
];
/// Attributes of that HTML.
const ATTRIBUTES: &[&str] = &[
    "alt",
    "align",
    "aria-hidden",
    "aria-label",
    "border",
    "cellpadding",
    "cellspacing",
    "class",
    "colspan",
    "content",
    "dir",
    "height",
    "href",
    "lang",
    "name",
    "role",
    "rowspan",
    "scope",
    "src",
    "style",
    "title",
    "valign",
    "width",
];
/// Components that render badly or fetch from elsewhere, each with what to use.
const BANNED: &[(&str, &str)] = &[
    ("mj-html-attributes", "write the attributes on the elements"),
    ("mj-hero", "use mj-section with an mj-image"),
    ("mj-carousel", "use mj-image; most mail programs show only the first picture"),
    ("mj-accordion", "write the texts below each other"),
    ("mj-navbar", "write links into mj-text"),
    ("mj-social", "write links into mj-text; icons would be fetched from another host"),
    ("mj-font", "use fonts the reader has; web fonts are fetched from another host"),
];

/// Checks nesting first, since everything after it recurses; then every tag and attribute.
pub(super) fn check(source: &Source, class: TemplateClass, hosts: &[String]) -> Result<(), TemplateProblem> {
    nesting(source)?;
    // What is open: its name, and where it starts.
    let mut parent: Vec<(&str, usize)> = Vec::new();
    for (at, token) in tokens(&source.text) {
        let refuse =
            |problem: String, advice: &str| Err(TemplateProblem::new(source.at(at), problem, advice));
        match token {
            Token::Open { name, attributes, closed } => {
                if let Some((_, advice)) = BANNED.iter().find(|(banned, _)| name.starts_with(banned)) {
                    return refuse(format!("<{name}> is not allowed"), advice);
                }
                let defaults = parent.iter().any(|(open, _)| *open == "mj-attributes");
                let component = COMPONENTS.iter().find(|(known, _)| *known == name).map(|(_, own)| *own);
                if component.is_none() && !ELEMENTS.contains(&name) {
                    let names = COMPONENTS.iter().map(|(known, _)| *known).chain(ELEMENTS.iter().copied());
                    let hint = nearest(name, names).map_or_else(
                        || {
                            "templates use mj-section, mj-column, mj-text, mj-button, mj-image, mj-table"
                                .to_owned()
                        },
                        |near| format!("did you mean <{near}>?"),
                    );
                    return refuse(format!("<{name}> is unknown"), &hint);
                }
                for (key, value) in &attributes {
                    let known = match component {
                        Some(own) => own.contains(key) || COMMON.contains(key),
                        None => ATTRIBUTES.contains(key),
                    };
                    if !known {
                        let names = component.unwrap_or(ATTRIBUTES).iter().chain(COMMON).copied();
                        let hint = nearest(key, names)
                            .map_or_else(|| "remove it".to_owned(), |near| format!("did you mean `{near}`?"));
                        return refuse(format!("<{name}> has no attribute `{key}`"), &hint);
                    }
                    if let Some((problem, advice)) = wrong_value(name, key, value, hosts) {
                        return refuse(problem, advice);
                    }
                }
                let picture = matches!(name, "mj-image" | "img") && !defaults;
                if picture && attribute(&attributes, "alt").is_none() {
                    let advice = "add alt=\"what it shows\", or alt=\"\" if the text beside it says so";
                    return refuse(format!("<{name}> has no alt"), advice);
                }
                if picture && attribute(&attributes, "width").is_none() {
                    return refuse(
                        format!("<{name}> has no width"),
                        "add width=\"…\" so that the mail does not jump",
                    );
                }
                if !closed && !VOID.contains(&name) {
                    parent.push((name, at));
                }
            }
            Token::Close { name } => match parent.pop() {
                Some((open, _)) if open == name => {}
                Some((open, at)) => return Err(unclosed(source, at, open, &format!("before </{name}>"))),
                None => return refuse(format!("</{name}> closes nothing"), "remove it, or open it"),
            },
            Token::Text(text) => {
                if parent.last().is_some_and(|(open, _)| *open == "mj-style")
                    && ["{{", "{%", "url(", "@import", "expression(", "</"]
                        .iter()
                        .any(|bad| text.contains(bad))
                {
                    return refuse("styles may not fetch or contain values".to_owned(), "keep styles static");
                }
            }
            Token::Comment(_) => {}
        }
    }
    if let Some((open, at)) = parent.last() {
        return Err(unclosed(source, *at, open, "at the end"));
    }
    if !source.text.contains("<mj-all font-family=") {
        let advice =
            "include the head partial, or write <mj-attributes><mj-all font-family=\"…\" /></mj-attributes>";
        return Err(TemplateProblem::new(source.at(0), "no font-family is set for mj-all", advice));
    }
    footer(source, class)
}

fn unclosed(source: &Source, at: usize, open: &str, place: &str) -> TemplateProblem {
    let help = format!("add </{open}>; elements close in the order they were opened");
    TemplateProblem::new(source.at(at), format!("<{open}> is not closed {place}"), help)
}

/// The footer the law wants must be there, and must say what the law wants.
fn footer(source: &Source, class: TemplateClass) -> Result<(), TemplateProblem> {
    let wanted = match class {
        TemplateClass::Marketing => "footer",
        TemplateClass::Service => "footer-service",
    };
    let included = |name: &str| source.included.iter().any(|partial| partial == name);
    let stricter = class == TemplateClass::Service && included("footer");
    if !(stricter || included(wanted)) {
        let problem = format!("a {} template needs the footer", class.as_str());
        let advice = format!("write <mj-include path=\"{wanted}\" /> before </mj-body>");
        return Err(TemplateProblem::new(source.at(source.text.len()), problem, advice));
    }
    require(source, class, &source.text)
}

/// Every footer names the sender; marketing footers also say why and how to stop.
pub(super) fn require(source: &Source, class: TemplateClass, text: &str) -> Result<(), TemplateProblem> {
    let always = ["shop.legal_name", "shop.address_lines", "shop.imprint_url"];
    let marketing = ["unsubscribe_url", "reason"];
    let more = if class == TemplateClass::Marketing { &marketing[..] } else { &[] };
    match always.iter().chain(more).find(|field| !text.contains(*field)) {
        None => Ok(()),
        Some(field) => {
            let problem = format!("the footer does not use `{field}`");
            Err(TemplateProblem::new(source.at(text.len()), problem, "the law wants it in every such mail"))
        }
    }
}

fn nesting(source: &Source) -> Result<(), TemplateProblem> {
    let mut depth: usize = 0;
    for (at, token) in tokens(&source.text) {
        match token {
            Token::Open { name, closed: false, .. } if !VOID.contains(&name) => depth += 1,
            Token::Close { .. } => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            let problem = format!("elements are nested deeper than {MAX_NESTING}");
            return Err(TemplateProblem::new(source.at(at), problem, "flatten them"));
        }
    }
    Ok(())
}

fn wrong_value(name: &str, key: &str, value: &str, hosts: &[String]) -> Option<(String, &'static str)> {
    let values = value.contains("{{") || value.contains("{%");
    match key {
        "padding" | "inner-padding" | "padding-top" | "padding-right" | "padding-bottom" | "padding-left"
            if value.split_ascii_whitespace().any(|part| part == "0") =>
        {
            return Some((
                format!("{key}=\"{value}\" has a zero without a unit"),
                "write 0px; widths come out wrong otherwise",
            ));
        }
        "href" | "src" => return wrong_link(name, key, value, hosts),
        "style" | "class" | "css-class" => {
            let lower = value.to_ascii_lowercase();
            if values || ["url(", "expression(", "@import"].iter().any(|bad| lower.contains(bad)) {
                return Some((format!("{key} may not fetch or contain values"), "keep styles static"));
            }
        }
        "content" | "name" if name == "meta" && values => {
            return Some(("meta may not contain values".to_owned(), "keep it static"));
        }
        _ => {}
    }
    None
}

fn wrong_link(name: &str, key: &str, value: &str, hosts: &[String]) -> Option<(String, &'static str)> {
    if value.contains("{{") || value.contains("{%") {
        let inner = value.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let checked = inner
            .filter(|inner| !inner.contains("{{") && !inner.contains("{%"))
            .and_then(|inner| inner.rsplit_once('|'));
        let ok = checked.is_some_and(|(_, filter)| match filter.trim() {
            "url" => true,
            "mailto" | "tel" => key == "href",
            _ => false,
        });
        let advice = "write the whole address as one value that ends in |url (or |mailto, |tel), as in {{ shop.url|url }}";
        return (!ok).then(|| (format!("{key} of <{name}> is not checked"), advice));
    }
    if key == "href" {
        let ok = ["https://", "http://", "mailto:", "tel:"].iter().any(|scheme| value.starts_with(scheme));
        return (!ok)
            .then(|| (format!("href=\"{value}\" is not a link for mails"), "use https, mailto or tel"));
    }
    let host = value.starts_with("https://").then(|| host(value)).flatten();
    let ok = host.is_some_and(|host| hosts.iter().any(|known| is_below(&host, known)));
    let advice = "pictures come from the shop's own host: use its address, or a value with |url";
    (!ok).then(|| (format!("src=\"{value}\" is on a foreign host"), advice))
}
