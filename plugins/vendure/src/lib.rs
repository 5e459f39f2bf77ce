//! Reads a Vendure shop and acts in it, through the Admin API. Never talks HTTP itself: the host does.
//!
#![doc = include_str!("../README.md")]

mod actions;
mod api;
mod check;
mod config;
mod convert;
mod ids;
mod money;
mod place;
mod queries;
mod raw;
mod streams;
mod walk;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use zyklus_connect::{
    Actions, CONTRACT, Check, Connector, Ctx, Error, Factory, Manifest, RateLimit, Result, Source,
    StreamSpec, schemars,
};

use crate::api::Api;
pub use crate::config::Config;
use crate::streams::Stream;

/// One Vendure shop.
pub struct VendureConnector {
    manifest: Manifest,
    config: Config,
    api: Arc<Api>,
    making_group: tokio::sync::Mutex<()>,
}

#[async_trait]
impl Connector for VendureConnector {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self) -> Vec<Check> {
        check::run(&self.api).await
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn actions(&self) -> Option<&dyn Actions> {
        Some(self)
    }

    async fn close(&self) {
        self.api.close().await;
    }
}

#[async_trait]
impl Factory for VendureConnector {
    type Config = Config;
    const KIND: &'static str = "vendure";

    fn manifest() -> Manifest {
        Manifest {
            kind: Self::KIND.into(),
            name: "Vendure".into(),
            description:
                "Customers, orders, refunds, carts, products and coupons of a Vendure shop, and notes \
                          and customer groups in it."
                    .into(),
            version: env!("CARGO_PKG_VERSION").into(),
            contract: CONTRACT,
            streams: Stream::ALL
                .into_iter()
                .map(|stream| StreamSpec {
                    name: stream.name().into(),
                    backfill: true,
                    incremental: true,
                    deletes: stream.deleted_as().is_some(),
                    scopes: vec![stream.needs().into()],
                })
                .collect(),
            channel: None,
            actions: actions::specs(),
            hosts: Vec::new(),
            url_fields: vec!["url".into()],
            rate_limit: Some(RateLimit { per_second: 20.0, burst: 20 }),
            max_in_flight: 4,
            config_schema: schemars::schema_for!(Config).to_value(),
        }
    }

    fn validate(config: &Config, _: &Path) -> Vec<Error> {
        let found = [config.check_ranges().err(), config.endpoint().err(), config.credentials().err()];
        found.into_iter().flatten().collect()
    }

    async fn open(config: Config, ctx: Ctx) -> Result<Self> {
        config.check_ranges()?;
        let api = Arc::new(Api::new(&config, ctx)?);
        Ok(VendureConnector {
            manifest: <Self as Factory>::manifest(),
            config,
            api,
            making_group: tokio::sync::Mutex::default(),
        })
    }
}

impl std::fmt::Debug for VendureConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VendureConnector").field("url", &self.config.url).finish_non_exhaustive()
    }
}

#[cfg(feature = "library")]
zyklus_connect::export_connector!(VendureConnector);
