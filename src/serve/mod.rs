//! Answering: query bytes in, response bytes out, in one thread per core. Workers share the
//! published table, read only, and nothing else; no input can make one of them stop.

// Packets of strangers are read here: nothing that could panic.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod answer;
mod answering;
mod chaos;
mod connection;
mod cores;
mod elsewhere;
mod engine_epoll;
mod engine_uring;
pub mod engines;
mod follow;
mod groups;
pub mod handed;
mod idle_list;
mod options;
mod post;
pub mod rates;
pub mod respond;
mod serve_options;
mod settings;
pub mod shuffle;
mod sockets;
mod tcp;
mod udp;
mod worker;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use mio::Waker;

pub use crate::dns::Transport;
use crate::dns::cookie::Judged;
use crate::forward;
use crate::limits::{
    TCP_DESCRIPTORS_PART, UPSTREAM_DESCRIPTORS_PART, UPSTREAM_SOCKETS_PER_WORKER_MAX,
};
use crate::responses::Snapshot;
use crate::responses::publish::Published;
use crate::stats::pulse::Pulse;
use crate::stats::traffic::Kind;
use crate::stats::{Stats, Totals};
use crate::sys::descriptors;
use cores::Cores;
use groups::{Before, Groups};
use handed::Handed;
use rates::Limiting;
pub use serve_options::{ServeOptions, SocketsOpen};
pub use sockets::ServeError;
use sockets::Sockets;

/// Who asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub transport: Transport,
    /// An IPv4 address that came in IPv6's clothes is an IPv4 address.
    pub address: IpAddr,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The length of the response in the buffer.
    Answer(usize),
    /// The query is for the forwarder as it stands.
    Forward,
    /// A CNAME of the table leads to a name outside it, which the forwarder is to ask for. The first
    /// `bytes` of the buffer are an answer that is whole but for the target's records and OPT; the
    /// target stands uncompressed at `target_at`.
    Follow {
        bytes: usize,
        target_at: usize,
    },
    Drop,
}

/// Decides what a packet is answered with. One per worker; called through static dispatch.
///
/// A batch goes through it in steps, all places of the batch in each, so that waiting for memory is
/// done for all of them at once: read, fetch the slots, fetch the entries, respond. A message alone
/// is read and responded to. All steps of a batch have the same Snapshot.
pub trait Respond {
    /// Called before each batch: the time to take up what others changed. `now` is in seconds since 1970.
    fn begin_batch(&mut self, _now: u32) {}

    /// Reads the query at a place of the batch, below UDP_BATCH_DATAGRAMS.
    fn read(&mut self, _snapshot: Option<&Snapshot>, _place: usize, _query: &[u8]) {}

    /// Has fetched what `fetch_entry` reads.
    fn fetch_slot(&mut self, _snapshot: Option<&Snapshot>, _place: usize) {}

    /// Has fetched what `respond_read` reads.
    fn fetch_entry(&mut self, _snapshot: Option<&Snapshot>, _place: usize) {}

    /// Answers the query that was read at a place. `response` has at least UDP_EDNS_BYTES_MAX octets
    /// for UDP, TCP_MESSAGE_BYTES_MAX for TCP.
    fn respond_read(
        &mut self,
        snapshot: Option<&Snapshot>,
        place: usize,
        query: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome;

    /// Answers a query alone.
    fn respond(
        &mut self,
        snapshot: Option<&Snapshot>,
        query: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome {
        self.read(snapshot, 0, query);
        self.respond_read(snapshot, 0, query, client, response)
    }

    /// What the message was that was responded to last.
    fn kind(&self) -> Kind {
        Kind::default()
    }

    /// What the cookie of the message was worth that was responded to last, where it had one. The option is
    /// in its answer, or belongs into that of the forwarder.
    fn cookie(&self) -> Option<Judged> {
        None
    }

    /// What bounds answers over UDP; none: nothing.
    fn limiting(&self) -> Option<&Limiting> {
        None
    }

    /// Answers a datagram that was longer than the largest query; `query` is its beginning.
    fn respond_truncated(&mut self, query: &[u8], response: &mut [u8]) -> Outcome;
}

/// The answering threads. Stops them when dropped.
pub struct Server {
    groups: Groups,
    engine: engines::Choice,
    cores: Cores,
    stats: Arc<Stats>,
    workers: Vec<Worker>,
    forward: Option<Arc<forward::Common>>,
    hire: Box<Hire>,
    gate: Arc<Gate>,
}

/// What all workers heed.
#[derive(Debug)]
struct Gate {
    /// They may answer.
    is_open: AtomicBool,
    /// Their sockets stay open when they stop: what waits there is for whoever comes then.
    hands_over: AtomicBool,
    /// Some of their sockets always do.
    has_shared: bool,
}

/// Starts the worker of a number.
type Hire = dyn Fn(usize, Sockets) -> Result<Worker, ServeError> + Send + Sync;

/// What the server keeps of one answering thread.
struct Worker {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Binds every socket, then starts the workers. `responder` makes the one of each worker from
    /// its seed, and again after a worker failed.
    pub fn start<R, F>(
        options: &ServeOptions,
        published: &Published,
        responder: F,
    ) -> Result<Self, ServeError>
    where
        R: Respond,
        F: Fn(u64) -> R + Clone + Send + Sync + 'static,
    {
        Self::start_beside(None, &Handed::default(), options, published, responder)
    }

    /// The same beside another server of this process, which it is to replace: it has the sockets of
    /// addresses that stay, so that dropping the other one then loses nothing that was sent there. It
    /// also has those that were handed to this process.
    pub fn start_beside<R, F>(
        replaced: Option<&Self>,
        handed: &Handed,
        options: &ServeOptions,
        published: &Published,
        responder: F,
    ) -> Result<Self, ServeError>
    where
        R: Respond,
        F: Fn(u64) -> R + Clone + Send + Sync + 'static,
    {
        let cores = Cores::of_process();
        let worker_count = cores.worker_count(options.workers);
        let replaced = replaced.map(|server| &server.groups);
        let before = Before { replaced, handed };
        let groups = Groups::bind(&options.listeners, options.port, before, worker_count)?;
        if let Some(sockets_open) = &options.sockets_open.0 {
            sockets_open();
        }
        let gate = Arc::new(Gate {
            is_open: AtomicBool::new(!options.starts_closed),
            hands_over: AtomicBool::new(false),
            has_shared: groups.has_shared(),
        });
        let stats = Arc::new(Stats::default());
        let engine = engines::choose(options.engine);
        let uses = engine.uses;
        let descriptors = descriptors::limit().unwrap_or_default();
        let upstream_sockets_max = (descriptors / UPSTREAM_DESCRIPTORS_PART / worker_count.max(1))
            .clamp(1, UPSTREAM_SOCKETS_PER_WORKER_MAX);
        let tcp_connections_max = (descriptors / TCP_DESCRIPTORS_PART / worker_count.max(1))
            .min(options.tcp_connections_max)
            .max(1);
        let hire = {
            let (options, cores) = (options.clone(), cores.clone());
            let (published, stats) = (Arc::clone(published), Arc::clone(&stats));
            let gate = Arc::clone(&gate);
            move |index, sockets| {
                let (ports, waker) = worker::open_ports(sockets).map_err(ServeError::Start)?;
                let stop = Arc::new(AtomicBool::new(false));
                let duty = worker::Duty {
                    index,
                    core: cores.core_of(index),
                    seed: options.seed.wrapping_add(index as u64),
                    tcp_connections_max,
                    tcp_idle: options.tcp_idle,
                    tcp_lifetime: options.tcp_lifetime,
                    engine: uses,
                    published: Arc::clone(&published),
                    stats: Arc::clone(&stats),
                    stop: Arc::clone(&stop),
                    gate: Arc::clone(&gate),
                    forward: options.forward.clone(),
                    query_log: Arc::clone(&options.query_log),
                    upstream_sockets_max,
                };
                let responder = responder.clone();
                let thread = thread::Builder::new()
                    .name(format!("dns-{index}"))
                    .spawn(move || worker::run(ports, &duty, responder))
                    .map_err(ServeError::Start)?;
                let waker = Arc::new(waker);
                Ok(Worker {
                    stop,
                    waker,
                    thread,
                })
            }
        };
        let mut server = Self {
            groups,
            engine,
            cores,
            stats,
            workers: Vec::with_capacity(worker_count),
            forward: options.forward.clone(),
            hire: Box::new(hire),
            gate,
        };
        // An early return drops `server`, which stops the workers started so far.
        server.hire_to(worker_count)?;
        server.steer(worker_count);
        Ok(server)
    }

    /// Has it have another number of workers (0: one per core); the others go on undisturbed. An
    /// error leaves it as it was.
    pub fn set_workers(&mut self, wanted: usize) -> Result<(), ServeError> {
        let (before, count) = (self.workers.len(), self.cores.worker_count(wanted));
        if count > before {
            let grown = self.groups.grow(before, count);
            if let Err(error) = grown.and_then(|()| self.hire_to(count)) {
                self.dismiss_from(before);
                self.groups.truncate(before);
                return Err(error);
            }
        }
        // Those who leave get nothing any more before they go, and lose nothing.
        self.steer(count);
        self.dismiss_from(count);
        self.groups.truncate_listeners(count);
        Ok(())
    }

    /// Has datagrams go to the first workers only.
    fn steer(&mut self, count: usize) {
        if let Some(forward) = &self.forward {
            forward.set_threads(count);
        }
        if !self.groups.steer(&self.cores.steered_to(count)) {
            // The kernel would go on giving some to the sockets of those who left.
            self.groups.truncate(count);
        }
    }

    /// Starts workers up to this number, whose sockets are bound.
    fn hire_to(&mut self, count: usize) -> Result<(), ServeError> {
        for index in self.workers.len()..count {
            let sockets = self.groups.sockets_of(index, count);
            let sockets = sockets.map_err(ServeError::Start)?;
            self.workers.push((self.hire)(index, sockets)?);
        }
        Ok(())
    }

    /// Stops and joins the workers from this one on.
    fn dismiss_from(&mut self, first: usize) {
        let leaving = self.workers.get(first..).unwrap_or_default();
        for worker in leaving {
            // Pairs with the load in each engine's loop, which `wake` makes go round.
            worker.stop.store(true, Ordering::Release);
            wake(&worker.waker);
            worker.thread.thread().unpark();
        }
        for worker in self.workers.drain(first.min(self.workers.len())..) {
            // A worker catches its own panics, so there is nothing in the result.
            let _ = worker.thread.join();
        }
    }

    /// What has every worker, idle ones too, take up the published Snapshot and let go of the old
    /// one. It outlives the server, and then does nothing.
    pub fn waker(&self) -> impl Fn() + Send + 'static {
        let wakers: Vec<_> = self
            .workers
            .iter()
            .map(|worker| Arc::clone(&worker.waker))
            .collect();
        move || wakers.iter().for_each(|waker| wake(waker))
    }

    /// The same, with what tells that they did. It knows the workers that there are now.
    pub fn pulse(&self) -> Pulse {
        let (stats, count) = (self.stats(), self.workers.len());
        let turns_of = move |index| stats.worker(index).map_or(0, |stats| stats.turns.value());
        Pulse {
            wake: Box::new(self.waker()),
            turns: Box::new(move || (0..count).map(&turns_of).collect()),
        }
    }

    /// Has workers that started closed begin.
    pub fn open(&self) {
        // Pairs with the load before a worker's first turn.
        self.gate.is_open.store(true, Ordering::Release);
        for worker in &self.workers {
            worker.thread.thread().unpark();
        }
    }

    /// The sockets that whoever keeps them can hand to the next process, by name.
    pub fn to_keep(&self) -> io::Result<Vec<(String, BorrowedFd<'_>)>> {
        self.groups.to_keep()
    }

    /// Stops and joins the workers where the sockets stay open elsewhere: what has come and is not
    /// answered is left to the next process, and so is what comes.
    pub fn hand_over(self) {
        // Pairs with the load in `finish`.
        self.gate.hands_over.store(true, Ordering::Release);
    }

    /// The first of its listeners, with the port that was picked.
    pub fn local_address(&self) -> SocketAddr {
        let first = self.local_addresses().first();
        first.map_or_else(|| ([0, 0, 0, 0], 0).into(), |first| *first)
    }

    /// All its listeners.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        self.groups.listeners()
    }

    /// False: this host got or lost addresses that a wildcard listener has, and a server that takes over
    /// from this one would have sockets for them.
    pub fn is_current(&self) -> bool {
        self.groups.is_current()
    }

    /// How its datagrams are moved, and why so.
    pub fn engine(&self) -> &engines::Choice {
        &self.engine
    }

    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// The counters, which outlive the server.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    pub fn totals(&self) -> Totals {
        self.stats.totals()
    }

    /// Stops and joins the workers; each needs no longer than the batch in its hands. The same as
    /// dropping the server, with a name.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where another server of ours listens at the port too, it gets what comes from now on; what
        // has come is answered here. Sockets that are handed over go on receiving.
        if !self.gate.hands_over.load(Ordering::Acquire) {
            self.groups.turn_away();
        }
        self.dismiss_from(0);
    }
}

fn wake(waker: &Waker) {
    // It fails only where the eventfd's counter is full: then the worker wakes anyway.
    let _ = waker.wake();
}

/// One way to move packets between sockets and `Respond`. Engines decide nothing about answers, and
/// no test can tell one from another.
trait Engine {
    /// Answers until `desk.stopping()`. An error, and a panic of what it called, leaves the engine
    /// fit to run again with a fresh desk.
    fn run<R: Respond>(&mut self, desk: &mut worker::Desk<'_, R>) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
