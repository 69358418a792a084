//! Hand-picked rules, on small Worlds: what mesos-dns answers, and where we knowingly do otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::enumerate::{Visitor, visit};
use super::explain::explain;
use super::{Naming, Reason, Record, RecordSet, Rules, World};
use crate::dns::name;
use crate::mesos::cluster::*;
use crate::mesos::hosts::Hosts;

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.into(),
        port: Some(port),
    }
}

/// One framework, `marathon`; agents S0 and S1 at 10.0.0.1 and 10.0.0.2; one master.
pub(super) fn world(tasks: Vec<Task>) -> World {
    let agent = |index: u8| Agent {
        id: format!("20c0-S{index}").into(),
        hostname: "".into(),
        pid: Some(endpoint(&format!("10.0.0.{}", index + 1), 5051)),
        domain: None,
    };
    World {
        cluster: Cluster {
            leader: Some(endpoint("127.0.0.1", 5050)),
            frameworks: [framework("marathon", "10.9.0.1")].into(),
            agents: [Arc::new(agent(0)), Arc::new(agent(1))].into(),
            tasks: Tasks::from_unsorted(tasks.into_iter().map(Arc::new).collect()),
            ..Cluster::default()
        },
        hosts: Hosts::default(),
        naming: Arc::new(Naming {
            domain: "mesos".into(),
            rfc952: false,
            ip_sources: [AddressSource::NetInfo, AddressSource::Host].into(),
            masters: [endpoint("127.0.0.1", 5050)].into(),
            soa_mname: "NS1.mesos.".into(),
            listener_addresses: ["127.0.0.1".parse().expect("an address")].into(),
            statics: Arc::default(),
            rules: Rules::default(),
            own_addresses: Box::default(),
        }),
    }
}

pub(super) fn framework(name: &str, host: &str) -> Arc<Framework> {
    Arc::new(Framework {
        id: name.into(),
        name: name.into(),
        pid: Some(endpoint(host, 9000)),
        hostname: "".into(),
    })
}

pub(super) fn add_framework(world: &mut World, framework: Arc<Framework>) {
    let known = world.cluster.frameworks.iter().cloned();
    world.cluster.frameworks = known.chain([framework]).collect();
}

pub(super) fn task(id: &str, name: &str) -> Task {
    Task {
        framework_id: "marathon".into(),
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

fn discovered(id: &str, name: &str, ports: &[(u16, &str, &str)]) -> Task {
    let port = |&(number, name, protocol): &(u16, &str, &str)| DiscoveryPort {
        number,
        name: name.into(),
        protocol: protocol.into(),
    };
    Task {
        discovery: Some(Box::new(Discovery {
            name: name.into(),
            ports: ports.iter().map(port).collect(),
        })),
        ..task(id, "unused")
    }
}

pub(super) fn text(set: &RecordSet, name: super::NameId) -> String {
    let mut wire = Vec::new();
    set.append_wire(name, &mut wire);
    name::text_from_wire(&wire)
}

/// `None`: the name does not exist.
pub(super) fn records(set: &RecordSet, owner: &str) -> Option<Vec<String>> {
    let name = set.find(&name::wire_from_text(owner).expect("a name"))?;
    let mut records: Vec<String> = set
        .records(name)
        .map(|record| match record {
            Record::A(address) => address.to_string(),
            Record::Aaaa(address) => address.to_string(),
            Record::Srv { port, target } => format!("{port} {}", text(set, target)),
            Record::Ptr { target } | Record::Cname { target } => text(set, target),
            Record::Text { number } => set.text(number).escape_ascii().to_string(),
        })
        .collect();
    records.sort();
    Some(records)
}

pub(super) fn check(set: &RecordSet, owner: &str, expected: &[&str]) {
    let found = records(set, owner).unwrap_or_else(|| panic!("{owner} does not exist"));
    assert_eq!(found, expected, "{owner}");
}

#[test]
fn a_cluster_of_one_task_has_the_names_of_mesos_dns() {
    let set = RecordSet::build(&world(vec![Task {
        port_ranges: [(31000, 31001)].into(),
        ..task("web.1", "web")
    }]));
    for name in ["leader.mesos", "master.mesos", "master0.mesos", "ns1.mesos"] {
        check(&set, name, &["127.0.0.1"]);
    }
    check(&set, "slave.mesos", &["10.0.0.1", "10.0.0.2"]);
    check(&set, "_slave._tcp.mesos", &["5051 slave.mesos."]);
    check(&set, "_leader._udp.mesos", &["5050 leader.mesos."]);
    check(&set, "marathon.mesos", &["10.9.0.1"]);
    check(
        &set,
        "_framework._tcp.marathon.mesos",
        &["9000 marathon.mesos."],
    );
    for name in ["web", "web-e844k-s0"] {
        check(&set, &format!("{name}.marathon.mesos"), &["10.0.0.1"]);
        check(&set, &format!("{name}.marathon.slave.mesos"), &["10.0.0.1"]);
    }
    for name in [
        "_web._tcp.marathon",
        "_web._udp.marathon",
        "_web._tcp.marathon.slave",
    ] {
        let target = "web-e844k-s0.marathon.slave.mesos.";
        let expected = [format!("31000 {target}"), format!("31001 {target}")];
        check(
            &set,
            &format!("{name}.mesos"),
            &[&expected[0], &expected[1]],
        );
    }
    check(&set, "1.0.0.10.in-addr.arpa", &["web.marathon.mesos."]);
    for empty in [
        "_tcp.marathon.mesos",
        "marathon.slave.mesos",
        "mesos",
        "0.10.in-addr.arpa",
    ] {
        check(&set, empty, &[]);
    }
    assert_eq!(records(&set, "in-addr.arpa"), None);
    assert_eq!(records(&set, "master1.mesos"), None);
    assert_eq!(set.left_out().total(), 0);
}

#[test]
fn discovery_ports_are_named_with_and_without_their_names() {
    let set = RecordSet::build(&world(vec![Task {
        port_ranges: [(31000, 31000)].into(),
        ..discovered("w1", "web", &[(80, "http", "tcp"), (53, "", "udp,tcp")])
    }]));
    let (plain, slave) = (
        "web-fru5e-s0.marathon.mesos.",
        "web-fru5e-s0.marathon.slave.mesos.",
    );
    let tcp = [format!("53 {plain}"), format!("80 {plain}")];
    check(&set, "_web._tcp.marathon.mesos", &[&tcp[0], &tcp[1]]);
    check(&set, "_http._web._tcp.marathon.mesos", &[&tcp[1]]);
    check(
        &set,
        "_http._web._tcp.marathon.slave.mesos",
        &[&format!("80 {slave}")],
    );
    check(&set, "_web._udp.marathon.mesos", &[&tcp[0]]);
    check(&set, "_web._udptcp.marathon.mesos", &[&tcp[0]]);
    let host = [format!("31000 {slave}"), format!("53 {slave}")];
    check(
        &set,
        "_web._udp.marathon.slave.mesos",
        &[&host[0], &host[1]],
    );
}

#[test]
fn discovery_names_are_entered_as_they_stand_and_mangled() {
    let set = RecordSet::build(&world(vec![
        discovered("1", "My_Disc", &[]),
        discovered("2", "a.b", &[]),
        discovered("3", "a b", &[]),
    ]));
    for name in ["my_disc", "my-disc", "a.b", "a-b", "ab"] {
        check(&set, &format!("{name}.marathon.mesos"), &["10.0.0.1"]);
    }
    assert_eq!(set.left_out().count(Reason::NotAskable), 1);
}

#[test]
fn a_name_of_which_nothing_is_left_gives_no_record() {
    let mut world = world(vec![task("1", "..."), task("2", "web")]);
    add_framework(&mut world, framework("--", "10.9.0.2"));
    let set = RecordSet::build(&world);
    assert_eq!(set.left_out().count(Reason::NothingLeft), 2);
    let mut names = set.names().map(|name| text(&set, name));
    assert!(names.all(|name| !name.starts_with(['-', '.'])));
}

#[test]
fn a_canonical_label_over_63_octets_loses_the_srv_records_that_need_it() {
    let name = "n".repeat(55);
    let set = RecordSet::build(&world(vec![Task {
        port_ranges: [(31000, 31000)].into(),
        ..task("1", &name)
    }]));
    check(&set, &format!("{name}.marathon.mesos"), &["10.0.0.1"]);
    assert_eq!(records(&set, &format!("_{name}._tcp.marathon.mesos")), None);
    assert_eq!(set.left_out().count(Reason::LabelTooLong), 2);
}

#[test]
fn reserved_names_take_no_record_from_frameworks_and_tasks() {
    let mut world = world(vec![task("1", "web"), discovered("2", "ns", &[])]);
    for (index, name) in ["slave", "x.slave", "leader", "master7", "ns1"]
        .iter()
        .enumerate()
    {
        add_framework(&mut world, framework(name, &format!("10.9.1.{index}")));
    }
    let set = RecordSet::build(&world);
    check(&set, "slave.mesos", &["10.0.0.1", "10.0.0.2"]);
    check(&set, "leader.mesos", &["127.0.0.1"]);
    check(&set, "ns1.mesos", &["127.0.0.1"]);
    for name in [
        "master7.mesos",
        "x.slave.mesos",
        "_framework._tcp.leader.mesos",
    ] {
        assert_eq!(records(&set, name), None, "{name}");
    }
    let mut naming = (*world.naming).clone();
    naming.soa_mname = "Web.marathon.mesos.".into();
    world.naming = Arc::new(naming);
    let set = RecordSet::build(&world);
    check(&set, "web.marathon.mesos", &["127.0.0.1"]);
    check(&set, "web.marathon.slave.mesos", &["10.0.0.1"]);
}

#[test]
fn masters_are_told_apart_by_address_and_numbered_in_order() {
    let mut world = world(vec![]);
    let mut naming = (*world.naming).clone();
    naming.masters = [
        endpoint("0:0::1", 5050),
        endpoint("127.0.0.2", 5050),
        endpoint("127.0.0.2", 5051),
        endpoint("unknown.example", 5050),
        endpoint("named.example", 5050),
    ]
    .into();
    world.naming = Arc::new(naming);
    world.cluster.leader = Some(endpoint("::1", 5055));
    world.hosts = Hosts::from_pairs([(
        "named.example",
        vec!["127.0.0.3".parse().expect("an address")],
    )]);
    let set = RecordSet::build(&world);
    check(&set, "leader.mesos", &["::1"]);
    check(&set, "_leader._tcp.mesos", &["5055 leader.mesos."]);
    check(&set, "master.mesos", &["127.0.0.2", "127.0.0.3", "::1"]);
    check(&set, "master0.mesos", &["::1"]);
    check(&set, "master1.mesos", &["127.0.0.2"]);
    assert_eq!(records(&set, "master2.mesos"), None, "its number is kept");
    check(&set, "master3.mesos", &["127.0.0.3"]);
    assert_eq!(records(&set, "master4.mesos"), None);
}

#[test]
fn a_listener_outside_of_the_domain_has_no_record() {
    let mut world = world(vec![]);
    let mut naming = (*world.naming).clone();
    naming.soa_mname = "ns.xmesos.".into();
    world.naming = Arc::new(naming);
    let names = RecordSet::build(&world);
    assert!(
        names
            .names()
            .all(|name| !text(&names, name).starts_with("ns"))
    );
}

#[test]
fn tasks_of_unknown_agents_are_left_out() {
    let set = RecordSet::build(&world(vec![Task {
        agent_id: "gone".into(),
        ..task("1", "web")
    }]));
    assert_eq!(records(&set, "web.marathon.mesos"), None);
    assert_eq!(set.left_out().count(Reason::AgentUnknown), 1);
}

#[test]
fn a_moved_target_touches_the_owners_of_its_srv_records() {
    let at = |agent: &str| {
        world(vec![Task {
            port_ranges: [(31000, 31000)].into(),
            agent_id: agent.into(),
            ..task("web.1", "web")
        }])
    };
    let old = at("20c0-S0");
    let mut new = old.clone();
    let moved = Arc::new(Agent {
        id: "20c0-S0".into(),
        hostname: "".into(),
        pid: Some(endpoint("10.0.0.7", 5051)),
        domain: None,
    });
    new.cluster.agents = [moved, old.cluster.agents[1].clone()].into();
    let mut set = RecordSet::build(&old);
    let touched = set.update(&old, &new);
    let touched: BTreeSet<String> = touched.iter().map(|&name| text(&set, name)).collect();
    for name in [
        "_web._tcp.marathon.mesos.",
        "web.marathon.mesos.",
        "_slave._tcp.mesos.",
        "1.0.0.10.in-addr.arpa.",
        "7.0.0.10.in-addr.arpa.",
    ] {
        assert!(touched.contains(name), "{name}");
    }
    assert!(!touched.contains("_framework._tcp.marathon.mesos."));
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Visitor for Lines {
    type Stop = ();

    fn framework(&mut self, name: &str) -> Result<(), ()> {
        self.0.push(format!("framework {name}"));
        Ok(())
    }

    fn task(&mut self, name: &str, id: &str) -> Result<(), ()> {
        self.0.push(format!("task {name} {id}"));
        Ok(())
    }

    fn record(&mut self, name: &str, host: &str, rtype: &str) -> Result<(), ()> {
        self.0.push(format!("{name} {host} {rtype}"));
        if self.0.len() > 20 { Err(()) } else { Ok(()) }
    }
}

#[test]
fn a_record_is_listed_with_the_first_task_that_gives_it() {
    let mut lines = Lines::default();
    let tasks = vec![
        task("w1", "web"),
        Task {
            ordinal: 1,
            ..task("w1", "web")
        },
    ];
    assert_eq!(visit(&world(tasks), &mut lines), Ok(()));
    assert_eq!(
        lines.0,
        [
            "framework marathon",
            "task web w1",
            "web.marathon.mesos. 10.0.0.1 A",
            "web-fru5e-s0.marathon.mesos. 10.0.0.1 A",
            "web.marathon.mesos. 10.0.0.1 PTR",
            "web.marathon.slave.mesos. 10.0.0.1 A",
            "web-fru5e-s0.marathon.slave.mesos. 10.0.0.1 A",
            "task web w1",
        ]
    );
}

#[test]
fn a_visitor_that_wants_no_more_is_told_no_more() {
    let tasks = (0..9)
        .map(|index| task(&index.to_string(), "web"))
        .collect();
    let mut lines = Lines::default();
    assert_eq!(visit(&world(tasks), &mut lines), Err(()));
    assert_eq!(lines.0.len(), 21);
}

#[test]
fn explain_says_where_a_record_comes_from() {
    let explanation = explain(&world(vec![task("web.1", "Web")]), "WEB.marathon.mesos");
    assert!(explanation.exists);
    assert_eq!(explanation.record_count, 1);
    assert_eq!(explanation.records[0].data, "10.0.0.1");
    assert_eq!(
        explanation.records[0].sources,
        [
            "task \"web.1\" of framework \"marathon\" on agent \"20c0-S0\": \
          task name \"Web\" -> \"web\"; address from host, because netinfo had none"
        ]
    );
    let text = explanation.to_string();
    assert!(
        text.starts_with("web.marathon.mesos. has 1 record\n  A 10.0.0.1\n"),
        "{text}"
    );
}

#[test]
fn explain_says_why_a_task_has_not_the_name() {
    let mut world = world(vec![
        Task {
            agent_id: "gone".into(),
            ..task("web.1", "web")
        },
        task("2", "wet"),
    ]);
    world.cluster.skipped = Arc::new(vec![Skipped {
        kind: SkippedKind::Task,
        id: "web.2".into(),
        name: "web".into(),
        why: "state is TASK_STAGING".into(),
        expected: true,
    }]);
    let explanation = explain(&world, "web.marathon.mesos.");
    assert!(!explanation.exists);
    let why = &explanation.candidates[0].why;
    assert!(
        why.iter()
            .any(|why| why.contains("its agent \"gone\" is not registered")),
        "{why:?}"
    );
    assert_eq!(explanation.skipped[0].why, "state is TASK_STAGING");
    assert_eq!(explanation.nearest[0], "wet.marathon.mesos.");
}

#[test]
fn explain_knows_names_without_records() {
    let world = world(vec![task("web.1", "web")]);
    assert!(explain(&world, "marathon.slave.mesos").exists);
    assert!(explain(&world, "mesos").exists);
    assert!(!explain(&world, "nothing.example").notes.is_empty());
}
