//! What differs between two Worlds: the sources whose records are taken back and those whose records
//! are added. Its cost grows with what differs, but for a look at each shard's pointer.

use std::collections::HashSet;
use std::sync::Arc;

use super::Unhealthy;
use super::build::{Emitter, Sink, StaticSink, framework_addresses};
use super::task_names::Scratch;
use crate::mesos::cluster::{Agent, Framework, Task};
use crate::mesos::tasks::{FrameworkSet, TaskShard, Tasks};

/// The sources that differ.
pub(super) struct Changes<'w> {
    /// Masters, leader and listener are few: where one may differ, all are among them.
    masters: bool,
    /// Whether records depend on the health of their tasks.
    heeds_health: bool,
    old_frameworks: Vec<&'w Framework>,
    new_frameworks: Vec<&'w Framework>,
    old_agents: Vec<&'w Agent>,
    new_agents: Vec<&'w Agent>,
    old_tasks: Vec<&'w Task>,
    new_tasks: Vec<&'w Task>,
}

/// Gives a sink all records of a World, tasks in the document's order: neighbours there share names,
/// which are then still in the processor's cache.
pub(super) fn add_all<S: StaticSink>(emitter: &Emitter<'_>, sink: &mut S) {
    let cluster = &emitter.world().cluster;
    emitter.masters(sink);
    emitter.listener(sink);
    emitter.statics(sink);
    for framework in cluster.frameworks.iter() {
        emitter.framework(framework, sink);
    }
    for agent in cluster.agents.iter() {
        emitter.agent(agent, sink);
    }
    let mut scratch = Scratch::default();
    for task in in_document_order(cluster.tasks.iter()) {
        emitter.task(task, sink, &mut scratch);
    }
}

pub(super) fn in_document_order<'w>(
    tasks: impl Iterator<Item = &'w Arc<Task>>,
) -> impl Iterator<Item = &'w Task> {
    let mut rows: Vec<(u32, &Task)> = tasks.map(|task| (task.ordinal, &**task)).collect();
    rows.sort_by_key(|&(ordinal, _)| ordinal);
    rows.into_iter().map(|(_, task)| task)
}

impl<'w> Changes<'w> {
    pub(super) fn between(before: &Emitter<'w>, after: &Emitter<'w>) -> Self {
        let (old, new) = (before.world(), after.world());
        let all = is_other_naming(before, after);
        let same_hosts = old.hosts.is_same(&new.hosts) || old.hosts == new.hosts;
        let same_masters = same_hosts
            && (Arc::ptr_eq(&old.naming, &new.naming) || old.naming == new.naming)
            && old.cluster.leader == new.cluster.leader;
        let mut changes = Self {
            masters: !same_masters,
            heeds_health: new.naming.rules.unhealthy != Unhealthy::Serve,
            old_frameworks: Vec::new(),
            new_frameworks: Vec::new(),
            old_agents: Vec::new(),
            new_agents: Vec::new(),
            old_tasks: Vec::new(),
            new_tasks: Vec::new(),
        };
        let (old_cluster, new_cluster) = (&old.cluster, &new.cluster);
        let moved_frameworks = split(
            (&old_cluster.frameworks, &mut changes.old_frameworks),
            (&new_cluster.frameworks, &mut changes.new_frameworks),
            |a, b| {
                !all && a == b
                    && (same_hosts || framework_addresses(old, a) == framework_addresses(new, b))
            },
            !all && same_hosts,
        );
        // Where no host name changed its address, the agents that stayed are not looked up.
        let moved_agents = split(
            (&old_cluster.agents, &mut changes.old_agents),
            (&new_cluster.agents, &mut changes.new_agents),
            |a, b| {
                !all && a == b
                    && (same_hosts || {
                        let host = a.pid.as_ref().map_or("", |pid| &pid.host);
                        old.hosts.addresses(host) == new.hosts.addresses(host)
                    })
            },
            !all && same_hosts,
        );
        let (known, knows) = (before.directory(), after.directory());
        let is_same_framework = |id: &str| {
            known.framework(id).is_some() == knows.framework(id).is_some()
                && known.framework_suffix(id).map(|suffix| &suffix.text)
                    == knows.framework_suffix(id).map(|suffix| &suffix.text)
        };
        let frameworks: HashSet<&str> = moved_frameworks
            .map(|framework| &*framework.id)
            .filter(|id| !is_same_framework(id))
            .collect();
        let is_same_agent = |id: &str| {
            before.agent_addresses(id) == after.agent_addresses(id)
                && before.agent_place(id) == after.agent_place(id)
        };
        let mut moved_agents: Vec<&Agent> = moved_agents.collect();
        if known.here() != knows.here() {
            // Agents that stayed the same may be nearer or farther than before.
            let (old, new) = (old_cluster.agents.iter(), new_cluster.agents.iter());
            moved_agents = old.chain(new).map(|agent| &**agent).collect();
        }
        let agents: HashSet<&str> = moved_agents
            .into_iter()
            .map(|agent| &*agent.id)
            .filter(|id| !is_same_agent(id))
            .collect();
        let is_moved = |task: &Task| {
            all || frameworks.contains(&*task.framework_id) || agents.contains(&*task.agent_id)
        };
        let (old_tasks, new_tasks) = (&old_cluster.tasks, &new_cluster.tasks);
        if !all && frameworks.is_empty() && agents.is_empty() {
            for (_, old, new) in new_tasks.differing(old_tasks) {
                changes.split_shard(old, new, |_| false);
            }
            return changes;
        }
        // Shards that are the same hold tasks all the same whose names are others now.
        let of_frameworks: FrameworkSet = frameworks.iter().copied().collect();
        let of_agents: HashSet<usize> = agents.iter().map(|id| Tasks::shard_number(id)).collect();
        let shards = old_tasks.shards().zip(new_tasks.shards()).enumerate();
        for (number, (old, new)) in shards {
            if all
                || !Arc::ptr_eq(old, new)
                || new.may_have(of_frameworks)
                || of_agents.contains(&number)
            {
                changes.split_shard(old, new, is_moved);
            }
        }
        changes
    }

    fn split_shard(
        &mut self,
        old: &'w TaskShard,
        new: &'w TaskShard,
        is_moved: impl Fn(&Task) -> bool,
    ) {
        let (mut old, mut new) = (old.tasks(), new.tasks());
        loop {
            match (old.split_first(), new.split_first()) {
                (None, None) => break,
                // Most are the same, and then not even looked at: a task is cold memory.
                (Some((a, old_rest)), Some((b, new_rest))) if Arc::ptr_eq(a, b) && !is_moved(b) => {
                    (old, new) = (old_rest, new_rest);
                }
                (Some((task, rest)), other)
                    if other.is_none_or(|(other, _)| key(task) < key(other)) =>
                {
                    self.old_tasks.push(task);
                    old = rest;
                }
                (other, Some((task, rest)))
                    if other.is_none_or(|(other, _)| key(task) < key(other)) =>
                {
                    self.new_tasks.push(task);
                    new = rest;
                }
                (Some((a, old_rest)), Some((b, new_rest))) => {
                    let same_health = a.is_unhealthy == b.is_unhealthy || !self.heeds_health;
                    if is_moved(b) || !same_health || !same_task(a, b) {
                        self.old_tasks.push(a);
                        self.new_tasks.push(b);
                    }
                    (old, new) = (old_rest, new_rest);
                }
                (Some((task, rest)), None) => {
                    self.old_tasks.push(task);
                    old = rest;
                }
                (None, Some((task, rest))) => {
                    self.new_tasks.push(task);
                    new = rest;
                }
            }
        }
    }

    /// Gives a sink the records that are no more.
    pub(super) fn old_sources<S: Sink>(
        &self,
        before: &Emitter<'w>,
        sink: &mut S,
        scratch: &mut Scratch,
    ) {
        let sources = (&self.old_frameworks, &self.old_agents, &self.old_tasks);
        self.emit(before, sources, sink, scratch);
    }

    /// Gives a sink the records that are new.
    pub(super) fn new_sources<S: Sink>(
        &self,
        after: &Emitter<'w>,
        sink: &mut S,
        scratch: &mut Scratch,
    ) {
        let sources = (&self.new_frameworks, &self.new_agents, &self.new_tasks);
        self.emit(after, sources, sink, scratch);
    }

    fn emit<S: Sink>(
        &self,
        emitter: &Emitter<'_>,
        (frameworks, agents, tasks): Sources<'_, '_>,
        sink: &mut S,
        scratch: &mut Scratch,
    ) {
        if self.masters {
            emitter.masters(sink);
            emitter.listener(sink);
        }
        for framework in frameworks {
            emitter.framework(framework, sink);
        }
        for agent in agents {
            emitter.agent(agent, sink);
        }
        for task in tasks {
            emitter.task(task, sink, scratch);
        }
    }
}

type Sources<'a, 'w> = (
    &'a Vec<&'w Framework>,
    &'a Vec<&'w Agent>,
    &'a Vec<&'w Task>,
);

/// Whether the naming differs in a way that every source's records may depend on.
fn is_other_naming(before: &Emitter<'_>, after: &Emitter<'_>) -> bool {
    let (old, new) = (&before.world().naming, &after.world().naming);
    old.domain != new.domain
        || old.rfc952 != new.rfc952
        || old.ip_sources != new.ip_sources
        || old.soa_mname != new.soa_mname
        || old.rules != new.rules
}

/// Puts the objects without an equal on the other side into the two lists. Objects keep their place
/// from one document to the next by and large, so equal runs at both ends are left out first; returns
/// all that is between, where of two objects with one id another may come last now.
fn split<'w, T>(
    (old, old_out): (&'w [Arc<T>], &mut Vec<&'w T>),
    (new, new_out): (&'w [Arc<T>], &mut Vec<&'w T>),
    is_same: impl Fn(&T, &T) -> bool,
    pointers_tell: bool,
) -> impl Iterator<Item = &'w T> {
    // One list on both sides: nothing to walk through.
    let (old, new) = match pointers_tell && std::ptr::eq(old, new) {
        true => (&[][..], &[][..]),
        false => (old, new),
    };
    let same = |a: &Arc<T>, b: &Arc<T>| pointers_tell && Arc::ptr_eq(a, b) || is_same(a, b);
    let head = old.iter().zip(new).take_while(|(a, b)| same(a, b)).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| same(a, b))
        .count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    // Between them the same pointer on both sides is the same object.
    let shared: HashSet<*const T> = if pointers_tell {
        let held: HashSet<*const T> = old.iter().map(Arc::as_ptr).collect();
        new.iter()
            .map(Arc::as_ptr)
            .filter(|p| held.contains(p))
            .collect()
    } else {
        HashSet::new()
    };
    let differs = |object: &&'w Arc<T>| !shared.contains(&Arc::as_ptr(object));
    old_out.extend(old.iter().filter(differs).map(|object| &**object));
    new_out.extend(new.iter().filter(differs).map(|object| &**object));
    old.iter().chain(new).map(|object| &**object)
}

fn key(task: &Task) -> (&str, &str) {
    (&task.framework_id, &task.id)
}

/// Whether two tasks give the same records: all but their places in the documents, and their health.
fn same_task(a: &Task, b: &Task) -> bool {
    a.name == b.name
        && a.agent_id == b.agent_id
        && a.addresses == b.addresses
        && a.is_bridge == b.is_bridge
        && a.port_ranges == b.port_ranges
        && a.discovery == b.discovery
        && a.framework_id == b.framework_id
        && a.id == b.id
}
