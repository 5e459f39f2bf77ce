//! The connections to one server: never more than allowed, kept for the next mail while they are in step.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use zyklus_connect::mail::Composed;
use zyklus_connect::{Error, ErrorKind, Outcome};
use zyklus_model::{Receipt, ReceiptKind};

use crate::config::Settings;
use crate::reply::Reply;
use crate::session::Session;

/// A connection idle for longer is asked whether it still lives before it gets a mail.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// A connection idle for longer is closed.
const CLOSE_AFTER: Duration = Duration::from_secs(90);
/// How often idle connections are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long a mail waits for a free connection before it is given back unsent: short enough that, with the ten
/// minutes a server may take over the final dot, the host has its outcome before it stops waiting for it.
const BEGIN_WITHIN: Duration = Duration::from_secs(200);
/// How long closing waits for mails under way.
const CLOSE_WITHIN: Duration = Duration::from_secs(20);

/// The connections to one server.
pub(crate) struct Pool {
    settings: Arc<Settings>,
    /// One permit for each connection in use.
    free: Semaphore,
    /// Open, in step, not in use; the last used one at the end.
    idle: Mutex<Vec<Session>>,
}

impl Pool {
    /// An empty pool. Must be called within a tokio runtime.
    pub(crate) fn new(settings: Arc<Settings>) -> Arc<Self> {
        let free = Semaphore::new(settings.max_connections as usize);
        let pool = Arc::new(Pool { settings, free, idle: Mutex::new(Vec::new()) });
        tokio::spawn(close_idle(Arc::downgrade(&pool)));
        pool
    }

    /// Hands one mail over, waiting for a free connection first. `handed_over` tells, should this future die,
    /// whether the mail may have gone. To be run in a task of its own: dropped half-way it forgets how the
    /// mail ended.
    pub(crate) async fn send(&self, mail: &Composed, handed_over: &AtomicBool) -> Outcome<Receipt> {
        let _permit = match tokio::time::timeout(BEGIN_WITHIN, self.free.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => {
                let error = Error::new(ErrorKind::Cancelled, "the connector is closed");
                return Outcome::Retry(error.unreachable());
            }
            Err(_) => {
                let message = "all connections to the mail server were busy; the mail was not handed over";
                return Outcome::Retry(Error::new(ErrorKind::Transient, message).unreachable());
            }
        };
        if let Some(session) = self.take().await {
            let (result, session) = session.deliver(mail, handed_over).await;
            self.put(session);
            match result {
                Err(failure) if failure.is_stale() => {}
                Err(failure) => return failure.outcome(&mail.envelope_to),
                Ok(reply) => return accepted(mail, &reply),
            }
        }
        let session = match Session::open(self.settings.clone()).await {
            Ok(session) => session,
            // No mail's fault: none would have gone.
            Err(error) => return Outcome::Retry(error.unreachable()),
        };
        let (result, session) = session.deliver(mail, handed_over).await;
        self.put(session);
        match result {
            Ok(reply) => accepted(mail, &reply),
            Err(failure) => failure.outcome(&mail.envelope_to),
        }
    }

    /// Closes all connections, after mails under way have ended or 20 seconds have passed.
    pub(crate) async fn close(&self) {
        let _ =
            tokio::time::timeout(CLOSE_WITHIN, self.free.acquire_many(self.settings.max_connections)).await;
        self.free.close();
        let idle = std::mem::take(&mut *self.idle());
        for session in idle {
            session.quit().await;
        }
    }

    async fn take(&self) -> Option<Session> {
        loop {
            let session = self.idle().pop()?;
            if let Some(session) = session.revive(ASK_AFTER).await {
                return Some(session);
            }
        }
    }

    /// To be called before the permit is given back, so that there are never more sessions than permits.
    fn put(&self, session: Option<Session>) {
        if !self.free.is_closed() {
            self.idle().extend(session);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accepted(mail: &Composed, reply: &Reply) -> Outcome<Receipt> {
    Outcome::Done(Receipt {
        kind: ReceiptKind::Accepted,
        provider_ref: Some(mail.message_id.clone()),
        detail: Some(reply.to_string().replace(&mail.envelope_to, "<recipient>")),
    })
}

/// Closes connections nobody has used for a while, until the pool is gone.
async fn close_idle(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.free.is_closed() {
            return;
        }
        let old: Vec<Session> = {
            let mut idle = pool.idle();
            let (old, young) = idle.drain(..).partition(|session| session.used_at().elapsed() > CLOSE_AFTER);
            *idle = young;
            old
        };
        drop(pool);
        for session in old {
            session.quit().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mail_that_finds_no_free_connection_is_given_back_unsent() {
        let config = serde_json::json!({ "host": "mail.example", "from": "a@b.example", "tls": "none", "max_connections": 1 });
        let settings =
            Settings::check(serde_json::from_value(config).unwrap(), Path::new("/nowhere")).unwrap();
        let pool = Pool::new(Arc::new(settings));
        let busy = pool.free.acquire().await.unwrap();
        let mail = Composed {
            bytes: b"Subject: x\r\n\r\nx\r\n".to_vec(),
            message_id: "x@b.example".into(),
            envelope_from: "a@b.example".into(),
            envelope_to: "c@d.example".into(),
            needs_smtputf8: false,
        };
        let handed_over = AtomicBool::new(false);
        let outcome = pool.send(&mail, &handed_over).await;
        assert!(matches!(&outcome, Outcome::Retry(e) if e.message.contains("were busy")), "{outcome:?}");
        assert!(!handed_over.into_inner());
        drop(busy);
    }
}
