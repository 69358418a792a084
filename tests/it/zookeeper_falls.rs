//! ZooKeeper falls, returns, keeps silent and talks nonsense: the watch says so and goes on. With a real
//! ZooKeeper, but for the nonsense.

use std::net::TcpListener;
use std::time::Instant;

use rollcall::limits::ZK_LOST;

use crate::support::ears::{Ears, info, node};
use crate::support::liar::{
    CONNECT, GET_CHILDREN, GET_DATA, Liar, Lie, buffer, node_changed, node_holds, reply,
};
use crate::support::process::free_address;
use crate::support::wire::Wire;
use crate::support::zookeeper::{SessionKey, ZooKeeper, expire};
use crate::support::{log, wait_until};

#[test]
fn what_zookeeper_does_is_survived() {
    log::keep();
    let mut server = ZooKeeper::start();
    server.create(&node("/mesos", 1), &info(5001));
    server.create(&node("/mesos", 2), &info(5002));
    let idle_wire = Wire::to(server.address());
    let idle = Ears::at(idle_wire.address(), "/idle");
    idle.hears(&[]);
    expired_session_is_replaced(&server);
    short_loss_is_not_told(&server);
    silent_network_is_noticed(&server);
    // Longer than a session lasts nothing was asked here; pings kept it.
    server.create(&node("/idle", 1), &info(5001));
    idle.hears(&["127.0.0.1:5001"]);
    assert_eq!(idle_wire.connection_count(), 1);
    assert_eq!(idle.close(), []);
    killed_server_is_lost_once_and_restored(&mut server);
}

#[test]
fn silence_from_the_start_is_told_and_the_watch_ends_in_time() {
    let nobody = free_address();
    let begin = Instant::now();
    let ears = Ears::at(nobody, "/mesos");
    let text = ears.hears_lost();
    assert!(begin.elapsed() >= ZK_LOST, "{:?}", begin.elapsed());
    let culprit = format!("{nobody} cannot be connected to (Connection refused");
    assert!(
        text.contains(&culprit) && text.contains("correct Zk"),
        "{text}"
    );
    assert_eq!(ears.close(), []);
    // Somebody who takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute = listener.local_addr().expect("its address");
    let ears = Ears::at(mute, "/mesos");
    wait_until("a connection", || listener.accept().is_ok());
    assert_eq!(ears.close(), []);
}

/// Through a wire, and past the first that it tells.
fn wired(server: &ZooKeeper, endpoints: &[&str]) -> (Wire, Ears) {
    let wire = Wire::to(server.address());
    let ears = Ears::at(wire.address(), "/mesos");
    ears.hears(endpoints);
    (wire, ears)
}

fn expired_session_is_replaced(server: &ZooKeeper) {
    let (wire, ears) = wired(server, &["127.0.0.1:5001", "127.0.0.1:5002"]);
    let first = wire.session().expect("a session");
    expire(server.address(), &first);
    let is_another = |now: SessionKey| now.id != first.id && now.id != [0; 8];
    wait_until("another session", || wire.session().is_some_and(is_another));
    // It is watched as well, and what did not change is not told again.
    server.delete(&node("/mesos", 1));
    ears.hears(&["127.0.0.1:5002"]);
    assert_eq!(ears.close(), []);
}

fn short_loss_is_not_told(server: &ZooKeeper) {
    let (wire, ears) = wired(server, &["127.0.0.1:5002"]);
    let session = wire.session();
    for port in [6001, 6002, 6003] {
        wire.requests();
        wire.cut();
        server.set(&node("/mesos", 2), &info(port));
        ears.hears(&[&format!("127.0.0.1:{port}")]);
        // The session goes on, and what did not change is not read again.
        assert_eq!(wire.session(), session);
        assert_eq!(wire.requests(), [SET_WATCHES, GET_DATA]);
    }
    assert_eq!(ears.close(), []);
}

fn silent_network_is_noticed(server: &ZooKeeper) {
    let (wire, ears) = wired(server, &["127.0.0.1:6003"]);
    wire.set_silent(true);
    let text = ears.hears_lost();
    let silent = format!("{} has fallen silent", wire.address());
    let mute = format!("{} does not answer", wire.address());
    assert!(text.contains(&silent) || text.contains(&mute), "{text}");
    server.create(&node("/mesos", 3), &info(5003));
    wire.set_silent(false);
    ears.hears_restored(&["127.0.0.1:6003", "127.0.0.1:5003"]);
    assert_eq!(ears.close(), []);
}

fn killed_server_is_lost_once_and_restored(server: &mut ZooKeeper) {
    let (wire, ears) = wired(server, &["127.0.0.1:6003", "127.0.0.1:5003"]);
    let before = wire.connection_count();
    server.kill();
    ears.hears_lost();
    wait_until("attempts that fail", || {
        wire.connection_count() > before + 2
    });
    server.restart();
    ears.hears_restored(&["127.0.0.1:6003", "127.0.0.1:5003"]);
    let back = format!(
        "ZooKeeper zk://{}/mesos answers again, after",
        wire.address()
    );
    assert_eq!(log::lines(&back), 1);
    server.delete(&node("/mesos", 2));
    ears.hears(&["127.0.0.1:5003"]);
    // While it is gone for good, the watch ends in time as well.
    server.kill();
    wait_until("the loss of the connection", || !wire.is_used());
    assert_eq!(ears.close(), []);
}

const SET_WATCHES: i32 = 101;

#[test]
fn ensemble_may_lose_a_member_but_not_its_majority() {
    log::keep();
    let mut servers = ZooKeeper::ensemble();
    let path = "/mesos";
    servers[0].create(&node(path, 1), &info(5001));
    let wires: Vec<Wire> = servers
        .iter()
        .map(|server| Wire::to(server.address()))
        .collect();
    let members: Vec<String> = wires
        .iter()
        .map(|wire| wire.address().to_string())
        .collect();
    let ears = Ears::open(&format!("zk://{}{path}", members.join(",")));
    ears.hears(&["127.0.0.1:5001"]);
    // The fall of the leader would cost an election, which may last longer than what goes untold.
    let leading = servers
        .iter()
        .position(ZooKeeper::is_leading)
        .expect("a leader");
    let used = || wires.iter().position(Wire::is_used);
    wait_until("a member that does not lead", || match used() {
        Some(place) if place != leading => true,
        Some(place) => {
            wires[place].cut();
            false
        }
        None => false,
    });
    let first = used().expect("a member");
    servers[first].kill();
    let other = (0..3).find(|place| *place != first).expect("three");
    servers[other].create(&node(path, 2), &info(5002));
    ears.hears(&["127.0.0.1:5001", "127.0.0.1:5002"]);
    wait_until("another member", || used().is_some_and(|now| now != first));
    // Two of three gone: the last one closes its sessions.
    let second = used().expect("a member");
    servers[second].kill();
    let text = ears.hears_lost();
    for member in &members {
        assert!(text.contains(member), "no {member} in {text}");
    }
    // One of them makes a majority again.
    servers[first].restart();
    ears.hears_restored(&["127.0.0.1:5001", "127.0.0.1:5002"]);
    servers[first].delete(&node(path, 1));
    ears.hears(&["127.0.0.1:5002"]);
    assert_eq!(ears.close(), []);
}

/// What must not end the watch, nor keep it from the truth that comes after.
const LIES: &[(&str, Lie)] = &[
    (
        "silence in place of a session",
        lie(CONNECT, |_| Vec::new()),
    ),
    (
        "another protocol",
        lie(CONNECT, |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ),
    ("an empty session", lie(CONNECT, |_| buffer(b""))),
    ("rubbish for a session", lie(CONNECT, |_| vec![0xff; 64])),
    (
        "a timeout of weeks",
        lie(CONNECT, |_| {
            let version_and_timeout = [0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff];
            let session = [&[7; 8][..], &buffer(&[1; 16]), &[0]].concat();
            buffer(&[&version_and_timeout, &session[..]].concat())
        }),
    ),
    ("silence", lie(GET_CHILDREN, |_| Vec::new())),
    (
        "an empty answer",
        lie(GET_CHILDREN, |number| reply(number, b"")),
    ),
    (
        "a list cut short",
        lie(GET_CHILDREN, |number| reply(number, &[0, 0, 16, 0])),
    ),
    (
        "a list that claims to hold two thousand million names",
        lie(GET_CHILDREN, |number| {
            reply(number, &[0x7f, 0xff, 0xff, 0xff])
        }),
    ),
    (
        "a name that is no text",
        lie(GET_CHILDREN, |number| {
            reply(number, &[0, 0, 0, 1, 0, 0, 0, 2, 0xc3, 0x28])
        }),
    ),
    (
        "an answer to nothing",
        lie(GET_CHILDREN, |number| reply(number + 1, b"")),
    ),
    (
        "an event of no kind",
        lie(GET_CHILDREN, |_| reply(-1, &[0; 16])),
    ),
    (
        "a strange event",
        lie(GET_CHILDREN, |_| reply(-1, &[0x7f; 16])),
    ),
    (
        "an unknown error",
        lie(GET_CHILDREN, |number| {
            buffer(&[&number.to_be_bytes()[..], &[0x85; 12]].concat())
        }),
    ),
    (
        "an endless frame",
        lie(GET_CHILDREN, |_| vec![0x7f, 0xff, 0xff, 0xff, 1]),
    ),
    ("a negative frame", lie(GET_CHILDREN, |_| vec![0xff; 64])),
    ("silence about a node", lie(GET_DATA, |_| Vec::new())),
    (
        "a node without anything",
        lie(GET_DATA, |number| reply(number, b"")),
    ),
    (
        "a node of rubbish",
        lie(GET_DATA, |number| reply(number, &[0x7f; 70])),
    ),
];

const fn lie(about: i32, says: fn(i32) -> Vec<u8>) -> Lie {
    Lie { about, says }
}

#[test]
fn nonsense_is_survived() {
    log::keep();
    let liars = LIES
        .iter()
        .map(|(what, lie)| (what, Liar::start(*lie, info(5001))));
    let ears = liars.map(|(what, liar)| (what, Ears::at(liar.address(), "/mesos"), liar));
    for (what, ears, _liar) in ears.collect::<Vec<_>>() {
        println!("after {what}");
        let told = ears.next_masters();
        assert_eq!(told, ["127.0.0.1:5001"], "after {what}");
        assert_eq!(ears.close(), [], "after {what}");
    }
    // Each was given up for what it was, not only in the end.
    for (fault, count) in [
        ("sends a frame of 2147483647 octets", 1),
        ("sends a frame of 4294967295 octets", 2),
        ("sends a frame of 1213486160 octets", 1),
        ("it sends a frame cut short", 7),
        ("it sends a name that is no text", 1),
        ("it sends an answer that nobody asked for", 1),
    ] {
        assert_eq!(log::lines(fault), count, "{fault}");
    }
}

#[test]
fn server_that_hangs_up_each_time_is_not_asked_in_a_tight_loop() {
    let liar = Liar::that_hangs_up();
    let ears = Ears::at(liar.address(), "/mesos");
    let text = ears.hears_lost();
    assert!(text.contains("hangs up"), "{text}");
    let count = liar.connection_count();
    assert!((2..20).contains(&count), "{count} connections in 2 s");
    assert_eq!(ears.close(), []);
}

/// What a master says anew while another is read is read before anything is told.
#[test]
fn changes_between_the_answers_are_not_lost() {
    let liar = Liar::that_says(&[
        |number| [node_holds(number, &info(5001)), node_changed(1)].concat(),
        |number| node_holds(number, &info(5002)),
        |number| [node_holds(number, &info(6001)), node_changed(1)].concat(),
        |number| [node_changed(2), node_holds(number, &info(7001))].concat(),
        |number| node_holds(number, &info(7002)),
    ]);
    let ears = Ears::at(liar.address(), "/mesos");
    ears.hears(&["127.0.0.1:6001", "127.0.0.1:5002"]);
    ears.hears(&["127.0.0.1:7001", "127.0.0.1:7002"]);
    assert_eq!(ears.close(), []);
}
