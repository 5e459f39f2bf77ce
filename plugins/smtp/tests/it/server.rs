//! An SMTP server that misbehaves on purpose. What it does to a mail is written in the recipient's local part
//! (`final550@…`, `cut@…`); what it does to a connection, in [`Faults`]. Never sends mail on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
type Line = BufStream<Box<dyn Io>>;

/// What is wrong with the server, and what it offers.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// Instead of `220 …`.
    pub(crate) greeting: Option<&'static str>,
    /// Lines offered after the first in the answer to EHLO.
    pub(crate) offers: Vec<&'static str>,
    /// TLS by STARTTLS (which `offers` must name too), or from the start.
    pub(crate) tls: Option<TlsAcceptor>,
    /// TLS from the first byte.
    pub(crate) implicit: bool,
    /// Text smuggled into the packet that agrees to STARTTLS.
    pub(crate) injected: &'static str,
    /// `name:password` that may log in.
    pub(crate) login: Option<&'static str>,
    /// Hangs up after so many mails on one connection, right after the 250.
    pub(crate) hangs_up_after: Option<usize>,
    /// Answers 421 to MAIL after so many mails on one connection.
    pub(crate) tires_after: Option<usize>,
    /// Works so long on each mail.
    pub(crate) works_for: Duration,
}

/// A running server; it stops with the test's runtime.
pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    taken: Mutex<Vec<(String, Vec<u8>)>>,
    commands: Mutex<Vec<String>>,
    opened: AtomicUsize,
    open: AtomicUsize,
    peak: AtomicUsize,
    /// A mail to `held…@` has come to its final dot.
    held: Notify,
    release: watch::Sender<bool>,
}

impl Server {
    pub(crate) async fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State { faults, ..State::default() });
        let serving = state.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let state = serving.clone();
                tokio::spawn(async move {
                    state.opened.fetch_add(1, Ordering::SeqCst);
                    let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
                    state.peak.fetch_max(open, Ordering::SeqCst);
                    // Errors are the client's going away, which many tests are about.
                    let _ = serve(&state, Box::new(stream)).await;
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Server { port, state }
    }

    /// Mails answered with 250: recipient and bytes.
    pub(crate) fn taken(&self) -> Vec<(String, Vec<u8>)> {
        self.state.taken.lock().expect("no panic").clone()
    }

    /// How often each recipient's mail was taken.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (to, _) in self.taken() {
            *counts.entry(to).or_default() += 1;
        }
        counts
    }

    /// All command lines, log-ins included.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.state.commands.lock().expect("no panic").clone()
    }

    /// Connections accepted in all.
    pub(crate) fn opened(&self) -> usize {
        self.state.opened.load(Ordering::SeqCst)
    }

    /// Most connections open at once.
    pub(crate) fn peak(&self) -> usize {
        self.state.peak.load(Ordering::SeqCst)
    }

    /// Waits until a mail to `held…@` has come to its final dot.
    pub(crate) async fn a_mail_is_held(&self) {
        self.state.held.notified().await;
    }

    /// Lets held mails be answered.
    pub(crate) fn release(&self) {
        self.state.release.send_replace(true);
    }
}

async fn say(line: &mut Line, text: &str) -> std::io::Result<()> {
    line.write_all(text.as_bytes()).await?;
    line.flush().await
}

async fn hear(state: &State, line: &mut Line) -> std::io::Result<String> {
    let mut text = String::new();
    if line.read_line(&mut text).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let text = text.trim_end().to_owned();
    state.commands.lock().expect("no panic").push(text.clone());
    Ok(text)
}

async fn serve(state: &State, stream: Box<dyn Io>) -> std::io::Result<()> {
    let faults = &state.faults;
    let mut line: Line = BufStream::new(stream);
    let mut encrypted = false;
    if let (true, Some(tls)) = (faults.implicit, &faults.tls) {
        line = BufStream::new(Box::new(tls.accept(line.into_inner()).await?));
        encrypted = true;
    }
    say(&mut line, faults.greeting.unwrap_or("220 fault.example ESMTP\r\n")).await?;
    let (mut to, mut mails) = (String::new(), 0);
    loop {
        let command = hear(state, &mut line).await?;
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let offers = faults.offers.iter().filter(|offer| !(encrypted && **offer == "STARTTLS"));
                let lines: String = offers.map(|offer| format!("250-{offer}\r\n")).collect();
                say(&mut line, &format!("250-fault.example hello\r\n{lines}250 HELP\r\n")).await?;
            }
            "STARTTLS" => {
                say(&mut line, &format!("220 go ahead\r\n{}", faults.injected)).await?;
                let tls = faults.tls.as_ref().expect("a test that offers STARTTLS brings a certificate");
                line = BufStream::new(Box::new(tls.accept(line.into_inner()).await?));
                encrypted = true;
            }
            "AUTH" => {
                let ok = logs_in(state, &mut line, &command).await?;
                // Some servers repeat what they were told.
                let wrong = format!("535 5.7.8 wrong: {command}\r\n");
                say(&mut line, if ok { "235 2.7.0 welcome\r\n" } else { &wrong }).await?;
            }
            "MAIL" if faults.tires_after.is_some_and(|n| mails >= n) => {
                say(&mut line, "421 4.7.0 too many mails on this connection\r\n").await?;
                return Ok(());
            }
            "MAIL" if command.contains("refused@") => {
                say(&mut line, "553 5.7.1 not your address\r\n").await?
            }
            "RCPT" => {
                to = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                match to.split('@').next().unwrap_or_default() {
                    "rcpt550" => say(&mut line, "550 5.1.1 <rcpt550@kunde.example> no such user\r\n").await?,
                    "rcpt451" => say(&mut line, "451 4.3.0 later\r\n").await?,
                    "rcpt421" => return say(&mut line, "421 4.3.2 shutting down\r\n").await,
                    "rcptcut" => return Ok(()),
                    "rcptweird" => say(&mut line, "220 what?\r\n").await?,
                    "rcptgarbage" => say(&mut line, "HTTP/1.1 200 OK\r\n\r\n").await?,
                    _ => say(&mut line, "250 2.1.5 ok\r\n").await?,
                }
            }
            "DATA" => {
                if !take(state, &mut line, &to).await? {
                    return Ok(());
                }
                mails += 1;
                if faults.hangs_up_after.is_some_and(|n| mails >= n) {
                    return Ok(());
                }
            }
            "QUIT" => return say(&mut line, "221 bye\r\n").await,
            _ => say(&mut line, "250 2.0.0 ok\r\n").await?,
        }
    }
}

async fn logs_in(state: &State, line: &mut Line, command: &str) -> std::io::Result<bool> {
    use base64::Engine as _;
    let decode = |text: &str| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let wanted = state.faults.login.unwrap_or_default();
    if let Some(token) = command.strip_prefix("AUTH PLAIN ") {
        return Ok(decode(token) == format!("\0{}", wanted.replacen(':', "\0", 1)));
    }
    say(line, "334 VXNlcm5hbWU6\r\n").await?;
    let name = decode(&hear(state, line).await?);
    say(line, "334 UGFzc3dvcmQ6\r\n").await?;
    let password = decode(&hear(state, line).await?);
    Ok(format!("{name}:{password}") == wanted)
}

/// DATA; false = hang up.
async fn take(state: &State, line: &mut Line, to: &str) -> std::io::Result<bool> {
    let how = to.split('@').next().unwrap_or_default();
    match how {
        "data451" => return say(line, "451 4.3.0 no\r\n").await.map(|()| true),
        "data250" => return say(line, "250 huh\r\n").await.map(|()| true),
        "twice354" => say(line, "354 go\r\n354 go\r\n").await?,
        _ => say(line, "354 go\r\n").await?,
    }
    let mut mail = Vec::new();
    loop {
        let mut text = Vec::new();
        if line.read_until(b'\n', &mut text).await? == 0 {
            return Ok(false);
        }
        if text == b".\r\n" {
            break;
        }
        if how == "early552" {
            say(line, "552 5.3.4 too big\r\n").await?;
            return Ok(false);
        }
        mail.extend_from_slice(text.strip_prefix(b".").unwrap_or(&text));
    }
    tokio::time::sleep(state.faults.works_for).await;
    let refusal = match how {
        "cut" => return Ok(false),
        "hang" => {
            // Waits for the client to give up.
            let _ = line.read_u8().await;
            return Ok(false);
        }
        "final550" => "550 5.7.26 unauthenticated\r\n",
        "final451" => "451 4.3.0 later\r\n",
        "final354" => "354 go\r\n",
        "final251" => "251 elsewhere\r\n",
        "finalgarbage" => "ok, thanks\r\n",
        "held550" => {
            state.held.notify_one();
            state.release.subscribe().wait_for(|free| *free).await.expect("the server lives");
            "550 5.1.1 no such user\r\n"
        }
        _ => {
            // Noted first: once the client has read 250, the test may look.
            state.taken.lock().expect("no panic").push((to.to_owned(), mail));
            match how {
                "split" => {
                    for piece in ["2", "50", "-2.0.0 one\r", "\n250 ", "2.0.0 two\r\n"] {
                        say(line, piece).await?;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                "many" => say(line, "250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 queued as X\r\n").await?,
                _ => say(line, "250 2.0.0 queued\r\n").await?,
            }
            return Ok(true);
        }
    };
    say(line, refusal).await?;
    Ok(true)
}
