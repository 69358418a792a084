//! What every answer of the domain may need beside its own records: the apex's SOA and NS, encoded.
//! In: the configuration and the serial. Out: octets that `respond` copies behind an owner name.

use std::net::IpAddr;

use super::layout::Target;
use crate::dns::name::{NameError, wire_from_text};
use crate::dns::{class, rtype};

/// The configuration's part in answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answering {
    /// The domain in wire format, lower case.
    pub domain: Box<[u8]>,
    /// TTL of every record.
    pub ttl_seconds: u32,
    /// Weight of every SRV record.
    pub srv_weight: u16,
    /// SOA fields, names in wire format.
    pub soa_mname: Box<[u8]>,
    pub soa_rname: Box<[u8]>,
    pub soa_refresh_seconds: u32,
    pub soa_retry_seconds: u32,
    pub soa_expire_seconds: u32,
    pub soa_minimum_seconds: u32,
}

/// SOA and NS of one serial, encoded.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The domain in wire format, lower case.
    pub domain: Box<[u8]>,
    /// Type to data of the SOA record, for the answer section.
    pub soa: Box<[u8]>,
    /// The same with the TTL of a negative answer: the smaller of the TTL and the SOA's minimum
    /// (RFC 2308, 3 and 5).
    pub negative_soa: Box<[u8]>,
    /// Type to data of the NS record.
    pub ns: Box<[u8]>,
    /// The name server, lower case, and its addresses.
    ns_target: Box<[u8]>,
    ns_a: Box<[u8]>,
    ns_aaaa: Box<[u8]>,
    /// Type, class and TTL of an A, AAAA, SRV and PTR record; weight of SRV.
    pub ttl_seconds: u32,
    pub srv_weight: u16,
}

impl Answering {
    /// Encodes the names; an error names none of them, the caller knows which key it was.
    pub fn wire_domain(domain: &str) -> Result<Box<[u8]>, NameError> {
        let mut wire = wire_from_text(domain)?;
        wire.make_ascii_lowercase();
        Ok(wire.into())
    }
}

impl Zone {
    /// `ns_addresses` are those of SOAMname in the table, none where it lies outside the domain.
    pub fn new(answering: &Answering, serial: u32, ns_addresses: &[IpAddr]) -> Self {
        let numbers = [
            serial,
            answering.soa_refresh_seconds,
            answering.soa_retry_seconds,
            answering.soa_expire_seconds,
            answering.soa_minimum_seconds,
        ];
        let mut soa_data = [&answering.soa_mname[..], &answering.soa_rname].concat();
        numbers
            .iter()
            .for_each(|number| soa_data.extend(number.to_be_bytes()));
        let negative_ttl_seconds = answering.ttl_seconds.min(answering.soa_minimum_seconds);
        let mut ns_target = answering.soa_mname.to_vec();
        ns_target.make_ascii_lowercase();
        let (mut ns_a, mut ns_aaaa) = (Vec::new(), Vec::new());
        for address in ns_addresses {
            match address {
                IpAddr::V4(v4) => ns_a.extend(v4.octets()),
                IpAddr::V6(v6) => ns_aaaa.extend(v6.octets()),
            }
        }
        Self {
            domain: answering.domain.clone(),
            soa: record_behind_owner(rtype::SOA, answering.ttl_seconds, &soa_data),
            negative_soa: record_behind_owner(rtype::SOA, negative_ttl_seconds, &soa_data),
            ns: record_behind_owner(rtype::NS, answering.ttl_seconds, &answering.soa_mname),
            ns_target: ns_target.into(),
            ns_a: ns_a.into(),
            ns_aaaa: ns_aaaa.into(),
            ttl_seconds: answering.ttl_seconds,
            srv_weight: answering.srv_weight,
        }
    }

    /// The name server as a target, for glue.
    pub fn ns_target(&self) -> Target<'_> {
        Target {
            ordinal: 0,
            name: &self.ns_target,
            tail: &[],
            a: self.ns_a.as_chunks().0,
            aaaa: self.ns_aaaa.as_chunks().0,
        }
    }
}

/// Type, class IN, TTL, data length and data of a record (RFC 1035, 4.1.3).
fn record_behind_owner(rtype: u16, ttl_seconds: u32, data: &[u8]) -> Box<[u8]> {
    let mut octets = Vec::with_capacity(10 + data.len());
    octets.extend(rtype.to_be_bytes());
    octets.extend(class::IN.to_be_bytes());
    octets.extend(ttl_seconds.to_be_bytes());
    // Two names of at most 255 octets and five numbers: always below 65,536.
    octets.extend((data.len() as u16).to_be_bytes());
    octets.extend(data);
    octets.into()
}
