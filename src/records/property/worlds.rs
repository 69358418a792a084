//! Any Worlds, for the rules of the RecordSet. Out: Worlds of few names, hosts and addresses, so that
//! names are shared, come and go, and point to each other; and mixtures of two, of which parts are the
//! same. Nothing may be in them that a cluster cannot have.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::dns::subnet::Subnet;
use crate::mesos::cluster::*;
use crate::mesos::hosts::Hosts;
use crate::records::{Naming, Rules, Unhealthy, World};
use crate::zonefile::{self, Around, StaticRecords};

fn address() -> impl Strategy<Value = IpAddr> {
    select(vec![
        "10.0.0.1",
        "10.0.0.2",
        "10.0.1.1",
        "fd00::1",
        "::ffff:10.0.0.1",
    ])
    .prop_map(|text| text.parse().expect("an address"))
}

fn host() -> impl Strategy<Value = Arc<str>> {
    select(vec![
        "10.0.0.1",
        "10.0.0.9",
        "fd00::9",
        "one.example",
        "two.example",
        "gone",
    ])
    .prop_map(Arc::from)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (host(), select(vec![None, Some(5050), Some(5051)]))
        .prop_map(|(host, port)| Endpoint { host, port })
}

fn text() -> impl Strategy<Value = Arc<str>> {
    let long = "l".repeat(60);
    select(vec![
        "a".to_owned(),
        "b".into(),
        "A".into(),
        "a.b".into(),
        "a.a".into(),
        "b.a.b".into(),
        "_a._tcp.a".into(),
        "_a".into(),
        "*".into(),
        "slave".into(),
        "".into(),
        "a..b".into(),
        "ns".into(),
        "leader".into(),
        long,
    ])
    .prop_map(Arc::from)
}

fn framework() -> impl Strategy<Value = Arc<Framework>> {
    (
        select(vec!["f0", "f1"]),
        text(),
        proptest::option::of(endpoint()),
        host(),
    )
        .prop_map(|(id, name, pid, hostname)| {
            Arc::new(Framework {
                id: id.into(),
                name,
                pid,
                hostname,
            })
        })
}

pub(super) fn agent() -> impl Strategy<Value = Arc<Agent>> {
    (
        select(vec!["x-S0", "x-S1", "x-S 2"]),
        proptest::option::of(endpoint()),
        proptest::option::of((select(vec!["r", "q"]), select(vec!["a", "b"]))),
    )
        .prop_map(|(id, pid, domain)| {
            Arc::new(Agent {
                id: id.into(),
                hostname: "".into(),
                pid,
                domain: domain.map(|(region, zone)| FaultDomain {
                    region: region.into(),
                    zone: zone.into(),
                }),
            })
        })
}

fn discovery() -> impl Strategy<Value = Box<Discovery>> {
    let port = (
        1..3u16,
        select(vec!["", "a", "http"]),
        select(vec!["tcp", "udp", "", "udp,tcp", "sctp"]),
    )
        .prop_map(|(number, name, protocol)| DiscoveryPort {
            number,
            name: name.into(),
            protocol: protocol.into(),
        });
    (text(), vec(port, 0..3)).prop_map(|(name, ports)| {
        Box::new(Discovery {
            name: if name.is_empty() { "d".into() } else { name },
            ports: ports.into(),
        })
    })
}

fn task() -> impl Strategy<Value = Arc<Task>> {
    let source = select(vec![
        AddressSource::NetInfo,
        AddressSource::Mesos,
        AddressSource::Docker,
    ]);
    (
        (
            select(vec!["f0", "f1", "f2"]),
            select(vec!["t0", "t1", "t2"]),
            text(),
        ),
        select(vec!["x-S0", "x-S1", "x-S 2", "x-S3"]),
        vec((source, address()), 0..3),
        vec(select(vec![(1u16, 1u16), (1, 3), (65535, 65535)]), 0..2),
        proptest::option::of(discovery()),
        0..100u32,
        (any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(
                (framework_id, id, name),
                agent_id,
                addresses,
                ports,
                discovery,
                ordinal,
                (is_unhealthy, is_bridge),
            )| {
                Arc::new(Task {
                    framework_id: framework_id.into(),
                    id: id.into(),
                    name,
                    agent_id: agent_id.into(),
                    ordinal,
                    state: TaskState::Running,
                    running_since: NO_STATUS,
                    addresses: addresses.into(),
                    is_unhealthy,
                    is_bridge,
                    port_ranges: ports.into(),
                    discovery,
                    faults: None,
                })
            },
        )
}

/// Records that meet those of the cluster, and some of whose names are in one domain and not in the other.
fn statics() -> impl Strategy<Value = Arc<StaticRecords>> {
    const TEXTS: [&str; 3] = [
        "",
        "$ORIGIN a.mesos.\na A 10.0.0.1\n@ TXT x\n*.b AAAA fd00::1\n_a._tcp SRV 1 2 3 a\nb CNAME a.x.example.\n",
        "a.mesos. CNAME b.mesos.\nx.example. A 10.0.0.1\n_a._tcp.x.example. SRV 0 0 1 a.b.mesos.\n\
         1.0.0.10.in-addr.arpa. PTR a.mesos.\nexample. A 10.0.0.2\n*.example. TXT y\n",
    ];
    let around = Around {
        domain: "mesos".into(),
        soa_mname: "ns.mesos.".into(),
        ttl_seconds: 60,
    };
    select(&TEXTS).prop_map(move |text| {
        let statics = zonefile::parse("static.zone", text.as_bytes(), &around);
        Arc::new(statics.expect("records"))
    })
}

/// Some that agents have, and one that none has.
pub(super) fn own_addresses() -> impl Strategy<Value = Box<[IpAddr]>> {
    let addresses = select(vec!["10.0.0.1", "10.0.0.9", "fd00::9", "192.0.2.1"]);
    vec(addresses, 0..3).prop_map(|texts| {
        let address = |text: &str| text.parse().expect("an address");
        texts.into_iter().map(address).collect()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let blocks = || {
        vec(
            select(vec!["10.0.0.0/24", "10.0.0.1/32", "fd00::/16"]),
            0..3,
        )
        .prop_map(|texts| {
            let block = |text| Subnet::parse(text).expect("a block");
            texts.into_iter().map(block).collect()
        })
    };
    (
        select(vec![Unhealthy::Serve, Unhealthy::Last, Unhealthy::Omit]),
        any::<bool>(),
        any::<bool>(),
        blocks(),
        blocks(),
    )
        .prop_map(
            |(unhealthy, prefer_local, skip_netinfo_for_bridge, ip_allow, ip_deny)| Rules {
                unhealthy,
                prefer_local,
                skip_netinfo_for_bridge,
                ip_allow,
                ip_deny,
            },
        )
}

fn naming() -> impl Strategy<Value = Arc<Naming>> {
    (
        select(vec!["mesos", "mesos", "a.mesos", "x.example"]),
        any::<bool>(),
        vec(endpoint(), 0..4),
        select(vec!["ns.mesos.", "A.a.mesos.", "mesos.", "ns.outside."]),
        vec(address(), 0..3),
        (statics(), rules(), own_addresses()),
    )
        .prop_map(
            |(domain, rfc952, masters, soa_mname, listener, (statics, rules, own_addresses))| {
                Arc::new(Naming {
                    domain: domain.into(),
                    rfc952,
                    ip_sources: [
                        AddressSource::NetInfo,
                        AddressSource::Docker,
                        AddressSource::Host,
                    ]
                    .into(),
                    masters: masters.into(),
                    soa_mname: soa_mname.into(),
                    listener_addresses: listener.into(),
                    statics,
                    rules,
                    own_addresses,
                })
            },
        )
}

fn hosts() -> impl Strategy<Value = Hosts> {
    (vec(address(), 0..3), vec(address(), 0..3))
        .prop_map(|(one, two)| Hosts::from_pairs([("one.example", one), ("two.example", two)]))
}

pub(super) fn world() -> impl Strategy<Value = World> {
    (
        (
            vec(framework(), 0..3),
            vec(agent(), 0..4),
            vec(task(), 0..8),
        ),
        proptest::option::of(endpoint()),
        naming(),
        hosts(),
    )
        .prop_map(
            |((frameworks, agents, tasks), leader, naming, hosts)| World {
                cluster: Cluster {
                    leader,
                    frameworks: frameworks.into(),
                    agents: agents.into(),
                    tasks: Tasks::from_unsorted(tasks),
                    ..Cluster::default()
                },
                hosts,
                naming,
            },
        )
}

/// The naming of the one World with the static records of the other: an update never changes those.
pub(super) fn naming_for(old: &World, new: &World) -> Arc<Naming> {
    Arc::new(Naming {
        statics: Arc::clone(&old.naming.statics),
        ..(*new.naming).clone()
    })
}

/// Takes some parts from the one World and the rest from the other, so that parts stay the same.
pub(super) fn mixed(old: &World, new: &World, mask: u8) -> World {
    let mut world = old.clone();
    if mask & 1 != 0 {
        world.cluster.frameworks.clone_from(&new.cluster.frameworks);
    }
    if mask & 2 != 0 {
        world.cluster.agents.clone_from(&new.cluster.agents);
    }
    if mask & 4 != 0 {
        let kept = old
            .cluster
            .tasks
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 2 == 0);
        let tasks = kept
            .map(|(_, task)| task.clone())
            .chain(new.cluster.tasks.iter().cloned());
        world.cluster.tasks = Tasks::from_unsorted(tasks.collect());
    }
    if mask & 8 != 0 {
        world.cluster.leader.clone_from(&new.cluster.leader);
    }
    if mask & 16 != 0 {
        world.hosts = new.hosts.clone();
    }
    if mask & 32 != 0 && mask & 64 != 0 {
        world.naming = naming_for(old, new);
    } else if mask & 32 != 0 {
        // This machine gets other addresses; the configuration stays.
        world.naming = Arc::new(Naming {
            own_addresses: new.naming.own_addresses.clone(),
            ..(*old.naming).clone()
        });
    }
    if mask & 128 != 0 {
        world.cluster.agents = world.cluster.agents.iter().rev().cloned().collect();
        world.cluster.frameworks = world.cluster.frameworks.iter().rev().cloned().collect();
    }
    world
}
