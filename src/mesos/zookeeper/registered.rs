//! What Mesos masters write into ZooKeeper. In: names of nodes, and the octets of one. Out: the order
//! of election, and a master. Pure; no octets may make it panic.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::Value;

use super::MasterInfo;
use crate::limits::{NAME_BYTES_MAX, ZK_MASTERS_MAX, ZK_NODE_BYTES_MAX};
use crate::mesos::cluster::Endpoint;
use crate::mesos::values::{ends_in_number, read_address, read_pid};

/// The nodes at a path that are masters.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Sequence and name, in the order of election.
    pub json: Vec<(i64, Box<str>)>,
    /// Nodes of the form before Mesos 0.24.
    pub binary_count: usize,
    /// Nodes beyond `ZK_MASTERS_MAX`, the last in the order.
    pub left_out_count: usize,
}

/// Why a node gives no master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    TooLong,
    NoJson { line: usize, column: usize },
    NoAddress,
    Denied,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it has more than {ZK_NODE_BYTES_MAX} octets"),
            Self::NoJson { line, column } => {
                write!(f, "it is no JSON object, line {line}, column {column}")
            }
            Self::NoAddress => {
                f.write_str("none of address, ip, pid and hostname gives a host with a port")
            }
            Self::Denied => f.write_str("its ACL does not let us read it"),
        }
    }
}

/// Picks the masters out of the children of a path. What else is there (`log_replicas`) is no concern
/// of ours.
pub fn sorted(children: Vec<String>) -> Names {
    let mut names = Names::default();
    for child in children {
        if let Some(sequence) = child.strip_prefix(JSON_PREFIX).and_then(read_sequence) {
            names.json.push((sequence, child.into()));
        } else if child
            .strip_prefix(BINARY_PREFIX)
            .and_then(read_sequence)
            .is_some()
        {
            names.binary_count += 1;
        }
    }
    names.json.sort_unstable();
    names.left_out_count = names.json.len().saturating_sub(ZK_MASTERS_MAX);
    names.json.truncate(ZK_MASTERS_MAX);
    names
}

/// ZooKeeper prints a signed counter of 32 bits in at least ten characters. Mesos compares it as a
/// number, also where it ran over and is negative (zookeeper/group.cpp).
fn read_sequence(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Reads Mesos's MasterInfo in JSON. The address is looked for where mesos-dns does, `address.ip`,
/// then `ip`, and after that in the process id and the host names.
pub fn read_master(data: &[u8]) -> Result<MasterInfo, Unreadable> {
    if data.len() > ZK_NODE_BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    let no_json = |error: serde_json::Error| Unreadable::NoJson {
        line: error.line(),
        column: error.column(),
    };
    let info: serde_json::Map<String, Value> = serde_json::from_slice(data).map_err(no_json)?;
    let text = |value: Option<&Value>| Some(value?.as_str()?.to_owned());
    let address = info.get("address");
    let pid = text(info.get("pid")).and_then(|pid| read_pid(&pid).ok());
    let host = text(address.and_then(|address| address.get("ip")))
        .and_then(|text| written(read_address(&text)?))
        .or_else(|| written(packed_address(info.get("ip")?)?))
        .or_else(|| host_name(&pid.as_ref()?.host))
        .or_else(|| host_name(address?.get("hostname")?.as_str()?))
        .or_else(|| host_name(info.get("hostname")?.as_str()?));
    let port = address
        .and_then(|address| read_port(address.get("port")?))
        .or_else(|| read_port(info.get("port")?))
        .or_else(|| pid.as_ref()?.port);
    match (host, port) {
        (Some(host), Some(port)) => Ok(MasterInfo {
            endpoint: Endpoint {
                host,
                port: Some(port),
            },
            id: text(info.get("id")).map(Arc::from),
        }),
        _ => Err(Unreadable::NoAddress),
    }
}

/// The octets of an IPv4 address as they lie in memory, read as a number of a little-endian machine.
fn packed_address(value: &Value) -> Option<IpAddr> {
    let packed = u32::try_from(value.as_u64()?).ok()?;
    Some(Ipv4Addr::from(packed.to_le_bytes()).into())
}

/// Nobody can be asked at 0.0.0.0: what stands there was never filled in.
fn written(address: IpAddr) -> Option<Arc<str>> {
    (!address.is_unspecified()).then(|| address.to_string().into())
}

/// An address, or a name that may stand in a URL.
fn host_name(host: &str) -> Option<Arc<str>> {
    if let Some(address) = read_address(host) {
        return written(address);
    }
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    let good = !host.is_empty()
        && host.len() <= NAME_BYTES_MAX
        && host.bytes().all(allowed)
        && !ends_in_number(host);
    good.then(|| host.into())
}

fn read_port(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?)
        .ok()
        .filter(|&port| port != 0)
}

const JSON_PREFIX: &str = "json.info_";
/// Mesos wrote a protobuf MasterInfo here, until 0.24.
const BINARY_PREFIX: &str = "info_";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(children: &[&str]) -> (Vec<String>, usize, usize) {
        let names = sorted(children.iter().map(|&name| name.to_owned()).collect());
        let json = names.json.iter().map(|(_, name)| name.to_string());
        (json.collect(), names.binary_count, names.left_out_count)
    }

    #[test]
    fn masters_are_in_the_order_of_their_sequence_as_numbers() {
        let (json, binary_count, _) = names(&[
            "json.info_0000000010",
            "log_replicas",
            "json.info_0000000009",
            "json.info_2147483647",
            "info_0000000001",
            "json.info_-2147483648",
            "json.info_-000000001",
            "json.info_10000000000",
        ]);
        let wanted = [
            "json.info_-2147483648",
            "json.info_-000000001",
            "json.info_0000000009",
            "json.info_0000000010",
            "json.info_2147483647",
            "json.info_10000000000",
        ];
        assert_eq!(json, wanted);
        assert_eq!(binary_count, 1);
    }

    #[test]
    fn what_is_no_master_is_passed_over() {
        let strange = [
            "json.info_",
            "json.info_x",
            "json.info_+1",
            "json.info_-",
            "json.info_1 ",
            "json.info_99999999999999999999",
            "xjson.info_1",
            "info_",
            "log_replicas",
        ];
        assert_eq!(names(&strange), (Vec::new(), 0, 0));
    }

    #[test]
    fn masters_are_bounded() {
        let many = (0..ZK_MASTERS_MAX + 3).map(|index| format!("json.info_{index:010}"));
        let names = sorted(many.collect());
        assert_eq!(
            (names.json.len(), names.left_out_count),
            (ZK_MASTERS_MAX, 3)
        );
        assert_eq!(names.json[0].0, 0);
    }

    fn read(json: &str) -> Result<String, Unreadable> {
        read_master(json.as_bytes()).map(|master| master.endpoint.to_string())
    }

    #[test]
    fn real_master_is_read() {
        let real = r#"{"address":{"hostname":"127.0.0.1","ip":"127.0.0.1","port":5052},
            "capabilities":[{"type":"AGENT_UPDATE"},{"type":"AGENT_DRAINING"},{"type":"QUOTA_V2"}],
            "domain":{"fault_domain":{"region":{"name":"eu-west"},"zone":{"name":"eu-west-1b"}}},
            "hostname":"127.0.0.1","id":"ad07c110-d130-42b5-88e5-2a0a7719522f","ip":16777343,
            "pid":"master@127.0.0.1:5052","port":5052,"version":"1.11.0"}"#;
        let master = read_master(real.as_bytes()).unwrap();
        assert_eq!(master.endpoint.to_string(), "127.0.0.1:5052");
        let id = master.id.as_deref();
        assert_eq!(id, Some("ad07c110-d130-42b5-88e5-2a0a7719522f"));
    }

    #[test]
    fn address_is_taken_from_where_there_is_one() {
        for (json, wanted) in [
            (
                r#"{"address":{"ip":"10.0.0.1","port":1},"ip":1,"port":2,"pid":"m@h:3"}"#,
                "10.0.0.1:1",
            ),
            (r#"{"address":{"ip":"10.0.0.1"},"port":2}"#, "10.0.0.1:2"),
            (
                r#"{"address":{"ip":"2001:db8::1","port":1},"ip":0}"#,
                "[2001:db8::1]:1",
            ),
            (
                r#"{"address":{"ip":"::ffff:10.0.0.1","port":1}}"#,
                "10.0.0.1:1",
            ),
            (r#"{"ip":16777343,"port":5050}"#, "127.0.0.1:5050"),
            (
                r#"{"ip":67305985,"port":5050,"pid":"m@h:3"}"#,
                "1.2.3.4:5050",
            ),
            (
                r#"{"address":{"ip":"rubbish","port":7},"ip":67305985}"#,
                "1.2.3.4:7",
            ),
            (r#"{"ip":0,"pid":"master@m1.test:5050"}"#, "m1.test:5050"),
            (
                r#"{"pid":"master@[::1]:5050","hostname":"h.test"}"#,
                "[::1]:5050",
            ),
            (
                r#"{"address":{"hostname":"a.test","port":1},"hostname":"h.test"}"#,
                "a.test:1",
            ),
            (r#"{"hostname":"h.test","port":5050}"#, "h.test:5050"),
            (
                r#"{"address":{"ip":"0.0.0.0","port":1},"hostname":"10.0.0.3"}"#,
                "10.0.0.3:1",
            ),
            (
                r#"{"address":null,"ip":null,"pid":"m@10.0.0.4:1","id":7}"#,
                "10.0.0.4:1",
            ),
        ] {
            assert_eq!(read(json).as_deref(), Ok(wanted), "{json}");
        }
    }

    #[test]
    fn node_without_an_address_is_no_master() {
        for json in [
            "{}",
            r#"{"hostname":"h.test"}"#,
            r#"{"ip":16777343}"#,
            r#"{"ip":4294967296,"port":1}"#,
            r#"{"ip":-1,"port":1}"#,
            r#"{"address":{"ip":"10.0.0.1","port":0}}"#,
            r#"{"address":{"ip":"10.0.0.1","port":70000}}"#,
            r#"{"address":"10.0.0.1:5050"}"#,
            r#"{"hostname":"a/b","port":1}"#,
            r#"{"hostname":"10.0.0.999","port":1}"#,
            r#"{"pid":"master@:5050"}"#,
        ] {
            assert_eq!(read(json), Err(Unreadable::NoAddress), "{json}");
        }
        for json in ["", "x", "[]", "7", "null", "{", "\"\u{0}\"", "{} {}"] {
            let error = read(json).unwrap_err();
            assert!(matches!(error, Unreadable::NoJson { .. }), "{json}");
        }
        let deep = "[".repeat(200_000);
        assert!(read(&deep).is_err());
        let long = " ".repeat(ZK_NODE_BYTES_MAX + 1);
        assert_eq!(read(&long), Err(Unreadable::TooLong));
    }
}
