//! How the simulated master is made, and why one cannot be made. In: what the command line or a test
//! asks for. Out: `SimulateOptions` with a default for everything. It must never show a password.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use super::tls::TlsFiles;
use crate::limits::{
    SIMULATE_CHURN_PER_SECOND_MAX, SIMULATE_HEARTBEAT_MS, SIMULATE_STREAMS_MAX, SIMULATE_TASKS_MAX,
    SIMULATE_ZK_SESSION_MS,
};

/// How the simulated master is made.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateOptions {
    pub agents: usize,
    pub tasks: usize,
    /// Instances that end and start anew each second; 0: only by `Simulator::step`.
    pub churn_per_second: f64,
    /// The same seed gives the same cluster and the same changes.
    pub seed: u64,
    /// Steps that happened before the start.
    pub steps: u64,
    pub listen: SocketAddr,
    /// The master's own id; random where none is given, as a restarted master has another.
    pub id: Option<String>,
    /// `HOST:PORT` of the leader: this master is a standby and redirects to it.
    pub standby: Option<String>,
    /// `zk://[USER:PASSWORD@]HOST:PORT,.../PATH`: this master stands for election there.
    pub zk: Option<String>,
    /// ZooKeeper forgets a master of which it hears nothing for so long.
    pub zk_session: Duration,
    /// How long a leader that was elected later than the first reads its registry.
    pub recovery: Duration,
    /// Over how long the agents come back to it after that, spread evenly.
    pub return_over: Duration,
    pub stream: Stream,
    pub heartbeat: Duration,
    /// Above it the oldest stream is closed.
    pub streams_max: usize,
    /// Without these nobody is let in, if there are any.
    pub credentials: Option<Credentials>,
    /// A principal that sees neither frameworks nor tasks.
    pub blind: Option<Credentials>,
    pub tls: Option<TlsFiles>,
}

/// What becomes of SUBSCRIBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    #[default]
    Modern,
    /// Neither heartbeats nor their interval, as the first masters with a stream.
    Old,
    /// There is no v1 API at all, as before Mesos 1.0: `/api/v1` is 404.
    None,
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub name: String,
    pub password: String,
}

impl Default for SimulateOptions {
    fn default() -> Self {
        Self {
            agents: 20,
            tasks: 100,
            churn_per_second: 0.0,
            seed: 1,
            steps: 0,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            id: None,
            standby: None,
            zk: None,
            zk_session: Duration::from_millis(SIMULATE_ZK_SESSION_MS),
            recovery: Duration::ZERO,
            return_over: Duration::ZERO,
            stream: Stream::Modern,
            heartbeat: Duration::from_millis(SIMULATE_HEARTBEAT_MS),
            streams_max: SIMULATE_STREAMS_MAX,
            credentials: None,
            blind: None,
            tls: None,
        }
    }
}

impl SimulateOptions {
    pub(super) fn check(&self) -> Result<(), SimulateError> {
        let churn = self.churn_per_second;
        if !(0.0..=SIMULATE_CHURN_PER_SECOND_MAX).contains(&churn) {
            return Err(SimulateError::Churn(churn));
        }
        if self.tasks > SIMULATE_TASKS_MAX {
            return Err(SimulateError::Tasks(self.tasks));
        }
        if self.heartbeat.is_zero() {
            return Err(SimulateError::Heartbeat);
        }
        if !(1..=SIMULATE_STREAMS_MAX).contains(&self.streams_max) {
            return Err(SimulateError::Streams(self.streams_max));
        }
        if self.standby.is_some() && self.zk.is_some() {
            return Err(SimulateError::StandbyAndZk);
        }
        Ok(())
    }
}

impl std::str::FromStr for Credentials {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, password) = text.split_once(':').ok_or("NAME:PASSWORD")?;
        Ok(Self {
            name: name.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:******", self.name)
    }
}

/// Why there is no simulated master.
#[derive(Debug)]
pub enum SimulateError {
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    Thread(io::Error),
    Signals(io::Error),
    Churn(f64),
    Tasks(usize),
    Heartbeat,
    Streams(usize),
    StandbyAndZk,
    Tls {
        file: PathBuf,
        why: String,
    },
    /// What is wrong with the URL, which is not shown: it may hold a password.
    Zk(&'static str),
}

impl fmt::Display for SimulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => write!(
                f,
                "cannot listen on {address} as a simulated master: {source}; give another --listen"
            ),
            Self::Thread(source) => write!(
                f,
                "cannot start a thread: {source}; raise the limit of processes"
            ),
            Self::Signals(source) => write!(f, "cannot wait for signals: {source}"),
            Self::Churn(churn) => write!(
                f,
                "--churn {churn} is out of range: give a number from 0 to {SIMULATE_CHURN_PER_SECOND_MAX}"
            ),
            Self::Tasks(tasks) => write!(
                f,
                "--tasks {tasks} is out of range: give at most {SIMULATE_TASKS_MAX}"
            ),
            Self::Heartbeat => f.write_str("--heartbeat-ms 0 is out of range: give 1 or more"),
            Self::Streams(streams) => write!(
                f,
                "--streams-max {streams} is out of range: give a number from 1 to {SIMULATE_STREAMS_MAX}"
            ),
            Self::StandbyAndZk => f.write_str(
                "--standby names the leader, but --zk elects one; give only one of them",
            ),
            Self::Tls { file, why } => write!(
                f,
                "{}: {why}; give PEM files with --tls-cert, --tls-key and --tls-client-ca",
                file.display()
            ),
            Self::Zk(why) => write!(
                f,
                "--zk {why}; give zk://HOST:PORT/PATH, as in zk://127.0.0.1:2181/mesos"
            ),
        }
    }
}

impl std::error::Error for SimulateError {}
