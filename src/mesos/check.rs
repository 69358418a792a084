//! Compares what the event stream came to with the master's whole state. In: a Live cluster, a state
//! document, and what events touched while it was on its way. Out: the differences, mended. PURE.
//!
//! Differences are not all mistakes of ours: a master does not tell a status that leaves a task's
//! state as it was (so that new addresses of a running task are seen here first), nor that an agent
//! without tasks is out of reach.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::cluster::{Cluster, Task};
use super::events::Event;
use super::live::{Effect, Live};
use super::summary::Pids;
use super::v1::TaskUpdate;
use super::values::sum_of_ranges;

/// What events were about since a moment. A document that was asked for then may be older or newer
/// than they are, so that it says nothing of these.
#[derive(Debug, Default)]
pub struct Touched {
    tasks: HashSet<(Arc<str>, Box<str>)>,
    agents: HashSet<Arc<str>>,
    frameworks: HashSet<Arc<str>>,
}

impl Touched {
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::TaskAdded(task) => {
                _ = self
                    .tasks
                    .insert((task.framework_id.clone(), task.id.clone()));
            }
            Event::TaskUpdated(update) => {
                let key = (update.framework_id.clone(), update.task_id.clone());
                self.tasks.insert(key);
                if update.is_agent_lost {
                    self.agents.insert(update.agent_id.clone());
                }
            }
            Event::AgentAdded(agent) => _ = self.agents.insert(agent.id.clone()),
            Event::AgentRemoved(id) => _ = self.agents.insert(id.clone()),
            Event::FrameworkTold(framework) => _ = self.frameworks.insert(framework.id.clone()),
            Event::FrameworkRemoved(id) => _ = self.frameworks.insert(id.clone()),
        }
    }

    fn has_task(&self, task: &Task) -> bool {
        self.agents.contains(&task.agent_id)
            || self.frameworks.contains(&task.framework_id)
            || self
                .tasks
                .contains(&(task.framework_id.clone(), task.id.clone()))
    }
}

/// What the stream's cluster lacks, has too much, or has otherwise than the state.
#[derive(Debug, Default)]
pub struct Differences {
    events: Vec<Difference>,
}

/// One object that differs, and what makes it right.
#[derive(Debug)]
pub struct Difference {
    /// `task "web.1"`, for the log.
    pub what: String,
    pub how: How,
    event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Lacking,
    Surplus,
    Other,
}

impl Differences {
    /// `state` becomes comparable by pointers on the way: it takes over what is equal.
    pub fn between(live: &Live, state: &mut Cluster, touched: &Touched) -> Self {
        state.adopt(live.cluster());
        let mut found = Self::default();
        found.agents(live.cluster(), state, touched);
        found.frameworks(live.cluster(), state, touched);
        found.tasks(live.cluster(), state, touched);
        found
    }

    pub fn iter(&self) -> impl Iterator<Item = &Difference> {
        self.events.iter()
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Makes the live cluster as the state is, in what differs. What only a state can tell, the pids
    /// of frameworks, is no difference, but taken over as well; returns whether records may differ.
    pub fn mend(self, live: &mut Live, state: &Cluster) -> bool {
        let mut changed = false;
        for difference in self.events {
            changed |= live.apply(difference.event) == Effect::Changed;
        }
        let pids: Pids = state
            .frameworks
            .iter()
            .map(|framework| (framework.id.clone(), framework.pid.clone()))
            .collect();
        changed | (live.set_pids(&pids) == Effect::Changed)
    }

    fn note(&mut self, what: String, how: How, event: Event) {
        self.events.push(Difference { what, how, event });
    }

    fn agents(&mut self, live: &Cluster, state: &Cluster, touched: &Touched) {
        if Arc::ptr_eq(&live.agents, &state.agents) {
            return;
        }
        let (ours, theirs) = (
            by_id(&live.agents, |a| &a.id),
            by_id(&state.agents, |a| &a.id),
        );
        for (id, agent) in &theirs {
            let known = ours.get(id);
            if known.is_some_and(|known| known == agent) || touched.agents.contains(&agent.id) {
                continue;
            }
            let how = how(known.is_some());
            self.note(
                format!("agent {id:?}"),
                how,
                Event::AgentAdded((*agent).clone()),
            );
        }
        for (id, agent) in &ours {
            if !theirs.contains_key(id) && !touched.agents.contains(&agent.id) {
                let event = Event::AgentRemoved(agent.id.clone());
                self.note(format!("agent {id:?}"), How::Surplus, event);
            }
        }
    }

    fn frameworks(&mut self, live: &Cluster, state: &Cluster, touched: &Touched) {
        if Arc::ptr_eq(&live.frameworks, &state.frameworks) {
            return;
        }
        let ours = by_id(&live.frameworks, |it| &it.id);
        let theirs = by_id(&state.frameworks, |it| &it.id);
        for (id, framework) in &theirs {
            let known = ours.get(id);
            let same = known.is_some_and(|known| {
                known.name == framework.name && known.hostname == framework.hostname
            });
            if same || touched.frameworks.contains(&framework.id) {
                continue;
            }
            let event = Event::FrameworkTold((*framework).clone());
            self.note(format!("framework {id:?}"), how(known.is_some()), event);
        }
        for (id, framework) in &ours {
            if !theirs.contains_key(id) && !touched.frameworks.contains(&framework.id) {
                let event = Event::FrameworkRemoved(framework.id.clone());
                self.note(format!("framework {id:?}"), How::Surplus, event);
            }
        }
    }

    fn tasks(&mut self, live: &Cluster, state: &Cluster, touched: &Touched) {
        for (_, ours, theirs) in state.tasks.differing(&live.tasks) {
            for task in theirs.tasks() {
                let known = live
                    .tasks
                    .find(&task.agent_id, &task.framework_id, &task.id);
                let same = known.is_some_and(|known| gives_the_same(known, task));
                if !same && !touched.has_task(task) {
                    let event = Event::TaskAdded(task.clone());
                    self.note(format!("task {:?}", task.id), how(known.is_some()), event);
                }
            }
            for task in ours.tasks() {
                let there = state
                    .tasks
                    .find(&task.agent_id, &task.framework_id, &task.id);
                if there.is_none() && !touched.has_task(task) {
                    let event = Event::TaskUpdated(TaskUpdate::end_of(task));
                    self.note(format!("task {:?}", task.id), How::Surplus, event);
                }
            }
        }
    }
}

fn how(is_known: bool) -> How {
    match is_known {
        true => How::Other,
        false => How::Lacking,
    }
}

fn by_id<T>(list: &[Arc<T>], id: impl Fn(&T) -> &Arc<str>) -> HashMap<&str, &Arc<T>> {
    list.iter().map(|object| (&**id(object), object)).collect()
}

/// Whether two tasks give the same records. A document writes port ranges as it likes.
fn gives_the_same(one: &Task, other: &Task) -> bool {
    one.name == other.name
        && one.addresses == other.addresses
        && one.is_unhealthy == other.is_unhealthy
        && one.is_bridge == other.is_bridge
        && one.discovery == other.discovery
        && (one.port_ranges == other.port_ranges
            || sum_of_ranges(&one.port_ranges) == sum_of_ranges(&other.port_ranges))
}
