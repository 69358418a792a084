//! The TCP connections of one worker. In: readiness and time. Out: turns of bounded work, in order
//! of arrival; connections closed that idle or are too many. It must never hold up UDP, nor let one
//! client take the places of others.
//!
//! A client may have all places as long as nobody else wants one: whoever comes when all are taken gets
//! that of the connection which is longest idle of the client that has most. So a client with one
//! connection loses it only where no client has two, and one that floods closes its own. A fixed share for
//! each would refuse a busy proxy where there is room, and few such clients would still have all.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use super::Respond;
use super::answering::Answering;
use super::connection::{Connection, Turn};
use super::idle_list::IdleList;
use super::worker::CONNECTION_TOKEN_FIRST;
use crate::clients::{Clients, client_of};
use crate::limits::{
    LISTENERS_MAX, TCP_ACCEPT_PAUSE_MS, TCP_ACCEPTS_PER_TURN_MAX, TCP_MESSAGE_BYTES_MAX,
    TCP_QUERIES_PER_CONNECTION_TURN_MAX, TCP_QUERIES_PER_TURN_MAX,
};
use crate::stats::{CloseReason, WorkerStats};

/// Connections in numbered places, and who of them has work.
pub struct Connections {
    places: Vec<Option<Connection>>,
    free: Vec<usize>,
    idle_list: IdleList,
    /// How many connections each client has.
    clients: Clients,
    /// By place, the number of its client.
    client_numbers: Vec<usize>,
    ready: VecDeque<usize>,
    /// By place, whether its number stands in `ready`, which so holds each number at most once.
    queued: Vec<bool>,
    /// The listeners that may have connections for us, a bit for each.
    accept_ready: u32,
    /// What waits is left to another process.
    stopped_accepting: bool,
    /// No descriptors or memory were left: no accept before this.
    accept_paused_until: Option<Instant>,
    connections_max: usize,
    idle: Duration,
    lifetime: Duration,
    /// Connections so far.
    serial: u64,
    /// Where every answer is written before it is queued.
    response: Box<[u8]>,
}

impl Connections {
    pub fn new(connections_max: usize, idle: Duration, lifetime: Duration) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            idle_list: IdleList::default(),
            clients: Clients::default(),
            client_numbers: Vec::new(),
            ready: VecDeque::new(),
            queued: Vec::new(),
            // After a restart the edge that told of waiting connections may be past.
            accept_ready: u32::MAX,
            stopped_accepting: false,
            accept_paused_until: None,
            connections_max,
            idle,
            lifetime,
            serial: 0,
            response: vec![0; TCP_MESSAGE_BYTES_MAX].into_boxed_slice(),
        }
    }

    pub fn listener_ready(&mut self, token: Token) {
        if !self.stopped_accepting {
            self.accept_ready |= bit_of(token.0);
        }
    }

    /// Takes no connection any more: another process will, from the same listeners.
    pub fn stop_accepting(&mut self) {
        self.stopped_accepting = true;
        self.accept_ready = 0;
    }

    /// Whether accepting has ended and a connection that was taken has not had an answer yet: its client
    /// cannot know that it should ask somebody else. One that had may be closed (RFC 7766, 6.2.3).
    pub fn owes_answer(&self) -> bool {
        let mut open = self.places.iter().flatten();
        self.stopped_accepting && open.any(|connection| !connection.was_asked)
    }

    /// Notes an event. One that was meant for an earlier connection of the same place only makes the
    /// present one try in vain.
    pub fn connection_ready(&mut self, token: Token, event: &Event) {
        let Some(number) = token.0.checked_sub(CONNECTION_TOKEN_FIRST) else {
            return;
        };
        let Some(connection) = self.places.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        // Errors and hang-ups come out of the next read.
        connection.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        connection.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.enqueue(number);
    }

    /// Whether `turn` has anything to do; false costs UDP no look at the clock.
    pub fn wants_turn(&self) -> bool {
        self.accept_ready != 0 || !self.ready.is_empty() || self.idle_list.oldest().is_some()
    }

    /// For how long nothing will be due without an event. `None`: for ever.
    pub fn sleep_max(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let accept_at = match self.accept_paused_until {
            None if self.accept_ready != 0 => return Some(Duration::ZERO),
            paused => paused,
        };
        let expire_at = self.oldest_progress().map(|at| at + self.idle);
        let due = match (accept_at, expire_at) {
            (Some(accept), Some(expire)) => Some(accept.min(expire)),
            (accept, expire) => accept.or(expire),
        };
        due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Accepts, gives each connection with work its share, and closes those that idle.
    pub fn turn<R: Respond>(
        &mut self,
        answering: &mut Answering<'_, '_, R>,
        listeners: &[TcpListener],
        registry: &Registry,
        now: Instant,
    ) {
        self.accept_all(answering.stats, listeners, registry, now);
        let mut queries_left = TCP_QUERIES_PER_TURN_MAX;
        // Those that ask for more go to the end, and are not looked at twice in a turn.
        for _ in 0..self.ready.len() {
            if queries_left == 0 {
                break;
            }
            let Some(number) = self.ready.pop_front() else {
                break;
            };
            self.turn_of(number, answering, &mut queries_left, now);
        }
        self.expire(answering.stats, now);
    }

    fn turn_of<R: Respond>(
        &mut self,
        number: usize,
        answering: &mut Answering<'_, '_, R>,
        queries_left: &mut usize,
        now: Instant,
    ) {
        if let Some(queued) = self.queued.get_mut(number) {
            *queued = false;
        }
        let Some(connection) = self.places.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        // A client with many connections has no more in a round than one with a few, as far as each has one.
        let client = self.client_numbers.get(number);
        let connections = client.map_or(1, |client| self.clients.amount(*client).max(1));
        let share = (TCP_QUERIES_PER_CONNECTION_TURN_MAX / connections).max(1);
        let share = share.min(*queries_left);
        let mut share_left = share;
        let progress_before = connection.progress_at;
        let turn = connection.turn(answering, &mut self.response, &mut share_left, now);
        *queries_left -= share - share_left;
        if connection.progress_at != progress_before {
            self.idle_list.renew(number);
        }
        match turn {
            Turn::Wait => {}
            Turn::Again => self.enqueue(number),
            Turn::Close(reason) => self.close(number, reason, answering.stats),
        }
    }

    fn enqueue(&mut self, number: usize) {
        if let Some(queued) = self.queued.get_mut(number)
            && !std::mem::replace(queued, true)
        {
            self.ready.push_back(number);
        }
    }

    /// Takes waiting connections of every listener, up to a bound that they share.
    fn accept_all(
        &mut self,
        stats: &WorkerStats,
        listeners: &[TcpListener],
        registry: &Registry,
        now: Instant,
    ) {
        if self.accept_paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.accept_paused_until = None;
        // At the start every bit is set, also of listeners that there are not.
        self.accept_ready &= bit_of(listeners.len()).wrapping_sub(1);
        let share = match self.accept_ready.count_ones() {
            0 => return,
            ready => (TCP_ACCEPTS_PER_TURN_MAX / ready as usize).max(1),
        };
        for (place, listener) in listeners.iter().enumerate() {
            if self.accept_ready & bit_of(place) != 0 {
                self.accept(stats, (listener, bit_of(place)), share, registry, now);
            }
            if self.accept_paused_until.is_some() {
                return;
            }
        }
    }

    /// Takes waiting connections of one listener, each with a place of its own.
    fn accept(
        &mut self,
        stats: &WorkerStats,
        (listener, bit): (&TcpListener, u32),
        accepts_max: usize,
        registry: &Registry,
        now: Instant,
    ) {
        for _ in 0..accepts_max {
            let error = match listener.accept() {
                Ok((stream, peer)) => {
                    stats.tcp_accepted.add(1);
                    let connection = Connection::new(stream, peer.ip(), now, self.lifetime);
                    match self.admit(connection, stats, registry) {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.accept_ready &= !bit;
                    return;
                }
                // The client went away while it waited.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                // EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection still waits, and asking again at
                // once would spin.
                _ => {
                    stats.tcp_accept_errors.add(1);
                    self.accept_paused_until =
                        Some(now + Duration::from_millis(TCP_ACCEPT_PAUSE_MS));
                    return;
                }
            }
        }
    }

    /// Finds a place for a connection: a free one, a new one, or another's.
    fn admit(
        &mut self,
        mut connection: Connection,
        stats: &WorkerStats,
        registry: &Registry,
    ) -> io::Result<()> {
        let open_count = self.places.len() - self.free.len();
        let client = self.clients.add(client_of(connection.client.address), 1);
        if open_count >= self.connections_max
            && let Some((number, owner)) = self.one_too_many(client)
        {
            let reason = match owner == client {
                true => CloseReason::OwnShare,
                false => CloseReason::Evicted,
            };
            self.close(number, reason, stats);
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.queued.push(false);
            self.client_numbers.push(0);
            self.places.len() - 1
        });
        let token = Token(CONNECTION_TOKEN_FIRST + number);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(&mut connection.stream, token, interest) {
            self.free.push(number);
            self.clients.remove(client, 1);
            stats.count_close(CloseReason::Error);
            return Err(error);
        }
        self.serial += 1;
        (connection.number, connection.serial) = (number, self.serial);
        if let (Some(place), Some(owner)) = (
            self.places.get_mut(number),
            self.client_numbers.get_mut(number),
        ) {
            (*place, *owner) = (Some(connection), client);
        }
        self.idle_list.renew(number);
        self.enqueue(number);
        Ok(())
    }

    /// The connection that goes when all places are taken and a client has one more, and whose it is. It
    /// looks at each: some microseconds, and only where a connection is accepted as well.
    fn one_too_many(&self, newcomer: usize) -> Option<(usize, usize)> {
        let mut found = None;
        let mut most = (0, false);
        for number in self.idle_list.iter() {
            let client = *self.client_numbers.get(number)?;
            // Who comes and has as many as another loses its own: the two would push each other out.
            let amount = (self.clients.amount(client), client == newcomer);
            if amount > most {
                (found, most) = (Some((number, client)), amount);
            }
        }
        found
    }

    /// Queues an answer that was waited for. False: its connection is gone, or goes now, since its client
    /// reads no answers.
    pub fn deliver(
        &mut self,
        number: usize,
        serial: u64,
        answer: &[u8],
        stats: &WorkerStats,
    ) -> bool {
        let connection = self.places.get_mut(number).and_then(Option::as_mut);
        let Some(connection) = connection.filter(|it| it.serial == serial) else {
            return false;
        };
        if !connection.deliver(answer) {
            self.close(number, CloseReason::Idle, stats);
            return false;
        }
        self.enqueue(number);
        true
    }

    /// Who has the connection of this place.
    pub fn client_of(&self, number: usize) -> Option<IpAddr> {
        let connection = self.places.get(number)?.as_ref()?;
        Some(connection.client.address)
    }

    fn expire(&mut self, stats: &WorkerStats, now: Instant) {
        while let Some(oldest) = self.idle_list.oldest()
            && self
                .oldest_progress()
                .is_none_or(|progress_at| progress_at + self.idle <= now)
        {
            self.close(oldest, CloseReason::Idle, stats);
        }
    }

    fn oldest_progress(&self) -> Option<Instant> {
        let oldest = self.idle_list.oldest()?;
        let connection = self.places.get(oldest)?.as_ref()?;
        Some(connection.progress_at)
    }

    /// Closing the descriptor takes it out of epoll. Its number may still stand in `ready`, where a
    /// later connection of that place then gets a turn early.
    fn close(&mut self, number: usize, reason: CloseReason, stats: &WorkerStats) {
        self.idle_list.remove(number);
        if let Some(place) = self.places.get_mut(number)
            && let Some(connection) = place.take()
        {
            self.free.push(number);
            if let Some(client) = self.client_numbers.get(number) {
                self.clients.remove(*client, 1);
            }
            // Counted before the client can see it.
            stats.count_close(reason);
            drop(connection);
        }
    }

    /// Closes all, at the end of the worker.
    pub fn close_all(&mut self, stats: &WorkerStats) {
        for number in 0..self.places.len() {
            self.close(number, CloseReason::Stopped, stats);
        }
    }
}

/// Which bit of `Connections::accept_ready` a listener has.
fn bit_of(place: usize) -> u32 {
    // The number of listeners itself has one too.
    const _: () = assert!(LISTENERS_MAX < u32::BITS as usize);
    1 << place.min(LISTENERS_MAX)
}
