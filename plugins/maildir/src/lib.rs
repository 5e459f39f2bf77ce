//! Writes mails into a Maildir instead of sending them, for trying things out with any mail program.
//!
//! The file's name follows from the delivery, and the file appears whole or not at all: writing the same delivery
//! again, after a crash, changes nothing. Never sends anything anywhere.

mod folder;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use zyklus_connect::mail::{Sender, compose};
use zyklus_connect::schemars::{self, JsonSchema, schema_for};
use zyklus_connect::{
    CONTRACT, Channel, ChannelSpec, Check, Connector, Ctx, Dedup, Error, ErrorKind, Factory, Keyed, Manifest,
    Message, Outcome, Result,
};
use zyklus_model::{Receipt, ReceiptKind};

use folder::Folder;

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
    folder: Folder,
    sender: Arc<Sender>,
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

    fn validate(config: &Config, base_dir: &Path) -> Vec<Error> {
        let path = config.path.as_os_str().is_empty();
        let path = path.then(|| Error::config("path", "`path` is a folder such as `mail`"));
        let open = folder::is_open_to_others(&base_dir.join(&config.path)).then(|| {
            let shown = config.path.display();
            let message = format!(
                "others on this machine can get at `{shown}`; `chmod -R go-rwx {shown}` keeps mails private"
            );
            Error { field: Some("path".into()), ..Error::new(ErrorKind::Permission, message) }
        });
        path.into_iter().chain(Sender::parse(&config.from, None, None).err()).chain(open).collect()
    }

    async fn open(config: Config, ctx: Ctx) -> Result<Self> {
        let mut problems = Self::validate(&config, ctx.base_dir()).into_iter();
        if let Some(error) = problems.find(|problem| problem.kind == ErrorKind::Config) {
            return Err(error);
        }
        let sender = Arc::new(Sender::parse(&config.from, None, None)?);
        let folder = Folder::new(ctx.base_dir().join(&config.path));
        let made = folder.clone();
        blocking(move || made.make()).await?.map_err(|error| {
            let message = format!("the Maildir `{}` cannot be made", config.path.display());
            Error::config("path", message).with_detail(error.to_string())
        })?;
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
        let folder = self.folder.clone();
        let problem = match blocking(move || folder.probe()).await {
            Ok(probed) => probed.err().map(|error| self.failed(&error)),
            Err(defect) => Some(defect),
        };
        vec![Check { name, problem, found: self.folder.path().display().to_string() }]
    }

    fn channel(&self) -> Option<&dyn Channel> {
        Some(self)
    }
}

/// Runs file work where it does not hold up the daemon's other work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let defect = |_| Error::new(ErrorKind::Internal, "writing this mail ended in a defect; please report it");
    tokio::task::spawn_blocking(work).await.map_err(defect)
}

#[async_trait]
impl Channel for MaildirConnector {
    async fn send(&self, batch: Vec<Keyed<Message>>) -> Vec<Outcome<Receipt>> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for keyed in batch {
            outcomes.push(self.deliver(keyed.body).await);
        }
        outcomes
    }
}

impl MaildirConnector {
    async fn deliver(&self, mut message: Message) -> Outcome<Receipt> {
        message.sent_at.get_or_insert(self.ctx.now());
        let (folder, sender) = (self.folder.clone(), Arc::clone(&self.sender));
        // One message that cannot be composed, or even panics, is not the others' fault.
        let written = blocking(move || {
            let mail = compose(&message, &sender)?;
            let name = folder::name_of(&message.delivery);
            Ok((folder.write_once(&name, &mail.bytes), name))
        });
        match written.await {
            Err(refused) | Ok(Err(refused)) => Outcome::Rejected(refused),
            Ok(Ok((Err(error), _))) => Outcome::Retry(self.failed(&error)),
            Ok(Ok((Ok(()), name))) => {
                Outcome::Done(Receipt { kind: ReceiptKind::Accepted, provider_ref: Some(name), detail: None })
            }
        }
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        let message = format!("the Maildir {} cannot be written", self.folder.path().display());
        Error::new(ErrorKind::Transient, message).with_detail(error.to_string())
    }
}

#[cfg(feature = "library")]
zyklus_connect::export_connector!(MaildirConnector);
