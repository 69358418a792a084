//! The program below a service manager: what it says and when, the watchdog, and sockets that outlive it.
//! A stand-in plays systemd; the unit itself is judged by systemd's own tools.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::support::client::{A, Client, SOA, query};
use crate::support::master::{Behaviour, Master};
use crate::support::process::free_address;
use crate::support::state::State;
use crate::support::stream::{self, Tally};
use crate::support::systemd::Unit;
use crate::support::wait_until;

const TASK: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NAME: &str = "web.marathon.mesos";

fn master() -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", TASK).text()))
}

/// A unit that has served, and has been stopped.
fn stopped() -> (Unit, Master) {
    let master = master();
    let mut unit = Unit::new(&[master.address()], json!({"Workers": 2}));
    unit.start();
    unit.wait_for("READY=1");
    unit.stop();
    (unit, master)
}

#[test]
fn ready_is_said_once_there_is_a_table_and_not_before() {
    let master = Master::start(|_| Behaviour::HangUp);
    let mut unit = Unit::new(&[master.address()], json!({}));
    unit.start();
    unit.wait_for("STATUS=no records yet, no master has spoken: ");
    master.wait_for_two_more_requests();
    assert_eq!(unit.client().rcode(NAME, A), ResponseCode::ServFail);
    assert_eq!(unit.count_of("READY"), 0);
    let state = State::new(master.address()).task("web", TASK);
    master.set(Behaviour::Serve(state.text()));
    unit.wait_for("READY=1");
    assert_eq!(unit.client().addresses(NAME), [TASK]);
    unit.wait_for("STATUS=serving ");
    let words = unit.words().join("\n");
    let from = format!("of 1 tasks from the state of {}", master.address());
    wait_until("the source", || {
        unit.words().iter().any(|word| word.contains(&from))
    });
    unit.stop();
    assert_eq!(unit.count_of("STOPPING=1"), 1, "{words}");
    assert_eq!(unit.count_of("READY=1"), 1, "{words}");
}

#[test]
fn warm_start_is_ready_without_a_master() {
    let (mut unit, master) = stopped();
    master.set(Behaviour::HangUp);
    unit.start();
    unit.wait_for("READY=1");
    assert_eq!(unit.client().addresses(NAME), [TASK]);
    wait_until("where the records are from", || {
        let words = unit.words();
        words
            .iter()
            .any(|word| word.contains("from the run before"))
    });
}

#[test]
fn reload_is_said_to_begin_and_to_end_whether_it_is_taken_or_not() {
    let master = master();
    let mut unit = Unit::new(&[master.address()], json!({}));
    unit.start();
    unit.wait_for("READY=1");
    for settings in [json!({"TTL": 7}), json!({"TTL": -1})] {
        unit.reload(settings);
    }
    let words = unit.words();
    let begin = |word: &&String| word.split('=').next().map(str::to_owned);
    let told: Vec<_> = words.iter().filter_map(|word| begin(&word)).collect();
    let told: Vec<_> = told
        .iter()
        .map(String::as_str)
        .filter(|word| matches!(*word, "READY" | "RELOADING" | "MONOTONIC_USEC"))
        .collect();
    let reload = ["RELOADING", "MONOTONIC_USEC", "READY"];
    assert_eq!(told, [&["READY"], &reload[..], &reload[..]].concat());
}

#[test]
fn watchdog_is_fed_for_as_long_as_the_threads_go_round() {
    let master = master();
    let mut unit = Unit::new(&[master.address()], json!({"Workers": 2}));
    unit.variables
        .push(("WATCHDOG_USEC".to_owned(), "400000".to_owned()));
    unit.start();
    unit.wait_for("READY=1");
    let fed = |unit: &Unit| unit.count_of("WATCHDOG=1");
    wait_until("feeds of an idle server", || fed(&unit) >= 3);
    unit.freeze();
    // What was said before may still be on its way; then nothing comes in the watchdog's time.
    std::thread::sleep(Duration::from_millis(400));
    let times = fed(&unit);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(fed(&unit), times);
    unit.signal("CONT");
    wait_until("feeds again", || fed(&unit) >= times + 3);
    // Other threads count after a reload, and the ones that have ended do not.
    unit.reload(json!({"Workers": 1, "Listener": "127.0.0.2"}));
    let times = fed(&unit);
    wait_until("feeds of other threads", || fed(&unit) >= times + 3);
}

#[test]
fn sockets_that_were_kept_are_used_again_and_follow_the_configuration() {
    let (mut unit, _master) = stopped();
    let kept = unit.kept();
    // One of each kind for each worker.
    assert_eq!(kept.len(), 4, "{kept:?}");
    // Nobody runs, and a query waits.
    let client = unit.client();
    client.send_udp(&query(NAME, A));
    unit.start();
    assert!(client.receive().is_some_and(|answer| answer[3] & 15 == 0));
    unit.wait_for("READY=1");
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(unit.kept()), sorted(kept.clone()));
    for (settings, count) in [
        (json!({"Workers": 3}), 6),
        // A datagram socket stays: closing it would lose what just comes in.
        (json!({"Workers": 1}), 4),
        (json!({"Listener": ["127.0.0.1", "127.0.0.2"]}), 6),
        (json!({"Listener": "127.0.0.1"}), 4),
    ] {
        unit.reload(settings);
        assert_eq!(client.addresses(NAME), [TASK]);
        wait_until("other sockets", || unit.kept().len() == count);
    }
    // Fewer workers than sockets: each is read by one of them.
    unit.stop();
    let clients: Vec<_> = (0..32).map(|_| unit.client()).collect();
    clients.iter().for_each(|it| it.send_udp(&query(NAME, A)));
    unit.start();
    for client in &clients {
        assert!(client.receive().is_some_and(|answer| answer[3] & 15 == 0));
    }
    unit.wait_for("READY=1");
    // A port that is no longer wanted is let go of.
    unit.stop();
    unit.configure(json!({"Port": free_address().port()}));
    unit.start();
    unit.wait_for("READY=1");
    wait_until("other sockets", || {
        let now = unit.kept();
        now.len() == 2 && now.iter().all(|name| !kept.contains(name))
    });
}

#[test]
fn sockets_of_a_socket_unit_are_read_by_all_workers_and_others_told_of_once() {
    let master = master();
    let mut unit = Unit::new(&[master.address()], json!({"Workers": 2}));
    let (address, unused) = (unit.dns_address(), free_address());
    unit.listen("udp", address);
    unit.listen("tcp", address);
    unit.listen("udp", unused);
    unit.start();
    unit.wait_for("READY=1");
    let client = unit.client();
    client.ask_both(NAME, A);
    assert!(unit.kept().is_empty(), "they are the manager's own");
    assert_eq!(told_of(&unit, unused), 1, "{}", unit.log());
    for settings in [
        json!({"Workers": 4}),
        json!({"Workers": 1}),
        json!({"Listener": ["127.0.0.1", "127.0.0.2"]}),
    ] {
        unit.reload(settings);
        client.ask_both(NAME, A);
    }
    Client::new(SocketAddr::from(([127, 0, 0, 2], address.port()))).ask_both(NAME, A);
    wait_until("sockets beside the unit's", || unit.kept().len() == 2);
    assert_eq!(told_of(&unit, unused), 1, "{}", unit.log());
    // Over a stop and a start as well.
    unit.stop();
    client.send_udp(&query(NAME, A));
    unit.start();
    assert!(client.receive().is_some_and(|answer| answer[3] & 15 == 0));
}

fn told_of(unit: &Unit, address: SocketAddr) -> usize {
    let text = format!("ListenDatagram={address}");
    let log = unit.log();
    log.lines().filter(|line| line.contains(&text)).count()
}

#[test]
fn sockets_that_are_meant_for_another_process_are_left_alone() {
    let master = master();
    let mut unit = Unit::new(&[master.address()], json!({}));
    let elsewhere = free_address();
    unit.listen("udp", elsewhere);
    unit.start_for(Some("1"));
    unit.wait_for("READY=1");
    assert_eq!(unit.client().rcode("mesos", SOA), ResponseCode::NoError);
    assert_eq!(told_of(&unit, elsewhere), 0);
}

#[test]
fn no_query_is_lost_over_twenty_restarts_with_a_socket_unit() {
    let (mut unit, _master) = stopped();
    unit.forget();
    unit.listen("udp", unit.dns_address());
    unit.listen("tcp", unit.dns_address());
    lose_nothing(unit, 20);
}

#[test]
fn no_query_is_lost_over_twenty_restarts_with_sockets_that_are_kept() {
    let (unit, _master) = stopped();
    lose_nothing(unit, 20);
}

fn lose_nothing(mut unit: Unit, restarts: usize) {
    unit.start();
    unit.wait_for("READY=1");
    let asking = stream::ask(unit.dns_address(), NAME, TASK);
    for _ in 0..restarts {
        // Some are asked while nothing else happens.
        let (udp, tcp) = asking.asked();
        wait_until("queries", || {
            let (udp_now, tcp_now) = asking.asked();
            udp_now >= udp + 1_000 && tcp_now >= tcp + 2
        });
        unit.stop();
        unit.start();
        unit.wait_for("READY=1");
    }
    let Tally {
        udp_asked,
        udp_lost,
        tcp_asked,
        tcp_lost,
        wrong,
    } = asking.end();
    println!("{udp_asked} over UDP and {tcp_asked} over TCP");
    assert_eq!((udp_lost, tcp_lost, wrong), (0, 0, 0));
    assert!(
        udp_asked >= 20_000 && tcp_asked >= 40,
        "{udp_asked} {tcp_asked}"
    );
}

#[test]
fn unit_is_verified_and_judged_by_systemd() {
    let root = env!("CARGO_MANIFEST_DIR");
    let service = std::fs::read_to_string(format!("{root}/packaging/systemd/rollcall.service"));
    // The program is not installed where the test runs.
    let installed = service
        .expect("the unit")
        .replace("/usr/bin/rollcall", "/bin/true");
    let folder = crate::support::files::Folder::new();
    let service = folder.write("rollcall.service", installed);
    let socket = std::fs::read(format!("{root}/packaging/systemd/rollcall.socket"));
    let socket = folder.write("rollcall.socket", socket.expect("the unit"));
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).output();
        let output = output.expect("systemd-analyze runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let [service, socket] = [&service, &socket].map(|path| path.to_str().expect("UTF-8"));
    let text = analyze(&["verify", "--man=no", service, socket]);
    assert!(!text.contains("rollcall"), "{text}");
    // In tenths: 1.5.
    analyze(&["security", "--offline=true", "--threshold=15", service]);
}
