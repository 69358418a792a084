//! The cache of forwarded answers from outside: a hit allocates nothing, and the bound on octets is one
//! on memory.

use std::time::Instant;

use rollcall::dns::message::{LowerName, Parsed, parse};
use rollcall::dns::name::wire_from_text;
use rollcall::forward::Settings;
use rollcall::forward::cache::{Cache, Found};
use rollcall::forward::question::Question;
use rollcall::forward::reply;

use crate::allocations::{Held, allocations_of, held_by};

fn query(number: usize) -> Vec<u8> {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(wire_from_text(&format!("n{number}.some.example")).expect("a name"));
    query.extend([0, 1, 0, 1]);
    query
}

fn question(query: &[u8]) -> Question<'_> {
    let Parsed::Query(parsed) = parse(query, &mut LowerName::default()) else {
        panic!("no query")
    };
    Question::read(query, &parsed).expect("a question")
}

fn keep(cache: &mut Cache, number: usize, addresses: u8, now: Instant) {
    let query = query(number);
    let mut message = query.clone();
    (message[2], message[3], message[7]) = (0x81, 0x80, addresses);
    for last in 0..addresses {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, last]);
    }
    let read = reply::read(&message).expect("a reply");
    let bounds = Settings::default();
    cache.insert(&question(&query), &message, &read, &bounds, now);
}

#[test]
fn cache_holds_no_more_memory_than_its_bound() {
    const BYTES: usize = 4 << 20;
    // What the allocator keeps beside each allocation is 16 octets at most.
    let whole = |held: Held| held.bytes as usize + 16 * held.allocations as usize;
    let (_, empty) = held_by(|| Cache::new(BYTES));
    for addresses in [1, 4, 60] {
        let now = Instant::now();
        let (cache, full) = held_by(|| {
            let mut cache = Cache::new(BYTES);
            (0..40_000).for_each(|number| keep(&mut cache, number, addresses, now));
            cache
        });
        let entries = cache.len();
        assert!(cache.bytes() > BYTES / 100 * 95, "{} octets", cache.bytes());
        let what = format!("{empty:?}, {full:?} for {entries} of {addresses}");
        // Small entries fill what was reserved; of large ones, most of that is never touched.
        if addresses == 1 {
            assert!(whole(full) < BYTES, "{what}");
        }
        assert!(whole(full) - whole(empty) < BYTES, "{what}");
    }
}

#[test]
fn answering_from_the_cache_allocates_nothing() {
    let now = Instant::now();
    let mut cache = Cache::new(1 << 20);
    keep(&mut cache, 1, 4, now);
    let (hit, miss) = (query(1), query(2));
    let mut out = [0; 512];
    let allocations = allocations_of(|| {
        for query in [&hit, &miss] {
            let question = question(query);
            match cache.get(question.key().as_bytes(), now) {
                Found::Fresh { entry, .. } => {
                    assert!(entry.write(&question, now, false, 512, &mut out).is_some());
                }
                _ => assert_eq!(query, &miss),
            }
        }
    });
    assert_eq!(allocations, 0);
}
