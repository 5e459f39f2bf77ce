//! A connector's access tokens in a file of its own folder, which nobody else may read. Written whole before anybody uses
//! a new one; what is in it is kept out of the logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use zyklus_connect::{Error, ErrorKind, Token, Tokens};

use crate::redact::Redactor;

type All = BTreeMap<String, Token>;

/// The tokens of one connector.
pub(crate) struct TokenFile {
    path: Arc<Path>,
    redactor: Redactor,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl TokenFile {
    pub(crate) fn new(data_dir: &Path, redactor: Redactor) -> Self {
        TokenFile { path: data_dir.join("tokens.json").into(), redactor, turn: Arc::default() }
    }

    fn learn(&self, token: &Token) {
        self.redactor.learn(token.value.expose());
        if let Some(refresh) = &token.refresh {
            self.redactor.learn(refresh.expose());
        }
    }
}

fn read(path: &Path) -> Result<All, Error> {
    match std::fs::read(path) {
        // A file that cannot be read holds nothing that could still be used: the next token replaces it.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(All::new()),
        Err(error) => Err(failed(path, &error)),
    }
}

fn write(path: &Path, all: &All) -> std::io::Result<()> {
    let folder: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    // Made for its owner alone.
    let mut made = tempfile::NamedTempFile::new_in(folder)?;
    made.write_all(&serde_json::to_vec(all)?)?;
    made.as_file().sync_all()?;
    made.persist(path)?;
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("the tokens in {} cannot be read or written", path.display());
    Error::new(ErrorKind::Transient, message).with_detail(error.to_string())
}

/// Runs file work off the async threads, in a task that nobody drops half-way.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let lost = |_| Error::new(ErrorKind::Internal, "keeping tokens ended in a defect");
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

#[async_trait]
impl Tokens for TokenFile {
    async fn load(&self, name: &str) -> Result<Option<Token>, Error> {
        let path = Arc::clone(&self.path);
        let token = blocking(move || read(&path)).await?.remove(name);
        if let Some(token) = &token {
            self.learn(token);
        }
        Ok(token)
    }

    async fn store(&self, name: &str, token: &Token) -> Result<(), Error> {
        self.learn(token);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (path, name, token) = (Arc::clone(&self.path), name.to_owned(), token.clone());
        blocking(move || {
            let _turn = turn;
            let mut all = read(&path)?;
            all.insert(name, token);
            write(&path, &all).map_err(|error| failed(&path, &error))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use zyklus_connect::Secret;

    use super::*;

    #[tokio::test]
    async fn tokens_are_kept_for_their_owner_alone_and_out_of_the_logs() {
        let dir = tempfile::tempdir().unwrap();
        let redactor = Redactor::default();
        let tokens = TokenFile::new(dir.path(), redactor.clone());
        assert_eq!(tokens.load("api").await.unwrap(), None);
        let token = Token { value: Secret::new("first-token"), expires_at: None, refresh: None };
        tokens.store("api", &token).await.unwrap();
        tokens.store("other", &Token { value: Secret::new("second-token"), ..token.clone() }).await.unwrap();
        assert_eq!(redactor.scrub("it is first-token"), "it is REDACTED");
        let again = TokenFile::new(dir.path(), Redactor::default());
        assert_eq!(again.load("api").await.unwrap(), Some(token));
        assert_eq!(std::fs::metadata(dir.path().join("tokens.json")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left there");
    }
}
