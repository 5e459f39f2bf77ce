//! The one clock. The daemon reads the system's; the demo and tests set a virtual one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use zyklus_connect::context::ClockFn;
use zyklus_model::At;

/// Where the time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's clock.
    System,
    /// Microseconds somebody sets.
    Virtual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at an instant until it is set.
    pub fn fixed(at: At) -> Self {
        Clock::Virtual(Arc::new(AtomicI64::new(at.as_micros())))
    }

    /// The instant it shows.
    pub fn now(&self) -> At {
        match self {
            Clock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                At::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Clock::Virtual(micros) => At::from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    /// Sets a virtual clock; the system's stays as it is.
    pub fn set(&self, at: At) {
        if let Clock::Virtual(micros) = self {
            micros.store(at.as_micros(), Ordering::SeqCst);
        }
    }

    /// As connectors read it.
    pub fn as_fn(&self) -> ClockFn {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}
