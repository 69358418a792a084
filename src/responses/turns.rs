//! Two tables in turn. In: tables that readers have let go of. Out: the base of the next one, and
//! buffers for its shards. It never changes what an answer is, only what a change costs.
//!
//! A change would copy the rows of pointers that lead to its shards, and with 100,000 tasks most of
//! its time would be spent on counting references there. But the table before the present one, once
//! nobody reads it any more, only lacks what came since: its own rows are changed where they stand. Where
//! it is still read, or came from another build, the present one's rows are copied instead.

use std::collections::VecDeque;

use super::compile::Encoder;
use super::table::{ResponseTable, Shard};
use crate::limits::{SPARE_BEHIND_BYTES_MAX, SPARE_BEHIND_MAX, SPARE_BUFFERS_MAX};

/// A shard that differs from the table before, by its number.
pub type Change = (usize, Shard);

/// What was let go of and can be used again.
#[derive(Default)]
pub struct Turns {
    /// A table that nobody reads, and its generation.
    spare: Option<(u64, ResponseTable)>,
    /// What came with each generation since, the earliest first.
    behind: VecDeque<(u64, Vec<Change>)>,
    /// Octets of the shards in it, some of which nothing else holds any more.
    behind_bytes: usize,
    buffers: Buffers,
    encoder: Encoder,
}

/// Allocations that shards had.
#[derive(Default)]
pub struct Buffers {
    free: VecDeque<Vec<u8>>,
}

impl Turns {
    /// What the next table is made from: the present one, as it is.
    pub(super) fn base(&mut self, present: &ResponseTable) -> ResponseTable {
        let Some((generation, mut table)) = self.spare.take() else {
            return present.clone();
        };
        for (_, changes) in self.behind.iter().filter(|(since, _)| *since > generation) {
            for (number, shard) in changes {
                if let Some(old) = table.replace(*number, shard.clone()) {
                    self.buffers.put_back(old);
                }
            }
        }
        table.zone = present.zone.clone();
        table.name_count = present.name_count;
        table
    }

    pub(super) fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// The encoder of the change before, as good as new.
    pub(super) fn encoder(&mut self) -> Encoder {
        std::mem::take(&mut self.encoder)
    }

    /// Notes what a generation brought. It must be one more than the one before.
    pub(super) fn note(&mut self, generation: u64, changes: Vec<Change>, mut encoder: Encoder) {
        encoder.forget();
        self.encoder = encoder;
        self.behind_bytes += byte_count(&changes);
        self.behind.push_back((generation, changes));
        while self.behind.len() > SPARE_BEHIND_MAX || self.behind_bytes > SPARE_BEHIND_BYTES_MAX {
            let Some((_, changes)) = self.behind.pop_front() else {
                break;
            };
            self.behind_bytes -= byte_count(&changes);
        }
    }

    /// Takes a table that nobody reads any more.
    pub fn take_back(&mut self, generation: u64, table: ResponseTable) {
        let is_newer = self.spare.as_ref().is_none_or(|(it, _)| *it < generation);
        // It must not lack more than is known.
        let oldest = self.behind.front().map(|(since, _)| *since);
        if is_newer && oldest.is_some_and(|oldest| oldest <= generation + 1) {
            self.spare = Some((generation, table));
        }
    }

    /// The next table comes from another build: what is here fits it no more.
    pub fn forget(&mut self) {
        self.spare = None;
        self.behind.clear();
        self.behind_bytes = 0;
    }
}

impl Buffers {
    /// An empty buffer with room for so much, and not much more.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let fitting = self.free.iter().enumerate().filter(|(_, buffer)| {
            let fit = bytes..=bytes + bytes / SLACK;
            fit.contains(&buffer.capacity())
        });
        let best = fitting.min_by_key(|(_, buffer)| buffer.capacity());
        let best = best.map(|(index, _)| index);
        let mut buffer = best
            .and_then(|index| self.free.swap_remove_back(index))
            .unwrap_or_else(|| Vec::with_capacity(bytes));
        buffer.clear();
        buffer
    }

    fn put_back(&mut self, shard: Shard) {
        // One that is part of a larger allocation, as after a warm start, frees nothing.
        if shard.is_unique() {
            self.free.push_back(Vec::from(shard));
        }
        // Those at the front fitted nobody for long.
        if self.free.len() > SPARE_BUFFERS_MAX {
            self.free.pop_front();
        }
    }
}

fn byte_count(changes: &[Change]) -> usize {
    changes.iter().map(|(_, shard)| shard.len()).sum()
}

/// A buffer may be larger than what is wanted by one part in so many.
const SLACK: usize = 4;
