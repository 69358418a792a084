//! What comes of flights. In: replies, refusals, time that is up. Out: answers to all who wait, and
//! something in the cache.

use std::time::Instant;

use super::Deliver;
use super::Way;
use super::answers::{failure, passed_on, with_cookie};
use super::cache::{Entry, Found};
use super::flights::{AttemptState, Begun, FlightId, Waiter};
use super::follow;
use super::forwarder::{Forwarder, Port, Purpose};
use super::question::Question;
use super::reply::{self, Reply};
use super::sockets::{REPLIES_PER_TURN_MAX, Read, Sent};
use super::streams::Turned;
use crate::dns::Rcode;
use crate::dns::message::{LowerName, Parsed, parse};
use crate::dns::name::first_name;
use crate::limits::{FORWARD_ATTEMPTS_MAX, TCP_MESSAGE_BYTES_MAX};
use crate::stats::traffic::Route;

/// What those who wait are given.
#[derive(Clone, Copy)]
enum Given<'a> {
    /// To a query that had EDNS or not.
    Reply(&'a [u8], &'a Reply, bool),
    Stale(&'a Entry),
    ServFail,
}

impl Given<'_> {
    fn route(self) -> Route {
        match self {
            Self::Reply(..) => Route::Forwarded,
            Self::Stale(_) => Route::Stale,
            Self::ServFail => Route::Failed,
        }
    }
}

impl Forwarder<'_> {
    /// Reads what a socket has, up to a bound.
    pub(super) fn turn_socket(&mut self, number: usize, out: &mut impl Deliver, now: Instant) {
        for _ in 0..REPLIES_PER_TURN_MAX {
            let mut incoming = std::mem::take(&mut self.incoming);
            let read = self.sockets.read(number, &mut incoming);
            match read {
                Read::Reply { bytes, sent } => {
                    let message = incoming.get(..bytes).unwrap_or_default();
                    if self.take_reply(message, sent, out, now)
                        && let Some(id) = message.first_chunk()
                    {
                        self.sockets.settle(number, u16::from_be_bytes(*id));
                    }
                }
                Read::Refused => {
                    let pending = self.sockets.take_pending(number);
                    self.refused(pending, out, now);
                }
                Read::Stray | Read::Empty => {}
            }
            self.incoming = incoming;
            if matches!(read, Read::Empty) {
                return;
            }
        }
        self.enqueue(Port::Socket(number));
    }

    pub(super) fn turn_stream(&mut self, number: usize, out: &mut impl Deliver, now: Instant) {
        for _ in 0..REPLIES_PER_TURN_MAX {
            match self.streams.turn(number) {
                Turned::Reply { message, sent } => {
                    if self.take_reply(&message, sent, out, now)
                        && let Some(id) = message.first_chunk()
                    {
                        self.streams.settle(number, u16::from_be_bytes(*id));
                    }
                }
                Turned::Closed(pending) => {
                    self.refused(pending, out, now);
                    return;
                }
                Turned::Waits => return,
            }
        }
        self.enqueue(Port::Stream(number));
    }

    /// Takes a message with the ID of an attempt. False: it is no reply to that, and the right one may
    /// still come (RFC 5452, 9.1).
    fn take_reply(
        &mut self,
        message: &[u8],
        sent: Sent<Purpose>,
        out: &mut impl Deliver,
        now: Instant,
    ) -> bool {
        let after = now.saturating_duration_since(sent.at);
        if let Purpose::Attempt(id, attempt) = sent.for_whom
            && let Some(flight) = self.flights.get(id)
        {
            // Another attempt may have put its own ID there since.
            if let (Some(place), Some(own)) = (flight.query.get_mut(..2), message.get(..2)) {
                place.copy_from_slice(own);
            }
            if !reply::matches(&flight.query, flight.question_end, message) {
                return false;
            }
            self.note_round_trip(sent.upstream, after);
            self.weigh(id, attempt, message, out, now);
        } else {
            // Late, or to a question of our own: it tells that the upstream lives.
            self.note_round_trip(sent.upstream, after);
        }
        true
    }

    fn note_round_trip(&mut self, upstream: usize, after: std::time::Duration) {
        if let Some(upstream) = self.upstreams.get_mut(upstream) {
            upstream.replied(after);
        }
    }

    /// Ends a flight with a usable reply; has another upstream asked after one that is of no use.
    fn weigh(
        &mut self,
        id: FlightId,
        attempt: usize,
        message: &[u8],
        out: &mut impl Deliver,
        now: Instant,
    ) {
        let reply = reply::read(message);
        let is_usable = |rcode| [Rcode::NoError as u8, Rcode::NxDomain as u8].contains(&rcode);
        match reply {
            Some(reply) if reply.truncated || is_usable(reply.rcode) => {
                self.succeed(id, message, &reply, out, now);
            }
            reply => {
                if let Some(flight) = self.flights.get(id)
                    && let Some(attempt) = flight.attempts.get_mut(attempt)
                {
                    attempt.state = AttemptState::Unusable;
                    // SERVFAIL of one and REFUSED of another: the first one's is as good.
                    if flight.worst.is_none() && reply.is_some() {
                        flight.worst = Some(message.into());
                    }
                }
                self.try_others(id, out, now);
            }
        }
    }

    fn succeed(
        &mut self,
        id: FlightId,
        message: &[u8],
        reply: &Reply,
        out: &mut impl Deliver,
        now: Instant,
    ) {
        self.blame_silent(id, now);
        let Some((flight, waiters)) = self.flights.land(id) else {
            return;
        };
        if flight.key.is_some() {
            let mut names = LowerName::default();
            if let Parsed::Query(query) = parse(&flight.query, &mut names)
                && let Some(question) = Question::read(&flight.query, &query)
            {
                let settings = &self.settings;
                self.cache.insert(&question, message, reply, settings, now);
            }
        }
        let given = Given::Reply(message, reply, flight.has_edns);
        for waiter in &waiters {
            give(waiter, given, now, &mut self.outgoing, out);
        }
    }

    /// Ends a flight that nobody answered in time.
    pub(super) fn fail(&mut self, id: FlightId, out: &mut impl Deliver, now: Instant) {
        self.blame_silent(id, now);
        if self.give_stale(id, out, now) {
            self.flights.land(id);
            return;
        }
        let Some((flight, waiters)) = self.flights.land(id) else {
            return;
        };
        self.stats.forward_failures.add(1);
        let worst = flight.worst.as_deref();
        let reply = worst.and_then(reply::read);
        let given = match (worst, &reply) {
            (Some(message), Some(reply)) => Given::Reply(message, reply, flight.has_edns),
            _ => Given::ServFail,
        };
        for waiter in &waiters {
            give(waiter, given, now, &mut self.outgoing, out);
        }
    }

    /// Gives those who wait what has expired, if there is anything; the flight goes on.
    fn give_stale(&mut self, id: FlightId, out: &mut impl Deliver, now: Instant) -> bool {
        let Some(flight) = self.flights.get(id) else {
            return false;
        };
        let Some((_, key)) = flight.key.as_deref().and_then(<[u8]>::split_first) else {
            return false;
        };
        let (Found::Stale(entry) | Found::Fresh { entry, .. }) = self.cache.get(key, now) else {
            return false;
        };
        let waiters = self.flights.take_waiters(id);
        for waiter in &waiters {
            self.stats.cache_stale.add(1);
            give(waiter, Given::Stale(entry), now, &mut self.outgoing, out);
        }
        true
    }

    /// Counts against the upstreams that let their patience pass.
    fn blame_silent(&mut self, id: FlightId, now: Instant) {
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        for number in flight.route.clone() {
            let Some(flight) = self.flights.get(id) else {
                return;
            };
            let Some(upstream) = self.upstreams.get_mut(number) else {
                continue;
            };
            let patience = upstream.patience();
            let mut attempts = flight.attempts.iter();
            let is_silent = attempts.any(|attempt| {
                attempt.upstream == number
                    && attempt.state == AttemptState::Waits
                    && now.saturating_duration_since(attempt.at) >= patience
            });
            if is_silent {
                upstream.failed(now);
            }
        }
    }

    /// What was sent to an upstream that cannot be reached is asked of others.
    fn refused(&mut self, pending: Vec<Sent<Purpose>>, out: &mut impl Deliver, now: Instant) {
        let Some(first) = pending.first() else {
            return;
        };
        if let Some(upstream) = self.upstreams.get_mut(first.upstream) {
            upstream.failed(now);
        }
        for sent in pending {
            if let Purpose::Attempt(id, attempt) = sent.for_whom {
                self.attempt_failed(id, attempt, out, now);
            }
        }
    }

    fn attempt_failed(
        &mut self,
        id: FlightId,
        attempt: usize,
        out: &mut impl Deliver,
        now: Instant,
    ) {
        if let Some(flight) = self.flights.get(id)
            && let Some(attempt) = flight.attempts.get_mut(attempt)
        {
            attempt.state = AttemptState::Failed;
            self.try_others(id, out, now);
        }
    }

    /// After an attempt that came to nothing: asks at once whoever was not asked yet. Where all were, and
    /// none is waited for, the flight is over if one of them replied, and tries again later if not.
    fn try_others(&mut self, id: FlightId, out: &mut impl Deliver, now: Instant) {
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        if !flight.has_asked_all() {
            self.attempt(id, now);
            self.schedule(id, now);
            return;
        }
        let mut attempts = flight.attempts.iter();
        let is_waiting = attempts.any(|attempt| attempt.state == AttemptState::Waits);
        if !is_waiting && flight.worst.is_some() {
            self.fail(id, out, now);
        }
    }

    /// Does what is due for a flight.
    pub(super) fn turn_flight(&mut self, id: FlightId, out: &mut impl Deliver, now: Instant) {
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        if flight.give_up_at <= now {
            self.fail(id, out, now);
            return;
        }
        if flight.stale_at.is_some_and(|at| at <= now) {
            flight.stale_at = None;
            self.give_stale(id, out, now);
        }
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        if flight.retry_at <= now {
            // Everybody had a chance, and one said that it cannot answer.
            if flight.worst.is_some() && flight.has_asked_all() {
                self.fail(id, out, now);
                return;
            }
            if flight.attempts.len() < FORWARD_ATTEMPTS_MAX {
                self.attempt(id, now);
            }
        }
        self.schedule(id, now);
    }

    /// Has the flight looked at when the next thing is due.
    pub(super) fn schedule(&mut self, id: FlightId, now: Instant) {
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        let mut at = flight.give_up_at;
        if flight.retry_at > now {
            at = at.min(flight.retry_at);
        }
        if let Some(stale_at) = flight.stale_at {
            at = at.min(stale_at);
        }
        self.flights.wake_at(id, at);
    }

    /// Asks others what was sent to upstreams that turned out to lead here.
    pub(super) fn leave_loops(&mut self, out: &mut impl Deliver, now: Instant) {
        for id in self.flights.ids() {
            let Some(flight) = self.flights.get(id) else {
                continue;
            };
            let leads_here = |number: usize| {
                let upstream = self.upstreams.get(number);
                upstream.is_some_and(|it| self.common.loops.is_shunned(it.address, now))
            };
            let mut is_left = false;
            for attempt in &mut flight.attempts {
                if attempt.state == AttemptState::Waits && leads_here(attempt.upstream) {
                    attempt.state = AttemptState::Failed;
                    is_left = true;
                }
            }
            let route = flight.route.iter().copied();
            flight.route = route.filter(|number| !leads_here(*number)).collect();
            match (is_left, flight.route.is_empty()) {
                (_, true) => self.fail(id, out, now),
                (true, false) => self.try_others(id, out, now),
                (false, false) => {}
            }
        }
    }
}

/// Sends one who waits what it is given.
fn give(
    waiter: &Waiter,
    given: Given<'_>,
    now: Instant,
    outgoing: &mut [u8],
    out: &mut impl Deliver,
) {
    let mut names = LowerName::default();
    let Parsed::Query(query) = parse(&waiter.message, &mut names) else {
        return;
    };
    let Some(question) = Question::read(&waiter.message, &query) else {
        return;
    };
    let bytes_max = question.bytes_max(matches!(waiter.way, Way::Tcp { .. }));
    let bytes = match (&waiter.begun, given) {
        (_, Given::ServFail) => failure(&question, Rcode::ServFail, outgoing),
        (None, Given::Reply(message, reply, with_edns)) => {
            passed_on(&question, message, reply, with_edns, bytes_max, outgoing)
        }
        (None, Given::Stale(entry)) => entry.write(&question, now, true, bytes_max, outgoing),
        (Some(begun), given) => complete(&question, begun, given, now, bytes_max, outgoing),
    };
    let bytes = bytes.map(|bytes| with_cookie(waiter.way.cookie(), outgoing, bytes));
    if let Some(answer) = bytes.and_then(|bytes| outgoing.get_mut(..bytes)) {
        let took = now.saturating_duration_since(waiter.since);
        out.deliver(&waiter.way, answer, given.route(), took);
    }
}

/// Puts the records of a CNAME's target behind the answer that led to it.
fn complete(
    question: &Question<'_>,
    begun: &Begun,
    given: Given<'_>,
    now: Instant,
    bytes_max: usize,
    outgoing: &mut [u8],
) -> Option<usize> {
    let bytes = begun.answer.len();
    outgoing.get_mut(..bytes)?.copy_from_slice(&begun.answer);
    match given {
        Given::Reply(message, _, _) => {
            follow::complete(question, outgoing, bytes, message, bytes_max)
        }
        Given::Stale(entry) => {
            let target = first_name(begun.answer.get(begun.target_at..)?)?;
            let mut query = Vec::new();
            follow::query_for(target, question, 0, &mut query)?;
            let mut names = LowerName::default();
            let Parsed::Query(parsed) = parse(&query, &mut names) else {
                return None;
            };
            let subject = Question::read(&query, &parsed)?;
            let mut message = vec![0; TCP_MESSAGE_BYTES_MAX];
            let length = entry.write(&subject, now, true, TCP_MESSAGE_BYTES_MAX, &mut message)?;
            follow::complete(question, outgoing, bytes, message.get(..length)?, bytes_max)
        }
        Given::ServFail => failure(question, Rcode::ServFail, outgoing),
    }
}
