//! Answering: query bytes in, response bytes out, in one thread per core. Workers share the
//! published table, read only, and nothing else; no input can make one of them stop.

// Packets of strangers are read here: nothing that could panic.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod answer;
mod connection;
mod engine_epoll;
mod idle_list;
pub mod respond;
pub mod shuffle;
mod sockets;
mod tcp;
mod udp;
mod worker;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::Waker;

use crate::limits::{TCP_CONNECTIONS_MAX, TCP_IDLE_MS, WORKERS_MAX};
use crate::responses::Snapshot;
use crate::responses::publish::Published;
use crate::stats::{Stats, Totals};
use crate::sys::affinity;
pub use sockets::ServeError;

/// Who asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub transport: Transport,
    /// An IPv4 address that came in IPv6's clothes is an IPv4 address.
    pub address: IpAddr,
}

/// How a query came. UDP answers have a bound that the client states, TCP answers 65,535 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The length of the response in the buffer.
    Answer(usize),
    Drop,
}

/// Decides what a packet is answered with. One per worker; called through static dispatch.
///
/// A batch goes through it in steps, all places of the batch in each, so that waiting for memory is
/// done for all of them at once: read, fetch the slots, fetch the entries, respond. A message alone
/// is read and responded to. All steps of a batch have the same Snapshot.
pub trait Respond {
    /// Called before each batch: the time to take up what others changed.
    fn begin_batch(&mut self) {}

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

    /// Answers a datagram that was longer than the largest query; `query` is its beginning.
    fn respond_truncated(&mut self, query: &[u8], response: &mut [u8]) -> Outcome;
}

/// Where and with how much to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Port 0 picks a free one; see `Server::local_address`.
    pub address: SocketAddr,
    /// 0: one per core of the affinity mask.
    pub workers: usize,
    /// Each worker's responder gets a seed of its own that follows from this one.
    pub seed: u64,
    /// Per worker.
    pub tcp_connections_max: usize,
    pub tcp_idle: Duration,
}

impl ServeOptions {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            workers: 0,
            seed: 0,
            tcp_connections_max: TCP_CONNECTIONS_MAX,
            tcp_idle: Duration::from_millis(TCP_IDLE_MS),
        }
    }
}

/// The answering threads. Stops them when dropped.
pub struct Server {
    local_address: SocketAddr,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    workers: Vec<Worker>,
}

/// What the server keeps of one answering thread.
struct Worker {
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
        F: Fn(u64) -> R + Clone + Send + 'static,
    {
        // A mask that cannot be read leaves the workers unpinned.
        let cores = affinity::allowed_cores().unwrap_or_default();
        let worker_count = match options.workers {
            0 if cores.is_empty() => thread::available_parallelism().map_or(1, usize::from),
            0 => cores.len(),
            wanted => wanted,
        }
        .min(WORKERS_MAX);
        let (local_address, group) = sockets::bind_group(options.address, worker_count)?;
        let stats = Arc::new(Stats::new(worker_count));
        let mut server = Self {
            local_address,
            stats,
            stop: Arc::new(AtomicBool::new(false)),
            workers: Vec::with_capacity(worker_count),
        };
        for (index, sockets) in group.into_iter().enumerate() {
            let (ports, waker) = worker::open_ports(sockets).map_err(ServeError::Start)?;
            let duty = worker::Duty {
                index,
                core: cores.get(index % cores.len().max(1)).copied(),
                seed: options.seed.wrapping_add(index as u64),
                tcp_connections_max: options.tcp_connections_max.max(1),
                tcp_idle: options.tcp_idle,
                published: Arc::clone(published),
                stats: Arc::clone(&server.stats),
                stop: Arc::clone(&server.stop),
            };
            let responder = responder.clone();
            // An early return drops `server`, which stops the workers started so far.
            let thread = thread::Builder::new()
                .name(format!("dns-{index}"))
                .spawn(move || worker::run(ports, &duty, responder))
                .map_err(ServeError::Start)?;
            server.workers.push(Worker {
                waker: Arc::new(waker),
                thread,
            });
        }
        Ok(server)
    }

    /// What has every worker, idle ones too, take up the published Snapshot and let go of the old
    /// one. It outlives the server, and then does nothing.
    pub fn waker(&self) -> impl Fn() + Send + 'static {
        let wakers: Vec<_> = self
            .workers
            .iter()
            .map(|worker| Arc::clone(&worker.waker))
            .collect();
        move || {
            for waker in &wakers {
                // It fails only where the eventfd's counter is full: then the worker wakes anyway.
                let _ = waker.wake();
            }
        }
    }

    /// Where it listens, with the port that was picked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
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
        // Pairs with the load in each engine's loop, which `wake` makes go round.
        self.stop.store(true, Ordering::Release);
        self.waker()();
        for worker in self.workers.drain(..) {
            // A worker catches its own panics, so there is nothing in the result.
            let _ = worker.thread.join();
        }
    }
}

/// One way to move packets between sockets and `Respond`. Engines decide nothing about answers, and
/// no test can tell one from another.
trait Engine: Sized {
    /// Called on the worker's own thread, after it was pinned.
    fn open(ports: worker::Ports) -> io::Result<Self>;

    /// Answers until `desk.stopping()`. An error, and a panic of what it called, leaves the engine
    /// fit to run again with a fresh desk.
    fn run<R: Respond>(&mut self, desk: &mut worker::Desk<'_, R>) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
