//! An SMTP server that fails on purpose: refuses, hangs or cuts the connection at a chosen command.
//! It keeps what it received and whether it said so. Never speaks TLS, never checks addresses.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::mail::{Mail, address};

/// Where in the dialogue the server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the greeting.
    Connect,
    /// After EHLO or HELO.
    Hello,
    /// After MAIL FROM.
    Mail,
    /// After RCPT TO.
    Recipient,
    /// After DATA, before the message.
    Data,
    /// After the final dot: the message has arrived, the client does not know what became of it.
    FinalDot,
}

/// What it does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Gives this reply instead, such as `550 5.1.1 no such customer`.
    Reply(String),
    /// Says nothing more until the client goes away.
    Hang,
    /// Closes the connection without a word.
    Cut,
}

/// A mail that arrived in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The mail.
    pub mail: Mail,
    /// Whether the client was told `250`.
    pub confirmed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    once: Mutex<VecDeque<(Stage, Act)>>,
    always: Mutex<Option<(Stage, Act)>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    stop: AtomicBool,
}

/// A running server on loopback. Dropping it ends every dialogue.
#[derive(Debug)]
pub struct SmtpFault {
    shared: Arc<Shared>,
    port: u16,
}

impl SmtpFault {
    /// Starts one that, until told otherwise, takes every mail.
    ///
    /// # Errors
    /// When loopback has no free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stop.load(Ordering::SeqCst) {
                    break;
                }
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&serving);
                // A client that goes away in mid-sentence is what these tests are about, not an error.
                std::thread::spawn(move || drop(Dialogue { shared: &shared, stream: &stream }.hold()));
            }
        });
        Ok(Self { shared, port })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Fails once, the next time a dialogue reaches `stage`; several wait for their turn in order.
    pub fn fail_once(&self, stage: Stage, act: Act) {
        lock(&self.shared.once).push_back((stage, act));
    }

    /// Fails every time a dialogue reaches `stage`, until [`SmtpFault::recover`].
    pub fn fail_always(&self, stage: Stage, act: Act) {
        *lock(&self.shared.always) = Some((stage, act));
    }

    /// Takes every mail from now on.
    pub fn recover(&self) {
        lock(&self.shared.once).clear();
        *lock(&self.shared.always) = None;
    }

    /// How many connections have been opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Every mail whose final dot has arrived, confirmed or not, oldest first.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// Waits until at least `count` mails have arrived, confirmed or not.
    ///
    /// # Errors
    /// When `limit` passes first.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Result<Vec<Received>> {
        let deadline = Instant::now() + limit;
        loop {
            let received = self.received();
            if received.len() >= count {
                return Ok(received);
            }
            if Instant::now() > deadline {
                bail!("{} of {count} mails after {limit:?}", received.len());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for SmtpFault {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

struct Dialogue<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
}

/// The dialogue is over: by a fault, QUIT, or the client.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Dialogue<'_> {
    fn hold(&self) -> Result<(), Over> {
        self.stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        self.stream.set_nodelay(true)?;
        let mut lines = BufReader::new(self.stream);
        self.answer(Stage::Connect, "220 fault.test ESMTP")?;
        let mut mail = Mail { from: String::new(), recipients: Vec::new(), raw: Vec::new() };
        loop {
            let line = self.line(&mut lines)?;
            let text = String::from_utf8_lossy(&line).into_owned();
            let argument = text.split_once(':').map_or("", |(_, argument)| argument);
            match text.get(..4).unwrap_or(&text).to_ascii_uppercase().as_str() {
                "EHLO" => {
                    self.answer(Stage::Hello, "250-fault.test\r\n250-8BITMIME\r\n250 PIPELINING")?;
                }
                "HELO" => {
                    self.answer(Stage::Hello, "250 fault.test")?;
                }
                "MAIL" => {
                    mail = Mail { from: address(argument), recipients: Vec::new(), raw: Vec::new() };
                    self.answer(Stage::Mail, "250 2.1.0 ok")?;
                }
                "RCPT" => {
                    if self.answer(Stage::Recipient, "250 2.1.5 ok")? {
                        mail.recipients.push(address(argument));
                    }
                }
                "DATA" if mail.recipients.is_empty() => self.say("503 5.5.1 no recipient")?,
                "DATA" => {
                    if self.answer(Stage::Data, "354 go on")? {
                        self.receive(&mut lines, mail.clone())?;
                    }
                }
                "QUIT" => return self.say("221 2.0.0 bye"),
                "RSET" | "NOOP" => self.say("250 2.0.0 ok")?,
                _ => self.say("502 5.5.2 what?")?,
            }
        }
    }

    fn receive(&self, lines: &mut impl BufRead, mut mail: Mail) -> Result<(), Over> {
        loop {
            let line = self.line(lines)?;
            match line.as_slice() {
                b"." => break,
                [b'.', rest @ ..] => mail.raw.extend_from_slice(rest),
                whole => mail.raw.extend_from_slice(whole),
            }
            mail.raw.push(b'\n');
        }
        // Noted before the answer: a client that has read it may look at once.
        let at = {
            let mut received = lock(&self.shared.received);
            received.push(Received { mail, confirmed: false });
            received.len() - 1
        };
        let fault = self.fault(Stage::FinalDot);
        lock(&self.shared.received)[at].confirmed = fault.is_none();
        self.act(fault, "250 2.0.0 queued").map(drop)
    }

    /// Answers, or fails if it is time to. Whether the answer was the usual one.
    fn answer(&self, stage: Stage, usual: &str) -> Result<bool, Over> {
        let fault = self.fault(stage);
        self.act(fault, usual)
    }

    fn act(&self, fault: Option<Act>, usual: &str) -> Result<bool, Over> {
        match fault {
            None => self.say(usual).map(|()| true),
            Some(Act::Reply(reply)) => self.say(&reply).map(|()| false),
            Some(Act::Cut) => Err(Over),
            Some(Act::Hang) => {
                let mut rest = BufReader::new(self.stream);
                loop {
                    self.line(&mut rest)?;
                }
            }
        }
    }

    fn fault(&self, stage: Stage) -> Option<Act> {
        let mut once = lock(&self.shared.once);
        if once.front().is_some_and(|(at, _)| *at == stage) {
            return once.pop_front().map(|(_, act)| act);
        }
        lock(&self.shared.always).as_ref().filter(|(at, _)| *at == stage).map(|(_, act)| act.clone())
    }

    fn say(&self, line: &str) -> Result<(), Over> {
        let mut stream = self.stream;
        Ok(stream.write_all(format!("{line}\r\n").as_bytes())?)
    }

    /// One line without its end; wakes now and then to see whether the server has been dropped.
    fn line(&self, lines: &mut impl BufRead) -> Result<Vec<u8>, Over> {
        let mut line = Vec::new();
        loop {
            match lines.read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => {
                    line.truncate(line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 });
                    return Ok(line);
                }
                Ok(_) => return Err(Over),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.shared.stop.load(Ordering::SeqCst) {
                        return Err(Over);
                    }
                }
                Err(_) => return Err(Over),
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
