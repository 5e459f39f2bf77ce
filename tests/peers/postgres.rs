//! Databases on the PostgreSQL cluster that `cargo xtask test` starts once for the whole run.
//! Starts no server itself, and speaks to the cluster only through its own `psql`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

use crate::process::{run, variable};

/// One empty database. Dropping this drops it, with whoever is still connected.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

/// Makes a database that no other test knows.
///
/// # Errors
/// When `ZYKLUS_TEST_POSTGRES` is not set or the cluster does not answer.
pub fn fresh_database() -> Result<Database> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = variable("ZYKLUS_TEST_POSTGRES")?.to_string_lossy().into_owned();
    let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    ask(&format!("{server}/postgres"), &format!("CREATE DATABASE {name}"))?;
    Ok(Database { server, name })
}

impl Database {
    /// Its address, as the configuration's `store.url` takes it.
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Runs SQL in it and returns the rows: columns parted by `|`, one row a line.
    ///
    /// # Errors
    /// When the server refuses the statement; with its words.
    pub fn ask(&self, sql: &str) -> Result<String> {
        ask(&self.url(), sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = ask(&format!("{}/postgres", self.server), &sql) {
            eprintln!("cannot drop {}: {error:#}", self.name);
        }
    }
}

fn ask(url: &str, sql: &str) -> Result<String> {
    let args =
        ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", "-c", sql, url];
    let psql =
        std::env::var_os("ZYKLUS_TEST_POSTGRES_PROGRAMS").map(|folder| PathBuf::from(folder).join("psql"));
    let ended = run(psql.unwrap_or_else(|| PathBuf::from("psql")), args)?;
    if !ended.status.success() {
        bail!("psql on {url}: {}", ended.stderr.trim());
    }
    Ok(ended.stdout.trim_end().to_owned())
}
