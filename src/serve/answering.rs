//! Answers of one batch. In: queries, each from somebody. Out: what is to be sent, counted, and no more of
//! it than strangers may have. It must never look at a clock for a query alone, but for those that are
//! forwarded.

use std::net::IpAddr;
use std::time::Instant;

use super::rates::{Left, Limiter, Rates};
use super::{Client, Outcome, Respond, Transport};
use crate::dns::cookie::Judged;
use crate::forward::forwarder::Forwarder;
use crate::forward::{Asked, Asker, LedHere, Way};
use crate::limits::UDP_TIMED_BATCHES_PART;
use crate::responses::Snapshot;
use crate::stats::WorkerStats;
use crate::stats::query_log::Tap;
use crate::stats::traffic::{Kind, Route};

/// Answers the queries of one batch, all from the same Snapshot, and counts.
pub struct Answering<'a, 's, R> {
    pub(super) responder: &'a mut R,
    pub(super) rates: &'a mut Rates,
    pub(super) snapshot: Option<&'a Snapshot>,
    pub stats: &'a WorkerStats,
    pub(super) batches: &'a mut u32,
    /// Who answers for names outside the domain; `None`: nobody.
    pub(super) forwarder: Option<&'a mut Forwarder<'s>>,
    /// Where answers are logged.
    pub tap: &'a Tap<'s>,
}

impl<R: Respond> Answering<'_, '_, R> {
    /// Answers a query alone.
    #[inline]
    pub fn answer(&mut self, query: &[u8], client: Client, response: &mut [u8]) -> Outcome {
        let outcome = self
            .responder
            .respond(self.snapshot, query, client, response);
        self.count(outcome, client.transport, response)
    }

    /// Notes that datagrams came. The time, where their answers are to be timed: looking at the clock
    /// twice costs as much as one answer, so that is done for few batches.
    #[inline]
    pub fn begin_datagrams(&mut self) -> Option<Instant> {
        let is_timed = self.batches.is_multiple_of(UDP_TIMED_BATCHES_PART);
        *self.batches = self.batches.wrapping_add(1);
        is_timed.then(Instant::now)
    }

    /// Reads the query at a place of the batch.
    #[inline]
    pub fn read(&mut self, place: usize, query: &[u8]) {
        self.responder.read(self.snapshot, place, query);
    }

    /// Has fetched what the queries at the first places need, for all of them at once.
    #[inline]
    pub fn fetch(&mut self, count: usize) {
        for place in 0..count {
            self.responder.fetch_slot(self.snapshot, place);
        }
        for place in 0..count {
            self.responder.fetch_entry(self.snapshot, place);
        }
    }

    /// As `answer`, for the query that was read at a place.
    #[inline]
    pub fn answer_read(
        &mut self,
        place: usize,
        query: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome {
        let outcome = self
            .responder
            .respond_read(self.snapshot, place, query, client, response);
        self.limit(outcome, client, response)
    }

    /// As `answer`, for a datagram that was cut.
    pub fn answer_truncated(
        &mut self,
        query: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome {
        self.stats.oversized.add(1);
        let outcome = self.responder.respond_truncated(query, response);
        self.limit(outcome, client, response)
    }

    /// What the cookie of the message was worth that was answered last.
    pub fn cookie(&self) -> Option<Judged> {
        self.responder.cookie()
    }

    /// Counts a datagram and what becomes of it, where strangers do not get it too often.
    #[inline]
    fn limit(&mut self, outcome: Outcome, client: Client, response: &mut [u8]) -> Outcome {
        if let Outcome::Answer(bytes) = outcome {
            let (responder, kind) = (&*self.responder, self.responder.kind());
            let answer = response.get_mut(..bytes).unwrap_or_default();
            let cookie = || responder.cookie();
            let mut limiter = limiter(responder, self.rates, self.stats);
            match limiter.limit(client.address, cookie, kind.is_covered, answer) {
                Left::All => {}
                left => return self.count_limited(left, kind, response),
            }
        }
        self.count(outcome, client.transport, response)
    }

    #[cold]
    fn count_limited(&self, left: Left, kind: Kind, response: &[u8]) -> Outcome {
        self.stats.count_query(Transport::Udp, kind.query_type);
        match left {
            Left::Short(bytes) => {
                self.stats
                    .count_answer(Transport::Udp, Route::Limited, response);
                Outcome::Answer(bytes)
            }
            Left::All | Left::Nothing => Outcome::Drop,
        }
    }

    /// Has the forwarder answer what `respond` left to it; `way` leads to who asked.
    pub fn forward(
        &mut self,
        outcome: Outcome,
        query: &[u8],
        (way, address): (Way, IpAddr),
        response: &mut [u8],
    ) -> Asked {
        let led_here = match outcome {
            Outcome::Follow { bytes, target_at } => Some(LedHere { bytes, target_at }),
            _ => None,
        };
        // A wildcard's CNAME: what it leads to is the same for any name.
        let is_covered = led_here.is_some() && self.responder.kind().is_covered;
        let transport = way.transport();
        let datagram = match &way {
            Way::Udp { cookie, .. } => Some(*cookie),
            Way::Tcp { .. } => None,
        };
        let mut asked = self.forwarder.as_mut().map_or(Asked::Dropped, |forwarder| {
            let asker = Asker {
                way,
                address,
                over_tcp: transport == Transport::Tcp,
                led_here,
            };
            forwarder.ask(query, asker, response, Instant::now())
        });
        if let (Asked::Answered { bytes, .. }, Some(cookie)) = (asked, datagram) {
            let answer = response.get_mut(..bytes).unwrap_or_default();
            let mut limiter = limiter(self.responder, self.rates, self.stats);
            match limiter.limit(address, || cookie, is_covered, answer) {
                Left::All => {}
                Left::Short(bytes) => {
                    let route = Route::Limited;
                    asked = Asked::Answered { bytes, route };
                }
                // It is counted.
                Left::Nothing => return Asked::Dropped,
            }
        }
        match asked {
            Asked::Answered { route, .. } => self.stats.count_answer(transport, route, response),
            Asked::Dropped => self.stats.dropped_by_forwarder.add(1),
            Asked::Waits => {}
        }
        asked
    }

    /// Counts a message and what became of it.
    #[inline]
    fn count(&self, outcome: Outcome, transport: Transport, response: &[u8]) -> Outcome {
        let kind = self.responder.kind();
        self.stats.count_query(transport, kind.query_type);
        match outcome {
            Outcome::Answer(_) => self.stats.count_answer(transport, kind.route, response),
            Outcome::Drop => self.stats.dropped.add(1),
            Outcome::Forward | Outcome::Follow { .. } => {}
        }
        outcome
    }
}

/// What holds the answers of a thread to the limits that its responder follows.
pub fn limiter<'l, R: Respond>(
    responder: &'l R,
    rates: &'l mut Rates,
    stats: &'l WorkerStats,
) -> Limiter<'l> {
    Limiter {
        rates,
        limiting: responder.limiting(),
        stats,
    }
}
