//! Batches of datagrams. In: a UDP socket. Out: queries, each with a place for its answer, and the
//! answers sent back to where the queries came from. Nothing is allocated after `Batch::new`.
//!
//! Where the socket takes datagrams of one sender together (UDP_GRO) a receive may hand over thousands
//! of queries; they come in rounds of as many as there are places. Answers of one length to one peer
//! are sent together (see `send`).

mod arena;
mod send;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::slice;

use super::control::{self, Beside, CONTROL_BYTES};
use super::way_back::WayBack;
use crate::limits::{UDP_BATCH_DATAGRAMS, UDP_EDNS_BYTES_MAX, UDP_QUERY_BYTES_MAX};
use arena::{Arena, RECEIVED_BYTES_MAX};
pub(super) use arena::{Lines, RESPONSE_STRIDE_BYTES, odd_lines};
use send::Sending;

/// Buffers and headers of one worker's datagrams, built once, for all its sockets in turn, of whatever
/// kind: answers go out on the socket that their queries came in on. All access goes through `arena`,
/// so no reference is ever alive while the kernel writes.
pub struct Batch {
    arena: Arena,
    /// Messages of the last receive.
    received: usize,
    /// What of them has had a place: whole messages, and octets of the one that follows.
    placed: (usize, usize),
    /// What the kernel said of each message.
    beside: [Beside; UDP_BATCH_DATAGRAMS],
    places: [Place; UDP_BATCH_DATAGRAMS],
    place_count: usize,
    /// The place of the socket that the batch came by among those of its worker.
    socket: usize,
    sending: Sending,
}

/// Where a datagram stands.
#[derive(Clone, Copy, Default)]
struct Place {
    message: usize,
    start: usize,
    bytes: usize,
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

impl Batch {
    pub fn new() -> Self {
        let batch = Self {
            arena: Arena::new(),
            received: 0,
            placed: (0, 0),
            beside: [Beside::NOTHING; UDP_BATCH_DATAGRAMS],
            places: [Place::default(); UDP_BATCH_DATAGRAMS],
            place_count: 0,
            socket: 0,
            sending: Sending::new(),
        };
        for index in 0..UDP_BATCH_DATAGRAMS {
            batch.prepare(index);
        }
        batch
    }

    /// Takes what is there without waiting, and gives the first datagrams of it their places: how many,
    /// at most `UDP_BATCH_DATAGRAMS`. `WouldBlock`: nothing is there.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // Only the headers that the last receive used were written to by the kernel.
        for index in 0..self.received {
            self.reset(index);
        }
        self.received = 0;
        self.place_count = 0;
        let headers = self.arena.receive_header(0);
        // SAFETY: UDP_BATCH_DATAGRAMS headers begin at `headers`, whose pointers and lengths
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
        let Ok(count) = usize::try_from(count) else {
            return Err(io::Error::last_os_error());
        };
        self.received = count.min(UDP_BATCH_DATAGRAMS);
        for index in 0..self.received {
            self.beside[index] = self.read_beside(index);
        }
        self.placed = (0, 0);
        Ok(self.next_places())
    }

    /// Says by which of a worker's sockets the batches come from now on.
    pub fn note_socket(&mut self, place: usize) {
        self.socket = place;
    }

    /// How a later answer gets to the sender of the datagram at a place.
    pub fn way_back(&self, place: usize) -> Option<WayBack> {
        let Place { message, .. } = *self.places[..self.place_count].get(place)?;
        // SAFETY: a live header of `arena`, which nothing writes to now.
        let received = unsafe { &(*self.arena.receive_header(message)).header };
        let beside = &self.beside[message];
        let (control, bytes) = (beside.answer, beside.answer_bytes);
        let peer = self.arena.peer(message);
        // SAFETY: a live sockaddr of `arena`, zeroed when allocated; `control` is null or leads to that
        // many octets of `arena`, which the kernel wrote. Nothing writes to either now.
        Some(unsafe { WayBack::new(self.socket, peer, received.msg_namelen, control, bytes) })
    }

    /// Gives the next datagrams of the last receive their places, once those before are answered and
    /// sent: how many. 0: that was all.
    #[inline]
    pub fn next_places(&mut self) -> usize {
        self.place_count = 0;
        self.sending.clear();
        let (mut message, mut start) = self.placed;
        while self.place_count < UDP_BATCH_DATAGRAMS && message < self.received {
            let length = self.received_bytes(message);
            let bytes = match self.beside[message].segment_bytes {
                None => length,
                Some(segment) => segment.min(length - start),
            };
            self.places[self.place_count] = Place {
                message,
                start,
                bytes,
            };
            self.place_count += 1;
            start += bytes;
            if start >= length {
                (message, start) = (message + 1, 0);
            }
        }
        self.placed = (message, start);
        self.place_count
    }

    /// The query at a place.
    #[inline]
    pub fn query_octets(&self, place: usize) -> Option<&[u8]> {
        let Place {
            message,
            start,
            bytes,
        } = *self.places[..self.place_count].get(place)?;
        // SAFETY: `start` is within the message's buffer: `next_places` keeps it below what was
        // received.
        let query = unsafe { self.arena.received(message).add(start) };
        // SAFETY: no more than was received follows, which the buffer holds, zeroed when allocated; it
        // is borrowed for as long as this batch is.
        Some(unsafe { slice::from_raw_parts(query, bytes.min(UDP_QUERY_BYTES_MAX)) })
    }

    /// The datagram at a place.
    #[inline]
    pub fn datagram(&mut self, place: usize) -> Option<Datagram<'_>> {
        let query = self.query_octets(place)?;
        let Place { message, bytes, .. } = self.places[place];
        // SAFETY: the response's buffer is RESPONSE_STRIDE_BYTES long, no less than
        // UDP_EDNS_BYTES_MAX; it overlaps no other and this batch is borrowed mutably.
        let response =
            unsafe { slice::from_raw_parts_mut(self.arena.response(place), UDP_EDNS_BYTES_MAX) };
        // SAFETY: a live sockaddr of `arena`, zeroed when allocated and written by the kernel only
        // during `receive`.
        let peer = unsafe { ip_address(self.arena.peer(message)) };
        Some(Datagram {
            query,
            peer,
            truncated: bytes > UDP_QUERY_BYTES_MAX,
            response,
        })
    }

    /// Queues the first `bytes` of a datagram's response for `send`. Once per datagram.
    #[inline]
    pub fn queue(&mut self, place: usize, bytes: usize) {
        if place < self.place_count {
            self.sending.push(place, bytes.min(UDP_EDNS_BYTES_MAX));
        }
    }

    /// One of the answers that were queued, by number, and who gets it.
    pub fn queued(&self, number: usize) -> Option<(IpAddr, &[u8])> {
        let (place, bytes) = self.sending.answer(number)?;
        let Place { message, .. } = *self.places[..self.place_count].get(place)?;
        // SAFETY: a live sockaddr of `arena`, zeroed when allocated and written by the kernel only
        // during `receive`.
        let peer = unsafe { ip_address(self.arena.peer(message)) };
        let response = self.arena.response(place);
        // SAFETY: the response's buffer is RESPONSE_STRIDE_BYTES long, no less than UDP_EDNS_BYTES_MAX,
        // which `queue` keeps `bytes` to; it is initialised, and nothing writes to it while this batch
        // is borrowed.
        let response = unsafe { slice::from_raw_parts(response, bytes) };
        Some((peer, response))
    }

    /// Octets of a message, which may be several datagrams.
    #[inline]
    fn received_bytes(&self, message: usize) -> usize {
        // SAFETY: a live header of `arena`, which nothing writes to now.
        let header = unsafe { &*self.arena.receive_header(message) };
        (header.length as usize).min(RECEIVED_BYTES_MAX)
    }

    #[inline]
    fn read_beside(&self, message: usize) -> Beside {
        // SAFETY: a live header of `arena`, which nothing writes to now.
        let received = unsafe { &(*self.arena.receive_header(message)).header };
        if received.msg_controllen == 0 {
            return Beside::NOTHING;
        }
        // SAFETY: the kernel filled this header, whose control pointer `reset` set to the buffer of
        // `arena` of the same index; nothing else refers to that.
        unsafe { control::read(received) }
    }

    /// Sets the fields that stay: what points where.
    fn prepare(&self, index: usize) {
        let vector = self.arena.receive_vector(index);
        let wanted = libc::iovec {
            iov_base: self.arena.received(index).cast(),
            iov_len: RECEIVED_BYTES_MAX,
        };
        // SAFETY: `vector` is valid and aligned, and nothing else refers to it.
        unsafe { vector.write(wanted) };
        // SAFETY: a live header of `arena`; nothing else refers to it.
        let header = unsafe { &mut (*self.arena.receive_header(index)).header };
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        header.msg_name = self.arena.peer(index).cast();
        header.msg_control = self.arena.control(index).cast();
        self.reset(index);
    }

    /// Sets the fields of a receive header that the kernel writes.
    #[inline]
    fn reset(&self, index: usize) {
        // SAFETY: a live header of `arena`; nothing else refers to it.
        let header = unsafe { &mut (*self.arena.receive_header(index)).header };
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_controllen = CONTROL_BYTES as _;
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

#[cfg(test)]
pub(super) mod tests;
