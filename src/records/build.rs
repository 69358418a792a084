//! Which records each source gives: a World in, names and records out to a `Sink`. The same functions
//! add, take back, list and explain, so that these can never disagree.

use std::net::IpAddr;
use std::sync::Arc;

use super::claims::Claim;
use super::directory::{AgentFacts, Directory, Place, listener_labels};
use super::labels;
use super::left_out::Reason;
use super::rank::{Health, Rank};
use super::sources;
use super::suffix::Suffix;
use super::task_names::{Scratch, TaskNames};
use super::{Unhealthy, World};
use crate::mesos::cluster::{AddressSource, Agent, Endpoint, Framework, Task};
use crate::zonefile;

/// Takes what a source gives.
pub(super) trait Sink {
    /// A name that was entered.
    type Name: Copy;

    /// The name of these labels (lower case, dots between, may be empty) before a suffix.
    fn name(&mut self, left: &[u8], suffix: &Suffix) -> Self::Name;

    /// A name that one source has alone, by and large: not worth to be remembered.
    fn instance_name(&mut self, left: &[u8], suffix: &Suffix) -> Self::Name {
        self.name(left, suffix)
    }

    /// The reverse name of an address.
    fn reverse(&mut self, address: IpAddr) -> Self::Name;

    fn add(&mut self, owner: Self::Name, data: Data<Self::Name>, why: Why);

    /// A name that was not entered; of `None` all names of the source.
    fn left_out(&mut self, reason: Reason, name: Option<(&[u8], &Suffix)>);

    /// The names that follow are made from this text.
    fn naming(&mut self, _naming: TaskNaming<'_>) {}

    /// The records that follow have this rank, until it is said anew.
    fn rank(&mut self, _rank: Rank) {}
}

/// Takes static records too.
pub(super) trait StaticSink: Sink {
    /// A name in wire format and lower case, in the domain or not.
    fn absolute(&mut self, wire: &[u8]) -> Self::Name;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Data<N> {
    Address(IpAddr),
    Srv {
        port: u16,
        target: N,
    },
    Ptr {
        target: N,
    },
    Cname {
        target: N,
    },
    /// A TXT record, by its place among the static records.
    Text {
        number: usize,
    },
}

/// What a record was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// An address of the task, from this of the `IPSources`.
    TaskAddress(AddressSource),
    /// The address of the task's agent, for names in `.slave`.
    AgentAddress,
    ResourcePort,
    /// Place in `DiscoveryInfo.ports`.
    DiscoveryPort(usize),
    Scheduler,
    Agent,
    Leader,
    /// Place in `Masters`.
    Master(usize),
    Listener,
    /// Place among the static records.
    Static(usize),
}

/// What the names of a task are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskNaming<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a [u8],
    pub(super) discovery: bool,
    pub(super) mangled: bool,
}

/// A World, prepared for its records to be worked out.
pub(super) struct Emitter<'w> {
    world: &'w World,
    directory: Arc<Directory>,
}

impl<'w> Emitter<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        Self::with(world, Arc::new(Directory::new(world)))
    }

    /// With a directory of this World, or of one that has the same.
    pub(super) fn with(world: &'w World, directory: Arc<Directory>) -> Self {
        Self { world, directory }
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn world(&self) -> &'w World {
        self.world
    }

    /// The addresses of an agent; `None`: it is not registered.
    pub(super) fn agent_addresses(&self, id: &str) -> Option<&[IpAddr]> {
        Some(self.directory.agent(id)?.addresses(self.world))
    }

    /// How near an agent is; `None`: it is not registered.
    pub(super) fn agent_place(&self, id: &str) -> Option<Rank> {
        let agent = self.directory.agent(id)?;
        Some(self.directory.place_of(agent, self.world))
    }

    fn look_up(&self, endpoint: &Endpoint) -> Vec<IpAddr> {
        addresses(self.world, &endpoint.host)
    }

    /// Enters a name, or says why not.
    pub(super) fn place<S: Sink>(
        &self,
        sink: &mut S,
        left: &[u8],
        suffix: &Suffix,
    ) -> Option<S::Name> {
        match suffix.check(left) {
            Ok(()) => Some(sink.name(left, suffix)),
            Err(reason) => {
                sink.left_out(reason, Some((left, suffix)));
                None
            }
        }
    }

    /// `FRAMEWORK` and `_framework._tcp.FRAMEWORK`.
    pub(super) fn framework<S: Sink>(&self, framework: &Framework, sink: &mut S) {
        let addresses = framework_addresses(self.world, framework);
        if addresses.is_empty() {
            return;
        }
        // A framework of the same id but another name may stand for it: ask for the name itself.
        let Some(first) = self.directory.first_suffix(framework) else {
            sink.left_out(Reason::NothingLeft, None);
            return;
        };
        let Some(owner) = self.place(sink, b"", self.at(first, Place::Plain)) else {
            return;
        };
        sink.rank(Rank::PLAIN.claimed(self.at(first, Place::Plain).claim));
        self.scheduler(framework, (first, owner), &addresses, sink);
        sink.rank(Rank::PLAIN);
    }

    fn scheduler<S: Sink>(
        &self,
        framework: &Framework,
        (first, owner): (usize, S::Name),
        addresses: &[IpAddr],
        sink: &mut S,
    ) {
        for &address in addresses {
            sink.add(owner, Data::Address(address), Why::Scheduler);
        }
        let Some(port) = framework.pid.as_ref().and_then(|pid| pid.port) else {
            return;
        };
        if let Some(service) = self.place(sink, b"_framework", self.at(first, Place::Tcp)) {
            let data = Data::Srv {
                port,
                target: owner,
            };
            sink.add(service, data, Why::Scheduler);
        }
    }

    fn at(&self, first_suffix: usize, place: Place) -> &Suffix {
        self.directory.at(first_suffix, place)
    }

    /// `slave` and `_slave._tcp`.
    pub(super) fn agent<S: Sink>(&self, agent: &Agent, sink: &mut S) {
        let Some(pid) = &agent.pid else { return };
        let addresses = self.look_up(pid);
        if addresses.is_empty() {
            return;
        }
        let Some(owner) = self.place(sink, b"slave", self.directory.domain()) else {
            return;
        };
        for address in addresses {
            sink.add(owner, Data::Address(address), Why::Agent);
        }
        let Some(port) = pid.port else { return };
        if let Some(service) = self.place(sink, b"_slave._tcp", self.directory.domain()) {
            let data = Data::Srv {
                port,
                target: owner,
            };
            sink.add(service, data, Why::Agent);
        }
    }

    /// `leader`, `_leader._tcp`, `_leader._udp`, `master` and each `masterN`.
    pub(super) fn masters<S: Sink>(&self, sink: &mut S) {
        let mut known = Vec::new();
        if let Some(leader) = &self.world.cluster.leader {
            known = self.look_up(leader);
            self.leader(&known, leader.port, sink);
        }
        self.enter(sink, b"master", &known, Why::Leader);
        let leader = known.clone();
        let mut leader_is_listed = false;
        let mut number = 0;
        for (index, master) in self.world.naming.masters.iter().enumerate() {
            let addresses = self.look_up(master);
            // Addresses are compared, not texts: one master may be spelled in many ways.
            let leads = addresses.iter().any(|address| leader.contains(address));
            let is_known = addresses.iter().all(|address| known.contains(address));
            if leads && leader_is_listed || !leads && is_known && !addresses.is_empty() {
                continue;
            }
            leader_is_listed |= leads;
            let why = Why::Master(index);
            self.enter(sink, b"master", &addresses, why);
            known.extend(&addresses);
            // A master whose name is not known keeps its number, so that the others keep theirs.
            self.enter(sink, format!("master{number}").as_bytes(), &addresses, why);
            number += 1;
        }
        if !leader_is_listed {
            let name = format!("master{number}");
            self.enter(sink, name.as_bytes(), &leader, Why::Leader);
        }
    }

    fn leader<S: Sink>(&self, addresses: &[IpAddr], port: Option<u16>, sink: &mut S) {
        self.enter(sink, b"leader", addresses, Why::Leader);
        let Some(port) = port.filter(|_| !addresses.is_empty()) else {
            return;
        };
        let Some(target) = self.place(sink, b"leader", self.directory.domain()) else {
            return;
        };
        for owner in [&b"_leader._tcp"[..], b"_leader._udp"] {
            if let Some(service) = self.place(sink, owner, self.directory.domain()) {
                sink.add(service, Data::Srv { port, target }, Why::Leader);
            }
        }
    }

    /// `SOAMname`, where it is in the domain.
    pub(super) fn listener<S: Sink>(&self, sink: &mut S) {
        let naming = &self.world.naming;
        if let Some(labels) = listener_labels(&naming.soa_mname, &naming.domain) {
            let addresses: Vec<IpAddr> = canonical(naming.listener_addresses.to_vec());
            self.enter(sink, labels.as_bytes(), &addresses, Why::Listener);
        }
    }

    /// The records of `StaticRecords`.
    pub(super) fn statics<S: StaticSink>(&self, sink: &mut S) {
        // They stand beside the records of whoever has the name.
        sink.rank(Rank::PLAIN.claimed(Claim::BESIDE));
        for (number, record) in self.world.naming.statics.records.iter().enumerate() {
            let owner = sink.absolute(&record.owner);
            let data = match &record.data {
                zonefile::Data::A(address) => Data::Address((*address).into()),
                zonefile::Data::Aaaa(address) => Data::Address((*address).into()),
                zonefile::Data::Srv { port, target, .. } => Data::Srv {
                    port: *port,
                    target: sink.absolute(target),
                },
                zonefile::Data::Ptr(target) => Data::Ptr {
                    target: sink.absolute(target),
                },
                zonefile::Data::Cname(target) => Data::Cname {
                    target: sink.absolute(target),
                },
                zonefile::Data::Txt(_) => Data::Text { number },
            };
            sink.add(owner, data, Why::Static(number));
        }
        sink.rank(Rank::PLAIN);
    }

    fn enter<S: Sink>(&self, sink: &mut S, left: &[u8], addresses: &[IpAddr], why: Why) {
        if addresses.is_empty() {
            return;
        }
        if let Some(owner) = self.place(sink, left, self.directory.domain()) {
            for &address in addresses {
                sink.add(owner, Data::Address(address), why);
            }
        }
    }

    /// All names of a task.
    pub(super) fn task<S: Sink>(&self, task: &Task, sink: &mut S, scratch: &mut Scratch) {
        let Some(framework) = self.directory.framework(&task.framework_id) else {
            return sink.left_out(Reason::FrameworkUnknown, None);
        };
        let Some(agent) = self.directory.agent(&task.agent_id) else {
            return sink.left_out(Reason::AgentUnknown, None);
        };
        let Some(first_suffix) = framework.first_suffix else {
            return sink.left_out(Reason::NothingLeft, None);
        };
        let agent_addresses = agent.addresses(self.world);
        let address_source = self.address_source(task, agent_addresses);
        if address_source.is_none() && self.passes_over(task, agent_addresses) {
            sink.left_out(Reason::AddressPassedOver, None);
        }
        let names = TaskNames {
            emitter: self,
            task,
            first_suffix,
            agent_addresses,
            address_source,
            tail: agent.tail(),
            hash: labels::instance_hash(&task.id),
        };
        let claim = self.at(first_suffix, Place::Plain).claim;
        sink.rank(self.rank(task, agent).claimed(claim));
        self.names_of(&names, sink, scratch);
        sink.rank(Rank::PLAIN);
    }

    fn names_of<S: Sink>(&self, names: &TaskNames<'_, '_>, sink: &mut S, scratch: &mut Scratch) {
        let task = names.task;
        let Some(discovery) = &task.discovery else {
            return names.mangled(&task.name, None, sink, scratch);
        };
        let raw = discovery.name.to_ascii_lowercase();
        if labels::is_askable(raw.as_bytes()) {
            scratch.name.clear();
            scratch.name.extend_from_slice(raw.as_bytes());
            names.emit(&discovery.name, false, sink, scratch);
            names.mangled(&discovery.name, Some(raw.as_bytes()), sink, scratch);
        } else {
            sink.left_out(Reason::NotAskable, None);
            names.mangled(&discovery.name, None, sink, scratch);
        }
    }

    /// That of a task's records.
    fn rank(&self, task: &Task, agent: &AgentFacts) -> Rank {
        let place = self.directory.place_of(agent, self.world);
        place.with(match self.world.naming.rules.unhealthy {
            Unhealthy::Last if task.is_unhealthy => Health::Last,
            Unhealthy::Omit if task.is_unhealthy => Health::Omitted,
            _ => Health::Good,
        })
    }

    /// The first of `IPSources` that has an address for the task which no rule passes over.
    pub(super) fn address_source(&self, task: &Task, agent: &[IpAddr]) -> Option<AddressSource> {
        let mut sources = self.world.naming.ip_sources.iter().copied();
        sources.find(|&source| self.addresses_from(source, task, agent).next().is_some())
    }

    /// The addresses of a task that this source has.
    pub(super) fn addresses_from<'a>(
        &'a self,
        source: AddressSource,
        task: &'a Task,
        agent: &'a [IpAddr],
    ) -> impl Iterator<Item = IpAddr> + 'a {
        sources::addresses_from(&self.world.naming.rules, source, task, agent)
    }

    /// Whether a rule passes over an address of the task.
    fn passes_over(&self, task: &Task, agent: &[IpAddr]) -> bool {
        let naming = &self.world.naming;
        sources::judged(&naming.rules, &naming.ip_sources, task, agent)
            .any(|(_, _, rule)| rule.is_some())
    }
}

/// Where a framework's scheduler is: its pid's host, or without a pid its host name.
pub(super) fn framework_addresses(world: &World, framework: &Framework) -> Vec<IpAddr> {
    match &framework.pid {
        Some(pid) => addresses(world, &pid.host),
        None => addresses(world, &framework.hostname),
    }
}

/// The addresses of a host, such as one can be at.
pub(super) fn addresses(world: &World, host: &str) -> Vec<IpAddr> {
    let mut addresses = canonical(world.hosts.addresses(host).to_vec());
    addresses.retain(|&address| !sources::is_no_host(address));
    addresses
}

/// An IPv4 address in IPv6's clothes is an IPv4 address.
fn canonical(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    for address in &mut addresses {
        *address = address.to_canonical();
    }
    addresses
}
