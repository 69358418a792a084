//! Static records: a file in zone-file syntax (RFC 1035, 5) in, checked records out. A file of which
//! any line is wrong gives an error that names it, and no records. Pure: the text is an argument.
//!
//! A parser of our own, because an operator wants to know in which line a record stands, also where
//! nothing is wrong with it (`explain`): the libraries that read zone files tell it of faults alone.

mod read;
mod rules;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::dns::rtype;

pub use read::parse;

/// The records of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticRecords {
    /// The file as the configuration names it.
    pub file: Box<str>,
    /// In the file's order.
    pub records: Box<[StaticRecord]>,
    /// Differs where what is answered may differ.
    pub fingerprint: u32,
}

/// One record of the file; names in wire format and lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRecord {
    pub owner: Box<[u8]>,
    /// All records of one name and type have the same.
    pub ttl_seconds: u32,
    pub data: Data,
    /// Where it begins; the first is 1.
    pub line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(Box<[u8]>),
    Ptr(Box<[u8]>),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: Box<[u8]>,
    },
    /// Strings, each with its length before it (RFC 1035, 3.3.14).
    Txt(Box<[u8]>),
}

impl Data {
    pub fn rtype(&self) -> u16 {
        match self {
            Self::A(_) => rtype::A,
            Self::Aaaa(_) => rtype::AAAA,
            Self::Cname(_) => rtype::CNAME,
            Self::Ptr(_) => rtype::PTR,
            Self::Srv { .. } => rtype::SRV,
            Self::Txt(_) => rtype::TXT,
        }
    }
}

impl StaticRecord {
    /// Whether its owner begins with the label `*` (RFC 4592, 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        is_wildcard(&self.owner)
    }
}

fn is_wildcard(owner: &[u8]) -> bool {
    owner.starts_with(b"\x01*")
}

/// The configuration's part in what a file means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// Names that do not end in a dot are below it, until `$ORIGIN` says otherwise.
    pub domain: String,
    /// `SOAMname`: its addresses are the listeners'.
    pub soa_mname: String,
    /// TTL where neither `$TTL` nor the record has one.
    pub ttl_seconds: u32,
}

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: u32,
    /// The word that is wrong.
    pub culprit: String,
    pub problem: String,
    pub cure: String,
}

impl Fault {
    fn new(
        line: u32,
        culprit: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            line,
            culprit: culprit.into(),
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}

/// Line, culprit and problem; the cure is for the caller to add.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            culprit,
            problem,
            ..
        } = self;
        write!(f, "line {line}: {culprit}: {problem}")
    }
}
