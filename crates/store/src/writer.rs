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
        let mut done: Vec<Box<dyn Job>> = Vec::new();
        let began = Instant::now();
        if let Err(error) = tx.begin_write().await {
            tx.forget_transaction();
            first.answer(Err(error));
            continue;
        }
        let mut next = Some(first);
        let mut broken = None;
        while let Some(mut job) = next.take() {
            // A lone job needs no savepoint: if it fails, the whole transaction goes.
            let alone = done.is_empty() && jobs.is_empty();
            match run(&mut tx, &mut *job, alone).await {
                Ran::Done => done.push(job),
                Ran::Undone(error) => job.answer(Err(error)),
                Ran::Broken(error) => {
                    job.answer(Err(error.clone()));
                    broken = Some(error);
                    break;
                }
            }
            if done.len() < GROUP_JOBS && began.elapsed() < GROUP_TIME {
                next = jobs.try_recv().ok();
            }
        }
        let outcome = match broken {
            None => tx.commit().await,
            Some(error) => Err(error),
        };
        if outcome.is_err() && tx.roll_back().await.is_err() {
            tx.forget_transaction();
        }
        for job in done {
            job.answer(outcome.clone());
        }
    }
}

enum Ran {
    Done,
    /// Nothing of it is left; the others of the group are untouched.
    Undone(StoreError),
    /// The transaction is lost with everything in it.
    Broken(StoreError),
}

async fn run(tx: &mut Tx, job: &mut dyn Job, alone: bool) -> Ran {
    if !alone && let Err(error) = tx.execute("SAVEPOINT job", Vec::new()).await {
        return Ran::Broken(error);
    }
    let ran = AssertUnwindSafe(job.run(tx)).catch_unwind().await;
    let error = match ran {
        Ok(Ok(())) if alone => return Ran::Done,
        Ok(Ok(())) => match tx.execute("RELEASE job", Vec::new()).await {
            Ok(_) => return Ran::Done,
            Err(error) => return Ran::Broken(error),
        },
        Ok(Err(error)) => error,
        Err(_) => StoreError::Refused("a write panicked; nothing of it was stored".to_owned()),
    };
    if alone {
        return Ran::Broken(error);
    }
    let undone = async {
        tx.execute("ROLLBACK TO job", Vec::new()).await?;
        tx.execute("RELEASE job", Vec::new()).await
    };
    match undone.await {
        Ok(_) => Ran::Undone(error),
        Err(_) => Ran::Broken(error),
    }
}
