//! The rows of one table that a page is about: what is stored, what replaces it, what goes. Never knows what the
//! rows mean.

use std::collections::BTreeMap;

use uuid::Uuid;
use zyklus_model::{At, CustomerId};

use crate::arg::{Arg, args};
use crate::error::Result;
use crate::past;
use crate::tx::{CHUNK, Load, Sql, Tx};

/// One row's past and future.
pub(super) struct Slot<S, F> {
    pub(super) stored: Option<S>,
    pub(super) fresh: Option<F>,
    pub(super) is_gone: bool,
}

/// Rows by id.
pub(super) struct Slots<S, F>(BTreeMap<Uuid, Slot<S, F>>);

/// A stored row, as far as ingesting needs it.
pub(super) trait Stored: Load {
    fn id(&self) -> Uuid;
    fn customer(&self) -> CustomerId;
    fn written_at(&self) -> At;
}

/// A row to be written, in the order of the table's columns.
pub(super) trait Fresh {
    fn customer(&self) -> CustomerId;
    fn row(self, written_at: At) -> Result<Vec<Arg<'static>>>;
}

impl<S: Stored, F: Fresh> Slots<S, F> {
    /// Loads the rows with these ids; `select` ends before WHERE.
    pub(super) async fn load(tx: &mut Tx, select: &str, ids: impl Iterator<Item = Uuid>) -> Result<Self> {
        let empty = |id| (id, Slot { stored: None, fresh: None, is_gone: false });
        let mut slots: BTreeMap<Uuid, Slot<S, F>> = ids.map(empty).collect();
        let ids: Vec<Uuid> = slots.keys().copied().collect();
        for some in ids.chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), select);
            sql.push(" WHERE id IN ").list(some.iter().copied());
            for row in tx.rows::<S>(sql).await? {
                let id = row.id();
                slots.insert(id, Slot { stored: Some(row), fresh: None, is_gone: false });
            }
        }
        Ok(Slots(slots))
    }

    pub(super) fn get(&mut self, id: Uuid) -> &mut Slot<S, F> {
        self.0.entry(id).or_insert(Slot { stored: None, fresh: None, is_gone: false })
    }

    /// Marks a row as gone.
    pub(super) fn remove(&mut self, id: Uuid) {
        let slot = self.get(id);
        slot.fresh = None;
        slot.is_gone = true;
    }

    /// Writes what changed: `table` with its columns as `head` says them. Returns whose facts changed and how
    /// many rows.
    pub(super) async fn write(
        self,
        tx: &mut Tx,
        table: &str,
        head: &str,
        now: At,
    ) -> Result<(Vec<CustomerId>, u64)> {
        let mut whose = Vec::new();
        let mut old = Vec::new();
        let mut rows = Vec::new();
        let mut count = 0;
        for (id, slot) in self.0 {
            let is_stored = slot.stored.is_some();
            if slot.fresh.is_none() && !(slot.is_gone && is_stored) {
                continue;
            }
            count += 1;
            let mut written_at = now;
            if let Some(stored) = slot.stored {
                whose.push(stored.customer());
                old.push(args![id]);
                written_at = now.max(stored.written_at());
            }
            if let Some(fresh) = slot.fresh {
                whose.push(fresh.customer());
                rows.push(fresh.row(written_at)?);
            }
        }
        past::remove_rows(tx, table, "id", old, now).await?;
        tx.insert(head, rows, "").await?;
        Ok((whose, count))
    }
}
