//! A question to a DNS server over UDP, for the demonstration. In: a server and a name. Out: the
//! addresses it answered. Believes nothing that it reads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::dns::{class, name, rtype};
use crate::limits::UDP_EDNS_BYTES_MAX;

/// The A records of a name. `None`: no answer, or one that makes no sense.
pub fn addresses_of(server: SocketAddr, host: &str) -> Option<Vec<IpAddr>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    socket.set_read_timeout(Some(ANSWER_MAX)).ok()?;
    socket.connect(server).ok()?;
    let id = fastrand::u16(..).to_be_bytes();
    let mut query = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(&name::wire_from_text(host).ok()?);
    query.extend_from_slice(&rtype::A.to_be_bytes());
    query.extend_from_slice(&class::IN.to_be_bytes());
    socket.send(&query).ok()?;
    let mut answer = [0; UDP_EDNS_BYTES_MAX];
    let length = socket.recv(&mut answer).ok()?;
    read_addresses(answer.get(..length)?, id)
}

fn read_addresses(answer: &[u8], id: [u8; 2]) -> Option<Vec<IpAddr>> {
    let (header, mut rest) = answer.split_at_checked(12)?;
    if !header.starts_with(&id) {
        return None;
    }
    let count = u16_at(header, 6)?;
    rest = after_name(rest)?.get(4..)?;
    let mut addresses = Vec::new();
    for _ in 0..count {
        let record = after_name(rest)?;
        let data_bytes = usize::from(u16_at(record, 8)?);
        let (data, next) = record.get(10..)?.split_at_checked(data_bytes)?;
        if u16_at(record, 0)? == rtype::A {
            addresses.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?));
        }
        rest = next;
    }
    Some(addresses)
}

/// What follows a name, which may end in a compression pointer (RFC 1035, 4.1.4).
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            0xc0.. => return rest.get(1..),
            _ => bytes = rest.get(usize::from(length)..)?,
        }
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let pair = bytes.get(offset..offset + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

const ANSWER_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_behind_names_with_and_without_compression() {
        let mut answer = vec![1, 2, 0x84, 0, 0, 1, 0, 2, 0, 0, 0, 0];
        answer.extend_from_slice(b"\x03web\x05mesos\x00\x00\x01\x00\x01");
        answer
            .extend_from_slice(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x01");
        answer.extend_from_slice(
            b"\x03web\x05mesos\x00\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x02",
        );
        let expected: Vec<IpAddr> = vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        assert_eq!(read_addresses(&answer, [1, 2]), Some(expected));
        assert_eq!(read_addresses(&answer, [1, 3]), None);
        for length in 0..answer.len() {
            assert_eq!(read_addresses(&answer[..length], [1, 2]), None);
        }
    }
}
