//! `zyklus plugin new`: a project of a connector, made from the examples, so that what is written is what is tested.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::args::PluginLanguage;

/// The files of `examples/plugin-rust`, the SDK's place and the connector's names still to be filled in.
const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../examples/plugin-rust/Cargo.toml")),
    ("README.md", include_str!("../../../examples/plugin-rust/README.md")),
    ("kit.toml", include_str!("../../../examples/plugin-rust/kit.toml")),
    ("src/lib.rs", include_str!("../../../examples/plugin-rust/src/lib.rs")),
    ("tests/kit.rs", include_str!("../../../examples/plugin-rust/tests/kit.rs")),
    (".gitignore", "/target\n"),
];
/// Those of `examples/plugin-c`, and the header.
const C: &[(&str, &str)] = &[
    ("Makefile", include_str!("../../../examples/plugin-c/Makefile")),
    ("README.md", include_str!("../../../examples/plugin-c/README.md")),
    ("kit.toml", include_str!("../../../examples/plugin-c/kit.toml")),
    ("guestbook.c", include_str!("../../../examples/plugin-c/guestbook.c")),
    ("people.txt", include_str!("../../../examples/plugin-c/people.txt")),
    ("zyklus_plugin.h", include_str!("../../connect/include/zyklus_plugin.h")),
    (".gitignore", "*.so\n"),
];

/// Writes the project.
pub(crate) fn write(name: &str, lang: PluginLanguage, sdk: Option<&Path>) -> Result<PathBuf> {
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_name || name.ends_with('-') {
        bail!(
            "`{name}` cannot be a connector's name; write lower-case letters, digits and `-`, a letter first"
        );
    }
    let root = PathBuf::from(name);
    if root.exists() {
        bail!("{} is there already; nothing was written", root.display());
    }
    let (files, old) = match lang {
        PluginLanguage::Rust => (RUST, "loyalty"),
        PluginLanguage::C => (C, "guestbook"),
    };
    let sdk = match sdk {
        Some(sdk) if !sdk.join("Cargo.toml").is_file() => {
            bail!("{} is not the folder of the SDK: it has no Cargo.toml", sdk.display())
        }
        Some(sdk) => std::path::absolute(sdk)?.canonicalize()?.display().to_string(),
        None if lang == PluginLanguage::Rust => {
            bail!(
                "a project in Rust needs the SDK: add --sdk FOLDER, the folder crates/connect of Zyklus's sources"
            )
        }
        None => String::new(),
    };
    let mut words = Words::of(name);
    if lang == PluginLanguage::C {
        // There, the name is part of identifiers everywhere.
        words.plain.clone_from(&words.snake);
    }
    for (file, text) in files {
        let path = root.join(file.replace(old, &words.snake));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let text = if *file == "zyklus_plugin.h" { (*text).to_owned() } else { words.fill(text, old) };
        let text = text.replace("../../crates/connect/include", ".").replace("../../crates/connect", &sdk);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(root)
}

/// A name in the ways it is written.
struct Words {
    plain: String,
    snake: String,
    camel: String,
}

impl Words {
    fn of(name: &str) -> Self {
        let camel = name.split('-').map(capital).collect();
        Words { plain: name.to_owned(), snake: name.replace('-', "_"), camel }
    }

    /// A text with these instead of the example's name; what names a file or a symbol gets no dash.
    fn fill(&self, text: &str, old: &str) -> String {
        text.replace(&format!("lib{old}"), &format!("lib{}", self.snake))
            .replace(&format!("{old}.c"), &format!("{}.c", self.snake))
            .replace(&format!("{old}::"), &format!("{}::", self.snake))
            .replace(&capital(old), &self.camel)
            .replace(old, &self.plain)
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
