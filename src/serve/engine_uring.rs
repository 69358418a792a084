//! The engine on io_uring. In: completions. Out: turns for UDP and TCP, each bounded, so that a flood
//! of one never starves the other. One system call sends the answers of a batch, takes the next, and
//! sleeps where there is none.
//!
//! TCP is the same as with the other engine: the ring watches the epoll descriptor of its sockets.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::Events;

use super::worker::{Desk, EVENTS_MAX, Ports};
use super::{Engine, Respond, udp};
use crate::limits::UDP_BATCHES_PER_TURN_MAX;
use crate::sys::mmsg::Batch;
use crate::sys::socket;
use crate::sys::uring::Ring;

pub struct UringEngine {
    /// Above the sockets: it goes before they are closed.
    ring: Ring,
    ports: Ports,
    events: Events,
}

impl UringEngine {
    /// An error gives the ports back.
    pub fn open(ports: Ports) -> Result<Self, (Ports, io::Error)> {
        match open_ring(&ports) {
            Ok(ring) => Ok(Self {
                ring,
                ports,
                events: Events::with_capacity(EVENTS_MAX),
            }),
            Err(error) => Err((ports, error)),
        }
    }
}

fn open_ring(ports: &Ports) -> io::Result<Ring> {
    for udp in &ports.udp {
        // A buffer of the ring holds one.
        let _ = socket::receive_together(udp, false);
    }
    let sockets: Vec<_> = ports.udp.iter().map(AsFd::as_fd).collect();
    Ring::open(&sockets, ports.poll.registry().as_fd())
}

impl Engine for UringEngine {
    fn run<R: Respond>(&mut self, desk: &mut Desk<'_, R>) -> io::Result<()> {
        let mut batches = 0;
        while !desk.stopping() {
            desk.stats.turns.add(1);
            let count = self.answer_batch(desk, desk.sleep_max())?;
            batches = if count == 0 { 0 } else { batches + 1 };
            let is_due = batches % UDP_BATCHES_PER_TURN_MAX == 0 && desk.wants_turn();
            if self.ring.take_ready() || is_due {
                self.ports.turn_tcp(&mut self.events, desk)?;
            }
        }
        self.finish(desk)
    }
}

impl UringEngine {
    /// Answers the next batch; the answers go with the call that takes the one after it.
    #[inline]
    fn answer_batch<R: Respond>(
        &mut self,
        desk: &mut Desk<'_, R>,
        wait: Option<Duration>,
    ) -> io::Result<usize> {
        let received = self.ring.receive(wait);
        let failed = self.ring.take_receive_errors();
        if failed > 0 {
            desk.stats.receive_errors.add(failed);
        }
        let count = received?;
        if count > 0 {
            let (mut answering, _) = desk.open_batch();
            let received_at = answering.begin_datagrams();
            udp::answer(&mut self.ring, count, &mut answering, received_at);
        }
        udp::count_sent(self.ring.take_sent(), desk.stats);
        Ok(count)
    }

    /// Answers what has arrived already, on both transports, before the sockets are closed.
    fn finish<R: Respond>(&mut self, desk: &mut Desk<'_, R>) -> io::Result<()> {
        self.ring.stop_receiving()?;
        while self.answer_batch(desk, Some(Duration::ZERO))? > 0 {}
        // What came since is still in the sockets.
        self.ports.finish(&mut self.events, desk, &mut Batch::new())
    }
}
