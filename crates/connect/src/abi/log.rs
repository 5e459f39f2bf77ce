//! A library's own `tracing` events, handed to the host at the level it wants. Spans are not kept.

use std::fmt::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter};

use super::host::current;

/// How many levels are wanted, from none to `trace`.
static WANTED: AtomicUsize = AtomicUsize::new(0);

/// As it crosses the border, counted from `error`.
fn number(level: Level) -> usize {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// From now on, what is at least as grave as `level` goes to the host.
pub(super) fn set_level(level: &str) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    let level = level.parse::<LevelFilter>().unwrap_or(LevelFilter::WARN);
    WANTED.store(level.into_level().map_or(0, number), Ordering::Relaxed);
    INSTALLED.get_or_init(|| {
        // Whoever has a subscriber of its own already keeps it.
        drop(tracing::subscriber::set_global_default(ToHost));
    });
    tracing::callsite::rebuild_interest_cache();
}

struct ToHost;

impl Subscriber for ToHost {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && number(*metadata.level()) <= WANTED.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match WANTED.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Id::from_u64(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let (Some(host), call) = current() else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let fields =
            if line.fields.is_empty() { String::new() } else { Value::Object(line.fields).to_string() };
        let metadata = event.metadata();
        let level = u32::try_from(number(*metadata.level())).unwrap_or(1);
        host.log(call, level, metadata.target(), &line.message, &fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: Map<String, Value>,
}

impl Line {
    fn set(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_err() {
            text += "…";
        }
        if field.name() == "message" { self.message = text } else { self.set(field, text.into()) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned()
        } else {
            self.set(field, value.into())
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }
}
