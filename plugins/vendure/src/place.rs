//! Where reading stands: what the cursor holds. Never asks the shop.
//!
//! Vendure's lists know one useful filter, `updatedAt` strictly after, and sort reliably by one key only
//! (with two, the schema's order of keys decides, not ours). Reading therefore goes in passes:
//!
//! - *changes*: pages sorted by `updatedAt`, each asked for from the last stamp of the page before, never
//!   with an offset, so that a row which moves to the end while we read is met again and none is skipped;
//! - *block*: when a whole page has one stamp, that stamp's rows sorted by id, with an offset that overlaps by
//!   one row and steps back when that row is no longer where it was;
//! - *sweep*: now and then all rows sorted by id, for what changes without changing `updatedAt`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zyklus_connect::model::At;

use crate::ids::IdSet;

/// Stamps are told in milliseconds, and kept in microseconds by some databases.
pub(crate) const TICK: i64 = 1_000;
/// How many rows of the overlap are remembered; beyond that, rows are told twice, which is harmless.
const SEEN_LIMIT: usize = 2_000;
/// How many ranges of known ids are kept; beyond that, deletions are no longer noticed.
const RANGE_LIMIT: usize = 5_000;

/// Where one stream stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Everything stamped up to here has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<At>,
    /// Rows stamped later that were read already: id, stamp, content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) seen: BTreeMap<String, (At, String)>,
    /// When everything was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) swept_at: Option<At>,
    /// The numeric ids that exist, for noticing the ones that vanish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<IdSet>,
    /// The pass under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pass: Option<Pass>,
}

/// One run from where we stood to the present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pass {
    /// The shop's clock when it began.
    pub(crate) started: At,
    /// The latest stamp met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) top: Option<At>,
    /// How many rows were read, for progress.
    #[serde(default)]
    pub(crate) read: u64,
    /// What is being read.
    pub(crate) phase: Phase,
}

/// What is being read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Changes after this stamp; `None` = from the beginning.
    Changes(Option<At>),
    /// The rows stamped about this.
    Block {
        /// The stamp.
        anchor: At,
        /// How far.
        walk: Walk,
    },
    /// Everything.
    Sweep {
        /// Changes after this count as new.
        since: At,
        /// The earliest `orderPlacedAt` looked at.
        edge: At,
        /// How far.
        walk: Walk,
        /// The ids met.
        found: IdSet,
    },
}

/// How far a list sorted by id has been read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Walk {
    /// How many rows.
    pub(crate) skip: u32,
    /// The ids of the last page, by which the place is found again when rows before it have gone.
    pub(crate) last: Vec<String>,
}

impl Walk {
    /// The offset to ask for: one row is read again, to see that nothing has shifted.
    pub(crate) fn offset(&self) -> u32 {
        self.skip.saturating_sub(1)
    }

    /// Whether a page asked for at that offset follows on what was read. If not, steps back.
    pub(crate) fn follows(&mut self, first: Option<&str>, take: u32) -> bool {
        if self.skip == 0 || first.is_some_and(|id| self.last.iter().any(|l| l == id)) {
            return true;
        }
        self.skip = self.skip.saturating_sub((take / 2).max(1));
        false
    }

    /// Moves on by a page.
    pub(crate) fn advance(&mut self, ids: Vec<String>) {
        self.skip = self.offset() + u32::try_from(ids.len()).unwrap_or(u32::MAX);
        self.last = ids;
    }
}

/// What stands in an item for telling it from another: id, stamp, and a digest of its content.
pub(crate) struct Mark {
    pub(crate) id: String,
    pub(crate) stamp: Option<At>,
    digest: String,
}

impl Mark {
    /// Of one item of a list. An item without an id has an empty one.
    pub(crate) fn of(item: &Value) -> Self {
        let field = |name: &str| item.get(name).and_then(Value::as_str);
        // FNV-1a, 64 bits: small, and the same in every build.
        let hash = (item.to_string().bytes())
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Mark {
            id: field("id").unwrap_or_default().to_owned(),
            stamp: field("updatedAt").and_then(|t| t.parse().ok()),
            digest: format!("{hash:016x}"),
        }
    }
}

impl Place {
    /// Begins a pass.
    pub(crate) fn begin(&self, started: At) -> Pass {
        Pass { started, top: None, read: 0, phase: Phase::Changes(self.from) }
    }

    /// Whether the item is new, and not one of the overlap read before; remembers it.
    pub(crate) fn is_news(&mut self, mark: &Mark) -> bool {
        if let Ok(number) = mark.id.parse()
            && let Some(known) = &mut self.known
        {
            known.insert(number);
        }
        let Some(stamp) = mark.stamp else { return true };
        let now = (stamp, mark.digest.clone());
        self.seen.insert(mark.id.clone(), now.clone()) != Some(now)
    }

    /// Forgets rows that will not be read again: those not after `edge`.
    pub(crate) fn forget_until(&mut self, edge: At) {
        self.seen.retain(|_, (stamp, _)| *stamp > edge);
        if self.seen.len() > SEEN_LIMIT {
            let mut stamps: Vec<At> = self.seen.values().map(|(stamp, _)| *stamp).collect();
            stamps.sort_unstable();
            let cut = stamps[stamps.len() - SEEN_LIMIT];
            self.seen.retain(|_, (stamp, _)| *stamp >= cut);
            while self.seen.len() > SEEN_LIMIT {
                self.seen.pop_first();
            }
        }
        if self.known.as_ref().is_some_and(|k| k.ranges() > RANGE_LIMIT) {
            self.known = None;
        }
    }

    /// The changes have been read to the end. Everything stamped before the pass began, less the overlap, is
    /// complete; what lies behind the latest stamp met is empty and need not be read again, on whichever
    /// clock the stamps are made.
    pub(crate) fn settle(&mut self, pass: &Pass, overlap: i64) {
        if let Some(top) = pass.top {
            let settled = top.plus_micros(TICK).min(pass.started.plus_micros(-overlap));
            self.from = Some(self.from.map_or(settled, |from| from.max(settled)));
        }
        if let Some(from) = self.from {
            self.forget_until(from);
        }
    }
}
