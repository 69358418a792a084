//! Naming rules: a `World` in, a `RecordSet` (owner names and their data) out. PURE: no socket, no
//! file, no clock, no randomness. The same World always gives the same records.

mod build;
mod changes;
mod claims;
pub mod collisions;
mod directory;
pub mod enumerate;
pub mod explain;
mod explanation;
pub mod labels;
pub mod left_out;
mod likeness;
#[cfg(test)]
mod poison_rules;
#[cfg(test)]
mod property;
pub mod rank;
#[cfg(test)]
mod rank_rules;
#[cfg(test)]
mod rules;
pub mod set;
#[cfg(test)]
mod source_rules;
mod sources;
#[cfg(test)]
mod static_rules;
mod statics;
mod suffix;
mod task_names;
mod told_statics;
mod tree;

use std::net::IpAddr;
use std::sync::Arc;

use crate::dns::subnet::Subnet;
use crate::mesos::cluster::{AddressSource, Cluster, Endpoint};
use crate::mesos::hosts::Hosts;
use crate::zonefile::StaticRecords;

pub use left_out::{LeftOut, Reason};
pub use set::{NameId, Record, RecordCounts, RecordSet};
pub use statics::Marks;

/// All that records are made from.
#[derive(Clone, Debug)]
pub struct World {
    pub cluster: Cluster,
    pub hosts: Hosts,
    pub naming: Arc<Naming>,
}

/// The part of the configuration, and of this machine, that names depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Naming {
    /// Lower case, without a final dot: `mesos`.
    pub domain: Box<str>,
    /// `EnforceRFC952`: labels of at most 24 octets that do not begin with a digit.
    pub rfc952: bool,
    /// `IPSources`, the most wanted first.
    pub ip_sources: Box<[AddressSource]>,
    /// `Masters`, in the order of the configuration; they become master0, master1, ...
    pub masters: Box<[Endpoint]>,
    /// `SOAMname` with its final dot, in the configuration's spelling.
    pub soa_mname: Box<str>,
    /// What `SOAMname` resolves to: the listeners' addresses, and where one is 0.0.0.0 or :: every
    /// address of this machine that is not a loopback address.
    pub listener_addresses: Box<[IpAddr]>,
    /// `StaticRecords`: the records of the file, beside those of the cluster.
    pub statics: Arc<StaticRecords>,
    pub rules: Rules,
    /// The addresses of this machine, where the rules ask for them; else none.
    pub own_addresses: Box<[IpAddr]>,
}

/// What is done with addresses that mesos-dns takes as they come. By default nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// `Unhealthy`.
    pub unhealthy: Unhealthy,
    /// `PreferLocal`: tasks on this host come first, then those of its zone, then of its region.
    pub prefer_local: bool,
    /// `SkipNetInfoForBridge`: what `netinfo` has for a task in a Docker bridge is nobody else's.
    pub skip_netinfo_for_bridge: bool,
    /// `IpAllow`: tasks' addresses outside of these are passed over; empty: none is.
    pub ip_allow: Box<[Subnet]>,
    /// `IpDeny`: and so are those in one of these.
    pub ip_deny: Box<[Subnet]>,
}

/// What becomes of the records of tasks whose latest running status says `healthy: false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unhealthy {
    /// They are answered like all others.
    #[default]
    Serve,
    /// They come last.
    Last,
    /// They are left out, unless all of an RRset are.
    Omit,
}
