//! Signals to the real program: a configuration read anew, a refresh at once, an end in time.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::support::client::{A, query};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::{Rollcall, free_address};
use crate::support::state::State;
use crate::support::wait_until;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);

fn master_with(address: Ipv4Addr) -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", address).text()))
}

#[test]
fn hup_takes_another_domain_and_other_masters_without_losing_an_answer() {
    let (one, two) = (master_with(OLD), master_with(NEW));
    let rollcall = Rollcall::serving(&[one.address()], json!({"TTL": 7}));
    let client = rollcall.client();
    assert_eq!(client.addresses("web.marathon.mesos"), [OLD]);
    rollcall.configure(json!({"Domain": "cluster.test", "TTL": 9}));
    rollcall.signal("HUP");
    wait_until("other domain", || {
        // Each answer is that of the one domain or of the other, with its own SOA and TTL.
        let answer = client.ask("web.marathon.cluster.test", A);
        let old = client.rcode("web.marathon.mesos", A);
        if answer.metadata.response_code == ResponseCode::Refused {
            assert!(matches!(old, ResponseCode::NoError | ResponseCode::Refused));
            return false;
        }
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(answer.answers[0].ttl, 9);
        client.rcode("web.marathon.mesos", A) == ResponseCode::Refused
    });
    let config: serde_json::Value =
        serde_json::from_str(&rollcall.get("/v1/config").1).expect("JSON");
    assert_eq!(
        (&config["Domain"], &config["TTL"]),
        (&json!("cluster.test"), &json!(9))
    );
    rollcall.configure(json!({"Masters": [two.address().to_string()]}));
    rollcall.signal("HUP");
    wait_until("other master", || {
        client.addresses("web.marathon.cluster.test") == [NEW]
    });
}

#[test]
fn hup_moves_the_listeners_and_keeps_the_old_ones_where_that_fails() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], json!({}));
    let client = rollcall.client();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    rollcall.configure(json!({"HttpPort": port, "Domain": "cluster.test"}));
    rollcall.signal("HUP");
    wait_until("refusal", || {
        rollcall.has_line(&["is not taken", &port.to_string()])
    });
    assert_eq!(client.addresses("web.marathon.mesos"), [OLD]);
    assert_eq!(rollcall.get("/healthz").0, 200);

    let moved = free_address();
    let config = json!({"Port": moved.port(), "HttpPort": free_address().port(), "Domain": "mesos", "Workers": 2});
    rollcall.configure(config);
    rollcall.signal("HUP");
    let there = crate::support::client::Client::new(moved);
    wait_until("other port", || {
        there
            .try_udp(&query("web.marathon.mesos", A))
            .is_some_and(|answer| answer[7] == 1)
    });
    // The old port is closed: nobody answers there any more.
    wait_until("end of the old port", || {
        client.try_udp(&query("mesos", A)).is_none()
    });
}

#[test]
fn hup_takes_another_number_of_workers_and_a_narrower_listener_at_the_same_port() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], json!({"Workers": 1}));
    let client = rollcall.client();
    let port = client.server().port();
    for (count, settings) in [
        (1, json!({"Workers": 3})),
        (2, json!({"Workers": 2})),
        (3, json!({"Listener": "0.0.0.0"})),
        (4, json!({"Listener": "127.0.0.1"})),
    ] {
        rollcall.configure(settings);
        rollcall.signal("HUP");
        wait_until("the new configuration", || {
            assert_eq!(client.addresses("web.marathon.mesos"), [OLD]);
            rollcall.log_lines("is in force") == count
        });
    }
    assert_eq!(rollcall.client().server().port(), port);
    assert!(!rollcall.has_line(&["in use"]), "{}", rollcall.log());
}

#[test]
fn hup_with_a_bad_file_keeps_the_old_configuration_and_says_why() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], json!({}));
    let good = std::fs::read(rollcall.config_file()).expect("the configuration");
    for (bad, reason) in [
        ("{", "line 1"),
        (r#"{"TTL": -1}"#, "TTL"),
        (r#"{"Masters": []}"#, "no master"),
    ] {
        std::fs::write(rollcall.config_file(), bad).expect("written");
        rollcall.signal("HUP");
        wait_until("reason", || rollcall.has_line(&["is not taken", reason]));
    }
    std::fs::remove_file(rollcall.config_file()).expect("removed");
    rollcall.signal("HUP");
    wait_until("reason", || {
        rollcall.has_line(&["is not taken", "cannot read"])
    });
    std::fs::write(rollcall.config_file(), good).expect("written");
    rollcall.signal("HUP");
    wait_until("good file", || rollcall.has_line(&["is in force"]));
    assert_eq!(rollcall.client().addresses("web.marathon.mesos"), [OLD]);
}

#[test]
fn usr1_refreshes_at_once() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], json!({"RefreshSeconds": 3600}));
    let client = rollcall.client();
    master.set(Behaviour::Serve(
        State::new(master.address()).task("web", NEW).text(),
    ));
    assert_eq!(client.addresses("web.marathon.mesos"), [OLD]);
    rollcall.signal("USR1");
    wait_until("new address", || {
        client.addresses("web.marathon.mesos") == [NEW]
    });
}

#[test]
fn term_ends_within_two_seconds_whatever_the_masters_do_and_loses_no_query() {
    let master = master_with(OLD);
    let folder = Folder::new();
    let settings = json!({"StateDirectory": folder.join("state")});
    let mut rollcall = Rollcall::serving(&[master.address()], settings);
    // A master that takes its time, an idle HTTP client, and a TCP client with half a query.
    let state = State::new(master.address()).task("web", NEW).text();
    master.set(Behaviour::Slow(state, Duration::from_secs(30)));
    rollcall.signal("USR1");
    let client = rollcall.client();
    let mut half = client.connect();
    half.send_octets(&[0, 40, 1, 2]);
    let _http = std::net::TcpStream::connect(rollcall.http_address()).expect("connected");
    // Queries that wait in the socket when the signal comes are answered.
    for _ in 0..200 {
        client.send_udp(&query("web.marathon.mesos", A));
    }
    rollcall.signal("TERM");
    let answers = (0..200).filter(|_| client.receive().is_some()).count();
    let (status, took) = rollcall.wait_for_end();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(answers, 200);
    assert!(folder.join("state/warm-start").exists());
}
