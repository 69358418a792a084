//! Agents and frameworks that go and come: which events tell of it, in a real master's order.

use super::*;
use rollcall::simulate::SimulateOptions;

/// A small cluster, a subscriber of it, and what that one knows.
fn followed() -> (Simulator, Subscription, Known) {
    let simulator = start(SimulateOptions {
        agents: 4,
        tasks: 60,
        ..SimulateOptions::default()
    });
    let mut stream = Subscription::open(simulator.address());
    let first = stream.event();
    let known = Known::from_get_state(&first["subscribed"]["get_state"]);
    (simulator, stream, known)
}

/// Events up to the first of a type.
fn events_to(stream: &mut Subscription, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event = stream.event();
        let is_last = event["type"] == kind;
        events.push(event);
        if is_last {
            return events;
        }
    }
}

fn tasks_of(known: &Known, part: &str) -> usize {
    known
        .tasks
        .values()
        .filter(|task| task.contains(part))
        .count()
}

#[test]
fn a_lost_agent_is_told_by_its_tasks_alone() {
    let (simulator, mut stream, mut known) = followed();
    let count = tasks_of(&known, "-S2|");
    assert!(count > 3);
    simulator
        .change(|cluster| cluster.lose_agent(2))
        .expect("lost");
    for _ in 0..count {
        let event = stream.event();
        let update = &event["task_updated"];
        assert_eq!(update["state"], "TASK_UNREACHABLE");
        let status = &update["status"];
        assert_eq!(status["source"], "SOURCE_MASTER");
        assert_eq!(status["reason"], "REASON_AGENT_REMOVED");
        assert!(status["container_status"].is_null());
        assert!(status["unreachable_time"]["nanoseconds"].is_u64());
        known.apply(&event);
    }
    assert_eq!(tasks_of(&known, "-S2|"), 0);
    // No AGENT_REMOVED: the next event is another one, and the agent is missing in documents alone.
    simulator.step().expect("a step");
    assert_eq!(stream.kinds(1), ["TASK_UPDATED TASK_KILLED"]);
    assert_eq!(state(&simulator).agents.len(), 3);
    let again = simulator.change(|cluster| cluster.lose_agent(2));
    assert!(again.expect_err("lost").to_string().contains("Unreachable"));
}

#[test]
fn an_agent_that_returns_comes_after_its_tasks() {
    let (simulator, mut stream, known) = followed();
    let count = tasks_of(&known, "-S2|");
    simulator
        .change(|cluster| cluster.lose_agent(2))
        .expect("lost");
    let mut after: Known = known.clone();
    for _ in 0..count {
        after.apply(&stream.event());
    }
    simulator
        .change(|cluster| cluster.return_agent(2))
        .expect("returned");
    let events = events_to(&mut stream, "AGENT_ADDED");
    assert_eq!(events.len(), count + 1);
    for event in &events[..count] {
        let task = &event["task_added"]["task"];
        assert!(task["status_update_state"].is_null());
        assert_eq!(
            task["statuses"].is_null(),
            task["state"] == "TASK_STAGING",
            "{task}"
        );
    }
    events.iter().for_each(|event| after.apply(event));
    assert_eq!(after, known);
    assert_eq!(after, get_state(&simulator));
    assert_eq!(after, state(&simulator));
}

#[test]
fn a_removed_agent_goes_after_its_tasks_and_never_returns() {
    let (simulator, mut stream, mut known) = followed();
    let count = tasks_of(&known, "-S1|");
    simulator
        .change(|cluster| cluster.remove_agent(1))
        .expect("removed");
    let events = events_to(&mut stream, "AGENT_REMOVED");
    assert_eq!(events.len(), count + 1);
    for event in &events[..count] {
        assert_eq!(event["task_updated"]["state"], "TASK_LOST");
    }
    events.iter().for_each(|event| known.apply(event));
    assert_eq!(known, get_state(&simulator));
    for wrong in [1, 99] {
        let error = simulator.change(|cluster| cluster.return_agent(wrong));
        assert!(error.is_err(), "{wrong}");
    }
    // Steps go on without it, and without any agent there are none.
    assert!(simulator.step().is_some());
    for agent in [0, 2, 3] {
        simulator
            .change(|cluster| cluster.remove_agent(agent))
            .expect("removed");
    }
    assert_eq!(simulator.step(), None);
    assert_eq!(
        simulator.with_cluster(|cluster| cluster.running().count()),
        0
    );
}

#[test]
fn frameworks_end_begin_and_change() {
    let (simulator, mut stream, mut known) = followed();
    let id = known
        .frameworks
        .iter()
        .find(|(_, shown)| shown.contains("cassandra"));
    let id = id.expect("a framework").0.clone();
    let count = known
        .tasks
        .keys()
        .filter(|(framework, _)| *framework == id)
        .count();
    assert!(count > 0);
    simulator
        .change(|cluster| cluster.tear_down(1))
        .expect("torn down");
    let events = events_to(&mut stream, "FRAMEWORK_REMOVED");
    assert_eq!(events.len(), count + 1);
    for event in &events[..count] {
        let status = &event["task_updated"]["status"];
        assert_eq!(status["state"], "TASK_KILLED");
        assert_eq!(status["reason"], "REASON_FRAMEWORK_REMOVED");
        assert_eq!(status["message"], format!("Framework {id} removed"));
    }
    events.iter().for_each(|event| known.apply(event));
    assert_eq!(known, get_state(&simulator));

    let index = simulator
        .add_framework("cassandra.prod", "node", 2)
        .expect("added");
    assert_eq!(index, 5);
    let events: Vec<_> = (0..7).map(|_| stream.event()).collect();
    assert_eq!(events[0]["type"], "FRAMEWORK_ADDED");
    assert_ne!(
        events[0]["framework_added"]["framework"]["framework_info"]["id"]["value"],
        id
    );
    assert_eq!(events[1]["task_added"]["task"]["name"], "node");
    assert_eq!(events[3]["task_updated"]["state"], "TASK_RUNNING");
    events.iter().for_each(|event| known.apply(event));
    assert_eq!(known, get_state(&simulator));

    let pid = "scheduler-1@10.9.9.9:9000";
    simulator
        .change(|cluster| cluster.update_framework(0, Some("moved.example"), Some(pid)))
        .expect("updated");
    let event = stream.event();
    assert_eq!(event["type"], "FRAMEWORK_UPDATED");
    known.apply(&event);
    assert_eq!(known, get_state(&simulator));
    assert_eq!(known, state(&simulator));
    let document = get(simulator.address(), "/state", "").json();
    assert_eq!(document["frameworks"][0]["pid"], pid);
    for wrong in [1, 77] {
        assert!(
            simulator
                .change(|cluster| cluster.tear_down(wrong))
                .is_err()
        );
    }
    assert!(simulator.add_framework("large", "app", usize::MAX).is_err());
}

#[test]
fn requests_change_the_cluster_as_the_library_does() {
    let (simulator, mut stream, mut known) = followed();
    let address = simulator.address();
    let steps = control(address, "step?count=2");
    assert_eq!(list(&steps["steps"]).len(), 2);
    let step = control(address, "step-app?name=web");
    assert_eq!(step["steps"][0]["app"], "web");
    control(address, "agent?index=1&do=lose");
    control(address, "agent?index=1&do=return");
    control(address, "agent?index=2&do=remove");
    control(address, "health?app=worker&instance=1&is=bad");
    let added = control(address, "framework?do=add&name=new+one&app=it&tasks=3");
    assert_eq!(added["framework"], 5);
    control(address, "framework?index=2&do=tear-down");
    control(address, "framework?index=3&do=update&hostname=h.example");
    for event in events_to(&mut stream, "FRAMEWORK_UPDATED") {
        known.apply(&event);
        // A lost agent stays known, and comes again.
    }
    assert_eq!(known, get_state(&simulator));
    let counts = get(address, "/simulate/counts", "").json();
    assert_eq!(counts["requests"]["SUBSCRIBE"], 1);
    assert_eq!(counts["requests"]["GET_STATE"], 1);
    assert_eq!(counts["streams_open"], 1);
    assert_eq!(counts["role"], "leads");
}

#[test]
fn requests_that_cannot_be_are_refused_with_the_reason() {
    let (simulator, _stream, known) = followed();
    for (path, status, culprit) in [
        ("nothing", 404, "nothing"),
        ("step?count=x", 400, "count=x"),
        ("step?count=9999999", 400, "100000"),
        ("step-app", 400, "name="),
        ("agent?do=lose", 400, "index="),
        ("agent?index=1&do=hide", 400, "lose"),
        ("agent?index=77&do=lose", 409, "77"),
        ("agent?index=1&do=return", 409, "Active"),
        ("health?is=bad", 400, "app="),
        ("health?app=web&is=ill", 400, "unknown"),
        ("health?app=web&instance=99&is=bad", 409, "99"),
        ("framework?do=add", 400, "name="),
        ("framework?index=88&do=update", 409, "88"),
        ("framework?index=1", 400, "tear-down"),
        ("stream?do=dance", 400, "disconnect"),
        ("stream?do=split", 400, "bytes="),
        ("stream?do=refuse&status=7", 400, "status="),
        ("stream?do=garbage&for=ever", 400, "open"),
        ("state?do=dance", 400, "empty"),
        ("state?do=slow", 400, "ms="),
        ("state?do=slow&ms=999999999", 400, "ms="),
    ] {
        let answer = post(simulator.address(), &format!("/simulate/{path}"), "", "");
        assert_eq!(answer.status, status, "{path}");
        let error = text(&answer.json()["error"]);
        assert!(error.contains(culprit), "{path}: {error}");
    }
    assert_eq!(get(simulator.address(), "/simulate/step", "").status, 405);
    assert_eq!(known, get_state(&simulator), "nothing was done");
}
