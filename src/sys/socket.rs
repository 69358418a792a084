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

/// Whether the kernel may hand over datagrams of one sender together. An error where it cannot
/// (before Linux 5.0); then it does not.
pub fn receive_together(socket: &impl AsFd, together: bool) -> io::Result<()> {
    set_number(
        socket.as_fd(),
        libc::SOL_UDP,
        libc::UDP_GRO,
        together.into(),
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

/// Descriptors that are waited for together, and which of them had something at the last look.
pub struct Waiting {
    wanted: Box<[libc::pollfd]>,
}

impl Waiting {
    /// They count as readable until somebody looks. Descriptors must stay open for as long as this is
    /// used: the kernel would look at whatever has their number then.
    pub fn new(descriptors: impl Iterator<Item = RawFd>) -> Self {
        let wanted = descriptors.map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: libc::POLLIN,
        });
        Self {
            wanted: wanted.collect(),
        }
    }

    /// Waits until one of them has something to read. A signal or the end of the time (`None`: for
    /// ever) counts as nothing.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as _,
            tv_nsec: timeout.subsec_nanos() as _,
        });
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        let count = self.wanted.len() as libc::nfds_t;
        // SAFETY: `wanted` holds the `count` live pollfds; `timeout` is null or points to a timespec
        // that lives across the call; a null mask leaves signals as they are.
        let ready = unsafe { libc::ppoll(self.wanted.as_mut_ptr(), count, timeout, ptr::null()) };
        if ready >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        self.wanted.iter_mut().for_each(|one| one.revents = 0);
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        }
    }

    /// Whether the descriptor at a place had something to read, or an error to tell.
    #[inline]
    pub fn is_readable(&self, place: usize) -> bool {
        self.wanted.get(place).is_some_and(|one| one.revents != 0)
    }

    /// Notes whether there is more to read at a place.
    #[inline]
    pub fn note(&mut self, place: usize, readable: bool) {
        if let Some(one) = self.wanted.get_mut(place) {
            one.revents = if readable { libc::POLLIN } else { 0 };
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn waiting_tells_which_descriptors_have_something() {
        let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        let mut waiting = Waiting::new(sockets.iter().map(AsRawFd::as_raw_fd));
        let readable = |waiting: &Waiting| [0, 1, 2, 3].map(|place| waiting.is_readable(place));
        assert_eq!(readable(&waiting), [true, true, true, false]);
        waiting.wait(Some(Duration::ZERO)).expect("a look");
        assert_eq!(readable(&waiting), [false; 4]);
        let to = sockets[1].local_addr().expect("its address");
        sockets[0].send_to(b"q", to).expect("sent");
        waiting.wait(None).expect("a datagram");
        assert_eq!(readable(&waiting), [false, true, false, false]);
        waiting.note(1, false);
        waiting.note(2, true);
        assert_eq!(readable(&waiting), [false, false, true, false]);
    }
}
