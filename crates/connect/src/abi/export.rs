//! A [`Factory`] as a plugin's table: what `export_connector!` puts behind the one symbol. No panic leaves it, and every
//! call is answered exactly once, also one that panicked, was cancelled or was dropped.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures::FutureExt;
use futures::future::{AbortHandle, Abortable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::host::{HostHttp, HostRef, HostTokens, Working, current, set_latest};
use super::wire::{Change, Open, Opened};
use super::{Bytes, HostTable, MAGIC, MAJOR, MINOR, PluginTable, Status, executor, log};
use crate::command::{Action, AudienceSpec, Keyed, Message};
use crate::context::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::read::ReadRequest;
use crate::webhook::{Subscription, WebhookRequest};
use crate::{Connector, Factory, config_of, manifest_of};

/// Makes a connector loadable: defines the one symbol a plugin exports. Write it once, in a crate of type `cdylib`:
///
/// ```ignore
/// zyklus_connect::export_connector!(Acme);
/// ```
#[macro_export]
macro_rules! export_connector {
    ($factory:ty) => {
        const _: () = {
            assert!(
                cfg!(panic = "unwind"),
                "a connector cannot be built with panic = \"abort\": one panic would end the daemon"
            );
            #[unsafe(no_mangle)]
            extern "C" fn zyklus_plugin_v1() -> *const $crate::abi::PluginTable {
                $crate::abi::export::library::<$factory>()
            }
        };
    };
}

/// The table of a library, whose panics are the host's to hear of and nobody's to print.
pub fn library<F: Factory>() -> *const PluginTable {
    static HOOKED: OnceLock<()> = OnceLock::new();
    HOOKED.get_or_init(|| {
        std::panic::set_hook(Box::new(|panic| {
            let place =
                panic.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
            if let (Some(host), call) = current() {
                host.log(call, 1, "zyklus_connect", &format!("a panic{place}"), "");
            }
            PLACE.with(|last| *last.borrow_mut() = place);
        }));
    });
    table::<F>()
}

thread_local! {
    /// Where this thread panicked last.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The table of a factory.
pub fn table<F: Factory>() -> &'static PluginTable {
    &Table::<F>::TABLE
}

struct Table<F>(std::marker::PhantomData<F>);

impl<F: Factory> Table<F> {
    const TABLE: PluginTable = PluginTable {
        magic: MAGIC,
        abi_major: MAJOR,
        abi_minor: MINOR,
        size: size_of::<PluginTable>() as u32,
        flags: 0,
        manifest: Some(manifest::<F>),
        create: Some(create::<F>),
        call: Some(call::<F>),
        cancel: Some(cancel::<F>),
        destroy: Some(destroy::<F>),
    };
}

/// Manifests, by the name of their factory's type: they live for ever.
extern "C" fn manifest<F: Factory>() -> Bytes {
    static TEXTS: Mutex<Vec<(&'static str, &'static str)>> = Mutex::new(Vec::new());
    let made = catch_unwind(|| {
        let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        let name = std::any::type_name::<F>();
        if let Some((_, text)) = texts.iter().find(|(known, _)| *known == name) {
            return *text;
        }
        let text = serde_json::to_string(&manifest_of::<F>()).unwrap_or_default();
        let text: &'static str = Box::leak(text.into_boxed_str());
        texts.push((name, text));
        text
    });
    // No manifest at all is what the host refuses in so many words.
    made.map_or(Bytes::EMPTY, |text| Bytes::lend(text.as_bytes()))
}

struct Instance<F> {
    host: HostRef,
    connector: OnceLock<Arc<F>>,
    /// What can be given up, by call.
    waiting: Mutex<HashMap<u64, AbortHandle>>,
}

impl<F> Instance<F> {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

unsafe extern "C" fn create<F: Factory>(host: *const HostTable) -> *mut c_void {
    let made = catch_unwind(|| {
        // SAFETY: the host's table lives as long as the process.
        let host = unsafe { HostRef::new(host) }?;
        set_latest(host);
        let instance =
            Arc::new(Instance::<F> { host, connector: OnceLock::new(), waiting: Mutex::default() });
        Some(Box::into_raw(Box::new(instance)).cast::<c_void>())
    });
    made.ok().flatten().unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `this` comes from [`create`] and has not been destroyed.
unsafe fn instance<F>(this: *mut c_void) -> Arc<Instance<F>> {
    // SAFETY: the caller says so.
    Arc::clone(unsafe { &*this.cast::<Arc<Instance<F>>>() })
}

unsafe extern "C" fn destroy<F: Factory>(this: *mut c_void) {
    // A panic of the connector's own clearing up harms nobody any more.
    drop(catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host destroys what it created, once.
        drop(unsafe { Box::from_raw(this.cast::<Arc<Instance<F>>>()) });
    })));
}

unsafe extern "C" fn cancel<F: Factory>(this: *mut c_void, call: u64) {
    drop(catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host cancels calls of instances it has.
        let instance = unsafe { instance::<F>(this) };
        let handle = instance.waiting().remove(&call);
        if let Some(handle) = handle {
            handle.abort();
        }
    })));
}

/// The answer a call is owed.
struct Owed {
    host: HostRef,
    call: u64,
    is_paid: bool,
}

impl Owed {
    fn pay(mut self, status: Status, body: &[u8]) {
        self.is_paid = true;
        self.host.complete(self.call, status, body);
    }

    fn pay_error(self, error: &Error) {
        let body = serde_json::to_vec(error).unwrap_or_default();
        self.pay(Status::Err, &body);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.is_paid {
            self.host.complete(self.call, Status::Panic, b"the call was dropped");
        }
    }
}

unsafe extern "C" fn call<F: Factory>(this: *mut c_void, call: u64, op: Bytes, body: Bytes) {
    // SAFETY: the host calls instances it has, with bytes it lends for the duration of this call.
    let (instance, op, body) = unsafe { (instance::<F>(this), op.copy(usize::MAX), body.copy(usize::MAX)) };
    let (op, body) = (op.unwrap_or_default(), body.unwrap_or_default());
    let host = instance.host;
    let begun = catch_unwind(AssertUnwindSafe(|| begin(instance, call, op, body)));
    if let Err(panic) = begun {
        host.log(call, 1, "zyklus_connect", &message(panic.as_ref()), "");
    }
}

fn begin<F: Factory>(instance: Arc<Instance<F>>, call: u64, op: Vec<u8>, body: Vec<u8>) {
    let host = instance.host;
    let owed = Owed { host, call, is_paid: false };
    let Ok(op) = String::from_utf8(op) else {
        return owed.pay_error(&Error::new(ErrorKind::Unsupported, "an op is a text"));
    };
    let (handle, registration) = AbortHandle::new_pair();
    // What cannot be taken back is finished, whoever still wants to know.
    let is_final = matches!(op.as_str(), super::SEND | super::PERFORM | super::CHANGE | super::CLOSE);
    if !is_final {
        instance.waiting().insert(call, handle);
    }
    let doing = Arc::clone(&instance);
    let work = Working { host, call, work: Box::pin(async move { perform(&doing, &op, &body).await }) };
    let work = Abortable::new(AssertUnwindSafe(work).catch_unwind(), registration);
    executor::spawn(Box::pin(async move {
        let ended = work.await;
        instance.waiting().remove(&call);
        match ended {
            Ok(Ok(Ok(body))) => owed.pay(Status::Ok, &body),
            Ok(Ok(Err(error))) => owed.pay_error(&error),
            Ok(Err(panic)) => owed.pay(Status::Panic, message(panic.as_ref()).as_bytes()),
            Err(_) => owed.pay(Status::Cancelled, &[]),
        }
    }));
}

/// A panic's message and place.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let place = PLACE.with(|place| std::mem::take(&mut *place.borrow_mut()));
    text.unwrap_or_else(|| "no message".to_owned()) + &place
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        Error::new(ErrorKind::Internal, "the host asked for something that makes no sense")
            .with_detail(e.to_string())
    })
}

fn written<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| {
        Error::new(ErrorKind::Internal, "the answer cannot be written as JSON").with_detail(e.to_string())
    })
}

fn has<T>(facet: Option<T>, op: &str) -> Result<T> {
    facet.ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("this connector has no `{op}`")))
}

async fn perform<F: Factory>(instance: &Instance<F>, op: &str, body: &[u8]) -> Result<Vec<u8>> {
    if op == super::OPEN {
        return open(instance, read(body)?).await;
    }
    let connector = instance.connector.get();
    let connector = connector.ok_or_else(|| Error::new(ErrorKind::Internal, "the connector is not open"))?;
    match op {
        super::CHECK => written(&connector.check().await),
        super::READ => written(&has(connector.source(), op)?.read(read::<ReadRequest>(body)?).await?),
        super::RECONCILE => {
            let wanted = read::<Subscription>(body)?;
            written(&has(connector.webhooks(), op)?.reconcile(&wanted).await?)
        }
        super::RECEIVE => {
            let request = read::<WebhookRequest>(body)?;
            written(&has(connector.webhooks(), op)?.receive(&request)?)
        }
        super::SEND => {
            let batch = read::<Vec<Keyed<Message>>>(body)?;
            written(&has(connector.channel(), op)?.send(batch).await)
        }
        super::PERFORM => {
            let batch = read::<Vec<Keyed<Action>>>(body)?;
            written(&has(connector.actions(), op)?.perform(batch).await)
        }
        super::ENSURE => {
            let audience = read::<AudienceSpec>(body)?;
            written(&has(connector.audience(), op)?.ensure(&audience).await?)
        }
        super::CHANGE => {
            let change = read::<Change>(body)?;
            written(&has(connector.audience(), op)?.change(&change.audience, change.batch).await)
        }
        super::CLOSE => {
            connector.close().await;
            written(&())
        }
        _ => Err(Error::new(ErrorKind::Unsupported, format!("this connector knows no `{op}`"))),
    }
}

async fn open<F: Factory>(instance: &Instance<F>, asked: Open) -> Result<Vec<u8>> {
    log::set_level(&asked.log_level);
    let host = instance.host;
    let clock = Arc::new(move || host.now());
    let (base_dir, data_dir) = (PathBuf::from(asked.base_dir), PathBuf::from(asked.data_dir));
    let ctx = Ctx::new(&asked.id, Arc::new(HostHttp(host)), clock, base_dir, data_dir);
    let ctx = ctx.with_tokens(Arc::new(HostTokens(host)));
    let connector = F::open(config_of::<F>(asked.config)?, ctx).await?;
    let opened = Opened { manifest: Some(connector.manifest().clone()), facets: Some(facets(&connector)) };
    if instance.connector.set(Arc::new(connector)).is_err() {
        return Err(Error::new(ErrorKind::Internal, "the connector is open already"));
    }
    written(&opened)
}

fn facets(connector: &dyn Connector) -> Vec<String> {
    let there = [
        ("source", connector.source().is_some()),
        ("webhooks", connector.webhooks().is_some()),
        ("channel", connector.channel().is_some()),
        ("actions", connector.actions().is_some()),
        ("audience", connector.audience().is_some()),
    ];
    there.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned()).collect()
}
