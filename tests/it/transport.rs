//! TCP as RFC 7766 asks for it, through the real process.

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::support::client::{A, SRV, decode, framed, query};
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;

fn cluster(tasks: u16) -> (Master, Rollcall) {
    let master =
        Master::start(|leader| Behaviour::Serve(State::new(leader).tasks("web", tasks).text()));
    let rollcall = Rollcall::serving(&[master.address()], json!({"RefreshSeconds": 3600}));
    (master, rollcall)
}

#[test]
fn pipelined_queries_are_all_answered() {
    let (_master, rollcall) = cluster(4);
    let mut connection = rollcall.client().connect();
    // Ids differ, for answers may come in any order (RFC 7766, 6.2.1.1).
    let queries: Vec<_> = (0..500u16)
        .map(|id| {
            let mut message = query("web.marathon.mesos", A);
            message[..2].copy_from_slice(&id.to_be_bytes());
            framed(&message)
        })
        .collect();
    connection.send_octets(&queries.concat());
    let mut ids: Vec<_> = (0..500)
        .map(|_| connection.receive().expect("an answer"))
        .map(|answer| u16::from_be_bytes([answer[0], answer[1]]))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
}

#[test]
fn a_query_in_single_octets_is_put_together() {
    let (_master, rollcall) = cluster(4);
    let mut connection = rollcall.client().connect();
    for octet in framed(&query("web.marathon.mesos", A)) {
        connection.send_octets(&[octet]);
    }
    assert_eq!(
        decode(&connection.receive().expect("an answer"))
            .answers
            .len(),
        4
    );
}

#[test]
fn a_connection_outlives_many_queries() {
    let (_master, rollcall) = cluster(4);
    let mut connection = rollcall.client().connect();
    for _ in 0..300 {
        connection.send(&query("web.marathon.mesos", A));
        assert_eq!(
            decode(&connection.receive().expect("an answer"))
                .metadata
                .response_code,
            ResponseCode::NoError
        );
    }
}

#[test]
fn a_message_shorter_than_a_header_closes_the_connection_and_only_that() {
    let (_master, rollcall) = cluster(4);
    let client = rollcall.client();
    let (mut short, mut other) = (client.connect(), client.connect());
    short.send(&[0; 11]);
    assert!(short.receive().is_none());
    other.send(&query("web.marathon.mesos", A));
    assert!(other.receive().is_some());
}

#[test]
fn an_answer_over_64_kib_holds_what_fits_and_says_so() {
    let (_master, rollcall) = cluster(1500);
    let octets = rollcall
        .client()
        .tcp(&query("_web._tcp.marathon.mesos", SRV));
    let answer = decode(&octets);
    // No record is longer than 100 octets here, so less than that is left free.
    assert!(octets.len() > 65_535 - 100, "{} octets", octets.len());
    assert!(answer.metadata.truncation && answer.answers.len() < 1500);
}

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    let (_master, rollcall) = cluster(1000);
    let client = rollcall.client();
    let mut lazy = client.connect();
    let burst = framed(&query("web.marathon.mesos", A)).repeat(64);
    for _ in 0..4 {
        lazy.send_octets(&burst);
    }
    for _ in 0..50 {
        assert_eq!(client.rcode("leader.mesos", A), ResponseCode::NoError);
        assert_eq!(
            decode(&client.tcp(&query("leader.mesos", A))).answers.len(),
            1
        );
    }
}
