//! One living instance of a plugin, wherever it runs: the table of its open calls, and the way to it. A call keeps its
//! place in the table until it is answered, whether or not anybody still waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::oneshot;
use zyklus_connect::abi::Status;

/// An answer may be so large, in bytes.
pub(crate) const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// How a call ended: the plugin's answer, or why there is none.
pub(crate) type Answer = Result<(Status, Vec<u8>), Gone>;

/// Why there is no answer: the instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    /// In words.
    pub(crate) reason: String,
    /// Whether the call was certainly never handed over.
    pub(crate) is_unsent: bool,
}

enum Waiter {
    Task(oneshot::Sender<Answer>),
    Thread(mpsc::SyncSender<Answer>),
}

impl Waiter {
    /// Whoever has stopped waiting needs no answer.
    fn tell(self, answer: Answer) {
        match self {
            Waiter::Task(sender) => drop(sender.send(answer)),
            Waiter::Thread(sender) => drop(sender.try_send(answer)),
        }
    }
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Waiter>,
    /// Set once the instance has ended.
    gone: Option<String>,
}

/// The open calls of one instance.
#[derive(Default)]
pub(crate) struct Calls(Mutex<Table>);

impl Calls {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, waiter: Waiter) -> Result<u64, Gone> {
        // Used once in the life of the process, so that a late answer can never reach another call.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut table = self.table();
        if let Some(reason) = &table.gone {
            return Err(Gone { reason: reason.clone(), is_unsent: true });
        }
        table.open.insert(id, waiter);
        Ok(id)
    }

    /// Opens a call that a task waits for.
    pub(crate) fn begin(&self) -> Result<(u64, oneshot::Receiver<Answer>), Gone> {
        let (sender, answer) = oneshot::channel();
        Ok((self.add(Waiter::Task(sender))?, answer))
    }

    /// Opens a call that a thread waits for.
    pub(crate) fn begin_blocking(&self) -> Result<(u64, mpsc::Receiver<Answer>), Gone> {
        let (sender, answer) = mpsc::sync_channel(1);
        Ok((self.add(Waiter::Thread(sender))?, answer))
    }

    /// The plugin's answer. One to a call that is not open, or no longer, is ignored.
    pub(crate) fn complete(&self, id: u64, status: Status, body: Vec<u8>) {
        let waiter = self.table().open.remove(&id);
        match waiter {
            Some(waiter) => waiter.tell(Ok((status, body))),
            None => tracing::trace!(call = id, "a plugin answered a call that is not open"),
        }
    }

    /// Takes back a call that was not handed over.
    pub(crate) fn withdraw(&self, id: u64) {
        self.table().open.remove(&id);
    }

    /// The oldest open call, if one is open.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.table().open.keys().min().copied()
    }

    /// Whether the instance has ended, and why.
    pub(crate) fn gone(&self) -> Option<String> {
        self.table().gone.clone()
    }

    /// The instance has ended: every open call ends, and none begins any more. The first reason counts.
    pub(crate) fn end(&self, reason: &str) {
        let mut table = self.table();
        table.gone.get_or_insert_with(|| reason.to_owned());
        let reason = table.gone.clone().unwrap_or_default();
        let open = std::mem::take(&mut table.open);
        drop(table);
        for waiter in open.into_values() {
            waiter.tell(Err(Gone { reason: reason.clone(), is_unsent: false }));
        }
    }
}

/// The way to an instance.
pub(crate) trait Way: Send + Sync {
    /// Hands a call over, waiting for a place in its queue.
    fn call(
        &self,
        id: u64,
        op: &'static str,
        body: Vec<u8>,
    ) -> futures::future::BoxFuture<'_, Result<(), String>>;
    /// The same without waiting.
    fn call_now(&self, id: u64, op: &'static str, body: Vec<u8>) -> Result<(), String>;
    /// Says that nobody waits any more.
    fn cancel(&self, id: u64);
    /// Ends what does not answer, if it can be ended; `false` = it cannot.
    fn kill(&self, reason: &str) -> bool;
    /// Lets it go once it has said goodbye.
    fn release(&self);
}

/// One living instance.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) calls: Arc<Calls>,
    pub(crate) way: Arc<dyn Way>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_counts_and_strangers_answers_are_ignored() {
        let calls = Calls::default();
        let (id, mut answer) = calls.begin().unwrap();
        let (other, second) = calls.begin_blocking().unwrap();
        calls.complete(999_999_999, Status::Ok, Vec::new());
        assert_eq!(calls.oldest(), Some(id));
        calls.complete(id, Status::Ok, b"1".to_vec());
        calls.complete(id, Status::Ok, b"2".to_vec());
        assert_eq!(answer.try_recv().unwrap(), Ok((Status::Ok, b"1".to_vec())));
        assert!(other > id && second.try_recv().is_err());
        calls.end("it crashed");
        calls.end("and was reaped");
        assert_eq!(second.try_recv().unwrap(), Err(Gone { reason: "it crashed".into(), is_unsent: false }));
        assert_eq!(calls.begin().unwrap_err(), Gone { reason: "it crashed".into(), is_unsent: true });
        calls.complete(other, Status::Ok, Vec::new());
        assert_eq!(calls.oldest(), None);
    }
}
