//! The configuration of a Vendure shop, and its checks. Never connects.

use serde::Deserialize;
use url::Url;
use zyklus_connect::schemars::JsonSchema;
use zyklus_connect::{Error, Result, Secret};

/// How to reach one Vendure shop and how to read it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "zyklus_connect::schemars")]
pub struct Config {
    /// The shop's address: `https://shop.example`, or the Admin API's own address.
    pub url: String,
    /// Where the Admin API is below `url`.
    #[serde(default = "admin_api_path")]
    pub admin_api_path: String,
    /// The administrator to sign in as; wants `password`.
    #[serde(default)]
    pub username: Option<String>,
    /// The administrator's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Instead of a user: an API key (Vendure 3.6 or later). Much slower: about 700 ms a request against 14 ms.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// The token of the channel to read; without it, the default channel.
    #[serde(default)]
    pub channel_token: Option<Secret>,
    /// How many records a request asks for.
    #[serde(default = "page_size")]
    #[schemars(range(min = 2, max = 1000))]
    pub page_size: u32,
    /// The storefront's address: product links become `<storefront_url>/product/<slug>`, cart links
    /// `<storefront_url>/cart`.
    #[serde(default)]
    pub storefront_url: Option<String>,
    /// Seconds before the present that are read again, because Vendure stamps changes before it commits them
    /// and, on SQLite and MySQL, in whole seconds.
    #[serde(default = "overlap")]
    #[schemars(range(min = 2, max = 3600))]
    pub overlap: u32,
    /// Days after its placing during which an order is looked at for refunds, payments and shipments.
    #[serde(default = "refund_window_days")]
    #[schemars(range(min = 1, max = 3650))]
    pub refund_window_days: u32,
    /// Seconds between two such looks; 0 = at every sync.
    #[serde(default = "refund_sweep_every")]
    pub refund_sweep_every: u32,
    /// Seconds between two readings of the whole catalogue, because prices, stock and collections do not
    /// show in a product's change date; 0 = at every sync.
    #[serde(default = "catalog_every")]
    pub catalog_every: u32,
    /// Seconds between two readings of all customers, because groups, addresses and deletions do not show in
    /// a customer's change date; 0 = at every sync.
    #[serde(default = "reread_every")]
    pub reread_every: u32,
    /// Whether `verified` on an account proves its address. Set it to false when the shop runs with
    /// `requireVerification: false`, for then Vendure calls every account verified.
    #[serde(default = "yes")]
    pub trust_verified: bool,
}

fn admin_api_path() -> String {
    "admin-api".into()
}
fn page_size() -> u32 {
    250
}
fn overlap() -> u32 {
    5
}
fn refund_window_days() -> u32 {
    90
}
fn refund_sweep_every() -> u32 {
    900
}
fn catalog_every() -> u32 {
    3600
}
fn reread_every() -> u32 {
    86_400
}
fn yes() -> bool {
    true
}

/// How requests prove who sends them.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// Sign in, then send the session's token.
    Login { username: String, password: Secret },
    /// Send the key with every request.
    ApiKey(Secret),
}

impl Config {
    /// The Admin API's address.
    pub(crate) fn endpoint(&self) -> Result<String> {
        let wrong =
            |why: &str| Error::config("url", format!("`url` {why}; write it as https://shop.example"));
        let mut url =
            Url::parse(self.url.trim()).map_err(|e| wrong("is not an address").with_detail(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("must begin with https:// or http:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not carry a user name or password: use `username` and `password`"));
        }
        url.set_query(None);
        url.set_fragment(None);
        let below = self.admin_api_path.trim_matches('/');
        let path = url.path().trim_end_matches('/').to_owned();
        if below.is_empty() || path.ends_with(&format!("/{below}")) {
            url.set_path(&path);
        } else {
            url.set_path(&format!("{path}/{below}"));
        }
        Ok(url.to_string())
    }

    /// The one way to sign in that is configured.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        match (&self.username, &self.password, &self.api_key) {
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err(Error::config("api_key", "give either `username` and `password`, or `api_key`, not both"))
            }
            (None, None, Some(key)) => Ok(Credentials::ApiKey(key.clone())),
            (Some(username), Some(password), None) => {
                Ok(Credentials::Login { username: username.clone(), password: password.clone() })
            }
            (Some(_), None, None) => {
                Err(Error::config("password", "`username` wants a `password` beside it"))
            }
            (None, Some(_), None) => {
                Err(Error::config("username", "`password` wants a `username` beside it"))
            }
            (None, None, None) => {
                Err(Error::config("username", "no credentials: give `username` and `password`, or `api_key`"))
            }
        }
    }

    /// Refuses figures outside their range, for configurations that no schema has checked.
    pub(crate) fn check_ranges(&self) -> Result<()> {
        let range = |field: &str, value: u32, low: u32, high: u32| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::config(field, format!("`{field}` is {value}; it must be {low} to {high}")))
            }
        };
        range("page_size", self.page_size, 2, 1000)?;
        range("overlap", self.overlap, 2, 3600)?;
        range("refund_window_days", self.refund_window_days, 1, 3650)
    }

    /// A page of the storefront.
    pub(crate) fn storefront(&self, path: &str) -> Option<String> {
        self.storefront_url.as_ref().map(|base| format!("{}/{path}", base.trim_end_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zyklus_connect::ErrorKind;

    fn config(url: &str) -> Config {
        serde_json::from_value(serde_json::json!({ "url": url })).unwrap()
    }

    #[test]
    fn shop_address_and_admin_api_address_mean_the_same() {
        for url in [
            "https://shop.example",
            "https://shop.example/",
            " https://shop.example/admin-api/ ",
            "https://shop.example/admin-api?languageCode=de#x",
        ] {
            assert_eq!(config(url).endpoint().unwrap(), "https://shop.example/admin-api", "{url}");
        }
        assert_eq!(config("http://h:3000/shop/").endpoint().unwrap(), "http://h:3000/shop/admin-api");
        for url in ["shop.example", "ftp://shop.example", "https://u:p@shop.example", ""] {
            let error = config(url).endpoint().unwrap_err();
            assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Config, Some("url")), "{url}");
        }
    }

    #[test]
    fn exactly_one_way_to_sign_in_is_wanted() {
        let field = |extra: serde_json::Value| {
            let mut all = serde_json::json!({ "url": "https://shop.example" });
            all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let config: Config = serde_json::from_value(all).unwrap();
            config.credentials().map_err(|e| e.field.unwrap()).map(drop)
        };
        assert_eq!(field(serde_json::json!({})), Err("username".into()));
        assert_eq!(field(serde_json::json!({ "username": "a" })), Err("password".into()));
        assert_eq!(field(serde_json::json!({ "password": "a" })), Err("username".into()));
        assert_eq!(field(serde_json::json!({ "username": "a", "api_key": "k" })), Err("api_key".into()));
        assert_eq!(field(serde_json::json!({ "username": "a", "password": "b" })), Ok(()));
        assert_eq!(field(serde_json::json!({ "api_key": "k" })), Ok(()));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = r#"{"url":"https://shop.example","pagesize":3}"#;
        assert!(serde_json::from_str::<Config>(text).unwrap_err().to_string().contains("pagesize"));
    }
}
