//! Tests of `hold`: a new leader that knows less and less wrongly, step by step.

use std::collections::BTreeSet;

use super::*;
use crate::mesos::cluster::{Endpoint, NO_STATUS, Tasks};

const SETTINGS: HoldSettings = HoldSettings {
    agents_percent: 90,
    time_max: Duration::from_secs(600),
};
const SECOND: Duration = Duration::from_secs(1);

fn agent(number: usize) -> Arc<Agent> {
    Arc::new(Agent {
        id: format!("S{number}").into(),
        hostname: "".into(),
        pid: Some(Endpoint {
            host: format!("10.0.0.{number}").into(),
            port: Some(5051),
        }),
        domain: None,
    })
}

fn framework(id: &str) -> Arc<Framework> {
    Arc::new(Framework {
        id: id.into(),
        name: id.into(),
        pid: None,
        hostname: "".into(),
    })
}

fn task(id: &str, on: usize) -> Arc<Task> {
    Arc::new(Task {
        framework_id: "f".into(),
        id: id.into(),
        name: id.into(),
        agent_id: format!("S{on}").into(),
        state: TaskState::Running,
        ordinal: 0,
        running_since: NO_STATUS,
        addresses: [].into(),
        is_unhealthy: false,
        is_bridge: false,
        port_ranges: [].into(),
        discovery: None,
        faults: None,
    })
}

/// Agents 0 to 9, each with one task `tN`, and framework `f`, under this master.
fn before(master: &str) -> Cluster {
    cluster(master, 0..10, 0..10)
}

fn cluster(
    master: &str,
    agents: impl Iterator<Item = usize>,
    tasks: impl Iterator<Item = usize>,
) -> Cluster {
    let tasks: Vec<_> = tasks.map(|n| task(&format!("t{n}"), n)).collect();
    let frameworks: Vec<_> = (!tasks.is_empty())
        .then(|| framework("f"))
        .into_iter()
        .collect();
    Cluster {
        master_id: Some(master.into()),
        agents: agents.map(agent).collect(),
        frameworks: frameworks.into(),
        tasks: Tasks::from_unsorted(tasks),
        ..Cluster::default()
    }
}

fn served(cluster: &Cluster) -> BTreeSet<String> {
    cluster
        .tasks
        .iter()
        .map(|task| task.id.to_string())
        .collect()
}

fn names(numbers: impl Iterator<Item = usize>) -> BTreeSet<String> {
    numbers.map(|n| format!("t{n}")).collect()
}

/// A stream after a failover: what was held of `old` beside what the new leader told first.
struct Failover {
    holder: Holder,
    live: Live,
    now: Instant,
}

impl Failover {
    fn begin(old: &Cluster, mut new: Cluster) -> Self {
        let mut holder = Holder::new(SETTINGS);
        let now = Instant::now();
        assert!(holder.take_snapshot(old, &mut new, now));
        let live = Live::new(new);
        Self { holder, live, now }
    }

    fn event(&mut self, event: Event) {
        self.holder.take_event(&event, self.now);
        self.live.apply(event);
    }

    fn after(&mut self, time: Duration) -> Option<Release> {
        self.now += time;
        self.holder.tick(&mut self.live, self.now).1
    }

    fn served(&self) -> BTreeSet<String> {
        served(self.live.cluster())
    }
}

#[test]
fn nothing_is_lost_to_a_leader_that_knows_nothing_yet() {
    let old = before("one");
    let failover = Failover::begin(&old, cluster("two", 0..0, 0..0));
    let cluster = failover.live.cluster();
    assert_eq!(served(cluster), names(0..10));
    assert_eq!((cluster.agents.len(), cluster.frameworks.len()), (10, 1));
    let held = failover.holder.counts().expect("held");
    assert_eq!((held.tasks, held.agents, held.frameworks), (10, 10, 1));
    assert_eq!((held.agents_known, held.agents_back), (10, 0));
    assert_eq!(failover.holder.tasks(cluster).count(), 10);
}

#[test]
fn additions_and_told_ends_apply_at_once() {
    let mut failover = Failover::begin(&before("one"), cluster("two", 0..0, 0..0));
    failover.event(Event::AgentAdded(agent(20)));
    failover.event(Event::TaskAdded(task("t20", 20)));
    assert!(failover.served().contains("t20"));
    failover.event(Event::TaskUpdated(TaskUpdate::end_of(&task("t3", 3))));
    assert!(!failover.served().contains("t3"));
    failover.event(Event::AgentRemoved("S4".into()));
    assert!(!failover.served().contains("t4"));
    assert_eq!(failover.holder.counts().map(|held| held.tasks), Some(8));
}

#[test]
fn agent_that_is_back_has_time_to_tell_its_tasks_and_the_others_are_over_then() {
    let mut failover = Failover::begin(&before("one"), cluster("two", 0..0, 0..0));
    failover.event(Event::AgentAdded(agent(1)));
    failover.event(Event::FrameworkTold(framework("f")));
    // A running agent never loses a name between its own event and its tasks'.
    assert_eq!(failover.served(), names(0..10));
    failover.event(Event::AgentAdded(agent(2)));
    failover.event(Event::TaskAdded(task("t2", 2)));
    assert_eq!(failover.after(HOLD_SETTLE - SECOND), None);
    assert_eq!(failover.served(), names(0..10));
    assert_eq!(failover.after(2 * SECOND), None);
    // Task 1 was not told of again: it ended while nobody led.
    let expected = names((0..10).filter(|n| *n != 1));
    assert_eq!(failover.served(), expected);
}

#[test]
fn all_is_let_go_when_enough_agents_are_back() {
    let mut failover = Failover::begin(&before("one"), cluster("two", 0..0, 0..0));
    failover.event(Event::FrameworkTold(framework("f")));
    for n in 0..9 {
        assert_eq!(failover.after(SECOND), None, "{n} are back");
        failover.event(Event::TaskAdded(task(&format!("t{n}"), n)));
        failover.event(Event::AgentAdded(agent(n)));
    }
    assert_eq!(failover.served(), names(0..10));
    assert_eq!(
        failover.after(HOLD_SETTLE + SECOND),
        Some(Release::AgentsBack)
    );
    assert_eq!(failover.served(), names(0..9));
    assert_eq!(failover.live.cluster().agents.len(), 9);
    assert_eq!(failover.holder.counts(), None);
    assert!(!failover.holder.is_due(failover.now));
}

#[test]
fn all_is_let_go_when_the_time_is_over() {
    let mut failover = Failover::begin(&before("one"), cluster("two", 0..0, 0..0));
    failover.event(Event::AgentAdded(agent(0)));
    failover.event(Event::FrameworkTold(framework("f")));
    failover.event(Event::TaskAdded(task("t0", 0)));
    assert_eq!(failover.after(SETTINGS.time_max - SECOND), None);
    assert_eq!(failover.served(), names(0..10));
    assert_eq!(failover.after(SECOND), Some(Release::TimeOver));
    assert_eq!(failover.served(), names(0..1));
}

#[test]
fn polled_states_are_held_likewise() {
    let mut holder = Holder::new(SETTINGS);
    let mut now = Instant::now();
    let mut old = before("one");
    let mut poll = |old: &mut Cluster, mut new: Cluster| {
        now += HOLD_SETTLE;
        holder.take_snapshot(old, &mut new, now);
        *old = new;
        (served(old), holder.counts().map(|held| held.agents_back))
    };
    assert_eq!(
        poll(&mut old, cluster("two", 0..0, 0..0)),
        (names(0..10), Some(0))
    );
    // Agent 0 is back without its task, agent 1 with it.
    assert_eq!(
        poll(&mut old, cluster("two", 0..2, 1..2)),
        (names(1..10), Some(2))
    );
    assert_eq!(
        poll(&mut old, cluster("two", 0..8, 1..8)),
        (names(1..10), Some(8))
    );
    // Enough are back; the last may be on its way, until a state in which nobody else came.
    let ninth = || cluster("two", 0..9, 1..9);
    assert_eq!(poll(&mut old, ninth()), (names(1..10), Some(9)));
    assert_eq!(poll(&mut old, ninth()), (names(1..9), None));
}

#[test]
fn nothing_listed_while_agents_come_back_is_not_believed() {
    for (nothing, cause) in [
        (cluster("two", 0..0, 0..0), Cause::NoAgents),
        (cluster("two", 0..9, 0..0), Cause::NoFrameworks),
    ] {
        let mut holder = Holder::new(SETTINGS);
        let mut now = Instant::now();
        let mut old = before("one");
        let mut poll = |mut new: Cluster| {
            now += HOLD_SETTLE;
            let begins = holder.take_snapshot(&old, &mut new, now);
            old = new;
            assert_eq!(served(&old), names(0..10));
            (begins, holder.counts().map(|held| held.cause))
        };
        let new_master = Some(Cause::NewMaster.text());
        assert_eq!(poll(cluster("two", 0..0, 0..0)), (true, new_master));
        assert_eq!(poll(cluster("two", 0..9, 0..9)), (false, new_master));
        // Again and again: it does not begin anew each time.
        assert_eq!(poll(nothing.clone()), (true, Some(cause.text())));
        assert_eq!(poll(nothing), (false, Some(cause.text())));
        assert_eq!(poll(cluster("two", 0..10, 0..10)), (false, None));
    }
}

#[test]
fn stream_that_is_opened_anew_lets_nobody_go_who_is_on_the_way() {
    let mut failover = Failover::begin(&before("one"), cluster("two", 0..0, 0..0));
    failover.now += SECOND;
    let mut nine = cluster("two", 0..9, 0..9);
    let Failover { holder, live, now } = &mut failover;
    holder.take_snapshot(live.cluster(), &mut nine, *now);
    *live = Live::new(nine);
    assert_eq!(failover.after(HOLD_SETTLE - SECOND), None);
    failover.event(Event::TaskAdded(task("t9", 9)));
    failover.event(Event::AgentAdded(agent(9)));
    // Everybody is back; the last has time to tell its tasks.
    assert_eq!(failover.after(HOLD_SETTLE), Some(Release::AgentsBack));
    assert_eq!(failover.served(), names(0..10));
}

#[test]
fn next_election_begins_anew_and_still_knows_who_was_there() {
    let mut failover = Failover::begin(&before("one"), cluster("two", 0..0, 0..0));
    failover.event(Event::AgentAdded(agent(0)));
    failover.event(Event::FrameworkTold(framework("f")));
    failover.event(Event::TaskAdded(task("t0", 0)));
    failover.now += SETTINGS.time_max - SECOND;
    let mut third = cluster("three", 0..0, 0..0);
    let Failover { holder, live, now } = &mut failover;
    holder.take_snapshot(live.cluster(), &mut third, *now);
    *live = Live::new(third);
    assert_eq!(failover.after(2 * SECOND), None, "the time begins anew");
    assert_eq!(failover.served(), names(0..10));
    assert_eq!(
        failover.holder.counts().map(|held| held.agents_known),
        Some(10)
    );
}

#[test]
fn same_master_that_suddenly_lists_nothing_is_not_believed() {
    let (none, agents_only) = (cluster("one", 0..0, 0..0), cluster("one", 0..10, 0..0));
    for (new, cause) in [(none, Cause::NoAgents), (agents_only, Cause::NoFrameworks)] {
        let mut failover = Failover::begin(&before("one"), new);
        assert_eq!(
            failover.holder.counts().map(|held| held.cause),
            Some(cause.text())
        );
        assert_eq!(failover.served(), names(0..10));
        // With every agent there it still waits for the frameworks.
        for n in 0..10 {
            failover.event(Event::AgentAdded(agent(n)));
        }
        assert_eq!(failover.after(10 * HOLD_SETTLE), None, "{cause:?}");
        assert_eq!(failover.served(), names(0..10), "{cause:?}");
        failover.event(Event::FrameworkTold(framework("f")));
        for n in 1..10 {
            failover.event(Event::TaskAdded(task(&format!("t{n}"), n)));
        }
        assert_eq!(
            failover.after(2 * HOLD_SETTLE),
            Some(Release::AgentsBack),
            "{cause:?}"
        );
        assert_eq!(failover.served(), names(1..10), "{cause:?}");
    }
}

#[test]
fn small_losses_and_switched_off_holding_hold_nothing() {
    let mut holder = Holder::new(SETTINGS);
    let now = Instant::now();
    let mut new = cluster("one", 0..9, 0..3);
    assert!(!holder.take_snapshot(&before("one"), &mut new, now));
    assert_eq!(
        served(&new),
        names(0..3),
        "the same master, with some tasks less"
    );
    let mut new = cluster("two", 0..0, 0..0);
    assert!(
        !holder.take_snapshot(&Cluster::default(), &mut new, now),
        "nothing was known"
    );
    holder.set(HoldSettings {
        time_max: Duration::ZERO,
        ..SETTINGS
    });
    assert!(!holder.take_snapshot(&before("one"), &mut new, now));
    assert_eq!(served(&new), names(0..0));
}

#[test]
fn agent_lost_by_the_new_master_takes_its_held_tasks_along() {
    let mut failover = Failover::begin(&before("one"), cluster("two", 0..0, 0..0));
    failover.event(Event::TaskUpdated(TaskUpdate {
        is_agent_lost: true,
        ..TaskUpdate::end_of(&task("t5", 5))
    }));
    assert_eq!(failover.served(), names((0..10).filter(|n| *n != 5)));
    assert_eq!(failover.holder.counts().map(|held| held.tasks), Some(9));
}
