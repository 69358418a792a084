//! Answers of the HTTP interface, with mesos-dns's keys and oddities. In: a name as asked and the
//! Snapshot. Out: JSON. It must never answer a name otherwise than DNS does: both read one table.

use std::net::IpAddr;
use std::sync::Arc;

use super::json::{Close, Open};
use super::stream::{Output, ReaderGone};
use crate::dns::{name, rtype};
use crate::limits::CNAME_HOPS_MAX;
use crate::responses::Snapshot;
use crate::responses::layout::Entry;
use crate::responses::table::{RecordData, ResponseTable};

/// The rows of `/v1/hosts/{host}`.
pub struct HostRows {
    /// Lower case, with its final dot, as it is echoed.
    pub host: String,
    pub addresses: Vec<IpAddr>,
}

/// The rows of `/v1/services/{service}`, by target.
pub struct ServiceRows {
    snapshot: Arc<Snapshot>,
    /// Exactly as asked, as it is echoed.
    service: String,
    /// Port and target in wire format.
    targets: Vec<(u16, Vec<u8>)>,
}

impl HostRows {
    /// `host` is a cleaned name.
    pub fn find(table: &ResponseTable, host: String) -> Self {
        let mut addresses = Vec::new();
        // A name that no wire format can hold exists nowhere.
        if let Ok(wire) = name::wire_from_text(&host) {
            for rtype in [rtype::A, rtype::AAAA] {
                let begin = addresses.len();
                addresses.extend(addresses_of(table, &wire, rtype));
                // mesos-dns gives them in the order of a Go map: clients that take the first of
                // the list spread their load by it.
                fastrand::shuffle(&mut addresses[begin..]);
            }
        }
        Self { host, addresses }
    }

    pub fn count(&self) -> usize {
        self.addresses.len()
    }

    pub fn write(&self, output: &mut Output) -> Result<(), ReaderGone> {
        output.text.begin(Open::List);
        for address in &self.addresses {
            output.text.begin(Open::Object);
            output.text.pair("host", &self.host);
            output.text.pair("ip", &address.to_string());
            output.text.end(Close::Object);
            output.checkpoint()?;
        }
        if self.addresses.is_empty() {
            write_empty_record(output, &["host", "ip"]);
        }
        output.text.end(Close::List);
        Ok(())
    }
}

impl ServiceRows {
    /// `service` is what was asked, `clean` the cleaned name of it.
    pub fn find(snapshot: Arc<Snapshot>, service: String, clean: &str) -> Self {
        let mut targets = Vec::new();
        if let Ok(wire) = name::wire_from_text(clean)
            && let Some(entry) = entry_with(&snapshot.table, &wire, rtype::SRV)
        {
            for data in entry.records(rtype::SRV) {
                if let RecordData::Srv { port, target, .. } = data {
                    targets.push((port, target));
                }
            }
        }
        fastrand::shuffle(&mut targets);
        Self {
            snapshot,
            service,
            targets,
        }
    }

    /// Whether there are more rows than `rows_max`; looks at no more targets than it must.
    pub fn are_more_than(&self, rows_max: usize) -> bool {
        let mut count = 0;
        self.targets.iter().any(|(_, target)| {
            count += self.addresses_of(target).count();
            count > rows_max
        })
    }

    pub fn write(&self, output: &mut Output) -> Result<(), ReaderGone> {
        output.text.begin(Open::List);
        let mut is_empty = true;
        for (port, target) in &self.targets {
            let (host, port) = (name::text_from_wire(target), port.to_string());
            // A target without an address gives no row, as in mesos-dns.
            for address in self.addresses_of(target) {
                is_empty = false;
                output.text.begin(Open::Object);
                output.text.pair("service", &self.service);
                output.text.pair("host", &host);
                output.text.pair("ip", &address.to_string());
                output.text.pair("port", &port);
                output.text.end(Close::Object);
                output.checkpoint()?;
            }
        }
        if is_empty {
            write_empty_record(output, &["service", "host", "ip", "port"]);
        }
        output.text.end(Close::List);
        Ok(())
    }

    fn addresses_of<'a>(&'a self, target: &'a [u8]) -> impl Iterator<Item = IpAddr> + 'a {
        [rtype::A, rtype::AAAA]
            .into_iter()
            .flat_map(move |rtype| addresses_of(&self.snapshot.table, target, rtype))
    }
}

/// mesos-dns says "no such name" with one record of empty strings; its users test for that.
fn write_empty_record(output: &mut Output, keys: &[&str]) {
    output.text.begin(Open::Object);
    for key in keys {
        output.text.pair(key, "");
    }
    output.text.end(Close::Object);
}

fn addresses_of(table: &ResponseTable, wire: &[u8], rtype: u16) -> Vec<IpAddr> {
    let Some(entry) = entry_with(table, wire, rtype) else {
        return Vec::new();
    };
    let address = |data| match data {
        RecordData::Address(address) => Some(address),
        _ => None,
    };
    entry.records(rtype).filter_map(address).collect()
}

/// The entry that DNS answers from: the name's own or that of the wildcard that covers it, and where it
/// has a CNAME that of the name behind.
fn entry_with<'t>(table: &'t ResponseTable, wire: &[u8], rtype: u16) -> Option<Entry<'t>> {
    let look_up = |wire: &[u8]| table.find(wire).or_else(|| table.covering(wire));
    let mut entry = look_up(wire)?;
    for _ in 0..CNAME_HOPS_MAX {
        let cname = entry.rrset(rtype::CNAME).and_then(|cname| cname.name(0));
        let Some(target) = cname else { break };
        entry = look_up(target)?;
    }
    entry.rrset(rtype).is_some().then_some(entry)
}

/// `/v1/version`.
pub fn write_version(output: &mut Output) -> Result<(), ReaderGone> {
    output.text.begin(Open::Object);
    output.text.pair("Service", "Rollcall");
    output.text.pair("URL", env!("CARGO_PKG_REPOSITORY"));
    output.text.pair("Version", env!("CARGO_PKG_VERSION"));
    output.text.end(Close::Object);
    Ok(())
}
