//! Which addresses a task has. In: what its sources have, and the configuration's rules. Out: the
//! addresses that no rule passes over, and for `explain` those that one does. A source whose addresses
//! are all passed over must count as one that has none.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::{Naming, Rules};
use crate::dns::subnet::Subnet;
use crate::mesos::cluster::{AddressSource, Task};

/// Why an address is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    NoHost,
    Bridge,
    NotAllowed,
    Denied(Subnet),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("no host has such an address"),
            Self::Bridge => f.write_str("SkipNetInfoForBridge"),
            Self::NotAllowed => f.write_str("not in IpAllow"),
            Self::Denied(block) => write!(f, "IpDeny {block}"),
        }
    }
}

impl Rules {
    /// The rule that passes over an address which this source has for the task.
    fn against(&self, task: &Task, source: AddressSource, address: IpAddr) -> Option<Rule> {
        if is_no_host(address) {
            return Some(Rule::NoHost);
        }
        if self.skip_netinfo_for_bridge && task.is_bridge && source == AddressSource::NetInfo {
            return Some(Rule::Bridge);
        }
        if !self.ip_allow.is_empty() && find(&self.ip_allow, address).is_none() {
            return Some(Rule::NotAllowed);
        }
        find(&self.ip_deny, address).map(|block| Rule::Denied(*block))
    }
}

/// Whether an address stands for no host, or for many: 0.0.0.0 and ::, which clients take for
/// themselves, multicast (RFC 1112, RFC 4291, 2.7) and the limited broadcast (RFC 919). Loopback and
/// link-local ones are passed over by IpDeny alone: clusters of one host have them.
pub(super) fn is_no_host(address: IpAddr) -> bool {
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    address.is_unspecified() || address.is_multicast() || is_broadcast
}

fn find(blocks: &[Subnet], address: IpAddr) -> Option<&Subnet> {
    blocks.iter().find(|block| block.holds_address(address))
}

/// The addresses that a source has for a task and that no rule passes over.
pub(super) fn addresses_from<'a>(
    rules: &'a Rules,
    source: AddressSource,
    task: &'a Task,
    agent: &'a [IpAddr],
) -> impl Iterator<Item = IpAddr> + 'a {
    let all = all_addresses_from(source, task, agent);
    all.filter(move |&address| rules.against(task, source, address).is_none())
}

/// The addresses that sources have for a task, each with the rule that passes over it, if any.
pub(super) fn judged<'a>(
    rules: &'a Rules,
    sources: &'a [AddressSource],
    task: &'a Task,
    agent: &'a [IpAddr],
) -> impl Iterator<Item = (AddressSource, IpAddr, Option<Rule>)> + 'a {
    sources.iter().flat_map(move |&source| {
        let all = all_addresses_from(source, task, agent);
        all.map(move |address| (source, address, rules.against(task, source, address)))
    })
}

fn all_addresses_from<'a>(
    source: AddressSource,
    task: &'a Task,
    agent: &'a [IpAddr],
) -> impl Iterator<Item = IpAddr> + 'a {
    let own = task
        .addresses
        .iter()
        .filter(move |&&(from, _)| from == source)
        .map(|&(_, address)| address.to_canonical());
    let agent = if source == AddressSource::Host {
        agent
    } else {
        &[]
    };
    agent.iter().copied().chain(own)
}

/// What `explain` says of where a task's addresses come from.
pub(super) fn told(
    naming: &Naming,
    source: AddressSource,
    task: &Task,
    agent: &[IpAddr],
) -> String {
    let (rules, sources) = (&naming.rules, &naming.ip_sources);
    let place = sources.iter().position(|&other| other == source);
    let (before, _) = sources.split_at(place.unwrap_or_default());
    let judged: Vec<AddressSource> = judged(rules, before, task, agent)
        .map(|(source, ..)| source)
        .collect();
    let empty = before.iter().filter(|it| !judged.contains(it));
    let empty: Vec<AddressSource> = empty.copied().collect();
    let because = match empty.is_empty() {
        true => String::new(),
        false => format!(", because {} had none", words(&empty)),
    };
    let upto = &sources[..before.len() + 1];
    format!(
        "address from {}{because}{}",
        word(source),
        passed_over(rules, upto, task, agent)
    )
}

/// As `IPSources` spells it.
fn word(source: AddressSource) -> &'static str {
    match source {
        AddressSource::NetInfo => "netinfo",
        AddressSource::Mesos => "mesos",
        AddressSource::Docker => "docker",
        AddressSource::Host => "host",
    }
}

pub(super) fn words(sources: &[AddressSource]) -> String {
    let words: Vec<&str> = sources.iter().map(|&source| word(source)).collect();
    words.join(", ")
}

/// What `explain` says of the addresses in these sources that are passed over: nothing where none is.
pub(super) fn passed_over(
    rules: &Rules,
    sources: &[AddressSource],
    task: &Task,
    agent: &[IpAddr],
) -> String {
    let passed = judged(rules, sources, task, agent).filter_map(|(source, address, rule)| {
        let rule = rule?;
        Some(format!("{} {address} ({rule})", word(source)))
    });
    let passed: Vec<String> = passed.collect();
    match passed.is_empty() {
        true => String::new(),
        false => format!("; passed over: {}", passed.join(", ")),
    }
}
