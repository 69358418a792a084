//! What a resolver replied, walked once. In: octets of strangers. Out: whether they answer a query,
//! where what must change stands (TTLs, OPT), and how long they may be kept. Pure.

use std::ops::Range;

use super::walk::{self, Record, Records, Section, is_same_name, name_end, u16_at};
use crate::dns::message::{HEADER_BYTES, flag};
use crate::dns::subnet::CLIENT_SUBNET_OPTION;
use crate::dns::{Rcode, rtype};
use crate::limits::CHAIN_WALKS_MAX;

/// A well-formed reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The header's four bits.
    pub rcode: u8,
    pub truncated: bool,
    /// The header's end where there is no question.
    pub question_end: usize,
    /// How long it may be kept, before bounds. None: not at all (TC, an RCODE that is neither NOERROR
    /// nor NXDOMAIN, a signed transaction, a negative answer or a referral without SOA).
    pub ttl_seconds: Option<u32>,
    /// NXDOMAIN, or nothing of the type asked for at the end of the chain of CNAMEs.
    pub negative: bool,
    /// Where the TTL of every record but OPT stands.
    pub ttl_places: Vec<u16>,
    pub opt_at: Option<Range<usize>>,
    /// The whole client subnet option.
    pub client_subnet: Option<Range<usize>>,
}

/// Whether a message answers a query: a response of the same opcode, ID and question (RFC 5452, 9.1),
/// the name without regard to case. Servers that cannot read a query answer without its question;
/// what they say is believed where it is a refusal.
pub fn matches(query: &[u8], query_question_end: usize, reply: &[u8]) -> bool {
    let heads = (walk::id_and_flags(query), walk::id_and_flags(reply));
    let (Some((query_id, query_flags)), Some((reply_id, reply_flags))) = heads else {
        return false;
    };
    let is_same_opcode = (query_flags ^ reply_flags) & flag::OPCODE_MASK == 0;
    if query_id != reply_id || reply_flags & flag::QR == 0 || !is_same_opcode {
        return false;
    }
    match walk::counts(reply) {
        Some([1, ..]) => is_same_question(query, reply, query_question_end),
        Some([0, ..]) => {
            let refusals = [
                Rcode::FormErr,
                Rcode::ServFail,
                Rcode::NotImp,
                Rcode::Refused,
            ];
            refusals
                .map(|rcode| rcode as u16)
                .contains(&(reply_flags & 15))
        }
        _ => false,
    }
}

/// Whether two messages have one question; the first's is known to be well-formed up to its end.
fn is_same_question(query: &[u8], reply: &[u8], question_end: usize) -> bool {
    let split = |message| split_question(message, question_end);
    match (split(query), split(reply)) {
        (Some((name, kind)), Some((reply_name, reply_kind))) => {
            name.eq_ignore_ascii_case(reply_name) && kind == reply_kind
        }
        _ => false,
    }
}

/// Whether a reply has this question, the name in lower case.
pub(super) fn is_question_of(
    message: &[u8],
    reply: &Reply,
    name: &[u8],
    qtype: u16,
    qclass: u16,
) -> bool {
    let [t0, t1] = qtype.to_be_bytes();
    let [c0, c1] = qclass.to_be_bytes();
    let question = split_question(message, reply.question_end);
    question.is_some_and(|(question_name, kind)| {
        question_name.eq_ignore_ascii_case(name) && *kind == [t0, t1, c0, c1]
    })
}

/// The octets of a question: name, and type with class.
fn split_question(message: &[u8], question_end: usize) -> Option<(&[u8], &[u8; 4])> {
    let question = message.get(HEADER_BYTES..question_end)?;
    question.split_last_chunk()
}

/// Walks a whole message. `None` where it is malformed: names, lengths, counts, trailing octets, more
/// than one question, OPT where or as it must not be.
pub fn read(reply: &[u8]) -> Option<Reply> {
    let (_, flags) = walk::id_and_flags(reply)?;
    let question_end = match walk::counts(reply)? {
        [0, ..] => HEADER_BYTES,
        [1, ..] => name_end(reply, HEADER_BYTES)? + 4,
        _ => return None,
    };
    let mut seen = Seen::default();
    let mut records = Records::behind(reply, question_end)?;
    for record in &mut records {
        seen.record(reply, record?)?;
    }
    if records.at() != reply.len() {
        return None;
    }
    let rcode = (flags & 15) as u8;
    let truncated = flags & flag::TC != 0;
    let denied = rcode == Rcode::NxDomain as u8;
    let negative = denied || !has_wanted_type(reply, question_end)?;
    let may_be_kept = (denied || rcode == Rcode::NoError as u8)
        && !truncated
        && !seen.is_particular
        && flags & flag::OPCODE_MASK == 0
        && question_end > HEADER_BYTES;
    let ttl_seconds = match (negative, seen.negative_ttl) {
        (false, _) => seen.least_ttl,
        // No longer than the chain that led there.
        (true, Some(negative)) => Some(seen.answers_least_ttl.unwrap_or(u32::MAX).min(negative)),
        (true, None) => None,
    };
    Some(Reply {
        rcode,
        truncated,
        question_end,
        ttl_seconds: ttl_seconds.filter(|_| may_be_kept),
        negative,
        ttl_places: seen.ttl_places,
        opt_at: seen.opt_at,
        client_subnet: seen.client_subnet,
    })
}

/// What is gathered over the records.
#[derive(Default)]
struct Seen {
    ttl_places: Vec<u16>,
    opt_at: Option<Range<usize>>,
    client_subnet: Option<Range<usize>>,
    least_ttl: Option<u32>,
    answers_least_ttl: Option<u32>,
    /// Of the SOA record in the authority section.
    negative_ttl: Option<u32>,
    /// An extended RCODE, or a signature of this one transaction.
    is_particular: bool,
}

impl Seen {
    /// `None`: malformed.
    fn record(&mut self, reply: &[u8], record: Record) -> Option<()> {
        if record.is_opt() {
            return self.opt(reply, record);
        }
        let ttl = record.ttl_seconds();
        let least = |so_far: Option<u32>| Some(so_far.unwrap_or(u32::MAX).min(ttl));
        self.ttl_places.push(u16::try_from(record.ttl_at).ok()?);
        self.least_ttl = least(self.least_ttl);
        match (record.section, record.rtype) {
            (Section::Answer, _) => self.answers_least_ttl = least(self.answers_least_ttl),
            (Section::Authority, rtype::SOA) => {
                let minimum = soa_minimum(reply, &record.data)?;
                self.negative_ttl = Some(ttl.min(minimum));
            }
            _ => {}
        }
        self.is_particular |= SIGNATURES.contains(&record.rtype);
        Some(())
    }

    fn opt(&mut self, reply: &[u8], record: Record) -> Option<()> {
        let has_root = reply.get(record.owner_at) == Some(&0);
        if self.opt_at.is_some() || record.section != Section::Additional || !has_root {
            return None;
        }
        self.opt_at = Some(record.range());
        self.is_particular |= record.ttl >> 24 != 0;
        for option in walk::options(reply, record.data) {
            let (code, whole) = option?;
            if code == CLIENT_SUBNET_OPTION {
                self.client_subnet = Some(whole);
            }
        }
        Some(())
    }
}

/// RFC 2308, 4: the last field, of a record whose names and numbers fill its data.
fn soa_minimum(reply: &[u8], data: &Range<usize>) -> Option<u32> {
    let numbers_at = name_end(reply, name_end(reply, data.start)?)?;
    let numbers = reply.get(numbers_at..data.end)?;
    let [.., m0, m1, m2, m3]: [u8; SOA_NUMBERS_BYTES] = numbers.try_into().ok()?;
    Some(u32::from_be_bytes([m0, m1, m2, m3]))
}

/// Whether the chain of CNAMEs that begins at the question ends in records of the type asked for. The
/// outer `None`: a CNAME that is malformed.
fn has_wanted_type(reply: &[u8], question_end: usize) -> Option<bool> {
    let Some(type_at) = question_end.checked_sub(4).filter(|at| *at > HEADER_BYTES) else {
        return Some(false);
    };
    let (qtype, qclass) = (u16_at(reply, type_at)?, u16_at(reply, type_at + 2)?);
    let mut end_of_chain = HEADER_BYTES;
    for _ in 0..CHAIN_WALKS_MAX {
        let before = end_of_chain;
        for record in Records::behind(reply, question_end)? {
            let record = record?;
            if record.section != Section::Answer {
                break;
            }
            if record.class != qclass || !is_same_name(reply, record.owner_at, reply, end_of_chain)
            {
                continue;
            }
            if record.rtype == qtype || qtype == rtype::ANY {
                return Some(true);
            }
            if record.rtype == rtype::CNAME {
                if name_end(reply, record.data.start)? != record.data.end {
                    return None;
                }
                end_of_chain = record.data.start;
            }
        }
        // What stands in another order than the chain's is found by walking anew.
        if end_of_chain == before {
            break;
        }
    }
    Some(false)
}

/// Serial to minimum.
const SOA_NUMBERS_BYTES: usize = 20;
/// TSIG and SIG, as in SIG(0): of one transaction.
const SIGNATURES: [u16; 2] = [250, 24];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::samples::*;
    use proptest::prelude::*;

    fn a_query() -> Vec<u8> {
        query("www.example", rtype::A, flag::RD, &[])
    }

    /// Flags with RCODE, sections, and how long that may be kept.
    fn kept(flags: u16, sections: [&[Vec<u8>]; 3]) -> Option<u32> {
        let message = reply(&a_query(), flags, sections);
        read(&message).expect("a reply").ttl_seconds
    }

    #[test]
    fn reply_must_have_id_opcode_and_question_of_the_query() {
        let query = query("www.example", rtype::A, flag::RD, &[]);
        let good = reply(&query, 0, [&[], &[], &[]]);
        let end = good.len();
        assert!(matches(&query, end, &good));
        let mut spelled = good.clone();
        spelled[13..16].copy_from_slice(b"wWW");
        assert!(matches(&query, end, &spelled));
        // The type's octet is a letter, too, as are the name's.
        for (at, bit, why) in [
            (0, 1, "ID"),
            (1, 0x80, "ID"),
            (2, 0x80, "QR"),
            (2, 0x08, "opcode"),
            (5, 2, "two questions"),
            (14, 1, "name"),
            (end - 3, 0x20, "type"),
            (end - 1, 0x20, "class"),
        ] {
            let mut wrong = good.clone();
            wrong[at] ^= bit;
            assert!(!matches(&query, end, &wrong), "{why}");
            assert!(!matches(&query, end, &good[..at]), "{why}");
        }
    }

    #[test]
    fn only_a_refusal_may_lack_the_question() {
        let query = query("www.example", rtype::A, flag::RD, &[]);
        for (rcode, is_taken) in [(0, false), (1, true), (2, true), (3, false), (5, true)] {
            let mut bare = reply(&query, rcode, [&[], &[], &[]]);
            let end = bare.len();
            bare.truncate(HEADER_BYTES);
            bare[5] = 0;
            assert_eq!(matches(&query, end, &bare), is_taken, "{rcode}");
            bare[0] ^= 1;
            assert!(!matches(&query, end, &bare), "{rcode}");
        }
    }

    #[test]
    fn answer_is_kept_for_its_smallest_ttl() {
        let answers = [a(QNAME, 300, 1), a(QNAME, 200, 2)];
        let authority = [record(QNAME, rtype::NS, 100, &wire("ns.example"))];
        let additional = [a(&wire("ns.example"), 50, 3), opt(0, &[])];
        assert_eq!(kept(0, [&answers, &[], &[]]), Some(200));
        assert_eq!(kept(0, [&answers, &authority, &[]]), Some(100));
        assert_eq!(kept(0, [&answers, &authority, &additional]), Some(50));
        // RFC 2181, 8.
        assert_eq!(kept(0, [&[a(QNAME, 1 << 31, 1)], &[], &[]]), Some(0));
        let chain = [cname(QNAME, 40, "b.example"), a(&wire("B.example"), 300, 1)];
        assert_eq!(kept(0, [&chain, &[], &[]]), Some(40));
        // A SOA makes no answer negative, and records need not be in order.
        let turned = [&chain[1..], &chain[..1]].concat();
        assert_eq!(kept(0, [&turned, &[soa(QNAME, 9, 5)], &[]]), Some(9));
    }

    #[test]
    fn negative_answer_is_kept_as_its_soa_says() {
        let soa_of = |ttl, minimum| [soa(&wire("example"), ttl, minimum)];
        for rcode in [0, 3] {
            assert_eq!(kept(rcode, [&[], &soa_of(900, 60), &[]]), Some(60));
            assert_eq!(kept(rcode, [&[], &soa_of(30, 60), &[]]), Some(30));
            assert_eq!(kept(rcode, [&[], &soa_of(1 << 31, 60), &[]]), Some(0));
            let chain = [cname(QNAME, 20, "b.example")];
            assert_eq!(kept(rcode, [&chain, &soa_of(900, 60), &[]]), Some(20));
            // Without SOA nothing says how long (RFC 2308, 5).
            assert_eq!(kept(rcode, [&chain, &[], &[]]), None);
            assert_eq!(kept(rcode, [&[], &[], &[]]), None);
        }
        let message = reply(&a_query(), 0, [&[], &soa_of(9, 9), &[]]);
        assert!(read(&message).expect("a reply").negative);
        // Records of another type, or another name's, are no answer.
        let other = [a(&wire("b.example"), 300, 1)];
        assert_eq!(kept(0, [&other, &soa_of(900, 60), &[]]), Some(60));
        let other = [record(QNAME, rtype::TXT, 300, b"\x01x")];
        assert_eq!(kept(0, [&other, &[], &[]]), None);
    }

    #[test]
    fn what_is_no_answer_for_others_is_not_kept() {
        let answers = [a(QNAME, 300, 1)];
        let ns = [record(QNAME, rtype::NS, 100, &wire("ns.example"))];
        let mut extended = opt(0, &[]);
        extended[5] = 1;
        let tsig = record(&wire("key"), 250, 0, &[]);
        assert_eq!(kept(flag::TC, [&answers, &[], &[]]), None);
        assert_eq!(kept(2, [&answers, &[], &[]]), None);
        assert_eq!(kept(5, [&answers, &[], &[]]), None);
        assert_eq!(kept(0, [&[], &ns, &[]]), None, "a referral");
        assert_eq!(kept(0, [&answers, &[], &[extended]]), None);
        assert_eq!(kept(0, [&answers, &[], &[tsig]]), None);
        assert_eq!(kept(0, [&answers, &[], &[opt(0, &[])]]), Some(300));
    }

    #[test]
    fn places_are_where_they_are_said_to_be() {
        let option = [0, 10, 0, 1, 9];
        let options = [&option[..], &SUBNET_OPTION].concat();
        let additional = [opt(0x8000, &options), a(&wire("x"), 0x77, 1)];
        let message = reply(&a_query(), 0, [&[a(QNAME, 0x55, 1)], &[], &additional]);
        let read = read(&message).expect("a reply");
        let ttls = read
            .ttl_places
            .iter()
            .map(|at| message[usize::from(*at) + 3]);
        assert_eq!(ttls.collect::<Vec<_>>(), [0x55, 0x77]);
        assert_eq!(
            read.opt_at.map(|at| message[at].to_vec()),
            Some(opt(0x8000, &options))
        );
        assert_eq!(
            read.client_subnet.map(|at| message[at].to_vec()),
            Some(SUBNET_OPTION.to_vec())
        );
        assert_eq!(read.question_end, a_query().len());
    }

    #[test]
    fn malformed_replies_are_told() {
        let good = reply(
            &a_query(),
            0,
            [&[cname(QNAME, 5, "b")], &[soa(QNAME, 1, 1)], &[]],
        );
        assert!(read(&good).is_some());
        for length in 0..good.len() {
            assert_eq!(read(&good[..length]), None, "cut at {length}");
        }
        assert_eq!(read(&[&good[..], &[0]].concat()), None, "trailing");
        let mut two = good.clone();
        two[5] = 2;
        assert_eq!(read(&two), None, "two questions");
        let mut owned = opt(0, &[]);
        owned.splice(0..1, *b"\x01x\0");
        let long_soa = record(QNAME, rtype::SOA, 1, &[0; 23]);
        let long_cname = record(QNAME, rtype::CNAME, 1, &[0; 2]);
        let forward = a(&[0xc0, 0xff], 1, 1);
        for (why, sections) in [
            ("OPT with an owner", [&[][..], &[], &[owned]]),
            ("OPT twice", [&[], &[], &[opt(0, &[]), opt(0, &[])]]),
            ("OPT among answers", [&[opt(0, &[])], &[], &[]]),
            ("option too long", [&[], &[], &[opt(0, &[0, 8, 0, 9, 1])]]),
            ("SOA too long", [&[], &[long_soa], &[]]),
            ("CNAME too long", [&[long_cname], &[], &[]]),
            ("pointer forward", [&[], &[forward], &[]]),
        ] {
            assert_eq!(read(&reply(&a_query(), 0, sections)), None, "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
            counts in proptest::array::uniform4(0_u8..3),
        ) {
            let _ = read(&octets);
            let _ = matches(&octets, octets.len() / 2, &octets);
            let mut message = reply(&a_query(), 0, [&[], &[], &[]]);
            message.extend(QNAME);
            message.extend(&octets);
            for (at, count) in counts.into_iter().enumerate() {
                message[5 + 2 * at] = count;
            }
            let _ = read(&message);
        }

        #[test]
        fn no_changed_octet_panics(at in 0_usize..200, octet: u8) {
            let additional = [opt(0, &SUBNET_OPTION)];
            let answers = [cname(QNAME, 5, "b"), a(&wire("b"), 5, 1)];
            let mut message = reply(&a_query(), 0, [&answers, &[soa(QNAME, 1, 1)], &additional]);
            if let Some(place) = message.get_mut(at) {
                *place = octet;
            }
            let _ = read(&message);
        }
    }
}
