//! What is gone from a system. Never erases a person: that is the operator's word, not a shop's.

use serde_json::json;
use zyklus_model::DeletedRecord;

use super::Batch;
use crate::error::Result;
use crate::identity::name_of;
use crate::journeys::write_audit;
use crate::tx::Tx;

impl Batch<'_> {
    /// A customer is gone: the id this system knew them by is taken off, the facts stay. Whom no system knows any more has
    /// no name, address or attribute left, and what waits for them is withdrawn. Orders, carts, feedback and products are
    /// removed where they are written.
    pub(super) async fn forget(&mut self, tx: &mut Tx, gone: &DeletedRecord) -> Result<()> {
        match gone.kind.as_str() {
            "customer" => {}
            "order" | "cart" | "product" | "coupon" | "feedback" => return Ok(()),
            _ => {
                let record = zyklus_model::Record::Deleted(gone.clone());
                self.reject("a deletion of an unknown kind", &record);
                return Ok(());
            }
        }
        let system = self.ingest.connector.as_str();
        let Some(name) = name_of(&gone.external_id) else { return Ok(()) };
        if let Some(who) = self.people.forget(tx, system, &name).await? {
            let at = self.ingest.received_at;
            let detail = json!({ "system": system, "external_id": name, "at": gone.at });
            write_audit(tx, at, system, "customer.deleted", Some(who.customer), &detail).await?;
            self.mark(who.customer);
            self.report.changed += 1;
        }
        Ok(())
    }
}
