//! Holds what a master does not know yet. In: what was served, and what a master that just began to
//! lead lists. Out: both together, until the agents are back. PURE: the time is an argument.
//!
//! After an election the new leader knows no agent until it registers again (Mesos gives them ten
//! minutes), and its state lists neither their tasks nor their frameworks meanwhile. The same emptiness
//! comes from a master that has not recovered, or that shows a principal nothing. So what vanished
//! in such a state stays: agents, the tasks on those that are not back, frameworks. What is added
//! applies at once, and so does what the master says in so many words (a task's end, an agent's or a
//! framework's removal). A task whose agent is back and that was not told of again within
//! `HOLD_SETTLE` is over: the stream tells an agent before its tasks.
//!
//! Only a master that speaks lets go: one that is gone tells nothing of agents that were not back yet.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::HOLD_SETTLE;
use crate::mesos::cluster::{Agent, Cluster, Framework, Task, TaskState};
use crate::mesos::events::{Event, TaskUpdate};
use crate::mesos::live::{Effect, Live};
use crate::stats::freshness::HeldCounts;

/// `HoldPercent` and `HoldSeconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldSettings {
    /// So many of the agents known before must be back, in percent.
    pub agents_percent: u32,
    /// For so long at the most; zero: nothing is held.
    pub time_max: Duration,
}

/// Why something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    NewMaster,
    NoAgents,
    NoFrameworks,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::NewMaster => "another master leads",
            Self::NoAgents => "the master lists no agent",
            Self::NoFrameworks => "the master lists no framework",
        }
    }
}

/// Why nothing is held any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    AgentsBack,
    TimeOver,
}

/// Decides what is held.
#[derive(Debug)]
pub struct Holder {
    settings: HoldSettings,
    window: Option<Window>,
}

/// A time in which absence says nothing.
#[derive(Debug)]
struct Window {
    cause: Cause,
    since: Instant,
    until: Instant,
    /// Agents that were known when it began, and those of them that were not told of since.
    agents_known: usize,
    agents_missing: HashSet<Arc<str>>,
    /// When the last of those that are back was told of.
    back_at: Instant,
    /// The master knows of some agent.
    has_agents: bool,
    /// Frameworks must be told of, too, where there were any.
    wants_frameworks: bool,
    /// Held tasks by agent.
    tasks: HashMap<Arc<str>, Keys>,
    tasks_count: usize,
    agents: HashSet<Arc<str>>,
    frameworks: HashSet<Arc<str>>,
    /// Agents that are back, with the time at which those of their tasks that were not told of again
    /// are over; the earliest first.
    settling: VecDeque<(Instant, Arc<str>)>,
}

/// Framework and task ids.
type Keys = HashSet<(Arc<str>, Box<str>)>;

impl Holder {
    pub fn new(settings: HoldSettings) -> Self {
        Self {
            settings,
            window: None,
        }
    }

    pub fn set(&mut self, settings: HoldSettings) {
        self.settings = settings;
    }

    /// What is held at present.
    pub fn counts(&self) -> Option<HeldCounts> {
        self.window.as_ref().map(|window| HeldCounts {
            cause: window.cause.text(),
            since: window.since,
            until: window.until,
            tasks: window.tasks_count,
            agents: window.agents.len(),
            frameworks: window.frameworks.len(),
            agents_known: window.agents_known,
            agents_back: window.agents_known - window.agents_missing.len(),
        })
    }

    /// Held tasks, for naming some of them.
    pub fn tasks<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Arc<Task>> {
        let of_agents = self.window.iter().flat_map(|window| &window.tasks);
        of_agents.flat_map(move |(agent, keys)| {
            let keys = keys.iter();
            keys.filter_map(move |(framework, id)| cluster.tasks.find(agent, framework, id))
        })
    }

    /// Takes a master's whole view: adds to `new` what of `old`, which was served, is held. True
    /// where a time of holding has just begun.
    pub fn take_snapshot(&mut self, old: &Cluster, new: &mut Cluster, now: Instant) -> bool {
        let mut begins = false;
        if let Some(cause) = self.cause(old, new) {
            let missing = old.agents.iter().map(|agent| agent.id.clone()).collect();
            begins = self
                .window
                .as_ref()
                .is_none_or(|window| window.cause != cause);
            self.window = Some(Window {
                cause,
                since: now,
                until: now + self.settings.time_max,
                agents_known: old.agents.len(),
                agents_missing: missing,
                back_at: now,
                has_agents: false,
                wants_frameworks: !old.frameworks.is_empty(),
                tasks: HashMap::new(),
                tasks_count: 0,
                agents: HashSet::new(),
                frameworks: HashSet::new(),
                settling: VecDeque::new(),
            });
        }
        let Some(window) = &mut self.window else {
            return false;
        };
        window.forget();
        for agent in new.agents.iter() {
            window.take_back(&agent.id, now);
        }
        window.has_agents = !new.agents.is_empty();
        window.wants_frameworks &= new.frameworks.is_empty();
        if window.is_over(&self.settings, now).is_some() {
            self.window = None;
            return false;
        }
        window.hold(old, new);
        begins
    }

    /// Notes what an event confirms. Before it is applied.
    pub fn take_event(&mut self, event: &Event, now: Instant) {
        let Some(window) = &mut self.window else {
            return;
        };
        match event {
            Event::TaskAdded(task) => {
                window.confirm_task(&task.agent_id, &task.framework_id, &task.id);
            }
            Event::TaskUpdated(update) => {
                let TaskUpdate {
                    agent_id,
                    framework_id,
                    task_id,
                    ..
                } = update;
                window.confirm_task(agent_id, framework_id, task_id);
                if update.is_agent_lost {
                    window.forget_agent(agent_id);
                }
            }
            Event::AgentAdded(agent) => {
                window.take_back(&agent.id, now);
                window.has_agents = true;
                window.agents.remove(&agent.id);
                if window.tasks.contains_key(&agent.id) && !window.wants_frameworks {
                    window
                        .settling
                        .push_back((now + HOLD_SETTLE, agent.id.clone()));
                }
            }
            Event::AgentRemoved(id) => {
                window.agents_missing.remove(id);
                window.forget_agent(id);
            }
            Event::FrameworkTold(framework) => {
                window.frameworks.remove(&framework.id);
                if std::mem::take(&mut window.wants_frameworks) {
                    // From now on an agent that is back, with a task that is not, tells its end.
                    let back = window
                        .tasks
                        .keys()
                        .filter(|id| !window.agents.contains(*id));
                    let settling = back.map(|id| (now + HOLD_SETTLE, id.clone()));
                    window.settling.extend(settling);
                }
            }
            Event::FrameworkRemoved(id) => {
                window.frameworks.remove(id);
                for keys in window.tasks.values_mut() {
                    let count = keys.len();
                    keys.retain(|(framework, _)| framework != id);
                    window.tasks_count -= count - keys.len();
                }
            }
        }
    }

    /// Whether `tick` has something to do.
    pub fn is_due(&self, now: Instant) -> bool {
        self.window.as_ref().is_some_and(|window| {
            let settled = window.settling.front().is_some_and(|(at, _)| *at <= now);
            settled || window.is_over(&self.settings, now).is_some()
        })
    }

    /// Lets go of what is over, after the stream gave a sign of life. Returns whether records may
    /// differ, and why all ended where it did.
    pub fn tick(&mut self, live: &mut Live, now: Instant) -> (bool, Option<Release>) {
        let Some(window) = &mut self.window else {
            return (false, None);
        };
        let mut changed = false;
        while window.settling.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, agent)) = window.settling.pop_front()
        {
            let keys = window.tasks.remove(&agent).unwrap_or_default();
            window.tasks_count -= keys.len();
            for (framework, id) in keys {
                changed |= end_task(live, &agent, &framework, id);
            }
        }
        let Some(release) = window.is_over(&self.settings, now) else {
            return (changed, None);
        };
        for (agent, keys) in window.tasks.drain() {
            for (framework, id) in keys {
                changed |= end_task(live, &agent, &framework, id);
            }
        }
        let agents = window.agents.drain().map(Event::AgentRemoved);
        let frameworks = window.frameworks.drain().map(Event::FrameworkRemoved);
        for event in agents.chain(frameworks) {
            changed |= live.apply(event) == Effect::Changed;
        }
        self.window = None;
        (changed, Some(release))
    }

    /// Whether a view is one in which absence says nothing.
    fn cause(&self, old: &Cluster, new: &Cluster) -> Option<Cause> {
        let nothing_known = old.agents.is_empty() && old.frameworks.is_empty();
        if self.settings.time_max.is_zero() || nothing_known {
            return None;
        }
        let other_master = match (&old.master_id, &new.master_id) {
            (Some(old), Some(new)) => old != new,
            // Without ids a restart on the same host and port cannot be told.
            _ => old.leader != new.leader && old.leader.is_some(),
        };
        if other_master {
            return Some(Cause::NewMaster);
        }
        // Within a time of holding what the master has not listed yet is no news; that it lists nothing
        // after it had begun to is.
        let (had_agents, had_frameworks) = match &self.window {
            Some(window) => (window.has_agents, !window.wants_frameworks),
            None => (true, true),
        };
        if had_agents && new.agents.is_empty() && !old.agents.is_empty() {
            return Some(Cause::NoAgents);
        }
        (had_frameworks && new.frameworks.is_empty() && !old.frameworks.is_empty())
            .then_some(Cause::NoFrameworks)
    }
}

impl Window {
    fn is_over(&self, settings: &HoldSettings, now: Instant) -> Option<Release> {
        if now >= self.until {
            return Some(Release::TimeOver);
        }
        let back = self.agents_known - self.agents_missing.len();
        let enough = back * 100 >= self.agents_known * settings.agents_percent as usize;
        let is_over = enough && !self.wants_frameworks;
        // Where one came back a moment ago the others are on their way, and so are its tasks.
        let is_quiet = self.agents_missing.is_empty() || now >= self.back_at + HOLD_SETTLE;
        (is_over && is_quiet && self.settling.is_empty()).then_some(Release::AgentsBack)
    }

    fn take_back(&mut self, agent: &str, now: Instant) {
        if self.agents_missing.remove(agent) {
            self.back_at = now;
        }
    }

    fn confirm_task(&mut self, agent: &str, framework: &Arc<str>, id: &str) {
        if let Some(keys) = self.tasks.get_mut(agent) {
            let was_held = keys.remove(&(framework.clone(), Box::from(id)));
            self.tasks_count -= usize::from(was_held);
        }
    }

    fn forget(&mut self) {
        self.tasks.clear();
        self.tasks_count = 0;
        self.agents.clear();
        self.frameworks.clear();
        self.settling.clear();
    }

    fn forget_agent(&mut self, id: &str) {
        self.agents.remove(id);
        self.tasks_count -= self.tasks.remove(id).map_or(0, |keys| keys.len());
    }

    /// Adds what is held to the view.
    fn hold(&mut self, old: &Cluster, new: &mut Cluster) {
        let listed: HashSet<Arc<str>> = new.agents.iter().map(|agent| agent.id.clone()).collect();
        let blind = self.wants_frameworks;
        for task in old.tasks.iter() {
            if listed.contains(&task.agent_id) && !blind {
                continue;
            }
            let (agent, framework, id) = (&task.agent_id, &task.framework_id, &task.id);
            let is_told = new.tasks.find(agent, framework, id).is_some()
                || new.waiting.find(agent, framework, id).is_some();
            if !is_told {
                new.tasks.insert(task.clone());
                let keys = self.tasks.entry(agent.clone()).or_default();
                let is_new = keys.insert((framework.clone(), id.clone()));
                self.tasks_count += usize::from(is_new);
            }
        }
        let id = |agent: &Agent| agent.id.clone();
        new.agents = with_missing(&new.agents, &old.agents, id, &mut self.agents);
        // Running tasks that waited for their agent have it again.
        let waiting: Vec<Arc<Task>> = new
            .waiting
            .iter()
            .filter(|task| task.state == TaskState::Running && self.agents.contains(&task.agent_id))
            .cloned()
            .collect();
        for task in waiting {
            new.waiting
                .remove(&task.agent_id, &task.framework_id, &task.id);
            new.tasks.insert(task);
        }
        let id = |framework: &Framework| framework.id.clone();
        new.frameworks = with_missing(&new.frameworks, &old.frameworks, id, &mut self.frameworks);
    }
}

/// The new list with the objects of the old one that it lacks, whose ids go into `held`.
fn with_missing<T>(
    new: &Arc<[Arc<T>]>,
    old: &[Arc<T>],
    id: impl Fn(&T) -> Arc<str>,
    held: &mut HashSet<Arc<str>>,
) -> Arc<[Arc<T>]> {
    let listed: HashSet<Arc<str>> = new.iter().map(|object| id(object)).collect();
    let missing = old.iter().filter(|object| !listed.contains(&id(object)));
    let missing: Vec<Arc<T>> = missing.cloned().collect();
    if missing.is_empty() {
        return new.clone();
    }
    held.extend(missing.iter().map(|object| id(object)));
    new.iter().cloned().chain(missing).collect()
}

fn end_task(live: &mut Live, agent: &Arc<str>, framework: &Arc<str>, id: Box<str>) -> bool {
    let update = TaskUpdate {
        framework_id: framework.clone(),
        task_id: id,
        agent_id: agent.clone(),
        state: TaskState::Ended,
        running: None,
        is_agent_lost: false,
    };
    live.apply(Event::TaskUpdated(update)) == Effect::Changed
}

#[cfg(test)]
mod tests;
