//! Brings answers to clients who waited. In: answers and the ways that their queries came. Out: datagrams,
//! and octets on connections.

use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::UdpSocket;

use super::tcp::Connections;
use crate::forward::{Deliver, Way};
use crate::stats::WorkerStats;
use crate::stats::traffic::Route;

pub struct Post<'a> {
    udp: &'a [UdpSocket],
    connections: &'a mut Connections,
    stats: &'a WorkerStats,
}

impl<'a> Post<'a> {
    pub fn new(
        udp: &'a [UdpSocket],
        connections: &'a mut Connections,
        stats: &'a WorkerStats,
    ) -> Self {
        Self {
            udp,
            connections,
            stats,
        }
    }
}

impl Deliver for Post<'_> {
    fn deliver(&mut self, way: &Way, answer: &[u8], route: Route, took: Duration) {
        let transport = way.transport();
        match way {
            Way::Udp(way) => {
                let Some(socket) = self.udp.get(way.socket) else {
                    return;
                };
                self.stats.count_answer(transport, route, answer);
                self.stats.latency_forwarded.record(took, 1);
                if way.send(socket.as_fd(), answer).is_err() {
                    self.stats.send_errors.add(1);
                }
            }
            Way::Tcp { connection, serial } => {
                if self
                    .connections
                    .deliver(*connection, *serial, answer, self.stats)
                {
                    self.stats.count_answer(transport, route, answer);
                    self.stats.latency_forwarded.record(took, 1);
                }
            }
        }
    }
}
