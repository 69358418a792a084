//! Static records as `explain` tells of them. In: the file's records, and what was found out of a
//! name. Out: where a record stands in the file, which records are not answered, and which wildcard
//! covers a name that does not exist.

use super::explanation::{ExplainedRecord, Explanation};
use crate::dns::name::text_from_wire;
use crate::limits::EXPLAIN_RECORDS_MAX;
use crate::zonefile::{Data, StaticRecord, StaticRecords};

/// Where a record stands.
pub(super) fn place(statics: &StaticRecords, number: usize) -> String {
    let line = statics.records.get(number).map_or(0, |record| record.line);
    format!("{STATIC}{}:{line}", statics.file)
}

const STATIC: &str = "static record of ";

/// Type and data of a record.
pub(super) fn data(statics: &StaticRecords, number: usize) -> Option<(&'static str, String)> {
    statics.records.get(number).map(shown)
}

fn shown(record: &StaticRecord) -> (&'static str, String) {
    match &record.data {
        Data::A(address) => ("A", address.to_string()),
        Data::Aaaa(address) => ("AAAA", address.to_string()),
        Data::Cname(target) => ("CNAME", text_from_wire(target)),
        Data::Ptr(target) => ("PTR", text_from_wire(target)),
        Data::Srv { port, target, .. } => ("SRV", format!("{port} {}", text_from_wire(target))),
        Data::Txt(octets) => ("TXT", strings(octets)),
    }
}

/// The strings of a TXT record, each in quotation marks.
fn strings(mut octets: &[u8]) -> String {
    let mut strings = Vec::new();
    while let Some((&length, rest)) = octets.split_first() {
        let (string, rest) = rest.split_at_checked(length.into()).unwrap_or((rest, &[]));
        strings.push(format!("\"{}\"", string.escape_ascii()));
        octets = rest;
    }
    strings.join(" ")
}

/// Takes out what is not answered because of static records, or in spite of them.
pub(super) fn sort_out(statics: &StaticRecords, explanation: &mut Explanation) {
    let Explanation {
        name,
        records,
        record_count,
        notes,
        ..
    } = explanation;
    let is_static = |record: &ExplainedRecord| {
        let mut sources = record.sources.iter();
        sources.any(|source| source.starts_with(STATIC))
    };
    let cname = records.iter().position(|record| record.rtype == "CNAME");
    if let Some(cname) = cname.filter(|_| *record_count > 1) {
        let cname = records.remove(cname);
        *record_count -= 1;
        notes.push(format!(
            "CNAME {} is left out: the cluster has records of this name, and nothing else may stand \
             beside a CNAME (RFC 1034, 3.6.2); {}",
            cname.data,
            cname.sources.join(", ")
        ));
    }
    let is_pointer = |record: &ExplainedRecord| record.rtype == "PTR";
    if records.iter().any(|it| is_pointer(it) && is_static(it)) {
        let before = records.len();
        records.retain(|it| !is_pointer(it) || is_static(it));
        let left_out = before - records.len();
        *record_count -= left_out;
        if left_out > 0 {
            let file = &statics.file;
            notes.push(format!(
                "{left_out} PTR of the cluster left out: {file} says what {name} is called"
            ));
        }
    }
}

/// The wildcard with the longest parent that a name is below.
pub(super) struct Cover {
    owner: Box<[u8]>,
    /// The name's next ancestor below that parent, or the name itself.
    child: String,
    /// It exists, so that the wildcard covers nothing below (RFC 4592, 3.3.1).
    is_blocked: bool,
}

impl Cover {
    pub(super) fn of(statics: &StaticRecords, name: &str) -> Option<Self> {
        let wildcards = statics.records.iter().filter(|it| it.is_wildcard());
        let covers = wildcards.filter_map(|record| {
            let parent = text_from_wire(record.owner.get(2..)?);
            let rest = name.strip_suffix(&parent)?.strip_suffix('.')?;
            let label = rest.rsplit('.').next()?;
            Some(Self {
                owner: record.owner.clone(),
                child: format!("{label}.{parent}"),
                is_blocked: false,
            })
        });
        covers.max_by_key(|cover| cover.owner.len())
    }

    /// A name that exists.
    pub(super) fn meet(&mut self, text: &str) {
        let rest = text.strip_suffix(&self.child);
        self.is_blocked |= rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    }

    /// Explains a name that does not exist.
    pub(super) fn tell(self, statics: &StaticRecords, explanation: &mut Explanation) {
        if self.is_blocked {
            return;
        }
        explanation.exists = true;
        explanation.notes.push(format!(
            "no such name, but the wildcard {} covers it",
            text_from_wire(&self.owner)
        ));
        for (number, record) in statics.records.iter().enumerate() {
            if record.owner != self.owner {
                continue;
            }
            explanation.record_count += 1;
            if explanation.records.len() < EXPLAIN_RECORDS_MAX {
                let (rtype, data) = shown(record);
                explanation.records.push(ExplainedRecord {
                    rtype,
                    data,
                    sources: vec![place(statics, number)],
                    source_count: 1,
                });
            }
        }
    }
}
