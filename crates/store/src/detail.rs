//! What lies in the `detail` columns of orders and carts: the parts nobody filters by, as JSON. Written by the
//! ingesting half and read by the reading half.

use serde::{Deserialize, Serialize};
use zyklus_model::{CartLine, Mark, OrderLine, Refund};

/// The `detail` of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OrderDetail {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) refunds: Vec<Refund>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<OrderLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) coupons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cart: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) marks: Vec<Mark>,
}

/// The `detail` of a cart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CartDetail {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<CartLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}
