//! The crank: sources in, Snapshots out, on a thread of its own. In: the masters' event stream and
//! state, ZooKeeper, the configuration. Out: published tables, and what is known of their freshness. A
//! source that fails, in any way, leaves the answers as they were.
//!
//! ```text
//!   stream  snapshot, events ─┐                 ┌─ hold   what a new leader does not know yet
//!   poll    whole state ──────┼─ crank (times) ─┼─ press  Cluster -> records -> table -> Snapshot
//!   zookeeper  who leads ─────┘                 └─ told   faults of objects, once
//! ```
//!
//! One thread decides all: which source speaks, when to connect or to ask again, when to publish. The
//! threads of the sources only wait for their sockets. With `Source` "auto" the stream is used where
//! the master has one, and the state is polled where it has none, and beside it as a check. Events
//! are gathered for `PublishIntervalMs`, counted from the publication before, and never longer.

mod backoff;
mod clashes;
mod crank;
mod election;
mod hold;
mod notable;
mod press;
mod publication;
mod restart;
mod sources;
mod static_watch;
mod told;
pub mod warm;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, bounded};
use tracing::error;

pub use crate::config::{Source, StaticFile, ZkUrl};
use crate::feed::Feed;
use crate::mesos::cluster::Endpoint;
use crate::mesos::http::Http;
use crate::records::Naming;
use crate::responses::publish::Published;
use crate::responses::zone::Answering;
use crate::stats::Counter;
use crate::stats::freshness::SharedFreshness;
use crate::stats::pulse::Pulse;
pub use hold::HoldSettings;
use warm::Identity;

/// What the configuration says of refreshing; another one can be set while it runs.
#[derive(Clone)]
pub struct Settings {
    pub source: Source,
    pub http: Http,
    /// Where the masters are registered, if ZooKeeper is to be asked.
    pub zk: Option<ZkUrl>,
    /// The program ends after so long without a leader in ZooKeeper (`ExitOnZkTimeout`).
    pub zk_exit_after: Option<Duration>,
    /// `Masters`, in their order; beside ZooKeeper they are asked last.
    pub masters: Vec<Endpoint>,
    pub state_bytes_max: u64,
    /// `RefreshSeconds`.
    pub interval: Duration,
    /// A check of the stream comes so many intervals after the one before (`CheckFactor`).
    pub check_factor: u32,
    /// The shortest time between two publications (`PublishIntervalMs`).
    pub publish_interval: Duration,
    /// `StateTimeoutSeconds`: also bounds the snapshot of a stream.
    pub state_timeout: Duration,
    pub hold: HoldSettings,
    pub naming: Naming,
    pub listeners: Vec<IpAddr>,
    /// The file that the naming's static records are of, to be read anew when it changes.
    pub static_file: Option<StaticFile>,
    pub answering: Answering,
    /// Where records are kept for the next start; `None`: nowhere.
    pub warm: Option<WarmSettings>,
}

/// `StateDirectory`, and what it is the state of.
#[derive(Clone, PartialEq, Eq)]
pub struct WarmSettings {
    pub directory: PathBuf,
    pub identity: Identity,
}

/// Has the readers of the Snapshot take up the present one.
pub type Wake = Box<dyn Fn() + Send>;

/// Ends the program, for the reason given. It must not wait for that end.
pub type GiveUp = Box<dyn Fn(String) + Send>;

/// What a Refresher works with.
pub struct Parts {
    pub settings: Settings,
    pub published: Published,
    pub freshness: SharedFreshness,
    /// Is told of each publication.
    pub feed: Feed,
    pub wake: Wake,
    pub give_up: GiveUp,
}

/// The running refresh thread.
pub struct Refresher {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
    turns: Arc<Counter>,
}

enum Command {
    Stop,
    /// Ask the masters now.
    Refresh,
    Configure(Box<Settings>, Wake),
    /// Go round.
    Turn,
}

impl Refresher {
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let (commands, inbox) = bounded(COMMANDS_WAITING_MAX);
        let crank = crank::Crank::new(parts)?;
        let turns = Arc::clone(&crank.turns);
        let thread = std::thread::Builder::new()
            .name("refresh".into())
            .spawn(move || crank.run(&inbox))?;
        Ok(Self {
            commands,
            thread,
            turns,
        })
    }

    /// Tells whether its thread goes round.
    pub fn pulse(&self) -> Pulse {
        let (commands, turns) = (self.commands.clone(), Arc::clone(&self.turns));
        let wake = move || {
            // Full means that it has enough to go round for; without the thread nothing comes of it.
            let _ = commands.try_send(Command::Turn);
        };
        Pulse {
            wake: Box::new(wake),
            turns: Box::new(move || vec![turns.value()]),
        }
    }

    /// Has the masters asked now, whatever the time (SIGUSR1).
    pub fn refresh_now(&self) {
        self.send(Command::Refresh);
    }

    /// Takes another configuration (SIGHUP).
    pub fn configure(&self, settings: Settings, wake: Wake) {
        self.send(Command::Configure(Box::new(settings), wake));
    }

    fn send(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            error!("the refresh thread takes no command");
        }
    }

    /// Stops after what is in its hands. A thread that is not done when `patience` is over is left to
    /// the end of the process.
    pub fn stop(self, patience: Duration) {
        // Full means that a stop waits already, disconnected that the thread has ended.
        let _ = self.commands.try_send(Command::Stop);
        let deadline = Instant::now() + patience;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if self.thread.is_finished() && self.thread.join().is_err() {
            error!("the refresh thread had panicked");
        }
    }
}

/// Signals come one at a time, and slowly.
const COMMANDS_WAITING_MAX: usize = 16;
