//! Brings answers to clients who waited. In: answers and the ways that their queries came. Out: datagrams,
//! and octets on connections.

use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::UdpSocket;

use super::rates::{Left, Limiter};
use super::tcp::Connections;
use crate::forward::{Deliver, Way};
use crate::stats::query_log::{Asked, Tap};
use crate::stats::traffic::Route;

pub struct Post<'a> {
    udp: &'a [UdpSocket],
    connections: &'a mut Connections,
    tap: &'a Tap<'a>,
    limiter: Limiter<'a>,
}

impl<'a> Post<'a> {
    pub fn new(
        udp: &'a [UdpSocket],
        connections: &'a mut Connections,
        tap: &'a Tap<'a>,
        limiter: Limiter<'a>,
    ) -> Self {
        Self {
            udp,
            connections,
            tap,
            limiter,
        }
    }

    #[cold]
    fn log(&self, way: &Way, answer: &[u8]) {
        let client = match way {
            Way::Udp { back, .. } => Some(back.peer()),
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
    fn deliver(&mut self, way: &Way, answer: &mut [u8], route: Route, took: Duration) {
        let (answer, route) = match way {
            Way::Udp { back, cookie } => {
                match self.limiter.limit(back.peer(), || *cookie, false, answer) {
                    Left::All => (&*answer, route),
                    Left::Short(bytes) => match answer.get(..bytes) {
                        Some(short) => (short, Route::Limited),
                        None => return,
                    },
                    Left::Nothing => return,
                }
            }
            Way::Tcp { .. } => (&*answer, route),
        };
        if self.tap.is_on() {
            self.log(way, answer);
        }
        let transport = way.transport();
        match way {
            Way::Udp { back, .. } => {
                let Some(socket) = self.udp.get(back.socket) else {
                    return;
                };
                self.limiter.stats.count_answer(transport, route, answer);
                self.limiter.stats.latency_forwarded.record(took, 1);
                if back.send(socket.as_fd(), answer).is_err() {
                    self.limiter.stats.send_errors.add(1);
                }
            }
            Way::Tcp {
                connection, serial, ..
            } => {
                if self
                    .connections
                    .deliver(*connection, *serial, answer, self.limiter.stats)
                {
                    self.limiter.stats.count_answer(transport, route, answer);
                    self.limiter.stats.latency_forwarded.record(took, 1);
                }
            }
        }
    }
}
