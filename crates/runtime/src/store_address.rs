//! `[store] url`: where the store is, written out or fetched like a secret. Never opens it, and never shows a password.

use std::path::Path;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;
use zyklus_engine::source::Source;
use zyklus_host::config::{ConfigOptions, fetch_secret, secret_form};

const KEY: &str = "store.url";

/// The store's address; empty when it is to be fetched, that fails, and nothing is to be opened now (`check` on another
/// machine), which is a warning.
pub(crate) fn read_store_url<'a>(
    source: &mut Source<'a>,
    value: &Spanned<DeValue<'a>>,
    base_dir: &Path,
    options: &ConfigOptions,
) -> Option<String> {
    let DeValue::Table(table) = value.get_ref() else {
        let url = source.text_of(KEY, value)?;
        if has_password(&url) {
            let help = format!(
                "leave it to .pgpass, or keep the whole address elsewhere: url = {}",
                "{ env = \"ZYKLUS_STORE\" }, { file = \"PATH\" } or { credential = \"NAME\" }"
            );
            source.problem_help(value.span(), "a secret must not stand in the configuration itself", help);
            source.problems.iter_mut().rev().take(1).for_each(|problem| problem.is_secret = true);
            return None;
        }
        return Some(place_store(&url, base_dir));
    };
    let entries = table.iter().map(|(name, value)| {
        let value = value.get_ref().as_str().map_or(Value::Null, Value::from);
        (name.get_ref().to_string(), value)
    });
    let table = Value::Object(entries.collect());
    if let Err((message, help)) = secret_form(KEY, &table, options) {
        source.problem_help(value.span(), message, help.unwrap_or_default());
        return None;
    }
    match fetch_secret(KEY, &table, options) {
        Ok(url) => Some(place_store(&url, base_dir)),
        Err((message, help)) if options.resolve_secrets => {
            source.problem_help(value.span(), message, help.unwrap_or_default());
            None
        }
        Err((message, help)) => {
            source.warn(value.span(), message, help.unwrap_or_default());
            Some(String::new())
        }
    }
}

/// A relative SQLite path is meant against the configuration's folder.
pub(crate) fn place_store(url: &str, base_dir: &Path) -> String {
    match url.strip_prefix("sqlite:") {
        Some(path) if Path::new(path.trim_start_matches("//")).is_relative() => {
            format!("sqlite:{}", base_dir.join(path.trim_start_matches("//")).display())
        }
        _ => url.to_owned(),
    }
}

/// Whether an address of PostgreSQL carries a password: `user:password@`, or as a parameter.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.starts_with("postgres")) else {
        return false;
    };
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.rsplit_once('@').map_or("", |(user, _)| user);
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
        || parameters.split('&').any(|part| part.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The address, or what is wrong with it and whether that is only a warning.
    fn read(text: &str, resolve: bool) -> Result<String, (String, bool)> {
        let mut options = ConfigOptions::new(".");
        options.resolve_secrets = resolve;
        options.env =
            Arc::new(|name| (name == "STORE").then(|| "postgres://zyklus:secret@db/zyklus".to_owned()));
        let mut source = Source::new("zyklus.toml", text);
        let document = source.parse().unwrap();
        let value = document.get_ref().get("url").unwrap().clone();
        let url = read_store_url(&mut source, &value, Path::new("/etc/zyklus"), &options);
        match source.problems.pop() {
            Some(problem) => Err((problem.message, problem.is_warning)),
            None => Ok(url.unwrap()),
        }
    }

    #[test]
    fn the_store_is_found_where_its_address_is_kept() {
        assert_eq!(read("url = \"sqlite:a.db\"", true).unwrap(), "sqlite:/etc/zyklus/a.db");
        assert_eq!(
            read("url = \"postgres://zyklus@db/zyklus\"", true).unwrap(),
            "postgres://zyklus@db/zyklus"
        );
        assert_eq!(read("url = { env = \"STORE\" }", false).unwrap(), "postgres://zyklus:secret@db/zyklus");
    }

    #[test]
    fn a_password_in_the_stores_address_is_refused_without_being_shown() {
        for url in ["postgres://zyklus:hunter2@db/zyklus", "postgresql://db/zyklus?user=a&password=hunter2"] {
            let (message, is_warning) = read(&format!("url = \"{url}\""), false).unwrap_err();
            assert_eq!(message, "a secret must not stand in the configuration itself");
            assert!(!is_warning);
        }
    }

    #[test]
    fn an_address_that_is_not_there_stops_only_what_opens_the_store() {
        let (message, is_warning) = read("url = { env = \"OTHER\" }", true).unwrap_err();
        assert_eq!((message.as_str(), is_warning), ("the environment variable OTHER is not set", false));
        assert!(read("url = { env = \"OTHER\" }", false).unwrap_err().1);
        assert!(!read("url = { vault = \"OTHER\" }", false).unwrap_err().1, "a form there is not");
    }
}
