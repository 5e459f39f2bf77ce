//! A configuration folder, read and checked as a whole: `zyklus.toml`, the lifecycle, playbooks, templates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::Value;
use toml::de::DeTable;
use zyklus_engine::lint;
use zyklus_engine::source::{Source, Table};
use zyklus_engine::{Book, Lifecycle, Playbook, Problem, Settings};
use zyklus_host::config::{ConfigOptions, input_misfits, read_connectors};
use zyklus_host::{ConfigProblem, ConnectorConfig, PluginOptions, Registry};
use zyklus_model::{Purpose, Rates};

use crate::definitions::pin_templates;
use crate::doubts;
use crate::shop::{ShopSettings, read_rates, read_shop};
use crate::starter::{starter_lifecycle, starter_lifecycles};
use crate::store_address::{place_store, read_store_url};
use crate::template::{LoadOptions, TemplateProblem, Templates};

/// Two years and a month: long enough to compare a month with the same one two years before.
const PAST_DAYS: u32 = 760;

/// A configuration folder, read and checked.
#[derive(Debug)]
pub struct Project {
    /// `zyklus.toml`.
    pub file: PathBuf,
    /// The folder it stands in.
    pub base_dir: PathBuf,
    /// The store's address; a relative SQLite path is meant against the folder. Empty when it is kept elsewhere and
    /// was not there, which is among the warnings.
    pub store_url: String,
    /// For how many days the store remembers what its rows were (`--as-of`).
    pub past_days: u32,
    /// The operator's own shop.
    pub shop: ShopSettings,
    /// Exchange rates into the reporting currency.
    pub rates: Rates,
    /// Lifecycle, journeys and rules; without `active_from`, which the store knows.
    pub book: Book,
    /// All templates.
    pub templates: Templates,
    /// All connectors, enabled or not, in the file's order. One whose library cannot be used is among them, and says why.
    pub connectors: Vec<ConnectorConfig>,
    /// Where libraries of connectors are, and which may be loaded.
    pub plugins: PluginOptions,
    /// What is doubtful.
    pub warnings: Vec<Problem>,
}

impl Project {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Every mistake found in any of the files, with its place.
    pub fn load(file: &Path, registry: &Registry, options: &ConfigOptions) -> Result<Self, Vec<Problem>> {
        let base_dir = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let name = file.file_name().map_or_else(|| "zyklus.toml".into(), |n| n.to_string_lossy());
        let text = read_file(file, &name)?;
        let mut problems = Vec::new();
        let head = read_head(&name, &text, &base_dir, options, &mut problems);
        let source = zyklus_host::Source { file: &name, text: &text };
        let mut options = options.clone();
        if let Some(head) = &head {
            options.plugins.allow_unpinned.clone_from(&head.allow_unpinned);
            if let Some(folder) = &head.plugin_folder {
                options.plugins.folder = base_dir.join(folder);
            }
        }
        let connectors = match read_connectors(&source, registry, &options) {
            Ok(connectors) => connectors,
            // What is no TOML at all was reported already.
            Err(_) if head.is_none() && !problems.is_empty() && DeTable::parse(&text).is_err() => Vec::new(),
            Err(more) => {
                problems.extend(more.into_iter().map(connector_problem));
                Vec::new()
            }
        };
        let model = head.as_ref().map_or("ecommerce", |h| h.model.as_str());
        let lifecycle = read_lifecycle(&base_dir, model, &name, &text, &mut problems);
        let zone = head.as_ref().map_or(TimeZone::UTC, |h| h.settings.zone.clone());
        let playbooks = read_playbooks(&base_dir.join("playbooks"), "playbooks", &zone, &mut problems);
        problems.extend(lint::across(&playbooks));
        problems.extend(unread_files(&base_dir));
        let templates = read_templates(&base_dir, &mut problems);
        let (Some(head), Some(lifecycle)) = (head, lifecycle) else { return Err(problems) };
        for connector in &connectors {
            problems.extend(connector.warnings.iter().cloned().map(|p| connector_problem(p).warning()));
        }
        let decimals = head.shop.currency.exponent();
        let mut book = match Book::assemble(lifecycle.clone(), playbooks, head.settings, decimals) {
            Ok(book) => book,
            Err(mut more) => {
                doubts::explain_phases(&mut more, &lifecycle);
                problems.extend(more);
                return Err(problems);
            }
        };
        let Some(templates) = templates else { return Err(problems) };
        pin_templates(&mut book, &templates);
        let mut project = Project {
            file: file.to_path_buf(),
            base_dir,
            store_url: head.store_url,
            past_days: head.past_days,
            shop: head.shop,
            rates: head.rates,
            book,
            templates,
            connectors,
            plugins: options.plugins,
            warnings: Vec::new(),
        };
        problems.extend(project.cross_check(&name, &text, registry));
        problems.extend(doubts::of(&project, &name, &text));
        let (warnings, errors): (Vec<_>, Vec<_>) = problems.into_iter().partition(|p| p.is_warning);
        if !errors.is_empty() {
            return Err(errors);
        }
        project.warnings = warnings;
        Ok(project)
    }

    /// The book with the playbooks of another folder in place of the project's own: the same lifecycle and rules.
    ///
    /// # Errors
    /// Every mistake found in them, with its place.
    pub fn book_with(&self, playbooks: &Path) -> Result<Book, Vec<Problem>> {
        if !playbooks.is_dir() {
            let file: Arc<str> = playbooks.display().to_string().into();
            return Err(vec![Problem::at(&file, "", 0..0, "there is no such folder of playbooks")]);
        }
        let mut problems = Vec::new();
        let zone = &self.book.settings.zone;
        let read = read_playbooks(playbooks, &playbooks.display().to_string(), zone, &mut problems);
        problems.retain(|problem| !problem.is_warning);
        if !problems.is_empty() {
            return Err(problems);
        }
        let Book { lifecycle, settings, decimals, .. } = &self.book;
        Book::assemble(lifecycle.clone(), read, settings.clone(), *decimals)
    }

    /// What the files say of each other.
    fn cross_check(&self, file: &str, text: &str, registry: &Registry) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut sends_mail = false;
        let mut footer_needed = false;
        for journey in &self.book.journeys {
            let body = journey.place.rsplit_once(':').map(|(file, _)| self.base_dir.join(file));
            let body = body.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
            // How often a key of the journey's steps has named a thing so far: nodes are in the file's order.
            let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
            let mut nth = |key: &'static str, named: &str| {
                let count = counts.entry((key, named.to_owned())).or_default();
                *count += 1;
                (key, *count - 1)
            };
            let at = |place: (&str, usize), named: &str, message: String, help: Option<String>| {
                in_journey(&journey.place, &body, place, named, message, help)
            };
            for node in &journey.nodes {
                match &node.verb {
                    zyklus_engine::playbook::Verb::Send(send) => {
                        sends_mail |= send.channel == zyklus_model::Channel::Email;
                        let named = [("send", Some(&send.template)), ("fallback", send.fallback.as_ref())];
                        for (key, template) in named.into_iter().filter_map(|(key, t)| Some((key, t?))) {
                            let place = nth(key, template);
                            if !self.templates.has(template) {
                                let near = self.templates.nearest(template);
                                let help = near.map_or_else(
                                    || format!("write templates/{template}/en.mjml"),
                                    |near| format!("did you mean \"{near}\"?"),
                                );
                                let text =
                                    format!("journey `{}`: there is no template \"{template}\"", journey.id);
                                problems.push(at(place, template, text, Some(help)));
                            } else if send.purpose != Purpose::Marketing
                                && self.templates.is_marketing(template)
                            {
                                let purpose = send.purpose.as_str();
                                let text = format!(
                                    "journey `{}` sends \"{template}\" with purpose \"{purpose}\", and the template says class = \"marketing\"",
                                    journey.id
                                );
                                let help = "take `purpose` out: advertising needs consent, and only marketing asks for it";
                                problems.push(at(place, template, text, Some(help.into())));
                            } else if send.purpose == Purpose::Marketing
                                && send.channel == zyklus_model::Channel::Email
                            {
                                footer_needed = true;
                                if !self.templates.has_footer(template) {
                                    let text = format!(
                                        "journey `{}` sends \"{template}\" as marketing, and the template has no footer with a way to unsubscribe",
                                        journey.id
                                    );
                                    let help = "add <mj-include path=\"footer\" /> to every language of the template, or {{ unsubscribe_url }} to a .txt";
                                    problems.push(at(place, template, text, Some(help.into())));
                                }
                            }
                        }
                    }
                    zyklus_engine::playbook::Verb::Call { connector, action, with, .. } => {
                        let target = format!("{connector}.{action}");
                        let place = nth("call", &target);
                        let known = self.connectors.iter().find(|c| c.id == *connector);
                        let manifest = known.and_then(|c| c.manifest(registry));
                        if known.is_none() {
                            let text = format!(
                                "journey `{}` calls the connector `{connector}`, which {file} does not have",
                                journey.id
                            );
                            let help =
                                format!("add [connectors.{connector}] to {file}, or take the step out");
                            problems.push(at(place, &target, text, Some(help)));
                        } else if let Some(manifest) = manifest {
                            let Some(spec) = manifest.actions.iter().find(|a| a.name == *action) else {
                                let known: Vec<&str> =
                                    manifest.actions.iter().map(|a| a.name.as_str()).collect();
                                let text = format!(
                                    "journey `{}`: `{connector}` has no action `{action}`",
                                    journey.id
                                );
                                let help = format!("it has {}", known.join(", "));
                                problems.push(at(place, &target, text, Some(help)));
                                continue;
                            };
                            let input =
                                with.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                            for (message, help) in input_misfits(&spec.input_schema, &Value::Object(input)) {
                                let text = format!("journey `{}`: `with` of {target}: {message}", journey.id);
                                problems.push(at(place, &target, text, help));
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        let whole = |message: &str, help: &str| {
            let start = text.find("[shop]").unwrap_or(0);
            Problem::at(&file.into(), text, start..start, message).help(help)
        };
        if footer_needed {
            let shop = &self.shop.imprint;
            for (key, is_missing) in [
                ("url", shop.url.is_empty()),
                ("email", shop.email.is_empty()),
                ("legal_name", shop.legal_name.is_empty()),
                ("address_lines", shop.address_lines.is_empty()),
            ] {
                if is_missing {
                    let message = format!("`shop.{key}` is missing: marketing mails need it");
                    problems.push(whole(&message, "add it to [shop]"));
                }
            }
        }
        let carries_mail = self.connectors.iter().filter(|c| c.settings.enabled).any(|c| {
            let channel = c.manifest(registry).and_then(|m| m.channel.as_ref());
            channel.is_some_and(|spec| spec.channel == zyklus_model::Channel::Email)
        });
        let mut carriers: BTreeMap<zyklus_model::Channel, &str> = BTreeMap::new();
        for connector in self.connectors.iter().filter(|c| c.settings.enabled) {
            let spec = connector.manifest(registry).and_then(|m| m.channel.as_ref());
            let Some(channel) = spec.map(|spec| spec.channel) else { continue };
            let first = *carriers.entry(channel).or_insert(&connector.id);
            if first != connector.id {
                let message = format!(
                    "`{first}` and `{}` both carry {channel}: `{first}` sends, as the first",
                    connector.id
                );
                let help = "put the one that is to send first, or set `enabled = false` for the other";
                problems.push(whole(&message, help).warning());
            }
        }
        let failed = self.connectors.iter().filter(|c| c.settings.enabled);
        for (connector, failed) in failed.filter_map(|c| Some((c, c.failed.as_ref()?))) {
            let start = text.find(&format!("[connectors.{}]", connector.id)).unwrap_or(0);
            let message = format!("connector `{}` does not work: {}", connector.id, failed.reason);
            let problem = Problem::at(&file.into(), text, start..start, message);
            problems.push(problem.help("a daemon goes on without it, and tries again").warning());
        }
        let is_unknown = self.connectors.iter().any(|c| c.settings.enabled && c.failed.is_some());
        if sends_mail && !carries_mail && !is_unknown {
            let message = "the playbooks send e-mail, and no connector carries it: nothing will go out";
            problems.push(whole(message, "add [connectors.mail] with type = \"smtp\"").warning());
        }
        problems
    }
}

/// What `zyklus.toml` says outside `[connectors]`.
struct Head {
    store_url: String,
    past_days: u32,
    shop: ShopSettings,
    rates: Rates,
    model: String,
    settings: Settings,
    plugin_folder: Option<String>,
    allow_unpinned: Vec<String>,
}

fn read_head(
    name: &str,
    text: &str,
    base_dir: &Path,
    options: &ConfigOptions,
    problems: &mut Vec<Problem>,
) -> Option<Head> {
    let mut source = Source::new(name, text);
    let head = read_tables(&mut source, base_dir, options);
    let is_sound = source.problems.iter().all(|p| p.is_warning);
    problems.append(&mut source.problems);
    head.filter(|_| is_sound)
}

fn read_tables(source: &mut Source<'_>, base_dir: &Path, options: &ConfigOptions) -> Option<Head> {
    let document = source.parse()?;
    let mut root = Table::new("", document.span(), document.get_ref());
    let mut settings = Settings::default();
    let mut store_url = place_store("sqlite:zyklus.db", base_dir);
    let mut past_days = PAST_DAYS;
    if let Some(mut table) = root.take("store").and_then(|v| source.table("store", v)) {
        if let Some(url) = table.take("url").and_then(|v| read_store_url(source, v, base_dir, options)) {
            store_url = url;
        }
        if let Some(value) = table.take("keep_past_days") {
            let days = source.int_of("store.keep_past_days", value, 0..36_501);
            past_days = days.and_then(|days| u32::try_from(days).ok()).unwrap_or(PAST_DAYS);
        }
        table.finish(source);
    }
    let shop = root.need(source, "shop").and_then(|v| read_shop(source, v));
    let reporting = shop.as_ref().map_or(zyklus_model::Currency::EUR, |s| s.currency);
    let mut rates = Rates::only(reporting);
    if let Some(value) = root.take("rates") {
        read_rates(source, value, &mut rates);
    }
    let mut model = "ecommerce".to_owned();
    if let Some(mut table) = root.take("lifecycle").and_then(|v| source.table("lifecycle", v)) {
        if let Some(name) = table.take("model").and_then(|v| source.text_of("lifecycle.model", v)) {
            model = name;
        }
        table.finish(source);
    }
    if let Some(value) = root.take("caps") {
        settings.read_caps(source, value);
    }
    if let Some(value) = root.take("holdout") {
        settings.read_holdout(source, value);
    }
    if let Some(value) = root.take("quiet") {
        settings.read_quiet(source, value);
    }
    if let Some(value) = root.take("topics") {
        settings.read_topics(source, value);
    }
    if let Some(mut table) = root.take("consent").and_then(|v| source.table("consent", v)) {
        if let Some(value) = table.take("existing_customers") {
            settings.existing_customers =
                source.bool_of("consent.existing_customers", value).unwrap_or_default();
        }
        table.finish(source);
    }
    if let Some(mut table) = root.take("test").and_then(|v| source.table("test", v)) {
        for item in
            table.take("recipients").and_then(|v| source.array_of("test.recipients", v)).into_iter().flatten()
        {
            let folded = source.parsed("test.recipients", item, zyklus_model::Email::parse);
            settings.test_recipients.extend(folded.map(|email| email.as_str().to_owned()));
        }
        table.finish(source);
    }
    let (mut plugin_folder, mut allow_unpinned) = (None, Vec::new());
    if let Some(mut table) = root.take("plugins").and_then(|v| source.table("plugins", v)) {
        plugin_folder = table.take("folder").and_then(|v| source.text_of("plugins.folder", v));
        let names = table.take("allow_unpinned");
        for item in names.and_then(|v| source.array_of("plugins.allow_unpinned", v)).into_iter().flatten() {
            allow_unpinned.extend(source.text_of("plugins.allow_unpinned", item));
        }
        table.finish(source);
    }
    // Read by the host.
    root.take("connectors");
    source.later_tables(&mut root);
    root.finish(source);
    let shop = shop?;
    settings.zone = shop.zone.clone();
    settings.rates.clone_from(&rates);
    Some(Head { store_url, past_days, shop, rates, model, settings, plugin_folder, allow_unpinned })
}

fn read_file(path: &Path, name: &str) -> Result<String, Vec<Problem>> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => format!("{} does not exist", path.display()),
            std::io::ErrorKind::InvalidData => {
                format!("{} is not UTF-8 text; save it as UTF-8", path.display())
            }
            _ => format!("{} cannot be read: {error}", path.display()),
        };
        let problem = Problem::at(&name.into(), "", 0..0, message);
        vec![if error.kind() == std::io::ErrorKind::NotFound {
            problem.help("`zyklus init` makes a configuration; --config names another file")
        } else {
            problem
        }]
    })
}

fn read_lifecycle(
    base_dir: &Path,
    model: &str,
    file: &str,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Option<Lifecycle> {
    let name = format!("lifecycles/{model}.toml");
    let path = base_dir.join(&name);
    let body = if path.exists() {
        match read_file(&path, &name) {
            Ok(body) => body,
            Err(more) => {
                problems.extend(more);
                return None;
            }
        }
    } else if let Some(body) = starter_lifecycle(model) {
        body
    } else {
        let mut known: Vec<String> = starter_lifecycles();
        known.extend(toml_files(&base_dir.join("lifecycles")).into_iter().map(|(stem, _)| stem));
        known.sort();
        known.dedup();
        let near = zyklus_model::nearest(model, known.iter().map(String::as_str));
        let help = near.map_or_else(
            || format!("there are {}", known.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        let start = text.find(&format!("\"{model}\"")).unwrap_or(0);
        let span = start..(start + model.len() + 2).min(text.len());
        let message = format!("there is no lifecycle \"{model}\"");
        problems.push(Problem::at(&file.into(), text, span, message).help(help));
        return None;
    };
    match Lifecycle::parse(model, &name, &body) {
        Ok((lifecycle, warnings)) => {
            problems.extend(warnings);
            Some(lifecycle)
        }
        Err(more) => {
            problems.extend(more);
            None
        }
    }
}

/// Files of the language that this version does not read.
fn unread_files(base_dir: &Path) -> Option<Problem> {
    let name = "programmes.toml";
    let message = "this version cannot run coupons, surveys, loyalty and referral yet";
    let help = "nothing reads this file so far; it may stay";
    base_dir.join(name).exists().then(|| Problem::at(&name.into(), "", 0..0, message).help(help).warning())
}

/// The `.toml` files of a folder by stem, sorted.
fn toml_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), path)))
        .collect();
    files.sort();
    files
}

/// The playbooks of a folder; `shown` is what it is called in messages.
fn read_playbooks(folder: &Path, shown: &str, zone: &TimeZone, problems: &mut Vec<Problem>) -> Vec<Playbook> {
    let mut segments = BTreeMap::new();
    let mut playbooks = Vec::new();
    for (stem, path) in toml_files(folder) {
        let name = format!("{shown}/{stem}.toml");
        let parsed = read_file(&path, &name).and_then(|text| {
            let (playbook, mut warnings) = Playbook::parse(&name, &text, &segments)?;
            warnings.extend(lint::playbook(&name, &text, zone));
            Ok((playbook, warnings))
        });
        match parsed {
            Ok((playbook, warnings)) => {
                problems.extend(warnings);
                segments.extend(playbook.segments.clone());
                playbooks.push(playbook);
            }
            Err(more) => problems.extend(more),
        }
    }
    playbooks
}

fn read_templates(base_dir: &Path, problems: &mut Vec<Problem>) -> Option<Templates> {
    let folder = base_dir.join("templates");
    let options = LoadOptions::default();
    let loaded = if folder.is_dir() {
        Templates::load(&folder, &options)
    } else {
        Templates::from_files(&BTreeMap::new(), &options)
    };
    loaded.map_err(|more| problems.extend(more.into_iter().map(template_problem))).ok()
}

fn template_problem(problem: TemplateProblem) -> Problem {
    let file = if problem.file.starts_with("templates/") {
        problem.file
    } else {
        format!("templates/{}", problem.file)
    };
    Problem {
        file: file.into(),
        line: problem.line,
        column: problem.column,
        span: 0..0,
        message: problem.message,
        help: (!problem.help.is_empty()).then_some(problem.help),
        is_warning: false,
        is_secret: false,
    }
}

fn connector_problem(problem: ConfigProblem) -> Problem {
    Problem {
        file: problem.file.into(),
        line: problem.line,
        column: problem.column,
        span: problem.span,
        message: format!("{}: {}", problem.path, problem.message),
        help: problem.help,
        is_warning: false,
        is_secret: problem.is_secret,
    }
}

/// A mistake in a journey's step: where, from the journey's line on, a key names what it is about for the `nth` time.
fn in_journey(
    place: &str,
    body: &str,
    (key, nth): (&str, usize),
    named: &str,
    message: String,
    help: Option<String>,
) -> Problem {
    let (file, line) = place.rsplit_once(':').unwrap_or((place, "1"));
    let before: usize =
        body.split_inclusive('\n').take(line.parse::<usize>().unwrap_or(1) - 1).map(str::len).sum();
    let start = namings(body, before, key, named).nth(nth).unwrap_or(before);
    let mut problem =
        Problem::at(&file.into(), body, start..(start + named.len() + 2).min(body.len()), message);
    problem.help = help;
    problem
}

/// Where `key = "named"` stands in a text from an offset on: the offset of each quotation mark, without comments.
fn namings(body: &str, from: usize, key: &str, named: &str) -> impl Iterator<Item = usize> {
    let rest = body.get(from..).unwrap_or_default();
    rest.match_indices(named).filter_map(move |(found, _)| {
        let (before, behind) = (&rest[..found], &rest[found + named.len()..]);
        let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\''))?;
        let line = before.rsplit('\n').next().unwrap_or_default();
        let keyed = line[..line.len() - 1].trim_end().strip_suffix('=')?.trim_end().strip_suffix(key)?;
        let is_whole = keyed.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-');
        (behind.starts_with(quote) && is_whole && !line.trim_start().starts_with('#'))
            .then_some(from + found - 1)
    })
}
