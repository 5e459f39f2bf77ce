//! What a connector is given when it is opened.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zyklus_model::At;

use crate::error::Result;
use crate::http::{Http, HttpError, HttpRequest, HttpResponse};
use crate::token::{InMemory, Renewals, Token, Tokens};

/// Reads the host's clock.
pub type ClockFn = Arc<dyn Fn() -> At + Send + Sync>;

/// What a connector is given when it is opened: its name, the host's HTTP, clock and tokens, and a folder of its own.
#[derive(Clone)]
pub struct Ctx {
    id: Arc<str>,
    http: Arc<dyn Http>,
    clock: ClockFn,
    tokens: Arc<Renewals>,
    base_dir: Arc<Path>,
    data_dir: Arc<Path>,
}

impl Ctx {
    /// Put together by the host, with tokens that live as long as the process.
    ///
    /// `base_dir` is the folder of the configuration file, against which relative paths in it are meant;
    /// `data_dir` is where the connector may write.
    pub fn new(id: &str, http: Arc<dyn Http>, clock: ClockFn, base_dir: PathBuf, data_dir: PathBuf) -> Self {
        let tokens = Arc::new(Renewals::new(Arc::new(InMemory::default())));
        Ctx { id: id.into(), http, clock, tokens, base_dir: base_dir.into(), data_dir: data_dir.into() }
    }

    /// Keeps tokens here.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Arc<dyn Tokens>) -> Self {
        self.tokens = Arc::new(Renewals::new(tokens));
        self
    }

    /// Where its tokens are kept.
    pub fn tokens(&self) -> Arc<dyn Tokens> {
        self.tokens.tokens()
    }

    /// The connector's id: the name after `connectors.` in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends one HTTP request through the host.
    pub async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.http.send(request).await
    }

    /// A valid access token: the stored one, or a new one from `renew`, which gets the old one. However many ask at
    /// once, one renews and the others wait for it; what it got is stored before anybody uses it.
    ///
    /// # Errors
    /// What `renew` failed with, or that the token could not be stored.
    pub async fn token<F, O>(&self, name: &str, renew: F) -> Result<Token>
    where
        F: FnOnce(Option<Token>) -> O + Send,
        O: Future<Output = Result<Token>> + Send,
    {
        self.tokens.get(name, None, self.now(), renew).await
    }

    /// The same after the other system refused `refused`, whatever it said about how long it would be valid.
    ///
    /// # Errors
    /// As [`Ctx::token`].
    pub async fn token_instead<F, O>(&self, name: &str, refused: &Token, renew: F) -> Result<Token>
    where
        F: FnOnce(Option<Token>) -> O + Send,
        O: Future<Output = Result<Token>> + Send,
    {
        self.tokens.get(name, Some(refused), self.now(), renew).await
    }

    /// The host's clock.
    pub fn now(&self) -> At {
        (self.clock)()
    }

    /// An id nobody else has, that sorts by time. For what the other system must recognise when it is repeated, use the
    /// command's key instead.
    pub fn new_id(&self) -> String {
        let random = [0u64, 1].map(|part| {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(part);
            hasher.finish().to_be_bytes()
        });
        let mut bytes = [0u8; 10];
        bytes.iter_mut().zip(random.as_flattened()).for_each(|(to, from)| *to = *from);
        // The kind of id does not matter: only its digits are shown.
        zyklus_model::DeliveryId::v7(self.now(), bytes).uuid().simple().to_string()
    }

    /// The folder relative paths in the configuration are meant against.
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Where the connector may write.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

impl std::fmt::Debug for Ctx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ctx").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoHttp;

    #[async_trait::async_trait]
    impl Http for NoHttp {
        async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            unreachable!("nothing here asks")
        }
    }

    #[test]
    fn ids_sort_by_time_and_none_comes_twice() {
        let at = |seconds: i64| {
            let clock: ClockFn = Arc::new(move || At::from_seconds(seconds));
            Ctx::new("x", Arc::new(NoHttp), clock, PathBuf::new(), PathBuf::new())
        };
        let ids: std::collections::BTreeSet<String> = (0..1_000).map(|_| at(1_000).new_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 32 && *id < at(1_001).new_id()));
    }
}
