//! The engine on epoll. In: readiness. Out: turns for the UDP sockets and TCP, each bounded, so that a
//! flood of one never starves the others. It sleeps only after receives that came back empty.

use std::io;
use std::iter;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::Events;

use super::worker::{Desk, EVENTS_MAX, Ports};
use super::{Engine, Respond, udp};
use crate::limits::UDP_BATCHES_PER_TURN_MAX;
use crate::sys::mmsg::Batch;
use crate::sys::socket::{self, Waiting};

pub struct EpollEngine {
    ports: Ports,
    events: Events,
    /// The UDP sockets, then the epoll descriptor; those of `ports`, which live as long.
    waiting: Waiting,
}

impl EpollEngine {
    pub fn open(ports: Ports) -> Self {
        for udp in &ports.udp {
            // Without it each datagram comes alone.
            let _ = socket::receive_together(udp, true);
        }
        let sockets = ports.udp.iter().map(AsRawFd::as_raw_fd);
        let waiting = Waiting::new(sockets.chain(iter::once(ports.poll.as_raw_fd())));
        Self {
            ports,
            events: Events::with_capacity(EVENTS_MAX),
            waiting,
        }
    }
}

impl Engine for EpollEngine {
    fn run<R: Respond>(&mut self, desk: &mut Desk<'_, R>) -> io::Result<()> {
        let mut batch = Batch::new();
        let (socket_count, epoll_place) = (self.ports.udp.len(), self.ports.udp.len());
        // What was known before a panic may be half the truth.
        (0..socket_count).for_each(|place| self.waiting.note(place, true));
        while !desk.stopping() {
            desk.stats.turns.add(1);
            let sleeps = !self.turn_udp(desk, &mut batch);
            // With one socket there is nothing else to look for while it has more.
            if sleeps || socket_count > 1 {
                // The UDP sockets are not in the epoll set: there every datagram would call back into
                // epoll, sleeping or not. So we wait for all, and only when there is nothing.
                let timeout = match sleeps {
                    true => desk.sleep_max(),
                    false => Some(Duration::ZERO),
                };
                self.waiting.wait(timeout)?;
                if !self.waiting.is_readable(epoll_place) && !desk.wants_turn() {
                    continue;
                }
            }
            self.ports.turn_tcp(&mut self.events, desk)?;
        }
        self.ports.finish(&mut self.events, desk, &mut batch)
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
                batch.note_socket(place);
                let has_more = udp::answer_batches(desk, batch, socket.as_fd(), share);
                self.waiting.note(place, has_more);
                have_more |= has_more;
            }
        }
        have_more
    }
}
