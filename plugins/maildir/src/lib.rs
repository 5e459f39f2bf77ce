//! Writes mails into a Maildir instead of sending them, for trying things out with any mail program.
//!
//! The file's name follows from the delivery, and the file appears whole or not at all: writing the same delivery
//! again, after a crash, changes nothing. Never sends anything anywhere.

use std::io::Write;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zyklus_connect::mail::{Sender, compose};
use zyklus_connect::schemars::{self, JsonSchema, schema_for};
use zyklus_connect::{
    CONTRACT, Channel, ChannelSpec, Check, Connector, Ctx, Dedup, Error, ErrorKind, Factory, Keyed, Manifest,
    Message, Outcome, Result,
};
use zyklus_model::Receipt;

/// What `[connectors.NAME]` says.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The Maildir, relative to the configuration's folder; made if it is missing.
    pub path: PathBuf,
    /// The shown sender, as `Shop <hello@shop.example>`.
    #[serde(default = "nobody")]
    pub from: String,
}

fn nobody() -> String {
    "Zyklus <zyklus@localhost.invalid>".to_owned()
}

/// A Maildir.
pub struct MaildirConnector {
    manifest: Manifest,
    folder: PathBuf,
    sender: Sender,
    ctx: Ctx,
}

#[async_trait]
impl Factory for MaildirConnector {
    type Config = Config;
    const KIND: &'static str = "maildir";

    fn manifest() -> Manifest {
        Manifest {
            kind: Self::KIND.into(),
            name: "Maildir".into(),
            description: "Writes e-mail into a Maildir, for trying things out.".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            contract: CONTRACT,
            streams: Vec::new(),
            channel: Some(ChannelSpec {
                channel: zyklus_model::Channel::Email,
                dedup: Dedup::Native,
                max_batch: 100,
            }),
            actions: Vec::new(),
            hosts: Vec::new(),
            url_fields: Vec::new(),
            rate_limit: None,
            max_in_flight: 1,
            config_schema: schema_for!(Config).to_value(),
        }
    }

    async fn open(config: Config, ctx: Ctx) -> Result<Self> {
        let folder = ctx.base_dir().join(&config.path);
        let sender = Sender::parse(&config.from, None, None)?;
        for part in ["tmp", "new", "cur"] {
            let path = folder.join(part);
            std::fs::create_dir_all(&path).map_err(|error| {
                Error::config("path", format!("the folder {} cannot be made", path.display()))
                    .with_detail(error.to_string())
            })?;
        }
        Ok(MaildirConnector { manifest: <Self as Factory>::manifest(), folder, sender, ctx })
    }
}

#[async_trait]
impl Connector for MaildirConnector {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self) -> Vec<Check> {
        let name = "the folder can be written".to_owned();
        let probe = self.folder.join("tmp").join("zyklus-check");
        let problem = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).err();
        let problem = problem.map(|error| failed(&self.folder, &error));
        vec![Check { name, problem, found: self.folder.display().to_string() }]
    }

    fn channel(&self) -> Option<&dyn Channel> {
        Some(self)
    }
}

#[async_trait]
impl Channel for MaildirConnector {
    async fn send(&self, batch: Vec<Keyed<Message>>) -> Vec<Outcome<Receipt>> {
        batch.into_iter().map(|keyed| self.deliver(keyed.body)).collect()
    }
}

impl MaildirConnector {
    fn deliver(&self, mut message: Message) -> Outcome<Receipt> {
        let now = self.ctx.now();
        message.sent_at.get_or_insert(now);
        let mail = match compose(&message, &self.sender) {
            Ok(mail) => mail,
            Err(error) => return Outcome::Rejected(error),
        };
        let digest = Sha256::digest(message.delivery.as_bytes());
        let name = format!("{}.eml", hex::encode(&digest[..16]));
        match write_once(&self.folder, &name, &mail.bytes) {
            Ok(()) => Outcome::Done(Receipt {
                kind: zyklus_model::ReceiptKind::Accepted,
                provider_ref: Some(name),
                detail: None,
            }),
            Err(error) => Outcome::Retry(failed(&self.folder, &error)),
        }
    }
}

/// Writes a file that is whole as soon as it can be seen; one that was delivered before, read or not, stays.
fn write_once(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let target = folder.join("new").join(name);
    if target.exists() || was_read(folder, name)? {
        return Ok(());
    }
    let draft = folder.join("tmp").join(name);
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, &target)?;
    std::fs::File::open(folder.join("new"))?.sync_all()
}

/// Mail programs move a mail to `cur` and add flags after a colon.
fn was_read(folder: &Path, name: &str) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder.join("cur"))? {
        if entry?.file_name().to_string_lossy().starts_with(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn failed(folder: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Transient, format!("the Maildir {} cannot be written", folder.display()))
        .with_detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn the_same_delivery_is_one_file_even_after_it_was_read() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["tmp", "new", "cur"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        write_once(dir.path(), "a.eml", b"one").unwrap();
        write_once(dir.path(), "a.eml", b"two").unwrap();
        let new = dir.path().join("new");
        assert_eq!(files(&new), [new.join("a.eml")]);
        assert_eq!(std::fs::read(new.join("a.eml")).unwrap(), b"one");
        std::fs::rename(new.join("a.eml"), dir.path().join("cur/a.eml:2,S")).unwrap();
        write_once(dir.path(), "a.eml", b"one").unwrap();
        assert!(files(&new).is_empty());
        assert!(files(&dir.path().join("tmp")).is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_once(&dir.path().join("missing"), "a.eml", b"one").unwrap_err();
        assert_eq!(failed(dir.path(), &error).kind, ErrorKind::Transient);
    }
}
