//! Postfix's `smtp-sink`: a real SMTP server that keeps every mail in a file and delivers none.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::mail::{Mail, address};
use crate::process::{Running, Start, free_port, variable};

/// A running server on loopback.
#[derive(Debug)]
pub struct SmtpSink {
    server: Running,
    port: u16,
    mails: PathBuf,
    _folder: TempDir,
}

impl SmtpSink {
    /// Starts one that takes every mail.
    ///
    /// # Errors
    /// When `cargo xtask setup` was not run or the server does not come up.
    pub async fn start() -> Result<Self> {
        Self::with_options(&[]).await
    }

    /// Starts one with options of smtp-sink's own, such as `["-f", "RCPT"]` (refuse for good), `["-r", "DATA"]`
    /// (refuse for now), `["-q", "."]` (cut the connection), `["-w", "2"]` (answer DATA late).
    ///
    /// # Errors
    /// As [`SmtpSink::start`].
    pub async fn with_options(options: &[&str]) -> Result<Self> {
        let installed = PathBuf::from(variable("ZYKLUS_TEST_SMTP_SINK")?);
        let folder = tempfile::Builder::new().prefix("zyklus-sink-").tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let mails = folder.path().join("mails");
        fs::create_dir(&mails)?;
        // The server refuses to be root, so it is `nobody` who writes here.
        fs::set_permissions(&mails, Permissions::from_mode(0o777))?;
        let (program, libraries) = reachable(&installed, folder.path())?;
        let port = free_port()?;
        let mut args = vec!["-d".into(), mails.join("m.").into_os_string()];
        args.extend(options.iter().map(Into::into));
        args.extend([format!("127.0.0.1:{port}").into(), "100".into()]);
        let server = Running::start(Start {
            program: &program,
            args,
            env: libraries.into_iter().map(|path| ("LD_LIBRARY_PATH", path.into_os_string())).collect(),
            folder: folder.path(),
            log: &folder.path().join("log"),
            user: Some("nobody"),
        })?;
        let mut sink = Self { server, port, mails, _folder: folder };
        let listens = |_: &str| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        sink.server.ready(Duration::from_secs(10), listens).await?;
        Ok(sink)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every mail that was received in full, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn messages(&self) -> Result<Vec<Mail>> {
        let open = self.open_files();
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.mails)? {
            let path = entry?.path();
            // The server unlinks what the client broke off; one it still writes is not received yet.
            if let (false, Ok(meta)) = (open.contains(&path), fs::metadata(&path)) {
                files.push((meta.modified()?, path));
            }
        }
        files.sort();
        files.iter().map(|(_, path)| read(path)).collect()
    }

    /// Waits until at least `count` mails have been received, and returns all there are.
    ///
    /// # Errors
    /// When `limit` passes first; says how many there are.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Result<Vec<Mail>> {
        let deadline = Instant::now() + limit;
        loop {
            let mails = self.messages()?;
            if mails.len() >= count {
                return Ok(mails);
            }
            if Instant::now() > deadline {
                bail!("{} of {count} mails after {limit:?}", mails.len());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn open_files(&self) -> Vec<PathBuf> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.server.id()));
        open.into_iter().flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    }
}

/// A copy that `nobody` may run, when the program was unpacked into a folder instead of being installed,
/// and where its libraries lie.
fn reachable(installed: &Path, folder: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    if installed.starts_with("/usr") {
        return Ok((installed.to_path_buf(), None));
    }
    let program = folder.join("smtp-sink");
    fs::copy(installed, &program).with_context(|| format!("cannot copy {}", installed.display()))?;
    let libraries = installed.ancestors().nth(2).context("smtp-sink lies in usr/sbin")?.join("lib/postfix");
    for entry in fs::read_dir(&libraries).with_context(|| format!("cannot read {}", libraries.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libpostfix-")) {
            fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok((program, Some(folder.to_path_buf())))
}

/// smtp-sink writes the envelope as `X-…-Args` lines and one folded `Received` line before the message.
fn read(path: &Path) -> Result<Mail> {
    let bytes = fs::read(path)?;
    let (mut from, mut recipients) = (String::new(), Vec::new());
    let (mut at, mut traced) = (0, false);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        if let Some(argument) = text.strip_prefix("X-Mail-Args: ") {
            from = address(argument);
        } else if let Some(argument) = text.strip_prefix("X-Rcpt-Args: ") {
            recipients.push(address(argument));
        } else if text.starts_with("Received: ") && !traced {
            traced = true;
        } else if !text.starts_with("X-Client-")
            && !text.starts_with("X-Helo-Args")
            && !text.starts_with('\t')
        {
            break;
        }
        at += line.len();
    }
    // It ends every file with one empty line of its own.
    let message = bytes[at..].strip_suffix(b"\n").unwrap_or(&bytes[at..]);
    Ok(Mail { from, recipients, raw: message.to_vec() })
}
