//! The ResponseTable: shards of finished answers behind one root. In: a name on the wire. Out: its
//! entry, for any thread, without a lock. It is never changed; a new one shares the shards that are
//! the same.
//!
//! A name's 64-bit keyed hash gives, from the low end: its group, its shard in the group, its slot;
//! the upper half is the tag that is compared before the name is. Two levels, so that a change need
//! not copy a pointer to every shard; `turns` says what it copies.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use serde::{Deserialize, Serialize};

use super::layout::{self, Entry};
use super::zone::Zone;
use crate::dns::rtype;
use crate::limits::NAME_BYTES_MAX;

/// One allocation, shared by all tables that hold it; see `layout`.
pub type Shard = Bytes;
/// `GROUP_SHARDS` shards.
pub type Group = Arc<[Shard]>;

/// log2 of the shards in a group.
pub const GROUP_BITS: u32 = 6;
/// Shards in a group.
pub const GROUP_SHARDS: usize = 1 << GROUP_BITS;

/// Precompiled answers of every owner name.
#[derive(Clone)]
pub struct ResponseTable {
    pub(super) index: Index,
    pub(super) groups: Arc<[Group]>,
    pub(super) zone: Arc<Zone>,
    pub(super) name_count: usize,
    pub(super) marks: TableMarks,
}

/// What is to be known before a name is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMarks {
    /// There are static records outside of the domain.
    pub outside: bool,
    /// There are wildcards.
    pub wildcards: bool,
    /// Nothing is known of the cluster yet: there are the static records alone, and what is not among
    /// them may exist all the same.
    pub partial: bool,
}

/// How a name's hash is made and cut up; the same for all tables that share shards.
#[derive(Clone)]
pub(super) struct Index {
    hash: SeedableRandomState,
    pub seeds: Seeds,
    /// log2 of the number of groups.
    pub group_bits: u32,
}

/// A resource record's data, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordData {
    Address(IpAddr),
    /// Target in wire format.
    Srv {
        port: u16,
        target: Vec<u8>,
    },
    /// Target in wire format.
    Ptr {
        target: Vec<u8>,
    },
    /// Target in wire format.
    Cname {
        target: Vec<u8>,
    },
    /// Strings as on the wire.
    Text(Vec<u8>),
}

impl ResponseTable {
    /// The entry of a name in wire format, lower case. `None`: the name does not exist. An entry
    /// without records is an empty non-terminal.
    #[inline]
    pub fn find(&self, wire_name: &[u8]) -> Option<Entry<'_>> {
        find(&self.index, &self.groups, wire_name)
    }

    /// What leads to a name in this table, and in no other: for `find_hashed` and what prepares it.
    #[inline]
    pub fn hash(&self, wire_name: &[u8]) -> u64 {
        self.index.hash(wire_name)
    }

    /// `find` for a name whose hash is known.
    #[inline]
    pub fn find_hashed(&self, wire_name: &[u8], hash: u64) -> Option<Entry<'_>> {
        find_hashed(&self.index, &self.groups, wire_name, hash)
    }

    /// The octets of the slot that a hash leads to, and what is behind them: to be fetched ahead.
    #[inline]
    pub fn slot_octets(&self, hash: u64) -> &[u8] {
        let shard = shard_of(&self.index, &self.groups, hash);
        let octets = shard.and_then(|shard| {
            let at = layout::slot_at(shard, self.index.slot(hash));
            shard.get(at..)
        });
        octets.unwrap_or_default()
    }

    /// The same of the entry that this slot leads to; nothing where it is empty.
    #[inline]
    pub fn entry_octets(&self, hash: u64) -> &[u8] {
        let shard = shard_of(&self.index, &self.groups, hash);
        let octets = shard.and_then(|shard| {
            let place = layout::place_in_slot(shard, self.index.slot(hash));
            shard.get(place..).filter(|_| place != 0)
        });
        octets.unwrap_or_default()
    }

    #[inline]
    pub fn marks(&self) -> TableMarks {
        self.marks
    }

    /// The same table, marked as one of static records alone.
    pub fn into_partial(mut self) -> Self {
        self.marks.partial = true;
        self
    }

    /// The entry that answers for a name without one: the wildcard below its closest encloser
    /// (RFC 4592, 3.3.1).
    #[inline]
    pub fn covering(&self, wire_name: &[u8]) -> Option<Entry<'_>> {
        match self.marks.wildcards {
            true => self.wildcard_for(wire_name),
            false => None,
        }
    }

    #[cold]
    fn wildcard_for(&self, wire_name: &[u8]) -> Option<Entry<'_>> {
        let mut rest = wire_name;
        loop {
            let label_bytes = usize::from(*rest.first()?);
            rest = rest.get(1 + label_bytes..)?;
            // No wildcard stands below the root.
            if rest.len() < 2 {
                return None;
            }
            if self.find(rest).is_some() {
                let mut wildcard = [0; NAME_BYTES_MAX];
                let wildcard = wildcard.get_mut(..2 + rest.len())?;
                let (front, back) = wildcard.split_at_mut(2);
                front.copy_from_slice(b"\x01*");
                back.copy_from_slice(rest);
                return self.find(wildcard);
            }
        }
    }

    /// The static records of a name outside of the domain, of which its entry is known.
    #[inline]
    pub fn outside<'a>(&'a self, wire_name: &[u8], entry: Option<Entry<'a>>) -> Option<Entry<'a>> {
        if !self.marks.outside {
            return None;
        }
        let entry = entry.or_else(|| self.covering(wire_name));
        entry.filter(Entry::has_statics)
    }

    pub(super) fn shard(&self, number: usize) -> Option<&Shard> {
        self.groups
            .get(number / GROUP_SHARDS)?
            .get(number % GROUP_SHARDS)
    }

    /// Puts a shard in the place of another, which it gives. Rows that no other table has are changed
    /// where they stand.
    pub(super) fn replace(&mut self, number: usize, shard: Shard) -> Option<Shard> {
        let group = Arc::make_mut(&mut self.groups).get_mut(number / GROUP_SHARDS)?;
        let place = Arc::make_mut(group).get_mut(number % GROUP_SHARDS)?;
        Some(std::mem::replace(place, shard))
    }

    /// Every entry, shard by shard.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.groups
            .iter()
            .flat_map(|group| group.iter())
            .flat_map(|shard| layout::entries(shard))
    }

    /// How many names the table holds, empty non-terminals among them.
    pub fn name_count(&self) -> usize {
        self.name_count
    }

    /// Octets of all shards.
    pub fn byte_count(&self) -> usize {
        self.groups
            .iter()
            .flat_map(|group| group.iter())
            .map(|shard| shard.len())
            .sum()
    }

    /// The records that do not depend on the cluster's tasks: SOA and NS of the apex.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

/// The entry of a name in shards that an index leads to.
#[inline]
pub(super) fn find<'a>(index: &Index, groups: &'a [Group], wire_name: &[u8]) -> Option<Entry<'a>> {
    find_hashed(index, groups, wire_name, index.hash(wire_name))
}

#[inline]
fn find_hashed<'a>(
    index: &Index,
    groups: &'a [Group],
    wire_name: &[u8],
    hash: u64,
) -> Option<Entry<'a>> {
    let shard = shard_of(index, groups, hash)?;
    layout::find(shard, wire_name, index.slot(hash), Index::tag(hash))
}

#[inline]
fn shard_of<'a>(index: &Index, groups: &'a [Group], hash: u64) -> Option<&'a Shard> {
    let group = groups.get(index.group(hash))?;
    group.get(index.shard_in_group(hash))
}

/// What keys the hash of names. Tasks choose their names, so it must not be guessable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// Drawn anew with each build.
    pub table: u64,
    /// Drawn once for the process that made the table.
    pub process: u64,
}

/// Drawn when the first table is built.
static PROCESS: OnceLock<(u64, SharedSeed)> = OnceLock::new();

impl Seeds {
    /// Sets the process's own part, for measurements that must repeat; never in a server, where it
    /// must not be guessable. False where a table was built before, which keeps what was drawn.
    pub fn fix_process(process: u64) -> bool {
        let seed = (process, SharedSeed::from_u64(process));
        PROCESS.set(seed).is_ok()
    }
}

impl Index {
    pub fn new(seeds: Seeds, shared: &'static SharedSeed, group_bits: u32) -> Self {
        let hash = SeedableRandomState::with_seed(seeds.table, shared);
        Self {
            hash,
            seeds,
            group_bits,
        }
    }

    /// With the process's own part of the seeds.
    pub fn of_process(table_seed: u64, group_bits: u32) -> Self {
        let (process, shared) = PROCESS.get_or_init(|| {
            // The library's own randomness: the standard library's, which the system seeds.
            let process = RandomState::new().hash_one(0);
            (process, SharedSeed::from_u64(process))
        });
        let seeds = Seeds {
            table: table_seed,
            process: *process,
        };
        Self::new(seeds, shared, group_bits)
    }

    #[inline]
    pub fn hash(&self, wire_name: &[u8]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write(wire_name);
        hasher.finish()
    }

    #[inline]
    pub fn group(&self, hash: u64) -> usize {
        hash as usize & ((1 << self.group_bits) - 1)
    }

    #[inline]
    pub fn shard_in_group(&self, hash: u64) -> usize {
        (hash >> self.group_bits) as usize & (GROUP_SHARDS - 1)
    }

    /// Number of the shard in the whole table.
    pub fn shard(&self, hash: u64) -> usize {
        self.group(hash) * GROUP_SHARDS + self.shard_in_group(hash)
    }

    #[inline]
    pub fn slot(&self, hash: u64) -> usize {
        (hash >> (self.group_bits + GROUP_BITS)) as usize
    }

    #[inline]
    pub fn tag(hash: u64) -> u32 {
        (hash >> 32) as u32
    }
}

impl Entry<'_> {
    /// The records of one type, best first and then sorted by their data.
    pub fn records(&self, wanted: u16) -> impl Iterator<Item = RecordData> + '_ {
        let rrsets = self.rrsets().filter(move |rrset| rrset.rtype == wanted);
        rrsets.flat_map(move |rrset| {
            (0..rrset.record_count).filter_map(move |index| match wanted {
                rtype::SRV => {
                    let srv = rrset.srv(index)?;
                    Some(RecordData::Srv {
                        port: srv.port,
                        target: [srv.target.name, srv.target.tail].concat(),
                    })
                }
                rtype::PTR => Some(RecordData::Ptr {
                    target: rrset.name(index)?.to_vec(),
                }),
                rtype::CNAME => Some(RecordData::Cname {
                    target: rrset.name(index)?.to_vec(),
                }),
                rtype::TXT => Some(RecordData::Text(rrset.text(index)?.to_vec())),
                _ => Some(RecordData::Address(address_from_octets(
                    rrset.address(index)?,
                )?)),
            })
        })
    }
}

/// 4 octets are an IPv4 address, 16 an IPv6 one.
pub fn address_from_octets(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets)
            .ok()
            .map(|octets| Ipv4Addr::from(octets).into()),
        16 => <[u8; 16]>::try_from(octets)
            .ok()
            .map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}
