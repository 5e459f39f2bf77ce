//! The layout is what it was, in Rust and in C; and a factory's table answers a host, whatever the connector does.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::io::Write;
use std::mem::offset_of;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::{
    Action, Actions, Check, Connector, Ctx, Cursor, Error, ErrorKind, Factory, HttpRequest, Keyed, Manifest,
    Next, Outcome, Page, ReadRequest, Result, Secret, Source, Token, schemars,
};

/// Name and offset of every field, and the size, of 1.0 on 64 bits.
const HOST_1_0: &[(&str, usize)] =
    &[("size", 0), ("abi_minor", 4), ("ctx", 8), ("complete", 16), ("log", 24), ("request", 32), ("", 40)];
const PLUGIN_1_0: &[(&str, usize)] = &[
    ("magic", 0),
    ("abi_major", 4),
    ("abi_minor", 6),
    ("size", 8),
    ("flags", 12),
    ("manifest", 16),
    ("create", 24),
    ("call", 32),
    ("cancel", 40),
    ("destroy", 48),
    ("", 56),
];

#[test]
#[cfg(target_pointer_width = "64")]
fn the_layout_is_that_of_1_0_in_rust() {
    macro_rules! layout {
        ($table:ty, $($field:ident),*) => {
            &[$((stringify!($field), offset_of!($table, $field)),)* ("", size_of::<$table>())][..]
        };
    }
    assert_eq!(layout!(HostTable, size, abi_minor, ctx, complete, log, request), HOST_1_0);
    let plugin = layout!(
        PluginTable,
        magic,
        abi_major,
        abi_minor,
        size,
        flags,
        manifest,
        create,
        call,
        cancel,
        destroy
    );
    assert_eq!(plugin, PLUGIN_1_0);
    assert_eq!((size_of::<Bytes>(), offset_of!(Bytes, len)), (16, 8));
    assert_eq!((MAGIC, MAJOR, MINOR, SYMBOL), (0x5A59_4B4C, 1, 0, "zyklus_plugin_v1"));
}

/// What the C compiler says to a text after the header.
#[cfg(not(miri))]
fn compile(text: &str) -> std::result::Result<(), String> {
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let mut cc = Command::new("cc")
        .args(["-x", "c", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", include, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a C compiler called `cc` is needed for this test");
    let source = format!("#include \"zyklus_plugin.h\"\n{text}");
    cc.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let output = cc.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
#[cfg(all(target_pointer_width = "64", not(miri)))]
fn the_layout_is_that_of_1_0_in_c() {
    let mut asserts = String::new();
    for (table, fields) in [("zy_host", HOST_1_0), ("zy_plugin", PLUGIN_1_0)] {
        for (field, offset) in fields {
            let what = if field.is_empty() {
                format!("sizeof({table})")
            } else {
                format!("offsetof({table}, {field})")
            };
            asserts += &format!("_Static_assert({what} == {offset}, \"{table} {field}\");\n");
        }
    }
    asserts += "_Static_assert(sizeof(zy_bytes) == 16 && offsetof(zy_bytes, len) == 8, \"zy_bytes\");\n";
    for (name, value) in [
        ("ZYKLUS_PLUGIN_MAGIC", u64::from(MAGIC)),
        ("ZYKLUS_ABI_MAJOR", MAJOR.into()),
        ("ZYKLUS_ABI_MINOR", MINOR.into()),
        ("ZY_OK", Status::Ok.code() as u64),
        ("ZY_ERR", Status::Err.code() as u64),
        ("ZY_PANIC", Status::Panic.code() as u64),
        ("ZY_CANCELLED", Status::Cancelled.code() as u64),
    ] {
        asserts += &format!("_Static_assert({name} == {value}, \"{name}\");\n");
    }
    compile(&asserts).unwrap();
    let wrong = compile("_Static_assert(offsetof(zy_plugin, call) == 40, \"moved\");\n").unwrap_err();
    assert!(wrong.contains("moved"), "{wrong}");
    compile("const zy_plugin *zyklus_plugin_v1(void) { static zy_plugin p; return &p; }\n").unwrap();
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Config {
    #[serde(default)]
    panic_on_open: bool,
}

/// Does what the stream's or the action's name says.
struct Unruly {
    manifest: Manifest,
    ctx: Ctx,
}

#[async_trait]
impl Factory for Unruly {
    type Config = Config;
    const KIND: &'static str = "unruly";
    fn manifest() -> Manifest {
        serde_json::from_value(json!({
            "kind": "unruly", "name": "Unruly", "description": "", "version": "1", "contract": [1, 0]
        }))
        .unwrap()
    }
    async fn open(config: Config, ctx: Ctx) -> Result<Self> {
        assert!(!config.panic_on_open, "cannot open");
        Ok(Unruly { manifest: <Self as Factory>::manifest(), ctx })
    }
}

#[async_trait]
impl Connector for Unruly {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    async fn check(&self) -> Vec<Check> {
        panic!("no check")
    }
    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }
    fn actions(&self) -> Option<&dyn Actions> {
        Some(self)
    }
}

#[async_trait]
impl Source for Unruly {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        let mut total = 0;
        match request.stream.as_str() {
            "hang" => std::future::pending().await,
            "http" => total = self.ctx.http(HttpRequest::get("http://x")).await?.body.len() as u64,
            "now" => total = self.ctx.now().as_micros() as u64,
            "log" => tracing::info!(page = 3, "reading"),
            "token" => {
                let renew =
                    |_| async { Ok(Token { value: Secret::new("new"), expires_at: None, refresh: None }) };
                total = self.ctx.token("api", renew).await?.value.expose().len() as u64;
            }
            other => return Err(Error::new(ErrorKind::Unsupported, other)),
        }
        let next = Next::CaughtUp { cursor: Cursor(Value::Null), poll_after_ms: None };
        Ok(Page { records: Vec::new(), rejects: Vec::new(), total: Some(total), next })
    }
}

#[async_trait]
impl Actions for Unruly {
    async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<Value>> {
        let at = self.ctx.http(HttpRequest::get("http://slow")).await;
        batch.iter().map(|_| Outcome::Done(json!(at.is_ok()))).collect()
    }
}

/// A host that keeps what it hears.
#[derive(Default)]
struct Heard {
    answers: BTreeMap<u64, Vec<(Status, String)>>,
    logs: Vec<(u64, u32, String, String)>,
    stored: Vec<String>,
    slow: Vec<(ReplyFn, usize)>,
}

#[derive(Default)]
struct Host {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Host {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, what: impl Fn(&mut Heard) -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(60);
        let mut heard = self.heard();
        loop {
            if let Some(found) = what(&mut heard) {
                return found;
            }
            assert!(Instant::now() < end, "the plugin says nothing");
            heard = self.changed.wait_timeout(heard, Duration::from_millis(50)).unwrap().0;
        }
    }
}

fn text(bytes: Bytes) -> String {
    // SAFETY: lent for the duration of the call this is part of.
    String::from_utf8(unsafe { bytes.copy(usize::MAX) }.unwrap()).unwrap()
}

fn host_of(ctx: *mut c_void) -> &'static Host {
    // SAFETY: `Plugin::new` leaked it.
    unsafe { &*ctx.cast::<Host>() }
}

extern "C" fn complete(ctx: *mut c_void, call: u64, status: i32, body: Bytes) {
    let host = host_of(ctx);
    host.heard().answers.entry(call).or_default().push((Status::from_code(status), text(body)));
    host.changed.notify_all();
}

extern "C" fn log_line(ctx: *mut c_void, call: u64, level: u32, _: Bytes, message: Bytes, fields: Bytes) {
    host_of(ctx).heard().logs.push((call, level, text(message), text(fields)));
}

extern "C" fn request(
    ctx: *mut c_void,
    _: u64,
    service: Bytes,
    body: Bytes,
    reply: ReplyFn,
    user: *mut c_void,
) {
    let host = host_of(ctx);
    let body = text(body);
    let answer = match text(service).as_str() {
        "now" => "\"1970-01-01T00:00:07Z\"".to_owned(),
        "http" if body.contains("slow") => {
            host.heard().slow.push((reply, user.addr()));
            return host.changed.notify_all();
        }
        "http" => json!({"status": 200, "body": "hello"}).to_string(),
        "token" => {
            host.heard().stored.push(body);
            "null".to_owned()
        }
        other => panic!("no service {other}"),
    };
    // An answer that comes twice, and one to nobody, harm nothing.
    reply(user, 0, Bytes::lend(answer.as_bytes()));
    reply(user, 0, Bytes::lend(b"nonsense"));
    reply(std::ptr::without_provenance_mut(987_654_321), 0, Bytes::EMPTY);
}

struct Plugin {
    host: &'static Host,
    table: &'static PluginTable,
    this: *mut c_void,
}

impl Plugin {
    fn new() -> Self {
        let host: &'static Host = Box::leak(Box::default());
        let ctx = std::ptr::from_ref(host).cast_mut().cast();
        let size = size_of::<HostTable>() as u32;
        let table = HostTable { size, abi_minor: 0, ctx, complete, log: log_line, request };
        let plugin = export::table::<Unruly>();
        // SAFETY: the table lives for ever.
        let this = unsafe { plugin.create.unwrap()(Box::leak(Box::new(table))) };
        assert!(!this.is_null());
        Plugin { host, table: plugin, this }
    }

    fn begin(&self, call: u64, op: &str, body: &Value) {
        let body = body.to_string();
        // SAFETY: the instance is there, and the bytes are until this returns.
        unsafe {
            self.table.call.unwrap()(
                self.this,
                call,
                Bytes::lend(op.as_bytes()),
                Bytes::lend(body.as_bytes()),
            );
        }
    }

    fn answer(&self, call: u64) -> (Status, Value) {
        let (status, body) = self.host.wait(|heard| heard.answers.get(&call).map(|all| all[0].clone()));
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    fn call(&self, call: u64, op: &str, body: Value) -> (Status, Value) {
        self.begin(call, op, &body);
        self.answer(call)
    }

    fn read(&self, call: u64, stream: &str) -> (Status, Value) {
        self.call(call, READ, page(stream))
    }

    fn open(&self, config: Value) -> (Status, Value) {
        let open =
            json!({"id": "u", "config": config, "base_dir": ".", "data_dir": ".", "log_level": "info"});
        self.call(1, OPEN, open)
    }
}

fn page(stream: &str) -> Value {
    json!({"stream": stream, "mode": "incremental", "limit": 1})
}

#[test]
fn a_factory_is_a_table_with_a_manifest_and_its_schema() {
    let table = export::table::<Unruly>();
    assert_eq!((table.magic, table.abi_major, table.size as usize), (MAGIC, MAJOR, size_of::<PluginTable>()));
    let manifest: Manifest = serde_json::from_str(&text(table.manifest.unwrap()())).unwrap();
    assert_eq!(manifest.kind, "unruly");
    assert!(manifest.config_schema["properties"]["panic_on_open"].is_object());
    let again = table.manifest.unwrap()();
    assert_eq!(again.ptr, table.manifest.unwrap()().ptr, "it is made once");
}

#[test]
fn calls_are_answered_once_and_ask_the_host_for_what_they_need() {
    let plugin = Plugin::new();
    assert_eq!(plugin.read(100, "http").0, Status::Err, "before it is open");
    let (status, opened) = plugin.open(json!({}));
    assert_eq!((status, &opened["facets"]), (Status::Ok, &json!(["source", "actions"])));
    assert_eq!(plugin.read(2, "http").1["total"], 5);
    assert_eq!(plugin.read(3, "now").1["total"], 7_000_000);
    assert_eq!(plugin.read(4, "token").1["total"], 3);
    let stored = plugin.host.heard().stored.join(" ");
    assert!(stored.contains(r#""store":{"value":"new""#), "{stored}");
    assert_eq!(plugin.read(5, "nowhere").1["kind"], "unsupported");
    assert_eq!(plugin.call(6, "frobnicate", json!({})).1["kind"], "unsupported");
    assert_eq!(plugin.call(7, RECONCILE, json!({"url": "", "streams": []})).1["kind"], "unsupported");
    assert_eq!(plugin.call(8, READ, json!({"stream": 5})).1["kind"], "internal");
    assert_eq!(plugin.call(9, CHECK, json!({})), (Status::Panic, json!("no check")));
    assert_eq!(plugin.call(10, CLOSE, json!({})), (Status::Ok, Value::Null));
    let twice = plugin.host.heard().answers.values().any(|answers| answers.len() != 1);
    assert!(!twice, "every call is answered once");
    // SAFETY: no call is open, and it is not used again.
    unsafe { plugin.table.destroy.unwrap()(plugin.this) };
}

#[test]
fn a_panic_while_opening_and_a_wrong_configuration_are_answers() {
    let plugin = Plugin::new();
    assert_eq!(plugin.open(json!({"panic_on_open": true})), (Status::Panic, json!("cannot open")));
    let (status, error) = plugin.call(
        2,
        OPEN,
        json!({"id": "u", "config": {"panic_on_open": 5}, "base_dir": "", "data_dir": ""}),
    );
    assert_eq!((status, &error["kind"]), (Status::Err, &json!("config")));
}

#[test]
fn what_is_read_can_be_given_up_and_what_is_done_cannot() {
    let plugin = Plugin::new();
    plugin.open(json!({}));
    plugin.begin(2, READ, &page("hang"));
    let action = json!([{"key": "k", "attempt": 1, "body": {"name": "a", "input": null}}]);
    plugin.begin(3, PERFORM, &action);
    let (reply, user) = plugin.host.wait(|heard| heard.slow.pop());
    for call in [2, 3, 4] {
        // SAFETY: the instance is there.
        unsafe { plugin.table.cancel.unwrap()(plugin.this, call) };
    }
    assert_eq!(plugin.answer(2).0, Status::Cancelled);
    assert!(!plugin.host.heard().answers.contains_key(&3), "a command goes on");
    reply(std::ptr::without_provenance_mut(user), 0, Bytes::lend(br#"{"status":200}"#));
    assert_eq!(plugin.answer(3), (Status::Ok, json!([{"done": true}])));
}

#[test]
fn events_reach_the_log_of_the_host_at_its_level_with_call_and_fields() {
    let plugin = Plugin::new();
    plugin.open(json!({}));
    plugin.read(77, "log");
    let logs = std::mem::take(&mut plugin.host.heard().logs);
    assert!(logs.contains(&(77, 3, "reading".into(), r#"{"page":3}"#.into())), "{logs:?}");
}
