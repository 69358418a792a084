//! By what queries and answers are counted: type, RCODE, route, and why there was no answer. In: numbers
//! of the wire. Out: places of counters, and their names in metrics. A look-up costs no branch that a
//! stranger chooses.

use crate::dns::rtype;

/// What a query asks for. What has no name here is `Other`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum QueryType {
    /// Its question was not read: another opcode, a fault, an unknown version of EDNS, no query at all.
    #[default]
    Unread,
    A,
    Aaaa,
    Srv,
    Ptr,
    Soa,
    Ns,
    Any,
    Txt,
    Cname,
    Mx,
    Ds,
    Svcb,
    Https,
    Other,
}

/// Types by number. Above 255 there is none that is asked for.
const TYPES: [QueryType; 256] = {
    let mut types = [QueryType::Other; 256];
    types[rtype::A as usize] = QueryType::A;
    types[rtype::AAAA as usize] = QueryType::Aaaa;
    types[rtype::SRV as usize] = QueryType::Srv;
    types[rtype::PTR as usize] = QueryType::Ptr;
    types[rtype::SOA as usize] = QueryType::Soa;
    types[rtype::NS as usize] = QueryType::Ns;
    types[rtype::ANY as usize] = QueryType::Any;
    types[rtype::TXT as usize] = QueryType::Txt;
    types[rtype::CNAME as usize] = QueryType::Cname;
    types[rtype::MX as usize] = QueryType::Mx;
    types[rtype::DS as usize] = QueryType::Ds;
    types[rtype::SVCB as usize] = QueryType::Svcb;
    types[rtype::HTTPS as usize] = QueryType::Https;
    types
};

impl QueryType {
    pub const ALL: [Self; 15] = [
        Self::Unread,
        Self::A,
        Self::Aaaa,
        Self::Srv,
        Self::Ptr,
        Self::Soa,
        Self::Ns,
        Self::Any,
        Self::Txt,
        Self::Cname,
        Self::Mx,
        Self::Ds,
        Self::Svcb,
        Self::Https,
        Self::Other,
    ];

    #[inline]
    pub fn of(qtype: u16) -> Self {
        TYPES
            .get(usize::from(qtype))
            .copied()
            .unwrap_or(Self::Other)
    }

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
            Self::Ptr => "PTR",
            Self::Soa => "SOA",
            Self::Ns => "NS",
            Self::Any => "ANY",
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ds => "DS",
            Self::Svcb => "SVCB",
            Self::Https => "HTTPS",
            Self::Other => "other",
        }
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Route {
    /// The table: names of the domain, reverse names that are ours, static records; also that there is no
    /// such name.
    #[default]
    Table,
    /// localhost, invalid and onion.
    Special,
    /// Class CHAOS.
    Chaos,
    /// SERVFAIL, because nothing is known of the cluster yet.
    NotReady,
    /// REFUSED by ourselves: of no concern to us, or to this client.
    Refused,
    /// FORMERR, NOTIMP or BADVERS.
    Fault,
    /// An answer of another resolver that was remembered.
    Cache,
    /// One that had expired, because no resolver answers.
    Stale,
    /// What another resolver replied to a query that waited for it.
    Forwarded,
    /// SERVFAIL, because no resolver answered in time or too many queries were under way.
    Failed,
    /// In place of an answer that its client has had too often: TC, or BADCOOKIE.
    Limited,
}

impl Route {
    pub const ALL: [Self; 11] = [
        Self::Table,
        Self::Special,
        Self::Chaos,
        Self::NotReady,
        Self::Refused,
        Self::Fault,
        Self::Cache,
        Self::Stale,
        Self::Forwarded,
        Self::Failed,
        Self::Limited,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Special => "special",
            Self::Chaos => "chaos",
            Self::NotReady => "not_ready",
            Self::Refused => "refused",
            Self::Fault => "fault",
            Self::Cache => "cache",
            Self::Stale => "stale",
            Self::Forwarded => "forwarded",
            Self::Failed => "failed",
            Self::Limited => "limited",
        }
    }
}

/// What a message was, as far as it is counted or limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    pub query_type: QueryType,
    pub route: Route,
    /// It has no entry of its own: records in its answer are a wildcard's, and any name there has them.
    pub is_covered: bool,
}

impl Kind {
    /// Of a message that is answered with its fault.
    pub const FAULT: Self = Self {
        query_type: QueryType::Unread,
        route: Route::Fault,
        is_covered: false,
    };
}

/// RCODEs that are told apart: those of the header, BADVERS and BADCOOKIE.
pub const RCODES: usize = 18;
/// The place of BADVERS, which is its number.
pub const BADVERS: usize = 16;
/// The place of BADCOOKIE, whose number is 23.
pub const BADCOOKIE: usize = 17;

/// The name of an RCODE in metrics (RFC 6895, 2.3); those without one are numbers.
pub fn rcode_label(rcode: usize) -> &'static str {
    const LABELS: [&str; RCODES] = [
        "NOERROR",
        "FORMERR",
        "SERVFAIL",
        "NXDOMAIN",
        "NOTIMP",
        "REFUSED",
        "YXDOMAIN",
        "YXRRSET",
        "NXRRSET",
        "NOTAUTH",
        "NOTZONE",
        "11",
        "12",
        "13",
        "14",
        "15",
        "BADVERS",
        "BADCOOKIE",
    ];
    LABELS.get(rcode).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbered_as_listed_and_named_once() {
        for (place, it) in QueryType::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, place);
        }
        for (place, it) in Route::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, place);
        }
        let mut labels: Vec<_> = QueryType::ALL.iter().map(|it| it.label()).collect();
        labels.extend(Route::ALL.iter().map(|it| it.label()));
        labels.extend((0..RCODES).map(rcode_label));
        let count = labels.len();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), count);
    }

    #[test]
    fn types_without_a_name_are_others() {
        assert_eq!(QueryType::of(rtype::SRV), QueryType::Srv);
        assert_eq!(QueryType::of(65), QueryType::Https);
        assert_eq!(QueryType::of(0), QueryType::Other);
        assert_eq!(QueryType::of(257), QueryType::Other);
        assert_eq!(QueryType::of(u16::MAX), QueryType::Other);
    }
}
