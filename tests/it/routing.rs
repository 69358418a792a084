//! Whose a name outside the domain is, as `respond` decides it: made up here, ours by its address, or
//! for the forwarder, where the client may have it asked for.

use hickory_proto::op::{Message, ResponseCode};
use rollcall::dns::subnet::{Blocks, Subnet};
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::responses::Snapshot;
use rollcall::serve::respond::{Forwarding, Responder, Settings};
use rollcall::serve::{Client, Outcome, Respond, Transport};

use crate::support::client::{A, AAAA, ANY, NS, SOA, TXT, decode, query, records};
use crate::worlds::{self, settings, task, world_of};

const PTR: u16 = 12;
const SPECIAL_SOA: &str = "10800 IN SOA localhost. nobody.invalid. 1 3600 1200 604800 10800";

struct Asker {
    snapshot: Option<Snapshot>,
    responder: Responder,
    address: &'static str,
}

/// One task with the address 10.1.2.3.
fn asker(settings: Settings) -> Asker {
    let web = Task {
        addresses: [(AddressSource::NetInfo, [10, 1, 2, 3].into())].into(),
        ..task("web.1", "web")
    };
    Asker {
        snapshot: Some(worlds::snapshot(&world_of(vec![web]), 7)),
        responder: Responder::new(&settings, 1),
        address: "127.0.0.1",
    }
}

fn with_reverse_zones(blocks: &[&str], reverse_dns_on: bool) -> Settings {
    Settings {
        reverse_dns_on,
        reverse_zones: self::blocks(blocks),
        ..forwarding_for(&["0.0.0.0/0"])
    }
}

fn forwarding_for(blocks: &[&str]) -> Settings {
    let allowed = Blocks::new(&self::blocks(blocks));
    Settings {
        forwarding: Some(Forwarding { allowed }),
        ..settings()
    }
}

fn blocks(texts: &[&str]) -> Box<[Subnet]> {
    let parsed = texts.iter().map(|text| Subnet::parse(text).expect(text));
    parsed.collect()
}

impl Asker {
    fn outcome(&mut self, message: &[u8]) -> (Outcome, Vec<u8>) {
        let client = Client {
            transport: Transport::Udp,
            address: self.address.parse().expect("an address"),
        };
        let mut response = vec![0; 1232];
        let snapshot = self.snapshot.as_ref();
        let outcome = self
            .responder
            .respond(snapshot, message, client, &mut response);
        (outcome, response)
    }

    fn is_forwarded(&mut self, name: &str, rtype: u16) -> bool {
        self.outcome(&query(name, rtype)).0 == Outcome::Forward
    }

    fn ask(&mut self, name: &str, rtype: u16) -> Message {
        match self.outcome(&query(name, rtype)) {
            (Outcome::Answer(length), response) => decode(&response[..length]),
            (other, _) => panic!("{name} {rtype}: {other:?}"),
        }
    }

    fn rcode(&mut self, name: &str, rtype: u16) -> ResponseCode {
        self.ask(name, rtype).metadata.response_code
    }
}

#[test]
fn names_outside_are_forwarded_for_those_who_may_ask_and_refused_to_others() {
    let mut asker = asker(forwarding_for(&["10.0.0.0/8", "fe80::/10"]));
    let outside = [
        "example.com",
        "xmesos",
        ".",
        "mesos.example",
        "9.9.9.9.in-addr.arpa",
        "com",
    ];
    for (address, may) in [
        ("10.9.9.9", true),
        ("fe80::1", true),
        ("11.0.0.1", false),
        ("2001:db8::1", false),
    ] {
        asker.address = address;
        for name in outside {
            assert_eq!(asker.is_forwarded(name, A), may, "{name} for {address}");
            if !may {
                let answer = asker.ask(name, A);
                assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
                assert!(!answer.metadata.authoritative && !answer.metadata.recursion_available);
            }
        }
        assert_eq!(
            asker.rcode("leader.mesos", A),
            ResponseCode::NoError,
            "{address}"
        );
    }
    let mut closed = self::asker(settings());
    assert_eq!(closed.rcode("example.com", A), ResponseCode::Refused);
}

#[test]
fn what_is_at_fault_is_not_forwarded() {
    let mut asker = asker(forwarding_for(&["127.0.0.0/8"]));
    // AXFR and IXFR.
    for rtype in [251, 252] {
        assert_eq!(asker.rcode("example.com", rtype), ResponseCode::Refused);
    }
    let mut other_class = query("example.com", A);
    *other_class.last_mut().expect("a class") = 4;
    assert!(matches!(asker.outcome(&other_class).0, Outcome::Answer(_)));
    // DS at and below the domain is ours (RFC 4035, 3.1.4.1), like every other type.
    for name in ["mesos", "web.marathon.mesos", "no.mesos"] {
        assert!(!asker.is_forwarded(name, 43), "{name}");
    }
    let mut not_recursive = query("example.com", A);
    not_recursive[2] = 0;
    assert_eq!(asker.outcome(&not_recursive).0, Outcome::Forward);
}

#[test]
fn names_outside_are_forwarded_before_there_is_a_table() {
    let mut asker = asker(with_reverse_zones(&["10.0.0.0/8"], true));
    asker.snapshot = None;
    for name in ["example.com", "4.3.2.11.in-addr.arpa"] {
        assert!(asker.is_forwarded(name, A), "{name}");
    }
    assert_eq!(asker.rcode("leader.mesos", A), ResponseCode::ServFail);
    // What is ours may have a name in a moment.
    assert_eq!(
        asker.rcode("3.2.1.10.in-addr.arpa", PTR),
        ResponseCode::ServFail
    );
    assert_eq!(asker.rcode("a.onion", A), ResponseCode::NXDomain);
}

#[test]
fn localhost_is_this_host_for_everybody() {
    for settings in [settings(), forwarding_for(&[])] {
        let mut asker = asker(settings);
        asker.address = "192.0.2.1";
        for name in ["localhost.", "a.b.localhost.", "LocalHost.", "*.localhost."] {
            let a = asker.ask(name, A);
            let expected = format!("{name} 10800 IN A 127.0.0.1");
            assert_eq!(records(&a), [vec![expected], vec![], vec![]], "{name}");
            assert!(a.metadata.authoritative && a.metadata.recursion_available);
            let aaaa = asker.ask(name, AAAA);
            assert_eq!(
                aaaa.answers[0].to_string(),
                format!("{name} 10800 IN AAAA ::1")
            );
            assert_eq!(asker.ask(name, ANY).answers.len(), 2, "{name}");
        }
        for (name, rtype) in [
            ("localhost.", TXT),
            ("a.localhost.", SOA),
            ("localhost.", NS),
        ] {
            let nodata = asker.ask(name, rtype);
            assert_eq!(nodata.metadata.response_code, ResponseCode::NoError);
            let soa = format!("localhost. {SPECIAL_SOA}");
            assert_eq!(
                records(&nodata),
                [vec![], vec![soa], vec![]],
                "{name} {rtype}"
            );
        }
    }
}

#[test]
fn no_name_exists_in_invalid_and_onion() {
    let mut asker = asker(forwarding_for(&["0.0.0.0/0"]));
    for (name, apex) in [
        ("invalid", "invalid."),
        ("a.b.invalid", "invalid."),
        ("onion", "onion."),
        ("duck.onion", "onion."),
        ("duck.*.onion", "onion."),
    ] {
        for rtype in [A, AAAA, TXT, ANY] {
            let answer = asker.ask(name, rtype);
            assert_eq!(
                answer.metadata.response_code,
                ResponseCode::NXDomain,
                "{name}"
            );
            let soa = format!("{apex} {SPECIAL_SOA}");
            assert_eq!(records(&answer), [vec![], vec![soa], vec![]], "{name}");
        }
    }
}

#[test]
fn own_domain_comes_before_special_names() {
    let mut asker = asker(Settings {
        domain: rollcall::dns::name::wire_from_text("localhost")
            .expect("a name")
            .into(),
        ..settings()
    });
    asker.snapshot = None;
    assert_eq!(asker.rcode("leader.localhost", A), ResponseCode::ServFail);
    assert_eq!(asker.rcode("localhost", A), ResponseCode::ServFail);
}

#[test]
fn reverse_zones_are_ours_in_full_and_no_other_reverse_name_is() {
    for (reverse_dns_on, ours) in [
        (true, ResponseCode::NoError),
        (false, ResponseCode::NXDomain),
    ] {
        let mut asker = asker(with_reverse_zones(
            &["10.1.0.0/16", "2001:db8::/32"],
            reverse_dns_on,
        ));
        let soa = "1.10.in-addr.arpa. 60 IN SOA ns1.mesos. root.ns1.mesos. 7 60 600 86400 60";
        assert_eq!(asker.rcode("3.2.1.10.in-addr.arpa", PTR), ours);
        for (name, rtype, expected) in [
            ("4.2.1.10.in-addr.arpa", PTR, ResponseCode::NXDomain),
            ("4.2.1.10.IN-ADDR.arpa", A, ResponseCode::NXDomain),
            ("9.3.2.1.10.in-addr.arpa", PTR, ResponseCode::NXDomain),
            ("2.1.10.in-addr.arpa", PTR, ResponseCode::NoError),
            ("1.10.in-addr.arpa", PTR, ResponseCode::NoError),
            ("3.2.1.10.in-addr.arpa", A, ours),
        ] {
            let answer = asker.ask(name, rtype);
            assert_eq!(answer.metadata.response_code, expected, "{name}");
            assert!(answer.metadata.authoritative, "{name}");
            let [answers, authorities, _] = records(&answer);
            assert!(answers.is_empty(), "{name}");
            assert_eq!(authorities[0].to_lowercase(), soa.to_lowercase(), "{name}");
        }
        let ipv6 = format!("{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(24));
        assert_eq!(asker.rcode(&ipv6, PTR), ResponseCode::NXDomain);
        for name in [
            "10.in-addr.arpa",
            "3.2.2.10.in-addr.arpa",
            "9.9.9.9.in-addr.arpa",
            "in-addr.arpa",
            "1.0.0.2.ip6.arpa",
            "arpa",
        ] {
            assert!(asker.is_forwarded(name, PTR), "{name}");
        }
    }
}

#[test]
fn names_of_our_addresses_are_answered_and_other_reverse_names_forwarded() {
    let mut asker = asker(with_reverse_zones(&[], true));
    let ours = asker.ask("3.2.1.10.in-addr.arpa", PTR);
    assert_eq!(
        ours.answers[0].to_string(),
        "3.2.1.10.in-addr.arpa. 60 IN PTR web.marathon.mesos."
    );
    assert!(asker.is_forwarded("4.2.1.10.in-addr.arpa", PTR));
    assert!(asker.is_forwarded("2.1.10.in-addr.arpa", PTR));
    let mut off = self::asker(with_reverse_zones(&[], false));
    assert!(off.is_forwarded("3.2.1.10.in-addr.arpa", PTR));
}
