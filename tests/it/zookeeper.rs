//! Who leads, from a real ZooKeeper: which masters are told, in which order and how often, while they come
//! and go. Rules stand together where they can share one server.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use rollcall::mesos::zookeeper::Told;
use zookeeper_client::{Acl, Acls, CreateMode, Permission};

use crate::support::ears::{Ears, info, node};
use crate::support::wire::Wire;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{log, wait_until};

const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
const GET_CHILDREN: i32 = 8;
const CLOSE_SESSION: i32 = -11;

#[test]
fn registered_masters_are_told_in_order_and_again_when_they_change() {
    log::keep();
    let server = ZooKeeper::start();
    leader_is_first_and_changes_cost_no_more_than_they_must(&server);
    changes_are_told_at_once(&server);
    rewritten_nodes_are_told_where_they_say_something_else(&server);
    path_may_come_and_go(&server);
    unreadable_nodes_are_passed_over_and_told_once(&server);
    binary_nodes_are_told_of_and_give_way_to_json(&server);
    hosts_may_be_names_and_ipv6(&server);
}

fn leader_is_first_and_changes_cost_no_more_than_they_must(server: &ZooKeeper) {
    let path = "/order/mesos";
    for sequence in [12, 3, 7] {
        let port = 5000 + u16::try_from(sequence).expect("small");
        server.create(&node(path, sequence), &info(port));
    }
    server.create(
        &format!("{path}/log_replicas/0000000001"),
        "log-replica(1)@127.0.0.1:5003",
    );
    server.create(&format!("{path}/json.info_x"), "");
    let wire = Wire::to(server.address());
    let ears = Ears::at(wire.address(), path);
    ears.hears(&["127.0.0.1:5003", "127.0.0.1:5007", "127.0.0.1:5012"]);
    assert_eq!(
        wire.requests(),
        [GET_CHILDREN, GET_DATA, GET_DATA, GET_DATA]
    );
    // A new one.
    server.create(&node(path, 13), &info(5013));
    ears.hears(&[
        "127.0.0.1:5003",
        "127.0.0.1:5007",
        "127.0.0.1:5012",
        "127.0.0.1:5013",
    ]);
    assert_eq!(wire.requests(), [GET_CHILDREN, GET_DATA]);
    // The leader ends, then one that does not lead.
    server.delete(&node(path, 3));
    ears.hears(&["127.0.0.1:5007", "127.0.0.1:5012", "127.0.0.1:5013"]);
    assert_eq!(wire.requests(), [GET_CHILDREN]);
    server.delete(&node(path, 12));
    ears.hears(&["127.0.0.1:5007", "127.0.0.1:5013"]);
    assert_eq!(wire.requests(), [GET_CHILDREN]);
    // What is no master changes nothing; the counter ran over, and Mesos takes the lowest number.
    server.create(&format!("{path}/log_replicas/0000000002"), "");
    server.create(&format!("{path}/else"), "");
    wait_until("a look at the list", || wire.requests() == [GET_CHILDREN]);
    server.create(&format!("{path}/json.info_-2147483648"), &info(5001));
    ears.hears(&["127.0.0.1:5001", "127.0.0.1:5007", "127.0.0.1:5013"]);
    assert_eq!(wire.requests(), [GET_CHILDREN, GET_DATA]);
    // A master that came back at its place is another one: its id differs.
    server.create(&node(path, 14), &info(5007).replace("id-5007", "id-new"));
    ears.hears(&[
        "127.0.0.1:5001",
        "127.0.0.1:5007",
        "127.0.0.1:5013",
        "127.0.0.1:5007",
    ]);
    server.delete(&node(path, 13));
    ears.hears(&["127.0.0.1:5001", "127.0.0.1:5007", "127.0.0.1:5007"]);
    server.delete(&node(path, 7));
    match ears.next() {
        Told::Masters(masters) => assert_eq!(masters[1].id.as_deref(), Some("id-new")),
        other => panic!("{other:?}"),
    }
    // Nothing was asked that no change called for.
    let wanted = [GET_CHILDREN, GET_DATA, GET_CHILDREN, GET_CHILDREN];
    assert_eq!(wire.requests(), wanted);
    // The session is closed, not left to expire.
    assert_eq!(ears.close(), []);
    assert_eq!(wire.requests(), [CLOSE_SESSION]);
}

fn changes_are_told_at_once(server: &ZooKeeper) {
    let path = "/speed";
    server.create(&node(path, 0), &info(5000));
    let ears = Ears::at(server.address(), path);
    ears.hears(&["127.0.0.1:5000"]);
    // The best of several, so that a busy machine does not count; anything that polls has no best.
    let mut best = Duration::MAX;
    for sequence in 1..10 {
        let port = 5000 + u16::try_from(sequence).expect("small");
        server.create(&node(path, sequence), &info(port));
        ears.next();
        server.with(None, async |client| {
            let begin = Instant::now();
            client.delete(&node(path, sequence - 1), None).await?;
            ears.hears(&[&format!("127.0.0.1:{port}")]);
            best = best.min(begin.elapsed());
            Ok(())
        });
    }
    assert!(best < Duration::from_millis(20), "{best:?}");
}

fn rewritten_nodes_are_told_where_they_say_something_else(server: &ZooKeeper) {
    let path = "/rewritten";
    server.create(&node(path, 1), &info(5001));
    server.create(&node(path, 2), &info(5002));
    let wire = Wire::to(server.address());
    let ears = Ears::at(wire.address(), path);
    ears.hears(&["127.0.0.1:5001", "127.0.0.1:5002"]);
    wire.requests();
    server.set(&node(path, 1), &info(6001));
    ears.hears(&["127.0.0.1:6001", "127.0.0.1:5002"]);
    assert_eq!(wire.requests(), [GET_DATA]);
    server.set(&node(path, 2), &info(6002));
    ears.hears(&["127.0.0.1:6001", "127.0.0.1:6002"]);
    // The same again, and what we do not read, is read and not told.
    server.set(&node(path, 1), &info(6001).replace("1.11.0", "1.11.1"));
    server.set(&node(path, 2), &info(7002));
    ears.hears(&["127.0.0.1:6001", "127.0.0.1:7002"]);
    // The same name, but another node.
    server.delete(&node(path, 1));
    ears.hears(&["127.0.0.1:7002"]);
    server.create(&node(path, 1), &info(8001));
    ears.hears(&["127.0.0.1:8001", "127.0.0.1:7002"]);
    assert_eq!(ears.close(), []);
}

fn path_may_come_and_go(server: &ZooKeeper) {
    let path = "/later/and/deeper";
    let wire = Wire::to(server.address());
    let ears = Ears::at(wire.address(), path);
    ears.hears(&[]);
    assert_eq!(wire.requests(), [GET_CHILDREN, EXISTS]);
    assert_eq!(log::lines("/later/and/deeper does not exist"), 1);
    server.create("/later/other", "");
    server.create(path, "");
    server.create(&node(path, 1), &info(5001));
    ears.hears(&["127.0.0.1:5001"]);
    server.delete(&node(path, 1));
    ears.hears(&[]);
    server.delete(path);
    wait_until("the path to be missed", || {
        log::lines("/later/and/deeper does not exist") == 2
    });
    // The numbers begin anew with the path.
    server.create(&node(path, 1), &info(6001));
    ears.hears(&["127.0.0.1:6001"]);
    assert_eq!(ears.close(), []);
}

fn unreadable_nodes_are_passed_over_and_told_once(server: &ZooKeeper) {
    let path = "/unreadable";
    server.create(&node(path, 1), "not json");
    server.create(&node(path, 2), &info(5002));
    server.create(&node(path, 3), "{}");
    let ears = Ears::at(server.address(), path);
    ears.hears(&["127.0.0.1:5002"]);
    let warnings = |sequence, why: &str| {
        log::lines(&format!("{} is passed over: {why}", node(path, sequence)))
    };
    assert_eq!(warnings(1, "it is no JSON object"), 1);
    assert_eq!(warnings(3, "none of address"), 1);
    // Not again while it stays so, again when it is bad in another way, and never once it is good.
    server.create(&node(path, 4), &info(5004));
    ears.hears(&["127.0.0.1:5002", "127.0.0.1:5004"]);
    assert_eq!(warnings(1, ""), 1);
    server.set(&node(path, 1), r#"{"pid":"master@"}"#);
    wait_until("the second warning", || warnings(1, "none of address") == 1);
    server.set(&node(path, 1), &info(5001));
    ears.hears(&["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5004"]);
    assert_eq!((warnings(1, ""), warnings(3, "")), (2, 1));
    assert_eq!(ears.close(), []);
}

fn binary_nodes_are_told_of_and_give_way_to_json(server: &ZooKeeper) {
    let path = "/binary";
    server.create(&format!("{path}/info_0000000001"), "\n\u{8}id-5001\u{10}");
    let ears = Ears::at(server.address(), path);
    ears.hears(&[]);
    let line = "the masters at /binary register in the binary form of Mesos before 0.24";
    assert_eq!(log::lines(line), 1);
    assert_eq!(log::lines("list them in Masters"), 1);
    server.create(&node(path, 2), &info(5002));
    ears.hears(&["127.0.0.1:5002"]);
    assert_eq!(log::lines(line), 1);
    assert_eq!(ears.close(), []);
}

fn hosts_may_be_names_and_ipv6(server: &ZooKeeper) {
    let path = "/hosts";
    server.create(&node(path, 1), &info(5001));
    let v6 = r#"{"address":{"ip":"::1","port":5002},"ip":0,"pid":"master@[::1]:5002"}"#;
    server.create(&node(path, 2), v6);
    server.create(&node(path, 3), r#"{"pid":"master@m3.test:5003"}"#);
    let all = ["127.0.0.1:5001", "[::1]:5002", "m3.test:5003"];
    let port = server.address().port();
    let ears = Ears::open(&format!("zk://localhost:{port}{path}/"));
    ears.hears(&all);
    match Wire::start(Ipv6Addr::LOCALHOST.into(), server.address()) {
        Ok(wire) => {
            let ears = Ears::at(wire.address(), path);
            ears.hears(&all);
        }
        Err(error) => println!("skipped: ZooKeeper over IPv6, for ::1 cannot be had here: {error}"),
    }
}

#[test]
fn credentials_open_what_an_acl_closes_and_are_never_logged() {
    log::keep();
    let server = ZooKeeper::start();
    let path = "/closed";
    let owner = Acls::creator_all();
    server.with(Some("mesos:s3cret:x"), async |client| {
        let options = CreateMode::Persistent.with_acls(owner);
        client.create(path, b"", &options).await?;
        let data = info(5001);
        client
            .create(&node(path, 1), data.as_bytes(), &options)
            .await
            .map(drop)
    });
    let address = server.address();
    let with_user = Ears::open(&format!("zk://mesos:s3cret:x@{address}{path}"));
    with_user.hears(&["127.0.0.1:5001"]);
    let wrong = Ears::open(&format!("zk://mesos:s3crets@{address}{path}"));
    let text = wrong.hears_lost();
    for part in [
        "NoAuth",
        "\"mesos\"",
        path,
        "zk://mesos:******@",
        "correct user and password",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let without = Ears::at(address, path);
    let text = without.hears_lost();
    for part in ["NoAuth", "everybody", path, "zk://user:password@"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    // The path may be listed, the one master in it not be read; then everything is open.
    let set = |path: String, acls: &'static [Acl]| {
        server.with(Some("mesos:s3cret:x"), async |client| {
            client.set_acl(&path, acls, None).await.map(drop)
        });
    };
    set(path.to_owned(), ALL);
    let listing = Ears::at(address, path);
    assert!(listing.hears_lost().contains("NoAuth"));
    set(node(path, 1), ALL);
    for ears in [&wrong, &without, &listing] {
        ears.hears_restored(&["127.0.0.1:5001"]);
    }
    // One of two may not be read: the other one is told.
    server.create(&node(path, 2), &info(5002));
    set(node(path, 1), NOBODY);
    let one = Ears::at(address, path);
    one.hears(&["127.0.0.1:5002"]);
    assert_eq!(log::lines("its ACL does not let us read it"), 1);
    for ears in [with_user, wrong, without, listing] {
        ears.hears(&["127.0.0.1:5001", "127.0.0.1:5002"]);
        assert_eq!(ears.close(), []);
    }
    assert_eq!(log::lines("s3cret"), 0);
    assert!(
        log::lines("zookeeper_client") > 0,
        "the client's own lines are kept too"
    );
    drop(server);
    users_may_be_wanted_of_all();
}

const ALL: &[Acl] = &[Acl::new_const(Permission::ALL, "world", "anyone")];
const NOBODY: &[Acl] = &[Acl::new_const(Permission::WRITE, "world", "anyone")];

fn users_may_be_wanted_of_all() {
    let server = ZooKeeper::start_with(&[
        "-Dzookeeper.enforce.auth.enabled=true",
        "-Dzookeeper.enforce.auth.schemes=digest",
    ]);
    let wire = Wire::to(server.address());
    let ears = Ears::at(wire.address(), "/mesos");
    let text = ears.hears_lost();
    assert!(text.contains("wants a user"), "{text}");
    // It is asked again and again, and told once.
    wait_until("many attempts", || wire.connection_count() > 6);
    assert_eq!(ears.close(), []);
    let ears = Ears::open(&format!("zk://mesos:s3cret@{}/mesos", server.address()));
    ears.hears(&[]);
    assert_eq!(log::lines("s3cret"), 0);
}
