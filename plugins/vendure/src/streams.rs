//! The streams: what each one asks for, and how its items become records.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zyklus_connect::model::record::DeletedRecord;
use zyklus_connect::model::{At, Record};
use zyklus_connect::{Cursor, Error, ErrorKind, Mode, Next, Page, ReadRequest, Reject, Result, Source};

use crate::VendureConnector;
use crate::api::Shop;
use crate::convert::{self, Wrong};
use crate::ids::IdSet;
use crate::place::{Place, TICK};
use crate::queries;
use crate::walk::{Plan, Sweep, What, step};

const SECOND: i64 = 1_000_000;

/// One of the streams, in the order they are to be read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Products,
    Customers,
    Orders,
    Carts,
    Coupons,
}

impl Stream {
    pub(crate) const ALL: [Stream; 5] =
        [Stream::Products, Stream::Customers, Stream::Orders, Stream::Carts, Stream::Coupons];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Stream::Products => "products",
            Stream::Customers => "customers",
            Stream::Orders => "orders",
            Stream::Carts => "carts",
            Stream::Coupons => "coupons",
        }
    }

    /// What it is called in a record of its deletion; `None` = deletions are not noticed.
    pub(crate) const fn deleted_as(self) -> Option<&'static str> {
        match self {
            Stream::Products => Some("product"),
            Stream::Customers => Some("customer"),
            Stream::Orders | Stream::Carts | Stream::Coupons => None,
        }
    }

    pub(crate) const fn needs(self) -> &'static str {
        match self {
            Stream::Products => queries::PRODUCTS.needs,
            Stream::Customers => queries::CUSTOMERS.needs,
            Stream::Orders | Stream::Carts => queries::ORDERS.needs,
            Stream::Coupons => queries::PROMOTIONS.needs,
        }
    }
}

impl VendureConnector {
    fn plan(&self, stream: Stream, limit: u32) -> Plan {
        let config = &self.config;
        let (list, filter) = match stream {
            Stream::Products => (queries::PRODUCTS, json!({})),
            Stream::Customers => (queries::CUSTOMERS, json!({})),
            Stream::Orders => (queries::ORDERS, json!({ "orderPlacedAt": { "isNull": false } })),
            Stream::Carts => (queries::ORDERS, json!({ "orderPlacedAt": { "isNull": true } })),
            Stream::Coupons => (queries::PROMOTIONS, json!({})),
        };
        let sweep = |seconds: u32, what| Some(Sweep { every: i64::from(seconds) * SECOND, what });
        Plan {
            list,
            filter,
            take: limit.clamp(2, config.page_size.max(2)),
            overlap: i64::from(config.overlap) * SECOND,
            sweep: match stream {
                Stream::Products => {
                    sweep(config.catalog_every, What::Everything { ids: queries::PRODUCT_IDS })
                }
                Stream::Customers => {
                    sweep(config.reread_every, What::Everything { ids: queries::CUSTOMER_IDS })
                }
                Stream::Orders => sweep(
                    config.refund_sweep_every,
                    What::Moves {
                        dates: queries::ORDER_MOVES,
                        window_days: i64::from(config.refund_window_days),
                    },
                ),
                Stream::Carts | Stream::Coupons => None,
            },
        }
    }

    fn convert(&self, stream: Stream, shop: &Shop, item: Value) -> Result<Vec<Record>, Wrong> {
        fn parse<T: DeserializeOwned>(item: Value) -> Result<T, Wrong> {
            serde_json::from_value(item).map_err(|e| format!("the shop's answer is not understood: {e}"))
        }
        match stream {
            Stream::Products => convert::product(&self.config, shop, parse(item)?),
            Stream::Customers => Ok(vec![Record::Customer(convert::customer(&self.config, parse(item)?))]),
            Stream::Orders => convert::order(&self.config, shop, parse(item)?),
            Stream::Carts => convert::cart(&self.config, shop, parse(item)?),
            Stream::Coupons => convert::promotion(shop, parse(item)?),
        }
    }
}

/// A place to begin at.
fn beginning(stream: Stream, from: Option<At>) -> Place {
    Place {
        from: from.map(|at| at.plus_micros(-TICK)),
        known: stream.deleted_as().map(|_| IdSet::default()),
        ..Place::default()
    }
}

#[async_trait]
impl Source for VendureConnector {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        let stream = Stream::ALL.into_iter().find(|s| s.name() == request.stream).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("Vendure has no stream `{}`", request.stream))
        })?;
        let mut place = match (request.cursor, request.mode) {
            (Some(cursor), _) => serde_json::from_value(cursor.0).map_err(|e| {
                Error::new(
                    ErrorKind::Invalid,
                    "the stored cursor is not one of Vendure's; read the stream afresh",
                )
                .with_detail(e.to_string())
            })?,
            (None, Mode::Backfill { from }) => beginning(stream, from),
            (None, Mode::Incremental) => beginning(stream, None),
        };
        let shop = self.api.shop().await?;
        let step = step(&self.api, &self.plan(stream, request.limit), &mut place).await?;
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        for (number, item) in step.items.into_iter().enumerate() {
            let id = item.get("id").and_then(Value::as_str).map(str::to_owned);
            match self.convert(stream, shop, item) {
                Ok(made) => records.extend(made),
                Err(message) => rejects.push(Reject {
                    place: format!(
                        "{} {}",
                        stream.name(),
                        id.unwrap_or_else(|| format!("without id, item {number}"))
                    ),
                    message,
                }),
            }
        }
        if let Some(kind) = stream.deleted_as() {
            records.extend(step.gone.iter().map(|id| {
                Record::Deleted(DeletedRecord { kind: kind.into(), external_id: id.to_string(), at: None })
            }));
        }
        rejects.extend(step.doubt.map(|message| Reject { place: stream.name().to_owned(), message }));
        let cursor = Cursor(serde_json::to_value(&place).expect("a place has only text keys"));
        Ok(Page {
            records,
            rejects,
            total: step.total,
            next: if step.caught_up {
                Next::CaughtUp { cursor, poll_after_ms: None }
            } else {
                Next::More { cursor }
            },
        })
    }
}
