//! One thread's forwarder. In: queries that are not for the table, readiness, the time. Out: answers, at
//! once from the cache, or later by the way that each asker left. Nothing here waits: what cannot be done
//! now is done in a later turn.
//!
//! A query becomes a flight, which others who ask the same join. A flight asks the first upstream of its
//! route that is not down; each time that patience runs out, it asks the next beside it, and the first
//! usable reply wins (`sending`, `landing`).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};

use super::answers::{failure, with_cookie};
use super::cache::{Cache, Found};
use super::flights::{Begun, Flight, FlightId, Flights, Waiter};
use super::follow;
use super::numbers::Numbers;
use super::question::Question;
use super::sockets::Sockets;
use super::streams::Streams;
use super::upstream::Upstream;
use super::{Asked, Asker, Common, Deliver, Settings, TOKENS};
use crate::clients::client_of;
use crate::dns::message::{LowerName, Parsed, flag, parse};
use crate::dns::{Rcode, name};
use crate::limits::{
    FLIGHTS_PER_TURN_MAX, FORWARD_FLIGHTS_HARD_MAX, FORWARD_PENDING_BYTES_MAX, FORWARD_STALE_AFTER,
    FORWARD_SWEEP, NAME_BYTES_MAX, TCP_MESSAGE_BYTES_MAX,
};
use crate::stats::WorkerStats;
use crate::stats::traffic::Route;
use crate::stats::upstream::Upstreams;

pub struct Forwarder<'s> {
    pub(super) common: Arc<Common>,
    pub(super) settings: Arc<Settings>,
    pub(super) upstreams: Vec<Upstream>,
    numbers_of: HashMap<SocketAddr, usize>,
    /// When each upstream was last sent a probe for loops.
    pub(super) loop_probed: Vec<Option<Instant>>,
    pub(super) cache: Cache,
    pub(super) flights: Flights,
    pub(super) sockets: Sockets<Purpose>,
    pub(super) streams: Streams<Purpose>,
    /// Who may have more to read; each once.
    ready: VecDeque<Port>,
    pub(super) registry: Registry,
    pub(super) numbers: Numbers,
    pub(super) stats: &'s WorkerStats,
    pub(super) upstream_stats: &'s Upstreams,
    flushes_seen: u64,
    loops_seen: u64,
    swept_at: Instant,
    /// Where replies are read to, and answers written.
    pub(super) incoming: Box<[u8]>,
    pub(super) outgoing: Box<[u8]>,
    pub(super) names: LowerName,
    pub(super) key: Vec<u8>,
}

/// What a message was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An attempt of a flight, by number.
    Attempt(FlightId, usize),
    /// To find out whether the upstream leads here.
    Loop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Socket(usize),
    Stream(usize),
}

impl<'s> Forwarder<'s> {
    /// `sockets_max` bounds the UDP sockets that it opens.
    pub fn new(
        common: Arc<Common>,
        registry: Registry,
        sockets_max: usize,
        stats: &'s WorkerStats,
        upstream_stats: &'s Upstreams,
    ) -> Self {
        let settings = common.settings.load_full();
        let flushes_seen = common.flushes.load(Ordering::Relaxed);
        let loops_seen = common.loops.changes();
        let cache = Cache::new(common.cache_share(&settings));
        Self {
            common,
            settings,
            upstreams: Vec::new(),
            numbers_of: HashMap::new(),
            loop_probed: Vec::new(),
            cache,
            flights: Flights::default(),
            sockets: Sockets::new(TOKENS, sockets_max),
            streams: Streams::new(2 * TOKENS),
            ready: VecDeque::new(),
            registry,
            numbers: Numbers::default(),
            stats,
            upstream_stats,
            flushes_seen,
            loops_seen,
            swept_at: Instant::now(),
            incoming: vec![0; TCP_MESSAGE_BYTES_MAX].into_boxed_slice(),
            outgoing: vec![0; TCP_MESSAGE_BYTES_MAX].into_boxed_slice(),
            names: LowerName::default(),
            key: Vec::with_capacity(2 * NAME_BYTES_MAX),
        }
    }

    /// Answers a query at once, or has it wait. `response` holds as many octets as the asker's transport
    /// lets an answer have, and what `asker.led_here` says of an answer begun.
    pub fn ask(
        &mut self,
        message: &[u8],
        asker: Asker,
        response: &mut [u8],
        now: Instant,
    ) -> Asked {
        self.follow_settings();
        let Parsed::Query(query) = parse(message, &mut self.names) else {
            return Asked::Dropped;
        };
        let Some(own) = Question::read(message, &query) else {
            return Asked::Dropped;
        };
        let cookie = asker.way.cookie();
        match self.ask_question(&own, asker, response, now) {
            Asked::Answered { bytes, route } => {
                let bytes = with_cookie(cookie, response, bytes);
                Asked::Answered { bytes, route }
            }
            asked => asked,
        }
    }

    fn ask_question(
        &mut self,
        own: &Question<'_>,
        asker: Asker,
        response: &mut [u8],
        now: Instant,
    ) -> Asked {
        let Some(led_here) = asker.led_here else {
            return self.ask_for(own, asker, response, now);
        };
        // What is asked upstream is the target of a CNAME of the table.
        let target = response.get(led_here.target_at..led_here.bytes);
        let target = target.and_then(name::first_name).unwrap_or_default();
        let mut query = Vec::new();
        if follow::query_for(target, own, 0, &mut query).is_none() {
            return Asked::Dropped;
        }
        let mut subject_names = LowerName::default();
        let Parsed::Query(parsed) = parse(&query, &mut subject_names) else {
            return Asked::Dropped;
        };
        let Some(subject) = Question::read(&query, &parsed) else {
            return Asked::Dropped;
        };
        self.ask_target(own, &subject, asker, response, now)
    }

    /// A question that is asked as it came.
    fn ask_for(
        &mut self,
        question: &Question<'_>,
        asker: Asker,
        response: &mut [u8],
        now: Instant,
    ) -> Asked {
        if self.came_back(question, now) {
            return answered(failure(question, Rcode::ServFail, response), Route::Failed);
        }
        let is_recursive = question.flags & flag::RD != 0;
        let mut has_stale = false;
        if question.is_sharable() || !is_recursive {
            let bytes_max = question.bytes_max(asker.over_tcp).min(response.len());
            let (key, stats) = (question.key().as_bytes(), self.stats);
            let found = match self.cache.get(key, now) {
                Found::Fresh { entry, prefetch } => {
                    stats.cache_hits.add(1);
                    let written = entry.write(question, now, false, bytes_max, response);
                    Some((written, prefetch, Route::Cache))
                }
                Found::Stale(entry) => {
                    has_stale = true;
                    let route = self.settings.routes.resolvers_of(question.key().name());
                    let is_away = |address: &SocketAddr| {
                        let number = self.numbers_of.get(address);
                        let upstream = number.and_then(|number| self.upstreams.get(*number));
                        // One that was never asked is not down.
                        upstream.is_some_and(Upstream::is_down)
                            || self.common.loops.is_shunned(*address, now)
                    };
                    (is_recursive && route.iter().all(is_away)).then(|| {
                        stats.cache_stale.add(1);
                        let written = entry.write(question, now, true, bytes_max, response);
                        (written, true, Route::Stale)
                    })
                }
                Found::Nothing => None,
            };
            if let Some((written, is_due, route)) = found {
                if is_due {
                    self.refresh(key, now);
                }
                return answered(written, route);
            }
            stats.cache_misses.add(1);
        }
        if !is_recursive {
            // RFC 1034, 4.3.1: without RD nobody else is asked.
            return answered(failure(question, Rcode::Refused, response), Route::Refused);
        }
        let waiter = Waiter {
            way: asker.way,
            client: client_of(asker.address),
            since: now,
            message: question.message.into(),
            begun: None,
        };
        match self.wait(question, asker.over_tcp, has_stale, waiter, now) {
            true => Asked::Waits,
            false => answered(failure(question, Rcode::ServFail, response), Route::Failed),
        }
    }

    /// The target of a CNAME of the table, whose records complete the answer begun in `response`.
    fn ask_target(
        &mut self,
        own: &Question<'_>,
        subject: &Question<'_>,
        asker: Asker,
        response: &mut [u8],
        now: Instant,
    ) -> Asked {
        let Some(led_here) = asker.led_here else {
            return Asked::Dropped;
        };
        let mut has_stale = false;
        let outgoing = &mut self.outgoing;
        match self.cache.get(subject.key().as_bytes(), now) {
            Found::Fresh { entry, .. } => {
                self.stats.cache_hits.add(1);
                let bytes = entry.write(subject, now, false, TCP_MESSAGE_BYTES_MAX, outgoing);
                let reply = bytes.and_then(|bytes| outgoing.get(..bytes));
                let bytes_max = own.bytes_max(asker.over_tcp).min(response.len());
                let completed = reply.and_then(|reply| {
                    follow::complete(own, response, led_here.bytes, reply, bytes_max)
                });
                return answered(completed, Route::Cache);
            }
            Found::Stale(_) => has_stale = true,
            Found::Nothing => {}
        }
        self.stats.cache_misses.add(1);
        let waiter = Waiter {
            way: asker.way,
            client: client_of(asker.address),
            since: now,
            message: own.message.into(),
            begun: response.get(..led_here.bytes).map(|answer| Begun {
                answer: answer.into(),
                target_at: led_here.target_at,
            }),
        };
        // The whole answer is wanted of the target, however the client asked.
        match self.wait(subject, asker.over_tcp, has_stale, waiter, now) {
            true => Asked::Waits,
            false => answered(failure(own, Rcode::ServFail, response), Route::Failed),
        }
    }

    /// Has somebody wait for an answer, with others who do or alone. False: there is no room, be it for its
    /// client alone, or nobody to ask.
    fn wait(
        &mut self,
        question: &Question<'_>,
        over_tcp: bool,
        has_stale: bool,
        waiter: Waiter,
        now: Instant,
    ) -> bool {
        if self.flights.len() >= FORWARD_FLIGHTS_HARD_MAX
            || self.flights.bytes() >= 2 * FORWARD_PENDING_BYTES_MAX
        {
            self.stats.forward_overflows.add(1);
            return false;
        }
        if !self.flights.has_share(&waiter) {
            self.stats.forward_over_share.add(1);
            return false;
        }
        let key = question.is_sharable().then(|| {
            self.key.clear();
            self.key.push(u8::from(over_tcp));
            self.key.extend(question.key().as_bytes());
            &*self.key
        });
        if let Some(id) = key.and_then(|key| self.flights.find(key)) {
            self.flights.join(id, waiter);
            self.suspect_loop(id, now);
            return true;
        }
        let key = key.map(Box::from);
        let stale_at = has_stale.then(|| now + FORWARD_STALE_AFTER.min(self.settings.timeout));
        self.take_off(question, key, over_tcp, stale_at, vec![waiter], now)
    }

    /// Begins a flight. False: there is nobody to ask.
    pub(super) fn take_off(
        &mut self,
        question: &Question<'_>,
        key: Option<Box<[u8]>>,
        over_tcp: bool,
        stale_at: Option<Instant>,
        waiters: Vec<Waiter>,
        now: Instant,
    ) -> bool {
        let route = self.route_of(question.key().name(), now);
        if route.is_empty() && stale_at.is_none() {
            return false;
        }
        let flight = Flight {
            query: question.without_cookie(),
            question_end: question.question_end,
            has_edns: question.edns.is_some(),
            key,
            over_tcp,
            waiters,
            route,
            attempts: Vec::new(),
            give_up_at: now + self.settings.timeout,
            stale_at,
            retry_at: now,
            worst: None,
        };
        self.stats.forwarded.add(1);
        let id = self.flights.start(flight);
        self.attempt(id, now);
        self.probe_others(id, now);
        self.schedule(id, now);
        true
    }

    /// Upstreams for a name by number; none that leads here.
    fn route_of(&mut self, name: &[u8], now: Instant) -> Box<[usize]> {
        let settings = Arc::clone(&self.settings);
        let resolvers = settings.routes.resolvers_of(name).iter();
        let common = Arc::clone(&self.common);
        let resolvers = resolvers.filter(|address| !common.loops.is_shunned(**address, now));
        resolvers.map(|address| self.number_of(*address)).collect()
    }

    fn number_of(&mut self, address: SocketAddr) -> usize {
        *self.numbers_of.entry(address).or_insert_with(|| {
            let stats = self.upstream_stats.join(address);
            self.upstreams.push(Upstream::new(address, stats));
            self.loop_probed.push(None);
            self.upstreams.len() - 1
        })
    }

    /// Takes up what others changed.
    fn follow_settings(&mut self) {
        let newest = self.common.settings.load();
        if !Arc::ptr_eq(&newest, &self.settings) {
            let share = self.common.cache_share(&newest);
            if share != self.common.cache_share(&self.settings) {
                self.cache = Cache::new(share);
            }
            self.settings = Arc::clone(&newest);
            // Connections and ports to those that are no longer asked would stay.
            let all = self.settings.routes.all();
            let upstreams = &self.upstreams;
            let is_asked = |number: usize| {
                let upstream = upstreams.get(number);
                upstream.is_some_and(|upstream| all.contains(&upstream.address))
            };
            self.sockets.keep(is_asked);
            self.streams.keep(is_asked);
        }
        // Pairs with the store in `Common::flush`.
        let flushes = self.common.flushes.load(Ordering::Relaxed);
        if flushes != self.flushes_seen {
            self.flushes_seen = flushes;
            self.cache.clear();
        }
    }

    /// Whether a token is one of ours; notes what it is ready for.
    pub fn note(&mut self, token: Token, event: &Event) {
        let port = if let Some(number) = self.streams.number_of(token) {
            self.streams.note(number, event);
            Port::Stream(number)
        } else if let Some(number) = self.sockets.number_of(token) {
            Port::Socket(number)
        } else {
            return;
        };
        self.enqueue(port);
    }

    pub(super) fn enqueue(&mut self, port: Port) {
        if !self.ready.contains(&port) {
            self.ready.push_back(port);
        }
    }

    /// Whether `turn` may have anything to do; false costs no look at the clock.
    pub fn wants_turn(&self) -> bool {
        !self.ready.is_empty() || !self.flights.is_empty() || self.has_leftovers()
    }

    /// Whether there is something that `sweep` looks for.
    fn has_leftovers(&self) -> bool {
        self.sockets.has_pending() || !self.streams.is_empty()
    }

    /// Whether a client waits for an answer.
    pub fn is_waited_for(&self) -> bool {
        self.flights.waiter_count() > 0
    }

    /// For how long nothing will be due without an event. `None`: for ever.
    pub fn sleep_max(&self) -> Option<Duration> {
        if !self.ready.is_empty() || !self.flights.has_room() {
            return Some(Duration::ZERO);
        }
        let sweep_at = self.has_leftovers().then(|| self.swept_at + FORWARD_SWEEP);
        let due = match (self.flights.due_at(), sweep_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Ends everything that is under way.
    pub fn fail_all(&mut self, out: &mut impl Deliver, now: Instant) {
        for id in self.flights.ids() {
            self.fail(id, out, now);
        }
    }

    /// Takes what upstreams sent, and does what is due.
    pub fn turn(&mut self, out: &mut impl Deliver, now: Instant) {
        self.follow_settings();
        let loops = self.common.loops.changes();
        if loops != self.loops_seen {
            self.loops_seen = loops;
            self.leave_loops(out, now);
        }
        // Those with more go to the end, and are not looked at twice in a turn.
        for _ in 0..self.ready.len() {
            match self.ready.pop_front() {
                Some(Port::Socket(number)) => self.turn_socket(number, out, now),
                Some(Port::Stream(number)) => self.turn_stream(number, out, now),
                None => break,
            }
        }
        // The rest is due at once, after those who are answered from the table.
        for _ in 0..FLIGHTS_PER_TURN_MAX {
            if let Some(id) = self.flights.next_due(now) {
                self.turn_flight(id, out, now);
            } else if !self.flights.has_room()
                && let Some(oldest) = self.flights.oldest()
            {
                self.stats.forward_overflows.add(1);
                self.fail(oldest, out, now);
            } else {
                break;
            }
        }
        if now.saturating_duration_since(self.swept_at) >= FORWARD_SWEEP {
            self.swept_at = now;
            self.sweep(now);
        }
        self.count_in_flight();
        self.stats.cache_bytes.set(self.cache.bytes() as u64);
        self.stats.forwards_in_flight.set(self.flights.len() as u64);
    }
}

fn answered(bytes: Option<usize>, route: Route) -> Asked {
    bytes.map_or(Asked::Dropped, |bytes| Asked::Answered { bytes, route })
}
