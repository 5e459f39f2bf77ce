//! From Vendure's shapes to records. Decides what a Vendure order, cart or guest is for us; asks nobody.

use std::collections::BTreeMap;

use zyklus_connect::model::record::{
    CartRecord, CouponRecord, CustomerRecord, CustomerRef, LineRecord, OrderRecord, ProductRecord, Record,
    RefundRecord,
};
use zyklus_connect::model::{At, Currency, OrderState};

use crate::api::Shop;
use crate::config::Config;
use crate::money::{minor, money};
use crate::raw;

/// Why a record could not be made, for the operator.
pub(crate) type Wrong = String;

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty())
}

fn currency(code: &str) -> Result<Currency, Wrong> {
    code.parse().map_err(|e| format!("{e}"))
}

fn reference(config: &Config, raw: &raw::Customer) -> CustomerRef {
    CustomerRef {
        external_id: Some(raw.id.clone()),
        email: filled(Some(raw.email_address.clone())),
        email_verified: config.trust_verified && raw.user.as_ref().is_some_and(|u| u.verified),
    }
}

/// Guests are customers without a user; Vendure gives both an id.
pub(crate) fn customer(config: &Config, raw: raw::Customer) -> CustomerRecord {
    let addresses = raw.addresses.as_deref().unwrap_or_default();
    let address = (addresses.iter())
        .find(|a| a.default_shipping_address == Some(true))
        .or_else(|| addresses.iter().find(|a| a.default_billing_address == Some(true)))
        .or(addresses.first());
    let title = filled(raw.title.clone()).map(|t| ("title".to_owned(), t.into()));
    CustomerRecord {
        customer: reference(config, &raw),
        country: address.map(|a| a.country.code.clone()),
        phone: filled(raw.phone_number),
        first_name: filled(raw.first_name),
        last_name: filled(raw.last_name),
        created_at: raw.created_at,
        updated_at: raw.updated_at,
        has_account: Some(raw.user.is_some()),
        tags: raw.groups.map(|groups| groups.into_iter().map(|g| g.name).collect()),
        attributes: BTreeMap::from_iter(title),
        ..CustomerRecord::default()
    }
}

/// Who ordered, and what the order says about them.
fn buyer(
    config: &Config,
    order: &mut raw::Order,
) -> Result<(CustomerRef, Option<Box<CustomerRecord>>), Wrong> {
    let raw = order.customer.take().ok_or("the order has no customer")?;
    let country = (order.shipping_address.as_ref())
        .and_then(|a| a.country_code.clone())
        .or_else(|| order.billing_address.as_ref().and_then(|a| a.country_code.clone()));
    let profile = CustomerRecord { country: filled(country), ..customer(config, raw) };
    Ok((profile.customer.clone(), Some(Box::new(profile))))
}

fn lines(
    config: &Config,
    shop: &Shop,
    currency: Currency,
    raw: Vec<raw::Line>,
) -> Result<Vec<LineRecord>, Wrong> {
    (raw.into_iter().filter(|line| line.quantity != 0))
        .map(|line| {
            let product = line.product_variant.product;
            Ok(LineRecord {
                url: product_url(config, &product.slug),
                product: Some(product.id),
                sku: filled(Some(line.product_variant.sku)),
                title: line.product_variant.name,
                quantity: line.quantity,
                total_minor: minor(line.prorated_line_price_with_tax, currency, shop.precision)?,
                image_url: line.featured_asset.map(|a| a.preview),
                categories: Vec::new(),
            })
        })
        .collect()
}

fn product_url(config: &Config, slug: &str) -> Option<String> {
    if slug.is_empty() { None } else { config.storefront(&format!("product/{slug}")) }
}

/// An order that was placed: the order itself, and the end of the cart it grew from. A seller's part of a
/// marketplace order is nothing of its own, the whole of it is counted already.
pub(crate) fn order(config: &Config, shop: &Shop, mut raw: raw::Order) -> Result<Vec<Record>, Wrong> {
    let Some(placed_at) = raw.order_placed_at else { return Ok(Vec::new()) };
    if raw.r#type == "Seller" {
        return Ok(Vec::new());
    }
    let currency = currency(&raw.currency_code)?;
    let (who, profile) = buyer(config, &mut raw)?;
    let cancelled = raw.state == "Cancelled";
    let payments = raw.payments.unwrap_or_default();
    let fulfillments = raw.fulfillments.unwrap_or_default();
    let settled = || payments.iter().filter(|p| p.state == "Settled");
    // Cancelling a line takes it off the total, and paying it back is a refund besides: only what was paid
    // may be lessened by refunds.
    let paid: i64 = settled().map(|p| p.amount).sum();
    let total = money(raw.total_with_tax.max(paid), currency, shop.precision)?;
    let reached = |state: &str| raw.history.items.iter().find(|t| t.data.to == state).map(|t| t.created_at);
    let paid_at = reached("PaymentSettled").or_else(|| settled().filter_map(|p| p.updated_at).max());
    let (shipped_at, delivered_at) = moves(&raw.state, &fulfillments);
    let (shipped_at, delivered_at) =
        (reached("Shipped").or(shipped_at), reached("Delivered").or(delivered_at));
    // Vendure dates its history to the second and orders to the millisecond.
    let not_before = |at: At| at.max(placed_at);
    let cancelled_at = cancelled.then(|| not_before(reached("Cancelled").unwrap_or(raw.updated_at)));
    let refunds = (payments.into_iter().flat_map(|p| p.refunds))
        .filter(|r| r.state != "Failed")
        .map(|r| {
            Ok(RefundRecord {
                external_id: r.id,
                at: r.created_at,
                amount_minor: minor(r.total, currency, shop.precision)?,
                reason: filled(r.reason),
            })
        })
        .collect::<Result<Vec<_>, Wrong>>()?;
    let ended = CartRecord {
        external_id: raw.id.clone(),
        customer: who.clone(),
        profile: None,
        is_open: false,
        updated_at: raw.updated_at,
        total,
        lines: Vec::new(),
        url: None,
    };
    let order = OrderRecord {
        external_id: raw.id.clone(),
        number: raw.code,
        customer: who,
        profile,
        state: if cancelled { OrderState::Cancelled } else { OrderState::Placed },
        placed_at,
        updated_at: Some(raw.updated_at),
        paid_at,
        shipped_at,
        delivered_at,
        cancelled_at,
        total,
        lines: lines(config, shop, currency, raw.lines)?,
        item_count: None,
        refunds,
        coupons: raw.coupon_codes,
        cart: Some(raw.id),
    };
    Ok(vec![Record::Order(order), Record::Cart(ended)])
}

/// When all of it left the house, and when all of it arrived, should the order's history not say. Vendure keeps one date a fulfilment, that of its
/// last change: once it is delivered, the date of its making is the nearest to its leaving that is left.
fn moves(state: &str, fulfillments: &[raw::Fulfillment]) -> (Option<At>, Option<At>) {
    let live = || fulfillments.iter().filter(|f| f.state != "Cancelled");
    match state {
        "Shipped" | "PartiallyDelivered" => (
            live().filter_map(|f| if f.state == "Delivered" { f.created_at } else { f.updated_at }).max(),
            None,
        ),
        "Delivered" => (live().filter_map(|f| f.created_at).max(), live().filter_map(|f| f.updated_at).max()),
        _ => (None, None),
    }
}

/// An order that was not placed: a cart, if it is somebody's.
pub(crate) fn cart(config: &Config, shop: &Shop, mut raw: raw::Order) -> Result<Vec<Record>, Wrong> {
    if raw.customer.is_none() || raw.order_placed_at.is_some() || raw.r#type == "Seller" {
        return Ok(Vec::new());
    }
    let currency = currency(&raw.currency_code)?;
    let (who, profile) = buyer(config, &mut raw)?;
    let lines = lines(config, shop, currency, raw.lines)?;
    Ok(vec![Record::Cart(CartRecord {
        external_id: raw.id,
        customer: who,
        profile,
        is_open: raw.active && !lines.is_empty(),
        updated_at: raw.updated_at,
        total: money(raw.total_with_tax, currency, shop.precision)?,
        lines,
        url: config.storefront("cart"),
    })])
}

/// A product: the price of its cheapest enabled variant, available when one of them is in stock.
pub(crate) fn product(config: &Config, shop: &Shop, raw: raw::Product) -> Result<Vec<Record>, Wrong> {
    let on_sale = || raw.variants.iter().filter(|v| v.enabled);
    let price = on_sale()
        .min_by_key(|v| v.price_with_tax)
        .map(|v| money(v.price_with_tax, currency(&v.currency_code)?, shop.precision))
        .transpose()?;
    Ok(vec![Record::Product(ProductRecord {
        available: raw.enabled && on_sale().any(|v| !matches!(v.stock_level.as_str(), "OUT_OF_STOCK" | "0")),
        url: product_url(config, &raw.slug),
        image_url: raw.featured_asset.map(|a| a.preview),
        price,
        categories: raw.collections.into_iter().filter(|c| !c.is_private).map(|c| c.name).collect(),
        external_id: raw.id,
        title: raw.name,
        updated_at: raw.updated_at,
    })])
}

/// A promotion. Per cent or amount are told only when that is all it does.
pub(crate) fn promotion(shop: &Shop, raw: raw::Promotion) -> Result<Vec<Record>, Wrong> {
    let (mut percent, mut amount) = (None, None);
    if let [action] = raw.actions.as_slice()
        && let Some(value) = action.args.iter().find(|a| a.name == "discount").map(|a| a.value.as_str())
    {
        match action.code.as_str() {
            "order_percentage_discount" => {
                percent = value.parse::<f64>().ok().filter(|p| p.is_finite());
            }
            "order_fixed_discount" => {
                let number = value.parse().map_err(|_| format!("the discount `{value}` is not a number"))?;
                amount = Some(money(number, shop.currency, shop.precision)?);
            }
            _ => {}
        }
    }
    Ok(vec![Record::Coupon(CouponRecord {
        external_id: raw.id,
        code: filled(raw.coupon_code),
        name: raw.name,
        enabled: raw.enabled,
        starts_at: raw.starts_at,
        ends_at: raw.ends_at,
        percent,
        amount,
        used: None,
    })])
}
