//! What comes through Rollcall is what the upstream says: asked of both, record by record and flag by
//! flag, fresh and from the cache.

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record};
use serde_json::json;

use super::Host;
use crate::support::client::{A, AAAA, Client, NS, SOA, SRV, TXT, decode, query, with_edns};
use crate::support::upstream::Upstream;
use rollcall::limits::UDP_EDNS_BYTES_MAX;

const CNAME: u16 = 5;
const PTR: u16 = 12;
const MX: u16 = 15;
const NAPTR: u16 = 35;
const SSHFP: u16 = 44;
const DNSKEY: u16 = 48;
const TLSA: u16 = 52;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;
const CAA: u16 = 257;
/// For private use (RFC 6895, 3.1): its data is known to nobody.
const PRIVATE: u16 = 65_280;

/// Header flags that a query has.
const AD: u8 = 0x20;
const CD: u8 = 0x10;

/// Records of many types. `big` is too much for 4,096 octets, `large` for 1,232, `medium` for 512.
fn zone() -> String {
    let mut zone = String::from(
        r#"$ORIGIN example.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
@ MX 10 mail
@ MX 20 mail2
mail A 192.0.2.25
mail AAAA 2001:db8::25
mail2 A 192.0.2.26
@ TXT "v=spf1 -all" "and another \"string\""
@ CAA 0 issue "ca.example.net"
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
MiXeD A 192.0.2.3
_http._tcp SRV 0 5 80 www
_http._tcp SRV 1 5 8080 mail
naptr NAPTR 100 10 "S" "SIP+D2U" "!^.*$!sip:info@example.net!" _sip._udp
host SSHFP 1 1 123456789abcdef67890123456789abcdef67890
_443._tcp.www TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
www HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1
svc SVCB 1 www port=853
ptr PTR www
private TYPE65280 \# 4 deadbeef
chain CNAME chain1
chain1 CNAME chain2
chain2 CNAME www
dangling CNAME nowhere
loop1 CNAME loop2
loop2 CNAME loop1
old DNAME wild
a.b.c TXT "c and b are empty"
*.wild A 192.0.2.9
*.wild TXT "any"
zero 0 A 192.0.2.10
"#,
    );
    for number in 0..8 {
        zone += &format!("_many._tcp SRV 0 0 {number} host{number}\n");
        zone += &format!("host{number} A 192.0.2.{number}\nhost{number} AAAA 2001:db8::{number}\n");
    }
    for (name, count) in [("medium", 10), ("large", 25), ("big", 80)] {
        for number in 0..count {
            zone += &format!("{name} TXT {number:063}\n");
        }
    }
    zone
}

const QUESTIONS: &[(&str, u16)] = &[
    ("example", SOA),
    ("example", NS),
    ("example", MX),
    ("example", TXT),
    ("example", CAA),
    ("example", DNSKEY),
    ("example", A),
    ("www.example", A),
    ("WWW.example", AAAA),
    ("www.example", HTTPS),
    ("www.example", MX),
    ("mixed.EXAMPLE", A),
    ("_http._tcp.example", SRV),
    ("naptr.example", NAPTR),
    ("host.example", SSHFP),
    ("_443._tcp.www.example", TLSA),
    ("svc.example", SVCB),
    ("ptr.example", PTR),
    ("private.example", PRIVATE),
    ("chain.example", A),
    ("chain.example", AAAA),
    ("chain.example", MX),
    ("chain.example", CNAME),
    ("dangling.example", A),
    ("x.old.example", A),
    ("b.c.example", A),
    ("c.example", TXT),
    ("x.wild.example", A),
    ("x.y.wild.example", TXT),
    ("x.wild.example", AAAA),
    ("nothing.example", A),
    ("x.nothing.example", TXT),
    ("zero.example", A),
    ("loop1.example", A),
    ("www.elsewhere", A),
    ("medium.example", TXT),
    ("large.example", TXT),
    ("big.example", TXT),
];

/// How one question is asked.
#[derive(Clone, Copy, Debug)]
struct Manner {
    over_tcp: bool,
    /// Size and DO of an OPT record.
    edns: Option<(u16, bool)>,
    flags: u8,
}

/// Smaller sizes come first: what is whole in the cache is not asked for again.
fn manners() -> Vec<Manner> {
    let sizes = [512, 1232, 4096];
    let signed = sizes.map(|size| Some((size, true)));
    let unsigned = [
        None,
        Some((512, false)),
        Some((1232, false)),
        Some((4096, false)),
    ];
    let mut manners = Vec::new();
    for flags in [0, AD, CD] {
        for over_tcp in [false, true] {
            for edns in unsigned.iter().chain(&signed) {
                let edns = *edns;
                manners.push(Manner {
                    over_tcp,
                    edns,
                    flags,
                });
            }
        }
    }
    manners
}

fn ask(client: &Client, question: (&str, u16), manner: Manner) -> Message {
    decode(&ask_octets(client, question, manner))
}

fn ask_octets(client: &Client, (name, rtype): (&str, u16), manner: Manner) -> Vec<u8> {
    let mut message = query(name, rtype);
    message[3] |= manner.flags;
    if let Some((size, dnssec_ok)) = manner.edns {
        message = with_edns(message, size, 0, dnssec_ok);
    }
    match manner.over_tcp {
        true => client.tcp(&message),
        false => client.udp(&message),
    }
}

/// Records as text without their TTLs, each section sorted: servers turn sets round.
fn sections(message: &Message) -> [Vec<String>; 3] {
    let text = |record: &Record| {
        let (name, kind) = (&record.name, record.record_type());
        format!("{name} {} {kind} {}", record.dns_class, record.data)
    };
    [&message.answers, &message.authorities, &message.additionals].map(|section| {
        let mut texts: Vec<_> = section.iter().map(text).collect();
        texts.sort();
        texts
    })
}

/// The lowest TTL of the records.
fn ttl(message: &Message) -> Option<u32> {
    let sections = [&message.answers, &message.authorities, &message.additionals];
    let records = sections.into_iter().flatten();
    records.map(|record| record.ttl).min()
}

/// What each says to one question. `is_first`: it did not come from the cache. Over UDP ours have
/// `UDP_EDNS_BYTES_MAX` octets at most, whatever a client takes.
fn compare(direct: &[u8], through: &[u8], manner: Manner, is_first: bool, what: &str) {
    let is_long = !manner.over_tcp && direct.len() > UDP_EDNS_BYTES_MAX;
    let (direct, through) = (&decode(direct), &decode(through));
    let (theirs, ours) = (&direct.metadata, &through.metadata);
    // What the cache has may do without additional records.
    let is_cut = theirs.truncation || is_long && (is_first || ours.truncation);
    assert_eq!(through.queries, direct.queries, "{what}");
    assert_eq!(ours.response_code, theirs.response_code, "{what}");
    assert_eq!(ours.truncation, is_cut, "TC of {what}");
    let rd_and_ra = |message: &Message| {
        let flags = &message.metadata;
        (flags.recursion_desired, flags.recursion_available)
    };
    assert_eq!(rd_and_ra(through), rd_and_ra(direct), "RD, RA of {what}");
    // Nothing was checked of what is not there.
    if !is_cut {
        assert_eq!(ours.authentic_data, theirs.authentic_data, "AD of {what}");
    }
    // A resolver gives CD back as it was (RFC 4035, 3.2.2); a server of the zone clears it.
    if is_first && !is_long || !theirs.authoritative {
        let (ours, theirs) = (ours.checking_disabled, theirs.checking_disabled);
        assert_eq!(ours, theirs, "CD of {what}");
    }
    let edns = |message: &Message| {
        let edns = message.edns.as_ref();
        edns.map(|edns| (edns.version(), edns.flags().dnssec_ok))
    };
    assert_eq!(edns(through), edns(direct), "OPT of {what}");
    let (ours_in, theirs_in) = (sections(through), sections(direct));
    if is_first && !is_long {
        assert_eq!(ours_in, theirs_in, "{what}");
    } else if is_cut {
        // Cut to size here, or asked again.
        let is_bare = ours_in.concat().is_empty();
        assert!(is_bare || ours_in == theirs_in, "{what}: {ours_in:?}");
    } else {
        assert_eq!(ours_in[..2], theirs_in[..2], "{what}");
        // What the size of the first who asked left out of it is not missed (RFC 2181, 9).
        let mut additional = ours_in[2].iter();
        let is_part = additional.all(|record| theirs_in[2].contains(record));
        assert!(is_part, "{what}: {ours_in:?}, not {theirs_in:?}");
    }
    if is_first {
        assert_eq!(ours.authoritative, theirs.authoritative, "AA of {what}");
    }
    if let (Some(ours), Some(theirs)) = (ttl(through), ttl(direct)) {
        assert!(
            ours.abs_diff(theirs) <= 10,
            "TTL {ours}, not {theirs}: {what}"
        );
    }
}

/// The zone's keys as unbound takes them.
fn anchors(knot: &Upstream) -> Vec<String> {
    let keys = ask(&knot.client(), ("example", DNSKEY), PLAIN_TCP).answers;
    assert!(!keys.is_empty(), "a signed zone");
    let octets = |key: &Record| match &key.data {
        RData::Unknown { rdata, .. } => rdata.anything.clone(),
        other => panic!("{other} is decoded, which is not asked of hickory-proto here"),
    };
    // RFC 3597, 5.
    let anchor = |octets: Vec<u8>| {
        let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("example. 300 IN DNSKEY \\# {} {digits}", octets.len())
    };
    keys.iter().map(octets).map(anchor).collect()
}

const PLAIN_TCP: Manner = Manner {
    over_tcp: true,
    edns: None,
    flags: 0,
};

fn compare_all(upstream: &Upstream, cache_bytes: u64) {
    let settings = json!({"Workers": 1, "CacheBytes": cache_bytes});
    let host = Host::new(&[upstream.address()], settings);
    let (direct, through) = (upstream.client(), host.rollcall.client());
    for &question in QUESTIONS {
        for manner in manners() {
            let wanted = ask_octets(&direct, question, manner);
            let is_first = cache_bytes == 0;
            for time in ["once", "again"] {
                let given = ask_octets(&through, question, manner);
                let what = format!("{question:?}, {manner:?}, {time}");
                compare(&wanted, &given, manner, is_first, &what);
            }
        }
    }
}

#[test]
fn answers_are_those_of_a_signed_zone_on_knot() {
    let knot = Upstream::signed_knot(&zone());
    compare_all(&knot, 0);
    compare_all(&knot, 1 << 20);
}

#[test]
fn answers_are_those_of_an_unbound_that_validates() {
    let knot = Upstream::signed_knot(&zone());
    let unbound = Upstream::unbound(&knot, &anchors(&knot));
    let checked = ask(&unbound.client(), ("www.example", A), PLAIN_TCP_AD);
    assert!(checked.metadata.authentic_data, "{checked:?}");
    compare_all(&unbound, 0);
    compare_all(&unbound, 1 << 20);
}

const PLAIN_TCP_AD: Manner = Manner {
    flags: AD,
    ..PLAIN_TCP
};

/// RFC 2181, 9: TC is for what an answer cannot be without.
#[test]
fn additional_records_of_the_cache_that_do_not_fit_are_left_out_without_tc() {
    let knot = Upstream::knot(&zone());
    let host = Host::new(&[knot.address()], json!({"Workers": 1}));
    let question = ("_many._tcp.example", SRV);
    let whole = ask(&host.rollcall.client(), question, PLAIN_TCP);
    assert_eq!((whole.answers.len(), whole.additionals.len()), (8, 16));
    let over_udp = Manner {
        over_tcp: false,
        ..PLAIN_TCP
    };
    for client in [knot.client(), host.rollcall.client()] {
        let octets = ask_octets(&client, question, over_udp);
        assert!(octets.len() <= 512, "{}", octets.len());
        let message = decode(&octets);
        assert!(!message.metadata.truncation, "{message}");
        assert_eq!(message.answers.len(), 8, "{message}");
        assert!(message.additionals.len() < 16, "{message}");
    }
}
