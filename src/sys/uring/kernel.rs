//! The two calls of io_uring that its library makes only by the descriptor. In: the number of a ring
//! in the thread's own table, which spares the kernel a look-up. Out: what the kernel says.

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

// linux/io_uring.h
const ENTER_GETEVENTS: libc::c_uint = 1;
const ENTER_EXT_ARG: libc::c_uint = 1 << 3;
const ENTER_REGISTERED_RING: libc::c_uint = 1 << 4;
const REGISTER_RING_FDS: libc::c_uint = 20;

/// struct io_uring_getevents_arg of the kernel.
#[repr(C)]
struct WaitArgument {
    signal_mask: u64,
    signal_mask_bytes: u32,
    min_wait_usec: u32,
    timeout: u64,
}

/// struct __kernel_timespec of the kernel.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// struct io_uring_rsrc_update of the kernel.
#[repr(C)]
struct RingNumber {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// Hands entries over and waits for a completion, for as long as is said: zero, not at all; `None`, for
/// ever. How many entries the kernel took.
pub fn enter(ring: libc::c_uint, entries: u32, wait: Option<Duration>) -> io::Result<usize> {
    let at_once = wait == Some(Duration::ZERO);
    let timeout = wait.map(|wait| Timespec {
        seconds: wait.as_secs().min(i32::MAX as u64) as i64,
        nanoseconds: i64::from(wait.subsec_nanos()),
    });
    let argument = WaitArgument {
        signal_mask: 0,
        signal_mask_bytes: 0,
        min_wait_usec: 0,
        timeout: timeout.as_ref().map_or(0, |it| ptr::from_ref(it) as u64),
    };
    // SAFETY: a number that is no ring's of this thread is refused; the kernel reads `argument` and the
    // timespec it names, both of its own layout, during the call. The entries were made by `push`.
    let taken = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring,
            entries,
            libc::c_uint::from(!at_once),
            ENTER_GETEVENTS | ENTER_EXT_ARG | ENTER_REGISTERED_RING,
            &raw const argument,
            size_of::<WaitArgument>(),
        )
    };
    usize::try_from(taken).map_err(|_| io::Error::last_os_error())
}

/// The number of a ring's descriptor in the thread's table of rings.
pub fn register_ring(fd: RawFd) -> io::Result<libc::c_uint> {
    let mut number = RingNumber {
        offset: u32::MAX,
        reserved: 0,
        data: fd as u64,
    };
    // SAFETY: the kernel reads and writes the one struct io_uring_rsrc_update that the count says,
    // which lives across the call.
    let count = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            fd,
            REGISTER_RING_FDS,
            &raw mut number,
            1,
        )
    };
    match count {
        1 => Ok(number.offset),
        _ => Err(io::Error::last_os_error()),
    }
}
