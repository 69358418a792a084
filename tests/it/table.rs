//! The table: what it holds is what the records say, and an updated one answers like one built anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use proptest::prelude::*;
use rollcall::records::{RecordSet, World};
use rollcall::responses::Snapshot;
use rollcall::responses::table::ResponseTable;
use rollcall::responses::turns::Turns;
use rollcall::serve::respond::{Responder, Settings};
use rollcall::serve::{Client, Outcome, Respond, Transport};

use crate::worlds::{self, answering, any_world, with_statics};

/// Every entry's octets by its name: equal tables answer byte for byte alike.
pub fn contents(table: &ResponseTable) -> BTreeMap<Vec<u8>, Vec<u8>> {
    table
        .entries()
        .map(|entry| (entry.name().to_vec(), entry.bytes().to_vec()))
        .collect()
}

fn settings() -> Settings {
    Settings {
        reverse_dns_on: true,
        ..worlds::settings()
    }
}

fn snapshot(table: ResponseTable, world: &World) -> Snapshot {
    Snapshot {
        generation: 1,
        serial: 7,
        published_at: SystemTime::UNIX_EPOCH,
        record_counts: Default::default(),
        collisions: Default::default(),
        table,
        world: Arc::new(world.clone()),
    }
}

/// The answer to a question, with the same random choices for the same seed.
fn ask(snapshot: &Snapshot, name: &[u8], rtype: u16, seed: u64) -> Vec<u8> {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(name);
    query.extend(rtype.to_be_bytes());
    query.extend([0, 1]);
    let mut response = vec![0; 65_535];
    let mut responder = Responder::new(&settings(), seed);
    match responder.respond(
        Some(snapshot),
        &query,
        Client {
            transport: Transport::Tcp,
            address: [127, 0, 0, 1].into(),
        },
        &mut response,
    ) {
        Outcome::Answer(length) => response[..length].to_vec(),
        _ => Vec::new(),
    }
}

/// Records at names that the cluster has at times, and such as lead to them.
const STATICS: &str = "$ORIGIN marathon.mesos.
web 7 A 10.5.0.1
db CNAME web
*.db CNAME web
@ TXT x
_web._tcp SRV 1 2 31000 web.slave
_static._tcp SRV 1 2 31000 web
chronos.mesos. CNAME web
web.example. CNAME web
1.0.16.172.in-addr.arpa. PTR static
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn updated_table_equals_the_one_built_anew(
        worlds in prop::collection::vec(any_world(), 2..9), seed: u64, has_statics: bool,
        held in prop::collection::vec(any::<bool>(), 9),
    ) {
        let worlds: Vec<World> = match has_statics {
            true => worlds.into_iter().map(|world| with_statics(world, STATICS)).collect(),
            false => worlds,
        };
        let mut records = RecordSet::build(&worlds[0]);
        let mut table = ResponseTable::build(&records, &answering(), 1, seed);
        let mut turns = Turns::default();
        // A reader may hold a table for long, and then another is changed in its place.
        let mut readers = Vec::new();
        for (generation, pair) in (1..).zip(worlds.windows(2)) {
            let touched = records.update(&pair[0], &pair[1]);
            let next =
                table.updated(&records, &touched, &answering(), 2, (&mut turns, generation));
            let before = std::mem::replace(&mut table, next);
            match held[generation as usize] {
                true => readers.push((contents(&before), before)),
                false => turns.take_back(generation - 1, before),
            }
            let fresh = RecordSet::build(&pair[1]);
            let anew = ResponseTable::build(&fresh, &answering(), 2, seed);
            prop_assert_eq!(table.name_count(), anew.name_count());
            prop_assert_eq!(contents(&table), contents(&anew));
            let (updated, built) = (snapshot(table.clone(), &pair[1]), snapshot(anew, &pair[1]));
            for entry in updated.table.entries() {
                for rtype in [1, 5, 28, 33, 12, 255, 16] {
                    let ours = ask(&updated, entry.name(), rtype, seed);
                    prop_assert_eq!(&ours, &ask(&built, entry.name(), rtype, seed));
                }
            }
        }
        for (was, table) in readers {
            prop_assert_eq!(was, contents(&table));
        }
    }

    #[test]
    fn every_name_is_found_and_no_other(world in any_world(), seed: u64) {
        let records = RecordSet::build(&world);
        let table = ResponseTable::build(&records, &answering(), 1, seed);
        let mut wire = Vec::new();
        let mut count = 0;
        for name in records.names() {
            wire.clear();
            records.append_wire(name, &mut wire);
            let entry = table.find(&wire);
            prop_assert!(entry.is_some_and(|entry| entry.name() == wire));
            count += 1;
            wire.insert(0, 1);
            wire.insert(1, b'!');
            prop_assert!(table.find(&wire).is_none());
        }
        prop_assert_eq!(count, table.name_count());
        prop_assert_eq!(count, table.entries().count());
    }
}
