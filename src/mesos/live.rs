//! A Cluster that follows the master's events. In: a snapshot, then one event after the other. Out:
//! the Cluster as the master's `/state` would give it now. PURE: no clock, no I/O. The cost of an
//! event must grow with what it changes, not with the cluster.
//!
//! The stream says less than `/state` in two places, and what it does not say is worked out: an agent
//! that is out of reach sends no AGENT_REMOVED, but the master's statuses of its tasks say so; and a
//! framework's pid never comes, so that the one known from `/state` or `/state-summary` is kept.
//! Neither order of an agent, a framework and its tasks may be assumed: a task without its agent
//! waits for it.

use std::collections::HashSet;
use std::sync::Arc;

use super::cluster::{Agent, Cluster, Framework, List, Task, TaskState, Tasks};
use super::events::Event;
use super::summary::Pids;
use super::tasks::FrameworkSet;
use super::v1::TaskUpdate;

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that records are made of differs.
    Nothing,
    /// Records may differ.
    Changed,
    /// It does not fit what is known, so that something was missed: time to look at the whole state.
    Unfitting,
}

/// A Cluster under change.
#[derive(Debug, Default)]
pub struct Live {
    cluster: Cluster,
    /// Ids of its agents.
    agents: HashSet<Arc<str>>,
}

impl Live {
    pub fn new(cluster: Cluster) -> Self {
        let agents = cluster.agents.iter().map(|agent| agent.id.clone());
        Self {
            agents: agents.collect(),
            cluster,
        }
    }

    /// The cluster as it is now; a copy of it shares what does not change.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn apply(&mut self, event: Event) -> Effect {
        match event {
            Event::TaskAdded(task) => self.put_task(task),
            Event::TaskUpdated(update) => self.update_task(update),
            Event::AgentAdded(agent) => self.add_agent(agent),
            Event::AgentRemoved(id) => self.remove_agent(&id),
            Event::FrameworkTold(framework) => self.tell_framework(&framework),
            Event::FrameworkRemoved(id) => self.remove_framework(&id),
        }
    }

    /// Fills in the pids of frameworks, by their ids; a framework that is not named keeps its own.
    pub fn set_pids(&mut self, pids: &Pids) -> Effect {
        let differs = |framework: &&Arc<Framework>| {
            let told = pids.get(&framework.id);
            told.is_some_and(|pid| *pid != framework.pid)
        };
        if !self.cluster.frameworks.iter().any(|it| differs(&it)) {
            return Effect::Nothing;
        }
        let frameworks = self.cluster.frameworks.iter();
        self.cluster.frameworks = frameworks
            .map(|framework| match pids.get(&framework.id) {
                Some(pid) if *pid != framework.pid => Arc::new(Framework {
                    pid: pid.clone(),
                    ..Framework::clone(framework)
                }),
                _ => framework.clone(),
            })
            .collect();
        Effect::Changed
    }

    /// Puts a task where it belongs, in place of what was known of it.
    fn put_task(&mut self, task: Arc<Task>) -> Effect {
        let Self { cluster, agents } = self;
        let (agent, framework, id) = (&task.agent_id, &task.framework_id, &task.id);
        let is_served = task.state == TaskState::Running && agents.contains(agent);
        if !is_served {
            let was_served = cluster.tasks.remove(agent, framework, id).is_some();
            match task.state {
                TaskState::Ended => _ = cluster.waiting.remove(agent, framework, id),
                _ => cluster.waiting.insert(task),
            }
            return changed_if(was_served);
        }
        cluster.waiting.remove(agent, framework, id);
        let known = cluster.tasks.find(agent, framework, id);
        let differs = known.is_none_or(|known| **known != *task);
        cluster.tasks.insert(task);
        changed_if(differs)
    }

    fn update_task(&mut self, update: TaskUpdate) -> Effect {
        let lost = match update.is_agent_lost {
            true => self.remove_agent(&update.agent_id),
            false => Effect::Nothing,
        };
        let Some((task, was_served)) = self.find_task(&update) else {
            // What is over may be told of twice; with a lost agent its tasks went as well.
            return match update.state {
                TaskState::Ended => lost,
                _ => Effect::Unfitting,
            };
        };
        if update.state == TaskState::Ended {
            let (agent, framework) = (&task.agent_id, &task.framework_id);
            self.cluster.waiting.remove(agent, framework, &task.id);
            let served = self.cluster.tasks.remove(agent, framework, &task.id);
            return changed_if(served.is_some() || lost == Effect::Changed);
        }
        let mut next = Task::clone(&task);
        next.state = update.state;
        // A status takes the place of the one before it where both are of one state, and so counts
        // whatever its time says; behind other statuses the later one counts.
        if let Some(running) = update.running
            && (was_served || running.since > next.running_since)
        {
            next.running_since = running.since;
            next.addresses = running.addresses;
            next.is_unhealthy = running.is_unhealthy;
        }
        self.put_task(Arc::new(next))
    }

    /// The task of an update, and whether it has records now. A status mostly names its agent.
    fn find_task(&self, update: &TaskUpdate) -> Option<(Arc<Task>, bool)> {
        let (agent, framework, id) = (&update.agent_id, &update.framework_id, &*update.task_id);
        let Cluster { tasks, waiting, .. } = &self.cluster;
        for (tasks, is_served) in [(tasks, true), (waiting, false)] {
            if let Some(task) = tasks.find(agent, framework, id) {
                return Some((task.clone(), is_served));
            }
        }
        if !agent.is_empty() {
            return None;
        }
        let is_it = |task: &&Arc<Task>| *task.id == *id && task.framework_id == *framework;
        let served = tasks.iter().find(is_it).map(|task| (task.clone(), true));
        served.or_else(|| waiting.iter().find(is_it).map(|task| (task.clone(), false)))
    }

    fn add_agent(&mut self, agent: Arc<Agent>) -> Effect {
        let cluster = &mut self.cluster;
        let known =
            self.agents.contains(&agent.id) && cluster.agents.iter().any(|known| **known == *agent);
        if !known {
            cluster.agents = with(&cluster.agents, agent.clone(), |other| other.id == agent.id);
        }
        self.agents.insert(agent.id.clone());
        for task in of_agent(&cluster.waiting, &agent.id) {
            if task.state == TaskState::Running {
                cluster
                    .waiting
                    .remove(&agent.id, &task.framework_id, &task.id);
                cluster.tasks.insert(task);
            }
        }
        // Those that waited did so because it was not known.
        changed_if(!known)
    }

    /// Takes an agent out, with its tasks: those of one that comes back are added anew.
    fn remove_agent(&mut self, id: &str) -> Effect {
        let cluster = &mut self.cluster;
        for tasks in [&mut cluster.waiting, &mut cluster.tasks] {
            for task in of_agent(tasks, id) {
                tasks.remove(id, &task.framework_id, &task.id);
            }
        }
        let was_listed = self.agents.remove(id);
        if was_listed {
            cluster.agents = without(&cluster.agents, |agent| *agent.id == *id);
        }
        changed_if(was_listed)
    }

    fn tell_framework(&mut self, told: &Framework) -> Effect {
        let frameworks = &self.cluster.frameworks;
        let known = frameworks.iter().find(|known| known.id == told.id);
        let framework = Framework {
            pid: known.and_then(|known| known.pid.clone()),
            ..told.clone()
        };
        if known.is_some_and(|known| **known == framework) {
            return Effect::Nothing;
        }
        self.cluster.frameworks =
            with(frameworks, Arc::new(framework), |other| other.id == told.id);
        Effect::Changed
    }

    fn remove_framework(&mut self, id: &str) -> Effect {
        let cluster = &mut self.cluster;
        let set: FrameworkSet = [id].into_iter().collect();
        for tasks in [&mut cluster.waiting, &mut cluster.tasks] {
            let gone: Vec<Arc<Task>> = tasks
                .shards()
                .filter(|shard| shard.may_have(set))
                .flat_map(|shard| shard.tasks())
                .filter(|task| *task.framework_id == *id)
                .cloned()
                .collect();
            for task in gone {
                tasks.remove(&task.agent_id, id, &task.id);
            }
        }
        let count = cluster.frameworks.len();
        if cluster.frameworks.iter().any(|known| *known.id == *id) {
            cluster.frameworks = without(&cluster.frameworks, |framework| *framework.id == *id);
        }
        changed_if(cluster.frameworks.len() != count)
    }
}

fn changed_if(changed: bool) -> Effect {
    match changed {
        true => Effect::Changed,
        false => Effect::Nothing,
    }
}

fn of_agent(tasks: &Tasks, id: &str) -> Vec<Arc<Task>> {
    let shard = tasks.shard(id).tasks().iter();
    shard
        .filter(|task| *task.agent_id == *id)
        .cloned()
        .collect()
}

/// The list with an object, in place of the one that it replaces, or at its end.
fn with<T>(list: &List<T>, object: Arc<T>, is_replaced: impl Fn(&T) -> bool) -> List<T> {
    let mut objects = list.to_vec();
    match objects.iter().position(|other| is_replaced(other)) {
        Some(place) => objects[place] = object,
        None => objects.push(object),
    }
    objects.into()
}

fn without<T>(list: &List<T>, is_gone: impl Fn(&T) -> bool) -> List<T> {
    let kept = list.iter().filter(|object| !is_gone(object));
    kept.cloned().collect()
}
