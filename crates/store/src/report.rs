//! Pages for reports: orders, moves and runs of all customers in the order of the customers' keys, so that a
//! report walks them side by side in constant memory. Never adds anything up.

use uuid::Uuid;
use zyklus_model::{
    At, Currency, CustomerId, OrderId, OrderState, Run, RunId, Transition, TransitionId, bucket_of,
};

use crate::arg::{Arg, Stamp};
use crate::column::{Word, columns};
use crate::error::Result;
use crate::open::Store;
use crate::rows::{RUN_COLUMNS, RunRow, TransitionRow};
use crate::tx::Sql;

/// What reports need of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderRow {
    /// Whose.
    pub customer: CustomerId,
    /// Our id.
    pub id: OrderId,
    /// When it was placed.
    pub placed_at: At,
    /// Where it stands.
    pub state: OrderState,
    /// What was paid, in minor units of the reporting currency; `None` while there is no rate.
    pub total_reporting: Option<i64>,
    /// What remains of it after refunds; `None` while there is no rate.
    pub net_reporting: Option<i64>,
    /// The order's own currency.
    pub currency: Currency,
    /// What was paid, in minor units of that.
    pub total_minor: i64,
    /// How many pieces.
    pub items: i64,
}

columns!(Row {
    customer_id: Uuid,
    id: Uuid,
    placed_at: Stamp,
    state: Word<OrderState>,
    total_reporting_minor: Option<i64>,
    net_reporting_minor: Option<i64>,
    currency: Word<Currency>,
    total_minor: i64,
    item_count: i64,
});

impl From<Row> for OrderRow {
    fn from(row: Row) -> Self {
        OrderRow {
            customer: CustomerId::from_uuid(row.customer_id),
            id: OrderId::from_uuid(row.id),
            placed_at: row.placed_at.0,
            state: row.state.0,
            total_reporting: row.total_reporting_minor,
            net_reporting: row.net_reporting_minor,
            currency: row.currency.0,
            total_minor: row.total_minor,
            items: row.item_count,
        }
    }
}

/// ` AND` what follows a row, ` ORDER BY` the key.
pub(crate) fn page(sql: &mut Sql, after: Option<(CustomerId, impl Into<Arg<'static>>)>, limit: u32) {
    if let Some((customer, id)) = after {
        sql.push(" AND (bucket, customer_id, id) > (").bind(bucket_of(customer)).push(", ");
        sql.bind(customer).push(", ").bind(id).push(")");
    }
    sql.push(" ORDER BY bucket, customer_id, id LIMIT ").bind(i64::from(limit));
}

impl Store {
    /// Orders in the order of the customers' keys, after one of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn orders_page(
        &self,
        after: Option<(CustomerId, OrderId)>,
        limit: u32,
    ) -> Result<Vec<OrderRow>> {
        let mut tx = self.peek().await?;
        let head = "SELECT customer_id, id, placed_at, state, total_reporting_minor, net_reporting_minor, \
                    currency, total_minor, item_count FROM orders WHERE 1 = 1";
        let mut sql = Sql::new(tx.dialect(), head);
        page(&mut sql, after, limit);
        Ok(tx.rows::<Row>(sql).await?.into_iter().map(OrderRow::from).collect())
    }

    /// Transitions of a lifecycle in the order of the customers' keys, after one of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn transitions_page(
        &self,
        lifecycle: &str,
        after: Option<(CustomerId, TransitionId)>,
        limit: u32,
    ) -> Result<Vec<(CustomerId, Transition)>> {
        let mut tx = self.peek().await?;
        let head = "SELECT customer_id, id, lifecycle, from_phase, to_phase, at, recorded_at, cause, origin \
                    FROM transition WHERE lifecycle = ";
        let mut sql = Sql::new(tx.dialect(), head);
        sql.bind(lifecycle);
        page(&mut sql, after, limit);
        let rows: Vec<TransitionRow> = tx.rows(sql).await?;
        Ok(rows.into_iter().map(|row| (CustomerId::from_uuid(row.customer_id), row.transition())).collect())
    }

    /// Runs in the order of the customers' keys, after one of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn runs_page(&self, after: Option<(CustomerId, RunId)>, limit: u32) -> Result<Vec<Run>> {
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(RUN_COLUMNS).push(" FROM run r WHERE 1 = 1");
        page(&mut sql, after, limit);
        Ok(tx.rows::<RunRow>(sql).await?.into_iter().map(RunRow::run).collect())
    }
}
