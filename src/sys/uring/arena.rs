//! The memory that a ring and the kernel share. In: places by index. Out: raw pointers to them, and
//! the ring of free buffers. It makes no reference to what the kernel may be writing.

use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::limits::{
    UDP_BATCH_DATAGRAMS, UDP_QUERY_BYTES_MAX, UDP_SOCKETS_PER_WORKER_MAX, URING_BUFFERS,
};
use crate::sys::control::CONTROL_BYTES;
use crate::sys::mmsg::{Lines, RESPONSE_STRIDE_BYTES, odd_lines};
use crate::sys::pages;
use crate::sys::prefetch::CACHE_LINE_BYTES;

/// What the kernel writes in front of each message (linux/io_uring.h, struct io_uring_recvmsg_out).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MessageHead {
    pub name_bytes: u32,
    pub control_bytes: u32,
    pub payload_bytes: u32,
    pub flags: u32,
}

pub const MESSAGE_HEAD_BYTES: usize = size_of::<MessageHead>();
/// Octets for the sender's address: those of a sockaddr_in6, and some so that what follows is aligned.
pub const PEER_BYTES: usize = 32;

/// One received message: head, sender, control message, payload, as the kernel lays them out for a
/// header that asks for PEER_BYTES and CONTROL_BYTES.
#[repr(C, align(64))]
pub struct Message {
    pub head: MessageHead,
    pub peer: [u8; PEER_BYTES],
    pub control: [u8; CONTROL_BYTES],
    pub payload: [u8; UDP_QUERY_BYTES_MAX],
    /// So that messages do not all begin in one set of the cache (see `mmsg`).
    _stride: [u8; STRIDE_BYTES - MESSAGE_BYTES],
}

/// What the kernel is given of a `Message`.
pub const MESSAGE_BYTES: usize =
    MESSAGE_HEAD_BYTES + PEER_BYTES + CONTROL_BYTES + UDP_QUERY_BYTES_MAX;
const STRIDE_BYTES: usize = odd_lines(MESSAGE_BYTES) * CACHE_LINE_BYTES;

const _: () = assert!(offset_of!(Message, peer) == MESSAGE_HEAD_BYTES);
const _: () = assert!(offset_of!(Message, payload) + UDP_QUERY_BYTES_MAX == MESSAGE_BYTES);
const _: () = assert!(offset_of!(Message, control).is_multiple_of(8));
const _: () = assert!(PEER_BYTES >= size_of::<libc::sockaddr_in6>());
const _: () = assert!(URING_BUFFERS.is_power_of_two() && URING_BUFFERS <= 1 << 15);
const _: () = assert!(size_of::<[BufRingEntry; URING_BUFFERS]>() == size_of::<FreeRing>());
const _: () = assert!(URING_BUFFERS / UDP_SOCKETS_PER_WORKER_MAX.next_power_of_two() >= 8);

#[repr(C, align(4096))]
struct FreeRing([BufRingEntry; URING_BUFFERS]);

#[repr(C, align(4096))]
struct Shared {
    /// A ring of free buffers for each socket, each at a page; the tail of one lies in its first entry's
    /// reserved field.
    free: [FreeRing; UDP_SOCKETS_PER_WORKER_MAX],
    /// What every receive asks for: how much of an address, how much of control messages.
    wanted: libc::msghdr,
    send_headers: [libc::msghdr; UDP_BATCH_DATAGRAMS],
    send_vectors: [libc::iovec; UDP_BATCH_DATAGRAMS],
    responses: [Lines<RESPONSE_STRIDE_BYTES>; UDP_BATCH_DATAGRAMS],
    messages: [Message; URING_BUFFERS],
}

/// Freed by its owner's word alone: the kernel may still be writing when a ring goes wrong.
pub struct Arena {
    shared: NonNull<Shared>,
    /// Entries put into each ring of free buffers so far; wraps.
    tails: [u16; UDP_SOCKETS_PER_WORKER_MAX],
    /// Buffers of one socket, a power of two: those with the numbers from `socket * share` on. A flood
    /// on one socket takes no other's.
    share: usize,
}

impl Arena {
    /// For so many sockets, at least 1.
    pub fn new(sockets: usize) -> Self {
        // All fields are integers, arrays of them or raw pointers: zero bits are a value of each.
        let shared = pages::map_zeroed();
        let mut arena = Self {
            shared,
            tails: [0; UDP_SOCKETS_PER_WORKER_MAX],
            share: URING_BUFFERS / sockets.next_power_of_two(),
        };
        for buffer in 0..sockets * arena.share {
            arena.put_free(buffer as u16);
        }
        (0..sockets).for_each(|socket| arena.publish_free(socket));
        let wanted = arena.wanted().cast_mut();
        // SAFETY: `wanted` is valid and aligned, and nothing else refers to it.
        let wanted = unsafe { &mut *wanted };
        wanted.msg_namelen = PEER_BYTES as libc::socklen_t;
        wanted.msg_controllen = CONTROL_BYTES as _;
        arena
    }

    /// # Safety
    ///
    /// Nothing in the kernel may refer to this memory any more.
    pub unsafe fn free(self) {
        // SAFETY: it came from `map_zeroed`; nothing in it has a destructor, and the kernel is done with it,
        // as the caller says.
        unsafe { pages::unmap(self.shared) };
    }

    /// Where a socket's ring of free buffers begins: at a page.
    pub fn free_ring(&self, socket: usize) -> *mut BufRingEntry {
        // SAFETY: `shared` is allocated; the array checks the index.
        let ring = unsafe { &raw mut (*self.shared.as_ptr()).free[socket] };
        ring.cast()
    }

    /// Buffers of one socket.
    pub fn share(&self) -> usize {
        self.share
    }

    /// Whose buffer it is.
    pub fn socket_of(&self, buffer: u16) -> usize {
        usize::from(buffer) / self.share
    }

    /// Gives a message's buffer to the kernel, from `publish_free` on. Each buffer once, until a
    /// completion gives it back.
    pub fn put_free(&mut self, buffer: u16) {
        let socket = self.socket_of(buffer);
        let slot = usize::from(self.tails[socket]) % self.share;
        let address = self.message(buffer.into()) as u64;
        // SAFETY: `slot` is below `share`, which is URING_BUFFERS at most.
        let entry = unsafe { self.free_ring(socket).add(slot) };
        // SAFETY: a live entry, which the kernel only reads, and not before the tail has passed it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address);
        entry.set_len(MESSAGE_BYTES as u32);
        entry.set_bid(buffer);
        self.tails[socket] = self.tails[socket].wrapping_add(1);
    }

    /// Shows the kernel what `put_free` put into a socket's ring.
    pub fn publish_free(&mut self, socket: usize) {
        // SAFETY: the ring begins with an initialised entry, at a page.
        let tail = unsafe { BufRingEntry::tail(self.free_ring(socket)) };
        // SAFETY: the tail is 2 octets aligned to 2 inside of `shared`; the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Pairs with the kernel's load before it reads the entries (io_ring_buffer_select).
        tail.store(self.tails[socket], Ordering::Release);
    }

    pub fn wanted(&self) -> *const libc::msghdr {
        // SAFETY: `shared` is allocated; the projection stays inside of it.
        unsafe { &raw const (*self.shared.as_ptr()).wanted }
    }

    pub fn message(&self, buffer: usize) -> *mut Message {
        // SAFETY: `shared` is allocated; the array checks the index.
        unsafe { &raw mut (*self.shared.as_ptr()).messages[buffer] }
    }

    pub fn response(&self, place: usize) -> *mut u8 {
        // SAFETY: `shared` is allocated; the array checks the index.
        let response = unsafe { &raw mut (*self.shared.as_ptr()).responses[place] };
        response.cast()
    }

    pub fn send_header(&self, place: usize) -> *mut libc::msghdr {
        // SAFETY: `shared` is allocated; the array checks the index.
        unsafe { &raw mut (*self.shared.as_ptr()).send_headers[place] }
    }

    pub fn send_vector(&self, place: usize) -> *mut libc::iovec {
        // SAFETY: `shared` is allocated; the array checks the index.
        unsafe { &raw mut (*self.shared.as_ptr()).send_vectors[place] }
    }
}
