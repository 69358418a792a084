//! Turns a RecordSet into finished answers. Runs on the refresh thread only. In: all records, or
//! the names that were touched. Out: a new ResponseTable; the old one is left as it was.

use std::collections::HashMap;
use std::mem::take;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::draft::{Draft, PART_SHARDS, Part, ROOM_FOR_CHANGES_BYTES};
use super::layout::{
    self, ENTRY_HEAD_BYTES, Entry, HAS_STATICS, RRSET_HEAD_BYTES, RrSet, SRV_BYTES, TAIL_FOLLOWS,
};
use super::own::Own;
use super::table::{
    GROUP_BITS, GROUP_SHARDS, Group, Index, RecordData, ResponseTable, Shard, TableMarks,
};
use super::turns::{Buffers, Turns};
use super::zone::{Answering, Zone};
use crate::dns::rtype;
use crate::limits::{
    KNOWN_TARGETS_MAX, PTR_RECORDS_MAX, SHARD_NAMES_WANTED, TABLE_GROUP_BITS_MAX,
    TARGET_ADDRESSES_MAX,
};
use crate::records::{Marks, NameId, Record, RecordSet};

impl ResponseTable {
    /// Compiles every name. `seed` keys the hash: tasks choose their names, so it must not be
    /// guessable.
    pub fn build(records: &RecordSet, answering: &Answering, serial: u32, seed: u64) -> Self {
        let index = Index::of_process(seed, group_bits_for(records.name_count()));
        let shard_count = GROUP_SHARDS << index.group_bits;
        // Names are written in the order in which they lie in memory, each to the end of its part: reading
        // them shard by shard would miss the cache for every record.
        let part_count = shard_count / PART_SHARDS;
        let part_names = records.name_count() / part_count + 1;
        let mut parts: Vec<Part> = Vec::new();
        parts.resize_with(part_count, || Part::with_room_for(part_names));
        let mut encoder = Encoder {
            ttl_seconds: answering.ttl_seconds,
            srv_weight: answering.srv_weight,
            ..Encoder::default()
        };
        let mut wire = Vec::new();
        let mut name_count = 0;
        for name in records.names() {
            wire.clear();
            records.append_wire(name, &mut wire);
            let hash = index.hash(&wire);
            if let Some(part) = parts.get_mut(index.shard(hash) / PART_SHARDS) {
                encoder.entry(records, name, &wire, part.octets());
                name_count += 1;
            }
        }
        let shards: Vec<Shard> = parts
            .into_iter()
            .enumerate()
            .flat_map(|(number, part)| part.into_shards(number * PART_SHARDS, &index))
            .collect();
        let groups = shards.chunks(GROUP_SHARDS).map(Group::from).collect();
        let mut table = Self::finish(index, groups, name_count, answering, serial);
        let Marks { outside, wildcards } = records.marks();
        table.marks = TableMarks {
            outside,
            wildcards,
            ..TableMarks::default()
        };
        table
    }

    /// A table in which the touched names are as the RecordSet has them now, and all others as they
    /// were. Writes only the shards of touched names; `turns` are those of this table and what came
    /// before it, and `generation` is that of the new one.
    pub fn updated(
        &self,
        records: &RecordSet,
        touched: &[NameId],
        answering: &Answering,
        serial: u32,
        (turns, generation): (&mut Turns, u64),
    ) -> Self {
        let mut table = turns.base(self);
        let index = &self.index;
        table.marks = self.marks;
        let mut encoder = turns.encoder();
        (encoder.ttl_seconds, encoder.srv_weight) = (answering.ttl_seconds, answering.srv_weight);
        let mut names = take(&mut encoder.hashed);
        names.clear();
        for &name in touched {
            encoder.wire.clear();
            records.append_wire(name, &mut encoder.wire);
            names.push((name, index.hash(&encoder.wire)));
        }
        names.sort_unstable_by_key(|&(name, hash)| (index.shard(hash), name));
        names.dedup();
        let mut changes = Vec::new();
        for of_shard in names.chunk_by(|a, b| index.shard(a.1) == index.shard(b.1)) {
            let number = index.shard(of_shard[0].1);
            let Some(shard) = table.shard(number) else {
                continue;
            };
            let draft = encoder.replaced(records, shard, of_shard, index, turns.buffers());
            table.name_count = table.name_count + draft.name_count - layout::name_count(shard);
            let shard = draft.finish(index);
            table.replace(number, shard.clone());
            changes.push((number, shard));
        }
        encoder.hashed = names;
        turns.note(generation, changes, encoder);
        table.with_zone(answering, serial)
    }

    /// Whether the shards have become so large or so empty that a build would serve better.
    pub fn wants_rebuild(&self) -> bool {
        let wanted = group_bits_for(self.name_count);
        wanted > self.index.group_bits + 1 || wanted + 2 < self.index.group_bits
    }

    /// The table of these shards, with the apex's records for this serial.
    pub(super) fn finish(
        index: Index,
        groups: Arc<[Group]>,
        name_count: usize,
        answering: &Answering,
        serial: u32,
    ) -> Self {
        let zone = Arc::new(Zone::new(answering, serial, &[]));
        let table = Self {
            index,
            groups,
            zone,
            name_count,
            marks: TableMarks::default(),
        };
        table.with_zone(answering, serial)
    }

    /// The same with the apex's records for this serial.
    fn with_zone(mut self, answering: &Answering, serial: u32) -> Self {
        let mut mname = answering.soa_mname.to_vec();
        mname.make_ascii_lowercase();
        let ns_addresses: Vec<IpAddr> = self
            .find(&mname)
            .iter()
            .flat_map(|entry| [rtype::A, rtype::AAAA].map(|rtype| entry.records(rtype)))
            .flatten()
            .filter_map(|data| match data {
                RecordData::Address(address) => Some(address),
                _ => None,
            })
            .take(TARGET_ADDRESSES_MAX)
            .collect();
        self.zone = Arc::new(Zone::new(answering, serial, &ns_addresses));
        self
    }
}

/// So many groups that a shard holds about `SHARD_NAMES_WANTED` names.
fn group_bits_for(name_count: usize) -> u32 {
    let shards = (name_count / SHARD_NAMES_WANTED).max(1).next_power_of_two();
    shards
        .trailing_zeros()
        .saturating_sub(GROUP_BITS)
        .min(TABLE_GROUP_BITS_MAX)
}

/// Writes entries; its buffers are kept from one to the next.
#[derive(Default)]
pub(super) struct Encoder {
    /// Touched names with their hashes.
    hashed: Vec<(NameId, u64)>,
    wire: Vec<u8>,
    entry: Vec<u8>,
    a: Vec<[u8; 4]>,
    aaaa: Vec<[u8; 16]>,
    pub(super) srv: Vec<(NameId, u16)>,
    pub(super) names: Vec<Vec<u8>>,
    pub(super) cname: Option<Vec<u8>>,
    pub(super) texts: Vec<Vec<u8>>,
    /// TTL and SRV weight of records that are not static.
    pub(super) ttl_seconds: u32,
    pub(super) srv_weight: u16,
    /// Places in `known` of the present name's targets, and which of `srv` point to each.
    pub(super) targets: Vec<(usize, Range<usize>)>,
    known: KnownTargets,
}

impl Encoder {
    /// Forgets what it knows of a RecordSet, which has changed.
    pub(super) fn forget(&mut self) {
        self.known.targets.clear();
        self.known.places.clear();
    }

    /// The shard with the named entries as the RecordSet has them now.
    fn replaced(
        &mut self,
        records: &RecordSet,
        old: &Shard,
        names: &[(NameId, u64)],
        index: &Index,
        buffers: &mut Buffers,
    ) -> Draft {
        let mut draft = Draft::of(old, buffers.take(old.len() + ROOM_FOR_CHANGES_BYTES));
        let (mut wire, mut entry) = (take(&mut self.wire), take(&mut self.entry));
        for &(name, hash) in names {
            wire.clear();
            records.append_wire(name, &mut wire);
            if records.exists(name) {
                entry.clear();
                self.entry(records, name, &wire, &mut entry);
                draft.put(&entry, &wire, hash, index);
            } else {
                draft.take_out(&wire, hash, index);
            }
        }
        (self.wire, self.entry) = (wire, entry);
        draft
    }

    /// Appends the entry of one name.
    fn entry(&mut self, records: &RecordSet, name: NameId, wire: &[u8], entries: &mut Vec<u8>) {
        self.sort_records(records, name);
        let own = Own::of(records, name);
        let counts = [
            (rtype::A, self.a.len()),
            (rtype::AAAA, self.aaaa.len()),
            (rtype::SRV, self.srv.len()),
            (rtype::PTR, self.names.len()),
            (rtype::CNAME, usize::from(self.cname.is_some())),
            (rtype::TXT, self.texts.len()),
        ];
        let counts = counts.into_iter().filter(|&(_, count)| count > 0);
        let entry_start = entries.len();
        let rrset_count = counts.clone().count();
        let heads_end = entry_start + ENTRY_HEAD_BYTES + rrset_count * RRSET_HEAD_BYTES;
        entries.resize(heads_end, 0);
        entries.extend_from_slice(wire);
        entries[entry_start] = wire.len() as u8;
        entries[entry_start + 1] = rrset_count as u8;
        if own.is_some() {
            entries[entry_start + 1] |= HAS_STATICS;
        }
        let mut head = entry_start + ENTRY_HEAD_BYTES;
        for (rtype, count) in counts {
            let own_at = entries.len();
            if let Some(own) = &own {
                own.append_front(rtype, count, self.ttl_seconds, entries);
            }
            write_head(entries, &mut head, entry_start, rtype, count);
            self.rrset_data(records, rtype, entries, entry_start);
            if let Some(own) = own.as_ref().filter(|_| rtype == rtype::SRV) {
                self.weigh(records, own, &mut entries[own_at..]);
            }
        }
        let entry_bytes = (entries.len() - entry_start) as u32;
        entries[entry_start + 2..entry_start + 6].copy_from_slice(&entry_bytes.to_le_bytes());
        debug_assert!(
            reads_back(entries, entry_start),
            "an entry just written reads back"
        );
    }

    /// Appends the data of all gathered records of a type.
    fn rrset_data(
        &mut self,
        records: &RecordSet,
        rtype: u16,
        entries: &mut Vec<u8>,
        entry_start: usize,
    ) {
        match rtype {
            rtype::A => entries.extend_from_slice(self.a.as_flattened()),
            rtype::AAAA => entries.extend_from_slice(self.aaaa.as_flattened()),
            rtype::SRV => {
                self.known.forget();
                self.srv_data(records, entries, entry_start);
            }
            rtype::TXT => {
                for text in &self.texts {
                    // Bounded by `STATIC_TEXT_BYTES_MAX`.
                    entries.extend((text.len() as u16).to_le_bytes());
                    entries.extend_from_slice(text);
                }
            }
            _ => {
                let names = match rtype {
                    rtype::PTR => self.names.as_slice(),
                    _ => self.cname.as_slice(),
                };
                for name in names {
                    entries.push(name.len() as u8);
                    entries.extend_from_slice(name);
                }
            }
        }
    }

    /// Gathers the records of a name by type, sorted by their data, so that the same records give
    /// the same octets whatever order they came in.
    fn sort_records(&mut self, records: &RecordSet, name: NameId) {
        self.a.clear();
        self.aaaa.clear();
        self.srv.clear();
        self.names.clear();
        self.cname = None;
        self.texts.clear();
        let wire_of = |target| {
            let mut wire = Vec::new();
            records.append_wire(target, &mut wire);
            wire
        };
        let mut record_count = 0;
        for record in records.records(name) {
            record_count += 1;
            match record {
                Record::A(address) => self.a.push(address.octets()),
                Record::Aaaa(address) => self.aaaa.push(address.octets()),
                Record::Srv { port, target } => self.srv.push((target, port)),
                Record::Ptr { target } => self.names.push(wire_of(target)),
                Record::Cname { target } => self.cname = Some(wire_of(target)),
                Record::Text { number } => self.texts.push(records.text(number).to_vec()),
            }
        }
        // Nothing else may stand beside a CNAME (RFC 1034, 3.6.2), and the cluster's records win.
        if record_count > 1 {
            self.cname = None;
        }
        self.a.sort_unstable();
        self.aaaa.sort_unstable();
        self.srv.sort_unstable();
        self.names.sort_unstable();
        self.names.truncate(PTR_RECORDS_MAX);
        self.texts.sort_unstable();
        self.prefer_static_pointers(records, name);
    }

    /// SRV records and their targets, sorted by target name and port.
    fn srv_data(&mut self, records: &RecordSet, entries: &mut Vec<u8>, entry_start: usize) {
        self.targets.clear();
        let mut start = 0;
        for same in self.srv.chunk_by(|a, b| a.0 == b.0) {
            let target = self.known.place_of(records, same[0].0, self.ttl_seconds);
            self.targets.push((target, start..start + same.len()));
            start += same.len();
        }
        let known = &self.known;
        self.targets
            .sort_unstable_by(|(a, _), (b, _)| known.targets[*a].name.cmp(&known.targets[*b].name));
        let mut at = entries.len();
        entries.resize(at + self.srv.len() * SRV_BYTES, 0);
        // Most targets of a name differ in their first label only.
        let tail = self
            .targets
            .first()
            .map_or(&[][..], |(first, _)| known.targets[*first].tail());
        entries.push(tail.len() as u8);
        entries.extend_from_slice(tail);
        for (ordinal, (target, ports)) in self.targets.iter().enumerate() {
            let place = (entries.len() - entry_start) as u32;
            for &(_, port) in &self.srv[ports.clone()] {
                entries[at..at + 2].copy_from_slice(&port.to_le_bytes());
                entries[at + 2..at + SRV_BYTES].copy_from_slice(&place.to_le_bytes());
                at += SRV_BYTES;
            }
            let target = &known.targets[*target];
            let (name, flag) = match target.name.strip_suffix(tail) {
                Some(name) if target.tail() == tail => (name, TAIL_FOLLOWS),
                _ => (&target.name[..], 0),
            };
            entries.extend((ordinal as u32 | flag).to_le_bytes());
            entries.extend((target.a.len() as u16).to_le_bytes());
            entries.extend((target.aaaa.len() as u16).to_le_bytes());
            entries.push(name.len() as u8);
            entries.extend_from_slice(name);
            entries.extend_from_slice(target.a.as_flattened());
            entries.extend_from_slice(target.aaaa.as_flattened());
        }
    }
}

/// A name that SRV records point to, with what the additional section says of it.
struct KnownTarget {
    name: Vec<u8>,
    a: Vec<[u8; 4]>,
    aaaa: Vec<[u8; 16]>,
}

impl KnownTarget {
    /// The name without its first label.
    fn tail(&self) -> &[u8] {
        let label_bytes = self.name.first().map_or(0, |&length| usize::from(length));
        self.name.get(1 + label_bytes..).unwrap_or_default()
    }
}

/// The targets met last: a task is the target of several names, which follow each other.
#[derive(Default)]
struct KnownTargets {
    targets: Vec<KnownTarget>,
    places: HashMap<NameId, usize, foldhash::fast::FixedState>,
}

impl KnownTargets {
    fn place_of(&mut self, records: &RecordSet, id: NameId, ttl_seconds: u32) -> usize {
        if let Some(&place) = self.places.get(&id) {
            return place;
        }
        let mut target = KnownTarget {
            name: Vec::with_capacity(TARGET_BYTES_EXPECTED),
            a: Vec::new(),
            aaaa: Vec::new(),
        };
        records.append_wire(id, &mut target.name);
        for record in records.records(id) {
            match record {
                Record::A(address) => target.a.push(address.octets()),
                Record::Aaaa(address) => target.aaaa.push(address.octets()),
                _ => {}
            }
        }
        // The additional section has but the zone's TTL.
        if let Some(own) = Own::of(records, id) {
            let has_ttl = |rtype, count| own.ttl_seconds(rtype, count, ttl_seconds) == ttl_seconds;
            if !has_ttl(rtype::A, target.a.len()) {
                target.a.clear();
            }
            if !has_ttl(rtype::AAAA, target.aaaa.len()) {
                target.aaaa.clear();
            }
        }
        target.a.sort_unstable();
        target.aaaa.sort_unstable();
        target.a.truncate(TARGET_ADDRESSES_MAX);
        target.aaaa.truncate(TARGET_ADDRESSES_MAX);
        self.targets.push(target);
        self.places.insert(id, self.targets.len() - 1);
        self.targets.len() - 1
    }

    /// Forgets the older ones where there are many. Not while places are in use.
    fn forget(&mut self) {
        if self.targets.len() > KNOWN_TARGETS_MAX {
            self.targets.clear();
            self.places.clear();
        }
    }
}

/// What most names have; only a hint.
const TARGET_BYTES_EXPECTED: usize = 96;

/// Fills in the header of an RRset whose data begins at the end of `entries`.
fn write_head(
    entries: &mut [u8],
    head: &mut usize,
    entry_start: usize,
    rtype: u16,
    record_count: usize,
) {
    let place = (entries.len() - entry_start) as u32;
    let octets = &mut entries[*head..*head + RRSET_HEAD_BYTES];
    octets[..2].copy_from_slice(&rtype.to_le_bytes());
    octets[2..6].copy_from_slice(&(record_count as u32).to_le_bytes());
    octets[6..].copy_from_slice(&place.to_le_bytes());
    *head += RRSET_HEAD_BYTES;
}

/// Whether every record of the entry at a place can be read.
fn reads_back(entries: &[u8], entry_start: usize) -> bool {
    Entry::at(entries, entry_start).is_some_and(|entry| {
        let whole = |rrset: RrSet<'_>| entry.records(rrset.rtype).count() == rrset.record_count;
        !entry.name().is_empty() && entry.rrsets().all(whole)
    })
}
