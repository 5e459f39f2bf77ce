//! `zyklus connector`: what there is, whether it answers, what it reads and sends. Stores nothing.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use serde::Serialize;
use zyklus_connect::{Keyed, Mailbox, Message, Mode, Next, Outcome, ReadRequest, Recipient};
use zyklus_host::Opened;
use zyklus_model::{Channel, DeliveryId, Email, PhoneNumber, Purpose};
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
    let command = match command {
        ConnectorCommand::List { json } => return list(&*load(config, false)?, json),
        ConnectorCommand::Receive { id, file, now, json } => {
            return crate::notification::run(config, &id, file.as_deref(), now, json).await;
        }
        other => other,
    };
    let project = load(config, true)?;
    let connectors = open_all(&project, registry(), &Clock::System).await?;
    let done = match &command {
        ConnectorCommand::List { .. } | ConnectorCommand::Receive { .. } => Ok(()),
        ConnectorCommand::Check { id, json } => check(&connectors, &project, id.as_deref(), *json).await,
        ConnectorCommand::Read { id, stream, limit } => read(&connectors, id, stream, *limit).await,
        ConnectorCommand::Send { id, to, subject, text, dry_run } => {
            let words = (subject.as_deref(), text.as_deref());
            send(&connectors, &project, id, to, words, *dry_run).await
        }
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

/// The connector of this id.
pub(crate) fn find<'c>(connectors: &'c Connectors, id: &str) -> anyhow::Result<&'c Arc<Opened>> {
    if let Some((_, error)) = connectors.failed.iter().find(|(failed, _)| failed == id) {
        return Err(anyhow!("{id}: {error}"));
    }
    let unknown = || anyhow!("there is no connector `{id}` in use; `zyklus connector list` lists them");
    connectors.find(id).ok_or_else(unknown)
}

async fn read(connectors: &Connectors, id: &str, stream: &str, limit: u32) -> Done {
    let opened = find(connectors, id)?;
    let request =
        ReadRequest { stream: stream.to_owned(), cursor: None, mode: Mode::Backfill { from: None }, limit };
    let page = opened.read(request).await?;
    for record in page.records.iter().take(limit as usize) {
        print(&format!("{}\n", serde_json::to_string(record)?))?;
    }
    for reject in &page.rejects {
        eprintln!("rejected {}: {}", reject.place, reject.message);
    }
    let left = page.records.len().saturating_sub(limit as usize);
    if left > 0 {
        eprintln!("{left} more on this page; --limit {} shows them", page.records.len());
    }
    if matches!(page.next, Next::More { .. }) {
        eprintln!("more pages follow");
    }
    Ok(())
}

async fn send(
    connectors: &Connectors,
    project: &Project,
    id: &str,
    to: &str,
    (subject, text): (Option<&str>, Option<&str>),
    dry_run: bool,
) -> Done {
    let opened = find(connectors, id)?;
    let spec = opened.manifest().channel.as_ref();
    let channel = spec.ok_or_else(|| anyhow!("{id} carries no messages"))?.channel;
    let now = Clock::System.now();
    let shop = &project.shop.imprint;
    let is_german = project.shop.locale.starts_with("de");
    let (own_subject, own_text) = if is_german {
        ("Zyklus-Test", format!("{} kann über `{id}` Nachrichten verschicken.", shop.name))
    } else {
        ("Zyklus test", format!("{} can send messages through `{id}`.", shop.name))
    };
    let subject = subject.unwrap_or(own_subject).to_owned();
    let message = Message {
        // Another each time: it is another message, and no repeat.
        delivery: DeliveryId::derive(&[b"trial", &now.as_micros().to_be_bytes()]).to_string(),
        channel,
        // Asked for by whoever gets it.
        purpose: Purpose::Transactional,
        to: recipient(channel, to)?,
        from: None,
        reply_to: (channel == Channel::Email && !shop.email.is_empty())
            .then(|| Mailbox { name: Some(shop.name.clone()), email: shop.email.clone() }),
        subject: (channel == Channel::Email).then_some(subject),
        html: None,
        text: text.map_or(own_text, str::to_owned),
        locale: Some(project.shop.locale.clone()),
        list_unsubscribe: None,
        tag: None,
        sent_at: Some(now),
    };
    if dry_run {
        return print_json(&message);
    }
    let key = message.delivery.clone();
    let outcomes = opened.send(vec![Keyed { key, attempt: 1, body: message }]).await;
    let (words, error) = match outcomes.first() {
        Some(Outcome::Done(receipt)) => {
            let named = receipt.provider_ref.as_deref().map_or(String::new(), |id| format!(" as {id}"));
            return print(&format!("{id} has taken it over{named}\n"));
        }
        Some(Outcome::Rejected(error)) => ("did not take it, and will not", error),
        Some(Outcome::Retry(error)) => ("did not take it; trying again may help", error),
        Some(Outcome::Unknown(error)) => ("may have taken it or not: no answer came", error),
        None => return Err(anyhow!("{id} gave no outcome; this is a defect in it").into()),
    };
    let detail = error.detail.as_ref().map_or(String::new(), |detail| format!(" ({detail})"));
    Err(anyhow!("{id} {words}: {error}{detail}").into())
}

fn recipient(channel: Channel, to: &str) -> anyhow::Result<Recipient> {
    match channel {
        Channel::Email => {
            let email = Email::parse(to).map_err(|error| anyhow!("`{to}` is no e-mail address: {error}"))?;
            Ok(Recipient::Email(Mailbox { name: None, email: email.as_str().to_owned() }))
        }
        Channel::Sms => {
            let phone = PhoneNumber::parse(to).ok_or_else(|| anyhow!("`{to}` is no telephone number"))?;
            Ok(Recipient::Phone(phone.as_str().to_owned()))
        }
        _ => Ok(Recipient::Handle(to.to_owned())),
    }
}
