//! A file of static records: refused with a line, or taken; what is taken can be written down and read
//! to the same again, and makes a table beside a cluster.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use rollcall::dns::name::text_from_wire;
use rollcall::zonefile::{Data, StaticRecord, StaticRecords, parse};

use super::wire::{CNAME, name};
use super::world::{around, small, table_of, world_of};

pub fn run(octets: &[u8]) {
    match parse("fuzz.zone", octets, &around()) {
        Err(fault) => {
            let lines = 1 + octets.iter().filter(|octet| **octet == b'\n').count();
            assert!((1..=lines).contains(&(fault.line as usize)), "{fault:?}");
            assert!(
                !fault.problem.is_empty() && !fault.cure.is_empty(),
                "{fault:?}"
            );
        }
        Ok(records) => judge(records),
    }
}

fn judge(records: StaticRecords) {
    let mut ttls = HashMap::new();
    let mut seen = HashSet::new();
    let mut types: HashMap<&[u8], Vec<u16>> = HashMap::new();
    let mut text = String::from("$ORIGIN .\n");
    for record in &records.records {
        judge_name(&record.owner);
        let rtype = record.data.rtype();
        let ttl = ttls
            .entry((&record.owner, rtype))
            .or_insert(record.ttl_seconds);
        assert_eq!(*ttl, record.ttl_seconds);
        assert!(
            seen.insert((&record.owner, &record.data)),
            "twice: {record:?}"
        );
        types.entry(&record.owner).or_default().push(rtype);
        written(record, &mut text);
    }
    for types in types.values() {
        assert!(!types.contains(&CNAME) || types.len() == 1);
    }
    let again = parse("fuzz.zone", text.as_bytes(), &around());
    let again = again.unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    assert_eq!(again.fingerprint, records.fingerprint, "{text}");
    let without_line = |it: &StaticRecord| StaticRecord {
        line: 0,
        ..it.clone()
    };
    let before = records.records.iter().map(without_line);
    assert!(again.records.iter().map(without_line).eq(before), "{text}");
    let world = world_of(small().cluster.clone(), records);
    let table = table_of(&world);
    for record in &world.naming.statics.records {
        assert!(table.find(&record.owner).is_some(), "{record:?}");
    }
}

/// Whole, in lower case, and of a name's length.
fn judge_name(wire: &[u8]) {
    assert_eq!(
        name(wire, 0),
        Some((wire.to_vec(), wire.len())),
        "{}",
        wire.escape_ascii()
    );
}

fn written(record: &StaticRecord, text: &mut String) {
    let owner = text_from_wire(&record.owner);
    let data = match &record.data {
        Data::A(address) => format!("A {address}"),
        Data::Aaaa(address) => format!("AAAA {address}"),
        Data::Cname(name) | Data::Ptr(name) => {
            judge_name(name);
            let kind = if record.data.rtype() == CNAME {
                "CNAME"
            } else {
                "PTR"
            };
            format!("{kind} {}", quoted(&text_from_wire(name)))
        }
        Data::Srv {
            priority,
            weight,
            port,
            target,
        } => {
            judge_name(target);
            format!(
                "SRV {priority} {weight} {port} {}",
                quoted(&text_from_wire(target))
            )
        }
        Data::Txt(strings) => {
            let mut shown = String::from("TXT");
            let mut rest = &strings[..];
            while let Some((length, behind)) = rest.split_first() {
                let (string, next) = behind.split_at((*length).into());
                let octets = string.iter().map(|octet| format!("\\{octet:03}"));
                write!(shown, " \"{}\"", octets.collect::<String>()).expect("a String");
                rest = next;
            }
            shown
        }
    };
    writeln!(text, "{} {} {data}", quoted(&owner), record.ttl_seconds).expect("a String");
}

/// Names of any octets stand in no word of their own.
fn quoted(name: &str) -> String {
    name.replace(';', "\\059")
        .replace('(', "\\040")
        .replace(')', "\\041")
        .replace('"', "\\034")
        .replace('@', "\\064")
        .replace('$', "\\036")
}
