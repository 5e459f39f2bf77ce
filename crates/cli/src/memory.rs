//! The program's allocator. Decides nothing.

/// Deciding makes and drops many small values; the system's allocator took a third of the time of it. It also serves
/// SQLite, and goes without huge pages: the kernel would fill them up behind a daemon that has given its memory back.
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
