//! A made-up cluster. In: a seed and two numbers. Out: agents, frameworks, applications and tasks
//! that look like a busy company's, and then one change after the other. PURE: the same seed gives
//! the same cluster and the same changes in every run, whatever the clock says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

use super::plan::{self, AppPlan};

/// The whole cluster, and the generator that its next change comes from.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub id: u128,
    pub agents: Vec<Agent>,
    pub apps: Vec<App>,
    /// Running tasks; `App::tasks` are places in this list.
    pub tasks: Vec<Task>,
    /// The last tasks that ended, oldest first, at most `ENDED_KEPT_MAX`.
    pub ended: Vec<Task>,
    /// Seconds since 1970 of the simulated clock: one more with each change.
    pub clock: u64,
    rng: Rng,
}

/// A machine; its number in `Cluster::agents` is that of its id.
#[derive(Clone, Debug)]
pub struct Agent {
    pub address: Ipv4Addr,
    /// The next host port that it hands out.
    next_port: u16,
}

/// An application: tasks of one name.
#[derive(Clone, Debug)]
pub struct App {
    pub plan: AppPlan,
    pub tasks: Vec<u32>,
}

/// A running instance of an application.
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
}

/// What one `step` did: an instance ended, and another of the same application started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub app: u32,
    /// What the old and the new instance's application name resolves to.
    pub old: IpAddr,
    pub new: IpAddr,
}

impl Cluster {
    /// At least one agent; as many running tasks as said.
    pub fn new(agent_count: usize, task_count: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let id = random_id(&mut rng);
        let agents = (0..agent_count.max(1))
            .map(|index| Agent {
                address: agent_address(index),
                next_port: PORT_FIRST,
            })
            .collect();
        let mut cluster = Self {
            id,
            agents,
            apps: Vec::new(),
            tasks: Vec::with_capacity(task_count),
            ended: Vec::new(),
            clock: CLOCK_BEGIN,
            rng,
        };
        for (app, plan) in plan::apps(task_count).into_iter().enumerate() {
            let instances = plan.instances;
            cluster.apps.push(App {
                plan,
                tasks: Vec::new(),
            });
            for _ in 0..instances {
                let task = cluster.start_task(app as u32);
                let place = cluster.tasks.len() as u32;
                cluster.apps[app].tasks.push(place);
                cluster.tasks.push(task);
            }
        }
        cluster
    }

    /// One instance ends and another starts, mostly on another agent. `None`: there is no task.
    pub fn step(&mut self) -> Option<Step> {
        if self.tasks.is_empty() {
            return None;
        }
        let place = self.rng.usize(..self.tasks.len());
        Some(self.replace(place))
    }

    /// One instance of this application ends and another starts. `None`: it has none.
    pub fn step_app(&mut self, name: &str) -> Option<Step> {
        let places = &self.find_app(name)?.tasks;
        let place = *places.get(self.clock as usize % places.len().max(1))?;
        Some(self.replace(place as usize))
    }

    fn replace(&mut self, place: usize) -> Step {
        let app = self.tasks[place].app;
        self.clock += 1;
        let task = self.start_task(app);
        let old = std::mem::replace(&mut self.tasks[place], task);
        let step = Step {
            app,
            old: self.address(&old),
            new: self.address(&self.tasks[place]),
        };
        if self.ended.len() == ENDED_KEPT_MAX {
            self.ended.remove(0);
        }
        self.ended.push(old);
        step
    }

    /// What the name of the task's application resolves to by default: its container's address, or
    /// its agent's.
    pub fn address(&self, task: &Task) -> IpAddr {
        let agent = self.agents[task.agent as usize].address;
        task.container.unwrap_or(agent).into()
    }

    /// The application of that task name in that framework, if the cluster is large enough for it.
    pub fn find_app(&self, name: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.plan.name == name)
    }

    fn start_task(&mut self, app: u32) -> Task {
        let agent = self.rng.usize(..self.agents.len());
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
        Task {
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
        }
    }
}

fn agent_address(index: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + (index as u32 + 1))
}

fn random_id(rng: &mut Rng) -> u128 {
    rng.u128(..)
}

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
            assert_eq!(cluster.tasks.len(), count);
            for _ in 0..20 {
                let _ = cluster.step();
            }
            assert_eq!(cluster.tasks.len(), count);
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
