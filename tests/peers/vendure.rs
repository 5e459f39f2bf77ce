//! A real Vendure shop, one per test, driven through its own two APIs as its storefront and its staff
//! would. It knows nothing of Zyklus. What is in it at first: tests/peers/vendure/catalogue.js.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Client;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Running, Start, free_port, variable};

/// Name and password of the shop's superadmin.
pub const SUPERADMIN: &str = "superadmin";

/// A running shop. Dropping it kills it and removes its database.
#[derive(Debug)]
pub struct Vendure {
    server: Option<Running>,
    http: Client,
    port: u16,
    token: String,
    verification: bool,
    folder: TempDir,
}

/// What [`Vendure::place_order`] does.
#[derive(Clone, Copy, Debug)]
pub struct OrderSpec<'a> {
    /// The buyer's e-mail.
    pub email: &'a str,
    /// The buyer's password; without one it is a guest order.
    pub login: Option<&'a str>,
    /// A coupon code to enter.
    pub coupon: Option<&'a str>,
    /// The SKU of the variant.
    pub sku: &'a str,
    /// How many.
    pub quantity: u32,
    /// Whether the buyer pays; if not, the cart is left behind with its owner known.
    pub complete: bool,
}

impl<'a> OrderSpec<'a> {
    /// A paid guest order of one piece.
    pub fn guest(email: &'a str, sku: &'a str) -> Self {
        Self { email, login: None, coupon: None, sku, quantity: 1, complete: true }
    }
}

/// An order or cart as the shop shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The shop's id.
    pub id: String,
    /// The number customers see.
    pub code: String,
    /// Vendure's state, such as `PaymentSettled` or `AddingItems`.
    pub state: String,
    /// What the buyer pays, shipping and tax included, in cents.
    pub total_minor: i64,
    /// The ISO 4217 code.
    pub currency: String,
}

const ORDER: &str = "__typename ... on Order { id code state totalWithTax currencyCode } \
                     ... on ErrorResult { errorCode message }";

impl Vendure {
    /// Starts one whose customers can log in at once.
    ///
    /// # Errors
    /// When `cargo xtask setup` was not run or the shop does not come up; with its log.
    pub async fn start() -> Result<Self> {
        Self::with_verification(false).await
    }

    /// Starts one; with `verification`, a registration must be confirmed before its login works.
    ///
    /// # Errors
    /// As [`Vendure::start`].
    pub async fn with_verification(verification: bool) -> Result<Self> {
        let template = installed()?.join("template.sqlite");
        let folder = tempfile::Builder::new().prefix("zyklus-shop-").tempdir()?;
        fs::copy(&template, folder.path().join("shop.sqlite"))
            .with_context(|| format!("no {}; run `cargo xtask setup`", template.display()))?;
        let http = Client::builder().timeout(Duration::from_secs(30)).build()?;
        let port = free_port()?;
        let mut shop = Self { server: None, http, port, token: String::new(), verification, folder };
        shop.resume().await?;
        Ok(shop)
    }

    /// Ends the server as its operator would; the database stays.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn pause(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::TERM);
            server.wait(Duration::from_secs(20)).await?;
        }
        Ok(())
    }

    /// Starts the server again on the same port and database.
    ///
    /// # Errors
    /// As [`Vendure::start`].
    pub async fn resume(&mut self) -> Result<()> {
        let here = installed()?;
        let node = PathBuf::from(variable("ZYKLUS_TEST_NODE")?);
        let log = self.folder.path().join("log");
        let mut server = Running::start(Start {
            program: &node,
            args: vec!["index.js".into()],
            env: vec![
                ("ZYKLUS_SHOP_DB", self.folder.path().join("shop.sqlite").into_os_string()),
                ("ZYKLUS_SHOP_PORT", self.port.to_string().into()),
                ("ZYKLUS_SHOP_VERIFICATION", self.verification.to_string().into()),
            ],
            folder: &here,
            log: &log,
            user: None,
        })?;
        let line = format!("ready {}\n", self.port);
        server.ready(Duration::from_secs(90), |printed| printed.contains(&line)).await?;
        self.server = Some(server);
        self.token = String::new();
        let login = "mutation ($name: String!) { login(username: $name, password: $name) { __typename } }";
        let (_, token) = self.call("admin-api", "", login, json!({ "name": SUPERADMIN })).await?;
        self.token = token.context("the shop gave its superadmin no token")?;
        Ok(())
    }

    /// The shop's address, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks the Admin API as superadmin; returns GraphQL's `data`.
    ///
    /// # Errors
    /// When the shop cannot be reached or answers with errors.
    pub async fn admin(&self, query: &str, variables: Value) -> Result<Value> {
        Ok(self.call("admin-api", &self.token, query, variables).await?.0)
    }

    /// Adds a customer as staff would; with a password it is an account whose address counts as verified.
    /// Returns the shop's id.
    ///
    /// # Errors
    /// When the shop refuses, such as for an address it already knows.
    pub async fn create_customer(
        &self,
        email: &str,
        first: &str,
        last: &str,
        password: Option<&str>,
    ) -> Result<String> {
        let query = "mutation ($input: CreateCustomerInput!, $password: String) {
            createCustomer(input: $input, password: $password) {
                __typename ... on Customer { id } ... on ErrorResult { errorCode message } } }";
        let input = json!({ "emailAddress": email, "firstName": first, "lastName": last });
        let data = self.admin(query, json!({ "input": input, "password": password })).await?;
        let customer = granted(&data["createCustomer"])?;
        text(customer, "id")
    }

    /// Adds a coupon that takes `percent` off an order's products.
    ///
    /// # Errors
    /// When the shop refuses.
    pub async fn create_coupon(&self, code: &str, percent: u32) -> Result<()> {
        let query = "mutation ($input: CreatePromotionInput!) { createPromotion(input: $input) {
            __typename ... on ErrorResult { errorCode message } } }";
        let discount = json!([{ "name": "discount", "value": percent.to_string() }]);
        let input = json!({
            "enabled": true, "couponCode": code, "conditions": [],
            "translations": [{ "languageCode": "en", "name": code }],
            "actions": [{ "code": "order_percentage_discount", "arguments": discount }],
        });
        let data = self.admin(query, json!({ "input": input })).await?;
        granted(&data["createPromotion"]).map(drop)
    }

    /// Shops as a customer: fills a cart, says who they are, and pays or walks away.
    ///
    /// # Errors
    /// When the shop refuses a step.
    pub async fn place_order(&self, spec: OrderSpec<'_>) -> Result<Order> {
        let mut visit = Visit { shop: self, token: String::new() };
        let add = format!(
            "mutation ($v: ID!, $n: Int!) {{ it: addItemToOrder(productVariantId: $v, quantity: $n) {{ {ORDER} }} }}"
        );
        let variant = self.variant(spec.sku).await?;
        let mut order = visit.ask(&add, json!({ "v": variant, "n": spec.quantity })).await?;
        match spec.login {
            Some(password) => {
                let login = "mutation ($e: String!, $p: String!) { it: login(username: $e, password: $p) {
                    __typename ... on ErrorResult { errorCode message } } }";
                visit.ask(login, json!({ "e": spec.email, "p": password })).await?;
            }
            None => {
                let name = spec.email.split('@').next().unwrap_or_default();
                let input = json!({ "emailAddress": spec.email, "firstName": name, "lastName": "Guest" });
                let set = format!(
                    "mutation ($i: CreateCustomerInput!) {{ it: setCustomerForOrder(input: $i) {{ {ORDER} }} }}"
                );
                order = visit.ask(&set, json!({ "i": input })).await?;
            }
        }
        if let Some(code) = spec.coupon {
            let apply =
                format!("mutation ($c: String!) {{ it: applyCouponCode(couponCode: $c) {{ {ORDER} }} }}");
            order = visit.ask(&apply, json!({ "c": code })).await?;
        }
        if spec.complete {
            order = visit.check_out().await?;
        } else if spec.login.is_some() {
            // Logging in may have merged the cart into an older one of theirs.
            order = visit
                .ask("{ it: activeOrder { id code state totalWithTax currencyCode } }", json!({}))
                .await?;
        }
        read_order(&order)
    }

    /// Pays back part of an order, in cents, and settles the refund. Returns the refund's id.
    ///
    /// # Errors
    /// When the shop refuses, such as for more than was paid.
    pub async fn refund(&self, order: &Order, amount_minor: i64) -> Result<String> {
        let paid = self
            .admin("query ($id: ID!) { order(id: $id) { payments { id } } }", json!({ "id": order.id }))
            .await?;
        let input = json!({
            "paymentId": paid["order"]["payments"][0]["id"], "amount": amount_minor, "reason": "returned",
            // Deprecated and not even listed, but without them Vendure 3.7.3 fails on its own table.
            "lines": [], "shipping": 0, "adjustment": 0,
        });
        let query = "mutation ($input: RefundOrderInput!) { refundOrder(input: $input) {
            __typename ... on Refund { id state } ... on ErrorResult { errorCode message } } }";
        let data = self.admin(query, json!({ "input": input })).await?;
        let refund = granted(&data["refundOrder"])?;
        let id = text(refund, "id")?;
        if refund["state"] == "Pending" {
            let settle = "mutation ($input: SettleRefundInput!) { settleRefund(input: $input) {
                __typename ... on ErrorResult { errorCode message } } }";
            let input = json!({ "id": id, "transactionId": format!("refund-{id}") });
            let data = self.admin(settle, json!({ "input": input })).await?;
            granted(&data["settleRefund"])?;
        }
        Ok(id)
    }

    /// Cancels a whole order, shipping included.
    ///
    /// # Errors
    /// When the shop refuses.
    pub async fn cancel(&self, order: &Order) -> Result<Order> {
        let query =
            format!("mutation ($input: CancelOrderInput!) {{ cancelOrder(input: $input) {{ {ORDER} }} }}");
        let input = json!({ "orderId": order.id, "cancelShipping": true, "reason": "changed their mind" });
        let data = self.admin(&query, json!({ "input": input })).await?;
        read_order(granted(&data["cancelOrder"])?)
    }

    async fn variant(&self, sku: &str) -> Result<String> {
        let query = "query ($sku: String!) { productVariants(options: { filter: { sku: { eq: $sku } } }) { items { id } } }";
        let data = self.admin(query, json!({ "sku": sku })).await?;
        text(&data["productVariants"]["items"][0], "id")
            .with_context(|| format!("the catalogue has no {sku}"))
    }

    async fn call(
        &self,
        api: &str,
        token: &str,
        query: &str,
        variables: Value,
    ) -> Result<(Value, Option<String>)> {
        let mut request = self.http.post(format!("{}/{api}", self.url()));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let response = request.json(&json!({ "query": query, "variables": variables })).send().await?;
        let token = response.headers().get("vendure-auth-token").and_then(|value| value.to_str().ok());
        let token = token.map(str::to_owned);
        let mut body: Value = response.json().await?;
        if body.get("errors").is_some() {
            bail!("Vendure answered {} to {query}", body["errors"]);
        }
        Ok((body["data"].take(), token))
    }
}

/// One visit to the shop: the session travels in a token that the shop hands out and may replace.
struct Visit<'a> {
    shop: &'a Vendure,
    token: String,
}

impl Visit<'_> {
    /// Asks the Shop API; the query names its one field `it`.
    async fn ask(&mut self, query: &str, variables: Value) -> Result<Value> {
        let (mut data, token) = self.shop.call("shop-api", &self.token, query, variables).await?;
        if let Some(token) = token {
            self.token = token;
        }
        granted(&data["it"])?;
        Ok(data["it"].take())
    }

    async fn check_out(&mut self) -> Result<Value> {
        let address = format!(
            "mutation ($a: CreateAddressInput!) {{ it: setOrderShippingAddress(input: $a) {{ {ORDER} }} }}"
        );
        let street = json!({ "streetLine1": "Lindenweg 1", "city": "Berlin", "postalCode": "10115", "countryCode": "DE" });
        self.ask(&address, json!({ "a": street })).await?;
        let methods = self.ask("{ it: eligibleShippingMethods { id } }", json!({})).await?;
        let ship = format!(
            "mutation ($m: [ID!]!) {{ it: setOrderShippingMethod(shippingMethodId: $m) {{ {ORDER} }} }}"
        );
        self.ask(&ship, json!({ "m": [methods[0]["id"]] })).await?;
        let to =
            format!("mutation {{ it: transitionOrderToState(state: \"ArrangingPayment\") {{ {ORDER} }} }}");
        self.ask(&to, json!({})).await?;
        let pay = format!(
            "mutation {{ it: addPaymentToOrder(input: {{ method: \"test-payment\", metadata: {{}} }}) {{ {ORDER} }} }}"
        );
        self.ask(&pay, json!({})).await
    }
}

/// Vendure reports what a user did wrong as a value of an error type, with HTTP 200.
fn granted(value: &Value) -> Result<&Value> {
    match value["errorCode"].as_str() {
        Some(code) => bail!("Vendure refused: {code}: {}", value["message"]),
        None => Ok(value),
    }
}

fn read_order(value: &Value) -> Result<Order> {
    Ok(Order {
        id: text(value, "id")?,
        code: text(value, "code")?,
        state: text(value, "state")?,
        total_minor: value["totalWithTax"].as_i64().context("an order has a total")?,
        currency: text(value, "currencyCode")?,
    })
}

fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value[field].as_str().with_context(|| format!("no {field} in {value}"))?.to_owned())
}

fn installed() -> Result<PathBuf> {
    let folder = PathBuf::from(variable("ZYKLUS_TEST_VENDURE")?);
    if !Path::new(&folder).join("installed").is_file() {
        bail!("no Vendure in {}; run `cargo xtask setup`", folder.display());
    }
    Ok(folder)
}
