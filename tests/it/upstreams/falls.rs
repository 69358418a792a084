//! Upstreams that are killed, stand still and come back, while clients ask.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use serde_json::json;

use super::{Host, ask_domain, zone};
use crate::support::client::{A, Client, decode, query};
use crate::support::upstream::Upstream;
use crate::support::wait_until;

const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 102);

/// Asks names that nobody asked before.
struct Asker {
    client: Client,
    number: u32,
}

impl Asker {
    fn new(host: &Host) -> Self {
        let client = host.rollcall.client();
        Self { client, number: 0 }
    }

    /// Which upstream answered, and after how long.
    fn ask(&mut self) -> (Ipv4Addr, Duration) {
        self.number += 1;
        let begin = Instant::now();
        let answer = self.client.ask(&format!("n{}.example", self.number), A);
        let rcode = answer.metadata.response_code;
        assert_eq!(rcode, ResponseCode::NoError, "{}", self.number);
        let address = answer.answers[0].data.to_string();
        (address.parse().expect("an address"), begin.elapsed())
    }

    /// The first queries may find out that one is gone; then nobody waits for it.
    fn ask_some(&mut self, wanted: Ipv4Addr) {
        for count in 0..100 {
            let (address, took) = self.ask();
            let bound = if count < 6 { 2_000 } else { 500 };
            let bound = Duration::from_millis(bound);
            assert!(took < bound, "{took:?} at {count}, {}", self.number);
            assert!(address == wanted || count < 6, "{address} at {count}");
        }
        ask_domain(&self.client);
    }

    fn wait_for(&mut self, wanted: Ipv4Addr) {
        wait_until("upstream that is used again", || self.ask().0 == wanted);
    }
}

#[test]
fn upstream_that_is_killed_or_stands_still_is_not_noticed_and_is_used_again() {
    let mut one = Upstream::knot(&zone(&ONE.to_string()));
    let mut two = Upstream::knot(&zone(&TWO.to_string()));
    let resolvers = [one.address(), two.address()];
    let host = Host::new(&resolvers, json!({"Workers": 1}));
    let mut asker = Asker::new(&host);
    asker.wait_for(ONE);
    one.kill();
    asker.ask_some(TWO);
    one.start_again();
    asker.wait_for(ONE);
    one.pause();
    asker.ask_some(TWO);
    one.go_on();
    asker.wait_for(ONE);
    // The second's falls are not noticed at all.
    two.kill();
    asker.ask_some(ONE);
    // It is not asked, and so not known to be gone.
    one.pause();
    two.start_again();
    asker.ask_some(TWO);
    one.go_on();
    asker.wait_for(ONE);
}

#[test]
fn unbound_whose_authority_is_dead_is_passed_over() {
    let mut dead = Upstream::knot(&zone(&ONE.to_string()));
    let live = Upstream::knot(&zone(&TWO.to_string()));
    let (first, second) = (Upstream::unbound(&dead, &[]), Upstream::unbound(&live, &[]));
    let resolvers = [first.address(), second.address()];
    let host = Host::new(&resolvers, json!({"Workers": 1}));
    let mut asker = Asker::new(&host);
    asker.wait_for(ONE);
    dead.kill();
    for count in 0..50 {
        let (address, took) = asker.ask();
        assert_eq!(address, TWO, "{count}");
        assert!(took < Duration::from_secs(2), "{took:?} at {count}");
    }
    dead.start_again();
    asker.wait_for(ONE);
}

/// `fall` and `rise`: what becomes of both.
fn all_fall(fall: fn(&mut Upstream), rise: fn(&mut Upstream)) {
    let mut both = [ONE, TWO].map(|address| Upstream::knot(&zone(&address.to_string())));
    let resolvers = [both[0].address(), both[1].address()];
    let settings = json!({"Workers": 1, "Timeout": 3});
    let host = Host::new(&resolvers, settings);
    let client = host.rollcall.client();
    assert!(client.ask("short.example", A).answers[0].ttl <= 1);
    both.iter_mut().for_each(fall);
    // RFC 8767, 4.
    wait_until("expired answer", || {
        let answer = client.ask("short.example", A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        answer.answers[0].ttl == 30
    });
    for number in 0..3 {
        let begin = Instant::now();
        let rcode = client.rcode(&format!("unknown{number}.example"), A);
        assert_eq!(rcode, ResponseCode::ServFail);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}");
        ask_domain(&client);
    }
    let stale = client.ask("short.example", A);
    assert_eq!(stale.answers[0].ttl, 30);
    let over_tcp = decode(&client.tcp(&query("short.example", A)));
    assert_eq!(over_tcp.answers[0].ttl, 30);
    both.iter_mut().for_each(rise);
    wait_until("fresh answer", || {
        client.ask("short.example", A).answers[0].ttl <= 1
    });
    let rcode = client.rcode("unknown0.example", A);
    assert_eq!(rcode, ResponseCode::NoError);
}

#[test]
fn expired_answers_are_given_while_all_upstreams_are_gone() {
    all_fall(Upstream::kill, Upstream::start_again);
}

#[test]
fn expired_answers_are_given_while_all_upstreams_stand_still() {
    all_fall(|one| one.pause(), |one| one.go_on());
}

#[test]
fn connection_that_the_upstream_lost_is_not_noticed_over_tcp() {
    let mut knot = Upstream::knot(&zone(&ONE.to_string()));
    let host = Host::new(&[knot.address()], json!({"Workers": 1}));
    let mut connection = host.rollcall.client().connect();
    let mut ask = |name: &str| {
        let begin = Instant::now();
        connection.send(&query(name, A));
        let answer = decode(&connection.receive().expect("an answer"));
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?} for {name}");
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(answer.answers.len(), 1, "{name}");
    };
    for round in 0..3 {
        ask(&format!("before{round}.example"));
        knot.kill();
        knot.start_again();
        ask(&format!("after{round}.example"));
    }
}

#[test]
fn question_that_is_under_way_over_tcp_outlives_a_restart_of_its_upstream() {
    let mut knot = Upstream::knot(&zone(&ONE.to_string()));
    let host = Host::new(&[knot.address()], json!({"Workers": 1}));
    let client = host.rollcall.client();
    let mut connection = client.connect();
    connection.send(&query("before.example", A));
    decode(&connection.receive().expect("an answer"));
    knot.pause();
    for number in 0..10_u16 {
        let mut message = query(&format!("waits{number}.example"), A);
        message[..2].copy_from_slice(&number.to_be_bytes());
        connection.send(&message);
    }
    // They have left once the domain's name, which is behind them, is answered.
    connection.send(&query("web.marathon.mesos", A));
    decode(&connection.receive().expect("an answer"));
    knot.kill();
    knot.start_again();
    let mut ids: Vec<u16> = (0..10)
        .map(|_| {
            let answer = connection.receive().expect("an answer");
            assert_eq!(answer[3] & 15, 0, "NOERROR");
            u16::from_be_bytes([answer[0], answer[1]])
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..10).collect::<Vec<_>>());
}
