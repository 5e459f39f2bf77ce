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
//! minijinja's (`language.rs`), values are bounded ([`MailContext`]), output is bounded, links are checked. This module
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
use std::sync::Arc;

use zyklus_model::nearest;

pub use context::{
    CartContext, CustomerContext, JourneyContext, LineContext, MailContext, OrderContext, ProductContext,
    Reason, ShopContext, unsubscribe_by_mail,
};
pub use error::{Place, RenderError, TemplateProblem};
pub use locale::{Salutation, TemplateLocale};
pub use render::{RenderedMail, Template};
pub use sample::{sample, sparse_sample};
pub use source::TemplateClass;

use source::Source;

/// Largest HTML a template may make of its sample, in bytes: Gmail cuts longer mails off.
const MAX_HTML: usize = 80 * 1024;
/// Longest subject without its values, in characters, that phones still show.
const MAX_SUBJECT: usize = 78;

/// How templates are loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Hosts (and hosts below them) that pictures may be on. A mail may also load from the host of its `shop.url`;
    /// a picture whose address is written into a template needs its host here.
    pub asset_hosts: Vec<String>,
}

/// All templates of a folder, compiled.
#[derive(Debug, Default)]
pub struct Templates {
    all: BTreeMap<(String, TemplateLocale), Template>,
    files: BTreeMap<String, String>,
}

impl Templates {
    /// Reads, checks and compiles a template folder. Reports every broken template, not only the first.
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Templates, Vec<TemplateProblem>> {
        let mut files = BTreeMap::new();
        read(folder, "", &mut files).map_err(|error| vec![error])?;
        Templates::from_files(&files, options)
    }

    /// Checks and compiles templates given as path below the template folder and text.
    pub fn from_files(
        files: &BTreeMap<String, String>,
        options: &LoadOptions,
    ) -> Result<Templates, Vec<TemplateProblem>> {
        let work = || compile_all(files, options);
        compile::with_deep_stack(work).unwrap_or_else(|error| {
            Err(vec![TemplateProblem::file("templates", error.to_string(), "see the log")])
        })
    }

    /// The template in the first of some locales it is written in. [`TemplateLocale::chain`] is their order for a
    /// customer.
    ///
    /// # Errors
    /// [`RenderError::Unknown`] if there is none in any of them.
    pub fn pick(&self, name: &str, locales: &[TemplateLocale]) -> Result<&Template, RenderError> {
        let unknown =
            || RenderError::Unknown { name: name.to_owned(), nearest: self.nearest(name).map(str::to_owned) };
        locales.iter().find_map(|locale| self.all.get(&(name.to_owned(), *locale))).ok_or_else(unknown)
    }

    /// True if there is a template of this name in any locale.
    pub fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// True if the template exists and carries the marketing footer in each of its locales. Sending advertising
    /// with one that does not is against the law; `check` refuses it.
    pub fn has_footer(&self, name: &str) -> bool {
        self.has(name) && self.named(name).all(Template::has_footer)
    }

    /// True if the template calls itself advertising in any of its locales.
    pub fn is_marketing(&self, name: &str) -> bool {
        self.named(name).any(|template| template.class() == TemplateClass::Marketing)
    }

    /// The existing name that a mistyped one probably means.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names())
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Template> {
        TemplateLocale::ALL.into_iter().filter_map(move |locale| self.all.get(&(name.to_owned(), locale)))
    }

    /// What they were made of: paths below the template folder, and texts.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
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
    context: &MailContext,
) -> Result<String, TemplateProblem> {
    if !text.contains("{{") && !text.contains("{%") {
        return Ok(text.to_owned());
    }
    let body = Source::plain(origin, 1, text);
    language::check(&body, &sample::schema())?;
    let front = (Source::default(), Source::default());
    let (class, hosts) = (TemplateClass::Service, Arc::default());
    let template = assemble((origin, origin), locale, class, front, body, None, hosts)?;
    template.render(context).map(|rendered| rendered.text).map_err(RenderError::at_load)
}

fn read(folder: &Path, below: &str, files: &mut BTreeMap<String, String>) -> Result<(), TemplateProblem> {
    let failed = |path: &Path, error: std::io::Error| {
        let help = "check that it exists, that it may be read, and that its text is UTF-8";
        TemplateProblem::file(&path.display().to_string(), format!("cannot be read: {error}"), help)
    };
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
            let size = std::fs::metadata(&path).map_err(|error| failed(&path, error))?.len();
            if size > source::MAX_SOURCE as u64 {
                let file = format!("{below}{name}");
                return Err(TemplateProblem::too_large(&file, "the template", source::MAX_SOURCE));
            }
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            files.insert(format!("{below}{name}"), text);
        }
    }
    Ok(())
}

fn compile_all(
    files: &BTreeMap<String, String>,
    options: &LoadOptions,
) -> Result<Templates, Vec<TemplateProblem>> {
    let partials: BTreeMap<String, String> = files
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix("partials/")?.to_owned(), unix(text))))
        .collect();
    let hosts: Arc<[String]> = options.asset_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let mut templates = Templates { files: files.clone(), ..Templates::default() };
    let mut problems: Vec<TemplateProblem> = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("partials/")) {
        match compile_one(path, text, &partials, &hosts) {
            Ok(template) => {
                templates.all.insert((template.name.clone(), template.locale), template);
            }
            // A broken partial breaks every template that includes it; once is enough to say so.
            Err(problem) if problems.contains(&problem) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(templates) } else { Err(problems) }
}

/// A text without a byte order mark, lines ending as on Unix.
fn unix(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

fn compile_one(
    path: &str,
    text: &str,
    partials: &BTreeMap<String, String>,
    hosts: &Arc<[String]>,
) -> Result<Template, TemplateProblem> {
    let misplaced = || {
        let help = "name it <template>/en.mjml, de.mjml or de-du.mjml (or .txt for text messages)";
        TemplateProblem::file(path, "this file is not where a template can be", help)
    };
    let (name, file_name) = path.split_once('/').ok_or_else(misplaced)?;
    let (stem, ending) = file_name.rsplit_once('.').ok_or_else(misplaced)?;
    let locale = TemplateLocale::parse(stem).ok_or_else(misplaced)?;
    if text.len() > source::MAX_SOURCE {
        return Err(TemplateProblem::too_large(path, "the template", source::MAX_SOURCE));
    }
    let text = &unix(text);
    let (front, line, body) = source::front_matter(path, text)?;
    let part = |key, value| Source::at_place(source::front_place(path, text, key), value);
    let (subject, preview) = (part("subject", &front.subject), part("preview", &front.preview));
    let schema = sample::schema();
    language::check(&subject, &schema)?;
    language::check(&preview, &schema)?;
    if subject.text.chars().count() > 2 * MAX_SUBJECT {
        let help = format!("keep it below {MAX_SUBJECT} characters without its values");
        return Err(TemplateProblem::new(subject.at(0), "the subject is too long", help));
    }
    let (body, html) = if ending == "mjml" {
        if subject.text.trim().is_empty() || preview.text.trim().is_empty() {
            return Err(TemplateProblem::file(path, "subject or preview is empty", "write both"));
        }
        let body = source::expand(path, line, body, locale, partials)?;
        lint::check(&body, front.class, hosts)?;
        language::check(&body, &schema)?;
        let html = compile::html(&body)?;
        (body, Some(html))
    } else {
        let body = Source::plain(path, line, body);
        language::check(&body, &schema)?;
        (body, None)
    };
    let template =
        assemble((name, path), locale, front.class, (subject, preview), body, html, Arc::clone(hosts))?;
    for context in [sample(name, locale), sparse_sample(name, locale)] {
        let rendered = template.render(&context).map_err(RenderError::at_load)?;
        if rendered.html.as_ref().is_some_and(|html| html.len() > MAX_HTML) {
            return Err(TemplateProblem::too_large(path, "the HTML", MAX_HTML));
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
    hosts: Arc<[String]>,
) -> Result<Template, TemplateProblem> {
    let mut env = filters::environment(locale);
    let is_html = html.is_some();
    let parts = [
        ("subject", subject.text.clone(), &subject),
        ("preview", preview.text.clone(), &preview),
        (if is_html { "body.html" } else { "body.txt" }, html.unwrap_or_else(|| body.text.clone()), &body),
    ];
    for (part, text, source) in parts {
        env.add_template_owned(part, text).map_err(|error| {
            let message = error.detail().unwrap_or("the template's syntax is wrong").to_owned();
            TemplateProblem::new(source.at_line(error.line().unwrap_or(1)), message, "correct its syntax")
        })?;
    }
    Ok(Template {
        name: name.to_owned(),
        locale,
        class,
        file: file.to_owned(),
        is_html,
        hosts,
        source: body,
        subject,
        preview,
        env,
    })
}
