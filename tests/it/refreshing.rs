//! Masters that lead, follow, fail and lie: a refresh either takes effect as a whole or changes nothing.

use std::net::Ipv4Addr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use serde_json::{Value, json};

use crate::support::client::{A, Client, SOA};
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::wait_until;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);

fn fast() -> Value {
    json!({"RefreshSeconds": 1})
}

/// A master with one task `web` at `address`.
fn master_with(address: Ipv4Addr) -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", address).text()))
}

fn web(client: &Client) -> Vec<Ipv4Addr> {
    client.addresses("web.marathon.mesos")
}

#[test]
fn servfail_before_the_first_table_then_answers() {
    let master = Master::start(|_| Behaviour::HangUp);
    let rollcall = Rollcall::listening(&[master.address()], fast());
    let client = rollcall.client();
    for name in ["mesos", "leader.mesos", "no-such-name.mesos"] {
        assert_eq!(client.rcode(name, A), ResponseCode::ServFail, "{name}");
    }
    assert_eq!(client.rcode("example.com", A), ResponseCode::Refused);
    master.set(Behaviour::Serve(
        State::new(master.address()).task("web", OLD).text(),
    ));
    wait_until("first table", || {
        client.rcode("mesos", SOA) == ResponseCode::NoError
    });
    assert_eq!(web(&client), [OLD]);
}

#[test]
fn dns_and_http_agree_before_and_after_a_change() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], fast());
    let shown = || {
        let (status, body) = rollcall.get("/v1/hosts/web.marathon.mesos");
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    assert_eq!(
        shown(),
        json!([{"host": "web.marathon.mesos.", "ip": OLD.to_string()}])
    );
    master.set(Behaviour::Serve(
        State::new(master.address()).task("web", NEW).text(),
    ));
    wait_until("new address", || web(&rollcall.client()) == [NEW]);
    assert_eq!(
        shown(),
        json!([{"host": "web.marathon.mesos.", "ip": NEW.to_string()}])
    );
}

#[test]
fn a_new_state_takes_effect_and_raises_the_serial() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], fast());
    let client = rollcall.client();
    let serial = || match &client.ask("mesos", SOA).answers[0].data {
        hickory_proto::rr::RData::SOA(soa) => soa.serial,
        other => panic!("{other}"),
    };
    let before = serial();
    master.set(Behaviour::Serve(
        State::new(master.address())
            .task("web", NEW)
            .task("late", OLD)
            .text(),
    ));
    wait_until("new address", || web(&client) == [NEW]);
    assert_eq!(client.addresses("late.marathon.mesos"), [OLD]);
    assert!(serial() > before);
    master.set(Behaviour::Serve(
        State::new(master.address()).task("late", OLD).text(),
    ));
    wait_until("end of the task", || {
        client.rcode("web.marathon.mesos", A) == ResponseCode::NXDomain
    });
}

#[test]
fn a_refresh_that_fails_in_any_way_leaves_the_answers_as_they_were() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], fast());
    let client = rollcall.client();
    let other = State::new(master.address()).task("web", NEW).text();
    let no_leader = other.replace("\"leader\"", "\"ledaer\"");
    for (what, behaviour) in [
        ("a closed connection", Behaviour::HangUp),
        (
            "status 500 with a good document",
            Behaviour::Status(500, other.clone()),
        ),
        (
            "status 404 with a good document",
            Behaviour::Status(404, other.clone()),
        ),
        (
            "half a document",
            Behaviour::Serve(other[..other.len() / 2].into()),
        ),
        ("a body cut short", Behaviour::CutShort(other.clone())),
        ("no JSON", Behaviour::Serve("not json".into())),
        ("an empty object", Behaviour::Serve("{}".into())),
        ("no leader", Behaviour::Serve(no_leader)),
    ] {
        master.set(behaviour);
        master.wait_for_two_more_requests();
        assert_eq!(web(&client), [OLD], "after {what}");
    }
    master.set(Behaviour::Serve(other));
    wait_until("recovery", || web(&client) == [NEW]);
}

#[test]
fn one_bad_task_does_not_lose_the_others() {
    let master = Master::start(|leader| {
        Behaviour::Serve(
            State::new(leader)
                .bad_task("broken")
                .task("web", OLD)
                .text(),
        )
    });
    let rollcall = Rollcall::serving(&[master.address()], fast());
    assert_eq!(web(&rollcall.client()), [OLD]);
    // It is told of once, however often the state is read.
    master.wait_for_two_more_requests();
    master.wait_for_two_more_requests();
    assert_eq!(rollcall.log_lines("(\"broken\") gives no records"), 1);
}

#[test]
fn a_follower_leads_to_its_leader() {
    let leader = master_with(OLD);
    let follower = Master::start(|_| Behaviour::Redirect(leader.address()));
    let rollcall = Rollcall::serving(&[follower.address()], fast());
    assert_eq!(web(&rollcall.client()), [OLD]);
}

#[test]
fn a_document_that_names_another_leader_is_not_taken_but_followed() {
    let leader = Master::start_at([127, 0, 0, 2].into(), |leader| {
        Behaviour::Serve(State::new(leader).task("web", OLD).text())
    });
    let stale =
        Master::start(|_| Behaviour::Serve(State::new(leader.address()).task("web", NEW).text()));
    let rollcall = Rollcall::serving(&[stale.address()], fast());
    assert_eq!(web(&rollcall.client()), [OLD]);
}

#[test]
fn dead_masters_are_passed_over() {
    // A port that was free a moment ago and that nobody listens on.
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[dead, master.address()], fast());
    assert_eq!(web(&rollcall.client()), [OLD]);
}

#[test]
fn answers_go_on_while_a_slow_master_writes() {
    let master = master_with(OLD);
    let rollcall = Rollcall::serving(&[master.address()], fast());
    let client = rollcall.client();
    let next = State::new(master.address()).task("web", NEW).text();
    master.set(Behaviour::Slow(next, Duration::from_secs(2)));
    wait_until("the slow document", || web(&client) == [NEW]);
}

#[test]
fn a_circle_of_leaders_ends_and_harms_nothing() {
    let first = Master::start(|_| Behaviour::HangUp);
    let second = Master::start(|_| Behaviour::Redirect(first.address()));
    first.set(Behaviour::Redirect(second.address()));
    let rollcall = Rollcall::listening(&[first.address()], fast());
    first.wait_for_two_more_requests();
    assert_eq!(
        rollcall.client().rcode("mesos", SOA),
        ResponseCode::ServFail
    );
}
