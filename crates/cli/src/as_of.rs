//! `--as-of`: what `report`, `why` and `customer show` said at an earlier time. Reads the store as it was; never
//! computes a figure, never writes.

use std::path::Path;

use anyhow::anyhow;
use zyklus_engine::Book;
use zyklus_model::Snapshot;
use zyklus_runtime::report::is_of;
use zyklus_runtime::{Project, book_as_of, report_as_of};
use zyklus_store::{AsOf, OpenOptions, Store};

use crate::Failure;
use crate::args::Now;
use crate::commands::{Done, NOBODY, load, open, print_json, tell};
use crate::report::{Form, shown};

/// The store now, for closing it, and as it was.
async fn look_back(project: &Project, at: Now) -> Result<(Store, AsOf), Failure> {
    let store = open(project, OpenOptions::reading()).await?;
    let past = store.as_of(at.at(&project.shop.zone)).await?;
    Ok((store, past))
}

/// The book, after saying which journeys were others.
async fn book(past: &AsOf, project: &Project) -> Result<Book, Failure> {
    let (book, others) = book_as_of(past, project).await?;
    if !others.is_empty() {
        eprintln!(
            "zyklus: as of {} these journeys were not there, or not as they are in the folder now: {}",
            past.at(),
            others.join(", ")
        );
    }
    Ok(book)
}

/// What was known of the one customer a text led to.
async fn customer(past: &AsOf, text: &str) -> Result<Vec<Snapshot>, Failure> {
    let found: Vec<_> = past.find_customers(text).await?.into_iter().collect();
    let snapshots = past.snapshots(&found).await?;
    match snapshots.len() {
        0 => Err(anyhow!("nobody could be found by `{text}` as of {}", past.at()).into()),
        1 => Ok(snapshots),
        _ => Err(anyhow!("several customers fit `{text}`: name one by its id").into()),
    }
}

pub(crate) async fn explain(config: &Path, text: &str, at: Now, json: bool) -> Done {
    let project = load(config, false)?;
    let (store, past) = look_back(&project, at).await?;
    let book = book(&past, &project).await?;
    let snapshot = customer(&past, text).await?.into_iter().next().ok_or_else(|| anyhow!(NOBODY))?;
    store.close().await;
    if !is_of(&snapshot, &book) {
        eprintln!(
            "zyklus: the lifecycle was another one then; the one in the folder tells what it would have said"
        );
    }
    tell(&book, &snapshot, past.at(), &project, json)
}

pub(crate) async fn figures(config: &Path, at: Now, form: Form) -> Done {
    let project = load(config, false)?;
    let (store, past) = look_back(&project, at).await?;
    let book = book(&past, &project).await?;
    let (figures, others) = report_as_of(&past, &project, &book).await?;
    store.close().await;
    if others > 0 {
        eprintln!(
            "zyklus: the lifecycle was another one then for {others} customers; the one in the folder tells what it \
             would have said"
        );
    }
    shown(&figures, &project, &form)
}

pub(crate) async fn show_customer(config: &Path, text: &str, at: Now) -> Done {
    let project = load(config, false)?;
    let (store, past) = look_back(&project, at).await?;
    let found = customer(&past, text).await?;
    store.close().await;
    print_json(&found)
}
