//! Turns a RecordSet into finished answers. Runs on the refresh thread only. In: all records, or
//! the names that were touched. Out: a new ResponseTable; the old one is left as it was.

use std::collections::HashMap;
use std::mem::take;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::draft::{Draft, PART_SHARDS, Part, ROOM_FOR_CHANGES_BYTES};
use super::layout::{
    self, ENTRY_HEAD_BYTES, HAS_STATICS, RRSET_HEAD_BYTES, SRV_BYTES, TAIL_FOLLOWS,
};
use super::own::Own;
use super::rrsets::{Addresses, Writer, reads_back};
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
use crate::records::rank::{self, Rank};
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

/// Target and port of an SRV record, with its rank.
pub(super) type RankedSrv = (Rank, (NameId, u16));

/// Writes entries; its buffers are kept from one to the next.
#[derive(Default)]
pub(super) struct Encoder {
    /// Touched names with their hashes.
    hashed: Vec<(NameId, u64)>,
    wire: Vec<u8>,
    entry: Vec<u8>,
    addresses: Addresses,
    srv: Vec<RankedSrv>,
    pub(super) names: Vec<Vec<u8>>,
    pub(super) cname: Option<Vec<u8>>,
    pub(super) texts: Vec<Vec<u8>>,
    /// TTL and SRV weight of records that are not static.
    pub(super) ttl_seconds: u32,
    pub(super) srv_weight: u16,
    /// Places in `known` of the present RRset's targets, and which of its records point to each.
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
        let entry_start = entries.len();
        let rrset_count = self.addresses.rrset_count()
            + self.srv.chunk_by(|a, b| a.0 == b.0).count()
            + usize::from(!self.names.is_empty())
            + usize::from(self.cname.is_some())
            + usize::from(!self.texts.is_empty());
        let heads_end = entry_start + ENTRY_HEAD_BYTES + rrset_count * RRSET_HEAD_BYTES;
        entries.resize(heads_end, 0);
        entries.extend_from_slice(wire);
        entries[entry_start] = wire.len() as u8;
        entries[entry_start + 1] = rrset_count as u8;
        let own = Own::of(records, name);
        if own.is_some() {
            entries[entry_start + 1] |= HAS_STATICS;
        }
        let mut writer = Writer {
            own: own.as_ref(),
            ttl_seconds: self.ttl_seconds,
            entry_start,
            head: entry_start + ENTRY_HEAD_BYTES,
            entries,
        };
        writer.addresses(rtype::A, &self.addresses.a);
        writer.addresses(rtype::AAAA, &self.addresses.aaaa);
        self.srv_rrsets(records, &mut writer);
        writer.names(rtype::PTR, &self.names);
        writer.names(rtype::CNAME, self.cname.as_slice());
        writer.texts(&self.texts);
        let entry_bytes = (entries.len() - entry_start) as u32;
        entries[entry_start + 2..entry_start + 6].copy_from_slice(&entry_bytes.to_le_bytes());
        debug_assert!(
            reads_back(entries, entry_start),
            "an entry just written reads back"
        );
    }

    /// Gathers the records of a name that are answered, by type, best first and then sorted by their
    /// data, so that the same records give the same octets whatever order they came in.
    fn sort_records(&mut self, records: &RecordSet, name: NameId) {
        self.addresses.clear();
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
        for (rank, record) in records.ranked(name) {
            record_count += 1;
            match record {
                Record::A(_) | Record::Aaaa(_) => self.addresses.add(rank, record),
                Record::Srv { port, target } => self.srv.push((rank, (target, port))),
                Record::Ptr { target } => self.names.push(wire_of(target)),
                Record::Cname { target } => self.cname = Some(wire_of(target)),
                Record::Text { number } => self.texts.push(records.text(number).to_vec()),
            }
        }
        // Nothing else may stand beside a CNAME (RFC 1034, 3.6.2), and the cluster's records win.
        if record_count > 1 {
            self.cname = None;
        }
        self.addresses.choose();
        rank::choose(&mut self.srv);
        self.names.sort_unstable();
        self.names.truncate(PTR_RECORDS_MAX);
        self.texts.sort_unstable();
        self.prefer_static_pointers(records, name);
    }

    /// Writes an RRset of SRV records for each rank.
    fn srv_rrsets(&mut self, records: &RecordSet, writer: &mut Writer<'_, '_>) {
        let srv = take(&mut self.srv);
        for (place, same) in srv.chunk_by(|a, b| a.0 == b.0).enumerate() {
            let front = writer.begin(rtype::SRV, same.len(), srv.len());
            self.known.forget();
            self.srv_data(records, same, writer.entries, writer.entry_start);
            if let Some(own) = writer.own {
                // Those of unhealthy tasks come behind all others.
                let priority = u16::from(place > 0);
                self.weigh(records, own, (same, priority), &mut writer.entries[front..]);
            }
        }
        self.srv = srv;
    }

    /// SRV records and their targets, sorted by target name and port.
    fn srv_data(
        &mut self,
        records: &RecordSet,
        srv: &[RankedSrv],
        entries: &mut Vec<u8>,
        entry_start: usize,
    ) {
        self.targets.clear();
        let mut start = 0;
        for same in srv.chunk_by(|(_, a), (_, b)| a.0 == b.0) {
            let (_, (target, _)) = same[0];
            let target = self.known.place_of(records, target, self.ttl_seconds);
            self.targets.push((target, start..start + same.len()));
            start += same.len();
        }
        let known = &self.known;
        self.targets
            .sort_unstable_by(|(a, _), (b, _)| known.targets[*a].name.cmp(&known.targets[*b].name));
        let mut at = entries.len();
        entries.resize(at + srv.len() * SRV_BYTES, 0);
        // Most targets of a name differ in their first label only.
        let tail = self
            .targets
            .first()
            .map_or(&[][..], |(first, _)| known.targets[*first].tail());
        entries.push(tail.len() as u8);
        entries.extend_from_slice(tail);
        for (ordinal, (target, ports)) in self.targets.iter().enumerate() {
            let place = (entries.len() - entry_start) as u32;
            for &(_, (_, port)) in &srv[ports.clone()] {
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
    addresses: Addresses,
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
        self.addresses.clear();
        for (rank, record) in records.ranked(id) {
            self.addresses.add(rank, record);
        }
        self.addresses.choose();
        // The additional section has but the zone's TTL.
        if let Some(own) = Own::of(records, id) {
            let has_ttl = |rtype, count| own.ttl_seconds(rtype, count, ttl_seconds) == ttl_seconds;
            let Addresses { a, aaaa } = &mut self.addresses;
            if !has_ttl(rtype::A, a.len()) {
                a.clear();
            }
            if !has_ttl(rtype::AAAA, aaaa.len()) {
                aaaa.clear();
            }
        }
        let Addresses { a, aaaa } = &self.addresses;
        let max = TARGET_ADDRESSES_MAX;
        target
            .a
            .extend(a.iter().take(max).map(|(_, octets)| octets));
        target
            .aaaa
            .extend(aaaa.iter().take(max).map(|(_, octets)| octets));
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
