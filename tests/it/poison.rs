//! Names that frameworks and tasks choose to take others', with the real program: who is answered, and
//! who is told of it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::client::A;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;

/// A name and an address.
type Named<'a> = (&'a str, &'a str);

/// Frameworks with a task each, on one agent.
fn state(leader: SocketAddr, frameworks: &[(Named<'_>, Named<'_>)]) -> String {
    let framework = |&((name, address), task_of): &(Named<'_>, Named<'_>)| {
        let task = |(task, address): Named<'_>| {
            json!({
                "id": format!("{name}.{task}"),
                "name": task,
                "slave_id": "20c0-S0",
                "state": "TASK_RUNNING",
                "statuses": [{
                    "state": "TASK_RUNNING",
                    "timestamp": 1.0,
                    "container_status": {"network_infos": [{"ip_address": address}]},
                }],
            })
        };
        json!({
            "id": format!("id-{name}"),
            "name": name,
            "pid": format!("scheduler@{address}:9000"),
            "tasks": [task(task_of)],
        })
    };
    let frameworks: Vec<Value> = frameworks.iter().map(framework).collect();
    let agents = json!([{"id": "20c0-S0", "hostname": "a", "pid": "slave(1)@10.0.0.1:5051"}]);
    let leader = format!("master@{leader}");
    json!({"leader": leader, "slaves": agents, "frameworks": frameworks}).to_string()
}

fn poisoned(settings: Value) -> (Master, Rollcall) {
    let master = Master::start(|leader| {
        Behaviour::Serve(state(
            leader,
            &[
                (("web.marathon", "10.66.0.1"), ("a", "10.66.0.2")),
                (("marathon", "10.9.0.1"), ("web", "10.1.0.1")),
                (("leader", "10.66.0.3"), ("x", "0.0.0.0")),
            ],
        ))
    });
    let rollcall = Rollcall::serving(&[master.address()], settings);
    (master, rollcall)
}

#[test]
fn names_that_are_others_are_not_taken_and_everybody_is_told() {
    let (master, rollcall) = poisoned(json!({}));
    let client = rollcall.client();
    let address = |name: &str| client.ask_tcp_data(name, A).into_iter().collect::<Vec<_>>();
    assert_eq!(address("web.marathon.mesos"), ["10.1.0.1"]);
    assert_eq!(address("a.web.marathon.mesos"), ["10.66.0.2"]);
    let leader = master.address().ip().to_string();
    assert_eq!(address("leader.mesos"), [leader]);

    let collisions = &rollcall.status()["collisions"];
    assert_eq!(collisions["by_reason"]["of_another"], 1, "{collisions}");
    let some = collisions["some"].as_array().expect("a list");
    let wanted = |name, reason, who, whose| json!({"name": name, "reason": reason, "wanted_by": [who], "belongs_to": whose});
    for one in [
        wanted(
            "web.marathon.mesos.",
            "of_another",
            "web.marathon",
            "marathon",
        ),
        wanted("leader.mesos.", "reserved", "leader", "leader.mesos."),
    ] {
        assert!(some.contains(&one), "{one} is not in {collisions}");
    }
    let (_, metrics) = rollcall.get("/metrics");
    let sample = r#"rollcall_name_collisions{reason="of_another"} 1"#;
    assert!(metrics.contains(sample), "{metrics}");
    let (_, told) = rollcall.get("/v1/explain/web.marathon.mesos");
    assert!(
        told.contains("belongs to a framework whose own name has fewer labels"),
        "{told}"
    );
    for texts in [
        ["\"leader\"", "leader.mesos. is reserved"],
        ["\"web.marathon\"", "\"marathon\" has the name"],
    ] {
        assert!(rollcall.has_line(&texts), "{}", rollcall.log());
    }
}

#[test]
fn the_status_lists_no_names_where_they_are_not_for_everybody() {
    for settings in [
        json!({"HttpToken": "s3cret-token-of-16"}),
        json!({"EnumerationOn": false}),
    ] {
        let (_master, rollcall) = poisoned(settings);
        let collisions = &rollcall.status()["collisions"];
        assert_eq!(collisions["some"], json!([]), "{collisions}");
        assert_eq!(collisions["by_reason"]["of_another"], 1, "{collisions}");
    }
}
