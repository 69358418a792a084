//! Which address a task is answered with, with the real program on a simulated master: what the rules
//! pass over, what stands in its place, and who is told.

use std::collections::BTreeSet;

use rollcall::simulate::{SimulateOptions, Simulator};
use serde_json::{Value, json};

use crate::support::client::A;
use crate::support::process::Rollcall;
use crate::support::vigil::addresses_of;
use crate::support::wait_until;

/// In Docker's bridge, with an address of the container.
const BRIDGED: &str = "api-shop.marathon.mesos";
/// In a network of its own.
const WORKER: &str = "worker.marathon.mesos";
/// On its host's address.
const WEB: &str = "web.marathon.mesos";

fn ruled(settings: Value) -> (Simulator, Rollcall) {
    let master = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    let rollcall = Rollcall::serving(&[master.address()], settings);
    (master, rollcall)
}

/// The addresses of the agents on which an application runs.
fn agents_of(master: &Simulator, app: &str) -> BTreeSet<String> {
    master.with_cluster(|cluster| {
        let tasks = &cluster.find_app(app).expect("an application").tasks;
        let agents = tasks.iter().map(|&place| {
            let agent = cluster.tasks[place as usize].agent;
            cluster.agents[agent as usize].address.to_string()
        });
        agents.collect()
    })
}

fn explained(rollcall: &Rollcall, name: &str) -> String {
    let (status, text) = rollcall.get(&format!("/v1/explain/{name}"));
    assert_eq!(status, 200, "{text}");
    text
}

#[test]
fn bridged_tasks_are_answered_with_their_hosts_where_told_so() {
    let (master, rollcall) = ruled(json!({"SkipNetInfoForBridge": true, "RefreshSeconds": 3600}));
    let client = rollcall.client();
    let hosts = agents_of(&master, "api.shop");
    assert!(hosts.is_disjoint(&addresses_of(&master, "api.shop")));
    assert_eq!(client.ask_tcp_data(BRIDGED, A), hosts);
    for (name, app) in [(WORKER, "worker"), (WEB, "web")] {
        assert_eq!(client.ask_tcp_data(name, A), addresses_of(&master, app));
    }
    let text = explained(&rollcall, BRIDGED);
    assert!(text.contains("address from host"), "{text}");
    assert!(text.contains("(SkipNetInfoForBridge)"), "{text}");
    // A task that the stream tells of is treated alike.
    master.step_app("api.shop").expect("it runs");
    wait_until("the moved instance's host", || {
        client.ask_tcp_data(BRIDGED, A) == agents_of(&master, "api.shop")
    });
    let plain = Rollcall::serving(&[master.address()], json!({}));
    let own = addresses_of(&master, "api.shop");
    assert_eq!(plain.client().ask_tcp_data(BRIDGED, A), own);
}

#[test]
fn denied_and_not_allowed_addresses_make_room_for_the_next_source() {
    for rule in [
        json!({"ipDeny": ["9.0.0.0/8", "fd01::/16"]}),
        json!({"ipAllow": ["10.0.0.0/8"]}),
    ] {
        let (master, rollcall) = ruled(rule);
        let client = rollcall.client();
        let hosts = agents_of(&master, "worker");
        assert_eq!(client.ask_tcp_data(WORKER, A), hosts);
        assert_eq!(client.ask_tcp_data(WEB, A), addresses_of(&master, "web"));
        assert!(explained(&rollcall, WORKER).contains("; passed over: netinfo 9."));
    }
}

#[test]
fn tasks_without_any_address_left_are_counted_and_explained() {
    let rule = json!({"IPSources": ["netinfo"], "IpDeny": ["9.0.0.0/8"]});
    let (master, rollcall) = ruled(rule);
    let client = rollcall.client();
    assert!(client.ask_tcp_data(WORKER, A).is_empty());
    assert_eq!(client.ask_tcp_data(WEB, A), addresses_of(&master, "web"));
    let text = explained(&rollcall, WORKER);
    assert!(text.contains("(IpDeny 9.0.0.0/8)"), "{text}");
    let status = rollcall.status();
    assert!(status["names_left_out"].as_u64() >= Some(8), "{status}");
    assert!(rollcall.has_line(&["names left out", "IpDeny pass over"]));
    // The configuration is read anew, and all records with it.
    rollcall.configure(json!({"IpDeny": []}));
    rollcall.signal("HUP");
    wait_until("addresses that nothing denies", || {
        client.ask_tcp_data(WORKER, A) == addresses_of(&master, "worker")
    });
    wait_until("a status without names left out", || {
        rollcall.status()["names_left_out"] == 0
    });
}
