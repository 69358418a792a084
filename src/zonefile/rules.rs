//! What must hold between the records of a file, and between them and the names that are Rollcall's
//! own. In: records as they were read. Out: the same with one TTL for each RRset, or the first fault.

use std::collections::{HashMap, HashSet};

use super::{Around, Data, Fault, StaticRecord};
use crate::dns::name::{is_at_or_below, text_from_wire, wire_from_text};
use crate::dns::rtype;
use crate::limits::CNAME_HOPS_MAX;

pub(super) fn check(records: &mut [StaticRecord], around: &Around) -> Result<(), Fault> {
    let own = OwnNames::new(around);
    for record in records.iter() {
        if own.has(record) {
            return Err(Fault::new(
                record.line,
                text_from_wire(&record.owner),
                "the name is Rollcall's own, and so are its records of this type",
                "right would be another name",
            ));
        }
    }
    check_names(records)?;
    check_circles(records)?;
    // An RRset has one TTL (RFC 2181, 5.2): the least that was written.
    let mut least: HashMap<(Box<[u8]>, u16), u32> = HashMap::new();
    for record in records.iter() {
        let key = (record.owner.clone(), record.data.rtype());
        let ttl = least.entry(key).or_insert(record.ttl_seconds);
        *ttl = (*ttl).min(record.ttl_seconds);
    }
    for record in records.iter_mut() {
        let key = (record.owner.clone(), record.data.rtype());
        record.ttl_seconds = least.get(&key).copied().unwrap_or(record.ttl_seconds);
    }
    Ok(())
}

/// No record twice, and nothing beside a CNAME.
fn check_names(records: &[StaticRecord]) -> Result<(), Fault> {
    let mut known = HashSet::new();
    // The line of a name's first record, and whether that is a CNAME.
    let mut names: HashMap<&[u8], (u32, bool)> = HashMap::new();
    for record in records {
        let fault = |problem: String, cure: &str| {
            let culprit = text_from_wire(&record.owner);
            Err(Fault::new(record.line, culprit, problem, cure))
        };
        // Two SRV records of one port and target would differ in nothing that a table knows.
        let key = match &record.data {
            Data::Srv { port, target, .. } => Data::Srv {
                priority: 0,
                weight: 0,
                port: *port,
                target: target.clone(),
            },
            other => other.clone(),
        };
        if !known.insert((&*record.owner, key)) {
            let problem = "the same record stands above already".to_owned();
            return fault(problem, "right would be each record once");
        }
        let is_cname = matches!(record.data, Data::Cname(_));
        let (line, was_cname) = *names
            .entry(&record.owner)
            .or_insert((record.line, is_cname));
        if (is_cname || was_cname) && line != record.line {
            let problem = format!(
                "beside a CNAME a name has no other record, see line {line} (RFC 1034, 3.6.2)"
            );
            return fault(problem, "right would be the CNAME alone, or none");
        }
    }
    Ok(())
}

/// CNAMEs that lead to each other, or through more of them than are followed.
fn check_circles(records: &[StaticRecord]) -> Result<(), Fault> {
    let cnames = records.iter().filter_map(|record| match &record.data {
        Data::Cname(target) => Some((&*record.owner, &**target)),
        _ => None,
    });
    let cnames: HashMap<&[u8], &[u8]> = cnames.collect();
    for record in records {
        let mut name = &*record.owner;
        let mut hops = 0;
        while let Some(target) = cnames.get(name) {
            name = target;
            hops += 1;
            if hops > CNAME_HOPS_MAX {
                return Err(Fault::new(
                    record.line,
                    text_from_wire(&record.owner),
                    format!("it leads in a circle, or through more than {CNAME_HOPS_MAX} CNAMEs"),
                    "right would be a CNAME to the name where that ends",
                ));
            }
        }
    }
    Ok(())
}

/// Names whose records come from the configuration and from the masters.
struct OwnNames {
    domain: Vec<u8>,
    soa_mname: Vec<u8>,
}

impl OwnNames {
    fn new(around: &Around) -> Self {
        let wire = |text: &str| {
            let mut wire = wire_from_text(text).unwrap_or_default();
            wire.make_ascii_lowercase();
            wire
        };
        Self {
            domain: wire(&around.domain),
            soa_mname: wire(&around.soa_mname),
        }
    }

    /// Whether the record would change what they say.
    fn has(&self, record: &StaticRecord) -> bool {
        let owner = &*record.owner;
        if !is_at_or_below(owner, &self.domain) {
            return false;
        }
        let is_cname = matches!(record.data, Data::Cname(_));
        let left = owner.strip_suffix(&*self.domain).unwrap_or_default();
        let has_address = owner == self.soa_mname || is_of_masters(left);
        match record.data.rtype() {
            rtype::A | rtype::AAAA => has_address,
            rtype::SRV => is_service(left),
            _ => is_cname && (has_address || is_service(left) || left.is_empty()),
        }
    }
}

/// `leader`, `master`, `masterN` and `slave`; of all of them only the part below the domain is given.
fn is_of_masters(left: &[u8]) -> bool {
    match left {
        b"\x06leader" | b"\x05slave" => true,
        [length, label @ ..] => {
            usize::from(*length) == label.len()
                && label
                    .strip_prefix(b"master")
                    .is_some_and(|number| number.iter().all(u8::is_ascii_digit))
        }
        [] => false,
    }
}

fn is_service(left: &[u8]) -> bool {
    matches!(
        left,
        b"\x07_leader\x04_tcp" | b"\x07_leader\x04_udp" | b"\x06_slave\x04_tcp"
    )
}
