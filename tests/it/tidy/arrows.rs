//! Which of our packages may name which, and which may name certain crates. Only direct dependencies count.

use std::path::Path;

use serde_json::Value;

use super::{list, metadata, none, root, text};

/// The arrows of the map in crates/README.md, written out: whoever may name a package that speaks in another
/// one's types may name that one too. `*` stands for everything but `xtask` and `tests`.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("engine", &["insight", "model"]),
    ("insight", &["model"]),
    ("connect", &["model"]),
    ("store", &["model"]),
    ("host", &["connect", "model"]),
    ("runtime", &["host", "store", "engine", "insight", "connect", "model"]),
    ("server", &["runtime", "store", "model"]),
    ("cli", &["*"]),
    ("xtask", &[]),
    ("tests", &["*"]),
];
/// A connector's arrows.
const PLUGIN: &[&str] = &["connect", "model"];
/// What a connector's own tests may name besides: the host that brings connectors to life.
const PLUGIN_TESTS: &[&str] = &["host"];

/// Crates that decide, fit or name things must not be able to wait, ask the time or roll dice.
const PURE: &[&str] = &["model", "engine", "insight"];
const IMPURE_CRATES: &[&str] =
    &["tokio", "tokio-util", "futures", "async-trait", "rand", "reqwest", "sqlx", "tracing-subscriber"];

struct Package {
    /// `model`, `cli` …; for a connector its whole package name.
    name: String,
    plugin: bool,
    description: String,
    manifest: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    dev: bool,
}

fn ours(metadata: &Value) -> Vec<Package> {
    let members: Vec<&str> = list(&metadata["workspace_members"]).map(text).collect();
    let packages = list(&metadata["packages"]).filter(|package| members.contains(&text(&package["id"])));
    packages
        .map(|package| {
            let manifest =
                Path::new(text(&package["manifest_path"])).strip_prefix(root()).unwrap().to_path_buf();
            let plugin = manifest.starts_with("plugins");
            let full = text(&package["name"]);
            let folder = manifest.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            assert_eq!(full, format!("zyklus-{folder}"), "a package is named after its folder");
            let dependencies = list(&package["dependencies"]).map(|dependency| Dependency {
                name: text(&dependency["name"]).to_owned(),
                dev: dependency["kind"] == "dev",
            });
            Package {
                name: if plugin { full.to_owned() } else { folder },
                plugin,
                description: text(&package["description"]).to_owned(),
                manifest: std::fs::read_to_string(root().join(manifest)).unwrap(),
                dependencies: dependencies.filter(|dependency| dependency.name != full).collect(),
            }
        })
        .collect()
}

/// Whether `package` may name our package `other`, given by its short name.
fn permits(package: &Package, other: &str, dev: bool) -> bool {
    if package.plugin {
        return PLUGIN.contains(&other) || (dev && PLUGIN_TESTS.contains(&other));
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else { return false };
    allowed.contains(&other) || (allowed.contains(&"*") && !["xtask", "tests"].contains(&other))
}

#[test]
fn packages_name_only_those_the_map_allows() {
    let metadata = metadata();
    let packages = ours(&metadata);
    assert!(packages.len() >= 15, "cargo metadata lists the workspace");
    let mut broken = Vec::new();
    for package in &packages {
        if !package.plugin && !ARROWS.iter().any(|(name, _)| *name == package.name) {
            broken.push(format!("{} is not on the map", package.name));
        }
        for dependency in &package.dependencies {
            let Some(short) = dependency.name.strip_prefix("zyklus-") else { continue };
            if !permits(package, short, dependency.dev) {
                broken.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    none("arrows that the map in crates/README.md does not have", &broken);
}

#[test]
fn only_the_store_speaks_sql_and_pure_packages_cannot_wait_or_guess() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in ours(&metadata) {
        for dependency in &package.dependencies {
            let sql =
                dependency.name.starts_with("sqlx") && !["store", "tests"].contains(&package.name.as_str());
            let impure = PURE.contains(&package.name.as_str())
                && !dependency.dev
                && IMPURE_CRATES.contains(&dependency.name.as_str());
            if sql || impure {
                broken.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    none("crates that this package must do without", &broken);
}

#[test]
fn every_package_describes_itself_and_keeps_the_common_lints() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in ours(&metadata) {
        if package.description.is_empty() {
            broken.push(format!("{}: no description in its Cargo.toml", package.name));
        }
        if !package.manifest.contains("[lints]\nworkspace = true") {
            broken.push(format!("{}: does not take the workspace's lints", package.name));
        }
    }
    none("packages that are not complete", &broken);
}
