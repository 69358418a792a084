//! Asking upstreams. In: a flight whose next attempt is due. Out: its message on the way to the upstream
//! that is best to ask now.

use std::time::Instant;

use super::flights::{Attempt, AttemptState, FlightId};
use super::forwarder::{Forwarder, Port, Purpose};
use super::loops::Loops;
use super::question::{Question, message_of};
use super::sockets::Sent;
use super::upstream::Upstream;
use crate::dns::message::{LowerName, Parsed, parse};
use crate::limits::{
    FORWARD_ATTEMPTS_MAX, LOOP_PROBE_WAIT, UPSTREAM_LATE_MAX, UPSTREAM_REPEAT_AFTER,
};

/// Times that the wait is doubled.
const REPEATS_DOUBLED_MAX: usize = 8;

impl Forwarder<'_> {
    /// Asks again for what is in the cache, for nobody.
    pub(super) fn refresh(&mut self, key: &[u8], now: Instant) {
        self.key.clear();
        self.key.push(0);
        self.key.extend(key);
        if self.flights.find(&self.key).is_some() || !self.flights.has_room() {
            return;
        }
        let mut query = Vec::new();
        if message_of(key, 0, &mut query).is_none() {
            return;
        }
        let mut names = LowerName::default();
        let Parsed::Query(parsed) = parse(&query, &mut names) else {
            return;
        };
        if let Some(question) = Question::read(&query, &parsed) {
            self.stats.cache_prefetches.add(1);
            let own_key = Some(Box::from(&*self.key));
            self.take_off(&question, own_key, false, None, Vec::new(), now);
        }
    }

    /// Asks the next upstream: of those asked least often in this flight one that is not down, and of
    /// those the first of the route. Where the system refuses, the one after it.
    pub(super) fn attempt(&mut self, id: FlightId, now: Instant) {
        loop {
            let Some((upstream, cycle)) = self.next_upstream(id, now) else {
                return;
            };
            let is_sent = self.send(id, upstream, now);
            let all_tried = self
                .next_upstream(id, now)
                .is_none_or(|(_, next)| next > cycle);
            let wait = match (is_sent, all_tried) {
                // Whoever was asked works on it: asking again is for a datagram that was lost.
                (_, true) => UPSTREAM_REPEAT_AFTER * (1 << cycle.min(REPEATS_DOUBLED_MAX)),
                (true, false) => {
                    let upstream = self.upstreams.get(upstream);
                    upstream.map_or(UPSTREAM_REPEAT_AFTER, Upstream::patience)
                }
                (false, false) => continue,
            };
            if let Some(flight) = self.flights.get(id) {
                flight.retry_at = now + wait;
            }
            return;
        }
    }

    /// Whom to ask next, and how often it was asked in this flight already.
    fn next_upstream(&mut self, id: FlightId, now: Instant) -> Option<(usize, usize)> {
        let flight = self.flights.get(id)?;
        if flight.attempts.len() >= FORWARD_ATTEMPTS_MAX {
            return None;
        }
        let loops = &self.common.loops;
        let rank = |&number: &usize| {
            let upstream = self.upstreams.get(number)?;
            let attempts = flight.attempts.iter();
            let asked = attempts
                .filter(|attempt| attempt.upstream == number)
                .count();
            let is_shunned = loops.is_shunned(upstream.address, now);
            (!is_shunned).then_some((asked, upstream.is_down(), number))
        };
        let best = flight.route.iter().filter_map(rank);
        // Of equal ones the first: `min_by_key` keeps it.
        let (asked, _, number) = best.min_by_key(|&(asked, is_down, _)| (asked, is_down))?;
        Some((number, asked))
    }

    /// Sends a flight's query to an upstream. False: the system refused.
    fn send(&mut self, id: FlightId, number: usize, now: Instant) -> bool {
        let Some(upstream) = self.upstreams.get_mut(number) else {
            return false;
        };
        let Some(flight) = self.flights.get(id) else {
            return false;
        };
        upstream.stats.queries.add(1);
        let sent = Sent {
            for_whom: Purpose::Attempt(id, flight.attempts.len()),
            upstream: number,
            at: now,
        };
        let (address, numbers) = (upstream.address, &mut self.numbers);
        let result = match flight.over_tcp {
            true => {
                let query = &flight.query;
                let streams = &mut self.streams;
                streams
                    .send(query, sent, address, numbers, &self.registry)
                    .map(Some)
            }
            false => {
                let query = &mut flight.query;
                let sockets = &mut self.sockets;
                sockets
                    .send(query, sent, address, numbers, &self.registry)
                    .map(|()| None)
            }
        };
        let state = match result {
            Ok(_) => AttemptState::Waits,
            Err(_) => AttemptState::Failed,
        };
        flight.attempts.push(Attempt {
            upstream: number,
            at: now,
            state,
        });
        match result {
            Ok(Some(stream)) => self.enqueue(Port::Stream(stream)),
            Ok(None) => {}
            Err(_) => upstream.failed(now),
        }
        state == AttemptState::Waits
    }

    /// Sends the query as well to those of the route that are down and due to be looked at.
    pub(super) fn probe_others(&mut self, id: FlightId, now: Instant) {
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        for number in flight.route.clone() {
            let Some(flight) = self.flights.get(id) else {
                return;
            };
            let is_asked = flight.has_asked(number);
            let upstream = self.upstreams.get_mut(number);
            if !is_asked && upstream.is_some_and(|upstream| upstream.take_probe(now)) {
                self.send(id, number, now);
            }
        }
    }

    /// Somebody asks what is under way already: it may be our own query that came back. Then the upstreams
    /// that were asked are sent a question which tells.
    pub(super) fn suspect_loop(&mut self, id: FlightId, now: Instant) {
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        let asked: Vec<usize> = flight.attempts.iter().map(|it| it.upstream).collect();
        for number in asked {
            let (Some(upstream), Some(probed)) =
                (self.upstreams.get(number), self.loop_probed.get_mut(number))
            else {
                continue;
            };
            if probed.is_some_and(|at| now.saturating_duration_since(at) < LOOP_PROBE_WAIT) {
                continue;
            }
            *probed = Some(now);
            let address = upstream.address;
            let sent = Sent {
                for_whom: Purpose::Loop,
                upstream: number,
                at: now,
            };
            let mut probe = self.common.loops.probe(address);
            // Where it cannot be sent, nothing comes back by it.
            let _ = self
                .sockets
                .send(&mut probe, sent, address, &mut self.numbers, &self.registry);
        }
    }

    /// Whether a question is one of ours that came back; then the upstream that it was sent to is shunned.
    pub(super) fn came_back(&mut self, question: &Question<'_>, now: Instant) -> bool {
        let name = question.key().name();
        if !Loops::is_probe(name) {
            return false;
        }
        let upstreams = self.settings.routes.all().into_iter();
        let Some(address) = self.common.loops.upstream_of(name, upstreams) else {
            return false;
        };
        if self.common.loops.shun(address, now) {
            tracing::error!(
                "the resolver {address} sends our own queries back to us: it is not asked while it \
                 does; take it out of Resolvers and ZoneResolvers, or this server out of its own"
            );
        }
        true
    }

    /// Forgets what comes too late, and closes what nobody uses.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.sockets.forget_before(UPSTREAM_LATE_MAX, now);
        self.streams.close_idle(self.settings.timeout, now);
    }

    pub(super) fn count_in_flight(&self) {
        for (number, upstream) in self.upstreams.iter().enumerate() {
            let pending = self.sockets.pending_of(number) + self.streams.pending_of(number);
            upstream.stats.in_flight.set(pending as u64);
        }
    }
}
