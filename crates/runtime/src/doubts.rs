//! What is doubtful about a configuration as a whole: left as `init` wrote it, in a language no mail is written in, a
//! store others can read. And whose phases a lifecycle lacks. Stops nothing, opens nothing.

use std::collections::BTreeSet;
use std::path::Path;

use zyklus_engine::source::Source;
use zyklus_engine::{Lifecycle, Problem};

use crate::project::Project;
use crate::shop::{ShopSettings, read_shop};
use crate::starter::{starter_file, starter_lifecycle};
use crate::template::TemplateLocale;

/// The lifecycle that the starter playbooks are written for.
const STARTER_MODEL: &str = "ecommerce";

/// All doubts about a configuration, whose main file has this name and text.
pub(crate) fn of(project: &Project, file: &str, text: &str) -> Vec<Problem> {
    let mut doubts = Vec::new();
    doubts.extend(sample_imprint(&project.shop, file, text));
    doubts.extend(language(project, file, text));
    doubts.extend(open_store(&project.store_url, &project.base_dir, file, text));
    doubts
}

/// A warning about a key of a table of the main file.
fn about(file: &str, text: &str, table: &str, key: &str, message: String, help: String) -> Problem {
    let head = format!("[{table}]");
    let start = text.find(&head).unwrap_or(0);
    let mut at = start;
    let mut offset = start;
    for (number, line) in text[start..].split_inclusive('\n').enumerate() {
        if number > 0 && line.starts_with('[') {
            break;
        }
        if line.split('=').next().is_some_and(|name| name.trim() == key) {
            at = offset;
            break;
        }
        offset += line.len();
    }
    Problem::at(&file.into(), text, at..at, message).help(help).warning()
}

/// What `init` wrote for somebody to replace.
fn sample_imprint(shop: &ShopSettings, file: &str, text: &str) -> Option<Problem> {
    let sample = starter_file("zyklus.toml")?;
    let mut source = Source::new("zyklus.toml", &sample);
    let document = source.parse()?;
    let sample = read_shop(&mut source, document.get_ref().get("shop")?)?.imprint;
    let own = &shop.imprint;
    let same = [
        ("legal_name", own.legal_name == sample.legal_name),
        ("address_lines", own.address_lines == sample.address_lines),
        ("email", own.email == sample.email),
        ("url", own.url == sample.url),
    ];
    let same: Vec<&str> = same.into_iter().filter(|(_, same)| *same).map(|(key, _)| key).collect();
    let message = format!("[shop] still says what `zyklus init` wrote: {}", same.join(", "));
    let help = "it stands below every mail: write your own shop's";
    Some(about(file, text, "shop", same.first()?, message, help.to_owned()))
}

/// Mails that do not exist in the shop's language.
fn language(project: &Project, file: &str, text: &str) -> Option<Problem> {
    let locale = &project.shop.locale;
    let own = locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let written = |name: &str| -> BTreeSet<&'static str> {
        let templates = project.templates.list().filter(|template| template.name() == name);
        templates.map(|template| template.locale().language()).collect()
    };
    let sent: BTreeSet<&str> = project.book.templates().into_iter().map(|(name, _)| name).collect();
    let lacking: Vec<&str> = sent
        .into_iter()
        .filter(|name| project.templates.has(name) && !written(name).contains(own.as_str()))
        .collect();
    let first = lacking.first()?;
    let known = TemplateLocale::ALL.iter().any(|one| one.language() == own);
    let message = match lacking.len() {
        1 => format!("`shop.locale` is \"{locale}\", and the mail \"{first}\" is not written in it"),
        count => format!(
            "`shop.locale` is \"{locale}\", and {count} mails are not written in it, \"{first}\" first"
        ),
    };
    let help = if known {
        format!("write templates/{first}/{own}.mjml; until then it goes out in another language")
    } else {
        "this version writes mails in en and de; they go out in one of these".to_owned()
    };
    Some(about(file, text, "shop", "locale", message, help))
}

/// A store's file that others on this machine can read.
fn open_store(url: &str, base_dir: &Path, file: &str, text: &str) -> Option<Problem> {
    use std::os::unix::fs::MetadataExt as _;
    let path = base_dir.join(url.strip_prefix("sqlite:")?);
    let mode = std::fs::metadata(&path).ok()?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return None;
    }
    let shown = path.file_name().map_or_else(|| url.to_owned(), |name| name.to_string_lossy().into_owned());
    let message =
        format!("others on this machine can get at the store's file `{shown}` (its mode is {mode:04o})");
    Some(about(file, text, "store", "url", message, format!("chmod 600 {shown}*")))
}

/// Says of phases that are missing, and that the starter playbooks need, whose they are.
pub(crate) fn explain_phases(problems: &mut [Problem], lifecycle: &Lifecycle) {
    if lifecycle.id.as_ref() == STARTER_MODEL {
        return;
    }
    let Some(text) = starter_lifecycle(STARTER_MODEL) else { return };
    let Ok((starter, _)) = Lifecycle::parse(STARTER_MODEL, "lifecycles/ecommerce.toml", &text) else {
        return;
    };
    for problem in problems {
        let named =
            problem.message.split_once("there is no phase \"").and_then(|(_, rest)| rest.strip_suffix('"'));
        if named.is_some_and(|named| starter.phases.iter().any(|phase| phase.id.as_ref() == named)) {
            let known: Vec<&str> = lifecycle.phases.iter().map(|phase| phase.id.as_ref()).collect();
            problem.help = Some(format!(
                "it is a phase of \"{STARTER_MODEL}\", which the playbooks that `zyklus init` writes are for; \"{}\" has {}: \
                 write one of these, or take the journey out",
                lifecycle.id,
                known.join(", ")
            ));
        }
    }
}
