//! Addresses, names and URLs of the configuration: text in, checked values out. In: what was
//! written. Out: a value, or a pair of what is wrong and what would be right. Pure.

use std::net::{IpAddr, SocketAddr};

use super::{IpSource, Master};
use crate::dns::name;
use crate::limits::LABEL_BYTES_MAX;

/// What is wrong, and what would be right.
pub type Wrong = (String, String);

fn wrong(problem: &str, cure: &str) -> Wrong {
    (problem.to_owned(), format!("right would be {cure}"))
}

/// A master: `host:port`. Addresses become canonical, so that two spellings of one are equal.
pub fn master(text: &str) -> Result<Master, Wrong> {
    let bad = |problem: &str| {
        wrong(
            problem,
            "host:port, as in 10.0.0.1:5050 or [2001:db8::1]:5050",
        )
    };
    let (host, port) = split_host_port(text).ok_or_else(|| bad("there is no host and port"))?;
    let port = port_number(port).ok_or_else(|| bad("the port is not 1 to 65535"))?;
    if let Ok(address) = host.parse::<IpAddr>() {
        let host = address.to_canonical().to_string();
        return Ok(Master { host, port });
    }
    let strange =
        |letter: char| letter.is_whitespace() || letter.is_control() || "/@".contains(letter);
    if host.is_empty() || host.contains(strange) {
        return Err(bad("the host is neither an address nor a name"));
    }
    // A name whose last label is a number is a mistyped address (RFC 1123, 2.1).
    let last = host
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    if last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(bad("the host is no IP address"));
    }
    Ok(Master {
        host: host.to_owned(),
        port,
    })
}

/// A resolver: `IP` or `IP:port`.
pub fn resolver(text: &str) -> Result<SocketAddr, Wrong> {
    let bad = |problem: &str| wrong(problem, "IP or IP:port, as in 10.0.0.2 or [2001:db8::1]:53");
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address.to_canonical(), 53));
    }
    let (host, port) = split_host_port(text).unwrap_or((text, "53"));
    let address: IpAddr = host.parse().map_err(|_| bad("this is no IP address"))?;
    let port = port_number(port).ok_or_else(|| bad("the port is not 1 to 65535"))?;
    Ok(SocketAddr::new(address.to_canonical(), port))
}

/// A listener: an IP address of this machine, or 0.0.0.0 or ::.
pub fn listener(text: &str) -> Result<IpAddr, Wrong> {
    text.parse().map_err(|_| {
        wrong(
            "this is no IP address",
            "an IP address of this machine, or 0.0.0.0 for all",
        )
    })
}

/// `host:port`, with brackets around an IPv6 address.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => Some((host.strip_suffix(']')?, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// The domain, or a zone: lower case, without a final dot.
pub fn domain(text: &str) -> Result<String, Wrong> {
    let bad = |problem: &str| {
        wrong(
            problem,
            "labels of letters, digits and '-' with dots between them, as in mesos",
        )
    };
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('.').unwrap_or(&lower);
    for label in lower.split('.') {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
        match label.len() {
            0 if lower.is_empty() => return Err(bad("the name is empty")),
            0 => return Err(bad("a label is empty")),
            length if length > LABEL_BYTES_MAX => return Err(bad("a label is over 63 characters")),
            _ if !label.bytes().all(allowed) => return Err(bad("a character is not allowed")),
            _ if label.bytes().all(|octet| octet == b'-') => {
                return Err(bad("a label has nothing but dashes"));
            }
            _ => {}
        }
    }
    name::wire_from_text(lower).map_err(|error| bad(&error.to_string()))?;
    Ok(lower.to_owned())
}

/// A name of the SOA record, with one final dot. An empty one is the root, as in mesos-dns.
pub fn soa_name(text: &str) -> Result<String, Wrong> {
    let dotted = format!("{}.", text.trim_end_matches('.'));
    match name::wire_from_text(&dotted) {
        Ok(_) => Ok(dotted),
        Err(error) => Err(wrong(&error.to_string(), "a domain name, as in ns1.mesos")),
    }
}

pub fn ip_source(text: &str) -> Result<IpSource, Wrong> {
    let all = [
        IpSource::NetInfo,
        IpSource::Mesos,
        IpSource::Docker,
        IpSource::Host,
    ];
    all.into_iter()
        .find(|source| source.name() == text)
        .ok_or_else(|| wrong("unknown source", "one of netinfo, mesos, docker, host"))
}

/// `zk://[user:password@]host[:port],.../path`: the form alone is checked.
pub fn zk(text: &str) -> Result<(), Wrong> {
    let bad = |problem: &str| wrong(problem, "zk://host1:2181,host2:2181/mesos");
    let rest = text
        .strip_prefix("zk://")
        .ok_or_else(|| bad("it does not begin with zk://"))?;
    let (hosts, path) = rest
        .split_once('/')
        .ok_or_else(|| bad("the path is missing"))?;
    if path.is_empty() {
        return Err(bad("the path is missing"));
    }
    let hosts = match hosts.rsplit_once('@') {
        Some((credentials, hosts)) if credentials.contains(':') => hosts,
        Some(_) => return Err(bad("user:password is expected before '@'")),
        None => hosts,
    };
    for host in hosts.split(',') {
        let with_port = host.contains(':') && !host.ends_with(']');
        let good = match with_port {
            true => split_host_port(host)
                .is_some_and(|(host, port)| !host.is_empty() && port_number(port).is_some()),
            false => !host.is_empty(),
        };
        if !good {
            return Err(bad("a host is empty or its port is not 1 to 65535"));
        }
    }
    Ok(())
}

/// The URL without its password, for messages and `check`.
pub fn zk_masked(text: &str) -> String {
    match text.split_once("://").and_then(|(scheme, rest)| {
        let (credentials, hosts) = rest.rsplit_once('@')?;
        let (user, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{user}:******@{hosts}"))
    }) {
        Some(masked) => masked,
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_host_and_port() {
        let good = [
            ("127.0.0.1:5050", "127.0.0.1", 5050),
            ("[0:0::1]:1", "::1", 1),
            ("[::ffff:10.0.0.1]:65535", "10.0.0.1", 65_535),
            ("m1.example:5050", "m1.example", 5050),
        ];
        for (text, host, port) in good {
            let host = host.to_owned();
            assert_eq!(master(text), Ok(Master { host, port }));
        }
        for text in [
            "",
            "127.0.0.1",
            ":5050",
            "::1:5050",
            "[::1]",
            "1.2.3.4:0",
            "1.2.3.4:70000",
            "1.2.3.4:http",
            "256.1.1.1:5050",
            "http://a:5050",
            "a b:1",
            "[::1:5050",
        ] {
            assert!(master(text).is_err(), "{text}");
        }
    }

    #[test]
    fn resolvers_are_addresses_with_or_without_port() {
        let port_53 = Ok(SocketAddr::from(([127, 0, 0, 1], 53)));
        assert_eq!(resolver("127.0.0.1"), port_53);
        assert_eq!(resolver("127.0.0.1:53"), port_53);
        assert!(resolver("::1").is_ok_and(|address| address.port() == 53));
        assert!(resolver("[2001:db8::1]:5353").is_ok_and(|address| address.port() == 5353));
        for text in [
            "",
            "x",
            "dns.example.com",
            "127.0.0.1:0",
            "127.0.0.1:",
            "127.0.0.1:70000",
        ] {
            assert!(resolver(text).is_err(), "{text}");
        }
    }

    #[test]
    fn domain_is_lower_case_without_final_dot() {
        assert_eq!(domain("UP.Mesos."), Ok("up.mesos".to_owned()));
        assert_eq!(domain("-a-.b-"), Ok("-a-.b-".to_owned()));
        assert_eq!(domain("1.2.3.4"), Ok("1.2.3.4".to_owned()));
        assert!(domain(&"x".repeat(63)).is_ok());
        let long = "xxxxxxxxx.".repeat(26);
        for text in [
            "",
            ".",
            "a..b",
            "a_b",
            "a b",
            "café",
            "-",
            "a.--",
            &"x".repeat(64),
            &long,
            "a..",
        ] {
            assert!(domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn soa_names_end_in_one_dot_and_can_be_encoded() {
        assert_eq!(soa_name(""), Ok(".".to_owned()));
        assert_eq!(soa_name("."), Ok(".".to_owned()));
        assert_eq!(soa_name("a.b.."), Ok("a.b.".to_owned()));
        assert!(soa_name("a..b").is_err());
        assert!(soa_name(&"x".repeat(64)).is_err());
        assert!(soa_name(&"xxxxxxxxx.".repeat(26)).is_err());
    }

    #[test]
    fn zk_urls_are_checked_and_masked() {
        for text in [
            "zk://a:2181/mesos",
            "zk://a,b:1/x/y",
            "zk://u:p@a:1,[::1]:2/m",
        ] {
            assert_eq!(zk(text), Ok(()), "{text}");
        }
        for text in [
            "not-a-url",
            "zk://",
            "zk:///m",
            "zk://a:1",
            "zk://a:1/",
            "zk://a:0/m",
            "zk://u@a/m",
            "zk://a,,b/m",
        ] {
            assert!(zk(text).is_err(), "{text}");
        }
        assert_eq!(zk_masked("zk://u:p@a:1/m"), "zk://u:******@a:1/m");
        assert_eq!(zk_masked("zk://a:1/m"), "zk://a:1/m");
    }
}
