//! Masters that are elected in a real ZooKeeper: who leads, who redirects, and what becomes of them
//! when a leader dies, when its session ends and when ZooKeeper itself does.

use std::time::Instant;

use super::*;
use crate::support::zookeeper::ZooKeeper;
use rollcall::simulate::{Role, SimulateOptions};

const SESSION: Duration = Duration::from_millis(800);

fn candidate(zk: String) -> SimulateOptions {
    SimulateOptions {
        agents: 5,
        tasks: 80,
        zk: Some(zk),
        zk_session: SESSION,
        ..SimulateOptions::default()
    }
}

fn leads(simulator: &Simulator) -> bool {
    simulator.role() == Role::LEADS
}

fn follows(simulator: &Simulator, leader: &Simulator) -> bool {
    simulator.role() == Role::Follows(leader.address().to_string())
}

/// Masters' nodes as ZooKeeper has them, in their order.
fn nodes(zookeeper: &ZooKeeper) -> Vec<Value> {
    let children = zookeeper.children("/mesos").into_iter();
    let masters = children.filter(|(name, _)| name.starts_with("json.info_"));
    masters
        .map(|(_, data)| serde_json::from_str(&data).expect("JSON"))
        .collect()
}

#[test]
fn the_first_leads_and_the_next_follows_when_it_dies() {
    let zookeeper = ZooKeeper::start();
    let one = start(candidate(zookeeper.url("/mesos")));
    wait_until("a leader", || leads(&one));
    let before = state(&one);
    assert_eq!(before.agents.len(), 5, "the first of a run knows all");
    let two = start(SimulateOptions {
        recovery: Duration::from_millis(400),
        return_over: Duration::from_millis(600),
        ..candidate(zookeeper.url("/mesos"))
    });
    wait_until("a follower", || follows(&two, &one));
    let three = start(candidate(zookeeper.url("/mesos")));
    wait_until("another", || follows(&three, &one));
    let answer = get(two.address(), "/state", "");
    let location = format!("Location: //{}/master/state\r\n", one.address());
    assert_eq!(answer.status, 307);
    assert!(answer.head.contains(&location), "{}", answer.head);
    let written = nodes(&zookeeper);
    let ports: Vec<_> = written
        .iter()
        .map(|node| &node["address"]["port"])
        .collect();
    let masters = [&one, &two, &three];
    assert_eq!(ports, masters.map(|master| master.address().port()));
    assert_eq!(written[1]["id"], two.id());
    assert_eq!(written[1]["ip"], 16_777_343);
    assert_eq!(written[1]["pid"], format!("master@{}", two.address()));

    // A killed leader's node stays until its session has expired: followers redirect to a dead one.
    let mut stream = Subscription::open(one.address());
    assert_eq!(stream.event()["type"], "SUBSCRIBED");
    let dead = one.address().to_string();
    one.kill();
    while stream.record().is_some() {}
    assert_eq!(two.role(), Role::Follows(dead));
    wait_until("a second leader", || two.role() == Role::RECOVERS);
    assert!(state(&two).agents.is_empty());
    assert_eq!(call(two.address(), "GET_STATE", "").status, 503);
    wait_until("a recovered registry", || leads(&two));
    wait_until("the third to follow it", || follows(&three, &two));
    wait_until("all agents", || state(&two) == before);
    assert_eq!(get_state(&two), before);

    // One that stops closes its session, and its node is gone at once.
    two.stop();
    assert_eq!(nodes(&zookeeper).len(), 1);
    wait_until("a third leader", || leads(&three));
    assert_eq!(state(&three), before, "it recovers at once");
}

#[test]
fn without_zookeeper_nobody_leads_until_it_is_back() {
    let mut zookeeper = ZooKeeper::start();
    let one = start(candidate(zookeeper.url("/mesos")));
    wait_until("a leader", || leads(&one));
    let two = start(candidate(zookeeper.url("/mesos")));
    wait_until("a follower", || follows(&two, &one));
    let before = state(&one);
    let mut stream = Subscription::open(one.address());
    assert_eq!(stream.event()["type"], "SUBSCRIBED");
    zookeeper.kill();
    wait_until("nobody leads", || {
        [&one, &two]
            .iter()
            .all(|master| master.role() == Role::NoLeader)
    });
    while stream.record().is_some() {}
    for master in [&one, &two] {
        for path in ["/state", "/state-summary", "/redirect", "/api/v1"] {
            let answer = get(master.address(), path, "");
            assert_eq!((answer.status, answer.text()), (503, "No leader elected"));
        }
        let answer = call(master.address(), "SUBSCRIBE", "");
        assert_eq!((answer.status, answer.text()), (503, "No leader elected"));
        assert_eq!(get(master.address(), "/health", "").status, 200);
    }
    zookeeper.restart();
    wait_until("a leader again", || leads(&one) || leads(&two));
    wait_until("a follower again", || {
        follows(&two, &one) || follows(&one, &two)
    });
    let leader = if leads(&one) { &one } else { &two };
    assert_eq!(state(leader), before);
}

#[test]
fn masters_with_credentials_write_what_everyone_may_read() {
    let zookeeper = ZooKeeper::start();
    let url_of = |user: &str| format!("zk://{user}@{}/dc1/mesos", zookeeper.address());
    let master = start(candidate(url_of("mesos:secret")));
    wait_until("a leader", || leads(&master));
    let children = zookeeper.children("/dc1/mesos");
    let names: Vec<_> = children.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["json.info_0000000000", "log_replicas"]);
    // Another that may not write there is not elected, though nobody else is there.
    master.stop();
    let stranger = start(candidate(url_of("other:secret")));
    let end = Instant::now() + Duration::from_millis(700);
    while Instant::now() < end {
        assert_eq!(stranger.role(), Role::NoLeader);
        std::thread::yield_now();
    }
    assert_eq!(zookeeper.children("/dc1/mesos").len(), 1);
}

#[test]
fn a_short_absence_of_zookeeper_changes_nothing() {
    let mut zookeeper = ZooKeeper::start();
    let patient = || SimulateOptions {
        zk_session: Duration::from_secs(20),
        ..candidate(zookeeper.url("/mesos"))
    };
    let one = start(patient());
    wait_until("a leader", || leads(&one));
    let two = start(patient());
    wait_until("a follower", || follows(&two, &one));
    let mut stream = Subscription::open(one.address());
    assert_eq!(stream.event()["type"], "SUBSCRIBED");
    zookeeper.restart();
    // Written in the same session, as soon as there is a connection again.
    wait_until("both nodes", || nodes(&zookeeper).len() == 2);
    one.step().expect("a step");
    assert_eq!(stream.event()["type"], "TASK_UPDATED");
    assert!(leads(&one) && follows(&two, &one));
    // The watch is still there: the end of the leader is noticed.
    one.stop();
    wait_until("a new leader", || leads(&two));
}

#[test]
fn a_master_starts_before_zookeeper_and_stops_without_it() {
    let mut zookeeper = ZooKeeper::start();
    zookeeper.kill();
    let master = start(candidate(zookeeper.url("/mesos")));
    assert_eq!(master.role(), Role::NoLeader);
    assert_eq!(get(master.address(), "/state", "").status, 503);
    zookeeper.restart();
    wait_until("a leader", || leads(&master));
    assert_eq!(state(&master).agents.len(), 5);
    zookeeper.kill();
    let begin = Instant::now();
    master.stop();
    assert!(begin.elapsed() < Duration::from_secs(5), "it stops in time");
}
