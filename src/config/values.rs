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
    if !is_host_name(host) {
        return Err(bad("the host is neither an address nor a name"));
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

/// Whether a listener can stand beside others: none of them has what is sent to another.
pub fn goes_beside(listener: IpAddr, others: &[IpAddr]) -> Result<(), Wrong> {
    if others.contains(&listener) {
        return Err(wrong("this address is listed twice", "each address once"));
    }
    // The socket of `::` has IPv4 too.
    let takes = |wildcard: IpAddr, other: IpAddr| {
        wildcard.is_unspecified() && (wildcard.is_ipv6() || other.is_ipv4())
    };
    match others
        .iter()
        .find(|&&other| takes(listener, other) || takes(other, listener))
    {
        None => Ok(()),
        Some(&other) => {
            let (wildcard, covered) = match takes(listener, other) {
                true => (listener, other),
                false => (other, listener),
            };
            Err(wrong(
                &format!("{wildcard} has what is sent to {covered} already"),
                &format!("{wildcard} without {covered}, or single addresses only"),
            ))
        }
    }
}

/// An origin of pages, as browsers send it in `Origin`: lower case, without a port that the scheme has
/// anyway (RFC 6454, 6.2).
pub fn web_origin(text: &str) -> Result<String, Wrong> {
    let bad = |problem: &str| {
        wrong(
            problem,
            "scheme://host[:port] with nothing behind, as in https://status.example, or *",
        )
    };
    if text == "null" {
        return Err(bad("null is what anybody's page can have as its origin"));
    }
    let lower = text.to_ascii_lowercase();
    let is_scheme = |scheme: &str| {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"+-.".contains(&letter);
        scheme.starts_with(|first: char| first.is_ascii_lowercase()) && scheme.bytes().all(fits)
    };
    let (scheme, rest) = lower
        .split_once("://")
        .filter(|(scheme, _)| is_scheme(scheme))
        .ok_or_else(|| bad("there is no scheme"))?;
    if rest.contains(['/', '?', '#']) {
        return Err(bad("there is more than scheme, host and port"));
    }
    let bracketed_end = rest.starts_with('[') && rest.ends_with(']');
    let (host, port) = match split_host_port(rest) {
        Some((host, port)) if !bracketed_end => {
            let port = port_number(port).ok_or_else(|| bad("the port is not 1 to 65535"))?;
            (host, Some(port))
        }
        _ => {
            let host = rest.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            (host.unwrap_or(rest), None)
        }
    };
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) if is_host_name(host) && host.is_ascii() && !host.contains('*') => host.to_owned(),
        Err(_) => return Err(bad("the host is neither an address nor a name")),
    };
    let usual = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    Ok(match port.filter(|port| Some(*port) != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// Whether the system's resolver may be asked for it.
pub fn is_host_name(host: &str) -> bool {
    let strange =
        |letter: char| letter.is_whitespace() || letter.is_control() || "/@:[]".contains(letter);
    // A name whose last label is a number is a mistyped address (RFC 1123, 2.1).
    let last = host.trim_end_matches('.').rsplit('.').next();
    let is_number = |label: &str| label.bytes().all(|octet| octet.is_ascii_digit());
    !host.contains(strange) && !last.is_none_or(is_number)
}

/// `host:port`, with brackets around an IPv6 address.
pub fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => Some((host.strip_suffix(']')?, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

pub fn port_number(text: &str) -> Option<u16> {
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
    fn no_listener_stands_beside_one_that_has_its_datagrams() {
        let beside = |new: &str, old: &[&str]| {
            let old: Vec<_> = old.iter().map(|old| listener(old).expect("good")).collect();
            goes_beside(listener(new).expect("good"), &old)
        };
        assert_eq!(beside("127.0.0.2", &["127.0.0.1", "::1"]), Ok(()));
        assert_eq!(beside("::1", &["0.0.0.0"]), Ok(()));
        assert_eq!(beside("0.0.0.0", &["::1"]), Ok(()));
        assert!(beside("::0", &["::1"]).is_err());
        for (new, old, problem) in [
            ("::1", "0::1", "twice"),
            (
                "127.0.0.1",
                "0.0.0.0",
                "0.0.0.0 has what is sent to 127.0.0.1",
            ),
            (
                "0.0.0.0",
                "127.0.0.1",
                "0.0.0.0 has what is sent to 127.0.0.1",
            ),
            ("::", "0.0.0.0", ":: has what is sent to 0.0.0.0"),
            ("::1", "::", ":: has what is sent to ::1"),
        ] {
            let (found, cure) = beside(new, &[old]).expect_err(new);
            assert!(found.contains(problem), "{new} beside {old}: {found}");
            assert!(cure.starts_with("right would be"), "{cure}");
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
}
