//! The starter configuration, carried in the binary: `zyklus init` writes it, and a lifecycle that is not on
//! disk is taken from it.

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../config"]
struct Starter;

/// Every file of the starter configuration, by its path below the configuration folder, sorted.
pub fn starter_files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Starter::iter()
        .filter_map(|path| Some((path.to_string(), Starter::get(&path)?.data.into_owned())))
        .collect();
    files.sort();
    files
}

/// A file's text by its path below the configuration folder.
pub(crate) fn starter_file(path: &str) -> Option<String> {
    String::from_utf8(Starter::get(path)?.data.into_owned()).ok()
}

/// A lifecycle's text by its id.
pub(crate) fn starter_lifecycle(id: &str) -> Option<String> {
    starter_file(&format!("lifecycles/{id}.toml"))
}

/// The ids of the lifecycles.
pub(crate) fn starter_lifecycles() -> Vec<String> {
    Starter::iter()
        .filter_map(|path| Some(path.strip_prefix("lifecycles/")?.strip_suffix(".toml")?.to_owned()))
        .collect()
}
