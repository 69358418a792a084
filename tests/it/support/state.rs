//! State documents for tests: tasks in, the JSON of a master out.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

/// A cluster of one framework `marathon` on agents 10.0.0.1, 10.0.0.2, ...
pub struct State {
    leader: SocketAddr,
    agents: usize,
    tasks: Vec<Value>,
}

impl State {
    /// An empty cluster of four agents whose leader is at `leader`.
    pub fn new(leader: SocketAddr) -> Self {
        Self {
            leader,
            agents: 4,
            tasks: Vec::new(),
        }
    }

    /// A running task with an address of its own, `10.1.x.y`, and one host port.
    pub fn task(mut self, name: &str, address: Ipv4Addr) -> Self {
        let number = self.tasks.len();
        self.tasks.push(json!({
            "id": format!("{name}.{number}"),
            "name": name,
            "slave_id": format!("20c0-S{}", number % self.agents),
            "state": "TASK_RUNNING",
            "resources": {"ports": format!("[{0}-{0}]", 31000 + number)},
            "statuses": [{
                "state": "TASK_RUNNING",
                "timestamp": 1.0,
                "container_status": {"network_infos": [{"ip_addresses": [{"ip_address": address.to_string()}]}]},
            }],
        }));
        self
    }

    /// `count` tasks of one name, each with an address of its own.
    pub fn tasks(mut self, name: &str, count: u16) -> Self {
        for n in 0..count {
            let [high, low] = n.to_be_bytes();
            self = self.task(name, Ipv4Addr::new(10, 1, high, low));
        }
        self
    }

    /// A task of which nothing can be read but its name.
    pub fn bad_task(mut self, name: &str) -> Self {
        self.tasks.push(json!({"id": [], "name": name, "slave_id": 7, "state": "TASK_RUNNING", "statuses": "none"}));
        self
    }

    pub fn text(&self) -> String {
        let agents: Vec<_> = (0..self.agents)
            .map(|n| json!({"id": format!("20c0-S{n}"), "hostname": format!("agent-{n}.example.com"), "pid": format!("slave(1)@10.0.0.{}:5051", n + 1)}))
            .collect();
        let framework = json!({"name": "marathon", "pid": "scheduler-1@10.9.0.1:9000", "hostname": "fw.example.com", "tasks": self.tasks});
        json!({"leader": format!("master@{}", self.leader), "slaves": agents, "frameworks": [framework]}).to_string()
    }
}
