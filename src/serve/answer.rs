//! Writes one response: a cursor over the caller's buffer that knows the limit, the sections'
//! counts and the flags. In: views of the table. Out: octets. It must never write past the limit.

mod nearest;

use self::nearest::Part;
use super::shuffle::Order;
use crate::dns::message::{Edns, HEADER_BYTES, OPT_BYTES, Query, flag};
use crate::dns::subnet::Subnet;
use crate::dns::{Rcode, class, rtype};
use crate::limits::UDP_EDNS_BYTES_MAX;
use crate::responses::layout::{Entry, RrSet, Srv, Target};
use crate::responses::zone::Zone;
use crate::stats::traffic::Route;

/// A compression pointer to the question's name (RFC 1035, 4.1.4): right behind the header.
const TO_QUESTION: [u8; 2] = [0xc0, HEADER_BYTES as u8];
/// Pointers have 14 bits.
pub(super) const POINTER_MAX: usize = 0x3fff;
/// Octets of an SRV record before its target: owner pointer, type to length, priority to port.
const SRV_HEAD_BYTES: usize = 18;
/// Distinct targets of one answer whose addresses are given; an answer of 65,535 octets that holds
/// more has no room for any address.
const TARGETS_MARKED: usize = 1024;

/// What bounds a response.
#[derive(Clone, Copy)]
pub struct Limits<'b> {
    pub bytes_max: usize,
    /// Octets kept free for the OPT record.
    pub reserved: usize,
    /// Addresses in this subnet come first.
    pub nearest: Option<&'b Subnet>,
    pub set_truncate_bit: bool,
}

/// A response being written.
pub struct Answer<'b> {
    buffer: &'b mut [u8],
    /// The owner of the records that are written as answers: a pointer to the question's name, or to the
    /// target of the CNAME before.
    pub(super) owner: [u8; 2],
    /// Octets written; at least the header.
    pub(super) length: usize,
    /// `length` never passes it.
    length_max: usize,
    flags: u16,
    rcode: Rcode,
    set_truncate_bit: bool,
    nearest: Option<&'b Subnet>,
    /// Records of the answer or authority section were left out: nothing additional may follow,
    /// for those go first (RFC 2181, 9).
    pub(super) cut: bool,
    question_count: u16,
    pub(super) answer_count: u16,
    pub(super) authority_count: u16,
    additional_count: u16,
    /// Seed of the order of SRV records, so that the additional section can walk them again.
    srv_order: Option<(u64, usize)>,
    srv_start: usize,
    /// Where the name server's name stands, once its NS record was written.
    ns_target_at: Option<usize>,
}

impl<'b> Answer<'b> {
    /// Begins with the header's place and the question, up to `question_end` of the message (the
    /// header's length for none). `None` where the buffer cannot hold that.
    pub fn begin(
        message: &[u8],
        question_end: usize,
        buffer: &'b mut [u8],
        limits: Limits<'b>,
    ) -> Option<Self> {
        let length_max = limits
            .bytes_max
            .min(buffer.len())
            .checked_sub(limits.reserved)?;
        if question_end > length_max || question_end < HEADER_BYTES {
            return None;
        }
        buffer
            .get_mut(..question_end)?
            .copy_from_slice(message.get(..question_end)?);
        Some(Self {
            buffer,
            owner: TO_QUESTION,
            length: question_end,
            length_max,
            flags: flag::QR,
            rcode: Rcode::NoError,
            set_truncate_bit: limits.set_truncate_bit,
            nearest: limits.nearest,
            cut: false,
            question_count: u16::from(question_end > HEADER_BYTES),
            answer_count: 0,
            authority_count: 0,
            additional_count: 0,
            srv_order: None,
            srv_start: 0,
            ns_target_at: None,
        })
    }

    pub fn flag(&mut self, flag: u16) {
        self.flags |= flag;
    }

    pub fn rcode(&mut self, rcode: Rcode) {
        self.rcode = rcode;
    }

    /// Who answers, of whom it was that filled it: what we refuse, or cannot know yet, says so by its RCODE.
    #[inline]
    pub(super) fn route(&self, filled_by: Route) -> Route {
        match self.rcode {
            Rcode::Refused => Route::Refused,
            Rcode::ServFail => Route::NotReady,
            _ => filled_by,
        }
    }

    /// Adds OPT where the query had one, fills in the header, returns the response's length.
    /// `options` are what that OPT has.
    pub fn end(
        &mut self,
        message: &[u8],
        copied_flags: u16,
        edns: Option<&Edns>,
        options: &[u8],
    ) -> usize {
        let rcode = self.rcode as u16;
        if self.cut && self.set_truncate_bit {
            self.flags |= flag::TC;
        }
        if let Some(edns) = edns {
            self.opt(edns, rcode, options);
        }
        let [id0, id1] = message.first_chunk::<2>().copied().unwrap_or_default();
        let [f0, f1] = (self.flags | copied_flags | (rcode & 15)).to_be_bytes();
        let [q0, q1] = self.question_count.to_be_bytes();
        let [a0, a1] = self.answer_count.to_be_bytes();
        let [n0, n1] = self.authority_count.to_be_bytes();
        let [r0, r1] = self.additional_count.to_be_bytes();
        if let Some(header) = self.buffer.first_chunk_mut::<HEADER_BYTES>() {
            *header = [id0, id1, f0, f1, q0, q1, a0, a1, n0, n1, r0, r1];
        }
        self.length
    }

    /// The OPT record (RFC 6891, 6.1.3): our size and version 0, the upper eight bits of the RCODE,
    /// DO as asked, and these options.
    fn opt(&mut self, edns: &Edns, rcode: u16, options: &[u8]) {
        self.length_max += OPT_BYTES + options.len();
        let [s0, s1] = (UDP_EDNS_BYTES_MAX as u16).to_be_bytes();
        let [upper, dnssec] = [(rcode >> 4) as u8, u8::from(edns.dnssec_ok) << 7];
        let [t0, t1] = rtype::OPT.to_be_bytes();
        let options_bytes = options.len() as u8;
        let head = [0, t0, t1, s0, s1, upper, 0, dnssec, 0, 0, options_bytes];
        if self.put_fixed(head) && (options.is_empty() || self.put(options)) {
            self.additional_count += 1;
        }
    }

    /// Answers with the RRsets of a type, or with all for ANY; false where there are none.
    pub fn rrsets(
        &mut self,
        entry: &Entry<'_>,
        qtype: u16,
        zone: &Zone,
        random: &mut fastrand::Rng,
    ) -> bool {
        let mut found = false;
        let wanted = |rrset: &RrSet<'_>| rrset.rtype == qtype || qtype == rtype::ANY;
        if self.nearest.is_some() {
            return self.nearest_first(entry, qtype, zone, random);
        }
        for rrset in entry.rrsets().filter(wanted) {
            found = true;
            self.rrset(&rrset, Part::Whole, zone, random);
        }
        found
    }

    /// Answers with a part of an RRset in random order; marks where not all of it fits.
    fn rrset(&mut self, rrset: &RrSet<'_>, part: Part, zone: &Zone, random: &mut fastrand::Rng) {
        let seed = if rrset.record_count > 1 {
            random.u64(..)
        } else {
            0
        };
        let ttl_seconds = rrset.own_ttl_seconds().unwrap_or(zone.ttl_seconds);
        let head = record_head(rrset.rtype, ttl_seconds);
        let owner = self.owner;
        let (written, all_fitted) = match rrset.rtype {
            rtype::A => self.addresses::<4, 16>(owner, &head, rrset.addresses(), part, seed),
            rtype::AAAA => self.addresses::<16, 28>(owner, &head, rrset.addresses(), part, seed),
            _ if part == Part::Near => return,
            _ => self.names(rrset, &head, zone, seed),
        };
        self.answer_count += written;
        self.cut |= !all_fitted;
    }

    /// Appends the records of an RRset other than of addresses in random order, as many as fit.
    fn names(&mut self, rrset: &RrSet<'_>, head: &[u8; 8], zone: &Zone, seed: u64) -> (u16, bool) {
        let mut priority = 0;
        if rrset.rtype == rtype::SRV {
            if self.srv_order.is_none() {
                self.srv_order = Some((seed, rrset.record_count));
                self.srv_start = self.length;
            } else if self.cut {
                return (0, false);
            } else {
                // Those of unhealthy tasks are for clients that reach no other (RFC 2782). Their
                // targets' addresses are not told: the room is the others'.
                priority = 1;
            }
        }
        let (mut written, mut all_fitted) = (0, true);
        Order::new(rrset.record_count, seed).for_each(|index| {
            let fitted = if let Some(srv) = rrset.srv(index) {
                let own = rrset.own_priority_and_weight(index);
                let (priority, weight) = own.unwrap_or((priority, zone.srv_weight));
                self.srv(head, &srv, priority, weight)
            } else if rrset.rtype == rtype::TXT {
                let text = rrset.text(index);
                text.is_some_and(|text| self.pointing(head, text))
            } else {
                rrset
                    .name(index)
                    .is_some_and(|name| self.pointing(head, name))
            };
            written += u16::from(fitted);
            all_fitted &= fitted;
            fitted
        });
        (written, all_fitted)
    }

    /// Appends a record for each address of the part, in random order, as many as fit: how many, and
    /// whether that was all. A record is `RECORD` octets, of which the last `DATA` differ.
    fn addresses<const DATA: usize, const RECORD: usize>(
        &mut self,
        [o0, o1]: [u8; 2],
        &[h0, h1, h2, h3, h4, h5, h6, h7]: &[u8; 8],
        addresses: &[[u8; DATA]],
        part: Part,
        seed: u64,
    ) -> (u16, bool) {
        let mut record = [0; RECORD];
        if let Some(front) = record.first_chunk_mut() {
            *front = [o0, o1, h0, h1, h2, h3, h4, h5, h6, h7, 0, DATA as u8];
        }
        let room = self.buffer.get_mut(self.length..self.length_max);
        let (places, _) = room.unwrap_or_default().as_chunks_mut::<RECORD>();
        let mut places = places.iter_mut();
        let (mut written, mut all_fitted) = (0, true);
        Order::new(addresses.len(), seed).for_each(|index| {
            let Some(address) = addresses.get(index) else {
                return false;
            };
            if part != Part::Whole {
                let near = self.nearest.is_some_and(|subnet| subnet.holds(address));
                if near != (part == Part::Near) {
                    return true;
                }
            }
            let Some(place) = places.next() else {
                all_fitted = false;
                return false;
            };
            *place = record;
            if let Some(data) = place.last_chunk_mut() {
                *data = *address;
            }
            written += 1;
            true
        });
        self.length += usize::from(written) * RECORD;
        (written, all_fitted)
    }

    /// The addresses of the targets of the SRV records answered, as many whole ones as fit. Leaving
    /// some out is no truncation (RFC 2181, 9).
    pub fn additional(&mut self, rrset: &RrSet<'_>, zone: &Zone, random: &mut fastrand::Rng) {
        let Some((seed, record_count)) = self.srv_order.filter(|_| !self.cut) else {
            return;
        };
        let mut marked = [0_u64; TARGETS_MARKED / 64];
        let mut at = self.srv_start;
        let answers_end = self.length;
        Order::new(record_count, seed).for_each(|index| {
            let Some(srv) = rrset.srv(index) else {
                return false;
            };
            // Answers were written in the same order: this record's target stands here, if it fitted.
            let target_at = at + SRV_HEAD_BYTES;
            at = target_at + srv.target.name_bytes();
            if at > answers_end {
                return false;
            }
            let ordinal = srv.target.ordinal as usize;
            let Some(marks) = marked.get_mut(ordinal / 64) else {
                return true;
            };
            let mark = 1 << (ordinal % 64);
            if *marks & mark != 0 {
                return true;
            }
            *marks |= mark;
            self.target_addresses(&srv.target, target_at, zone.ttl_seconds, random)
        });
    }

    /// The addresses of a name that was written uncompressed at a place of the response.
    fn target_addresses(
        &mut self,
        target: &Target<'_>,
        target_at: usize,
        ttl_seconds: u32,
        random: &mut fastrand::Rng,
    ) -> bool {
        if target_at > POINTER_MAX {
            return false;
        }
        let pointer = (0xc000 | target_at as u16).to_be_bytes();
        let (a, aaaa) = (target.a, target.aaaa);
        let mut seed = |count| if count > 1 { random.u64(..) } else { 0 };
        let mut fitted = true;
        if !a.is_empty() {
            let head = record_head(rtype::A, ttl_seconds);
            let seed = seed(a.len());
            let (written, all) = self.addresses::<4, 16>(pointer, &head, a, Part::Whole, seed);
            self.additional_count += written;
            fitted = all;
        }
        if !aaaa.is_empty() {
            let head = record_head(rtype::AAAA, ttl_seconds);
            let seed = seed(aaaa.len());
            let (written, all) = self.addresses::<16, 28>(pointer, &head, aaaa, Part::Whole, seed);
            self.additional_count += written;
            fitted = all;
        }
        fitted
    }

    /// A record of the owner, which is the question's name but behind a CNAME, from its type on.
    pub fn own_record(&mut self, behind_owner: &[u8]) -> bool {
        let owner = self.owner;
        let fitted = self.put2(&owner, behind_owner);
        if fitted {
            self.answer_count += 1;
        } else {
            self.cut = true;
        }
        fitted
    }

    /// The NS record of the apex.
    pub fn apex_ns(&mut self, zone: &Zone) {
        if self.own_record(&zone.ns) {
            self.ns_target_at = self.length.checked_sub(zone.ns_target().name_bytes());
        }
    }

    /// Addresses of the name server whose NS record was written.
    pub fn glue(&mut self, zone: &Zone, random: &mut fastrand::Rng) {
        if let Some(target_at) = self.ns_target_at.filter(|_| !self.cut) {
            self.target_addresses(&zone.ns_target(), target_at, zone.ttl_seconds, random);
        }
    }

    /// The SOA of a negative answer (RFC 2308, 3), from its type on. Its owner is the zone's apex: the end
    /// of the question's name, unless wildcards were cut out of that, or a CNAME led to another name.
    pub fn negative(&mut self, behind_owner: &[u8], apex: &[u8], query: &Query) {
        let fitted = if query.wildcard || self.owner != TO_QUESTION {
            self.put2(apex, behind_owner)
        } else {
            let name_end = query.question_end - 4;
            let apex_at = name_end.saturating_sub(apex.len());
            let pointer = (0xc000 | apex_at as u16).to_be_bytes();
            self.put2(&pointer, behind_owner)
        };
        if fitted {
            self.authority_count += 1;
        } else {
            self.cut = true;
        }
    }

    /// A TXT record of class CHAOS.
    pub fn chaos_text(&mut self, text: &str) {
        let text = text
            .as_bytes()
            .get(..text.len().min(255))
            .unwrap_or_default();
        let length = text.len() as u8;
        let [l0, l1] = (u16::from(length) + 1).to_be_bytes();
        let head = [
            0,
            rtype::TXT as u8,
            0,
            class::CH as u8,
            0,
            0,
            0,
            0,
            l0,
            l1,
            length,
        ];
        if self.put(&TO_QUESTION) && self.put2(&head, text) {
            self.answer_count += 1;
        }
    }

    fn srv(&mut self, head: &[u8; 8], srv: &Srv<'_>, priority: u16, weight: u16) -> bool {
        let [q0, q1] = self.owner;
        let [h0, h1, h2, h3, h4, h5, h6, h7] = *head;
        let [l0, l1] = (6 + srv.target.name_bytes() as u16).to_be_bytes();
        let [i0, i1] = priority.to_be_bytes();
        let [w0, w1] = weight.to_be_bytes();
        let [p0, p1] = srv.port.to_be_bytes();
        let octets = [
            q0, q1, h0, h1, h2, h3, h4, h5, h6, h7, l0, l1, i0, i1, w0, w1, p0, p1,
        ];
        self.put3(&octets, srv.target.name, srv.target.tail)
    }

    /// A record whose data is one run of octets, or none where it does not fit.
    pub(super) fn pointing(&mut self, head: &[u8; 8], data: &[u8]) -> bool {
        let [q0, q1] = self.owner;
        let [h0, h1, h2, h3, h4, h5, h6, h7] = *head;
        let [l0, l1] = (data.len() as u16).to_be_bytes();
        self.put2(&[q0, q1, h0, h1, h2, h3, h4, h5, h6, h7, l0, l1], data)
    }

    fn put(&mut self, octets: &[u8]) -> bool {
        self.put2(octets, &[])
    }

    /// Appends so many octets as the compiler knows, or none where they do not fit.
    #[inline]
    fn put_fixed<const BYTES: usize>(&mut self, octets: [u8; BYTES]) -> bool {
        let room = self.buffer.get_mut(self.length..self.length_max);
        let Some(place) = room.and_then(<[u8]>::first_chunk_mut) else {
            return false;
        };
        *place = octets;
        self.length += BYTES;
        true
    }

    #[inline]
    pub(super) fn put2(&mut self, first: &[u8], second: &[u8]) -> bool {
        self.put3(first, second, &[])
    }

    /// Appends all runs, or none where they do not fit.
    #[inline]
    fn put3(&mut self, first: &[u8], second: &[u8], third: &[u8]) -> bool {
        let end = self.length + first.len() + second.len() + third.len();
        if end > self.length_max {
            return false;
        }
        let Some(mut room) = self.buffer.get_mut(self.length..end) else {
            return false;
        };
        for run in [first, second, third] {
            let Some((front, back)) = room.split_at_mut_checked(run.len()) else {
                return false;
            };
            front.copy_from_slice(run);
            room = back;
        }
        self.length = end;
        true
    }
}

/// Type, class IN and TTL of a record.
pub(super) fn record_head(rtype: u16, ttl_seconds: u32) -> [u8; 8] {
    let [t0, t1] = rtype.to_be_bytes();
    let [c0, c1] = class::IN.to_be_bytes();
    let [s0, s1, s2, s3] = ttl_seconds.to_be_bytes();
    [t0, t1, c0, c1, s0, s1, s2, s3]
}
