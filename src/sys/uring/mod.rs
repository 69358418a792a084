//! Datagrams through io_uring. In: UDP sockets, and one more descriptor whose readiness counts. Out:
//! batches of queries, each with a place for its answer, as `mmsg` gives them. A buffer is never used
//! again before the kernel is done with it.
//!
//! Each socket has one multishot receive, which takes a buffer from a ring of free ones for each
//! datagram; each socket has its share of the buffers, so that a flood on one never starves another. Answers are sent with MSG_DONTWAIT: such a request is carried out while it is submitted
//! or fails with EAGAIN, and is never queued (linux/io_uring/net.c, REQ_F_NOWAIT), so that what an
//! answer is read from is free again once the kernel has taken its entry, and only failures need a
//! completion. Answers go with the system call that waits for the next queries.
//!
//! What completions can say. Of a receive: a datagram; ENOBUFS, no buffer was free, the receive ends
//! and is armed anew once some are; ECANCELED, this ring is being dropped; any of these without the
//! MORE flag ends the receive as well. Of an answer: EAGAIN, no room, tried once more; anything else
//! is that answer's own error. A datagram is sent whole or not at all. Other errors of a receive are
//! handed to the caller.

mod arena;
mod kernel;
mod probe;
mod restrict;
mod send;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::slice;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};

use self::arena::{Arena, MESSAGE_HEAD_BYTES};
use super::mmsg::{Datagram, Sent, ip_address};
use crate::limits::{
    UDP_BATCH_DATAGRAMS, UDP_EDNS_BYTES_MAX, UDP_QUERY_BYTES_MAX, UDP_SOCKETS_PER_WORKER_MAX,
    URING_BUFFERS, URING_COMPLETIONS, URING_SUBMISSIONS,
};
pub use probe::{Unavailable, probe};

/// The ring of one thread: the one that opened it.
pub struct Ring {
    ring: IoUring,
    /// Number of the ring's descriptor in the thread's table, which spares the kernel a look-up.
    entered_as: libc::c_uint,
    /// `None` once dropped.
    arena: Option<Arena>,
    sockets: Vec<Socket>,
    /// Readiness of the one more descriptor is asked for.
    watching: bool,
    watched: RawFd,
    ready: bool,
    /// Messages that have come and are not yet in a batch: no more than there are buffers.
    waiting: VecDeque<Received>,
    /// The batch.
    places: [Received; UDP_BATCH_DATAGRAMS],
    received: usize,
    /// Answers that found no room: place and octets.
    unsent: Vec<(usize, usize)>,
    sent: Sent,
    receive_errors: u64,
    failure: Option<io::Error>,
    /// Nothing is asked for any more.
    stopped: bool,
}

/// A socket of the ring, by its number in the ring's table of files.
struct Socket {
    fd: RawFd,
    armed: bool,
}

/// A message in a buffer.
#[derive(Clone, Copy, Default)]
struct Received {
    socket: u8,
    buffer: u16,
    /// Octets of the answer that was queued for it.
    answered: u16,
}

/// What an entry was for, in the upper half of its user data; the lower half is a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Job {
    Receive = 1,
    Send = 2,
    SendAgain = 3,
    Watch = 4,
}

impl Job {
    const fn with(self, number: usize) -> u64 {
        (self as u64) << 32 | number as u64
    }

    fn of(user_data: u64) -> (Option<Self>, usize) {
        let jobs = [Self::Receive, Self::Send, Self::SendAgain, Self::Watch];
        let job = jobs.into_iter().find(|job| *job as u64 == user_data >> 32);
        (job, user_data as u32 as usize)
    }
}

/// Times that a submission is tried where the kernel lacks memory.
const SUBMIT_TRIES_MAX: usize = 8;
/// How often, and how long each time, the end of the receives is waited for; it comes at once.
const STOP_TRIES_MAX: usize = 100;
const STOP_WAIT: Duration = Duration::from_millis(10);

impl Ring {
    /// For the thread that calls it and no other. The descriptors must stay open for as long as the
    /// ring lives; `watched` is the one whose readiness `take_ready` tells.
    pub fn open(sockets: &[BorrowedFd<'_>], watched: BorrowedFd<'_>) -> io::Result<Self> {
        if sockets.is_empty() || sockets.len() > UDP_SOCKETS_PER_WORKER_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let ring = IoUring::builder()
            // One thread submits, and completions are made when it asks for them, not by
            // interrupting it; an entry that fails does not hold back those behind it.
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            // Until `restrict::start`.
            .setup_r_disabled()
            .setup_cqsize(URING_COMPLETIONS)
            .build(URING_SUBMISSIONS)?;
        let files: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        ring.submitter().register_files(&files)?;
        let entered_as = kernel::register_ring(ring.as_raw_fd())?;
        let arena = Arena::new(sockets.len());
        for socket in 0..sockets.len() {
            // SAFETY: the ring of free buffers has room for `share` entries at a page's beginning, and
            // stays allocated until the ring no longer refers to it (`drop`).
            let registered = unsafe {
                ring.submitter().register_buf_ring_with_flags(
                    arena.free_ring(socket) as u64,
                    arena.share() as u16,
                    socket as u16,
                    0,
                )
            };
            if let Err(error) = registered {
                drop(ring);
                // SAFETY: nothing was submitted that could write to a buffer, and a ring that is gone
                // takes none.
                unsafe { arena.free() };
                return Err(error);
            }
        }
        if let Err(error) = restrict::start(&ring) {
            drop(ring);
            // SAFETY: as above: nothing was submitted, and the ring is gone.
            unsafe { arena.free() };
            return Err(error);
        }
        let sockets = sockets.iter().map(|fd| Socket {
            fd: fd.as_raw_fd(),
            armed: false,
        });
        Ok(Self {
            ring,
            entered_as,
            arena: Some(arena),
            sockets: sockets.collect(),
            watching: false,
            watched: watched.as_raw_fd(),
            ready: false,
            waiting: VecDeque::with_capacity(URING_BUFFERS),
            places: [Received::default(); UDP_BATCH_DATAGRAMS],
            received: 0,
            unsent: Vec::with_capacity(UDP_BATCH_DATAGRAMS),
            sent: Sent::default(),
            receive_errors: 0,
            failure: None,
            stopped: false,
        })
    }

    /// Sends the answers of the last batch and takes the next, at most `UDP_BATCH_DATAGRAMS`. Where
    /// there is none it waits, for as long as is said (`None`: until something comes), and gives 0
    /// when the time is over, the watched descriptor is ready or a signal came.
    pub fn receive(&mut self, wait: Option<Duration>) -> io::Result<usize> {
        self.arm()?;
        let at_once = !self.waiting.is_empty() || self.ready || self.stopped;
        self.submit(if at_once { Some(Duration::ZERO) } else { wait })?;
        self.reap();
        self.send_again()?;
        self.release();
        while self.received < UDP_BATCH_DATAGRAMS
            && let Some(received) = self.waiting.pop_front()
        {
            self.places[self.received] = received;
            self.received += 1;
        }
        match self.failure.take() {
            Some(error) if self.received == 0 => Err(error),
            _ => Ok(self.received),
        }
    }

    /// Whether the watched descriptor has become ready since the last time.
    pub fn take_ready(&mut self) -> bool {
        mem::take(&mut self.ready)
    }

    /// What became of the answers since the last time.
    pub fn take_sent(&mut self) -> Sent {
        mem::take(&mut self.sent)
    }

    /// Receives that failed since the last time.
    pub fn take_receive_errors(&mut self) -> u64 {
        mem::take(&mut self.receive_errors)
    }

    /// The query at a place of the batch.
    #[inline]
    pub fn query_octets(&self, place: usize) -> Option<&[u8]> {
        let message = self.message(place)?;
        // SAFETY: a message of the batch: the kernel wrote it and does not use its buffer until
        // `release`; any octets are a head.
        let head = unsafe { (*message).head };
        let length = (head.payload_bytes as usize).min(UDP_QUERY_BYTES_MAX);
        // SAFETY: `message` is live; the projection stays inside of it.
        let payload = unsafe { &raw const (*message).payload };
        // SAFETY: the payload has UDP_QUERY_BYTES_MAX octets, no less than `length`, initialised
        // when allocated; nobody writes to them while this ring is borrowed (see above).
        Some(unsafe { slice::from_raw_parts(payload.cast(), length) })
    }

    /// One datagram of the batch.
    #[inline]
    pub fn datagram(&mut self, place: usize) -> Option<Datagram<'_>> {
        let query = self.query_octets(place)?;
        let message = self.message(place)?;
        // SAFETY: as in `query_octets`.
        let head = unsafe { (*message).head };
        let response = self.arena.as_ref()?.response(place);
        // SAFETY: the response's buffer is RESPONSE_STRIDE_BYTES long, no less than
        // UDP_EDNS_BYTES_MAX; it overlaps no other, this ring is borrowed mutably, and the kernel has
        // read the answers of the last batch (`submit`).
        let response = unsafe { slice::from_raw_parts_mut(response, UDP_EDNS_BYTES_MAX) };
        Some(Datagram {
            query,
            peer: self.peer_address(place)?,
            truncated: head.flags & libc::MSG_TRUNC as u32 != 0,
            response,
        })
    }

    /// Queues the first `bytes` of a response. Once per datagram.
    #[inline]
    pub fn queue(&mut self, place: usize, bytes: usize) {
        let bytes = bytes.min(UDP_EDNS_BYTES_MAX);
        if let Some(received) = self.places.get_mut(place) {
            received.answered = bytes as u16;
        }
        if self.push_answer(place, bytes, Job::Send) {
            self.sent.sent += 1;
        } else {
            self.sent.errors += 1;
        }
    }

    /// The answer that was queued for a place, and who gets it.
    pub fn queued(&self, place: usize) -> Option<(IpAddr, &[u8])> {
        let bytes = self.places[..self.received].get(place)?.answered.into();
        let response = self.arena.as_ref()?.response(place);
        // SAFETY: the response's buffer is RESPONSE_STRIDE_BYTES long, no less than UDP_EDNS_BYTES_MAX,
        // which `queue` keeps `bytes` to; it is initialised, the kernel only reads it, and nobody else
        // writes to it while this ring is borrowed.
        let response: &[u8] = unsafe { slice::from_raw_parts(response, bytes) };
        let peer = self.peer_address(place)?;
        Some((peer, response)).filter(|_| bytes > 0)
    }

    fn message(&self, place: usize) -> Option<*mut arena::Message> {
        let received = self.places[..self.received].get(place)?;
        Some(self.arena.as_ref()?.message(received.buffer.into()))
    }

    #[inline]
    fn peer_address(&self, place: usize) -> Option<IpAddr> {
        let message = self.message(place)?;
        // SAFETY: `message` is live; the projection stays inside of it.
        let peer = unsafe { &raw const (*message).peer };
        // SAFETY: a message of the batch, to which nothing writes; `peer` has PEER_BYTES, no less
        // than a sockaddr_in6, at an offset that is a multiple of 16, zeroed when allocated.
        Some(unsafe { ip_address(peer.cast()) })
    }

    /// False: the queue is full.
    fn push(&mut self, entry: squeue::Entry) -> bool {
        // SAFETY: what the entry points to lies in the arena and stays as it is until the kernel has
        // taken the entry (`submit`), or, for receives, in buffers that only completions give back.
        unsafe { self.ring.submission().push(&entry) }.is_ok()
    }

    /// Asks for what is not asked for at present.
    fn arm(&mut self) -> io::Result<()> {
        if self.stopped {
            return Ok(());
        }
        let Some(wanted) = self.arena.as_ref().map(Arena::wanted) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        for number in 0..self.sockets.len() {
            if !self.sockets[number].armed {
                let entry =
                    opcode::RecvMsgMulti::new(Fixed(number as u32), wanted, number as u16).build();
                self.sockets[number].armed = self.push(entry.user_data(Job::Receive.with(number)));
            }
        }
        if !self.watching {
            let watched = io_uring::types::Fd(self.watched);
            let entry = opcode::PollAdd::new(watched, libc::POLLIN as u32).build();
            self.watching = self.push(entry.user_data(Job::Watch.with(0)));
        }
        Ok(())
    }

    /// Hands over every entry, and waits for a completion where that is wanted. After it nothing that
    /// was queued is read any more.
    fn submit(&mut self, wait: Option<Duration>) -> io::Result<()> {
        for _ in 0..SUBMIT_TRIES_MAX {
            let entries = self.ring.submission().len();
            let taken = match kernel::enter(self.entered_as, entries as u32, wait) {
                Ok(taken) => taken,
                Err(error) => match error.raw_os_error() {
                    // The time is over, or a signal came.
                    Some(libc::ETIME | libc::EINTR) => 0,
                    // No memory for a request, or completions to be taken first.
                    Some(libc::EAGAIN | libc::EBUSY) => {
                        self.reap();
                        0
                    }
                    _ => return Err(error),
                },
            };
            if taken >= entries || self.ring.submission().is_empty() {
                return Ok(());
            }
        }
        Err(io::ErrorKind::OutOfMemory.into())
    }

    /// Takes every completion that is there.
    fn reap(&mut self) {
        loop {
            let next = self.ring.completion().next();
            let Some(completion) = next else { return };
            let result = completion.result();
            let (job, number) = Job::of(completion.user_data());
            match job {
                Some(Job::Receive) => self.completed_receive(number, &completion),
                Some(Job::Send) if result == -libc::EAGAIN => {
                    self.sent.short += u64::from(self.unsent.is_empty());
                    self.unsent.push((number & 0xffff, number >> 16));
                }
                Some(Job::Send | Job::SendAgain) if result < 0 => {
                    self.sent.sent = self.sent.sent.saturating_sub(1);
                    self.sent.errors += 1;
                }
                Some(Job::Send | Job::SendAgain) | None => {}
                Some(Job::Watch) => {
                    self.watching = false;
                    self.ready |= result > 0;
                }
            }
        }
    }

    fn completed_receive(&mut self, number: usize, completion: &cqueue::Entry) {
        let (result, flags) = (completion.result(), completion.flags());
        if let Some(socket) = self.sockets.get_mut(number) {
            socket.armed = cqueue::more(flags);
        }
        match cqueue::buffer_select(flags) {
            Some(buffer) if usize::from(buffer) < URING_BUFFERS => {
                // Without its head it is no message; the kernel writes one always.
                if usize::try_from(result).is_ok_and(|bytes| bytes >= MESSAGE_HEAD_BYTES) {
                    self.waiting.push_back(Received {
                        socket: number as u8,
                        buffer,
                        answered: 0,
                    });
                } else {
                    self.give_back(buffer);
                }
            }
            _ => match -result {
                // The next `arm` asks again, with buffers that `release` gave back.
                0 | libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                code => {
                    self.receive_errors += 1;
                    self.failure = Some(io::Error::from_raw_os_error(code));
                }
            },
        }
    }

    /// Gives the buffers of the batch back to the kernel.
    fn release(&mut self) {
        for place in 0..mem::take(&mut self.received) {
            if let Some(arena) = &mut self.arena {
                arena.put_free(self.places[place].buffer);
            }
        }
        if let Some(arena) = &mut self.arena {
            (0..self.sockets.len()).for_each(|socket| arena.publish_free(socket));
        }
    }

    fn give_back(&mut self, buffer: u16) {
        if let Some(arena) = &mut self.arena {
            arena.put_free(buffer);
            arena.publish_free(arena.socket_of(buffer));
        }
    }

    /// Ends receiving: after it `receive` gives what was taken from the sockets before, and then
    /// nothing.
    pub fn stop_receiving(&mut self) -> io::Result<()> {
        self.stopped = true;
        // Entries that were not handed over cannot be cancelled.
        self.submit(Some(Duration::ZERO))?;
        let submitter = self.ring.submitter();
        match submitter.register_sync_cancel(None, CancelBuilder::any()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Their last completions are made when they are asked for.
        for _ in 0..STOP_TRIES_MAX {
            self.reap();
            if !self.sockets.iter().any(|socket| socket.armed) {
                return Ok(());
            }
            self.submit(Some(STOP_WAIT))?;
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let stopped = self.stop_receiving();
        // The sockets are closed now, and not when the kernel gets round to clearing the ring.
        let _ = self.ring.submitter().unregister_files();
        let unregistered = (0..self.sockets.len())
            .try_for_each(|group| self.ring.submitter().unregister_buf_ring(group as u16));
        match (stopped, unregistered, self.arena.take()) {
            // SAFETY: no request is left that could write to a message, the kernel has forgotten
            // the ring of free buffers, and answers were read when they were submitted.
            (Ok(()), Ok(()), Some(arena)) => unsafe { arena.free() },
            // Better lost than written to by the kernel when it is somebody else's.
            (_, _, Some(_leaked)) => {}
            (_, _, None) => {}
        }
    }
}

#[cfg(test)]
mod tests;
