//! SQLite's one writer, on a thread of its own: jobs queue up while a transaction is being made durable, and all that
//! wait go into the next one, so that many writers share one fsync. Never waits for company, never keeps its thread
//! busy while nothing is to do.
//!
//! The batch is what arrived during the commit before it: measured, waiting some milliseconds for more would
//! only add to the latency of a lone writer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::error::{Result, StoreError};
use crate::place::Lock;
use crate::tx::{Connection, Tx};

/// A group is closed after so many jobs …
const GROUP_JOBS: usize = 64;
/// … or when it has been open for so long.
const GROUP_TIME: Duration = Duration::from_millis(50);

trait Job: Send {
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<()>>;
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Task<T, F> {
    work: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.value = Some((self.work)(tx).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let value = self.value;
        let answer = outcome.and_then(|()| value.ok_or(StoreError::Closed));
        // The caller may be gone; the work is done all the same.
        drop(self.reply.send(answer));
    }
}

pub(crate) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    done: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Writer {
    pub(crate) fn start(connection: rusqlite::Connection, lock: Option<Lock>) -> Result<Self> {
        let tx = Tx::new(Connection::Writer(connection));
        let (sender, receiver) = mpsc::channel(256);
        let (finished, done) = oneshot::channel();
        let work = move || {
            // Closes the connection at its end. Closing the last one also empties the write-ahead log; only then
            // another may write.
            block_on(serve(tx, receiver));
            drop(lock);
            // Nobody may wait for it.
            _ = finished.send(());
        };
        let started = std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(work);
        started.map_err(|source| StoreError::Thread(Arc::new(source)))?;
        Ok(Writer { jobs: Mutex::new(Some(sender)), done: Mutex::new(Some(done)) })
    }

    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sender = self.jobs.lock().await.clone().ok_or(StoreError::Closed)?;
        let job = Box::new(Task { work, value: None, reply });
        sender.send(job).await.map_err(|_| StoreError::Closed)?;
        drop(sender);
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Does what is queued, then closes the connection and gives up the lock.
    pub(crate) async fn close(&self) {
        drop(self.jobs.lock().await.take());
        if let Some(done) = self.done.lock().await.take() {
            drop(done.await);
        }
    }
}

async fn serve(mut tx: Tx, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        let outcome = together(&mut tx, &mut group, Some(&mut jobs)).await;
        if outcome.is_err() && group.len() > 1 {
            // Nothing of it is left. Whose failure it was shows when each is alone.
            for job in group {
                let mut alone = vec![job];
                let outcome = together(&mut tx, &mut alone, None).await;
                answer(alone, &outcome);
            }
        } else {
            answer(group, &outcome);
        }
    }
}

fn answer(group: Vec<Box<dyn Job>>, outcome: &Result<()>) {
    for job in group {
        job.answer(outcome.clone());
    }
}

/// Runs a group in one transaction, with what arrives meanwhile; if any of it fails, nothing of it is done. There are no
/// savepoints: for those SQLite keeps every page a second time, and hardly ever does one fail.
async fn together(
    tx: &mut Tx,
    group: &mut Vec<Box<dyn Job>>,
    mut more: Option<&mut mpsc::Receiver<Box<dyn Job>>>,
) -> Result<()> {
    let began = Instant::now();
    if let Err(error) = tx.begin_write().await {
        tx.forget_transaction();
        return Err(error);
    }
    let done = async {
        while let Some(job) = group.last_mut() {
            let ran = AssertUnwindSafe(job.run(tx)).catch_unwind().await;
            let panicked = |_| StoreError::Refused("a write panicked; nothing of it was stored".to_owned());
            ran.map_err(panicked)??;
            let is_full = group.len() >= GROUP_JOBS || began.elapsed() >= GROUP_TIME;
            match more.as_mut().filter(|_| !is_full).and_then(|jobs| jobs.try_recv().ok()) {
                Some(next) => group.push(next),
                None => break,
            }
        }
        tx.commit().await
    }
    .await;
    if done.is_err() && tx.roll_back().await.is_err() {
        tx.forget_transaction();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arg::args;
    use crate::{OpenOptions, Store};

    /// Notes something, and then does something else.
    async fn note(store: &Store, name: &'static str, then: fn() -> Result<()>) -> Result<()> {
        let write = store.write(move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO meta (name, value) VALUES ($1, $2)";
                tx.execute(sql, args![name, "noted"]).await?;
                then()
            })
        });
        write.await
    }

    #[tokio::test]
    async fn job_that_fails_hurts_no_other_of_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("a.db").display());
        let store = Store::open(&url, OpenOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        let refused = || Err(StoreError::Refused("no".to_owned()));
        // While the first is at work the others queue up, and go into the same transaction.
        let slow = || {
            std::thread::sleep(GROUP_TIME / 3);
            Ok(())
        };
        let (first, refused, second, panicked, last) = tokio::join!(
            note(&store, "first", slow),
            note(&store, "refused", refused),
            note(&store, "second", slow),
            note(&store, "panicked", || panic!("on purpose")),
            note(&store, "last", || Ok(())),
        );
        assert!(first.is_ok() && second.is_ok() && last.is_ok(), "{first:?} {second:?} {last:?}");
        assert!(matches!(refused, Err(StoreError::Refused(why)) if why == "no"));
        assert!(matches!(panicked, Err(StoreError::Refused(why)) if why.contains("panicked")));
        for name in ["first", "second", "last"] {
            assert!(store.get_meta(name).await.unwrap().is_some(), "{name}");
        }
        for name in ["refused", "panicked"] {
            assert_eq!(store.get_meta(name).await.unwrap(), None, "{name}");
        }
        // A name that is there already is the database's own refusal; alone it is no other.
        assert!(note(&store, "last", || Ok(())).await.is_err());
        note(&store, "more", || Ok(())).await.unwrap();
        store.close().await;
    }
}
