//! Query bytes in, response bytes out. PURE: no I/O, no clock, no lock, no allocation; the Snapshot
//! and the generator of random numbers are arguments. It must never panic and never write past the
//! buffer, whatever the query holds.
//!
//! A response is written front to back into the caller's buffer, never beyond the limit that the
//! transport and EDNS set: question, answers in random order, authority, additional, OPT. What does
//! not fit is left out: additional records without a word, answers with TC.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::answer::{Answer, Limits};
use super::{Client, Outcome, Respond, Transport};
use crate::dns::message::{Edns, HEADER_BYTES, LowerName, OPT_BYTES, Parsed, Query, flag, parse};
use crate::dns::subnet::Subnet;
use crate::dns::{Rcode, class, name, rtype};
use crate::limits::{TCP_MESSAGE_BYTES_MAX, UDP_EDNS_BYTES_MAX, UDP_PLAIN_BYTES_MAX};
use crate::responses::Snapshot;
use crate::responses::layout::Entry;

/// The configuration's part in answering that no table holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The domain in wire format, lower case: which names are SERVFAIL until there is a table.
    pub domain: Box<[u8]>,
    /// RA in our own answers (`RecurseOn`).
    pub recurse_on: bool,
    /// TC where answers were left out (`SetTruncateBit`).
    pub set_truncate_bit: bool,
    /// Serve PTR records (`ReverseDnsOn`).
    pub reverse_dns_on: bool,
    /// Answer addresses in the client's subnet first (`ResolvSubnetFirst`); none: as they come.
    pub subnet_first: Option<SubnetFirst>,
    /// What class CHAOS is answered with (`ChaosOn`); none: REFUSED.
    pub chaos: Option<Chaos>,
}

/// How the client's subnet is found.
#[derive(Clone, Debug, PartialEq)]
pub struct SubnetFirst {
    /// Who may state another subnet than its own in the client subnet option (`ClientSubnetFrom`):
    /// forwarders that speak for others (RFC 7871, 11).
    pub believed: Box<[Subnet]>,
}

/// Bits of a client's own address that stand for its subnet, IPv4 and IPv6.
const OWN_SUBNET_BITS: (u8, u8) = (24, 64);

/// Texts of `version.bind` and `hostname.bind`, at most 255 octets each.
#[derive(Clone, Debug, PartialEq)]
pub struct Chaos {
    pub version: Box<str>,
    pub hostname: Box<str>,
}

/// Settings that all threads follow: what is stored here counts from each thread's next batch.
pub type SharedSettings = Arc<ArcSwap<Settings>>;

/// Answers for one thread.
pub struct Responder {
    settings: Arc<Settings>,
    /// Where newer settings may be found; none: these stay.
    followed: Option<SharedSettings>,
    random: fastrand::Rng,
    name: LowerName,
}

/// Where a name belongs.
enum Route {
    /// In our domain, below the apex.
    Domain,
    Apex,
    /// Below in-addr.arpa or ip6.arpa.
    Reverse,
    Outside,
}

impl Responder {
    pub fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            followed: None,
            random: fastrand::Rng::with_seed(seed),
            name: LowerName::default(),
        }
    }

    /// With settings that may be replaced while it answers.
    pub fn following(settings: SharedSettings, seed: u64) -> Self {
        Self {
            settings: settings.load_full(),
            followed: Some(settings),
            random: fastrand::Rng::with_seed(seed),
            name: LowerName::default(),
        }
    }
}

impl Respond for Responder {
    fn begin_batch(&mut self) {
        if let Some(followed) = &self.followed {
            let newest = followed.load();
            if !Arc::ptr_eq(&newest, &self.settings) {
                self.settings = Arc::clone(&newest);
            }
        }
    }

    /// Answers one message. `response` holds at least `UDP_EDNS_BYTES_MAX` octets for UDP and
    /// `TCP_MESSAGE_BYTES_MAX` for TCP; a shorter buffer only shortens the answer.
    fn respond(
        &mut self,
        snapshot: Option<&Snapshot>,
        message: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome {
        let query = match parse(message, &mut self.name) {
            Parsed::Query(query) => query,
            Parsed::Fault {
                rcode,
                flags,
                question_end,
                edns,
            } => {
                return fault(message, rcode, flags, question_end, edns, response);
            }
            Parsed::Drop => return Outcome::Drop,
        };
        let bytes_max = match (client.transport, query.edns) {
            (Transport::Tcp, _) => TCP_MESSAGE_BYTES_MAX,
            (Transport::Udp, None) => UDP_PLAIN_BYTES_MAX,
            (Transport::Udp, Some(edns)) => edns.answer_bytes_max(UDP_EDNS_BYTES_MAX),
        };
        let (nearest, stated) = self.nearest(&query, client);
        let limits = Limits {
            bytes_max,
            reserved: match query.edns {
                Some(_) => OPT_BYTES + stated.map_or(0, |subnet| subnet.option_bytes()),
                None => 0,
            },
            nearest,
            set_truncate_bit: self.settings.set_truncate_bit,
        };
        let Some(mut answer) = Answer::begin(message, query.question_end, response, limits) else {
            return Outcome::Drop;
        };
        self.fill(snapshot, &query, &mut answer);
        let flags = query.flags & (flag::RD | flag::CD);
        Outcome::Answer(answer.end(message, flags, query.edns, stated))
    }

    /// A datagram of which the end was cut off on reception: FORMERR from what is there.
    fn respond_truncated(&mut self, message: &[u8], response: &mut [u8]) -> Outcome {
        match parse(message, &mut self.name) {
            Parsed::Drop => Outcome::Drop,
            Parsed::Query(Query {
                flags,
                question_end,
                ..
            }) => fault(
                message,
                Rcode::FormErr,
                flags,
                Some(question_end),
                None,
                response,
            ),
            Parsed::Fault {
                flags,
                question_end,
                ..
            } => fault(message, Rcode::FormErr, flags, question_end, None, response),
        }
    }
}

impl Responder {
    fn fill(&mut self, snapshot: Option<&Snapshot>, query: &Query, answer: &mut Answer<'_>) {
        if query.qclass != class::IN {
            self.fill_other_class(query, answer);
            return;
        }
        // Zone transfer is not offered (RFC 5936, 2.2.1: REFUSED).
        if query.qtype == rtype::AXFR || query.qtype == rtype::IXFR {
            answer.rcode(Rcode::Refused);
            return;
        }
        let route = self.route(snapshot);
        if matches!(route, Route::Outside) {
            answer.rcode(Rcode::Refused);
            return;
        }
        let Some(snapshot) = snapshot else {
            // SERVFAIL makes clients ask their next server; NXDOMAIN would be believed.
            let rcode = if matches!(route, Route::Reverse) {
                Rcode::Refused
            } else {
                Rcode::ServFail
            };
            answer.rcode(rcode);
            return;
        };
        let entry = snapshot.table.find(self.name.as_wire());
        match (route, entry) {
            // A reverse name that holds none of our addresses is not ours to deny.
            (Route::Reverse, entry) if entry.is_none_or(|entry| entry.rrset_count() == 0) => {
                answer.rcode(Rcode::Refused);
            }
            (Route::Apex, entry) => {
                self.authoritative(answer);
                self.fill_apex(snapshot, query, entry, answer);
            }
            (route, entry) => {
                self.authoritative(answer);
                self.fill_name(
                    snapshot,
                    query,
                    entry,
                    matches!(route, Route::Reverse),
                    answer,
                );
            }
        }
    }

    /// The subnet whose addresses come first, and the same where the client stated it.
    fn nearest(&self, query: &Query, client: Client) -> (Option<Subnet>, Option<Subnet>) {
        let Some(subnet_first) = &self.settings.subnet_first else {
            return (None, None);
        };
        if let Some(stated) = query.edns.and_then(|edns| edns.subnet) {
            let mut believed = subnet_first.believed.iter();
            if believed.any(|subnet| subnet.holds_address(client.address)) {
                return (Some(stated), Some(stated));
            }
        }
        let (ipv4_bits, ipv6_bits) = OWN_SUBNET_BITS;
        let bits = if client.address.is_ipv4() {
            ipv4_bits
        } else {
            ipv6_bits
        };
        (Some(Subnet::new(client.address, bits)), None)
    }

    fn authoritative(&self, answer: &mut Answer<'_>) {
        answer.flag(flag::AA);
        if self.settings.recurse_on {
            answer.flag(flag::RA);
        }
    }

    fn fill_name(
        &mut self,
        snapshot: &Snapshot,
        query: &Query,
        entry: Option<Entry<'_>>,
        reverse: bool,
        answer: &mut Answer<'_>,
    ) {
        let zone = snapshot.table.zone();
        let Some(entry) = entry else {
            answer.rcode(Rcode::NxDomain);
            answer.negative(zone, query, false);
            return;
        };
        let found = answer.rrsets(&entry, query.qtype, zone, &mut self.random);
        if !found {
            answer.negative(zone, query, reverse);
            return;
        }
        if let Some(rrset) = entry.rrset(rtype::SRV)
            && (query.qtype == rtype::SRV || query.qtype == rtype::ANY)
        {
            answer.additional(&rrset, zone, &mut self.random);
        }
    }

    /// SOA and NS stand at the apex, in the answer section (RFC 1034, 4.3.2).
    fn fill_apex(
        &mut self,
        snapshot: &Snapshot,
        query: &Query,
        entry: Option<Entry<'_>>,
        answer: &mut Answer<'_>,
    ) {
        let zone = snapshot.table.zone();
        let any = query.qtype == rtype::ANY;
        let mut found = false;
        if any || query.qtype == rtype::SOA {
            found = true;
            answer.apex_record(&zone.soa);
        }
        if any || query.qtype == rtype::NS {
            found = true;
            answer.apex_ns(zone);
        }
        if let Some(entry) = entry {
            found |= answer.rrsets(&entry, query.qtype, zone, &mut self.random);
        }
        if !found {
            answer.negative(zone, query, false);
        } else if any || query.qtype == rtype::NS {
            answer.glue(zone, &mut self.random);
        }
    }

    fn fill_other_class(&self, query: &Query, answer: &mut Answer<'_>) {
        let Some(chaos) = self
            .settings
            .chaos
            .as_ref()
            .filter(|_| query.qclass == class::CH)
        else {
            answer.rcode(Rcode::Refused);
            return;
        };
        let text = match self.name.as_wire() {
            b"\x07version\x04bind\0" | b"\x07version\x06server\0" => &chaos.version,
            b"\x08hostname\x04bind\0" | b"\x02id\x06server\0" => &chaos.hostname,
            _ => {
                answer.rcode(Rcode::Refused);
                return;
            }
        };
        answer.flag(flag::AA);
        if query.qtype == rtype::TXT || query.qtype == rtype::ANY {
            answer.chaos_text(text);
        }
    }

    fn route(&self, snapshot: Option<&Snapshot>) -> Route {
        let wire = self.name.as_wire();
        // The table's own, so that the two can never disagree while a new configuration is taken.
        let domain = match snapshot {
            Some(snapshot) => &*snapshot.table.zone().domain,
            None => &*self.settings.domain,
        };
        if wire == domain {
            return Route::Apex;
        }
        if is_below(wire, domain) {
            return Route::Domain;
        }
        let reverse =
            is_below(wire, b"\x07in-addr\x04arpa\0") || is_below(wire, b"\x03ip6\x04arpa\0");
        if self.settings.reverse_dns_on && reverse {
            Route::Reverse
        } else {
            Route::Outside
        }
    }
}

/// Whether a name ends in a domain at a label's boundary and has more labels.
fn is_below(wire: &[u8], domain: &[u8]) -> bool {
    // Most names differ in the last octets, so that comparing comes before walking the labels.
    if !wire.ends_with(domain) {
        return false;
    }
    let mut rest = wire.len();
    for label in name::labels(wire) {
        rest -= label.len() + 1;
        if rest == domain.len() {
            return true;
        }
    }
    false
}

/// A response without records: header, the question where it could be read, OPT where EDNS was.
fn fault(
    message: &[u8],
    rcode: Rcode,
    flags: u16,
    question_end: Option<usize>,
    edns: Option<Edns>,
    response: &mut [u8],
) -> Outcome {
    let limits = Limits {
        bytes_max: UDP_PLAIN_BYTES_MAX,
        reserved: if edns.is_some() { OPT_BYTES } else { 0 },
        nearest: None,
        set_truncate_bit: false,
    };
    let end = question_end.unwrap_or(HEADER_BYTES);
    let Some(mut answer) = Answer::begin(message, end, response, limits) else {
        return Outcome::Drop;
    };
    answer.rcode(rcode);
    Outcome::Answer(answer.end(
        message,
        flags & (flag::OPCODE_MASK | flag::RD | flag::CD),
        edns,
        None,
    ))
}
