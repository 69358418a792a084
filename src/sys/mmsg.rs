//! Batches of datagrams. In: a UDP socket. Out: queries, each with a place for its answer, and the
//! answers sent back to where the queries came from. Nothing is allocated after `Batch::new`.

use std::alloc::{self, Layout};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;

use super::control::{self, CONTROL_BYTES};
use super::prefetch::CACHE_LINE_BYTES;
use super::socket;
use crate::limits::{
    UDP_BATCH_DATAGRAMS, UDP_EDNS_BYTES_MAX, UDP_QUERY_BYTES_MAX, UDP_SEND_WAIT_MS,
};

/// Buffers and headers of one worker's datagrams, built once, for all its sockets in turn, of whatever
/// kind: answers go out on the socket that their queries came in on. Headers point at buffers of the
/// same allocation, which does not move; all access goes through `arena`, so no reference is ever
/// alive while the kernel writes.
pub struct Batch {
    arena: NonNull<Arena>,
    received: usize,
    queued: usize,
}

/// What a batch received.
pub struct Datagram<'a> {
    pub query: &'a [u8],
    pub peer: IpAddr,
    /// The datagram was longer than `query`, which is its beginning.
    pub truncated: bool,
    /// `UDP_EDNS_BYTES_MAX` octets for the answer.
    pub response: &'a mut [u8],
}

/// What became of the answers that were queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub sent: u64,
    /// Times that the kernel took only a part.
    pub short: u64,
    /// Answers given up: refused by the kernel one by one, or no room for too long.
    pub errors: u64,
}

// Distances between buffers: an odd number of cache lines. At 4,096 octets the beginnings of all
// buffers, the only part that most queries touch, would compete for one set of the first-level
// cache.
const QUERY_STRIDE_BYTES: usize = odd_lines(UDP_QUERY_BYTES_MAX) * CACHE_LINE_BYTES;
pub(super) const RESPONSE_STRIDE_BYTES: usize = odd_lines(UDP_EDNS_BYTES_MAX) * CACHE_LINE_BYTES;

pub(super) const fn odd_lines(bytes: usize) -> usize {
    bytes.div_ceil(CACHE_LINE_BYTES) | 1
}

#[repr(C, align(64))]
struct Arena {
    receives: [MessageHeader; UDP_BATCH_DATAGRAMS],
    sends: [MessageHeader; UDP_BATCH_DATAGRAMS],
    receive_vectors: [libc::iovec; UDP_BATCH_DATAGRAMS],
    send_vectors: [libc::iovec; UDP_BATCH_DATAGRAMS],
    peers: [libc::sockaddr_in6; UDP_BATCH_DATAGRAMS],
    controls: [Control; UDP_BATCH_DATAGRAMS],
    queries: [Lines<QUERY_STRIDE_BYTES>; UDP_BATCH_DATAGRAMS],
    responses: [Lines<RESPONSE_STRIDE_BYTES>; UDP_BATCH_DATAGRAMS],
}

#[repr(C, align(64))]
pub(super) struct Lines<const BYTES: usize>([u8; BYTES]);

#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// The kernel's `struct mmsghdr`; libc lacks it, and both calls, for musl.
#[repr(C)]
struct MessageHeader {
    header: libc::msghdr,
    length: libc::c_uint,
}

const _: () = assert!(size_of::<libc::sockaddr_in>() <= size_of::<libc::sockaddr_in6>());

impl Batch {
    pub fn new() -> Self {
        let layout = Layout::new::<Arena>();
        // SAFETY: the layout of `Arena` has a size above zero.
        let memory = unsafe { alloc::alloc_zeroed(layout) };
        // All fields are integers, arrays of them or raw pointers: zero bits are a value of each.
        let Some(arena) = NonNull::new(memory.cast::<Arena>()) else {
            alloc::handle_alloc_error(layout)
        };
        let batch = Self {
            arena,
            received: 0,
            queued: 0,
        };
        for index in 0..UDP_BATCH_DATAGRAMS {
            batch.prepare(index);
        }
        batch
    }

    /// Takes what is there, at most `UDP_BATCH_DATAGRAMS`, without waiting. `WouldBlock`: nothing.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.queued = 0;
        // Only the headers that the last batch used were written to by the kernel.
        for index in 0..self.received {
            self.reset(index);
        }
        self.received = 0;
        // SAFETY: `arena` is allocated until drop; the projection stays inside of it.
        let headers = unsafe { &raw mut (*self.arena.as_ptr()).receives };
        // SAFETY: `headers` holds UDP_BATCH_DATAGRAMS headers, whose pointers and lengths
        // `prepare` and `reset` set to buffers of `arena`; no reference into it is alive, since
        // `Datagram` borrows this batch. The null timeout is allowed.
        let count = unsafe {
            libc::syscall(
                libc::SYS_recvmmsg,
                socket.as_raw_fd(),
                headers,
                UDP_BATCH_DATAGRAMS as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut::<libc::timespec>(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                self.received = count.min(UDP_BATCH_DATAGRAMS);
                Ok(self.received)
            }
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// The query of a datagram of the last `receive`, counted from 0.
    #[inline]
    pub fn query_octets(&self, index: usize) -> Option<&[u8]> {
        if index >= self.received {
            return None;
        }
        // SAFETY: a live header of `arena`, which nothing writes to while this reference is used.
        let header = unsafe { &*self.receive_header(index) };
        let length = (header.length as usize).min(UDP_QUERY_BYTES_MAX);
        // SAFETY: the query's buffer is QUERY_STRIDE_BYTES long, no less than `length`, and was
        // zeroed when allocated; it is borrowed for as long as this batch is.
        Some(unsafe { slice::from_raw_parts(self.query(index), length) })
    }

    /// One datagram of the last `receive`, counted from 0.
    #[inline]
    pub fn datagram(&mut self, index: usize) -> Option<Datagram<'_>> {
        let query = self.query_octets(index)?;
        // SAFETY: a live header of `arena`, which nothing writes to while this reference is used.
        let header = unsafe { &*self.receive_header(index) };
        let truncated = header.header.msg_flags & libc::MSG_TRUNC != 0;
        // SAFETY: the response's buffer is RESPONSE_STRIDE_BYTES long, no less than
        // UDP_EDNS_BYTES_MAX; it overlaps no other and this batch is borrowed mutably.
        let response =
            unsafe { slice::from_raw_parts_mut(self.response(index), UDP_EDNS_BYTES_MAX) };
        Some(Datagram {
            query,
            peer: self.peer_address(index),
            truncated,
            response,
        })
    }

    /// Queues the first `bytes` of a datagram's response for `send`. Once per datagram.
    #[inline]
    pub fn queue(&mut self, index: usize, bytes: usize) {
        if index >= self.received || self.queued >= UDP_BATCH_DATAGRAMS {
            return;
        }
        // SAFETY: a live header of `arena`, which nothing writes to while this reference is used.
        let received = unsafe { &(*self.receive_header(index)).header };
        let peer_bytes = received.msg_namelen;
        // A socket that is bound to one address has none, and the kernel sends from that.
        let control_bytes = match received.msg_controllen {
            0 => 0,
            _ => self.turn_control(index),
        };
        let vector = self.send_vector(index);
        // SAFETY: a live iovec of `arena`; nothing else refers to it.
        unsafe { (*vector).iov_len = bytes.min(UDP_EDNS_BYTES_MAX) };
        // SAFETY: a live header of `arena`; nothing else refers to it.
        let header = unsafe { &mut (*self.send_header(self.queued)).header };
        header.msg_iov = vector;
        header.msg_name = self.peer(index).cast();
        header.msg_namelen = peer_bytes;
        header.msg_control = match control_bytes {
            0 => ptr::null_mut(),
            _ => self.control(index).cast(),
        };
        header.msg_controllen = control_bytes as _;
        self.queued += 1;
    }

    /// Sends what was queued. An answer that the kernel refuses is left out and the rest goes on;
    /// where there is no room it waits once, for `UDP_SEND_WAIT_MS`, and then gives up the rest.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> Sent {
        let mut report = Sent::default();
        let mut first = 0;
        let mut waited = false;
        while first < self.queued {
            match self.send_from(socket, first) {
                Ok(count) => {
                    first += count;
                    report.sent += count as u64;
                    report.short += u64::from(first < self.queued);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock if !waited => {
                        waited = true;
                        socket::wait_writable(socket, UDP_SEND_WAIT_MS);
                    }
                    io::ErrorKind::WouldBlock => {
                        report.errors += (self.queued - first) as u64;
                        break;
                    }
                    // The error is the first datagram's own (EPERM of a firewall, ENETUNREACH,
                    // EINVAL of port 0): sendmmsg reports it only where nothing went before it.
                    _ => {
                        report.errors += 1;
                        first += 1;
                    }
                },
            }
        }
        self.queued = 0;
        report
    }

    /// One sendmmsg of the queue from `first` on; at least 1 where it succeeds.
    fn send_from(&self, socket: BorrowedFd<'_>, first: usize) -> io::Result<usize> {
        let headers = self.send_header(first);
        let remaining = self.queued - first;
        // SAFETY: `remaining` headers follow `headers`, each filled by `queue` with pointers to
        // buffers of `arena` and lengths within them; no reference into it is alive.
        let count = unsafe {
            libc::syscall(
                libc::SYS_sendmmsg,
                socket.as_raw_fd(),
                headers,
                remaining as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count.clamp(1, remaining)),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// Sets the fields that stay: what points where.
    fn prepare(&self, index: usize) {
        let (receive, send) = (self.receive_vector(index), self.send_vector(index));
        let receive_vector = libc::iovec {
            iov_base: self.query(index).cast(),
            iov_len: UDP_QUERY_BYTES_MAX,
        };
        let send_vector = libc::iovec {
            iov_base: self.response(index).cast(),
            iov_len: 0,
        };
        // SAFETY: `receive` is valid and aligned, and nothing else refers to it.
        unsafe { receive.write(receive_vector) };
        // SAFETY: `send` is valid and aligned, and nothing else refers to it.
        unsafe { send.write(send_vector) };
        // SAFETY: a live header of `arena`; nothing else refers to it.
        let header = unsafe { &mut (*self.receive_header(index)).header };
        header.msg_iov = receive;
        header.msg_iovlen = 1;
        header.msg_name = self.peer(index).cast();
        header.msg_control = self.control(index).cast();
        self.reset(index);
        // SAFETY: a live header of `arena`; nothing else refers to it.
        let header = unsafe { &mut (*self.send_header(index)).header };
        header.msg_iovlen = 1;
    }

    /// Sets the fields of a receive header that the kernel writes.
    #[inline]
    fn reset(&self, index: usize) {
        // SAFETY: a live header of `arena`; nothing else refers to it.
        let header = unsafe { &mut (*self.receive_header(index)).header };
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_controllen = CONTROL_BYTES as _;
    }

    /// Turns the control message of a query into that of its answer. Its length, 0 for none.
    fn turn_control(&mut self, index: usize) -> usize {
        // SAFETY: a live header of `arena`, which nothing writes to now.
        let received = unsafe { &(*self.receive_header(index)).header };
        // SAFETY: the kernel filled this header, whose control pointer `reset` set to the buffer of
        // `arena` of the same index; nothing else refers to that.
        unsafe { control::turn(received) }
    }

    // Places in the arena, as raw pointers: the index is checked, and no reference is made.

    fn receive_header(&self, index: usize) -> *mut MessageHeader {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        unsafe { &raw mut (*self.arena.as_ptr()).receives[index] }
    }

    fn send_header(&self, index: usize) -> *mut MessageHeader {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        unsafe { &raw mut (*self.arena.as_ptr()).sends[index] }
    }

    fn receive_vector(&self, index: usize) -> *mut libc::iovec {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        unsafe { &raw mut (*self.arena.as_ptr()).receive_vectors[index] }
    }

    fn send_vector(&self, index: usize) -> *mut libc::iovec {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        unsafe { &raw mut (*self.arena.as_ptr()).send_vectors[index] }
    }

    fn peer(&self, index: usize) -> *mut libc::sockaddr_in6 {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        unsafe { &raw mut (*self.arena.as_ptr()).peers[index] }
    }

    /// Where a datagram of the last `receive` came from.
    #[inline]
    fn peer_address(&self, index: usize) -> IpAddr {
        // SAFETY: a live sockaddr of `arena`, zeroed when allocated and written by the kernel only
        // during `receive`.
        unsafe { ip_address(self.peer(index)) }
    }

    fn control(&self, index: usize) -> *mut Control {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        unsafe { &raw mut (*self.arena.as_ptr()).controls[index] }
    }

    fn query(&self, index: usize) -> *mut u8 {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        let buffer = unsafe { &raw mut (*self.arena.as_ptr()).queries[index] };
        buffer.cast()
    }

    fn response(&self, index: usize) -> *mut u8 {
        // SAFETY: `arena` is allocated until drop; the array checks the index.
        let buffer = unsafe { &raw mut (*self.arena.as_ptr()).responses[index] };
        buffer.cast()
    }
}

/// The address in what the kernel wrote; an IPv4 address in IPv6's clothes is an IPv4 address.
///
/// # Safety
///
/// `peer` leads to as many initialised octets as a sockaddr_in6 has, aligned to 4, which hold a
/// sockaddr_in or a sockaddr_in6 and which nothing writes to during the call.
#[inline]
pub(super) unsafe fn ip_address(peer: *const libc::sockaddr_in6) -> IpAddr {
    // SAFETY: `sin6_family` lies where every sockaddr has its family.
    let family = unsafe { (*peer).sin6_family };
    if libc::c_int::from(family) == libc::AF_INET {
        // SAFETY: a sockaddr_in is shorter than a sockaddr_in6 and no stricter aligned.
        let address = unsafe { (*peer.cast::<libc::sockaddr_in>()).sin_addr.s_addr };
        return Ipv4Addr::from(address.to_ne_bytes()).into();
    }
    // SAFETY: any octets are an address.
    let octets = unsafe { (*peer).sin6_addr.s6_addr };
    Ipv6Addr::from(octets).to_canonical()
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: `arena` came from alloc_zeroed with this layout and is freed here only; nothing
        // in it has a destructor, and no kernel call is under way.
        unsafe { alloc::dealloc(self.arena.as_ptr().cast(), Layout::new::<Arena>()) };
    }
}

#[cfg(test)]
mod tests;
