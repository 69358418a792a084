//! The engine on epoll. In: readiness. Out: turns for the UDP sockets and TCP, each bounded, so that a
//! flood of one never starves the others. It sleeps only after receives that came back empty.

use std::io;
use std::iter;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use mio::Events;

use super::worker::{CONNECTION_TOKEN_FIRST, Desk, Ports, WAKER_TOKEN};
use super::{Engine, Respond, udp};
use crate::limits::{UDP_BATCHES_AT_STOP_MAX, UDP_BATCHES_PER_TURN_MAX};
use crate::sys::mmsg::Batch;
use crate::sys::socket::Waiting;

/// Readiness that one call takes over; what is left comes with the next.
const EVENTS_MAX: usize = 256;

pub struct EpollEngine {
    ports: Ports,
    events: Events,
    /// The UDP sockets, then the epoll descriptor; those of `ports`, which live as long.
    waiting: Waiting,
}

impl Engine for EpollEngine {
    fn open(ports: Ports) -> io::Result<Self> {
        let sockets = ports.udp.iter().map(AsRawFd::as_raw_fd);
        let waiting = Waiting::new(sockets.chain(iter::once(ports.poll.as_raw_fd())));
        Ok(Self {
            ports,
            events: Events::with_capacity(EVENTS_MAX),
            waiting,
        })
    }

    fn run<R: Respond>(&mut self, desk: &mut Desk<'_, R>) -> io::Result<()> {
        let mut batch = Batch::new();
        let (socket_count, epoll_place) = (self.ports.udp.len(), self.ports.udp.len());
        // What was known before a panic may be half the truth.
        (0..socket_count).for_each(|place| self.waiting.note(place, true));
        while !desk.stopping() {
            let sleeps = !self.turn_udp(desk, &mut batch);
            // With one socket there is nothing else to look for while it has more.
            if sleeps || socket_count > 1 {
                // The UDP sockets are not in the epoll set: there every datagram would call back into
                // epoll, sleeping or not. So we wait for all, and only when there is nothing.
                let timeout = match sleeps {
                    true => desk.connections.sleep_max(),
                    false => Some(Duration::ZERO),
                };
                self.waiting.wait(timeout)?;
                if !self.waiting.is_readable(epoll_place) && !desk.connections.wants_turn() {
                    continue;
                }
            }
            match self.ports.poll.poll(&mut self.events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.turn_tcp(desk);
        }
        self.finish(desk, &mut batch)
    }
}

impl EpollEngine {
    /// Answers what the ready sockets have, up to a bound that they share. False: none has more, as far
    /// as is known.
    #[inline]
    fn turn_udp<R: Respond>(&mut self, desk: &mut Desk<'_, R>, batch: &mut Batch) -> bool {
        let sockets = &self.ports.udp;
        let ready = (0..sockets.len()).filter(|&place| self.waiting.is_readable(place));
        let share = match ready.count() {
            0 | 1 => UDP_BATCHES_PER_TURN_MAX,
            ready => (UDP_BATCHES_PER_TURN_MAX / ready).max(1),
        };
        let mut have_more = false;
        for (place, socket) in sockets.iter().enumerate() {
            if self.waiting.is_readable(place) {
                let has_more = answer_batches(desk, batch, socket.as_fd(), share);
                self.waiting.note(place, has_more);
                have_more |= has_more;
            }
        }
        have_more
    }

    /// Answers what has arrived already, on both transports, before the sockets are closed.
    fn finish<R: Respond>(&mut self, desk: &mut Desk<'_, R>, batch: &mut Batch) -> io::Result<()> {
        for socket in &self.ports.udp {
            answer_batches(desk, batch, socket.as_fd(), UDP_BATCHES_AT_STOP_MAX);
        }
        self.ports
            .poll
            .poll(&mut self.events, Some(Duration::ZERO))?;
        self.turn_tcp(desk);
        Ok(())
    }

    /// Hands readiness to the connections, and gives them their turn where they have work.
    fn turn_tcp<R: Respond>(&mut self, desk: &mut Desk<'_, R>) {
        let (mut answering, connections) = desk.open_batch();
        for event in &self.events {
            match event.token() {
                WAKER_TOKEN => {}
                token if token.0 < CONNECTION_TOKEN_FIRST => connections.listener_ready(token),
                token => connections.connection_ready(token, event),
            }
        }
        // Without connections there is no clock to read: the way of UDP has none.
        if connections.wants_turn() {
            let registry = self.ports.poll.registry();
            let listeners = &self.ports.listeners;
            connections.turn(&mut answering, listeners, registry, Instant::now());
        }
    }
}

/// Answers so many batches of a socket at most. False: it was empty.
#[inline]
fn answer_batches<R: Respond>(
    desk: &mut Desk<'_, R>,
    batch: &mut Batch,
    socket: BorrowedFd<'_>,
    batches_max: usize,
) -> bool {
    (0..batches_max).all(|_| {
        let (mut answering, _) = desk.open_batch();
        udp::answer_batch(batch, socket, &mut answering)
    })
}
