//! Control messages that carry the address which was asked. In: the header of a datagram that the
//! kernel received. Out: the same control message, turned into that of its answer.

/// Fits one IP_PKTINFO (32) or IPV6_PKTINFO (40) control message on 64-bit machines.
pub const CONTROL_BYTES: usize = 64;

/// Turns the control message of a query into that of its answer, in place: the address asked becomes
/// the address to send from. Its length, or 0 where the kernel sent none.
///
/// # Safety
///
/// `received` is a header that the kernel filled, and its control pointer is null or leads to a live
/// buffer of CONTROL_BYTES, aligned to 8, to which nothing else refers.
pub(super) unsafe fn turn(received: &libc::msghdr) -> usize {
    // musl declares this field 32 bits wide.
    #[allow(clippy::unnecessary_cast)]
    let control_bytes = received.msg_controllen as usize;
    if control_bytes > CONTROL_BYTES {
        return 0;
    }
    // SAFETY: control pointer and length are the kernel's, and the length is within the buffer.
    let message = unsafe { libc::CMSG_FIRSTHDR(received) };
    if message.is_null() {
        return 0;
    }
    // SAFETY: not null: CMSG_FIRSTHDR checked that a whole cmsghdr lies in the buffer, which is
    // aligned to 8.
    let head = unsafe { &*message };
    // SAFETY: computes the address behind the header, still inside of the buffer.
    let data = unsafe { libc::CMSG_DATA(message) };
    match (head.cmsg_level, head.cmsg_type) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // SAFETY: a message of this type carries an in_pktinfo, and the buffer has room.
            let info = unsafe { &mut *data.cast::<libc::in_pktinfo>() };
            // The kernel put the local address in `ipi_spec_dst`, where a sender's is read. The way
            // back is for the routing table to say, not the interface it came by.
            info.ipi_ifindex = 0;
            control_bytes
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            // SAFETY: a message of this type carries an in6_pktinfo, and the buffer has room.
            let info = unsafe { &mut *data.cast::<libc::in6_pktinfo>() };
            // A link-local address means nothing without its interface (RFC 4007, 6).
            if !matches!(info.ipi6_addr.s6_addr, [0xfe, 0x80..=0xbf, ..]) {
                info.ipi6_ifindex = 0;
            }
            control_bytes
        }
        _ => 0,
    }
}
