//! What an answer from the cache costs, in ns: reading the question and writing the answer, for a hot
//! name and for random ones (what memory adds); a miss; and keeping a reply, in a cache that is full.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::dns::message::{LowerName, Parsed, parse};
use rollcall::dns::name::wire_from_text;
use rollcall::dns::rtype;
use rollcall::forward::Settings;
use rollcall::forward::cache::{Cache, Found};
use rollcall::forward::question::Question;
use rollcall::forward::reply::{self, Reply};

const NAMES: usize = 100_000;

fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(wire_from_text(name).expect(name));
    query.extend(rtype::A.to_be_bytes());
    query.extend([0, 1]);
    query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    query
}

fn queries(what: &str) -> Vec<Vec<u8>> {
    let mut queries: Vec<_> = (0..NAMES)
        .map(|n| query(&format!("{what}{n}.some.example.com")))
        .collect();
    fastrand::Rng::with_seed(2).shuffle(&mut queries);
    // Copied into the order in which they are asked: the processor sees what comes next.
    queries.iter().map(Clone::clone).collect()
}

/// A reply with so many addresses.
fn reply(query: &[u8], addresses: u8) -> Vec<u8> {
    let (question, opt) = query.split_at(query.len() - 11);
    let mut reply = question.to_vec();
    (reply[2], reply[3], reply[7]) = (0x81, 0x80, addresses);
    for last in 0..addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, last]);
    }
    reply.extend(opt);
    reply
}

fn question<'m>(query: &'m [u8], name: &mut LowerName) -> Question<'m> {
    let Parsed::Query(parsed) = parse(query, name) else {
        panic!("no query")
    };
    Question::read(query, &parsed).expect("a question")
}

fn answer(
    cache: &mut Cache,
    query: &[u8],
    name: &mut LowerName,
    now: Instant,
    response: &mut [u8],
) -> Option<usize> {
    let question = question(query, name);
    match cache.get(question.key().as_bytes(), now) {
        Found::Fresh { entry, .. } => entry.write(&question, now, false, 1232, response),
        _ => None,
    }
}

fn forward(criterion: &mut Criterion) {
    let begin = Instant::now();
    let now = begin + Duration::from_secs(1);
    let bounds = Settings::default();
    let mut name = LowerName::default();
    let mut response = [0; 1232];
    let known = queries("known");
    for addresses in [1, 4] {
        let mut cache = Cache::new(256 << 20);
        for query in &known {
            let message = reply(query, addresses);
            let reply = reply::read(&message).expect("a reply");
            let question = question(query, &mut name);
            cache.insert(&question, &message, &reply, &bounds, begin);
        }
        for (how, names) in [("hot", 1), ("random", NAMES)] {
            let mut at = 0;
            criterion.bench_function(&format!("forward/hit, {addresses} A/{how}"), |bencher| {
                bencher.iter(|| {
                    at = if at + 1 >= names { 0 } else { at + 1 };
                    let query = black_box(&known[at][..]);
                    let bytes = answer(&mut cache, query, &mut name, now, &mut response);
                    black_box(bytes.expect("a hit"))
                });
            });
        }
        if addresses == 1 {
            let unknown = queries("unknown");
            let mut at = 0;
            criterion.bench_function("forward/miss/random", |bencher| {
                bencher.iter(|| {
                    at = (at + 1) % NAMES;
                    let query = black_box(&unknown[at][..]);
                    let bytes = answer(&mut cache, query, &mut name, now, &mut response);
                    assert_eq!(black_box(bytes), None);
                });
            });
        }
    }
    keep(criterion, &known, &bounds, begin);
}

fn keep(criterion: &mut Criterion, known: &[Vec<u8>], bounds: &Settings, now: Instant) {
    let mut name = LowerName::default();
    let messages: Vec<_> = known.iter().map(|query| reply(query, 4)).collect();
    let read = |at: usize| -> Reply { reply::read(black_box(&messages[at])).expect("a reply") };
    let mut at = 0;
    let mut cache = Cache::new(4 << 20);
    criterion.bench_function("forward/insert, 4 A/random, full", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % NAMES;
            let question = question(&known[at], &mut name);
            cache.insert(&question, &messages[at], &read(at), bounds, now);
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = forward
}
criterion_main!(benches);
