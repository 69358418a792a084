//! Reads the records of the master's event stream (v1 operator API, SUBSCRIBE). In: one record. Out:
//! the snapshot that it begins with, or one event. A record of 100 MB is cut while it arrives; one
//! bad object must never lose the others, while JSON that is broken is an error of the stream.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;

use super::cluster::{Agent, Cluster, Framework, SkippedKind, Task, TaskState, Tasks};
use super::cut::{CutError, Cutter, Kind};
use super::decode::{Decoder, repair};
use super::fields::{Loose, Text, fold};
use super::skips::Skips;
pub use super::task::Running;
pub use super::v1::TaskUpdate;
use super::v1::{
    AgentAddedFields, AgentFields, AgentRemovedFields, FrameworkFields, FrameworkRemovedFields,
    FrameworkToldFields, Keeper, TaskAddedFields, TaskFields, TaskUpdatedFields,
};
use crate::limits::STATE_CUT_BUFFER_BYTES;

/// Takes the object that comes and makes an event of it.
macro_rules! event {
    ($self:ident, $cutter:ident, $kind:literal, |$keeper:ident, $it:ident: $shape:ty| $event:expr) => {
        match $cutter.take_value()? {
            None => Told::Unreadable {
                kind: $kind,
                why: "it is too long".to_owned(),
            },
            Some(raw) => match $self.decoder.decode::<$shape>(raw) {
                Ok($it) => {
                    let $keeper = &mut $self.keeper;
                    Told::Event($event)
                }
                Err(why) => {
                    check_json(raw, $kind)?;
                    Told::Unreadable { kind: $kind, why }
                }
            },
        }
    };
}

/// What a record says.
#[derive(Debug)]
pub enum Told {
    Subscribed(Box<Subscribed>),
    Event(Event),
    Heartbeat,
    /// A type that we do not know; its name.
    Unknown(Box<str>),
    /// An event whose object has not the shape that it should have.
    Unreadable {
        kind: &'static str,
        why: String,
    },
}

/// The snapshot that a stream begins with.
#[derive(Debug)]
pub struct Subscribed {
    /// Without `leader` and `master_id`, which the stream does not tell; no framework has its pid.
    pub cluster: Cluster,
    /// `None`: a master whose stream has no heartbeats, and not all the events of today's either
    /// (before Mesos 1.5).
    pub heartbeat: Option<Duration>,
    /// Objects that could not be read.
    pub bad_count: u64,
}

/// One change of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    TaskAdded(Arc<Task>),
    TaskUpdated(TaskUpdate),
    AgentAdded(Arc<Agent>),
    AgentRemoved(Arc<str>),
    /// Added or updated.
    FrameworkTold(Arc<Framework>),
    FrameworkRemoved(Arc<str>),
}

/// Why a record cannot be read. The stream is not to be trusted then.
#[derive(Debug)]
pub enum EventError {
    Cut(CutError),
    Json { kind: &'static str, why: String },
    WrongType { key: &'static str },
}

impl From<CutError> for EventError {
    fn from(error: CutError) -> Self {
        Self::Cut(error)
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(error) => error.fmt(f),
            Self::Json { kind, why } => write!(f, "the {kind} in a record is not JSON: {why}"),
            Self::WrongType { key } => write!(f, "{key:?} in a record has the wrong type"),
        }
    }
}

impl std::error::Error for EventError {}

/// Reads records; its buffers and texts are kept from one to the next.
pub struct EventReader {
    decoder: Decoder,
    keeper: Keeper,
    buffer: Vec<u8>,
}

impl Default for EventReader {
    fn default() -> Self {
        Self {
            decoder: Decoder::default(),
            keeper: Keeper::default(),
            buffer: vec![0; STATE_CUT_BUFFER_BYTES],
        }
    }
}

impl EventReader {
    /// Reads the record to its end.
    pub fn read<R: Read>(&mut self, record: R) -> Result<Told, EventError> {
        self.keeper.sweep();
        let buffer = std::mem::take(&mut self.buffer);
        // The framing has bounded the record's length.
        let mut cutter = Cutter::with_buffer(record, u64::MAX, buffer);
        let told = self.record(&mut cutter);
        self.buffer = cutter.into_buffer();
        told
    }

    fn record<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<Told, EventError> {
        let mut told = None;
        let mut kind = String::new();
        let mut key = String::new();
        cutter.root()?;
        while cutter.next_key(&mut key)? {
            let found = match &*fold(&key) {
                "type" => {
                    kind = self.text(cutter)?;
                    continue;
                }
                "subscribed" => self.subscribed(cutter)?,
                "task_added" => event!(self, cutter, "task", |keeper, it: TaskAddedFields<'_>| {
                    Event::TaskAdded(Arc::new(keeper.task(&it.task, 0)))
                }),
                "task_updated" => {
                    event!(
                        self,
                        cutter,
                        "status",
                        |keeper, it: TaskUpdatedFields<'_>| {
                            Event::TaskUpdated(keeper.update(&it))
                        }
                    )
                }
                "agent_added" => {
                    event!(self, cutter, "agent", |keeper, it: AgentAddedFields<'_>| {
                        Event::AgentAdded(keeper.agent(&it.agent, &mut Skips::default()))
                    })
                }
                "agent_removed" => {
                    event!(
                        self,
                        cutter,
                        "agent",
                        |keeper, it: AgentRemovedFields<'_>| {
                            Event::AgentRemoved(keeper.id(&it.id))
                        }
                    )
                }
                "framework_added" | "framework_updated" => {
                    event!(
                        self,
                        cutter,
                        "framework",
                        |keeper, it: FrameworkToldFields<'_>| {
                            Event::FrameworkTold(keeper.framework(&it.framework.info))
                        }
                    )
                }
                "framework_removed" => {
                    event!(self, cutter, "framework", |keeper,
                                                       it: FrameworkRemovedFields<
                        '_,
                    >| {
                        Event::FrameworkRemoved(keeper.id(&it.info.id))
                    })
                }
                _ => {
                    cutter.skip_value()?;
                    continue;
                }
            };
            told = Some(found);
        }
        cutter.finish()?;
        Ok(match told {
            Some(told) => told,
            None if kind == "HEARTBEAT" => Told::Heartbeat,
            None => Told::Unknown(kind.into()),
        })
    }

    fn text<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<String, EventError> {
        let raw = cutter.take_value()?.unwrap_or_default();
        match self.decoder.decode(raw) {
            Ok(Text(text)) => Ok(text.into_owned()),
            Err(_) => Err(EventError::WrongType { key: "type" }),
        }
    }

    fn subscribed<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<Told, EventError> {
        let mut snapshot = Snapshot::default();
        let mut heartbeat = None;
        in_object(cutter, &mut |cutter, key| match key {
            "get_state" => in_object(cutter, &mut |cutter, key| match key {
                "get_tasks" => in_object(cutter, &mut |cutter, key| match key {
                    // Those that are unreachable or completed have no names.
                    "tasks" => in_list(cutter, "tasks", |raw| self.task(raw, &mut snapshot)),
                    _ => Ok(cutter.skip_value()?),
                }),
                "get_frameworks" => in_object(cutter, &mut |cutter, key| match key {
                    "frameworks" => in_list(cutter, "frameworks", |raw| {
                        self.framework(raw, &mut snapshot)
                    }),
                    _ => Ok(cutter.skip_value()?),
                }),
                "get_agents" => in_object(cutter, &mut |cutter, key| match key {
                    // Agents that a new master only remembers have not come back.
                    "agents" => in_list(cutter, "agents", |raw| self.agent(raw, &mut snapshot)),
                    _ => Ok(cutter.skip_value()?),
                }),
                _ => Ok(cutter.skip_value()?),
            }),
            "heartbeat_interval_seconds" => {
                let raw = cutter.take_value()?.unwrap_or_default();
                heartbeat = match self.decoder.decode(raw) {
                    Ok(Loose::Number(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
                    _ => None,
                };
                Ok(())
            }
            _ => Ok(cutter.skip_value()?),
        })?;
        let bad_count = snapshot.skips.bad_count;
        Ok(Told::Subscribed(Box::new(Subscribed {
            cluster: snapshot.into_cluster(),
            heartbeat,
            bad_count,
        })))
    }

    fn task(&mut self, raw: Option<&[u8]>, snapshot: &mut Snapshot) -> Result<(), EventError> {
        let kind = SkippedKind::Task;
        let fields = match self.decoder.decode::<TaskFields<'_>>(known(raw)) {
            Ok(fields) => fields,
            Err(why) => return snapshot.bad(kind, raw, &why),
        };
        let ordinal = snapshot.tasks.len() as u32;
        let task = self.keeper.task(&fields, ordinal);
        if task.state != TaskState::Ended {
            snapshot.tasks.push(Arc::new(task));
        }
        Ok(())
    }

    fn framework(&mut self, raw: Option<&[u8]>, snapshot: &mut Snapshot) -> Result<(), EventError> {
        let kind = SkippedKind::Framework;
        match self.decoder.decode::<FrameworkFields<'_>>(known(raw)) {
            Ok(fields) => snapshot
                .frameworks
                .push(self.keeper.framework(&fields.info)),
            Err(why) => return snapshot.bad(kind, raw, &why),
        }
        Ok(())
    }

    fn agent(&mut self, raw: Option<&[u8]>, snapshot: &mut Snapshot) -> Result<(), EventError> {
        let kind = SkippedKind::Agent;
        match self.decoder.decode::<AgentFields<'_>>(known(raw)) {
            Ok(fields) => {
                let agent = self.keeper.agent(&fields, &mut snapshot.skips);
                snapshot.agents.push(agent);
            }
            Err(why) => return snapshot.bad(kind, raw, &why),
        }
        Ok(())
    }
}

/// A snapshot as far as it is read.
#[derive(Default)]
struct Snapshot {
    tasks: Vec<Arc<Task>>,
    agents: Vec<Arc<Agent>>,
    frameworks: Vec<Arc<Framework>>,
    skips: Skips,
}

impl Snapshot {
    fn bad(&mut self, kind: SkippedKind, raw: Option<&[u8]>, why: &str) -> Result<(), EventError> {
        let Some(raw) = raw else {
            self.skips.add_too_long(kind);
            return Ok(());
        };
        check_json(raw, kind_text(kind))?;
        self.skips.add_bad(kind, raw, why);
        Ok(())
    }

    fn into_cluster(self) -> Cluster {
        let listed: HashSet<&str> = self.agents.iter().map(|agent| &*agent.id).collect();
        let (tasks, waiting) = self
            .tasks
            .into_iter()
            .partition(|task| task.state == TaskState::Running && listed.contains(&*task.agent_id));
        Cluster {
            leader: None,
            master_id: None,
            tasks: Tasks::from_unsorted(tasks),
            waiting: Tasks::from_unsorted(waiting),
            frameworks: self.frameworks.into(),
            agents: self.agents.into(),
            skipped: Arc::new(self.skips.kept),
            skipped_count: self.skips.count,
        }
    }
}

/// The octets of an object; of none, which was too long, nothing that could be read.
fn known(raw: Option<&[u8]>) -> &[u8] {
    raw.unwrap_or(b"")
}

fn kind_text(kind: SkippedKind) -> &'static str {
    match kind {
        SkippedKind::Task => "task",
        SkippedKind::Agent => "agent",
        SkippedKind::Framework => "framework",
    }
}

/// An object of a wrong shape is its sender's affair; one that is no JSON says that the stream is
/// damaged.
fn check_json(raw: &[u8], kind: &'static str) -> Result<(), EventError> {
    let mut repaired = Vec::new();
    repair(raw, &mut repaired);
    match serde_json::from_slice::<IgnoredAny>(&repaired) {
        Ok(_) => Ok(()),
        Err(error) => Err(EventError::Json {
            kind,
            why: error.to_string(),
        }),
    }
}

type OnKey<'f, R> = &'f mut dyn FnMut(&mut Cutter<R>, &str) -> Result<(), EventError>;

/// Calls `on_key` for each key of the object that comes next; null is an empty one.
fn in_object<R: Read>(cutter: &mut Cutter<R>, on_key: OnKey<'_, R>) -> Result<(), EventError> {
    match cutter.kind()? {
        Kind::Object => cutter.enter()?,
        Kind::Null => return Ok(cutter.skip_value()?),
        _ => return Err(EventError::WrongType { key: "subscribed" }),
    }
    let mut key = String::new();
    while cutter.next_key(&mut key)? {
        on_key(cutter, &fold(&key))?;
    }
    Ok(())
}

/// Calls `on_item` for each item of the list that comes next: with its octets, or with nothing where
/// it was too long. Null is an empty list.
fn in_list<R: Read>(
    cutter: &mut Cutter<R>,
    key: &'static str,
    mut on_item: impl FnMut(Option<&[u8]>) -> Result<(), EventError>,
) -> Result<(), EventError> {
    match cutter.kind()? {
        Kind::List => cutter.enter()?,
        Kind::Null => return Ok(cutter.skip_value()?),
        _ => return Err(EventError::WrongType { key }),
    }
    while cutter.next_item()? {
        on_item(cutter.take_value()?)?;
    }
    Ok(())
}
