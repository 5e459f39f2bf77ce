//! Access tokens that expire: kept by the host, renewed once however many calls need one. Never fetches one itself.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use zyklus_model::At;

use crate::error::{Error, Result};
use crate::secret::Secret;

/// A token is renewed when it is valid for less than this.
const SOON_MICROS: i64 = 60 * 1_000_000;

/// An access token, and what renews it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What the other system wants to see.
    pub value: Secret,
    /// Until when it does; `None` = until it says otherwise.
    #[serde(default)]
    pub expires_at: Option<At>,
    /// What it gives the next one for, if it needs more than the configuration has.
    #[serde(default)]
    pub refresh: Option<Secret>,
}

impl Token {
    fn is_valid(&self, now: At) -> bool {
        self.expires_at.is_none_or(|end| end.micros_since(now) > SOON_MICROS)
    }
}

/// Where tokens are kept: by the host in the connector's own folder, or across the border of a library.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// The stored token of that name.
    async fn load(&self, name: &str) -> Result<Option<Token>, Error>;
    /// Stores one. When this returns, it is kept.
    async fn store(&self, name: &str, token: &Token) -> Result<(), Error>;
}

/// Keeps tokens as long as the process lives: for tests, and where there is no host that stores them.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<HashMap<String, Token>>);

#[async_trait]
impl Tokens for InMemory {
    async fn load(&self, name: &str) -> Result<Option<Token>, Error> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    async fn store(&self, name: &str, token: &Token) -> Result<(), Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), token.clone());
        Ok(())
    }
}

/// One connector's tokens: at most one renewal of each at a time.
pub(crate) struct Renewals {
    tokens: Arc<dyn Tokens>,
    turns: Mutex<HashMap<String, Arc<futures::lock::Mutex<()>>>>,
}

impl Renewals {
    pub(crate) fn new(tokens: Arc<dyn Tokens>) -> Self {
        Renewals { tokens, turns: Mutex::default() }
    }

    pub(crate) fn tokens(&self) -> Arc<dyn Tokens> {
        Arc::clone(&self.tokens)
    }

    fn turn(&self, name: &str) -> Arc<futures::lock::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(name.to_owned()).or_default())
    }

    pub(crate) async fn get<F, O>(
        &self,
        name: &str,
        refused: Option<&Token>,
        now: At,
        renew: F,
    ) -> Result<Token>
    where
        F: FnOnce(Option<Token>) -> O,
        O: Future<Output = Result<Token>>,
    {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        let stored = self.tokens.load(name).await?;
        match stored {
            // Whoever had its turn before may have renewed the refused one already.
            Some(token) if token.is_valid(now) && refused.is_none_or(|r| r.value != token.value) => Ok(token),
            old => {
                let token = renew(old).await?;
                // Stored before use: a refresh token that can be used once must not be lost.
                self.tokens.store(name, &token).await?;
                Ok(token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::executor::block_on;
    use futures::future::join_all;

    use super::*;

    fn token(text: &str, expires: Option<i64>) -> Token {
        Token { value: Secret::new(text), expires_at: expires.map(At::from_seconds), refresh: None }
    }

    #[test]
    fn a_token_is_renewed_once_stored_first_and_kept_while_it_is_valid() {
        let renewals = Renewals::new(Arc::new(InMemory::default()));
        let renewed = AtomicU32::new(0);
        let get = |now: i64, refused: Option<Token>| {
            let (renewals, renewed) = (&renewals, &renewed);
            async move {
                let renew = |_| async move {
                    let count = renewed.fetch_add(1, Ordering::SeqCst) + 1;
                    Ok(token(&format!("t{count}"), Some(now + 600)))
                };
                renewals.get("api", refused.as_ref(), At::from_seconds(now), renew).await.unwrap()
            }
        };
        let all = block_on(join_all((0..20).map(|_| get(0, None))));
        assert!(all.iter().all(|t| t.value.expose() == "t1"));
        assert_eq!(block_on(get(539, None)).value.expose(), "t1");
        assert_eq!(block_on(get(540, None)).value.expose(), "t2", "valid for a minute and no more");
        // Two calls were refused with the same token: the second finds it renewed.
        let refused = token("t2", None);
        let all = block_on(join_all((0..2).map(|_| get(541, Some(refused.clone())))));
        assert!(all.iter().all(|t| t.value.expose() == "t3"), "{all:?}");
        assert_eq!(renewed.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_renewal_that_fails_stores_nothing_and_the_next_tries_again() {
        let renewals = Renewals::new(Arc::new(InMemory::default()));
        let now = At::from_seconds(0);
        let fails = |_| async { Err(Error::new(crate::ErrorKind::Auth, "no")) };
        assert!(block_on(renewals.get("api", None, now, fails)).is_err());
        let works = |old: Option<Token>| async move {
            assert_eq!(old, None);
            Ok(token("t", None))
        };
        assert_eq!(block_on(renewals.get("api", None, now, works)).unwrap().value.expose(), "t");
    }
}
