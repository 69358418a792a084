//! A master's state document, cut anywhere, against the same document as a whole; with every key and
//! text escaped, so that another of our readers meets it; and against serde_json, which must not take a
//! document that we refuse. Whatever a cluster says of itself, its records can be made.

use rollcall::mesos::cluster::Cluster;
use rollcall::mesos::cut::CutError;
use rollcall::mesos::state::{StateError, StateRead, read_state};
use serde_json::Value;

use super::octets::{Octets, Pieces};
use super::world::{table_of, world_of};

const BYTES_MAX: u64 = 10_000_000;
/// More are slow to make, and no different.
const PORTS_JUDGED_MAX: usize = 300;

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let sizes = octets.piece();
    let document = octets.0;
    let whole = read_state(document, BYTES_MAX);
    let cut = read_state(Pieces::new(document, sizes), BYTES_MAX);
    match (&whole, &cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(shown(whole), shown(cut)),
        (Err(whole), Err(cut)) => assert_eq!(whole.to_string(), cut.to_string()),
        _ => panic!("{whole:?}\n{cut:?}"),
    }
    let escaped = read_state(&escaped(document)[..], BYTES_MAX);
    match (&whole, &escaped) {
        (Ok(whole), Ok(escaped)) => assert_eq!(facts(whole), facts(escaped)),
        (Err(whole), Err(escaped)) => {
            let kind = |it: &StateError| std::mem::discriminant(it);
            assert_eq!(kind(whole), kind(escaped), "{whole}\n{escaped}");
        }
        _ => panic!("{whole:?}\n{escaped:?}"),
    }
    if let Err(error @ StateError::Cut(refusal)) = &whole
        && !matches!(refusal, CutError::TooDeep { .. })
    {
        let value = serde_json::from_slice::<Value>(document);
        assert!(!value.is_ok_and(|it| it.is_object()), "{error}");
    }
    if let Ok(read) = whole {
        judge_records(read.cluster);
    }
}

fn shown(read: &StateRead) -> String {
    format!("{read:?}")
}

/// What does not tell how the document was spelled.
fn facts(read: &StateRead) -> String {
    let Cluster {
        leader,
        master_id,
        frameworks,
        agents,
        tasks,
        skipped_count,
        ..
    } = &read.cluster;
    let tasks: Vec<_> = tasks.iter().collect();
    let bad_count = read.bad_count;
    format!(
        "{leader:?} {master_id:?} {frameworks:?} {agents:?} {tasks:?} {skipped_count} {bad_count}"
    )
}

/// The first letter or digit of each text as an escape.
fn escaped(document: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(document.len() + document.len() / 2);
    let (mut in_text, mut is_first) = (false, false);
    let mut octets = document.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => {
                in_text = !in_text;
                is_first = true;
                out.push(b'"');
            }
            b'\\' if in_text => {
                is_first = false;
                out.push(b'\\');
                out.extend(octets.next());
            }
            octet if in_text && is_first && octet.is_ascii_alphanumeric() => {
                out.extend(format!("\\u{octet:04x}").bytes());
                is_first = false;
            }
            octet => {
                is_first = false;
                out.push(*octet);
            }
        }
    }
    out
}

/// Records and their answers can be made of it.
pub fn judge_records(cluster: Cluster) {
    let tasks = cluster.tasks.iter();
    let ports = tasks.map(|task| {
        let ranges = task.port_ranges.iter();
        let ports = ranges.map(|(first, last)| usize::from(last.saturating_sub(*first)) + 1);
        ports.sum::<usize>() + task.discovery.as_ref().map_or(0, |it| it.ports.len())
    });
    if ports.sum::<usize>() <= PORTS_JUDGED_MAX {
        let world = world_of(cluster, Default::default());
        let table = table_of(&world);
        for entry in table.entries() {
            assert!(entry.name().len() <= 255);
            assert!(table.find(entry.name()).is_some());
        }
    }
}
