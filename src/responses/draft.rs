//! A shard that is being written: head, slots and entries, as they stay. In: entries, one after the
//! other, or the shard of before and what differs. Out: the finished shard. It must never leave a
//! slot that leads to anything but its own entry.
//!
//! Most changes give a name as many octets as it had: then its entry is overwritten where it stands
//! and the index stays. A longer one is written behind the others and leaves a hole, and where holes
//! take too much room, or the slots no longer fit, everything is written anew.

use super::layout::{self, ENTRY_HEAD_BYTES, Entry, SHARD_HEAD_BYTES, SLOT_BYTES};
use super::table::{GROUP_SHARDS, Index, Shard};
use crate::limits::ENTRY_BYTES_EXPECTED;

pub(super) struct Draft {
    shard: Vec<u8>,
    slot_count: usize,
    pub(super) name_count: usize,
    hole_bytes: usize,
    /// An entry found no room in the index, which must be made anew.
    is_crowded: bool,
}

/// The entries of some neighbouring shards, as they come, before any shard is made. Fewer and longer
/// than shards: thousands of buffers, each with a part of a page that is not used, cost a tenth of the
/// table, and writing to all of them in turn misses the cache.
pub(super) struct Part {
    entries: Vec<u8>,
}

/// Shards of a part; a group has whole parts.
pub(super) const PART_SHARDS: usize = 8;
const _: () = assert!(GROUP_SHARDS.is_multiple_of(PART_SHARDS));

impl Part {
    /// Room that is not used was never touched and costs no memory.
    pub(super) fn with_room_for(names: usize) -> Self {
        Self {
            entries: Vec::with_capacity((names + names / 4) * ENTRY_BYTES_EXPECTED),
        }
    }

    /// Where entries are appended.
    pub(super) fn octets(&mut self) -> &mut Vec<u8> {
        &mut self.entries
    }

    /// The shards, the first of which has this number, each of the very size that it needs. The part is
    /// freed, and those that follow find room where it was.
    pub(super) fn into_shards(self, first: usize, index: &Index) -> Vec<Shard> {
        let mut hashes = Vec::new();
        let mut sizes = [(0, 0); PART_SHARDS];
        let mut place = 0;
        while let Some(entry) = Entry::at(&self.entries, place) {
            let (hash, bytes) = (index.hash(entry.name()), entry.bytes().len());
            let (names, entries_bytes) = &mut sizes[index.shard(hash) - first];
            *names += 1;
            *entries_bytes += bytes;
            hashes.push((hash, place..place + bytes));
            place += bytes;
        }
        let mut drafts = sizes.map(|(names, bytes)| Draft::of_size(names, bytes));
        for (hash, range) in hashes {
            let draft = &mut drafts[index.shard(hash) - first];
            let start = draft.shard.len();
            draft.shard.extend_from_slice(&self.entries[range]);
            draft.set_slot(draft.free_slot(hash, index), hash, start);
        }
        let shards = drafts.into_iter().map(|mut draft| {
            draft.write_head();
            Shard::from(draft.shard)
        });
        shards.collect()
    }
}

impl Draft {
    /// With slots for so many names, which the caller enters, and room for their entries and no more.
    fn of_size(names: usize, entries_bytes: usize) -> Self {
        let slot_count = slot_count_for(names);
        let slots_end = SHARD_HEAD_BYTES + slot_count * SLOT_BYTES;
        let mut shard = Vec::with_capacity(slots_end + entries_bytes);
        shard.resize(slots_end, 0);
        Self {
            shard,
            slot_count,
            name_count: names,
            hole_bytes: 0,
            is_crowded: false,
        }
    }

    /// With slots and room for so many names. Room that is not used was never touched and costs no
    /// memory.
    pub(super) fn with_room_for(names: usize) -> Self {
        let slot_count = slot_count_for(names);
        let slots_end = SHARD_HEAD_BYTES + slot_count * SLOT_BYTES;
        let mut shard = Vec::with_capacity(slots_end + (names + names / 4) * ENTRY_BYTES_EXPECTED);
        shard.resize(slots_end, 0);
        Self {
            shard,
            slot_count,
            name_count: 0,
            hole_bytes: 0,
            is_crowded: false,
        }
    }

    /// As a shard is, to be changed in a buffer of its size.
    pub(super) fn of(old: &Shard, mut shard: Vec<u8>) -> Self {
        shard.extend_from_slice(old);
        Self {
            slot_count: layout::slot_count(old),
            name_count: layout::name_count(old),
            hole_bytes: layout::hole_bytes(old),
            is_crowded: false,
            shard,
        }
    }

    /// Puts an entry in the place of the one that the name had.
    pub(super) fn put(&mut self, entry: &[u8], name: &[u8], hash: u64, index: &Index) {
        let found = self.find(name, hash, index);
        if let Some((_, place)) = found
            && let Some(old) = self.shard.get_mut(place..place + entry.len())
            && Entry::at(old, 0).is_some_and(|it| it.bytes().len() == entry.len())
        {
            old.copy_from_slice(entry);
            return;
        }
        let start = self.shard.len();
        if self.shard.capacity() < start + entry.len() {
            // Not twice the size: what is not used stays with the shard.
            self.shard
                .reserve_exact(entry.len() + ROOM_FOR_CHANGES_BYTES);
        }
        self.shard.extend_from_slice(entry);
        if let Some((slot, place)) = found {
            let old_bytes = Entry::at(&self.shard, place).map_or(0, |entry| entry.bytes().len());
            self.make_hole(place, old_bytes);
            self.set_slot(slot, hash, start);
            return;
        }
        self.name_count += 1;
        self.is_crowded |= !self.fits();
        if !self.is_crowded {
            self.set_slot(self.free_slot(hash, index), hash, start);
        }
    }

    /// Takes the entry of a name out, where there is one.
    pub(super) fn take_out(&mut self, name: &[u8], hash: u64, index: &Index) {
        let Some((slot, place)) = self.find(name, hash, index) else {
            return;
        };
        let old_bytes = Entry::at(&self.shard, place).map_or(0, |entry| entry.bytes().len());
        self.make_hole(place, old_bytes);
        self.name_count -= 1;
        self.close_gap(slot, index);
    }

    /// The finished shard of a draft that was made `of` another.
    pub(super) fn finish(mut self, index: &Index) -> Shard {
        let entries_bytes = self.shard.len() - self.slots_end();
        let much_room = self.slot_count > SLOTS_MIN_FOR_SHRINK
            && self.name_count < self.slot_count / SLOTS_PER_NAME_MAX;
        if !self.is_crowded && self.hole_bytes * 4 <= entries_bytes && !much_room {
            self.write_head();
            return Shard::from(self.shard);
        }
        let mut anew = Self::with_room_for(self.name_count);
        anew.name_count = self.name_count;
        let mut place = self.slots_end();
        while let Some(entry) = Entry::at(&self.shard, place) {
            if !entry.is_hole() {
                anew.shard.extend_from_slice(entry.bytes());
            }
            place += entry.bytes().len();
        }
        anew.index(index)
    }

    /// The finished shard of a draft whose entries were all appended. The slots come last, in one
    /// sweep through the shard; entering each when it is written would wait for memory each time.
    pub(super) fn index(mut self, index: &Index) -> Shard {
        let slots_end = self.slots_end();
        if !self.fits() {
            let mut larger = Self::with_room_for(self.name_count);
            larger.shard.extend_from_slice(&self.shard[slots_end..]);
            larger.name_count = self.name_count;
            return larger.index(index);
        }
        let mut place = slots_end;
        while let Some(entry) = Entry::at(&self.shard, place) {
            let bytes = entry.bytes().len();
            let hash = index.hash(entry.name());
            self.set_slot(self.free_slot(hash, index), hash, place);
            place += bytes;
        }
        self.write_head();
        // Where it stands; nothing is copied.
        self.shard.shrink_to_fit();
        Shard::from(self.shard)
    }

    fn slots_end(&self) -> usize {
        SHARD_HEAD_BYTES + self.slot_count * SLOT_BYTES
    }

    /// Whether the slots are at most three quarters full, so that walks are short and an empty slot
    /// always ends them.
    fn fits(&self) -> bool {
        self.name_count * 4 <= self.slot_count * 3
    }

    fn write_head(&mut self) {
        let numbers = [self.slot_count, self.name_count, self.hole_bytes];
        for (number, octets) in numbers.into_iter().zip(self.shard.chunks_exact_mut(4)) {
            octets.copy_from_slice(&(number as u32).to_le_bytes());
        }
    }

    /// Slot and place of a name's entry.
    fn find(&self, name: &[u8], hash: u64, index: &Index) -> Option<(usize, usize)> {
        let mut slot = index.slot(hash) & (self.slot_count - 1);
        loop {
            let place = self.place_in(slot);
            if place == 0 {
                return None;
            }
            let is_it = |entry: Entry<'_>| entry.name() == name;
            if Entry::at(&self.shard, place).is_some_and(is_it) {
                return Some((slot, place));
            }
            slot = self.next(slot);
        }
    }

    fn free_slot(&self, hash: u64, index: &Index) -> usize {
        let mut slot = index.slot(hash) & (self.slot_count - 1);
        while self.place_in(slot) != 0 {
            slot = self.next(slot);
        }
        slot
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slot_count - 1)
    }

    fn place_in(&self, slot: usize) -> usize {
        layout::u32_at(&self.shard, SHARD_HEAD_BYTES + slot * SLOT_BYTES + 4) as usize
    }

    fn set_slot(&mut self, slot: usize, hash: u64, place: usize) {
        let at = SHARD_HEAD_BYTES + slot * SLOT_BYTES;
        let octets = &mut self.shard[at..at + SLOT_BYTES];
        octets[..4].copy_from_slice(&Index::tag(hash).to_le_bytes());
        octets[4..].copy_from_slice(&(place as u32).to_le_bytes());
    }

    /// Empties a slot, and moves up what stands behind it because it was taken.
    fn close_gap(&mut self, mut gap: usize, index: &Index) {
        let mut slot = gap;
        loop {
            slot = self.next(slot);
            let place = self.place_in(slot);
            let Some(entry) = Entry::at(&self.shard, place).filter(|_| place != 0) else {
                break;
            };
            let hash = index.hash(entry.name());
            let wanted = index.slot(hash) & (self.slot_count - 1);
            // Whether the walk from its wanted slot passes the gap.
            let mask = self.slot_count - 1;
            if slot.wrapping_sub(wanted) & mask >= slot.wrapping_sub(gap) & mask {
                self.set_slot(gap, hash, place);
                gap = slot;
            }
        }
        let at = SHARD_HEAD_BYTES + gap * SLOT_BYTES;
        self.shard[at..at + SLOT_BYTES].fill(0);
    }

    fn make_hole(&mut self, place: usize, bytes: usize) {
        debug_assert!(bytes >= ENTRY_HEAD_BYTES, "an entry has its head");
        self.shard[place] = 0;
        self.hole_bytes += bytes;
    }
}

fn slot_count_for(names: usize) -> usize {
    (names * 2).next_power_of_two().max(2)
}

/// What most changes append at the most.
pub(super) const ROOM_FOR_CHANGES_BYTES: usize = 256;
/// Slots for each name, past which an index is made smaller.
const SLOTS_PER_NAME_MAX: usize = 16;
/// An index of so few slots is not worth it.
const SLOTS_MIN_FOR_SHRINK: usize = 64;
