//! Rules of what frameworks and tasks choose themselves, on small Worlds: they take no name from others,
//! stay in the domain, and cost no more than they are.

use std::net::IpAddr;
use std::sync::Arc;

use super::collisions::{Collision, Kind};
use super::explain::explain;
use super::rules::{add_framework, check, framework, records, task, world};
use super::{Reason, RecordSet, World};
use crate::limits::{COLLISIONS_SHOWN_MAX, FRAMEWORK_LABELS_MAX, RRSET_RECORDS_MAX};
use crate::mesos::cluster::*;

/// A task of this framework at this address of its own.
fn at(framework: &str, name: &str, address: &str) -> Task {
    let address: IpAddr = address.parse().expect("an address");
    Task {
        framework_id: framework.into(),
        addresses: [(AddressSource::NetInfo, address)].into(),
        ..task(&format!("{framework}-{name}"), name)
    }
}

fn discovered(framework: &str, name: &str, address: &str) -> Task {
    let ports = [DiscoveryPort {
        number: 80,
        name: "".into(),
        protocol: "tcp".into(),
    }];
    Task {
        discovery: Some(Box::new(Discovery {
            name: name.into(),
            ports: ports.into(),
        })),
        ..at(framework, name, address)
    }
}

fn world_of(frameworks: &[&str], tasks: Vec<Task>) -> World {
    let mut world = world(tasks);
    for name in frameworks {
        add_framework(&mut world, framework(name, "10.66.0.1"));
    }
    world
}

fn collisions(set: &RecordSet) -> Vec<Collision> {
    set.collisions("mesos", "NS1.mesos.").shown.clone()
}

fn collision(name: &str, kind: Kind, wanted_by: &[&str], belongs_to: &str) -> Collision {
    Collision {
        name: name.into(),
        kind,
        wanted_by: wanted_by.iter().map(|&who| who.into()).collect(),
        belongs_to: belongs_to.into(),
    }
}

#[test]
fn a_framework_takes_no_name_from_the_tasks_of_a_shorter_one() {
    let tasks = vec![
        at("marathon", "web", "10.0.0.7"),
        at("web.marathon", "a", "10.66.0.2"),
    ];
    let poisoned = world_of(&["web.marathon"], tasks);
    let set = RecordSet::build(&poisoned);
    check(&set, "web.marathon.mesos", &["10.0.0.7"]);
    // What nobody else has is the framework's.
    check(&set, "a.web.marathon.mesos", &["10.66.0.2"]);
    let name = "web.marathon.mesos.";
    let wanted = collision(name, Kind::OfAnother, &["web.marathon"], "marathon");
    assert_eq!(collisions(&set), [wanted]);
    assert_eq!(set.left_out().count(Reason::OfAnother), 1);

    let mut alone = poisoned.clone();
    alone.cluster.tasks = Tasks::default();
    check(
        &RecordSet::build(&alone),
        "web.marathon.mesos",
        &["10.66.0.1"],
    );
}

#[test]
fn a_contested_name_is_given_over_when_its_owner_comes_and_goes() {
    let with = |tasks| world_of(&["web.marathon"], tasks);
    let (empty, full) = (with(vec![]), with(vec![at("marathon", "web", "10.0.0.7")]));
    let mut set = RecordSet::build(&empty);
    for _ in 0..2 {
        let touched = set.update(&empty, &full);
        check(&set, "web.marathon.mesos", &["10.0.0.7"]);
        assert_eq!(collisions(&set).len(), 1);
        // The SRV record of the scheduler points there, and its additional section differs.
        let service = crate::dns::name::wire_from_text("_framework._tcp.web.marathon.mesos");
        let service = set.find(&service.expect("a name")).expect("exists");
        assert!(touched.contains(&service));
        set.update(&full, &empty);
        check(&set, "web.marathon.mesos", &["10.66.0.1"]);
        assert_eq!(collisions(&set), []);
    }
}

#[test]
fn no_type_of_a_name_is_left_to_who_does_not_have_it() {
    let mut poisoned = world_of(&[], vec![at("marathon", "web", "10.0.0.7")]);
    add_framework(&mut poisoned, framework("web.marathon", "fd00::66"));
    let set = RecordSet::build(&poisoned);
    check(&set, "web.marathon.mesos", &["10.0.0.7"]);
}

#[test]
fn the_order_of_the_document_decides_nothing() {
    let tasks = vec![at("marathon", "web", "10.0.0.7")];
    let mut poisoned = world_of(&["web.marathon"], tasks);
    let frameworks = poisoned.cluster.frameworks.iter().rev().cloned().collect();
    poisoned.cluster.frameworks = frameworks;
    check(
        &RecordSet::build(&poisoned),
        "web.marathon.mesos",
        &["10.0.0.7"],
    );
}

#[test]
fn discovery_names_with_dots_meet_the_names_of_longer_frameworks_and_have_them() {
    let tasks = vec![
        discovered("marathon", "a.web", "10.0.0.7"),
        discovered("marathon", "_framework._tcp.web", "10.0.0.8"),
        at("web.marathon", "a", "10.66.0.2"),
    ];
    let poisoned = world_of(&["web.marathon"], tasks);
    let set = RecordSet::build(&poisoned);
    check(&set, "a.web.marathon.mesos", &["10.0.0.7"]);
    let service = "_framework._tcp.web.marathon.mesos";
    check(&set, service, &["10.0.0.8"]);
    // Below .slave too, though there each has the same agent's address.
    let names: Vec<Box<str>> = collisions(&set).into_iter().map(|it| it.name).collect();
    assert!(
        names.contains(&"a.web.marathon.slave.mesos.".into()),
        "{names:?}"
    );
    assert!(names.contains(&format!("{service}.").into()), "{names:?}");
}

#[test]
fn an_address_does_not_point_to_a_name_that_its_task_does_not_have() {
    let tasks = vec![
        discovered("marathon", "a.web", "10.0.0.7"),
        at("web.marathon", "a", "10.66.0.2"),
    ];
    let poisoned = world_of(&["web.marathon"], tasks.clone());
    let set = RecordSet::build(&poisoned);
    check(&set, "2.0.66.10.in-addr.arpa", &[]);
    let mut alone = poisoned.clone();
    alone.cluster.tasks = Tasks::from_unsorted(vec![Arc::new(tasks[1].clone())]);
    let set = RecordSet::build(&alone);
    let name = "a.web.marathon.mesos.";
    check(&set, "2.0.66.10.in-addr.arpa", &[name]);
}

#[test]
fn explain_tells_whose_records_of_a_name_are_left_out() {
    let tasks = vec![
        discovered("marathon", "a.web", "10.0.0.7"),
        at("web.marathon", "a", "10.66.0.2"),
    ];
    let poisoned = world_of(&["web.marathon"], tasks);
    let told = explain(&poisoned, "a.web.marathon.mesos").to_string();
    assert!(told.contains("A 10.0.0.7"), "{told}");
    assert!(!told.contains("A 10.66.0.2"), "{told}");
    let reason = Reason::OfAnother.to_string();
    let told_of = told.contains("web.marathon-a") && told.contains(&reason);
    assert!(told_of, "{told}");
    let told = explain(&poisoned, "2.0.66.10.in-addr.arpa").to_string();
    assert!(told.contains("left out: PTR a.web"), "{told}");
    assert!(!told.contains("\n  PTR a.web"), "{told}");

    let tasks = vec![at("marathon", "web", "10.0.0.7")];
    let told = explain(&world_of(&["web.marathon"], tasks), "web.marathon.mesos").to_string();
    let note = format!(
        "framework \"web.marathon\" would have this name, but web.marathon.mesos. is left out: {reason}"
    );
    assert!(told.contains(&note), "{told}");
}

#[test]
fn static_records_stand_beside_whoever_has_the_name() {
    let mut poisoned = world_of(&["web.marathon"], vec![at("marathon", "web", "10.0.0.7")]);
    let around = crate::zonefile::Around {
        domain: "mesos".into(),
        soa_mname: "ns1.mesos.".into(),
        ttl_seconds: 60,
    };
    let text = b"web.marathon A 10.5.0.1\n      A 10.0.0.7\na.b A 10.5.0.2\n";
    let statics = crate::zonefile::parse("static.zone", text, &around).expect("records");
    let naming = Arc::make_mut(&mut poisoned.naming);
    naming.statics = Arc::new(statics);
    add_framework(&mut poisoned, framework("a.b", "10.66.0.3"));
    let set = RecordSet::build(&poisoned);
    check(&set, "web.marathon.mesos", &["10.0.0.7", "10.5.0.1"]);
    check(&set, "a.b.mesos", &["10.5.0.2", "10.66.0.3"]);
}

#[test]
fn reserved_names_are_listed_with_who_wants_them() {
    let tasks = vec![
        at("leader", "x", "10.66.0.2"),
        at("a.slave", "x", "10.66.0.2"),
    ];
    let mut poisoned = world_of(&["leader", "a.slave", "ns1"], tasks);
    let set = RecordSet::build(&poisoned);
    check(&set, "leader.mesos", &["127.0.0.1"]);
    check(&set, "ns1.mesos", &["127.0.0.1"]);
    let found = collisions(&set);
    let wanted = |name, who, whose| collision(name, Kind::Reserved, &[who], whose);
    for one in [
        wanted("leader.mesos.", "leader", "leader.mesos."),
        wanted("x.leader.mesos.", "leader", "leader.mesos."),
        wanted("x.a.slave.mesos.", "a.slave", "slave.mesos."),
        wanted("ns1.mesos.", "ns1", "ns1.mesos."),
    ] {
        assert!(found.contains(&one), "{one:?} is not in {found:?}");
    }
    assert!(found.is_sorted_by(|a, b| a.name <= b.name));
    let before = poisoned.clone();
    poisoned.cluster.frameworks = [framework("marathon", "10.9.0.1")].into();
    let mut set = set;
    set.update(&before, &poisoned);
    assert_eq!(collisions(&set), []);
}

#[test]
fn frameworks_of_one_name_share_it_and_are_listed() {
    let second = Framework {
        id: "second".into(),
        ..(*framework("Marathon", "10.9.0.2")).clone()
    };
    let mut shared = world_of(&[], vec![]);
    add_framework(&mut shared, Arc::new(second));
    let set = RecordSet::build(&shared);
    check(&set, "marathon.mesos", &["10.9.0.1", "10.9.0.2"]);
    let wanted = collision(
        "marathon.mesos.",
        Kind::Shared,
        &["marathon", "second"],
        "marathon",
    );
    assert_eq!(collisions(&set), [wanted]);
}

#[test]
fn the_list_of_collisions_is_bounded_and_the_count_is_not() {
    let name = |index| format!("t{index}");
    let count = COLLISIONS_SHOWN_MAX + 10;
    let tasks = (0..count).map(|index| at("master1", &name(index), "10.66.0.2"));
    let set = RecordSet::build(&world_of(&["master1"], tasks.collect()));
    let collisions = set.collisions("mesos", "ns1.mesos.");
    assert_eq!(collisions.shown.len(), COLLISIONS_SHOWN_MAX);
    assert!(collisions.count(Kind::Reserved) > count);
    assert_eq!(collisions.total(), collisions.count(Kind::Reserved));
}

#[test]
fn a_framework_of_too_many_labels_has_no_names() {
    let deep = ["a"; FRAMEWORK_LABELS_MAX + 1].join(".");
    let world = world_of(&[&deep], vec![at(&deep, "x", "10.66.0.2")]);
    let set = RecordSet::build(&world);
    assert_eq!(records(&set, &format!("{deep}.mesos")), None);
    assert!(set.left_out().count(Reason::TooManyLabels) > 1);
}

#[test]
fn addresses_that_no_host_has_are_passed_over() {
    let addresses = [
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:0.0.0.0",
    ];
    for address in addresses {
        let mut world = world_of(&[], vec![at("marathon", "web", address)]);
        add_framework(&mut world, framework("odd", address));
        let set = RecordSet::build(&world);
        // The next source is asked: the agent.
        check(&set, "web.marathon.mesos", &["10.0.0.1"]);
        assert_eq!(records(&set, "odd.mesos"), None, "{address}");
        let told = explain(&world, "web.marathon.mesos").to_string();
        assert!(told.contains("no host has such an address"), "{told}");
    }
    // Clusters of one host have such; IpDeny is for others.
    for address in ["127.0.0.1", "169.254.169.254"] {
        let set = RecordSet::build(&world(vec![at("marathon", "web", address)]));
        check(&set, "web.marathon.mesos", &[address]);
    }
}

#[test]
fn no_name_of_a_cluster_leads_out_of_the_domain() {
    let long = "a.".repeat(200);
    let odd = [
        "example.com.",
        "..",
        ".",
        "a..b",
        "\\.mesos",
        "a\\000b",
        "a\0b",
        "\u{7f}",
        "\r\nx A 1.2.3.4",
        "é.mesos",
        "xn--e1afmkfd",
        "*",
        "@",
        "www.google.com",
        "a b",
        "leader.mesos.",
        "mesos",
        &long,
        "_tcp",
        "_leader._tcp",
        "slave",
        "in-addr.arpa",
        "1.0.0.10.in-addr.arpa.",
    ];
    for name in odd {
        let tasks = vec![
            at("marathon", name, "10.66.0.2"),
            discovered("marathon", name, "10.66.0.3"),
            at(name, "x", "10.66.0.4"),
            discovered(name, name, "10.66.0.5"),
        ];
        let mut poisoned = world_of(&[name], tasks);
        let agent = Agent {
            id: format!("x-{name}").into(),
            hostname: name.into(),
            pid: None,
            domain: None,
        };
        let agents = poisoned.cluster.agents.iter().cloned();
        poisoned.cluster.agents = agents.chain([Arc::new(agent)]).collect();
        let set = RecordSet::build(&poisoned);
        for reserved in ["leader.mesos", "master.mesos", "ns1.mesos"] {
            check(&set, reserved, &["127.0.0.1"]);
        }
        check(&set, "slave.mesos", &["10.0.0.1", "10.0.0.2"]);
        check(&set, "mesos", &[]);
        for name in set.names() {
            let mut wire = Vec::new();
            set.append_wire(name, &mut wire);
            let text = crate::dns::name::text_from_wire(&wire);
            let is_ours = text == "mesos." || text.ends_with(".mesos.") || text.ends_with(".arpa.");
            let is_plain = text
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
            assert!(is_ours && is_plain && wire.len() <= 255, "{text:?}");
            let has_reverse = text.ends_with(".arpa.");
            if !has_reverse {
                continue;
            }
            for record in set.records(name) {
                assert!(matches!(record, super::Record::Ptr { .. }), "{text}");
            }
        }
    }
}

#[test]
fn a_name_is_answered_with_a_bounded_number_of_records() {
    let count = RRSET_RECORDS_MAX as u32 + 5;
    let addresses = (0..count).map(|index| {
        let address = IpAddr::V4((0x0a00_0000 + index).into());
        (AddressSource::NetInfo, address)
    });
    let crowded = world(vec![Task {
        addresses: addresses.collect(),
        ..task("w", "web")
    }]);
    let set = RecordSet::build(&crowded);
    let found = records(&set, "web.marathon.mesos").expect("records");
    assert_eq!(found.len(), RRSET_RECORDS_MAX);
    // With its instance name.
    assert_eq!(set.left_out().count(Reason::TooManyRecords), 2);
    let told = explain(&crowded, "web.marathon.mesos").to_string();
    assert!(told.contains("are answered at the most"), "{told}");
    let mut set = set;
    set.update(&crowded, &world(vec![]));
    assert_eq!(set.left_out().count(Reason::TooManyRecords), 0);
}
