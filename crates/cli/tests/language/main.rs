//! The operator's files as a whole: schemas for editors, the reference, and mistakes that only show once all files are
//! read together. Needs no store and no network.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; the lint spares only the test functions"
)]

mod drift;
mod keys;
mod mistakes;
mod schemas;

use std::path::{Path, PathBuf};

use zyklus_cli::registry;
use zyklus_engine::Problem;
use zyklus_host::ConfigOptions;
use zyklus_runtime::Project;

/// The starter configuration.
fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

/// What is said of a folder with this `zyklus.toml` and nothing else in it.
fn folder(text: &str) -> Vec<Problem> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("zyklus.toml"), text).unwrap();
    checked(dir.path())
}

/// What is said of a folder.
fn checked(dir: &Path) -> Vec<Problem> {
    let mut options = ConfigOptions::new(dir);
    options.resolve_secrets = false;
    match Project::load(&dir.join("zyklus.toml"), &registry(), &options) {
        Ok(project) => project.warnings,
        Err(problems) => problems,
    }
}
