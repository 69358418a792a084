//! Objects as the v1 operator API writes them, and what becomes of them: tasks, agents, frameworks,
//! statuses. In: the octets of one object. Out: the same types that `/state` gives. They differ from
//! `/state` in their shapes alone, and in one thing left out: a framework has no pid here.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::cluster::{Agent, Framework, SkippedKind, Task, TaskState};
use super::fields::{
    ContainerFields, ContainerInfoFields, DiscoveryFields, DomainFields, LabelFields, List, Loose,
    Loosely, NetworkFields, Real, Text, fold, is_folded, object,
};
use super::intern::Interner;
use super::skips::{Skips, shorten};
use super::task::{
    Running, Status, is_bridge, read_discovery, read_domain, read_running, running_of,
};
use super::values::{PortRanges, name_text, read_loose_pid, sum_of_ranges};

object! {
    IdFields {
        "value" => value: Text<'a>,
    }
}

object! {
    /// One of `get_tasks.tasks`, and of TASK_ADDED.
    TaskFields {
        "task_id" => id: IdFields<'a>,
        "name" => name: Text<'a>,
        "framework_id" => framework_id: IdFields<'a>,
        "agent_id" => agent_id: IdFields<'a>,
        "state" => state: Text<'a>,
        "statuses" => statuses: List<StatusFields<'a>>,
        "resources" => resources: List<ResourceFields<'a>>,
        "discovery" => discovery: DiscoveryFields<'a>,
        "container" => container: Loosely<ContainerInfoFields<'a>>,
    }
}

object! {
    StatusFields {
        "task_id" => task_id: IdFields<'a>,
        "agent_id" => agent_id: IdFields<'a>,
        "state" => state: Text<'a>,
        "source" => source: Text<'a>,
        "reason" => reason: Text<'a>,
        "timestamp" => timestamp: Real,
        "labels" => labels: LabelsFields<'a>,
        "container_status" => container: ContainerFields<'a>,
        "healthy" => healthy: Loose<'a>,
    }
}

object! {
    LabelsFields {
        "labels" => labels: List<LabelFields<'a>>,
    }
}

object! {
    ResourceFields {
        "name" => name: Text<'a>,
        "ranges" => ranges: RangesFields<'a>,
    }
}

object! {
    RangesFields {
        "range" => ranges: List<RangeFields<'a>>,
    }
}

object! {
    RangeFields {
        "begin" => begin: Loose<'a>,
        "end" => end: Loose<'a>,
    }
}

object! {
    /// One of `get_agents.agents`, and of AGENT_ADDED.
    AgentFields {
        "agent_info" => info: AgentInfoFields<'a>,
        "pid" => pid: Loose<'a>,
    }
}

object! {
    AgentInfoFields {
        "id" => id: IdFields<'a>,
        "hostname" => hostname: Text<'a>,
        "domain" => domain: Loosely<DomainFields<'a>>,
    }
}

object! {
    /// One of `get_frameworks.frameworks`, and of FRAMEWORK_ADDED and FRAMEWORK_UPDATED.
    FrameworkFields {
        "framework_info" => info: FrameworkInfoFields<'a>,
    }
}

object! {
    FrameworkInfoFields {
        "id" => id: IdFields<'a>,
        "name" => name: Text<'a>,
        "hostname" => hostname: Text<'a>,
    }
}

object! {
    TaskAddedFields {
        "task" => task: TaskFields<'a>,
    }
}

object! {
    TaskUpdatedFields {
        "framework_id" => framework_id: IdFields<'a>,
        "state" => state: Text<'a>,
        "status" => status: StatusFields<'a>,
    }
}

object! {
    AgentAddedFields {
        "agent" => agent: AgentFields<'a>,
    }
}

object! {
    AgentRemovedFields {
        "agent_id" => id: IdFields<'a>,
    }
}

object! {
    /// FRAMEWORK_ADDED and FRAMEWORK_UPDATED.
    FrameworkToldFields {
        "framework" => framework: FrameworkFields<'a>,
    }
}

object! {
    FrameworkRemovedFields {
        "framework_info" => info: FrameworkInfoFields<'a>,
    }
}

object! {
    /// The answer to GET_MASTER.
    GetMasterFields {
        "get_master" => answer: MasterFields<'a>,
    }
}

object! {
    MasterFields {
        "master_info" => info: MasterInfoFields<'a>,
    }
}

object! {
    MasterInfoFields {
        "id" => id: Text<'a>,
        "pid" => pid: Loose<'a>,
        "version" => version: Text<'a>,
    }
}

/// What a status says of a task that is known already.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskUpdate {
    pub framework_id: Arc<str>,
    pub task_id: Box<str>,
    /// Empty where the status does not say it.
    pub agent_id: Arc<str>,
    /// The task's state. The status's own may be behind it.
    pub state: TaskState,
    /// Where the status is one of a running task.
    pub running: Option<Running>,
    /// The master lost the agent, and says it of each of its tasks; no other event tells it.
    pub is_agent_lost: bool,
}

impl TaskUpdate {
    /// Says that a task is over.
    pub fn end_of(task: &Task) -> Self {
        Self {
            framework_id: task.framework_id.clone(),
            task_id: task.id.clone(),
            agent_id: task.agent_id.clone(),
            state: TaskState::Ended,
            running: None,
            is_agent_lost: false,
        }
    }
}

/// Turns fields into what is kept of them.
#[derive(Default)]
pub struct Keeper {
    pub ids: Interner,
    pub names: Interner,
    faults: Vec<Box<str>>,
}

impl Keeper {
    pub fn task(&mut self, fields: &TaskFields<'_>, ordinal: u32) -> Task {
        let mut ports = PortRanges::new(&mut self.faults);
        let of_ports = |resource: &&ResourceFields<'_>| resource.name.0 == "ports";
        let mut ranges = fields
            .resources
            .0
            .iter()
            .filter(of_ports)
            .flat_map(|resource| &resource.ranges.ranges.0);
        let _all_fit = ranges.all(|range| match (&range.begin, &range.end) {
            (Loose::Number(begin), Loose::Number(end)) => {
                ports.add(*begin as i64, *end as i64, &(begin, end))
            }
            _ => {
                ports.fault("a range has no two numbers".to_owned());
                true
            }
        });
        let port_ranges = sum_of_ranges(&ports.ranges);
        let discovery = read_discovery(&fields.discovery, &mut self.names, &mut self.faults);
        let running = read_running(&fields.statuses.0, &mut self.faults);
        let name = name_text(&fields.name.0, "task name", &mut self.faults);
        Task {
            framework_id: self.ids.intern(&fields.framework_id.value.0).0,
            id: Box::from(&*fields.id.value.0),
            name: self.names.intern(name).0,
            agent_id: self.ids.intern(&fields.agent_id.value.0).0,
            state: TaskState::from_name(&fields.state.0),
            ordinal,
            running_since: running.since,
            addresses: running.addresses,
            is_unhealthy: running.is_unhealthy,
            is_bridge: is_bridge(&fields.container.0),
            port_ranges,
            discovery,
            faults: match self.faults.is_empty() {
                true => None,
                false => Some(Box::new(std::mem::take(&mut self.faults).into())),
            },
        }
    }

    pub fn update(&mut self, fields: &TaskUpdatedFields<'_>) -> TaskUpdate {
        let status = &fields.status;
        let is_running = TaskState::from_name(&status.state.0) == TaskState::Running;
        TaskUpdate {
            framework_id: self.ids.intern(&fields.framework_id.value.0).0,
            task_id: Box::from(&*status.task_id.value.0),
            agent_id: self.ids.intern(&status.agent_id.value.0).0,
            state: TaskState::from_name(&fields.state.0),
            running: is_running.then(|| running_of(status, &mut Vec::new())),
            // Only the master itself knows that an agent is out of reach; tasks of frameworks that
            // are not partition-aware are TASK_LOST then.
            is_agent_lost: status.source.0 == "SOURCE_MASTER"
                && matches!(
                    &*status.reason.0,
                    "REASON_AGENT_REMOVED" | "REASON_SLAVE_REMOVED"
                ),
        }
    }

    /// An agent without a pid that can be read has no address, which `skips` is told.
    pub fn agent(&mut self, fields: &AgentFields<'_>, skips: &mut Skips) -> Arc<Agent> {
        let id = self.ids.intern(&fields.info.id.value.0).0;
        let hostname = self.names.intern(&fields.info.hostname.0).0;
        let pid = read_loose_pid(&fields.pid)
            .and_then(|pid| pid.ok_or_else(|| "has no pid".to_owned()))
            .map_err(|why| {
                skips.bad_count += 1;
                skips.add(SkippedKind::Agent, &id, &hostname, shorten(&why).to_owned());
            })
            .ok();
        Arc::new(Agent {
            id,
            hostname,
            pid,
            domain: read_domain(&fields.info.domain.0, &mut self.names),
        })
    }

    pub fn framework(&mut self, fields: &FrameworkInfoFields<'_>) -> Arc<Framework> {
        Arc::new(Framework {
            id: self.ids.intern(&fields.id.value.0).0,
            name: self
                .names
                .intern(name_text(&fields.name.0, "", &mut Vec::new()))
                .0,
            pid: None,
            hostname: self.names.intern(&fields.hostname.0).0,
        })
    }

    pub fn id(&mut self, fields: &IdFields<'_>) -> Arc<str> {
        self.ids.intern(&fields.value.0).0
    }

    /// Forgets texts that no object has any more.
    pub fn sweep(&mut self) {
        self.ids.sweep_when_grown();
        self.names.sweep_when_grown();
    }
}

impl Status for StatusFields<'_> {
    fn state(&self) -> &str {
        &self.state.0
    }

    fn timestamp(&self) -> f64 {
        self.timestamp.0
    }

    fn labels(&self) -> &[LabelFields<'_>] {
        &self.labels.labels.0
    }

    fn networks(&self) -> &[NetworkFields<'_>] {
        &self.container.networks.0
    }

    fn healthy(&self) -> &Loose<'_> {
        &self.healthy
    }
}
