//! What the names of tasks are made of beside the tasks themselves: the suffixes of frameworks, the
//! addresses and name tails of agents. In: a World. Out: look-ups. Kept from one World to the next
//! while these parts stay, so that the change of a task never pays for all agents.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;

use super::World;
use super::build::addresses;
use super::collisions::Shared;
use super::labels::{self, LabelRule};
use super::rank::Rank;
use super::suffix::{Reserved, Suffix, is_builtin};
use crate::mesos::cluster::{Agent, FaultDomain, Framework};

/// Frameworks and agents, prepared for names.
pub(super) struct Directory {
    pub(super) rule: LabelRule,
    domain: Suffix,
    /// Six for each framework, see `Place`; an index is a suffix's number less one.
    suffixes: Vec<Suffix>,
    frameworks: HashMap<Arc<str>, FrameworkFacts, RandomState>,
    /// The later of two agents of one id counts.
    agents: HashMap<Arc<str>, AgentFacts, RandomState>,
    /// `None` where it does not matter.
    here: Option<Here>,
    /// Names that several frameworks have.
    pub(super) shared: Shared,
}

/// This machine among the agents.
#[derive(PartialEq)]
pub(super) struct Here {
    addresses: Box<[IpAddr]>,
    /// That of the first agent on it that says one.
    domain: Option<FaultDomain>,
}

pub(super) struct FrameworkFacts {
    framework: Arc<Framework>,
    /// Its first suffix; `None` where nothing of its name is left.
    pub(super) first_suffix: Option<usize>,
}

pub(super) struct AgentFacts {
    agent: Arc<Agent>,
    /// Looked up when the first task asks.
    addresses: OnceLock<Vec<IpAddr>>,
    tail: OnceLock<String>,
}

/// The suffixes of a framework, in the order of their numbers.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Plain,
    Slave,
    Tcp,
    Udp,
    TcpSlave,
    UdpSlave,
}

const PLACES: [(Place, &str, &str); 6] = [
    (Place::Plain, "", ""),
    (Place::Slave, "", ".slave"),
    (Place::Tcp, "_tcp.", ""),
    (Place::Udp, "_udp.", ""),
    (Place::TcpSlave, "_tcp.", ".slave"),
    (Place::UdpSlave, "_udp.", ".slave"),
];

impl Directory {
    pub(super) fn new(world: &World) -> Self {
        let naming = &*world.naming;
        let listener = listener_labels(&naming.soa_mname, &naming.domain);
        let reserved = Reserved::new(listener.as_deref());
        let mut directory = Self {
            rule: LabelRule::from_flag(naming.rfc952),
            domain: Suffix::domain(&naming.domain, 0),
            suffixes: Vec::new(),
            frameworks: HashMap::default(),
            agents: HashMap::with_capacity_and_hasher(
                world.cluster.agents.len(),
                RandomState::default(),
            ),
            here: naming.rules.prefer_local.then(|| Here::new(world)),
            shared: Shared::default(),
        };
        let mut names = Shared::default();
        for framework in world.cluster.frameworks.iter() {
            let facts = directory.framework_facts(framework, &reserved);
            if let Some(first) = facts.first_suffix {
                let labels = directory.at(first, Place::Plain).framework.clone();
                names.entry(labels).or_default().push(framework.id.clone());
            }
            directory.frameworks.insert(framework.id.clone(), facts);
        }
        directory.shared = Self::shared_only(names);
        for agent in world.cluster.agents.iter() {
            let facts = AgentFacts {
                agent: agent.clone(),
                addresses: OnceLock::new(),
                tail: OnceLock::new(),
            };
            directory.agents.insert(agent.id.clone(), facts);
        }
        directory
    }

    /// Whether a directory of the one World serves the other. Costs nothing where they share their
    /// lists, and may say no where they only look alike.
    pub(super) fn is_shared(one: &World, other: &World) -> bool {
        let (a, b) = (&one.naming, &other.naming);
        let same_naming = Arc::ptr_eq(a, b)
            || a.domain == b.domain
                && a.rfc952 == b.rfc952
                && a.soa_mname == b.soa_mname
                && a.rules.prefer_local == b.rules.prefer_local
                && a.own_addresses == b.own_addresses;
        same_naming
            && Arc::ptr_eq(&one.cluster.frameworks, &other.cluster.frameworks)
            && Arc::ptr_eq(&one.cluster.agents, &other.cluster.agents)
            && one.hosts.is_same(&other.hosts)
    }

    fn framework_facts(
        &mut self,
        framework: &Arc<Framework>,
        reserved: &Reserved,
    ) -> FrameworkFacts {
        let name: Arc<str> = self.rule.domain_fragment(&framework.name).into();
        let first_suffix = (!name.is_empty()).then_some(self.suffixes.len());
        if first_suffix.is_some() {
            let is_builtin = is_builtin(&name);
            for (_, before, after) in PLACES {
                let labels = format!("{before}{name}{after}");
                let suffix = self
                    .domain
                    .below(&labels, reserved, self.suffixes.len() + 1)
                    .of_framework(&name)
                    // The .slave names of a framework stand below `slave` rightfully.
                    .closed_if(is_builtin && after.is_empty());
                self.suffixes.push(suffix);
            }
        }
        FrameworkFacts {
            framework: framework.clone(),
            first_suffix,
        }
    }

    pub(super) fn domain(&self) -> &Suffix {
        &self.domain
    }

    /// How many suffixes there are; their indexes are below this.
    pub(super) fn suffix_count(&self) -> usize {
        self.suffixes.len() + 1
    }

    pub(super) fn framework(&self, id: &str) -> Option<&FrameworkFacts> {
        self.frameworks.get(id)
    }

    pub(super) fn agent(&self, id: &str) -> Option<&AgentFacts> {
        self.agents.get(id)
    }

    pub(super) fn here(&self) -> Option<&Here> {
        self.here.as_ref()
    }

    /// How near an agent is, as far as that matters.
    pub(super) fn place_of(&self, agent: &AgentFacts, world: &World) -> Rank {
        let Some(here) = &self.here else {
            return Rank::PLAIN;
        };
        if here.is_at(agent.addresses(world)) {
            return Rank::HOST;
        }
        match (&here.domain, &agent.agent.domain) {
            (Some(ours), Some(theirs)) if ours == theirs => Rank::ZONE,
            (Some(ours), Some(theirs)) if ours.region == theirs.region => Rank::REGION,
            _ => Rank::PLAIN,
        }
    }

    /// What the names of a framework's tasks end in; `None`: it is not there, or has no name.
    pub(super) fn framework_suffix(&self, id: &str) -> Option<&Suffix> {
        let first = self.framework(id)?.first_suffix?;
        self.suffixes.get(first)
    }

    /// The first suffix of a framework, for which another one of its id may stand here: then its
    /// name is asked for. `None`: nothing of the name is left.
    pub(super) fn first_suffix(&self, framework: &Framework) -> Option<usize> {
        match self.framework(&framework.id) {
            Some(facts) if facts.framework.name == framework.name => facts.first_suffix,
            _ => self.first_suffix_of(&self.rule.domain_fragment(&framework.name)),
        }
    }

    fn first_suffix_of(&self, name: &str) -> Option<usize> {
        (0..self.suffixes.len())
            .step_by(PLACES.len())
            .find(|&first| {
                let text = &self.suffixes[first].text;
                text.strip_suffix(&*self.domain.text)
                    .and_then(|labels| labels.strip_suffix('.'))
                    == Some(name)
            })
    }

    pub(super) fn at(&self, first_suffix: usize, place: Place) -> &Suffix {
        &self.suffixes[first_suffix + place as usize]
    }
}

impl Here {
    fn new(world: &World) -> Self {
        let mut here = Self {
            addresses: world.naming.own_addresses.clone(),
            domain: None,
        };
        let mut on_it = world.cluster.agents.iter().filter(|agent| {
            let pid = agent.pid.as_ref();
            pid.is_some_and(|pid| here.is_at(&addresses(world, &pid.host)))
        });
        here.domain = on_it.find_map(|agent| agent.domain.clone());
        here
    }

    fn is_at(&self, addresses: &[IpAddr]) -> bool {
        addresses
            .iter()
            .any(|address| self.addresses.contains(address))
    }
}

impl AgentFacts {
    pub(super) fn addresses(&self, world: &World) -> &[IpAddr] {
        self.addresses.get_or_init(|| match &self.agent.pid {
            Some(pid) => addresses(world, &pid.host),
            None => Vec::new(),
        })
    }

    /// What instance names end in.
    pub(super) fn tail(&self) -> &str {
        self.tail.get_or_init(|| labels::agent_tail(&self.agent.id))
    }
}

/// `SOAMname` relative to the domain, in lower case: empty for the domain itself, `None` outside.
pub(super) fn listener_labels(soa_mname: &str, domain: &str) -> Option<String> {
    let name = soa_mname.to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let labels = name.strip_suffix(domain)?;
    if labels.is_empty() {
        return Some(String::new());
    }
    labels.strip_suffix('.').map(str::to_owned)
}
