//! Makes queries of a fuzzer's octets. In: choices. Out: a message that is nearly right, or wrong in one
//! place; or the octets as they are. So what lies behind the parser is met at every turn.

use super::octets::Octets;
use super::wire::{A, AAAA, ANY, AXFR, CNAME, IXFR, NS, OPT, PTR, SOA, SRV, TXT};

const TYPES: &[u16] = &[
    A, AAAA, SRV, ANY, CNAME, TXT, PTR, SOA, NS, OPT, AXFR, IXFR, 15, 43, 250, 0,
];
const RD: u16 = 0x0100;
const FLAGS: &[u16] = &[RD, 0, RD | 0x10, RD | 0x20, RD | 0x30, 0x10, RD | 0x40];
const CLASSES: &[u16] = &[1, 1, 1, 1, 1, 1, 3, 255, 254, 4];
const SIZES: &[u16] = &[0, 511, 512, 513, 1231, 1232, 1233, 4096, 65_535];

/// A message about one of the names, as all octets that are left choose.
pub fn message(octets: &mut Octets<'_>, names: &[Vec<u8>]) -> Vec<u8> {
    let kind = octets.u8();
    if kind & 7 == 7 {
        return std::mem::take(&mut octets.0).to_vec();
    }
    let mut flags = octets.choose(FLAGS);
    if kind & 8 != 0 {
        flags ^= octets.u16();
    }
    let mut counts = [1_u16, 0, 0, 0];
    let name = name(octets, names);
    let qtype = match octets.u8() {
        255 => octets.u16(),
        number => TYPES[usize::from(number) % TYPES.len()],
    };
    let class = octets.choose(CLASSES);
    let mut behind = Vec::new();
    if kind & 16 != 0 {
        counts[3] += 1;
        opt(octets, &mut behind);
    }
    if kind & 32 != 0 {
        let section = usize::from(octets.u8() % 4);
        counts[section] = octets.u8().into();
    }
    if kind & 64 != 0 {
        let section = 1 + usize::from(octets.u8() % 3);
        counts[section] += 1;
        let record = octets.piece();
        behind.splice(0..0, record.iter().copied());
    }
    if kind & 128 != 0 {
        behind.extend(octets.piece());
    }
    let mut message = vec![0xab, 0xcd];
    message.extend(flags.to_be_bytes());
    message.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    message.extend(name);
    message.extend(qtype.to_be_bytes());
    message.extend(class.to_be_bytes());
    message.extend(behind);
    message
}

/// One of the names, in some spelling; or something near it.
fn name(octets: &mut Octets<'_>, names: &[Vec<u8>]) -> Vec<u8> {
    let mut name = names[usize::from(octets.u16()) % names.len()].clone();
    let change = octets.u8();
    if change & 1 != 0 {
        // The length of a label is below 64 and so no letter.
        let spelling = octets.u8();
        let upper = |at: usize| spelling >> (at % 8) & 1 == 1;
        let letters = name.iter_mut().enumerate().filter(|(at, _)| upper(*at));
        letters.for_each(|(_, octet)| octet.make_ascii_uppercase());
    }
    if change & 2 != 0 {
        let first = 1 + usize::from(name[0]);
        if first < name.len() {
            name.drain(..first);
        }
    }
    if change & 4 != 0 {
        let label = octets.piece();
        name.splice(0..0, label.iter().copied());
        name.insert(0, label.len() as u8);
    }
    if change & 8 != 0 {
        // A wildcard between two labels, or at the front.
        let first = 1 + usize::from(name[0]);
        let at = if change & 16 != 0 {
            0
        } else {
            first.min(name.len() - 1)
        };
        name.splice(at..at, *b"\x01*");
    }
    if change & 32 != 0 {
        let at = usize::from(octets.u8()) % name.len();
        name[at] = octets.u8();
    }
    name
}

fn opt(octets: &mut Octets<'_>, out: &mut Vec<u8>) {
    let size = octets.choose(SIZES);
    let kind = octets.u8();
    let version = if kind & 1 != 0 { octets.u8() } else { 0 };
    let dnssec = if kind & 2 != 0 { 0x80 } else { 0 };
    let mut options = Vec::new();
    if kind & 4 != 0 {
        subnet(octets, &mut options);
    }
    if kind & 8 != 0 {
        let (code, data) = (octets.u8(), octets.piece());
        options.extend([0, code, 0, data.len() as u8]);
        options.extend(data);
    }
    if kind & 16 != 0 {
        options.extend(octets.piece());
    }
    if kind & 32 != 0 {
        cookie(octets, &mut options);
    }
    out.extend([0, 0, OPT as u8]);
    out.extend(size.to_be_bytes());
    out.extend([0, version, dnssec, 0]);
    out.extend((options.len() as u16).to_be_bytes());
    out.extend(options);
}

/// A client subnet option (RFC 7871), which is right where the octets are zeros.
fn subnet(octets: &mut Octets<'_>, out: &mut Vec<u8>) {
    let (is_ipv6, bits) = (octets.flag(), octets.u8());
    let bits = bits % if is_ipv6 { 129 } else { 33 };
    let address = octets.piece();
    let bytes = usize::from(bits.div_ceil(8));
    let mut data = vec![0, 1 + u8::from(is_ipv6), bits, 0];
    data.extend((0..bytes).map(|at| address.get(at).copied().unwrap_or_default()));
    out.extend([0, 8, 0, data.len() as u8]);
    out.extend(data);
}

/// A cookie option (RFC 7873) of a length that it may have, or nearly.
fn cookie(octets: &mut Octets<'_>, out: &mut Vec<u8>) {
    let bytes = [8, 24, 16, 40, 7, 9, 15, 41, 0][usize::from(octets.u8()) % 9];
    let data = octets.take(bytes);
    out.extend([0, 10, 0, bytes as u8]);
    out.extend((0..bytes).map(|at| data.get(at).copied().unwrap_or_default()));
}
