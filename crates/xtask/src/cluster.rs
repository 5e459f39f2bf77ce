//! A PostgreSQL cluster for one run: a fresh folder, a free port on loopback, a user that is not root.
//! Never durable (fsync is off), never reachable from another machine, gone when dropped.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};

use crate::process::{interrupted, output, run, which};

const PREFIX: &str = "zyklus-run-";

/// A running cluster.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    server: Child,
}

impl Cluster {
    /// Makes and starts one, and waits until it answers.
    ///
    /// # Errors
    /// When the server's programs are not there or it does not come up; with the end of its log.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs().context("PostgreSQL's server is not here; run `cargo xtask setup`")?;
        sweep();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        let owner = owner()?;
        let data = folder.join("data");
        let made = make(&programs, &folder, &data, owner.as_deref());
        let mut last = match made {
            Ok(()) => anyhow::anyhow!("not tried"),
            Err(error) => {
                drop(fs::remove_dir_all(&folder));
                return Err(error);
            }
        };
        // Between finding a port free and using it another program may take it.
        for _ in 0..3 {
            match serve(&programs, &folder, &data, owner.as_deref()) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => last = error,
            }
            if interrupted() {
                break;
            }
        }
        drop(fs::remove_dir_all(&folder));
        Err(last)
    }

    /// A folder for what the run writes; it goes with the cluster, whatever a killed test has left in it.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Its address without a database name.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        stop(&mut self.server);
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// The folder of `initdb` and `postgres`, the newest when there are several.
pub(crate) fn programs() -> Option<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
        let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
        versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
        folders.extend(versions.into_iter().map(|path| path.join("bin")));
    }
    folders.extend(output("pg_config", &["--bindir"]).map(PathBuf::from));
    folders.extend(
        which("postgres").and_then(|file| Some(fs::canonicalize(file).ok()?.parent()?.to_path_buf())),
    );
    folders
        .into_iter()
        .find(|folder| ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file()))
}

/// PostgreSQL refuses to run as root; then Debian's `postgres` user runs it, or `nobody`.
fn owner() -> Result<Option<String>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let known = |name: &&str| output("id", &["-u", name]).is_some();
    let name = ["postgres", "nobody"].into_iter().find(known).context("no user to run PostgreSQL as")?;
    Ok(Some(name.to_owned()))
}

fn as_owner(owner: Option<&str>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some(name) = owner {
        let group = output("id", &["-g", name]).unwrap_or_else(|| "nogroup".to_owned());
        command.args(["--reuid", name, "--regid", &group, "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir("/").env_remove("PGDATA").env_remove("PGPORT");
    command
}

fn make(programs: &Path, folder: &Path, data: &Path, owner: Option<&str>) -> Result<()> {
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let scratch = folder.join("tmp");
    fs::create_dir(&scratch)?;
    // Servers that run as another user have to pass through, whatever this user's habits are.
    for open in [folder, &scratch] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755))?;
    }
    if let Some(name) = owner {
        let mut command = Command::new("chown");
        command.arg(name).arg(folder);
        run(command)?;
    }
    let mut command = as_owner(owner, &programs.join("initdb"));
    command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    command.arg("--no-instructions").arg("--pgdata").arg(data).stdout(Stdio::null()).stdin(Stdio::null());
    run(command)
}

fn serve(programs: &Path, folder: &Path, data: &Path, owner: Option<&str>) -> Result<Cluster> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let log = folder.join("log");
    let mut command = as_owner(owner, &programs.join("postgres"));
    command.arg("-D").arg(data).arg("-p").arg(port.to_string());
    command.arg("-k").arg(folder).args(["-h", "127.0.0.1"]);
    for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"] {
        command.args(["-c", setting]);
    }
    // Its own process group: Ctrl-C must reach the tests first, and the database only after them.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
    let mut server = command.spawn().context("cannot start PostgreSQL")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let asked = ["-q", "-h", "127.0.0.1", "-p", &port.to_string()];
    while output(programs.join("pg_isready"), &asked).is_none() {
        let ended = server.try_wait()?.is_some();
        if ended || interrupted() || Instant::now() > deadline {
            stop(&mut server);
            let log = fs::read_to_string(&log).unwrap_or_default();
            bail!("PostgreSQL did not come up on port {port}:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Cluster { folder: folder.to_path_buf(), port, server })
}

/// Fast shutdown, and the hard way when that takes more than ten seconds.
fn stop(server: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(10);
    if let Some(pid) = Pid::from_raw(server.id().cast_signed()) {
        let _ = kill_process(pid, Signal::INT);
    }
    while matches!(server.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            drop(server.kill());
            drop(server.wait());
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Removes the folders of runs that were killed before they could do it themselves.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse().ok());
        if run
            .and_then(Pid::from_raw)
            .is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
        {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
