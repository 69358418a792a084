//! Address blocks: of the configuration (`192.0.2.0/24`) and of the EDNS client subnet option
//! (RFC 7871, 6). In: text or octets of strangers. Out: a block, or nothing.

use std::fmt;
use std::net::IpAddr;

use super::message::OPTION_HEAD_BYTES;

/// EDNS option code of the client subnet (RFC 7871, 6).
pub const CLIENT_SUBNET_OPTION: u16 = 8;
/// Family, source and scope prefix length.
const HEAD_BYTES: usize = 4;
/// Octets of the longest option, with its head.
pub const SUBNET_OPTION_BYTES_MAX: usize = OPTION_HEAD_BYTES + HEAD_BYTES + 16;

/// The addresses that share the first `prefix_bits` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Bits after the prefix are 0; an IPv4 address has 4 octets and 12 unused ones.
    octets: [u8; 16],
    octet_count: u8,
    prefix_bits: u8,
}

impl Subnet {
    /// The block of an address. Too long a prefix is that of the address alone.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Self {
        match address {
            IpAddr::V4(v4) => Self::from_octets(&v4.octets(), prefix_bits.min(32)),
            IpAddr::V6(v6) => Self::from_octets(&v6.octets(), prefix_bits.min(128)),
        }
    }

    fn from_octets(address: &[u8], prefix_bits: u8) -> Self {
        let mut octets = [0; 16];
        for (index, (octet, &given)) in octets.iter_mut().zip(address).enumerate() {
            *octet = given & mask(prefix_bits, index);
        }
        Self {
            octets,
            octet_count: address.len() as u8,
            prefix_bits,
        }
    }

    /// `ADDRESS/BITS`, or an address alone. Bits behind the prefix may be set, as in 10.1.2.3/8.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.map_or(Some(bits_max), |bits| bits.parse().ok())?;
        (prefix_bits <= bits_max).then(|| Self::new(address, prefix_bits))
    }

    /// The data of a client subnet option. `None` where it is malformed: a family that is neither
    /// IPv4 nor IPv6, a prefix longer than an address, octets that are not as many as it takes.
    pub fn from_option(data: &[u8]) -> Option<Self> {
        let (head, address) = data.split_first_chunk::<HEAD_BYTES>()?;
        let [f0, f1, prefix_bits, _] = *head;
        let octet_count: u8 = match u16::from_be_bytes([f0, f1]) {
            1 => 4,
            2 => 16,
            _ => return None,
        };
        if prefix_bits > octet_count * 8 || address.len() != usize::from(prefix_bits.div_ceil(8)) {
            return None;
        }
        let subnet = Self::from_octets(address, prefix_bits);
        Some(Self {
            octet_count,
            ..subnet
        })
    }

    /// Whether an address of 4 or 16 octets lies in the block.
    pub fn holds(&self, address: &[u8]) -> bool {
        let mut pairs = address.iter().zip(&self.octets).enumerate();
        address.len() == usize::from(self.octet_count)
            && pairs.all(|(index, (&a, &b))| a & mask(self.prefix_bits, index) == b)
    }

    pub fn holds_address(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.holds(&v4.octets()),
            IpAddr::V6(v6) => self.holds(&v6.octets()),
        }
    }

    /// Whether every address of another block lies in this one.
    pub fn holds_block(&self, other: &Self) -> bool {
        let address = other.octets.get(..usize::from(other.octet_count));
        self.prefix_bits <= other.prefix_bits && address.is_some_and(|address| self.holds(address))
    }

    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }

    /// Whether every address of its family lies in it.
    pub fn is_whole_family(&self) -> bool {
        self.prefix_bits == 0
    }

    /// Octets of the option that says so, with its head.
    fn option_bytes(&self) -> usize {
        OPTION_HEAD_BYTES + HEAD_BYTES + usize::from(self.prefix_bits.div_ceil(8))
    }

    /// The option of an answer that was made for this block: scope as long as the source's prefix
    /// (RFC 7871, 7.2.1). Its length comes first; octets behind it are unused.
    pub fn option(&self) -> (usize, [u8; SUBNET_OPTION_BYTES_MAX]) {
        let mut option = [0; SUBNET_OPTION_BYTES_MAX];
        let family = if self.octet_count == 4 { 1 } else { 2 };
        let length = self.option_bytes();
        let data = (length - OPTION_HEAD_BYTES) as u8;
        let code = CLIENT_SUBNET_OPTION as u8;
        let head = [
            0,
            code,
            0,
            data,
            0,
            family,
            self.prefix_bits,
            self.prefix_bits,
        ];
        for (place, octet) in option.iter_mut().zip(head.iter().chain(&self.octets)) {
            *place = *octet;
        }
        (length, option)
    }
}

/// Blocks as numbers, for those who look at each datagram: a mask and what is left of an address by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocks {
    ipv4: Box<[(u32, u32)]>,
    ipv6: Box<[(u128, u128)]>,
}

impl Blocks {
    /// The largest blocks are looked at first.
    pub fn new(blocks: &[Subnet]) -> Self {
        let mut sorted = blocks.to_vec();
        sorted.sort_by_key(Subnet::prefix_bits);
        let mut all = Self::default();
        let of_family = |octets| sorted.iter().filter(move |it| it.octet_count == octets);
        let address = |it: &Subnet| u128::from_be_bytes(it.octets);
        let bits = |it: &Subnet| u32::from(it.prefix_bits);
        all.ipv4 = of_family(4)
            .map(|it| {
                let mask = u32::MAX.checked_shl(32 - bits(it)).unwrap_or(0);
                (mask, (address(it) >> 96) as u32)
            })
            .collect();
        all.ipv6 = of_family(16)
            .map(|it| {
                let mask = u128::MAX.checked_shl(128 - bits(it)).unwrap_or(0);
                (mask, address(it))
            })
            .collect();
        all
    }

    #[inline]
    pub fn hold(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => {
                let address = v4.to_bits();
                let mut blocks = self.ipv4.iter();
                blocks.any(|(mask, block)| address & mask == *block)
            }
            IpAddr::V6(v6) => {
                let address = v6.to_bits();
                let mut blocks = self.ipv6.iter();
                blocks.any(|(mask, block)| address & mask == *block)
            }
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.octets;
        let address = match self.octet_count {
            4 => IpAddr::from([a, b, c, d]),
            _ => IpAddr::from(self.octets),
        };
        write!(f, "{address}/{}", self.prefix_bits)
    }
}

/// The bits of an octet that belong to the prefix.
fn mask(prefix_bits: u8, octet_index: usize) -> u8 {
    match usize::from(prefix_bits).saturating_sub(octet_index * 8) {
        bits @ 0..8 => !(0xff >> bits),
        _ => 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_their_addresses_and_no_other() {
        for (block, inside, outside) in [
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.129", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("::/0", "::", "0.0.0.0"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1/128", "::1", "127.0.0.1"),
        ] {
            let subnet = Subnet::parse(block).expect(block);
            assert!(
                subnet.holds_address(inside.parse().expect(inside)),
                "{block}"
            );
            assert!(
                !subnet.holds_address(outside.parse().expect(outside)),
                "{block}"
            );
            let blocks = Blocks::new(&[subnet]);
            assert!(blocks.hold(inside.parse().expect(inside)), "{block}");
            assert!(!blocks.hold(outside.parse().expect(outside)), "{block}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "x/8",
            "10.0.0/8",
            "1.1.1.1/-1",
        ] {
            assert_eq!(Subnet::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn block_holds_the_blocks_within_it() {
        let block = |text: &str| Subnet::parse(text).expect(text);
        for (outer, inner, expected) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.0.0.0/7", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "fe80::/10", true),
        ] {
            let found = block(outer).holds_block(&block(inner));
            assert_eq!(found, expected, "{outer} {inner}");
        }
        assert!(block("::/0").is_whole_family() && !block("::/1").is_whole_family());
    }

    #[test]
    fn options_are_read_and_written() {
        let subnet = Subnet::from_option(&[0, 1, 20, 0, 10, 1, 0xff]).expect("an option");
        assert_eq!(subnet.to_string(), "10.1.240.0/20");
        let (length, option) = subnet.option();
        assert_eq!(option[..length], [0, 8, 0, 7, 0, 1, 20, 20, 10, 1, 0xf0]);
        for wrong in [
            &[][..],
            &[0, 3, 0, 0],
            &[1, 1, 24, 0, 10, 1, 1],
            &[0, 1, 33, 0, 1, 1, 1, 1, 1],
            &[0, 1, 24, 0, 10, 1],
        ] {
            assert_eq!(Subnet::from_option(wrong), None, "{wrong:?}");
        }
    }
}
