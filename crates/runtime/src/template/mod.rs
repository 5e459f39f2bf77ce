//! E-mail and text templates: files in, finished messages out.
//!
//! A template is `<name>/<locale>.mjml` (mail) or `<name>/<locale>.txt` (SMS) in the template folder, with locales
//! `en`, `de` and `de-du`; partials are `partials/<name>[.<locale>].mjml`. A file starts with front matter:
//! ```text
//! +++
//! subject = "Your cart, {{ customer.first_name|default('kept safe') }}"
//! preview = "Everything is still there."
//! class   = "marketing"          # or "service"
//! +++
//! ```
//! MJML is compiled once, when templates load; per mail only minijinja runs, over HTML. The language is a part of
//! minijinja's ([`language`]), values are bounded ([`Context`]), output is bounded, links are checked. This module
//! knows neither the store nor the engine: it is files and data. It never fetches anything.

mod compile;
mod context;
mod error;
mod filters;
mod language;
mod lint;
mod locale;
mod markup;
mod render;
mod sample;
mod source;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use context::{
    CartContext, Context, CouponContext, CustomerContext, JourneyContext, LineContext, MAX_ITEMS, MAX_TEXT,
    OrderContext, ProductContext, Reason, ShopContext,
};
pub use error::TemplateError;
pub use locale::{Salutation, TemplateLocale};
pub use render::{MAX_OUTPUT, Rendered, Template};
pub use sample::{sample, sparse_sample};
pub use source::TemplateClass;

use error::nearest;
use source::Source;

/// Largest HTML a template may make of its sample, in bytes: Gmail cuts longer mails off.
pub const MAX_HTML: usize = 80 * 1024;
/// Longest subject without its values, in characters, that phones still show.
const MAX_SUBJECT: usize = 78;

/// How templates are loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Hosts that pictures with a fixed address may be on: the shop's own.
    pub asset_hosts: Vec<String>,
}

/// All templates of a folder, compiled.
#[derive(Debug, Default)]
pub struct Templates {
    all: BTreeMap<(String, TemplateLocale), Template>,
}

impl Templates {
    /// Reads, checks and compiles a template folder. Reports every broken template, not only the first.
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Templates, Vec<TemplateError>> {
        let mut files = BTreeMap::new();
        read(folder, "", &mut files).map_err(|error| vec![error])?;
        Templates::from_files(&files, options)
    }

    /// Checks and compiles templates given as path below the template folder and text.
    pub fn from_files(
        files: &BTreeMap<String, String>,
        options: &LoadOptions,
    ) -> Result<Templates, Vec<TemplateError>> {
        let work = || compile_all(files, options);
        compile::with_deep_stack(work)
            .unwrap_or_else(|source| Err(vec![TemplateError::Read { file: "templates".to_owned(), source }]))
    }

    /// The template in exactly this locale.
    pub fn find(&self, name: &str, locale: TemplateLocale) -> Option<&Template> {
        self.all.get(&(name.to_owned(), locale))
    }

    /// The template in the locale that fits best: the customer's, else the shop's, else English, else any.
    pub fn choose(
        &self,
        name: &str,
        customer_locale: Option<&str>,
        shop_locale: &str,
        salutation: Salutation,
    ) -> Result<&Template, TemplateError> {
        TemplateLocale::chain(customer_locale, shop_locale, salutation)
            .into_iter()
            .find_map(|locale| self.find(name, locale))
            .ok_or_else(|| TemplateError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, self.names().into_iter()).map(str::to_owned),
            })
    }

    /// Every template in every locale, by name.
    pub fn list(&self) -> impl Iterator<Item = &Template> {
        self.all.values()
    }

    /// The names, each once.
    pub fn names(&self) -> BTreeSet<&str> {
        self.all.keys().map(|(name, _)| name.as_str()).collect()
    }
}

/// Expands `{{ … }}` in a short text of a playbook (a template's name, a value of `with`), in the same bounded
/// language. `origin` names the place for errors (`playbooks/01-welcome.toml`).
pub fn expand_text(
    origin: &str,
    text: &str,
    locale: TemplateLocale,
    context: &Context,
) -> Result<String, TemplateError> {
    if !text.contains("{{") && !text.contains("{%") {
        return Ok(text.to_owned());
    }
    let body = Source::plain(origin, 1, text);
    language::check(&body, &sample::schema())?;
    let front = (Source::default(), Source::default());
    let template = assemble((origin, origin), locale, TemplateClass::Service, front, body, None)?;
    template.render(context).map(|rendered| rendered.text)
}

fn read(folder: &Path, below: &str, files: &mut BTreeMap<String, String>) -> Result<(), TemplateError> {
    let failed = |path: &Path, source| TemplateError::Read { file: path.display().to_string(), source };
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if below.is_empty() && path.is_dir() {
            read(&path, &format!("{name}/"), files)?;
        } else if name.ends_with(".mjml") || name.ends_with(".txt") {
            let size = entry.metadata().map_err(|error| failed(&path, error))?.len();
            if size > source::MAX_SOURCE as u64 {
                let file = format!("{below}{name}");
                return Err(TemplateError::TooLarge { file, what: "the template", limit: source::MAX_SOURCE });
            }
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            files.insert(format!("{below}{name}"), text);
        }
    }
    Ok(())
}

fn compile_all(files: &BTreeMap<String, String>, options: &LoadOptions) -> Result<Templates, Vec<TemplateError>> {
    let partials: BTreeMap<String, String> = files
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix("partials/")?.to_owned(), text.clone())))
        .collect();
    let mut templates = Templates::default();
    let mut errors: Vec<TemplateError> = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("partials/")) {
        match compile_one(path, text, &partials, options) {
            Ok(template) => {
                templates.all.insert((template.name.clone(), template.locale), template);
            }
            // A broken partial breaks every template that includes it; once is enough to say so.
            Err(error) if errors.iter().any(|known| known.to_string() == error.to_string()) => {}
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(templates) } else { Err(errors) }
}

fn compile_one(
    path: &str,
    text: &str,
    partials: &BTreeMap<String, String>,
    options: &LoadOptions,
) -> Result<Template, TemplateError> {
    let top = (path.to_owned(), 1);
    let misplaced = || {
        let advice = "name it <template>/en.mjml, de.mjml or de-du.mjml (or .txt for text messages)";
        TemplateError::broken(&top, "this file is not where a template can be", advice)
    };
    let (name, file_name) = path.split_once('/').ok_or_else(misplaced)?;
    let (stem, ending) = file_name.rsplit_once('.').ok_or_else(misplaced)?;
    let locale = TemplateLocale::parse(stem).ok_or_else(misplaced)?;
    let text = &text.replace("\r\n", "\n");
    let (front, line, body) = source::front_matter(path, text)?;
    let part = |key, value| Source::plain(path, source::front_line(text, key), value);
    let (subject, preview) = (part("subject", &front.subject), part("preview", &front.preview));
    let schema = sample::schema();
    language::check(&subject, &schema)?;
    language::check(&preview, &schema)?;
    if subject.text.chars().count() > 2 * MAX_SUBJECT {
        let advice = format!("keep it below {MAX_SUBJECT} characters without its values");
        return Err(TemplateError::broken(&subject.at(0), "the subject is too long", advice));
    }
    let (body, html) = if ending == "mjml" {
        if subject.text.trim().is_empty() || preview.text.trim().is_empty() {
            return Err(TemplateError::broken(&top, "subject or preview is empty", "write both"));
        }
        let body = source::expand(path, line, body, locale, partials)?;
        lint::check(&body, front.class, &options.asset_hosts)?;
        language::check(&body, &schema)?;
        let html = compile::html(&body)?;
        (body, Some(html))
    } else {
        let body = Source::plain(path, line, body);
        language::check(&body, &schema)?;
        (body, None)
    };
    let template = assemble((name, path), locale, front.class, (subject, preview), body, html)?;
    for context in [sample(name, locale), sparse_sample(name, locale)] {
        let rendered = template.render(&context)?;
        if rendered.html.as_ref().is_some_and(|html| html.len() > MAX_HTML) {
            return Err(TemplateError::TooLarge { file: path.to_owned(), what: "the HTML", limit: MAX_HTML });
        }
    }
    Ok(template)
}

/// Puts checked parts together; `(name, file)` and `(subject, preview)`.
fn assemble(
    (name, file): (&str, &str),
    locale: TemplateLocale,
    class: TemplateClass,
    (subject, preview): (Source, Source),
    body: Source,
    html: Option<String>,
) -> Result<Template, TemplateError> {
    let mut env = filters::environment(locale);
    let is_html = html.is_some();
    let parts = [
        ("subject", subject.text.clone(), &subject),
        ("preview", preview.text.clone(), &preview),
        (if is_html { "body.html" } else { "body.txt" }, html.unwrap_or_else(|| body.text.clone()), &body),
    ];
    for (part, text, source) in parts {
        env.add_template_owned(part, text).map_err(|error| {
            let problem = error.detail().unwrap_or("the template's syntax is wrong").to_owned();
            TemplateError::broken(&source.at_line(error.line().unwrap_or(1)), problem, "see the line above")
        })?;
    }
    Ok(Template {
        name: name.to_owned(),
        locale,
        class,
        file: file.to_owned(),
        is_html,
        source: body,
        subject,
        preview,
        env,
    })
}
