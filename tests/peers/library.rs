//! Our own connectors as libraries, built as an operator would (plugins/README.md). Loads none.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Builds a connector of ours as a library, in the profile of the program that asks; where it is.
///
/// # Errors
/// When it does not build; with the compiler's words.
pub fn build(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let profile = this.ancestors().nth(2).context("a test lies in target/…/deps")?;
    let target = profile.parent().context("a profile lies in target")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let package = format!("zyklus-{name}");
    let mut command = Command::new(cargo);
    command.args(["rustc", "--quiet", "--locked", "-p", &package, "--lib", "--crate-type", "cdylib"]);
    command.args(["--features", "library", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let output = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output()?;
    ensure!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(profile.join(format!("libzyklus_{name}.so")))
}
