//! Rules of the cache, with hickory-proto's decoder where whole answers are looked at.

use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use proptest::prelude::*;

use super::*;
use crate::dns::rtype;
use crate::forward::question::message_of;
use crate::forward::reply;
use crate::forward::samples::{self, *};

const RD: u16 = flag::RD;

struct Keeper {
    cache: Cache,
    bounds: Settings,
    begin: Instant,
}

impl Keeper {
    fn new() -> Self {
        Self {
            cache: Cache::new(1 << 20),
            bounds: Settings::default(),
            begin: Instant::now(),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.begin + Duration::from_millis(ms)
    }

    /// Keeps a reply of these sections; how many entries there are then.
    fn keep(&mut self, query: &[u8], flags: u16, sections: [&[Vec<u8>]; 3]) -> usize {
        let message = samples::reply(query, flags, sections);
        let read = reply::read(&message).expect("a reply");
        self.cache
            .insert(&question(query), &message, &read, &self.bounds, self.begin);
        self.cache.len()
    }

    /// The octets that a query is answered with from the cache, and whether they are stale.
    fn octets(&mut self, query: &[u8], ms: u64) -> Option<(Vec<u8>, bool)> {
        let now = self.at(ms);
        let question = question(query);
        let (entry, stale) = match self.cache.get(question.key().as_bytes(), now) {
            Found::Fresh { entry, .. } => (entry, false),
            Found::Stale(entry) => (entry, true),
            Found::Nothing => return None,
        };
        let mut out = [0; 1232];
        let bytes = question.udp_bytes_max();
        let bytes = entry.write(&question, now, stale, bytes, &mut out);
        Some((out[..bytes.expect("room")].to_vec(), stale))
    }

    fn answer(&mut self, query: &[u8], ms: u64) -> Option<Message> {
        let (octets, _) = self.octets(query, ms)?;
        Some(Message::from_vec(&octets).expect("an answer that decodes"))
    }

    fn ttls(&mut self, query: &[u8], ms: u64) -> Option<Vec<u32>> {
        let message = self.answer(query, ms)?;
        Some(message.all_sections().map(|record| record.ttl).collect())
    }

    fn prefetch(&mut self, query: &[u8], ms: u64) -> bool {
        let now = self.at(ms);
        let found = self.cache.get(question(query).key().as_bytes(), now);
        matches!(found, Found::Fresh { prefetch: true, .. })
    }
}

fn a_query() -> Vec<u8> {
    query("www.example", rtype::A, RD, &[])
}

#[test]
fn reply_with_a_name_made_of_a_ttl_is_not_kept() {
    let query = query("www.example", rtype::A, RD, &[]);
    // Its TTL reads as the name `a.`, which another record has.
    let first = a(QNAME, u32::from_be_bytes([1, b'a', 0, 5]), 1);
    let ttl_at = query.len() as u8 + 6;
    for (owner, kept) in [([0xc0, ttl_at], 0), ([0xc0, 12], 1)] {
        let second = a(&owner, 300, 2);
        let sections = [&[first.clone(), second][..], &[], &[]];
        assert_eq!(Keeper::new().keep(&query, 0, sections), kept);
    }
}

#[test]
fn answer_is_written_for_the_question_that_is_asked() {
    let mut keeper = Keeper::new();
    let answers = [a(QNAME, 300, 1), a(QNAME, 300, 2)];
    assert_eq!(
        keeper.keep(&a_query(), flag::AA | flag::AD, [&answers, &[], &[]]),
        1
    );
    let mut other = query("wWw.eXample", rtype::A, RD, &opt(0, &[]));
    other[..2].copy_from_slice(&[0xab, 0xcd]);
    let message = keeper.answer(&other, 0).expect("a hit");
    let metadata = &message.metadata;
    assert_eq!(metadata.id, 0xabcd);
    assert_eq!(message.queries[0].name().to_string(), "wWw.eXample.");
    assert!(metadata.recursion_desired && metadata.recursion_available);
    assert!(!metadata.authoritative && !metadata.authentic_data && !metadata.truncation);
    let data: Vec<_> = message.answers.iter().map(|record| &record.data).collect();
    let expected = [1, 2].map(|last| RData::A(std::net::Ipv4Addr::from([192, 0, 2, last]).into()));
    assert_eq!(data, expected.iter().collect::<Vec<_>>());
    let edns = message.edns.as_ref().expect("EDNS as asked");
    assert_eq!((edns.max_payload(), edns.version()), (1232, 0));
    assert!(!edns.flags().dnssec_ok);
    assert!(keeper.answer(&a_query(), 0).expect("a hit").edns.is_none());
    assert!(
        keeper
            .answer(&query("www.example", rtype::AAAA, RD, &[]), 0)
            .is_none()
    );
}

#[test]
fn ad_and_cd_are_for_those_who_asked_with_them() {
    for (flags, behind) in [
        (flag::AD, vec![]),
        (0, opt(0x8000, &[])),
        (flag::CD, vec![]),
    ] {
        let mut keeper = Keeper::new();
        let query = query("www.example", rtype::A, RD | flags, &behind);
        keeper.keep(&query, flag::AD, [&[a(QNAME, 300, 1)], &[], &[]]);
        let message = keeper.answer(&query, 0).expect("a hit");
        assert_eq!(message.metadata.authentic_data, flags != flag::CD);
        assert_eq!(message.metadata.checking_disabled, flags == flag::CD);
        let is_asked = !behind.is_empty();
        assert_eq!(
            message.edns.is_some_and(|edns| edns.flags().dnssec_ok),
            is_asked
        );
        assert!(keeper.answer(&a_query(), 0).is_none());
    }
}

#[test]
fn ttls_are_what_is_left_and_0_in_the_last_second_only() {
    let mut keeper = Keeper::new();
    let ns = [record(QNAME, rtype::NS, 400, &wire("ns.example"))];
    let additional = [a(&wire("ns.example"), 20, 9), opt(0, &[])];
    keeper.keep(&a_query(), 0, [&[a(QNAME, 10, 1)], &ns, &additional]);
    for (ms, ttls) in [
        (0, [10, 400, 20]),
        (1, [9, 399, 19]),
        (1000, [9, 399, 19]),
        (8999, [1, 391, 11]),
        (9001, [0, 390, 10]),
        (9999, [0, 390, 10]),
    ] {
        assert_eq!(keeper.ttls(&a_query(), ms), Some(ttls.to_vec()), "at {ms}");
    }
}

#[test]
fn bounds_hold_for_the_life_and_for_what_clients_see() {
    let mut keeper = Keeper::new();
    (keeper.bounds.ttl_min_seconds, keeper.bounds.ttl_max_seconds) = (30, 60);
    let answers = [a(QNAME, 0, 1), a(QNAME, 45, 2), a(QNAME, 600, 3)];
    keeper.keep(&a_query(), 0, [&answers, &[], &[]]);
    assert_eq!(keeper.ttls(&a_query(), 0), Some(vec![30, 45, 60]));
    assert_eq!(
        keeper.octets(&a_query(), 29_999).map(|(_, stale)| stale),
        Some(false)
    );
    assert_eq!(
        keeper.octets(&a_query(), 30_000).map(|(_, stale)| stale),
        Some(true)
    );
    keeper.keep(&a_query(), 0, [&[a(QNAME, 1 << 20, 1)], &[], &[]]);
    assert_eq!(
        keeper.octets(&a_query(), 59_999).map(|(_, stale)| stale),
        Some(false)
    );
    assert_eq!(
        keeper.octets(&a_query(), 60_000).map(|(_, stale)| stale),
        Some(true)
    );
}

#[test]
fn negative_answer_says_how_long_it_may_be_kept() {
    let mut keeper = Keeper::new();
    let authority = [soa(&wire("example"), 900, 60)];
    keeper.keep(&a_query(), 3, [&[], &authority, &[]]);
    assert_eq!(keeper.ttls(&a_query(), 1000), Some(vec![59]));
    let message = keeper.answer(&a_query(), 0).expect("a hit");
    assert_eq!(message.metadata.response_code.low(), 3);
}

#[test]
fn expired_answer_is_there_for_a_day_with_a_ttl_of_30() {
    let mut keeper = Keeper::new();
    keeper.keep(
        &a_query(),
        0,
        [&[a(QNAME, 10, 1), a(QNAME, 99, 2)], &[], &[]],
    );
    let day = 86_400_000;
    for (ms, is_there) in [(10_000, true), (9_999 + day, true), (10_000 + day, false)] {
        assert_eq!(
            keeper.ttls(&a_query(), ms),
            is_there.then(|| vec![30, 30]),
            "{ms}"
        );
    }
}

#[test]
fn hot_answer_is_asked_for_ahead_once() {
    let mut keeper = Keeper::new();
    let sections: [&[Vec<u8>]; 3] = [&[a(QNAME, 100, 1)], &[], &[]];
    keeper.keep(&a_query(), 0, sections);
    assert!(!keeper.prefetch(&a_query(), 95_000), "the first hit");
    assert!(keeper.prefetch(&a_query(), 95_000));
    assert!(!keeper.prefetch(&a_query(), 96_000), "once");
    keeper.keep(&a_query(), 0, sections);
    assert!(!keeper.prefetch(&a_query(), 1_000));
    assert!(!keeper.prefetch(&a_query(), 89_999), "not the last tenth");
    assert!(keeper.prefetch(&a_query(), 90_000));
    keeper.keep(&a_query(), 0, [&[a(QNAME, 9, 1)], &[], &[]]);
    assert!(!keeper.prefetch(&a_query(), 0));
    assert!(!keeper.prefetch(&a_query(), 8_999), "a short life");
}

#[test]
fn too_large_an_answer_is_cut_behind_the_question() {
    let mut keeper = Keeper::new();
    let answers: Vec<_> = (0..40).map(|last| a(QNAME, 300, last)).collect();
    keeper.keep(&a_query(), 0, [&answers, &[], &[]]);
    let (octets, _) = keeper.octets(&a_query(), 0).expect("a hit");
    assert_eq!(octets.len(), question(&a_query()).question_end);
    let message = Message::from_vec(&octets).expect("an answer that decodes");
    assert!(message.metadata.truncation && message.answers.is_empty());
    let with_opt = query("www.example", rtype::A, RD, &opt(0, &[]));
    let message = keeper.answer(&with_opt, 0).expect("a hit");
    assert!(!message.metadata.truncation && message.answers.len() == 40);
    let question = question(&with_opt);
    let Found::Fresh { entry, .. } = keeper.cache.get(question.key().as_bytes(), keeper.begin)
    else {
        panic!("no hit")
    };
    let write = |bytes_max, room| {
        let mut out = vec![0; room];
        let bytes = entry.write(&question, keeper.begin, false, bytes_max, &mut out)?;
        Some(out[..bytes].to_vec())
    };
    let cut = write(512, 512).expect("room");
    let message = Message::from_vec(&cut).expect("an answer that decodes");
    assert!(message.metadata.truncation && message.edns.is_some());
    assert_eq!(write(1232, 600), None, "no room");
}

#[test]
fn additional_records_are_left_out_where_there_is_no_room_for_all() {
    let mut keeper = Keeper::new();
    let some = |count: u8, last| -> Vec<_> { (0..count).map(|_| a(QNAME, 300, last)).collect() };
    keeper.keep(&a_query(), 0, [&some(10, 1), &some(10, 2), &some(20, 3)]);
    let message = keeper.answer(&a_query(), 2_000).expect("a hit");
    assert!(!message.metadata.truncation);
    let counts = |message: &Message| {
        [&message.answers, &message.authorities, &message.additionals].map(Vec::len)
    };
    assert_eq!(counts(&message), [10, 10, 0]);
    assert!(message.all_sections().all(|record| record.ttl == 298));
    let with_opt = query("www.example", rtype::A, RD, &opt(0, &[]));
    let message = keeper.answer(&with_opt, 0).expect("a hit");
    assert_eq!(counts(&message), [10, 10, 20]);
    // What is needed is too long.
    keeper.keep(&a_query(), 0, [&some(30, 1), &some(10, 2), &some(20, 3)]);
    let message = keeper.answer(&a_query(), 0).expect("a hit");
    assert!(message.metadata.truncation);
    assert_eq!(counts(&message), [0; 3]);
}

#[test]
fn subnet_of_the_answer_goes_with_it() {
    let mut keeper = Keeper::new();
    let asked = query("www.example", rtype::A, RD, &opt(0, &SUBNET_OPTION));
    let mut scoped = SUBNET_OPTION;
    scoped[7] = 16;
    let answers = [a(QNAME, 300, 1)];
    keeper.keep(&asked, 0, [&answers, &[], &[opt(0, &scoped)]]);
    let (octets, _) = keeper.octets(&asked, 0).expect("a hit");
    assert!(octets.ends_with(&scoped));
    Message::from_vec(&octets).expect("an answer that decodes");
    assert!(keeper.answer(&a_query(), 0).is_none());
    // One that was not asked for is not passed on, and a wrong one is nobody's.
    keeper.keep(&a_query(), 0, [&answers, &[], &[opt(0, &scoped)]]);
    let plain = query("www.example", rtype::A, RD, &opt(0, &[]));
    let (octets, _) = keeper.octets(&plain, 0).expect("a hit");
    assert!(octets.ends_with(&opt(0, &[])));
    let mut other = SUBNET_OPTION;
    other[10] = 3;
    let mut keeper = Keeper::new();
    assert_eq!(
        keeper.keep(&asked, 0, [&answers, &[], &[opt(0, &other)]]),
        0
    );
}

#[test]
fn what_is_not_for_others_is_not_kept() {
    let mut keeper = Keeper::new();
    let answers = [a(QNAME, 300, 1)];
    let sections: [&[Vec<u8>]; 3] = [&answers, &[], &[]];
    let unshared = query("www.example", rtype::A, 0, &[]);
    assert_eq!(keeper.keep(&unshared, 0, sections), 0);
    assert_eq!(keeper.keep(&a_query(), flag::TC, sections), 0);
    assert_eq!(keeper.keep(&a_query(), 2, sections), 0);
    assert_eq!(keeper.keep(&a_query(), 0, [&[a(QNAME, 0, 1)], &[], &[]]), 0);
    let behind_opt = [opt(0, &[]), a(&wire("x"), 300, 1)];
    assert_eq!(keeper.keep(&a_query(), 0, [&answers, &[], &behind_opt]), 0);
    let many = vec![record(QNAME, rtype::TXT, 9, &[60; 183]); 300];
    let text = query("www.example", rtype::TXT, RD, &[]);
    keeper.cache = Cache::new(300_000);
    assert_eq!(
        keeper.keep(&text, 0, [&many, &[], &[]]),
        0,
        "an eighth of the cache"
    );
    keeper.cache = Cache::new(0);
    assert_eq!(keeper.keep(&a_query(), 0, sections), 0);
    // The reply to another question, as a caller would have to err.
    let mut keeper = Keeper::new();
    let other = query("www.exampla", rtype::A, RD, &[]);
    let message = samples::reply(&other, 0, sections);
    let read = reply::read(&message).expect("a reply");
    let query = a_query();
    let asked = question(&query);
    keeper
        .cache
        .insert(&asked, &message, &read, &keeper.bounds, keeper.begin);
    assert!(keeper.cache.is_empty());
}

#[test]
fn reply_to_a_query_made_from_a_key_is_kept_for_all() {
    let mut keeper = Keeper::new();
    let asked = query("wwW.example", rtype::A, RD, &opt(0x8000, &[]));
    let key = question(&asked).key().as_bytes().to_vec();
    let mut made = Vec::new();
    message_of(&key, 9, &mut made).expect("a query");
    let message = samples::reply(&made, 0, [&[a(QNAME, 9, 1)], &[], &[]]);
    let read = reply::read(&message).expect("a reply");
    keeper
        .cache
        .insert_for_key(&key, &message, &read, &keeper.bounds, keeper.begin);
    assert_eq!(keeper.ttls(&asked, 0), Some(vec![9]));
}

#[test]
fn bound_holds_and_clearing_leaves_nothing() {
    let mut keeper = Keeper::new();
    keeper.cache = Cache::new(100_000);
    for number in 0..2_000 {
        let query = query(&format!("n{number}.example"), rtype::A, RD, &[]);
        keeper.keep(&query, 0, [&[a(QNAME, 300, 1)], &[], &[]]);
        assert!(keeper.cache.bytes() <= 100_000);
    }
    assert!(keeper.cache.bytes() > 90_000);
    assert!(keeper.cache.len() > 300);
    keeper.cache.clear();
    assert_eq!((keeper.cache.bytes(), keeper.cache.len()), (0, 0));
    assert_eq!(
        keeper.keep(&a_query(), 0, [&[a(QNAME, 300, 1)], &[], &[]]),
        1
    );
}

/// A record of a type, with names that are compressed or not.
fn some_record() -> impl Strategy<Value = Vec<u8>> {
    let owner = prop_oneof![
        Just(QNAME.to_vec()),
        Just(wire("other.example")),
        Just([&b"\x01b"[..], &[0xc0, 16]].concat()),
    ];
    let data = prop_oneof![
        any::<[u8; 4]>().prop_map(|data| (rtype::A, data.to_vec())),
        any::<[u8; 16]>().prop_map(|data| (rtype::AAAA, data.to_vec())),
        Just((rtype::CNAME, [&b"\x01c"[..], QNAME].concat())),
        Just((
            rtype::SRV,
            [&[0, 1, 0, 2, 0, 3][..], &wire("t.example")].concat()
        )),
        Just((rtype::TXT, b"\x03abc".to_vec())),
    ];
    (owner, data, 1_u32..100_000)
        .prop_map(|(owner, (rtype, data), ttl)| record(&owner, rtype, ttl, &data))
}

fn some_records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(some_record(), 0..6)
}

proptest! {
    #[test]
    fn records_come_back_as_they_were_but_for_smaller_ttls(
        answers in some_records(),
        authorities in some_records(),
        additionals in some_records(),
        has_opt: bool,
        asks_opt: bool,
        ms in 0_u64..100_000,
    ) {
        let mut keeper = Keeper::new();
        let answers = [&[a(QNAME, 90, 1)][..], &answers].concat();
        let mut with_opt = additionals.clone();
        with_opt.extend(has_opt.then(|| opt(0, &[])));
        let query = query("www.example", rtype::A, RD, &if asks_opt { opt(0, &[]) } else { vec![] });
        let sections: [&[Vec<u8>]; 3] = [&answers, &authorities, &with_opt];
        let message = samples::reply(&query, 0, sections);
        let stored = Message::from_vec(&message).expect("a reply that decodes");
        keeper.keep(&query, 0, sections);
        let least = stored.all_sections().map(|record| record.ttl).min();
        let (octets, stale) = keeper.octets(&query, ms).expect("an entry");
        let written = Message::from_vec(&octets).expect("an answer that decodes");
        prop_assert_eq!(stale, u64::from(least.unwrap_or(0)) * 1000 <= ms);
        prop_assert_eq!(written.edns.is_some(), asks_opt);
        if written.metadata.truncation {
            prop_assert!(message.len() + 11 > 512 && written.answers.is_empty());
            return Ok(());
        }
        let counts = |message: &Message| {
            [&message.answers, &message.authorities, &message.additionals].map(Vec::len)
        };
        prop_assert_eq!(counts(&written), counts(&stored));
        let age = ms.div_ceil(1000) as u32;
        for (before, after) in stored.all_sections().zip(written.all_sections()) {
            prop_assert_eq!((&before.name, &before.data), (&after.name, &after.data));
            let left = before.ttl.min(86_400).saturating_sub(age);
            prop_assert_eq!(after.ttl, if stale { 30 } else { left });
        }
    }

    #[test]
    fn no_reply_panics(octets in proptest::collection::vec(any::<u8>(), 0..200), counts: [bool; 3]) {
        let mut keeper = Keeper::new();
        let query = a_query();
        let mut message = samples::reply(&query, 0, [&[], &[], &[]]);
        for (at, count) in counts.into_iter().enumerate() {
            message[7 + 2 * at] = u8::from(count);
        }
        message.extend(octets);
        if let Some(read) = reply::read(&message) {
            let asked = question(&query);
            keeper.cache.insert(&asked, &message, &read, &keeper.bounds, keeper.begin);
            keeper.octets(&query, 0);
        }
    }
}
