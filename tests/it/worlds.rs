//! Small Worlds for tests, and a strategy that makes them collide: few names, few agents, few
//! addresses, so that names are shared, come and go, and point to each other.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use proptest::prelude::*;
use rollcall::dns::cookie::Secret;
use rollcall::dns::subnet::Subnet;
use rollcall::mesos::cluster::{
    AddressSource, Agent, Cluster, Discovery, DiscoveryPort, Endpoint, FaultDomain, Framework,
    NO_STATUS, Task, TaskState, Tasks,
};
use rollcall::mesos::hosts::Hosts;
use rollcall::records::{NameId, Naming, Record, RecordSet, Rules, Unhealthy, World};
use rollcall::responses::Snapshot;
use rollcall::responses::table::ResponseTable;
use rollcall::responses::zone::Answering;
use rollcall::serve::respond::{Limiting, Settings};
use rollcall::zonefile::{self, Around};

use crate::support::client::{A, AAAA, SRV};

pub fn naming() -> Naming {
    Naming {
        domain: "mesos".into(),
        rfc952: false,
        ip_sources: [
            AddressSource::NetInfo,
            AddressSource::Mesos,
            AddressSource::Host,
        ]
        .into(),
        masters: [endpoint("127.0.0.1", 5050), endpoint("127.0.0.2", 5050)].into(),
        soa_mname: "ns1.mesos.".into(),
        listener_addresses: ["127.0.0.1".parse().expect("an address")].into(),
        statics: Arc::default(),
        rules: Rules::default(),
        own_addresses: Box::default(),
    }
}

/// The World with these static records, as a file has them.
pub fn with_statics(mut world: World, text: &str) -> World {
    let around = Around {
        domain: "mesos".into(),
        soa_mname: "ns1.mesos.".into(),
        ttl_seconds: 60,
    };
    let statics = zonefile::parse("static.zone", text.as_bytes(), &around);
    world.naming = Arc::new(Naming {
        statics: Arc::new(statics.unwrap_or_else(|fault| panic!("{fault}"))),
        ..(*world.naming).clone()
    });
    world
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

/// As the configuration's defaults have it.
pub fn settings() -> Settings {
    Settings {
        domain: answering().domain,
        recurse_on: true,
        set_truncate_bit: true,
        reverse_dns_on: false,
        reverse_zones: [].into(),
        subnet_first: None,
        chaos: None,
        limiting: Limiting::default(),
        cookie_secret: Secret::new([7; 16]),
        forwarding: None,
    }
}

/// A Snapshot as the refresh thread publishes it; its serial is the generation.
pub fn snapshot(world: &World, generation: u64) -> Snapshot {
    let records = RecordSet::build(world);
    Snapshot {
        generation,
        serial: generation as u32,
        published_at: SystemTime::UNIX_EPOCH,
        record_counts: records.record_counts(),
        collisions: Default::default(),
        table: ResponseTable::build(&records, &answering(), generation as u32, generation),
        world: Arc::new(world.clone()),
    }
}

/// The model: what a name is answered with, as text, by type.
pub fn model(records: &RecordSet, name: NameId, wanted: u16) -> BTreeSet<String> {
    let text = |name: NameId| {
        let mut wire = Vec::new();
        records.append_wire(name, &mut wire);
        rollcall::dns::name::text_from_wire(&wire)
    };
    let rank = |record: Record| {
        let same = records.ranked(name).filter(|(_, other)| *other == record);
        same.map(|(rank, _)| rank).min().expect("a rank")
    };
    let is_srv = |record: &Record| matches!(record, Record::Srv { .. });
    let best = records.records(name).filter(is_srv).map(rank).min();
    let owner = text(name);
    let line = |record| match record {
        Record::A(a) => (wanted == A).then(|| format!("{owner} 60 IN A {a}")),
        Record::Aaaa(a) => (wanted == AAAA).then(|| format!("{owner} 60 IN AAAA {a}")),
        Record::Srv { port, target } => (wanted == SRV).then(|| {
            let priority = u8::from(best < Some(rank(record)));
            let target = text(target);
            format!("{owner} 60 IN SRV {priority} 1 {port} {target}")
        }),
        Record::Ptr { .. } | Record::Cname { .. } | Record::Text { .. } => None,
    };
    records.records(name).filter_map(line).collect()
}

pub fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.into(),
        port: Some(port),
    }
}

pub fn agent(index: u8) -> Agent {
    Agent {
        id: format!("20c0-S{index}").into(),
        hostname: format!("agent-{index}.example.com").into(),
        pid: Some(endpoint(&format!("10.0.0.{}", index + 1), 5051)),
        domain: None,
    }
}

pub fn framework(id: &str, name: &str) -> Framework {
    Framework {
        id: id.into(),
        name: name.into(),
        pid: Some(endpoint("10.9.0.1", 9000)),
        hostname: "fw.example.com".into(),
    }
}

/// A task of framework `f0` on agent 0 that uses the agent's address, without ports.
pub fn task(id: &str, name: &str) -> Task {
    Task {
        framework_id: "f0".into(),
        id: id.into(),
        name: name.into(),
        agent_id: "20c0-S0".into(),
        ordinal: 0,
        state: TaskState::Running,
        running_since: NO_STATUS,
        addresses: [].into(),
        is_unhealthy: false,
        is_bridge: false,
        port_ranges: [].into(),
        discovery: None,
        faults: None,
    }
}

pub fn world(frameworks: Vec<Framework>, agents: Vec<Agent>, tasks: Vec<Task>) -> World {
    World {
        cluster: Cluster {
            leader: Some(endpoint("127.0.0.1", 5050)),
            frameworks: frameworks.into_iter().map(Arc::new).collect(),
            agents: agents.into_iter().map(Arc::new).collect(),
            tasks: Tasks::from_unsorted(tasks.into_iter().map(Arc::new).collect()),
            ..Cluster::default()
        },
        hosts: Hosts::default(),
        naming: Arc::new(naming()),
    }
}

/// One framework `marathon`, three agents, the tasks given.
pub fn world_of(tasks: Vec<Task>) -> World {
    world(
        vec![framework("f0", "marathon")],
        (0..3).map(agent).collect(),
        tasks,
    )
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..6_u8).prop_map(|n| IpAddr::from([172, 16, 0, n])),
        (0..3_u16).prop_map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n])),
    ]
}

fn any_discovery() -> impl Strategy<Value = Option<Box<Discovery>>> {
    let port = (31000..31003_u16, "(http|admin|)", "(tcp|udp|TCP|udp,tcp|)").prop_map(
        |(number, name, protocol)| DiscoveryPort {
            number,
            name: name.into(),
            protocol: protocol.into(),
        },
    );
    let discovery =
        ("(web|db.prod|Web|a_b|x)", prop::collection::vec(port, 0..3)).prop_map(|(name, ports)| {
            Box::new(Discovery {
                name: name.into(),
                ports: ports.into(),
            })
        });
    prop::option::of(discovery)
}

pub fn any_task() -> impl Strategy<Value = Task> {
    let source = prop_oneof![Just(AddressSource::NetInfo), Just(AddressSource::Mesos)];
    (
        (
            "f[01]",
            "t[0-5]",
            "(web|db|_|slave|leader|a\\.b|W)",
            "20c0-S[0-3]",
        ),
        prop::collection::vec((source, any_address()), 0..4),
        prop::collection::vec((31000..31004_u16, 0..3_u16), 0..2),
        any_discovery(),
        0..1000_u32,
        (any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(
                (framework_id, id, name, agent_id),
                addresses,
                ports,
                discovery,
                ordinal,
                (is_unhealthy, is_bridge),
            )| Task {
                framework_id: framework_id.into(),
                id: id.into(),
                name: name.into(),
                agent_id: agent_id.into(),
                ordinal,
                state: TaskState::Running,
                running_since: NO_STATUS,
                addresses: addresses.into(),
                is_unhealthy,
                is_bridge,
                port_ranges: ports
                    .into_iter()
                    .map(|(first, more)| (first, first + more))
                    .collect(),
                discovery,
                faults: None,
            },
        )
}

fn any_domain() -> impl Strategy<Value = Option<FaultDomain>> {
    let domain = ("[rq]", "[ab]").prop_map(|(region, zone)| FaultDomain {
        region: region.into(),
        zone: zone.into(),
    });
    prop::option::of(domain)
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let unhealthy = prop_oneof![
        Just(Unhealthy::Serve),
        Just(Unhealthy::Last),
        Just(Unhealthy::Omit)
    ];
    let deny = prop::option::of("172\\.16\\.0\\.[0-5]/(31|32)");
    (unhealthy, any::<(bool, bool)>(), deny).prop_map(
        |(unhealthy, (prefer_local, skip_netinfo_for_bridge), deny)| Rules {
            unhealthy,
            prefer_local,
            skip_netinfo_for_bridge,
            ip_deny: deny.iter().filter_map(|text| Subnet::parse(text)).collect(),
            ..Rules::default()
        },
    )
}

pub fn any_world() -> impl Strategy<Value = World> {
    let frameworks = (
        "(marathon|slave|chronos)",
        "(marathon|kafka\\.x)",
        any::<bool>(),
    );
    (
        frameworks,
        prop::collection::vec(any_task(), 0..14),
        prop::collection::vec((0..4_u8, 0..4_u8, any_domain()), 1..4),
        any_rules(),
    )
        .prop_map(|((first, second, two), tasks, agents, rules)| {
            let mut frameworks = vec![framework("f0", &first)];
            if two {
                frameworks.push(framework("f1", &second));
            }
            let agents = agents
                .into_iter()
                .map(|(index, address, domain)| Agent {
                    pid: Some(endpoint(&format!("10.0.0.{address}"), 5051)),
                    domain,
                    ..agent(index)
                })
                .collect();
            World {
                naming: Arc::new(Naming {
                    rules,
                    own_addresses: [[10, 0, 0, 1].into()].into(),
                    ..naming()
                }),
                ..world(frameworks, agents, tasks)
            }
        })
}
