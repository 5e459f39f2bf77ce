//! The C ABI as Rust sees it: the tables of include/zyklus_plugin.h, and the JSON bodies that go through them. ABI.md has
//! the rules. Never calls anything.

#![expect(unsafe_code, reason = "this is the border to foreign code")]

#[cfg(feature = "library")]
mod executor;
#[cfg(feature = "library")]
#[doc(hidden)]
pub mod export;
#[cfg(feature = "library")]
mod host;
#[cfg(feature = "library")]
mod log;
#[cfg(test)]
mod tests;
pub mod wire;

use std::ffi::c_void;

/// The name of the only symbol a plugin exports. The major is part of it.
pub const SYMBOL: &str = "zyklus_plugin_v1";
/// `ZYKL`.
pub const MAGIC: u32 = 0x5A59_4B4C;
/// Changes when a plugin built before can no longer work.
pub const MAJOR: u16 = 1;
/// Grows with every addition.
pub const MINOR: u16 = 0;

/// Bytes on loan for the duration of a call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// Where they begin; may be null when there are none.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
}

impl Bytes {
    /// None.
    pub const EMPTY: Self = Bytes { ptr: std::ptr::null(), len: 0 };

    /// Lends these. The borrow ends here for the compiler: whoever passes it on sees to it that the call ends first.
    pub fn lend(bytes: &[u8]) -> Self {
        Bytes { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// Copies them, at most `most` of them; `None` when there are more.
    ///
    /// # Safety
    /// `ptr` points to `len` readable bytes, or `len` is 0.
    pub unsafe fn copy(self, most: usize) -> Option<Vec<u8>> {
        if self.len > most {
            return None;
        }
        if self.len == 0 || self.ptr.is_null() {
            return Some(Vec::new());
        }
        // SAFETY: the caller lends them for the duration of this call.
        Some(unsafe { std::slice::from_raw_parts(self.ptr, self.len) }.to_vec())
    }
}

/// How a call or a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The body is the answer.
    Ok,
    /// The body is an [`crate::Error`].
    Err,
    /// A defect in whoever answers; the body is a text.
    Panic,
    /// Given up; the body is ignored.
    Cancelled,
}

impl Status {
    /// As it crosses the border.
    pub fn code(self) -> i32 {
        match self {
            Status::Ok => 0,
            Status::Err => 1,
            Status::Panic => 2,
            Status::Cancelled => 3,
        }
    }

    /// What a number means; one that means nothing is a defect of its sender.
    pub fn from_code(code: i32) -> Self {
        match code {
            0 => Status::Ok,
            1 => Status::Err,
            3 => Status::Cancelled,
            _ => Status::Panic,
        }
    }
}

/// Takes the answer to a request.
pub type ReplyFn = extern "C" fn(user: *mut c_void, status: i32, body: Bytes);

/// What the host offers: `zy_host`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HostTable {
    /// Of this table, in bytes.
    pub size: u32,
    /// The host's minor.
    pub abi_minor: u32,
    /// The first argument of every function.
    pub ctx: *mut c_void,
    /// Answers a call.
    pub complete: extern "C" fn(ctx: *mut c_void, call: u64, status: i32, body: Bytes),
    /// One line for the host's log.
    pub log: extern "C" fn(
        ctx: *mut c_void,
        call: u64,
        level: u32,
        target: Bytes,
        message: Bytes,
        fields_json: Bytes,
    ),
    /// Asks the host for something.
    pub request: extern "C" fn(
        ctx: *mut c_void,
        call: u64,
        service: Bytes,
        body: Bytes,
        reply: ReplyFn,
        user: *mut c_void,
    ),
}

/// What a plugin is: `zy_plugin`. The functions may be null in a table that a stranger made.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PluginTable {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`MAJOR`].
    pub abi_major: u16,
    /// The plugin's minor.
    pub abi_minor: u16,
    /// Of this table, in bytes.
    pub size: u32,
    /// 0. Bit 0 is kept for bodies in MessagePack.
    pub flags: u32,
    /// The manifest as JSON; lives for ever.
    pub manifest: Option<extern "C" fn() -> Bytes>,
    /// Makes an instance.
    pub create: Option<unsafe extern "C" fn(host: *const HostTable) -> *mut c_void>,
    /// Asks an instance to do something.
    pub call: Option<unsafe extern "C" fn(this: *mut c_void, call: u64, op: Bytes, body: Bytes)>,
    /// Nobody waits for a call any more.
    pub cancel: Option<unsafe extern "C" fn(this: *mut c_void, call: u64)>,
    /// Ends an instance.
    pub destroy: Option<unsafe extern "C" fn(this: *mut c_void)>,
}

// SAFETY: plain numbers and functions; what `ctx` points to is the host's business, which takes it from any thread.
unsafe impl Send for HostTable {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for HostTable {}

/// The type of [`SYMBOL`].
pub type EntryFn = unsafe extern "C" fn() -> *const PluginTable;

/// The op every instance gets first.
pub const OPEN: &str = "open";
/// Live checks.
pub const CHECK: &str = "check";
/// One page.
pub const READ: &str = "source.read";
/// Subscriptions.
pub const RECONCILE: &str = "webhooks.reconcile";
/// One webhook.
pub const RECEIVE: &str = "webhooks.receive";
/// Messages.
pub const SEND: &str = "channel.send";
/// Actions.
pub const PERFORM: &str = "actions.perform";
/// One audience.
pub const ENSURE: &str = "audience.ensure";
/// Its members.
pub const CHANGE: &str = "audience.change";
/// The op every instance gets last.
pub const CLOSE: &str = "close";
