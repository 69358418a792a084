//! What a hostile network sends: octets without sense, and queries of all kinds that were cut, extended,
//! bent and filled with rubbish. In: a generator of chance, which alone decides. Out: one message.

use fastrand::Rng;

use crate::support::client::{query, with_edns};

/// Makes one message after the other.
pub struct Mutator {
    random: Rng,
    good: Vec<Vec<u8>>,
}

/// Changes a message in place.
type Change = fn(&mut Rng, &mut Vec<u8>);

const CHANGES: &[Change] = &[
    |random, message| flip_bits(random, message),
    |random, message| flip_bits(random, message),
    cut,
    extend,
    repeat_sections,
    point_in_circles,
    point_in_circles,
    bend_labels,
    add_options,
    add_options,
    |random, message| other_flags(random, message),
    |random, message| other_counts(random, message),
    |random, message| other_type(random, message),
    octets_behind_header,
    octets,
];

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            good: good_queries(),
        }
    }

    /// The next message: one in eight as it should be, the others with one to three changes. The first
    /// bit of its ID is never set, by which it is told from an honest query.
    pub fn next(&mut self, message: &mut Vec<u8>) {
        let random = &mut self.random;
        message.clear();
        message.extend(&self.good[random.usize(..self.good.len())]);
        message[..2].copy_from_slice(&random.u16(..).to_be_bytes());
        if random.u8(..8) != 0 {
            for _ in 0..random.u8(1..4) {
                CHANGES[random.usize(..CHANGES.len())](random, message);
            }
        }
        message.truncate(DATAGRAM_BYTES_MAX);
        if let Some(first) = message.first_mut() {
            *first &= 0x7f;
        }
    }
}

/// Names of the domain and outside, every type that means something, with and without EDNS.
fn good_queries() -> Vec<Vec<u8>> {
    let names = [
        "web.marathon.mesos",
        "many.marathon.mesos",
        "_web._tcp.marathon.mesos",
        "leader.mesos",
        "mesos",
        "no-such-name.mesos",
        "1.0.1.10.in-addr.arpa",
        "version.bind",
        "localhost",
        "nx-1.example",
        "a.example",
        "",
    ];
    let types = [
        1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 43, 250, 251, 252, 255, 257,
    ];
    let mut all = Vec::new();
    for name in names {
        for rtype in types {
            let plain = query(name, rtype);
            all.push(with_edns(plain.clone(), 1232, 0, rtype % 2 == 0));
            all.push(plain);
        }
    }
    all
}

fn flip_bits(random: &mut Rng, message: &mut [u8]) {
    for _ in 0..random.u8(1..9) {
        let at = random.usize(..message.len().max(1));
        if let Some(octet) = message.get_mut(at) {
            *octet ^= 1 << random.u8(..8);
        }
    }
}

fn cut(random: &mut Rng, message: &mut Vec<u8>) {
    message.truncate(random.usize(..=message.len()));
}

/// Mostly by a few octets, at times past every limit.
fn extend(random: &mut Rng, message: &mut Vec<u8>) {
    let max = [16, 16, 600, 5_000, DATAGRAM_BYTES_MAX][random.usize(..5)];
    let count = random.usize(..max);
    message.extend(std::iter::repeat_with(|| random.u8(..)).take(count));
}

/// What is behind the header comes again, with and without counts that say so.
fn repeat_sections(random: &mut Rng, message: &mut Vec<u8>) {
    let rest = message.get(12..).unwrap_or_default().to_vec();
    let times = random.u8(1..20);
    for _ in 0..times {
        message.extend(&rest);
    }
    let section = 5 + 2 * random.usize(..4);
    if let Some(count) = message.get_mut(section)
        && random.bool()
    {
        *count = count.wrapping_add(times);
    }
}

/// Compression pointers to themselves, to each other, forward, and in a long chain, in place of the
/// question's name.
fn point_in_circles(random: &mut Rng, message: &mut Vec<u8>) {
    message.truncate(12);
    match random.u8(..4) {
        0 => message.extend([0xc0, 12]),
        1 => message.extend([0xc0, 14, 0xc0, 12]),
        2 => message.extend([0xc0 | random.u8(..64), random.u8(..)]),
        _ => {
            for at in (12..12 + 2 * random.u16(1..200)).step_by(2) {
                message.extend((0xc000 | (at + 2)).to_be_bytes());
            }
        }
    }
    message.extend([0, 1, 0, 1]);
}

/// Label types that are none, lengths that lie, names over 255 octets.
fn bend_labels(random: &mut Rng, message: &mut Vec<u8>) {
    match random.u8(..3) {
        0 => {
            if let Some(length) = message.get_mut(12) {
                *length = random.u8(..);
            }
        }
        1 => {
            message.truncate(12);
            for _ in 0..random.u8(1..200) {
                message.extend([2, b'a', random.u8(..)]);
            }
            message.extend([0, 0, 1, 0, 1]);
        }
        _ => {
            message.truncate(12);
            message.extend([63; 64]);
            message.extend([random.u8(62..66); 70]);
            message.extend([0, 0, 1, 0, 1]);
        }
    }
}

/// An OPT record of options without sense: cookies and client subnets of any length, unknown ones, and
/// lengths that are more or less than what follows.
fn add_options(random: &mut Rng, message: &mut Vec<u8>) {
    let mut options: Vec<u8> = Vec::new();
    for _ in 0..random.u8(..6) {
        let code = [3, 8, 8, 9, 10, 10, 11, 12, 15, random.u16(..)][random.usize(..10)];
        let length = [0, 1, 4, 7, 8, 11, 16, 24, 40, 41, 300][random.usize(..11)];
        let said = match random.u8(..8) {
            0 => random.u16(..),
            _ => length,
        };
        options.extend(code.to_be_bytes());
        options.extend(said.to_be_bytes());
        let begin = options.len();
        options.extend(std::iter::repeat_with(|| random.u8(..)).take(length.into()));
        // The family of a subnet is one of two, mostly.
        if let Some(family) = options.get_mut(begin..begin + 2)
            && random.bool()
        {
            family.copy_from_slice(&[0, random.u8(1..3)]);
        }
    }
    let length = match random.u8(..8) {
        0 => random.usize(..2_000),
        _ => options.len(),
    };
    let owner = if random.u8(..10) == 0 {
        random.u8(..)
    } else {
        0
    };
    message.extend([owner, 0, 41]);
    message.extend(random.u16(..).to_be_bytes());
    let version = if random.u8(..4) == 0 {
        random.u8(..)
    } else {
        0
    };
    message.extend([random.u8(..), version, random.u8(..), random.u8(..)]);
    message.extend((length as u16).to_be_bytes());
    message.extend(options);
    if let Some(count) = message.get_mut(11) {
        *count = count.wrapping_add(1);
    }
}

/// Opcode, flags and RCODE; mostly without QR, for a response is never answered.
fn other_flags(random: &mut Rng, message: &mut [u8]) {
    if let Some(flags) = message.get_mut(2..4) {
        flags.copy_from_slice(&random.u16(..).to_be_bytes());
        if random.u8(..8) != 0 {
            flags[0] &= 0x7f;
        }
    }
}

fn other_counts(random: &mut Rng, message: &mut [u8]) {
    let section = 4 + 2 * random.usize(..4);
    let count = [0, 1, 2, 255, u16::MAX, random.u16(..)][random.usize(..6)];
    if let Some(octets) = message.get_mut(section..section + 2) {
        octets.copy_from_slice(&count.to_be_bytes());
    }
}

/// Type and class, where the question ends the message.
fn other_type(random: &mut Rng, message: &mut [u8]) {
    let begin = message.len().saturating_sub(4).max(12);
    for octet in message.iter_mut().skip(begin) {
        if random.bool() {
            *octet = random.u8(..);
        }
    }
}

fn octets_behind_header(random: &mut Rng, message: &mut Vec<u8>) {
    message.truncate(12);
    let count = random.usize(..300);
    message.extend(std::iter::repeat_with(|| random.u8(..)).take(count));
}

fn octets(random: &mut Rng, message: &mut Vec<u8>) {
    message.clear();
    let count = random.usize(..600);
    message.extend(std::iter::repeat_with(|| random.u8(..)).take(count));
}

/// Over loopback more than any path carries; past what the server reads.
pub const DATAGRAM_BYTES_MAX: usize = 9_000;
