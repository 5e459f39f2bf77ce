//! What of the house's rules a program can check, read off the sources and `cargo metadata`. Every failure
//! lists all its places. It judges form only; whether the code is right, other tests say. That every file under
//! config/ and examples/ loads is tested where they are used: the engine's starter tests, the runtime's template
//! tests, `program` and `cdnow`.

mod arrows;
mod licences;
mod sources;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this package lies in the workspace").to_path_buf()
}

/// `cargo metadata` for the platform the tests run on.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let args = ["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform];
    let output = std::process::Command::new(cargo).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The entries of a list in the metadata.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("cargo metadata has a list here").iter()
}

/// A text in the metadata; empty when it is null.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[track_caller]
fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}
