//! A leader that was restarted: first it reads its registry, then the agents come back one after the
//! other, on the stream and in the documents alike.

use std::time::Instant;

use super::*;
use rollcall::simulate::{Role, SimulateOptions};

#[test]
fn a_leader_that_has_not_recovered_is_empty_and_has_no_v1_api() {
    let simulator = start(SimulateOptions {
        recovery: Duration::from_secs(600),
        ..SimulateOptions::default()
    });
    let address = simulator.address();
    assert!(!state(&simulator).tasks.is_empty(), "the first knows all");
    let id = simulator.id();
    let mut stream = Subscription::open(address);
    assert_eq!(stream.event()["type"], "SUBSCRIBED");
    control(address, "restart");
    while stream.record().is_some() {}
    assert_ne!(simulator.id(), id, "a restarted master has another id");
    let document = get(address, "/state", "");
    assert_eq!(document.status, 200);
    for key in [
        "slaves",
        "recovered_slaves",
        "frameworks",
        "completed_frameworks",
    ] {
        assert!(list(&document.json()[key]).is_empty(), "{key}");
    }
    assert_eq!(document.json()["id"], simulator.id());
    for kind in ["GET_STATE", "GET_HEALTH", "SUBSCRIBE"] {
        let answer = call(address, kind, "");
        let expected = (503, "Master has not finished recovery");
        assert_eq!((answer.status, answer.text()), expected, "{kind}");
    }
    let counts = get(address, "/simulate/counts", "").json();
    assert_eq!(counts["role"], "recovers");
}

#[test]
fn agents_come_back_with_their_frameworks_and_tasks() {
    let simulator = start(SimulateOptions {
        agents: 6,
        tasks: 120,
        return_over: Duration::from_secs(3_600),
        ..SimulateOptions::default()
    });
    let address = simulator.address();
    let before = state(&simulator);
    assert!(simulator.restart());
    wait_until("a recovered registry", || simulator.role() == Role::LEADS);
    let mut stream = Subscription::open(address);
    let first = &stream.event()["subscribed"]["get_state"];
    assert_eq!(list(&first["get_agents"]["recovered_agents"]).len(), 6);
    let document = get(address, "/state", "").json();
    let awaited = list(&document["recovered_slaves"]);
    assert_eq!(awaited.len(), 6);
    assert!(awaited.iter().all(|agent| agent["pid"].is_null()));
    let mut known = Known::from_get_state(first);
    assert_eq!(known, Known::default());
    for agent in [2, 0, 1, 5, 4, 3] {
        control(address, &format!("agent?index={agent}&do=return"));
    }
    let mut events = Vec::new();
    let resubscribed = |event: &Value| event["type"] == "FRAMEWORK_UPDATED";
    while known.agents.len() < 6 || !events.iter().any(resubscribed) {
        let event = stream.event();
        known.apply(&event);
        events.push(event);
    }
    // The first agent, then each framework of its tasks, recovered, before the first of its tasks.
    assert_eq!(events[0]["type"], "AGENT_ADDED");
    assert_eq!(events[1]["type"], "FRAMEWORK_ADDED");
    let framework = &events[1]["framework_added"]["framework"];
    assert_eq!(framework["recovered"], true);
    assert_eq!(framework["connected"], false);
    assert_eq!(events[2]["type"], "TASK_ADDED");
    assert!(list(&events[2]["task_added"]["task"]["statuses"]).len() >= 2);
    // Tasks of frameworks that are known by then come before their agent.
    let place = |id: &str| {
        let is = |event: &Value| {
            event["agent_added"]["agent"]["agent_info"]["id"]["value"]
                .as_str()
                .is_some_and(|agent| agent.ends_with(id))
        };
        events.iter().position(is).expect("an agent")
    };
    assert!(place("-S2") < place("-S0"));
    assert_eq!(events[place("-S3") - 1]["type"], "TASK_ADDED");
    assert_eq!(known, before);
    assert_eq!(state(&simulator), before);
    assert_eq!(get_state(&simulator), before);
    let document = get(address, "/state", "").json();
    assert!(list(&document["recovered_slaves"]).is_empty());
    assert_eq!(document["frameworks"][0]["recovered"], false);
}

#[test]
fn agents_come_back_evenly_over_the_time_that_was_asked_for() {
    let simulator = start(SimulateOptions {
        agents: 6,
        return_over: Duration::from_millis(600),
        ..SimulateOptions::default()
    });
    let begin = Instant::now();
    assert!(simulator.restart());
    let mut seen = Vec::new();
    wait_until("the last agent", || {
        let back = 6 - simulator.with_cluster(|cluster| cluster.awaited().count());
        if seen.last() != Some(&back) {
            // None is early; how late one is, is up to the machine.
            assert!(begin.elapsed() >= Duration::from_millis(100) * back as u32);
            seen.push(back);
        }
        back == 6
    });
    assert!(seen.len() > 1, "all at once");
}

#[test]
fn changes_while_agents_come_back_are_told_of_what_is_back_alone() {
    let simulator = start(SimulateOptions {
        agents: 6,
        tasks: 150,
        return_over: Duration::from_secs(3_600),
        ..SimulateOptions::default()
    });
    assert!(simulator.restart());
    wait_until("a recovered registry", || simulator.role() == Role::LEADS);
    let mut stream = Subscription::open(simulator.address());
    let first = stream.event();
    let mut known = Known::from_get_state(&first["subscribed"]["get_state"]);
    control(simulator.address(), "agent?index=3&do=return");
    control(simulator.address(), "step?count=40");
    control(simulator.address(), "agent?index=5&do=return");
    control(simulator.address(), "step?count=40");
    control(simulator.address(), "agent?index=5&do=remove");
    loop {
        let event = stream.event();
        known.apply(&event);
        if event["type"] == "AGENT_REMOVED" {
            break;
        }
    }
    assert_eq!(known.agents.len(), 1);
    assert!(!known.tasks.is_empty());
    assert!(known.tasks.values().all(|task| task.contains("-S3|")));
    assert_eq!(known, state(&simulator));
    assert_eq!(known, get_state(&simulator));
    // The made-up cluster itself went on as any other of its seed.
    let other = start(SimulateOptions {
        agents: 6,
        tasks: 150,
        steps: 80,
        ..SimulateOptions::default()
    });
    let tasks = |simulator: &Simulator| {
        simulator.with_cluster(|cluster| {
            let tasks = cluster.tasks.iter().filter(|task| task.agent != 5);
            tasks.map(|task| task.instance).collect::<Vec<_>>()
        })
    };
    assert_eq!(tasks(&simulator), tasks(&other));
}

#[test]
fn a_standby_does_not_restart() {
    let simulator = start(SimulateOptions {
        standby: Some("192.0.2.1:5050".to_owned()),
        ..SimulateOptions::default()
    });
    let answer = post(simulator.address(), "/simulate/restart", "", "");
    assert_eq!(answer.status, 409);
    assert!(!simulator.restart());
}

#[test]
fn masters_of_one_cluster_stay_alike_when_each_is_told_the_same() {
    let one = start(SimulateOptions::default());
    one.step_app("web").expect("web runs");
    let two = Simulator::start_beside(&SimulateOptions::default(), &one).expect("another master");
    assert_ne!(one.id(), two.id());
    assert_eq!(state(&two), state(&one));
    // Whatever one of them has forgotten meanwhile.
    assert!(two.restart());
    for _ in 0..20 {
        let steps = [&one, &two].map(|master| master.step_app("web").expect("web runs"));
        let moves = steps.map(|step| (step.old, step.new));
        assert_eq!(moves[0], moves[1]);
    }
    wait_until("all agents", || state(&two) == state(&one));
}
