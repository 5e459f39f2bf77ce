//! What a plugin's process gives up before it opens the library: inherited descriptors, memory without end, new rights,
//! and the network. Runs while the process has one thread.

#![expect(unsafe_code, reason = "the kernel is asked for what no safe function offers")]

use std::fs::File;
use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Descriptors it may have.
const DESCRIPTORS: u64 = 512;
/// How much more politely than the daemon it runs.
const NICE: i32 = 5;

/// The pipes of the process, which the library's standard streams are no longer.
pub(super) struct Pipes {
    pub(super) from_parent: File,
    pub(super) to_parent: File,
}

/// Closes whatever was inherited besides the standard streams, and moves the pipes out of the library's way: what it
/// prints goes to standard error, what it reads is empty.
pub(super) fn take_pipes() -> io::Result<Pipes> {
    // SAFETY: nothing in this process has opened a descriptor yet.
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if closed != 0 {
        return Err(io::Error::last_os_error());
    }
    let from_parent = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let to_parent = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(Pipes { from_parent: from_parent.into(), to_parent: to_parent.into() })
}

/// Sets the limits that hold for good.
pub(super) fn limit(memory: u64) -> io::Result<()> {
    let set = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    set(Resource::Data, memory)?;
    // What crashes would leave its secrets behind.
    set(Resource::Core, 0)?;
    set(Resource::Nofile, DESCRIPTORS)?;
    rustix::process::nice(NICE)?;
    Ok(())
}

/// Leaves the network, and with it the rights over the daemon's processes. What the kernel does not allow is said.
pub(super) fn leave_network() -> Result<(), String> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: the process has one thread, and keeps nothing of what it leaves.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) } == 0 {
        // In its own eyes it stays who it was; without this it would be nobody, which does no harm.
        let mapped = std::fs::write("/proc/self/setgroups", "deny")
            .and_then(|()| std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")))
            .and_then(|()| std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")));
        drop(mapped);
        return Ok(());
    }
    let first = io::Error::last_os_error();
    // SAFETY: as above.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0 {
        return Ok(());
    }
    refuse_sockets().map_err(|second| format!("{first}; {second}"))
}

/// Where no namespace is allowed: sockets of the internet's families cannot be made.
fn refuse_sockets() -> io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let allow = libc::SECCOMP_RET_ALLOW;
    let refuse = libc::SECCOMP_RET_ERRNO | (libc::EACCES as u32);
    let mut filter = [
        // The call's number, then its first argument, the family. Only local sockets are left.
        step(LOAD, 0, 0, 0),
        step(EQUAL, libc::SYS_socket as u32, 0, 3),
        step(LOAD, 16, 0, 0),
        step(EQUAL, libc::AF_UNIX as u32, 1, 0),
        step(RETURN, refuse, 0, 0),
        step(RETURN, allow, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is there until the call returns; this process gave up new rights before.
    let set = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0usize, 0usize)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends the process at once, without anything the library left to be run at the end.
pub(super) fn exit() -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_namespaces_sockets_of_the_internet_are_refused() {
        // The filter holds for the thread that asks for it, and ends with it.
        let thread = std::thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            refuse_sockets().unwrap();
            let refused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap_err();
            let local = std::os::unix::net::UnixDatagram::unbound();
            (refused.kind(), local.is_ok())
        });
        assert_eq!(thread.join().unwrap(), (io::ErrorKind::PermissionDenied, true));
        assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
    }
}
