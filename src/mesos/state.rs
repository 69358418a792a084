//! Reads a master's state document. In: its octets, as they arrive. Out: a `Cluster`. It must never
//! lose one good task for the sake of a bad one, nor hold more of the document than one object.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use super::cluster::{Agent, Cluster, Endpoint, Framework, SkippedKind, Task, TaskState, Tasks};
use super::cut::{CutError, Cutter, Kind};
use super::decode::Decoder;
use super::fields::{AgentFields, Loose, TaskFields, Text, fold};
use super::intern::Interner;
use super::skips::Skips;
use super::task::{RUNNING, is_bridge, read_discovery, read_domain, read_running};
use super::values::{name_text, read_loose_pid, read_pid, read_port_ranges};

/// What a document held.
#[derive(Debug)]
pub struct StateRead {
    /// Its `leader` is always there.
    pub cluster: Cluster,
    /// Length of the document, after decompression.
    pub bytes: u64,
    /// Objects of the document that could not be read. The other ones in `cluster.skipped` are in
    /// order but have no records: tasks that do not run, or run on an agent that is not listed.
    pub bad_count: u64,
}

/// Why a document is not taken at all.
#[derive(Debug)]
pub enum StateError {
    Cut(CutError),
    LeaderMissing,
    LeaderBad {
        leader: String,
        why: &'static str,
    },
    WrongType {
        key: &'static str,
        wanted: &'static str,
    },
}

impl From<CutError> for StateError {
    fn from(error: CutError) -> Self {
        Self::Cut(error)
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(error) => error.fmt(f),
            Self::LeaderMissing => {
                f.write_str("the document names no leader; is it a master's state?")
            }
            Self::LeaderBad { leader, why } => write!(f, "the document's leader {leader:?} {why}"),
            Self::WrongType { key, wanted } => write!(f, "{key:?} in the document is not {wanted}"),
        }
    }
}

impl std::error::Error for StateError {}

/// Reads the document to its end. A document longer than `bytes_max` is refused.
pub fn read_state<R: Read>(source: R, bytes_max: u64) -> Result<StateRead, StateError> {
    let mut cutter = Cutter::new(source, bytes_max);
    let mut reader = Reader::default();
    let mut key = String::new();
    cutter.root()?;
    while cutter.next_key(&mut key)? {
        match &*fold(&key) {
            "leader" => reader.leader(&mut cutter)?,
            "id" => reader.master_id(&mut cutter)?,
            "slaves" => reader.agents(&mut cutter)?,
            "frameworks" => reader.frameworks(&mut cutter)?,
            _ => cutter.skip_value()?,
        }
    }
    cutter.finish()?;
    reader.into_state(cutter.bytes_read())
}

#[derive(Default)]
struct Reader {
    decoder: Decoder,
    leader: Option<Endpoint>,
    master_id: Option<Arc<str>>,
    agents: Vec<Arc<Agent>>,
    agents_skipped: Skips,
    /// Ids of agents, of those that tasks name too.
    agent_ids: Interner,
    names: Interner,
    frameworks: Vec<Arc<Framework>>,
    framework_keys: Interner,
    tasks: Vec<(Arc<Task>, AgentIndex)>,
    frameworks_skipped: Skips,
    faults: Vec<Box<str>>,
}

/// Place of an agent's id in `Reader::agent_ids`.
type AgentIndex = u32;

impl Reader {
    fn leader<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<(), StateError> {
        let wrong = StateError::WrongType {
            key: "leader",
            wanted: "a string",
        };
        let raw = cutter.take_value()?.unwrap_or_default();
        let Ok(Text(leader)) = self.decoder.decode(raw) else {
            return Err(wrong);
        };
        if leader.is_empty() {
            self.leader = None;
            return Ok(());
        }
        let endpoint = read_pid(&leader).and_then(|endpoint| match &*endpoint.host {
            "" => Err("has no address"),
            _ => Ok(endpoint),
        });
        match endpoint {
            Ok(endpoint) => self.leader = Some(endpoint),
            Err(why) => {
                let leader = leader.chars().take(200).collect();
                return Err(StateError::LeaderBad { leader, why });
            }
        }
        Ok(())
    }

    fn master_id<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<(), StateError> {
        // Only compared; one that is no text tells as much as none.
        self.master_id = match self.take_loose(cutter)? {
            Loose::Text(id) if !id.is_empty() => Some(Arc::from(&*id)),
            _ => None,
        };
        Ok(())
    }

    fn agents<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<(), StateError> {
        self.agents.clear();
        self.agents_skipped = Skips::default();
        if !enter_list(cutter, "slaves")? {
            return Ok(());
        }
        while cutter.next_item()? {
            let Some(raw) = cutter.take_value()? else {
                self.agents_skipped.add_too_long(SkippedKind::Agent);
                continue;
            };
            let fields: AgentFields<'_> = match self.decoder.decode(raw) {
                Ok(fields) => fields,
                Err(why) => {
                    self.agents_skipped.add_bad(SkippedKind::Agent, raw, &why);
                    continue;
                }
            };
            let id = self.agent_ids.intern(&fields.id.0).0;
            let pid = read_loose_pid(&fields.pid)
                .and_then(|pid| pid.ok_or_else(|| "has no pid".to_owned()))
                .map_err(|why| {
                    self.agents_skipped.bad_count += 1;
                    let name = &fields.hostname.0;
                    self.agents_skipped.add(SkippedKind::Agent, &id, name, why);
                })
                .ok();
            self.agents.push(Arc::new(Agent {
                id,
                hostname: self.names.intern(&fields.hostname.0).0,
                pid,
                domain: read_domain(&fields.domain.0, &mut self.names),
            }));
        }
        Ok(())
    }

    fn frameworks<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<(), StateError> {
        self.frameworks.clear();
        self.tasks.clear();
        self.framework_keys = Interner::default();
        self.frameworks_skipped = Skips::default();
        if !enter_list(cutter, "frameworks")? {
            return Ok(());
        }
        let mut ordinal = 0;
        while cutter.next_item()? {
            self.framework(cutter, ordinal)?;
            ordinal += 1;
        }
        Ok(())
    }

    fn framework<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        ordinal: u32,
    ) -> Result<(), StateError> {
        let mut head = FrameworkHead::default();
        let first_task = self.tasks.len();
        // The tasks' framework as far as it is known when they come.
        let mut tasks_key = None;
        match cutter.kind()? {
            Kind::Object => {
                let mut key = String::new();
                cutter.enter()?;
                while cutter.next_key(&mut key)? {
                    match &*fold(&key) {
                        "id" => head.id = self.take_loose(cutter)?,
                        "name" => head.name = self.take_loose(cutter)?,
                        "pid" => head.pid = self.take_loose(cutter)?,
                        "hostname" => head.hostname = self.take_loose(cutter)?,
                        "tasks" => {
                            self.tasks.truncate(first_task);
                            let id = tasks_key
                                .insert(self.framework_key(&head.id, ordinal))
                                .clone();
                            self.framework_tasks(cutter, &id, &head)?;
                        }
                        _ => cutter.skip_value()?,
                    }
                }
            }
            Kind::Null => cutter.skip_value()?,
            _ => {
                cutter.skip_value()?;
                let kind = SkippedKind::Framework;
                self.frameworks_skipped.bad_count += 1;
                self.frameworks_skipped
                    .add(kind, "", "", "is not an object".into());
                return Ok(());
            }
        }
        let id = self.framework_key(&head.id, ordinal);
        self.framework_keys.intern(&id);
        if tasks_key.is_some_and(|tasks_key| tasks_key != id) {
            for (task, _) in &mut self.tasks[first_task..] {
                Arc::make_mut(task).framework_id = id.clone();
            }
        }
        self.end_framework(&head, id, first_task);
        Ok(())
    }

    /// What tells a framework from the others: its id, but where that is missing or taken.
    fn framework_key(&mut self, id: &Loose<'_>, ordinal: u32) -> Arc<str> {
        match id {
            Loose::Text(id) if id.is_empty() => format!("#{ordinal}").into(),
            Loose::Text(id) if self.framework_keys.find(id).is_some() => {
                format!("{id}#{ordinal}").into()
            }
            Loose::Text(id) => Arc::from(&**id),
            _ => format!("#{ordinal}").into(),
        }
    }

    fn end_framework(&mut self, head: &FrameworkHead, id: Arc<str>, first_task: usize) {
        let kind = SkippedKind::Framework;
        let name = match &head.name {
            Loose::Missing => "",
            Loose::Text(name) => name,
            Loose::Number(_) | Loose::Truth(_) | Loose::Other => {
                // Without its name none of its tasks has one.
                let count = self.tasks.len() - first_task;
                self.tasks.truncate(first_task);
                let why =
                    format!("name is not a string, so its {count} running tasks have no names");
                self.frameworks_skipped.bad_count += 1;
                self.frameworks_skipped.add(kind, &id, "", why);
                return;
            }
        };
        let mut hostname = match &head.hostname {
            Loose::Text(hostname) => hostname,
            _ => "",
        };
        let pid = match read_loose_pid(&head.pid) {
            Ok(pid) => pid,
            Err(why) => {
                self.frameworks_skipped.bad_count += 1;
                self.frameworks_skipped.add(kind, &id, name, why);
                // Only a framework that has no pid at all is where its hostname says.
                hostname = "";
                None
            }
        };
        self.frameworks.push(Arc::new(Framework {
            id,
            name: self.names.intern(name_text(name, "", &mut Vec::new())).0,
            pid,
            hostname: self.names.intern(hostname).0,
        }));
    }

    fn framework_tasks<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        framework_id: &Arc<str>,
        head: &FrameworkHead,
    ) -> Result<(), StateError> {
        match cutter.kind()? {
            Kind::List => cutter.enter()?,
            Kind::Null => return Ok(cutter.skip_value()?),
            _ => {
                cutter.skip_value()?;
                let name = match &head.name {
                    Loose::Text(name) => name,
                    _ => "",
                };
                self.frameworks_skipped.bad_count += 1;
                self.frameworks_skipped.add(
                    SkippedKind::Framework,
                    framework_id,
                    name,
                    "tasks is not a list".into(),
                );
                return Ok(());
            }
        }
        while cutter.next_item()? {
            match cutter.take_value()? {
                Some(raw) => self.task(raw, framework_id),
                None => self.frameworks_skipped.add_too_long(SkippedKind::Task),
            }
        }
        Ok(())
    }

    fn task(&mut self, raw: &[u8], framework_id: &Arc<str>) {
        let kind = SkippedKind::Task;
        let fields: TaskFields<'_> = match self.decoder.decode(raw) {
            Ok(fields) => fields,
            Err(why) => return self.frameworks_skipped.add_bad(kind, raw, &why),
        };
        if fields.state.0 != RUNNING {
            let skips = &mut self.frameworks_skipped;
            let why = |state: &str| match state {
                "" => "has no state".to_owned(),
                _ => format!("state is {state}"),
            };
            return skips.add_with(kind, &fields.id.0, &fields.name.0, true, || {
                why(&fields.state.0)
            });
        }
        let (agent_id, agent_index) = self.agent_ids.intern(&fields.agent_id.0);
        let port_ranges = read_port_ranges(&fields.resources.ports.0, &mut self.faults);
        let discovery = read_discovery(&fields.discovery, &mut self.names, &mut self.faults);
        let running = read_running(&fields.statuses.0, &mut self.faults);
        let name = name_text(&fields.name.0, "task name", &mut self.faults);
        let task = Task {
            framework_id: framework_id.clone(),
            id: Box::from(&*fields.id.0),
            name: self.names.intern(name).0,
            agent_id,
            state: TaskState::Running,
            ordinal: self.tasks.len() as u32,
            running_since: running.since,
            addresses: running.addresses,
            is_unhealthy: running.is_unhealthy,
            is_bridge: is_bridge(&fields.container.0),
            port_ranges: port_ranges.into(),
            discovery,
            faults: match self.faults.is_empty() {
                true => None,
                false => Some(Box::new(std::mem::take(&mut self.faults).into())),
            },
        };
        self.tasks.push((Arc::new(task), agent_index));
    }

    /// A field of the framework; kept beyond the buffer that it stands in.
    fn take_loose<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<Loose<'static>, CutError> {
        let Some(raw) = cutter.take_value()? else {
            return Ok(Loose::Other);
        };
        Ok(match self.decoder.decode(raw) {
            Ok(Loose::Text(text)) => Loose::Text(text.into_owned().into()),
            Ok(Loose::Missing) => Loose::Missing,
            Ok(Loose::Number(number)) => Loose::Number(number),
            Ok(Loose::Truth(truth)) => Loose::Truth(truth),
            Ok(Loose::Other) | Err(_) => Loose::Other,
        })
    }

    fn into_state(mut self, bytes: u64) -> Result<StateRead, StateError> {
        let leader = self.leader.ok_or(StateError::LeaderMissing)?;
        let mut listed = vec![false; self.agent_ids.len()];
        for agent in &self.agents {
            if let Some(index) = self.agent_ids.find(&agent.id) {
                listed[index as usize] = true;
            }
        }
        let mut tasks = Vec::with_capacity(self.tasks.len());
        for (task, agent_index) in self.tasks {
            if listed[agent_index as usize] {
                tasks.push(task);
            } else {
                self.frameworks_skipped.add_with(
                    SkippedKind::Task,
                    &task.id,
                    &task.name,
                    false,
                    || format!("its agent {:?} is not listed", task.agent_id),
                );
            }
        }
        let mut skips = self.agents_skipped;
        skips.append(self.frameworks_skipped);
        Ok(StateRead {
            cluster: Cluster {
                leader: Some(leader),
                master_id: self.master_id,
                frameworks: self.frameworks.into(),
                agents: self.agents.into(),
                tasks: Tasks::from_unsorted(tasks),
                waiting: Tasks::default(),
                skipped: Arc::new(skips.kept),
                skipped_count: skips.count,
            },
            bytes,
            bad_count: skips.bad_count,
        })
    }
}

/// The fields of a framework that may come before or after its tasks.
#[derive(Default)]
struct FrameworkHead {
    id: Loose<'static>,
    name: Loose<'static>,
    pid: Loose<'static>,
    hostname: Loose<'static>,
}

/// Enters a list of the root; null is empty, another type is a document of another kind.
fn enter_list<R: Read>(cutter: &mut Cutter<R>, key: &'static str) -> Result<bool, StateError> {
    match cutter.kind()? {
        Kind::List => {
            cutter.enter()?;
            Ok(true)
        }
        Kind::Null => {
            cutter.skip_value()?;
            Ok(false)
        }
        _ => Err(StateError::WrongType {
            key,
            wanted: "a list",
        }),
    }
}

#[cfg(test)]
mod tests;
