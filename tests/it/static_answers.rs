//! What static records are answered with, read with somebody else's decoder: each type, wildcards, CNAMEs
//! and names outside of the domain, beside those of a cluster.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;
use proptest::prelude::*;
use rollcall::dns::subnet::{Blocks, Subnet};
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::records::World;
use rollcall::responses::Snapshot;
use rollcall::serve::respond::{Forwarding, Responder, Settings};
use rollcall::serve::{Client, Outcome, Respond, Transport};

use crate::support::client::{A, AAAA, ANY, ID, NS, SOA, SRV, TXT, query, with_edns};
use crate::worlds::{any_world, settings, snapshot, task, with_statics, world_of};

const CNAME: u16 = 5;
const PTR: u16 = 12;
/// The owner of the SOA in negative answers.
const OURS: Option<&str> = Some("mesos.");

/// A cluster with `web` at 10.1.0.1 and port 31000, and these static records.
fn cluster_with(statics: &str) -> World {
    let web = Task {
        addresses: [(AddressSource::NetInfo, [10, 1, 0, 1].into())].into(),
        port_ranges: [(31000, 31000)].into(),
        ..task("web.1", "web")
    };
    with_statics(world_of(vec![web]), statics)
}

/// With forwarding for loopback.
fn forwarding() -> Settings {
    let allowed = Subnet::parse("127.0.0.0/8").expect("a block");
    Settings {
        forwarding: Some(Forwarding {
            allowed: Blocks::new(&[allowed]),
        }),
        ..settings()
    }
}

struct Asker {
    snapshot: Snapshot,
    responder: Responder,
}

impl Asker {
    fn new(statics: &str) -> Self {
        Self::of(snapshot(&cluster_with(statics), 7), &settings())
    }

    fn of(snapshot: Snapshot, settings: &Settings) -> Self {
        Self {
            snapshot,
            responder: Responder::new(settings, 5),
        }
    }

    fn outcome(&mut self, query: &[u8], transport: Transport) -> (Outcome, Vec<u8>) {
        let mut response = vec![0xee; 65_535];
        let client = Client {
            transport,
            address: [127, 0, 0, 1].into(),
        };
        let snapshot = Some(&self.snapshot);
        let outcome = self
            .responder
            .respond(snapshot, query, client, &mut response);
        (outcome, response)
    }

    fn ask(&mut self, name: &str, rtype: u16) -> Message {
        match self.outcome(&query(name, rtype), Transport::Tcp) {
            (Outcome::Answer(length), response) => decoded(&response[..length]),
            _ => panic!("no answer to {name}"),
        }
    }

    /// The answers as text, and the code.
    fn answers(&mut self, name: &str, rtype: u16) -> (ResponseCode, Vec<String>) {
        let message = self.ask(name, rtype);
        let is_ours = message.metadata.response_code != ResponseCode::Refused
            && message.metadata.response_code != ResponseCode::ServFail;
        assert_eq!(message.metadata.authoritative, is_ours, "{name}");
        (message.metadata.response_code, texts(&message.answers))
    }

    #[track_caller]
    fn check(&mut self, name: &str, rtype: u16, expected: &[&str]) {
        let (code, found) = self.answers(name, rtype);
        assert_eq!(found, expected, "{name}");
        assert_eq!(code, ResponseCode::NoError, "{name}");
    }

    /// An answer without records, with or without our SOA.
    #[track_caller]
    fn check_none(&mut self, name: &str, rtype: u16, code: ResponseCode, soa: Option<&str>) {
        let message = self.ask(name, rtype);
        assert_eq!(message.metadata.response_code, code, "{name}");
        assert_eq!(texts(&message.answers), Vec::<String>::new(), "{name}");
        let owners = message.authorities.iter().map(|it| it.name.to_string());
        assert_eq!(owners.collect::<Vec<_>>(), soa.as_slice(), "{name}");
    }
}

fn decoded(octets: &[u8]) -> Message {
    let message = Message::from_vec(octets).expect("an answer that decodes");
    assert_eq!(message.metadata.id, ID);
    message
}

fn texts(records: &[Record]) -> Vec<String> {
    let sorted: BTreeSet<String> = records.iter().map(ToString::to_string).collect();
    sorted.into_iter().collect()
}

#[test]
fn every_type_is_answered_with_its_ttl() {
    let mut asker = Asker::new(
        "db 7 A 10.8.0.1\ndb 0 AAAA fd00::8\ndb TXT one \"t w o\"\ndb TXT three\n\
         _db._tcp 9 SRV 10 20 5432 db\n_db._tcp SRV 0 0 5433 db.example.\nn SRV 0 0 1 .\n",
    );
    asker.check("db.mesos", A, &["db.mesos. 7 IN A 10.8.0.1"]);
    asker.check("DB.mesos", AAAA, &["DB.mesos. 0 IN AAAA fd00::8"]);
    let texts = asker.ask("db.mesos", TXT);
    let strings = texts.answers.iter().map(|record| match &record.data {
        hickory_proto::rr::RData::TXT(txt) => txt.txt_data.iter().map(|it| it.to_vec()).collect(),
        other => panic!("{other}"),
    });
    let strings: BTreeSet<Vec<Vec<u8>>> = strings.collect();
    let expected = [
        vec![b"one".to_vec(), b"t w o".to_vec()],
        vec![b"three".to_vec()],
    ];
    assert_eq!(strings, expected.into());
    asker.check(
        "_db._tcp.mesos",
        SRV,
        &[
            "_db._tcp.mesos. 9 IN SRV 0 0 5433 db.example.",
            "_db._tcp.mesos. 9 IN SRV 10 20 5432 db.mesos.",
        ],
    );
    asker.check("n.mesos", SRV, &["n.mesos. 60 IN SRV 0 0 1 ."]);
    assert_eq!(asker.ask("db.mesos", ANY).answers.len(), 4);
    asker.check_none("db.mesos", SRV, ResponseCode::NoError, OURS);
    asker.check_none("_tcp.mesos", A, ResponseCode::NoError, OURS);
}

#[test]
fn static_and_cluster_records_of_one_type_are_one_rrset() {
    let service = "_web._tcp.marathon";
    let mut asker = Asker::new(&format!(
        "web.marathon 7 A 10.8.0.1\nweb.marathon.slave 99 A 10.8.0.2\n{service} SRV 5 6 7 web.marathon\n\
         leader TXT x\n@ A 10.8.0.3\n",
    ));
    asker.check(
        "web.marathon.mesos",
        A,
        &[
            "web.marathon.mesos. 7 IN A 10.1.0.1",
            "web.marathon.mesos. 7 IN A 10.8.0.1",
        ],
    );
    // One TTL for all, and no longer than the cluster's.
    asker.check(
        "web.marathon.slave.mesos",
        A,
        &[
            "web.marathon.slave.mesos. 60 IN A 10.0.0.1",
            "web.marathon.slave.mesos. 60 IN A 10.8.0.2",
        ],
    );
    let answers = texts(&asker.ask(&format!("{service}.mesos"), SRV).answers);
    let own = format!("{service}.mesos. 60 IN SRV 5 6 7 web.marathon.mesos.");
    assert!(answers.contains(&own), "{answers:?}");
    assert!(
        answers.iter().any(|it| it.contains("SRV 0 1 31000 web-")),
        "{answers:?}"
    );
    asker.check("leader.mesos", A, &["leader.mesos. 60 IN A 127.0.0.1"]);
    asker.check("mesos", A, &["mesos. 60 IN A 10.8.0.3"]);
    assert_eq!(asker.ask("mesos", SOA).answers.len(), 1);
    assert_eq!(asker.ask("mesos", ANY).answers.len(), 3);
}

#[test]
fn additional_section_says_of_a_target_what_its_own_name_says() {
    let mut asker = Asker::new(
        "a A 10.8.0.1\nb 5 A 10.8.0.2\nb AAAA fd00::2\nc.example. A 10.8.0.3\n\
         s SRV 0 0 1 a\ns SRV 0 0 2 b\ns SRV 0 0 3 c.example.\ns SRV 0 0 4 web.marathon\n",
    );
    let message = asker.ask("s.mesos", SRV);
    assert_eq!(
        texts(&message.additionals),
        [
            "a.mesos. 60 IN A 10.8.0.1",
            "b.mesos. 60 IN AAAA fd00::2",
            "c.example. 60 IN A 10.8.0.3",
            "web.marathon.mesos. 60 IN A 10.1.0.1",
        ]
    );
}

#[test]
fn wildcards_cover_what_does_not_exist() {
    let mut asker = Asker::new(
        "*.w 7 A 10.8.0.1\n*.w TXT x\nx.w TXT y\na.b.w A 10.8.0.2\n*.b.w CNAME x.w\n* TXT all\n\
         *.marathon A 10.8.0.3\n",
    );
    asker.check("q.w.mesos", A, &["q.w.mesos. 7 IN A 10.8.0.1"]);
    asker.check("p.Q.w.mesos", A, &["p.Q.w.mesos. 7 IN A 10.8.0.1"]);
    asker.check("q.w.mesos", TXT, &["q.w.mesos. 60 IN TXT x"]);
    asker.check_none("q.w.mesos", AAAA, ResponseCode::NoError, OURS);
    // Names that exist, empty non-terminals among them, are not covered.
    asker.check_none("x.w.mesos", A, ResponseCode::NoError, OURS);
    asker.check_none("b.w.mesos", A, ResponseCode::NoError, OURS);
    asker.check_none("w.mesos", A, ResponseCode::NoError, OURS);
    // The closest encloser has no wildcard of its own, and the one above covers no deeper.
    asker.check_none("q.a.b.w.mesos", A, ResponseCode::NXDomain, OURS);
    asker.check_none("q.x.w.mesos", TXT, ResponseCode::NXDomain, OURS);
    asker.check(
        "q.b.w.mesos",
        TXT,
        &[
            "q.b.w.mesos. 60 IN CNAME x.w.mesos.",
            "x.w.mesos. 60 IN TXT y",
        ],
    );
    asker.check("q.mesos", TXT, &["q.mesos. 60 IN TXT all"]);
    asker.check("*.w.mesos", A, &["*.w.mesos. 7 IN A 10.8.0.1"]);
    // Beside the names of the cluster.
    asker.check(
        "web.marathon.mesos",
        A,
        &["web.marathon.mesos. 60 IN A 10.1.0.1"],
    );
    asker.check(
        "wob.marathon.mesos",
        A,
        &["wob.marathon.mesos. 60 IN A 10.8.0.3"],
    );
    asker.check_none("_tcp.marathon.mesos", A, ResponseCode::NoError, OURS);
    asker.check_none("q._tcp.marathon.mesos", A, ResponseCode::NXDomain, OURS);
}

#[test]
fn names_outside_are_ours_where_the_file_has_them_and_no_others() {
    let statics = "$ORIGIN example.\ndb 7 A 10.8.0.1\n*.lab A 10.8.0.2\na.b.lab TXT x\n\
                   xmesos. A 10.8.0.3\nalias CNAME db\n";
    let mut asker = Asker::new(statics);
    asker.check("db.example", A, &["db.example. 7 IN A 10.8.0.1"]);
    asker.check("q.lab.example", A, &["q.lab.example. 60 IN A 10.8.0.2"]);
    asker.check("p.q.lab.example", A, &["p.q.lab.example. 60 IN A 10.8.0.2"]);
    asker.check("xmesos", A, &["xmesos. 60 IN A 10.8.0.3"]);
    asker.check(
        "alias.example",
        A,
        &[
            "alias.example. 60 IN CNAME db.example.",
            "db.example. 7 IN A 10.8.0.1",
        ],
    );
    for name in ["db.example", "q.lab.example", "a.b.lab.example"] {
        asker.check_none(name, AAAA, ResponseCode::NoError, None);
    }
    let others = [
        "example",
        "lab.example",
        "b.lab.example",
        "q.b.lab.example",
        "db2.example",
        "y",
    ];
    for name in others {
        asker.check_none(name, A, ResponseCode::Refused, None);
    }
    let mut asker = Asker::of(snapshot(&cluster_with(statics), 7), &forwarding());
    asker.check_none("db.example", AAAA, ResponseCode::NoError, None);
    for name in others {
        let (outcome, _) = asker.outcome(&query(name, A), Transport::Udp);
        assert!(matches!(outcome, Outcome::Forward), "{name}");
    }
}

#[test]
fn cnames_are_followed_in_the_table() {
    let mut asker = Asker::new(
        "www 9 CNAME alias\nalias CNAME web.marathon\nsvc CNAME _web._tcp.marathon\ngone CNAME nothing\n\
         up CNAME @\nout.example. CNAME www\nlost.example. CNAME nothing\ntxt CNAME t.example.\n\
         t.example. TXT x\n*.loop CNAME x.y.loop\n",
    );
    let chain = [
        "alias.mesos. 60 IN CNAME web.marathon.mesos.",
        "www.mesos. 9 IN CNAME alias.mesos.",
    ];
    let address = "web.marathon.mesos. 60 IN A 10.1.0.1";
    asker.check(
        "WWW.mesos",
        A,
        &["WWW.mesos. 9 IN CNAME alias.mesos.", chain[0], address],
    );
    asker.check(
        "out.example",
        A,
        &[
            chain[0],
            "out.example. 60 IN CNAME www.mesos.",
            address,
            chain[1],
        ],
    );
    let mut bare = chain.map(str::to_owned).to_vec();
    bare.sort();
    for (rtype, expected) in [(CNAME, &bare[1..]), (ANY, &bare[1..]), (AAAA, &bare[..])] {
        let message = asker.ask("www.mesos", rtype);
        assert_eq!(texts(&message.answers), expected);
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
        assert_eq!(message.authorities.len(), usize::from(rtype == AAAA));
    }
    let message = asker.ask("svc.mesos", SRV);
    assert_eq!(message.answers.len(), 2);
    assert_eq!(message.additionals.len(), 1);
    for name in ["gone.mesos", "lost.example"] {
        let message = asker.ask(name, A);
        assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(message.answers.len(), 1);
        assert_eq!(message.authorities[0].name.to_string(), "mesos.");
    }
    for (rtype, code) in [(SOA, 2), (NS, 2), (A, 1)] {
        assert_eq!(asker.ask("up.mesos", rtype).answers.len(), code, "{rtype}");
    }
    asker.check(
        "txt.mesos",
        TXT,
        &[
            "t.example. 60 IN TXT x",
            "txt.mesos. 60 IN CNAME t.example.",
        ],
    );
    let message = asker.ask("txt.mesos", A);
    assert_eq!((message.answers.len(), message.authorities.len()), (1, 0));
    assert_eq!(
        asker.ask("a.loop.mesos", A).answers.len(),
        8,
        "a circle ends"
    );
}

#[test]
fn cname_to_elsewhere_is_for_the_forwarder_of_those_who_may_ask_it() {
    let statics = "out CNAME far\nfar CNAME www.example.\n";
    let mut asker = Asker::new(statics);
    let records = [
        "far.mesos. 60 IN CNAME www.example.",
        "out.mesos. 60 IN CNAME far.mesos.",
    ];
    asker.check("out.mesos", A, &records);
    let mut asker = Asker::of(snapshot(&cluster_with(statics), 7), &forwarding());
    let asked = with_edns(query("out.mesos", A), 1232, 0, false);
    let (outcome, response) = asker.outcome(&asked, Transport::Udp);
    let Outcome::Follow { bytes, target_at } = outcome else {
        panic!("it is to be followed");
    };
    let target = b"\x03www\x07example\0";
    assert_eq!(&response[target_at..][..target.len()], target);
    assert_eq!(target_at + target.len(), bytes, "nothing stands behind it");
    let message = decoded(&response[..bytes]);
    assert_eq!(texts(&message.answers), records);
    assert!(message.edns.is_none() && message.metadata.authoritative);
    asker.check("out.mesos", CNAME, &[records[1]]);
}

#[test]
fn cluster_wins_over_a_cname_of_its_name() {
    let mut asker = Asker::new("web.marathon CNAME db.example.\nslave.x CNAME leader\n");
    asker.check(
        "web.marathon.mesos",
        A,
        &["web.marathon.mesos. 60 IN A 10.1.0.1"],
    );
    asker.check_none("web.marathon.mesos", CNAME, ResponseCode::NoError, OURS);
    asker.check_none("web.marathon.mesos", AAAA, ResponseCode::NoError, OURS);
}

#[test]
fn static_pointers_stand_in_the_place_of_the_clusters() {
    let statics = "1.0.1.10.in-addr.arpa. PTR db\n9.0.8.10.in-addr.arpa. PTR db\n\
                   *.7.10.in-addr.arpa. PTR lab\nr CNAME 1.0.0.10.in-addr.arpa.\n";
    for reverse_dns_on in [false, true] {
        let settings = Settings {
            reverse_dns_on,
            ..settings()
        };
        let mut asker = Asker::of(snapshot(&cluster_with(statics), 7), &settings);
        for (name, target) in [
            ("1.0.1.10.in-addr.arpa", "db"),
            ("9.0.8.10.in-addr.arpa", "db"),
            ("1.2.7.10.in-addr.arpa", "lab"),
        ] {
            asker.check(name, PTR, &[&format!("{name}. 60 IN PTR {target}.mesos.")]);
        }
        for name in ["2.0.1.10.in-addr.arpa", "8.10.in-addr.arpa", "in-addr.arpa"] {
            asker.check_none(name, PTR, ResponseCode::Refused, None);
        }
        // That of the agent has a task's, which is served where ReverseDnsOn is set.
        let mut asker = Asker::of(
            snapshot(
                &with_statics(world_of(vec![task("web.1", "web")]), statics),
                7,
            ),
            &settings,
        );
        let (code, found) = asker.answers("1.0.0.10.in-addr.arpa", PTR);
        assert_eq!(code == ResponseCode::NoError, reverse_dns_on);
        assert_eq!(found.len(), usize::from(reverse_dns_on));
        assert_eq!(
            asker.ask("r.mesos", PTR).answers.len(),
            1 + usize::from(reverse_dns_on)
        );
    }
}

#[test]
fn before_the_cluster_is_known_static_names_are_answered_and_no_other_is_denied() {
    let world = cluster_with(
        "db A 10.8.0.1\nx.example. A 10.8.0.2\nin CNAME db\nout CNAME web.marathon\n*.w A 10.8.0.3\n\
         up CNAME leader\nwild CNAME q.w\n",
    );
    let mut snapshot = snapshot(&world, 7);
    snapshot.table = snapshot.table.into_partial();
    let mut asker = Asker::of(snapshot, &settings());
    asker.check("db.mesos", A, &["db.mesos. 60 IN A 10.8.0.1"]);
    asker.check("x.example", A, &["x.example. 60 IN A 10.8.0.2"]);
    asker.check(
        "in.mesos",
        A,
        &[
            "db.mesos. 60 IN A 10.8.0.1",
            "in.mesos. 60 IN CNAME db.mesos.",
        ],
    );
    for (name, rtype) in [
        ("db.mesos", AAAA),
        ("mesos", SOA),
        ("w.mesos", A),
        ("q.w.mesos", A),
        ("nothing.mesos", A),
        ("leader.mesos", A),
    ] {
        asker.check_none(name, rtype, ResponseCode::ServFail, None);
    }
    asker.check_none("y.example", A, ResponseCode::Refused, None);
    for name in ["out.mesos", "up.mesos", "wild.mesos"] {
        let message = asker.ask(name, A);
        assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
        assert_eq!(message.answers.len(), 1, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_decodes_and_stays_within_its_limit(
        world in any_world(), size in 0..1500_u16,
        names in prop::collection::vec("(q\\.)?(web|db|x|\\*)\\.(marathon\\.mesos|w\\.mesos|example)", 1..6),
    ) {
        let long = format!("\"{}\" ", "x".repeat(255)).repeat(5);
        let world = with_statics(world, &format!(
            "web.marathon 7 A 10.5.0.1\n*.w CNAME long.w\nlong.w TXT {long}\nx.example. CNAME q.w\n\
             *.marathon SRV 1 2 3 web.marathon\ndb.example. TXT {long}\n",
        ));
        let mut asker = Asker::of(snapshot(&world, 7), &settings());
        let limit = usize::from(size).clamp(512, 1232);
        for name in &names {
            for rtype in [A, AAAA, CNAME, SRV, TXT, ANY, PTR] {
                let asked = with_edns(query(name, rtype), size, 0, false);
                match asker.outcome(&asked, Transport::Udp) {
                    (Outcome::Answer(length), response) => {
                        prop_assert!(length <= limit);
                        decoded(&response[..length]);
                    }
                    _ => prop_assert!(false, "no answer to {name}"),
                }
            }
        }
    }
}
