//! The tree of names: labels and records in, names by number out. All lives in a few arrays and one
//! hash index; what is freed is used again. It must never know why a record is there.

mod contest;
mod data;
mod existence;
mod row;
mod settle;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::net::Ipv6Addr;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use self::row::{Class, KINDS, Kind, ManySources, Row, Sources};
use super::claims::Claims;
use super::rank::Rank;
use super::set::Record;
use crate::limits::{NAME_BYTES_MAX, OWNER_SCAN_RECORDS_MAX, RRSET_RECORDS_MAX};

/// No node, no record.
pub(super) const NONE: u32 = u32::MAX;
/// The root of all names.
pub(super) const ROOT: u32 = 0;

pub(super) struct Tree {
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    /// Nodes by (parent, label).
    index: HashTable<u32>,
    hasher: RandomState,
    labels: Vec<u8>,
    /// Freed places in `labels`, by length.
    free_labels: Vec<Vec<u32>>,
    rows: Vec<Row>,
    free_rows: Vec<u32>,
    many_sources: ManySources,
    /// Rows of owners with the flag `MANY`, by owner and data.
    many: HashTable<u32>,
    ipv6: Vec<Ipv6Addr>,
    free_ipv6: Vec<u32>,
    /// Nodes that exist, those above the apex included.
    existing_count: usize,
    /// Records that some source gives, by kind; one of several ranks counts once.
    record_counts: [usize; KINDS],
    /// A bit for each rank that a record ever had.
    ranks: u128,
    /// Names with more records than are answered.
    crowded_count: usize,
    /// Names that several claims meet at, in text.
    contested: BTreeMap<Box<str>, Claims>,
    above: Vec<u32>,
    /// Whether changes are noted, for `settle`.
    tracking: bool,
    touched: Vec<u32>,
    /// Nodes that nothing needs any more; freed by `bury`.
    dying: Vec<u32>,
}

struct Node {
    parent: u32,
    label_offset: u32,
    first_row: u32,
    /// First of the rows that point here: SRV, PTR, CNAME.
    first_referrer: u32,
    /// Rows with a count above zero.
    live_rows: u32,
    children: u32,
    existing_children: u32,
    label_bytes: u8,
    /// Of the whole name, with the root label.
    wire_bytes: u8,
    flags: u16,
}

const TOUCHED: u16 = 1;
/// Existed when it was first touched.
const EXISTED: u16 = 1 << 1;
const CHANGED: u16 = 1 << 2;
const MANY: u16 = 1 << 3;
/// The apex: exists without records.
const PINNED: u16 = 1 << 4;
/// Outside of all that is ours: the root, what stands above the apex, `in-addr.arpa`.
const ABOVE: u16 = 1 << 5;
const FREED: u16 = 1 << 6;
const SWEEP: u16 = 1 << 7;
/// Among `contested`.
const CONTESTED: u16 = 1 << 8;

impl Tree {
    pub(super) fn new(room: &Room) -> Self {
        let root = Node {
            parent: NONE,
            label_offset: 0,
            first_row: NONE,
            first_referrer: NONE,
            live_rows: 0,
            children: 0,
            existing_children: 0,
            label_bytes: 0,
            wire_bytes: 1,
            flags: ABOVE,
        };
        let mut nodes = Vec::with_capacity(room.names + 1);
        nodes.push(root);
        Self {
            nodes,
            free_nodes: Vec::new(),
            index: HashTable::with_capacity(room.names),
            hasher: RandomState::default(),
            labels: Vec::with_capacity(room.label_bytes),
            free_labels: vec![Vec::new(); 64],
            rows: Vec::with_capacity(room.rows),
            free_rows: Vec::new(),
            many_sources: ManySources::default(),
            many: HashTable::new(),
            ipv6: Vec::new(),
            free_ipv6: Vec::new(),
            existing_count: 0,
            record_counts: [0; KINDS],
            ranks: 0,
            crowded_count: 0,
            contested: BTreeMap::new(),
            above: vec![ROOT],
            tracking: false,
            touched: Vec::new(),
            dying: Vec::new(),
        }
    }

    /// From now on changes are noted.
    pub(super) fn track(&mut self) {
        self.tracking = true;
        self.note_all_contests();
    }

    pub(super) fn child(&self, parent: u32, label: &[u8]) -> Option<u32> {
        let hash = hash_label(&self.hasher, parent, label);
        self.index
            .find(hash, |&node| self.is_child(node, parent, label))
            .copied()
    }

    /// The child of that label, made if need be. The caller has checked the lengths.
    pub(super) fn child_or_new(&mut self, parent: u32, label: &[u8]) -> u32 {
        let hash = hash_label(&self.hasher, parent, label);
        let found = self
            .index
            .find(hash, |&node| self.is_child(node, parent, label));
        if let Some(&node) = found {
            return node;
        }
        let wire_bytes = usize::from(self.nodes[parent as usize].wire_bytes) + label.len() + 1;
        assert!(wire_bytes <= NAME_BYTES_MAX, "lengths are checked before");
        let node = Node {
            parent,
            label_offset: self.store_label(label),
            first_row: NONE,
            first_referrer: NONE,
            live_rows: 0,
            children: 0,
            existing_children: 0,
            label_bytes: label.len() as u8,
            wire_bytes: wire_bytes as u8,
            flags: 0,
        };
        let id = match self.free_nodes.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.nodes[parent as usize].children += 1;
        let (nodes, labels, hasher) = (&self.nodes, &self.labels, &self.hasher);
        self.index.insert_unique(hash, id, |&other| {
            let node = &nodes[other as usize];
            hash_label(hasher, node.parent, label_of(labels, node))
        });
        self.touch(id);
        id
    }

    fn is_child(&self, node: u32, parent: u32, label: &[u8]) -> bool {
        let node = &self.nodes[node as usize];
        node.parent == parent && label_of(&self.labels, node) == label
    }

    fn store_label(&mut self, label: &[u8]) -> u32 {
        if let Some(offset) = self.free_labels[label.len()].pop() {
            self.labels[offset as usize..][..label.len()].copy_from_slice(label);
            return offset;
        }
        let offset = self.labels.len() as u32;
        self.labels.extend_from_slice(label);
        offset
    }

    pub(super) fn parent(&self, node: u32) -> u32 {
        self.nodes[node as usize].parent
    }

    /// One more source gives the record, with this rank.
    pub(super) fn add(&mut self, owner: u32, record: Record, rank: Rank) {
        self.touch(owner);
        self.ranks |= 1 << rank.number();
        if let Some(row) = self.find_row(owner, &record, rank) {
            let sources = &mut self.rows[row as usize].sources;
            let was_none = sources.is_none();
            self.many_sources.gain(row, sources);
            if was_none {
                self.gained_row(owner, &record, rank);
            }
            return;
        }
        let kind = Kind::of(&record);
        let (port, data) = self.encoded(&record);
        let mut row = Row {
            owner,
            next_in_owner: self.nodes[owner as usize].first_row,
            next_referrer: NONE,
            data,
            port,
            class: Class::new(kind, rank),
            sources: Sources::one(self.tracking),
        };
        let target = kind.has_target().then_some(data as usize);
        if let Some(target) = target {
            row.next_referrer = self.nodes[target].first_referrer;
        }
        let id = match self.free_rows.pop() {
            Some(id) => {
                self.rows[id as usize] = row;
                id
            }
            None => {
                self.rows.push(row);
                (self.rows.len() - 1) as u32
            }
        };
        self.nodes[owner as usize].first_row = id;
        if let Some(target) = target {
            self.nodes[target].first_referrer = id;
        }
        self.gained_row(owner, &record, rank);
        let node = &self.nodes[owner as usize];
        if node.flags & MANY != 0 {
            self.index_row(id);
        } else if node.live_rows as usize > OWNER_SCAN_RECORDS_MAX {
            self.index_owner(owner);
        }
    }

    /// One source less gives the record with this rank.
    pub(super) fn remove(&mut self, owner: u32, record: Record, rank: Rank) {
        let Some(row) = self.find_row(owner, &record, rank) else {
            debug_assert!(false, "a record is removed that was never added");
            return;
        };
        self.touch(owner);
        let Row { sources, class, .. } = &mut self.rows[row as usize];
        let kind = class.kind();
        self.many_sources.lose(row, sources);
        if sources.is_none() {
            let has_others = self.nodes[owner as usize].live_rows > 1;
            let is_still_there = has_others && self.is_of_another_rank(owner, &record, rank);
            self.record_counts[kind as usize] -= usize::from(!is_still_there);
            let live_rows = &mut self.nodes[owner as usize].live_rows;
            self.crowded_count -= usize::from(*live_rows == CROWDED_ROWS);
            *live_rows -= 1;
            if !self.exists(owner) {
                self.ceased(owner);
            }
        }
    }

    fn gained_row(&mut self, owner: u32, record: &Record, rank: Rank) {
        let has_others = self.nodes[owner as usize].live_rows > 0;
        let was_there = has_others && self.is_of_another_rank(owner, record, rank);
        self.record_counts[Kind::of(record) as usize] += usize::from(!was_there);
        if !self.exists(owner) {
            self.began(owner);
        }
        let live_rows = &mut self.nodes[owner as usize].live_rows;
        *live_rows += 1;
        self.crowded_count += usize::from(*live_rows == CROWDED_ROWS);
    }

    /// Names with more records than are answered.
    pub(super) fn crowded_count(&self) -> usize {
        self.crowded_count
    }

    /// Notes that a node is about to change.
    fn touch(&mut self, node: u32) {
        if !self.tracking || self.nodes[node as usize].flags & TOUCHED != 0 {
            return;
        }
        let existed = self.is_name(node);
        self.nodes[node as usize].flags |= TOUCHED | if existed { EXISTED } else { 0 };
        self.touched.push(node);
    }

    /// A, AAAA, SRV, PTR, CNAME and TXT records.
    pub(super) fn record_counts(&self) -> [usize; KINDS] {
        self.record_counts
    }

    pub(super) fn append_wire(&self, node: u32, wire: &mut Vec<u8>) {
        let mut node = &self.nodes[node as usize];
        while node.parent != NONE {
            wire.push(node.label_bytes);
            wire.extend_from_slice(label_of(&self.labels, node));
            node = &self.nodes[node.parent as usize];
        }
        wire.push(0);
    }

    /// Whether a source gives the record with another rank than this. Costs next to nothing where
    /// all records have the same.
    fn is_of_another_rank(&self, owner: u32, record: &Record, rank: Rank) -> bool {
        let mut others = self.ranks & !(1 << rank.number());
        while others != 0 {
            let other = Rank::from_number(others.trailing_zeros() as u8);
            let row = match Class::can_have(Kind::of(record), other) {
                true => self.find_row(owner, record, other),
                false => None,
            };
            if row.is_some_and(|row| !self.rows[row as usize].sources.is_none()) {
                return true;
            }
            others &= others - 1;
        }
        false
    }

    pub(super) fn records(&self, owner: u32) -> impl Iterator<Item = (Rank, Record)> + '_ {
        self.rows_of(owner)
            .map(|row| &self.rows[row as usize])
            .filter(|row| !row.sources.is_none())
            .map(|row| (row.class.rank(), self.record(row)))
    }

    fn rows_of(&self, owner: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = self.nodes[owner as usize].first_row;
        std::iter::from_fn(move || {
            let row = next;
            (row != NONE).then(|| {
                next = self.rows[row as usize].next_in_owner;
                row
            })
        })
    }

    fn find_row(&self, owner: u32, record: &Record, rank: Rank) -> Option<u32> {
        if self.nodes[owner as usize].flags & MANY == 0 {
            return self
                .rows_of(owner)
                .find(|&row| self.row_is(&self.rows[row as usize], record, rank));
        }
        let hash = hash_record(&self.hasher, owner, record, rank);
        let found = self.many.find(hash, |&row| {
            let row = &self.rows[row as usize];
            row.owner == owner && self.row_is(row, record, rank)
        });
        found.copied()
    }

    fn index_owner(&mut self, owner: u32) {
        self.nodes[owner as usize].flags |= MANY;
        let mut row = self.nodes[owner as usize].first_row;
        while row != NONE {
            self.index_row(row);
            row = self.rows[row as usize].next_in_owner;
        }
    }

    fn index_row(&mut self, row: u32) {
        let hash = self.hash_row(row);
        let mut many = std::mem::take(&mut self.many);
        many.insert_unique(hash, row, |&other| self.hash_row(other));
        self.many = many;
    }

    fn hash_row(&self, row: u32) -> u64 {
        let row = &self.rows[row as usize];
        hash_record(&self.hasher, row.owner, &self.record(row), row.class.rank())
    }

    /// Octets that the arrays hold in use, for the tests of reuse.
    #[cfg(test)]
    pub(super) fn slot_counts(&self) -> [usize; 4] {
        [
            self.nodes.len(),
            self.rows.len(),
            self.labels.len(),
            self.ipv6.len(),
        ]
    }
}

const CROWDED_ROWS: u32 = RRSET_RECORDS_MAX as u32 + 1;

/// How much a tree is made for; it may hold more.
#[derive(Default)]
pub(super) struct Room {
    pub(super) names: usize,
    pub(super) rows: usize,
    pub(super) label_bytes: usize,
}

fn label_of<'a>(labels: &'a [u8], node: &Node) -> &'a [u8] {
    &labels[node.label_offset as usize..][..usize::from(node.label_bytes)]
}

fn hash_label(hasher: &RandomState, parent: u32, label: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u32(parent);
    state.write(label);
    state.finish()
}

fn hash_record(hasher: &RandomState, owner: u32, record: &Record, rank: Rank) -> u64 {
    hasher.hash_one((owner, record, rank))
}
