//! What is asked of a server. In: choices of the configuration. Out: one value that says where it listens, with
//! how many threads, and what stands beside them. It opens nothing itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{TCP_CONNECTIONS_MAX, TCP_IDLE_MS, TCP_LIFETIME_MS};
use crate::stats::query_log::QueryLog;
use crate::{config, forward};

/// Where and with how much to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// At least one; none of them twice, and none that a wildcard among them takes.
    pub listeners: Vec<IpAddr>,
    /// 0 picks one that is free at all of them; see `Server::local_address`.
    pub port: u16,
    /// 0: one per core of the affinity mask, fewer under a cgroup's quota.
    pub workers: usize,
    /// Each worker's responder gets a seed of its own that follows from this one.
    pub seed: u64,
    /// Per worker.
    pub tcp_connections_max: usize,
    pub tcp_idle: Duration,
    pub tcp_lifetime: Duration,
    pub engine: config::Engine,
    /// Where names outside the domain are asked; `None`: nowhere.
    pub forward: Option<Arc<forward::Common>>,
    /// Where answers are logged, if it asks for some.
    pub query_log: Arc<QueryLog>,
    /// The workers wait for `Server::open`, and what comes in waits for them.
    pub starts_closed: bool,
    /// What is to be done between the sockets and the workers.
    pub sockets_open: SocketsOpen,
}

/// Called by the thread that starts the server, once its sockets are open and before it starts a worker.
#[derive(Clone, Default)]
pub struct SocketsOpen(pub Option<Arc<dyn Fn() + Send + Sync>>);

impl std::fmt::Debug for SocketsOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketsOpen").finish_non_exhaustive()
    }
}

impl ServeOptions {
    pub fn new(address: SocketAddr) -> Self {
        Self::at(vec![address.ip()], address.port())
    }

    pub fn at(listeners: Vec<IpAddr>, port: u16) -> Self {
        Self {
            listeners,
            port,
            workers: 0,
            seed: 0,
            tcp_connections_max: TCP_CONNECTIONS_MAX,
            tcp_idle: Duration::from_millis(TCP_IDLE_MS),
            tcp_lifetime: Duration::from_millis(TCP_LIFETIME_MS),
            engine: config::Engine::Auto,
            forward: None,
            query_log: Arc::default(),
            starts_closed: false,
            sockets_open: SocketsOpen::default(),
        }
    }
}
