//! Tasks near this host come first, with the real program on a simulated master whose agents stand in
//! several zones, one of them at an address of this very host.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use rollcall::simulate::cluster::Cluster;
use rollcall::simulate::{SimulateOptions, Simulator};
use serde_json::json;

use crate::support::client::{A, Client, decode, query};
use crate::support::process::Rollcall;
use crate::support::vigil::addresses_of;
use crate::support::wait_until;

const WORKER: &str = "worker.marathon.mesos";

/// The agents on which instances of `worker` run.
fn agents(cluster: &Cluster) -> Vec<usize> {
    let tasks = &cluster.find_app("worker").expect("worker").tasks;
    let agents = tasks
        .iter()
        .map(|&place| cluster.tasks[place as usize].agent as usize);
    let agents: BTreeSet<usize> = agents.collect();
    agents.into_iter().collect()
}

/// How far an address of `worker` is from here: by the agents that have a task with it.
fn distance(cluster: &Cluster, address: &str) -> usize {
    let tasks = &cluster.find_app("worker").expect("worker").tasks;
    let tasks = tasks.iter().map(|&place| &cluster.tasks[place as usize]);
    let task = tasks
        .into_iter()
        .find(|task| cluster.address(task).to_string() == address)
        .expect("a task of that address");
    let agent = &cluster.agents[task.agent as usize];
    match (agent.address.is_loopback(), agent.region, agent.zone) {
        (true, ..) => 0,
        (_, "here", "a") => 1,
        (_, "here", _) => 2,
        _ => 3,
    }
}

/// What one answer has, in its order, as distances.
fn distances(master: &Simulator, client: &Client) -> Vec<usize> {
    let answer = decode(&client.tcp(&query(WORKER, A)));
    let answers = answer.answers.iter().map(|it| it.data.to_string());
    master.with_cluster(|cluster| answers.map(|it| distance(cluster, &it)).collect())
}

/// Every answer has all addresses, the near ones first.
#[track_caller]
fn assert_near_first(master: &Simulator, client: &Client) {
    let all = addresses_of(master, "worker");
    for _ in 0..30 {
        assert_eq!(client.ask_tcp_data(WORKER, A), all);
        let found = distances(master, client);
        assert!(found.is_sorted(), "{found:?}");
    }
}

/// An agent on this host, one in another zone and one in another region; the others are in this zone.
fn placed() -> (Simulator, [usize; 3]) {
    let options = SimulateOptions::default();
    let master = Simulator::start(&options).expect("a simulated master");
    let mut chosen = [0; 3];
    let place = |cluster: &mut Cluster| {
        for (index, agent) in cluster.agents.iter_mut().enumerate() {
            // None of these is any machine's own.
            agent.address = Ipv4Addr::new(198, 51, 100, index as u8 + 1);
            (agent.region, agent.zone) = ("here", "a");
        }
        let [own, zone, region, ..] = agents(cluster)[..] else {
            panic!("worker runs on too few agents");
        };
        cluster.agents[own].address = Ipv4Addr::LOCALHOST;
        cluster.agents[zone].zone = "b";
        cluster.agents[region].region = "there";
        chosen = [own, zone, region];
        Ok(())
    };
    master.change(place).expect("no change that can fail");
    (master, chosen)
}

#[test]
fn near_tasks_come_first_and_move_with_their_agents() {
    let (master, [own, zone, region]) = placed();
    let settings = json!({"preferLocal": true, "RefreshSeconds": 3600});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let client = rollcall.client();
    assert_near_first(&master, &client);
    let kinds: BTreeSet<usize> = distances(&master, &client).into_iter().collect();
    assert!(kinds.is_superset(&[0, 2, 3].into()), "{kinds:?}");
    let (_, text) = rollcall.get(&format!("/v1/explain/{WORKER}"));
    assert!(
        text.contains("on this host: PreferLocal puts it first"),
        "{text}"
    );
    // The agents come back from elsewhere, as the stream tells: the one of this host last.
    for (agent, to) in [
        (region, ("here", "a")),
        (zone, ("there", "b")),
        (own, ("there", "a")),
    ] {
        master
            .change(|cluster| cluster.lose_agent(agent))
            .expect("an agent");
        wait_until("names without the lost agent's", || {
            client.ask_tcp_data(WORKER, A) == addresses_of(&master, "worker")
        });
        let come_back = |cluster: &mut Cluster| {
            (cluster.agents[agent].region, cluster.agents[agent].zone) = to;
            cluster.return_agent(agent)
        };
        master.change(come_back).expect("an agent");
        wait_until("names with it", || {
            client.ask_tcp_data(WORKER, A) == addresses_of(&master, "worker")
        });
        if agent != own {
            assert_near_first(&master, &client);
        }
    }
    // This host is in the region \"there\" now, and so is the agent that moved to it before.
    let answer = decode(&client.tcp(&query(WORKER, A)));
    let second = master.with_cluster(|cluster| {
        let regions = answer.answers.iter().map(|it| {
            let address = it.data.to_string();
            let tasks = &cluster.find_app("worker").expect("worker").tasks;
            let mut tasks = tasks.iter().map(|&place| &cluster.tasks[place as usize]);
            let task = tasks.find(|task| cluster.address(task).to_string() == address);
            cluster.agents[task.expect("a task").agent as usize].region
        });
        regions.collect::<Vec<_>>()
    });
    let there = second
        .iter()
        .take_while(|region| **region == "there")
        .count();
    assert!(
        there >= 2 && !second[there..].contains(&"there"),
        "{second:?}"
    );
    assert_eq!(
        master.counts().of("state"),
        0,
        "the stream alone told of it"
    );
}

#[test]
fn without_the_rule_every_task_may_be_first() {
    let (master, _) = placed();
    let rollcall = Rollcall::serving(&[master.address()], json!({"Source": "poll"}));
    let client = rollcall.client();
    let firsts = |client: &Client| -> BTreeSet<usize> {
        let answers = (0..200).map(|_| distances(&master, client)[0]);
        answers.collect()
    };
    assert!(firsts(&client).len() > 1);
    // The same program, told anew.
    rollcall.configure(json!({"PreferLocal": true}));
    rollcall.signal("HUP");
    wait_until("a task of this host first", || {
        let order = distances(&master, &client);
        order.is_sorted() && order[0] == 0 && firsts(&client).len() == 1
    });
    assert_near_first(&master, &client);
}
