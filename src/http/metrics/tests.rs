//! The text as a whole: every family is there, in both forms, with or without a server and a table.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::dns::Transport;
use crate::stats::Stats;
use crate::stats::freshness::{Age, ZooKeeper};
use crate::stats::traffic::{QueryType, Route};

fn bare() -> Scrape {
    Scrape {
        ready: false,
        freshness: Freshness::default(),
        snapshot: None,
        engine: None,
        forward: Arc::default(),
        usage: Usage::read(),
    }
}

fn busy() -> Scrape {
    let stats = Stats::default();
    let worker = stats.worker(0).expect("a worker");
    worker.count_query(Transport::Tcp, QueryType::Srv);
    worker.count_answer(Transport::Tcp, Route::Fault, &[0, 0, 0x80, 0]);
    worker.note_latency(Transport::Udp, Duration::from_micros(2), 3);
    let upstream = stats.upstreams.join(SocketAddr::from(([192, 0, 2, 1], 53)));
    upstream.rtt.record(Duration::from_millis(1));
    let mut scrape = bare();
    scrape.engine = Some(Arc::new(EngineInUse {
        name: "epoll",
        why: String::new(),
        stats: Arc::new(stats),
    }));
    scrape.freshness.age = Some(Age::none(Instant::now()));
    scrape.freshness.zookeeper = Some(ZooKeeper::default());
    scrape
}

/// Name and type of each family that a text declares, in order.
fn declared(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let pairs = lines.map(|line| line.split_once(' ').expect("a type"));
    pairs
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

#[test]
fn every_family_is_written_once_and_as_listed_whatever_is_known() {
    let listed: Vec<_> = FAMILIES
        .iter()
        .map(|family| (family.full_name(), family.kind.label().to_owned()))
        .collect();
    for scrape in [bare(), busy()] {
        let text = write(scrape, Form::Prometheus).expect("text");
        assert_eq!(declared(&text), listed);
    }
    let names: BTreeSet<_> = listed.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), listed.len());
}

#[test]
fn samples_have_the_labels_of_their_family() {
    let text = write(busy(), Form::Prometheus).expect("text");
    for line in [
        "rollcall_dns_queries_total{transport=\"tcp\",type=\"SRV\"} 1",
        "rollcall_dns_responses_total{transport=\"tcp\",rcode=\"BADVERS\"} 1",
        "rollcall_dns_routed_total{route=\"fault\"} 1",
        "rollcall_dns_answer_duration_seconds_count{transport=\"udp\"} 3",
        "rollcall_dns_answer_duration_seconds_bucket{transport=\"udp\",le=\"2.048e-06\"} 3",
        "rollcall_upstream_rtt_seconds_count{upstream=\"192.0.2.1:53\"} 1",
        "rollcall_engine_info{engine=\"epoll\"} 1",
        "rollcall_zookeeper_up 1.0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
    }
}

#[test]
fn openmetrics_is_for_those_who_ask_for_it() {
    let text = write(busy(), Form::OpenMetrics).expect("text");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("# TYPE rollcall_dns_queries counter\n"));
    assert!(text.contains("# UNIT rollcall_records_age_seconds seconds\n"));
    assert_eq!(Form::wanted(None), Form::Prometheus);
    assert_eq!(Form::wanted(Some("text/html,*/*")), Form::Prometheus);
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    assert_eq!(Form::wanted(Some(prometheus)), Form::OpenMetrics);
}
