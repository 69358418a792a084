//! Which engine moves datagrams. In: what the server chose. Out: what `/v1/status` shows of it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Stats;

/// An engine, and the reason for it in words.
pub struct EngineInUse {
    /// As `Engine` spells it; never `auto`.
    pub name: &'static str,
    pub why: String,
    /// What its threads counted.
    pub stats: Arc<Stats>,
}

/// Of the server that runs; none where DNS is off.
pub type SharedEngine = Arc<ArcSwapOption<EngineInUse>>;
