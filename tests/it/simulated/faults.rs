//! Faults on request: each does what its name says, to whom it says, and ends when it is told to.

use std::time::Instant;

use super::*;
use rollcall::simulate::SimulateOptions;
use rollcall::simulate::faults::{Scope, StateFault, StreamFault};

fn subscribed(simulator: &Simulator) -> Subscription {
    let mut stream = Subscription::open(simulator.address());
    assert_eq!(stream.event()["type"], "SUBSCRIBED");
    assert_eq!(stream.record().expect("a record")["type"], "HEARTBEAT");
    stream
}

/// What comes until the end of the connection, or until so many octets.
fn raw(stream: &mut Subscription, octets_max: u64) -> String {
    let mut octets = Vec::new();
    let mut reader = (&mut stream.reader).take(octets_max);
    // A reset ends it as well as a goodbye.
    let _ = reader.read_to_end(&mut octets);
    String::from_utf8(octets).expect("text")
}

#[test]
fn open_streams_end_or_are_sent_rubbish() {
    let simulator = start(SimulateOptions::default());
    for (fault, expected) in [
        ("disconnect", ""),
        ("hang-up", "17\r\n20\n{\"type\":\"HEA"),
        ("garbage", "\u{0}\u{1}<html>"),
        ("bad-json", "26\r\n35\n{\"type\":\"TASK_ADDED\""),
        ("bad-length", "16\r\n7\n{\"type\":\"HEARTBEAT\"}\r\n"),
        ("too-long", "19\r\n9999999999999999\n{"),
    ] {
        let mut stream = subscribed(&simulator);
        let answer = control(simulator.address(), &format!("stream?do={fault}"));
        assert_eq!(answer["do"], fault);
        let sent = raw(&mut stream, expected.len().max(1) as u64);
        assert_eq!(sent, expected, "{fault}");
        // The next stream is as ever.
        drop(stream);
        simulator.fault_streams(StreamFault::Disconnect);
        wait_until("end of the stream", || simulator.counts().streams_open == 0);
    }
}

#[test]
fn a_silent_stream_says_nothing_more_and_stays_open() {
    let simulator = start(SimulateOptions {
        heartbeat: Duration::from_millis(30),
        ..SimulateOptions::default()
    });
    let mut silent = subscribed(&simulator);
    simulator.fault_streams(StreamFault::Silence);
    let mut other = subscribed(&simulator);
    simulator.step();
    // Long after the step and several heartbeats.
    for _ in 0..5 {
        assert!(other.record().is_some());
    }
    assert_eq!(simulator.counts().streams_open, 2);
    let last = Duration::from_millis(200);
    silent
        .reader
        .get_ref()
        .set_read_timeout(Some(last))
        .expect("a timeout");
    // Heartbeats from before the silence may be under way.
    let mut rest = Vec::new();
    let error = silent.reader.read_to_end(&mut rest).expect_err("no end");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let rest = String::from_utf8(rest).expect("text");
    assert!(!rest.contains("TASK"), "{rest}");
}

#[test]
fn new_streams_can_be_refused_or_begin_with_rubbish_until_normal() {
    let simulator = start(SimulateOptions::default());
    let address = simulator.address();
    for status in [500, 404, 403] {
        control(address, &format!("stream?do=refuse&status={status}"));
        assert_eq!(call(address, "SUBSCRIBE", "").status, status);
        assert_eq!(call(address, "GET_STATE", "").status, 200);
    }
    control(address, "stream?do=hang-up&for=new");
    let mut stream = TcpStream::connect(address).expect("connect");
    stream
        .write_all(b"POST /api/v1 HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"type\":\"SUBSCRIBE\"}")
        .expect("write");
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    assert!(octets.is_empty());
    for (fault, begin) in [
        ("garbage", "\u{0}\u{1}<html>"),
        ("bad-json", "26\r\n35\n{"),
        ("disconnect", ""),
    ] {
        control(address, &format!("stream?do={fault}&for=new"));
        let mut stream = Subscription::open(address);
        assert_eq!(
            raw(&mut stream, begin.len().max(1) as u64),
            begin,
            "{fault}"
        );
    }
    assert_eq!(simulator.counts().subscribed, 0);
    control(address, "stream?do=normal");
    let mut stream = subscribed(&simulator);
    simulator.step();
    assert_eq!(stream.event()["type"], "TASK_UPDATED");
    assert_eq!(simulator.counts().subscribed, 1);
}

#[test]
fn split_and_delayed_streams_lose_nothing() {
    let simulator = start(SimulateOptions::default());
    let mut early = subscribed(&simulator);
    let mut known = get_state(&simulator);
    simulator.fault_streams(StreamFault::Split(7));
    let mut late = Subscription::open(simulator.address());
    let first = late.event();
    assert_eq!(
        known,
        Known::from_get_state(&first["subscribed"]["get_state"])
    );
    let steps = |count: usize| {
        for _ in 0..count {
            simulator.step().expect("a step");
        }
    };
    steps(3);
    simulator.fault_streams(StreamFault::Delay(Duration::from_millis(500)));
    let begin = Instant::now();
    steps(2);
    assert!(
        begin.elapsed() < Duration::from_millis(500),
        "steps do not wait"
    );
    let events: Vec<_> = (0..20).map(|_| early.event()).collect();
    assert!(begin.elapsed() >= Duration::from_millis(500), "no delay");
    let same: Vec<_> = (0..20).map(|_| late.event()).collect();
    assert_eq!(events, same);
    simulator.fault_streams(StreamFault::Normal);
    steps(1);
    events.iter().for_each(|event| known.apply(event));
    (0..4).for_each(|_| known.apply(&early.event()));
    assert_eq!(known, get_state(&simulator));
}

#[test]
fn a_fault_may_be_for_new_streams_alone() {
    let simulator = start(SimulateOptions::default());
    let mut open = subscribed(&simulator);
    simulator.fault_streams_for(Scope::New, StreamFault::Silence);
    let mut silent = Subscription::open(simulator.address());
    simulator.step();
    assert_eq!(open.event()["type"], "TASK_UPDATED");
    silent
        .reader
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    assert!(silent.chunk().is_none());
    simulator.fault_streams_for(Scope::All, StreamFault::Disconnect);
    while open.record().is_some() {}
}

#[test]
fn state_fails_in_every_way_until_normal() {
    let simulator = start(SimulateOptions::default());
    let address = simulator.address();
    let good = get(address, "/state", "").body;
    let fault = |query: &str| {
        control(address, &format!("state?do={query}"));
        get(address, "/state", "")
    };
    let empty = fault("empty").json();
    assert!(list(&empty["slaves"]).is_empty() && list(&empty["frameworks"]).is_empty());
    assert_eq!(empty["leader"], format!("master@{address}"));
    let garbage = fault("garbage");
    assert_eq!(garbage.status, 200);
    assert!(serde_json::from_slice::<Value>(&garbage.body).is_err());
    let cut = fault("cut");
    assert!(
        cut.head
            .contains(&format!("Content-Length: {}\r\n", good.len()))
    );
    assert_eq!(cut.body, good[..good.len() / 2]);
    for status in [500, 503, 429] {
        assert_eq!(fault(&format!("status&status={status}")).status, status);
    }
    let begin = Instant::now();
    assert_eq!(fault("slow&ms=150").body, good);
    assert!(begin.elapsed() >= Duration::from_millis(150));
    simulator.fault_state(StateFault::HangUp);
    let mut stream = TcpStream::connect(address).expect("connect");
    stream
        .write_all(b"GET /state HTTP/1.1\r\n\r\n")
        .expect("write");
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    assert!(octets.is_empty());
    assert_eq!(fault("normal").body, good);
    assert_eq!(call(address, "GET_STATE", "").status, 200);
    // Two good ones, seven that failed, and the one that was hung up on.
    assert_eq!(simulator.counts().of("state"), 10);
}
