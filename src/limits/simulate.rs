//! Bounds of the simulated master and its made-up cluster, each with its unit and its reason. They bound
//! what stands beside the way: nothing that answers a query may use them.

/// Event streams of the simulated master at one time; the oldest is closed above it. That of a real
/// one (`--max_operator_event_stream_subscribers`).
pub const SIMULATE_STREAMS_MAX: usize = 1_000;
/// Connections to the simulated master at one time, each with its thread: every stream, and requests.
pub const SIMULATE_CONNECTIONS_MAX: usize = SIMULATE_STREAMS_MAX + 64;
/// Head of a request to the simulated master.
pub const SIMULATE_HEAD_BYTES_MAX: u64 = 16 << 10;
/// Body of a request to the simulated master: calls of the v1 API are a line.
pub const SIMULATE_BODY_BYTES_MAX: u64 = 64 << 10;
/// Shorter answers of the simulated master are not packed (libprocess's GZIP_MINIMUM_BODY_LENGTH).
pub const SIMULATE_GZIP_BYTES_MIN: usize = 1024;
/// A client of the simulated master that neither sends nor reads is dropped after this.
pub const SIMULATE_IDLE_MS: u64 = 60_000;
/// A subscriber that takes none of an event for so long is dropped: it holds up all the others.
pub const SIMULATE_STALL_MS: u64 = 1_000;
/// How often a stream's thread looks whether its client has left; also the most by which a stream
/// that a fault slows is late.
pub const SIMULATE_TICK_MS: u64 = 50;
/// A snapshot is written to a stream in pieces of this.
pub const SIMULATE_PIECE_BYTES: usize = 64 << 10;
/// What may wait for a subscriber that still reads its snapshot: 100,000 steps.
pub const SIMULATE_QUEUE_BYTES_MAX: usize = 256 << 20;
/// Between two heartbeats of a stream, as real masters have it.
pub const SIMULATE_HEARTBEAT_MS: u64 = 15_000;
/// The default session timeout of real masters (`--zk_session_timeout`).
pub const SIMULATE_ZK_SESSION_MS: u64 = 10_000;
/// Between two attempts to reach ZooKeeper.
pub const SIMULATE_ZK_RETRY_MS: u64 = 200;
/// Words of the election on their way: each ends what the one before began.
pub const SIMULATE_WORDS_MAX: usize = 16;
/// A stop waits this long for ZooKeeper to close the session.
pub const SIMULATE_ZK_CLOSE_MS_MAX: u64 = 1_000;
/// Faster than any cluster, and slow enough to be done within a second.
pub const SIMULATE_CHURN_PER_SECOND_MAX: f64 = 100_000.0;
/// Tasks of the made-up cluster, ended ones included: ten times what Rollcall is measured with.
pub const SIMULATE_TASKS_MAX: usize = 1_000_000;
/// Frameworks of the made-up cluster, ended ones included.
pub const SIMULATE_FRAMEWORKS_MAX: usize = 1_000;
/// Steps of one request, whose answer names each.
pub const SIMULATE_STEPS_MAX: usize = 100_000;
/// Pauses that a fault may ask for: longer ones are a silence.
pub const SIMULATE_PAUSE_MS_MAX: u64 = 600_000;
