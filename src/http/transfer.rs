//! `/v1/axfr`: every name and its records as one JSON document. In: a Snapshot. Out: chunks of text,
//! names sorted as Go sorts the keys of a map. It must never copy the table: only its names are
//! put in order, by reference.

use std::fmt::Write;

use super::json::{Close, Open};
use super::stream::{Output, ReaderGone};
use crate::config::Config;
use crate::dns::{name, rtype};
use crate::responses::Snapshot;
use crate::responses::layout::Entry;
use crate::responses::table::RecordData;

pub fn write_transfer(
    snapshot: &Snapshot,
    config: &Config,
    output: &mut Output,
) -> Result<(), ReaderGone> {
    output.text.begin(Open::Object);
    output.text.key("TTL");
    output.text.number(config.ttl_seconds.into());
    output.text.key("Serial");
    output.text.number(snapshot.serial.into());
    output.text.key("RefreshSeconds");
    output.text.number(config.refresh_interval.as_secs() as i64);
    output.text.pair("Mname", &config.soa.mname);
    output.text.pair("Rname", &config.soa.rname);
    output.text.pair("Domain", &config.domain);
    output.text.key("Records");
    output.text.begin(Open::Object);
    write_records("As", rtype::A, snapshot, output)?;
    write_records("AAAAs", rtype::AAAA, snapshot, output)?;
    write_records("SRVs", rtype::SRV, snapshot, output)?;
    // Its own key, and only where PTR records are served: other documents stay as they were.
    if config.reverse_dns_on {
        write_records("PTRs", rtype::PTR, snapshot, output)?;
    }
    output.text.end(Close::Object);
    output.text.end(Close::Object);
    Ok(())
}

fn write_records(
    key: &str,
    rtype: u16,
    snapshot: &Snapshot,
    output: &mut Output,
) -> Result<(), ReaderGone> {
    let (mut owner, mut value) = (String::new(), String::new());
    output.text.key(key);
    output.text.begin(Open::Object);
    for (_, entry) in sorted_entries(snapshot, rtype) {
        owner.clear();
        append_name(&mut owner, entry.name());
        output.text.key(&owner);
        output.text.begin(Open::List);
        for data in entry.records(rtype) {
            value.clear();
            append_data(&mut value, &data);
            output.text.string(&value);
            // One name may have as many records as the cluster has tasks.
            output.checkpoint()?;
        }
        output.text.end(Close::List);
    }
    output.text.end(Close::Object);
    output.checkpoint()
}

fn append_data(text: &mut String, data: &RecordData) {
    match data {
        RecordData::Address(address) => {
            // Writing to a String does not fail.
            let _ = write!(text, "{address}");
        }
        RecordData::Srv { port, target, .. } => {
            append_name(text, target);
            let _ = write!(text, ":{port}");
        }
        RecordData::Ptr { target } | RecordData::Cname { target } => append_name(text, target),
        RecordData::Text(octets) => text.extend(octets.escape_ascii().map(char::from)),
    }
}

fn append_name(text: &mut String, wire: &[u8]) {
    // What needs no escape in a name's text; every octet is looked at, 16 at a time.
    let is_plain = |o: u8| (0x21..0x7f).contains(&o) & (o != b'.') & (o != b'\\');
    for label in name::labels(wire) {
        match std::str::from_utf8(label) {
            Ok(plain) if plain.bytes().fold(true, |all, o| all & is_plain(o)) => {
                text.push_str(plain);
            }
            _ => {
                // One label as a name of its own, for its escapes; its root label ends it.
                let mut alone = Vec::with_capacity(label.len() + 2);
                alone.push(label.len() as u8);
                alone.extend_from_slice(label);
                alone.push(0);
                text.push_str(name::text_from_wire(&alone).trim_end_matches('.'));
            }
        }
        text.push('.');
    }
}

/// The first octets of a name's text, as numbers that compare as the text does.
type SortKey = [u64; 4];

/// The entries with records of a type, in the order of their names' text. A key decides nearly
/// always, and comparing keys touches no entry: reading entries out of the order in which they lie
/// in memory, twice for each comparison, would take longer than all the rest.
fn sorted_entries(snapshot: &Snapshot, rtype: u16) -> Vec<(SortKey, Entry<'_>)> {
    let mut entries = Vec::new();
    for entry in snapshot.table.entries() {
        if entry.rrset(rtype).is_some() {
            entries.push((sort_key(entry.name()), entry));
        }
    }
    entries.sort_unstable_by(|(key_a, a), (key_b, b)| {
        key_a
            .cmp(key_b)
            .then_with(|| text_octets(a.name()).cmp(text_octets(b.name())))
    });
    entries
}

fn sort_key(wire: &[u8]) -> SortKey {
    let mut text = [0; size_of::<SortKey>()];
    // The text is the wire format without its first octet, and a dot for each further length.
    for (place, octet) in text.iter_mut().zip(wire.iter().skip(1)) {
        *place = *octet;
    }
    let mut label_end = wire.first().map_or(0, |&length| usize::from(length));
    while let Some(place) = text.get_mut(label_end) {
        let length = usize::from(std::mem::replace(place, b'.'));
        if length == 0 {
            break;
        }
        label_end += 1 + length;
    }
    let mut key = [0; 4];
    for (number, octets) in key.iter_mut().zip(text.as_chunks::<8>().0) {
        *number = u64::from_be_bytes(*octets);
    }
    key
}

/// The name's text without escapes, octet by octet.
fn text_octets(wire: &[u8]) -> impl Iterator<Item = u8> + '_ {
    name::labels(wire).flat_map(|label| label.iter().copied().chain(std::iter::once(b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        name::wire_from_text(text).expect("a name")
    }

    #[test]
    fn names_sort_as_their_text_does() {
        let mut texts = vec![
            "web.marathon.mesos.",
            "web-1.marathon.mesos.",
            "web.a.mesos.",
            "_web._tcp.marathon.mesos.",
            "a-very-long-name-of-one-and-the-same-kind.marathon.mesos.",
            "a-very-long-name-of-one-and-the-same-kin.marathon.mesos.",
            "a.",
            "a.b.",
            "mesos.",
        ];
        let mut wires: Vec<Vec<u8>> = texts.iter().map(|text| wire(text)).collect();
        wires.sort_by(|a, b| {
            sort_key(a)
                .cmp(&sort_key(b))
                .then_with(|| text_octets(a).cmp(text_octets(b)))
        });
        texts.sort_unstable();
        let sorted: Vec<String> = wires
            .iter()
            .map(|wire| name::text_from_wire(wire))
            .collect();
        assert_eq!(sorted, texts);
    }

    #[test]
    fn values_are_written_as_upstream_writes_them() {
        let mut text = String::new();
        let data = RecordData::Srv {
            port: 31000,
            target: wire("web-x-s0.marathon.slave.mesos"),
        };
        append_data(&mut text, &data);
        assert_eq!(text, "web-x-s0.marathon.slave.mesos.:31000");
        text.clear();
        append_data(&mut text, &RecordData::Address([10, 0, 0, 1].into()));
        assert_eq!(text, "10.0.0.1");
        text.clear();
        append_name(&mut text, &wire("a\\.b.x\\000\\\\.mesos"));
        assert_eq!(text, "a\\.b.x\\000\\\\.mesos.");
    }
}
