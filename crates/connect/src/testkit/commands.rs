//! Cases of what a connector is told to do: one outcome a command, final or not as the kit file says, repeats recognised.

use serde_json::{Map, Value, json};
use zyklus_model::Receipt;

use super::bench::{Bench, Open, Verdict, words};
use super::file::{ActionCase, Expect, MessageCase};
use super::{Case, cases, commands, ensure};
use crate::command::{Action, Keyed, Message, Outcome};
use crate::error::ErrorKind;
use crate::manifest::Dedup;

pub(super) fn all() -> Vec<Case> {
    cases![
        messages_end_as_said in commands,
        a_batch_of_messages_has_an_outcome_each in commands,
        a_message_sent_again_is_the_same_one in commands,
        actions_end_as_said in commands,
        a_batch_of_actions_has_an_outcome_each in commands,
        an_action_performed_again_is_the_same_one in commands,
        an_unknown_action_is_refused_for_good in commands,
    ]
}

fn keyed<T>(key: &str, attempt: u32, body: T) -> Keyed<T> {
    Keyed { key: key.to_owned(), attempt, body }
}

fn message(open: &Open, case: &MessageCase, key: &str) -> Result<Message, String> {
    let channel =
        open.manifest().channel.as_ref().ok_or("it carries no messages, though the kit file has some")?;
    let mut fields: Map<String, Value> = Map::new();
    fields.insert("delivery".into(), json!(key));
    fields.insert("channel".into(), json!(channel.channel));
    fields.insert("purpose".into(), json!("transactional"));
    fields.extend(case.fields.clone());
    serde_json::from_value(Value::Object(fields)).map_err(|e| format!("[[message]] is no message: {e}"))
}

fn action(case: &ActionCase) -> Action {
    let (name, input) = (case.name.clone(), case.input.clone());
    Action { name, input, customer_external_id: case.customer.clone() }
}

/// Whether it ended as the kit file says.
fn judge<R>(bench: &Bench, outcome: &Outcome<R>, expect: Expect, kind: Option<ErrorKind>) -> Verdict {
    let ended = match outcome {
        Outcome::Done(_) => Expect::Done,
        Outcome::Rejected(_) => Expect::Rejected,
        Outcome::Retry(_) => Expect::Retry,
        Outcome::Unknown(_) => Expect::Unknown,
    };
    let said = outcome.error().map(words).unwrap_or_default();
    ensure!(ended == expect, "it ended as {ended:?}, not as {expect:?}: {said}");
    let fits = kind.is_none_or(|kind| outcome.error().is_some_and(|error| error.kind == kind));
    ensure!(fits, "it ended with another kind of error: {said}");
    bench.keeps_secrets(&said)
}

async fn send(open: &Open, batch: Vec<Keyed<Message>>) -> Result<Vec<Outcome<Receipt>>, String> {
    let count = batch.len();
    let outcomes = open.connector().channel().ok_or("there is no channel")?.send(batch).await;
    ensure!(outcomes.len() == count, "{} outcomes for {count} messages", outcomes.len());
    Ok(outcomes)
}

async fn perform(open: &Open, batch: Vec<Keyed<Action>>) -> Result<Vec<Outcome<Value>>, String> {
    let count = batch.len();
    let outcomes = open.connector().actions().ok_or("there are no actions")?.perform(batch).await;
    ensure!(outcomes.len() == count, "{} outcomes for {count} actions", outcomes.len());
    Ok(outcomes)
}

async fn messages_end_as_said(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let has_done = bench.kit.message.iter().any(|case| case.expect == Expect::Done);
    ensure!(has_done || open.manifest().channel.is_none(), "the kit file has no [[message]] that is sent");
    for (at, case) in bench.kit.message.iter().enumerate() {
        let key = format!("kit-message-{at}");
        let batch = vec![keyed(&key, 1, message(&open, case, &key)?)];
        let outcome = send(&open, batch).await?.remove(0);
        judge(&bench, &outcome, case.expect, case.kind)
            .map_err(|e| format!("[[message]] {}: {e}", at + 1))?;
    }
    Ok(())
}

async fn a_batch_of_messages_has_an_outcome_each(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let Some(channel) = open.manifest().channel.clone() else { return Ok(()) };
    let cases: Vec<&MessageCase> = bench.kit.message.iter().take(channel.max_batch as usize).collect();
    let keys: Vec<String> = (0..cases.len()).map(|at| format!("kit-batch-{at}")).collect();
    let made: Result<Vec<_>, String> =
        cases.iter().zip(&keys).map(|(case, key)| Ok(keyed(key, 1, message(&open, case, key)?))).collect();
    for (outcome, case) in send(&open, made?).await?.iter().zip(&cases) {
        judge(&bench, outcome, case.expect, case.kind)?;
    }
    Ok(())
}

/// What a repeat asks of the other system: the same, with the key in it.
fn is_recognisable(open: &Open, key: &str, first: &[crate::HttpRequest]) -> Verdict {
    let again = open.served.asked();
    ensure!(first == again, "the second attempt asks otherwise: {again:?}, the first one: {first:?}");
    let writes: Vec<_> =
        first.iter().filter(|request| request.method != "GET" && !request.idempotent).collect();
    let shows = writes.is_empty()
        || writes.iter().any(|request| {
            let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default());
            request.url.contains(key)
                || body.contains(key)
                || request.headers.values().any(|v| v.contains(key))
        });
    ensure!(shows, "the command's key is not in the request: the other system cannot recognise a repeat");
    Ok(())
}

async fn a_message_sent_again_is_the_same_one(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let Some(channel) = open.manifest().channel.clone() else { return Ok(()) };
    for case in bench.kit.message.iter().filter(|case| case.expect == Expect::Done) {
        let key = "kit-again";
        open.served.asked();
        let first = send(&open, vec![keyed(key, 1, message(&open, case, key)?)]).await?.remove(0);
        let asked = open.served.asked();
        let again = send(&open, vec![keyed(key, 2, message(&open, case, key)?)]).await?.remove(0);
        judge(&bench, &again, Expect::Done, None)?;
        if channel.dedup == Dedup::Native {
            ensure!(first == again, "its receipt is another: {first:?}, {again:?}");
            is_recognisable(&open, key, &asked)?;
        }
    }
    Ok(())
}

async fn actions_end_as_said(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    for spec in &open.manifest().actions {
        let done = bench.kit.action.iter().any(|case| case.name == spec.name && case.expect == Expect::Done);
        ensure!(done, "the kit file has no [[action]] in which `{}` is done", spec.name);
    }
    for (at, case) in bench.kit.action.iter().enumerate() {
        let outcome =
            perform(&open, vec![keyed(&format!("kit-action-{at}"), 1, action(case))]).await?.remove(0);
        judge(&bench, &outcome, case.expect, case.kind).map_err(|e| format!("[[action]] {}: {e}", at + 1))?;
    }
    Ok(())
}

async fn a_batch_of_actions_has_an_outcome_each(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    if open.connector().actions().is_none() {
        return Ok(());
    }
    let cases = &bench.kit.action;
    let batch = cases.iter().enumerate().map(|(at, case)| keyed(&format!("kit-batch-{at}"), 1, action(case)));
    for (outcome, case) in perform(&open, batch.collect()).await?.iter().zip(cases) {
        judge(&bench, outcome, case.expect, case.kind)?;
    }
    Ok(())
}

async fn an_action_performed_again_is_the_same_one(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    for case in bench.kit.action.iter().filter(|case| case.expect == Expect::Done) {
        let spec = open.manifest().actions.iter().find(|spec| spec.name == case.name);
        if spec.is_none_or(|spec| spec.dedup != Dedup::Native) {
            continue;
        }
        open.served.asked();
        let first = perform(&open, vec![keyed("kit-again", 1, action(case))]).await?.remove(0);
        let asked = open.served.asked();
        let again = perform(&open, vec![keyed("kit-again", 2, action(case))]).await?.remove(0);
        ensure!(first == again, "`{}`: {first:?}, again {again:?}", case.name);
        is_recognisable(&open, "kit-again", &asked)?;
    }
    Ok(())
}

async fn an_unknown_action_is_refused_for_good(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    if open.connector().actions().is_none() {
        return Ok(());
    }
    let body = Action { name: "no_such_action".into(), input: json!({}), customer_external_id: None };
    let outcome = perform(&open, vec![keyed("kit-unknown", 1, body)]).await?.remove(0);
    judge(&bench, &outcome, Expect::Rejected, None)
}
