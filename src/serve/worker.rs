//! One answering thread. In: its sockets and its duty. Out: answers, until told to stop. A panic
//! costs the batch in its hands and its TCP connections, never the core.

use std::io;
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Cache};
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use super::answering::{Answering, limiter};
use super::engine_epoll::EpollEngine;
use super::engine_uring::UringEngine;
use super::engines::Uses;
use super::post::Post;
use super::rates::Rates;
use super::sockets::Sockets;
use super::tcp::Connections;
use super::{Engine, Gate, Respond, udp};
use crate::forward;
use crate::forward::forwarder::Forwarder;
use crate::limits::{
    FORWARD_AT_STOP_MAX, LISTENERS_MAX, TCP_ACCEPT_PAUSE_MS, UDP_BATCHES_AT_STOP_MAX,
};
use crate::responses::Snapshot;
use crate::responses::publish::Published;
use crate::stats::query_log::{QueryLog, Tap};
use crate::stats::repeated::{Repeated, Telling};
use crate::stats::{Stats, WorkerStats};
use crate::sys::mmsg::Batch;
use crate::sys::{affinity, clock};

/// What one worker has to do, and with what.
pub struct Duty {
    pub index: usize,
    /// Where to run; `None` where the mask is not known.
    pub core: Option<usize>,
    pub seed: u64,
    pub tcp_connections_max: usize,
    pub tcp_idle: Duration,
    pub tcp_lifetime: Duration,
    pub engine: Uses,
    pub published: Published,
    pub stats: Arc<Stats>,
    pub stop: Arc<AtomicBool>,
    pub gate: Arc<Gate>,
    /// Where names outside the domain are asked; `None`: nowhere.
    pub forward: Option<Arc<forward::Common>>,
    pub query_log: Arc<QueryLog>,
    pub upstream_sockets_max: usize,
}

/// The sockets of a worker and the readiness of those that its engine does not read by itself. Made
/// before the thread starts, so that a failure is told to whoever starts the server.
pub struct Ports {
    /// At least one. They are left to the engine: in the epoll set each datagram would call back into
    /// epoll, sleeping or not.
    pub udp: Vec<UdpSocket>,
    /// At most LISTENERS_MAX; the token of each is its place.
    pub listeners: Vec<TcpListener>,
    pub poll: Poll,
}

/// Tokens of `Ports::poll`: listeners have those below, connections those from
/// `CONNECTION_TOKEN_FIRST` on.
pub const WAKER_TOKEN: Token = Token(LISTENERS_MAX);
pub const CONNECTION_TOKEN_FIRST: usize = LISTENERS_MAX + 1;

/// Readiness that one call takes over; what is left comes with the next.
pub const EVENTS_MAX: usize = 256;

/// Registers listeners and waker.
pub fn open_ports(sockets: Sockets) -> io::Result<(Ports, Waker)> {
    let poll = Poll::new()?;
    let listeners = sockets.listeners.into_iter().map(TcpListener::from_std);
    let mut listeners: Vec<_> = listeners.collect();
    for (place, listener) in listeners.iter_mut().enumerate() {
        poll.registry()
            .register(listener, Token(place), Interest::READABLE)?;
    }
    let waker = Waker::new(poll.registry(), WAKER_TOKEN)?;
    let udp = sockets.udp.into_iter().map(UdpSocket::from_std).collect();
    let ports = Ports {
        udp,
        listeners,
        poll,
    };
    Ok((ports, waker))
}

impl Ports {
    /// Takes the readiness of TCP, and gives the connections their turn where they have work.
    pub fn turn_tcp<R: Respond>(
        &mut self,
        events: &mut Events,
        desk: &mut Desk<'_, R>,
    ) -> io::Result<()> {
        match self.poll.poll(events, Some(Duration::ZERO)) {
            // The next turn comes at once.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        self.turn_ready(events, desk);
        Ok(())
    }

    fn turn_ready<R: Respond>(&mut self, events: &Events, desk: &mut Desk<'_, R>) {
        let (mut answering, connections) = desk.open_batch();
        let mut forwarder = answering.forwarder.take();
        for event in events {
            match event.token() {
                WAKER_TOKEN => {}
                token if token.0 < CONNECTION_TOKEN_FIRST => connections.listener_ready(token),
                token if token.0 < forward::TOKENS => connections.connection_ready(token, event),
                token => {
                    if let Some(forwarder) = &mut forwarder {
                        forwarder.note(token, event);
                    }
                }
            }
        }
        // Without either there is no clock to read: the way of UDP looks at one for few batches only.
        if let Some(forwarder) = &mut forwarder
            && forwarder.wants_turn()
        {
            let limiter = limiter(answering.responder, answering.rates, answering.stats);
            let mut post = Post::new(&self.udp, connections, answering.tap, limiter);
            forwarder.turn(&mut post, Instant::now());
        }
        answering.forwarder = forwarder;
        if connections.wants_turn() {
            let registry = self.poll.registry();
            connections.turn(&mut answering, &self.listeners, registry, Instant::now());
        }
    }

    /// Answers what has arrived already, on both transports, before the sockets are closed. What is asked
    /// of others is waited for a little, and then SERVFAIL. Where the sockets stay open connections that
    /// wait are left to the next process, and those that were taken get an answer here.
    pub fn finish<R: Respond>(
        &mut self,
        events: &mut Events,
        desk: &mut Desk<'_, R>,
        batch: &mut Batch,
    ) -> io::Result<()> {
        for (place, socket) in self.udp.iter().enumerate() {
            batch.note_socket(place);
            udp::answer_batches(desk, batch, socket.as_fd(), UDP_BATCHES_AT_STOP_MAX);
        }
        if desk.hands_over() {
            desk.connections.stop_accepting();
        }
        self.turn_tcp(events, desk)?;
        let end = Instant::now() + FORWARD_AT_STOP_MAX;
        while desk.is_waited_for() && Instant::now() < end {
            let rest = end.saturating_duration_since(Instant::now());
            let wait = desk.sleep_max().map_or(rest, |due| due.min(rest));
            match self.poll.poll(events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.turn_ready(events, desk);
        }
        let (answering, connections) = desk.open_batch();
        if let Some(forwarder) = answering.forwarder {
            let limiter = limiter(answering.responder, answering.rates, answering.stats);
            let mut post = Post::new(&self.udp, connections, answering.tap, limiter);
            forwarder.fail_all(&mut post, Instant::now());
        }
        self.turn_tcp(events, desk)
    }
}

/// The body of the thread.
pub fn run<R: Respond>(ports: Ports, duty: &Duty, responder: impl Fn(u64) -> R) {
    if let Some(core) = duty.core
        && let Err(error) = affinity::pin_current_thread(core)
    {
        // Forbidden in some sandboxes; the scheduler then chooses.
        tracing::debug!(worker = duty.index, core, %error, "answering thread is not pinned");
    }
    // Pairs with the store in `Server::open`; who is told to stop first needs no table.
    while !duty.gate.is_open.load(Ordering::Acquire) && !duty.stop.load(Ordering::Acquire) {
        thread::park();
    }
    let Some(registry) = another(ports.poll.registry(), duty) else {
        return;
    };
    let ports = match duty.engine {
        Uses::Epoll => ports,
        Uses::Uring => match UringEngine::open(ports) {
            Ok(mut engine) => return run_engine(&mut engine, duty, &registry, responder),
            Err((ports, error)) => {
                tracing::warn!(worker = duty.index, %error, "no ring for it: it answers with epoll");
                ports
            }
        },
    };
    run_engine(&mut EpollEngine::open(ports), duty, &registry, responder);
}

/// Another handle of the registry. Where descriptors have run out it is waited for: queries wait in the
/// socket meanwhile, and a thread that went without one would lose them, or fail to forward, for good.
/// `None`: it was told to stop.
fn another(registry: &Registry, duty: &Duty) -> Option<Registry> {
    let mut is_told = false;
    loop {
        match registry.try_clone() {
            Ok(registry) => return Some(registry),
            Err(error) if !is_told => {
                let worker = duty.index;
                tracing::error!(worker, %error, "answering thread waits; raise the limit on open files");
                is_told = true;
            }
            Err(_) => {}
        }
        // Pairs with the store in `Server::drop`.
        if duty.stop.load(Ordering::Acquire) {
            return None;
        }
        thread::sleep(Duration::from_millis(TCP_ACCEPT_PAUSE_MS));
    }
}

/// Runs the engine with a fresh desk again and again, until it ends because it was told to.
fn run_engine<R: Respond, E: Engine>(
    engine: &mut E,
    duty: &Duty,
    registry: &Registry,
    responder: impl Fn(u64) -> R,
) {
    let Some(stats) = duty.stats.worker(duty.index) else {
        return;
    };
    let mut seed = duty.seed;
    let mut failures = Repeated::default();
    loop {
        // The desk is made and dropped inside: nothing that a panic left half done is seen again.
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut desk = Desk::new(duty, registry, stats, responder(seed));
            engine.run(&mut desk)
        }));
        // Pairs with the store in `Server::drop`.
        if duty.stop.load(Ordering::Acquire) {
            return;
        }
        stats.worker_restarts.add(1);
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let why = match &result {
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(())) | Err(_) => "it failed".to_owned(),
        };
        match failures.note(&why, Instant::now()) {
            Telling::First => {
                tracing::error!(worker = duty.index, "answering thread starts again: {why}");
            }
            Telling::Again(tally) => {
                let worker = duty.index;
                tracing::error!(worker, "answering thread starts again: {why}, {tally}");
            }
            Telling::Nothing => {}
        }
        if let Ok(Err(_)) = &result {
            // What the kernel refused once it may go on refusing: do not spin.
            thread::sleep(Duration::from_millis(TCP_ACCEPT_PAUSE_MS));
        }
    }
}

/// Everything that an engine works with and that is made anew after a panic.
pub struct Desk<'a, R> {
    pub stats: &'a WorkerStats,
    connections: Connections,
    forwarder: Option<Forwarder<'a>>,
    tap: Tap<'a>,
    responder: R,
    rates: Rates,
    snapshot: Cache<&'a ArcSwapOption<Snapshot>, Option<Arc<Snapshot>>>,
    /// Batches of datagrams so far.
    batches: u32,
    stop: &'a AtomicBool,
    gate: &'a Gate,
}

impl<'a, R: Respond> Desk<'a, R> {
    fn new(duty: &'a Duty, registry: &Registry, stats: &'a WorkerStats, responder: R) -> Self {
        let forwarder = duty.forward.as_ref().and_then(|common| {
            let registry = another(registry, duty)?;
            let (sockets_max, upstreams) = (duty.upstream_sockets_max, &duty.stats.upstreams);
            let common = Arc::clone(common);
            Some(Forwarder::new(
                common,
                registry,
                sockets_max,
                stats,
                upstreams,
            ))
        });
        Self {
            stats,
            connections: Connections::new(
                duty.tcp_connections_max,
                duty.tcp_idle,
                duty.tcp_lifetime,
            ),
            forwarder,
            tap: Tap::new(&duty.query_log),
            responder,
            rates: Rates::default(),
            snapshot: Cache::new(&*duty.published),
            batches: 0,
            stop: &duty.stop,
            gate: &duty.gate,
        }
    }

    pub fn stopping(&self) -> bool {
        // Pairs with the store in `Server::drop`.
        self.stop.load(Ordering::Acquire)
    }

    /// Whether the sockets stay open when this worker stops.
    fn hands_over(&self) -> bool {
        // Pairs with the store in `Server::hand_over`.
        self.gate.has_shared || self.gate.hands_over.load(Ordering::Acquire)
    }

    /// Whether connections or the forwarder may have anything to do; false costs UDP no look at the clock.
    pub fn wants_turn(&self) -> bool {
        let forwarder = self.forwarder.as_ref();
        self.connections.wants_turn() || forwarder.is_some_and(Forwarder::wants_turn)
    }

    /// Whether a client waits for what others were asked, or has a connection that nobody else will
    /// answer.
    fn is_waited_for(&self) -> bool {
        let forwarder = self.forwarder.as_ref();
        forwarder.is_some_and(Forwarder::is_waited_for) || self.connections.owes_answer()
    }

    /// For how long nothing will be due without an event. `None`: for ever.
    pub fn sleep_max(&self) -> Option<Duration> {
        let forwarder = self.forwarder.as_ref().and_then(Forwarder::sleep_max);
        match (self.connections.sleep_max(), forwarder) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Takes up the published Snapshot for one batch, and lends what TCP needs beside it.
    #[inline]
    pub fn open_batch(&mut self) -> (Answering<'_, 'a, R>, &mut Connections) {
        self.responder.begin_batch(clock::seconds());
        self.rates.begin_batch();
        let answering = Answering {
            responder: &mut self.responder,
            rates: &mut self.rates,
            snapshot: self.snapshot.load().as_deref(),
            stats: self.stats,
            batches: &mut self.batches,
            forwarder: self.forwarder.as_mut(),
            tap: &self.tap,
        };
        (answering, &mut self.connections)
    }
}

impl<R> Drop for Desk<'_, R> {
    fn drop(&mut self) {
        self.connections.close_all(self.stats);
    }
}
