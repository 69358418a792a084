//! Rules of which address a task has, on small Worlds: what is passed over, what comes in its place,
//! and what `explain` says of it.

use std::sync::Arc;

use super::explain::explain;
use super::rules::{check, records, task, world};
use super::{Naming, Reason, RecordSet, Rules, World};
use crate::dns::subnet::Subnet;
use crate::mesos::cluster::*;

const WEB: &str = "web.marathon.mesos";

/// `netinfo`, `docker` and `host`, in this order.
fn ruled(rules: Rules, tasks: Vec<Task>) -> World {
    let world = world(tasks);
    let naming = Naming {
        rules,
        ip_sources: [
            AddressSource::NetInfo,
            AddressSource::Docker,
            AddressSource::Host,
        ]
        .into(),
        ..(*world.naming).clone()
    };
    World {
        naming: Arc::new(naming),
        ..world
    }
}

fn web(addresses: &[(AddressSource, [u8; 4])], is_bridge: bool) -> Task {
    let addresses = addresses
        .iter()
        .map(|&(from, octets)| (from, octets.into()));
    Task {
        addresses: addresses.collect(),
        port_ranges: [(31000, 31000)].into(),
        is_bridge,
        ..task("web.1", "web")
    }
}

fn blocks(texts: &[&str]) -> Box<[Subnet]> {
    let block = |text: &&str| Subnet::parse(text).expect("a block");
    texts.iter().map(block).collect()
}

const BRIDGED: [(AddressSource, [u8; 4]); 2] = [
    (AddressSource::NetInfo, [172, 17, 0, 2]),
    (AddressSource::Docker, [10, 5, 0, 2]),
];

#[test]
fn netinfo_is_passed_over_for_bridged_tasks_alone() {
    let rules = || Rules {
        skip_netinfo_for_bridge: true,
        ..Rules::default()
    };
    let bridged = ruled(rules(), vec![web(&BRIDGED, true)]);
    check(&RecordSet::build(&bridged), WEB, &["10.5.0.2"]);
    let text = explain(&bridged, WEB).to_string();
    let wanted = "address from docker; passed over: netinfo 172.17.0.2 (SkipNetInfoForBridge)";
    assert!(text.contains(wanted), "{text}");
    let other = ruled(rules(), vec![web(&BRIDGED, false)]);
    check(&RecordSet::build(&other), WEB, &["172.17.0.2"]);
    let off = ruled(Rules::default(), vec![web(&BRIDGED, true)]);
    check(&RecordSet::build(&off), WEB, &["172.17.0.2"]);
    assert!(!explain(&off, WEB).to_string().contains("passed over"));
}

#[test]
fn denied_addresses_are_passed_over_and_the_next_source_is_asked() {
    let deny = |texts: &[&str]| Rules {
        ip_deny: blocks(texts),
        ..Rules::default()
    };
    let tasks = || vec![web(&BRIDGED, true)];
    let one = ruled(deny(&["172.16.0.0/12"]), tasks());
    check(&RecordSet::build(&one), WEB, &["10.5.0.2"]);
    let two = ruled(deny(&["172.16.0.0/12", "10.5.0.0/16"]), tasks());
    check(&RecordSet::build(&two), WEB, &["10.0.0.1"]);
    let text = explain(&two, WEB).to_string();
    let wanted = "address from host; passed over: netinfo 172.17.0.2 (IpDeny 172.16.0.0/12), \
         docker 10.5.0.2 (IpDeny 10.5.0.0/16)";
    assert!(text.contains(wanted), "{text}");
    // Of one source's addresses those that are left count.
    let both = [
        (AddressSource::NetInfo, [10, 1, 0, 1]),
        (AddressSource::NetInfo, [172, 17, 0, 2]),
    ];
    let some = ruled(deny(&["172.16.0.0/12"]), vec![web(&both, false)]);
    check(&RecordSet::build(&some), WEB, &["10.1.0.1"]);
    assert!(
        explain(&some, WEB)
            .to_string()
            .contains("address from netinfo; passed over: ")
    );
}

#[test]
fn only_allowed_addresses_are_taken_where_any_are_named() {
    let allow = |texts: &[&str]| Rules {
        ip_allow: blocks(texts),
        ip_deny: blocks(&["10.5.9.0/24"]),
        ..Rules::default()
    };
    let tasks = || vec![web(&BRIDGED, false)];
    let docker = ruled(allow(&["10.5.0.0/16", "fd00::/8"]), tasks());
    check(&RecordSet::build(&docker), WEB, &["10.5.0.2"]);
    let text = explain(&docker, WEB).to_string();
    assert!(
        text.contains("netinfo 172.17.0.2 (not in IpAllow)"),
        "{text}"
    );
    let all = ruled(allow(&[]), tasks());
    check(&RecordSet::build(&all), WEB, &["172.17.0.2"]);
}

#[test]
fn task_without_any_allowed_address_is_left_out_counted_and_explained() {
    let rules = Rules {
        ip_allow: blocks(&["192.0.2.0/24"]),
        ..Rules::default()
    };
    let none = ruled(rules, vec![web(&BRIDGED, false)]);
    let mut set = RecordSet::build(&none);
    assert_eq!(records(&set, WEB), None);
    assert_eq!(set.left_out().count(Reason::AddressPassedOver), 1);
    // Where the task runs is another question than which address is its own.
    check(&set, "web.marathon.slave.mesos", &["10.0.0.1"]);
    let explanation = explain(&none, WEB);
    let why = explanation.candidates[0].why.join("; ");
    for part in [
        "IPSources (netinfo, docker, host); passed over: netinfo 172.17.0.2 (not in IpAllow)",
        "docker 10.5.0.2 (not in IpAllow), host 10.0.0.1 (not in IpAllow)",
    ] {
        assert!(why.contains(part), "{why}");
    }
    let some = ruled(Rules::default(), vec![web(&BRIDGED, false)]);
    set.update(&none, &some);
    check(&set, WEB, &["172.17.0.2"]);
    assert_eq!(set.left_out().total(), 0);
}
