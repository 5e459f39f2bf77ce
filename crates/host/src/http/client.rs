//! The HTTP clients all connectors share. Never follows redirects, keeps cookies or uses a proxy.

use std::time::Duration;

use reqwest::Client;

use super::egress::Reach;
use super::resolver::Vetted;
use crate::error::HostError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One client for each reach, so that a connection opened to a private address is never lent to a request that
/// may only reach public ones.
#[derive(Clone)]
pub(crate) struct Clients {
    public: Client,
    private: Client,
    any: Client,
}

impl Clients {
    pub(crate) fn new(user_agent: &str) -> Result<Self, HostError> {
        Ok(Clients {
            public: client(user_agent, Reach::Public)?,
            private: client(user_agent, Reach::Private)?,
            any: client(user_agent, Reach::Any)?,
        })
    }

    pub(crate) fn reaching(&self, reach: Reach) -> &Client {
        match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
            Reach::Any => &self.any,
        }
    }
}

fn client(user_agent: &str, reach: Reach) -> Result<Client, HostError> {
    let builder = || {
        Client::builder()
            .user_agent(user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(8)
            .dns_resolver(Vetted(reach))
    };
    builder().build().or_else(|error| {
        // A machine without root certificates can still talk to a shop on its own network.
        let bare = builder().tls_certs_only([]).build().map_err(HostError::Client)?;
        tracing::warn!(%error, "no root certificates found: https will not work until ca-certificates is installed");
        Ok(bare)
    })
}
