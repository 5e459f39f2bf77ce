//! How fast one connector may ask: a steady rate with bursts, and a pause when the other system asked for one.
//! Never counts answers.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;
use zyklus_connect::RateLimit;

/// The gate all requests of one connector pass.
pub(crate) struct Pace {
    limiter: Option<DefaultDirectRateLimiter>,
    not_before: Mutex<Option<Instant>>,
}

impl Pace {
    /// A gate; `None` = as fast as it likes.
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        let quota = limit.filter(|l| l.per_second.is_finite() && l.per_second > 0.0).and_then(|limit| {
            let period = Duration::try_from_secs_f64(1.0 / limit.per_second).ok()?;
            let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
            Quota::with_period(period.max(Duration::from_nanos(1))).map(|q| q.allow_burst(burst))
        });
        Pace { limiter: quota.map(RateLimiter::direct), not_before: Mutex::new(None) }
    }

    /// Waits for one's turn.
    pub(crate) async fn wait(&self) {
        loop {
            let paused = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            match paused {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => break,
            }
        }
        if let Some(limiter) = &self.limiter {
            while let Err(early) = limiter.check() {
                tokio::time::sleep(early.wait_time_from(DefaultClock::default().now())).await;
            }
        }
    }

    /// The other system asked all of us to wait.
    pub(crate) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut paused = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = Some(paused.map_or(until, |before| before.max(until)));
    }
}
