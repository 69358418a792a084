//! Socket options that socket2 does not offer, and waits for readiness. In: an open
//! socket. Out: the option set, or the kernel's error.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Asks for buffers past the system's limit (`net.core.rmem_max`), which needs CAP_NET_ADMIN.
pub fn force_buffer_sizes(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let fd = socket.as_fd();
    set_number(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)?;
    set_number(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes)
}

/// Has the kernel tell with each datagram to which of our IPv4 addresses it was sent.
pub fn receive_destination_ipv4(socket: &impl AsFd) -> io::Result<()> {
    set_number(socket.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
}

/// The same for an IPv6 socket; IPv4 datagrams of a dual-stack socket show a mapped address.
pub fn receive_destination_ipv6(socket: &impl AsFd) -> io::Result<()> {
    set_number(
        socket.as_fd(),
        libc::IPPROTO_IPV6,
        libc::IPV6_RECVPKTINFO,
        1,
    )
}

/// Waits until the socket takes another datagram; false where it does not in time.
pub fn wait_writable(socket: BorrowedFd<'_>, timeout_ms: u16) -> bool {
    let mut wanted = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: `wanted` is one live pollfd and the count given is 1.
    let ready = unsafe { libc::poll(&mut wanted, 1, i32::from(timeout_ms)) };
    ready == 1
}

/// Waits until one of two descriptors has something to read, and says whether the second has. A
/// signal or the end of the time (`None`: for ever) counts as nothing.
pub fn wait_readable(
    first: &impl AsRawFd,
    second: &impl AsRawFd,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let readable = |fd: RawFd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut wanted = [readable(first.as_raw_fd()), readable(second.as_raw_fd())];
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as _,
        tv_nsec: timeout.subsec_nanos() as _,
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `wanted` holds the 2 live pollfds that the count says; `timeout` is null or points to
    // a timespec that lives across the call; a null mask leaves signals as they are.
    let ready = unsafe { libc::ppoll(wanted.as_mut_ptr(), 2, timeout, ptr::null()) };
    if ready >= 0 {
        return Ok(wanted[1].revents != 0);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        error => Err(error),
    }
}

fn set_number(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    set(socket, level, option, &value)
}

/// Sets an option whose value is a plain structure of the kernel's. Where it points to something, the
/// kernel reads that as well, and says EFAULT where nothing is there.
pub(super) fn set<T: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the kernel reads
    // `size_of(value)` octets from `value`, which lives across the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(value).cast(),
            mem::size_of_val(value) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
