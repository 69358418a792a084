//! Changes of a made-up cluster that are more than a task's: agents and frameworks that go and come,
//! and what a new leader sees of it all. In: a Cluster. Out: it, changed, and the events that a real
//! master sends for it, in its order. PURE.

use std::fmt;

use super::cluster::{Cluster, Framework, Standing, Task, TaskState};
use super::plan;
use crate::limits::{SIMULATE_FRAMEWORKS_MAX, SIMULATE_TASKS_MAX};

/// What a master tells its subscribers. The numbers are those of `Cluster::agents` and
/// `Cluster::frameworks`.
#[derive(Clone, Debug)]
pub enum Event {
    TaskAdded(Task),
    TaskUpdated(Task, Update),
    AgentAdded(u32),
    AgentRemoved(u32),
    FrameworkAdded(u32),
    FrameworkUpdated(u32),
    FrameworkRemoved(u32),
}

/// Why a task is in another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    Starting,
    Running,
    Killed,
    AgentUnreachable,
    AgentRemoved,
    FrameworkRemoved,
}

/// Why a change is not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    NoAgent { index: usize, agents: usize },
    NoFramework { index: usize, frameworks: usize },
    Standing { index: usize, standing: Standing },
    FrameworkRemoved { index: usize },
    TooMany { what: &'static str, max: usize },
    NoInstance { app: String, instance: usize },
}

impl Cluster {
    /// What was to be told since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The master hears nothing more of an agent. There is no AGENT_REMOVED: its tasks alone tell.
    pub fn lose_agent(&mut self, index: usize) -> Result<(), ChangeError> {
        self.expect_standing(index, &[Standing::Active])?;
        self.clock += 1;
        self.move_tasks(index, TaskState::Unreachable, Update::AgentUnreachable);
        self.agents[index].standing = Standing::Unreachable;
        Ok(())
    }

    /// An unreachable agent is heard again, with its tasks, or one that a new leader waits for.
    pub fn return_agent(&mut self, index: usize) -> Result<(), ChangeError> {
        let is_awaited = self.awaited().any(|awaited| awaited == index);
        if !is_awaited {
            self.expect_standing(index, &[Standing::Unreachable])?;
        }
        self.clock += 1;
        self.agents[index].standing = Standing::Active;
        for place in 0..self.tasks.len() {
            let task = &mut self.tasks[place];
            if task.agent as usize != index || task.state != TaskState::Unreachable {
                continue;
            }
            task.state = match task.is_hungry() {
                true => TaskState::Staging,
                false => TaskState::Running,
            };
        }
        self.register(index);
        Ok(())
    }

    /// A health check of one of an application's instances finds something, or there is none any more.
    /// The task's state stays, and a real master tells it all the same for the reason of the status.
    pub fn set_health(
        &mut self,
        app: &str,
        instance: usize,
        healthy: Option<bool>,
    ) -> Result<(), ChangeError> {
        let tasks = self.find_app(app).map_or(&[][..], |app| &app.tasks);
        let place = tasks.get(instance).map(|&place| place as usize);
        let place = place
            .filter(|&place| self.tasks[place].state == TaskState::Running)
            .ok_or_else(|| ChangeError::NoInstance {
                app: app.to_owned(),
                instance,
            })?;
        self.clock += 1;
        let checked = self.clock.max(self.tasks[place].checked + 1);
        let task = &mut self.tasks[place];
        (task.checked, task.healthy) = (checked, healthy);
        let task = task.clone();
        if self.is_listed(task.agent) {
            self.events.push(Event::TaskUpdated(task, Update::Running));
        }
        Ok(())
    }

    /// An agent says goodbye: its tasks are lost, and then it is gone for ever.
    pub fn remove_agent(&mut self, index: usize) -> Result<(), ChangeError> {
        self.expect_standing(index, &[Standing::Active, Standing::Unreachable])?;
        self.clock += 1;
        let was_listed = self.is_listed(index as u32);
        self.move_tasks(index, TaskState::Lost, Update::AgentRemoved);
        self.agents[index].standing = Standing::Removed;
        if was_listed {
            self.events.push(Event::AgentRemoved(index as u32));
        }
        self.resubscribe();
        Ok(())
    }

    /// The tasks of an agent that are neither ended nor in this state come into it.
    fn move_tasks(&mut self, agent: usize, state: TaskState, update: Update) {
        let is_listed = self.is_listed(agent as u32);
        for place in 0..self.tasks.len() {
            let task = &mut self.tasks[place];
            if task.agent as usize != agent || task.has_ended() {
                continue;
            }
            task.state = state;
            task.changed = self.clock;
            if is_listed {
                let task = task.clone();
                if task.has_ended() {
                    self.keep_ended(task.clone());
                }
                self.events.push(Event::TaskUpdated(task, update));
            }
        }
    }

    /// A framework ends, and each of its tasks with it.
    pub fn tear_down(&mut self, index: usize) -> Result<(), ChangeError> {
        self.expect_framework(index)?;
        self.clock += 1;
        for place in 0..self.tasks.len() {
            let task = &mut self.tasks[place];
            if task.has_ended() || self.apps[task.app as usize].plan.framework != index {
                continue;
            }
            // The master forgets unreachable tasks without a word (`Master::removeFramework`).
            let is_told = task.state != TaskState::Unreachable;
            task.state = TaskState::Killed;
            task.changed = self.clock;
            let task = task.clone();
            if is_told && self.is_listed(task.agent) {
                self.keep_ended(task.clone());
                self.events
                    .push(Event::TaskUpdated(task, Update::FrameworkRemoved));
            }
        }
        let framework = &mut self.frameworks[index];
        framework.is_removed = true;
        framework.unregistered = self.clock;
        if framework.is_seen {
            self.events.push(Event::FrameworkRemoved(index as u32));
        }
        Ok(())
    }

    /// A new framework, and its first application of that name. Gives its number.
    pub fn add_framework(
        &mut self,
        name: &str,
        app: &str,
        tasks: usize,
    ) -> Result<usize, ChangeError> {
        let too_many = |what, max| Err(ChangeError::TooMany { what, max });
        if self.frameworks.len() >= SIMULATE_FRAMEWORKS_MAX {
            return too_many("frameworks", SIMULATE_FRAMEWORKS_MAX);
        }
        if self.tasks.len().saturating_add(tasks) > SIMULATE_TASKS_MAX {
            return too_many("tasks", SIMULATE_TASKS_MAX);
        }
        self.clock += 1;
        let index = self.frameworks.len();
        let hostname = format!("{index}.frameworks.example.internal");
        self.frameworks.push(Framework::new(name, None, &hostname));
        self.events.push(Event::FrameworkAdded(index as u32));
        let first = self.tasks.len();
        self.start_app(plan::added(index, app, tasks));
        for place in first..self.tasks.len() {
            let task = self.tasks[place].clone();
            self.tell_started(&task);
        }
        Ok(index)
    }

    /// A framework subscribes anew, perhaps from another host.
    pub fn update_framework(
        &mut self,
        index: usize,
        hostname: Option<&str>,
        pid: Option<&str>,
    ) -> Result<(), ChangeError> {
        self.expect_framework(index)?;
        self.clock += 1;
        let framework = &mut self.frameworks[index];
        framework.updates += 1;
        framework.reregistered = Some(self.clock);
        if let Some(hostname) = hostname {
            hostname.clone_into(&mut framework.hostname);
        }
        if let Some(pid) = pid {
            framework.pid = Some(pid.to_owned());
        }
        framework.is_recovered = false;
        let event = match std::mem::replace(&mut framework.is_seen, true) {
            true => Event::FrameworkUpdated(index as u32),
            false => Event::FrameworkAdded(index as u32),
        };
        self.events.push(event);
        Ok(())
    }

    /// A new leader has seen nobody, and knows of no task that ended before.
    pub fn forget_all(&mut self) {
        for agent in &mut self.agents {
            agent.is_back = false;
        }
        for framework in &mut self.frameworks {
            framework.is_seen = false;
            framework.is_recovered = false;
        }
        self.ended.clear();
        self.events.clear();
    }

    /// Agents that a new leader waits for, in the order in which they return.
    pub fn awaited(&self) -> impl Iterator<Item = usize> {
        let is_awaited = |index: &usize| {
            let agent = &self.agents[*index];
            agent.standing == Standing::Active && !agent.is_back
        };
        (0..self.agents.len()).filter(is_awaited)
    }

    /// One of them returns.
    pub fn reregister(&mut self, index: usize) {
        if self.agents[index].standing == Standing::Active && !self.agents[index].is_back {
            self.register(index);
        }
    }

    /// Everybody is back at one moment. Says nothing of it: nobody is subscribed to a leader that has
    /// not recovered.
    pub fn return_all(&mut self) {
        for agent in &mut self.agents {
            if agent.standing == Standing::Active && !agent.is_back {
                agent.is_back = true;
                agent.reregistered = Some(self.clock);
            }
        }
        self.resubscribe();
        self.events.clear();
    }

    /// The schedulers return once nobody else is waited for, which is also when a master hears of
    /// frameworks without a task.
    fn resubscribe(&mut self) {
        if self.awaited().next().is_some() {
            return;
        }
        for index in 0..self.frameworks.len() {
            let framework = &mut self.frameworks[index];
            if framework.is_removed || (framework.is_seen && !framework.is_recovered) {
                continue;
            }
            framework.is_recovered = false;
            framework.reregistered = Some(self.clock);
            let event = match std::mem::replace(&mut framework.is_seen, true) {
                true => Event::FrameworkUpdated(index as u32),
                false => Event::FrameworkAdded(index as u32),
            };
            self.events.push(event);
        }
    }

    /// An agent reports with its tasks. The master adds those of frameworks that it knows before it
    /// tells of the agent, and recovers the other frameworks after that (`Master::addSlave`,
    /// `Master::recoverFramework`).
    fn register(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        agent.is_back = true;
        agent.reregistered = Some(self.clock);
        let tasks: Vec<Task> = self
            .tasks
            .iter()
            .filter(|task| task.agent as usize == index && !task.has_ended())
            .cloned()
            .collect();
        let framework_of = |cluster: &Self, task: &Task| {
            let framework = cluster.apps[task.app as usize].plan.framework;
            (framework, cluster.frameworks[framework].is_seen)
        };
        let (known, unknown): (Vec<_>, Vec<_>) = tasks
            .into_iter()
            .partition(|task| framework_of(self, task).1);
        self.events.extend(known.into_iter().map(Event::TaskAdded));
        self.events.push(Event::AgentAdded(index as u32));
        for framework in 0..self.frameworks.len() {
            let mut of_framework = unknown
                .iter()
                .filter(|task| framework_of(self, task).0 == framework)
                .peekable();
            if of_framework.peek().is_none() {
                continue;
            }
            let added: Vec<_> = of_framework.cloned().map(Event::TaskAdded).collect();
            self.see_framework(framework);
            self.events.extend(added);
        }
        self.resubscribe();
    }

    /// A task is the first that its master hears of a framework.
    pub(super) fn see_framework(&mut self, index: usize) {
        let framework = &mut self.frameworks[index];
        if framework.is_seen {
            return;
        }
        framework.is_seen = true;
        framework.is_recovered = true;
        self.events.push(Event::FrameworkAdded(index as u32));
    }

    fn expect_standing(&self, index: usize, allowed: &[Standing]) -> Result<(), ChangeError> {
        let agents = self.agents.len();
        let agent = self.agents.get(index);
        let standing = agent
            .ok_or(ChangeError::NoAgent { index, agents })?
            .standing;
        match allowed.contains(&standing) {
            true => Ok(()),
            false => Err(ChangeError::Standing { index, standing }),
        }
    }

    fn expect_framework(&self, index: usize) -> Result<(), ChangeError> {
        let frameworks = self.frameworks.len();
        let framework = self.frameworks.get(index);
        match framework
            .ok_or(ChangeError::NoFramework { index, frameworks })?
            .is_removed
        {
            true => Err(ChangeError::FrameworkRemoved { index }),
            false => Ok(()),
        }
    }
}

impl Task {
    /// No event ever changes it again.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, TaskState::Killed | TaskState::Lost)
    }
}

impl Update {
    /// The state that it leads to.
    pub fn state_name(self) -> &'static str {
        match self {
            Self::Starting => "TASK_STARTING",
            Self::Running => "TASK_RUNNING",
            Self::Killed | Self::FrameworkRemoved => "TASK_KILLED",
            Self::AgentUnreachable => "TASK_UNREACHABLE",
            Self::AgentRemoved => "TASK_LOST",
        }
    }

    /// The executor says it, of its container; else the master, which knows none.
    pub fn is_of_executor(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Killed)
    }

    /// When a task came to it, the same in every document.
    pub fn timestamp(self, task: &Task) -> Timestamp {
        match self {
            Self::Starting => Timestamp(task.started, 25),
            Self::Running => Timestamp(task.checked, 25),
            _ => Timestamp(task.changed, 5),
        }
    }
}

/// Seconds since 1970, and what is written behind the point.
pub struct Timestamp(u64, u8);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent { index, agents } => {
                write!(f, "there is no agent {index}; give an index below {agents}")
            }
            Self::NoFramework { index, frameworks } => write!(
                f,
                "there is no framework {index}; give an index below {frameworks}"
            ),
            Self::Standing { index, standing } => {
                write!(f, "agent {index} is {standing:?}; choose another agent")
            }
            Self::FrameworkRemoved { index } => {
                write!(f, "framework {index} is torn down; add a new one")
            }
            Self::NoInstance { app, instance } => write!(
                f,
                "application {app:?} has no running instance {instance}; count from 0"
            ),
            Self::TooMany { what, max } => write!(f, "there may be at most {max} {what}"),
        }
    }
}

impl std::error::Error for ChangeError {}
