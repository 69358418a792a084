//! Names that are not ours: asked of upstream resolvers, remembered, answered. In: queries that
//! `respond` hands over, replies of strangers, the time. Out: the answers of those who asked. It must
//! never make an answering thread wait.

// Packets of strangers are read here: nothing that could panic.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod cache;
pub mod follow;
pub mod question;
pub mod reply;
pub mod resolv_conf;
pub mod routes;
#[cfg(test)]
#[path = "tests/samples.rs"]
mod samples;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

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

/// Settings that all threads follow.
pub type SharedSettings = Arc<ArcSwap<Settings>>;
