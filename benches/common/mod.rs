//! Clusters for the benches: the same for the same size, in the shape of a large Marathon cluster
//! (four instances an application, two ports an instance, every other application with
//! DiscoveryInfo and named ports, container addresses of their own).

use std::sync::Arc;

use rollcall::mesos::cluster::{
    AddressSource, Agent, Cluster, Discovery, DiscoveryPort, Endpoint, Framework, NO_STATUS, Task,
    TaskState, Tasks,
};
use rollcall::mesos::hosts::Hosts;
use rollcall::records::{Naming, Rules, World};
use rollcall::responses::zone::Answering;

const INSTANCES: usize = 4;

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.into(),
        port: Some(port),
    }
}

fn task(index: usize, agents: &[Arc<Agent>], random: &mut fastrand::Rng) -> Task {
    let app = index / INSTANCES;
    let name: Arc<str> = format!("app{app}.group{}", app % 50).into();
    let port = random.u16(31000..31999);
    let discovery_port = |number, name: &str| DiscoveryPort {
        number,
        name: name.into(),
        protocol: "tcp".into(),
    };
    let ports = [
        discovery_port(port, "http"),
        discovery_port(port + 1, "metrics"),
    ];
    let discovery = Discovery {
        name: Arc::clone(&name),
        ports: Box::new(ports),
    };
    Task {
        framework_id: ["f0", "f1", "f2", "f3"][if index % 10 < 7 { 0 } else { index % 10 - 6 }]
            .into(),
        id: format!("{name}.{:032x}", random.u128(..)).into(),
        name,
        agent_id: Arc::clone(&agents[random.usize(..agents.len())].id),
        ordinal: index as u32,
        state: TaskState::Running,
        running_since: NO_STATUS,
        addresses: [(
            AddressSource::NetInfo,
            ((172 << 24) + (1 << 20) + index as u32)
                .to_be_bytes()
                .into(),
        )]
        .into(),
        is_unhealthy: false,
        is_bridge: false,
        port_ranges: [(port, port + 1)].into(),
        discovery: app.is_multiple_of(2).then(|| Box::new(discovery)),
        faults: None,
    }
}

/// A cluster of so many tasks on a twentieth as many agents.
pub fn world(tasks: usize) -> World {
    let mut random = fastrand::Rng::with_seed(1);
    let agents: Vec<Arc<Agent>> = (0..(tasks / 20).max(1))
        .map(|index| {
            let [_, a, b, c] = (index as u32 + 1).to_be_bytes();
            Arc::new(Agent {
                id: format!("20c0-S{index}").into(),
                hostname: format!("agent-{index}.example.com").into(),
                pid: Some(endpoint(&format!("10.{a}.{b}.{c}"), 5051)),
                domain: None,
            })
        })
        .collect();
    let frameworks = ["marathon", "chronos", "kafka", "cassandra.prod"]
        .iter()
        .enumerate();
    let frameworks = frameworks.map(|(index, name)| {
        Arc::new(Framework {
            id: format!("f{index}").into(),
            name: (*name).into(),
            pid: Some(endpoint("10.200.0.1", 9000)),
            hostname: "fw.example.com".into(),
        })
    });
    let tasks = (0..tasks)
        .map(|index| Arc::new(task(index, &agents, &mut random)))
        .collect();
    World {
        cluster: Cluster {
            leader: Some(endpoint("127.0.0.1", 5050)),
            frameworks: frameworks.collect(),
            agents: agents.into(),
            tasks: Tasks::from_unsorted(tasks),
            ..Cluster::default()
        },
        hosts: Hosts::default(),
        naming: Arc::new(Naming {
            domain: "mesos".into(),
            rfc952: false,
            ip_sources: [
                AddressSource::NetInfo,
                AddressSource::Mesos,
                AddressSource::Host,
            ]
            .into(),
            masters: [endpoint("127.0.0.1", 5050)].into(),
            soa_mname: "ns1.mesos.".into(),
            listener_addresses: [[127, 0, 0, 1].into()].into(),
            statics: Arc::default(),
            rules: Rules::default(),
            own_addresses: Box::default(),
        }),
    }
}

pub fn answering() -> Answering {
    let wire = |text| {
        rollcall::dns::name::wire_from_text(text)
            .expect(text)
            .into_boxed_slice()
    };
    Answering {
        domain: wire("mesos"),
        ttl_seconds: 60,
        srv_weight: 1,
        soa_mname: wire("ns1.mesos."),
        soa_rname: wire("root.ns1.mesos."),
        soa_refresh_seconds: 60,
        soa_retry_seconds: 600,
        soa_expire_seconds: 86400,
        soa_minimum_seconds: 60,
    }
}
