//! Names outside the domain: whose they are. In: a name in lower case, and the blocks of addresses whose
//! reverse names are ours. Out: who answers it, and what this program makes up itself. PURE, like
//! `respond`, which asks only where a name is not in the domain: those pay nothing for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::answer::Answer;
use crate::dns::message::Query;
use crate::dns::name::{is_at_or_below, labels};
use crate::dns::subnet::Subnet;
use crate::dns::{Rcode, rtype};
use crate::responses::zone::Zone;

/// Whose a name outside the domain is.
#[derive(Debug, PartialEq, Eq)]
pub enum Place<'a> {
    Special(Special),
    /// Below in-addr.arpa or ip6.arpa. What it is of the zone that has it in full; none: it is ours
    /// only where it has records.
    Reverse(Option<Owned<'a>>),
    Outside,
}

/// Zones that every name server answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// This very host (RFC 6761, 6.3).
    Localhost,
    /// No name exists in it (RFC 6761, 6.4; RFC 7686, 2). What is asked there is nobody else's business.
    Nowhere { apex: &'static [u8] },
}

/// A reverse name of a zone that is ours in full.
#[derive(Debug, PartialEq, Eq)]
pub struct Owned<'a> {
    /// The name's end that owns the SOA.
    pub apex: &'a [u8],
    /// It stands for a block of addresses, not for one or none: there are names below it.
    pub is_inner: bool,
}

const LOCALHOST: &[u8] = b"\x09localhost\0";
const INVALID: &[u8] = b"\x07invalid\0";
const ONION: &[u8] = b"\x05onion\0";
const ARPA: &[u8] = b"\x04arpa\0";
const IN_ADDR_ARPA: &[u8] = b"\x07in-addr\x04arpa\0";
const IP6_ARPA: &[u8] = b"\x03ip6\x04arpa\0";

/// Type to data of records with a TTL of 10,800 s, as unbound makes them up for the same names.
const LOCALHOST_A: &[u8] = b"\0\x01\0\x01\0\0\x2a\x30\0\x04\x7f\0\0\x01";
const LOCALHOST_AAAA: &[u8] = b"\0\x1c\0\x01\0\0\x2a\x30\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
/// `localhost. nobody.invalid. 1 3600 1200 604800 10800`.
const SPECIAL_SOA: &[u8] = b"\0\x06\0\x01\0\0\x2a\x30\0\x2f\
    \x09localhost\0\x06nobody\x07invalid\0\
    \0\0\0\x01\0\0\x0e\x10\0\0\x04\xb0\0\x09\x3a\x80\0\0\x2a\x30";

/// Whose a name outside the domain is.
// Every name outside goes this way: it is worth no call.
#[inline(always)]
pub fn place<'a>(name: &'a [u8], reverse_zones: &[Subnet]) -> Place<'a> {
    if name.ends_with(ARPA) {
        return match Reverse::of(name) {
            Some(reverse) => Place::Reverse(reverse.owned(name, reverse_zones)),
            None => Place::Outside,
        };
    }
    if is_at_or_below(name, LOCALHOST) {
        return Place::Special(Special::Localhost);
    }
    let mut nowhere = [INVALID, ONION].into_iter();
    match nowhere.find(|apex| is_at_or_below(name, apex)) {
        Some(apex) => Place::Special(Special::Nowhere { apex }),
        None => Place::Outside,
    }
}

impl Special {
    pub fn fill(self, query: &Query, answer: &mut Answer<'_>) {
        let apex = match self {
            Self::Localhost => LOCALHOST,
            Self::Nowhere { apex } => {
                answer.rcode(Rcode::NxDomain);
                answer.negative(SPECIAL_SOA, apex, query);
                return;
            }
        };
        let any = query.qtype == rtype::ANY;
        if any || query.qtype == rtype::A {
            answer.own_record(LOCALHOST_A);
        }
        if any || query.qtype == rtype::AAAA {
            answer.own_record(LOCALHOST_AAAA);
        }
        if !any && query.qtype != rtype::A && query.qtype != rtype::AAAA {
            answer.negative(SPECIAL_SOA, apex, query);
        }
    }
}

impl Owned<'_> {
    /// No address of ours has the name.
    pub fn deny(&self, zone: &Zone, query: &Query, answer: &mut Answer<'_>) {
        if !self.is_inner {
            answer.rcode(Rcode::NxDomain);
        }
        answer.negative(&zone.negative_soa, self.apex, query);
    }
}

/// What a name at or below in-addr.arpa or ip6.arpa stands for.
struct Reverse {
    /// The addresses that begin with the labels from the root on, as far as those are such of an address.
    block: Subnet,
    /// Labels below the two of the apex.
    label_count: usize,
    /// Those of them, from the root on, that are part of an address.
    known_count: usize,
    family: Family,
}

/// How an address is spelled in labels (RFC 1035, 3.5; RFC 3596, 2.5).
struct Family {
    is_ipv4: bool,
    label_bits: usize,
    label_count: usize,
}

impl Reverse {
    fn of(name: &[u8]) -> Option<Self> {
        let family = if is_at_or_below(name, IN_ADDR_ARPA) {
            Family {
                is_ipv4: true,
                label_bits: 8,
                label_count: 4,
            }
        } else if is_at_or_below(name, IP6_ARPA) {
            Family {
                is_ipv4: false,
                label_bits: 4,
                label_count: 32,
            }
        } else {
            return None;
        };
        let label_count = labels(name).count().saturating_sub(2);
        let mut known_count = label_count.min(family.label_count);
        let mut octets = [0_u8; 16];
        // The address stands the wrong way round: its last part comes first.
        for (place, label) in (0..label_count).rev().zip(labels(name)) {
            let octet = octets.get_mut(place * family.label_bits / 8);
            match (octet, family.value(label)) {
                _ if place >= family.label_count => {}
                (Some(octet), Some(value)) if family.is_ipv4 || place % 2 == 1 => *octet |= value,
                (Some(octet), Some(value)) => *octet |= value << 4,
                _ => known_count = place,
            }
        }
        let [a, b, c, d, ..] = octets;
        let address = match family.is_ipv4 {
            true => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            false => IpAddr::V6(Ipv6Addr::from(octets)),
        };
        Some(Self {
            block: Subnet::new(address, (known_count * family.label_bits) as u8),
            label_count,
            known_count,
            family,
        })
    }

    /// What it is of the zone that has it in full, if one has. A zone begins at the end of a label, so
    /// that a block with a longer prefix is several of them.
    fn owned<'a>(&self, name: &'a [u8], zones: &[Subnet]) -> Option<Owned<'a>> {
        let zone = zones.iter().find(|zone| zone.holds_block(&self.block))?;
        let cut_count = usize::from(zone.prefix_bits()).div_ceil(self.family.label_bits);
        // The name of an address is in a zone, never one itself: else it could not be NXDOMAIN.
        let cut_count = cut_count.min(self.family.label_count - 1);
        let below = labels(name).take(self.label_count.saturating_sub(cut_count));
        let below_bytes: usize = below.map(|label| 1 + label.len()).sum();
        Some(Owned {
            apex: name.get(below_bytes..)?,
            is_inner: self.known_count == self.label_count
                && self.known_count < self.family.label_count,
        })
    }
}

impl Family {
    /// The part of an address that a label stands for, in the one spelling that it has.
    fn value(&self, label: &[u8]) -> Option<u8> {
        let text = std::str::from_utf8(label).ok()?;
        let is_digit = |octet: &u8| match self.is_ipv4 {
            true => octet.is_ascii_digit(),
            false => octet.is_ascii_hexdigit(),
        };
        if !label.iter().all(is_digit) {
            return None;
        }
        match self.is_ipv4 {
            true if label.len() > 1 && label.starts_with(b"0") => None,
            true => text.parse().ok(),
            false if label.len() != 1 => None,
            false => u8::from_str_radix(text, 16).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::{text_from_wire, wire_from_text};

    fn wire(name: &str) -> Vec<u8> {
        wire_from_text(name).expect(name)
    }

    #[test]
    fn special_names_are_those_at_and_below_their_zones() {
        let nowhere = |apex| Place::Special(Special::Nowhere { apex });
        for (name, expected) in [
            ("localhost", Place::Special(Special::Localhost)),
            ("a.b.localhost", Place::Special(Special::Localhost)),
            ("invalid", nowhere(INVALID)),
            ("a.invalid", nowhere(INVALID)),
            ("onion", nowhere(ONION)),
            ("a.b.onion", nowhere(ONION)),
            ("xlocalhost", Place::Outside),
            ("localhost.example", Place::Outside),
            ("xonion", Place::Outside),
            ("xarpa", Place::Outside),
            ("home.arpa", Place::Outside),
            (".", Place::Outside),
        ] {
            assert_eq!(place(&wire(name), &[]), expected, "{name}");
        }
    }

    /// The apex of the zone that has a reverse name in full, and whether there are names below it.
    fn owned(name: &str, zones: &[&str]) -> Option<(String, bool)> {
        let blocks = zones.iter().map(|zone| Subnet::parse(zone).expect(zone));
        let wire = wire(name);
        match place(&wire, &blocks.collect::<Vec<_>>()) {
            Place::Reverse(owned) => {
                owned.map(|owned| (text_from_wire(owned.apex), owned.is_inner))
            }
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn reverse_zones_have_their_names_and_no_other() {
        let zones = &[
            "10.0.0.0/8",
            "192.0.2.64/26",
            "198.51.0.0/20",
            "203.0.113.7/32",
        ];
        for (name, expected) in [
            ("4.3.2.10", Some(("10", false))),
            ("3.2.10", Some(("10", true))),
            ("10", Some(("10", true))),
            // Below an address, and no address at all.
            ("x.4.3.2.10", Some(("10", false))),
            ("1.4.3.2.10", Some(("10", false))),
            ("x.10", Some(("10", false))),
            ("4.x.2.10", Some(("10", false))),
            ("4.03.2.10", Some(("10", false))),
            ("4.256.2.10", Some(("10", false))),
            ("4.3.2.11", None),
            ("4.3.2.010", None),
            ("11", None),
            // The block ends within a label: the names of its addresses, and nothing above.
            ("64.2.0.192", Some(("2.0.192", false))),
            ("128.2.0.192", None),
            ("2.0.192", None),
            ("64/26.2.0.192", None),
            ("1.15.51.198", Some(("15.51.198", false))),
            ("15.51.198", Some(("15.51.198", true))),
            ("16.51.198", None),
            ("51.198", None),
            ("7.113.0.203", Some(("113.0.203", false))),
            ("8.113.0.203", None),
        ] {
            let full = |part: &str| format!("{part}.in-addr.arpa");
            let expected = expected.map(|(apex, inner)| (full(apex) + ".", inner));
            assert_eq!(owned(&full(name), zones), expected, "{name}");
        }
        assert_eq!(owned("in-addr.arpa", zones), None);
        let all = owned("in-addr.arpa", &["0.0.0.0/0"]);
        assert_eq!(all, Some(("in-addr.arpa.".to_owned(), true)));
    }

    #[test]
    fn reverse_zones_of_ipv6_begin_at_any_nibble() {
        let zones = &["2001:db8::/33", "10.0.0.0/8"];
        let prefix = "8.b.d.0.1.0.0.2.ip6.arpa";
        let whole = format!("{}0.{prefix}", "1.".repeat(23));
        let apex = format!("0.{prefix}.");
        assert_eq!(owned(&whole, zones), Some((apex.clone(), false)));
        assert_eq!(
            owned(&format!("7.{prefix}"), zones),
            Some((format!("7.{prefix}."), true))
        );
        assert_eq!(
            owned(&format!("f.0.{prefix}"), zones),
            Some((apex.clone(), true))
        );
        assert_eq!(
            owned(&format!("g.0.{prefix}"), zones),
            Some((apex.clone(), false))
        );
        assert_eq!(owned(&format!("10.0.{prefix}"), zones), Some((apex, false)));
        assert_eq!(owned(&format!("8.{prefix}"), zones), None);
        assert_eq!(owned(prefix, zones), None);
        assert_eq!(owned("ip6.arpa", zones), None);
    }
}
