//! `respond` by kind of query, in ns: one hot name (what the code costs) and random names of a
//! cluster of 100,000 tasks (what memory adds), each alone and in batches, as they are when many
//! wait in a socket.

mod common;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::dns::cookie::Secret;
use rollcall::dns::rtype;
use rollcall::limits::UDP_BATCH_DATAGRAMS;
use rollcall::records::RecordSet;
use rollcall::responses::Snapshot;
use rollcall::responses::table::ResponseTable;
use rollcall::serve::respond::{Limiting, Responder, Settings};
use rollcall::serve::{Client, Respond, Transport};

fn snapshot(tasks: usize) -> Snapshot {
    let world = common::world(tasks);
    let records = RecordSet::build(&world);
    Snapshot {
        generation: 1,
        serial: 1,
        published_at: SystemTime::UNIX_EPOCH,
        record_counts: Default::default(),
        collisions: Default::default(),
        table: ResponseTable::build(&records, &common::answering(), 1, 1),
        world: Arc::new(world),
    }
}

fn query(name: &[u8], rtype: u16, edns: bool) -> Vec<u8> {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    query.extend(name);
    query.extend(rtype.to_be_bytes());
    query.extend([0, 1]);
    if edns {
        query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    query
}

/// Queries for names that have records of a type and as many as wanted.
fn queries(snapshot: &Snapshot, rtype: u16, records: usize, edns: bool) -> Vec<Vec<u8>> {
    let mut queries: Vec<_> = snapshot
        .table
        .entries()
        .filter(|entry| entry.name().ends_with(b"\x05mesos\0"))
        .filter(|entry| {
            entry
                .rrset(rtype)
                .is_some_and(|rrset| rrset.record_count == records)
        })
        .map(|entry| query(entry.name(), rtype, edns))
        .collect();
    fastrand::Rng::with_seed(2).shuffle(&mut queries);
    in_order(queries)
}

/// Copied into the order in which they are asked: a query that was just received is in the cache,
/// and here the processor sees what comes next.
fn in_order(queries: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    queries.iter().map(Clone::clone).collect()
}

fn respond(criterion: &mut Criterion) {
    let snapshot = snapshot(100_000);
    let settings = Settings {
        domain: common::answering().domain,
        recurse_on: true,
        set_truncate_bit: true,
        reverse_dns_on: false,
        reverse_zones: [].into(),
        subnet_first: None,
        chaos: None,
        limiting: Limiting::default(),
        cookie_secret: Secret::new([7; 16]),
        forwarding: None,
    };
    let mut responder = Responder::new(&settings, 1);
    let mut response = [0; 1232];
    let wire = |name| rollcall::dns::name::wire_from_text(name).expect(name);
    let kinds = [
        ("A, 1 address", queries(&snapshot, rtype::A, 1, false)),
        ("A, 4 addresses", queries(&snapshot, rtype::A, 4, false)),
        (
            "A, 4 addresses, EDNS",
            queries(&snapshot, rtype::A, 4, true),
        ),
        (
            "SRV, 4 targets with additionals, EDNS",
            queries(&snapshot, rtype::SRV, 4, true),
        ),
        (
            "SRV, 8 records of 4 targets, EDNS",
            queries(&snapshot, rtype::SRV, 8, true),
        ),
        (
            "NODATA",
            queries(&snapshot, rtype::A, 1, false)
                .into_iter()
                .map(|mut query| {
                    let at = query.len() - 3;
                    query[at] = 28;
                    query
                })
                .collect(),
        ),
        (
            "NXDOMAIN",
            vec![query(&wire("nothing.marathon.mesos"), rtype::A, false)],
        ),
        ("SOA", vec![query(&wire("mesos"), rtype::SOA, false)]),
        (
            "outside, REFUSED",
            vec![query(&wire("www.example.com"), rtype::A, false)],
        ),
    ];
    for (kind, queries) in kinds {
        for (how, names) in [("hot", 1), ("random", queries.len())] {
            if how == "random" && queries.len() == 1 {
                continue;
            }
            let mut at = 0;
            criterion.bench_function(&format!("respond/{kind}/{how}"), |bencher| {
                bencher.iter(|| {
                    at = if at + 1 >= names { 0 } else { at + 1 };
                    let query = black_box(&queries[at][..]);
                    responder.respond(Some(&snapshot), query, CLIENT, black_box(&mut response))
                });
            });
            if how == "random" {
                criterion.bench_function(&format!("respond/{kind}/random, batches"), |bencher| {
                    bencher.iter_custom(|wanted| {
                        let begin = Instant::now();
                        let mut done = 0;
                        while done < wanted {
                            let batch = at..(at + UDP_BATCH_DATAGRAMS).min(names);
                            at = if batch.end == names { 0 } else { batch.end };
                            done += batch.len() as u64;
                            answer_batch(&mut responder, &snapshot, &queries[batch]);
                        }
                        begin.elapsed().mul_f64(wanted as f64 / done as f64)
                    });
                });
            }
        }
    }
}

/// As an engine does it.
fn answer_batch(responder: &mut Responder, snapshot: &Snapshot, queries: &[Vec<u8>]) {
    let snapshot = Some(snapshot);
    let mut response = [0; 1232];
    for (place, query) in queries.iter().enumerate() {
        responder.read(snapshot, place, black_box(query));
    }
    (0..queries.len()).for_each(|place| responder.fetch_slot(snapshot, place));
    (0..queries.len()).for_each(|place| responder.fetch_entry(snapshot, place));
    for (place, query) in queries.iter().enumerate() {
        let response = black_box(&mut response);
        black_box(responder.respond_read(snapshot, place, query, CLIENT, response));
    }
}

const CLIENT: Client = Client {
    transport: Transport::Udp,
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
};

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_secs(1)).measurement_time(std::time::Duration::from_secs(2));
    targets = respond
}
criterion_main!(benches);
