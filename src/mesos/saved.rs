//! A Cluster as octets, and back, for the warm start. In: the Cluster and the hosts that were looked
//! up for it. Out: a compact form without what no record needs: texts once each, objects by their
//! numbers. What is read back may be anything: a number that leads nowhere is an error.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cluster::{
    AddressSource, Agent, Cluster, Discovery, DiscoveryPort, Endpoint, FaultDomain, Framework,
    NO_STATUS, Task, TaskState, Tasks,
};
use super::hosts::Hosts;

/// Number of a text in `SavedCluster::texts`.
type TextId = u32;

#[derive(Serialize, Deserialize)]
pub struct SavedCluster<'a> {
    #[serde(borrow)]
    texts: Vec<&'a str>,
    leader: Option<SavedEndpoint>,
    master_id: Option<TextId>,
    frameworks: Vec<SavedFramework>,
    agents: Vec<SavedAgent>,
    #[serde(borrow)]
    tasks: Vec<SavedTask<'a>>,
    hosts: Vec<(TextId, Vec<IpAddr>)>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct SavedEndpoint {
    host: TextId,
    port: Option<u16>,
}

#[derive(Serialize, Deserialize)]
struct SavedFramework {
    id: TextId,
    name: TextId,
    pid: Option<SavedEndpoint>,
    hostname: TextId,
}

#[derive(Serialize, Deserialize)]
struct SavedAgent {
    id: TextId,
    hostname: TextId,
    pid: Option<SavedEndpoint>,
    /// Region and zone.
    domain: Option<(TextId, TextId)>,
}

#[derive(Serialize, Deserialize)]
struct SavedTask<'a> {
    framework_id: TextId,
    id: &'a str,
    name: TextId,
    agent_id: TextId,
    ordinal: u32,
    /// Source, as its place in `SOURCES`, and address.
    addresses: Vec<(u8, IpAddr)>,
    is_unhealthy: bool,
    is_bridge: bool,
    port_ranges: Vec<(u16, u16)>,
    discovery: Option<SavedDiscovery>,
}

#[derive(Serialize, Deserialize)]
struct SavedDiscovery {
    name: TextId,
    /// Number, name, protocol.
    ports: Vec<(u16, TextId, TextId)>,
}

/// Their places are part of the file's format.
const SOURCES: [AddressSource; 4] = [
    AddressSource::NetInfo,
    AddressSource::Mesos,
    AddressSource::Docker,
    AddressSource::Host,
];

/// Octets that are no cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCluster;

/// The octets of a Cluster with its hosts.
pub fn to_octets(cluster: &Cluster, hosts: &Hosts) -> Result<Vec<u8>, postcard::Error> {
    let mut texts = Texts::default();
    let saved = SavedCluster {
        leader: cluster.leader.as_ref().map(|it| texts.endpoint(it)),
        master_id: cluster.master_id.as_deref().map(|id| texts.id(id)),
        frameworks: cluster
            .frameworks
            .iter()
            .map(|framework| SavedFramework {
                id: texts.id(&framework.id),
                name: texts.id(&framework.name),
                pid: framework.pid.as_ref().map(|pid| texts.endpoint(pid)),
                hostname: texts.id(&framework.hostname),
            })
            .collect(),
        agents: cluster
            .agents
            .iter()
            .map(|agent| SavedAgent {
                id: texts.id(&agent.id),
                hostname: texts.id(&agent.hostname),
                pid: agent.pid.as_ref().map(|pid| texts.endpoint(pid)),
                domain: agent.domain.as_ref().map(|it| texts.domain(it)),
            })
            .collect(),
        tasks: cluster.tasks.iter().map(|task| texts.task(task)).collect(),
        hosts: hosts
            .iter()
            .map(|(name, addresses)| (texts.id(name), addresses.to_vec()))
            .collect(),
        // Last, when all are known.
        texts: texts.texts,
    };
    postcard::to_stdvec(&saved)
}

/// Reads them back.
pub fn from_octets(octets: &[u8]) -> Result<(Cluster, Hosts), NoCluster> {
    let saved: SavedCluster<'_> = postcard::from_bytes(octets).map_err(|_| NoCluster)?;
    let known = Known(saved.texts.iter().map(|&text| Arc::from(text)).collect());
    let frameworks = saved.frameworks.iter().map(|framework| {
        Ok(Arc::new(Framework {
            id: known.text(framework.id)?,
            name: known.text(framework.name)?,
            pid: known.endpoint(framework.pid)?,
            hostname: known.text(framework.hostname)?,
        }))
    });
    let agents = saved.agents.iter().map(|agent| {
        Ok(Arc::new(Agent {
            id: known.text(agent.id)?,
            hostname: known.text(agent.hostname)?,
            pid: known.endpoint(agent.pid)?,
            domain: known.domain(agent.domain)?,
        }))
    });
    let frameworks: Vec<_> = frameworks.collect::<Result<_, _>>()?;
    let agents: Vec<_> = agents.collect::<Result<_, _>>()?;
    let tasks = saved
        .tasks
        .iter()
        .map(|task| known.task(task).map(Arc::new));
    let tasks: Vec<_> = tasks.collect::<Result<_, _>>()?;
    let hosts: Vec<_> = saved
        .hosts
        .iter()
        .map(|(name, addresses)| Ok((known.text(*name)?, addresses.clone())))
        .collect::<Result<_, _>>()?;
    let cluster = Cluster {
        leader: known.endpoint(saved.leader)?,
        master_id: saved.master_id.map(|id| known.text(id)).transpose()?,
        frameworks: frameworks.into(),
        agents: agents.into(),
        tasks: Tasks::from_unsorted(tasks),
        ..Cluster::default()
    };
    Ok((cluster, Hosts::from_pairs(hosts)))
}

/// Texts that are being numbered.
#[derive(Default)]
struct Texts<'a> {
    texts: Vec<&'a str>,
    ids: HashMap<&'a str, TextId, foldhash::fast::RandomState>,
}

impl<'a> Texts<'a> {
    fn id(&mut self, text: &'a str) -> TextId {
        let next = self.texts.len() as TextId;
        *self.ids.entry(text).or_insert_with(|| {
            self.texts.push(text);
            next
        })
    }

    fn endpoint(&mut self, endpoint: &'a Endpoint) -> SavedEndpoint {
        SavedEndpoint {
            host: self.id(&endpoint.host),
            port: endpoint.port,
        }
    }

    fn domain(&mut self, domain: &'a FaultDomain) -> (TextId, TextId) {
        (self.id(&domain.region), self.id(&domain.zone))
    }

    fn task(&mut self, task: &'a Task) -> SavedTask<'a> {
        let place = |source| SOURCES.iter().position(|known| *known == source);
        SavedTask {
            framework_id: self.id(&task.framework_id),
            id: &task.id,
            name: self.id(&task.name),
            agent_id: self.id(&task.agent_id),
            ordinal: task.ordinal,
            addresses: task
                .addresses
                .iter()
                .map(|&(source, address)| (place(source).unwrap_or_default() as u8, address))
                .collect(),
            is_unhealthy: task.is_unhealthy,
            is_bridge: task.is_bridge,
            port_ranges: task.port_ranges.to_vec(),
            discovery: task.discovery.as_ref().map(|discovery| SavedDiscovery {
                name: self.id(&discovery.name),
                ports: discovery
                    .ports
                    .iter()
                    .map(|port| (port.number, self.id(&port.name), self.id(&port.protocol)))
                    .collect(),
            }),
        }
    }
}

/// Texts by their numbers.
struct Known(Vec<Arc<str>>);

impl Known {
    fn text(&self, id: TextId) -> Result<Arc<str>, NoCluster> {
        self.0.get(id as usize).cloned().ok_or(NoCluster)
    }

    fn endpoint(&self, saved: Option<SavedEndpoint>) -> Result<Option<Endpoint>, NoCluster> {
        let endpoint = |saved: SavedEndpoint| {
            Ok(Endpoint {
                host: self.text(saved.host)?,
                port: saved.port,
            })
        };
        saved.map(endpoint).transpose()
    }

    fn domain(&self, saved: Option<(TextId, TextId)>) -> Result<Option<FaultDomain>, NoCluster> {
        let domain = |(region, zone)| {
            Ok(FaultDomain {
                region: self.text(region)?,
                zone: self.text(zone)?,
            })
        };
        saved.map(domain).transpose()
    }

    fn task(&self, saved: &SavedTask<'_>) -> Result<Task, NoCluster> {
        let address = |&(source, address): &(u8, IpAddr)| {
            let source = SOURCES.get(usize::from(source)).ok_or(NoCluster)?;
            Ok((*source, address))
        };
        let port = |&(number, name, protocol): &(u16, TextId, TextId)| {
            Ok(DiscoveryPort {
                number,
                name: self.text(name)?,
                protocol: self.text(protocol)?,
            })
        };
        let discovery = |saved: &SavedDiscovery| {
            let ports: Result<Vec<_>, _> = saved.ports.iter().map(port).collect();
            Ok(Box::new(Discovery {
                name: self.text(saved.name)?,
                ports: ports?.into(),
            }))
        };
        let addresses: Result<Vec<_>, _> = saved.addresses.iter().map(address).collect();
        Ok(Task {
            framework_id: self.text(saved.framework_id)?,
            id: Box::from(saved.id),
            name: self.text(saved.name)?,
            agent_id: self.text(saved.agent_id)?,
            state: TaskState::Running,
            ordinal: saved.ordinal,
            // Whatever a master says of it counts.
            running_since: NO_STATUS,
            addresses: addresses?.into(),
            is_unhealthy: saved.is_unhealthy,
            is_bridge: saved.is_bridge,
            port_ranges: saved.port_ranges.clone().into(),
            discovery: saved.discovery.as_ref().map(discovery).transpose()?,
            faults: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::read_state;
    use super::*;

    fn recorded() -> Cluster {
        let root = env!("CARGO_MANIFEST_DIR");
        let file = format!("{root}/tests/recordings/13-many-tasks/state.body");
        let state = std::fs::read(file).expect("the recording");
        read_state(&state[..], u64::MAX).expect("a state").cluster
    }

    #[test]
    fn cluster_comes_back_as_it_was_but_for_what_no_record_needs() {
        let cluster = recorded();
        let hosts = Hosts::from_pairs([("a.test", vec![[10, 0, 0, 1].into()])]);
        let octets = to_octets(&cluster, &hosts).expect("octets");
        let (mut read, read_hosts) = from_octets(&octets).expect("a cluster");
        assert!(read_hosts == hosts);
        assert_eq!(
            (&read.leader, &read.master_id),
            (&cluster.leader, &cluster.master_id)
        );
        read.adopt(&cluster);
        assert!(Arc::ptr_eq(&read.agents, &cluster.agents));
        assert!(Arc::ptr_eq(&read.frameworks, &cluster.frameworks));
        let count = read.tasks.len();
        assert_eq!(count, cluster.tasks.len());
        let without_faults = |task: &Task| Task {
            faults: None,
            ..task.clone()
        };
        for task in cluster.tasks.iter() {
            let found = read
                .tasks
                .find(&task.agent_id, &task.framework_id, &task.id);
            assert!(found.is_some_and(|found| without_faults(found) == without_faults(task)));
        }
    }

    #[test]
    fn octets_that_are_cut_or_changed_never_panic() {
        let octets = to_octets(&recorded(), &Hosts::default()).expect("octets");
        for length in (0..octets.len()).step_by(7) {
            assert!(from_octets(&octets[..length]).is_err(), "{length}");
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let mut changed = octets.clone();
            let place = random.usize(..changed.len());
            changed[place] = random.u8(..);
            let _ = from_octets(&changed);
        }
    }
}
