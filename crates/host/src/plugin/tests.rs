//! The first look at a table: what is refused and in which words, whatever a stranger put there.

#![expect(unsafe_code, reason = "tables are read as foreign ones are")]

use std::ffi::c_void;

use zyklus_connect::abi::{Bytes, HostTable, MAGIC, MAJOR, PluginTable};

use super::library::{inspect, parse_manifest};

extern "C" fn manifest() -> Bytes {
    Bytes::lend(b"{}")
}

extern "C" fn nothing() -> Bytes {
    Bytes::EMPTY
}

unsafe extern "C" fn create(_: *const HostTable) -> *mut c_void {
    std::ptr::null_mut()
}

unsafe extern "C" fn call(_: *mut c_void, _: u64, _: Bytes, _: Bytes) {}

unsafe extern "C" fn cancel(_: *mut c_void, _: u64) {}

unsafe extern "C" fn destroy(_: *mut c_void) {}

const TABLE: PluginTable = PluginTable {
    magic: MAGIC,
    abi_major: MAJOR,
    abi_minor: 7,
    size: size_of::<PluginTable>() as u32,
    flags: 0,
    manifest: Some(manifest),
    create: Some(create),
    call: Some(call),
    cancel: Some(cancel),
    destroy: Some(destroy),
};

/// Why a table is refused.
fn refusal(table: &PluginTable) -> String {
    // SAFETY: it is whole.
    unsafe { inspect(table) }.map(|_| ()).expect_err("it is refused")
}

#[test]
fn a_table_is_refused_for_what_is_wrong_with_it() {
    let table = TABLE;
    // SAFETY: it is whole.
    let loaded = unsafe { inspect(&raw const table) }.map(|loaded| (loaded.manifest, loaded.minor));
    assert_eq!(loaded, Ok((&b"{}"[..], 7)));
    for (table, words) in [
        (PluginTable { magic: 1, ..TABLE }, "0x00000001 instead of 0x5a594b4c"),
        (PluginTable { abi_major: 2, ..TABLE }, "version 2 of the ABI"),
        (PluginTable { size: 48, ..TABLE }, "48 bytes, and 56 are needed"),
        (PluginTable { manifest: None, ..TABLE }, "no `manifest`"),
        (PluginTable { manifest: Some(nothing), ..TABLE }, "no manifest"),
        (PluginTable { create: None, ..TABLE }, "no `create`"),
        (PluginTable { call: None, ..TABLE }, "no `call`"),
        (PluginTable { cancel: None, ..TABLE }, "no `cancel`"),
        (PluginTable { destroy: None, ..TABLE }, "no `destroy`"),
    ] {
        let refused = refusal(&table);
        assert!(refused.contains(words), "{refused}");
    }
    // SAFETY: that it is no table is what is found out.
    assert!(unsafe { inspect(std::ptr::null()) }.is_err());
}

#[test]
fn a_longer_table_is_one_of_ours_and_more() {
    #[repr(C)]
    struct Longer {
        table: PluginTable,
        more: [u64; 4],
    }
    let table = PluginTable { size: size_of::<Longer>() as u32, abi_minor: 3, ..TABLE };
    let longer = Longer { table, more: [u64::MAX; 4] };
    // SAFETY: it is whole.
    let loaded = unsafe { inspect((&raw const longer).cast()) }.unwrap();
    assert_eq!((loaded.minor, longer.more.len()), (3, 4));
}

#[test]
fn a_truncated_table_is_not_read_beyond_its_end() {
    // Only the head is there: under Miri, reading on would be an error.
    let head: Box<[u32; 4]> = Box::new([MAGIC, MAJOR.into(), 16, 0]);
    let mut aligned = [0u64; 2];
    let bytes: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
    for (word, chunk) in aligned.iter_mut().zip(bytes.chunks(8)) {
        *word = u64::from_ne_bytes(chunk.try_into().unwrap());
    }
    // SAFETY: the head is there, and says that no more is.
    let refused = unsafe { inspect(aligned.as_ptr().cast()) }.map(|_| ()).unwrap_err();
    assert!(refused.contains("16 bytes, and 56 are needed"), "{refused}");
}

#[test]
fn a_manifest_has_a_kind_and_a_schema() {
    let path = std::path::Path::new("/plugins/a.so");
    let manifest = |kind: &str, schema: &str| {
        format!(
            r#"{{"kind":"{kind}","name":"A","description":"","version":"1","contract":[1,0],"config_schema":{schema}}}"#
        )
    };
    let parsed = parse_manifest(path, manifest("acme", "{}").as_bytes()).unwrap();
    assert_eq!((parsed.kind.as_str(), parsed.max_in_flight), ("acme", 1));
    for (text, words) in [
        ("nonsense".to_owned(), "cannot be read"),
        ("{}".to_owned(), "missing field `kind`"),
        (manifest("", "{}"), "says no kind"),
        (manifest("two words", "{}"), "says no kind"),
        (manifest("acme", "null"), "no `config_schema`"),
        (manifest("acme", r#"{"type": 5}"#), "is no JSON schema"),
    ] {
        let refused = parse_manifest(path, text.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with("/plugins/a.so is no plugin") && refused.contains(words), "{refused}");
    }
}
