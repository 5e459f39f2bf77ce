//! What the operator writes under `[connectors.NAME]` with `type = "smtp"`, and its checked form. Opens no
//! connection.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use zyklus_connect::mail::Sender;
use zyklus_connect::{Error, Secret};

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Plain at first, then upgraded; a server that does not offer it is an error, never a reason to go on
    /// in the clear. Port 587.
    #[default]
    Starttls,
    /// Encrypted from the first byte. Port 465.
    Implicit,
    /// Not encrypted: for a relay on the same machine or network. Port 25.
    None,
}

/// The configuration of an SMTP connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The mail server's name or IP address.
    pub host: String,
    /// Its port; by default 587, 465 or 25 as `tls` says.
    #[serde(default)]
    pub port: Option<u16>,
    /// `starttls` (default), `implicit` or `none`.
    #[serde(default)]
    pub tls: Tls,
    /// PEM file with a further authority to trust, besides those the system trusts; relative to the
    /// configuration's folder.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Name to log in with; without it, no log-in.
    #[serde(default)]
    pub username: Option<String>,
    /// Password to log in with.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Log in over an unencrypted connection even to another machine.
    #[serde(default)]
    pub allow_plain_auth: bool,
    /// Shown sender: `Shop <hello@shop.example>`.
    pub from: String,
    /// Where answers go, if elsewhere.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Address undeliverable mails come back to, if elsewhere.
    #[serde(default)]
    pub bounce: Option<String>,
    /// Name to greet the server with; by default this machine's address on that connection.
    #[serde(default)]
    pub hello_name: Option<String>,
    /// Connections open at once, 1 to 100; by default 4.
    #[serde(default = "four")]
    pub max_connections: u32,
    /// Longest time to connect; by default `10s`.
    #[serde(default = "ten_seconds")]
    #[schemars(with = "String")]
    pub connect_timeout: SignedDuration,
    /// Longest wait for the answer to a command; by default `60s`.
    #[serde(default = "a_minute")]
    #[schemars(with = "String")]
    pub command_timeout: SignedDuration,
    /// Longest wait for the answer after a mail's last byte; by default `10m`, as RFC 5321 asks, because giving
    /// up earlier leaves mails whose fate nobody knows.
    #[serde(default = "ten_minutes")]
    #[schemars(with = "String")]
    pub data_timeout: SignedDuration,
}

fn four() -> u32 {
    4
}
fn ten_seconds() -> SignedDuration {
    SignedDuration::from_secs(10)
}
fn a_minute() -> SignedDuration {
    SignedDuration::from_secs(60)
}
fn ten_minutes() -> SignedDuration {
    SignedDuration::from_secs(600)
}

/// Name and password.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// Name.
    pub(crate) username: String,
    /// Password.
    pub(crate) password: Secret,
}

/// The configuration, checked.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    /// Set unless `tls` is none.
    pub(crate) tls_config: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Set if there is to be a log-in, which is then allowed on the kind of connection that `tls` makes.
    pub(crate) credentials: Option<Credentials>,
    pub(crate) sender: Sender,
    pub(crate) hello_name: Option<String>,
    pub(crate) max_connections: u32,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) data_timeout: Duration,
}

impl Settings {
    /// Checks the configuration; relative paths are meant against `base`.
    pub(crate) fn check(config: Config, base: &Path) -> Result<Self, Error> {
        let host = config.host.trim().to_owned();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(Error::config("host", "`host` is a server name such as `smtp.provider.example`"));
        }
        if !(1..=100).contains(&config.max_connections) {
            return Err(Error::config("max_connections", "`max_connections` is between 1 and 100"));
        }
        if let Some(name) = &config.hello_name
            && (name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)))
        {
            return Err(Error::config(
                "hello_name",
                "`hello_name` is a host name such as `mail.shop.example`",
            ));
        }
        let credentials = credentials(&config, &host)?;
        let tls_config = match config.tls {
            Tls::None => None,
            Tls::Starttls | Tls::Implicit => Some(tls_config(&host, config.ca_file.as_deref(), base)?),
        };
        Ok(Settings {
            port: config.port.unwrap_or(match config.tls {
                Tls::Starttls => 587,
                Tls::Implicit => 465,
                Tls::None => 25,
            }),
            tls: config.tls,
            tls_config,
            credentials,
            sender: Sender::parse(&config.from, config.reply_to.as_deref(), config.bounce.as_deref())?,
            hello_name: config.hello_name,
            max_connections: config.max_connections,
            connect_timeout: positive("connect_timeout", config.connect_timeout)?,
            command_timeout: positive("command_timeout", config.command_timeout)?,
            data_timeout: positive("data_timeout", config.data_timeout)?,
            host,
        })
    }
}

fn positive(field: &'static str, duration: SignedDuration) -> Result<Duration, Error> {
    Duration::try_from(duration)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(|| Error::config(field, format!("`{field}` is longer than nothing, such as `30s`")))
}

fn credentials(config: &Config, host: &str) -> Result<Option<Credentials>, Error> {
    let (username, password) = match (&config.username, &config.password) {
        (None, None) => return Ok(None),
        (Some(username), Some(password)) => (username.clone(), password.clone()),
        (Some(_), None) => return Err(Error::config("password", "`username` is set and `password` is not")),
        (None, Some(_)) => return Err(Error::config("username", "`password` is set and `username` is not")),
    };
    if username.contains('\0') || password.expose().contains('\0') {
        return Err(Error::config("password", "a NUL character cannot be part of a name or password"));
    }
    let local =
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if config.tls == Tls::None && !local && !config.allow_plain_auth {
        return Err(Error::config(
            "tls",
            "with `tls = \"none\"` the password would cross the network readable; use `starttls` or `implicit` \
             (or set `allow_plain_auth = true` if the network is yours alone)",
        ));
    }
    Ok(Some(Credentials { username, password }))
}

fn tls_config(
    host: &str,
    ca_file: Option<&Path>,
    base: &Path,
) -> Result<(Arc<ClientConfig>, ServerName<'static>), Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(|e| {
        Error::config("host", "`host` is not a name a certificate can be for").with_detail(e.to_string())
    })?;
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(file) = ca_file {
        let path = base.join(file);
        let wrong = |why: String| {
            Error::config("ca_file", format!("no certificate can be read from `{}`", file.display()))
                .with_detail(why)
        };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|e| wrong(e.to_string()))? {
            roots.add(certificate.map_err(|e| wrong(e.to_string()))?).map_err(|e| wrong(e.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("it holds no PEM certificate".into()));
        }
    }
    if roots.is_empty() {
        return Err(Error::config(
            "ca_file",
            "this system trusts no certificate authorities; install its `ca-certificates` package or set `ca_file`",
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::config("tls", "TLS cannot be set up").with_detail(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(config), name))
}

#[cfg(test)]
mod tests {
    use zyklus_connect::ErrorKind;

    use super::*;

    fn check(more: serde_json::Value) -> Result<Settings, Error> {
        let mut config =
            serde_json::json!({ "host": "mail.example", "from": "Shop <hello@shop.example>", "tls": "none" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Settings::check(serde_json::from_value(config).unwrap(), Path::new("/nowhere"))
    }

    #[test]
    fn ports_follow_from_tls() {
        assert_eq!(check(serde_json::json!({})).unwrap().port, 25);
        assert_eq!(check(serde_json::json!({ "port": 2525 })).unwrap().port, 2525);
    }

    #[test]
    fn times_are_written_as_people_do() {
        let settings = check(serde_json::json!({ "data_timeout": "2m", "command_timeout": "90s" })).unwrap();
        assert_eq!(settings.data_timeout, Duration::from_secs(120));
        assert_eq!(settings.command_timeout, Duration::from_secs(90));
        assert_eq!(settings.connect_timeout, Duration::from_secs(10));
    }

    #[test]
    fn wrong_keys_are_named() {
        let cases = [
            (serde_json::json!({ "host": "" }), "host"),
            (serde_json::json!({ "from": "Shop" }), "from"),
            (serde_json::json!({ "bounce": "x" }), "bounce"),
            (serde_json::json!({ "max_connections": 0 }), "max_connections"),
            (serde_json::json!({ "hello_name": "a b" }), "hello_name"),
            (serde_json::json!({ "data_timeout": "0s" }), "data_timeout"),
            (serde_json::json!({ "data_timeout": "-5s" }), "data_timeout"),
            (serde_json::json!({ "username": "u" }), "password"),
            (serde_json::json!({ "password": "p" }), "username"),
            (serde_json::json!({ "tls": "implicit", "ca_file": "missing.pem" }), "ca_file"),
        ];
        for (more, field) in cases {
            let error = check(more).err().unwrap();
            assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Config, Some(field)));
        }
    }

    #[test]
    fn password_never_crosses_the_network_readable() {
        let login = |host: &str, allow: bool| {
            check(
                serde_json::json!({ "host": host, "username": "u", "password": "p", "allow_plain_auth": allow }),
            )
        };
        assert_eq!(login("mail.example", false).err().unwrap().field.as_deref(), Some("tls"));
        assert!(login("mail.example", true).is_ok());
        assert!(login("127.0.0.1", false).is_ok());
        assert!(login("localhost", false).is_ok());
    }
}
