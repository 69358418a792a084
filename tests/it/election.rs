//! The real program, a real ZooKeeper and simulated masters that are elected there: whoever dies, the
//! answers stay, and the next leader is followed.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use rollcall::simulate::{Role, SimulateOptions, Simulator};
use serde_json::{Value, json};

use crate::support::client::{A, Client, SOA};
use crate::support::process::Rollcall;
use crate::support::vigil::{Vigil, addresses_of, expected};
use crate::support::wait_until;
use crate::support::zookeeper::ZooKeeper;

const STILL: [(&str, &str); 2] = [
    ("worker", "worker.marathon.mesos"),
    ("cassandra-seed", "cassandra-seed.marathon.mesos"),
];
const WEB: &str = "web.marathon.mesos";

/// A master that is elected; its agents take longer to come back to a later leader than we do.
fn candidate(zookeeper: &ZooKeeper) -> Simulator {
    Simulator::start(&SimulateOptions {
        zk: Some(zookeeper.url("/mesos")),
        zk_session: Duration::from_millis(800),
        recovery: Duration::from_millis(200),
        return_over: Duration::from_secs(4),
        // Names are let go only with a word of the master.
        heartbeat: Duration::from_secs(1),
        ..SimulateOptions::default()
    })
    .expect("a simulated master")
}

fn leads(master: &Simulator) -> bool {
    master.role() == Role::LEADS
}

fn leader_and_follower(zookeeper: &ZooKeeper) -> (Simulator, Simulator) {
    let leader = candidate(zookeeper);
    wait_until("a leader", || leads(&leader));
    let follower = candidate(zookeeper);
    let follows = Role::Follows(leader.address().to_string());
    wait_until("a follower", || follower.role() == follows);
    (leader, follower)
}

/// Knows no master but by ZooKeeper.
fn electing(zookeeper: &ZooKeeper, settings: Value) -> Rollcall {
    let mut all = json!({"Zk": zookeeper.url("/mesos"), "RefreshSeconds": 3600});
    for (key, value) in settings.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    Rollcall::serving(&[], all)
}

fn move_web(master: &Simulator, client: &Client) {
    master.step_app("web").expect("web runs");
    let now = addresses_of(master, "web");
    wait_until("moved instance", || client.ask_tcp_data(WEB, A) == now);
}

fn is_led_by(rollcall: &Rollcall, master: &Simulator) -> bool {
    rollcall.status()["leader"] == master.address().to_string()
}

#[test]
fn leader_is_found_followed_and_replaced_without_a_wrong_answer() {
    let zookeeper = ZooKeeper::start();
    let (one, two) = leader_and_follower(&zookeeper);
    let rollcall = electing(&zookeeper, json!({}));
    let client = rollcall.client();
    let vigil = Vigil::keep(rollcall.client(), expected(&one, &STILL));
    move_web(&one, &client);
    let status = rollcall.status();
    assert_eq!(status["zookeeper"]["masters"], 2, "{status}");
    assert_eq!(status["source"], "stream", "{status}");
    wait_until("the leader", || is_led_by(&rollcall, &one));
    // The follower was never asked for anything.
    assert_eq!(two.counts().requests.values().sum::<u64>(), 0);

    // SIGKILL: its node stays until its session has expired.
    one.kill();
    wait_until("the next leader", || is_led_by(&rollcall, &two));
    wait_until("its agents", || rollcall.status()["held"].is_null());
    assert_eq!(rollcall.status()["counters"]["holds"], 1);
    move_web(&two, &client);

    // A clean end: the node goes at once.
    let three = candidate(&zookeeper);
    let follows = Role::Follows(two.address().to_string());
    wait_until("a follower", || three.role() == follows);
    two.stop();
    wait_until("the third leader", || is_led_by(&rollcall, &three));
    wait_until("its agents", || rollcall.status()["held"].is_null());
    move_web(&three, &client);

    assert!(vigil.end() > 500);
    assert!(!rollcall.has_line(&["panicked"]), "{}", rollcall.log());
}

#[test]
fn loss_of_zookeeper_takes_no_answer_away() {
    let mut zookeeper = ZooKeeper::start();
    let (one, two) = leader_and_follower(&zookeeper);
    let rollcall = electing(&zookeeper, json!({}));
    let vigil = Vigil::keep(rollcall.client(), expected(&one, &STILL));
    // Without it nobody leads; it comes back, and so does a leader, be it the one or the other.
    zookeeper.kill();
    wait_until("loss of ZooKeeper", || {
        rollcall.status()["zookeeper"]["reachable"] == false
    });
    wait_until("loss of the leader", || one.role() == Role::NoLeader);
    zookeeper.restart();
    wait_until("another leader", || leads(&one) || leads(&two));
    let leader = if leads(&one) { &one } else { &two };
    wait_until("ZooKeeper and its leader", || {
        rollcall.status()["zookeeper"]["reachable"] == true && is_led_by(&rollcall, leader)
    });
    move_web(leader, &rollcall.client());
    assert!(vigil.end() > 500);
    assert!(!rollcall.has_line(&["panicked"]), "{}", rollcall.log());
}

#[test]
fn masters_have_their_names_as_zookeeper_lists_them() {
    let zookeeper = ZooKeeper::start();
    let info = |port: u16, host: u8| {
        let address = format!("127.0.0.{host}");
        json!({"id": format!("id-{host}"), "address": {"ip": address, "port": port}}).to_string()
    };
    // One that answers, and others that are only registered.
    let leader = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    let port = leader.address().port();
    zookeeper.create("/mesos/json.info_0000000003", &info(port, 1));
    zookeeper.create("/mesos/json.info_0000000007", &info(5050, 7));
    let rollcall = electing(&zookeeper, json!({}));
    let client = rollcall.client();
    let address = |name: &str| client.ask_tcp_data(name, A).into_iter().collect::<Vec<_>>();
    wait_until("names of all masters", || {
        address("master0.mesos") == ["127.0.0.1"] && address("master1.mesos") == ["127.0.0.7"]
    });
    assert_eq!(address("leader.mesos"), ["127.0.0.1"]);
    assert_eq!(address("master.mesos"), ["127.0.0.1", "127.0.0.7"]);
    // One more and one less are names without any other event.
    zookeeper.create("/mesos/json.info_0000000009", &info(5050, 9));
    wait_until("third master", || address("master2.mesos") == ["127.0.0.9"]);
    zookeeper.delete("/mesos/json.info_0000000007");
    wait_until("two masters", || {
        address("master1.mesos") == ["127.0.0.9"] && address("master2.mesos").is_empty()
    });
    // An empty list takes no name away, and no answer.
    zookeeper.delete("/mesos/json.info_0000000009");
    zookeeper.delete("/mesos/json.info_0000000003");
    wait_until("an empty list", || {
        rollcall.status()["zookeeper"]["masters"] == 0
    });
    assert_eq!(address("master.mesos"), ["127.0.0.1"]);
    move_web(&leader, &client);
    assert_eq!(rollcall.status()["counters"]["subscriptions"], 1);
}

#[test]
fn masters_of_the_configuration_serve_while_zookeeper_is_away() {
    let mut zookeeper = ZooKeeper::start();
    let alone = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    let url = zookeeper.url("/mesos");
    zookeeper.kill();
    let settings = json!({"Zk": url, "ZkDetectionTimeout": 3});
    let rollcall = Rollcall::serving(&[alone.address()], settings);
    let client = rollcall.client();
    move_web(&alone, &client);
    wait_until("doubt", || {
        let (code, body) = rollcall.get("/readyz");
        code == 503 && body.contains("ZkDetectionTimeout")
    });
    assert_eq!(client.rcode("mesos", SOA), ResponseCode::NoError);
    // Once it is there and names a leader, that one is followed.
    zookeeper.restart();
    let elected = candidate(&zookeeper);
    wait_until("the elected master", || is_led_by(&rollcall, &elected));
    wait_until("readiness", || rollcall.get("/readyz").0 == 200);
    move_web(&elected, &client);
}

#[test]
fn nothing_but_exit_on_zk_timeout_ends_the_program() {
    let mut zookeeper = ZooKeeper::start();
    let (leader, _follower) = leader_and_follower(&zookeeper);
    let patient = electing(&zookeeper, json!({"ZkDetectionTimeout": 1}));
    let settings = json!({"ZkDetectionTimeout": 1, "ExitOnZkTimeout": true});
    let mut strict = electing(&zookeeper, settings);
    wait_until("the leader", || is_led_by(&strict, &leader));
    zookeeper.kill();
    let (status, _) = strict.wait_for_end();
    assert_eq!(status.code(), Some(1), "{}", strict.log());
    assert!(strict.has_line(&["no leading master", "ExitOnZkTimeout"]));
    wait_until("doubt", || patient.get("/readyz").0 == 503);
    assert_eq!(patient.client().rcode("mesos", SOA), ResponseCode::NoError);
    // From the start as well: there it answers nothing before.
    let output = strict.run_to_the_end();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn reload_takes_another_ensemble() {
    let (one, two) = (ZooKeeper::start(), ZooKeeper::start());
    let (here, there) = (candidate(&one), candidate(&two));
    wait_until("leaders", || leads(&here) && leads(&there));
    let rollcall = electing(&one, json!({}));
    wait_until("the leader", || is_led_by(&rollcall, &here));
    rollcall.configure(json!({"Zk": two.url("/mesos")}));
    rollcall.signal("HUP");
    wait_until("the other leader", || is_led_by(&rollcall, &there));
    move_web(&there, &rollcall.client());
}
