//! The program's allocator. Decides nothing.

/// Deciding makes and drops many small values; the system's allocator took a third of the time of it. It also serves
/// SQLite, and asks for no huge pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(unsafe_code, reason = "the allocator is C, and its crate has no safe name for this")]
// SAFETY: mimalloc.h has `void mi_collect(bool force)`, which any thread may call at any time.
unsafe extern "C" {
    /// Frees what threads that have ended left behind, and gives free pages back to the system, all of them if forced.
    safe fn mi_collect(force: bool);
}

/// Gives the memory back that nothing is kept in.
pub(crate) fn give_back() {
    mi_collect(true);
}

/// Goes without huge pages, whatever the system's default: the kernel would fill them up behind a daemon that has given its
/// memory back.
pub(crate) fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages are as the system has them");
    }
}
