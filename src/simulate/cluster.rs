//! A made-up cluster. In: a seed and two numbers. Out: agents, frameworks, applications and tasks
//! that look like a busy company's, and then one change after the other. PURE: the same seed gives
//! the same cluster and the same changes in every run, whatever the clock says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

use super::changes::{Event, Update};
use super::plan::{self, AppPlan, FRAMEWORKS};

/// The whole cluster, what its present master has seen of it, and the generator that its next change
/// comes from.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Ids of agents and frameworks begin with it, whichever master leads.
    pub id: u128,
    pub agents: Vec<Agent>,
    pub frameworks: Vec<Framework>,
    pub apps: Vec<App>,
    /// Every task that was not replaced by another; `App::tasks` are places in this list.
    pub tasks: Vec<Task>,
    /// The last tasks that ended, oldest first, at most `ENDED_KEPT_MAX`.
    pub ended: Vec<Task>,
    /// Seconds since 1970 of the simulated clock: one more with each change.
    pub clock: u64,
    /// What a master that sees it all would tell its subscribers, since they were last taken.
    pub(super) events: Vec<Event>,
    rng: Rng,
}

/// A machine; its number in `Cluster::agents` is that of its id.
#[derive(Clone, Debug)]
pub struct Agent {
    pub address: Ipv4Addr,
    pub region: &'static str,
    pub zone: &'static str,
    pub standing: Standing,
    /// Its present master has seen it; after an election the new one has seen none.
    pub is_back: bool,
    pub reregistered: Option<u64>,
    /// The next host port that it hands out.
    next_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// The master hears nothing of it; it may return.
    Unreachable,
    /// It said goodbye and never returns.
    Removed,
}

/// A framework; its number in `Cluster::frameworks` is that of its id.
#[derive(Clone, Debug)]
pub struct Framework {
    pub name: String,
    pub pid: Option<String>,
    pub hostname: String,
    /// Counts its updates, which its web address shows.
    pub updates: u32,
    pub is_removed: bool,
    /// Its present master has seen it, by its scheduler or by a task of it.
    pub is_seen: bool,
    /// Seen by its tasks alone so far: its scheduler has not returned.
    pub is_recovered: bool,
    pub reregistered: Option<u64>,
    pub unregistered: u64,
}

/// An application: tasks of one name.
#[derive(Clone, Debug)]
pub struct App {
    pub plan: AppPlan,
    pub tasks: Vec<u32>,
}

/// An instance of an application.
#[derive(Clone, Debug)]
pub struct Task {
    pub app: u32,
    pub instance: u128,
    pub agent: u32,
    /// The first of its host ports.
    pub port: u16,
    /// In the container's network; `None` where the task uses the agent's.
    pub container: Option<Ipv4Addr>,
    pub container_v6: Option<Ipv6Addr>,
    pub started: u64,
    /// When its latest status of a running task was sent, and what a health check found by then.
    pub checked: u64,
    pub healthy: Option<bool>,
    pub state: TaskState,
    /// When it came into a state other than staging and running.
    pub changed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    Staging,
    Running,
    Unreachable,
    Killed,
    Lost,
}

/// What one `step` did: an instance ended, and another of the same application started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub app: u32,
    /// What the old and the new instance's application name resolves to.
    pub old: IpAddr,
    pub new: IpAddr,
}

impl Cluster {
    /// At least one agent; as many running tasks as said, and one that waits for its resources.
    pub fn new(agent_count: usize, task_count: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let id = random_id(&mut rng);
        let agents = (0..agent_count.max(1)).map(Agent::new).collect();
        let mut cluster = Self {
            id,
            agents,
            frameworks: FRAMEWORKS.iter().map(Framework::planned).collect(),
            apps: Vec::new(),
            tasks: Vec::with_capacity(task_count + 1),
            ended: Vec::new(),
            clock: CLOCK_BEGIN,
            events: Vec::new(),
            rng,
        };
        for plan in plan::apps(task_count) {
            cluster.start_app(plan);
        }
        cluster.start_hungry();
        cluster
    }

    /// One instance ends and another starts, mostly on another agent. `None`: there is no task, or
    /// no agent.
    pub fn step(&mut self) -> Option<Moved> {
        if self.tasks.is_empty() {
            return None;
        }
        let begin = self.rng.usize(..self.tasks.len());
        let place = (begin..self.tasks.len())
            .chain(0..begin)
            .find(|&place| self.tasks[place].state == TaskState::Running)?;
        self.replace(place)
    }

    /// One instance of this application ends and another starts. `None`: it has none.
    pub fn step_app(&mut self, name: &str) -> Option<Moved> {
        let places: Vec<u32> = self
            .find_app(name)?
            .tasks
            .iter()
            .copied()
            .filter(|&place| self.tasks[place as usize].state == TaskState::Running)
            .collect();
        let place = *places.get(self.clock as usize % places.len().max(1))?;
        self.replace(place as usize)
    }

    fn replace(&mut self, place: usize) -> Option<Moved> {
        let app = self.tasks[place].app;
        self.clock += 1;
        let task = self.start_task(app)?;
        let mut old = std::mem::replace(&mut self.tasks[place], task.clone());
        let moved = Moved {
            app,
            old: self.address(&old),
            new: self.address(&task),
        };
        old.state = TaskState::Killed;
        old.changed = self.clock;
        if self.is_listed(old.agent) {
            self.events
                .push(Event::TaskUpdated(old.clone(), Update::Killed));
            self.keep_ended(old);
        }
        self.tell_started(&task);
        Some(moved)
    }

    /// What a master tells of a task that it starts, if it has seen its agent.
    pub(super) fn tell_started(&mut self, task: &Task) {
        if !self.is_listed(task.agent) {
            return;
        }
        self.see_framework(self.apps[task.app as usize].plan.framework);
        let staging = Task {
            state: TaskState::Staging,
            ..task.clone()
        };
        self.events.push(Event::TaskAdded(staging));
        self.events
            .push(Event::TaskUpdated(task.clone(), Update::Starting));
        self.events
            .push(Event::TaskUpdated(task.clone(), Update::Running));
    }

    pub(super) fn keep_ended(&mut self, task: Task) {
        if self.ended.len() == ENDED_KEPT_MAX {
            self.ended.remove(0);
        }
        self.ended.push(task);
    }

    /// What the name of the task's application resolves to by default: its container's address, or
    /// its agent's.
    pub fn address(&self, task: &Task) -> IpAddr {
        let agent = self.agents[task.agent as usize].address;
        task.container.unwrap_or(agent).into()
    }

    /// The application of that task name, if the cluster is large enough for it.
    pub fn find_app(&self, name: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.plan.name == name)
    }

    /// The tasks that run, on whatever agent.
    pub fn running(&self) -> impl Iterator<Item = &Task> {
        self.tasks
            .iter()
            .filter(|task| task.state == TaskState::Running)
    }

    /// Whether the present master lists this agent.
    pub fn is_listed(&self, agent: u32) -> bool {
        let agent = &self.agents[agent as usize];
        agent.standing == Standing::Active && agent.is_back
    }

    /// Whether the present master knows of this task.
    pub fn is_known(&self, task: &Task) -> bool {
        let framework = &self.frameworks[self.apps[task.app as usize].plan.framework];
        self.agents[task.agent as usize].is_back && framework.is_seen
    }

    /// An application with as many instances as planned; says nothing of it.
    pub(super) fn start_app(&mut self, plan: AppPlan) {
        let app = self.apps.len();
        let instances = plan.instances;
        self.apps.push(App {
            plan,
            tasks: Vec::new(),
        });
        for _ in 0..instances {
            let Some(task) = self.start_task(app as u32) else {
                return;
            };
            self.place(task);
        }
    }

    fn place(&mut self, task: Task) {
        let place = self.tasks.len() as u32;
        self.apps[task.app as usize].tasks.push(place);
        self.tasks.push(task);
    }

    fn start_hungry(&mut self) {
        let app = self.apps.len() as u32;
        self.apps.push(App {
            plan: plan::hungry(),
            tasks: Vec::new(),
        });
        self.place(Task {
            app,
            instance: HUNGRY_INSTANCE,
            agent: 0,
            port: 0,
            container: None,
            container_v6: None,
            started: self.clock,
            checked: self.clock + 1,
            healthy: None,
            state: TaskState::Staging,
            changed: self.clock,
        });
    }

    /// `None`: there is no agent.
    fn start_task(&mut self, app: u32) -> Option<Task> {
        let begin = self.rng.usize(..self.agents.len());
        let agent = (begin..self.agents.len())
            .chain(0..begin)
            .find(|&agent| self.agents[agent].standing == Standing::Active)?;
        let ports = u16::from(self.apps[app as usize].plan.ports);
        let machine = &mut self.agents[agent];
        if machine.next_port + ports > PORT_LAST {
            machine.next_port = PORT_FIRST;
        }
        let port = machine.next_port;
        machine.next_port += ports;
        let instance = random_id(&mut self.rng);
        let plan = &self.apps[app as usize].plan;
        // Addresses of one overlay network, 9.0.0.0/8, in no order: as a cluster of some age has.
        let host_part = (instance as u32 & 0x00ff_ffff).max(1);
        Some(Task {
            app,
            instance,
            agent: agent as u32,
            port,
            container: plan
                .has_address
                .then(|| Ipv4Addr::from(0x0900_0000 | host_part)),
            container_v6: plan
                .has_ipv6
                .then(|| Ipv6Addr::from(0xfd01_u128 << 112 | u128::from(host_part))),
            started: self.clock,
            checked: self.clock + 1,
            healthy: None,
            state: TaskState::Running,
            changed: self.clock,
        })
    }
}

impl Task {
    /// The one that waits for its resources and never runs.
    pub fn is_hungry(&self) -> bool {
        self.instance == HUNGRY_INSTANCE
    }
}

impl Agent {
    fn new(index: usize) -> Self {
        Self {
            address: Ipv4Addr::from(0x0a00_0000 + (index as u32 + 1)),
            region: REGION,
            zone: ZONE,
            standing: Standing::Active,
            is_back: true,
            reregistered: None,
            next_port: PORT_FIRST,
        }
    }
}

impl Framework {
    fn planned(plan: &plan::FrameworkPlan) -> Self {
        Self::new(plan.name, plan.pid, plan.hostname)
    }

    /// The address of its pages, which differs after each update.
    pub fn webui_url(&self) -> String {
        match self.updates {
            0 => String::new(),
            updates => format!("http://127.0.0.1:8080/{updates}"),
        }
    }

    pub(super) fn new(name: &str, pid: Option<&str>, hostname: &str) -> Self {
        Self {
            name: name.to_owned(),
            pid: pid.map(str::to_owned),
            hostname: hostname.to_owned(),
            updates: 0,
            is_removed: false,
            is_seen: true,
            is_recovered: false,
            reregistered: None,
            unregistered: 0,
        }
    }
}

fn random_id(rng: &mut Rng) -> u128 {
    rng.u128(..)
}

const HUNGRY_INSTANCE: u128 = 0;
/// Where every machine stands until it is put elsewhere.
pub const REGION: &str = "eu-west";
pub const ZONE: &str = "eu-west-1a";
/// Host ports that agents offer by default.
const PORT_FIRST: u16 = 31_000;
const PORT_LAST: u16 = 32_000;
/// 2026-01-01, so that every run says the same.
const CLOCK_BEGIN: u64 = 1_767_225_600;
/// A master keeps 1,000 for each framework; ten show the shape.
const ENDED_KEPT_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_cluster_and_same_changes() {
        let (mut a, mut b) = (Cluster::new(5, 200, 7), Cluster::new(5, 200, 7));
        for _ in 0..50 {
            assert_eq!(a.step(), b.step());
        }
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
        assert_ne!(
            format!("{a:?}"),
            format!("{:?}", Cluster::new(5, 200, 8)),
            "another seed is another cluster"
        );
    }

    #[test]
    fn task_count_is_what_was_asked_for_and_stays() {
        for count in [0, 1, 3, 50, 100, 1_000, 12_345] {
            let mut cluster = Cluster::new(3, count, 1);
            assert_eq!(cluster.running().count(), count);
            for _ in 0..20 {
                let _ = cluster.step();
            }
            assert_eq!(cluster.running().count(), count);
            assert!(cluster.ended.len() <= ENDED_KEPT_MAX);
        }
    }

    #[test]
    fn places_of_an_app_hold_tasks_of_it() {
        let mut cluster = Cluster::new(3, 500, 3);
        for _ in 0..100 {
            let _ = cluster.step();
        }
        for (index, app) in cluster.apps.iter().enumerate() {
            assert_eq!(app.tasks.len(), app.plan.instances);
            for &place in &app.tasks {
                assert_eq!(cluster.tasks[place as usize].app as usize, index);
            }
        }
    }
}
