//! Several listeners, and the addresses of this host below a wildcard one: who answers, from where, and
//! what a reload does to queries under way.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::support::client::{A, AAAA, Client, decode, query};
use crate::support::master::{Behaviour, Master};
use crate::support::namespace;
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::{DEADLINE, wait_until};

const TASK: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);

fn master() -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", TASK).text()))
}

/// Asks from a connected socket, which hears the address that it asked and no other.
fn ask(server: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
    Client::new(server).try_udp(message)
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

/// Waits until the kernel shows these sockets: its table skips rows while others come and go.
fn expect_at(ip: &str, port: u16, expected: &[String]) {
    wait_until("the sockets that there were", || {
        sockets_at(ip, port) == expected
    });
}

fn expect_count_at(ip: &str, port: u16, expected: usize) -> Vec<String> {
    let mut sockets = Vec::new();
    wait_until("the number of sockets", || {
        sockets = sockets_at(ip, port);
        sockets.len() == expected
    });
    sockets
}

/// The kernel's numbers of the UDP sockets at an address of this network.
fn sockets_at(ip: &str, port: u16) -> Vec<String> {
    let octets = ip.parse::<Ipv4Addr>().expect("an IPv4 address").octets();
    let place = format!("{:08X}:{port:04X}", u32::from_ne_bytes(octets));
    let table = fs::read_to_string("/proc/self/net/udp").expect("a table of sockets");
    let rows = table.lines().map(|line| line.split_whitespace());
    let ours = rows.filter(|row| row.clone().nth(1) == Some(&place));
    let mut inodes: Vec<_> = ours
        .filter_map(|mut row| row.nth(9).map(str::to_owned))
        .collect();
    inodes.sort_unstable();
    inodes
}

/// Has it read these settings, while clients ask at these addresses and each gets each answer.
fn reload_without_loss(rollcall: &Rollcall, settings: serde_json::Value, asked: &[SocketAddr]) {
    let before = rollcall.log_lines("is in force");
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let message = query("web.marathon.mesos", A);
    thread::scope(|scope| {
        let (stop, count, message, begin) = (&stop, &count, &message, Instant::now());
        for &server in asked {
            scope.spawn(move || {
                // The deadline is for a failure below, which would leave nobody to stop it.
                while !stop.load(Ordering::Relaxed) && begin.elapsed() < 3 * DEADLINE {
                    assert!(ask(server, message).is_some(), "lost at {server}");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("queries", || count.load(Ordering::Relaxed) > 50);
        rollcall.configure(settings);
        rollcall.signal("HUP");
        wait_until("the new configuration", || {
            rollcall.log_lines("is in force") > before
        });
        let seen = count.load(Ordering::Relaxed);
        wait_until("queries", || count.load(Ordering::Relaxed) > seen + 50);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn every_listener_answers_from_its_own_address_and_is_named_by_soa_mname() {
    let master = master();
    let rollcall = Rollcall::serving(
        &[master.address()],
        json!({"Listener": ["127.0.0.1", "127.0.0.2", "::1"]}),
    );
    let port = rollcall.client().server().port();
    for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
        let server = at(ip, port);
        for _ in 0..50 {
            let answer = ask(server, &query("web.marathon.mesos", A)).expect("an answer");
            assert_eq!(decode(&answer).answers.len(), 1, "{ip}");
        }
        let mut connection = Client::new(server).connect();
        connection.send(&query("web.marathon.mesos", A));
        let answer = decode(&connection.receive().expect("an answer over TCP"));
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }
    let client = rollcall.client();
    let mut named = client.addresses("ns1.mesos");
    named.sort_unstable();
    assert_eq!(named, [[127, 0, 0, 1], [127, 0, 0, 2]].map(Ipv4Addr::from));
    assert_eq!(client.ask("ns1.mesos", AAAA).answers.len(), 1);
    let config: serde_json::Value =
        serde_json::from_str(&rollcall.get("/v1/config").1).expect("JSON");
    let listeners = json!(["127.0.0.1", "127.0.0.2", "::1"]);
    assert_eq!(config["Listener"], listeners);
    let last = format!("127.0.0.2:{port}, [::1]:{port}");
    assert!(rollcall.has_line(&["answering DNS for mesos", &last]));
    // Nobody listens at another address.
    assert!(ask(at("127.0.0.3", port), &query("mesos", A)).is_none());
}

#[test]
fn hup_adds_and_removes_listeners_and_those_that_stay_are_not_bound_anew() {
    let master = master();
    let rollcall = Rollcall::serving(&[master.address()], json!({"Workers": 2}));
    let port = rollcall.client().server().port();
    let (one, two) = (at("127.0.0.1", port), at("127.0.0.2", port));
    let sockets = expect_count_at("127.0.0.1", port, 2);
    let second = || ask(two, &query("web.marathon.mesos", A)).is_some();
    assert!(!second());
    for _ in 0..3 {
        let both = json!({"Listener": ["127.0.0.1", "127.0.0.2"]});
        reload_without_loss(&rollcall, both, &[one, one]);
        expect_at("127.0.0.1", port, &sockets);
        expect_count_at("127.0.0.2", port, 2);
        assert!(second());
        // A wildcard with a socket for 127.0.0.1 beside it, which is the one that was there.
        reload_without_loss(&rollcall, json!({"Listener": "0.0.0.0"}), &[one, two]);
        expect_at("127.0.0.1", port, &sockets);
        expect_count_at("127.0.0.2", port, 0);
        expect_count_at("0.0.0.0", port, 2);
        assert!(second());
        reload_without_loss(&rollcall, json!({"Listener": "127.0.0.1"}), &[one, one]);
        expect_at("127.0.0.1", port, &sockets);
        assert!(!second());
    }
    // More and fewer threads with another listener at the same time.
    let both = json!({"Listener": ["127.0.0.2", "127.0.0.1"], "Workers": 3});
    reload_without_loss(&rollcall, both, &[one, one]);
    let one_thread = json!({"Listener": "127.0.0.1", "Workers": 1});
    reload_without_loss(&rollcall, one_thread, &[one, one]);
    assert!(!rollcall.has_line(&["in use"]), "{}", rollcall.log());
}

#[test]
fn hup_to_a_listener_that_is_taken_leaves_all_as_it_was() {
    let master = master();
    let rollcall = Rollcall::serving(&[master.address()], json!({"Workers": 2}));
    let port = rollcall.client().server().port();
    let taken = UdpSocket::bind(at("127.0.0.2", port)).expect("a port");
    let sockets = expect_count_at("127.0.0.1", port, 2);
    rollcall.configure(json!({"Listener": ["127.0.0.1", "127.0.0.2"]}));
    rollcall.signal("HUP");
    let address = taken.local_addr().expect("its address").to_string();
    wait_until("refusal", || {
        rollcall.has_line(&["is not taken", &address, "already in use"])
    });
    expect_at("127.0.0.1", port, &sockets);
    assert_eq!(rollcall.client().addresses("web.marathon.mesos"), [TASK]);
}

/// In a network of its own, where addresses can come and go; a process that may not have one passes.
#[test]
fn addresses_that_come_and_go_below_a_wildcard_are_answered() {
    let name = "listeners::addresses_that_come_and_go_below_a_wildcard_are_answered";
    if namespace::enter(name, &["--net"]) {
        addresses_come_and_go();
    }
}

fn addresses_come_and_go() {
    let ip = |words: &str| namespace::run(&format!("ip {words}"));
    ip("link set lo up");
    for wildcard in ["0.0.0.0", "::"] {
        ip("addr add 10.77.0.1/32 dev lo");
        let master = master();
        let settings = json!({"Listener": wildcard, "Workers": 2});
        let rollcall = Rollcall::serving(&[master.address()], settings);
        let port = rollcall.client().server().port();
        let known = ["127.0.0.1", "10.77.0.1"];
        for ip in known {
            expect_count_at(ip, port, 2);
        }
        let (known, new) = (known.map(|ip| at(ip, port)), at("10.77.0.2", port));
        let sockets = expect_count_at("127.0.0.1", port, 2);
        ip("addr add 10.77.0.2/32 dev lo");
        // The wildcard has it, until the next reload.
        let message = query("web.marathon.mesos", A);
        for server in [known[0], known[1], new, at("127.0.0.9", port)] {
            assert!(ask(server, &message).is_some(), "{server}");
        }
        expect_count_at("10.77.0.2", port, 0);
        reload_without_loss(&rollcall, json!({}), &[known[0], known[1], new]);
        expect_count_at("10.77.0.2", port, 2);
        expect_at("127.0.0.1", port, &sockets);
        if wildcard == "::" {
            assert!(ask(at("::1", port), &message).is_some());
        }
        // Nothing changed: nothing is done, and connections stay.
        let mut connection = Client::new(new).connect();
        connection.send(&message);
        assert!(connection.receive().is_some());
        reload_without_loss(&rollcall, json!({}), &[new]);
        connection.send(&message);
        assert!(connection.receive().is_some());
        ip("addr del 10.77.0.1/32 dev lo");
        reload_without_loss(&rollcall, json!({}), &[known[0], new]);
        expect_count_at("10.77.0.1", port, 0);
        ip("addr del 10.77.0.2/32 dev lo");
    }
}
