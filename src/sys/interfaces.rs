//! Addresses of this host. In: the kernel's list of interfaces. Out: every address once, loopback
//! ones too (callers exclude what they do not want).

use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// The kernel's list, freed when dropped.
struct List {
    first: *mut libc::ifaddrs,
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: `first` came from a getifaddrs that succeeded, and only this drop frees it.
        unsafe { libc::freeifaddrs(self.first) };
    }
}

/// Every IPv4 and IPv6 address of the host's interfaces, sorted, without duplicates.
pub fn local_addresses() -> io::Result<Vec<IpAddr>> {
    let networks = local_networks()?.into_iter();
    let mut addresses: Vec<_> = networks.map(|(address, _)| address).collect();
    addresses.dedup();
    Ok(addresses)
}

/// The same, each with the bits of its network's prefix.
pub fn local_networks() -> io::Result<Vec<(IpAddr, u8)>> {
    let mut list = List {
        first: ptr::null_mut(),
    };
    // SAFETY: `list.first` is a live pointer that the call overwrites on success.
    if unsafe { libc::getifaddrs(&mut list.first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut networks = Vec::new();
    let mut next = list.first;
    while !next.is_null() {
        // SAFETY: `next` is not null and is a node of `list`, which lives until the end of this
        // function and which nobody writes to.
        let node = unsafe { &*next };
        // SAFETY: getifaddrs made the pointers of its nodes null or point to a sockaddr.
        let address = unsafe { address_at(node.ifa_addr) };
        // SAFETY: as above.
        let mask = unsafe { address_at(node.ifa_netmask) };
        networks.extend(address.map(|address| (address, prefix_bits(address, mask))));
        next = node.ifa_next;
    }
    networks.sort_unstable();
    networks.dedup();
    Ok(networks)
}

/// The kernel's number of an interface, as scopes of link-local addresses name it.
pub fn index_of(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a live string that ends in a null octet.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Ones at the front of a mask; without one, or with one of another family, the address stands alone.
fn prefix_bits(address: IpAddr, mask: Option<IpAddr>) -> u8 {
    let ones = match (address, mask) {
        (IpAddr::V4(_), Some(IpAddr::V4(mask))) => mask.to_bits().leading_ones(),
        (IpAddr::V6(_), Some(IpAddr::V6(mask))) => mask.to_bits().leading_ones(),
        (IpAddr::V4(_), _) => Ipv4Addr::BITS,
        (IpAddr::V6(_), _) => Ipv6Addr::BITS,
    };
    ones as u8
}

/// The address at a place; none where there is none or one of another family.
///
/// # Safety
///
/// `address` is null or points to a sockaddr as long as its family has it.
unsafe fn address_at(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, so it points to a sockaddr, which begins with its family.
    let family = unsafe { (*address).sa_family };
    match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: a sockaddr of family AF_INET is a sockaddr_in.
            let ipv4 = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
            Some(Ipv4Addr::from(u32::from_be(ipv4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: a sockaddr of family AF_INET6 is a sockaddr_in6.
            let ipv6 = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in6>()) };
            Some(Ipv6Addr::from(ipv6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_address_is_listed_once() {
        let addresses = local_addresses().unwrap();
        let loopback = addresses
            .iter()
            .filter(|address| **address == IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(loopback.count(), 1);
    }

    #[test]
    fn loopback_has_the_prefix_that_every_host_gives_it() {
        let networks = local_networks().unwrap();
        assert!(networks.contains(&(IpAddr::V4(Ipv4Addr::LOCALHOST), 8)));
        for (address, bits) in networks {
            assert!(
                bits <= if address.is_ipv4() { 32 } else { 128 },
                "{address}"
            );
        }
    }

    #[test]
    fn prefix_is_that_of_a_mask_of_the_same_family() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (address, mask, bits) in [
            ("10.0.0.1", Some("255.255.240.0"), 20),
            ("10.0.0.1", Some("0.0.0.0"), 0),
            ("10.0.0.1", None, 32),
            ("10.0.0.1", Some("ffff::"), 32),
            ("2001:db8::1", Some("ffff:ffff:ffff:ffff::"), 64),
            ("2001:db8::1", None, 128),
        ] {
            assert_eq!(prefix_bits(ip(address), mask.map(ip)), bits, "{address}");
        }
    }

    #[test]
    fn interface_has_a_number_and_a_made_up_one_has_none() {
        assert!(index_of("lo").is_some());
        assert_eq!(index_of("no-such-interface"), None);
        assert_eq!(index_of("l\0o"), None);
    }
}
