//! The RRsets of one entry. In: a name's records by type and rank. Out: their heads and data behind
//! each other, see `layout`. An entry whose name has static records has what is their own before the
//! data of every RRset; any other must be as short as if there were none.

use super::layout::{Entry, RRSET_HEAD_BYTES, RrSet};
use super::own::Own;
use crate::dns::rtype;
use crate::records::Record;
use crate::records::rank::{self, Rank};

/// The addresses of one name, each with its rank.
#[derive(Default)]
pub(super) struct Addresses {
    pub(super) a: Vec<(Rank, [u8; 4])>,
    pub(super) aaaa: Vec<(Rank, [u8; 16])>,
}

impl Addresses {
    pub(super) fn clear(&mut self) {
        self.a.clear();
        self.aaaa.clear();
    }

    /// Takes the address of a record that has one.
    pub(super) fn add(&mut self, rank: Rank, record: Record) {
        match record {
            Record::A(address) => self.a.push((rank, address.octets())),
            Record::Aaaa(address) => self.aaaa.push((rank, address.octets())),
            _ => {}
        }
    }

    /// Leaves those that are answered, best first.
    pub(super) fn choose(&mut self) {
        rank::choose(&mut self.a);
        rank::choose(&mut self.aaaa);
    }

    /// RRsets that they are written as.
    pub(super) fn rrset_count(&self) -> usize {
        rrset_count(&self.a) + rrset_count(&self.aaaa)
    }
}

fn rrset_count<T>(addresses: &[(Rank, T)]) -> usize {
    let ranks = addresses.chunk_by(|a, b| a.0 == b.0).count();
    ranks + usize::from(first_behind(addresses).is_some())
}

/// Where addresses of unhealthy tasks begin that stand behind those of others.
fn first_behind<T>(addresses: &[(Rank, T)]) -> Option<usize> {
    let first = addresses.partition_point(|(rank, _)| !rank.is_unhealthy());
    (first > 0 && first < addresses.len()).then_some(first)
}

/// Writes RRsets to the end of `entries`, and their heads into the room that is left for them.
pub(super) struct Writer<'w, 'r> {
    pub(super) entries: &'w mut Vec<u8>,
    pub(super) entry_start: usize,
    /// Where the next head goes.
    pub(super) head: usize,
    pub(super) own: Option<&'w Own<'r>>,
    /// The zone's.
    pub(super) ttl_seconds: u32,
}

impl Writer<'_, '_> {
    /// Begins an RRset of so many of the records of a type: its data is to follow. Returns where that
    /// begins which static records have of their own.
    pub(super) fn begin(&mut self, rtype: u16, record_count: usize, of_type: usize) -> usize {
        let front = self.entries.len();
        if let Some(own) = self.own {
            // One TTL for all ranks (RFC 2181, 5.2).
            let ttl_seconds = own.ttl_seconds(rtype, of_type, self.ttl_seconds);
            Own::append_front(rtype, record_count, ttl_seconds, self.entries);
        }
        self.write_head(rtype, record_count);
        front
    }

    /// Fills in the head of an RRset whose data begins at the end of `entries`.
    fn write_head(&mut self, rtype: u16, record_count: usize) {
        let place = (self.entries.len() - self.entry_start) as u32;
        let octets = &mut self.entries[self.head..self.head + RRSET_HEAD_BYTES];
        octets[..2].copy_from_slice(&rtype.to_le_bytes());
        octets[2..6].copy_from_slice(&(record_count as u32).to_le_bytes());
        octets[6..].copy_from_slice(&place.to_le_bytes());
        self.head += RRSET_HEAD_BYTES;
    }

    /// Writes an RRset for each rank, and the one without records that parts them, see `layout`.
    pub(super) fn addresses<const BYTES: usize>(
        &mut self,
        rtype: u16,
        addresses: &[(Rank, [u8; BYTES])],
    ) {
        let first_behind = first_behind(addresses);
        let mut written = 0;
        for same in addresses.chunk_by(|a, b| a.0 == b.0) {
            if first_behind == Some(written) {
                self.write_head(rtype, 0);
            }
            self.begin(rtype, same.len(), addresses.len());
            self.entries
                .extend(same.iter().flat_map(|(_, octets)| octets));
            written += same.len();
        }
    }

    /// Writes the RRset of PTR or CNAME records, if there is one.
    pub(super) fn names(&mut self, rtype: u16, names: &[Vec<u8>]) {
        if names.is_empty() {
            return;
        }
        self.begin(rtype, names.len(), names.len());
        for name in names {
            self.entries.push(name.len() as u8);
            self.entries.extend_from_slice(name);
        }
    }

    /// Writes the RRset of TXT records, if there is one.
    pub(super) fn texts(&mut self, texts: &[Vec<u8>]) {
        if texts.is_empty() {
            return;
        }
        self.begin(rtype::TXT, texts.len(), texts.len());
        for text in texts {
            // Bounded by `STATIC_TEXT_BYTES_MAX`.
            self.entries.extend((text.len() as u16).to_le_bytes());
            self.entries.extend_from_slice(text);
        }
    }
}

/// Whether every record of the entry at a place can be read.
pub(super) fn reads_back(entries: &[u8], entry_start: usize) -> bool {
    Entry::at(entries, entry_start).is_some_and(|entry| {
        let whole = |rrset: RrSet<'_>| {
            let same = entry.rrsets().filter(|other| other.rtype == rrset.rtype);
            let record_count: usize = same.map(|rrset| rrset.record_count).sum();
            entry.records(rrset.rtype).count() == record_count
        };
        !entry.name().is_empty() && entry.rrsets().all(whole)
    })
}
