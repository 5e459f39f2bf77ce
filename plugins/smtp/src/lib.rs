//! Carries e-mail to an SMTP server, each mail exactly once as far as SMTP lets anybody know.
//!
//! A mail counts as sent only when the server answers 250 after its last byte; without an answer there its fate
//! is [`Outcome::Unknown`], and before that it is certainly unsent. Each mail is sent in a task of its own, so
//! that a dropped [`Channel::send`] neither cuts one in half nor leaves a connection out of step. Why this
//! speaks SMTP itself is told in the README. Never composes: that is [`zyklus_connect::mail`].

mod config;
mod outcome;
mod pool;
mod reply;
mod session;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::task::JoinHandle;
use zyklus_connect::mail::compose;
use zyklus_connect::schemars::schema_for;
use zyklus_connect::{
    CONTRACT, Channel, ChannelSpec, Check, Connector, Ctx, Dedup, Error, ErrorKind, Factory, Keyed, Manifest,
    Message, Outcome, Result,
};
use zyklus_model::Receipt;

pub use config::{Config, Tls};

use config::Settings;
use pool::Pool;
use session::Session;

/// A connection to one SMTP server.
pub struct SmtpConnector {
    manifest: Manifest,
    settings: Arc<Settings>,
    pool: Arc<Pool>,
    ctx: Ctx,
}

#[async_trait]
impl Factory for SmtpConnector {
    type Config = Config;
    const KIND: &'static str = "smtp";

    fn manifest() -> Manifest {
        Manifest {
            kind: Self::KIND.into(),
            name: "SMTP".into(),
            description: "Sends e-mail through an SMTP server.".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            contract: CONTRACT,
            streams: Vec::new(),
            channel: Some(ChannelSpec {
                channel: zyklus_model::Channel::Email,
                dedup: Dedup::None,
                max_batch: 4,
            }),
            actions: Vec::new(),
            hosts: Vec::new(),
            url_fields: Vec::new(),
            rate_limit: None,
            max_in_flight: 4,
            config_schema: config_schema(),
        }
    }

    fn validate(config: &Config, base_dir: &Path) -> Vec<Error> {
        let problem = Settings::check(config.clone(), base_dir).err();
        // Without a `ca_file`, that is this machine's lack of authorities, and another may run the daemon.
        problem
            .into_iter()
            .filter(|e| config.ca_file.is_some() || e.field.as_deref() != Some("ca_file"))
            .collect()
    }

    async fn open(config: Config, ctx: Ctx) -> Result<Self> {
        let settings = Arc::new(Settings::check(config, ctx.base_dir())?);
        let mut manifest = <Self as Factory>::manifest();
        manifest.max_in_flight = settings.max_connections;
        if let Some(channel) = &mut manifest.channel {
            // As many as really are under way at once: a crash leaves no more than these in doubt.
            channel.max_batch = settings.max_connections;
        }
        let pool = Pool::new(settings.clone());
        Ok(SmtpConnector { manifest, settings, pool, ctx })
    }
}

fn config_schema() -> serde_json::Value {
    schema_for!(Config).to_value()
}

#[async_trait]
impl Connector for SmtpConnector {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Connects, encrypts, logs in and leaves, over a connection of its own.
    async fn check(&self) -> Vec<Check> {
        let name = "connection and log-in".to_owned();
        let session = match Session::open(self.settings.clone()).await {
            Ok(session) => session,
            Err(problem) => return vec![Check { name, problem: Some(problem), found: String::new() }],
        };
        let extensions = session.extensions();
        let tls = match self.settings.tls {
            Tls::None => "not encrypted",
            Tls::Starttls => "STARTTLS",
            Tls::Implicit => "TLS",
        };
        let log_in = if self.settings.credentials.is_some() { "logged in" } else { "no log-in" };
        let found =
            format!("{}, {tls}, {log_in}, offers {}", extensions.server, extensions.keywords.join(" "));
        session.quit().await;
        vec![Check { name, problem: None, found }]
    }

    fn channel(&self) -> Option<&dyn Channel> {
        Some(self)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Channel for SmtpConnector {
    async fn send(&self, batch: Vec<Keyed<Message>>) -> Vec<Outcome<Receipt>> {
        let tasks: Vec<Sending> = batch.into_iter().map(|keyed| self.start(keyed.body)).collect();
        let mut outcomes = Vec::with_capacity(tasks.len());
        for task in tasks {
            outcomes.push(task.ended().await);
        }
        outcomes
    }
}

impl SmtpConnector {
    /// Sends one message in a task of its own, which goes on whether or not anybody waits for it.
    fn start(&self, mut message: Message) -> Sending {
        let handed_over = Arc::new(AtomicBool::new(false));
        let (settings, pool, flag) = (self.settings.clone(), self.pool.clone(), handed_over.clone());
        let now = self.ctx.now();
        let task = tokio::spawn(async move {
            message.sent_at.get_or_insert(now);
            match compose(&message, &settings.sender) {
                Ok(mail) => pool.send(&mail, &flag).await,
                Err(error) => Outcome::Rejected(error),
            }
        });
        Sending { task, handed_over }
    }
}

/// One mail on its way.
struct Sending {
    task: JoinHandle<Outcome<Receipt>>,
    handed_over: Arc<AtomicBool>,
}

impl Sending {
    /// How it ended, even if its task died.
    async fn ended(self) -> Outcome<Receipt> {
        let died = match self.task.await {
            Ok(outcome) => return outcome,
            Err(died) => died,
        };
        let error = Error::new(ErrorKind::Internal, "sending this mail ended in a defect; please report it");
        if self.handed_over.load(Ordering::SeqCst) {
            Outcome::Unknown(error)
        } else if died.is_panic() {
            Outcome::Rejected(error)
        } else {
            Outcome::Retry(Error::new(
                ErrorKind::Cancelled,
                "the daemon stopped before the mail was handed over",
            ))
        }
    }
}

#[cfg(feature = "library")]
zyklus_connect::export_connector!(SmtpConnector);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_dies_is_unknown_only_after_the_final_dot() {
        for (reached, unknown) in [(false, false), (true, true)] {
            let sending = Sending {
                task: tokio::spawn(async { panic!("a poison message") }),
                handed_over: Arc::new(AtomicBool::new(reached)),
            };
            match sending.ended().await {
                Outcome::Unknown(_) => assert!(unknown),
                Outcome::Rejected(_) => assert!(!unknown),
                Outcome::Done(_) | Outcome::Retry(_) => panic!("neither sent nor to be sent again"),
            }
        }
    }
}
