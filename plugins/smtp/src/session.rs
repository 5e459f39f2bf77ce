//! One SMTP conversation: opening it (greeting, EHLO, TLS, log-in) and handing mails over, one after another.
//! A conversation that is not certainly in step is dropped here, never given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::time::Instant;
use tokio_rustls::rustls::{CertificateError, Error as TlsError};
use zyklus_connect::mail::Composed;
use zyklus_connect::{Error, ErrorKind};

use crate::config::{Credentials, Settings, Tls};
use crate::outcome::{Failure, Stage, broken_line, refusal};
use crate::reply::{Extensions, Reply};
use crate::wire::{Broken, Wire, connect};

/// How long a last word of the server is waited for after the line broke in the middle of a mail.
const LAST_WORD: Duration = Duration::from_secs(1);

/// An open conversation, in step: nothing unread, no mail half-way.
pub(crate) struct Session {
    wire: Wire,
    settings: Arc<Settings>,
    extensions: Extensions,
    /// Whether the last mail was refused half-way, so that RSET must come first.
    needs_reset: bool,
    /// When it was last used.
    used_at: Instant,
}

impl Session {
    /// Connects and gets ready to hand over mails. Every error is the connector's, not a mail's.
    pub(crate) async fn open(settings: Arc<Settings>) -> Result<Self, Error> {
        let within = settings.command_timeout;
        let stream =
            connect(&settings.host, settings.port, settings.connect_timeout).await.map_err(|broken| {
                let problem = broken_line(&broken);
                Error {
                    message: format!(
                        "no connection to `{}` port {}; check `host` and `port`",
                        settings.host, settings.port
                    ),
                    ..problem
                }
            })?;
        let hello = match (&settings.hello_name, stream.local_addr()) {
            (Some(name), _) => name.clone(),
            (None, Ok(address)) if address.is_ipv4() => format!("[{}]", address.ip()),
            (None, Ok(address)) => format!("[IPv6:{}]", address.ip()),
            (None, Err(_)) => "[127.0.0.1]".to_owned(),
        };
        let mut wire = Wire::new(stream);
        if settings.tls == Tls::Implicit {
            wire = encrypt(wire, &settings).await?;
        }
        let greeting = wire.read(within).await.map_err(|b| broken_line(&b))?;
        expect(Stage::Greeting, 220, &greeting)?;
        quiet(&mut wire).await?;
        let mut extensions = greet(&mut wire, &hello, within).await?;
        if settings.tls == Tls::Starttls {
            if !extensions.offers("STARTTLS") {
                return Err(Error::config(
                    "tls",
                    "the mail server does not offer STARTTLS, or somebody in between hides it; nothing was sent. \
                     If it speaks TLS from the start, set `tls = \"implicit\"`",
                ));
            }
            let reply = command(&mut wire, "STARTTLS\r\n", within).await?;
            expect(Stage::StartTls, 220, &reply)?;
            if !wire.is_quiet().await {
                return Err(Error::new(
                    ErrorKind::Transient,
                    "the mail server, or somebody in between, sent text before TLS had begun; nothing was sent",
                ));
            }
            wire = encrypt(wire, &settings).await?;
            extensions = greet(&mut wire, &hello, within).await?;
        }
        if let Some(credentials) = &settings.credentials {
            log_in(&mut wire, credentials, &extensions, within).await?;
        }
        quiet(&mut wire).await?;
        Ok(Session { wire, settings, extensions, needs_reset: false, used_at: Instant::now() })
    }

    /// What the server offers.
    pub(crate) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// When it was last used.
    pub(crate) fn used_at(&self) -> Instant {
        self.used_at
    }

    /// The session, if the server still keeps it; asks (`NOOP`) only when it was idle for long.
    pub(crate) async fn revive(mut self, ask_after: Duration) -> Option<Self> {
        if !self.wire.is_quiet().await {
            return None;
        }
        if self.used_at.elapsed() > ask_after {
            let reply = command(&mut self.wire, "NOOP\r\n", self.settings.command_timeout).await.ok()?;
            if reply.code != 250 || !self.wire.is_quiet().await {
                return None;
            }
        }
        Some(self)
    }

    /// Says goodbye. Whether the server answers does not matter.
    pub(crate) async fn quit(mut self) {
        if self.wire.write(b"QUIT\r\n", LAST_WORD).await.is_ok() {
            let _ = self.wire.read(LAST_WORD).await;
        }
    }

    /// Hands one mail over. `handed_over` becomes true just before the final dot may leave. The session comes
    /// back only if it is in step.
    pub(crate) async fn deliver(
        mut self,
        mail: &Composed,
        handed_over: &AtomicBool,
    ) -> (Result<Reply, Failure>, Option<Self>) {
        let result = self.transaction(mail, handed_over).await;
        let keep = match &result {
            Ok(_) => true,
            Err(failure) => failure.keeps_connection(),
        };
        if !keep || !self.wire.is_quiet().await {
            return (result, None);
        }
        self.used_at = Instant::now();
        (result, Some(self))
    }

    async fn transaction(&mut self, mail: &Composed, handed_over: &AtomicBool) -> Result<Reply, Failure> {
        let within = self.settings.command_timeout;
        if let Some(limit) = self.extensions.size.filter(|limit| (*limit as usize) < mail.bytes.len()) {
            return Err(Failure::TooLarge { limit });
        }
        if mail.needs_smtputf8 && !self.extensions.offers("SMTPUTF8") {
            return Err(Failure::NoSmtpUtf8);
        }
        if self.needs_reset {
            let reply = self.ask("RSET\r\n", Stage::Reset).await?;
            accept(Stage::Reset, &[250], reply)?;
            self.needs_reset = false;
        }
        self.envelope(mail).await?;
        let reply = self.ask("DATA\r\n", Stage::Data).await?;
        if let Err(failure) = accept(Stage::Data, &[354], reply) {
            self.needs_reset = true;
            return Err(failure);
        }

        // All of the mail but the final dot. Until that has left, the server has no whole mail to send on.
        let data_within = self.settings.data_timeout;
        let written = self.wire.write(&stuffed(&mail.bytes), data_within).await;
        if written.is_err() || !self.wire.is_quiet().await {
            let word = self.wire.read(LAST_WORD).await;
            return Err(match (word, written) {
                (Ok(reply), _) if reply.is_refusal() => Failure::Refused(Stage::Body, reply),
                (Ok(reply), Ok(())) => Failure::OutOfTurn(Stage::Body, reply),
                (Err(broken), Ok(())) | (_, Err(broken)) => Failure::Before(Stage::Body, broken),
            });
        }
        handed_over.store(true, Ordering::SeqCst);
        self.wire.write(b".\r\n", within).await.map_err(Failure::After)?;
        let reply = self.wire.read(data_within).await.map_err(Failure::After)?;
        match reply.code {
            250 => Ok(reply),
            _ if reply.is_refusal() => Err(Failure::Refused(Stage::Final, reply)),
            _ => Err(Failure::Meaningless(reply)),
        }
    }

    /// `MAIL` and `RCPT`, in one packet where the server allows it.
    async fn envelope(&mut self, mail: &Composed) -> Result<(), Failure> {
        let mut sender = format!("MAIL FROM:<{}>", mail.envelope_from);
        if self.extensions.size.is_some() || self.extensions.offers("SIZE") {
            sender.push_str(&format!(" SIZE={}", mail.bytes.len()));
        }
        if mail.needs_smtputf8 {
            sender.push_str(" BODY=8BITMIME SMTPUTF8");
        }
        sender.push_str("\r\n");
        let recipient = format!("RCPT TO:<{}>\r\n", mail.envelope_to);
        let pipelined = self.extensions.offers("PIPELINING");
        if pipelined {
            sender.push_str(&recipient);
        }
        let reply = self.ask(&sender, Stage::Sender).await?;
        self.needs_reset = true;
        if let Err(failure) = accept(Stage::Sender, &[250], reply) {
            if pipelined && failure.keeps_connection() {
                // The answer to RCPT, which came along; it is 503 or the like.
                self.wire
                    .read(self.settings.command_timeout)
                    .await
                    .map_err(|b| Failure::Before(Stage::Recipient, b))?;
            }
            return Err(failure);
        }
        let reply = match pipelined {
            true => self
                .wire
                .read(self.settings.command_timeout)
                .await
                .map_err(|b| Failure::Before(Stage::Recipient, b))?,
            false => self.ask(&recipient, Stage::Recipient).await?,
        };
        accept(Stage::Recipient, &[250, 251, 252], reply)?;
        self.needs_reset = false;
        Ok(())
    }

    async fn ask(&mut self, line: &str, stage: Stage) -> Result<Reply, Failure> {
        let within = self.settings.command_timeout;
        self.wire.write(line.as_bytes(), within).await.map_err(|broken| Failure::Before(stage, broken))?;
        self.wire.read(within).await.map_err(|broken| Failure::Before(stage, broken))
    }
}

/// Sorts an answer before the final dot.
fn accept(stage: Stage, wanted: &[u16], reply: Reply) -> Result<(), Failure> {
    if wanted.contains(&reply.code) {
        Ok(())
    } else if reply.is_refusal() {
        Err(Failure::Refused(stage, reply))
    } else {
        Err(Failure::OutOfTurn(stage, reply))
    }
}

/// The mail with dots at line beginnings doubled (RFC 5321, 4.5.2), ending in a line end.
fn stuffed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 64 + 2);
    let mut at_start = true;
    for &byte in bytes {
        if at_start && byte == b'.' {
            out.push(b'.');
        }
        out.push(byte);
        at_start = byte == b'\n';
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

async fn command(wire: &mut Wire, line: &str, within: Duration) -> Result<Reply, Error> {
    wire.write(line.as_bytes(), within).await.map_err(|b| broken_line(&b))?;
    wire.read(within).await.map_err(|b| broken_line(&b))
}

fn expect(stage: Stage, code: u16, reply: &Reply) -> Result<(), Error> {
    if reply.code == code {
        return Ok(());
    }
    if reply.is_refusal() {
        return Err(refusal(stage, reply, reply.to_string()));
    }
    Err(Error::new(ErrorKind::Transient, "the mail server answered out of turn")
        .with_code(reply.label())
        .with_detail(reply.to_string()))
}

/// A server that speaks out of turn would have its words taken for the answer to the next command.
async fn quiet(wire: &mut Wire) -> Result<(), Error> {
    match wire.is_quiet().await {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Transient, "the mail server sends text nobody asked for")),
    }
}

async fn greet(wire: &mut Wire, hello: &str, within: Duration) -> Result<Extensions, Error> {
    let reply = command(wire, &format!("EHLO {hello}\r\n"), within).await?;
    expect(Stage::Hello, 250, &reply)?;
    Ok(Extensions::read(&reply))
}

async fn encrypt(wire: Wire, settings: &Settings) -> Result<Wire, Error> {
    let (config, name) = settings.tls_config.clone().expect("settings with TLS hold its configuration");
    wire.into_tls(config, name, settings.connect_timeout).await.map_err(|broken| {
        let certificate = match &broken {
            Broken::Io(cause) => cause.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()),
            Broken::Closed | Broken::TimedOut(_) | Broken::Malformed(_) => None,
        };
        let detail = broken_line(&broken).detail.unwrap_or_default();
        match certificate {
            Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => Error::config(
                "ca_file",
                "the mail server's certificate comes from nobody this system trusts; nothing was sent. \
                 If it is your own authority's, set `ca_file`",
            ),
            Some(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Error::config(
                "host",
                "the mail server's certificate is for another name than `host`; nothing was sent",
            ),
            Some(TlsError::InvalidCertificate(_)) => Error::new(
                ErrorKind::Transient,
                "the mail server's certificate is not valid; nothing was sent",
            ),
            Some(TlsError::InvalidMessage(_)) => Error::new(
                ErrorKind::Transient,
                "the mail server does not speak TLS there; check `port` and `tls`",
            ),
            Some(_) | None => {
                Error::new(ErrorKind::Transient, "TLS with the mail server failed; nothing was sent")
            }
        }
        .with_detail(detail)
    })
}

async fn log_in(
    wire: &mut Wire,
    credentials: &Credentials,
    extensions: &Extensions,
    within: Duration,
) -> Result<(), Error> {
    let offers = |way: &str| extensions.auth.iter().any(|offered| offered == way);
    let (username, password) = (&credentials.username, credentials.password.expose());
    let last = if offers("PLAIN") {
        let token = BASE64.encode(format!("\0{username}\0{password}"));
        command(wire, &format!("AUTH PLAIN {token}\r\n"), within).await?
    } else if offers("LOGIN") {
        let mut reply = command(wire, "AUTH LOGIN\r\n", within).await?;
        for answer in [username.as_str(), password] {
            if reply.code != 334 {
                break;
            }
            reply = command(wire, &format!("{}\r\n", BASE64.encode(answer)), within).await?;
        }
        reply
    } else {
        return Err(Error::config(
            "username",
            "the mail server offers neither AUTH PLAIN nor AUTH LOGIN on this connection; check `port` and `tls`, or \
             leave `username` out if it needs no log-in",
        )
        .with_detail(extensions.keywords.join(" ")));
    };
    if last.code == 235 {
        return Ok(());
    }
    // A server might repeat what it was told, in one form or another: its words go no further, only its code does.
    if last.is_refusal() {
        return Err(Error { detail: None, ..refusal(Stage::LogIn, &last, String::new()) });
    }
    Err(Error::new(ErrorKind::Auth, "the mail server did not complete the log-in").with_code(last.label()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_at_line_beginnings_are_doubled() {
        assert_eq!(stuffed(b".a\r\n.\r\nb.\r\n..c"), b"..a\r\n..\r\nb.\r\n...c\r\n");
        assert_eq!(stuffed(b""), b"\r\n");
    }
}
