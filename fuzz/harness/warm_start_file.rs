//! The file of the warm start, damaged: what its checksums cover is never believed, and what stands
//! behind right checksums makes nothing fall. Octets are a file, edits of a good one, or edits of one of
//! its blocks, which is sealed anew.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rollcall::dns::cookie::Secret;
use rollcall::mesos::live::Live;
use rollcall::records::World;
use rollcall::refresh::warm::{Identity, ToSave, WarmFile, save};
use rollcall::responses::Snapshot;
use rollcall::responses::table::ResponseTable;
use rollcall::serve::respond::{Limiting, Responder, Settings};
use rollcall::serve::{Client, Respond, Transport};

use super::config::folder;
use super::octets::Octets;
use super::wire::wire;
use super::world::{answering, small, table_of};

const MAGIC: &[u8] = b"ROLLCALL";
const FORMAT: u32 = 3;
const TAIL_BYTES: usize = 20;

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

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let good = good();
    match octets.u8() % 4 {
        0 => drop(start_from(octets.0)),
        1 => {
            let mut file = good.to_vec();
            edit(&mut file, &mut octets);
            let started = start_from(&file);
            assert!(file == good || started.is_err(), "damage is believed");
        }
        2 => {
            let (mut head, mut blocks) = taken_apart(good);
            let number = usize::from(octets.u8()) % blocks.len();
            edit(&mut blocks[number], &mut octets);
            drop(start_from(&sealed(&mut head, &blocks)));
        }
        _ => {
            let (head, blocks) = good[..good.len() - TAIL_BYTES].split_at(head_at(good));
            let mut edited = blocks.to_vec();
            edit(&mut edited, &mut octets);
            drop(start_from(&with_head(head.to_vec(), &edited)));
        }
    }
}

/// Up to four edits, each at a place: octets written over, put in, or taken out.
fn edit(file: &mut Vec<u8>, octets: &mut Octets<'_>) {
    for _ in 0..1 + octets.u8() % 4 {
        let at = usize::from(octets.u16()) % (file.len() + 1);
        let kind = octets.u8();
        let piece = octets.piece();
        match kind % 3 {
            0 => {
                let end = (at + piece.len()).min(file.len());
                file[at..end].copy_from_slice(&piece[..end - at]);
            }
            1 => drop(file.splice(at..at, piece.iter().copied())),
            _ => drop(file.drain(at..(at + piece.len()).min(file.len()))),
        }
    }
}

/// The small World's file, written as ever.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let folder = folder().join(format!("rollcall-fuzz-warm-{}", std::process::id()));
        let to_save = ToSave {
            snapshot: Arc::new(published(table_of(small()))),
            identity: identity(),
            confirmed_at: SystemTime::UNIX_EPOCH,
        };
        save(&folder, &to_save, true).expect("written");
        let good = std::fs::read(folder.join("warm-start")).expect("the file");
        std::fs::remove_dir_all(folder).expect("a folder of our own");
        assert!(start_from(&good).is_ok());
        good
    })
}

fn identity() -> Identity {
    Identity {
        zk: String::new(),
        masters: vec!["127.0.0.1:5050".into()],
    }
}

fn published(table: ResponseTable) -> Snapshot {
    Snapshot {
        generation: 1,
        serial: 7,
        published_at: SystemTime::UNIX_EPOCH,
        record_counts: Default::default(),
        collisions: Default::default(),
        table,
        world: Arc::new(small().clone()),
    }
}

/// Opens a file and does with it what a start does; an error is why it is ignored.
fn start_from(octets: &[u8]) -> Result<(), String> {
    let warm = WarmFile::from_file(file_of(octets), &identity()).map_err(|why| why.to_string())?;
    let _ = (warm.age(), warm.serial());
    let naming = &small().naming;
    let taken = warm
        .table(naming, &answering())
        .map_err(|why| why.to_string())?;
    if let Some(taken) = taken {
        ask(&published(taken.table));
    }
    let (cluster, hosts) = warm.cluster().map_err(|why| why.to_string())?;
    // Under another configuration the table is made of the cluster.
    let world = World {
        cluster: cluster.clone(),
        hosts,
        naming: naming.clone(),
    };
    let tasks = world.cluster.tasks.iter();
    let ranges = tasks.flat_map(|task| task.port_ranges.iter());
    let ports: usize = ranges
        .map(|(first, last)| usize::from(last.saturating_sub(*first)))
        .sum();
    if ports < 2_000 {
        ask(&published(table_of(&world)));
    }
    drop(Live::new(cluster));
    Ok(())
}

/// One file, written anew each time.
fn file_of(octets: &[u8]) -> File {
    static FILE: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (path, file) = FILE.get_or_init(|| {
        let path = folder().join(format!("rollcall-fuzz-warm-file-{}", std::process::id()));
        let file = File::create(&path).expect("a file of our own");
        (path, file)
    });
    let mut out = file;
    file.set_len(0).expect("a file of our own");
    out.rewind().expect("a file");
    out.write_all(octets).expect("room for it");
    File::open(path).expect("the same")
}

/// Whatever is in a table, it can be asked.
fn ask(snapshot: &Snapshot) {
    let own = snapshot.table.entries().map(|entry| entry.name().to_vec());
    let mut names: Vec<Vec<u8>> = own.take(8).collect();
    names.extend(
        [
            "web.marathon.mesos",
            "big.marathon.mesos",
            "www.mesos",
            "_web._tcp.marathon.mesos",
        ]
        .map(wire),
    );
    let settings = Settings {
        domain: wire("mesos").into(),
        recurse_on: true,
        set_truncate_bit: true,
        reverse_dns_on: true,
        reverse_zones: [].into(),
        subnet_first: None,
        chaos: None,
        limiting: Limiting::default(),
        cookie_secret: Secret::new([0; 16]),
        forwarding: None,
    };
    let mut responder = Responder::new(&settings, 1);
    let mut response = vec![0; 65_535];
    for name in names {
        for (rtype, transport) in [
            (1, Transport::Udp),
            (33, Transport::Tcp),
            (255, Transport::Udp),
        ] {
            let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(&name);
            query.extend([0, rtype, 0, 1]);
            let address = [127, 0, 0, 1].into();
            let client = Client { transport, address };
            let _ = responder.respond(Some(snapshot), &query, client, &mut response);
        }
    }
}

/// Where the head begins.
fn head_at(file: &[u8]) -> usize {
    let tail = file.len() - TAIL_BYTES;
    let bytes = file[tail..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes));
    tail - bytes as usize
}

/// The head, and the blocks unpacked: those of the table, and then the cluster.
fn taken_apart(file: &[u8]) -> (Head, Vec<Vec<u8>>) {
    let head = &file[head_at(file)..file.len() - TAIL_BYTES];
    let head: Head = postcard::from_bytes(head).expect("a head");
    let mut at = MAGIC.len();
    let heads = head.4.4.iter().chain([&head.5]);
    let blocks = heads.map(|(bytes, packed_bytes, _)| {
        let packed = &file[at..at + *packed_bytes as usize];
        at += packed.len();
        lz4_flex::block::decompress(packed, *bytes as usize).expect("a block")
    });
    let blocks = blocks.collect();
    (head, blocks)
}

/// A whole file with right checksums.
fn sealed(head: &mut Head, blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    let heads = head.4.4.iter_mut().chain([&mut head.5]);
    for (head, block) in heads.zip(blocks) {
        let packed = lz4_flex::block::compress(block);
        *head = (
            block.len() as u64,
            packed.len() as u64,
            crc32fast::hash(&packed),
        );
        file.extend(packed);
    }
    with_head(file, &postcard::to_stdvec(head).expect("a head"))
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
