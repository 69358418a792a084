//! Any octets by any transport, answered by `respond` and judged by `expected`. What is sent must be a
//! message that others can read, within its limit, true, and whole where it says so.

use std::net::IpAddr;

use rollcall::dns::cookie::Secret;
use rollcall::dns::message::{LowerName, Parsed, Query, parse};
use rollcall::dns::subnet::{Blocks, Subnet};
use rollcall::responses::Snapshot;
use rollcall::serve::respond::{Chaos, Forwarding, Limiting, Responder, Settings, SubnetFirst};
use rollcall::serve::{Client, Outcome, Respond, Transport};

use super::expected::{Asked, Expected, Rules};
use super::octets::Octets;
use super::query;
use super::wire::{A, AAAA, ANY, CNAME, Parts, Record, SOA, wire};
use super::world::{Known, names, worlds};

const TCP_BYTES_MAX: usize = 65_535;
const CLIENTS: &[&str] = &[
    "127.0.0.1",
    "10.1.0.9",
    "192.0.2.1",
    "fd00::2",
    "2001:db8::1",
];
const BLOCKS: [&str; 4] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "2001:db8::/32",
];
const RD: u16 = 0x0100;
const CD: u16 = 0x0010;
const TC: u16 = 0x0200;

/// A question put to it, and all that decides the answer.
struct Case<'a> {
    known: Option<&'a Known>,
    settings: Settings,
    client: Client,
    seed: u64,
    message: Vec<u8>,
}

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let known = worlds().get(usize::from(octets.u8() % 4));
    let bits = octets.u8();
    let client = Client {
        transport: if octets.flag() {
            Transport::Tcp
        } else {
            Transport::Udp
        },
        address: octets.choose(CLIENTS).parse().expect("an address"),
    };
    let seed = octets.u8().into();
    let case = Case {
        known,
        settings: settings(bits),
        client,
        seed,
        message: query::message(&mut octets, names()),
    };
    case.judge();
}

fn blocks(texts: &[&str]) -> Box<[Subnet]> {
    let blocks = texts.iter().map(|it| Subnet::parse(it).expect(it));
    blocks.collect()
}

fn settings(bits: u8) -> Settings {
    let is_set = |bit: u8| bits >> bit & 1 == 1;
    Settings {
        domain: wire("mesos").into(),
        recurse_on: is_set(0),
        set_truncate_bit: !is_set(1),
        reverse_dns_on: is_set(2),
        reverse_zones: if is_set(3) {
            blocks(&BLOCKS[1..])
        } else {
            [].into()
        },
        subnet_first: is_set(4).then(|| SubnetFirst {
            believed: Blocks::new(&blocks(&BLOCKS[..1])),
        }),
        chaos: is_set(5).then(|| Chaos {
            version: "rollcall".into(),
            hostname: "host".into(),
        }),
        limiting: match is_set(7) {
            true => Limiting {
                exempt: Blocks::new(&blocks(&BLOCKS[..2])),
                ..Limiting::default()
            },
            false => Limiting::default(),
        },
        cookie_secret: Secret::new([bits; 16]),
        forwarding: is_set(6).then(|| Forwarding {
            allowed: Blocks::new(&blocks(&BLOCKS[..2])),
        }),
    }
}

impl Case<'_> {
    fn snapshot(&self) -> Option<&Snapshot> {
        self.known.map(|known| &known.snapshot)
    }

    fn respond(&self, transport: Transport) -> (Outcome, Vec<u8>) {
        let mut response = buffer(transport);
        let client = Client {
            transport,
            ..self.client
        };
        let mut responder = Responder::new(&self.settings, self.seed);
        let outcome = responder.respond(self.snapshot(), &self.message, client, &mut response);
        if let Outcome::Answer(bytes) | Outcome::Follow { bytes, .. } = outcome {
            response.truncate(bytes);
        }
        self.respond_in_batch(client, (outcome, &response));
        (outcome, response)
    }

    /// In the middle of a batch it is answered alike.
    fn respond_in_batch(&self, client: Client, (outcome, response): (Outcome, &[u8])) {
        const PLACE: usize = 63;
        let mut other = buffer(client.transport);
        let mut responder = Responder::new(&self.settings, self.seed);
        responder.begin_batch(0);
        responder.read(self.snapshot(), PLACE, &self.message);
        responder.fetch_slot(self.snapshot(), PLACE);
        responder.fetch_entry(self.snapshot(), PLACE);
        let again =
            responder.respond_read(self.snapshot(), PLACE, &self.message, client, &mut other);
        assert_eq!(again, outcome);
        if let Outcome::Answer(bytes) = again {
            assert_eq!(other[..bytes], *response);
        }
    }

    fn judge(&self) {
        self.judge_truncated();
        let (outcome, response) = self.respond(self.client.transport);
        let mut name = LowerName::default();
        match parse(&self.message, &mut name) {
            Parsed::Drop => assert_eq!(outcome, Outcome::Drop),
            Parsed::Fault {
                rcode,
                question_end,
                edns,
                ..
            } => {
                let parts = self.answer_parts(outcome, &response);
                assert_eq!(parts.rcode(), rcode as u16);
                assert_eq!(parts.opt.is_some(), edns.is_some());
                assert_eq!(parts.sections, [const { Vec::new() }; 3]);
                let question = question_end.map(|end| self.message[12..end].to_vec());
                assert_eq!(parts.question, question);
                assert_eq!(parts.flags & !(RD | CD | 0x7800 | 15), 0x8000);
                assert!(response.len() <= 512);
            }
            Parsed::Query(query) => self.judge_query(&query, name.as_wire(), outcome, &response),
        }
    }

    /// What was cut off on reception is a FORMERR, and can be read.
    fn judge_truncated(&self) {
        let mut response = vec![0; 1232];
        let mut responder = Responder::new(&self.settings, self.seed);
        match responder.respond_truncated(&self.message, &mut response) {
            Outcome::Drop => {}
            Outcome::Answer(bytes) => {
                let parts = Parts::read_ours(&response[..bytes]);
                assert_eq!(parts.rcode(), 1);
                assert!(bytes <= 512);
            }
            other => panic!("{other:?}"),
        }
    }

    /// The answer's parts, and what holds for all answers.
    fn answer_parts(&self, outcome: Outcome, response: &[u8]) -> Parts {
        let Outcome::Answer(_) = outcome else {
            panic!("{outcome:?} for {}", self.message.escape_ascii());
        };
        let parts = Parts::read_ours(response);
        let asked = u16::from_be_bytes([self.message[2], self.message[3]]);
        assert_eq!(parts.id.to_be_bytes(), self.message[..2]);
        assert_eq!(parts.flags >> 15, 1);
        let copied = 0x7800 | RD | CD;
        assert_eq!(parts.flags & copied, asked & copied);
        // Neither Z nor AD.
        assert_eq!(parts.flags & 0x0060, 0);
        parts
    }

    fn judge_query(&self, query: &Query, name: &[u8], outcome: Outcome, response: &[u8]) {
        let spelled = self.message[12..query.question_end - 4].to_ascii_lowercase();
        let asked = Asked {
            spelled: &spelled,
            name,
            rtype: query.qtype,
            class: query.qclass,
            wants_recursion: query.flags & RD != 0,
        };
        // Those of `settings`, by the slower way to tell.
        let mut allowed = blocks(&BLOCKS[..2]).into_iter();
        let is_allowed = allowed.any(|it| it.holds_address(self.client.address));
        let rules = Rules {
            reverse_dns_on: self.settings.reverse_dns_on,
            has_reverse_zones: !self.settings.reverse_zones.is_empty(),
            chaos_on: self.settings.chaos.is_some(),
            may_forward: self.settings.forwarding.is_some() && is_allowed,
        };
        let mut expected = Expected::of(self.known, rules, &asked);
        if let Outcome::Answer(_) = outcome {
            self.narrow(query, response, &mut expected);
        }
        let shown = || format!("{asked:?}\n{expected:#?}\n{:?}", self.settings);
        if expected.forward {
            return assert_eq!(outcome, Outcome::Forward, "{}", shown());
        }
        if let (Some(target), Outcome::Follow { bytes, target_at }) = (&expected.follow, outcome) {
            assert!(response[target_at..].starts_with(target), "{}", shown());
            let parts = Parts::read_ours(&response[..bytes]);
            let [answers, authorities, additionals] = parts.sections;
            assert_eq!(sorted(&answers), sorted(&expected.answers), "{}", shown());
            assert!(authorities.is_empty() && additionals.is_empty() && parts.opt.is_none());
            return;
        }
        let parts = self.answer_parts(outcome, response);
        let bytes_max = self.bytes_max(query);
        assert!(
            response.len() <= bytes_max,
            "{} of {bytes_max}\n{}",
            response.len(),
            shown()
        );
        assert_eq!(
            parts.question.as_deref(),
            Some(&self.message[12..query.question_end])
        );
        assert_eq!(parts.rcode(), expected.rcode, "{}", shown());
        let is_authoritative = parts.flags & 0x0400 != 0;
        assert_eq!(is_authoritative, expected.is_authoritative, "{}", shown());
        let offers_recursion = is_authoritative && query.qclass == 1 && self.settings.recurse_on;
        assert_eq!(parts.flags & 0x0080 != 0, offers_recursion, "{}", shown());
        self.judge_sections(query, &parts, &expected, bytes_max - response.len());
        self.judge_opt(query, &parts);
        self.judge_order(query, &parts.sections[0]);
    }

    /// RFC 8482, 4.1: strangers who ask for ANY over UDP get one RRset of those that there are.
    fn narrow(&self, query: &Query, response: &[u8], expected: &mut Expected) {
        let is_known = self.settings.limiting.exempt.hold(self.client.address);
        let parts = Parts::read_ours(response);
        if query.qtype == ANY
            && self.client.transport == Transport::Udp
            && !is_known
            && let Some(first) = parts.sections[0].first()
        {
            expected.answers.retain(|it| it.rtype == first.rtype);
        }
    }

    fn judge_sections(&self, query: &Query, parts: &Parts, expected: &Expected, room: usize) {
        let [answers, authorities, additionals] = &parts.sections;
        let shown = || format!("{parts:#?}\n{expected:#?}");
        let (ours, whole) = (sorted(answers), sorted(&expected.answers));
        assert!(
            ours.windows(2).all(|pair| pair[0] != pair[1]),
            "twice\n{}",
            shown()
        );
        let missing: Vec<_> = whole
            .iter()
            .filter(|it| ours.binary_search(it).is_err())
            .collect();
        assert_eq!(
            ours.len() + missing.len(),
            whole.len(),
            "untrue\n{}",
            shown()
        );
        let mut is_cut = !missing.is_empty() || expected.follow.is_some();
        match &expected.soa_owner {
            Some(owner) if authorities.is_empty() => {
                is_cut = true;
                assert!(
                    room < 12 + owner.len() + 2 * 255 + 20,
                    "no SOA\n{}",
                    shown()
                );
            }
            Some(owner) => {
                let [soa] = &authorities[..] else {
                    panic!("{}", shown())
                };
                assert_eq!((soa.rtype, &soa.owner), (SOA, owner), "{}", shown());
                assert!([30, 10_800].contains(&soa.ttl));
            }
            None => assert!(authorities.is_empty(), "{}", shown()),
        }
        let says_so = parts.flags & TC != 0;
        assert_eq!(
            says_so,
            is_cut && self.settings.set_truncate_bit,
            "{}",
            shown()
        );
        // Addresses go into all the room there is.
        let is_simple = [A, AAAA].contains(&query.qtype);
        if is_simple && is_cut && whole.iter().all(|it| it.rtype != CNAME) {
            let least = missing.iter().map(|it| 12 + it.data.len()).min();
            assert!(
                least.is_none_or(|least| room < least),
                "room for {room}\n{}",
                shown()
            );
        }
        let others = sorted(additionals);
        let mut allowed = expected.additional(self.known);
        assert!(
            others.windows(2).all(|pair| pair[0] != pair[1]),
            "twice\n{}",
            shown()
        );
        if is_cut {
            assert!(others.is_empty(), "{}", shown());
        } else if room > 1_000
            && self.client.transport == Transport::Tcp
            && room > TCP_BYTES_MAX / 2
        {
            allowed.sort();
            assert_eq!(others, allowed, "{}", shown());
        } else {
            assert!(others.iter().all(|it| allowed.contains(it)), "{}", shown());
        }
    }

    fn bytes_max(&self, query: &Query) -> usize {
        match (self.client.transport, &query.edns) {
            (Transport::Tcp, _) => TCP_BYTES_MAX,
            (Transport::Udp, None) => 512,
            (Transport::Udp, Some(edns)) => usize::from(edns.udp_bytes).clamp(512, 1232),
        }
    }

    fn judge_opt(&self, query: &Query, parts: &Parts) {
        let (Some(opt), Some(edns)) = (&parts.opt, &query.edns) else {
            return assert_eq!(parts.opt.is_some(), query.edns.is_some());
        };
        assert_eq!(opt.class, 1232);
        assert_eq!(opt.ttl & 0x00ff_ffff, u32::from(edns.dnssec_ok) << 15);
        let mut options = &opt.data[..];
        if edns.cookie.is_some() {
            let (before, cookie) = options.split_last_chunk::<28>().expect("a cookie");
            assert_eq!(cookie[..4], [0, 10, 0, 24], "{opt:?}");
            // Whose it is stands in the query.
            let client = &cookie[4..12];
            assert!(self.message.windows(8).any(|it| it == client), "{opt:?}");
            options = before;
        }
        let believes = self.settings.subnet_first.is_some() && self.client.address.is_loopback();
        let stated = edns.subnet.filter(|_| believes && query.qclass == 1);
        if let Some(subnet) = stated {
            // Code, length, family, and the scope as long as the prefix.
            let [0, 8, _, _, 0, 1 | 2, source, scope, ..] = *options else {
                panic!("{opt:?}");
            };
            assert_eq!(
                (source, scope),
                (subnet.prefix_bits(), subnet.prefix_bits())
            );
        } else if query.qclass == 1 {
            assert!(options.is_empty());
        }
    }

    /// With ResolvSubnetFirst what is near the client comes first.
    fn judge_order(&self, query: &Query, answers: &[Record]) {
        if self.settings.subnet_first.is_none() || ![A, AAAA].contains(&query.qtype) {
            return;
        }
        let stated = query.edns.and_then(|edns| edns.subnet);
        let own = match self.client.address {
            IpAddr::V4(_) => Subnet::new(self.client.address, 24),
            IpAddr::V6(_) => Subnet::new(self.client.address, 64),
        };
        let near = stated
            .filter(|_| self.client.address.is_loopback())
            .unwrap_or(own);
        let addresses = answers.iter().filter(|it| it.rtype == query.qtype);
        let mut is_near = addresses.map(|it| near.holds(&it.data));
        let _ = is_near.by_ref().find(|is_near| !is_near);
        assert!(
            !is_near.any(|is_near| is_near),
            "{near} is not first: {answers:#?}"
        );
    }
}

/// As large as the workers' own.
fn buffer(transport: Transport) -> Vec<u8> {
    let bytes = match transport {
        Transport::Udp => 1232,
        Transport::Tcp => TCP_BYTES_MAX,
    };
    vec![0xee; bytes]
}

fn sorted(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    records.sort();
    records
}
