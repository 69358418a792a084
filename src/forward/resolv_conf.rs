//! The nameservers of /etc/resolv.conf (resolv.conf(5)). In: its text, and which addresses are this
//! host's own. Out: whom to ask, in the file's order. It must never lead back to ourselves.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;

use crate::limits::{RESOLV_CONF_BYTES_MAX, RESOLV_CONF_NAMESERVERS_MAX};

/// Where it is.
pub const PATH: &str = "/etc/resolv.conf";

/// The port of nameservers, of which the file tells none.
const PORT: u16 = 53;

/// The file's text, as far as its bound; octets that are not UTF-8 are replaced, as in no address.
pub fn read(path: &Path) -> io::Result<String> {
    let mut octets = Vec::new();
    File::open(path)?
        .take(RESOLV_CONF_BYTES_MAX)
        .read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// The nameservers of a text that are not this host: neither loopback, nor one of `own`. `index_of`
/// knows the numbers of interfaces, which scopes name (`fe80::1%eth0`).
pub fn nameservers(
    text: &str,
    own: &[IpAddr],
    index_of: impl Fn(&str) -> Option<u32>,
) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        // The keyword stands at the front, as the C library wants it.
        let Some(rest) = line.strip_prefix("nameserver") else {
            continue;
        };
        let Some(rest) = rest.strip_prefix([' ', '\t']) else {
            continue;
        };
        let rest = rest.trim_start_matches([' ', '\t']);
        let end = rest.find([';', '#', ' ', '\t', '\r']).unwrap_or(rest.len());
        let (text, _) = rest.split_at_checked(end).unwrap_or_default();
        let Some(address) = address(text, &index_of) else {
            continue;
        };
        let ip = address.ip();
        let is_own = ip.is_loopback() || ip.is_unspecified() || own.contains(&ip);
        if !is_own && !found.contains(&address) {
            found.push(address);
        }
    }
    found.truncate(RESOLV_CONF_NAMESERVERS_MAX);
    found
}

fn address(text: &str, index_of: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    if let Some((ip, scope)) = text.split_once('%') {
        let ip: Ipv6Addr = ip.parse().ok()?;
        if let Some(ip) = ip.to_ipv4_mapped() {
            return Some(SocketAddr::new(ip.into(), PORT));
        }
        let scope = scope.parse().ok().or_else(|| index_of(scope))?;
        return Some(SocketAddrV6::new(ip, PORT, 0, scope).into());
    }
    let ip: IpAddr = text.parse().ok()?;
    Some(SocketAddr::new(ip.to_canonical(), PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let own = ["10.0.0.9", "2001:db8::9"].map(|ip| ip.parse().expect(ip));
        let index_of = |name: &str| (name == "eth0").then_some(7);
        let found = nameservers(text, &own, index_of);
        found.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn nameservers_are_read_as_the_c_library_reads_them() {
        for (text, expected) in [
            ("nameserver 10.0.0.1", &["10.0.0.1:53"][..]),
            (
                "# nameserver 10.0.0.8\nsearch a b\nnameserver\t 10.0.0.2 # the first\r\n\
                 nameserver 10.0.0.1;x\noptions edns0\nnameserver 10.0.0.2\n",
                &["10.0.0.2:53", "10.0.0.1:53"],
            ),
            (
                "nameserver 2001:db8::1\nnameserver ::ffff:10.0.0.3",
                &["[2001:db8::1]:53", "10.0.0.3:53"],
            ),
            (
                "nameserver fe80::1%eth0\nnameserver fe80::2%3\nnameserver fe80::3%wlan9",
                &["[fe80::1%7]:53", "[fe80::2%3]:53"],
            ),
            (
                " nameserver 10.0.0.1\nnameserver10.0.0.1\n; nameserver 10.0.0.1",
                &[],
            ),
            (
                "nameserver\nnameserver \nnameserver dns.example\nnameserver 10.0.0",
                &[],
            ),
            ("", &[]),
        ] {
            assert_eq!(found(text), expected, "{text:?}");
        }
    }

    #[test]
    fn this_host_is_never_asked() {
        for ip in [
            "127.0.0.1",
            "127.0.0.53",
            "::1",
            "0.0.0.0",
            "::",
            "10.0.0.9",
            "2001:db8::9",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.9",
            "::ffff:127.0.0.1%eth0",
            "::ffff:10.0.0.9%1",
        ] {
            let text = format!("nameserver {ip}\nnameserver 10.0.0.1\n");
            assert_eq!(found(&text), ["10.0.0.1:53"], "{ip}");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let lines = (1..=20).map(|last| format!("nameserver 10.0.0.1{last:02}\n"));
        let text: String = lines.collect();
        assert_eq!(found(&text).len(), RESOLV_CONF_NAMESERVERS_MAX);
    }

    #[test]
    fn file_that_is_not_there_is_an_error() {
        assert!(read(Path::new("no-such-file")).is_err());
    }
}
