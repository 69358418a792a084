//! A naive reader and writer of DNS messages, for judging the product's. In: octets that ought to be a
//! message. Out: its parts, names whole and in lower case. It shares no code with what it judges, and
//! is slow and strict where that makes it short.

use std::fmt;

use hickory_proto::op::Message;

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
pub const OPT: u16 = 41;
pub const IXFR: u16 = 251;
pub const AXFR: u16 = 252;
pub const ANY: u16 = 255;

/// A record, its names whole and in lower case, those in its data too.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.owner.escape_ascii();
        let data = self.data.escape_ascii();
        let Self {
            rtype, class, ttl, ..
        } = self;
        write!(f, "{owner} {ttl} CLASS{class} TYPE{rtype} {data}")
    }
}

/// A message taken apart.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    pub id: u16,
    pub flags: u16,
    /// As it stands, from the header to its end.
    pub question: Option<Vec<u8>>,
    /// Answers, authorities, and what is additional, without OPT.
    pub sections: [Vec<Record>; 3],
    pub opt: Option<Record>,
}

impl Parts {
    /// `None` where anything is not as it must be.
    pub fn read(message: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            Some(u16::from_be_bytes([
                *message.get(at)?,
                *message.get(at + 1)?,
            ]))
        };
        let mut parts = Self {
            id: word(0)?,
            flags: word(2)?,
            ..Self::default()
        };
        let mut at = 12;
        match word(4)? {
            0 => {}
            1 => {
                let (_, end) = name(message, at)?;
                parts.question = Some(message.get(at..end + 4)?.to_vec());
                at = end + 4;
            }
            _ => return None,
        }
        for (number, count_at) in [6, 8, 10].into_iter().enumerate() {
            for _ in 0..word(count_at)? {
                let record = record(message, &mut at)?;
                if record.rtype != OPT {
                    parts.sections[number].push(record);
                } else if number != 2 || record.owner != [0] || parts.opt.is_some() {
                    return None;
                } else {
                    parts.opt = Some(record);
                }
            }
        }
        (at == message.len()).then_some(parts)
    }

    /// The same, of what we sent: it must be read, and a library must see the same in it.
    pub fn read_ours(message: &[u8]) -> Self {
        let shown = || message.escape_ascii();
        let parts = Self::read(message).unwrap_or_else(|| panic!("it cannot be read: {}", shown()));
        let seen =
            Message::from_vec(message).unwrap_or_else(|error| panic!("{error}: {}", shown()));
        assert_eq!(seen.metadata.id, parts.id);
        assert_eq!(seen.queries.len(), usize::from(parts.question.is_some()));
        assert_eq!(u16::from(seen.metadata.response_code), parts.rcode());
        assert_eq!(seen.edns.is_some(), parts.opt.is_some());
        for (seen, section) in [&seen.answers, &seen.authorities, &seen.additionals]
            .into_iter()
            .zip(&parts.sections)
        {
            let seen = seen.iter().map(|it| (u16::from(it.record_type()), it.ttl));
            let ours = section.iter().map(|it| (it.rtype, it.ttl));
            assert_eq!(
                seen.collect::<Vec<_>>(),
                ours.collect::<Vec<_>>(),
                "{}",
                shown()
            );
        }
        parts
    }

    /// With the bits that OPT adds.
    pub fn rcode(&self) -> u16 {
        let upper = self.opt.as_ref().map_or(0, |opt| opt.ttl >> 24);
        self.flags & 15 | (upper << 4) as u16
    }
}

/// The name at a place, whole and in lower case, and where it ends.
pub fn name(message: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut whole = Vec::new();
    let mut end = None;
    let mut before = at;
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => break,
            1..=63 => {
                whole.extend_from_slice(message.get(at..at + 1 + length)?);
                at += 1 + length;
            }
            0xc0.. => {
                let target = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end.get_or_insert(at + 2);
                if target >= before || target < 12 {
                    return None;
                }
                (at, before) = (target, target);
            }
            _ => return None,
        }
        if whole.len() > 254 {
            return None;
        }
    }
    whole.push(0);
    whole.make_ascii_lowercase();
    Some((whole, end.unwrap_or(at + 1)))
}

fn record(message: &[u8], at: &mut usize) -> Option<Record> {
    let (owner, head) = name(message, *at)?;
    let [t0, t1, c0, c1, l0, l1, l2, l3, d0, d1] = *message.get(head..)?.first_chunk::<10>()?;
    let rtype = u16::from_be_bytes([t0, t1]);
    let begin = head + 10;
    let end = begin + usize::from(u16::from_be_bytes([d0, d1]));
    *at = end;
    message.get(begin..end)?;
    // Octets, then names, then octets.
    let (before, names) = match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME.
        2..=5 | 7..=9 | 12 | 39 => (0, 1),
        // SOA, MINFO, RP.
        6 | 14 | 17 => (0, 2),
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => (2, 1),
        SRV => (6, 1),
        _ => (end - begin, 0),
    };
    let mut data = message.get(begin..begin + before)?.to_vec();
    let mut place = begin + before;
    for _ in 0..names {
        let (name, behind) = name(message, place)?;
        data.extend(name);
        place = behind;
    }
    data.extend(message.get(place..end)?);
    (place <= end).then_some(Record {
        owner,
        rtype,
        class: u16::from_be_bytes([c0, c1]),
        ttl: u32::from_be_bytes([l0, l1, l2, l3]),
        data,
    })
}

/// `a.b` as octets; a test's own text.
pub fn wire(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}

/// Whether a name in lower case is an apex or below it.
pub fn is_within(name: &[u8], apex: &[u8]) -> bool {
    ancestors(name).any(|it| it == apex)
}

/// The name itself and those above it, down to the root.
pub fn ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(name);
    std::iter::from_fn(move || {
        let now = rest?;
        rest = now
            .get(1 + usize::from(*now.first()?)..)
            .filter(|it| !it.is_empty());
        Some(now)
    })
}
