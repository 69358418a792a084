//! Sending the answers of a batch. In: responses in their places. Out: entries of the ring, and a second
//! one where the first found no room.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use io_uring::types::Fixed;
use io_uring::{opcode, squeue};

use super::arena::PEER_BYTES;
use super::{Job, Ring};
use crate::limits::UDP_SEND_WAIT_MS;
use crate::sys::way_back::WayBack;
use crate::sys::{control, socket};

const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT;

impl Ring {
    /// Puts the entry that sends a response. False: there is no room, or no such place.
    pub(super) fn push_answer(&mut self, place: usize, bytes: usize, job: Job) -> bool {
        let (Some(message), Some(arena)) = (self.message(place), &self.arena) else {
            return false;
        };
        let number = self.places[place].socket;
        let response = arena.response(place);
        // SAFETY: a message of the batch, to which the kernel writes nothing until `release`.
        let head = unsafe { (*message).head };
        let peer_bytes = head.name_bytes.min(PEER_BYTES as u32);
        // SAFETY: `message` is live; the projection stays inside of it.
        let peer = unsafe { &raw mut (*message).peer };
        let file = Fixed(number.into());
        // A socket that is bound to all addresses says which was asked.
        let entry = if head.control_bytes > 0 {
            // SAFETY: `message` is live; the projection stays inside of it.
            let control = unsafe { &raw mut (*message).control };
            let vector = arena.send_vector(place);
            let wanted = libc::iovec {
                iov_base: response.cast(),
                iov_len: bytes,
            };
            // SAFETY: a live iovec of the arena; nothing else refers to it.
            unsafe { vector.write(wanted) };
            // SAFETY: a live header of the arena; nothing else refers to it.
            let header = unsafe { &mut *arena.send_header(place) };
            header.msg_name = peer.cast();
            header.msg_namelen = peer_bytes;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.cast();
            header.msg_controllen = head.control_bytes as _;
            // SAFETY: the control messages are the kernel's, in a buffer of CONTROL_BYTES aligned to 8
            // to which nothing else refers.
            let beside = unsafe { control::read(header) };
            header.msg_control = beside.answer;
            header.msg_controllen = beside.answer_bytes as _;
            opcode::SendMsg::new(file, header)
                .flags(SEND_FLAGS as u32)
                .build()
        } else {
            opcode::Send::new(file, response, bytes as u32)
                .flags(SEND_FLAGS)
                .dest_addr(peer.cast())
                .dest_addr_len(peer_bytes)
                .build()
        };
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        // The lower half names place and length, to try again.
        self.push(entry.user_data(job.with(bytes << 16 | place)))
    }

    /// How a later answer gets to the sender of the datagram at a place.
    pub fn way_back(&self, place: usize) -> Option<WayBack> {
        let message = self.message(place)?;
        // SAFETY: a message of the batch, to which the kernel writes nothing until `release`.
        let head = unsafe { (*message).head };
        // SAFETY: `message` is live; the projection stays inside of it.
        let peer = unsafe { &raw const (*message).peer };
        // SAFETY: `message` is live; the projection stays inside of it.
        let control = unsafe { &raw mut (*message).control };
        // SAFETY: a msghdr is integers and pointers, of which zero bits are a value each.
        let mut received: libc::msghdr = unsafe { mem::zeroed() };
        received.msg_control = control.cast();
        received.msg_controllen = head.control_bytes as _;
        // SAFETY: the control messages are the kernel's, in a buffer of CONTROL_BYTES aligned to 8 to
        // which nothing else refers.
        let beside = unsafe { control::read(&received) };
        let number = usize::from(self.places.get(place)?.socket);
        let (control, bytes) = (beside.answer, beside.answer_bytes);
        // SAFETY: `peer` has PEER_BYTES, no less than a sockaddr_in6, initialised when allocated;
        // `control` is null or leads to that many octets of the message. Nothing writes to them now.
        Some(unsafe { WayBack::new(number, peer.cast(), head.name_bytes, control, bytes) })
    }

    /// Tries once more to send what found no room, after a wait for it.
    pub(super) fn send_again(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let unsent = mem::take(&mut self.unsent);
        let mut waited_for = None;
        for &(place, bytes) in &unsent {
            let number = self.places.get(place).map(|it| usize::from(it.socket));
            if let Some(socket) = number.and_then(|number| self.sockets.get(number))
                && waited_for != Some(socket.fd)
            {
                waited_for = Some(socket.fd);
                // SAFETY: the descriptors of a ring stay open for as long as it lives (`open`).
                let fd = unsafe { BorrowedFd::borrow_raw(socket.fd) };
                socket::wait_writable(fd, UDP_SEND_WAIT_MS);
            }
            if !self.push_answer(place, bytes, Job::SendAgain) {
                self.sent.sent = self.sent.sent.saturating_sub(1);
                self.sent.errors += 1;
            }
        }
        self.unsent = unsent;
        self.unsent.clear();
        self.submit(Some(Duration::ZERO))?;
        self.reap();
        Ok(())
    }
}
