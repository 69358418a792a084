//! Wire primitives of DNS, a leaf: numbers, names, the question and EDNS. In: bytes of strangers.
//! Out: values or `None`; nothing here panics, allocates without bound or follows a pointer.

// Packets of strangers are read here: nothing that could panic.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod cookie;
pub mod frames;
pub mod message;
pub mod name;
pub mod subnet;

/// Resource record types (RFC 1035, 3.2.2; RFC 2782; RFC 3596; RFC 4034; RFC 6891; RFC 9460).
pub mod rtype {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// How a query came. UDP answers have a bound that the client states, TCP answers 65,535 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Classes (RFC 1035, 3.2.4).
pub mod class {
    pub const IN: u16 = 1;
    pub const CH: u16 = 3;
}

/// Response codes (RFC 1035, 4.1.1; RFC 6891, 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    /// Needs EDNS: the upper bits travel in the OPT record.
    BadVers = 16,
    /// So does this one (RFC 7873, 8).
    BadCookie = 23,
}
