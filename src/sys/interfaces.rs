//! Addresses of this host. In: the kernel's list of interfaces. Out: every address once, loopback
//! ones too (callers exclude what they do not want).

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
    let mut list = List {
        first: ptr::null_mut(),
    };
    // SAFETY: `list.first` is a live pointer that the call overwrites on success.
    if unsafe { libc::getifaddrs(&mut list.first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut next = list.first;
    while !next.is_null() {
        // SAFETY: `next` is not null and is a node of `list`, which lives until the end of this
        // function and which nobody writes to.
        let node = unsafe { &*next };
        addresses.extend(address_of(node));
        next = node.ifa_next;
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// The address of one node; none where the interface has none or one of another family.
fn address_of(node: &libc::ifaddrs) -> Option<IpAddr> {
    let address = node.ifa_addr;
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, so getifaddrs made it point to a sockaddr that begins with its family.
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
}
