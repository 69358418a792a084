//! The event stream of a real master, replayed: however its octets arrive, after each step the records
//! made from it equal those made from the `/state` of the same moment.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use rollcall::mesos::check::{Differences, Touched};
use rollcall::mesos::cluster::Cluster;
use rollcall::mesos::events::{EventReader, Told};
use rollcall::mesos::hosts::Hosts;
use rollcall::mesos::live::{Effect, Live};
use rollcall::mesos::recordio::Records;
use rollcall::mesos::state::read_state;
use rollcall::records::{Record, RecordSet, World};

use crate::worlds::naming;

pub fn recording(path: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recordings")
        .join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Gives its octets in pieces of so many, to the very end.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.size.min(out.len()).min(self.rest.len());
        let (now, rest) = self.rest.split_at(count);
        out[..count].copy_from_slice(now);
        self.rest = rest;
        Ok(count)
    }
}

/// Follows a stream that arrives in pieces; panics on what a real master never sends.
fn follow(octets: &[u8], size: usize) -> Live {
    let mut records = Records::new(Pieces { rest: octets, size }, 1 << 30);
    let mut reader = EventReader::default();
    let mut live = Live::default();
    while records.next_record().expect("a record").is_some() {
        match reader.read(&mut records).expect("a record of JSON") {
            Told::Subscribed(subscribed) => {
                assert!(subscribed.heartbeat.is_some_and(|it| it.as_secs() == 15));
                assert_eq!(subscribed.bad_count, 0);
                live = Live::new(subscribed.cluster);
            }
            Told::Event(event) => {
                let text = format!("{event:?}");
                assert_ne!(live.apply(event), Effect::Unfitting, "{text}");
            }
            Told::Heartbeat => {}
            other => panic!("{other:?}"),
        }
    }
    live
}

/// Every name that exists, and every record, as text.
fn records(cluster: &Cluster) -> BTreeSet<String> {
    let world = World {
        cluster: cluster.clone(),
        hosts: Hosts::default(),
        naming: Arc::new(naming()),
    };
    let set = RecordSet::build(&world);
    let text = |name| {
        let mut wire = Vec::new();
        set.append_wire(name, &mut wire);
        rollcall::dns::name::text_from_wire(&wire)
    };
    let mut lines = BTreeSet::new();
    for name in set.names() {
        lines.insert(text(name));
        for record in set.records(name) {
            lines.insert(match record {
                Record::A(address) => format!("{} A {address}", text(name)),
                Record::Aaaa(address) => format!("{} AAAA {address}", text(name)),
                Record::Srv { port, target } => {
                    format!("{} SRV {port} {}", text(name), text(target))
                }
                Record::Ptr { target } => format!("{} PTR {}", text(name), text(target)),
            });
        }
    }
    lines
}

/// Compares with `/state` as the program does, expects these differences and no others, and then has
/// the same records from both.
fn assert_same(mut live: Live, folder: &str, expected: &[&str]) {
    let state = recording(&format!("{folder}/state.body"));
    let mut from_state = read_state(&state[..], u64::MAX).expect("a state").cluster;
    // What a document wrote in its own way stays as it is, so that the comparison is one of readers.
    let untouched = read_state(&state[..], u64::MAX).expect("a state").cluster;
    let differences = Differences::between(&live, &mut from_state, &Touched::default());
    let found: Vec<&str> = differences.iter().map(|it| &*it.what).collect();
    assert_eq!(found, expected, "{folder}");
    differences.mend(&mut live, &from_state);
    let mut from_stream = live.cluster().clone();
    from_stream.leader.clone_from(&untouched.leader);
    let (ours, theirs) = (records(&from_stream), records(&untouched));
    let (more, less): (Vec<_>, Vec<_>) = (
        ours.difference(&theirs).collect(),
        theirs.difference(&ours).collect(),
    );
    assert!(
        more.is_empty() && less.is_empty(),
        "{folder}: the stream has {more:?} and lacks {less:?}"
    );
    let count = |cluster: &Cluster| (cluster.tasks.len(), cluster.agents.len());
    assert_eq!(count(&from_stream), count(&untouched), "{folder}");
}

/// Where the stream stood at a second of its recording: octets of the records that had come.
fn octets_until(timing: &str, seconds: f64) -> usize {
    let text = String::from_utf8(recording(timing)).expect("text");
    let mut octets = 0;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<f64>().ok());
        if let (Some(at), Some(_), Some(end)) = (number(), number(), number())
            && at <= seconds
        {
            octets = end as usize;
        }
    }
    octets
}

/// A task whose second running status has other addresses than its first: a master tells subscribers
/// of a status only where it changes the task's state.
const UNTOLD: &[&str] = &["task \"flips.1\""];

/// Snapshots, seconds into the recording at which each was taken (it began at 12:54:02.0 by the clock
/// of its machine), and what only `/state` knows of them.
const SNAPSHOTS: [(&str, f64, &[&str]); 4] = [
    ("13-many-tasks", 38.9, UNTOLD),
    ("17-agent2-unreachable", 71.9, UNTOLD),
    ("18-agent2-back", 79.4, UNTOLD),
    ("19-marathon-torn-down", 94.9, &[]),
];

#[test]
fn after_each_step_the_stream_gives_the_records_of_the_state() {
    let stream = recording("10-stream/json.recordio");
    for (folder, seconds, untold) in SNAPSHOTS {
        let octets = octets_until("10-stream/json.timing", seconds);
        assert_same(follow(&stream[..octets], usize::MAX), folder, untold);
    }
}
