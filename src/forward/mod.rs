//! Names that are not ours: asked of upstream resolvers, remembered, answered. In: queries that
//! `respond` hands over, replies of strangers, the time. Out: the answers of those who asked. It must
//! never make an answering thread wait.

// Packets of strangers are read here: nothing that could panic.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod answers;
pub mod cache;
mod flights;
pub mod follow;
pub mod forwarder;
mod landing;
mod loops;
mod numbers;
pub mod question;
pub mod reply;
pub mod resolv_conf;
pub mod routes;
#[cfg(test)]
#[path = "tests/samples.rs"]
mod samples;
mod sending;
mod sockets;
mod streams;
mod upstream;
pub mod walk;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::dns::Transport;
use crate::dns::cookie::Judged;
use crate::stats::traffic::Route;
use crate::sys::way_back::WayBack;
use loops::Loops;
use routes::Routes;

/// The configuration's part in forwarding.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub routes: Routes,
    /// Within this a client has an answer, be it SERVFAIL (`Timeout`).
    pub timeout: Duration,
    /// Bound on what all answering threads remember together; 0: nothing (`CacheBytes`).
    pub cache_bytes: usize,
    /// Answers are kept no shorter and no longer than this, whatever their TTL (`CacheMinTTL`,
    /// `CacheMaxTTL`).
    pub ttl_min_seconds: u32,
    pub ttl_max_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            routes: Routes::default(),
            timeout: Duration::from_secs(5),
            cache_bytes: 0,
            ttl_min_seconds: 0,
            ttl_max_seconds: 86_400,
        }
    }
}

/// What the forwarders of all threads have in common.
#[derive(Default)]
pub struct Common {
    /// What is stored here counts from each thread's next query.
    pub settings: ArcSwap<Settings>,
    loops: Loops,
    flushes: AtomicU64,
    /// Threads that share the cache's octets.
    threads: AtomicUsize,
}

impl std::fmt::Debug for Common {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Common").finish_non_exhaustive()
    }
}

impl Common {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            ..Self::default()
        }
    }

    /// Has every thread forget what it remembers, before it answers the next query.
    pub fn flush(&self) {
        // Pairs with the load in `Forwarder::follow_settings`; a number alone orders nothing else.
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    /// Says how many threads there are.
    pub fn set_threads(&self, count: usize) {
        // Pairs with the load in `cache_share`.
        self.threads.store(count, Ordering::Relaxed);
    }

    /// Upstreams that lead back to this server and are not asked for a while.
    pub fn looping(&self) -> Vec<SocketAddr> {
        self.loops.shunned(Instant::now())
    }

    fn cache_share(&self, settings: &Settings) -> usize {
        // Pairs with the store in `set_threads`.
        settings.cache_bytes / self.threads.load(Ordering::Relaxed).max(1)
    }
}

/// Tokens from this one on are those of the forwarder's sockets.
pub const TOKENS: usize = 1 << 40;

/// By which way an answer goes back.
#[derive(Clone)]
pub enum Way {
    Udp {
        back: WayBack,
        /// What the query's cookie was worth, where it had one.
        cookie: Option<Judged>,
    },
    /// A connection, and a number that no other connection of its place has.
    Tcp {
        connection: usize,
        serial: u64,
        cookie: Option<Judged>,
    },
}

impl Way {
    pub fn transport(&self) -> Transport {
        match self {
            Self::Udp { .. } => Transport::Udp,
            Self::Tcp { .. } => Transport::Tcp,
        }
    }

    pub fn cookie(&self) -> Option<Judged> {
        match self {
            Self::Udp { cookie, .. } | Self::Tcp { cookie, .. } => *cookie,
        }
    }
}

/// Who asks, as far as it matters here.
pub struct Asker {
    pub way: Way,
    pub address: IpAddr,
    pub over_tcp: bool,
    /// Where a CNAME of the table led here.
    pub led_here: Option<LedHere>,
}

/// An answer begun: the first `bytes` of a buffer, whole but for the records of the name that stands
/// uncompressed at `target_at` and OPT.
#[derive(Clone, Copy)]
pub struct LedHere {
    pub bytes: usize,
    pub target_at: usize,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Answered {
        /// The length of the answer in the buffer.
        bytes: usize,
        route: Route,
    },
    /// Its answer comes by its way.
    Waits,
    Dropped,
}

/// Who brings answers to those who waited.
pub trait Deliver {
    /// `took` is the time since the query came. The answer may be shortened where it lies.
    fn deliver(&mut self, way: &Way, answer: &mut [u8], route: Route, took: Duration);
}
