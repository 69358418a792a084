//! The way that a later answer takes. In: what a batch knows of a datagram. Out: one more datagram to its
//! sender, from the address that it was sent to.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::control::CONTROL_BYTES;
use super::mmsg::ip_address;

/// Where a datagram came from, and by which socket of its worker.
#[derive(Clone)]
pub struct WayBack {
    /// The socket's place among those of its worker.
    pub socket: usize,
    peer: libc::sockaddr_in6,
    peer_bytes: libc::socklen_t,
    /// The control message that names the address to send from, aligned as the kernel wants it.
    control: [u64; CONTROL_BYTES / size_of::<u64>()],
    control_bytes: usize,
}

impl WayBack {
    /// `peer_bytes` of the address count, and `control_bytes` of what `control` leads to; more than they
    /// can be is taken for the most.
    ///
    /// # Safety
    ///
    /// `peer` leads to an initialised sockaddr_in6 and `control` to `control_bytes` initialised octets
    /// (it may be null for 0), which nothing writes to during the call.
    pub(super) unsafe fn new(
        socket: usize,
        peer: *const libc::sockaddr_in6,
        peer_bytes: libc::socklen_t,
        control: *const libc::c_void,
        control_bytes: usize,
    ) -> Self {
        // SAFETY: an initialised sockaddr_in6, as the caller says; it may be aligned to 1.
        let peer = unsafe { peer.read_unaligned() };
        let mut way = Self {
            socket,
            peer,
            peer_bytes: peer_bytes.min(size_of::<libc::sockaddr_in6>() as libc::socklen_t),
            control: [0; CONTROL_BYTES / size_of::<u64>()],
            control_bytes: 0,
        };
        if !control.is_null() {
            way.control_bytes = control_bytes.min(CONTROL_BYTES);
            let to = way.control.as_mut_ptr().cast();
            // SAFETY: `control_bytes` octets are initialised there, as the caller says, and no more than
            // `control` has; an array of this frame overlaps nothing of the caller's.
            unsafe { ptr::copy_nonoverlapping(control.cast::<u8>(), to, way.control_bytes) };
        }
        way
    }

    /// Whose datagram it was.
    pub fn peer(&self) -> IpAddr {
        // SAFETY: `peer` is this value's own, initialised as `new` says, and nothing writes to it now.
        unsafe { ip_address(&raw const self.peer) }
    }

    /// Sends a datagram that way, by the socket whose place it names. Never waits.
    pub fn send(&self, socket: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
        let mut vector = libc::iovec {
            iov_base: message.as_ptr().cast_mut().cast(),
            iov_len: message.len(),
        };
        // SAFETY: a msghdr is integers and pointers, of which zero bits are a value each.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = ptr::from_ref(&self.peer).cast_mut().cast();
        header.msg_namelen = self.peer_bytes;
        header.msg_iov = &mut vector;
        header.msg_iovlen = 1;
        if self.control_bytes > 0 {
            header.msg_control = self.control.as_ptr().cast_mut().cast();
            header.msg_controllen = self.control_bytes as _;
        }
        // SAFETY: the header's pointers lead to an address, a vector, a message and a control message that
        // live across the call, with their lengths; the kernel only reads them.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_DONTWAIT) };
        match sent {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
