//! Where a connector may connect to: which hosts, and which of them may have private addresses.
//! Never connects.
//!
//! A host that the operator wrote down (in the connector's address or in `allow_hosts`) may lie in a private
//! network, for merchants host shops on their own machines. A host from the manifest, a wildcard or a redirect
//! may not, unless `allow_private_network = true`: a foreign name could be pointed at the operator's own router.

use std::net::IpAddr;

use serde_json::Value;
use url::{Host, Url};
use zyklus_connect::Manifest;

use crate::config::ConnectorConfig;
use crate::error::HostError;

/// Which addresses a host may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Public ones only.
    Public,
    /// Private and loopback ones too, link-local ones (cloud metadata) not.
    Private,
    /// Any: the operator wrote the address itself.
    Any,
}

/// Whether an address may be connected to.
pub(crate) fn permits(reach: Reach, ip: IpAddr) -> bool {
    match class_of(ip) {
        Class::Public => true,
        Class::Private => reach != Reach::Public,
        Class::LinkLocal => reach == Reach::Any,
        Class::Nowhere => false,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Public,
    Private,
    LinkLocal,
    /// Unspecified, multicast, broadcast, reserved: nothing to talk to.
    Nowhere,
}

fn class_of(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            if v4.is_loopback() || v4.is_private() || (a == 100 && (64..128).contains(&b)) {
                Class::Private
            } else if v4.is_link_local() {
                Class::LinkLocal
            } else if a == 0 || a >= 224 {
                Class::Nowhere
            } else if v4.is_documentation() || (a == 198 && (b == 18 || b == 19)) || (a, b, c) == (192, 0, 0)
            {
                Class::Private
            } else {
                Class::Public
            }
        }
        IpAddr::V6(v6) => {
            let s = v6.segments();
            let embedded = |hi: u16, lo: u16| {
                let ([a, b], [c, d]) = (hi.to_be_bytes(), lo.to_be_bytes());
                class_of(IpAddr::from([a, b, c, d]))
            };
            if v6.is_unspecified() || v6.is_multicast() {
                Class::Nowhere
            } else if v6.is_loopback() || v6.is_unique_local() || s[0] & 0xffc0 == 0xfec0 {
                Class::Private
            } else if v6.is_unicast_link_local() {
                Class::LinkLocal
            } else if v6.to_ipv4_mapped().is_some()
                || s[..6] == [0; 6]
                || s[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
            {
                // IPv4-mapped, IPv4-compatible, NAT64: what counts is the address inside.
                embedded(s[6], s[7])
            } else if s[0] == 0x2002 {
                // 6to4
                embedded(s[1], s[2])
            } else if s[..2] == [0x64, 0xff9b] || s[..2] == [0x2001, 0] || (s[0] == 0x2001 && s[1] == 0xdb8) {
                // Local NAT64, Teredo, documentation.
                Class::Private
            } else {
                Class::Public
            }
        }
    }
}

/// Whether a text can stand in an allow-list: a host name, `*.` and a host name, or an IP address.
pub(crate) fn is_host(text: &str) -> bool {
    fold(text.strip_prefix("*.").unwrap_or(text)).is_some()
}

/// A host as it is compared: lower case, Punycode, no brackets, no final dot.
fn fold(text: &str) -> Option<String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(ip.to_string());
    }
    if text.is_empty() || text.contains([':', '/', '@', '*', '[', ']', ' ']) {
        return None;
    }
    Host::parse(text).ok().map(|host| name_of(&host.to_string()))
}

fn name_of(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// The hosts one connector may talk to.
#[derive(Debug, Default)]
pub(crate) struct Egress {
    /// Host and port of the operator's addresses.
    configured: Vec<(String, Option<u16>)>,
    /// The operator's `allow_hosts`.
    allowed: Vec<String>,
    /// From the manifest; with wildcards, as the operator's wildcards.
    foreign: Vec<String>,
    private: bool,
    url_fields: Vec<String>,
}

/// Why a request does not leave.
pub(crate) type Refusal = String;

impl Egress {
    /// The allow-list of one connector.
    pub(crate) fn new(manifest: &Manifest, config: &ConnectorConfig) -> Result<Self, HostError> {
        let mut egress = Egress {
            private: config.settings.allow_private_network,
            url_fields: manifest.url_fields.clone(),
            ..Egress::default()
        };
        let addresses = manifest.url_fields.iter().filter_map(|field| {
            field.split('.').try_fold(&config.config, |value, part| value.get(part)).and_then(Value::as_str)
        });
        for url in addresses.filter_map(|text| Url::parse(text).ok()) {
            if let Some(host) = url.host_str() {
                egress.configured.push((name_of(host), url.port_or_known_default()));
            }
        }
        let ours = config.settings.allow_hosts.iter().map(|h| (h, true));
        for (host, by_operator) in ours.chain(manifest.hosts.iter().map(|h| (h, false))) {
            let wildcard = host.strip_prefix("*.");
            let folded = fold(wildcard.unwrap_or(host))
                .ok_or_else(|| HostError::BadHost { id: config.id.clone(), host: host.clone() })?;
            match wildcard {
                Some(_) => egress.foreign.push(format!("*.{folded}")),
                None if by_operator => egress.allowed.push(folded),
                None => egress.foreign.push(folded),
            }
        }
        Ok(egress)
    }

    /// Whether a request may go there, and what addresses the host may have.
    pub(crate) fn check(&self, url: &Url, from_redirect: bool) -> Result<Reach, Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{}` is not http or https", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address must not carry a user name or password".into());
        }
        let host = name_of(url.host_str().ok_or("the address has no host")?);
        let port = url.port_or_known_default();
        let configured = self.configured.iter().any(|(name, at)| {
            // A redirect may not choose a port on the operator's own machines.
            *name == host && (!from_redirect || *at == port || matches!(port, Some(80 | 443)))
        });
        let by_operator = configured || (!from_redirect && self.allowed.contains(&host));
        let known = by_operator
            || self.allowed.contains(&host)
            || self.configured.iter().any(|(name, _)| *name == host)
            || self.foreign.iter().any(|pattern| match pattern.strip_prefix('*') {
                Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
                None => *pattern == host,
            });
        if !known {
            return Err(match self.url_fields.first() {
                Some(field) => format!(
                    "the host {host} is not allowed; if it is right, add it to `allow_hosts` or correct `{field}`"
                ),
                None => format!("the host {host} is not allowed; if it is right, add it to `allow_hosts`"),
            });
        }
        let literal = host.parse::<IpAddr>().ok();
        let reach = match (self.private, by_operator) {
            (true, _) => Reach::Any,
            (false, true) if literal.is_some() => Reach::Any,
            (false, true) => Reach::Private,
            (false, false) => Reach::Public,
        };
        match literal {
            Some(ip) if !permits(reach, ip) => Err(private_refused(&host)),
            _ => Ok(reach),
        }
    }
}

/// What to tell when a host lies in a private network and may not.
pub(crate) fn private_refused(host: &str) -> String {
    format!(
        "the host {host} has only private addresses, which only hosts written in the configuration may have; \
         if that is right, set `allow_private_network = true`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fall_into_their_classes() {
        let class = |text: &str| class_of(text.parse().unwrap());
        for public in ["8.8.8.8", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"] {
            assert_eq!(class(public), Class::Public, "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:c0a8:101::1",
            "198.18.0.1",
            "2001:0:1::1",
        ] {
            assert_eq!(class(private), Class::Private, "{private}");
        }
        for link_local in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"] {
            assert_eq!(class(link_local), Class::LinkLocal, "{link_local}");
        }
        for nowhere in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1"] {
            assert_eq!(class(nowhere), Class::Nowhere, "{nowhere}");
        }
    }

    fn egress(private: bool) -> Egress {
        Egress {
            configured: vec![("127.0.0.1".into(), Some(3005)), ("shop.lan".into(), Some(443))],
            allowed: vec!["10.0.0.7".into()],
            foreign: vec!["api.example.com".into(), "*.cdn.example".into(), "192.168.0.9".into()],
            private,
            url_fields: vec!["url".into()],
        }
    }

    #[test]
    fn only_named_hosts_are_reached_and_only_the_operators_may_be_private() {
        let check = |egress: &Egress, url: &str, redirect| egress.check(&Url::parse(url).unwrap(), redirect);
        let e = egress(false);
        assert_eq!(check(&e, "http://127.0.0.1:3005/x", false), Ok(Reach::Any));
        assert_eq!(check(&e, "https://SHOP.lan./x", false), Ok(Reach::Private));
        assert_eq!(check(&e, "http://10.0.0.7/x", false), Ok(Reach::Any));
        assert_eq!(check(&e, "https://api.example.com/x", false), Ok(Reach::Public));
        assert_eq!(check(&e, "https://a.cdn.example/x", false), Ok(Reach::Public));
        assert!(check(&e, "https://cdn.example/x", false).is_err());
        assert!(check(&e, "https://evil.example/x", false).unwrap_err().contains("allow_hosts"));
        assert!(check(&e, "http://192.168.0.9/x", false).unwrap_err().contains("allow_private_network"));
        assert!(check(&e, "http://u:p@127.0.0.1:3005/x", false).is_err());
        assert!(check(&e, "ftp://127.0.0.1/x", false).is_err());
        // 0x7f000001 is 127.0.0.1 in disguise: the parser has unmasked it, and the operator wrote that one.
        assert_eq!(check(&e, "http://0x7f000001:3005/", false), Ok(Reach::Any));
        assert_eq!(check(&egress(true), "http://192.168.0.9/x", false), Ok(Reach::Any));
    }

    #[test]
    fn a_redirect_cannot_choose_a_port_on_the_operators_machines() {
        let check = |url: &str| egress(false).check(&Url::parse(url).unwrap(), true);
        assert_eq!(check("http://127.0.0.1:3005/next"), Ok(Reach::Any));
        assert!(check("http://127.0.0.1:6379/").is_err());
        assert!(check("http://10.0.0.7/").is_err());
        assert_eq!(check("http://shop.lan/"), Ok(Reach::Private));
        assert_eq!(check("http://shop.lan:8443/"), Ok(Reach::Public));
    }
}
