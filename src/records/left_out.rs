//! What got no record: a count for each reason. In: one call for each name that was not entered.

use std::fmt;

use crate::limits::{FRAMEWORK_LABELS_MAX, RRSET_RECORDS_MAX};

/// Why a name, or all names of a task or framework, were not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    LabelTooLong,
    NameTooLong,
    EmptyLabel,
    NotAskable,
    NothingLeft,
    Reserved,
    AgentUnknown,
    FrameworkUnknown,
    BesideCname,
    AddressPassedOver,
    OfAnother,
    TooManyLabels,
    TooManyRecords,
}

impl Reason {
    pub const ALL: [Self; 13] = [
        Self::LabelTooLong,
        Self::NameTooLong,
        Self::EmptyLabel,
        Self::NotAskable,
        Self::NothingLeft,
        Self::Reserved,
        Self::AgentUnknown,
        Self::FrameworkUnknown,
        Self::BesideCname,
        Self::AddressPassedOver,
        Self::OfAnother,
        Self::TooManyLabels,
        Self::TooManyRecords,
    ];

    /// The word for metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::LabelTooLong => "label_too_long",
            Self::NameTooLong => "name_too_long",
            Self::EmptyLabel => "empty_label",
            Self::NotAskable => "not_askable",
            Self::NothingLeft => "nothing_left",
            Self::Reserved => "reserved",
            Self::AgentUnknown => "agent_unknown",
            Self::FrameworkUnknown => "framework_unknown",
            Self::BesideCname => "beside_cname",
            Self::AddressPassedOver => "address_passed_over",
            Self::OfAnother => "of_another",
            Self::TooManyLabels => "too_many_labels",
            Self::TooManyRecords => "too_many_records",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LabelTooLong => "a label of it has over 63 octets",
            Self::NameTooLong => "it has over 255 octets",
            Self::EmptyLabel => "a label of it is empty",
            Self::NotAskable => "it has characters other than letters, digits, '-' and '_'",
            Self::NothingLeft => "nothing of the name is left in a host name",
            Self::Reserved => "the name, or one above it, is reserved",
            Self::AgentUnknown => "its agent is not registered",
            Self::FrameworkUnknown => "its framework is not in the state",
            Self::BesideCname => "it is a static CNAME, and the cluster has records of its name",
            Self::AddressPassedOver => {
                "SkipNetInfoForBridge, IpAllow and IpDeny pass over each of its addresses, or no host has it"
            }
            Self::OfAnother => "the name belongs to a framework whose own name has fewer labels",
            Self::TooManyRecords => {
                return write!(f, "it has over {RRSET_RECORDS_MAX} records");
            }
            Self::TooManyLabels => {
                return write!(
                    f,
                    "the framework's name has over {FRAMEWORK_LABELS_MAX} labels"
                );
            }
        })
    }
}

/// How many names were not entered, by reason. A task without agent or framework counts one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    counts: [u64; Reason::ALL.len()],
}

impl LeftOut {
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize]
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every reason with its count, zero included.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL
            .iter()
            .map(|&reason| (reason, self.count(reason)))
    }

    /// The same with so many more.
    pub(super) fn with(mut self, reason: Reason, count: u64) -> Self {
        self.counts[reason as usize] += count;
        self
    }

    pub(super) fn add(&mut self, reason: Reason) {
        self.counts[reason as usize] += 1;
    }

    pub(super) fn remove(&mut self, reason: Reason) {
        let count = &mut self.counts[reason as usize];
        debug_assert!(*count > 0, "a name is left out that was never counted");
        *count = count.saturating_sub(1);
    }
}
