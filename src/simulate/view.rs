//! What one master shows at one moment: the cluster, who the master is, and for whom. In: copies. Out:
//! what the documents are written from, without a lock held. PURE.

use std::fmt;
use std::net::SocketAddr;

use super::cluster::{Agent, App, Cluster, Framework, Standing, Task, TaskState};

/// A cluster as a master shows it.
#[derive(Clone, Debug)]
pub struct View {
    pub cluster: Cluster,
    pub master: MasterInfo,
    /// Neither agents nor frameworks: a leader whose registry is not recovered yet.
    pub is_empty: bool,
    /// For a principal that may see neither frameworks nor tasks.
    pub is_blind: bool,
}

/// A master, as it shows itself in documents and in ZooKeeper.
#[derive(Clone, Debug, PartialEq)]
pub struct MasterInfo {
    pub id: String,
    pub address: SocketAddr,
    /// Seconds since 1970.
    pub start_time: f64,
    pub elected_time: f64,
}

impl View {
    /// Agents that are registered, with their numbers.
    pub fn agents(&self) -> impl Iterator<Item = u32> {
        let agents = 0..self.cluster.agents.len() as u32;
        agents.filter(|&index| !self.is_empty && self.cluster.is_listed(index))
    }

    /// Agents of the registry that a new leader waits for.
    pub fn recovered_agents(&self) -> impl Iterator<Item = u32> {
        let awaited = self.cluster.awaited().map(|index| index as u32);
        awaited.filter(|_| !self.is_empty)
    }

    pub fn unreachable_agents(&self) -> usize {
        let agents = self.cluster.agents.iter().filter(|_| !self.is_empty);
        agents
            .filter(|agent| agent.standing == Standing::Unreachable)
            .count()
    }

    /// Frameworks that run, or those that were torn down, with their numbers.
    pub fn frameworks(&self, removed: bool) -> impl Iterator<Item = (usize, &Framework)> {
        let is_hidden = self.is_empty || self.is_blind;
        let frameworks = self.cluster.frameworks.iter().enumerate();
        frameworks.filter(move |(_, framework)| {
            !is_hidden && framework.is_seen && framework.is_removed == removed
        })
    }

    /// Tasks that have not ended, of one framework or of all: those on agents that are registered, or
    /// the unreachable ones.
    pub fn tasks(
        &self,
        framework: Option<usize>,
        unreachable: bool,
    ) -> impl Iterator<Item = (&App, &Task)> {
        let is_hidden = self.is_empty || self.is_blind;
        let apps = self.cluster.apps.iter().filter(move |app| {
            !is_hidden && framework.is_none_or(|index| app.plan.framework == index)
        });
        apps.flat_map(move |app| {
            let places = app.tasks.iter();
            places
                .map(|&place| &self.cluster.tasks[place as usize])
                .filter(move |task| {
                    !task.has_ended()
                        && (task.state == TaskState::Unreachable) == unreachable
                        && self.cluster.is_known(task)
                })
                .map(move |task| (app, task))
        })
    }

    /// The last tasks that ended.
    pub fn ended(&self) -> impl Iterator<Item = (&App, &Task)> {
        let is_hidden = self.is_empty || self.is_blind;
        let ended = self.cluster.ended.iter().filter(move |_| !is_hidden);
        ended.map(|task| (&self.cluster.apps[task.app as usize], task))
    }
}

impl MasterInfo {
    /// As a real master without a host name of its own shows it.
    pub fn hostname(&self) -> String {
        self.address.ip().to_string()
    }

    /// The address as a number in little-endian order, as MasterInfo has it; 0 for IPv6.
    pub fn ip_number(&self) -> u32 {
        match self.address.ip() {
            std::net::IpAddr::V4(address) => u32::from_le_bytes(address.octets()),
            std::net::IpAddr::V6(_) => 0,
        }
    }

    /// What the master's node in ZooKeeper holds.
    pub fn znode(&self) -> String {
        let (id, address, hostname, ip) =
            (&self.id, self.address, self.hostname(), self.ip_number());
        let port = address.port();
        format!(
            r#"{{"address":{{"hostname":"{hostname}","ip":"{hostname}","port":{port}}},"capabilities":[{{"type":"AGENT_UPDATE"}},{{"type":"AGENT_DRAINING"}},{{"type":"QUOTA_V2"}}],"domain":{DOMAIN},"hostname":"{hostname}","id":"{id}","ip":{ip},"pid":"master@{address}","port":{port},"version":"{VERSION}"}}"#
        )
    }
}

pub const VERSION: &str = "1.11.0";
/// Where the masters stand.
pub const DOMAIN: &str =
    r#"{"fault_domain":{"region":{"name":"eu-west"},"zone":{"name":"eu-west-1a"}}}"#;

/// The value of an agent's `domain`.
pub struct Domain<'a>(pub &'a Agent);

impl fmt::Display for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Agent { region, zone, .. } = self.0;
        write!(
            f,
            r#"{{"fault_domain":{{"region":{{"name":"{region}"}},"zone":{{"name":"{zone}"}}}}}}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn znode_says_what_a_real_master_writes() {
        let master = MasterInfo {
            id: "19b8796e-af3b-4d07-aea1-f016579e6e1d".to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 5050)),
            start_time: 0.0,
            elected_time: 0.0,
        };
        // The node of a real master 1.11.0 on that address.
        let recorded = r#"{"address":{"hostname":"127.0.0.1","ip":"127.0.0.1","port":5050},"capabilities":[{"type":"AGENT_UPDATE"},{"type":"AGENT_DRAINING"},{"type":"QUOTA_V2"}],"domain":{"fault_domain":{"region":{"name":"eu-west"},"zone":{"name":"eu-west-1a"}}},"hostname":"127.0.0.1","id":"19b8796e-af3b-4d07-aea1-f016579e6e1d","ip":16777343,"pid":"master@127.0.0.1:5050","port":5050,"version":"1.11.0"}"#;
        assert_eq!(master.znode(), recorded);
    }
}
