//! Steps through a message of strangers: names with their pointers, records, EDNS options. In: octets
//! and places in them. Out: places and values, or `None` for what is malformed. It must never follow
//! a pointer that does not lead backwards.

use std::ops::Range;

use crate::dns::message::{HEADER_BYTES, OPTION_HEAD_BYTES};
use crate::dns::rtype;
use crate::limits::{LABEL_BYTES_MAX, NAME_BYTES_MAX, NAME_POINTERS_MAX};

/// Type, class, TTL and length of a record.
const RECORD_HEAD_BYTES: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

/// A record's places in its message.
#[derive(Clone, Debug)]
pub struct Record {
    pub section: Section,
    pub owner_at: usize,
    pub rtype: u16,
    pub class: u16,
    /// As it stands; RFC 2181, 8, is applied by `ttl_seconds`.
    pub ttl: u32,
    pub ttl_at: usize,
    pub data: Range<usize>,
}

impl Record {
    /// A TTL with the top bit set counts as 0 (RFC 2181, 8).
    pub fn ttl_seconds(&self) -> u32 {
        if self.ttl >> 31 == 0 { self.ttl } else { 0 }
    }

    pub fn is_opt(&self) -> bool {
        self.rtype == rtype::OPT
    }

    pub fn range(&self) -> Range<usize> {
        self.owner_at..self.data.end
    }
}

/// The records behind a question. An inner `None` says that the message is malformed, and is the last.
pub struct Records<'m> {
    message: &'m [u8],
    at: usize,
    left: [u16; 3],
}

impl<'m> Records<'m> {
    /// Begins behind the question, whose end is known.
    pub fn behind(message: &'m [u8], question_end: usize) -> Option<Self> {
        let [_, left @ ..] = counts(message)?;
        Some(Self {
            message,
            at: question_end,
            left,
        })
    }

    /// Where the next record begins, or the message should end.
    pub fn at(&self) -> usize {
        self.at
    }

    fn read(&mut self, section: Section) -> Option<Record> {
        let owner_at = self.at;
        let head_at = name_end(self.message, owner_at)?;
        let head = self.message.get(head_at..)?.first_chunk()?;
        let [t0, t1, c0, c1, s0, s1, s2, s3, l0, l1]: [u8; RECORD_HEAD_BYTES] = *head;
        let data_at = head_at + RECORD_HEAD_BYTES;
        self.at = data_at + usize::from(u16::from_be_bytes([l0, l1]));
        self.message.get(data_at..self.at)?;
        Some(Record {
            section,
            owner_at,
            rtype: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([s0, s1, s2, s3]),
            ttl_at: head_at + 4,
            data: data_at..self.at,
        })
    }
}

impl Iterator for Records<'_> {
    type Item = Option<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let [answers, authorities, additionals] = &mut self.left;
        let (left, section) = if *answers > 0 {
            (answers, Section::Answer)
        } else if *authorities > 0 {
            (authorities, Section::Authority)
        } else if *additionals > 0 {
            (additionals, Section::Additional)
        } else {
            return None;
        };
        *left -= 1;
        let record = self.read(section);
        if record.is_none() {
            self.left = [0; 3];
        }
        Some(record)
    }
}

/// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
pub fn counts(message: &[u8]) -> Option<[u16; 4]> {
    let (header, _) = message.split_first_chunk::<HEADER_BYTES>()?;
    let [_, _, _, _, q0, q1, a0, a1, n0, n1, r0, r1] = *header;
    let count = |high, low| u16::from_be_bytes([high, low]);
    Some([count(q0, q1), count(a0, a1), count(n0, n1), count(r0, r1)])
}

/// ID and flags.
pub fn id_and_flags(message: &[u8]) -> Option<([u8; 2], u16)> {
    let [i0, i1, f0, f1] = *message.first_chunk::<4>()?;
    Some(([i0, i1], u16::from_be_bytes([f0, f1])))
}

pub fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?))
}

/// The options of an OPT record: code and place, with code and length. An inner `None` says that the
/// lengths do not add up, and is the last.
pub fn options(
    message: &[u8],
    data: Range<usize>,
) -> impl Iterator<Item = Option<(u16, Range<usize>)>> {
    let (mut at, end) = (data.start, data.end);
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let start = at;
        at = end;
        let bytes = u16_at(message, start + 2).map(usize::from);
        let stop = bytes.map(|bytes| start + OPTION_HEAD_BYTES + bytes);
        let stop = stop.filter(|stop| *stop <= end);
        at = stop.unwrap_or(end);
        Some(stop.and_then(|stop| Some((u16_at(message, start)?, start..stop))))
    })
}

/// The labels of a name, wherever its pointers lead.
struct Labels<'m> {
    message: &'m [u8],
    at: usize,
    /// A pointer must lead to a place before this, so that all of them together come to an end.
    before: usize,
    pointers: usize,
    octets: usize,
    /// Behind the first pointer.
    end: Option<usize>,
}

impl<'m> Labels<'m> {
    fn new(message: &'m [u8], at: usize) -> Self {
        Self {
            message,
            at,
            before: at,
            pointers: 0,
            octets: 0,
            end: None,
        }
    }

    /// The next label with its length octet; that of the root is the last. `None`: malformed.
    fn step(&mut self) -> Option<&'m [u8]> {
        loop {
            let (place, is_label) = self.piece()?;
            if is_label {
                return self.message.get(place);
            }
        }
    }

    /// Where the next label stands, or pointer, and whether it is a label. `None`: malformed.
    fn piece(&mut self) -> Option<(Range<usize>, bool)> {
        let at = self.at;
        let length = usize::from(*self.message.get(at)?);
        if length <= LABEL_BYTES_MAX {
            self.at += 1 + length;
            self.octets += 1 + length;
            let is_whole = self.octets <= NAME_BYTES_MAX && self.at <= self.message.len();
            return is_whole.then_some((at..self.at, true));
        }
        let target = usize::from(u16_at(self.message, at)?)
            .checked_sub(0xc000)
            .filter(|target| (HEADER_BYTES..self.before).contains(target))?;
        self.end.get_or_insert(at + 2);
        self.pointers += 1;
        (self.at, self.before) = (target, target);
        (self.pointers <= NAME_POINTERS_MAX).then_some((at..at + 2, false))
    }

    /// Where the name ends, once the root label was seen.
    fn end(&self) -> usize {
        self.end.unwrap_or(self.at)
    }
}

/// Where a name ends; `None` where it is malformed anywhere along its pointers.
pub fn name_end(message: &[u8], at: usize) -> Option<usize> {
    each_label(message, at, |_| {})
}

/// Hands over a name label by label, the root label included; its end.
pub fn each_label(message: &[u8], at: usize, mut take: impl FnMut(&[u8])) -> Option<usize> {
    let mut labels = Labels::new(message, at);
    loop {
        let label = labels.step()?;
        take(label);
        if label.len() <= 1 {
            return Some(labels.end());
        }
    }
}

/// Whether two names are the same without regard to case (RFC 4343); malformed ones never are.
pub fn is_same_name(left: &[u8], left_at: usize, right: &[u8], right_at: usize) -> bool {
    let mut left = Labels::new(left, left_at);
    let mut right = Labels::new(right, right_at);
    while let (Some(a), Some(b)) = (left.step(), right.step()) {
        if !a.eq_ignore_ascii_case(b) {
            return false;
        }
        if a.len() <= 1 {
            return true;
        }
    }
    false
}

/// Whether a name would be another one, or none, if the TTLs at these places, in rising order, were: it
/// is made of their octets. Malformed names are.
pub fn is_made_of(message: &[u8], at: usize, ttl_places: &[u16]) -> bool {
    let mut labels = Labels::new(message, at);
    loop {
        let Some((place, is_label)) = labels.piece() else {
            return true;
        };
        let passed = ttl_places.partition_point(|ttl_at| usize::from(*ttl_at) + 4 <= place.start);
        let next = ttl_places.get(passed);
        if next.is_some_and(|ttl_at| usize::from(*ttl_at) < place.end) {
            return true;
        }
        if is_label && place.len() <= 1 {
            return false;
        }
    }
}

/// Where the names stand in a record's data, for the types whose names may be compressed (RFC 3597, 4)
/// and SRV.
pub fn names_in(message: &[u8], record: &Record) -> [Option<usize>; 2] {
    let at = record.data.start;
    match record.rtype {
        rtype::CNAME | rtype::NS | rtype::PTR => [Some(at), None],
        rtype::SOA => [Some(at), name_end(message, at)],
        rtype::SRV => [Some(at + 6), None],
        rtype::MX => [Some(at + 2), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: [u8; 12] = [0; 12];

    fn expanded(message: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
        let mut name = Vec::new();
        let end = each_label(message, at, |label| name.extend(label))?;
        Some((name, end))
    }

    #[test]
    fn names_are_followed_backwards_only() {
        let message = [&HEAD[..], b"\x01a\x01b\0\x01c\xc0\x0e\xc0\x11"].concat();
        assert_eq!(expanded(&message, 17), Some((b"\x01c\x01b\0".to_vec(), 21)));
        assert_eq!(expanded(&message, 21), Some((b"\x01c\x01b\0".to_vec(), 23)));
        assert!(is_same_name(&message, 17, &message, 21));
        assert!(!is_same_name(&message, 12, &message, 21));
        for (wrong, why) in [
            (&b"\xc0\x0c"[..], "to itself"),
            (b"\x01a\xc0\x0c", "to its own label"),
            (b"\xc0\x0e\0", "forward"),
            (b"\xc0\x04", "into the header"),
            (b"\x40a\0", "another label type"),
            (b"\x05a", "cut short"),
            (b"", "nothing"),
        ] {
            let message = [&HEAD[..], wrong].concat();
            assert_eq!(name_end(&message, 12), None, "{why}");
        }
    }

    #[test]
    fn names_know_whose_octets_they_are_made_of() {
        let message = [&HEAD[..], b"\x01a\x01b\0\x01c\xc0\x0e\xc0\x11"].concat();
        for (name, places, is_made) in [
            (12, &[17_u16][..], false),
            (12, &[8], false),
            (12, &[9], true),
            (12, &[16], true),
            // Its own octets, those of its pointer, and where that leads.
            (17, &[13, 40], true),
            (17, &[19], true),
            (17, &[21], false),
            // By two pointers; nothing of it stands at 12.
            (21, &[12], true),
            (21, &[8], false),
            (21, &[23], false),
        ] {
            assert_eq!(
                is_made_of(&message, name, places),
                is_made,
                "{name} {places:?}"
            );
        }
        assert!(is_made_of(&message, 23, &[]), "no name at all");
    }

    #[test]
    fn names_over_255_octets_are_malformed_however_they_are_put_together() {
        let mut message = HEAD.to_vec();
        for length in [63, 63, 63, 61] {
            message.push(length);
            message.extend(vec![b'x'; usize::from(length)]);
        }
        message.push(0);
        let longest = message.len();
        message.extend(b"\xc0\x0c\x01y\xc0\x0c");
        assert_eq!(name_end(&message, 12), Some(longest));
        assert_eq!(name_end(&message, longest), Some(longest + 2));
        assert_eq!(name_end(&message, longest + 2), None);
    }

    #[test]
    fn long_rows_of_pointers_are_not_followed() {
        let mut message = [&HEAD[..], &[0]].concat();
        let first = message.len();
        message.extend(b"\xc0\x0c");
        for _ in 0..NAME_POINTERS_MAX {
            let before = (message.len() - 2) as u16;
            message.extend((0xc000 | before).to_be_bytes());
        }
        let last = message.len() - 2;
        assert!(name_end(&message, first).is_some());
        assert!(name_end(&message, last - 2).is_some());
        assert_eq!(name_end(&message, last), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            message in proptest::collection::vec(any::<u8>(), 0..300),
            at in 0_usize..320,
        ) {
            let _ = name_end(&message, at);
            let _ = is_same_name(&message, at, &message, at / 2);
            if let Some(records) = Records::behind(&message, at) {
                for record in records.flatten() {
                    options(&message, record.data).for_each(drop);
                }
            }
        }
    }
}
