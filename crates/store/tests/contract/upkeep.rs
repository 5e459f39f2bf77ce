//! Opening, backing up, restoring and keeping house.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use zyklus_model::{CustomerId, Record};
use zyklus_store::{NewReject, OpenOptions, Store, StoreError};

use crate::common::{Bed, open};
use crate::decide::{judge, judged, mail, phase, run, transition};
use crate::make::{account, customer, everybody, minute, order, page, take};
use crate::parity::{dump, run_sql};

on_both![
    pages_are_complete_and_without_repeats,
    customers_are_found_by_what_an_operator_has,
    merged_customer_leads_to_who_remains,
    store_of_a_newer_version_is_refused,
    store_opened_for_reading_refuses_to_write,
    old_rejects_are_deleted,
    small_notes_are_kept,
    same_audit_entry_is_kept_once,
];

async fn fill(store: &Store) {
    judged(store, 57, |s, d| {
        d.transitions = vec![transition(s, "new", minute(1)), transition(s, "old", minute(2))];
        d.phase = Some(phase("old", minute(2)));
        d.runs = vec![run(s, "a", minute(10)), run(s, "b", minute(10))];
        d.deliveries.push(mail(s, "hello", minute(10)));
    })
    .await;
}

async fn pages_are_complete_and_without_repeats(bed: Bed) {
    let store = &bed.store;
    fill(store).await;
    let second: Vec<Record> = (0..57)
        .map(|n| {
            Record::Order(order(&format!("{n}b"), account(&n.to_string(), &format!("c{n}@example.com")), 5))
        })
        .collect();
    take(store, "shop", second).await;
    let mut ids: Vec<CustomerId> = Vec::new();
    loop {
        let page = store.customer_ids(ids.last().copied(), 10).await.unwrap();
        if page.is_empty() {
            break;
        }
        ids.extend(page);
    }
    assert_eq!(ids.len(), 57);
    assert_eq!(store.customer_count().await.unwrap(), 57);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 57);
    let mut orders = Vec::new();
    let mut after = None;
    loop {
        let page = store.orders_page(after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.customer, last.id));
        orders.extend(page);
    }
    assert_eq!(orders.len(), 114);
    assert_eq!(orders.iter().map(|o| o.id).collect::<BTreeSet<_>>().len(), 114);
    assert!(orders.iter().all(|o| o.total_minor == 1000 && o.net_reporting == Some(1000)));
    let mut moves = Vec::new();
    let mut after = None;
    loop {
        let page = store.transitions_page("shop", after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.0, last.1.id));
        moves.extend(page);
    }
    assert_eq!(moves.iter().map(|(_, t)| t.id).collect::<BTreeSet<_>>().len(), 114);
    assert_eq!(moves.len(), 114);
    let mut runs = Vec::new();
    let mut after = None;
    loop {
        let page = store.runs_page(after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.customer, last.id));
        runs.extend(page);
    }
    assert_eq!(runs.iter().map(|r| r.id).collect::<BTreeSet<_>>().len(), 114);
    assert_eq!(runs.len(), 114);
    // All walk over the customers in the same order.
    let order = |customers: Vec<CustomerId>| {
        let mut order = customers;
        order.dedup();
        order
    };
    assert_eq!(order(orders.iter().map(|o| o.customer).collect()), ids);
    assert_eq!(order(moves.iter().map(|(c, _)| *c).collect()), ids);
    assert_eq!(order(runs.iter().map(|r| r.customer).collect()), ids);
    // However many others lie between those asked for, each is read whole, and nobody else is.
    let mut alone = Vec::new();
    for id in &ids {
        alone.extend(store.snapshots(&[*id]).await.unwrap());
    }
    assert!(alone.iter().all(|s| s.orders.len() + s.runs.len() + s.identities.len() >= 3));
    for step in [1, 2, 3, 50] {
        let some: Vec<CustomerId> = ids.iter().copied().step_by(step).collect();
        let expected: Vec<_> = alone.iter().cloned().step_by(step).collect();
        assert_eq!(store.snapshots(&some).await.unwrap(), expected, "each of {step}");
    }
    // Snapshots come in the order asked for, whatever it is.
    ids.reverse();
    let unknown = CustomerId::derive(&[b"nobody"]);
    ids.insert(3, unknown);
    let found: Vec<CustomerId> = store.snapshots(&ids).await.unwrap().iter().map(|s| s.customer.id).collect();
    ids.remove(3);
    assert_eq!(found, ids);
}

async fn customers_are_found_by_what_an_operator_has(bed: Bed) {
    let store = &bed.store;
    let mut ann = customer(account("77", "ann.lee@example.com"));
    ann.first_name = Some("Ann".to_owned());
    ann.last_name = Some("Lee".to_owned());
    let mut bob = customer(account("78", "bob@example.com"));
    bob.first_name = Some("Bob%".to_owned());
    take(store, "shop", vec![Record::Customer(ann), Record::Customer(bob)]).await;
    take(store, "shop", vec![Record::Order(order("9", account("77", "ann.lee@example.com"), 1))]).await;
    let ann = everybody(store).await.into_iter().find(|s| !s.orders.is_empty()).unwrap().customer;
    let id = ann.id.to_string();
    for text in [id.as_str(), "Ann.Lee@Example.com", "77", "N9", "ann", "LEE", "ann.l", "ann lee"] {
        let found = store.find_customers(text, 10).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&ann), "{text}");
    }
    for text in ["", "  ", "zed", "%", "_nn", "cus_00000000000000000000000000000000"] {
        assert_eq!(store.find_customers(text, 10).await.unwrap(), [], "{text}");
    }
    assert_eq!(store.find_customers("bob%", 10).await.unwrap().len(), 1, "a sign is only a sign");
}

async fn merged_customer_leads_to_who_remains(bed: Bed) {
    let store = &bed.store;
    take(store, "shop", vec![Record::Customer(customer(crate::make::guest("ann@example.com")))]).await;
    let guest = everybody(store).await.remove(0).customer.id;
    take(store, "shop", vec![Record::Customer(customer(account("2", "")))]).await;
    let account = everybody(store).await.into_iter().find(|s| s.customer.id != guest).unwrap().customer.id;
    take(store, "shop", vec![Record::Customer(customer(crate::make::verified("2", "ann@example.com")))])
        .await;
    let all = everybody(store).await;
    assert_eq!(all.len(), 1);
    let remains = all[0].customer.id;
    let gone = if remains == guest { account } else { guest };
    assert_eq!(store.resolve(gone).await.unwrap(), Some(remains));
    assert_eq!(store.resolve(remains).await.unwrap(), Some(remains));
    assert_eq!(store.resolve(CustomerId::derive(&[b"nobody"])).await.unwrap(), None);
    assert_eq!(store.snapshots(&[gone]).await.unwrap(), []);
    assert_eq!(store.customer_count().await.unwrap(), 1);
    assert_eq!(store.find_customers(&gone.to_string(), 5).await.unwrap()[0].id, remains);
}

async fn store_of_a_newer_version_is_refused(bed: Bed) {
    run_sql(&bed, "INSERT INTO schema_migration (version, name) VALUES (99, 'future')").await;
    for options in [OpenOptions::default(), OpenOptions::reading()] {
        if !options.read_only && bed.store.is_sqlite() {
            // The writer of this test holds the lock, which is asked for first.
            bed.store.close().await;
        }
        match Store::open(&bed.url, options).await {
            Err(StoreError::NewerVersion { found: 99, known }) => assert!(known < 99),
            other => panic!("{other:?}"),
        }
    }
}

async fn store_opened_for_reading_refuses_to_write(bed: Bed) {
    fill(&bed.store).await;
    let reading = Store::open(&bed.url, OpenOptions::reading()).await.unwrap();
    assert_eq!(reading.customer_count().await.unwrap(), 57);
    // It reads what is written beside it.
    take(&bed.store, "shop", vec![Record::Customer(customer(account("new", "new@example.com")))]).await;
    assert_eq!(reading.customer_count().await.unwrap(), 58);
    let before = dump(&bed).await;
    let refused = reading.reconsider(minute(1)).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
    let refused = reading.set_meta("a", "b").await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
    assert_eq!(dump(&bed).await, before);
    reading.close().await;
}

async fn old_rejects_are_deleted(bed: Bed) {
    let store = &bed.store;
    for (day, problem) in [(0, "old"), (80, "new")] {
        let mut page = page("shop", Vec::new());
        page.received_at = minute(0).plus_days(day);
        page.rejects = vec![NewReject { problem: problem.to_owned(), record: "{}".to_owned() }];
        store.ingest(page).await.unwrap();
    }
    let report = store.housekeep(minute(0).plus_days(100), 760).await.unwrap();
    assert_eq!(report.rejects, 1);
    assert!(report.is_checkpointed);
    let kept = store.rejects(10).await.unwrap();
    assert_eq!(kept.iter().map(|r| r.problem.as_str()).collect::<Vec<_>>(), ["new"]);
}

async fn small_notes_are_kept(bed: Bed) {
    let store = &bed.store;
    assert_eq!(store.get_meta("definition").await.unwrap(), None);
    store.set_meta("definition", "one").await.unwrap();
    store.set_meta("definition", "two").await.unwrap();
    assert_eq!(store.get_meta("definition").await.unwrap().as_deref(), Some("two"));
}

async fn same_audit_entry_is_kept_once(bed: Bed) {
    let store = &bed.store;
    let none = dump(&bed).await["audit"].len();
    for minutes in [1, 1, 2] {
        store.audit(minute(minutes), "ann", "erased", None, json!({ "n": 1 })).await.unwrap();
    }
    assert_eq!(dump(&bed).await["audit"].len(), none + 2);
}

/// The bytes of a file.
fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn sqlite(folder: &Path, name: &str) -> (std::path::PathBuf, String) {
    let path = folder.join(name);
    let url = format!("sqlite:{}", path.display());
    (path, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_leaves_an_sqlite_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = sqlite(folder.path(), "a.db");
    let store = open(&url).await;
    fill(&store).await;
    store.close().await;
    let before = bytes(&path);
    let reading = Store::open(&url, OpenOptions::reading()).await.unwrap();
    assert_eq!(everybody(&reading).await.len(), 57);
    assert_eq!(reading.orders_page(None, 100).await.unwrap().len(), 57);
    reading.close().await;
    assert!(bytes(&path) == before, "the file was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_writer_of_an_sqlite_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (_, url) = sqlite(folder.path(), "a.db");
    let first = open(&url).await;
    let error = Store::open(&url, OpenOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("in use by another zyklus"), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    first.close().await;
    open(&url).await.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_backup_holds_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = sqlite(folder.path(), "a.db");
    let store = open(&url).await;
    fill(&store).await;
    let bed = Bed { store: store.clone(), url: url.clone() };
    let saved = dump(&bed).await;
    assert!(saved.values().map(Vec::len).sum::<usize>() > 500, "there is something to lose");
    let backup = folder.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    let again = store.backup(&backup).await.unwrap_err();
    assert!(matches!(again, StoreError::Refused(_)), "{again:?}");
    // Life goes on, and the backup does not see it.
    judge(&store, minute(90), |s, d| d.deliveries.push(mail(s, "later", minute(90)))).await;
    let later = dump(&bed).await;
    assert_ne!(later, saved);
    let refused = Store::restore(&backup, &url).await.unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "a daemon is running: {refused:?}");
    assert_eq!(dump(&bed).await, later);
    store.close().await;
    Store::restore(&backup, &url).await.unwrap();
    let store = open(&url).await;
    assert_eq!(dump(&Bed { store: store.clone(), url: url.clone() }).await, saved);
    store.close().await;
    let (_, kept) = sqlite(folder.path(), "a.db.before-restore");
    let store = open(&kept).await;
    assert_eq!(dump(&Bed { store: store.clone(), url: kept }).await, later, "what was there is kept");
    store.close().await;
    // Into a place where nothing is, and over a damaged store.
    let (_, fresh) = sqlite(folder.path(), "fresh.db");
    Store::restore(&backup, &fresh).await.unwrap();
    std::fs::write(&path, b"this is no database, it is a letter to somebody").unwrap();
    Store::restore(&backup, &url).await.unwrap();
    for url in [url, fresh] {
        let store = open(&url).await;
        assert_eq!(dump(&Bed { store: store.clone(), url }).await, saved);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_left_behind_is_not_played_into_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = sqlite(folder.path(), "a.db");
    let store = open(&url).await;
    fill(&store).await;
    let saved = dump(&Bed { store: store.clone(), url: url.clone() }).await;
    let backup = folder.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    judge(&store, minute(90), |s, d| d.deliveries.push(mail(s, "later", minute(90)))).await;
    // As after a crash and a lost file: the log is there, its database is not.
    let log = folder.path().join("a.db-wal");
    let left = bytes(&log);
    assert!(!left.is_empty());
    store.close().await;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&log, &left).unwrap();
    Store::restore(&backup, &url).await.unwrap();
    assert!(!log.exists(), "nothing is left that could be played into it");
    assert!(bytes(&folder.path().join("a.db.before-restore-wal")) == left, "it is kept");
    let store = open(&url).await;
    assert_eq!(dump(&Bed { store: store.clone(), url }).await, saved);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_store_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = sqlite(folder.path(), "a.db");
    let store = open(&url).await;
    fill(&store).await;
    store.close().await;
    let before = bytes(&path);
    let letter = folder.path().join("letter.txt");
    std::fs::write(&letter, "Dear Ann, ".repeat(1000)).unwrap();
    let error = Store::restore(&letter, &url).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(why) if why.contains("is no database")), "{error:?}");
    let missing = Store::restore(&folder.path().join("nothing.db"), &url).await.unwrap_err();
    assert!(matches!(&missing, StoreError::Refused(why) if why.contains("there is no file")), "{missing:?}");
    assert!(bytes(&path) == before, "the store was changed");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().contains("part")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_backed_up_with_its_own_tools() {
    crate::common::on_postgres(|bed| async move {
        let error = bed.store.backup(Path::new("x.db")).await.unwrap_err();
        assert!(error.to_string().contains("pg_dump"), "{error}");
        let error = Store::restore(Path::new("x.db"), &bed.url).await.unwrap_err();
        assert!(error.to_string().contains("pg_restore"), "{error}");
    })
    .await;
}
