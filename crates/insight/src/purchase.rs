//! How often customers will order again, and whether: the models that buy-till-you-die analysis has published, and what
//! stands in for them where a shop's orders cannot carry them.
//!
//! Customers order at rates of their own, gamma-distributed over the shop; they differ in how a customer leaves: not at
//! all ([`Nbd`]), with a chance at every repeat purchase ([`BgNbd`]), at every purchase ([`MbgNbd`]), or at any time
//! ([`ParetoNbd`]). Which one a shop's data carry is decided by [`fit`](fit::fit). Never a rate without its unit of time:
//! scale parameters are [`Span`](crate::span::Span)s.

mod base;
mod beta_geometric;
pub mod fit;
pub(crate) mod gate;
mod model;
mod nbd;
mod pareto;
mod prior;
mod sample;

pub use base::{BaseRates, Evidence};
pub use beta_geometric::{BetaGeometric, BgNbd, MbgNbd};
pub use gate::Doubt;
pub use model::{Model, NextOrder};
pub use nbd::Nbd;
pub use pareto::ParetoNbd;
pub use prior::{Expected, Prior};
pub use sample::{Grouping, Sample};

/// For tests that compare with published figures.
///
/// P(alive) of the beta-geometric models is nobody's churn risk: whoever has ordered once is alive for certain under
/// BG/NBD, and ordering customers by it predicts their next order worse than chance (AUC 0.32 on CDNOW).
#[doc(hidden)]
pub fn published_p_alive<const FIRST: u32>(model: &BetaGeometric<FIRST>, rfm: &crate::rfm::Rfm) -> f64 {
    model.p_alive(rfm)
}

#[cfg(test)]
mod tests;
