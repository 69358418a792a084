//! Hand-picked rules of static records beside those of a cluster.

use std::sync::Arc;

use super::explain::explain;
use super::rules::{add_framework, check, framework, records, task, text, world};
use super::{Naming, Reason, RecordSet, World};
use crate::zonefile::{self, Around};

/// A cluster of one task `web` of `marathon`, with these static records.
fn world_with(statics: &str) -> World {
    let mut world = world(vec![task("web.1", "web")]);
    let around = Around {
        domain: "mesos".into(),
        soa_mname: "ns1.mesos.".into(),
        ttl_seconds: 60,
    };
    let statics = zonefile::parse("static.zone", statics.as_bytes(), &around).expect("records");
    world.naming = Arc::new(Naming {
        statics: Arc::new(statics),
        ..(*world.naming).clone()
    });
    world
}

#[test]
fn static_records_stand_beside_those_of_the_cluster() {
    let set = RecordSet::build(&world_with(
        "web.marathon A 10.0.0.1\n\
         web.marathon A 10.9.9.9\n\
         leader TXT hello\n\
         db.example. A 10.8.0.1\n",
    ));
    check(&set, "web.marathon.mesos", &["10.0.0.1", "10.9.9.9"]);
    check(&set, "leader.mesos", &["127.0.0.1", "\\x05hello"]);
    check(&set, "db.example", &["10.8.0.1"]);
    check(&set, "example", &[]);
    assert_eq!(records(&set, "marathon.example"), None);
    assert!(set.marks().outside && !set.marks().wildcards);
}

#[test]
fn cluster_wins_over_a_cname_and_gives_it_back() {
    let before =
        world_with("chronos CNAME web.marathon\nalias CNAME web.marathon\n*.x CNAME leader\n");
    let mut set = RecordSet::build(&before);
    assert!(!set.marks().outside && set.marks().wildcards);
    assert_eq!(set.left_out().count(Reason::BesideCname), 0);
    let mut after = before.clone();
    add_framework(&mut after, framework("chronos", "10.9.0.2"));
    let told = set.update(&before, &after);
    assert!(
        told.iter()
            .any(|&name| text(&set, name) == "chronos.mesos.")
    );
    assert_eq!(set.left_out().count(Reason::BesideCname), 1);
    let left_out: Vec<String> = set.cnames_left_out().map(|name| text(&set, name)).collect();
    assert_eq!(left_out, ["chronos.mesos."]);
    let explanation = explain(&after, "chronos.mesos");
    let shown: Vec<&str> = explanation.records.iter().map(|it| it.rtype).collect();
    assert_eq!((shown, explanation.record_count), (vec!["A"], 1));
    assert!(
        explanation.notes[0].contains("static.zone:1"),
        "{explanation}"
    );
    let told = set.update(&after, &before);
    assert!(
        told.iter()
            .any(|&name| text(&set, name) == "chronos.mesos.")
    );
    assert_eq!(set.left_out().count(Reason::BesideCname), 0);
}

#[test]
fn explain_says_where_a_static_record_stands() {
    let world = world_with(
        "db A 10.8.0.1\n\n@ TXT \"a b\" c\n*.lab.example. A 10.8.0.2\nx.y.lab.example. A 10.8.0.3\n\
         1.0.0.10.in-addr.arpa. PTR db\n_db._tcp SRV 0 0 5432 db\n",
    );
    let of = |name| explain(&world, name).to_string();
    let text = of("db.mesos");
    assert!(
        text.contains("A 10.8.0.1\n    static record of static.zone:1\n"),
        "{text}"
    );
    let text = of("mesos");
    assert!(
        text.contains("TXT \"a b\" \"c\"\n    static record of static.zone:3\n"),
        "{text}"
    );
    let text = of("_db._tcp.mesos");
    assert!(text.contains("SRV 5432 db.mesos."), "{text}");
    for name in ["a.lab.example", "b.a.lab.example"] {
        let text = of(name);
        assert!(
            text.contains("the wildcard *.lab.example. covers it"),
            "{text}"
        );
        assert!(
            text.contains("A 10.8.0.2\n    static record of static.zone:4\n"),
            "{text}"
        );
    }
    for name in ["z.y.lab.example", "other.example"] {
        let text = of(name);
        assert!(
            text.contains("does not exist") && !text.contains("covers"),
            "{text}"
        );
    }
    let text = of("1.0.0.10.in-addr.arpa");
    assert!(text.contains("PTR db.mesos."), "{text}");
    assert!(text.contains("1 PTR of the cluster left out"), "{text}");
    assert!(!text.contains("PTR web.marathon"), "{text}");
}
