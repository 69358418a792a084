//! From a Cluster to a published Snapshot. In: the Cluster as a source has it. Out: records, table and
//! Snapshot, updated in what differs. Owns all that only the refresh thread may change. A name that
//! the system's resolver does not answer in time must never hold up the others.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::Receiver;
use tracing::warn;

use super::warm::WarmTable;
use crate::feed::{Feed, What};
use crate::limits::{FEED_NAMES_MAX, HOST_ANSWER_MS, HOST_WAIT_MS, NAME_BYTES_MAX};
use crate::mesos::cluster::{Cluster, Endpoint};
use crate::mesos::hosts::{HostAnswer, HostResolver, Hosts, names_needed};
use crate::records::collisions::Collisions;
use crate::records::{NameId, Naming, RecordSet, World};
use crate::responses::Snapshot;
use crate::responses::publish::{Published, Publisher};
use crate::responses::table::ResponseTable;
use crate::responses::turns::Turns;
use crate::responses::zone::Answering;
use crate::sys;
use crate::zonefile::StaticRecords;

/// What a publication came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// Built from nothing.
    Built,
    /// So many names touched.
    Updated(usize),
    Unchanged,
}

/// A publication that the feed does not know.
enum Untold {
    All,
    /// The names that were touched since this Snapshot.
    Names(Arc<Snapshot>, Vec<NameId>),
}

/// The refresh thread's workshop.
pub struct Press {
    hosts: HostResolver,
    /// Its `listener_addresses` are read anew where a listener is a wildcard, and its
    /// `own_addresses` where tasks on this machine come first.
    naming: Naming,
    listeners: Vec<IpAddr>,
    answering: Answering,
    /// The configuration differs from that which the table was made with.
    is_configured_anew: bool,
    publisher: Publisher,
    feed: Feed,
    /// What the feed is to be told of the last publication.
    untold: Option<Untold>,
    turns: Turns,
    records: Option<RecordSet>,
    /// What `records` was built from or last updated to.
    world: Option<Arc<World>>,
    /// When look-ups of host names are made again.
    hosts_due: Option<Instant>,
    addresses_due: Instant,
    has_retired: bool,
    serial_floor: Option<u32>,
}

impl Press {
    pub fn new(
        published: Published,
        naming: Naming,
        listeners: Vec<IpAddr>,
        answering: Answering,
        feed: Feed,
    ) -> Self {
        Self {
            hosts: HostResolver::default(),
            naming,
            listeners,
            answering,
            is_configured_anew: false,
            publisher: Publisher::new(published),
            feed,
            untold: None,
            turns: Turns::default(),
            records: None,
            world: None,
            hosts_due: None,
            addresses_due: Instant::now(),
            has_retired: false,
            serial_floor: None,
        }
    }

    /// Takes another configuration; `press` then applies it.
    pub fn configure(&mut self, naming: Naming, listeners: Vec<IpAddr>, answering: Answering) {
        self.is_configured_anew |= self.answering != answering;
        self.naming = naming;
        self.listeners = listeners;
        self.answering = answering;
        self.addresses_due = Instant::now();
    }

    /// Takes other static records; `press`, or `press_statics`, then applies them.
    pub fn set_statics(&mut self, statics: Arc<StaticRecords>) {
        self.naming.statics = statics;
    }

    /// Publishes the static records alone, where nothing else was published; whether it did.
    pub fn press_statics(&mut self, now: Instant) -> bool {
        let current = self.publisher.current();
        let has_more = current.as_ref().is_some_and(|it| !it.is_partial());
        let has_statics = current.is_some() || !self.naming.statics.records.is_empty();
        if has_more || !has_statics {
            return false;
        }
        let world = self.empty_world(now);
        let records = RecordSet::build(&world);
        let serial = next_serial(self.serial_floor);
        let table = ResponseTable::build(&records, &self.answering, serial, fastrand::u64(..));
        self.publisher.publish(Snapshot {
            generation: 0,
            serial,
            published_at: SystemTime::now(),
            table: table.into_partial(),
            record_counts: records.record_counts(),
            collisions: Arc::default(),
            world,
        });
        self.untold = Some(Untold::All);
        self.has_retired = true;
        true
    }

    /// Gives the names `masterN` to these; `press` then applies it.
    pub fn name_masters(&mut self, masters: Box<[Endpoint]>) {
        self.naming.masters = masters;
    }

    /// What is served.
    pub fn world(&self) -> Option<&Arc<World>> {
        self.world.as_ref()
    }

    pub fn records(&self) -> Option<&RecordSet> {
        self.records.as_ref()
    }

    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.publisher.current()
    }

    /// Answers of the system's resolver that came late; after one, `press` again.
    pub fn late_hosts(&self) -> Option<&Receiver<HostAnswer>> {
        self.hosts.late_answers()
    }

    /// Takes such an answer; `press` uses it.
    pub fn take_late_host(&mut self, answer: HostAnswer) {
        self.hosts.note_late(answer);
    }

    /// When names of hosts want to be looked up again, although nothing else happened.
    pub fn hosts_due(&self) -> Option<Instant> {
        self.hosts_due
    }

    /// Publishes a table of before, which nothing can update: the next `press` builds anew. The World
    /// is what is known of the cluster meanwhile.
    pub fn take_warm(&mut self, warm: WarmTable, world: &Arc<World>) {
        self.publisher.publish(Snapshot {
            generation: warm.generation,
            serial: warm.serial,
            published_at: warm.published_at,
            table: warm.table,
            record_counts: warm.record_counts,
            collisions: Arc::default(),
            world: Arc::clone(world),
        });
        self.untold = Some(Untold::All);
        self.has_retired = true;
    }

    /// A World without a cluster, under the present naming.
    pub fn empty_world(&mut self, now: Instant) -> Arc<World> {
        Arc::new(World {
            cluster: Cluster::default(),
            hosts: Hosts::default(),
            naming: self.naming_now(now),
        })
    }

    /// Takes a World of before, with its hosts, for what comes next; shows it beside the table that
    /// `take_warm` published.
    pub fn adopt_world(&mut self, world: World) {
        let world = Arc::new(world);
        if let Some(current) = self.publisher.current() {
            self.publisher.publish(Snapshot {
                generation: current.generation,
                serial: current.serial,
                published_at: current.published_at,
                table: current.table.clone(),
                record_counts: current.record_counts,
                collisions: current.collisions.clone(),
                world: Arc::clone(&world),
            });
        }
        self.world = Some(world);
    }

    /// The serial of the first table is above this.
    pub fn set_serial_floor(&mut self, serial: u32) {
        self.serial_floor = Some(serial);
    }

    /// Publishes what the Cluster gives. The caller wakes the readers and then calls `tell_feed` and
    /// `free_retired`.
    pub fn press(&mut self, cluster: Cluster, now: Instant) -> Pressed {
        // What the readers let go of since is what the next table is made from.
        self.free_retired();
        let naming = self.naming_now(now);
        let hosts = self.hosts_now(&cluster, &naming, now);
        let world = Arc::new(World {
            cluster,
            hosts,
            naming,
        });
        let pressed = self.publish(&world);
        self.has_retired = true;
        self.world = Some(world);
        pressed
    }

    /// Frees the replaced Snapshots that nobody holds any more.
    pub fn free_retired(&mut self) {
        let turns = &mut self.turns;
        let still_held = self
            .publisher
            .free_retired(|snapshot| turns.take_back(snapshot.generation, snapshot.table));
        self.has_retired = still_held > 0;
    }

    /// Whether there are some that a reader still holds, or that nobody looked at yet.
    pub fn has_retired(&self) -> bool {
        self.has_retired
    }

    /// Turns the RecordSet into that of the new World and publishes what differs.
    fn publish(&mut self, world: &Arc<World>) -> Pressed {
        let current = self.publisher.current().filter(|it| !it.is_partial());
        let generation = current.as_ref().map_or(0, |snapshot| snapshot.generation);
        let serial = next_serial(current.as_ref().map(|it| it.serial).or(self.serial_floor));
        let anew = std::mem::take(&mut self.is_configured_anew);
        if let (Some(records), Some(old), Some(current)) = (&mut self.records, &self.world, current)
            && !current.table.wants_rebuild()
            && old.naming.statics == world.naming.statics
            && !anew
        {
            let touched = records.update(old, world);
            let record_counts = records.record_counts();
            if touched.is_empty() {
                // `enumerate` and `explain` still see the newest cluster; no answer differs.
                self.publisher.publish(Snapshot {
                    generation,
                    serial: current.serial,
                    published_at: current.published_at,
                    table: current.table.clone(),
                    record_counts,
                    collisions: collisions_of(records, world),
                    world: Arc::clone(world),
                });
                return Pressed::Unchanged;
            }
            let table = current.table.updated(
                records,
                &touched,
                &self.answering,
                serial,
                (&mut self.turns, generation + 1),
            );
            self.send(generation + 1, serial, table, world);
            let count = touched.len();
            self.untold = Some(Untold::Names(current, touched));
            return Pressed::Updated(count);
        }
        self.turns.forget();
        let records = RecordSet::build(world);
        // A new seed with every build: who learned one table's collisions has learned nothing.
        let table = ResponseTable::build(&records, &self.answering, serial, fastrand::u64(..));
        self.records = Some(records);
        self.send(generation + 1, serial, table, world);
        self.untold = Some(Untold::All);
        Pressed::Built
    }

    /// Tells the feed of the last publication, once the answering threads know of it. Before the next
    /// `press`: then names that are gone have their numbers no more.
    pub fn tell_feed(&mut self) {
        let Some(untold) = self.untold.take() else {
            return;
        };
        let after = self.publisher.current();
        let Some(after) = after.filter(|_| self.feed.is_followed()) else {
            return self.feed.skip();
        };
        let what = match (untold, &self.records) {
            (Untold::Names(before, touched), Some(records)) if touched.len() <= FEED_NAMES_MAX => {
                let names: Vec<Vec<u8>> = touched
                    .into_iter()
                    .map(|name| {
                        let mut wire = Vec::with_capacity(NAME_BYTES_MAX);
                        records.append_wire(name, &mut wire);
                        wire
                    })
                    .collect();
                What::between(&before.table, &after.table, &names)
            }
            _ => What::All,
        };
        self.feed.push(after.serial, after.published_at, what);
    }

    fn send(&mut self, generation: u64, serial: u32, table: ResponseTable, world: &Arc<World>) {
        let records = self.records.as_ref();
        self.publisher.publish(Snapshot {
            generation,
            serial,
            published_at: SystemTime::now(),
            table,
            record_counts: records.map(RecordSet::record_counts).unwrap_or_default(),
            collisions: records.map_or_else(Arc::default, |it| collisions_of(it, world)),
            world: Arc::clone(world),
        });
    }

    fn naming_now(&mut self, now: Instant) -> Arc<Naming> {
        let known = self.world.as_ref().map(|world| &world.naming);
        if now >= self.addresses_due || known.is_none() {
            self.naming.listener_addresses = listener_addresses(&self.listeners).into();
            self.naming.own_addresses = match self.naming.rules.prefer_local {
                true => own_addresses().into(),
                false => Box::default(),
            };
            self.addresses_due = now + ADDRESSES_EVERY;
        }
        match known {
            Some(known) if **known == self.naming => Arc::clone(known),
            _ => Arc::new(self.naming.clone()),
        }
    }

    /// What is known of the hosts that the Cluster names. Only before the first table is it waited for.
    fn hosts_now(&mut self, cluster: &Cluster, naming: &Arc<Naming>, now: Instant) -> Hosts {
        let known = self.world.as_ref();
        let is_same = known.is_some_and(|world| {
            Arc::ptr_eq(&world.naming, naming)
                && Arc::ptr_eq(&world.cluster.agents, &cluster.agents)
                && Arc::ptr_eq(&world.cluster.frameworks, &cluster.frameworks)
                && world.cluster.leader == cluster.leader
        });
        let is_due = self.hosts_due.is_some_and(|due| due <= now) || self.hosts.has_news();
        if let Some(world) = known.filter(|_| is_same && !is_due) {
            return world.hosts.clone();
        }
        let names = names_needed(cluster, &naming.masters);
        let wait_max = match known {
            None => Duration::from_millis(HOST_WAIT_MS),
            Some(_) => Duration::ZERO,
        };
        let (hosts, left_out) = self.hosts.resolve(&names, wait_max);
        if left_out > 0 {
            warn!("{left_out} host names of the state are too many to look up");
        }
        let again = Duration::from_millis(HOST_ANSWER_MS);
        self.hosts_due = (!names.is_empty()).then(|| now + again);
        match known {
            Some(world) if world.hosts == hosts => world.hosts.clone(),
            _ => hosts,
        }
    }
}

fn collisions_of(records: &RecordSet, world: &World) -> Arc<Collisions> {
    records.collisions(&world.naming.domain, &world.naming.soa_mname)
}

/// What SOAMname resolves to: the listeners' addresses, and where one is a wildcard every address of
/// this machine that is not a loopback one, as mesos-dns has it.
fn listener_addresses(listeners: &[IpAddr]) -> Vec<IpAddr> {
    let named = listeners.iter().filter(|ip| !ip.is_unspecified());
    let mut addresses: Vec<IpAddr> = named.copied().collect();
    if addresses.len() == listeners.len() {
        return addresses;
    }
    match sys::interfaces::local_addresses() {
        Ok(local) => addresses.extend(local.into_iter().filter(|address| !address.is_loopback())),
        Err(failure) => {
            warn!("cannot read this machine's addresses, SOAMname has no more of them: {failure}");
        }
    }
    addresses
}

/// By which this machine's agent is known.
fn own_addresses() -> Vec<IpAddr> {
    sys::interfaces::local_addresses().unwrap_or_else(|failure| {
        warn!("cannot read this machine's addresses, PreferLocal knows no task on it: {failure}");
        Vec::new()
    })
}

/// max(previous + 1, unix time), so that it rises with every change and survives a restart
/// (RFC 1912, 2.2; serial arithmetic of RFC 1982 makes wrapping past 2^32 harmless).
fn next_serial(previous: Option<u32>) -> u32 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as u32);
    previous.map_or(now, |previous| now.max(previous.wrapping_add(1)))
}

/// Addresses of this machine change rarely, and reading them is a dozen system calls.
const ADDRESSES_EVERY: Duration = Duration::from_secs(10);
