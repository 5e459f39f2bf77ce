//! What may be linked into the product: licences, sources and crates. Reads each package's own declaration;
//! does not read licence texts.

use super::{list, metadata, none, text};

/// Licences that a binary under MIT or Apache-2.0 may contain. MPL-2.0 binds only its own files, unchanged here.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are not wanted, and what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "rustls, which needs nothing from the system"),
    ("native-tls", "rustls, which needs nothing from the system"),
    ("serde_yaml", "toml; it is not maintained"),
];

/// Whether an SPDX expression, or the older form with a slash, can be met by allowed licences alone.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) && rest.is_empty() && !words.is_empty()
}

fn any_of(rest: &mut &[&str]) -> bool {
    let mut met = all_of(rest);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        met |= all_of(rest);
    }
    met
}

fn all_of(rest: &mut &[&str]) -> bool {
    let mut met = one(rest);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        met &= one(rest);
    }
    met
}

fn one(rest: &mut &[&str]) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let met = any_of(rest);
            let [")", after @ ..] = *rest else { return false };
            *rest = after;
            met
        }
        // An exception only ever permits more.
        [id, "WITH", _, after @ ..] | [id, after @ ..] => {
            *rest = after;
            ALLOWED.contains(id)
        }
        [] => false,
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for (expression, expected) in [
        ("MIT OR Apache-2.0", true),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0-only", false),
        ("MIT AND GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT AND ISC", true),
        ("(GPL-3.0-only OR MIT) AND AGPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("(MIT", false),
        ("MIT ISC", false),
        ("", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}

#[test]
fn every_package_has_a_licence_a_source_and_a_name_that_we_accept() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in list(&metadata["packages"]) {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let licence = text(&package["license"]);
        if !allowed(licence) {
            broken.push(format!("{name} {version}: licence {licence:?}"));
        }
        // A path has no source; anything else must be the common registry.
        let source = text(&package["source"]);
        if !source.is_empty() && source != "registry+https://github.com/rust-lang/crates.io-index" {
            broken.push(format!("{name} {version}: comes from {source}"));
        }
    }
    for package in list(&metadata["resolve"]["nodes"]) {
        let user = name(text(&package["id"]));
        for dependency in list(&package["deps"]) {
            let used = name(text(&dependency["pkg"]));
            if let Some((_, instead)) = BANNED.iter().find(|(banned, _)| *banned == used) {
                broken.push(format!("{user} uses {used}: use {instead}"));
            }
        }
    }
    none("packages that cannot be part of the product", &broken);
}

/// The name in a package id, as `…#name@1.2.3` or `…/name#1.2.3`.
fn name(id: &str) -> &str {
    let (place, last) = id.rsplit_once('#').expect("a package id names its version");
    match last.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}
