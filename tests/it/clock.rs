//! A wall clock that jumps while the program runs (libfaketime): days ahead, days back, and to 1970.
//! What the program waits for goes by the monotonic clock, which stays as it is here.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rollcall::simulate::{SimulateOptions, Simulator};
use serde_json::{Value, json};

use crate::support::client::{A, Client};
use crate::support::clock::{Clock, DAY, jumps, unix_seconds};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::vigil::{Vigil, addresses_of, expected};
use crate::support::wait_until;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);
/// The program, going by a clock that can jump.
fn starting(clock: &Clock, master: SocketAddr, mut settings: Value) -> Rollcall {
    // The library reads its file inside of the program, which has no business with it.
    settings["Sandbox"] = json!("off");
    let variables = clock.variables();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Rollcall::listening_with(&[master], settings, &variables)
}

fn serial(status: &Value) -> u64 {
    status["serial"].as_u64().expect("a serial")
}

fn age(status: &Value) -> f64 {
    status["age_seconds"].as_f64().expect("an age")
}

/// A thread that waits for a time that never comes, or always is, takes all it can.
fn assert_idle(rollcall: &Rollcall, cpu_before: Duration, begin: Instant) {
    let (cpu, wall) = (rollcall.cpu_time() - cpu_before, begin.elapsed());
    let cpu_max = wall / 2 + Duration::from_millis(500);
    assert!(cpu < cpu_max, "{cpu:?} of CPU in {wall:?}");
}

#[test]
fn jumps_of_the_clock_change_nothing_while_a_master_is_followed() {
    let master = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    let clock = Clock::new();
    let settings = json!({"RefreshSeconds": 3600, "ReadyAgeSeconds": 60});
    let rollcall = starting(&clock, master.address(), settings);
    let client = rollcall.client();
    let follows = || {
        let now = addresses_of(&master, "web");
        let name = "web.marathon.mesos";
        wait_until("web as it is", || client.ask_tcp_data(name, A) == now);
    };
    follows();
    let still = [("worker", "worker.marathon.mesos")];
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &still));
    let mut before = serial(&rollcall.status());
    let (cpu, begin) = (rollcall.cpu_time(), Instant::now());
    for offset in jumps() {
        clock.set(offset);
        for _ in 0..3 {
            master.step_app("web").expect("web runs");
            follows();
        }
        let status = rollcall.status();
        let published_at = status["published_at"].as_f64().expect("a time");
        let off = published_at - (unix_seconds() + offset) as f64;
        assert!(off.abs() < 30.0, "the program's clock is {off} s off");
        assert!((0.0..30.0).contains(&age(&status)), "{status}");
        assert!(serial(&status) > before, "{status}");
        assert_eq!(status["source"], "stream");
        assert_eq!(rollcall.get("/readyz").0, 200, "{status}");
        before = serial(&status);
    }
    assert_idle(&rollcall, cpu, begin);
    vigil.end();
    assert_eq!(rollcall.status()["counters"]["subscriptions"], 1);
    assert_eq!(rollcall.log_lines("panicked"), 0);
}

fn master_at(address: Ipv4Addr) -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", address).text()))
}

fn moved(master: &Master, address: Ipv4Addr) -> Behaviour {
    let state = State::new(master.address()).task("web", address);
    Behaviour::Serve(state.text())
}

fn web(client: &Client) -> Vec<Ipv4Addr> {
    client.addresses("web.marathon.mesos")
}

#[test]
fn file_from_the_future_and_jumps_beside_it_change_no_answer() {
    let master = master_at(OLD);
    let clock = Clock::new();
    let folder = Folder::new();
    let settings = json!({"StateDirectory": folder.join("state"), "Source": "poll",
        "ReadyAgeSeconds": 60});
    clock.set(DAY);
    let mut rollcall = starting(&clock, master.address(), settings);
    wait_until("first table", || web(&rollcall.client()) == [OLD]);
    let saved = serial(&rollcall.status());
    rollcall.signal("TERM");
    assert!(rollcall.wait_for_end().0.success());

    // The clock was wrong then, and is right now: what was confirmed tomorrow is new.
    master.set(Behaviour::HangUp);
    clock.set(0);
    rollcall.start_again();
    let client = rollcall.client();
    wait_until("warm start", || rollcall.status()["source"] == "warm_start");
    let (cpu, begin) = (rollcall.cpu_time(), Instant::now());
    for offset in [0].into_iter().chain(jumps()) {
        clock.set(offset);
        master.wait_for_two_more_requests();
        let status = rollcall.status();
        assert_eq!(web(&client), [OLD]);
        // From the start on the age is counted by the clock that does not jump.
        assert!((0.0..60.0).contains(&age(&status)), "{status}");
        assert_eq!(serial(&status), saved);
        assert_eq!(rollcall.get("/readyz").0, 200, "{status}");
    }
    assert_idle(&rollcall, cpu, begin);
    assert_eq!(rollcall.log_lines("are not served"), 0);
    master.set(moved(&master, NEW));
    wait_until("the master's word", || web(&client) == [NEW]);
    assert!(serial(&rollcall.status()) > saved);
}

#[test]
fn file_of_1970_is_served_as_old_as_it_says_until_a_master_speaks() {
    let master = master_at(OLD);
    let clock = Clock::new();
    let folder = Folder::new();
    let settings = json!({"StateDirectory": folder.join("state"), "Source": "poll",
        "ReadyAgeSeconds": 60});
    clock.set(100 - unix_seconds());
    let mut rollcall = starting(&clock, master.address(), settings);
    wait_until("first table", || web(&rollcall.client()) == [OLD]);
    rollcall.signal("TERM");
    assert!(rollcall.wait_for_end().0.success());
    master.set(Behaviour::HangUp);
    clock.set(0);
    rollcall.start_again();
    wait_until("warm start", || rollcall.status()["source"] == "warm_start");
    let status = rollcall.status();
    let since_1970 = unix_seconds() as f64;
    assert!((since_1970 - 3_600.0..since_1970 + 60.0).contains(&age(&status)));
    assert_eq!(web(&rollcall.client()), [OLD]);
    let (code, why) = rollcall.get("/readyz");
    assert!(code == 503 && why.contains("ReadyAgeSeconds"), "{why}");
    master.set(moved(&master, NEW));
    wait_until("readiness", || rollcall.get("/readyz").0 == 200);
    assert_eq!(web(&rollcall.client()), [NEW]);
}
