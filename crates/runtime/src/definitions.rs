//! Keeps what journeys and their templates say, and finds what they said before (rule R10). Decides nothing: the
//! engine says which runs stay on what was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use zyklus_engine::playbook::{OnChange, Verb};
use zyklus_engine::{Book, Journey};
use zyklus_model::{At, Delivery, Snapshot};
use zyklus_store::{Definition, Store, StoreError};

use crate::error::RuntimeError;
use crate::template::{LoadOptions, Templates};

/// Stands before the hash of the templates, in the first line of a kept journey.
const WITH: &str = "# templates ";

/// Makes the templates a part of what a journey is whose runs stay on what they have: another text of a mail is then
/// another definition.
pub(crate) fn pin_templates(book: &mut Book, templates: &Templates) {
    for journey in book.journeys.iter_mut().filter(|j| j.on_change == OnChange::Finish) {
        let (bundle, ..) = bundle(journey, templates);
        journey.definition = hashed(&format!("{}{bundle}", journey.definition));
    }
}

/// Keeps what the journeys of the files say, and the templates they use.
///
/// # Errors
/// The store's.
pub(crate) async fn keep(
    store: &Store,
    book: &Book,
    templates: &Templates,
    now: At,
) -> Result<(), RuntimeError> {
    let mut kept = Vec::new();
    for journey in &book.journeys {
        let (hash, body, files) = bundle(journey, templates);
        let file =
            |(hash, text): (String, &str)| Definition { hash, kind: "template", body: text.to_owned() };
        kept.extend(files.into_iter().map(file));
        let text = format!("{WITH}{hash}\n{}", journey.text);
        kept.push(Definition { hash, kind: "templates", body });
        kept.push(Definition { hash: journey.definition.clone(), kind: "journey", body: text });
    }
    Ok(store.keep_definitions(kept, now).await?)
}

/// Gives the book what journeys were before.
///
/// # Errors
/// The store's.
pub(crate) async fn remember(store: &Store, book: &mut Book) -> Result<(), RuntimeError> {
    let known = store.journey_definitions().await?;
    book.remember(known.iter().map(|(hash, text)| (hash.as_str(), text.as_str())));
    Ok(())
}

/// A journey's templates and everything they may include: a list of paths and hashes, its hash, and the files.
fn bundle<'t>(journey: &Journey, templates: &'t Templates) -> (String, String, BTreeMap<String, &'t str>) {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for node in &journey.nodes {
        if let Verb::Send(send) = &node.verb {
            names.insert(&send.template);
            names.extend(send.fallback.as_deref());
        }
    }
    let own = |path: &str| {
        let folder = path.split_once('/').map_or("", |(folder, _)| folder);
        !names.is_empty() && (folder == "partials" || names.contains(folder))
    };
    let (mut list, mut files) = (BTreeMap::new(), BTreeMap::new());
    for (path, text) in templates.files().filter(|(path, _)| own(path)) {
        let hash = hashed(text);
        list.insert(path, hash.clone());
        files.insert(hash, text);
    }
    let body = serde_json::Value::from_iter(list).to_string();
    (hashed(&body), body, files)
}

fn hashed(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..16])
}

/// Templates as they were, read when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct OldTemplates(Mutex<BTreeMap<String, Arc<Templates>>>);

impl OldTemplates {
    /// The templates a delivery is written with when its run stays on an old definition; `None` = those of the files.
    ///
    /// # Errors
    /// The store's. In words, when they are not there or cannot be read any more.
    pub(crate) async fn of(
        &self,
        store: &Store,
        book: &Book,
        snapshot: &Snapshot,
        delivery: &Delivery,
    ) -> Result<Result<Option<Arc<Templates>>, String>, StoreError> {
        let Some(run) = snapshot.runs.iter().find(|run| Some(run.id) == delivery.run) else {
            return Ok(Ok(None));
        };
        let stays = book
            .journey(&run.journey)
            .is_some_and(|j| j.on_change == OnChange::Finish && j.definition != run.definition);
        if !stays {
            return Ok(Ok(None));
        }
        let missing =
            || Ok(Err(format!("the templates of the definition {} are not in the store", run.definition)));
        let found = store.definitions(&[&run.definition]).await?;
        let journey = found.get(&run.definition).and_then(|text| text.lines().next());
        let Some(hash) = journey.and_then(|line| line.strip_prefix(WITH)) else { return missing() };
        if let Some(known) = self.lock().get(hash) {
            return Ok(Ok(Some(Arc::clone(known))));
        }
        let listed = store.definitions(&[hash]).await?;
        let list =
            listed.get(hash).and_then(|body| serde_json::from_str::<BTreeMap<String, String>>(body).ok());
        let Some(list) = list else { return missing() };
        let hashes: Vec<&str> = list.values().map(String::as_str).collect();
        let texts = store.definitions(&hashes).await?;
        let mut files = BTreeMap::new();
        for (path, hash) in &list {
            let Some(text) = texts.get(hash) else { return missing() };
            files.insert(path.clone(), text.clone());
        }
        let compiled = match compile(files).await {
            Ok(compiled) => Arc::new(compiled),
            Err(reason) => {
                let words =
                    format!("the templates of the definition {} cannot be read any more", run.definition);
                return Ok(Err(format!("{words}: {reason}")));
            }
        };
        self.lock().insert(hash.to_owned(), Arc::clone(&compiled));
        Ok(Ok(Some(compiled)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Templates>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Compiling takes a moment, and a stack of its own.
async fn compile(files: BTreeMap<String, String>) -> Result<Templates, String> {
    let compiling =
        tokio::task::spawn_blocking(move || Templates::from_files(&files, &LoadOptions::default()));
    match compiling.await {
        Ok(Ok(templates)) => Ok(templates),
        Ok(Err(problems)) => Err(problems.first().map(ToString::to_string).unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    }
}
