//! What the service manager passes to a process at its start (sd_listen_fds(3)). In: LISTEN_FDS and what
//! goes with it in the environment. Out: the open descriptors, each with its name. It must never give
//! one out twice, nor one that was meant for another process.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// All of them at the first call, none at a later one. They are closed when another program is
/// executed.
pub fn descriptors() -> io::Result<Vec<(String, OwnedFd)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // One thread starts the program; a test that starts two takes none for the second.
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    // It looks at LISTEN_PID, and fails where a descriptor is not open.
    let passed = sd_notify::listen_fds_with_names()?;
    let owned = passed.map(|(descriptor, name)| {
        // SAFETY: the descriptor is open, the service manager opened it for this process alone, and
        // nobody here was given it before.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        (name, owned)
    });
    Ok(owned.collect())
}
