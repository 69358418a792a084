//! Rules of the RecordSet that hold for any World and any sequence of changes.

mod worlds;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use self::worlds::{agent, mixed, naming_for, own_addresses, world};
use super::rank::Rank;
use super::{Record, RecordSet, World};
use crate::dns::name;
use crate::mesos::cluster::Cluster;

/// A RecordSet without its numbers: names that exist, and records.
#[derive(Debug, PartialEq)]
struct Contents {
    names: BTreeSet<Vec<u8>>,
    records: BTreeSet<(Vec<u8>, String)>,
    /// The same with their ranks.
    ranked: BTreeSet<(Vec<u8>, String, Rank)>,
    left_out: super::LeftOut,
    collisions: Arc<super::collisions::Collisions>,
}

fn wire(set: &RecordSet, name: super::NameId) -> Vec<u8> {
    let mut wire = Vec::new();
    set.append_wire(name, &mut wire);
    wire
}

fn data(set: &RecordSet, record: Record) -> String {
    let text = |target| name::text_from_wire(&wire(set, target));
    match record {
        Record::Srv { port, target } => format!("SRV {port} {}", text(target)),
        Record::Ptr { target } => format!("PTR {}", text(target)),
        Record::A(address) => format!("A {address}"),
        Record::Aaaa(address) => format!("AAAA {address}"),
        Record::Cname { target } => format!("CNAME {}", text(target)),
        Record::Text { number } => format!("TXT {:?}", set.text(number)),
    }
}

fn contents(set: &RecordSet) -> Contents {
    let mut found = Contents {
        names: BTreeSet::new(),
        records: BTreeSet::new(),
        ranked: BTreeSet::new(),
        left_out: set.left_out().clone(),
        collisions: set.collisions("mesos", "ns.mesos."),
    };
    for name in set.names() {
        assert!(set.exists(name));
        let owner = wire(set, name);
        assert_eq!(set.find(&owner), Some(name));
        for (rank, record) in set.tree.records(name.0) {
            let data = data(set, record);
            found.records.insert((owner.clone(), data.clone()));
            let is_new = found.ranked.insert((owner.clone(), data, rank));
            assert!(is_new, "one record once with each rank");
        }
        assert!(found.names.insert(owner), "one name once");
    }
    assert_eq!(found.names.len(), set.name_count());
    let counts = set.record_counts();
    let sum = counts.a + counts.aaaa + counts.srv + counts.ptr + counts.cname + counts.txt;
    assert_eq!(found.records.len(), sum);
    found
}

/// What a name is answered with: its records, and of SRV records the targets' addresses.
fn answer(set: &RecordSet, wire_name: &[u8]) -> Option<BTreeSet<String>> {
    let name = set.find(wire_name)?;
    let mut answer = BTreeSet::new();
    for (rank, record) in set.ranked(name) {
        answer.insert(format!("{} {rank:?}", data(set, record)));
        if let Record::Srv { target, .. } = record {
            for (rank, record) in set.ranked(target) {
                if matches!(record, Record::A(_) | Record::Aaaa(_)) {
                    answer.insert(format!("{target:?} has {} {rank:?}", data(set, record)));
                }
            }
        }
    }
    Some(answer)
}

/// The names whose answers differ, worked out from both sets.
fn differing(before: &RecordSet, after: &RecordSet) -> BTreeSet<Vec<u8>> {
    let text = |set: &RecordSet, name: &[u8]| {
        let found = answer(set, name)?;
        let plain = |line: String| {
            line.split_once(" has ")
                .map_or(line.clone(), |(_, has)| has.into())
        };
        Some(found.into_iter().map(plain).collect::<BTreeSet<String>>())
    };
    let names = [before, after].map(|set| {
        set.names()
            .map(|name| wire(set, name))
            .collect::<BTreeSet<_>>()
    });
    names[0]
        .union(&names[1])
        .filter(|name| text(before, name) != text(after, name))
        .cloned()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn update_equals_build_after_any_changes(
        first in world(),
        steps in vec((world(), any::<u8>()), 1..8),
    ) {
        let mut set = RecordSet::build(&first);
        let mut old = first;
        for (other, mask) in steps {
            let new = mixed(&old, &other, mask);
            let before = RecordSet::build(&old);
            let touched = set.update(&old, &new);
            let fresh = RecordSet::build(&new);
            prop_assert_eq!(contents(&set), contents(&fresh));
            // A name that ceased is still told.
            let told: BTreeSet<Vec<u8>> = touched.iter().map(|&name| wire(&set, name)).collect();
            prop_assert_eq!(told.len(), touched.len(), "each name is told once");
            for name in differing(&before, &fresh) {
                prop_assert!(told.contains(&name), "untold: {}", name::text_from_wire(&name));
            }
            old = new;
        }
    }

    #[test]
    fn nearness_follows_this_host_and_its_agents(
        first in world(),
        steps in vec((own_addresses(), proptest::option::of(agent())), 1..8),
    ) {
        let near = |world: &World, own_addresses| {
            let mut naming = (*world.naming).clone();
            naming.rules.prefer_local = true;
            naming.own_addresses = own_addresses;
            World { naming: Arc::new(naming), ..world.clone() }
        };
        let mut old = near(&first, Box::default());
        let mut set = RecordSet::build(&old);
        for (own_addresses, agent) in steps {
            let mut new = near(&old, own_addresses);
            if let Some(agent) = agent {
                let others = old.cluster.agents.iter().filter(|it| it.id != agent.id);
                new.cluster.agents = others.cloned().chain([agent.clone()]).collect();
            }
            set.update(&old, &new);
            prop_assert_eq!(contents(&set), contents(&RecordSet::build(&new)));
            old = new;
        }
    }

    #[test]
    fn nothing_is_touched_where_nothing_changed(world in world()) {
        let mut set = RecordSet::build(&world);
        prop_assert_eq!(set.update(&world, &world.clone()), vec![]);
    }

    #[test]
    fn to_and_fro_takes_no_more_room(one in world(), mut two in world()) {
        two.naming = naming_for(&one, &two);
        let mut set = RecordSet::build(&one);
        let turn = |set: &mut RecordSet| {
            set.update(&one, &two);
            set.update(&two, &one);
        };
        turn(&mut set);
        turn(&mut set);
        let slots = set.slot_counts();
        for _ in 0..4 {
            turn(&mut set);
        }
        prop_assert_eq!(set.slot_counts(), slots);
    }

    #[test]
    fn an_empty_cluster_leaves_the_apex_and_what_is_configured(world in world()) {
        let mut set = RecordSet::build(&world);
        let mut empty = world.clone();
        empty.cluster = Cluster::default();
        set.update(&world, &empty);
        prop_assert!(set.exists(set.apex()));
        prop_assert_eq!(contents(&set), contents(&RecordSet::build(&empty)));
    }
}
