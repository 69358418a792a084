//! The buffers and headers of a batch. In: places by index. Out: raw pointers to them; no reference is
//! made here to what the kernel may be writing.

use std::ptr::NonNull;

use crate::limits::{UDP_BATCH_DATAGRAMS, UDP_EDNS_BYTES_MAX};
use crate::sys::control::CONTROL_BYTES;
use crate::sys::pages;
use crate::sys::prefetch::CACHE_LINE_BYTES;

/// What one receive can hand over: an IP packet's worth, which is many datagrams where the kernel put
/// them together (UDP_GRO). Pages that are never used are never there.
pub const RECEIVED_BYTES_MAX: usize = 65_535;

// Distances between buffers: an odd number of cache lines. At 4,096 octets the beginnings of all
// buffers, the only part that most queries touch, would compete for one set of the first-level
// cache.
const RECEIVED_STRIDE_BYTES: usize = odd_lines(RECEIVED_BYTES_MAX) * CACHE_LINE_BYTES;
pub(in crate::sys) const RESPONSE_STRIDE_BYTES: usize =
    odd_lines(UDP_EDNS_BYTES_MAX) * CACHE_LINE_BYTES;

pub(in crate::sys) const fn odd_lines(bytes: usize) -> usize {
    bytes.div_ceil(CACHE_LINE_BYTES) | 1
}

#[repr(C, align(64))]
struct Shared {
    receives: [MessageHeader; UDP_BATCH_DATAGRAMS],
    sends: [MessageHeader; UDP_BATCH_DATAGRAMS],
    receive_vectors: [libc::iovec; UDP_BATCH_DATAGRAMS],
    send_vectors: [libc::iovec; UDP_BATCH_DATAGRAMS],
    peers: [libc::sockaddr_in6; UDP_BATCH_DATAGRAMS],
    controls: [Control; UDP_BATCH_DATAGRAMS],
    segments: [Segments; UDP_BATCH_DATAGRAMS],
    received: [Lines<RECEIVED_STRIDE_BYTES>; UDP_BATCH_DATAGRAMS],
    responses: [Lines<RESPONSE_STRIDE_BYTES>; UDP_BATCH_DATAGRAMS],
}

#[repr(C, align(64))]
pub(in crate::sys) struct Lines<const BYTES: usize>([u8; BYTES]);

#[repr(C, align(8))]
pub struct Control([u8; CONTROL_BYTES]);

/// A control message that has the kernel cut what is sent into datagrams of so many octets.
#[repr(C)]
pub struct Segments {
    pub head: libc::cmsghdr,
    pub bytes: u16,
    padding: [u8; 6],
}

impl Segments {
    pub fn of(bytes: u16) -> Self {
        Self {
            head: libc::cmsghdr {
                cmsg_len: SEGMENTS_BYTES as _,
                cmsg_level: libc::SOL_UDP,
                cmsg_type: libc::UDP_SEGMENT,
            },
            bytes,
            padding: [0; 6],
        }
    }
}

/// Without the padding (CMSG_LEN).
const SEGMENTS_BYTES: usize = size_of::<libc::cmsghdr>() + size_of::<u16>();
const _: () = assert!(std::mem::offset_of!(Segments, bytes) == size_of::<libc::cmsghdr>());

/// The kernel's `struct mmsghdr`; libc lacks it, and both calls, for musl.
#[repr(C)]
pub struct MessageHeader {
    pub header: libc::msghdr,
    pub length: libc::c_uint,
}

const _: () = assert!(size_of::<libc::sockaddr_in>() <= size_of::<libc::sockaddr_in6>());

/// One allocation, which does not move: headers point at its buffers.
pub struct Arena(NonNull<Shared>);

impl Arena {
    /// All octets are zero.
    pub fn new() -> Self {
        // All fields are integers, arrays of them or raw pointers: zero bits are a value of each.
        Self(pages::map_zeroed())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: it came from `map_zeroed` and is freed here only; nothing in it has a destructor, and no
        // kernel call is under way.
        unsafe { pages::unmap(self.0) };
    }
}

/// Declares the pointers to the places of an array each.
macro_rules! places {
    ($($name:ident, $array:ident, $what:ty;)*) => {
        impl Arena {$(
            #[inline]
            pub fn $name(&self, index: usize) -> *mut $what {
                // SAFETY: allocated until drop; the array checks the index, and no reference is made.
                let place = unsafe { &raw mut (*self.0.as_ptr()).$array[index] };
                place.cast()
            }
        )*}
    };
}

places! {
    receive_header, receives, MessageHeader;
    send_header, sends, MessageHeader;
    receive_vector, receive_vectors, libc::iovec;
    send_vector, send_vectors, libc::iovec;
    peer, peers, libc::sockaddr_in6;
    control, controls, Control;
    segments, segments, Segments;
    received, received, u8;
    response, responses, u8;
}
