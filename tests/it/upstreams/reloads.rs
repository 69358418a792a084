//! Answering threads that come and go while queries are under way to upstreams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use serde_json::json;

use super::{Host, ask_domain, zone};
use crate::support::client::{A, decode, query};
use crate::support::crowd::{Crowd, Tally};
use crate::support::resolver::Resolver;
use crate::support::upstream::Upstream;

const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;

/// Changes the number of workers for as long as the crowd asks.
fn change_workers(host: &Host, ask: impl Fn() -> Tally + Sync) -> (Tally, usize) {
    let (is_over, mut changes) = (AtomicBool::new(false), 0);
    let tally = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let tally = ask();
            is_over.store(true, Ordering::SeqCst);
            tally
        });
        while !is_over.load(Ordering::SeqCst) && !asking.is_finished() {
            let workers = 1 + changes % 2;
            host.rollcall.reconfigure(json!({"Workers": workers}));
            changes += 1;
            ask_domain(&host.rollcall.client());
            thread::sleep(Duration::from_millis(50));
        }
        asking.join().expect("the crowd's end")
    });
    (tally, changes)
}

#[test]
fn no_query_to_a_real_upstream_is_lost_while_workers_come_and_go() {
    let knot = Upstream::knot(&zone("192.0.2.9"));
    let host = Host::new(&[knot.address()], json!({"Workers": 2}));
    let crowd = Crowd::new(host.rollcall.dns_address(), 8, 64);
    let ask = || crowd.ask(20_000, |number| format!("n{number}.example"));
    let (tally, changes) = change_workers(&host, ask);
    assert_eq!(tally.unanswered, 0, "{tally:?}");
    let good = tally.rcodes.get(&NOERROR).copied();
    assert_eq!(good, Some(20_000), "{tally:?}");
    assert!(changes >= 2, "{changes}, {tally:?}");
}

/// A worker that goes waits for what it asked, but no longer than a moment.
#[test]
fn query_that_a_leaving_worker_waits_for_is_answered_or_servfail() {
    for (delay, is_always_good) in [(100, true), (600, false)] {
        let resolver = Resolver::start();
        let host = Host::new(&[resolver.address()], json!({"Workers": 2}));
        let crowd = Crowd::new(host.rollcall.dns_address(), 8, 64);
        let ask = || crowd.ask(1_000, |number| format!("late-{delay}-{number}.example"));
        let (tally, changes) = change_workers(&host, ask);
        assert_eq!(tally.unanswered, 0, "{tally:?}");
        let count = |rcode| tally.rcodes.get(&rcode).copied().unwrap_or(0);
        assert_eq!(count(NOERROR) + count(SERVFAIL), 1_000, "{tally:?}");
        assert!(count(NOERROR) > 100, "{tally:?}");
        assert!(!is_always_good || count(SERVFAIL) == 0, "{tally:?}");
        assert!(changes >= 2, "{changes}, {tally:?}");
    }
}

/// Each connection belongs to one worker; those of one that goes are closed when they are answered.
#[test]
fn queries_over_tcp_are_answered_before_a_leaving_worker_closes_the_connection() {
    let resolver = Resolver::start();
    let host = Host::new(&[resolver.address()], json!({"Workers": 2}));
    let client = host.rollcall.client();
    for (round, workers) in [1, 2, 1].into_iter().enumerate() {
        let mut connections: Vec<_> = (0..12).map(|_| client.connect()).collect();
        for (number, connection) in connections.iter_mut().enumerate() {
            for place in 0..5 {
                let name = format!("late-250-{round}-{number}-{place}.example");
                connection.send(&query(&name, A));
            }
            // It answers out of turn, so that the others are under way by now.
            connection.send(&query("web.marathon.mesos", A));
            decode(&connection.receive().expect("the domain's answer"));
        }
        host.rollcall.reconfigure(json!({"Workers": workers}));
        for connection in &mut connections {
            for _ in 0..5 {
                let answer = decode(&connection.receive().expect("an answer"));
                let rcode = answer.metadata.response_code;
                let ends = [ResponseCode::NoError, ResponseCode::ServFail];
                assert!(ends.contains(&rcode), "{rcode}");
            }
        }
    }
}
