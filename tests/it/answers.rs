//! What a resolver sees: the rules of DNS through the real process, over both transports.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use serde_json::json;

use crate::support::client::{
    A, AAAA, ANY, Client, ID, NS, SOA, SRV, TXT, decode, query, records, with_edns,
};
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;

/// Four tasks `web`, 60 tasks `many`, one `lone`.
fn cluster() -> (Master, Rollcall) {
    let master = Master::start(|leader| {
        Behaviour::Serve(
            State::new(leader)
                .tasks("web", 4)
                .tasks("many", 60)
                .task("lone", [10, 2, 0, 1].into())
                .text(),
        )
    });
    let rollcall = Rollcall::serving(
        &[master.address()],
        json!({"SOAMinttl": 30, "RefreshSeconds": 3600}),
    );
    (master, rollcall)
}

/// The one SOA of a negative answer, with its TTL.
fn negative(message: &Message) -> (String, u32, u32) {
    assert!(message.answers.is_empty());
    assert_eq!(message.authorities.len(), 1);
    let record = &message.authorities[0];
    let RData::SOA(soa) = &record.data else {
        panic!("{record}")
    };
    (record.name.to_string(), record.ttl, soa.minimum)
}

#[test]
fn positive_answers_are_authoritative_and_hold_every_record() {
    let (_master, rollcall) = cluster();
    let answer = rollcall.client().ask_both("web.marathon.mesos", A);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert!(
        answer.metadata.authoritative
            && answer.metadata.recursion_desired
            && answer.metadata.recursion_available
    );
    assert!(!answer.metadata.truncation && !answer.metadata.authentic_data);
    assert_eq!(answer.answers.len(), 4);
    assert!(
        answer
            .answers
            .iter()
            .all(|record| record.ttl == 60 && record.record_type() == RecordType::A)
    );
    assert!(answer.authorities.is_empty() && answer.additionals.is_empty());
}

#[test]
fn owner_and_question_are_spelled_as_asked() {
    let (_master, rollcall) = cluster();
    for name in [
        "WeB.mArAtHoN.mEsOs.",
        "WEB.MARATHON.MESOS.",
        "web.*.marathon.mesos.",
    ] {
        let answer = rollcall.client().ask_both(name, A);
        assert_eq!(answer.queries[0].name.to_string(), name);
        assert_eq!(answer.answers.len(), 4, "{name}");
        assert!(
            answer
                .answers
                .iter()
                .all(|record| record.name.to_string() == name),
            "{name}"
        );
    }
}

#[test]
fn negative_answers_carry_the_soa_of_the_zone_and_the_smaller_ttl() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    for rtype in [A, AAAA, SRV, SOA, NS, TXT, ANY] {
        let missing = client.ask_both("no-such-name.mesos", rtype);
        assert_eq!(
            missing.metadata.response_code,
            ResponseCode::NXDomain,
            "{rtype}"
        );
        assert_eq!(negative(&missing), ("mesos.".into(), 30, 30));
    }
    for (name, rtype) in [
        ("web.marathon.mesos", AAAA),
        ("web.marathon.mesos", SRV),
        ("web.marathon.mesos", SOA),
        ("_web._tcp.marathon.mesos", A),
    ] {
        let nodata = client.ask_both(name, rtype);
        assert_eq!(
            nodata.metadata.response_code,
            ResponseCode::NoError,
            "{name}"
        );
        assert_eq!(negative(&nodata), ("mesos.".into(), 30, 30));
    }
}

#[test]
fn empty_non_terminals_and_the_apex_exist() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    for name in ["mesos", "_tcp.marathon.mesos", "marathon.slave.mesos"] {
        for rtype in [A, SRV, TXT] {
            let answer = client.ask_both(name, rtype);
            assert_eq!(
                answer.metadata.response_code,
                ResponseCode::NoError,
                "{name} {rtype}"
            );
            assert_eq!(negative(&answer).0, "mesos.");
        }
    }
}

#[test]
fn soa_and_ns_stand_at_the_apex_with_glue() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let soa = client.ask_both("mesos", SOA);
    assert_eq!(soa.answers.len(), 1);
    assert!(
        matches!(&soa.answers[0].data, RData::SOA(soa) if soa.mname.to_string() == "ns1.mesos." && soa.minimum == 30)
    );
    let ns = client.ask_both("mesos", NS);
    assert!(
        matches!(&ns.answers[0].data, RData::NS(target) if target.0.to_string() == "ns1.mesos.")
    );
    assert_eq!(records(&ns)[2].len(), 1);
    assert_eq!(client.addresses("ns1.mesos").len(), 1);
}

#[test]
fn every_srv_target_resolves_alone_to_what_additional_said() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let answer = client.ask_both("_web._tcp.marathon.mesos", SRV);
    assert_eq!(answer.answers.len(), 4);
    for record in &answer.answers {
        let RData::SRV(srv) = &record.data else {
            panic!("{record}")
        };
        assert_eq!((srv.priority, srv.weight), (0, 1));
        let mut said: Vec<_> = answer
            .additionals
            .iter()
            .filter(|r| r.name == srv.target)
            .map(|r| r.data.to_string())
            .collect();
        said.sort();
        let found: Vec<_> = client
            .addresses(&srv.target.to_string())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(!said.is_empty());
        assert_eq!(said, found, "{}", srv.target);
    }
}

#[test]
fn names_outside_the_domain_are_refused() {
    let (_master, rollcall) = cluster();
    for name in ["example.com", "xmesos", "mesos.example", "."] {
        let answer = rollcall.client().ask_both(name, A);
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::Refused,
            "{name}"
        );
        assert!(!answer.metadata.authoritative && !answer.metadata.recursion_available);
        assert_eq!(records(&answer), [Vec::<String>::new(), vec![], vec![]]);
    }
}

#[test]
fn edns_is_answered_with_edns_and_only_then() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let plain = query("web.marathon.mesos", A);
    assert!(decode(&client.udp(&plain)).edns.is_none());
    for (name, rtype) in [
        ("web.marathon.mesos", A),
        ("no-such-name.mesos", A),
        ("example.com", A),
    ] {
        for dnssec_ok in [false, true] {
            let answer = decode(&client.udp(&with_edns(query(name, rtype), 4096, 0, dnssec_ok)));
            let edns = answer.edns.expect("OPT for OPT");
            assert_eq!(
                (edns.max_payload(), edns.version(), edns.flags().dnssec_ok),
                (1232, 0, dnssec_ok)
            );
        }
    }
}

#[test]
fn unknown_edns_version_is_badvers() {
    let (_master, rollcall) = cluster();
    for version in [1, 255] {
        let octets = rollcall.client().udp(&with_edns(
            query("web.marathon.mesos", A),
            1232,
            version,
            false,
        ));
        // The upper bits of RCODE 16 are in the OPT record, the lower ones in the header.
        assert_eq!(octets[3] & 15, 0);
        let answer = decode(&octets);
        let edns = answer.edns.as_ref().expect("OPT for OPT");
        assert_eq!((edns.rcode_high(), edns.version()), (1, 0));
        assert!(answer.answers.is_empty());
    }
}

#[test]
fn answers_fill_the_limit_that_the_client_has_and_no_more() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let plain = query("many.marathon.mesos", A);
    // 16 octets a record, after the header and the question, and 11 for OPT.
    for (message, limit, opt) in [
        (plain.clone(), 512, 0),
        (with_edns(plain.clone(), 0, 0, false), 512, 11),
        (with_edns(plain.clone(), 513, 0, false), 513, 11),
        (with_edns(plain.clone(), 1000, 0, false), 1000, 11),
        (with_edns(plain.clone(), 65_535, 0, false), 1232, 11),
    ] {
        let octets = client.udp(&message);
        let fit = (limit - plain.len() - opt) / 16;
        let answer = decode(&octets);
        assert!(octets.len() <= limit);
        assert_eq!(answer.answers.len(), fit.min(60), "limit {limit}");
        assert_eq!(answer.metadata.truncation, fit < 60, "limit {limit}");
    }
    let whole = decode(&client.tcp(&plain));
    assert_eq!(whole.answers.len(), 60);
    assert!(!whole.metadata.truncation);
}

#[test]
fn truncated_reply_keeps_question_and_sets_tc() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let message = query("mAnY.marathon.mesos", A);
    let octets = client.udp(&message);
    assert_eq!(octets[12..message.len()], message[12..]);
    let answer = decode(&octets);
    assert!(answer.metadata.truncation && !answer.answers.is_empty());
    let full: BTreeSet<_> = client.ask_tcp_data("many.marathon.mesos", A);
    assert!(
        answer
            .answers
            .iter()
            .all(|record| full.contains(&record.data.to_string()))
    );
}

#[test]
fn additional_records_take_no_room_from_answers() {
    let (_master, rollcall) = cluster();
    let octets = rollcall
        .client()
        .udp(&query("_many._tcp.marathon.mesos", SRV));
    let answer = decode(&octets);
    assert!(answer.metadata.truncation);
    // Pointer to the question, the fixed part (RFC 1035, 3.2.1), three numbers, the shortest target.
    let targets = answer.answers.iter().map(|record| match &record.data {
        RData::SRV(srv) => srv.target.to_string().len() + 1,
        other => panic!("{other}"),
    });
    let smallest_answer = 2 + 10 + 6 + targets.min().expect("some answers");
    let smallest_additional = 2 + 10 + 4;
    let without_additional = octets.len() - answer.additionals.len() * smallest_additional;
    assert!(without_additional + smallest_answer > 512, "{answer}");
    // All of the answers of this one fit, though not all of the addresses: nothing is missing.
    let four = rollcall.client().ask("_web._tcp.marathon.mesos", SRV);
    assert_eq!(four.answers.len(), 4);
    assert!(!four.metadata.truncation);
}

#[test]
fn truncate_bit_can_be_switched_off() {
    let master =
        Master::start(|leader| Behaviour::Serve(State::new(leader).tasks("many", 60).text()));
    let rollcall = Rollcall::serving(&[master.address()], json!({"SetTruncateBit": false}));
    let answer = rollcall.client().ask("many.marathon.mesos", A);
    assert!(answer.answers.len() < 60);
    assert!(!answer.metadata.truncation);
}

#[test]
fn every_answer_comes_first_with_equal_chance() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let (asked, mut firsts) = (2000, std::collections::BTreeMap::<String, u32>::new());
    for _ in 0..asked {
        let answer = client.ask("web.marathon.mesos", A);
        *firsts
            .entry(answer.answers[0].data.to_string())
            .or_default() += 1;
    }
    assert_eq!(firsts.len(), 4);
    let expected = f64::from(asked) / 4.0;
    let chi_square: f64 = firsts
        .values()
        .map(|&n| (f64::from(n) - expected).powi(2) / expected)
        .sum();
    // Three degrees of freedom: above 27.9 once in 250,000 runs of a fair shuffle.
    assert!(chi_square < 27.9, "{firsts:?}: {chi_square}");
}

#[test]
fn truncated_answers_are_a_random_subset() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let mut seen = BTreeSet::new();
    // 29 of 60 fit: after 40 answers a given one was left out of all with a chance of 1 in 10^11.
    for _ in 0..40 {
        seen.extend(
            client
                .ask("many.marathon.mesos", A)
                .answers
                .iter()
                .map(|record| record.data.to_string()),
        );
    }
    assert_eq!(seen.len(), 60);
}

#[test]
fn opcodes_other_than_query_are_not_implemented() {
    let (_master, rollcall) = cluster();
    for opcode in [1, 2, 4, 5, 6, 15] {
        let mut message = query("web.marathon.mesos", A);
        message[2] |= opcode << 3;
        let answer = rollcall.client().udp(&message);
        assert_eq!(answer[3] & 15, 4, "opcode {opcode}");
        assert_eq!(answer[2] >> 3 & 15, opcode);
        assert_eq!(answer[6..8], [0, 0]);
    }
    assert_eq!(
        rollcall
            .client()
            .ask("web.marathon.mesos", A)
            .metadata
            .op_code,
        OpCode::Query
    );
}

#[test]
fn classes_other_than_in_are_refused() {
    let (_master, rollcall) = cluster();
    for class in [3, 4, 254, 255] {
        let mut message = query("web.marathon.mesos", A);
        *message.last_mut().expect("a query is not empty") = class;
        assert_eq!(rollcall.client().udp(&message)[3] & 15, 5, "class {class}");
    }
}

#[test]
fn malformed_queries_are_formerr_with_id_and_the_next_one_is_answered() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let good = query("web.marathon.mesos", A);
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut message = good.clone();
        edit(&mut message);
        message
    };
    let bad = [
        (
            "no question",
            edited(&|m| {
                m[5] = 0;
                m.truncate(12);
            }),
        ),
        (
            "two questions",
            edited(&|m| {
                m[5] = 2;
                let question = m[12..].to_vec();
                m.extend(question);
            }),
        ),
        ("a count that lies", edited(&|m| m[7] = 3)),
        ("a cut question", edited(&|m| m.truncate(m.len() - 3))),
        ("trailing octets", edited(&|m| m.extend([1, 2, 3]))),
        (
            "a pointer to itself",
            [&good[..12], &[0xc0, 12, 0, 1, 0, 1]].concat(),
        ),
        (
            "an unknown label type",
            [&good[..12], &[0x41, b'a', 0, 0, 1, 0, 1]].concat(),
        ),
    ];
    for (what, message) in bad {
        let answer = client.udp(&message);
        assert_eq!(answer[..2], ID.to_be_bytes(), "{what}");
        assert_eq!(answer[3] & 15, 1, "{what}");
        assert_eq!(
            client.rcode("web.marathon.mesos", A),
            ResponseCode::NoError,
            "after {what}"
        );
    }
}

#[test]
fn responses_and_fragments_are_dropped() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    let mut response = query("web.marathon.mesos", A);
    response[2] |= 0x80;
    // Neither is answered: what comes back is the answer to the query after them.
    for message in [&response[..], &[0; 11], &[]] {
        let other = Client::new(client.server());
        other.send_udp(message);
        assert_eq!(other.ask("web.marathon.mesos", A).answers.len(), 4);
    }
}

#[test]
fn zone_transfer_is_refused() {
    let (_master, rollcall) = cluster();
    for rtype in [251, 252] {
        assert_eq!(
            decode(&rollcall.client().tcp(&query("mesos", rtype)))
                .metadata
                .response_code,
            ResponseCode::Refused
        );
    }
}
