//! The file of the warm start, damaged in 2,000 ways: whatever is in it, it is ignored with a reason,
//! or gives a table that can be asked; it never panics, and never has memory reserved that a file of
//! its size could not need. Damage that the checksums would find is sealed with right ones as well, so
//! that the readers behind them meet it, too.

use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rollcall::mesos::live::Live;
use rollcall::records::{RecordSet, World};
use rollcall::refresh::warm::{Identity, ToSave, WarmFile, save};
use rollcall::responses::Snapshot;
use rollcall::responses::table::ResponseTable;
use rollcall::serve::respond::{Responder, Settings};
use rollcall::serve::{Client, Respond, Transport};

use crate::allocations::largest_allocation_bytes;
use crate::support::files::Folder;
use crate::worlds::{self, answering, any_world, naming, settings, snapshot};

/// What stands before the tail, as `refresh::warm` has it: identity; confirmed, serial, generation,
/// published; counts of records; naming; table; cluster.
type Head = (
    (String, Vec<String>),
    (u64, u32, u64, u64),
    [u64; 6],
    (String, bool, String, String, u32),
    ((u64, u64), u32, u64, [bool; 3], Vec<BlockHead>),
    BlockHead,
);
/// Octets, packed octets, checksum.
type BlockHead = (u64, u64, u32);

const MAGIC: &[u8] = b"ROLLCALL";
const FORMAT: u32 = 3;

/// A file taken apart.
#[derive(Clone)]
struct Parts {
    head: Head,
    /// Unpacked: those of the table, and then the cluster.
    blocks: Vec<Vec<u8>>,
}

impl Parts {
    fn of(file: &[u8]) -> Self {
        let tail = file.len() - 20;
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4"));
        let head = tail - number(tail) as usize;
        let head: Head = postcard::from_bytes(&file[head..tail]).expect("a head");
        let mut at = MAGIC.len();
        let heads = head.4.4.iter().chain([&head.5]);
        let blocks = heads.map(|(bytes, packed_bytes, _)| {
            let packed = &file[at..at + *packed_bytes as usize];
            at += packed.len();
            lz4_flex::block::decompress(packed, *bytes as usize).expect("a block")
        });
        let blocks = blocks.collect();
        Self { head, blocks }
    }

    /// A whole file with right checksums.
    fn sealed(mut self) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        let heads = self.head.4.4.iter_mut().chain([&mut self.head.5]);
        for (head, block) in heads.zip(&self.blocks) {
            let packed = lz4_flex::block::compress(block);
            let checksum = crc32fast::hash(&packed);
            *head = (block.len() as u64, packed.len() as u64, checksum);
            file.extend(packed);
        }
        let head = postcard::to_stdvec(&self.head).expect("a head");
        with_head(file, &head)
    }
}

/// Blocks with a head behind them, and a tail that fits it.
fn with_head(mut file: Vec<u8>, head: &[u8]) -> Vec<u8> {
    file.extend(head);
    for number in [head.len() as u32, crc32fast::hash(head), FORMAT] {
        file.extend(number.to_le_bytes());
    }
    file.extend(MAGIC);
    file
}

/// Bits that flip, a piece that is lost, that comes twice, or that is overwritten by another; numbers
/// that are as large or as small as can be.
fn damage(octets: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let end = octets.len();
    if end < 8 {
        return octets.push(random.u8(..));
    }
    let at = random.usize(..end - 4);
    let other = random.usize(..end - 4);
    let bytes = random.usize(1..=(end - at.max(other)).min(64));
    match random.u8(..6) {
        0 => octets.truncate(at),
        1 => drop(octets.drain(at..at + bytes)),
        2 => {
            let piece = octets[other..other + bytes].to_vec();
            drop(octets.splice(at..at, piece));
        }
        3 => octets.copy_within(other..other + bytes, at),
        4 => {
            let number = [0, 1, 0x7fff_ffff, u32::MAX, random.u32(..)][random.usize(..5)];
            octets[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        _ => {
            for _ in 0..random.usize(1..=8) {
                octets[random.usize(..end)] ^= 1 << random.u8(..8);
            }
        }
    }
}

/// Damage behind right checksums: of the table's or the cluster's octets, of what the head tells of
/// them, or of the head's own octets.
fn damaged_and_sealed(good: &[u8], parts: &Parts, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut parts = parts.clone();
    match random.u8(..4) {
        0 | 1 => {
            let last = parts.blocks.len() - 1;
            let block = if random.bool() {
                last
            } else {
                random.usize(..=last)
            };
            damage(&mut parts.blocks[block], random);
            parts.sealed()
        }
        2 => {
            let head = &mut parts.head;
            match random.u8(..5) {
                0 => head.1.0 = random.u64(..),
                1 => head.1.3 = u64::MAX,
                2 => head.4.1 = random.u32(..40),
                3 => head.4.2 = random.u64(..),
                _ => head.4.0.0 = random.u64(..),
            }
            parts.sealed()
        }
        _ => {
            let tail = good.len() - 20;
            let head_bytes = u32::from_le_bytes(good[tail..tail + 4].try_into().expect("4"));
            let (blocks, head) = good[..tail].split_at(tail - head_bytes as usize);
            let mut head = head.to_vec();
            damage(&mut head, random);
            with_head(blocks.to_vec(), &head)
        }
    }
}

fn good_file(folder: &Folder) -> (Vec<u8>, World) {
    let mut runner = TestRunner::deterministic();
    let worlds = prop::collection::vec(any_world(), 40);
    let worlds = worlds.new_tree(&mut runner).expect("worlds").current();
    let largest = worlds.into_iter().max_by_key(|it| it.cluster.tasks.len());
    let world = largest.expect("a world");
    let to_save = ToSave {
        snapshot: Arc::new(snapshot(&world, 7)),
        identity: identity(),
        confirmed_at: SystemTime::now(),
    };
    save(folder, &to_save, false).expect("written");
    let good = std::fs::read(folder.join("warm-start")).expect("the file");
    (good, world)
}

fn identity() -> Identity {
    Identity {
        zk: String::new(),
        masters: vec!["127.0.0.1:5050".into()],
    }
}

/// Opens a file and does with it what a start does; gives the reason where it is ignored.
fn start_from(folder: &Folder, file: &[u8], questions: &[Vec<u8>]) -> Result<(), String> {
    let path = folder.write("damaged", file);
    let opened = File::open(path).expect("just written");
    let warm = WarmFile::from_file(opened, &identity()).map_err(|why| why.to_string())?;
    assert!(warm.age() <= SystemTime::UNIX_EPOCH.elapsed().expect("after 1970"));
    let table = warm
        .table(&naming(), &answering())
        .map_err(|why| why.to_string())?;
    let empty = worlds::world(Vec::new(), Vec::new(), Vec::new());
    if let Some(taken) = table {
        ask_all(taken.table, &empty, questions);
    }
    let (cluster, hosts) = warm.cluster().map_err(|why| why.to_string())?;
    // Under another naming the table is made from the cluster.
    let world = World {
        cluster: cluster.clone(),
        hosts,
        naming: Arc::new(naming()),
    };
    let table = ResponseTable::build(&RecordSet::build(&world), &answering(), 1, 1);
    ask_all(table, &world, questions);
    drop(Live::new(cluster));
    Ok(())
}

fn ask_all(table: ResponseTable, world: &World, questions: &[Vec<u8>]) {
    let mut names: Vec<Vec<u8>> = table
        .entries()
        .map(|it| it.name().to_vec())
        .take(50)
        .collect();
    names.extend_from_slice(questions);
    let snapshot = Snapshot {
        generation: 1,
        serial: 1,
        published_at: SystemTime::UNIX_EPOCH,
        record_counts: Default::default(),
        collisions: Default::default(),
        table,
        world: Arc::new(world.clone()),
    };
    let settings = Settings {
        reverse_dns_on: true,
        ..settings()
    };
    let mut responder = Responder::new(&settings, 1);
    let mut response = vec![0; 65_535];
    for name in names {
        for (rtype, transport) in [
            (1_u16, Transport::Udp),
            (33, Transport::Tcp),
            (255, Transport::Udp),
        ] {
            let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(&name);
            query.extend(rtype.to_be_bytes());
            query.extend([0, 1]);
            let client = Client {
                transport,
                address: [127, 0, 0, 1].into(),
            };
            let _ = responder.respond(Some(&snapshot), &query, client, &mut response);
        }
    }
}

#[test]
fn damaged_files_give_a_reason_or_a_table_that_can_be_asked() {
    let folder = Folder::new();
    let (good, world) = good_file(&folder);
    let set = RecordSet::build(&world);
    let questions: Vec<Vec<u8>> = set
        .names()
        .take(30)
        .map(|name| {
            let mut wire = Vec::new();
            set.append_wire(name, &mut wire);
            wire
        })
        .collect();
    assert_eq!(start_from(&folder, &good, &questions), Ok(()));
    let parts = Parts::of(&good);
    assert_eq!(
        start_from(&folder, &parts.clone().sealed(), &questions),
        Ok(())
    );
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let (mut ignored, mut taken) = (0, 0);
    for round in 0..2_000 {
        let is_sealed = round % 2 == 1;
        let mut file = good.clone();
        match is_sealed {
            true => file = damaged_and_sealed(&good, &parts, &mut random),
            false => damage(&mut file, &mut random),
        }
        match start_from(&folder, &file, &questions) {
            Err(why) => {
                assert!(!why.is_empty());
                ignored += 1;
            }
            Ok(()) => {
                assert!(
                    is_sealed || file == good,
                    "round {round}: damage is believed"
                );
                taken += 1;
            }
        }
    }
    assert!(
        ignored > 1_000 && taken > 100,
        "{ignored} ignored, {taken} taken"
    );
    let largest = largest_allocation_bytes();
    // Other tests of this process have their own; a head that lies could ask for 4 GB.
    assert!(
        largest < 256 << 20,
        "{largest} octets at once for a file of {}",
        good.len()
    );
}
