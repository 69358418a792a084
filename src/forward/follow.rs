//! Completes an answer of the table whose CNAME leads outside it. In: that answer, and what a resolver
//! says of the target. Out: one answer. A cached answer is written for the target's own query first
//! (`query_for`, `Entry::write`), and then is a reply like any other. Allocates nothing but the query.

use super::question::{Question, opt_record, put_question};
use super::reply::{self, Reply};
use super::walk::{self, Record, Records, Section, each_label, is_same_name};
use crate::dns::message::flag;
use crate::dns::{Rcode, class, name, rtype};
use crate::limits::TCP_MESSAGE_BYTES_MAX;

/// The query for a target, an uncompressed name: type, RD, CD and DO as asked, class IN. `None`: it is
/// no name.
pub fn query_for(target: &[u8], question: &Question<'_>, id: u16, out: &mut Vec<u8>) -> Option<()> {
    let bytes = 1 + name::labels(target)
        .map(|label| 1 + label.len())
        .sum::<usize>();
    if bytes != target.len() || target.last() != Some(&0) {
        return None;
    }
    let flags = question.flags & (flag::RD | flag::CD);
    let (edns, qtype) = (question.edns, question.qtype);
    put_question(out, id, flags, target, qtype, class::IN, edns.is_some());
    out.extend(
        edns.map(|edns| opt_record(edns.dnssec_ok, 0))
            .iter()
            .flatten(),
    );
    Some(())
}

/// Appends to an answer (the first `bytes` of `out`: header, question, answer section, no OPT) the
/// records of a reply to the query for its target: all answers, and where they are negative the
/// records that say so (SOA, with DO the proofs). RCODE is the reply's (RFC 6604, 3). TC where not all
/// fits `bytes_max` or the reply itself was cut. Then OPT, where the question has one. Returns the
/// length; `None`: the reply is malformed, or there is no room even for what there was.
pub fn complete(
    question: &Question<'_>,
    out: &mut [u8],
    bytes: usize,
    reply: &[u8],
    bytes_max: usize,
) -> Option<usize> {
    let read = reply::read(reply)?;
    let (_, reply_flags) = walk::id_and_flags(reply)?;
    let [_, answers, 0, 0] = walk::counts(out.get(..bytes)?)? else {
        return None;
    };
    let opt = question.edns.map(|edns| opt_record(edns.dnssec_ok, 0));
    let whole_max = bytes_max.min(out.len()).min(TCP_MESSAGE_BYTES_MAX);
    let length_max = whole_max.checked_sub(opt.map_or(0, |opt| opt.len()))?;
    if bytes > length_max {
        return None;
    }
    let mut writer = Writer {
        known_names: [None, last_target(out.get(..bytes)?, question.question_end)],
        out: &mut *out,
        length: bytes,
        length_max,
        is_full: false,
    };
    let [mut answers, mut authorities] = [answers, 0_u16];
    for record in Records::behind(reply, read.question_end)? {
        let record = record?;
        let count = match record.section {
            Section::Answer => &mut answers,
            Section::Authority if read.negative && says_no(record.rtype, question) => {
                &mut authorities
            }
            _ => continue,
        };
        if !writer.record(reply, &record)? {
            break;
        }
        *count = count.checked_add(1)?;
    }
    let is_cut = writer.is_full || read.truncated;
    let records_end = writer.length;
    let opt_bytes = opt.map_or(0, |opt| opt.len());
    let whole = out.get_mut(..records_end + opt_bytes)?;
    if let (Some(opt), Some(place)) = (opt, whole.last_chunk_mut()) {
        *place = opt;
    }
    let (_, flags) = walk::id_and_flags(whole)?;
    // Our CNAME is not signed, so that the answer as a whole is not authentic (RFC 4035, 3.2.3).
    let kept = flags & !(RCODE_MASK | flag::AD);
    let rcode = rcode_of(reply, &read);
    let cut = if is_cut { flag::TC } else { 0 };
    let flags = kept | reply_flags & flag::RA | rcode | cut;
    let counts = [answers, authorities, u16::from(opt.is_some())];
    let places = whole.get_mut(2..)?.first_chunk_mut::<10>()?;
    let [f0, f1] = flags.to_be_bytes();
    let [[a0, a1], [n0, n1], [r0, r1]] = counts.map(u16::to_be_bytes);
    *places = [f0, f1, 0, 1, a0, a1, n0, n1, r0, r1];
    Some(whole.len())
}

/// An extended RCODE says something of the query that was made, and nothing to who asked ours.
fn rcode_of(reply: &[u8], read: &Reply) -> u16 {
    let opt = read.opt_at.clone().and_then(|at| reply.get(at));
    match opt.and_then(|opt| opt.get(EXTENDED_RCODE_AT)) {
        None | Some(0) => u16::from(read.rcode),
        Some(_) => Rcode::ServFail as u16,
    }
}

/// Whether a record of the authority section belongs to a negative answer.
fn says_no(record_type: u16, question: &Question<'_>) -> bool {
    let dnssec_ok = question.edns.is_some_and(|edns| edns.dnssec_ok);
    record_type == rtype::SOA || dnssec_ok && PROOFS.contains(&record_type)
}

/// Where the target of the last CNAME of an answer stands, if that is the last record.
fn last_target(answer: &[u8], question_end: usize) -> Option<usize> {
    let last = Records::behind(answer, question_end)?.last()??;
    (last.rtype == rtype::CNAME).then_some(last.data.start)
}

/// Appends records, each whole or not at all.
struct Writer<'b> {
    out: &'b mut [u8],
    length: usize,
    length_max: usize,
    /// Something did not fit.
    is_full: bool,
    /// Where the last owner and the last CNAME's target stand: most owners are one of the two.
    known_names: [Option<usize>; 2],
}

impl Writer<'_> {
    /// Whether the record fitted; `None`: it is malformed.
    fn record(&mut self, reply: &[u8], record: &Record) -> Option<bool> {
        let start = self.length;
        let known =
            self.known_names.into_iter().flatten().find(|at| {
                *at <= POINTER_MAX && is_same_name(self.out, *at, reply, record.owner_at)
            });
        match known {
            Some(at) => self.put(&(0xc000 | at as u16).to_be_bytes()),
            None => {
                self.name(reply, record.owner_at)?;
            }
        }
        // Type, class and TTL stand before the length.
        self.put(reply.get(record.ttl_at.checked_sub(4)?..record.ttl_at + 4)?);
        let length_at = self.length;
        self.put(&[0; 2]);
        let data_at = self.length;
        self.data(reply, record)?;
        if self.is_full {
            self.length = start;
            return Some(false);
        }
        let data_bytes = u16::try_from(self.length.checked_sub(data_at)?).ok()?;
        let place = self.out.get_mut(length_at..data_at)?;
        place.copy_from_slice(&data_bytes.to_be_bytes());
        let [owner, target] = &mut self.known_names;
        if known.is_none() {
            *owner = Some(start);
        }
        if record.rtype == rtype::CNAME {
            *target = Some(data_at);
        }
        Some(true)
    }

    /// The data, with its names written out: outside their message their pointers mean nothing.
    fn data(&mut self, reply: &[u8], record: &Record) -> Option<()> {
        let (before, names) = names_of(reply, record)?;
        let mut at = record.data.start + before;
        self.put(reply.get(record.data.start..at)?);
        for _ in 0..names {
            at = self.name(reply, at)?;
        }
        self.put(reply.get(at..record.data.end)?);
        Some(())
    }

    /// Where the name ends in the reply.
    fn name(&mut self, reply: &[u8], at: usize) -> Option<usize> {
        each_label(reply, at, |label| self.put(label))
    }

    fn put(&mut self, octets: &[u8]) {
        let end = self.length + octets.len();
        match self.out.get_mut(self.length..end) {
            Some(place) if end <= self.length_max && !self.is_full => {
                place.copy_from_slice(octets);
                self.length = end;
            }
            _ => self.is_full = true,
        }
    }
}

/// Octets before the names of a record's data, and how many names there are, of the types whose names
/// may be compressed (RFC 1035, 3.3; RFC 3597, 4).
fn names_of(reply: &[u8], record: &Record) -> Option<(usize, usize)> {
    Some(match record.rtype {
        // NS, MD, MF, CNAME; MB, MG, MR; PTR; NXT; DNAME.
        2..=5 | 7..=9 | 12 | 30 | 39 => (0, 1),
        // SOA, MINFO, RP.
        6 | 14 | 17 => (0, 2),
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => (2, 1),
        // SIG.
        24 => (18, 1),
        // PX.
        26 => (2, 2),
        // SRV.
        33 => (6, 1),
        // NAPTR: order and preference, three character strings.
        35 => {
            let mut before = 4;
            for _ in 0..3 {
                before += 1 + usize::from(*reply.get(record.data.start + before)?);
            }
            (before, 1)
        }
        _ => (0, 0),
    })
}

/// Pointers have 14 bits.
const POINTER_MAX: usize = 0x3fff;
const RCODE_MASK: u16 = 15;
/// In an OPT record: behind the root, type and size.
const EXTENDED_RCODE_AT: usize = 5;
/// RRSIG, NSEC, NSEC3.
const PROOFS: [u16; 3] = [46, 47, 50];

#[cfg(test)]
#[path = "tests/follow.rs"]
mod tests;
