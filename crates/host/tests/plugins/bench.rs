//! What the tests stand on: a plugin folder, C libraries compiled for it, a host, and what it logged.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use zyklus_connect::{Action, Error, Http, Keyed, Mode, Outcome, Page, ReadRequest};
use zyklus_host::config::read_connectors;
use zyklus_host::plugin::ChildCommand;
use zyklus_host::{
    ConfigOptions, ConnectorConfig, Exchange, Host, HostError, HostOptions, Limits, Opened, Registry,
    ReplayHttp, Source,
};
use zyklus_model::At;

/// A configuration's folder with plugins in it.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) limits: Limits,
    allow_unpinned: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        logged();
        let dir = tempfile::tempdir().unwrap();
        let plugins = dir.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        chmod(&plugins, 0o755);
        let limits = Limits {
            open: Duration::from_secs(20),
            read: Duration::from_secs(20),
            command: Duration::from_secs(20),
            rest: Duration::from_millis(50),
        };
        Bench { dir, limits, allow_unpinned: true }
    }

    /// One where every library has to be pinned.
    pub(crate) fn strict() -> Self {
        Bench { allow_unpinned: false, ..Bench::new() }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Compiles `hostile.c` with these macros into the plugin folder.
    pub(crate) fn hostile(&self, macros: &[&str]) -> &Self {
        compile("hostile.c", "../connect/include", macros, &self.path("plugins/x.so"));
        self
    }

    /// Compiles it against the header of 1.0 as it was.
    pub(crate) fn hostile_of_1_0(&self) -> &Self {
        compile("hostile.c", "tests/plugins/v1_0", &[], &self.path("plugins/x.so"));
        self
    }

    /// Puts the library that panics there.
    pub(crate) fn unruly(&self) -> &Self {
        let test = std::env::current_exe().unwrap();
        let library = test.ancestors().nth(2).unwrap().join("examples/libunruly.so");
        let to = self.path("plugins/x.so");
        std::fs::copy(&library, &to).unwrap_or_else(|e| panic!("{} is not built: {e}", library.display()));
        chmod(&to, 0o644);
        self
    }

    pub(crate) fn options(&self) -> ConfigOptions {
        let mut options = ConfigOptions::new(self.dir.path());
        options.allow_literal_secrets = true;
        options.plugins.command = this_program();
        if self.allow_unpinned {
            options.plugins.allow_unpinned = vec!["x.so".into()];
        }
        options
    }

    /// Reads `[connectors.x]` with these lines.
    pub(crate) fn config(&self, lines: &str) -> Result<ConnectorConfig, String> {
        let text = format!("[connectors.x]\nlibrary = \"x.so\"\n{lines}\n");
        let source = Source { file: "zyklus.toml", text: &text };
        let read = read_connectors(&source, &Registry::new(), &self.options());
        let words =
            |problems: Vec<zyklus_host::ConfigProblem>| problems.iter().map(ToString::to_string).collect();
        read.map(|mut all| all.remove(0)).map_err(words)
    }

    /// Why the library is not used.
    pub(crate) fn refusal(&self, lines: &str) -> String {
        self.config(lines).unwrap().failed.expect("it is refused").reason
    }

    pub(crate) fn host(&self) -> Host {
        let clock = Arc::new(|| At::from_seconds(7));
        let options = HostOptions {
            limits: self.limits,
            ..HostOptions::new(clock, self.dir.path(), self.path("connectors"))
        };
        Host::new(Registry::new(), options).unwrap()
    }

    /// Opens it on an HTTP that knows one page.
    pub(crate) async fn open(&self, lines: &str) -> Result<Opened, HostError> {
        let config = self.config(lines).unwrap();
        if let Some(failed) = &config.failed {
            panic!("{}", failed.reason);
        }
        let http: Arc<dyn Http> =
            Arc::new(ReplayHttp::new([Exchange::json("GET", "/x", None, 204, json!({}))]));
        self.host().open_on(&config, http).await
    }

    /// Pins the library in `plugins.lock`.
    pub(crate) fn lock(&self, sha256: &str) {
        let text = format!(
            "[[plugin]]\nlibrary = \"x.so\"\nkind = \"hostile\"\nversion = \"0.1\"\nabi = \"1.0\"\nsha256 = \"{sha256}\"\n"
        );
        std::fs::write(self.path("plugins.lock"), text).unwrap();
    }

    pub(crate) fn sha256(&self) -> String {
        let output = Command::new("sha256sum").arg(self.path("plugins/x.so")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn this_program() -> ChildCommand {
    ChildCommand { program: std::env::current_exe().unwrap(), args: vec![OsString::from("plugin-process")] }
}

fn compile(source: &str, include: &str, macros: &[&str], to: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cc = Command::new("cc");
    cc.args([
        "-std=c11",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-infinite-recursion",
        "-Wno-unused-function",
    ])
    .args(["-shared", "-fPIC", "-fvisibility=hidden", "-pthread", "-I"])
    .arg(here.join(include))
    .args(macros.iter().map(|name| format!("-D{name}")))
    .arg("-o")
    .arg(to)
    .arg(here.join("tests/plugins").join(source));
    let output = cc.output().expect("a C compiler called `cc` is needed for these tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    chmod(to, 0o644);
}

/// Runs a case on a runtime of its own.
pub(crate) fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(case);
    // What blocks for good is left behind.
    runtime.shutdown_background();
}

pub(crate) async fn read(opened: &Opened, stream: &str) -> Result<Page, Error> {
    let request = ReadRequest { stream: stream.into(), cursor: None, mode: Mode::Incremental, limit: 10 };
    opened.read(request).await
}

/// The figure a page brings.
pub(crate) async fn figure(opened: &Opened, stream: &str) -> u64 {
    read(opened, stream).await.unwrap().total.unwrap()
}

/// Asks for what is answered only when it is to be given up. That answer comes as the time ends: it counts, or is too late.
pub(crate) async fn read_late(opened: &Opened) {
    match read(opened, "do-late").await {
        Ok(page) => assert_eq!(page.total, Some(7)),
        Err(error) => assert!(error.message.contains("took longer than"), "{}", error.message),
    }
}

/// Performs one action: how it ended and, if it failed, why.
pub(crate) async fn perform(opened: &Opened, name: &str) -> (&'static str, String) {
    let body = Action { name: name.into(), input: Value::Null, customer_external_id: None };
    let outcome = opened.perform(vec![Keyed { key: "k".into(), attempt: 1, body }]).await.remove(0);
    let why = outcome.error().map(|error| error.message.clone()).unwrap_or_default();
    let word = match outcome {
        Outcome::Done(_) => "done",
        Outcome::Rejected(_) => "rejected",
        Outcome::Retry(_) => "retry",
        Outcome::Unknown(_) => "unknown",
    };
    (word, why)
}

/// Everything that was logged, as text.
pub(crate) fn logged() -> String {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(Arc::clone(&log));
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    });
    String::from_utf8_lossy(&log.lock().unwrap()).into_owned()
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
