//! Query bytes in, response bytes out. PURE: no I/O, no clock, no lock, no allocation; the Snapshot
//! and the generator of random numbers are arguments. It must never panic and never write past the
//! buffer, whatever the query holds.
//!
//! A response is written front to back into the caller's buffer, never beyond the limit that the
//! transport and EDNS set: question, answers in random order, authority, additional, OPT. What does
//! not fit is left out: additional records without a word, answers with TC.
//!
//! A look-up of a name that nobody asked for lately waits for memory three times: for a shard's
//! place, its slot and its entry. Those of a batch are waited for together (see `Respond`).

use std::sync::Arc;

use super::answer::{Answer, Limits};
pub use super::chaos::Chaos;
use super::elsewhere::{self, Place};
use super::options::Options;
pub use super::rates::Limiting;
pub use super::settings::{Forwarding, Settings, SharedSettings, SubnetFirst};
use super::{Client, Outcome, Respond, Transport};
use crate::dns::cookie::Judged;
use crate::dns::message::{Edns, HEADER_BYTES, LowerName, OPT_BYTES, Parsed, Query, flag, parse};
use crate::dns::name::is_below;
use crate::dns::{Rcode, class, rtype};
use crate::limits::{
    TCP_MESSAGE_BYTES_MAX, UDP_BATCH_DATAGRAMS, UDP_EDNS_BYTES_MAX, UDP_PLAIN_BYTES_MAX,
};
use crate::responses::Snapshot;
use crate::responses::layout::Entry;
use crate::responses::table::TableMarks;
use crate::stats::traffic::{Kind, QueryType, Route};
use crate::sys::prefetch::{self, CACHE_LINE_BYTES};

/// Answers for one thread.
pub struct Responder {
    settings: Arc<Settings>,
    /// Where newer settings may be found; none: these stay.
    followed: Option<SharedSettings>,
    random: fastrand::Rng,
    /// What was read, by place in the batch.
    reads: Box<[Read]>,
    /// Of the message responded to last.
    kind: Kind,
    cookie: Option<Judged>,
    /// Seconds since 1970, when the batch began.
    now: u32,
}

/// A message that was read.
struct Read {
    parsed: Parsed,
    /// The name asked for, where it is a query.
    name: LowerName,
    /// Of the name, in the table of the batch.
    hash: u64,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            parsed: Parsed::Drop,
            name: LowerName::default(),
            hash: 0,
        }
    }
}

/// What one query is answered with and from.
pub(super) struct Turn<'a> {
    pub(super) settings: &'a Settings,
    pub(super) random: &'a mut fastrand::Rng,
    pub(super) name: &'a [u8],
    hash: u64,
    /// Who answers, where it is not the table.
    route: Route,
    /// ANY is answered with one RRset.
    pub(super) narrows_any: bool,
    /// The name has no entry: what is answered with records is a wildcard's.
    pub(super) is_covered: bool,
}

/// What became of a query.
#[derive(PartialEq, Eq)]
pub(super) enum Filled {
    Answered,
    /// It is for the forwarder.
    Forward,
    /// So is the name behind the last CNAME, which stands there.
    Follow {
        target_at: usize,
    },
}

impl Responder {
    pub fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            followed: None,
            random: fastrand::Rng::with_seed(seed),
            reads: reads(),
            kind: Kind::default(),
            cookie: None,
            now: 0,
        }
    }

    /// With settings that may be replaced while it answers.
    pub fn following(settings: SharedSettings, seed: u64) -> Self {
        Self {
            settings: settings.load_full(),
            followed: Some(settings),
            random: fastrand::Rng::with_seed(seed),
            reads: reads(),
            kind: Kind::default(),
            cookie: None,
            now: 0,
        }
    }
}

fn reads() -> Box<[Read]> {
    (0..UDP_BATCH_DATAGRAMS).map(|_| Read::default()).collect()
}

impl Respond for Responder {
    fn begin_batch(&mut self, now: u32) {
        self.now = now;
        if let Some(followed) = &self.followed {
            let newest = followed.load();
            if !Arc::ptr_eq(&newest, &self.settings) {
                self.settings = Arc::clone(&newest);
            }
        }
    }

    #[inline]
    fn read(&mut self, snapshot: Option<&Snapshot>, place: usize, message: &[u8]) {
        let Some(read) = self.reads.get_mut(place) else {
            return;
        };
        read.parsed = parse(message, &mut read.name);
        if let (Some(snapshot), Parsed::Query(_)) = (snapshot, &read.parsed) {
            read.hash = snapshot.table.hash(read.name.as_wire());
        }
    }

    #[inline]
    fn fetch_slot(&mut self, snapshot: Option<&Snapshot>, place: usize) {
        if let (Some(snapshot), Some(read)) = (snapshot, self.reads.get(place)) {
            prefetch::line(snapshot.table.slot_octets(read.hash), 0);
        }
    }

    #[inline]
    fn fetch_entry(&mut self, snapshot: Option<&Snapshot>, place: usize) {
        if let (Some(snapshot), Some(read)) = (snapshot, self.reads.get(place)) {
            let entry = snapshot.table.entry_octets(read.hash);
            // Heads and owner name, and the first data; SRV records have more.
            let lines = match &read.parsed {
                Parsed::Query(query) if query.qtype == rtype::SRV => 4,
                _ => 2,
            };
            for line in 0..lines {
                prefetch::line(entry, line * CACHE_LINE_BYTES);
            }
        }
    }

    /// Answers one message. `response` holds at least `UDP_EDNS_BYTES_MAX` octets for UDP and
    /// `TCP_MESSAGE_BYTES_MAX` for TCP; a shorter buffer only shortens the answer.
    fn respond_read(
        &mut self,
        snapshot: Option<&Snapshot>,
        place: usize,
        message: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome {
        self.cookie = None;
        let Some(read) = self.reads.get(place) else {
            return Outcome::Drop;
        };
        let query = match &read.parsed {
            Parsed::Query(query) => query,
            &Parsed::Fault {
                rcode,
                flags,
                question_end,
                edns,
            } => {
                self.kind = Kind::FAULT;
                return fault(message, rcode, flags, question_end, edns, response);
            }
            Parsed::Drop => {
                self.kind = Kind::default();
                return Outcome::Drop;
            }
        };
        let bytes_max = match (client.transport, query.edns) {
            (Transport::Tcp, _) => TCP_MESSAGE_BYTES_MAX,
            (Transport::Udp, None) => UDP_PLAIN_BYTES_MAX,
            (Transport::Udp, Some(edns)) => edns.answer_bytes_max(UDP_EDNS_BYTES_MAX),
        };
        let settings = &*self.settings;
        let mut turn = Turn {
            settings,
            random: &mut self.random,
            name: read.name.as_wire(),
            hash: read.hash,
            route: Route::Table,
            narrows_any: settings.narrows(query, client),
            is_covered: false,
        };
        let nearest = settings.nearest(query, client);
        let nearest = nearest.as_ref();
        let mut options = Options::default();
        if let Some((subnet, true)) = nearest {
            let (bytes, octets) = subnet.option();
            options.put(octets.get(..bytes).unwrap_or_default());
        }
        if let Some(cookie) = query.edns.and_then(|edns| edns.cookie) {
            let judged = cookie.judge(client.address, &settings.cookie_secret, self.now);
            options.put(&judged.option);
            self.cookie = Some(judged);
        }
        let limits = Limits {
            bytes_max,
            reserved: match query.edns {
                Some(_) => OPT_BYTES + options.bytes,
                None => 0,
            },
            nearest: nearest.map(|(subnet, _)| subnet),
            set_truncate_bit: settings.set_truncate_bit,
        };
        let Some(mut answer) = Answer::begin(message, query.question_end, response, limits) else {
            return Outcome::Drop;
        };
        let flags = query.flags & (flag::RD | flag::CD);
        let filled = turn.fill(snapshot, query, client, &mut answer);
        self.kind = Kind {
            query_type: QueryType::of(query.qtype),
            route: answer.route(turn.route),
            is_covered: turn.is_covered,
        };
        match filled {
            Filled::Answered => {
                let edns = query.edns.as_ref();
                Outcome::Answer(answer.end(message, flags, edns, options.as_bytes()))
            }
            Filled::Forward => Outcome::Forward,
            Filled::Follow { target_at } => Outcome::Follow {
                bytes: answer.end(message, flags, None, &[]),
                target_at,
            },
        }
    }

    #[inline]
    fn kind(&self) -> Kind {
        self.kind
    }

    fn cookie(&self) -> Option<Judged> {
        self.cookie
    }

    #[inline]
    fn limiting(&self) -> Option<&Limiting> {
        Some(&self.settings.limiting)
    }

    /// A datagram of which the end was cut off on reception: FORMERR from what is there.
    fn respond_truncated(&mut self, message: &[u8], response: &mut [u8]) -> Outcome {
        (self.kind, self.cookie) = (Kind::FAULT, None);
        let mut name = LowerName::default();
        match parse(message, &mut name) {
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

impl Turn<'_> {
    fn fill(
        &mut self,
        snapshot: Option<&Snapshot>,
        query: &Query,
        client: Client,
        answer: &mut Answer<'_>,
    ) -> Filled {
        if query.qclass != class::IN {
            self.fill_other_class(query, answer);
            return Filled::Answered;
        }
        // Zone transfer is not offered (RFC 5936, 2.2.1: REFUSED).
        if query.qtype == rtype::AXFR || query.qtype == rtype::IXFR {
            answer.rcode(Rcode::Refused);
            return Filled::Answered;
        }
        // The table's own, so that the two can never disagree while a new configuration is taken.
        let domain = match snapshot {
            Some(snapshot) => &*snapshot.table.zone().domain,
            None => &*self.settings.domain,
        };
        // Most names differ in the last octets: those that are not ours need no look-up.
        let ends_alike = self.name.ends_with(domain);
        let reverse = self.settings.reverse_dns_on && self.name.ends_with(b"\x04arpa\0");
        let marks = snapshot.map_or(TableMarks::default(), |it| it.table.marks());
        let entry = match snapshot {
            Some(snapshot) if ends_alike || reverse || marks.outside => {
                snapshot.table.find_hashed(self.name, self.hash)
            }
            _ => None,
        };
        let is_apex = ends_alike && self.name.len() == domain.len();
        // The table's names are below the domain or end in `arpa`: those need no look at labels, where
        // there are no others.
        let is_known = entry.is_some() && !marks.outside;
        let is_ours = ends_alike && (is_apex || is_known || is_below(self.name, domain));
        if !is_ours {
            return self.fill_elsewhere(snapshot, query, client, entry, answer);
        }
        let Some(snapshot) = snapshot else {
            // It makes clients ask their next server; NXDOMAIN would be believed.
            answer.rcode(Rcode::ServFail);
            return Filled::Answered;
        };
        if marks.partial {
            return self.fill_partial(snapshot, query, client, entry, answer);
        }
        self.authoritative(answer);
        if is_apex {
            self.fill_apex(snapshot, query, entry, answer);
            return Filled::Answered;
        }
        self.fill_name(snapshot, query, client, entry, domain, answer)
    }

    /// Answers a name outside the domain, or has it asked for.
    fn fill_elsewhere<'s>(
        &mut self,
        snapshot: Option<&'s Snapshot>,
        query: &Query,
        client: Client,
        entry: Option<Entry<'s>>,
        answer: &mut Answer<'_>,
    ) -> Filled {
        let name = self.name;
        let with_statics = snapshot.filter(|snapshot| snapshot.table.marks().outside);
        let found = entry.filter(|entry| self.settings.reverse_dns_on && entry.rrset_count() > 0);
        // Without names outside the table's names are reverse ones, of no zone that is ours in full.
        if let (Some(snapshot), Some(_), None) = (snapshot, found, with_statics)
            && self.settings.reverse_zones.is_empty()
        {
            self.authoritative(answer);
            return self.fill_name(snapshot, query, client, found, name, answer);
        }
        let owned = match elsewhere::place(name, &self.settings.reverse_zones) {
            Place::Special(special) => {
                self.route = Route::Special;
                self.authoritative(answer);
                let narrowed = Query {
                    qtype: rtype::A,
                    ..*query
                };
                let query = if self.narrows_any { &narrowed } else { query };
                special.fill(query, answer);
                return Filled::Answered;
            }
            Place::Reverse(owned) => owned,
            Place::Outside => {
                return match with_statics {
                    Some(snapshot) => self.fill_outside(snapshot, query, client, entry, answer),
                    None => self.forward(client, answer),
                };
            }
        };
        if let (Some(snapshot), Some(found)) = (snapshot, found) {
            self.authoritative(answer);
            let apex = owned.map_or(name, |owned| owned.apex);
            return self.fill_name(snapshot, query, client, Some(found), apex, answer);
        }
        if let Some(snapshot) = with_statics
            && snapshot.table.outside(name, entry).is_some()
        {
            return self.fill_outside(snapshot, query, client, entry, answer);
        }
        match (snapshot, owned) {
            // A reverse name that holds none of our addresses is not ours to deny.
            (_, None) => return self.forward(client, answer),
            (Some(snapshot), Some(owned)) => {
                self.authoritative(answer);
                owned.deny(snapshot.table.zone(), query, answer);
            }
            (None, Some(_)) => answer.rcode(Rcode::ServFail),
        }
        Filled::Answered
    }

    /// Has the forwarder answer those who may ask for names outside.
    pub(super) fn forward(&self, client: Client, answer: &mut Answer<'_>) -> Filled {
        if self.settings.may_forward(client) {
            return Filled::Forward;
        }
        answer.rcode(Rcode::Refused);
        Filled::Answered
    }

    pub(super) fn authoritative(&self, answer: &mut Answer<'_>) {
        answer.flag(flag::AA);
        if self.settings.recurse_on {
            answer.flag(flag::RA);
        }
    }

    fn fill_other_class(&mut self, query: &Query, answer: &mut Answer<'_>) {
        match &self.settings.chaos {
            Some(chaos) if query.qclass == class::CH => {
                self.route = Route::Chaos;
                chaos.fill(self.name, query, answer);
            }
            _ => answer.rcode(Rcode::Refused),
        }
    }
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
        edns.as_ref(),
        &[],
    ))
}
