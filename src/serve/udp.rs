//! Datagrams. In: a batch from the socket. Out: their answers, in one call. One bad datagram never
//! costs another its answer.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::answering::Answering;
use super::worker::Desk;
use super::{Client, Outcome, Respond, Transport};
use crate::forward::{Asked, Way};
use crate::stats::WorkerStats;
use crate::stats::query_log::{self, Tap};
use crate::sys::mmsg::{Batch, Datagram, Sent};
use crate::sys::uring::Ring;
use crate::sys::way_back::WayBack;

/// A batch of datagrams that was received, in places counted from 0.
pub trait Datagrams {
    fn query_octets(&self, place: usize) -> Option<&[u8]>;

    fn datagram(&mut self, place: usize) -> Option<Datagram<'_>>;

    /// Queues the first `bytes` of a response.
    fn queue(&mut self, place: usize, bytes: usize);

    /// An answer that was queued, and who gets it. Each has one of the numbers below the count of places.
    fn queued(&self, number: usize) -> Option<(IpAddr, &[u8])>;

    /// How a later answer gets to the sender.
    fn way_back(&self, place: usize) -> Option<WayBack>;
}

/// Answers so many batches of a socket at most. False: it was empty.
#[inline]
pub fn answer_batches<R: Respond>(
    desk: &mut Desk<'_, R>,
    batch: &mut Batch,
    socket: BorrowedFd<'_>,
    batches_max: usize,
) -> bool {
    (0..batches_max).all(|_| {
        let (mut answering, _) = desk.open_batch();
        answer_batch(batch, socket, &mut answering)
    })
}

/// Answers what is there, up to one batch. False: nothing was there, or receiving failed.
#[inline]
fn answer_batch<R: Respond>(
    batch: &mut Batch,
    socket: BorrowedFd<'_>,
    answering: &mut Answering<'_, '_, R>,
) -> bool {
    let stats = answering.stats;
    let count = match batch.receive(socket) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
        // A signal, though workers take none: try again.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
        Err(_) => {
            stats.receive_errors.add(1);
            return false;
        }
    };
    let received_at = answering.begin_datagrams();
    let mut places = count;
    // More than once only where the kernel handed over many datagrams of one sender together.
    while places > 0 {
        answer(batch, places, answering, received_at);
        count_sent(batch.send(socket), stats);
        places = batch.next_places();
    }
    true
}

/// Answers the datagrams at the first `count` places, and queues the answers. Where it is known when the
/// kernel handed them over, they are timed: each answer takes as long as its batch, up to where the
/// kernel gets them back.
#[inline]
pub fn answer<B: Datagrams, R: Respond>(
    batch: &mut B,
    count: usize,
    answering: &mut Answering<'_, '_, R>,
    received_at: Option<Instant>,
) {
    let mut answers = 0;
    answering.stats.queries_udp.add(count as u64);
    for index in 0..count {
        if let Some(query) = batch.query_octets(index) {
            answering.read(index, query);
        }
    }
    // Memory is waited for once and not for each query. A query alone has nothing to wait beside.
    if count > 1 {
        answering.fetch(count);
    }
    for index in 0..count {
        let Some(datagram) = batch.datagram(index) else {
            break;
        };
        let client = Client {
            transport: Transport::Udp,
            address: datagram.peer,
        };
        let outcome = if datagram.truncated {
            answering.answer_truncated(datagram.query, client, datagram.response)
        } else {
            answering.answer_read(index, datagram.query, client, datagram.response)
        };
        let answer = match outcome {
            Outcome::Answer(bytes) => Some(bytes),
            Outcome::Drop => None,
            outcome => forward(batch, index, outcome, answering),
        };
        if let Some(bytes) = answer {
            batch.queue(index, bytes);
            answers += 1;
        }
    }
    if let Some(received_at) = received_at
        && answers > 0
    {
        let took = received_at.elapsed();
        answering.stats.note_latency(Transport::Udp, took, answers);
    }
    if answering.tap.is_on() {
        log(batch, count, answering.tap);
    }
}

#[cold]
#[inline(never)]
fn log<B: Datagrams>(batch: &B, count: usize, tap: &Tap<'_>) {
    let queued = (0..count).filter_map(|number| batch.queued(number));
    for (client, answer) in queued {
        tap.note(answer, || query_log::Asked {
            client,
            transport: Transport::Udp,
            waited: false,
        });
    }
}

/// Has the forwarder answer the query at a place: at once, or later by the way back.
fn forward<B: Datagrams, R: Respond>(
    batch: &mut B,
    place: usize,
    outcome: Outcome,
    answering: &mut Answering<'_, '_, R>,
) -> Option<usize> {
    let way = Way::Udp {
        back: batch.way_back(place)?,
        cookie: answering.cookie(),
    };
    let datagram = batch.datagram(place)?;
    let from = (way, datagram.peer);
    match answering.forward(outcome, datagram.query, from, datagram.response) {
        Asked::Answered { bytes, .. } => Some(bytes),
        Asked::Waits | Asked::Dropped => None,
    }
}

pub fn count_sent(sent: Sent, stats: &WorkerStats) {
    if sent.short + sent.errors > 0 {
        stats.short_sends.add(sent.short);
        stats.send_errors.add(sent.errors);
    }
}

/// The methods of both kinds of batch have one shape.
macro_rules! datagrams {
    ($($batch:ty),*) => {$(
        impl Datagrams for $batch {
            #[inline]
            fn query_octets(&self, place: usize) -> Option<&[u8]> {
                self.query_octets(place)
            }

            #[inline]
            fn datagram(&mut self, place: usize) -> Option<Datagram<'_>> {
                self.datagram(place)
            }

            #[inline]
            fn queue(&mut self, place: usize, bytes: usize) {
                self.queue(place, bytes);
            }

            fn queued(&self, number: usize) -> Option<(IpAddr, &[u8])> {
                self.queued(number)
            }

            fn way_back(&self, place: usize) -> Option<WayBack> {
                self.way_back(place)
            }
        }
    )*};
}

datagrams!(Batch, Ring);
