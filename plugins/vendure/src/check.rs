//! Live checks of one shop, by name. Changes nothing.

use serde_json::{Value, json};
use zyklus_connect::{Check, Error};

use crate::api::{Api, Op};
use crate::queries;

/// Runs them in order; what cannot work without an earlier one is left out when that failed.
pub(crate) async fn run(api: &Api) -> Vec<Check> {
    let check = |name: &str, result: Result<String, Error>| {
        let (problem, found) = match result {
            Ok(found) => (None, found),
            Err(problem) => (Some(problem), String::new()),
        };
        Check { name: name.to_owned(), problem, found }
    };
    let mut checks = vec![check("reachable", api.reach().await.map(|_| "an Admin API answers".into()))];
    if checks[0].problem.is_some() {
        return checks;
    }
    let shop = api.shop().await.map(|shop| {
        format!("channel {}, {}, amounts with {} decimals", shop.channel, shop.currency, shop.precision)
    });
    let signed_in = shop.is_ok();
    checks.push(check("credentials", shop));
    if !signed_in {
        return checks;
    }
    for (name, op, noun) in [
        ("products can be read", queries::COUNT_PRODUCTS, "products"),
        ("customers can be read", queries::COUNT_CUSTOMERS, "customers"),
        ("orders can be read", queries::COUNT_ORDERS, "orders and carts"),
        ("coupons can be read", queries::COUNT_PROMOTIONS, "promotions"),
    ] {
        checks.push(check(name, count(api, op, noun).await));
    }
    checks
}

async fn count(api: &Api, op: Op, noun: &str) -> Result<String, Error> {
    let data = api.call(op, json!({})).await?.data;
    let count = data.pointer("/list/totalItems").and_then(Value::as_u64);
    count.map(|n| format!("{n} {noun}")).ok_or_else(|| crate::api::unexpected("list.totalItems"))
}
