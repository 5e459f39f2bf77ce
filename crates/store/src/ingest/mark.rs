//! Evaluation marks: who has to be judged again. Never judges.

use std::collections::BTreeMap;

use zyklus_model::{At, CustomerId, bucket_of};

use crate::arg::args;
use crate::error::Result;
use crate::tx::Tx;

/// Raises the mark of every customer once: seq grows, and they are due at the latest now.
pub(super) async fn write(tx: &mut Tx, marks: &BTreeMap<CustomerId, (bool, bool)>, now: At) -> Result<()> {
    let mut rows = Vec::with_capacity(marks.len());
    for (customer, (live, history)) in marks {
        rows.push(args![
            bucket_of(*customer),
            *customer,
            1i64,
            now,
            *live,
            *history,
            0i64,
            false,
            false,
            "[]",
            now,
            now
        ]);
    }
    let head = "INSERT INTO evaluation
        (bucket, customer_id, seq, due_at, live_pending, history_pending, phase_moves, phase_live, phase_has_live,
         segments, marked_at, stood_at)";
    let tail = " ON CONFLICT (bucket, customer_id) DO UPDATE SET seq = evaluation.seq + 1,
        due_at = CASE WHEN excluded.due_at < evaluation.due_at THEN excluded.due_at ELSE evaluation.due_at END,
        live_pending = evaluation.live_pending OR excluded.live_pending,
        history_pending = evaluation.history_pending OR excluded.history_pending,
        marked_at = CASE WHEN evaluation.marked_at < excluded.marked_at THEN excluded.marked_at
        ELSE evaluation.marked_at END";
    tx.insert(head, rows, tail).await.map(drop)
}
