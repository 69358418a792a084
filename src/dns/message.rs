//! The query as a stranger sent it. In: the bytes of one message. Out: a `Query` whose name is
//! checked and folded to lower case, or the RCODE that its fault deserves. It must never follow a
//! compression pointer or read past the message.

use super::cookie::{COOKIE_OPTION, Cookie};
use super::subnet::{CLIENT_SUBNET_OPTION, Subnet};
use super::{Rcode, rtype};
use crate::limits::{LABEL_BYTES_MAX, NAME_BYTES_MAX, UDP_PLAIN_BYTES_MAX};

/// Octets of the header (RFC 1035, 4.1.1).
pub const HEADER_BYTES: usize = 12;
/// An OPT record without options (RFC 6891, 6.1.2).
pub const OPT_BYTES: usize = 11;
/// Code and length of an EDNS option.
pub const OPTION_HEAD_BYTES: usize = 4;

/// Bits of the header's second and third octet pair.
pub mod flag {
    pub const QR: u16 = 0x8000;
    pub const OPCODE_MASK: u16 = 0x7800;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
    /// Authentic data (RFC 6840, 5.7).
    pub const AD: u16 = 0x0020;
    pub const CD: u16 = 0x0010;
}

/// What EDNS asked for (RFC 6891, 6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The sender's UDP payload size, as it stands.
    pub udp_bytes: u16,
    pub version: u8,
    /// DNSSEC OK; copied into the answer (RFC 3225, 3).
    pub dnssec_ok: bool,
    /// The client subnet option, where there is a well-formed one (RFC 7871).
    pub subnet: Option<Subnet>,
    /// The first cookie option (RFC 7873, 5.2).
    pub cookie: Option<Cookie>,
}

/// A well-formed query of opcode QUERY with one question.
#[derive(Clone, Copy)]
pub struct Query {
    pub flags: u16,
    pub qtype: u16,
    pub qclass: u16,
    /// Where the question ends in the message: 12 + the name + 4.
    pub question_end: usize,
    pub edns: Option<Edns>,
    /// Whether a wildcard label was taken out, so that the name is no part of the question.
    pub wildcard: bool,
}

/// The name asked for, in wire format, lower case, wildcards taken out. One lives as long as its
/// answering thread, so that no query pays for clearing it.
pub struct LowerName {
    octets: [u8; NAME_BYTES_MAX + 1],
    length: usize,
}

impl Default for LowerName {
    fn default() -> Self {
        Self {
            octets: [0; NAME_BYTES_MAX + 1],
            length: 0,
        }
    }
}

impl LowerName {
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}

/// What the bytes of a message are.
pub enum Parsed {
    Query(Query),
    /// Deserves an answer of this RCODE; the question is repeated up to `question_end` where it
    /// could be read.
    Fault {
        rcode: Rcode,
        flags: u16,
        question_end: Option<usize>,
        edns: Option<Edns>,
    },
    /// Not even a header, or a response: an answer would help nobody (and could loop).
    Drop,
}

/// Reads a message. `name` is the name asked for where the outcome is a `Query`.
pub fn parse(message: &[u8], name: &mut LowerName) -> Parsed {
    let Some((header, body)) = message.split_first_chunk::<HEADER_BYTES>() else {
        return Parsed::Drop;
    };
    let [_, _, f0, f1, qd0, qd1, an0, an1, ns0, ns1, ar0, ar1] = *header;
    let flags = u16::from_be_bytes([f0, f1]);
    if flags & flag::QR != 0 {
        return Parsed::Drop;
    }
    let question = read_question(body);
    let question_end = question.as_ref().map(|q| HEADER_BYTES + q.end);
    let fault = |rcode, edns| Parsed::Fault {
        rcode,
        flags,
        question_end,
        edns,
    };
    // Other opcodes have messages of other shapes, so nothing else is looked at (RFC 9619, 2).
    if flags & flag::OPCODE_MASK != 0 {
        return fault(Rcode::NotImp, None);
    }
    // RFC 9619, 4: a query with QDCOUNT other than 1 is FORMERR.
    if u16::from_be_bytes([qd0, qd1]) != 1 {
        return fault(Rcode::FormErr, None);
    }
    let Some(question) = question else {
        return fault(Rcode::FormErr, None);
    };
    let rest = body.get(question.end..).unwrap_or_default();
    let before_additional =
        u32::from(u16::from_be_bytes([an0, an1])) + u32::from(u16::from_be_bytes([ns0, ns1]));
    let Some(edns) = read_sections(rest, before_additional, u16::from_be_bytes([ar0, ar1])) else {
        return fault(Rcode::FormErr, None);
    };
    // RFC 6891, 6.1.3: a version that we do not speak is BADVERS, with our own version in OPT.
    if edns.is_some_and(|edns| edns.version != 0) {
        return fault(Rcode::BadVers, edns);
    }
    let wire = body.get(..question.name_end).unwrap_or_default();
    if question.wildcard {
        name.copy_without_wildcards(wire);
    } else {
        name.copy_lower(wire);
    }
    Parsed::Query(Query {
        flags,
        qtype: question.qtype,
        qclass: question.qclass,
        question_end: HEADER_BYTES + question.end,
        edns,
        wildcard: question.wildcard,
    })
}

impl LowerName {
    /// Folds A to Z; a length octet is at most 63 and therefore none of them (RFC 4343, 3).
    fn copy_lower(&mut self, wire: &[u8]) {
        if let Some(octets) = self.octets.get_mut(..wire.len()) {
            copy_folded(wire, octets);
            self.length = wire.len();
        }
    }

    /// Leaves out every label `*` but a leading one, as mesos-dns cuts `.*` out of a question.
    fn copy_without_wildcards(&mut self, wire: &[u8]) {
        let mut rest = wire;
        let mut length = 0;
        while let Some(&label_bytes) = rest.first() {
            let Some((label, next)) = rest.split_at_checked(1 + usize::from(label_bytes)) else {
                break;
            };
            rest = next;
            if length != 0 && label == [1, b'*'] {
                continue;
            }
            if let Some(octets) = self.octets.get_mut(length..length + label.len()) {
                octets.copy_from_slice(label);
                octets.make_ascii_lowercase();
                length += label.len();
            }
        }
        self.length = length;
    }
}

/// Copies octets with A to Z folded, eight at a time. The last eight overlap those before: most names
/// are longer than that, and none needs a loop for its end.
#[inline]
pub(crate) fn copy_folded(from: &[u8], to: &mut [u8]) {
    let (words, _) = from.as_chunks();
    let (places, _) = to.as_chunks_mut();
    for (place, word) in places.iter_mut().zip(words) {
        *place = folded(*word);
    }
    match (from.last_chunk(), to.last_chunk_mut()) {
        (Some(word), Some(place)) => *place = folded(*word),
        _ => {
            for (place, octet) in to.iter_mut().zip(from) {
                *place = octet.to_ascii_lowercase();
            }
        }
    }
}

/// Eight octets with A to Z folded.
#[inline]
fn folded(octets: [u8; 8]) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x80 * EACH;
    let word = u64::from_le_bytes(octets);
    // Without its top bit, an octet and what is added to it stay below 256: nothing is carried.
    let low = word & !TOPS;
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let past_z = low + (0x7f - b'Z' as u64) * EACH;
    let is_upper = from_a & !past_z & !word & TOPS;
    // The top bit, two to the right, is what makes a letter lower case.
    (word | (is_upper >> 2)).to_le_bytes()
}

/// Places within the octets that follow the header.
struct Question {
    name_end: usize,
    end: usize,
    qtype: u16,
    qclass: u16,
    wildcard: bool,
}

/// The first question. `None` where it is cut short, has a pointer or another label type, or a name
/// of over 255 octets: there is nothing before it that a pointer could point to (RFC 1035, 4.1.4).
fn read_question(body: &[u8]) -> Option<Question> {
    let mut at = 0;
    let mut wildcard = false;
    loop {
        let length = usize::from(*body.get(at)?);
        if length == 0 {
            break;
        }
        if length > LABEL_BYTES_MAX {
            return None;
        }
        wildcard |= length == 1 && at != 0 && body.get(at + 1) == Some(&b'*');
        at += 1 + length;
        if at >= NAME_BYTES_MAX {
            return None;
        }
    }
    let name_end = at + 1;
    let [t0, t1, c0, c1] = *body.get(name_end..)?.first_chunk::<4>()?;
    Some(Question {
        name_end,
        end: name_end + 4,
        qtype: u16::from_be_bytes([t0, t1]),
        qclass: u16::from_be_bytes([c0, c1]),
        wildcard,
    })
}

/// The records behind the question. The outer `None` is a FORMERR: counts that lie, records cut
/// short, trailing octets, two OPT records, or one with an owner or outside the additional section.
#[allow(clippy::option_option)]
fn read_sections(mut rest: &[u8], before_additional: u32, additional: u16) -> Option<Option<Edns>> {
    let mut edns = None;
    for index in 0..before_additional + u32::from(additional) {
        let owner_is_root = rest.first() == Some(&0);
        rest = skip_name(rest)?;
        let (fixed, after) = rest.split_first_chunk::<10>()?;
        let [t0, t1, c0, c1, _, version, z0, _, l0, l1] = *fixed;
        let (data, next) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = next;
        if u16::from_be_bytes([t0, t1]) == rtype::OPT {
            if !owner_is_root || edns.is_some() || index < before_additional {
                return None;
            }
            let mut found = Edns {
                udp_bytes: u16::from_be_bytes([c0, c1]),
                version,
                dnssec_ok: z0 & 0x80 != 0,
                subnet: None,
                cookie: None,
            };
            read_options(data, &mut found)?;
            edns = Some(found);
        }
    }
    rest.is_empty().then_some(edns)
}

/// Walks the options of an OPT record (RFC 6891, 6.1.2). `None`: lengths that do not add up, or a cookie
/// of a length that none has (RFC 7873, 5.2.2).
fn read_options(mut data: &[u8], edns: &mut Edns) -> Option<()> {
    while !data.is_empty() {
        let (head, after) = data.split_first_chunk::<OPTION_HEAD_BYTES>()?;
        let [c0, c1, l0, l1] = *head;
        let (value, next) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        data = next;
        match u16::from_be_bytes([c0, c1]) {
            CLIENT_SUBNET_OPTION => edns.subnet = Subnet::from_option(value),
            COOKIE_OPTION if edns.cookie.is_none() => {
                edns.cookie = Some(Cookie::from_option(value)?);
            }
            _ => {}
        }
    }
    Some(())
}

/// What follows an owner name. A pointer ends a name and is not followed: owners of records in a
/// query do not matter to us.
fn skip_name(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, after) = rest.split_first()?;
        match length {
            0 => return Some(after),
            0xc0.. => return after.get(1..),
            1..=63 => rest = after.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}

impl Edns {
    /// How large a UDP answer may be: what the client takes, from 512 (RFC 6891, 6.2.5) to `own`.
    pub fn answer_bytes_max(self, own: usize) -> usize {
        usize::from(self.udp_bytes).clamp(UDP_PLAIN_BYTES_MAX, own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::wire_from_text;
    use proptest::prelude::*;

    fn query(name: &str, counts: [u16; 4], behind: &[u8]) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0];
        counts
            .iter()
            .for_each(|count| message.extend(count.to_be_bytes()));
        message.extend(wire_from_text(name).expect(name));
        message.extend([0, 1, 0, 1]);
        message.extend(behind);
        message
    }

    fn rcode_of(message: &[u8]) -> Option<Rcode> {
        match parse(message, &mut LowerName::default()) {
            Parsed::Fault { rcode, .. } => Some(rcode),
            _ => None,
        }
    }

    fn name_of(message: &[u8]) -> String {
        let mut name = LowerName::default();
        match parse(message, &mut name) {
            Parsed::Query(_) => crate::dns::name::text_from_wire(name.as_wire()),
            _ => "(no query)".into(),
        }
    }

    const OPT: [u8; 11] = [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0];

    #[test]
    fn name_is_folded_to_lower_case() {
        assert_eq!(
            name_of(&query("WeB.Mesos", [1, 0, 0, 0], &[])),
            "web.mesos."
        );
    }

    #[test]
    fn whole_label_wildcards_are_cut_out_but_not_a_leading_one() {
        assert_eq!(
            name_of(&query("_web.*._tcp.mesos.*", [1, 0, 0, 0], &[])),
            "_web._tcp.mesos."
        );
        assert_eq!(name_of(&query("*.*.mesos", [1, 0, 0, 0], &[])), "*.mesos.");
        assert_eq!(
            name_of(&query("a*.*b.mesos", [1, 0, 0, 0], &[])),
            "a*.*b.mesos."
        );
    }

    #[test]
    fn edns_is_read() {
        let Parsed::Query(query) =
            parse(&query("a", [1, 0, 0, 1], &OPT), &mut LowerName::default())
        else {
            panic!("no query")
        };
        assert_eq!(
            query.edns,
            Some(Edns {
                udp_bytes: 1232,
                version: 0,
                dnssec_ok: true,
                subnet: None,
                cookie: None,
            })
        );
    }

    #[test]
    fn faults_get_their_rcode() {
        let second_opt = [OPT, OPT].concat();
        let owned_opt = [&[1, b'x', 0], &OPT[1..]].concat();
        let mut version_1 = OPT;
        version_1[6] = 1;
        let mut option_lies = OPT.to_vec();
        option_lies[10] = 5;
        option_lies.extend([0, 12, 0, 255, 1]);
        let mut short_cookie = OPT.to_vec();
        short_cookie[10] = 11;
        short_cookie.extend([0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7]);
        for (counts, behind, rcode) in [
            ([0, 0, 0, 0], &[][..], Rcode::FormErr),
            ([2, 0, 0, 0], &[], Rcode::FormErr),
            ([1, 5, 0, 0], &[], Rcode::FormErr),
            ([1, 0, 0, 0], &[0xde, 0xad], Rcode::FormErr),
            ([1, 0, 0, 2], &second_opt, Rcode::FormErr),
            ([1, 0, 0, 1], &owned_opt, Rcode::FormErr),
            ([1, 1, 0, 0], &OPT, Rcode::FormErr),
            ([1, 0, 0, 1], &option_lies, Rcode::FormErr),
            ([1, 0, 0, 1], &short_cookie, Rcode::FormErr),
            ([1, 0, 0, 1], &version_1, Rcode::BadVers),
        ] {
            assert_eq!(
                rcode_of(&query("a", counts, behind)),
                Some(rcode),
                "{counts:?}"
            );
        }
        let mut notify = query("a", [1, 0, 0, 0], &[]);
        notify[2] |= 0x20;
        assert_eq!(rcode_of(&notify), Some(Rcode::NotImp));
    }

    #[test]
    fn pointers_in_the_question_are_formerr() {
        let head = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let message = [&head[..], &[0xc0, 12, 0, 1, 0, 1]].concat();
        assert_eq!(rcode_of(&message), Some(Rcode::FormErr));
    }

    #[test]
    fn names_of_255_octets_pass_and_256_do_not() {
        let label = |n: usize| "x".repeat(n);
        let longest = format!("{0}.{0}.{0}.{1}", label(63), label(61));
        assert_eq!(
            name_of(&query(&longest, [1, 0, 0, 0], &[])),
            format!("{longest}.")
        );
        let mut message = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for bytes in [63, 63, 63, 62] {
            message.push(bytes);
            message.extend(vec![b'x'; usize::from(bytes)]);
        }
        message.extend([0, 0, 1, 0, 1]);
        assert_eq!(rcode_of(&message), Some(Rcode::FormErr));
    }

    #[test]
    fn responses_and_stubs_are_dropped() {
        assert!(matches!(
            parse(&[0; 11], &mut LowerName::default()),
            Parsed::Drop
        ));
        let mut response = query("a", [1, 0, 0, 0], &[]);
        response[2] |= 0x80;
        assert!(matches!(
            parse(&response, &mut LowerName::default()),
            Parsed::Drop
        ));
    }

    #[test]
    fn every_octet_is_folded_as_ascii_is_at_every_length() {
        for length in 0..40 {
            for octet in 0..=u8::MAX {
                let mut octets: Vec<u8> = (0..length).map(|at| octet.wrapping_add(at)).collect();
                let mut to = octets.clone();
                copy_folded(&octets, &mut to);
                octets.make_ascii_lowercase();
                assert_eq!(to, octets);
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            parse(&message, &mut LowerName::default());
        }
    }
}
