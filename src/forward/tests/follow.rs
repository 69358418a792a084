//! Rules of answers that a CNAME leads out of the table, with hickory-proto's decoder.

use std::time::Instant;

use hickory_proto::op::Message;
use proptest::prelude::*;

use super::*;
use crate::forward::Settings;
use crate::forward::cache::{Cache, Found};
use crate::forward::samples::{self, *};

const RD: u16 = flag::RD;

/// What the table says of a query: a CNAME to b.example.
fn begun(query: &[u8]) -> Vec<u8> {
    samples::reply(
        query,
        flag::AA,
        [&[cname(QNAME, 60, "b.Example")], &[], &[]],
    )
}

fn target_query(query: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    query_for(&wire("b.Example"), &question(query), 9, &mut message).expect("a query");
    message
}

fn completed(query: &[u8], reply: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let begun = begun(query);
    let mut out = vec![0; 2048];
    out[..begun.len()].copy_from_slice(&begun);
    let bytes = complete(&question(query), &mut out, begun.len(), reply, bytes_max)?;
    Some(out[..bytes].to_vec())
}

/// The same as text, section by section.
fn texts(octets: &[u8]) -> [Vec<String>; 3] {
    let message = Message::from_vec(octets).expect("an answer that decodes");
    let sections = [message.answers, message.authorities, message.additionals];
    sections.map(|records| records.iter().map(ToString::to_string).collect())
}

fn plain() -> Vec<u8> {
    query("a.mesos", rtype::A, RD, &[])
}

#[test]
fn target_is_asked_for_as_the_question_was() {
    for (flags, behind) in [
        (RD, vec![]),
        (RD | flag::CD, opt(0x8000, &[])),
        (RD, opt(0, &[])),
    ] {
        let query = query("a.mesos", rtype::AAAA, flags, &behind);
        let message = target_query(&query);
        let asked = question(&message);
        assert_eq!(asked.key().name(), b"\x01b\x07example\0");
        assert_eq!(
            (asked.qtype, asked.flags, asked.message[1]),
            (rtype::AAAA, flags, 9)
        );
        let edns = asked.edns.map(|edns| (edns.udp_bytes, edns.dnssec_ok));
        assert_eq!(edns, (!behind.is_empty()).then_some((1232, flags != RD)));
        assert!(asked.is_sharable());
        assert_eq!(query_for(b"\x01b", &asked, 9, &mut Vec::new()), None);
        assert_eq!(query_for(b"\x01b\0\0", &asked, 9, &mut Vec::new()), None);
    }
}

#[test]
fn answer_has_the_chain_and_what_it_leads_to() {
    let query = query("a.mesos", rtype::A, RD, &opt(0, &[]));
    let answers = [
        cname(QNAME, 50, "c.example"),
        a(&wire("c.example"), 40, 1),
        a(&wire("c.example"), 40, 2),
    ];
    let ns = [record(QNAME, rtype::NS, 9, &wire("ns.example"))];
    let sections: [&[Vec<u8>]; 3] = [&answers, &ns, &[opt(0, &[])]];
    let reply = samples::reply(&target_query(&query), flag::AD, sections);
    let octets = completed(&query, &reply, 1232).expect("an answer");
    let [answers, authorities, additionals] = texts(&octets);
    assert_eq!(
        answers,
        [
            "a.mesos. 60 IN CNAME b.Example.",
            "b.Example. 50 IN CNAME c.example.",
            "c.example. 40 IN A 192.0.2.1",
            "c.example. 40 IN A 192.0.2.2",
        ]
    );
    assert!(authorities.is_empty() && additionals.is_empty());
    let message = Message::from_vec(&octets).expect("an answer that decodes");
    let metadata = &message.metadata;
    assert!(metadata.authoritative && metadata.recursion_available);
    assert!(!metadata.authentic_data && !metadata.truncation);
    assert!(message.edns.is_some());
    // Names that stand there already are pointed to.
    assert_eq!(
        octets.len(),
        begun(&query).len() + 2 + 10 + 11 + 2 * 16 + 11
    );
}

#[test]
fn negative_reply_gives_its_rcode_and_soa() {
    let rrsig = record(QNAME, 46, 9, &[0; 40]);
    for (opt, has_proof) in [
        (vec![], false),
        (opt(0, &[]), false),
        (opt(0x8000, &[]), true),
    ] {
        let query = query("a.mesos", rtype::A, RD, &opt);
        let authority = [soa(&wire("example"), 900, 60), rrsig.clone()];
        let reply = samples::reply(&target_query(&query), 3, [&[], &authority, &[]]);
        let octets = completed(&query, &reply, 512).expect("an answer");
        let read = reply::read(&octets).expect("an answer");
        assert_eq!(
            (read.rcode, read.negative, read.ttl_seconds),
            (3, true, Some(60))
        );
        assert_eq!(
            walk::counts(&octets).map(|counts| counts[2]),
            Some(1 + u16::from(has_proof))
        );
    }
}

#[test]
fn failure_goes_with_the_cname() {
    let mut extended = opt(0, &[]);
    extended[5] = 1;
    for (flags, additional, rcode) in [(2, vec![], 2), (5, vec![], 5), (0, vec![extended], 2)] {
        let reply = samples::reply(&target_query(&plain()), flags, [&[], &[], &additional]);
        let octets = completed(&plain(), &reply, 512).expect("an answer");
        let read = reply::read(&octets).expect("an answer");
        assert_eq!((read.rcode, texts(&octets)[0].len()), (rcode, 1));
    }
}

#[test]
fn what_does_not_fit_is_left_out_with_tc() {
    let answers: Vec<_> = (0..40).map(|last| a(QNAME, 9, last)).collect();
    let reply = samples::reply(&target_query(&plain()), 0, [&answers, &[], &[]]);
    for (behind, opt_bytes) in [(vec![], 0), (opt(0, &[]), 11)] {
        let query = query("a.mesos", rtype::A, RD, &behind);
        let fitting = (512 - opt_bytes - begun(&query).len()) / 16;
        let octets = completed(&query, &reply, 512).expect("an answer");
        let message = Message::from_vec(&octets).expect("an answer that decodes");
        assert!(message.metadata.truncation && octets.len() <= 512);
        assert_eq!(message.answers.len(), 1 + fitting);
        assert_eq!(message.edns.is_some(), opt_bytes != 0);
        let whole = completed(&query, &reply, 1232).expect("an answer");
        let message = Message::from_vec(&whole).expect("an answer that decodes");
        assert!(!message.metadata.truncation && message.answers.len() == 41);
    }
    let cut = samples::reply(&target_query(&plain()), flag::TC, [&[], &[], &[]]);
    let octets = completed(&plain(), &cut, 512).expect("an answer");
    assert!(reply::read(&octets).expect("an answer").truncated);
    assert_eq!(completed(&plain(), &reply, begun(&plain()).len() - 1), None);
}

#[test]
fn names_in_data_are_written_out() {
    let compressed = |before: &[u8], names: usize, behind: &[u8]| {
        [before, &b"\x01t\xc0\x0c".repeat(names), behind].concat()
    };
    let expanded = |before: &[u8], names: usize, behind: &[u8]| {
        [before, &b"\x01t\x01b\x07Example\0".repeat(names), behind].concat()
    };
    let naptr = b"\0\x01\0\x02\x01s\x07SIP+D2U\0";
    for (rtype, before, names, behind) in [
        (2, &[][..], 1, &[][..]),
        (5, &[], 1, &[]),
        (6, &[], 2, &[7; 20]),
        (12, &[], 1, &[]),
        (14, &[], 2, &[]),
        (15, &[0, 1], 1, &[]),
        (17, &[], 2, &[]),
        (18, &[0, 1], 1, &[]),
        (21, &[0, 1], 1, &[]),
        (24, &[7; 18], 1, &[7; 9]),
        (26, &[0, 1], 2, &[]),
        (30, &[], 1, &[7; 9]),
        (33, &[0, 1, 0, 2, 0, 3], 1, &[]),
        (35, &naptr[..], 1, &[]),
        (36, &[0, 1], 1, &[]),
        (39, &[], 1, &[]),
    ] {
        let query = query("a.mesos", rtype, RD, &[]);
        let answers = [record(QNAME, rtype, 9, &compressed(before, names, behind))];
        let reply = samples::reply(&target_query(&query), 0, [&answers, &[], &[]]);
        let octets = completed(&query, &reply, 512).expect("an answer");
        assert!(
            octets.ends_with(&expanded(before, names, behind)),
            "type {rtype}"
        );
        assert!(reply::read(&octets).is_some());
        let short = [record(
            QNAME,
            rtype,
            9,
            &compressed(before, names, behind)[..1],
        )];
        let reply = samples::reply(&target_query(&query), 0, [&short, &[], &[]]);
        assert_eq!(completed(&query, &reply, 512), None, "type {rtype}");
    }
    let text = [record(QNAME, rtype::TXT, 9, b"\x04\x01t\xc0\x0c")];
    let query = query("a.mesos", rtype::TXT, RD, &[]);
    let reply = samples::reply(&target_query(&query), 0, [&text, &[], &[]]);
    assert!(
        completed(&query, &reply, 512)
            .expect("an answer")
            .ends_with(b"\x04\x01t\xc0\x0c")
    );
}

#[test]
fn cached_answer_of_the_target_is_a_reply_like_any_other() {
    let (now, mut cache) = (Instant::now(), Cache::new(1 << 20));
    let asked = target_query(&plain());
    let target = question(&asked);
    let message = samples::reply(&asked, 0, [&[a(QNAME, 40, 1)], &[], &[]]);
    let read = reply::read(&message).expect("a reply");
    cache.insert(&target, &message, &read, &Settings::default(), now);
    let Found::Fresh { entry, .. } = cache.get(target.key().as_bytes(), now) else {
        panic!("no hit")
    };
    let mut scratch = [0; 512];
    let bytes = entry
        .write(&target, now, false, 512, &mut scratch)
        .expect("room");
    let octets = completed(&plain(), &scratch[..bytes], 512).expect("an answer");
    assert_eq!(texts(&octets)[0][1], "b.Example. 40 IN A 192.0.2.1");
}

proptest! {
    #[test]
    fn no_reply_panics(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        rtype in 0_u8..50,
        bytes_max in 0_usize..600,
    ) {
        let data = record(QNAME, u16::from(rtype), 9, &octets);
        let reply = samples::reply(&target_query(&plain()), 0, [&[data], &[], &[]]);
        if let Some(octets) = completed(&plain(), &reply, bytes_max) {
            prop_assert!(octets.len() <= bytes_max);
            let mut out = octets.clone();
            let bytes = octets.len();
            let _ = complete(&question(&plain()), &mut out, bytes / 2, &reply, bytes_max);
        }
        let _ = complete(&question(&plain()), &mut octets.clone(), octets.len(), &octets, 512);
    }
}
