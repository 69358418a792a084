//! What `respond` heeds of the configuration. In: values that were checked, and who asks. Out: what that
//! client may have. PURE; it must never know where a value came from.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::chaos::Chaos;
use super::rates::Limiting;
use super::{Client, Transport};
use crate::dns::cookie::Secret;
use crate::dns::message::Query;
use crate::dns::rtype;
use crate::dns::subnet::{Blocks, Subnet};

/// The configuration's part in answering that no table holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The domain in wire format, lower case: which names are SERVFAIL until there is a table.
    pub domain: Box<[u8]>,
    /// RA in our own answers (`RecurseOn`).
    pub recurse_on: bool,
    /// TC where answers were left out (`SetTruncateBit`).
    pub set_truncate_bit: bool,
    /// Serve PTR records (`ReverseDnsOn`).
    pub reverse_dns_on: bool,
    /// Blocks whose reverse names are ours in full (`ReverseZones`).
    pub reverse_zones: Box<[Subnet]>,
    /// Answer addresses in the client's subnet first (`ResolvSubnetFirst`); none: as they come.
    pub subnet_first: Option<SubnetFirst>,
    /// What class CHAOS is answered with (`ChaosOn`); none: REFUSED.
    pub chaos: Option<Chaos>,
    /// What strangers are answered over UDP (`RateLimit`, `RateLimitSlip`, `RateLimitExempt`).
    pub limiting: Limiting,
    /// What server cookies are made with (`CookieSecret`).
    pub cookie_secret: Secret,
    /// Whose names outside the domain are forwarded (`ExternalOn`, `AllowRecursion`); none: nobody's.
    pub forwarding: Option<Forwarding>,
}

/// Who may ask for names outside the domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Forwarding {
    pub allowed: Blocks,
}

impl Settings {
    /// The subnet whose addresses come first, and whether the client stated it.
    #[inline]
    pub(super) fn nearest(&self, query: &Query, client: Client) -> Option<(Subnet, bool)> {
        let subnet_first = self.subnet_first.as_ref()?;
        if let Some(stated) = query.edns.and_then(|edns| edns.subnet)
            && subnet_first.believed.hold(client.address)
        {
            return Some((stated, true));
        }
        let (ipv4_bits, ipv6_bits) = OWN_SUBNET_BITS;
        let bits = if client.address.is_ipv4() {
            ipv4_bits
        } else {
            ipv6_bits
        };
        Some((Subnet::new(client.address, bits), false))
    }

    /// Whether the client may ask for names outside.
    pub(super) fn may_forward(&self, client: Client) -> bool {
        let forwarding = self.forwarding.as_ref();
        forwarding.is_some_and(|forwarding| forwarding.allowed.hold(client.address))
    }

    /// Whether ANY is answered with one RRset (RFC 8482, 4.1): to strangers over UDP, whom nobody knows to
    /// be who they say.
    #[inline]
    pub(super) fn narrows(&self, query: &Query, client: Client) -> bool {
        query.qtype == rtype::ANY
            && client.transport == Transport::Udp
            && !self.limiting.exempt.hold(client.address)
    }
}

/// How the client's subnet is found.
#[derive(Clone, Debug, PartialEq)]
pub struct SubnetFirst {
    /// Who may state another subnet than its own in the client subnet option (`ClientSubnetFrom`):
    /// forwarders that speak for others (RFC 7871, 11).
    pub believed: Blocks,
}

/// Bits of a client's own address that stand for its subnet, IPv4 and IPv6.
const OWN_SUBNET_BITS: (u8, u8) = (24, 64);

/// Settings that all threads follow: what is stored here counts from each thread's next batch.
pub type SharedSettings = Arc<ArcSwap<Settings>>;
