//! Runs a connector's code so that neither a panic nor a hang reaches the daemon, and no call is ever dropped
//! half-way. Never says what a failure means.

use std::any::Any;
use std::future::Future;
use std::time::{Duration, Instant};

/// How a call ended that did not come back with a result.
pub(crate) enum Lost {
    /// It panicked.
    Panicked(String),
    /// It still runs; its result will be ignored.
    TimedOut,
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    text.chars().take(300).collect()
}

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Until when somebody waits for the work this is part of; for work nobody gave a limit, ten minutes from now.
pub(crate) fn deadline() -> Instant {
    DEADLINE.try_with(|deadline| *deadline).unwrap_or_else(|_| Instant::now() + Duration::from_secs(600))
}

/// Runs `work` on a task of its own and waits at most `limit`. When the time is over, or the caller goes away,
/// the task is left to finish.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    limit: Duration,
) -> Result<T, Lost> {
    match tokio::time::timeout(limit, tokio::spawn(DEADLINE.scope(Instant::now() + limit, work))).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(joined)) => Err(Lost::Panicked(match joined.try_into_panic() {
            Ok(payload) => panic_message(payload.as_ref()),
            Err(_) => "the task was aborted with the runtime".to_owned(),
        })),
        Err(_) => Err(Lost::TimedOut),
    }
}
