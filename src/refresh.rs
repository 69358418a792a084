//! The crank: fetch, build, compile, publish, on a thread of its own. In: masters. Out: Snapshots.
//! A round that fails, in any way, leaves the answers as they were.
//!
//! The first round builds everything. Later rounds update the RecordSet in place, which yields the
//! names that were touched, and compile only their shards; where nothing differs nothing is
//! published and the SOA serial stays. One fetch is in flight at a time. The interval counts from
//! the end of a round and is shortened by up to a tenth at random, so that the instances of a
//! cluster do not ask in step; before the first good round it is a short backoff instead.

mod told;

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tracing::{debug, error, info, warn};

use crate::limits::{HOST_WAIT_MS, RETRY_FIRST, RETRY_MAX};
use crate::mesos::fetch::{Fetched, MasterClient};
use crate::mesos::hosts::{HostResolver, names_needed};
use crate::records::{Naming, RecordSet, World};
use crate::responses::Snapshot;
use crate::responses::publish::Publisher;
use crate::responses::table::ResponseTable;
use crate::responses::zone::Answering;
use crate::sys;
use told::Told;

/// What a Refresher works with.
pub struct Parts {
    pub client: MasterClient,
    pub hosts: HostResolver,
    /// Its `listener_addresses` are read anew before each round where the listener is a wildcard.
    pub naming: Naming,
    pub listener: IpAddr,
    pub answering: Answering,
    pub interval: Duration,
    pub publisher: Publisher,
    /// Called after each publication: wakes readers that sleep on the Snapshot before.
    pub wake: Box<dyn Fn() + Send>,
}

/// The running refresh thread.
pub struct Refresher {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
}

enum Command {
    Stop,
}

impl Refresher {
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let (commands, inbox) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("refresh".into())
            .spawn(move || {
                Crank {
                    parts,
                    records: None,
                    world: None,
                    told: Told::default(),
                }
                .run(&inbox)
            })?;
        Ok(Self { commands, thread })
    }

    /// Stops after the round that is under way, but does not wait for a slow master: a thread that
    /// is still fetching when `patience` is over is left to the end of the process.
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

/// What a round came to.
enum Round {
    /// Built from nothing.
    Built,
    /// So many names touched.
    Updated(usize),
    Unchanged,
}

struct Crank {
    parts: Parts,
    records: Option<RecordSet>,
    /// What `records` was built from or last updated to.
    world: Option<Arc<World>>,
    told: Told,
}

impl Crank {
    fn run(mut self, inbox: &Receiver<Command>) {
        if let Err(failure) = sys::priority::give_way() {
            debug!("the refresh thread keeps its priority: {failure}");
        }
        let mut retry = RETRY_FIRST;
        let mut last_error = String::new();
        loop {
            let wait = match self.parts.client.fetch() {
                Ok(fetched) => {
                    if !last_error.is_empty() {
                        info!("the masters answer again");
                        last_error.clear();
                    }
                    self.take(fetched);
                    retry = RETRY_FIRST;
                    self.parts.interval.mul_f64(1.0 - 0.1 * fastrand::f64())
                }
                Err(failure) => {
                    // The same failure again and again is one line, not one a round.
                    let text = failure.to_string();
                    if text == last_error {
                        debug!("again: {text}");
                    } else {
                        error!("{text}; the answers stay as they were");
                        last_error = text;
                    }
                    self.wait_after_failure(&mut retry)
                }
            };
            if self.rest(inbox, wait) {
                return;
            }
        }
    }

    fn wait_after_failure(&self, retry: &mut Duration) -> Duration {
        let wait = retry.mul_f64(0.5 + 0.5 * fastrand::f64());
        *retry = (*retry * 2)
            .min(RETRY_MAX)
            .min(self.parts.interval.max(RETRY_FIRST));
        wait
    }

    /// Waits for the next round; true to stop. Meanwhile frees what readers let go of.
    fn rest(&mut self, inbox: &Receiver<Command>, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        loop {
            let held = self.parts.publisher.free_retired();
            let left = deadline.saturating_duration_since(Instant::now());
            let slice = if held > 0 {
                left.min(Duration::from_millis(50))
            } else {
                left
            };
            match inbox.recv_timeout(slice) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn take(&mut self, fetched: Fetched) {
        let started = Instant::now();
        let (bytes, took) = (fetched.bytes, fetched.took);
        let mut cluster = fetched.cluster;
        if let Some(old) = &self.world {
            cluster.adopt(&old.cluster);
        }
        let naming = self.naming_now();
        let names = names_needed(&cluster, &naming.masters);
        let (hosts, left_out) = self
            .parts
            .hosts
            .resolve(&names, Duration::from_millis(HOST_WAIT_MS));
        if left_out > 0 {
            warn!("{left_out} host names of the state are too many to look up");
        }
        let tasks = cluster.tasks.len();
        let world = Arc::new(World {
            cluster,
            hosts,
            naming,
        });
        let round = self.publish(&world);
        (self.parts.wake)();
        // On a machine of one core the answering thread comes first.
        std::thread::yield_now();
        self.parts.publisher.free_retired();
        sys::memory::release_free_pages();
        let took_ms = started.elapsed().as_millis();
        match round {
            Round::Built => {
                let names = self
                    .parts
                    .publisher
                    .current()
                    .map_or(0, |now| now.table.name_count());
                info!(
                    "serving {names} names of {tasks} tasks (state: {bytes} octets in {} ms, \
                     records: {took_ms} ms)",
                    took.as_millis(),
                );
            }
            Round::Updated(names) => info!("{names} names changed in {took_ms} ms; {tasks} tasks"),
            Round::Unchanged => debug!("nothing changed; {tasks} tasks"),
        }
        self.told.objects(&world.cluster);
        if let Some(records) = &self.records {
            self.told.names(records);
        }
    }

    /// Turns the RecordSet into that of the new World and publishes what differs.
    fn publish(&mut self, world: &Arc<World>) -> Round {
        let current = self.parts.publisher.current();
        let generation = current.as_ref().map_or(0, |snapshot| snapshot.generation);
        let serial = next_serial(current.as_ref().map(|snapshot| snapshot.serial));
        let answering = &self.parts.answering;
        let old = self.world.replace(Arc::clone(world));
        if let (Some(records), Some(old), Some(current)) = (&mut self.records, old, current)
            && !current.table.wants_rebuild()
        {
            let touched = records.update(&old, world);
            if touched.is_empty() {
                // `enumerate` and `explain` still see the newest cluster; no answer differs.
                self.parts.publisher.publish(Snapshot {
                    generation,
                    serial: current.serial,
                    published_at: current.published_at,
                    table: current.table.clone(),
                    world: Arc::clone(world),
                });
                return Round::Unchanged;
            }
            let table = current.table.updated(records, &touched, answering, serial);
            self.send(generation + 1, serial, table, world);
            return Round::Updated(touched.len());
        }
        let records = RecordSet::build(world);
        // A new seed with every build: who learned one table's collisions has learned nothing.
        let table = ResponseTable::build(&records, answering, serial, fastrand::u64(..));
        self.records = Some(records);
        self.send(generation + 1, serial, table, world);
        Round::Built
    }

    fn send(&mut self, generation: u64, serial: u32, table: ResponseTable, world: &Arc<World>) {
        self.parts.publisher.publish(Snapshot {
            generation,
            serial,
            published_at: SystemTime::now(),
            table,
            world: Arc::clone(world),
        });
    }

    fn naming_now(&mut self) -> Arc<Naming> {
        let mut naming = self.parts.naming.clone();
        naming.listener_addresses = listener_addresses(self.parts.listener).into();
        match &self.world {
            Some(world) if *world.naming == naming => Arc::clone(&world.naming),
            _ => Arc::new(naming),
        }
    }
}

/// What SOAMname resolves to: the listener's address, or where that is a wildcard every address of
/// this machine that is not a loopback one, as mesos-dns has it.
fn listener_addresses(listener: IpAddr) -> Vec<IpAddr> {
    if !listener.is_unspecified() {
        return vec![listener];
    }
    match sys::interfaces::local_addresses() {
        Ok(addresses) => addresses
            .into_iter()
            .filter(|address| !address.is_loopback())
            .collect(),
        Err(failure) => {
            warn!("cannot read this machine's addresses, SOAMname has none: {failure}");
            Vec::new()
        }
    }
}

/// max(previous + 1, unix time), so that it rises with every change and survives a restart
/// (RFC 1912, 2.2; serial arithmetic of RFC 1982 makes wrapping past 2^32 harmless).
fn next_serial(previous: Option<u32>) -> u32 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as u32);
    previous.map_or(now, |previous| now.max(previous.wrapping_add(1)))
}
