//! What `respond` answers, read with somebody else's decoder, against a naive model: the records of
//! the World, listed name by name.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, ResponseCode};
use proptest::prelude::*;
use rollcall::dns::subnet::{Blocks, Subnet};
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::records::{RecordSet, World};
use rollcall::responses::Snapshot;
use rollcall::serve::respond::{Chaos, Responder, Settings, SubnetFirst};
use rollcall::serve::{Client, Outcome, Respond, Transport};

use crate::worlds::{self, any_world, model, settings, task, world_of};

const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const ANY: u16 = 255;
const IN: u16 = 1;

fn snapshot_of(world: &World) -> Snapshot {
    worlds::snapshot(world, 7)
}

fn wire(name: &str) -> Vec<u8> {
    rollcall::dns::name::wire_from_text(name).expect(name)
}

/// A query with RD; `edns` is the client's UDP size.
fn query(name: &[u8], rtype: u16, class: u16, edns: Option<u16>) -> Vec<u8> {
    let mut query = vec![
        0xbe,
        0xef,
        1,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        u8::from(edns.is_some()),
    ];
    query.extend(name);
    query.extend(rtype.to_be_bytes());
    query.extend(class.to_be_bytes());
    if let Some(size) = edns {
        query.extend([0, 0, 41]);
        query.extend(size.to_be_bytes());
        query.extend([0, 0, 0, 0, 0, 0]);
    }
    query
}

struct Asker {
    snapshot: Option<Snapshot>,
    responder: Responder,
    address: std::net::IpAddr,
}

impl Asker {
    fn new(world: &World) -> Self {
        Self {
            snapshot: Some(snapshot_of(world)),
            responder: Responder::new(&settings(), 11),
            address: [127, 0, 0, 1].into(),
        }
    }

    fn raw(&mut self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let bytes = if transport == Transport::Udp {
            1232
        } else {
            65_535
        };
        let mut response = vec![0xee; bytes];
        let client = Client {
            transport,
            address: self.address,
        };
        match self
            .responder
            .respond(self.snapshot.as_ref(), query, client, &mut response)
        {
            Outcome::Answer(length) => Some(response[..length].to_vec()),
            _ => None,
        }
    }

    fn ask_with(
        &mut self,
        name: &str,
        rtype: u16,
        transport: Transport,
        edns: Option<u16>,
    ) -> Message {
        let raw = self
            .raw(&query(&wire(name), rtype, IN, edns), transport)
            .expect("an answer");
        Message::from_vec(&raw).expect("an answer that decodes")
    }

    fn udp(&mut self, name: &str, rtype: u16) -> Message {
        self.ask_with(name, rtype, Transport::Udp, None)
    }
}

fn texts(records: &[hickory_proto::rr::Record]) -> BTreeSet<String> {
    let texts: BTreeSet<_> = records.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), records.len(), "no record comes twice");
    texts
}

/// `count` tasks `name` with an address each.
fn tasks_with_addresses(name: &str, count: u16) -> Vec<Task> {
    (0..count)
        .map(|n| Task {
            addresses: [(
                AddressSource::NetInfo,
                [10, 1, (n >> 8) as u8, n as u8].into(),
            )]
            .into(),
            ..task(&format!("{name}.{n}"), name)
        })
        .collect()
}

/// `count` tasks `name` with a port each.
fn tasks_with_ports(name: &str, count: u16) -> Vec<Task> {
    let ports = (0..count).map(|n| Task {
        port_ranges: [(31000 + n, 31000 + n)].into(),
        ..task(&format!("{name}.{n}"), name)
    });
    ports.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_name_and_type_answers_what_the_records_say(world in any_world()) {
        let records = RecordSet::build(&world);
        let mut asker = Asker::new(&world);
        for name in records.names() {
            let mut owner = Vec::new();
            records.append_wire(name, &mut owner);
            if !owner.ends_with(b"\x05mesos\0") || owner == b"\x05mesos\0" {
                continue;
            }
            for rtype in [A, AAAA, SRV] {
                let raw = asker.raw(&query(&owner, rtype, IN, None), Transport::Tcp).expect("an answer");
                let answer = Message::from_vec(&raw).expect("decodes");
                prop_assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
                prop_assert_eq!(texts(&answer.answers), model(&records, name, rtype));
                prop_assert_eq!(answer.authorities.len(), usize::from(answer.answers.is_empty()));
                // What the additional section says is what the target says when asked alone.
                for extra in &answer.additionals {
                    let alone = asker.ask_with(
                        &extra.name.to_string(), u16::from(extra.record_type()), Transport::Tcp, None,
                    );
                    prop_assert!(texts(&alone.answers).contains(&extra.to_string()));
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic_and_no_answer_passes_its_limit(
        world in any_world(), bytes in prop::collection::vec(any::<u8>(), 0..700), edns: u16,
        name in "(web|_web|_http|\\*|leader)\\.(_tcp|marathon|slave|\\*)\\.(marathon\\.mesos|mesos|x)",
        rtype in prop::sample::select(vec![A, AAAA, SRV, SOA, NS, ANY, 12, 251, 252, 41, 65535]),
    ) {
        let mut asker = Asker::new(&world);
        asker.raw(&bytes, Transport::Udp);
        asker.raw(&bytes, Transport::Tcp);
        for edns in [None, Some(edns)] {
            let raw = asker.raw(&query(&wire(&name), rtype, IN, edns), Transport::Udp).expect("an answer");
            let limit = edns.map_or(512, |size| usize::from(size.clamp(512, 1232)));
            prop_assert!(raw.len() <= limit);
            prop_assert!(Message::from_vec(&raw).is_ok());
        }
    }
}

#[test]
fn an_answer_of_exactly_the_limit_is_whole_and_one_more_record_sets_tc() {
    // Header 12, question web.marathon.mesos. A: 20 + 4; 29 records of 16 octets make 500.
    for (count, whole) in [(29, true), (30, false)] {
        let mut asker = Asker::new(&world_of(tasks_with_addresses("web", count)));
        let answer = asker.udp("web.marathon.mesos", A);
        assert_eq!(answer.metadata.truncation, !whole, "{count}");
        assert_eq!(answer.answers.len(), 29);
        assert_eq!(answer.queries.len(), 1);
    }
}

#[test]
fn edns_size_is_honoured_between_512_and_1232() {
    let mut asker = Asker::new(&world_of(tasks_with_addresses("web", 200)));
    for (size, expected) in [(0, 512), (512, 512), (900, 900), (1232, 1232), (4096, 1232)] {
        let answer = asker.ask_with("web.marathon.mesos", A, Transport::Udp, Some(size));
        assert_eq!(
            answer.answers.len(),
            (expected - 12 - 24 - 11) / 16,
            "{size}"
        );
        assert!(answer.metadata.truncation);
        assert_eq!(
            answer.edns.expect("OPT answered with OPT").max_payload(),
            1232
        );
    }
}

#[test]
fn additional_records_go_first_and_without_tc() {
    let mut asker = Asker::new(&world_of(tasks_with_ports("web", 7)));
    let small = asker.udp("_web._tcp.marathon.mesos", SRV);
    assert_eq!((small.answers.len(), small.metadata.truncation), (7, false));
    let large = asker.ask_with("_web._tcp.marathon.mesos", SRV, Transport::Udp, Some(1232));
    assert_eq!((large.answers.len(), large.additionals.len()), (7, 7));
    assert!(small.additionals.len() < 7);
}

#[test]
fn truncated_reply_keeps_question_and_is_a_random_part_of_the_whole() {
    let mut asker = Asker::new(&world_of(tasks_with_ports("web", 40)));
    let whole = texts(
        &asker
            .ask_with("_web._tcp.marathon.mesos", SRV, Transport::Tcp, None)
            .answers,
    );
    assert_eq!(whole.len(), 40);
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let part = asker.udp("_web._tcp.marathon.mesos", SRV);
        assert!(part.metadata.truncation);
        assert_eq!(
            part.queries[0].name().to_string(),
            "_web._tcp.marathon.mesos."
        );
        let part = texts(&part.answers);
        assert!(part.is_subset(&whole) && part.len() >= 6);
        seen.extend(part);
    }
    assert_eq!(seen, whole);
}

#[test]
fn tc_stays_clear_where_the_configuration_says_so() {
    let mut asker = Asker::new(&world_of(tasks_with_addresses("web", 60)));
    let settings = Settings {
        set_truncate_bit: false,
        ..settings()
    };
    asker.responder = Responder::new(&settings, 1);
    assert!(!asker.udp("web.marathon.mesos", A).metadata.truncation);
}

#[test]
fn tcp_gives_what_fits_64_kib_and_says_when_it_is_not_all() {
    for (count, whole) in [(4_000, true), (4_200, false)] {
        let mut asker = Asker::new(&world_of(tasks_with_addresses("web", count)));
        let answer = asker.ask_with("web.marathon.mesos", A, Transport::Tcp, None);
        assert_eq!(answer.metadata.truncation, !whole);
        assert_eq!(
            answer.answers.len(),
            usize::from(count).min((65_535 - 36) / 16)
        );
    }
}

#[test]
fn every_answer_is_first_with_equal_chance() {
    let mut asker = Asker::new(&world_of(tasks_with_addresses("web", 4)));
    let mut firsts = std::collections::BTreeMap::new();
    for _ in 0..8_000 {
        let first = asker.udp("web.marathon.mesos", A).answers[0].to_string();
        *firsts.entry(first).or_insert(0_u32) += 1;
    }
    // 2,000 each, standard deviation 39: five of them either way.
    assert_eq!(firsts.len(), 4);
    assert!(
        firsts.values().all(|&n| (1_805..2_195).contains(&n)),
        "{firsts:?}"
    );
}

#[test]
fn existing_names_are_nodata_and_others_nxdomain_with_the_apex_soa() {
    let mut asker = Asker::new(&world_of(tasks_with_ports("web", 1)));
    for (name, rtype, rcode) in [
        ("web.marathon.mesos", AAAA, ResponseCode::NoError),
        ("web.marathon.mesos", SRV, ResponseCode::NoError),
        ("_tcp.marathon.mesos", A, ResponseCode::NoError),
        ("mesos", A, ResponseCode::NoError),
        ("nothing.marathon.mesos", A, ResponseCode::NXDomain),
        ("nothing.marathon.mesos", SRV, ResponseCode::NXDomain),
        ("nothing.mesos", SOA, ResponseCode::NXDomain),
        ("nothing.*.mesos", ANY, ResponseCode::NXDomain),
        ("web.marathon.mesos", NS, ResponseCode::NoError),
    ] {
        let answer = asker.udp(name, rtype);
        assert_eq!(answer.metadata.response_code, rcode, "{name} {rtype}");
        assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
        assert!(answer.answers.is_empty());
        let soa = "mesos. 60 IN SOA ns1.mesos. root.ns1.mesos. 7 60 600 86400 60";
        assert_eq!(answer.authorities[0].to_string(), soa, "{name}");
    }
}

#[test]
fn apex_answers_soa_and_ns_with_glue() {
    let mut asker = Asker::new(&world_of(Vec::new()));
    let ns = asker.udp("mesos", NS);
    assert_eq!(ns.answers[0].to_string(), "mesos. 60 IN NS ns1.mesos.");
    assert_eq!(
        ns.additionals[0].to_string(),
        "ns1.mesos. 60 IN A 127.0.0.1"
    );
    assert_eq!(asker.udp("mesos", SOA).answers.len(), 1);
    let any = asker.udp("mesos", ANY);
    assert_eq!(
        (
            any.answers.len(),
            any.authorities.len(),
            any.additionals.len()
        ),
        (2, 0, 1)
    );
}

#[test]
fn owners_are_spelled_as_asked_and_wildcard_labels_are_cut_out() {
    let mut asker = Asker::new(&world_of(tasks_with_ports("web", 1)));
    for name in [
        "wEb.MaraThon.mesos.",
        "web.*.marathon.mesos.",
        "web.marathon.mesos.*.",
    ] {
        let answer = asker.udp(name, A);
        assert_eq!(answer.answers[0].name.to_string(), name);
        assert_eq!(answer.queries[0].name().to_string(), name);
    }
}

#[test]
fn what_is_not_ours_is_refused() {
    let mut asker = Asker::new(&world_of(Vec::new()));
    for name in [
        "example.com",
        "xmesos",
        "mesos.example",
        ".",
        "1.0.0.127.in-addr.arpa",
    ] {
        let answer = asker.udp(name, A);
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::Refused,
            "{name}"
        );
        assert!(!answer.metadata.authoritative && !answer.metadata.recursion_available);
    }
    for rtype in [251, 252] {
        let raw = asker
            .raw(&query(&wire("mesos"), rtype, IN, None), Transport::Tcp)
            .expect("an answer");
        assert_eq!(raw[3] & 15, 5);
    }
    let raw = asker
        .raw(&query(&wire("leader.mesos"), A, 4, None), Transport::Udp)
        .expect("an answer");
    assert_eq!(raw[3] & 15, 5);
}

#[test]
fn reverse_names_are_answered_only_where_they_hold_our_address() {
    let mut asker = Asker::new(&world_of(tasks_with_addresses("web", 1)));
    asker.responder = Responder::new(
        &Settings {
            reverse_dns_on: true,
            ..settings()
        },
        1,
    );
    let ours = asker.udp("0.0.1.10.in-addr.arpa", 12);
    assert_eq!(
        ours.answers[0].to_string(),
        "0.0.1.10.in-addr.arpa. 60 IN PTR web.marathon.mesos."
    );
    let nodata = asker.udp("0.0.1.10.in-addr.arpa", A);
    assert_eq!(nodata.metadata.response_code, ResponseCode::NoError);
    assert_eq!(nodata.authorities.len(), 1);
    for outside in ["9.9.9.9.in-addr.arpa", "1.10.in-addr.arpa", "in-addr.arpa"] {
        assert_eq!(
            asker.udp(outside, 12).metadata.response_code,
            ResponseCode::Refused,
            "{outside}"
        );
    }
}

#[test]
fn before_the_first_table_names_of_the_domain_are_servfail() {
    let mut asker = Asker {
        snapshot: None,
        responder: Responder::new(&settings(), 1),
        address: [127, 0, 0, 1].into(),
    };
    assert_eq!(
        asker.udp("leader.mesos", A).metadata.response_code,
        ResponseCode::ServFail
    );
    assert_eq!(
        asker.udp("mesos", SOA).metadata.response_code,
        ResponseCode::ServFail
    );
    assert_eq!(
        asker.udp("example.com", A).metadata.response_code,
        ResponseCode::Refused
    );
}

#[test]
fn chaos_class_answers_only_where_it_is_on() {
    let mut asker = Asker::new(&world_of(Vec::new()));
    let version = query(&wire("version.bind"), TXT, 3, None);
    let refused = asker.raw(&version, Transport::Udp).expect("an answer");
    assert_eq!(refused[3] & 15, 5);
    let chaos = Some(Chaos {
        version: "rollcall 1".into(),
        hostname: "h".into(),
    });
    asker.responder = Responder::new(
        &Settings {
            chaos,
            ..settings()
        },
        1,
    );
    let raw = asker.raw(&version, Transport::Udp).expect("an answer");
    let answer = Message::from_vec(&raw).expect("decodes");
    assert_eq!(answer.answers[0].data.to_string(), "rollcall 1");
}

#[test]
fn unknown_edns_version_is_badvers_with_our_version() {
    let mut asker = Asker::new(&world_of(Vec::new()));
    let mut query = query(&wire("leader.mesos"), A, IN, Some(1232));
    let version_at = query.len() - 5;
    query[version_at] = 1;
    let answer =
        Message::from_vec(&asker.raw(&query, Transport::Udp).expect("an answer")).expect("decodes");
    // 16 is BADVERS with OPT and BADSIG with TSIG; the decoder picks either.
    assert_eq!(u16::from(answer.metadata.response_code), 16);
    assert_eq!(answer.edns.expect("OPT").version(), 0);
    assert!(answer.answers.is_empty());
}

#[test]
fn addresses_in_the_clients_subnet_come_first() {
    let mut tasks = tasks_with_addresses("web", 40);
    tasks.push(Task {
        addresses: [(AddressSource::NetInfo, [192, 0, 2, 9].into())].into(),
        ..task("near", "web")
    });
    let mut asker = Asker::new(&world_of(tasks));
    let believed = Blocks::new(&[Subnet::parse("127.0.0.0/8").expect("a block")]);
    let subnet_first = Some(SubnetFirst { believed });
    asker.responder = Responder::new(
        &Settings {
            subnet_first,
            ..settings()
        },
        1,
    );
    let mut stating = query(&wire("web.marathon.mesos"), A, IN, Some(1232));
    let length_at = stating.len() - 2;
    stating[length_at..].copy_from_slice(&[0, 11]);
    stating.extend([0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2]);
    let first = |asker: &mut Asker, query: &[u8]| {
        let raw = asker.raw(query, Transport::Udp).expect("an answer");
        Message::from_vec(&raw).expect("decodes").answers[0]
            .data
            .to_string()
    };
    for (address, query, expected) in [
        (
            [192, 0, 2, 77],
            query(&wire("web.marathon.mesos"), A, IN, None),
            true,
        ),
        ([127, 0, 0, 1], stating.clone(), true),
        // A stranger's word on where it is does not count.
        ([198, 51, 100, 1], stating, false),
    ] {
        asker.address = address.into();
        let always_first = (0..60).all(|_| first(&mut asker, &query) == "192.0.2.9");
        assert_eq!(always_first, expected, "{address:?}");
    }
}
