//! Brings answers to clients who waited. In: answers and the ways that their queries came. Out: datagrams,
//! and octets on connections.

use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::UdpSocket;

use super::tcp::Connections;
use crate::forward::{Deliver, Way};
use crate::stats::WorkerStats;
use crate::stats::query_log::{Asked, Tap};
use crate::stats::traffic::Route;

pub struct Post<'a> {
    udp: &'a [UdpSocket],
    connections: &'a mut Connections,
    stats: &'a WorkerStats,
    tap: &'a Tap<'a>,
}

impl<'a> Post<'a> {
    pub fn new(
        udp: &'a [UdpSocket],
        connections: &'a mut Connections,
        stats: &'a WorkerStats,
        tap: &'a Tap<'a>,
    ) -> Self {
        Self {
            udp,
            connections,
            stats,
            tap,
        }
    }

    #[cold]
    fn log(&self, way: &Way, answer: &[u8]) {
        let client = match way {
            Way::Udp(way) => Some(way.peer()),
            Way::Tcp { connection, .. } => self.connections.client_of(*connection),
        };
        if let Some(client) = client {
            self.tap.note(answer, || Asked {
                client,
                transport: way.transport(),
                waited: true,
            });
        }
    }
}

impl Deliver for Post<'_> {
    fn deliver(&mut self, way: &Way, answer: &[u8], route: Route, took: Duration) {
        if self.tap.is_on() {
            self.log(way, answer);
        }
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
