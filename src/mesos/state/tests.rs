//! Tests of `state`.

use super::*;
use crate::limits::SKIPPED_KEPT_MAX;

fn read(text: &str) -> StateRead {
    read_state(text.as_bytes(), u64::MAX).unwrap()
}

/// A document with these frameworks; agents S0 and S1 are listed behind them.
fn with_frameworks(frameworks: &str) -> StateRead {
    read(&format!(
        r#"{{"leader":"master@127.0.0.1:5050","frameworks":{frameworks},
        "slaves":[{{"id":"S0","pid":"slave(1)@10.0.0.1:5051"}},{{"id":"S1","pid":"slave(1)@10.0.0.2:5051"}}]}}"#
    ))
}

fn with_tasks(tasks: &str) -> StateRead {
    with_frameworks(&format!(
        r#"[{{"id":"f","name":"marathon","tasks":[{tasks}]}}]"#
    ))
}

fn with_agents(agents: &str) -> StateRead {
    read(&format!(
        r#"{{"leader":"master@127.0.0.1:5050","slaves":{agents}}}"#
    ))
}

const GOOD: &str = r#"{"id":"ok.1","name":"ok","slave_id":"S0","state":"TASK_RUNNING"}"#;

fn whys(state: &StateRead) -> Vec<&str> {
    state
        .cluster
        .skipped
        .iter()
        .map(|skipped| &*skipped.why)
        .collect()
}

#[test]
fn bad_task_loses_no_other() {
    for bad in [
        r#"{"id":"bad.1","name":5}"#,
        r#""x""#,
        r#"{"id":"bad.1","name":["web"]}"#,
        r#"{"id":"bad.1","state":1}"#,
        r#"{"id":"bad.1","resources":{"ports":[31000]}}"#,
        r#"{"id":"bad.1","resources":"x"}"#,
        r#"{"id":"bad.1","discovery":{"ports":[{"number":80}]}}"#,
        r#"{"id":"bad.1","statuses":[{"timestamp":"5"}]}"#,
        r#"{"id":"bad.1","statuses":[{"labels":{}}]}"#,
        r#"{"id":"bad.1","statuses":[{"timestamp":1e400}]}"#,
        "{\"id\":\"bad.1\",\"name\":\"w\teb\"}",
        r#"{"id":"bad.1",}"#,
    ] {
        let state = with_tasks(&format!("{bad},{GOOD}"));
        assert_eq!(state.cluster.tasks.len(), 1, "{bad}");
        assert_eq!(
            (state.bad_count, state.cluster.skipped_count),
            (1, 1),
            "{bad}"
        );
    }
    let state = with_tasks(r#"{"id":"bad.1","name":5}"#);
    let skipped = &state.cluster.skipped[0];
    assert_eq!(&*skipped.id, "bad.1");
    assert!(
        skipped.why.starts_with("name: invalid type"),
        "{}",
        skipped.why
    );
}

#[test]
fn only_running_tasks_on_listed_agents_are_kept() {
    let state = with_tasks(&format!(
        r#"{GOOD},{{"id":"a","slave_id":"S0","state":"TASK_STAGING"}},{{"id":"b","slave_id":"S9","state":"TASK_RUNNING"}},null"#
    ));
    assert_eq!(state.cluster.tasks.len(), 1);
    assert_eq!(
        whys(&state),
        [
            "state is TASK_STAGING",
            "has no state",
            "its agent \"S9\" is not listed"
        ]
    );
    assert_eq!((state.bad_count, state.cluster.skipped_count), (0, 3));
}

#[test]
fn framework_may_name_itself_behind_its_tasks() {
    let state = with_frameworks(&format!(
        r#"[{{"tasks":[{GOOD}],"pid":"s@10.9.0.1:9000","name":"late","id":"f1","completed_tasks":[{{"name":5}}]}}]"#
    ));
    assert_eq!(
        &*state.cluster.tasks.iter().next().unwrap().framework_id,
        "f1"
    );
    assert_eq!(&*state.cluster.frameworks[0].name, "late");
}

#[test]
fn frameworks_without_id_or_with_one_id_are_kept_apart() {
    let state = with_frameworks(&format!(
        r#"[{{"name":"a","tasks":[{GOOD}]}},{{"tasks":[{GOOD}],"name":"b"}},{{"id":"x","name":"c","tasks":[{GOOD}]}},
        {{"id":"x","name":"d","tasks":[{GOOD}]}},{{"tasks":[{GOOD}],"name":"e","id":"x"}},null]"#
    ));
    let mut ids: Vec<_> = state
        .cluster
        .frameworks
        .iter()
        .map(|framework| framework.id.clone())
        .collect();
    assert_eq!(ids.len(), 6);
    ids.dedup();
    assert_eq!(ids.len(), 6);
    for id in &ids[..5] {
        let tasks = state
            .cluster
            .tasks
            .iter()
            .filter(|task| task.framework_id == *id);
        assert_eq!(tasks.count(), 1, "{id}");
    }
}

#[test]
fn last_of_two_lists_wins() {
    let one = format!(r#"[{{"id":"f","name":"a","tasks":[{GOOD}]}}]"#);
    let state = with_frameworks(&format!(r#"{one},"frameworks":[{{"name":"second"}}]"#));
    assert_eq!(
        (state.cluster.tasks.len(), state.cluster.frameworks.len()),
        (0, 1)
    );
    let state = with_frameworks(&format!(r#"{one},"FrameWorks":null"#));
    assert!(state.cluster.frameworks.is_empty());
    let state = with_frameworks(&format!(
        r#"[{{"id":"f","tasks":[{GOOD},{GOOD}],"ta\u017f\u212as":[{GOOD}]}}]"#
    ));
    assert_eq!(state.cluster.tasks.len(), 1);
}

#[test]
fn framework_that_cannot_be_read_is_left_out_alone() {
    let good = format!(r#"{{"id":"g","name":"good","hostname":"fw.test","tasks":[{GOOD}]}}"#);
    for (bad, frameworks, tasks) in [
        (r#""x""#.to_owned(), 1, 1),
        (format!(r#"{{"name":5,"tasks":[{GOOD}]}}"#), 1, 1),
        (r#"{"name":"a","tasks":{}}"#.to_owned(), 2, 1),
        (
            format!(r#"{{"name":"a","pid":5,"tasks":[{GOOD}],"hostname":"h"}}"#),
            2,
            2,
        ),
        (
            format!(r#"{{"name":"a","pid":"nonsense","hostname":"h","tasks":[{GOOD}]}}"#),
            2,
            2,
        ),
    ] {
        let state = with_frameworks(&format!("[{bad},{good}]"));
        let cluster = &state.cluster;
        assert_eq!(
            (cluster.frameworks.len(), cluster.tasks.len()),
            (frameworks, tasks),
            "{bad}"
        );
        assert_eq!(state.bad_count, 1, "{bad}");
        let good = &cluster.frameworks[frameworks - 1];
        assert_eq!((&*good.hostname, &good.pid), ("fw.test", &None));
        // A scheduler with a pid is never where its hostname says.
        assert!(frameworks == 1 || cluster.frameworks[0].hostname.is_empty());
    }
}

#[test]
fn agent_without_a_readable_pid_stays_known() {
    for agent in [
        r#"{"id":"S0"}"#,
        r#"{"id":"S0","pid":null}"#,
        r#"{"id":"S0","pid":""}"#,
        r#"{"id":"S0","pid":5}"#,
        r#"{"id":"S0","pid":"slave(1)@10.0.0.999:5051"}"#,
        r#"{"id":"S0","pid":{"x":[]}}"#,
    ] {
        let state = with_agents(&format!("[{agent}]"));
        assert_eq!(state.cluster.agents[0].pid, None, "{agent}");
        assert_eq!(
            (state.bad_count, state.cluster.skipped.len()),
            (1, 1),
            "{agent}"
        );
    }
    let state =
        with_agents(r#"[{"id":"S0","pid":"slave(1)\u004010.0.0.1:5051"},null,"x",{"id":5}]"#);
    assert_eq!(
        &*state.cluster.agents[0].pid.as_ref().unwrap().host,
        "10.0.0.1"
    );
    assert_eq!((state.cluster.agents.len(), state.bad_count), (2, 3));
}

#[test]
fn document_without_a_usable_leader_is_refused() {
    let with = |leader: &str| read_state(format!(r#"{{"leader":{leader}}}"#).as_bytes(), u64::MAX);
    for good in [
        r#""master@127.0.0.1:5050""#,
        r#""foo@127.0.0.1:5050""#,
        r#""@127.0.0.1:5050""#,
        r#""master@127.0.0.1:""#,
        r#""master@127.0.0.1:abc""#,
        r#""master@127.0.0.1:70000""#,
        r#""master@localhost:5050""#,
    ] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in [
        r#""127.0.0.1:5050""#,
        r#""master@x@127.0.0.1:5050""#,
        r#""master@127.0.0.1""#,
        r#""""#,
        r#"" ""#,
        r#""master@::1:5050""#,
        r#""master@:5050""#,
        r#""master@127.0.0.01:5050""#,
        r#""http://127.0.0.1:5050""#,
        "null",
        "5",
        "{}",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
    assert!(matches!(
        read_state(&b"{}"[..], 99),
        Err(StateError::LeaderMissing)
    ));
}

#[test]
fn document_of_another_kind_is_refused() {
    for bad in [
        "",
        " ",
        "null",
        "[]",
        "7",
        r#"{"leader":"m@h:1"} x"#,
        r#"{"leader":"m@h:1","frameworks":{}}"#,
        r#"{"leader":"m@h:1","slaves":"x"}"#,
        r#"{"leader":"m@h:1","frameworks":[}"#,
        r#"{'leader':'m@h:1'}"#,
    ] {
        assert!(read_state(bad.as_bytes(), u64::MAX).is_err(), "{bad}");
    }
    for good in [
        r#"{"leader":"m@h:1","frameworks":null,"slaves":null,"x":1e400}"#,
        r#"{"LEADER":"m@h:1","frameworks":[null]} "#,
    ] {
        assert!(read_state(good.as_bytes(), u64::MAX).is_ok(), "{good}");
    }
}

#[test]
fn what_was_left_out_is_bounded_and_counted() {
    let staging = r#"{"id":"a","state":"TASK_STAGING"},"#.repeat(SKIPPED_KEPT_MAX + 7);
    let state = with_tasks(&format!("{staging}{GOOD}"));
    assert_eq!(state.cluster.skipped.len(), SKIPPED_KEPT_MAX);
    assert_eq!(state.cluster.skipped_count, SKIPPED_KEPT_MAX as u64 + 7);
}
