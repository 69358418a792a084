//! A simulated master as a handle: a made-up cluster, its HTTP side, its churn and its part in an
//! election. In: options. Out: an address to point Rollcall at, and changes and faults on demand. For
//! `simulate`, `demo`, tests and benches.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, RecvTimeoutError, Sender};

use super::changes::ChangeError;
use super::cluster::{Cluster, Moved};
use super::election::{Election, End, ZkUrl};
use super::faults::{Scope, StateFault, StreamFault};
use super::master::{Counts, Master, Role};
use super::options::{SimulateError, SimulateOptions};
use super::server;
use super::term::{self, Word};
use crate::limits::SIMULATE_WORDS_MAX;

/// A running simulated master. Dropping it stops it.
pub struct Simulator {
    address: SocketAddr,
    master: Arc<Master>,
    words: Sender<Word>,
    election: Option<Election>,
    stop_churn: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What one step did: an instance ended, and another of the same application started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The application's number in `Cluster::apps`, and its tasks' name.
    pub app: u32,
    pub name: String,
    /// What the old and the new instance's application name resolves to.
    pub old: IpAddr,
    pub new: IpAddr,
    /// Just before its events were written to the first subscriber.
    pub sent_at: Instant,
}

impl Simulator {
    /// Makes the cluster and listens.
    pub fn start(options: &SimulateOptions) -> Result<Self, SimulateError> {
        options.check()?;
        let mut cluster = Cluster::new(options.agents, options.tasks, options.seed);
        for _ in 0..options.steps {
            let _ = cluster.step();
        }
        let _ = cluster.take_events();
        Self::start_with(options, cluster)
    }

    /// Another master of the cluster that `other` has, as it stands now. They stay alike as long as
    /// each is told of the same changes in the same order.
    pub fn start_beside(options: &SimulateOptions, other: &Self) -> Result<Self, SimulateError> {
        options.check()?;
        Self::start_with(options, other.with_cluster(Cluster::clone))
    }

    fn start_with(options: &SimulateOptions, cluster: Cluster) -> Result<Self, SimulateError> {
        let zk = options.zk.as_deref().map(ZkUrl::parse).transpose()?;
        let tls = options.tls.as_ref().map(|files| files.load()).transpose()?;
        let failed = |source| SimulateError::Listen {
            address: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        let address = reachable(listener.local_addr().map_err(failed)?);
        let role = match (&options.standby, &zk) {
            (Some(leader), _) => Role::Follows(leader.clone()),
            (None, Some(_)) => Role::NoLeader,
            (None, None) => Role::LEADS,
        };
        let (words, spoken) = channel::bounded(SIMULATE_WORDS_MAX);
        let master = Master::new(options.clone(), cluster, address, role, words.clone());
        let master = Arc::new(master);
        let mut simulator = Self {
            address,
            master: Arc::clone(&master),
            words,
            election: None,
            stop_churn: None,
            threads: Vec::new(),
        };
        let served = Arc::clone(&master);
        simulator.spawn("simulate-accept", move || {
            server::accept(&listener, &served, tls.as_ref());
        })?;
        let directed = Arc::clone(&master);
        simulator.spawn("simulate-term", move || term::direct(&directed, &spoken))?;
        if options.churn_per_second > 0.0 {
            let (stop, stopped) = channel::bounded(0);
            let churn = options.churn_per_second;
            simulator.stop_churn = Some(stop);
            simulator.spawn("simulate-churn", move || {
                churn_until(&master, churn, &stopped);
            })?;
        }
        if let Some(url) = zk {
            let words = simulator.words.clone();
            let born = Arc::clone(&simulator.master);
            let mut is_first = true;
            let born = move || {
                if !std::mem::replace(&mut is_first, false) {
                    born.renew();
                }
                born.info().znode()
            };
            let election = Election::start(url, options.zk_session, born, words);
            simulator.election = Some(election.map_err(SimulateError::Thread)?);
        }
        Ok(simulator)
    }

    /// Where it listens, as a client on this host reaches it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One instance ends and another of its application starts.
    pub fn step(&self) -> Option<Step> {
        self.master.step()
    }

    /// The same for one application.
    pub fn step_app(&self, name: &str) -> Option<Step> {
        self.master.step_app(name)
    }

    /// Reads the cluster as it is now.
    pub fn with_cluster<T>(&self, read: impl FnOnce(&Cluster) -> T) -> T {
        self.master.with_cluster(read)
    }

    /// Changes it in any other way (`Cluster::lose_agent`, `Cluster::tear_down`, ..) and tells the
    /// subscribers, if this master leads.
    pub fn change(
        &self,
        change: impl FnOnce(&mut Cluster) -> Result<(), ChangeError>,
    ) -> Result<(), ChangeError> {
        self.master.change(change).0
    }

    /// A new framework with so many tasks of one application. Gives its number.
    pub fn add_framework(&self, name: &str, app: &str, tasks: usize) -> Result<usize, ChangeError> {
        let add = |cluster: &mut Cluster| cluster.add_framework(name, app, tasks);
        self.master.change(add).0
    }

    /// The document that `/state` would give now, if this master leads.
    pub fn document(&self) -> io::Result<Arc<Vec<u8>>> {
        self.master.documents.present(&self.master, false)
    }

    /// Its part in the election.
    pub fn role(&self) -> Role {
        self.master.role()
    }

    /// Its own id, by which a restart can be told.
    pub fn id(&self) -> String {
        self.master.info().id
    }

    pub fn counts(&self) -> Counts {
        self.master.counts()
    }

    /// A fault of streams, for those that it is usually meant for (`StreamFault::scope`).
    pub fn fault_streams(&self, fault: StreamFault) {
        self.master.fault_streams(fault.scope(), fault);
    }

    pub fn fault_streams_for(&self, scope: Scope, fault: StreamFault) {
        self.master.fault_streams(scope, fault);
    }

    pub fn fault_state(&self, fault: StateFault) {
        self.master.fault_state(fault);
    }

    /// As when its process is started anew: another id, no streams, and then the registry and the
    /// agents as `SimulateOptions` has it. `false`: it does not lead, or ZooKeeper decides.
    pub fn restart(&self) -> bool {
        self.master.restart()
    }

    /// Stops listening; returns when its threads are gone and its node in ZooKeeper too.
    pub fn stop(mut self) {
        self.end(End::Close);
    }

    /// As when its process is killed: its node in ZooKeeper stays until its session has expired.
    pub fn kill(mut self) {
        self.end(End::Abandon);
    }

    fn spawn(
        &mut self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), SimulateError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(SimulateError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    fn end(&mut self, how: End) {
        self.master.begin_stop();
        drop(self.stop_churn.take());
        if let Some(mut election) = self.election.take() {
            election.end(how);
        }
        let _ = self.words.send(Word::Stop);
        let _woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the simulated master had panicked");
            }
        }
        self.master.end_connections();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end(End::Close);
    }
}

impl Master {
    pub fn step(&self) -> Option<Step> {
        self.step_by(Cluster::step)
    }

    pub fn step_app(&self, name: &str) -> Option<Step> {
        self.step_by(|cluster| cluster.step_app(name))
    }

    fn step_by(&self, step: impl FnOnce(&mut Cluster) -> Option<Moved>) -> Option<Step> {
        let named = |cluster: &mut Cluster| {
            let moved = step(cluster)?;
            let name = cluster.apps[moved.app as usize].plan.name.clone();
            Some((moved, name))
        };
        let (moved, sent_at) = self.change(named);
        let (moved, name) = moved?;
        Some(Step {
            app: moved.app,
            name,
            old: moved.old,
            new: moved.new,
            sent_at,
        })
    }
}

fn churn_until(master: &Master, per_second: f64, stopped: &channel::Receiver<()>) {
    let begin = Instant::now();
    let pause = Duration::from_secs_f64((1.0 / per_second).clamp(0.01, 3600.0));
    let mut done = 0_u64;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
        let due = (begin.elapsed().as_secs_f64() * per_second) as u64;
        for _ in done..due {
            let _ = master.step();
        }
        done = done.max(due);
    }
}

/// An unspecified address is no address to go to: loopback of its family is.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
