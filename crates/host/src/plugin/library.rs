//! Opens a library's private copy and looks at its table. What was opened stays open for ever: unloading cannot be relied
//! on. Every check of trust comes before this, for opening runs the library's own code.

#![expect(unsafe_code, reason = "foreign code is loaded and called")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use zyklus_connect::Manifest;
use zyklus_connect::abi::{EntryFn, MAGIC, MAJOR, PluginTable, SYMBOL};

use super::error::LibraryError;

/// Opening a library, and the first look at it, may take so long.
pub(crate) const LOAD_WITHIN: Duration = Duration::from_secs(10);
/// A manifest may be so large, in bytes.
pub(crate) const LARGEST_MANIFEST: usize = 4 * 1024 * 1024;

/// The functions of a table whose every field is there.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) create: unsafe extern "C" fn(*const zyklus_connect::abi::HostTable) -> *mut std::ffi::c_void,
    pub(crate) call: unsafe extern "C" fn(
        *mut std::ffi::c_void,
        u64,
        zyklus_connect::abi::Bytes,
        zyklus_connect::abi::Bytes,
    ),
    pub(crate) cancel: unsafe extern "C" fn(*mut std::ffi::c_void, u64),
    pub(crate) destroy: unsafe extern "C" fn(*mut std::ffi::c_void),
}

/// An opened library.
#[derive(Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) functions: Functions,
    /// The manifest's bytes.
    pub(crate) manifest: &'static [u8],
    /// Its table's minor.
    pub(crate) minor: u16,
}

/// Opens a library; the same copy only once.
pub(crate) fn load(copy: &Path) -> Result<Loaded, LibraryError> {
    static LOADED: Mutex<Option<HashMap<PathBuf, Loaded>>> = Mutex::new(None);
    let known = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = known.as_ref().and_then(|known| known.get(copy)) {
        return Ok(*loaded);
    }
    drop(known);
    // On a thread of its own, for its constructors may hang.
    let (sender, opened) = mpsc::channel();
    let path = copy.to_path_buf();
    let thread = std::thread::Builder::new().name("plugin load".into());
    let started = thread.spawn(move || drop(sender.send(open(&path))));
    started.map_err(|e| LibraryError::Load { path: copy.to_path_buf(), reason: e.to_string() })?;
    let loaded = opened.recv_timeout(LOAD_WITHIN).unwrap_or_else(|_| {
        Err(LibraryError::Hangs { path: copy.to_path_buf(), what: "loading", seconds: LOAD_WITHIN.as_secs() })
    })?;
    let mut known = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(copy.to_path_buf(), loaded);
    Ok(loaded)
}

fn open(copy: &Path) -> Result<Loaded, LibraryError> {
    // SAFETY: the file is pinned, and nobody else can write it: what its constructors do is what the operator asked for.
    let library = unsafe { Library::open(Some(copy), RTLD_NOW | RTLD_LOCAL) };
    let library =
        library.map_err(|error| LibraryError::Load { path: copy.to_path_buf(), reason: said(&error) })?;
    // Never unloaded: threads of it may run, and destructors of threads may wait.
    let library: &'static Library = Box::leak(Box::new(library));
    let no_plugin = |reason: String| LibraryError::NoPlugin { path: copy.to_path_buf(), reason };
    // SAFETY: the symbol's name says its type.
    let entry = unsafe { library.get::<EntryFn>(SYMBOL) };
    let entry = entry.map_err(|_| {
        no_plugin(format!("it does not export `{SYMBOL}`, which plugins for this version have"))
    })?;
    // SAFETY: as above.
    let table = unsafe { entry() };
    // SAFETY: a plugin's table lives for ever.
    unsafe { inspect(table) }.map_err(no_plugin)
}

/// The linker's words, which stand behind libloading's own.
fn said(error: &libloading::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// Looks at a table: magic, major, size, functions, manifest.
///
/// # Safety
/// It is null, or a plugin's table that lives for ever. Of a table that says it is shorter than ours, no more is read.
pub(crate) unsafe fn inspect(table: *const PluginTable) -> Result<Loaded, String> {
    if table.is_null() {
        return Err(format!("`{SYMBOL}` gives no table"));
    }
    if !table.is_aligned() {
        return Err(format!("`{SYMBOL}` gives a table that is not aligned"));
    }
    // SAFETY: the head of a table never changes.
    let (magic, major, minor, size) =
        unsafe { ((*table).magic, (*table).abi_major, (*table).abi_minor, (*table).size as usize) };
    if magic != MAGIC {
        return Err(format!("its table begins with {magic:#010x} instead of {MAGIC:#010x}"));
    }
    if major != MAJOR {
        return Err(format!(
            "it was built for version {major} of the ABI; this daemon knows version {MAJOR}"
        ));
    }
    if size < size_of::<PluginTable>() {
        let whole = size_of::<PluginTable>();
        return Err(format!("its table has {size} bytes, and {whole} are needed"));
    }
    // SAFETY: it is as large as ours, at least.
    let table = unsafe { *table };
    let missing = |name: &str| format!("its table has no `{name}`");
    let functions = Functions {
        create: table.create.ok_or_else(|| missing("create"))?,
        call: table.call.ok_or_else(|| missing("call"))?,
        cancel: table.cancel.ok_or_else(|| missing("cancel"))?,
        destroy: table.destroy.ok_or_else(|| missing("destroy"))?,
    };
    let manifest = (table.manifest.ok_or_else(|| missing("manifest"))?)();
    if manifest.len == 0 || manifest.ptr.is_null() {
        return Err("it has no manifest".into());
    }
    if manifest.len > LARGEST_MANIFEST {
        return Err(format!("its manifest has {} bytes; {LARGEST_MANIFEST} at most", manifest.len));
    }
    // SAFETY: a manifest lives for ever.
    let manifest = unsafe { std::slice::from_raw_parts(manifest.ptr, manifest.len) };
    Ok(Loaded { functions, manifest, minor })
}

/// A manifest that makes sense.
pub(crate) fn parse_manifest(path: &Path, bytes: &[u8]) -> Result<Manifest, LibraryError> {
    let no_plugin = |reason: String| LibraryError::NoPlugin { path: path.to_path_buf(), reason };
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| no_plugin(format!("its manifest cannot be read: {e}")))?;
    let kind = &manifest.kind;
    if kind.is_empty() || kind.len() > 60 || kind.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(no_plugin("its manifest says no kind, or one that is no word".into()));
    }
    if !manifest.config_schema.is_object() {
        return Err(no_plugin("its manifest has no `config_schema`".into()));
    }
    jsonschema::validator_for(&manifest.config_schema)
        .map_err(|e| no_plugin(format!("its `config_schema` is no JSON schema: {e}")))?;
    Ok(manifest)
}
