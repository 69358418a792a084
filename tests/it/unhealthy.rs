//! Tasks that fail their health checks, with the real program: their records come last or are left out
//! as soon as the master says so, and are back as soon as they are well.

use std::collections::BTreeSet;

use hickory_proto::rr::RData;
use rollcall::simulate::{SimulateOptions, Simulator};
use serde_json::{Value, json};

use crate::support::client::{A, Client, SRV, decode, query};
use crate::support::process::Rollcall;
use crate::support::vigil::addresses_of;
use crate::support::wait_until;

const WORKER: &str = "worker.marathon.mesos";
const SERVICE: &str = "_worker._tcp.marathon.mesos";

/// A cluster, and what the rule makes of it. Only the stream tells where RefreshSeconds is so long.
fn ruled(rule: &str, settings: Value) -> (Simulator, Rollcall) {
    let master = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    let mut all = json!({"RefreshSeconds": 3600, "unhealthy": rule});
    for (key, value) in settings.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    let rollcall = Rollcall::serving(&[master.address()], all);
    (master, rollcall)
}

fn set(master: &Simulator, instance: usize, healthy: Option<bool>) {
    master
        .change(|cluster| cluster.set_health("worker", instance, healthy))
        .expect("an instance that runs");
}

/// The address of one instance.
fn address(master: &Simulator, instance: usize) -> String {
    master.with_cluster(|cluster| {
        let place = cluster.find_app("worker").expect("worker").tasks[instance];
        cluster.address(&cluster.tasks[place as usize]).to_string()
    })
}

fn in_order(client: &Client) -> Vec<String> {
    let answer = decode(&client.tcp(&query(WORKER, A)));
    answer
        .answers
        .iter()
        .map(|it| it.data.to_string())
        .collect()
}

/// Priority and target of each SRV record, in order.
fn services(client: &Client) -> Vec<(u16, String)> {
    let answer = decode(&client.tcp(&query(SERVICE, SRV)));
    let records = answer.answers.iter().map(|it| match &it.data {
        RData::SRV(srv) => (srv.priority, srv.target.to_string()),
        other => panic!("{other}"),
    });
    records.collect()
}

fn explanation(rollcall: &Rollcall) -> String {
    let (status, text) = rollcall.get(&format!("/v1/explain/{WORKER}"));
    assert_eq!(status, 200, "{text}");
    text
}

#[test]
fn omitted_task_is_left_out_while_it_is_unhealthy() {
    let (master, rollcall) = ruled("omit", json!({}));
    let client = rollcall.client();
    let all = addresses_of(&master, "worker");
    let ill = address(&master, 2);
    assert_eq!(client.ask_tcp_data(WORKER, A), all);
    set(&master, 2, Some(false));
    let rest: BTreeSet<String> = all.iter().filter(|it| **it != ill).cloned().collect();
    wait_until("answer without the unhealthy task", || {
        client.ask_tcp_data(WORKER, A) == rest
    });
    assert_eq!(services(&client).len(), all.len() - 1);
    let text = explanation(&rollcall);
    assert!(text.contains("Unhealthy leaves it out"), "{text}");
    let (_, listed) = rollcall.get("/v1/enumerate");
    let list: Value = serde_json::from_str(&listed).expect("JSON");
    let is_listed = |name: &str| listed_at(&list, name).contains(&ill);
    assert!(!is_listed(&format!("{WORKER}.")), "{list}");
    set(&master, 2, Some(true));
    wait_until("answer with it", || client.ask_tcp_data(WORKER, A) == all);
    assert!(!explanation(&rollcall).contains("Unhealthy"));
    for instance in 0..all.len() {
        set(&master, instance, Some(false));
    }
    // The last one to fall ill brings all of them back.
    wait_until("answer of all, for none is healthy", || {
        client.ask_tcp_data(WORKER, A) == all && services(&client).len() == all.len()
    });
    assert_eq!(
        master.counts().of("state"),
        0,
        "the stream alone told of it"
    );
}

/// The hosts of a name's A records in `/v1/enumerate`.
fn listed_at(list: &Value, name: &str) -> BTreeSet<String> {
    let frameworks = list["frameworks"].as_array().into_iter().flatten();
    let tasks = frameworks.flat_map(|it| it["tasks"].as_array().into_iter().flatten());
    let records = tasks.flat_map(|it| it["records"].as_array().into_iter().flatten());
    records
        .filter(|it| it["name"] == *name && it["rtype"] == "A")
        .filter_map(|it| it["host"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn unhealthy_task_is_last_and_its_service_has_priority_1() {
    let (master, rollcall) = ruled("last", json!({}));
    let client = rollcall.client();
    let ill = address(&master, 0);
    let count = addresses_of(&master, "worker").len();
    assert!(services(&client).iter().all(|(priority, _)| *priority == 0));
    set(&master, 0, Some(false));
    wait_until("unhealthy task at the end", || {
        services(&client).iter().any(|(priority, _)| *priority == 1)
    });
    let mut firsts = BTreeSet::new();
    for _ in 0..40 {
        let order = in_order(&client);
        assert_eq!(order.len(), count);
        assert_eq!(order.last(), Some(&ill), "{order:?}");
        firsts.insert(order[0].clone());
        let services = services(&client);
        assert_eq!(services.len(), count);
        let ones = services.iter().filter(|(priority, _)| *priority == 1);
        assert_eq!(ones.count(), 1);
        assert_eq!(services.last().map(|it| it.0), Some(1), "{services:?}");
    }
    assert!(firsts.len() > 1, "the others stay in random order");
    assert!(explanation(&rollcall).contains("Unhealthy puts it last"));
    set(&master, 0, None);
    wait_until("a task without a health check", || {
        services(&client).iter().all(|(priority, _)| *priority == 0)
    });
}

#[test]
fn health_of_a_polled_state_counts_and_by_default_none_does() {
    let (master, rollcall) = ruled("omit", json!({"RefreshSeconds": 1, "Source": "poll"}));
    let plain = Rollcall::serving(&[master.address()], json!({"RefreshSeconds": 3600}));
    let all = addresses_of(&master, "worker");
    let ill = address(&master, 1);
    set(&master, 1, Some(false));
    wait_until("answer without the unhealthy task", || {
        !rollcall.client().ask_tcp_data(WORKER, A).contains(&ill)
    });
    assert_eq!(plain.client().ask_tcp_data(WORKER, A), all);
    assert!(!explanation(&plain).contains("Unhealthy"));
}
