//! What differs between two tables. In: the tables, and the names that were touched. Out: those whose
//! entries differ, copied as they were compiled; and for who reads them, by type the records that
//! went and those that came. Pure; turning entries into text is never the refresh thread's work.

use super::{NameChange, Side, What};
use crate::dns::{name, rtype};
use crate::limits::{FEED_ENTRY_BYTES_MAX, FEED_NAMES_MAX};
use crate::responses::layout::{Entry, RrSet};
use crate::responses::table::{RecordData, ResponseTable};

/// An RRset that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeChange {
    pub rtype: u16,
    pub removed: Vec<String>,
    pub added: Vec<String>,
}

impl What {
    /// The difference of two tables in names of wire format. Some may be there twice, or have one entry in both.
    pub fn between(before: &ResponseTable, after: &ResponseTable, names: &[Vec<u8>]) -> Self {
        if names.len() > FEED_NAMES_MAX {
            return Self::All;
        }
        let changes = names.iter().filter_map(|name| {
            let (old, new) = (before.find(name), after.find(name));
            let [old_bytes, new_bytes] = [&old, &new].map(|it| it.as_ref().map(Entry::bytes));
            (old_bytes != new_bytes).then(|| NameChange {
                name: name.as_slice().into(),
                before: Side::of(old_bytes),
                after: Side::of(new_bytes),
            })
        });
        Self::Names(changes.collect())
    }
}

impl NameChange {
    /// The name as text, with its final dot.
    pub fn text(&self) -> String {
        name::text_from_wire(&self.name)
    }

    /// The RRsets that differ, by type; none where only addresses that SRV records lead to do. `None`:
    /// an entry was too long to be kept.
    pub fn types(&self) -> Option<Vec<TypeChange>> {
        let (before, after) = (self.before.entry()?, self.after.entry()?);
        let changes = TYPES.into_iter().filter_map(|rtype| {
            let (before, after) = (texts(before, rtype), texts(after, rtype));
            let only_in = |these: &[String], others: &[String]| -> Vec<String> {
                let these = these.iter();
                let only = these.filter(|text| others.binary_search(text).is_err());
                only.cloned().collect()
            };
            let (removed, added) = (only_in(&before, &after), only_in(&after, &before));
            let differs = !removed.is_empty() || !added.is_empty();
            differs.then_some(TypeChange {
                rtype,
                removed,
                added,
            })
        });
        Some(changes.collect())
    }
}

impl Side {
    fn of(entry: Option<&[u8]>) -> Self {
        match entry {
            None => Self::Absent,
            Some(bytes) if bytes.len() > FEED_ENTRY_BYTES_MAX => Self::TooLong,
            Some(bytes) => Self::Entry(bytes.into()),
        }
    }

    /// The entry, where there is one; `None`: it is not known.
    fn entry(&self) -> Option<Option<Entry<'_>>> {
        match self {
            Self::Absent => Some(None),
            Self::Entry(bytes) => Some(Entry::at(bytes, 0)),
            Self::TooLong => None,
        }
    }
}

/// The records of one type, sorted.
fn texts(entry: Option<Entry<'_>>, rtype: u16) -> Vec<String> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    let records = entry.records(rtype).map(|data| text_of(&data));
    let mut texts: Vec<String> = match rtype {
        rtype::SRV => records
            .zip(priorities(&entry))
            .map(|(text, priority)| match priority {
                0 => text,
                _ => format!("{text} priority {priority}"),
            })
            .collect(),
        _ => records.collect(),
    };
    texts.sort_unstable();
    texts
}

/// As `/v1/axfr` has it: of SRV records target and port.
fn text_of(data: &RecordData) -> String {
    match data {
        RecordData::Address(address) => address.to_string(),
        RecordData::Srv { port, target } => format!("{}:{port}", name::text_from_wire(target)),
        RecordData::Ptr { target } | RecordData::Cname { target } => name::text_from_wire(target),
        RecordData::Text(octets) => octets.escape_ascii().to_string(),
    }
}

/// Those of the SRV records of an entry, in their order. A second RRset is that of unhealthy tasks.
fn priorities(entry: &Entry<'_>) -> impl Iterator<Item = u16> {
    let rrsets = entry.rrsets().filter(|rrset| rrset.rtype == rtype::SRV);
    rrsets.enumerate().flat_map(|(place, rrset)| {
        let of_rank = u16::from(place > 0);
        let own = move |rrset: &RrSet<'_>, index| rrset.own_priority_and_weight(index);
        (0..rrset.record_count)
            .map(move |index| own(&rrset, index).map_or(of_rank, |(priority, _)| priority))
    })
}

/// All that an entry may have.
const TYPES: [u16; 6] = [
    rtype::A,
    rtype::AAAA,
    rtype::SRV,
    rtype::CNAME,
    rtype::PTR,
    rtype::TXT,
];
