//! Ten thousand random events against a rebuild from scratch: a naive master keeps what a real one
//! keeps and tells what a real one tells, in any order that a stream allows; what Rollcall made of the
//! events must equal what it makes of the naive master's whole state.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use rollcall::mesos::check::{Differences, Touched};
use rollcall::mesos::cluster::{
    AddressSource, Agent, Cluster, Endpoint, Framework, NO_STATUS, Task, TaskState, Tasks,
};
use rollcall::mesos::events::{Event, Running, TaskUpdate};
use rollcall::mesos::hosts::Hosts;
use rollcall::mesos::live::{Effect, Live};
use rollcall::records::{RecordSet, World};
use rollcall::responses::table::ResponseTable;
use rollcall::responses::turns::Turns;

use crate::table::contents;
use crate::worlds::{answering, endpoint, naming};

const AGENTS: usize = 12;
const FRAMEWORKS: usize = 4;
const TASKS: usize = 60;

/// What a master keeps of a task: its state, and the latest status of each run of equal states.
#[derive(Clone)]
struct NaiveTask {
    agent: usize,
    framework: usize,
    name: String,
    ports: Box<[(u16, u16)]>,
    state: TaskState,
    /// State, time, address, whether it is unhealthy.
    statuses: Vec<(TaskState, f64, IpAddr, bool)>,
}

/// A master without a clue of names.
#[derive(Default)]
struct NaiveMaster {
    agents: BTreeMap<usize, Agent>,
    frameworks: BTreeMap<usize, Framework>,
    tasks: BTreeMap<(usize, usize), NaiveTask>,
    clock: f64,
}

fn agent_id(agent: usize) -> Arc<str> {
    format!("20c0-S{agent}").into()
}

fn framework_id(framework: usize) -> Arc<str> {
    format!("f{framework}").into()
}

impl NaiveTask {
    fn to_task(&self, id: usize) -> Task {
        let running = self.statuses.iter().filter(|it| it.0 == TaskState::Running);
        let latest = running.reduce(|a, b| if b.1 > a.1 { b } else { a });
        Task {
            framework_id: framework_id(self.framework),
            id: format!("t{id}").into(),
            name: self.name.as_str().into(),
            agent_id: agent_id(self.agent),
            state: self.state,
            ordinal: 0,
            running_since: latest.map_or(NO_STATUS, |it| it.1),
            addresses: latest
                .map(|it| (AddressSource::NetInfo, it.2))
                .into_iter()
                .collect(),
            is_unhealthy: latest.is_some_and(|it| it.3),
            is_bridge: false,
            port_ranges: self.ports.to_vec().into(),
            discovery: None,
            faults: None,
        }
    }
}

impl NaiveMaster {
    /// What `/state` would give: running tasks of registered agents.
    fn state(&self) -> Cluster {
        let tasks = self.tasks.iter().filter(|(_, task)| {
            task.state == TaskState::Running && self.agents.contains_key(&task.agent)
        });
        let tasks = tasks.map(|((_, id), task)| Arc::new(task.to_task(*id)));
        Cluster {
            leader: Some(endpoint("127.0.0.1", 5050)),
            agents: self.agents.values().cloned().map(Arc::new).collect(),
            frameworks: self.frameworks.values().cloned().map(Arc::new).collect(),
            tasks: Tasks::from_unsorted(tasks.collect()),
            ..Cluster::default()
        }
    }

    fn random_task(&self, random: &mut fastrand::Rng) -> Option<(usize, usize)> {
        let count = self.tasks.len();
        let place = (count > 0).then(|| random.usize(..count))?;
        self.tasks.keys().nth(place).copied()
    }

    fn add_task(&mut self, key: (usize, usize), agent: usize, random: &mut fastrand::Rng) -> Event {
        let port = random.u16(31_000..31_010);
        let task = NaiveTask {
            agent,
            framework: key.0,
            name: format!("app{}", random.u8(..9)),
            ports: match random.bool() {
                true => [(port, port + 1)].into(),
                false => [].into(),
            },
            state: TaskState::Staging,
            statuses: Vec::new(),
        };
        let event = Event::TaskAdded(Arc::new(task.to_task(key.1)));
        self.tasks.insert(key, task);
        event
    }

    /// A status as a master takes it: one of the state of the last one replaces it.
    fn update_task(
        &mut self,
        (framework, id): (usize, usize),
        state: TaskState,
        random: &mut fastrand::Rng,
    ) -> Event {
        self.clock += 1.0;
        let (clock, address) = (self.clock, [10, 2, 0, random.u8(1..9)].into());
        let is_unhealthy = random.bool();
        let task = self.tasks.get_mut(&(framework, id)).expect("a task");
        if task.statuses.last().is_some_and(|last| last.0 == state) {
            task.statuses.pop();
        }
        task.statuses.push((state, clock, address, is_unhealthy));
        task.state = state;
        let is_running = state == TaskState::Running;
        let update = TaskUpdate {
            framework_id: framework_id(framework),
            task_id: format!("t{id}").into(),
            agent_id: agent_id(task.agent),
            state,
            running: is_running.then(|| Running {
                since: clock,
                addresses: [(AddressSource::NetInfo, address)].into(),
                is_unhealthy,
            }),
            is_agent_lost: false,
        };
        if state == TaskState::Ended {
            self.tasks.remove(&(framework, id));
        }
        Event::TaskUpdated(update)
    }

    fn agent(agent: usize, random: &mut fastrand::Rng) -> Agent {
        Agent {
            id: agent_id(agent),
            hostname: "".into(),
            pid: Some(endpoint(&format!("10.0.{}.{agent}", random.u8(..3)), 5051)),
            domain: None,
        }
    }

    /// One thing that happens, as the events that tell it.
    fn happen(&mut self, random: &mut fastrand::Rng) -> Vec<Event> {
        let (agent, framework) = (random.usize(..AGENTS), random.usize(..FRAMEWORKS));
        match random.u8(..100) {
            0..30 => {
                let key = (framework, random.usize(..TASKS));
                match self.tasks.contains_key(&key) {
                    true => Vec::new(),
                    false => vec![self.add_task(key, agent, random)],
                }
            }
            30..80 => {
                let Some(key) = self.random_task(random) else {
                    return Vec::new();
                };
                let states = [
                    TaskState::Starting,
                    TaskState::Running,
                    TaskState::Running,
                    TaskState::Running,
                    TaskState::Killing,
                    TaskState::Ended,
                ];
                let state = states[random.usize(..states.len())];
                vec![self.update_task(key, state, random)]
            }
            80..85 => self.lose_agent(agent),
            85..90 => self.return_agent(agent, random),
            90..92 => {
                self.agents.remove(&agent);
                self.tasks.retain(|_, task| task.agent != agent);
                vec![Event::AgentRemoved(agent_id(agent))]
            }
            92..97 => {
                let told = Framework {
                    id: framework_id(framework),
                    name: format!("fw{}", random.u8(..5)).into(),
                    pid: None,
                    hostname: format!("10.9.0.{}", random.u8(1..4)).into(),
                };
                // What the stream tells has no pid, and takes none away.
                let pid = self
                    .frameworks
                    .get(&framework)
                    .and_then(|it| it.pid.clone());
                let kept = Framework {
                    pid,
                    ..told.clone()
                };
                self.frameworks.insert(framework, kept);
                vec![Event::FrameworkTold(Arc::new(told))]
            }
            97..98 => {
                self.frameworks.remove(&framework);
                self.tasks.retain(|key, _| key.0 != framework);
                vec![Event::FrameworkRemoved(framework_id(framework))]
            }
            _ => vec![Event::AgentAdded(Arc::new(
                self.agents
                    .entry(agent)
                    .or_insert_with(|| Self::agent(agent, random))
                    .clone(),
            ))],
        }
    }

    /// Out of reach: each of its tasks is told of, the agent itself is not.
    fn lose_agent(&mut self, agent: usize) -> Vec<Event> {
        let lost: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.agent == agent)
            .map(|(key, task)| (*key, task.to_task(key.1)))
            .collect();
        if lost.is_empty() {
            return Vec::new();
        }
        self.agents.remove(&agent);
        self.tasks.retain(|_, task| task.agent != agent);
        lost.into_iter()
            .map(|(_, task)| {
                Event::TaskUpdated(TaskUpdate {
                    is_agent_lost: true,
                    ..TaskUpdate::end_of(&task)
                })
            })
            .collect()
    }

    /// Its tasks may be told of before it, or after it.
    fn return_agent(&mut self, agent: usize, random: &mut fastrand::Rng) -> Vec<Event> {
        let returned = Self::agent(agent, random);
        let mut events = vec![Event::AgentAdded(Arc::new(returned.clone()))];
        self.agents.insert(agent, returned);
        for _ in 0..random.u8(..4) {
            let key = (random.usize(..FRAMEWORKS), random.usize(..TASKS));
            if !self.tasks.contains_key(&key) {
                let _staging = self.add_task(key, agent, random);
                let _running = self.update_task(key, TaskState::Running, random);
                let task = self.tasks[&key].to_task(key.1);
                events.push(Event::TaskAdded(Arc::new(task)));
            }
        }
        random.shuffle(&mut events);
        events
    }
}

fn world(cluster: &Cluster) -> World {
    World {
        cluster: cluster.clone(),
        hosts: Hosts::default(),
        naming: Arc::new(naming()),
    }
}

#[test]
fn ten_thousand_random_events_equal_a_rebuild_from_scratch() {
    for seed in 1..=3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut master = NaiveMaster::default();
        let mut live = Live::new(master.state());
        let mut served = world(live.cluster());
        let mut records = RecordSet::build(&served);
        let mut table = ResponseTable::build(&records, &answering(), 1, seed);
        let (mut turns, mut generation) = (Turns::default(), 0);
        let (mut count, mut changes) = (0, 0);
        while count < 10_000 {
            for event in master.happen(&mut random) {
                let text = format!("{event:?}");
                let effect = live.apply(event);
                assert_ne!(
                    effect,
                    Effect::Unfitting,
                    "seed {seed}, event {count}: {text}"
                );
                changes += usize::from(effect == Effect::Changed);
                count += 1;
            }
            // Published together, as many as come.
            let is_compared = random.u16(..150) == 0;
            if is_compared || random.u8(..10) == 0 {
                let next = world(live.cluster());
                let touched = records.update(&served, &next);
                generation += 1;
                let turn = (&mut turns, generation);
                let updated = table.updated(&records, &touched, &answering(), 2, turn);
                turns.take_back(generation - 1, std::mem::replace(&mut table, updated));
                served = next;
            }
            if is_compared {
                assert_equal(&master, &live, &table, seed, count);
            }
        }
        assert!(changes > 3_000, "{changes} events changed records");
    }
}

/// The same answers as from the whole state, and nothing for a check to mend.
fn assert_equal(master: &NaiveMaster, live: &Live, table: &ResponseTable, seed: u64, count: usize) {
    let mut state = master.state();
    let whole = RecordSet::build(&world(&state));
    let anew = ResponseTable::build(&whole, &answering(), 2, seed);
    assert_eq!(
        table.name_count(),
        anew.name_count(),
        "seed {seed}, event {count}"
    );
    assert_eq!(
        contents(table),
        contents(&anew),
        "seed {seed}, event {count}"
    );
    let differences = Differences::between(live, &mut state, &Touched::default());
    let found: Vec<_> = differences.iter().map(|it| &it.what).collect();
    assert!(found.is_empty(), "seed {seed}, event {count}: {found:?}");
}

#[test]
fn check_finds_and_mends_whatever_was_missed_but_not_what_events_touched() {
    let mut random = fastrand::Rng::with_seed(9);
    let mut master = NaiveMaster::default();
    let mut live = Live::new(master.state());
    for _ in 0..400 {
        for event in master.happen(&mut random) {
            live.apply(event);
        }
    }
    for round in 0..200 {
        // Some events are missed, some come while the state is on its way.
        for _ in 0..random.u8(1..6) {
            let _missed = master.happen(&mut random);
        }
        let mut state = master.state();
        let mut touched = Touched::default();
        for _ in 0..random.u8(..4) {
            for event in master.happen(&mut random) {
                touched.note(&event);
                live.apply(event);
            }
        }
        let differences = Differences::between(&live, &mut state, &touched);
        differences.mend(&mut live, &state);
        // What was touched is mended by the next check, when nothing comes between.
        let mut state = master.state();
        Differences::between(&live, &mut state, &Touched::default()).mend(&mut live, &state);
        let mut state = master.state();
        let left = Differences::between(&live, &mut state, &Touched::default());
        let found: Vec<_> = left.iter().map(|it| &it.what).collect();
        assert!(found.is_empty(), "round {round}: {found:?}");
    }
}

#[test]
fn pids_are_told_by_the_state_alone_and_stay_until_it_tells_others() {
    let mut live = Live::new(Cluster::default());
    let told = |hostname: &str| {
        Event::FrameworkTold(Arc::new(Framework {
            id: "f0".into(),
            name: "marathon".into(),
            pid: None,
            hostname: hostname.into(),
        }))
    };
    live.apply(told("a"));
    let pid = |live: &Live| live.cluster().frameworks[0].pid.clone();
    let pids = |pid: Option<Endpoint>| [(Arc::from("f0"), pid)].into_iter().collect();
    let somewhere = Some(endpoint("10.9.0.1", 9000));
    assert_eq!(live.set_pids(&pids(somewhere.clone())), Effect::Changed);
    assert_eq!(live.set_pids(&pids(somewhere.clone())), Effect::Nothing);
    assert_eq!(live.apply(told("b")), Effect::Changed);
    assert_eq!(pid(&live), somewhere);
    assert_eq!(live.set_pids(&pids(None)), Effect::Changed);
    assert_eq!(pid(&live), None);
}
