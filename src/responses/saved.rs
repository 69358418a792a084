//! A table as octets, and back. In: the shards of a table. Out: packed blocks with their checksums,
//! and a table that shares the unpacked blocks. Nothing in a block is believed before its checksum,
//! nor by what it says of lengths after it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::SharedSeed;
use serde::{Deserialize, Serialize};

use super::layout;
use super::table::{GROUP_SHARDS, Group, Index, ResponseTable, Seeds, Shard, TableMarks};
use super::zone::Answering;
use crate::limits::{SAVED_BLOCK_BYTES, SAVED_BYTES_MAX, TABLE_GROUP_BITS_MAX};

/// What is needed to put a table together from its blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTable {
    seeds: Seeds,
    group_bits: u32,
    name_count: u64,
    marks: TableMarks,
    pub blocks: Vec<BlockHead>,
}

/// What is said of a packed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHead {
    pub bytes: u64,
    pub packed_bytes: u64,
    /// CRC-32 of the packed octets.
    pub checksum: u32,
}

/// Why octets are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedError {
    Checksum,
    Packing,
    Length,
    /// The hash of names is another one than that with which the table was made.
    Hash,
}

impl fmt::Display for SavedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "its checksum is wrong",
            Self::Packing => "it cannot be unpacked",
            Self::Length => "its lengths do not fit",
            Self::Hash => "it was made with another hash",
        })
    }
}

/// Packs a block of octets.
pub fn pack(octets: &[u8]) -> (BlockHead, Vec<u8>) {
    let packed = lz4_flex::block::compress(octets);
    let head = BlockHead {
        bytes: octets.len() as u64,
        packed_bytes: packed.len() as u64,
        checksum: crc32fast::hash(&packed),
    };
    (head, packed)
}

/// Checks and unpacks a block.
pub fn unpack(head: &BlockHead, packed: &[u8]) -> Result<Vec<u8>, SavedError> {
    // Packing makes nothing smaller than by this factor, so that a lying head reserves no memory.
    let bytes_max = head
        .packed_bytes
        .saturating_mul(PACKING_FACTOR_MAX)
        .min(SAVED_BYTES_MAX);
    if packed.len() as u64 != head.packed_bytes || head.bytes > bytes_max {
        return Err(SavedError::Length);
    }
    if crc32fast::hash(packed) != head.checksum {
        return Err(SavedError::Checksum);
    }
    let mut octets = vec![0; head.bytes as usize];
    let written = lz4_flex::block::decompress_into(packed, &mut octets);
    match written {
        Ok(count) if count == octets.len() => Ok(octets),
        _ => Err(SavedError::Packing),
    }
}

impl ResponseTable {
    /// Writes the shards, packed, one block after the other. An error is the writer's.
    pub fn save<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<SavedTable, E> {
        let mut saved = SavedTable {
            seeds: self.index.seeds,
            group_bits: self.index.group_bits,
            name_count: self.name_count as u64,
            marks: self.marks,
            blocks: Vec::new(),
        };
        let mut block = Vec::with_capacity(SAVED_BLOCK_BYTES + SAVED_BLOCK_BYTES / 4);
        let mut shards = self.groups.iter().flat_map(|group| group.iter()).peekable();
        while let Some(shard) = shards.next() {
            block.extend_from_slice(&(shard.len() as u32).to_le_bytes());
            block.extend_from_slice(shard);
            if block.len() >= SAVED_BLOCK_BYTES || shards.peek().is_none() {
                let (head, packed) = pack(&block);
                write(&packed)?;
                saved.blocks.push(head);
                block.clear();
            }
        }
        Ok(saved)
    }

    /// The table of the shards of all blocks, in their order; the present configuration and serial make
    /// its SOA and NS.
    pub fn load(
        saved: &SavedTable,
        shards: Vec<Shard>,
        answering: &Answering,
        serial: u32,
    ) -> Result<Self, SavedError> {
        let is_whole = saved.group_bits <= TABLE_GROUP_BITS_MAX
            && shards.len() == GROUP_SHARDS << saved.group_bits;
        if !is_whole {
            return Err(SavedError::Length);
        }
        // Lives as long as the process, for the hash wants it so; a process loads one table.
        let shared = Box::leak(Box::new(SharedSeed::from_u64(saved.seeds.process)));
        let index = Index::new(saved.seeds, shared, saved.group_bits);
        check_hash(&index, &shards)?;
        let counted: usize = shards.iter().map(|shard| layout::name_count(shard)).sum();
        if counted as u64 != saved.name_count {
            return Err(SavedError::Length);
        }
        let groups: Arc<[Group]> = shards.chunks(GROUP_SHARDS).map(Group::from).collect();
        let mut table = Self::finish(index, groups, counted, answering, serial);
        table.marks = TableMarks {
            partial: false,
            ..saved.marks
        };
        Ok(table)
    }
}

/// The shards of a packed block; they share its octets.
pub fn unpack_shards(head: &BlockHead, packed: &[u8]) -> Result<Vec<Shard>, SavedError> {
    let mut block = Bytes::from(unpack(head, packed)?);
    let mut shards = Vec::new();
    while !block.is_empty() {
        let bytes = match block.first_chunk::<4>() {
            Some(length) => u32::from_le_bytes(*length) as usize,
            None => return Err(SavedError::Length),
        };
        if bytes > block.len() - 4 {
            return Err(SavedError::Length);
        }
        let _length = block.split_to(4);
        shards.push(block.split_to(bytes));
    }
    Ok(shards)
}

/// The library that hashes may be another version: one name of each of some shards tells.
fn check_hash(index: &Index, shards: &[Shard]) -> Result<(), SavedError> {
    let step = shards.len() / HASHES_CHECKED + 1;
    for (number, shard) in shards.iter().enumerate().step_by(step) {
        if let Some(entry) = layout::entries(shard).next() {
            let hash = index.hash(entry.name());
            let found = layout::find(shard, entry.name(), index.slot(hash), Index::tag(hash));
            if index.shard(hash) != number || found.is_none() {
                return Err(SavedError::Hash);
            }
        }
    }
    Ok(())
}

/// Of LZ4: each octet of a length adds at most 255.
const PACKING_FACTOR_MAX: u64 = 255;
/// Enough to be sure, too few to be felt.
const HASHES_CHECKED: usize = 256;
