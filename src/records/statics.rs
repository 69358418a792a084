//! Static records among those of the cluster. In: the records of the file, which stand in the tree as
//! those of any source do. Out: what the tree does not know of them: their TTL, which names have
//! some, and which CNAMEs the cluster is in the way of.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Naming;
use super::set::{NameId, Record, RecordSet};
use super::tree::{NONE, ROOT};
use crate::dns::name::{is_at_or_below, wire_from_text};
use crate::zonefile::{Data, StaticRecord, StaticRecords};

/// The static records of a set.
#[derive(Default)]
pub(super) struct Statics {
    file: Arc<StaticRecords>,
    /// Places in the file's list, by owner.
    of_names: HashMap<u32, Vec<u32>, RandomState>,
    cnames: Vec<u32>,
    marks: Marks,
}

/// What is to be known of the static records before a name is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Some are outside of the domain.
    pub outside: bool,
    /// Some owners are wildcards.
    pub wildcards: bool,
}

impl RecordSet {
    /// Notes whose the static records are, which are in the tree already.
    pub(super) fn know_statics(&mut self, naming: &Naming) {
        let mut domain = wire_from_text(&naming.domain).unwrap_or_default();
        domain.make_ascii_lowercase();
        let mut statics = Statics {
            file: Arc::clone(&naming.statics),
            ..Statics::default()
        };
        for (number, record) in naming.statics.records.iter().enumerate() {
            let owner = self.tree.node_or_new(&record.owner);
            let numbers = statics.of_names.entry(owner).or_default();
            numbers.push(number as u32);
            if matches!(record.data, Data::Cname(_)) {
                statics.cnames.push(owner);
            }
            statics.marks.outside |= !is_at_or_below(&record.owner, &domain);
            statics.marks.wildcards |= record.is_wildcard();
        }
        self.statics = statics;
        self.uncover_statics();
    }

    /// Has the names of static records, and those above them, exist wherever they are: what a wildcard
    /// covers depends on it.
    fn uncover_statics(&mut self) {
        for &owner in self.statics.of_names.keys() {
            let mut node = owner;
            while node != ROOT && node != NONE {
                self.tree.take_from_above(node);
                node = self.tree.parent(node);
            }
        }
    }

    /// The static records of a name.
    pub fn statics_of(&self, name: NameId) -> impl Iterator<Item = &StaticRecord> {
        let of_names = &self.statics.of_names;
        // Most sets have none, and then nothing is hashed.
        let numbers = match of_names.is_empty() {
            true => None,
            false => of_names.get(&name.0),
        };
        let records = &self.statics.file.records;
        let numbers = numbers.into_iter().flatten();
        numbers.filter_map(|&number| records.get(number as usize))
    }

    /// The strings of a TXT record.
    pub fn text(&self, number: u32) -> &[u8] {
        match self.statics.file.records.get(number as usize) {
            Some(StaticRecord {
                data: Data::Txt(octets),
                ..
            }) => octets,
            _ => &[],
        }
    }

    /// Names with a CNAME that is not answered: the cluster has records there (RFC 1034, 3.6.2).
    pub fn cnames_left_out(&self) -> impl Iterator<Item = NameId> {
        let cnames = self.statics.cnames.iter().map(|&owner| NameId(owner));
        cnames.filter(|&owner| {
            let mut records = self.records(owner);
            records.any(|record| !matches!(record, Record::Cname { .. }))
        })
    }

    pub fn marks(&self) -> Marks {
        self.statics.marks
    }
}
