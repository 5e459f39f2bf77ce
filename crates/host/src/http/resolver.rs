//! Name resolution that gives the HTTP client only addresses it may connect to: what was vetted is what is
//! connected to, so a name that changes between check and use gains nothing. Never caches.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::egress::{Reach, permits, private_refused};

/// Resolves with the operating system and leaves out addresses beyond its reach.
pub(crate) struct Vetted(pub(crate) Reach);

/// All addresses of a host were refused.
#[derive(Debug, thiserror::Error)]
#[error("{}", private_refused(.0))]
pub(crate) struct AddressRefused(String);

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let had_some = !found.is_empty();
            let vetted: Vec<SocketAddr> = found.into_iter().filter(|a| permits(reach, a.ip())).collect();
            if vetted.is_empty() && had_some {
                return Err(AddressRefused(host).into());
            }
            let addresses: Addrs = Box::new(vetted.into_iter());
            Ok(addresses)
        })
    }
}
