//! The engine on epoll. In: readiness. Out: turns for UDP and TCP, each bounded, so that a flood of
//! one never starves the other. It sleeps only after a receive that came back empty.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use mio::Events;

use super::worker::{Desk, LISTENER_TOKEN, Ports};
use super::{Engine, Respond, udp};
use crate::limits::{UDP_BATCHES_AT_STOP_MAX, UDP_BATCHES_PER_TURN_MAX};
use crate::sys::mmsg::Batch;
use crate::sys::socket;

/// Readiness that one call takes over; what is left comes with the next.
const EVENTS_MAX: usize = 256;

pub struct EpollEngine {
    ports: Ports,
    events: Events,
}

impl Engine for EpollEngine {
    fn open(ports: Ports) -> io::Result<Self> {
        Ok(Self {
            ports,
            events: Events::with_capacity(EVENTS_MAX),
        })
    }

    fn run<R: Respond>(&mut self, desk: &mut Desk<'_, R>) -> io::Result<()> {
        let mut batch = Batch::new();
        while !desk.stopping() {
            let mut udp_empty = false;
            for _ in 0..UDP_BATCHES_PER_TURN_MAX {
                let (mut answering, _) = desk.open_batch();
                if !udp::answer_batch(&mut batch, self.ports.udp.as_fd(), &mut answering) {
                    udp_empty = true;
                    break;
                }
            }
            if udp_empty {
                // The UDP socket is not in the epoll set: there every datagram would call back into
                // epoll, sleeping or not. So we wait for both, and only when there is nothing.
                let timeout = desk.connections.sleep_max();
                if !socket::wait_readable(&self.ports.udp, &self.ports.poll, timeout)?
                    && !desk.connections.wants_turn()
                {
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
    /// Answers what has arrived already, on both transports, before the sockets are closed.
    fn finish<R: Respond>(&mut self, desk: &mut Desk<'_, R>, batch: &mut Batch) -> io::Result<()> {
        for _ in 0..UDP_BATCHES_AT_STOP_MAX {
            let (mut answering, _) = desk.open_batch();
            if !udp::answer_batch(batch, self.ports.udp.as_fd(), &mut answering) {
                break;
            }
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
                LISTENER_TOKEN => connections.listener_ready(),
                token => connections.connection_ready(token, event),
            }
        }
        // Without connections there is no clock to read: the way of UDP has none.
        if connections.wants_turn() {
            let registry = self.ports.poll.registry();
            let listener = &self.ports.listener;
            connections.turn(&mut answering, listener, registry, Instant::now());
        }
    }
}
