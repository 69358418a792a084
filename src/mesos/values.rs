//! Texts of the state document that hold more than text. In: a pid, a list of port ranges, an
//! address. Out: numbers and names. No text may make it panic; what is wrong in it is named.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::cluster::Endpoint;
use super::few::Few;
use super::fields::Loose;
use super::skips::shorten;
use crate::limits::{NAME_TEXT_BYTES_MAX, TASK_FAULTS_MAX, TASK_PORTS_MAX};

/// Reads a libprocess id, `name@host:port`. The port may be missing behind the colon or be no port;
/// that is left to whoever needs one.
pub fn read_pid(text: &str) -> Result<Endpoint, &'static str> {
    let (_, host_port) = text
        .trim_matches(' ')
        .split_once('@')
        .ok_or("has no '@' before its address")?;
    if host_port.contains('@') {
        return Err("has more than one '@'");
    }
    let (host, port) = host_port
        .rsplit_once(':')
        .ok_or("has no ':' before its port")?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or("has a '[' without its ']'")?,
        None if host.contains(':') => return Err("has an IPv6 address without brackets"),
        None => host,
    };
    if host.contains(['[', ']']) {
        return Err("has a bracket within its address");
    }
    if read_address(host).is_none() && ends_in_number(host) {
        return Err("has a host that is neither an address nor a name");
    }
    Ok(Endpoint {
        host: Arc::from(host),
        port: read_port(port),
    })
}

/// Reads a pid that may be missing or of a wrong type. An error says what is wrong.
pub fn read_loose_pid(pid: &Loose<'_>) -> Result<Option<Endpoint>, String> {
    match pid {
        Loose::Missing => Ok(None),
        Loose::Text(text) if text.trim_matches(' ').is_empty() => Ok(None),
        Loose::Text(text) => match read_pid(text) {
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(why) => Err(format!("pid {:?} {why}", shorten(text))),
        },
        Loose::Number(_) | Loose::Truth(_) | Loose::Other => Err("pid is not a string".to_owned()),
    }
}

/// A host name never ends in a label of digits, so that it cannot be taken for an address
/// (RFC 1123, 2.1); resolvers that guess would read `127.0.0.01` as octal.
pub fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|octet| octet.is_ascii_digit())
}

fn read_port(text: &str) -> Option<u16> {
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&port| port != 0)
}

/// An address as Go's net.ParseIP takes it: an IPv4-mapped one is IPv4; zones, prefix lengths,
/// spaces and leading zeros are refused.
pub fn read_address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// Port ranges as they are gathered; what is wrong with one goes to `faults`, and the rest is kept.
pub struct PortRanges<'a> {
    pub ranges: Vec<(u16, u16)>,
    faults: &'a mut Vec<Box<str>>,
    count: usize,
}

impl<'a> PortRanges<'a> {
    pub fn new(faults: &'a mut Vec<Box<str>>) -> Self {
        Self {
            ranges: Vec::new(),
            faults,
            count: 0,
        }
    }

    /// Adds an inclusive range; `text` is how it was written. False where no more fit.
    pub fn add(&mut self, first: i64, last: i64, text: &dyn fmt::Debug) -> bool {
        if first < 1 || last > PORT_MAX {
            self.fault(format!("{text:?} goes beyond 1 to 65535"));
        }
        let (first, last) = (first.max(1), last.min(PORT_MAX));
        let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(last)) else {
            return true;
        };
        if first > last {
            return true;
        }
        self.count += usize::from(last - first) + 1;
        if self.count > TASK_PORTS_MAX {
            self.fault(format!("more than {TASK_PORTS_MAX} ports"));
            return false;
        }
        self.ranges.push((first, last));
        true
    }

    pub fn fault(&mut self, what: String) {
        note_fault(self.faults, || format!("ports: {what}"));
    }
}

/// Notes what is wrong with a task; the first few are enough, however much there is.
pub fn note_fault(faults: &mut Vec<Box<str>>, what: impl FnOnce() -> String) {
    if faults.len() < TASK_FAULTS_MAX {
        faults.push(what().into());
    }
}

/// A text that names are made from, as much of it as is kept.
pub fn name_text<'a>(text: &'a str, what: &str, faults: &mut Vec<Box<str>>) -> &'a str {
    if text.len() <= NAME_TEXT_BYTES_MAX {
        return text;
    }
    note_fault(faults, || {
        format!("{what}: what is behind its first {NAME_TEXT_BYTES_MAX} octets is not looked at")
    });
    let mut end = NAME_TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Ranges in order, with what overlaps or adjoins made one: as a master writes the sum of resources.
pub fn sum_of_ranges(ranges: &[(u16, u16)]) -> Few<(u16, u16)> {
    let mut ranges = ranges.to_vec();
    ranges.sort_unstable();
    let mut sum: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match sum.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => {
                before.1 = before.1.max(last);
            }
            _ => sum.push((first, last)),
        }
    }
    sum.into()
}

/// Reads `[31000-31001, 31800-31801]`. Only what stands between the first '[' and the next ']'
/// counts; a range that cannot be read is left out, and `faults` says so.
pub fn read_port_ranges(text: &str, faults: &mut Vec<Box<str>>) -> Vec<(u16, u16)> {
    let mut ports = PortRanges::new(faults);
    if text.is_empty() || text == "[]" {
        return ports.ranges;
    }
    let Some((_, inner)) = text.split_once('[') else {
        ports.fault(format!("{text:?} is not a list of ranges"));
        return ports.ranges;
    };
    let inner = inner.split_once(']').map_or(inner, |(inner, _)| inner);
    for part in inner
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        match read_range(part) {
            Ok((first, last)) => {
                if !ports.add(first, last, &part) {
                    break;
                }
            }
            Err(why) => ports.fault(format!("{part:?} {why}")),
        }
    }
    ports.ranges
}

const PORT_MAX: i64 = u16::MAX as i64;

/// What stands behind a second '-' is not looked at, as in the original.
fn read_range(part: &str) -> Result<(i64, i64), &'static str> {
    let mut ends = part.split('-').map(str::parse::<i64>);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first > last => Err("runs backwards"),
        (Some(Ok(first)), Some(Ok(last))) => Ok((first, last)),
        _ => Err("is not a range of two numbers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> (Vec<(u16, u16)>, usize) {
        let mut faults = Vec::new();
        let ranges = read_port_ranges(text, &mut faults);
        (ranges, faults.len())
    }

    #[test]
    fn port_ranges_are_read_as_the_original_reads_them() {
        assert_eq!(ranges("[31000-31002]"), (vec![(31000, 31002)], 0));
        assert_eq!(
            ranges("[31000-31000, 31005-31006,31010-31010]"),
            (vec![(31000, 31000), (31005, 31006), (31010, 31010)], 0)
        );
        assert_eq!(ranges("[ 31000-31001 ]"), (vec![(31000, 31001)], 0));
        assert_eq!(ranges("[31002-31000]"), (vec![], 1));
        assert_eq!(
            ranges("[31000-31002,31001-31003]"),
            (vec![(31000, 31002), (31001, 31003)], 0)
        );
        assert_eq!(ranges("[a-b,31000-31000]"), (vec![(31000, 31000)], 1));
        assert_eq!(ranges("[]"), (vec![], 0));
        assert_eq!(ranges(""), (vec![], 0));
        assert_eq!(ranges("[ ]"), (vec![], 0));
        assert_eq!(ranges("[31000-31000-31005]"), (vec![(31000, 31000)], 0));
        assert_eq!(
            ranges("x[31000-31000]y[31001-31001]"),
            (vec![(31000, 31000)], 0)
        );
        assert_eq!(
            ranges("[31000 - 31001,31005-31005]"),
            (vec![(31005, 31005)], 1)
        );
        assert_eq!(ranges("[-5-3]"), (vec![], 1));
        assert_eq!(ranges("[65535-65537]"), (vec![(65535, 65535)], 1));
        assert_eq!(ranges("[70000-70001]"), (vec![], 1));
        assert_eq!(ranges("[0-1]"), (vec![(1, 1)], 1));
        assert_eq!(ranges("[+5-+6]"), (vec![(5, 6)], 0));
        assert_eq!(ranges("[007-008]"), (vec![(7, 8)], 0));
    }

    #[test]
    fn ports_that_ended_the_original_are_left_out() {
        assert_eq!(ranges("[31000]"), (vec![], 1));
        assert_eq!(ranges("[31000-31000,]"), (vec![(31000, 31000)], 0));
        assert_eq!(ranges("31000-31001"), (vec![], 1));
        assert_eq!(ranges("abc"), (vec![], 1));
        assert_eq!(ranges(" "), (vec![], 1));
        assert_eq!(ranges("]"), (vec![], 1));
        assert_eq!(ranges("[31000-31001"), (vec![(31000, 31001)], 0));
    }

    #[test]
    fn task_holds_a_bounded_number_of_ports() {
        assert_eq!(ranges("[1-65535]"), (vec![(1, 65535)], 0));
        assert_eq!(ranges("[1-65535,5-5,6-6]"), (vec![(1, 65535)], 1));
    }

    #[test]
    fn pids_are_read_in_all_their_forms() {
        let read = |text: &str| {
            let endpoint = read_pid(text).ok()?;
            Some((endpoint.host.to_string(), endpoint.port))
        };
        let some = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(read("slave(1)@10.0.0.1:5051"), some("10.0.0.1", Some(5051)));
        assert_eq!(
            read("slave(1)@[2001:db8::1]:5051"),
            some("2001:db8::1", Some(5051))
        );
        assert_eq!(read(" s@10.9.0.1:9000 "), some("10.9.0.1", Some(9000)));
        assert_eq!(read("@10.0.0.10:5051"), some("10.0.0.10", Some(5051)));
        assert_eq!(read("s@v4.test:77"), some("v4.test", Some(77)));
        assert_eq!(read("s@:5051"), some("", Some(5051)));
        for port in ["", "http", "70000", "0", "+5", "-1"] {
            assert_eq!(
                read(&format!("s@10.0.0.1:{port}")),
                some("10.0.0.1", None),
                "{port}"
            );
        }
        for bad in [
            "",
            " ",
            "10.9.0.1:9000",
            "a@b@10.9.0.1:9000",
            "s@10.9.0.1",
            "s@2001:db8::1:5051",
            "s@[::1:5051",
            "s@10.0.0.999:5051",
            "s@127.0.0.01:5050",
            "http://127.0.0.1:5050",
            "s@",
            "s@a[b]:1",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let read = |text: &str| read_address(text).map(|address| address.to_string());
        for (text, wanted) in [
            ("10.1.1.1", "10.1.1.1"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("::ffff:10.1.1.2", "10.1.1.2"),
            ("::10.1.1.3", "::a01:103"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("::", "::"),
            ("0.0.0.0", "0.0.0.0"),
        ] {
            let wanted: IpAddr = wanted.parse().unwrap();
            assert_eq!(read(text), Some(wanted.to_string()), "{text}");
        }
        for bad in [
            "010.1.1.4",
            "10.1.1",
            " 10.1.1.5",
            "10.1.1.6 ",
            "10.1.1.7/24",
            "fe80::1%eth0",
            "10.1.1.8:80",
            "[2001:db8::5]",
            "host.example",
            "",
            "1.2.3.256",
            "0x0a.1.1.1",
            "167837953",
            "1::2::3",
            "2001:db8::6:7:8:9:a:b:c",
            "fd22::1cee/64",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
