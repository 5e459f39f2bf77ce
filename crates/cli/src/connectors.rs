//! `zyklus connector`: what there is, whether it answers, what it reads. Stores nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use serde::Serialize;
use zyklus_connect::{Mode, ReadRequest};
use zyklus_runtime::{Clock, Connectors, Project, open_all};

use crate::args::ConnectorCommand;
use crate::commands::{Done, load, print, print_json};
use crate::{Failure, registry};

/// One line of `connector list --json`.
#[derive(Serialize)]
struct Listed<'p> {
    connector: &'p str,
    r#type: &'p str,
    enabled: bool,
    streams: Vec<&'p str>,
    channel: Option<&'static str>,
    actions: Vec<&'p str>,
    /// Why its library cannot be used.
    failed: Option<&'p str>,
}

/// One line of `connector check --json`.
#[derive(Serialize)]
struct Checked {
    connector: String,
    /// What was checked; none when it could not even be opened.
    check: Option<String>,
    fine: bool,
    found: String,
    problem: Option<String>,
}

pub(crate) async fn run(config: &Path, command: ConnectorCommand) -> Done {
    if let ConnectorCommand::List { json } = command {
        return list(&*load(config, false)?, json);
    }
    let project = load(config, true)?;
    let connectors = open_all(&project, registry(), &Clock::System).await?;
    let done = match &command {
        ConnectorCommand::List { .. } => Ok(()),
        ConnectorCommand::Check { id, json } => check(&connectors, &project, id.as_deref(), *json).await,
        ConnectorCommand::Read { id, stream, limit } => read(&connectors, id, stream, *limit).await,
    };
    connectors.close().await;
    done
}

fn list(project: &Project, json: bool) -> Done {
    let known = registry();
    let listed: Vec<Listed<'_>> = project
        .connectors
        .iter()
        .map(|connector| {
            let manifest = connector.manifest(&known);
            let streams = manifest.into_iter().flat_map(|m| m.streams.iter().map(|s| s.name.as_str()));
            let actions = manifest.into_iter().flat_map(|m| m.actions.iter().map(|a| a.name.as_str()));
            Listed {
                connector: &connector.id,
                r#type: &connector.kind,
                enabled: connector.settings.enabled,
                streams: streams.collect(),
                channel: manifest.and_then(|m| m.channel.as_ref()).map(|spec| spec.channel.as_str()),
                actions: actions.collect(),
                failed: connector.failed.as_ref().map(|failed| &*failed.reason),
            }
        })
        .collect();
    if json {
        return print_json(&listed);
    }
    let line = |one: &Listed<'_>| {
        if let Some(reason) = one.failed.filter(|_| one.enabled) {
            return format!("{}  {}  failed: {reason}\n", one.connector, one.r#type);
        }
        let state = if one.enabled { "" } else { " (disabled)" };
        format!("{}  {}{state}  {}\n", one.connector, one.r#type, one.streams.join(", "))
    };
    print(&listed.iter().map(line).collect::<String>())
}

async fn check(connectors: &Connectors, project: &Project, id: Option<&str>, json: bool) -> Done {
    if let Some(id) = id
        && !project.connectors.iter().any(|connector| connector.id == id)
    {
        return Err(anyhow!("there is no connector `{id}`; `zyklus connector list` lists them").into());
    }
    let wanted = |name: &str| id.is_none_or(|id| id == name);
    let mut checks = Vec::new();
    for (connector, error) in connectors.failed.iter().filter(|(name, _)| wanted(name)) {
        checks.push(Checked {
            connector: connector.clone(),
            check: None,
            fine: false,
            found: String::new(),
            problem: Some(error.clone()),
        });
    }
    for opened in connectors.opened.iter().filter(|c| wanted(c.id())) {
        for check in opened.check().await {
            let problem = check.problem.as_ref().map(|problem| match &problem.detail {
                Some(detail) => format!("{problem} ({detail})"),
                None => problem.to_string(),
            });
            checks.push(Checked {
                connector: opened.id().to_owned(),
                check: Some(check.name),
                fine: problem.is_none(),
                found: check.found,
                problem,
            });
        }
    }
    if json {
        print_json(&checks)?;
    } else {
        for Checked { connector, check, found, problem, .. } in &checks {
            let words = match (check, problem) {
                (None, problem) => format!("{connector}: {}", problem.as_deref().unwrap_or_default()),
                (Some(check), None) => format!("{connector} · {check}: fine: {found}"),
                (Some(check), Some(problem)) => format!("{connector} · {check}: failed: {problem}"),
            };
            print(&format!("{words}\n"))?;
        }
    }
    if checks.iter().all(|check| check.fine) { Ok(()) } else { Err(Failure::No) }
}

async fn read(connectors: &Connectors, id: &str, stream: &str, limit: u32) -> Done {
    let failed: BTreeMap<&str, &str> =
        connectors.failed.iter().map(|(id, error)| (id.as_str(), error.as_str())).collect();
    if let Some(error) = failed.get(id) {
        return Err(anyhow!("{id}: {error}").into());
    }
    let opened = connectors.find(id).ok_or_else(|| anyhow!("there is no connector `{id}`"))?;
    let request =
        ReadRequest { stream: stream.to_owned(), cursor: None, mode: Mode::Backfill { from: None }, limit };
    let page = opened.read(request).await?;
    for record in page.records.iter().take(limit as usize) {
        print(&format!("{}\n", serde_json::to_string(record)?))?;
    }
    for reject in &page.rejects {
        eprintln!("rejected {}: {}", reject.place, reject.message);
    }
    Ok(())
}
