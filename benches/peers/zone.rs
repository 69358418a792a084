//! The names that all servers answer. In: the JSON of Rollcall's /v1/axfr. Out: a zone file for the
//! others, and what each name and type should be answered with. Must never depend on what a server says
//! over DNS.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Type of a question, with its number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Type {
    A = 1,
    Aaaa = 28,
    Srv = 33,
}

/// Records by lower-case name with its last dot; each as zone files write it.
pub struct Zone {
    pub records: BTreeMap<String, BTreeMap<Type, BTreeSet<String>>>,
    head: String,
}

impl Zone {
    pub fn from_axfr(json: &[u8]) -> Result<Self, String> {
        let axfr: Axfr = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut zone = Self {
            head: format!(
                "$ORIGIN {}.\n$TTL {}\n@ SOA {} {} {} 60 600 86400 60\n@ NS {}\n",
                axfr.domain, axfr.ttl, axfr.mname, axfr.rname, axfr.serial, axfr.mname
            ),
            records: BTreeMap::new(),
        };
        for (name, values) in &axfr.records.a {
            zone.add(name, Type::A, values.iter().cloned());
        }
        for (name, values) in &axfr.records.aaaa {
            zone.add(name, Type::Aaaa, values.iter().cloned());
        }
        for (name, values) in &axfr.records.srv {
            let targets = values.iter().filter_map(|value| value.rsplit_once(':'));
            let targets = targets.filter(|(host, _)| is_plain(host));
            zone.add(
                name,
                Type::Srv,
                targets.map(|(host, port)| format!("0 1 {port} {host}")),
            );
        }
        // The name server of the zone needs an address, or some refuse the zone.
        if !zone.records.contains_key(&axfr.mname) {
            zone.add(&axfr.mname, Type::A, ["127.0.0.1".to_owned()].into_iter());
        }
        Ok(zone)
    }

    fn add(&mut self, name: &str, kind: Type, values: impl Iterator<Item = String>) {
        // A name that needs escapes is left to the tests.
        if !is_plain(name) {
            return;
        }
        let types = self.records.entry(name.to_lowercase()).or_default();
        types.entry(kind).or_default().extend(values);
    }

    /// Names with records of a type, and how many.
    pub fn names(&self, kind: Type) -> impl Iterator<Item = (&str, usize)> {
        let counted = self.records.iter().map(move |(name, types)| {
            let count = types.get(&kind).map_or(0, BTreeSet::len);
            (name.as_str(), count)
        });
        counted.filter(|(_, count)| *count > 0)
    }

    pub fn values(&self, name: &str, kind: Type) -> BTreeSet<String> {
        let types = self.records.get(&name.to_lowercase());
        let values = types.and_then(|types| types.get(&kind));
        values.cloned().unwrap_or_default()
    }

    pub fn write(&self, file: &Path) {
        let mut text = self.head.clone();
        for (name, types) in &self.records {
            for (kind, values) in types {
                let kind = match kind {
                    Type::A => "A",
                    Type::Aaaa => "AAAA",
                    Type::Srv => "SRV",
                };
                for value in values {
                    writeln!(text, "{name} {kind} {value}").expect("a string has room");
                }
            }
        }
        fs::write(file, text).expect("the zone file");
    }
}

/// Whether zone files can have it as it stands.
fn is_plain(name: &str) -> bool {
    let labels = name.trim_end_matches('.').split('.');
    let is_octet_plain =
        |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_' || octet == b'-';
    name.len() < 255
        && labels
            .into_iter()
            .all(|label| (1..64).contains(&label.len()) && label.bytes().all(is_octet_plain))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Axfr {
    domain: String,
    #[serde(rename = "TTL")]
    ttl: u32,
    serial: u32,
    mname: String,
    rname: String,
    records: Records,
}

#[derive(Deserialize)]
struct Records {
    #[serde(rename = "As")]
    a: BTreeMap<String, Vec<String>>,
    #[serde(rename = "AAAAs", default)]
    aaaa: BTreeMap<String, Vec<String>>,
    #[serde(rename = "SRVs")]
    srv: BTreeMap<String, Vec<String>>,
}
