//! The real program on the event stream of a simulated master: what is told is answered, and nothing
//! that goes wrong with the stream or the state takes an answer away.

use std::collections::BTreeSet;
use std::time::Duration;

use rollcall::simulate::faults::{Scope, StateFault, StreamFault};
use rollcall::simulate::{SimulateOptions, Simulator, Stream};
use serde_json::{Value, json};

use crate::support::client::{A, Client};
use crate::support::process::Rollcall;
use crate::support::vigil::{Vigil, addresses_of, expected};
use crate::support::wait_until;

/// Applications whose tasks stay where they are while `web` moves, and their names.
const STILL: [(&str, &str); 3] = [
    ("worker", "worker.marathon.mesos"),
    ("cassandra-seed", "cassandra-seed.marathon.mesos"),
    ("nginx", "nginx.marathon.mesos"),
];
const WEB: &str = "web.marathon.mesos";

fn master(options: SimulateOptions) -> Simulator {
    Simulator::start(&options).expect("a simulated master")
}

/// Never asks for the state by itself, so that only the stream can have told of a change.
fn following(master: &Simulator, settings: Value) -> Rollcall {
    let mut all = json!({"RefreshSeconds": 3600});
    for (key, value) in settings.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    Rollcall::serving(&[master.address()], all)
}

/// One instance of `web` moves, and the answer follows.
fn move_web(master: &Simulator, client: &Client) {
    master.step_app("web").expect("web runs");
    let now = addresses_of(master, "web");
    wait_until("moved instance", || client.ask_tcp_data(WEB, A) == now);
}

fn counter(rollcall: &Rollcall, name: &str) -> u64 {
    let value = &rollcall.status()["counters"][name];
    value.as_u64().unwrap_or_else(|| panic!("{name}: {value}"))
}

#[test]
fn events_are_answered_without_a_poll_and_shown_in_the_status() {
    let master = master(SimulateOptions::default());
    let rollcall = following(&master, json!({}));
    let client = rollcall.client();
    let serial = rollcall.status()["serial"].as_u64();
    for _ in 0..10 {
        move_web(&master, &client);
    }
    let status = rollcall.status();
    assert_eq!(status["source"], "stream", "{status}");
    assert_eq!(status["leader"], master.address().to_string());
    assert!(status["serial"].as_u64() > serial, "{status}");
    assert!(status["age_seconds"].as_f64() < Some(16.0), "{status}");
    assert_eq!(status["held"], Value::Null);
    assert_eq!(status["last_error"], Value::Null);
    let running = master.with_cluster(|cluster| cluster.running().count());
    assert_eq!(status["tasks"]["served"], running);
    assert!(counter(&rollcall, "events") >= 30, "{status}");
    let counts = master.counts();
    assert_eq!((counts.of("SUBSCRIBE"), counts.of("state")), (1, 0));
    assert_eq!(rollcall.get("/readyz").0, 200);
}

#[test]
fn agents_and_frameworks_that_go_and_come_are_followed() {
    let master = master(SimulateOptions::default());
    let rollcall = following(&master, json!({}));
    let client = rollcall.client();
    let follows = |what: &str| {
        wait_until(what, || {
            let apps = ["web", "worker", "cassandra-seed"];
            apps.iter().all(|app| {
                client.ask_tcp_data(&format!("{app}.marathon.mesos"), A)
                    == addresses_of(&master, app)
            })
        });
    };
    for index in 0..5 {
        master
            .change(|cluster| cluster.lose_agent(index))
            .expect("an agent");
        follows("names without the lost agent's");
    }
    for index in 0..5 {
        let change = |cluster: &mut rollcall::simulate::cluster::Cluster| match index % 2 {
            0 => cluster.return_agent(index),
            _ => cluster.remove_agent(index),
        };
        master.change(change).expect("an agent");
        follows("names of the agents that are left");
    }
    master.add_framework("late", "app", 3).expect("a framework");
    wait_until("new framework", || {
        client.ask_tcp_data("app.late.mesos", A) == addresses_of(&master, "app")
    });
    master
        .change(|cluster| cluster.tear_down(0))
        .expect("marathon");
    wait_until("end of the framework", || {
        client.ask_tcp_data(WEB, A).is_empty()
    });
    assert_eq!(master.counts().of("state"), 0);
}

/// Each waits longer before it subscribes than the one before: so there are three tests of two faults.
fn survive(faults: [(StreamFault, &str); 2]) {
    let master = master(SimulateOptions::default());
    let rollcall = following(&master, json!({}));
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &STILL));
    let client = rollcall.client();
    for (count, (fault, reason)) in faults.into_iter().enumerate() {
        let is_told = || rollcall.has_line(&["subscribing anew", "event stream of", reason]);
        assert!(!is_told(), "{fault:?} is told before it happens");
        master.fault_streams(fault);
        wait_until(&format!("{fault:?}"), is_told);
        // What happens meanwhile is in the next snapshot.
        master.step_app("web").expect("web runs");
        wait_until("next subscription", || {
            counter(&rollcall, "subscriptions") == count as u64 + 2
        });
        move_web(&master, &client);
    }
    assert!(vigil.end() > 100);
    assert!(!rollcall.has_line(&["panicked"]));
}

#[test]
fn stream_that_ends_is_opened_anew_and_no_answer_is_lost() {
    survive([
        (StreamFault::Disconnect, "is lost: it broke off"),
        (
            StreamFault::HangUp,
            "cannot be read: the document broke off",
        ),
    ]);
}

#[test]
fn stream_of_other_octets_is_opened_anew_and_no_answer_is_lost() {
    survive([
        (StreamFault::Garbage, "is lost: it broke off"),
        (StreamFault::BadJson, "ends at octet"),
    ]);
}

#[test]
fn stream_of_wrong_lengths_is_opened_anew_and_no_answer_is_lost() {
    survive([
        (StreamFault::BadLength, "ends at octet"),
        (StreamFault::TooLong, "raise StateBytesMax"),
    ]);
}

#[test]
fn records_in_pieces_and_late_ones_are_events_all_the_same() {
    let master = master(SimulateOptions::default());
    let rollcall = following(&master, json!({}));
    let client = rollcall.client();
    for fault in [
        StreamFault::Split(1),
        StreamFault::Split(1_400),
        StreamFault::Delay(Duration::from_millis(200)),
    ] {
        master.fault_streams(fault);
        move_web(&master, &client);
        master.fault_streams(StreamFault::Normal);
        move_web(&master, &client);
    }
    assert_eq!(counter(&rollcall, "subscriptions"), 1);
}

#[test]
fn five_silent_heartbeats_end_the_stream() {
    let master = master(SimulateOptions {
        heartbeat: Duration::from_millis(200),
        ..SimulateOptions::default()
    });
    let rollcall = following(&master, json!({}));
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &STILL));
    let client = rollcall.client();
    move_web(&master, &client);
    master.fault_streams(StreamFault::Silence);
    master.step_app("web").expect("web runs");
    wait_until("end of the silence", || {
        rollcall.has_line(&["is silent for 5 heartbeats"])
    });
    let now = addresses_of(&master, "web");
    wait_until("what was missed", || client.ask_tcp_data(WEB, A) == now);
    wait_until("next subscription", || {
        counter(&rollcall, "subscriptions") == 2
    });
    move_web(&master, &client);
    vigil.end();
}

#[test]
fn source_says_whether_the_stream_or_the_state_is_used() {
    let master = master(SimulateOptions::default());
    for (source, streams) in [("poll", 0), ("stream", 1)] {
        let settings = json!({"Source": source, "RefreshSeconds": 1});
        let (subscribed, asked) = (master.counts().subscribed, master.counts().of("state"));
        let rollcall = Rollcall::serving(&[master.address()], settings);
        move_web(&master, &rollcall.client());
        assert_eq!(rollcall.status()["source"], source);
        let counts = master.counts();
        assert_eq!(counts.subscribed - subscribed, streams, "{source}");
        assert_eq!(counts.of("state") > asked, source == "poll", "{source}");
    }
    // Where `stream` is asked for and there is none, nothing else is tried.
    master.fault_streams(StreamFault::Refuse(403));
    let settings = json!({"Source": "stream", "RefreshSeconds": 1});
    let rollcall = Rollcall::listening(&[master.address()], settings);
    wait_until("reason", || rollcall.has_line(&["403"]));
    assert_eq!(rollcall.get("/readyz").0, 503);
}

#[test]
fn masters_without_a_usable_stream_are_polled() {
    for stream in [Stream::None, Stream::Old] {
        let master = master(SimulateOptions {
            stream,
            ..SimulateOptions::default()
        });
        let settings = json!({"RefreshSeconds": 1});
        let rollcall = Rollcall::serving(&[master.address()], settings);
        move_web(&master, &rollcall.client());
        assert_eq!(rollcall.status()["source"], "poll", "{stream:?}");
        assert!(rollcall.has_line(&["no event stream for us", "polled"]));
        // It is not asked again and again.
        let asked = master.counts().of("SUBSCRIBE");
        move_web(&master, &rollcall.client());
        assert_eq!(master.counts().of("SUBSCRIBE"), asked, "{stream:?}");
    }
}

#[test]
fn check_finds_and_mends_what_the_stream_did_not_tell() {
    let master = master(SimulateOptions::default());
    let settings = json!({"RefreshSeconds": 1, "CheckFactor": 1});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let client = rollcall.client();
    wait_until("first check", || counter(&rollcall, "checks") > 0);
    assert_eq!(
        rollcall.status()["counters"]["differences"],
        json!({"lacking": 0, "surplus": 0, "other": 0})
    );
    // An open stream that says nothing more, long before its heartbeats are missed.
    master.fault_streams(StreamFault::Silence);
    move_web(&master, &client);
    let status = rollcall.status();
    let differences = &status["counters"]["differences"];
    assert_eq!(
        (&differences["lacking"], &differences["surplus"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(counter(&rollcall, "subscriptions"), 1);
    assert_eq!(status["source"], "stream");
    assert!(rollcall.has_line(&[
        "the state tells what the event stream did not",
        "was lacking"
    ]));
}

#[test]
fn state_that_fails_in_any_way_leaves_the_answers_as_they_were() {
    let master = master(SimulateOptions::default());
    let settings = json!({"Source": "poll", "RefreshSeconds": 1});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &STILL));
    for (fault, line) in [
        (StateFault::Garbage, "not JSON"),
        (StateFault::Cut, "broke off"),
        (StateFault::Status(500), "500"),
        (StateFault::HangUp, "state"),
        (StateFault::Empty, "keep their names"),
    ] {
        let before = rollcall.log_lines(line);
        master.fault_state(fault);
        wait_until(&format!("{fault:?}"), || rollcall.log_lines(line) > before);
        master.fault_state(StateFault::Normal);
        move_web(&master, &rollcall.client());
    }
    vigil.end();
}

#[test]
fn empty_state_beside_a_living_stream_is_not_believed() {
    let master = master(SimulateOptions::default());
    let settings = json!({"RefreshSeconds": 1, "CheckFactor": 1, "HoldSeconds": 0});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &STILL));
    master.fault_state(StateFault::Empty);
    wait_until("disbelief", || {
        rollcall.has_line(&["lists no agents", "the stream is believed"])
    });
    move_web(&master, &rollcall.client());
    vigil.end();
}

#[test]
fn restarted_master_takes_no_name_away_while_its_agents_come_back() {
    let master = master(SimulateOptions {
        return_over: Duration::from_secs(3),
        recovery: Duration::from_millis(300),
        // Names are let go only with a word of the master.
        heartbeat: Duration::from_secs(1),
        ..SimulateOptions::default()
    });
    let rollcall = following(&master, json!({}));
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &STILL));
    let client = rollcall.client();
    let running = master.with_cluster(|cluster| cluster.running().count());
    assert!(master.restart(), "it leads");
    wait_until("held names", || {
        let held = &rollcall.status()["held"];
        held["tasks"].as_u64().is_some_and(|tasks| tasks > 0)
            && held["because"] == "another master leads"
            && held["some_names"]
                .as_array()
                .is_some_and(|names| !names.is_empty())
    });
    // Additions apply at once.
    master.add_framework("late", "app", 2).expect("a framework");
    wait_until("addition", || {
        !client.ask_tcp_data("app.late.mesos", A).is_empty()
    });
    wait_until("end of holding", || rollcall.status()["held"].is_null());
    let status = rollcall.status();
    assert_eq!(status["tasks"]["served"], running + 2, "{status}");
    assert_eq!(counter(&rollcall, "holds"), 1);
    assert!(counter(&rollcall, "tasks_held") > 0);
    assert!(rollcall.has_line(&["agents are back"]));
    vigil.end();
    move_web(&master, &client);
}

#[test]
fn master_that_dies_before_its_last_agents_are_back_takes_no_name_away() {
    let master = master(SimulateOptions {
        return_over: Duration::from_secs(3_600),
        recovery: Duration::from_millis(300),
        ..SimulateOptions::default()
    });
    let rollcall = following(&master, json!({}));
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &STILL));
    assert!(master.restart(), "it leads");
    let agents_back = || rollcall.status()["held"]["agents_back"].clone();
    wait_until("an empty master", || agents_back() == 0);
    for index in 0..18 {
        let back = master.change(|cluster| cluster.return_agent(index));
        back.expect("an agent that is awaited");
    }
    wait_until("enough agents", || agents_back() == 18);
    master.stop();
    // By then the tasks of agents that are back would all have been told.
    wait_until("silence", || {
        rollcall.status()["age_seconds"].as_f64() > Some(7.0)
    });
    assert_eq!(agents_back(), 18);
    vigil.end();
}

#[test]
fn master_that_shows_nothing_to_our_principal_takes_nothing_away() {
    let seeing = SimulateOptions {
        id: Some("one".into()),
        credentials: Some("rollcall:secret".parse().expect("credentials")),
        blind: Some("blind:secret".parse().expect("credentials")),
        ..SimulateOptions::default()
    };
    let master = master(seeing);
    let credentials = |principal: &str| {
        json!({
            "mesosAuthentication": "basic",
            "mesosCredentials": {"principal": principal, "secret": "secret"},
        })
    };
    let rollcall = following(&master, credentials("rollcall"));
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &STILL));
    move_web(&master, &rollcall.client());
    rollcall.configure(credentials("blind"));
    rollcall.signal("HUP");
    wait_until("warning", || {
        rollcall.has_line(&["no framework", "access control lists hide them"])
    });
    wait_until("holding", || {
        rollcall.status()["held"]["because"] == "the master lists no framework"
    });
    rollcall.configure(credentials("rollcall"));
    rollcall.signal("HUP");
    wait_until("end of holding", || rollcall.status()["held"].is_null());
    move_web(&master, &rollcall.client());
    vigil.end();
    assert!(!rollcall.log().contains("secret"), "{}", rollcall.log());
}

#[test]
fn crowded_out_subscribers_come_back() {
    let master = master(SimulateOptions {
        streams_max: 1,
        ..SimulateOptions::default()
    });
    let one = following(&master, json!({}));
    let two = following(&master, json!({}));
    // Each closes the other's; both answer, and neither asks more than its backoff lets it.
    let (first, second) = (one.client(), two.client());
    for _ in 0..3 {
        master.step_app("web").expect("web runs");
        let now: BTreeSet<String> = addresses_of(&master, "web");
        wait_until("both", || {
            first.ask_tcp_data(WEB, A) == now && second.ask_tcp_data(WEB, A) == now
        });
    }
    assert_eq!(master.counts().streams_open, 1);
}

#[test]
fn slow_snapshot_is_waited_for_and_the_state_speaks_meanwhile() {
    let master = master(SimulateOptions::default());
    master.fault_streams_for(Scope::New, StreamFault::Silence);
    let settings = json!({"RefreshSeconds": 1, "StateTimeoutSeconds": 2});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    assert_eq!(rollcall.status()["source"], "poll");
    move_web(&master, &rollcall.client());
    master.fault_streams(StreamFault::Normal);
    wait_until("stream", || rollcall.status()["source"] == "stream");
    move_web(&master, &rollcall.client());
}
