//! Rules of records that are not equally good, on small Worlds: which are answered, what changes when a
//! task falls ill or is well again, and what `explain` and the list say of it.

use std::sync::Arc;

use super::enumerate::{Visitor, visit};
use super::explain::explain;
use super::rank::Rank;
use super::rules::{check, task, world};
use super::{Naming, RecordSet, Rules, Unhealthy, World};
use crate::mesos::cluster::*;
use crate::zonefile::{self, Around};

fn ruled(rules: Rules, tasks: Vec<Task>) -> World {
    let world = world(tasks);
    let naming = Naming {
        rules,
        ..(*world.naming).clone()
    };
    World {
        naming: Arc::new(naming),
        ..world
    }
}

fn at(id: &str, address: [u8; 4], is_unhealthy: bool) -> Task {
    Task {
        addresses: [(AddressSource::NetInfo, address.into())].into(),
        port_ranges: [(31000, 31000)].into(),
        is_unhealthy,
        ..task(id, "web")
    }
}

fn omitting(unhealthy: [bool; 2]) -> World {
    let rules = Rules {
        unhealthy: Unhealthy::Omit,
        ..Rules::default()
    };
    let [one, two] = unhealthy;
    let tasks = vec![at("1", [10, 1, 0, 1], one), at("2", [10, 1, 0, 2], two)];
    ruled(rules, tasks)
}

#[test]
fn records_go_and_come_with_the_health_of_their_task() {
    const WEB: &str = "web.marathon.mesos";
    let mut set = RecordSet::build(&omitting([false, false]));
    let mut old = omitting([false, false]);
    for (unhealthy, expected) in [
        ([true, false], &["10.1.0.2"][..]),
        ([true, true], &["10.1.0.1", "10.1.0.2"]),
        ([false, true], &["10.1.0.1"]),
        ([false, false], &["10.1.0.1", "10.1.0.2"]),
    ] {
        let new = omitting(unhealthy);
        let touched = set.update(&old, &new);
        assert!(!touched.is_empty());
        check(&set, WEB, expected);
        // Whoever asks for the address itself learns its name all the same.
        check(&set, "1.0.1.10.in-addr.arpa", &["web.marathon.mesos."]);
        assert_eq!(set.record_counts(), RecordSet::build(&new).record_counts());
        old = new;
    }
}

#[test]
fn health_touches_nothing_where_no_rule_heeds_it() {
    let of = |is_unhealthy| ruled(Rules::default(), vec![at("1", [10, 1, 0, 1], is_unhealthy)]);
    let mut set = RecordSet::build(&of(false));
    assert_eq!(set.update(&of(false), &of(true)), vec![]);
}

#[test]
fn explain_says_which_records_are_left_out_for_their_health() {
    let text = explain(&omitting([true, false]), "web.marathon.mesos").to_string();
    assert!(text.contains("has 1 record\n  A 10.1.0.2\n"), "{text}");
    assert!(text.contains("left out: A 10.1.0.1\n"), "{text}");
    assert!(text.contains("Unhealthy leaves it out beside"), "{text}");
    let both = explain(&omitting([true, true]), "web.marathon.mesos");
    assert_eq!((both.record_count, both.omitted.len()), (2, 0));
    let last = Rules {
        unhealthy: Unhealthy::Last,
        ..Rules::default()
    };
    let tasks = vec![at("1", [10, 1, 0, 1], true), at("2", [10, 1, 0, 2], false)];
    let last = ruled(last, tasks);
    let text = explain(&last, "_web._tcp.marathon.slave.mesos").to_string();
    assert!(text.contains("has 2 records"), "{text}");
    assert!(text.contains("Unhealthy puts it last"), "{text}");
    let reverse = explain(&last, "1.0.1.10.in-addr.arpa").to_string();
    assert!(!reverse.contains("Unhealthy"), "{reverse}");
}

/// The same with a static address of `web`.
fn beside_statics(mut world: World) -> World {
    let around = Around {
        domain: "mesos".into(),
        soa_mname: "ns1.mesos.".into(),
        ttl_seconds: 60,
    };
    let statics = zonefile::parse("static.zone", b"web.marathon A 10.9.0.1", &around);
    world.naming = Arc::new(Naming {
        statics: Arc::new(statics.expect("records")),
        ..(*world.naming).clone()
    });
    world
}

#[test]
fn static_record_is_answered_and_unhealthy_tasks_are_left_out_beside_it() {
    const WEB: &str = "web.marathon.mesos";
    let mut old = beside_statics(omitting([true, false]));
    let mut set = RecordSet::build(&old);
    for (unhealthy, expected) in [
        ([true, true], &["10.9.0.1"][..]),
        ([true, false], &["10.1.0.2", "10.9.0.1"]),
    ] {
        let new = beside_statics(omitting(unhealthy));
        set.update(&old, &new);
        check(&set, WEB, expected);
        old = new;
    }
    let explanation = explain(&beside_statics(omitting([true, true])), WEB);
    let text = explanation.to_string();
    assert!(text.contains("has 1 record\n  A 10.9.0.1\n"), "{text}");
    assert_eq!(explanation.omitted.len(), 2, "{text}");
}

#[test]
fn agents_that_stay_are_nearer_or_farther_when_this_host_is_elsewhere() {
    let world = |own: [u8; 4], region: &str| {
        let rules = Rules {
            prefer_local: true,
            ..Rules::default()
        };
        let tasks = [("20c0-S0", [10, 1, 0, 1]), ("20c0-S1", [10, 1, 0, 2])];
        let tasks = tasks.map(|(agent, address)| Task {
            agent_id: agent.into(),
            ..at(agent, address, false)
        });
        let mut world = ruled(rules, tasks.into());
        let mut naming = (*world.naming).clone();
        naming.own_addresses = [own.into()].into();
        world.naming = Arc::new(naming);
        let regions = ["r", region].into_iter().zip(world.cluster.agents.iter());
        let agents = regions.map(|(region, agent)| {
            let domain = FaultDomain {
                region: region.into(),
                zone: "a".into(),
            };
            Arc::new(Agent {
                domain: Some(domain),
                ..Agent::clone(agent)
            })
        });
        world.cluster.agents = agents.collect();
        world
    };
    // Where the first agent's task stands, and the second's.
    let places = |set: &RecordSet| {
        let wire = crate::dns::name::wire_from_text("web.marathon.mesos").expect("a name");
        let mut ranked: Vec<_> = set.ranked(set.find(&wire).expect("web")).collect();
        ranked.sort_unstable_by_key(|&(_, record)| record);
        ranked.into_iter().map(|(rank, _)| rank).collect::<Vec<_>>()
    };
    let mut old = world([10, 0, 0, 1], "r");
    let mut set = RecordSet::build(&old);
    assert_eq!(places(&set), [Rank::HOST, Rank::ZONE]);
    for (own, region, wanted) in [
        ([10, 0, 0, 2], "r", [Rank::ZONE, Rank::HOST]),
        // The first agent stays as it was, and is in another region than this host now.
        ([10, 0, 0, 2], "q", [Rank::PLAIN, Rank::HOST]),
        ([10, 0, 0, 9], "q", [Rank::PLAIN, Rank::PLAIN]),
        ([10, 0, 0, 1], "q", [Rank::HOST, Rank::PLAIN]),
    ] {
        let mut new = world(own, region);
        new.cluster.adopt(&old.cluster);
        assert!(!set.update(&old, &new).is_empty());
        assert_eq!(places(&set), wanted);
        old = new;
    }
}

#[derive(Default)]
struct Records(Vec<String>);

impl Visitor for Records {
    type Stop = ();

    fn framework(&mut self, _name: &str) -> Result<(), ()> {
        Ok(())
    }

    fn task(&mut self, _name: &str, _id: &str) -> Result<(), ()> {
        Ok(())
    }

    fn record(&mut self, name: &str, host: &str, rtype: &str) -> Result<(), ()> {
        if name == "web.marathon.mesos." {
            self.0.push(format!("{rtype} {host}"));
        }
        Ok(())
    }
}

#[test]
fn list_leaves_out_what_is_not_answered() {
    let list = |world: &World| {
        let mut records = Records::default();
        visit(world, &mut records).expect("to the end");
        records.0
    };
    let (one, two) = (
        ["A 10.1.0.1", "PTR 10.1.0.1"],
        ["A 10.1.0.2", "PTR 10.1.0.2"],
    );
    let all = [one, two].concat();
    assert_eq!(list(&omitting([false, false])), all);
    assert_eq!(list(&omitting([true, true])), all);
    let rest = ["PTR 10.1.0.1", "A 10.1.0.2", "PTR 10.1.0.2"];
    assert_eq!(list(&omitting([true, false])), rest);
    let pointers = ["PTR 10.1.0.1", "PTR 10.1.0.2"];
    assert_eq!(list(&beside_statics(omitting([true, true]))), pointers);
}
