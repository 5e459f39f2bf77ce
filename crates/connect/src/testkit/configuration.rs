//! Cases of what a connector says of itself, how it is opened, checked and closed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::bench::{Bench, Verdict, words};
use super::file::Kit;
use super::{Case, cases, configuration, ensure};
use crate::error::{Error, ErrorKind};

pub(super) fn all(kit: &Kit) -> Vec<Case> {
    let mut all: Vec<Case> = cases![
        the_manifest_is_whole in configuration,
        it_has_what_its_manifest_says in configuration,
        an_unknown_key_is_refused in configuration,
        live_checks_are_fine in configuration,
        it_closes in configuration,
    ];
    for (at, refused) in kit.refused.iter().enumerate() {
        let what = refused.field.as_deref().unwrap_or("live_check");
        let name = format!("a_wrong_configuration_names_its_key_{}_{what}", at + 1);
        all.push((name, Box::new(move |bench| Box::pin(a_wrong_configuration_names_its_key(bench, at)))));
    }
    all
}

async fn the_manifest_is_whole(bench: Bench) -> Verdict {
    let manifest = bench.form.manifest();
    for (what, text) in [
        ("kind", &manifest.kind),
        ("name", &manifest.name),
        ("description", &manifest.description),
        ("version", &manifest.version),
    ] {
        ensure!(!text.trim().is_empty(), "`{what}` is empty");
    }
    let (major, minor) = crate::CONTRACT;
    ensure!(manifest.contract.0 == major && manifest.contract.1 <= minor, "it speaks another contract");
    let names: BTreeSet<&str> = manifest.streams.iter().map(|stream| stream.name.as_str()).collect();
    ensure!(names.len() == manifest.streams.len(), "two streams have one name");
    let names: BTreeSet<&str> = manifest.actions.iter().map(|action| action.name.as_str()).collect();
    ensure!(names.len() == manifest.actions.len(), "two actions have one name");
    for action in &manifest.actions {
        ensure!(action.input_schema.is_object(), "the action `{}` has no input schema", action.name);
        ensure!(!action.description.is_empty(), "the action `{}` is not described", action.name);
    }
    ensure!(manifest.max_in_flight >= 1, "`max_in_flight` is 0: no command could ever begin");
    ensure!(manifest.channel.as_ref().is_none_or(|c| c.max_batch >= 1), "`max_batch` is 0");
    ensure!(manifest.config_schema.is_object(), "there is no schema of the configuration");
    let keys = manifest.config_schema.get("properties").and_then(Value::as_object);
    for field in &manifest.url_fields {
        ensure!(
            keys.is_some_and(|keys| keys.contains_key(field)),
            "`url_fields` names `{field}`, which is no key"
        );
    }
    for (name, _) in keys.into_iter().flatten() {
        let schema = &manifest.config_schema["properties"][name];
        let word = ["password", "secret", "token", "api_key"].iter().any(|word| name.ends_with(word));
        ensure!(
            !word || schema.to_string().contains("writeOnly"),
            "`{name}` looks like a secret and is no `Secret`"
        );
    }
    Ok(())
}

async fn it_has_what_its_manifest_says(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let (manifest, connector) = (open.manifest(), open.connector());
    ensure!(manifest.kind == bench.form.manifest().kind, "opened it is of kind `{}`", manifest.kind);
    let same = |what: &str, said: bool, there: bool| {
        ensure!(said == there, "the manifest says {what}: {said}, but there is one: {there}");
        Ok(())
    };
    same("streams", !manifest.streams.is_empty(), connector.source().is_some())?;
    same("a channel", manifest.channel.is_some(), connector.channel().is_some())?;
    same("actions", !manifest.actions.is_empty(), connector.actions().is_some())
}

fn names(error: &Error, field: &str) -> bool {
    let last = field.rsplit('.').next().unwrap_or(field);
    let quoted = format!("`{last}`");
    error.field.as_deref() == Some(field)
        || error.message.contains(&quoted)
        || error.detail.as_deref().is_some_and(|detail| detail.contains(&quoted))
}

async fn a_wrong_configuration_names_its_key(bench: Bench, at: usize) -> Verdict {
    let refused = &bench.kit.refused[at];
    let opened = bench.open_with(&refused.config).await;
    let field = match (&refused.field, refused.kind) {
        (Some(field), None) => field,
        (None, Some(kind)) => {
            let open = opened.map_err(|e| format!("it cannot even be opened: {}", words(&e)))?;
            let checks = open.connector().check().await;
            let found = checks.iter().filter_map(|check| check.problem.as_ref()).find(|e| e.kind == kind);
            let found = found.ok_or_else(|| format!("no live check fails with {kind:?}: {checks:?}"))?;
            return bench.keeps_secrets(&words(found));
        }
        _ => return Err("[[refused]] has either `field` or `kind`".into()),
    };
    let error = match opened {
        Ok(_) => return Err("it is taken".into()),
        Err(error) => error,
    };
    ensure!(error.kind == ErrorKind::Config, "it is refused as {}", words(&error));
    ensure!(names(&error, field), "`{field}` is not named: {}", words(&error));
    bench.keeps_secrets(&words(&error))
}

async fn an_unknown_key_is_refused(bench: Bench) -> Verdict {
    let other: Map<String, Value> = [("no_such_key".to_owned(), Value::Bool(true))].into_iter().collect();
    let error = match bench.open_with(&other).await {
        Ok(_) => return Err("`no_such_key` is taken; a typing error would go unnoticed".into()),
        Err(error) => error,
    };
    ensure!(error.kind == ErrorKind::Config, "it is refused as {}", words(&error));
    ensure!(names(&error, "no_such_key"), "it is not named: {}", words(&error));
    Ok(())
}

async fn live_checks_are_fine(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let checks = open.connector().check().await;
    ensure!(!checks.is_empty(), "there is no live check: an operator could not tell whether it works");
    for check in checks {
        ensure!(!check.name.is_empty(), "a check has no name");
        if let Some(problem) = &check.problem {
            return Err(format!("{}: {}", check.name, words(problem)));
        }
        bench.keeps_secrets(&check.found)?;
    }
    Ok(())
}

async fn it_closes(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    open.connector().check().await;
    let closing = tokio::time::timeout(Duration::from_secs(10), open.connector().close());
    closing.await.map_err(|_| "it did not close within 10 s".to_owned())
}
