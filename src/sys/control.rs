//! What the kernel says beside a datagram. In: the header of one that it received. Out: the lengths of
//! the datagrams in it, and the control message of its answer, made in place.

use std::ptr;

/// Fits one UDP_GRO (24) and one IP_PKTINFO (32) or IPV6_PKTINFO (40) control message on 64-bit
/// machines.
pub const CONTROL_BYTES: usize = 64;

/// What was beside a datagram.
#[derive(Clone, Copy)]
pub struct Beside {
    /// Octets of each of the datagrams that the kernel handed over as one; the last may be shorter.
    /// `None`: it is one.
    pub segment_bytes: Option<usize>,
    /// The control message that has the answer leave from the address that was asked; null and 0 where
    /// the kernel sent none, for a socket that is bound to one address.
    pub answer: *mut libc::c_void,
    pub answer_bytes: usize,
}

impl Beside {
    pub const NOTHING: Self = Self {
        segment_bytes: None,
        answer: ptr::null_mut(),
        answer_bytes: 0,
    };
}

/// Reads the control messages of a datagram, and turns that of its address into that of its answer:
/// the address asked becomes the address to send from. The same again when it is read again.
///
/// # Safety
///
/// `received` is a header that the kernel filled, and its control pointer is null or leads to a live
/// buffer of CONTROL_BYTES, aligned to 8, to which nothing else refers.
pub(super) unsafe fn read(received: &libc::msghdr) -> Beside {
    let mut beside = Beside::NOTHING;
    // musl declares this field 32 bits wide.
    #[allow(clippy::unnecessary_cast)]
    if received.msg_controllen as usize > CONTROL_BYTES {
        return beside;
    }
    // SAFETY: control pointer and length are the kernel's, and the length is within the buffer.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(received) };
    // Two fit; the bound is for a kernel that says nonsense.
    for _ in 0..CONTROL_BYTES / size_of::<libc::cmsghdr>() {
        if message.is_null() {
            break;
        }
        // SAFETY: not null: a whole cmsghdr lies in the buffer, which is aligned to 8.
        let head = unsafe { &*message };
        // SAFETY: computes the address behind the header, still inside of the buffer.
        let data = unsafe { libc::CMSG_DATA(message) };
        match (head.cmsg_level, head.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                // SAFETY: a message of this type carries an int (udp_cmsg_recv), aligned to 8.
                let bytes = unsafe { *data.cast::<libc::c_int>() };
                beside.segment_bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: a message of this type carries an in_pktinfo, and the buffer has room.
                let info = unsafe { &mut *data.cast::<libc::in_pktinfo>() };
                // The kernel put the local address in `ipi_spec_dst`, where a sender's is read. The
                // way back is for the routing table to say, not the interface it came by.
                info.ipi_ifindex = 0;
                beside.answer = message.cast();
                beside.answer_bytes = SPACE_IPV4;
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: a message of this type carries an in6_pktinfo, and the buffer has room.
                let info = unsafe { &mut *data.cast::<libc::in6_pktinfo>() };
                // A link-local address means nothing without its interface (RFC 4007, 6).
                if !matches!(info.ipi6_addr.s6_addr, [0xfe, 0x80..=0xbf, ..]) {
                    info.ipi6_ifindex = 0;
                }
                beside.answer = message.cast();
                beside.answer_bytes = SPACE_IPV6;
            }
            _ => {}
        }
        // SAFETY: `message` lies in the buffer that `received` describes.
        message = unsafe { libc::CMSG_NXTHDR(received, message) };
    }
    beside
}

/// Octets of a control message with the kernel's padding.
const fn space(data_bytes: usize) -> usize {
    size_of::<libc::cmsghdr>() + data_bytes.next_multiple_of(align_of::<libc::cmsghdr>())
}

const SPACE_IPV4: usize = space(size_of::<libc::in_pktinfo>());
const SPACE_IPV6: usize = space(size_of::<libc::in6_pktinfo>());
const _: () = assert!(space(size_of::<libc::c_int>()) + SPACE_IPV6 <= CONTROL_BYTES);
