//! Sending the answers of a batch. In: places and the lengths of their responses. Out: as few messages
//! as it takes, in one system call.
//!
//! Answers of one length to one peer go as one message that the kernel cuts up (UDP_SEGMENT): it
//! passes through the network stack once. Where the kernel or a route refuses such a message its
//! answers are sent one by one, and none is tried for a while.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::arena::Segments;
use super::{Batch, Sent};
use crate::limits::{UDP_BATCH_DATAGRAMS, UDP_SEGMENTS_PAUSE_BATCHES, UDP_SEND_WAIT_MS};
use crate::sys::socket;

/// The answers of a batch, and the messages that they are sent in.
pub struct Sending {
    answers: [Answer; UDP_BATCH_DATAGRAMS],
    answer_count: usize,
    messages: [Message; UDP_BATCH_DATAGRAMS],
    pub(super) message_count: usize,
    /// Numbers of answers, those of each message one after the other.
    order: [usize; UDP_BATCH_DATAGRAMS],
    /// Batches for which no message is to be cut up.
    pub(super) pause_batches: u32,
}

#[derive(Clone, Copy, Default)]
struct Answer {
    place: usize,
    bytes: usize,
    /// Number of its message.
    message: usize,
}

#[derive(Clone, Copy, Default)]
struct Message {
    /// Which received message it answers: the peer is the same for all its answers.
    received: usize,
    bytes: usize,
    answer_count: usize,
    /// Where its answers begin in `order`.
    first: usize,
}

/// Octets of one message with its headers: an IP packet's worth.
const MESSAGE_BYTES_MAX: usize = 65_000;
/// Places of the table in which messages are found by peer and length.
const TABLE_PLACES: usize = 2 * UDP_BATCH_DATAGRAMS;

impl Sending {
    pub fn new() -> Self {
        Self {
            answers: [Answer::default(); UDP_BATCH_DATAGRAMS],
            answer_count: 0,
            messages: [Message::default(); UDP_BATCH_DATAGRAMS],
            message_count: 0,
            order: [0; UDP_BATCH_DATAGRAMS],
            pause_batches: 0,
        }
    }

    pub fn clear(&mut self) {
        self.answer_count = 0;
    }

    #[inline]
    pub fn push(&mut self, place: usize, bytes: usize) {
        if let Some(answer) = self.answers.get_mut(self.answer_count) {
            *answer = Answer {
                place,
                bytes,
                message: 0,
            };
            self.answer_count += 1;
        }
    }

    /// Place and length of an answer, by its number.
    pub fn answer(&self, number: usize) -> Option<(usize, usize)> {
        let answer = self.answers[..self.answer_count].get(number)?;
        Some((answer.place, answer.bytes))
    }

    fn add_message(&mut self, received: usize, bytes: usize) -> usize {
        self.messages[self.message_count] = Message {
            received,
            bytes,
            answer_count: 0,
            first: 0,
        };
        self.message_count += 1;
        self.message_count - 1
    }

    /// Puts the answers of each message one after the other.
    fn put_in_order(&mut self) {
        let mut first = 0;
        for message in &mut self.messages[..self.message_count] {
            message.first = first;
            first += message.answer_count;
            message.answer_count = 0;
        }
        for (number, answer) in self.answers[..self.answer_count].iter().enumerate() {
            let message = &mut self.messages[answer.message];
            self.order[message.first + message.answer_count] = number;
            message.answer_count += 1;
        }
    }

    /// Keeps only the answers of the messages from this one on.
    fn keep_from(&mut self, message: usize) {
        let first = self.messages[message].first;
        let rest = self.order[first..self.answer_count].iter();
        let mut kept = [Answer::default(); UDP_BATCH_DATAGRAMS];
        let mut count = 0;
        for number in rest {
            kept[count] = self.answers[*number];
            count += 1;
        }
        (self.answers, self.answer_count) = (kept, count);
    }
}

impl Batch {
    /// Sends what was queued. An answer that the kernel refuses is left out and the rest goes on;
    /// where there is no room it waits once, for `UDP_SEND_WAIT_MS`, and then gives up the rest.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> Sent {
        let mut report = Sent::default();
        let mut first = 0;
        let mut waited = false;
        self.sending.pause_batches = self.sending.pause_batches.saturating_sub(1);
        self.arrange();
        while first < self.sending.message_count {
            match self.send_from(socket, first) {
                Ok(count) => {
                    report.sent += self.answers_of(first..first + count);
                    first += count;
                    report.short += u64::from(first < self.sending.message_count);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock if !waited => {
                        waited = true;
                        socket::wait_writable(socket, UDP_SEND_WAIT_MS);
                    }
                    io::ErrorKind::WouldBlock => {
                        report.errors += self.answers_of(first..self.sending.message_count);
                        break;
                    }
                    // EIO without checksums in hardware, EINVAL of an old kernel or a small MTU, and
                    // what each of its answers would get alone.
                    _ if self.sending.messages[first].answer_count > 1 => {
                        self.sending.pause_batches = UDP_SEGMENTS_PAUSE_BATCHES;
                        self.sending.keep_from(first);
                        self.arrange();
                        first = 0;
                    }
                    // The error is the first message's own (EPERM of a firewall, ENETUNREACH,
                    // EINVAL of port 0): sendmmsg reports it only where nothing went before it.
                    _ => {
                        report.errors += 1;
                        first += 1;
                    }
                },
            }
        }
        self.sending.clear();
        report
    }

    fn answers_of(&self, messages: std::ops::Range<usize>) -> u64 {
        let messages = self.sending.messages[messages].iter();
        messages.map(|message| message.answer_count as u64).sum()
    }

    /// One sendmmsg of the messages from `first` on; at least 1 where it succeeds.
    fn send_from(&self, socket: BorrowedFd<'_>, first: usize) -> io::Result<usize> {
        let headers = self.arena.send_header(first);
        let remaining = self.sending.message_count - first;
        // SAFETY: `remaining` headers follow `headers`, each filled by `arrange` with pointers to
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

    /// Makes the messages of the answers that are queued.
    fn arrange(&mut self) {
        self.sending.message_count = 0;
        if self.sending.answer_count > 1 && self.sending.pause_batches == 0 {
            self.put_together();
        } else {
            for number in 0..self.sending.answer_count {
                let Answer { place, bytes, .. } = self.sending.answers[number];
                let message = self.sending.add_message(self.places[place].message, bytes);
                self.sending.messages[message].answer_count = 1;
                self.sending.answers[number].message = message;
            }
        }
        self.sending.put_in_order();
        for message in 0..self.sending.message_count {
            self.write_message(message);
        }
    }

    /// Finds the answers of one length to one peer.
    fn put_together(&mut self) {
        // Numbers of messages and 1; 0 is free.
        let mut table = [0_u8; TABLE_PLACES];
        for number in 0..self.sending.answer_count {
            let Answer { place, bytes, .. } = self.sending.answers[number];
            let received = self.places[place].message;
            let mut at = self.hash(received, bytes) % TABLE_PLACES;
            // There are twice as many places as answers.
            let message = loop {
                let Some(message) = usize::from(table[at]).checked_sub(1) else {
                    break self.sending.add_message(received, bytes);
                };
                let Message {
                    received: other,
                    bytes: other_bytes,
                    answer_count,
                    ..
                } = self.sending.messages[message];
                if other_bytes == bytes && self.same_way(received, other) {
                    // A full one gives its place to the next.
                    match (answer_count + 1) * bytes <= MESSAGE_BYTES_MAX {
                        true => break message,
                        false => break self.sending.add_message(received, bytes),
                    }
                }
                at = (at + 1) % TABLE_PLACES;
            };
            table[at] = message as u8 + 1;
            self.sending.messages[message].answer_count += 1;
            self.sending.answers[number].message = message;
        }
    }

    fn hash(&self, received: usize, bytes: usize) -> usize {
        let [first, high, low, _] = self.peer_words(received);
        let mixed = first ^ high.rotate_left(17) ^ low ^ (bytes as u64) << 48;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
    }

    /// Whether the answers to two messages may go together: to one peer, from one address. Those that
    /// name the address to send from are each alone.
    fn same_way(&self, one: usize, other: usize) -> bool {
        let is_bound = |message: usize| self.beside[message].answer.is_null();
        is_bound(one)
            && is_bound(other)
            && (one == other || self.peer_words(one) == self.peer_words(other))
    }

    /// Everything that tells one peer of a socket from another.
    #[inline]
    fn peer_words(&self, received: usize) -> [u64; 4] {
        // SAFETY: a live sockaddr of `arena`, which nothing writes to now, and of which any octets are
        // a sockaddr_in6.
        let peer = unsafe { &*self.arena.peer(received) };
        // Where an IPv4 peer has its address, an IPv6 one has its flow.
        let first = u64::from(peer.sin6_port) << 32 | u64::from(peer.sin6_flowinfo);
        if libc::c_int::from(peer.sin6_family) == libc::AF_INET {
            return [first, 0, 0, 0];
        }
        let octets = u128::from_ne_bytes(peer.sin6_addr.s6_addr);
        let scope = u64::from(peer.sin6_scope_id);
        [first, (octets >> 64) as u64, octets as u64, scope]
    }

    fn write_message(&self, number: usize) {
        let message = self.sending.messages[number];
        let order = &self.sending.order[message.first..][..message.answer_count];
        for (offset, answer) in order.iter().enumerate() {
            let Answer { place, bytes, .. } = self.sending.answers[*answer];
            let vector = libc::iovec {
                iov_base: self.arena.response(place).cast(),
                iov_len: bytes,
            };
            // SAFETY: a valid and aligned iovec of `arena`; nothing else refers to it.
            unsafe { self.arena.send_vector(message.first + offset).write(vector) };
        }
        // SAFETY: a live header of `arena`, which nothing writes to now.
        let received = unsafe { &(*self.arena.receive_header(message.received)).header };
        // SAFETY: a live header of `arena`; nothing else refers to it.
        let header = unsafe { &mut (*self.arena.send_header(number)).header };
        header.msg_name = self.arena.peer(message.received).cast();
        header.msg_namelen = received.msg_namelen;
        header.msg_iov = self.arena.send_vector(message.first);
        header.msg_iovlen = message.answer_count as _;
        (header.msg_control, header.msg_controllen) = (ptr::null_mut(), 0);
        let beside = &self.beside[message.received];
        if !beside.answer.is_null() {
            (header.msg_control, header.msg_controllen) = (beside.answer, beside.answer_bytes as _);
        } else if message.answer_count > 1 {
            let segments = self.arena.segments(number);
            // SAFETY: a valid and aligned place of `arena`; nothing else refers to it.
            unsafe { segments.write(Segments::of(message.bytes as u16)) };
            header.msg_control = segments.cast();
            header.msg_controllen = size_of::<Segments>() as _;
        }
    }
}
