//! What must and must not stand in source files. Works on text: it does not understand Rust, and its own
//! files, which have to name what they forbid, are left out of the searches.

use std::path::{Path, PathBuf};

use super::{none, root};

const LONGEST: usize = 600;

/// A text file of the repository.
struct Source {
    /// Below the root.
    path: PathBuf,
    text: String,
}

impl Source {
    fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }

    /// The lines outside comments, from 1, that contain one of `patterns`, as `path:line: pattern`.
    fn find(&self, patterns: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, line) in self.text.lines().enumerate() {
            let code = if self.is("rs") && line.trim_start().starts_with("//") { "" } else { line };
            for pattern in patterns.iter().filter(|pattern| code.contains(**pattern)) {
                found.push(format!("{}:{}: {pattern}", self.path.display(), at + 1));
            }
        }
        found
    }

    /// This file as far as it is part of the product: nothing of a test file, and what comes before the
    /// test module of any other.
    fn product(&self) -> Self {
        let tests = self.path.components().any(|part| part.as_os_str() == "tests")
            || self.path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
        let before = self.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let text = if tests { String::new() } else { before.to_owned() };
        Self { path: self.path.clone(), text }
    }
}

/// Every text file but what tools make.
fn all() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root(), &mut found);
    assert!(
        found.iter().any(|source| source.path == Path::new("tests/it/tidy/sources.rs")),
        "this file is found"
    );
    found.retain(|source| !source.path.starts_with("tests/it/tidy"));
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || ["target", ".git", "node_modules", "zyklus-demo"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            found.push(Source { path: path.strip_prefix(root()).unwrap().to_path_buf(), text });
        }
    }
}

fn rust() -> Vec<Source> {
    all().into_iter().filter(|source| source.is("rs")).collect()
}

#[test]
fn every_rust_file_says_what_it_is_for_and_stays_short() {
    let mut broken = Vec::new();
    for source in rust() {
        if !source.text.starts_with("//! ") {
            broken.push(format!("{}: does not begin with `//! `", source.path.display()));
        }
        let lines = source.text.lines().count();
        if lines > LONGEST {
            broken.push(format!("{}: {lines} lines, {LONGEST} at most", source.path.display()));
        }
    }
    none("Rust files out of form", &broken);
}

#[test]
fn nothing_is_left_undone_or_hushed_up() {
    // What is looked for in all other files, and nothing that is left open here.
    let patterns = ["#[allow(", "#![allow(", "todo!(", "unimplemented!(", "#[ignore"];
    let broken: Vec<String> = rust().iter().flat_map(|source| source.find(&patterns)).collect();
    none("left undone, or a lint silenced without `#[expect(…, reason = …)]`", &broken);
}

#[test]
fn unsafe_stands_only_where_foreign_code_is_called() {
    let folders = ["crates/connect/src/abi", "crates/host"];
    let files = ["crates/connect/src/abi.rs", "crates/cli/src/memory.rs"];
    let allowed = |path: &Path| {
        folders.iter().any(|folder| path.starts_with(folder))
            || files.iter().any(|file| path == Path::new(file))
    };
    let patterns = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe_code", "#[unsafe("];
    let sources = rust();
    // A third party's plugin under examples/ is on the other side of that boundary.
    let ours = sources.iter().filter(|source| !allowed(&source.path) && !source.path.starts_with("examples"));
    let broken: Vec<String> = ours.flat_map(|source| source.find(&patterns)).collect();
    none("unsafe outside connect's abi module, host and the allocator", &broken);
}

#[test]
fn sql_stands_only_in_the_store_and_names_its_columns() {
    let mut broken = Vec::new();
    for source in all() {
        let product = source.path.starts_with("crates") || source.path.starts_with("plugins");
        let bench = source.path.starts_with("tests/bench");
        if source.is("rs") && !source.path.starts_with("crates/store") && !bench {
            broken.extend(source.find(&["sqlx::"]));
        }
        if product && (source.is("rs") || source.is("sql")) {
            broken.extend(source.find(&["SELECT *", "select *"]));
        }
    }
    none("SQL outside the store, or without its columns", &broken);
}

#[test]
fn pure_packages_read_no_clock_and_touch_no_world() {
    let patterns = [
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "now_v7(",
        "new_v4(",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "async fn",
        ".await",
        "rand::",
        "println!(",
    ];
    let pure = ["crates/model", "crates/engine", "crates/insight"];
    let sources = rust();
    let pure = sources.iter().filter(|source| pure.iter().any(|folder| source.path.starts_with(folder)));
    let broken: Vec<String> = pure.flat_map(|source| source.product().find(&patterns)).collect();
    none("time, files or chance in a package that takes them as arguments", &broken);
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let mut places = vec![root().to_string_lossy().into_owned()];
    places.extend(std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| format!("{home}/")));
    // A folder at the top that no system has by itself belongs to this machine alone.
    let common = [
        "bin", "dev", "etc", "home", "lib", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys",
        "tmp", "usr", "var",
    ];
    let root = root();
    let top = root.components().nth(1).map(|top| top.as_os_str().to_string_lossy().into_owned());
    places.extend(top.filter(|top| !common.contains(&top.as_str())).map(|top| format!("/{top}/")));
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let mut broken = Vec::new();
    for source in all() {
        for (at, line) in source.text.lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                broken.push(format!("{}:{}", source.path.display(), at + 1));
            }
        }
    }
    none("paths of this machine", &broken);
}
