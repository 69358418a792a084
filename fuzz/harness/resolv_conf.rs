//! The nameservers of a resolv.conf that anybody wrote: never this host, never one twice.

use std::net::IpAddr;

use rollcall::forward::resolv_conf::nameservers;

pub fn run(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let own: [IpAddr; 2] = [
        [10, 0, 0, 9].into(),
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 9].into(),
    ];
    let found = nameservers(&text, &own, |name| (name == "eth0").then_some(7));
    assert!(found.len() <= 8);
    for (number, address) in found.iter().enumerate() {
        let ip = address.ip();
        assert!(
            !ip.is_loopback() && !ip.is_unspecified() && !own.contains(&ip),
            "{text:?}"
        );
        assert!(!matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()));
        assert_eq!(address.port(), 53);
        assert!(!found[..number].contains(address), "{text:?}");
        // It stands there, in a line of its own.
        let lines = text.lines().filter(|line| line.starts_with("nameserver"));
        assert!(lines.count() > number);
    }
}
