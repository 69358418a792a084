//! The bytes of one shard: a hash index and entries, without a pointer in them, so that a shard is
//! one allocation, can be copied anywhere, and an entry's answer is one run of bytes. In: encoded
//! entries. Out: views of them. A reader must never trust a place that lies outside the shard.
//!
//! ```text
//! shard   slot_count u32 | name_count u32 | hole_bytes u32
//!         | slot_count x (tag u32, entry place u32; 0 is empty) | entries and holes
//! hole    0 u8 | any u8 | hole_bytes u32 | any octets: an entry that was replaced by a longer one
//! entry   name_bytes u8 | rrset_count u8, HAS_STATICS | entry_bytes u32
//!         | rrset_count x (rtype u16, record_count u32, place u32) | owner name | RRset data
//! A       record_count x 4 octets              AAAA   record_count x 16 octets
//! names   record_count x (name_bytes u8, name) PTR and CNAME: few, so they are found by walking
//! SRV     record_count x (port u16, target place u32) | tail_bytes u8 | tail | targets
//! target  ordinal u32, TAIL_FOLLOWS | a_count u16 | aaaa_count u16 | name_bytes u8 | name | addresses
//! texts   record_count x (bytes u16, strings as on the wire)
//! statics before the data of each RRset of an entry with HAS_STATICS, whose places stay those of the
//!         data: of SRV record_count x (priority u16, weight u16), of all ttl u32
//! ```
//!
//! Records of one type that are not equally good are an RRset for each rank, the best first. Of
//! addresses an RRset without records parts those of healthy tasks from the others; a second SRV RRset
//! is that of unhealthy tasks, and its records have priority 1 in place of 0. All have the same TTL.
//!
//! All numbers are little-endian, all places count from the entry's first octet (from the shard's
//! for slots). Owner and fixed fields of a record are not stored: they are the same in every answer
//! (a pointer to the question, the class, the configured TTL and weight), so `respond` writes them
//! from a template. The targets of a name mostly end alike (`.marathon.slave.mesos`), so that the
//! end of the first is kept once, as the tail. All this keeps 2 million records in 115 MB.

use crate::dns::rtype;

/// Octets before an entry's RRset headers.
pub const ENTRY_HEAD_BYTES: usize = 6;
/// Octets of one RRset header.
pub const RRSET_HEAD_BYTES: usize = 10;
/// Octets of one SRV record: port and target place.
pub const SRV_BYTES: usize = 6;
/// Octets of a target before its name.
pub const TARGET_HEAD_BYTES: usize = 9;
/// Bit of a target's ordinal: the tail follows its name.
pub const TAIL_FOLLOWS: u32 = 1 << 31;
/// Bit of an entry's `rrset_count`: some of its records are static ones.
pub const HAS_STATICS: u8 = 1 << 7;
/// Octets of the TTL before the data of an RRset, and of priority and weight of an SRV record.
pub const OWN_TTL_BYTES: usize = 4;
pub const OWN_SRV_BYTES: usize = 4;
/// Octets of one slot of the index.
pub const SLOT_BYTES: usize = 8;
/// Octets before the slots.
pub const SHARD_HEAD_BYTES: usize = 12;

/// One owner name and its RRsets.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Begins with the entry; ends with it or later.
    bytes: &'a [u8],
}

/// One RRset of an entry.
#[derive(Clone, Copy)]
pub struct RrSet<'a> {
    pub rtype: u16,
    pub record_count: usize,
    entry: &'a [u8],
    place: usize,
    has_own: bool,
}

/// One SRV record.
#[derive(Clone, Copy)]
pub struct Srv<'a> {
    pub port: u16,
    pub target: Target<'a>,
}

/// What an SRV record points to, with the addresses for the additional section.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// 0, 1, 2, ... within the entry: records with the same target have the same.
    pub ordinal: u32,
    /// Wire format, in two pieces; not compressed in an answer (RFC 2782).
    pub name: &'a [u8],
    pub tail: &'a [u8],
    pub a: &'a [[u8; 4]],
    pub aaaa: &'a [[u8; 16]],
}

impl<'a> Entry<'a> {
    /// The entry at a place of a shard.
    pub fn at(shard: &'a [u8], place: usize) -> Option<Self> {
        let bytes = shard.get(place..)?;
        (bytes.len() >= ENTRY_HEAD_BYTES).then_some(Self { bytes })
    }

    /// The owner name in wire format, lower case.
    pub fn name(&self) -> &'a [u8] {
        let start = ENTRY_HEAD_BYTES + self.rrset_count() * RRSET_HEAD_BYTES;
        let name_bytes = usize::from(self.bytes.first().copied().unwrap_or(0));
        self.bytes
            .get(start..start + name_bytes)
            .unwrap_or_default()
    }

    /// 0 for an empty non-terminal: the name exists, because names below it do (RFC 8020).
    pub fn rrset_count(&self) -> usize {
        usize::from(self.bytes.get(1).copied().unwrap_or(0) & !HAS_STATICS)
    }

    /// Whether some of its records are static ones. Their RRsets have TTLs of their own.
    #[inline]
    pub fn has_statics(&self) -> bool {
        self.bytes.get(1).copied().unwrap_or(0) & HAS_STATICS != 0
    }

    /// Whether it is what an entry left behind. Every name has at least its root label.
    pub fn is_hole(&self) -> bool {
        self.bytes.first() == Some(&0)
    }

    /// All octets of the entry, to copy it into another shard.
    pub fn bytes(&self) -> &'a [u8] {
        let entry_bytes = u32_at(self.bytes, 2) as usize;
        self.bytes.get(..entry_bytes).unwrap_or_default()
    }

    #[inline]
    pub fn rrsets(&self) -> impl Iterator<Item = RrSet<'a>> + 'a {
        let entry = self.bytes;
        let heads = entry.get(ENTRY_HEAD_BYTES..).unwrap_or_default();
        let (heads, _) = heads.as_chunks::<RRSET_HEAD_BYTES>();
        let has_own = self.has_statics();
        heads.iter().take(self.rrset_count()).map(move |head| {
            let [t0, t1, c0, c1, c2, c3, p0, p1, p2, p3] = *head;
            RrSet {
                rtype: u16::from_le_bytes([t0, t1]),
                record_count: u32::from_le_bytes([c0, c1, c2, c3]) as usize,
                entry,
                place: u32::from_le_bytes([p0, p1, p2, p3]) as usize,
                has_own,
            }
        })
    }

    /// The best RRset of a type.
    pub fn rrset(&self, rtype: u16) -> Option<RrSet<'a>> {
        self.rrsets().find(|rrset| rrset.rtype == rtype)
    }
}

impl<'a> RrSet<'a> {
    /// Data of A records (4 octets each) or AAAA records (16); none where there are not as many as
    /// the count says.
    #[inline]
    pub fn addresses<const BYTES: usize>(&self) -> &'a [[u8; BYTES]] {
        let octets = self.entry.get(self.place..);
        let octets = octets.and_then(|octets| octets.get(..self.record_count * BYTES));
        octets.unwrap_or_default().as_chunks().0
    }

    /// Data of an A or AAAA record.
    pub fn address(&self, index: usize) -> Option<&'a [u8]> {
        match self.rtype {
            rtype::A => self.addresses::<4>().get(index).map(<[u8; 4]>::as_slice),
            _ => self.addresses::<16>().get(index).map(<[u8; 16]>::as_slice),
        }
    }

    /// Data of an SRV record.
    #[inline]
    pub fn srv(&self, index: usize) -> Option<Srv<'a>> {
        if self.rtype != rtype::SRV {
            return None;
        }
        let at = self.place + index * SRV_BYTES;
        let record = self.entry.get(at..at + SRV_BYTES)?;
        let mut target = Target::at(self.entry, u32_at(record, 2) as usize)?;
        if target.ordinal & TAIL_FOLLOWS != 0 {
            target.ordinal &= !TAIL_FOLLOWS;
            target.tail = self.tail()?;
        }
        Some(Srv {
            port: u16_at(record, 0),
            target,
        })
    }

    /// The end that SRV targets have in common.
    #[inline]
    fn tail(&self) -> Option<&'a [u8]> {
        let at = self.place + self.record_count * SRV_BYTES;
        let tail_bytes = usize::from(*self.entry.get(at)?);
        self.entry.get(at + 1..at + 1 + tail_bytes)
    }

    /// The TTL of an RRset with static records; `None`: that of the zone.
    #[inline]
    pub fn own_ttl_seconds(&self) -> Option<u32> {
        let at = self.place.checked_sub(OWN_TTL_BYTES);
        at.filter(|_| self.has_own).map(|at| u32_at(self.entry, at))
    }

    /// Priority and weight of an SRV record in such an RRset; `None`: 0 and that of the zone.
    #[inline]
    pub fn own_priority_and_weight(&self, index: usize) -> Option<(u16, u16)> {
        if !self.has_own {
            return None;
        }
        let all_bytes = OWN_TTL_BYTES + self.record_count * OWN_SRV_BYTES;
        let at = self.place.checked_sub(all_bytes)? + index * OWN_SRV_BYTES;
        Some((u16_at(self.entry, at), u16_at(self.entry, at + 2)))
    }

    /// Data of a TXT record: its strings as on the wire.
    pub fn text(&self, index: usize) -> Option<&'a [u8]> {
        let mut rest = self.entry.get(self.place..)?;
        for _ in 0..index {
            rest = rest.get(2 + usize::from(u16_at(rest, 0))..)?;
        }
        rest.get(2..2 + usize::from(u16_at(rest, 0)))
    }

    /// Data of a PTR or CNAME record: a name in wire format.
    pub fn name(&self, index: usize) -> Option<&'a [u8]> {
        let mut rest = self.entry.get(self.place..)?;
        for _ in 0..index {
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        }
        rest.get(1..1 + usize::from(*rest.first()?))
    }
}

impl<'a> Target<'a> {
    /// Octets of the whole name.
    #[inline]
    pub fn name_bytes(&self) -> usize {
        self.name.len() + self.tail.len()
    }

    #[inline]
    fn at(entry: &'a [u8], place: usize) -> Option<Self> {
        let bytes = entry.get(place..)?;
        let head = bytes.first_chunk::<TARGET_HEAD_BYTES>()?;
        let [o0, o1, o2, o3, a0, a1, q0, q1, name_bytes] = *head;
        let a_bytes = usize::from(u16::from_le_bytes([a0, a1])) * 4;
        let aaaa_bytes = usize::from(u16::from_le_bytes([q0, q1])) * 16;
        let rest = bytes.get(TARGET_HEAD_BYTES..)?;
        let (name, rest) = rest.split_at_checked(usize::from(name_bytes))?;
        let (a, rest) = rest.split_at_checked(a_bytes)?;
        let aaaa = rest.get(..aaaa_bytes)?;
        Some(Self {
            ordinal: u32::from_le_bytes([o0, o1, o2, o3]),
            name,
            tail: &[],
            a: a.as_chunks().0,
            aaaa: aaaa.as_chunks().0,
        })
    }
}

/// Finds a name in a shard. `tag` and `slot_hash` are parts of the name's hash.
#[inline]
pub fn find<'a>(shard: &'a [u8], name: &[u8], slot_hash: usize, tag: u32) -> Option<Entry<'a>> {
    let slot_count = slot_count(shard);
    // The index is never full, so an empty slot ends the walk; the bound is for a damaged one.
    for step in 0..slot_count {
        let at = slot_place(slot_count, slot_hash + step);
        let [t0, t1, t2, t3, p0, p1, p2, p3] = *shard.get(at..)?.first_chunk::<SLOT_BYTES>()?;
        let place = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
        if place == 0 {
            return None;
        }
        if u32::from_le_bytes([t0, t1, t2, t3]) == tag {
            let entry = Entry::at(shard, place)?;
            if entry.name() == name {
                return Some(entry);
            }
        }
    }
    None
}

/// Where the slot stands that a name's hash leads to first.
#[inline]
pub fn slot_at(shard: &[u8], slot_hash: usize) -> usize {
    slot_place(slot_count(shard), slot_hash)
}

/// Where the entry stands that this slot leads to; 0 for none.
#[inline]
pub fn place_in_slot(shard: &[u8], slot_hash: usize) -> usize {
    u32_at(shard, slot_at(shard, slot_hash) + 4) as usize
}

#[inline]
fn slot_place(slot_count: usize, slot_hash: usize) -> usize {
    SHARD_HEAD_BYTES + (slot_hash & slot_count.wrapping_sub(1)) * SLOT_BYTES
}

/// Every entry of a shard, in the order in which they stand.
pub fn entries(shard: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut at = SHARD_HEAD_BYTES + slot_count(shard) * SLOT_BYTES;
    std::iter::from_fn(move || {
        let entry = Entry::at(shard, at)?;
        let bytes = entry.bytes().len();
        at += bytes;
        (bytes != 0).then_some(entry)
    })
    .filter(|entry| !entry.is_hole())
}

/// Slots of a shard's index, a power of two.
pub fn slot_count(shard: &[u8]) -> usize {
    u32_at(shard, 0) as usize
}

/// Entries of a shard.
pub fn name_count(shard: &[u8]) -> usize {
    u32_at(shard, 4) as usize
}

/// Octets of a shard that no entry needs.
pub fn hole_bytes(shard: &[u8]) -> usize {
    u32_at(shard, 8) as usize
}

#[inline]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |octets| u16::from_le_bytes(*octets))
}

#[inline]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |octets| u32::from_le_bytes(*octets))
}
