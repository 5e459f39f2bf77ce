//! Vendure's answers as Vendure shapes them: only the fields that are asked for. No conversion.

use serde::Deserialize;
use zyklus_connect::model::At;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Customer {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) created_at: Option<At>,
    #[serde(default)]
    pub(crate) updated_at: Option<At>,
    #[serde(default)]
    pub(crate) title: Option<String>,
    #[serde(default)]
    pub(crate) first_name: Option<String>,
    #[serde(default)]
    pub(crate) last_name: Option<String>,
    pub(crate) email_address: String,
    #[serde(default)]
    pub(crate) phone_number: Option<String>,
    /// `null` for guests: left without a default on purpose, an answer without it is not understood.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) user: Option<User>,
    #[serde(default)]
    pub(crate) groups: Option<Vec<Named>>,
    #[serde(default)]
    pub(crate) addresses: Option<Vec<Address>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) verified: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Named {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) is_private: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address {
    pub(crate) country: Country,
    #[serde(default)]
    pub(crate) default_shipping_address: Option<bool>,
    #[serde(default)]
    pub(crate) default_billing_address: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Country {
    pub(crate) code: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) state: String,
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) r#type: String,
    pub(crate) updated_at: At,
    #[serde(default)]
    pub(crate) order_placed_at: Option<At>,
    pub(crate) currency_code: String,
    #[serde(default)]
    pub(crate) coupon_codes: Vec<String>,
    pub(crate) total_with_tax: i64,
    #[serde(default)]
    pub(crate) customer: Option<Customer>,
    #[serde(default)]
    pub(crate) shipping_address: Option<OrderAddress>,
    #[serde(default)]
    pub(crate) billing_address: Option<OrderAddress>,
    pub(crate) lines: Vec<Line>,
    #[serde(default)]
    pub(crate) payments: Option<Vec<Payment>>,
    #[serde(default)]
    pub(crate) fulfillments: Option<Vec<Fulfillment>>,
    #[serde(default)]
    pub(crate) history: History,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct History {
    pub(crate) items: Vec<Transition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transition {
    pub(crate) created_at: At,
    pub(crate) data: TransitionData,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TransitionData {
    #[serde(default)]
    pub(crate) to: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderAddress {
    #[serde(default)]
    pub(crate) country_code: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) quantity: i64,
    pub(crate) prorated_line_price_with_tax: i64,
    #[serde(default)]
    pub(crate) featured_asset: Option<Asset>,
    pub(crate) product_variant: LineVariant,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LineVariant {
    #[serde(default)]
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) product: LineProduct,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LineProduct {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) slug: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asset {
    pub(crate) preview: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payment {
    pub(crate) state: String,
    pub(crate) amount: i64,
    #[serde(default)]
    pub(crate) updated_at: Option<At>,
    #[serde(default)]
    pub(crate) refunds: Vec<Refund>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) total: i64,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) created_at: Option<At>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fulfillment {
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) created_at: Option<At>,
    #[serde(default)]
    pub(crate) updated_at: Option<At>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) slug: String,
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) updated_at: Option<At>,
    #[serde(default)]
    pub(crate) featured_asset: Option<Asset>,
    #[serde(default)]
    pub(crate) collections: Vec<Named>,
    pub(crate) variants: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variant {
    pub(crate) enabled: bool,
    pub(crate) price_with_tax: i64,
    pub(crate) currency_code: String,
    #[serde(default)]
    pub(crate) stock_level: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Promotion {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) coupon_code: Option<String>,
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) starts_at: Option<At>,
    #[serde(default)]
    pub(crate) ends_at: Option<At>,
    #[serde(default)]
    pub(crate) actions: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Operation {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) args: Vec<Arg>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Arg {
    pub(crate) name: String,
    pub(crate) value: String,
}
