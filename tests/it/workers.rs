//! Answering threads: which of them gets a datagram, and how they come and go while clients ask.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hickory_proto::op::ResponseCode;
use rollcall::responses::publish::Published;
use rollcall::serve::handed::Handed;
use rollcall::serve::respond::Responder;
use rollcall::serve::{ServeOptions, Server};
use rollcall::sys::affinity;
use serde_json::json;

use crate::support::client::{A, Client};
use crate::support::process::{Rollcall, engine, free_address};
use crate::support::resolver::Resolver;
use crate::support::wait_until;
use crate::worlds::settings;

fn start(workers: usize) -> Server {
    // Not 0: some of these widen to a wildcard, where any socket of a client may be in the way.
    start_at(free_address(), None, workers)
}

fn start_at(address: SocketAddr, replaced: Option<&Server>, workers: usize) -> Server {
    let options = ServeOptions {
        workers,
        engine: engine(),
        ..ServeOptions::new(address)
    };
    let responder = |seed| Responder::new(&settings(), seed);
    let published = Published::default();
    let handed = Handed::default();
    Server::start_beside(replaced, &handed, &options, &published, responder).expect("a server")
}

/// Without a table a name of the domain is SERVFAIL.
fn ask(client: &Client) {
    let rcode = client.rcode("web.mesos", A);
    assert_eq!(rcode, ResponseCode::ServFail);
}

#[test]
fn datagram_is_answered_on_the_core_that_it_came_in_on() {
    // With a wildcard: once at an address that has sockets of its own, once at one that has none.
    for (listener, asked) in [
        ([127, 0, 0, 1], [127, 0, 0, 1]),
        ([0, 0, 0, 0], [127, 0, 0, 1]),
        ([0, 0, 0, 0], [127, 0, 0, 2]),
    ] {
        let server = start_at((listener, 0).into(), None, 0);
        let address = (asked, server.local_address().port()).into();
        let stats = server.stats();
        let cores = affinity::allowed_cores().expect("cores");
        assert_eq!(server.worker_count(), cores.len());
        // What is sent on loopback comes in on the sender's core.
        for (index, &core) in cores.iter().enumerate() {
            let queries = || stats.worker(index).expect("a worker").queries_udp.value();
            let before = queries();
            thread::scope(|scope| {
                scope.spawn(|| {
                    affinity::pin_current_thread(core).expect("a core of ours");
                    for _ in 0..50 {
                        ask(&Client::new(address));
                    }
                });
            });
            assert_eq!(queries() - before, 50, "core {core}, {asked:?}");
        }
    }
}

/// As systemd-resolved has 127.0.0.53 alone.
#[test]
fn wildcard_that_another_program_is_in_the_way_of_is_refused_and_a_list_is_not() {
    // Not a port that the kernel gives to clients: another test's socket may have it at 127.0.0.1.
    let port = free_address().port();
    let _other = UdpSocket::bind(("127.0.0.53", port)).expect("a port");
    let start = |listeners: &[[u8; 4]]| {
        let listeners = listeners.iter().map(|&ip| ip.into()).collect();
        let responder = |seed| Responder::new(&settings(), seed);
        let options = ServeOptions::at(listeners, port);
        Server::start(&options, &Published::default(), responder)
    };
    let refused = start(&[[0, 0, 0, 0]]).err().expect("refused").to_string();
    assert!(
        refused.contains("set Listener to the addresses"),
        "{refused}"
    );
    let server = start(&[[127, 0, 0, 1], [127, 0, 0, 2]]).expect("a server");
    for &address in server.local_addresses() {
        ask(&Client::new(address));
    }
}

#[test]
fn server_that_takes_over_from_another_at_its_port_loses_no_query() {
    let mut server = start(2);
    let address = server.local_address();
    let asking = Arc::new(AtomicBool::new(true));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let asking = asking.clone();
            thread::spawn(move || {
                let mut count = 0;
                while asking.load(Ordering::Relaxed) {
                    ask(&Client::new(address));
                    count += 1;
                }
                count
            })
        })
        .collect();
    for round in 0..30 {
        let wider = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        let next = if round % 2 == 0 { wider } else { address };
        let taken_over = start_at(next, Some(&server), 2);
        server = taken_over;
        let stats = server.stats();
        wait_until("queries", || stats.totals().queries_udp > 50);
    }
    asking.store(false, Ordering::Relaxed);
    for client in clients {
        assert!(client.join().expect("every query was answered") > 100);
    }
}

#[test]
fn workers_come_and_go_and_no_query_is_lost() {
    let mut server = start(1);
    let (address, stats) = (server.local_address(), server.stats());
    let cores = affinity::allowed_cores().expect("cores");
    let asking = Arc::new(AtomicBool::new(true));
    let clients: Vec<_> = (0..4)
        .map(|index| {
            let (core, asking) = (cores[index % cores.len()], asking.clone());
            thread::spawn(move || {
                affinity::pin_current_thread(core).expect("a core of ours");
                while asking.load(Ordering::Relaxed) {
                    ask(&Client::new(address));
                }
            })
        })
        .collect();
    for count in [3, 1, 2, 5, 2, 1, 4, 3, 1] {
        let before = stats.totals().queries_udp;
        server.set_workers(count).expect("workers");
        assert_eq!(server.worker_count(), count);
        wait_until("queries", || stats.totals().queries_udp > before + 200);
    }
    asking.store(false, Ordering::Relaxed);
    for client in clients {
        client.join().expect("every query was answered");
    }
    // Each of those that there were has had some.
    for index in 0..5 {
        let worker = stats.worker(index).expect("a worker");
        assert!(worker.queries_udp.value() > 0, "worker {index}");
    }
    assert_eq!(stats.totals().worker_restarts, 0);
    server.set_workers(2).expect("workers");
    let client = Client::new(address);
    let answer = client.ask_both("web.mesos", A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

/// At each count of descriptors at which they may run out while threads start: once there are more again,
/// every thread answers, and forwards.
#[test]
fn thread_that_found_no_descriptor_at_its_start_answers_once_there_is_one() {
    let resolver = Resolver::start();
    let settings = json!({
        "Workers": 1, "ExternalOn": true, "Resolvers": [resolver.address().to_string()],
    });
    let rollcall = Rollcall::listening(&[([127, 0, 0, 1], 1).into()], settings);
    let client = rollcall.client();
    let limit = |soft: String| {
        let process = rollcall.id().to_string();
        let limit = Command::new("prlimit")
            .args(["--pid", &process, &format!("--nofile={soft}:")])
            .status();
        assert!(limit.expect("prlimit; tests/run installs it").success());
    };
    let status =
        std::fs::read_to_string(format!("/proc/{}/limits", rollcall.id())).expect("limits");
    let line = status
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = line
        .and_then(|line| line.split_whitespace().nth(4))
        .expect("a limit");
    client.rcode("before.example", A);
    for more in 1..24 {
        limit((rollcall.open_files() + more).to_string());
        let told = rollcall.log_lines("onfiguration");
        rollcall.configure(json!({"Workers": 2 + more % 2}));
        rollcall.signal("HUP");
        wait_until("end of the attempt", || {
            rollcall.log_lines("onfiguration") > told
        });
        limit(hard.to_owned());
        // Each from a port of its own, by which a thread is chosen.
        for number in 0..12 {
            let name = format!("n{more}-{number}.example");
            assert_eq!(rollcall.client().rcode(&name, A), ResponseCode::NoError);
        }
    }
    assert_eq!(rollcall.log_lines("not forwarded"), 0);
}
