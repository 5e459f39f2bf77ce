//! What the connector can do in the shop: write a note, put a customer into a group or take them out.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use zyklus_connect::schemars::{self, JsonSchema};
use zyklus_connect::{Action, ActionSpec, Actions, Dedup, Error, ErrorKind, Keyed, Outcome};

use crate::VendureConnector;
use crate::api::{Failed, text, unexpected};
use crate::queries;

/// What `note` wants.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "zyklus_connect::schemars")]
struct NoteInput {
    /// The note's text.
    text: String,
    /// Whether the customer may see it.
    #[serde(default)]
    public: bool,
}

/// What `group.add` and `group.remove` want.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "zyklus_connect::schemars")]
struct GroupInput {
    /// The group's name.
    group: String,
}

/// The actions, for the manifest.
pub(crate) fn specs() -> Vec<ActionSpec> {
    let schema = |schema: schemars::Schema| schema.to_value();
    vec![
        ActionSpec {
            name: "note".into(),
            description: "Writes a note into the customer's history.".into(),
            input_schema: schema(schemars::schema_for!(NoteInput)),
            dedup: Dedup::Lookup,
        },
        ActionSpec {
            name: "group.add".into(),
            description: "Puts the customer into a group, which is made when there is none of that name."
                .into(),
            input_schema: schema(schemars::schema_for!(GroupInput)),
            dedup: Dedup::Native,
        },
        ActionSpec {
            name: "group.remove".into(),
            description: "Takes the customer out of a group.".into(),
            input_schema: schema(schemars::schema_for!(GroupInput)),
            dedup: Dedup::Native,
        },
    ]
}

#[async_trait]
impl Actions for VendureConnector {
    async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<Value>> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for command in batch {
            outcomes.push(match self.perform_one(command).await {
                Ok(done) => Outcome::Done(done),
                Err(failed) => outcome(failed),
            });
        }
        outcomes
    }
}

/// What a failure means for the command.
fn outcome(failed: Failed) -> Outcome<Value> {
    let may_be_done = failed.may_be_done;
    let error = Error::from(failed);
    match error.kind {
        _ if may_be_done => Outcome::Unknown(error),
        ErrorKind::Config
        | ErrorKind::Auth
        | ErrorKind::Permission
        | ErrorKind::RateLimited
        | ErrorKind::Transient
        | ErrorKind::Cancelled => Outcome::Retry(error),
        ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Internal => {
            Outcome::Rejected(error)
        }
    }
}

fn refused(kind: ErrorKind, message: impl Into<String>) -> Failed {
    Failed { error: Box::new(Error::new(kind, message)), may_be_done: false }
}

fn input<T: serde::de::DeserializeOwned>(action: &Action) -> Result<T, Failed> {
    serde_json::from_value(action.input.clone())
        .map_err(|e| refused(ErrorKind::Invalid, format!("the input of `{}` does not fit: {e}", action.name)))
}

impl VendureConnector {
    async fn perform_one(&self, command: Keyed<Action>) -> Result<Value, Failed> {
        let Keyed { key, attempt, body: action } = command;
        let customer = || {
            action.customer_external_id.as_deref().ok_or_else(|| {
                refused(
                    ErrorKind::Invalid,
                    "this customer is not known in the shop, so nothing can be done there",
                )
            })
        };
        match action.name.as_str() {
            "note" => self.note(&key, attempt, customer()?, &input::<NoteInput>(&action)?).await,
            "group.add" => self.group_add(customer()?, input::<GroupInput>(&action)?.group.trim()).await,
            "group.remove" => {
                self.group_remove(customer()?, input::<GroupInput>(&action)?.group.trim()).await
            }
            other => Err(refused(ErrorKind::Unsupported, format!("Vendure has no action `{other}`"))),
        }
    }

    /// The note ends with our key, so that a second attempt finds the first.
    async fn note(&self, key: &str, attempt: u32, id: &str, wanted: &NoteInput) -> Result<Value, Failed> {
        let mark = format!("(zyklus {key})");
        if attempt > 1 {
            let variables = json!({ "id": id, "key": "CUSTOMER_NOTE" });
            let reply = self.api.call(queries::CUSTOMER_NOTES, variables).await.map_err(before_writing)?;
            let notes = reply.data.pointer("/customer/history/items").and_then(Value::as_array);
            let written = notes.into_iter().flatten().any(|entry| {
                entry.pointer("/data/note").and_then(Value::as_str).is_some_and(|note| note.ends_with(&mark))
            });
            if written {
                return Ok(json!({ "note": "written before" }));
            }
        }
        let note = format!("{} {mark}", wanted.text.trim());
        let variables = json!({ "id": id, "note": note, "public": wanted.public });
        self.api.call(queries::ADD_NOTE, variables).await?;
        Ok(json!({ "note": "written" }))
    }

    /// The groups of that name the customer is in; the shop may have several of one name.
    async fn groups_of(&self, id: &str, name: &str) -> Result<Vec<String>, Failed> {
        let reply =
            self.api.call(queries::CUSTOMER_GROUPS, json!({ "id": id })).await.map_err(before_writing)?;
        match reply.data.get("customer") {
            Some(Value::Null) => Err(refused(ErrorKind::NotFound, "the shop no longer has this customer")),
            Some(customer) => Ok((customer.get("groups").and_then(Value::as_array).into_iter().flatten())
                .filter(|group| group.get("name").and_then(Value::as_str) == Some(name))
                .filter_map(|group| group.get("id").and_then(Value::as_str).map(str::to_owned))
                .collect()),
            None => Err(Failed { error: Box::new(unexpected("customer")), may_be_done: false }),
        }
    }

    async fn group_add(&self, id: &str, name: &str) -> Result<Value, Failed> {
        if name.is_empty() {
            return Err(refused(ErrorKind::Invalid, "`group` is empty"));
        }
        if let Some(group) = self.groups_of(id, name).await?.into_iter().next() {
            return Ok(json!({ "group": group }));
        }
        let group = self.group_named(name).await?;
        self.api.call(queries::ADD_TO_GROUP, json!({ "group": group, "id": id })).await?;
        Ok(json!({ "group": group }))
    }

    /// The group of that name, made if there is none. One at a time: the shop takes two groups of one name.
    async fn group_named(&self, name: &str) -> Result<String, Failed> {
        let _making = self.making_group.lock().await;
        let reply =
            self.api.call(queries::GROUP_BY_NAME, json!({ "name": name })).await.map_err(before_writing)?;
        if let Some(id) = reply.data.pointer("/customerGroups/items/0/id").and_then(Value::as_str) {
            return Ok(id.to_owned());
        }
        let reply = self.api.call(queries::CREATE_GROUP, json!({ "name": name })).await?;
        let id = text(&reply.data, "/createCustomerGroup/id");
        Ok(id.map_err(|error| Failed { error: Box::new(error), may_be_done: true })?.to_owned())
    }

    async fn group_remove(&self, id: &str, name: &str) -> Result<Value, Failed> {
        let groups = self.groups_of(id, name).await?;
        for group in &groups {
            let variables = json!({ "group": group, "id": id });
            match self.api.call(queries::REMOVE_FROM_GROUP, variables).await {
                Ok(_) => {}
                // Somebody else was quicker: "does not belong to this CustomerGroup".
                Err(failed) if failed.error.code.as_deref() == Some("USER_INPUT_ERROR") => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(json!({}))
    }
}

/// A question that failed changed nothing, answered or not.
fn before_writing(failed: Failed) -> Failed {
    Failed { may_be_done: false, ..failed }
}
