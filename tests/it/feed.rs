//! What the change feed tells of two tables: the names that differ, by type what went and what came.

use rollcall::dns::{name, rtype};
use rollcall::feed::{Feed, Since, TypeChange, What};
use rollcall::limits::FEED_NAMES_MAX;
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::responses::Snapshot;
use rollcall::responses::table::ResponseTable;

use crate::worlds::{snapshot, task, world_of};

/// A task that is at these addresses.
fn web(number: usize, addresses: &[[u8; 4]]) -> Task {
    let addresses = addresses.iter();
    Task {
        addresses: addresses
            .map(|&octets| (AddressSource::NetInfo, octets.into()))
            .collect(),
        ..task(&format!("web.{number}"), "web")
    }
}

fn with(tasks: Vec<Task>) -> Snapshot {
    snapshot(&world_of(tasks), 1)
}

fn names(tables: [&ResponseTable; 2]) -> Vec<Vec<u8>> {
    let entries = tables.into_iter().flat_map(ResponseTable::entries);
    let mut names: Vec<Vec<u8>> = entries.map(|entry| entry.name().to_vec()).collect();
    names.sort();
    names.dedup();
    names
}

/// Name and types of what differs.
fn told(before: &Snapshot, after: &Snapshot) -> Vec<(String, Option<Vec<TypeChange>>)> {
    let tables = [&before.table, &after.table];
    match What::between(tables[0], tables[1], &names(tables)) {
        What::All => panic!("few names"),
        What::Names(names) => names.iter().map(|it| (it.text(), it.types())).collect(),
    }
}

#[test]
fn a_moved_task_is_told_by_name_and_type() {
    let before = with(vec![web(1, &[[10, 0, 0, 1]]), web(2, &[[10, 0, 0, 2]])]);
    let after = with(vec![web(1, &[[10, 0, 0, 9]]), web(2, &[[10, 0, 0, 2]])]);
    let told = told(&before, &after);
    let of = |wanted: &str| told.iter().find(|(name, _)| name == wanted);
    let (_, types) = of("web.marathon.mesos.").expect("it moved");
    let expected = TypeChange {
        rtype: rtype::A,
        removed: vec!["10.0.0.1".into()],
        added: vec!["10.0.0.9".into()],
    };
    assert_eq!(types.as_deref(), Some(&[expected][..]));
    assert!(of("leader.mesos.").is_none(), "{told:?}");
}

#[test]
fn names_that_begin_and_cease_are_told() {
    let (none, one) = (with(vec![]), with(vec![web(1, &[[10, 0, 0, 1]])]));
    for (before, after) in [(&none, &one), (&one, &none)] {
        let told = told(before, after);
        let (_, types) = told
            .iter()
            .find(|(name, _)| name == "web.marathon.mesos.")
            .expect("it differs");
        let types = types.as_ref().expect("a short entry");
        let (went, came) = (types[0].removed.len(), types[0].added.len());
        let is_new = before.table.name_count() < after.table.name_count();
        assert_eq!((went, came), if is_new { (0, 1) } else { (1, 0) });
    }
    assert_eq!(told(&one, &one), []);
}

#[test]
fn a_name_with_very_many_records_is_told_without_them() {
    let many = |last: u8| {
        let tasks = (0..2_000_usize).map(|n| web(n, &[[10, (n >> 8) as u8, n as u8, last]]));
        with(tasks.collect())
    };
    let (before, after) = (many(1), many(2));
    let name = name::wire_from_text("web.marathon.mesos").expect("a name");
    let What::Names(names) = What::between(&before.table, &after.table, &[name]) else {
        panic!("one name");
    };
    assert_eq!((names.len(), names[0].types()), (1, None));
}

#[test]
fn a_publication_of_very_many_names_is_one_entry() {
    let (before, after) = (with(vec![]), with(vec![web(1, &[[10, 0, 0, 1]])]));
    let name = name::wire_from_text("web.marathon.mesos").expect("a name");
    let names = vec![name; FEED_NAMES_MAX + 1];
    let what = What::between(&before.table, &after.table, &names);
    assert!(matches!(what, What::All));
}

#[test]
fn readers_are_woken_and_those_that_come_later_start_over() {
    let feed = Feed::new(1);
    assert!(!feed.is_followed());
    feed.skip();
    let mut reader = feed.follow();
    assert!(feed.is_followed());
    assert!(matches!(feed.since(0, 10), Since::StartOver { index: 1 }));
    let index = *reader.borrow_and_update();
    feed.push(7, std::time::SystemTime::now(), What::All);
    assert!(reader.has_changed().expect("the feed is there"));
    let Since::Changes(changes) = feed.since(index, 10) else {
        panic!("known");
    };
    assert_eq!((changes[0].index, changes[0].serial), (2, 7));
    assert_ne!(Feed::default().epoch(), Feed::default().epoch());
}
