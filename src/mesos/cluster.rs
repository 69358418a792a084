//! The Cluster: what we keep of a Mesos state document. In: fields read by `state`. Out: immutable
//! values shared by pointer, so that a new Cluster shares all that did not change with the old one.
//! It must never hold a field that no record needs.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::few::Few;
pub use super::tasks::Tasks;

/// A snapshot of the cluster as one master described it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The leading master, from the document's `leader` (`master@HOST:PORT`).
    pub leader: Option<Endpoint>,
    /// The id that the leading master gave itself when it started; another one after each failover.
    /// `None` where a document has none.
    pub master_id: Option<Arc<str>>,
    /// Frameworks in the document's order.
    pub frameworks: List<Framework>,
    /// Registered agents in the document's order.
    pub agents: List<Agent>,
    /// Running tasks on registered agents, in shards by agent.
    pub tasks: Tasks,
    /// Tasks that the event stream told of and that have no records yet: they do not run, or their
    /// agent has not been told of. A document's are among `skipped`.
    pub waiting: Tasks,
    /// What was left out, for `explain` and the log; bounded by `limits::SKIPPED_KEPT_MAX`.
    pub skipped: Arc<Vec<Skipped>>,
    /// How many objects were left out in all.
    pub skipped_count: u64,
}

/// A list that Clusters share: one pointer tells that nothing in it differs.
pub type List<T> = Arc<[Arc<T>]>;

impl Cluster {
    /// Takes over from an older Cluster what is equal in it, so that the two share their memory and
    /// what did not change can be told by its pointer: tasks, their shards, agents, frameworks. A
    /// task that is taken over keeps its old `ordinal`.
    pub fn adopt(&mut self, old: &Self) {
        self.tasks.adopt(&old.tasks);
        self.waiting.adopt(&old.waiting);
        adopt_list(&mut self.agents, &old.agents, |agent| &agent.id);
        adopt_list(&mut self.frameworks, &old.frameworks, |framework| {
            &framework.id
        });
        if self.skipped == old.skipped {
            self.skipped = old.skipped.clone();
        }
    }
}

/// Most lists keep their order, so the same place is looked at first.
fn adopt_list<T: PartialEq>(new: &mut List<T>, old: &List<T>, id: impl Fn(&T) -> &Arc<str>) {
    let mut by_id: Option<HashMap<&str, &Arc<T>>> = None;
    let mut differs = new.len() != old.len();
    let mut adopted = Vec::with_capacity(new.len());
    for (place, item) in new.iter().enumerate() {
        if let Some(same) = old.get(place).filter(|same| *same == item) {
            adopted.push(same.clone());
            continue;
        }
        differs = true;
        let by_id =
            by_id.get_or_insert_with(|| old.iter().map(|item| (&**id(item), item)).collect());
        let same = by_id.get(&**id(item)).filter(|same| **same == item);
        adopted.push(same.map_or(item, |same| *same).clone());
    }
    *new = match differs {
        true => adopted.into(),
        false => old.clone(),
    };
}

/// A host and port as a Mesos process id (`name@host:port`) or a configuration gives them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// An address in text or a host name; without brackets.
    pub host: Arc<str>,
    /// 1 to 65535; `None` where the text after the colon was empty or out of range.
    pub port: Option<u16>,
}

/// `host:port`, with brackets around an IPv6 address.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framework {
    pub id: Arc<str>,
    pub name: Arc<str>,
    /// libprocess schedulers only; HTTP frameworks have none.
    pub pid: Option<Endpoint>,
    pub hostname: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    pub id: Arc<str>,
    pub hostname: Arc<str>,
    /// `None` where the document had none that could be read.
    pub pid: Option<Endpoint>,
    pub domain: Option<FaultDomain>,
}

/// Where a machine stands (`domain.fault_domain`). Zones of two regions may share a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultDomain {
    pub region: Arc<str>,
    pub zone: Arc<str>,
}

/// A running task. Equal tasks may stand at different places of their documents.
#[derive(Clone, Debug)]
pub struct Task {
    pub framework_id: Arc<str>,
    pub id: Box<str>,
    pub name: Arc<str>,
    pub agent_id: Arc<str>,
    pub state: TaskState,
    /// Place in the document, so that lists keep the master's order. Not compared for changes.
    pub ordinal: u32,
    /// `timestamp` of the status that the addresses come from; `NO_STATUS` without one. Not compared
    /// for changes: it tells whether a status that comes later counts.
    pub running_since: f64,
    /// Addresses of the latest running status, by source; sources that gave none are absent.
    pub addresses: Few<(AddressSource, IpAddr)>,
    /// That status says that it is not healthy.
    pub is_unhealthy: bool,
    /// In a Docker network of its host's own (`BRIDGE`).
    pub is_bridge: bool,
    /// `resources.ports`: inclusive ranges, in the document's order.
    pub port_ranges: Few<(u16, u16)>,
    pub discovery: Option<Box<Discovery>>,
    /// What was wrong with fields of this task and therefore left out of it (a port out of range).
    pub faults: Option<Box<Faults>>,
}

/// Sentences of what was wrong. Behind a thin pointer, for nearly no task has any.
pub type Faults = Box<[Box<str>]>;

/// The time of no status. mesos-dns begins its search for the latest one here, so that an earlier
/// one never counts.
pub const NO_STATUS: f64 = -1.0;

impl Task {
    /// Why one of `Cluster::waiting` has no records.
    pub fn why_waiting(&self) -> Skipped {
        let why = match self.state {
            TaskState::Running => format!("its agent {:?} is not listed", self.agent_id),
            state => format!("state is {state}"),
        };
        Skipped {
            kind: SkippedKind::Task,
            id: self.id.clone(),
            name: Box::from(&*self.name),
            why: why.into(),
            expected: true,
        }
    }

    /// The order within a shard, but for tasks that a document names twice.
    pub(super) fn cmp_key(&self, other: &Self) -> Ordering {
        // Most tasks of a shard belong to one framework and share its id.
        let frameworks = match Arc::ptr_eq(&self.framework_id, &other.framework_id) {
            true => Ordering::Equal,
            false => self.framework_id.cmp(&other.framework_id),
        };
        frameworks.then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            framework_id,
            id,
            name,
            agent_id,
            state,
            ordinal: _,
            running_since: _,
            addresses,
            is_unhealthy,
            is_bridge,
            port_ranges,
            discovery,
            faults,
        } = self;
        *id == other.id
            && *framework_id == other.framework_id
            && *name == other.name
            && *agent_id == other.agent_id
            && *state == other.state
            && *addresses == other.addresses
            && *is_unhealthy == other.is_unhealthy
            && *is_bridge == other.is_bridge
            && *port_ranges == other.port_ranges
            && *discovery == other.discovery
            && *faults == other.faults
    }
}

/// What a task does, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskState {
    #[default]
    Running,
    Staging,
    Starting,
    Killing,
    /// One that we do not know, and that may go on to run.
    Other,
    /// It is over, or out of reach: a task that comes back is added anew.
    Ended,
}

impl TaskState {
    /// From Mesos's name of it (`TaskState` of mesos.proto).
    pub fn from_name(name: &str) -> Self {
        match name {
            "TASK_RUNNING" => Self::Running,
            "TASK_STAGING" => Self::Staging,
            "TASK_STARTING" => Self::Starting,
            "TASK_KILLING" => Self::Killing,
            "TASK_FINISHED"
            | "TASK_FAILED"
            | "TASK_KILLED"
            | "TASK_ERROR"
            | "TASK_LOST"
            | "TASK_DROPPED"
            | "TASK_UNREACHABLE"
            | "TASK_GONE"
            | "TASK_GONE_BY_OPERATOR" => Self::Ended,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "TASK_RUNNING",
            Self::Staging => "TASK_STAGING",
            Self::Starting => "TASK_STARTING",
            Self::Killing => "TASK_KILLING",
            Self::Other => "unknown",
            Self::Ended => "one of the last",
        })
    }
}

/// Where an address came from; the order of preference is the configuration's `IPSources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressSource {
    /// `statuses[].container_status.network_infos[]`
    NetInfo,
    /// Label `MesosContainerizer.NetworkSettings.IPAddress` of the status.
    Mesos,
    /// Label `Docker.NetworkSettings.IPAddress` of the status.
    Docker,
    /// The agent's own address.
    Host,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Not empty: a DiscoveryInfo without a name counts as none.
    pub name: Arc<str>,
    pub ports: Box<[DiscoveryPort]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryPort {
    /// 1 to 65535; others are left out when read, and named in the task's `faults`.
    pub number: u16,
    pub name: Arc<str>,
    pub protocol: Arc<str>,
}

/// An object of the document that gave no records, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub kind: SkippedKind,
    pub id: Box<str>,
    pub name: Box<str>,
    /// A sentence's end: `state is TASK_STAGING`, `ports: "[31000]" is not a list of ranges`.
    pub why: Box<str>,
    /// As in every healthy cluster (a task that is still staging), so nothing to log.
    pub expected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkippedKind {
    Task,
    Agent,
    Framework,
}

impl fmt::Display for SkippedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Framework => "framework",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, name: &str, ordinal: u32) -> Arc<Task> {
        Arc::new(Task {
            framework_id: "f".into(),
            id: id.into(),
            name: name.into(),
            // Ten agents, told by the last digit.
            agent_id: id[id.len() - 1..].into(),
            state: TaskState::Running,
            ordinal,
            running_since: NO_STATUS,
            addresses: Few::default(),
            is_unhealthy: false,
            is_bridge: false,
            port_ranges: Few::default(),
            discovery: None,
            faults: None,
        })
    }

    fn agent(id: &str, hostname: &str) -> Arc<Agent> {
        Arc::new(Agent {
            id: id.into(),
            hostname: hostname.into(),
            pid: None,
            domain: None,
        })
    }

    fn cluster(tasks: Vec<Arc<Task>>, agents: Vec<Arc<Agent>>) -> Cluster {
        Cluster {
            tasks: Tasks::from_unsorted(tasks),
            agents: agents.into(),
            ..Cluster::default()
        }
    }

    #[test]
    fn equal_cluster_shares_all_with_the_old_one() {
        let make = |first: u32| {
            let tasks = (0..3_000).map(|id| task(&id.to_string(), "web", id + first));
            cluster(tasks.collect(), vec![agent("a", "x"), agent("b", "y")])
        };
        let old = make(0);
        let mut new = make(7);
        new.adopt(&old);
        assert_eq!(new.tasks.differing(&old.tasks).count(), 0);
        assert!(Arc::ptr_eq(&new.agents, &old.agents));
    }

    #[test]
    fn changed_task_copies_one_shard_and_shares_its_neighbours() {
        let make = |changed: u32, name: &str| {
            let tasks = (0..10_000).map(|id| {
                let name = if id == changed { name } else { "web" };
                task(&id.to_string(), name, id)
            });
            cluster(tasks.collect(), Vec::new())
        };
        let old = make(77, "web");
        let mut new = make(77, "api");
        new.adopt(&old);
        let differing: Vec<_> = new.tasks.differing(&old.tasks).collect();
        let [(_, old_shard, new_shard)] = differing[..] else {
            panic!("{} shards differ", differing.len());
        };
        let shared = new_shard
            .tasks()
            .iter()
            .filter(|task| old_shard.tasks().iter().any(|old| Arc::ptr_eq(task, old)));
        assert_eq!(shared.count(), new_shard.tasks().len() - 1);
    }

    #[test]
    fn added_removed_and_doubled_tasks_are_adopted_rightly() {
        let old = cluster(
            (0..5_000)
                .map(|id| task(&id.to_string(), "web", id))
                .collect(),
            Vec::new(),
        );
        let mut tasks: Vec<_> = (100..6_000)
            .map(|id| task(&id.to_string(), "web", id))
            .collect();
        tasks.push(task("200", "web", 9_000));
        tasks.push(task("200", "other", 9_001));
        let wanted = cluster(tasks.clone(), Vec::new());
        let mut new = cluster(tasks, Vec::new());
        new.adopt(&old);
        assert_eq!(new.tasks.len(), 5_902);
        for (new, wanted) in new.tasks.iter().zip(wanted.tasks.iter()) {
            assert_eq!(new, wanted);
        }
    }

    #[test]
    fn moved_agents_are_shared_and_changed_ones_are_not() {
        let old = cluster(
            Vec::new(),
            vec![agent("a", "x"), agent("b", "y"), agent("c", "z")],
        );
        let mut new = cluster(Vec::new(), vec![agent("b", "y"), agent("c", "new")]);
        new.adopt(&old);
        assert!(Arc::ptr_eq(&new.agents[0], &old.agents[1]));
        assert_eq!(&*new.agents[1].hostname, "new");
    }
}
