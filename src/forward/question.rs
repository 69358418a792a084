//! What of a query decides its answer, as a key that others may share. In: a query that was parsed.
//! Out: the key, whether it may be shared, and the query that a key stands for. Allocates nothing.

use std::ops::Range;

use super::walk::{self, Records};
use crate::dns::cookie::{COOKIE_OPTION, COOKIE_OPTION_BYTES};
use crate::dns::message::{
    Edns, HEADER_BYTES, OPT_BYTES, OPTION_HEAD_BYTES, Query, copy_folded, flag,
};
use crate::dns::name::labels;
use crate::dns::rtype;
use crate::dns::subnet::{CLIENT_SUBNET_OPTION, Subnet};
use crate::limits::{
    NAME_BYTES_MAX, TCP_MESSAGE_BYTES_MAX, UDP_EDNS_BYTES_MAX, UDP_PLAIN_BYTES_MAX,
};

/// A query as far as two may share an answer.
pub struct Question<'m> {
    pub message: &'m [u8],
    pub question_end: usize,
    pub flags: u16,
    pub qtype: u16,
    pub qclass: u16,
    pub edns: Option<Edns>,
    /// The whole OPT record.
    pub opt_at: Option<Range<usize>>,
    is_sharable: bool,
    key: Key,
}

/// What an answer depends on: an octet of bits, type, class, the name in lower case, and the data of
/// the client subnet option where there is one. A name says itself where it ends, so that no two
/// questions have one key.
#[derive(Clone)]
pub struct Key {
    octets: [u8; KEY_BYTES_MAX],
    length: usize,
    name_end: usize,
}

/// A key taken apart.
pub(super) struct KeyParts<'k> {
    pub bits: u8,
    pub qtype: u16,
    pub qclass: u16,
    /// Wire format, lower case.
    pub name: &'k [u8],
    /// Data of the client subnet option, or empty.
    pub subnet: &'k [u8],
}

/// Bits of a key's first octet.
pub(super) mod bit {
    pub const DO: u8 = 1;
    pub const CD: u8 = 2;
    pub const AD: u8 = 4;
}

impl<'m> Question<'m> {
    /// `query` is what the message was parsed as. `None` where a record behind the question has an
    /// owner that cannot be read.
    pub fn read(message: &'m [u8], query: &Query) -> Option<Self> {
        let question_end = query.question_end;
        let wire = message.get(HEADER_BYTES..question_end.checked_sub(4)?)?;
        let behind = Behind::read(message, question_end)?;
        let is_set = |wanted| query.flags & wanted != 0;
        let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
        let mut bits = if dnssec_ok { bit::DO } else { 0 };
        for (flag, bit) in FLAG_BITS {
            bits |= if is_set(flag) { bit } else { 0 };
        }
        let subnet = behind.subnet.unwrap_or_default();
        let passes = flag::RD | flag::CD | flag::AD;
        let is_sharable = is_set(flag::RD)
            && query.flags & !passes == 0
            && query.edns.is_none_or(|edns| edns.version == 0)
            && behind.is_common
            && query.qtype != rtype::OPT
            && !NEVER_SHARED.contains(&query.qtype);
        Some(Self {
            message,
            question_end,
            flags: query.flags,
            qtype: query.qtype,
            qclass: query.qclass,
            edns: query.edns,
            opt_at: behind.opt_at,
            is_sharable,
            key: Key::new(bits, query.qtype, query.qclass, wire, subnet)?,
        })
    }

    /// Whether others may have its answer, and it theirs. What is not known to leave the answer alone
    /// (flags, records, EDNS options) makes a query pass alone.
    pub fn is_sharable(&self) -> bool {
        self.is_sharable
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The largest answer that it gets over UDP: what its sender takes, as far as we ever send so much.
    pub fn udp_bytes_max(&self) -> usize {
        let edns = self.edns;
        edns.map_or(UDP_PLAIN_BYTES_MAX, |it| {
            it.answer_bytes_max(UDP_EDNS_BYTES_MAX)
        })
    }

    /// How large its answer may be before our cookie is put in.
    pub fn bytes_max(&self, over_tcp: bool) -> usize {
        let bytes = match over_tcp {
            true => TCP_MESSAGE_BYTES_MAX,
            false => self.udp_bytes_max(),
        };
        let has_cookie = self.edns.is_some_and(|edns| edns.cookie.is_some());
        bytes - if has_cookie { COOKIE_OPTION_BYTES } else { 0 }
    }

    /// The message to send on: cookies are between neighbours (RFC 7873, 4), and another server's would be
    /// of no use to the sender.
    pub fn without_cookie(&self) -> Vec<u8> {
        let mut message = self.message.to_vec();
        if self.edns.is_some_and(|edns| edns.cookie.is_some())
            && let Some(opt) = &self.opt_at
        {
            remove_cookies(&mut message, opt);
        }
        message
    }

    /// Whether AD in an answer means something to its sender (RFC 6840, 5.8).
    pub fn takes_authentic_data(&self) -> bool {
        self.flags & flag::AD != 0 || self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

impl Key {
    fn new(bits: u8, qtype: u16, qclass: u16, wire: &[u8], subnet: &[u8]) -> Option<Self> {
        let mut octets = [0; KEY_BYTES_MAX];
        let [t0, t1] = qtype.to_be_bytes();
        let [c0, c1] = qclass.to_be_bytes();
        *octets.first_chunk_mut()? = [bits, t0, t1, c0, c1];
        let name_end = KEY_HEAD_BYTES + wire.len();
        let length = name_end + subnet.len();
        copy_folded(wire, octets.get_mut(KEY_HEAD_BYTES..name_end)?);
        octets.get_mut(name_end..length)?.copy_from_slice(subnet);
        Some(Self {
            octets,
            length,
            name_end,
        })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// The name asked for, in wire format, lower case.
    pub fn name(&self) -> &[u8] {
        let name = self.octets.get(KEY_HEAD_BYTES..self.name_end);
        name.unwrap_or_default()
    }
}

impl<'k> KeyParts<'k> {
    pub fn of(key: &'k [u8]) -> Option<Self> {
        let ([bits, t0, t1, c0, c1], rest) = key.split_first_chunk::<KEY_HEAD_BYTES>()?;
        let name_bytes = 1 + labels(rest).map(|label| 1 + label.len()).sum::<usize>();
        let (name, subnet) = rest.split_at_checked(name_bytes)?;
        (name.last() == Some(&0)).then_some(Self {
            bits: *bits,
            qtype: u16::from_be_bytes([*t0, *t1]),
            qclass: u16::from_be_bytes([*c0, *c1]),
            name,
            subnet,
        })
    }
}

/// What stands behind the question.
#[derive(Default)]
struct Behind<'m> {
    opt_at: Option<Range<usize>>,
    /// Data of the only client subnet option, if that is well-formed.
    subnet: Option<&'m [u8]>,
    /// Nothing that could change the answer, but that subnet.
    is_common: bool,
}

impl<'m> Behind<'m> {
    fn read(message: &'m [u8], question_end: usize) -> Option<Self> {
        let mut behind = Self {
            is_common: true,
            ..Self::default()
        };
        for record in Records::behind(message, question_end)? {
            let record = record?;
            if !record.is_opt() {
                behind.is_common = false;
                continue;
            }
            behind.opt_at = Some(record.range());
            // Flags beside DO ask for something that we do not know.
            behind.is_common &= record.ttl & 0x7fff == 0;
            for option in walk::options(message, record.data) {
                let (code, whole) = option?;
                let data = message.get(whole)?.get(OPTION_HEAD_BYTES..)?;
                match code {
                    CLIENT_SUBNET_OPTION => {
                        let is_good = Subnet::from_option(data).is_some();
                        behind.is_common &= is_good && behind.subnet.is_none();
                        behind.subnet = Some(data).filter(|_| is_good);
                    }
                    COOKIE_OPTION | KEEPALIVE_OPTION | PADDING_OPTION => {}
                    _ => behind.is_common = false,
                }
            }
        }
        Some(behind)
    }
}

/// Takes cookie options out of the OPT record at a place of a message that was read.
fn remove_cookies(message: &mut Vec<u8>, opt: &Range<usize>) {
    let data = opt.start + OPT_BYTES..opt.end;
    let options = walk::options(message, data.clone()).flatten();
    let cookies = options.filter(|(code, _)| *code == COOKIE_OPTION);
    let mut places: Vec<_> = cookies.map(|(_, place)| place).collect();
    let mut data_bytes = data.len();
    // From the last one on: those before it stay where they are.
    while let Some(place) = places.pop() {
        data_bytes -= place.len();
        message.drain(place);
    }
    if let Some(length) = message.get_mut(data.start - 2..data.start) {
        length.copy_from_slice(&(data_bytes as u16).to_be_bytes());
    }
}

/// The query that a key stands for, RD set: what is asked to have an answer anew before it expires.
pub fn message_of(key: &[u8], id: u16, out: &mut Vec<u8>) -> Option<()> {
    let parts = KeyParts::of(key)?;
    let is_set = |wanted| parts.bits & wanted != 0;
    let mut flags = flag::RD;
    for (flag, bit) in FLAG_BITS {
        flags |= if is_set(bit) { flag } else { 0 };
    }
    let has_opt = is_set(bit::DO) || !parts.subnet.is_empty();
    put_question(
        out,
        id,
        flags,
        parts.name,
        parts.qtype,
        parts.qclass,
        has_opt,
    );
    if has_opt {
        let data_bytes = u8::try_from(parts.subnet.len()).ok()?;
        let option_bytes = match data_bytes {
            0 => 0,
            bytes => bytes + OPTION_HEAD_BYTES as u8,
        };
        out.extend(opt_record(is_set(bit::DO), option_bytes));
        if data_bytes != 0 {
            out.extend([0, CLIENT_SUBNET_OPTION as u8, 0, data_bytes]);
            out.extend(parts.subnet);
        }
    }
    Some(())
}

/// Header and question of a query, in the place of what was in `out`.
pub(super) fn put_question(
    out: &mut Vec<u8>,
    id: u16,
    flags: u16,
    name: &[u8],
    qtype: u16,
    qclass: u16,
    has_opt: bool,
) {
    out.clear();
    out.extend(id.to_be_bytes());
    out.extend(flags.to_be_bytes());
    out.extend([0, 1, 0, 0, 0, 0, 0, u8::from(has_opt)]);
    out.extend(name);
    out.extend(qtype.to_be_bytes());
    out.extend(qclass.to_be_bytes());
}

/// Our own OPT record, before its options: our size, version 0.
pub(super) fn opt_record(dnssec_ok: bool, option_bytes: u8) -> [u8; OPT_BYTES] {
    let [t0, t1] = rtype::OPT.to_be_bytes();
    let [s0, s1] = (UDP_EDNS_BYTES_MAX as u16).to_be_bytes();
    let dnssec = u8::from(dnssec_ok) << 7;
    [0, t0, t1, s0, s1, 0, 0, dnssec, 0, 0, option_bytes]
}

/// Flags of the header that are part of a key.
const FLAG_BITS: [(u16, u8); 2] = [(flag::CD, bit::CD), (flag::AD, bit::AD)];
/// Bits, type and class.
const KEY_HEAD_BYTES: usize = 5;
/// Family, prefix lengths and an IPv6 address.
const SUBNET_DATA_BYTES_MAX: usize = 20;
const KEY_BYTES_MAX: usize = KEY_HEAD_BYTES + NAME_BYTES_MAX + SUBNET_DATA_BYTES_MAX;
/// Options between neighbours, which leave the records of an answer alone (RFC 7873; RFC 7828;
/// RFC 7830).
const KEEPALIVE_OPTION: u16 = 11;
const PADDING_OPTION: u16 = 12;
/// TKEY, TSIG and zone transfers are between two; MAILB and MAILA have no type of their own.
const NEVER_SHARED: std::ops::RangeInclusive<u16> = 249..=254;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::{LowerName, Parsed, parse};
    use crate::forward::samples::{self, SUBNET_OPTION as SUBNET, opt, question as read};
    use proptest::prelude::*;

    fn query(name: &str, flags: u16, behind: &[u8]) -> Vec<u8> {
        samples::query(name, rtype::A, flags, behind)
    }

    fn key(message: &[u8]) -> Vec<u8> {
        read(message).key().as_bytes().to_vec()
    }

    #[test]
    fn key_is_what_an_answer_depends_on() {
        let plain = query("a.*.Example", flag::RD, &[]);
        let question = read(&plain);
        assert_eq!(question.key().name(), b"\x01a\x01*\x07example\0");
        let expected = [&[0, 0, 1, 0, 1][..], b"\x01a\x01*\x07example\0"].concat();
        assert_eq!(question.key().as_bytes(), expected);
        // Neither the ID, the spelling, the size of answers nor options between neighbours.
        let mut same = query(
            "A.*.eXAMPLE",
            flag::RD,
            &opt(0, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 12, 0, 0]),
        );
        same[0] = 99;
        assert_eq!(key(&plain), key(&same));
        let others = [
            query("a.*.Example", flag::RD | flag::CD, &[]),
            query("a.*.Example", flag::RD | flag::AD, &[]),
            query("a.*.Example", flag::RD, &opt(0x8000, &[])),
            query("a.*.Example", flag::RD, &opt(0, &SUBNET)),
            query("b.*.Example", flag::RD, &[]),
        ];
        let mut keys: Vec<_> = others.iter().map(|other| key(other)).collect();
        keys.push(key(&plain));
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
        assert!(others.iter().all(|other| read(other).is_sharable()));
        assert!(read(&plain).is_sharable() && read(&same).is_sharable());
    }

    #[test]
    fn what_may_change_an_answer_passes_alone() {
        let with_type = |qtype: u8| {
            let mut message = query("a", flag::RD, &[]);
            let at = message.len() - 3;
            message[at] = qtype;
            message
        };
        let record = [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
        let two = [SUBNET, SUBNET].concat();
        for (why, message) in [
            ("RD clear", query("a", 0, &[])),
            ("AA set", query("a", flag::RD | flag::AA, &[])),
            ("TC set", query("a", flag::RD | flag::TC, &[])),
            ("a record", query("a", flag::RD, &record)),
            ("NSID", query("a", flag::RD, &opt(0, &[0, 3, 0, 0]))),
            ("compact answers", query("a", flag::RD, &opt(0x4000, &[]))),
            ("two subnets", query("a", flag::RD, &opt(0, &two))),
            (
                "a wrong subnet",
                query("a", flag::RD, &opt(0, &[0, 8, 0, 1, 0])),
            ),
            ("TKEY", with_type(249)),
            ("OPT", with_type(41)),
        ] {
            assert!(!read(&message).is_sharable(), "{why}");
        }
        assert!(read(&with_type(255)).is_sharable());
    }

    #[test]
    fn udp_answers_may_have_the_stated_size_but_512_at_least() {
        let sized = |size: u16| {
            let mut opt = opt(0, &[]);
            [opt[3], opt[4]] = size.to_be_bytes();
            query("a", flag::RD, &opt)
        };
        assert_eq!(read(&query("a", flag::RD, &[])).udp_bytes_max(), 512);
        assert_eq!(read(&sized(100)).udp_bytes_max(), 512);
        assert_eq!(read(&sized(1000)).udp_bytes_max(), 1000);
        assert_eq!(read(&sized(4096)).udp_bytes_max(), 1232);
        assert_eq!(read(&sized(1232)).opt_at, Some(19..30));
    }

    #[test]
    fn cookies_are_taken_out_of_what_is_sent_on_and_nothing_else() {
        let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let padding = [0, 12, 0, 1, 0];
        for (options, rest) in [
            (cookie.to_vec(), vec![]),
            (
                [&SUBNET[..], &cookie, &padding].concat(),
                [&SUBNET[..], &padding].concat(),
            ),
            ([cookie, cookie].concat(), vec![]),
            (padding.to_vec(), padding.to_vec()),
        ] {
            let message = query("a", flag::RD, &opt(0x8000, &options));
            let expected = query("a", flag::RD, &opt(0x8000, &rest));
            assert_eq!(read(&message).without_cookie(), expected);
        }
    }

    #[test]
    fn key_stands_for_a_query_of_the_same_key() {
        let mut made = Vec::new();
        for (flags, behind) in [
            (0, vec![]),
            (flag::AD, vec![]),
            (flag::CD, opt(0x8000, &[])),
            (0, opt(0, &SUBNET)),
            (0, opt(0x8000, &SUBNET)),
        ] {
            let message = query("Www.Example", flag::RD | flags, &behind);
            message_of(&key(&message), 0xabcd, &mut made).expect("a query");
            assert_eq!(key(&made), key(&message));
            assert_eq!(made[..2], [0xab, 0xcd]);
            assert!(read(&made).is_sharable());
        }
        for wrong in [
            &b"\0\0\x01\0"[..],
            b"\0\0\x01\0\x01",
            b"\0\0\x01\0\x01\x05a\0",
        ] {
            assert_eq!(message_of(wrong, 1, &mut made), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = message_of(&octets, 1, &mut Vec::new());
            let behind = octets.get(..octets.len() / 2).unwrap_or_default();
            let mut messages = vec![octets.clone()];
            let head = [&query("a.b", flag::RD, &[])[..], behind].concat();
            for additional in 0..3 {
                let mut message = head.clone();
                message[11] = additional;
                messages.push(message);
            }
            for message in messages {
                if let Parsed::Query(query) = parse(&message, &mut LowerName::default())
                    && let Some(question) = Question::read(&message, &query)
                {
                    question.key().name();
                }
            }
        }
    }
}
