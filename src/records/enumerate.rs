//! The list behind `/v1/enumerate`: a World in, frameworks, tasks and their records out, one call
//! each, in mesos-dns's order. It must never hold all of the list at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;

use foldhash::quality::{FixedState, RandomState};

use super::build::{Data, Emitter, Sink, Why};
use super::changes::in_document_order;
use super::left_out::Reason;
use super::rank::Rank;
use super::suffix::Suffix;
use super::task_names::Scratch;
use super::{Unhealthy, World};
use crate::dns::name::text_from_wire;
use crate::mesos::cluster::Task;
use crate::zonefile;

/// Takes the list, from its first line to its last, or stops it.
pub trait Visitor {
    type Stop;

    /// The tasks that follow are this framework's.
    fn framework(&mut self, name: &str) -> Result<(), Self::Stop>;

    /// The records that follow are this task's.
    fn task(&mut self, name: &str, id: &str) -> Result<(), Self::Stop>;

    /// `host` is an address; of an SRV record `target.:port`; of a PTR record the address, as for A.
    fn record(&mut self, name: &str, host: &str, rtype: &str) -> Result<(), Self::Stop>;
}

/// Walks the frameworks in the document's order, each with its tasks in the document's order. A
/// record that several tasks give is listed with the first of them; one that is left out because its
/// task is unhealthy is not listed.
pub fn visit<V: Visitor>(world: &World, visitor: &mut V) -> Result<(), V::Stop> {
    let emitter = Emitter::new(world);
    let mut scratch = Scratch::default();
    let mut lister = Lister::new(visitor);
    if world.naming.rules.unhealthy == Unhealthy::Omit {
        lister.is_gathering = true;
        lister.note_others(&emitter);
        lister.note_statics(world);
        for task in world.cluster.tasks.iter() {
            lister.names.clear();
            emitter.task(task, &mut lister, &mut scratch);
        }
        lister.is_gathering = false;
    }
    lister.note_others(&emitter);
    lister.is_listing = true;
    let mut tasks: HashMap<&str, Vec<&Task>> = HashMap::new();
    for task in in_document_order(world.cluster.tasks.iter()) {
        tasks.entry(&task.framework_id).or_default().push(task);
    }
    for framework in world.cluster.frameworks.iter() {
        lister.visitor.framework(&framework.name)?;
        for task in tasks.remove(&*framework.id).unwrap_or_default() {
            if emitter.agent_addresses(&task.agent_id).is_none() {
                continue;
            }
            lister.visitor.task(&task.name, &task.id)?;
            lister.names.clear();
            emitter.task(task, &mut lister, &mut scratch);
            if let Some(stop) = lister.stop {
                return Err(stop);
            }
        }
    }
    Ok(())
}

/// Every name that tasks have, sorted; a task is given by its agent's, its framework's and its own id.
pub fn names_of_tasks(world: &World, tasks: &[[String; 3]]) -> Vec<String> {
    let emitter = Emitter::new(world);
    let mut names = NameLister::default();
    let mut scratch = Scratch::default();
    for [agent, framework, id] in tasks {
        if let Some(task) = world.cluster.tasks.find(agent, framework, id) {
            emitter.task(task, &mut names, &mut scratch);
        }
    }
    names.0.into_iter().collect()
}

/// Takes the names alone.
#[derive(Default)]
struct NameLister(BTreeSet<String>);

impl Sink for NameLister {
    type Name = ();

    fn name(&mut self, left: &[u8], suffix: &Suffix) {
        let mut text = String::new();
        suffix.append_text(left, &mut text);
        self.0.insert(text);
    }

    fn reverse(&mut self, _address: IpAddr) {}

    fn add(&mut self, (): (), _data: Data<()>, _why: Why) {}

    fn left_out(&mut self, _reason: Reason, _name: Option<(&[u8], &Suffix)>) {}
}

struct Lister<'v, V: Visitor> {
    visitor: &'v mut V,
    /// The visitor wants no more.
    stop: Option<V::Stop>,
    /// Records of built-in names and of frameworks are known, but not listed.
    is_listing: bool,
    /// Nothing is listed yet: this is to find the RRsets that have a record of a healthy task.
    is_gathering: bool,
    /// Hashes of those, where unhealthy tasks' records are left out of them.
    healthy: HashSet<u128, FixedState>,
    rank: Rank,
    /// Texts of the names of one source, one after the other.
    names: String,
    host: String,
    /// Hashes of the records met: 128 bits, so that two records of one hash are not to be feared.
    met: HashSet<u128, FixedState>,
    hashers: [RandomState; 2],
}

impl<'v, V: Visitor> Lister<'v, V> {
    fn new(visitor: &'v mut V) -> Self {
        Self {
            visitor,
            stop: None,
            is_listing: false,
            is_gathering: false,
            healthy: HashSet::default(),
            rank: Rank::PLAIN,
            names: String::new(),
            host: String::new(),
            met: HashSet::default(),
            hashers: [RandomState::default(), RandomState::default()],
        }
    }

    /// What has records beside the tasks and may share names with them.
    fn note_others(&mut self, emitter: &Emitter<'_>) {
        emitter.masters(self);
        emitter.listener(self);
        for framework in emitter.world().cluster.frameworks.iter() {
            self.names.clear();
            emitter.framework(framework, self);
        }
    }

    /// Static records are not listed, but unhealthy tasks' are left out beside them too.
    fn note_statics(&mut self, world: &World) {
        for record in &world.naming.statics.records {
            let rtype = match record.data {
                zonefile::Data::A(_) => "A",
                zonefile::Data::Aaaa(_) => "AAAA",
                zonefile::Data::Srv { .. } => "SRV",
                _ => continue,
            };
            let hash = self.hash((&*text_from_wire(&record.owner), rtype));
            self.healthy.insert(hash);
        }
    }

    fn hash(&self, record: impl Hash + Copy) -> u128 {
        let [upper, lower] = &self.hashers;
        u128::from(upper.hash_one(record)) << 64 | u128::from(lower.hash_one(record))
    }
}

/// Where a name stands in `Lister::names`.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl<V: Visitor> Sink for Lister<'_, V> {
    type Name = Span;

    fn name(&mut self, left: &[u8], suffix: &Suffix) -> Span {
        let start = self.names.len();
        suffix.append_text(left, &mut self.names);
        Span {
            start,
            end: self.names.len(),
        }
    }

    /// The list shows an address where DNS has its reverse name.
    fn reverse(&mut self, address: IpAddr) -> Span {
        let start = self.names.len();
        // Writing to a String cannot fail.
        let _ = write!(self.names, "{address}");
        Span {
            start,
            end: self.names.len(),
        }
    }

    fn add(&mut self, owner: Span, data: Data<Span>, _why: Why) {
        self.host.clear();
        let (name, rtype) = match data {
            Data::Address(address) => {
                let _ = write!(self.host, "{address}");
                (owner, if address.is_ipv4() { "A" } else { "AAAA" })
            }
            Data::Srv { port, target } => {
                let target = &self.names[target.start..target.end];
                let _ = write!(self.host, "{target}:{port}");
                (owner, "SRV")
            }
            Data::Ptr { target } => {
                self.host.push_str(&self.names[owner.start..owner.end]);
                (target, "PTR")
            }
            // Of static records alone, which no task has.
            Data::Cname { .. } | Data::Text { .. } => return,
        };
        let name = &self.names[name.start..name.end];
        let is_omitted = self.rank.is_omitted() && rtype != "PTR";
        if self.is_gathering {
            if !is_omitted {
                self.healthy.insert(self.hash((name, rtype)));
            }
            return;
        }
        if is_omitted && self.healthy.contains(&self.hash((name, rtype))) {
            return;
        }
        let hash = self.hash((name, &*self.host, rtype));
        if self.met.insert(hash) && self.is_listing && self.stop.is_none() {
            self.stop = self.visitor.record(name, &self.host, rtype).err();
        }
    }

    fn rank(&mut self, rank: Rank) {
        self.rank = rank;
    }

    fn left_out(&mut self, _reason: Reason, _name: Option<(&[u8], &Suffix)>) {}
}
