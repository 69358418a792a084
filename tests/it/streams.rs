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
    follow_source(Pieces { rest: octets, size })
}

fn follow_source(source: impl Read) -> Live {
    let mut records = Records::new(source, 1 << 30);
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
                other => format!("{} {other:?}", text(name)),
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

/// The snapshot of a v1 GET_STATE as a stream begins with it.
fn from_v1_state(path: &str) -> Live {
    let answer: serde_json::Value = serde_json::from_slice(&recording(path)).expect("JSON");
    let record = serde_json::json!({
        "type": "SUBSCRIBED",
        "subscribed": {"get_state": answer["get_state"], "heartbeat_interval_seconds": 15.0},
    })
    .to_string();
    follow(format!("{}\n{record}", record.len()).as_bytes(), usize::MAX)
}

#[test]
fn same_cluster_read_both_ways_gives_the_same_records() {
    for folder in [
        "13-many-tasks",
        "17-agent2-unreachable",
        "18-agent2-back",
        "19-marathon-torn-down",
        "20-ha/b2-leader-snap",
        "20-ha/d1-new-leader-snap",
        "50-cni",
    ] {
        assert_same(
            from_v1_state(&format!("{folder}/v1_get_state.body")),
            folder,
            &[],
        );
    }
}

#[test]
fn late_subscriber_knows_what_an_early_one_knows() {
    let late = follow(&recording("10-stream/late-json.recordio"), usize::MAX);
    assert_same(late, "13-many-tasks", &[]);
}

#[test]
fn stream_is_the_same_in_pieces_of_any_size() {
    let octets = octets_until("10-stream/json.timing", SNAPSHOTS[0].1);
    let stream = &recording("10-stream/json.recordio")[..octets];
    let whole = records(follow(stream, usize::MAX).cluster());
    for size in (1..=40).chain([63, 64, 65, 127, 1023, 4096, 65_535, 65_536, 65_537]) {
        assert!(
            records(follow(stream, size).cluster()) == whole,
            "pieces of {size}"
        );
    }
}

/// Gives the octets before a place, and then those after it.
struct Split<'a>(&'a [u8], &'a [u8]);

impl Read for Split<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let Self(first, second) = self;
        let part = if first.is_empty() { second } else { first };
        part.read(out)
    }
}

#[test]
fn stream_is_the_same_split_at_any_octet() {
    let stream = recording("20-ha/leader-stream.recordio");
    let whole = records(follow(&stream, usize::MAX).cluster());
    for place in 0..=stream.len() {
        let (first, second) = stream.split_at(place);
        let live = follow_source(Split(first, second));
        assert_eq!(live.cluster().tasks.len(), 2, "split at {place}");
        if place % 50 == 0 {
            assert!(records(live.cluster()) == whole, "split at {place}");
        }
    }
}

#[test]
fn restarted_master_is_followed_while_its_agents_come_back() {
    let stream = recording("60-master-restart/stream-after.recordio");
    // Subscribed before any agent was back: nothing, as /state had it.
    let first = octets_until("60-master-restart/stream-after.timing", 0.1);
    assert_same(
        follow(&stream[..first], usize::MAX),
        "60-master-restart/b-master-back-agents-not",
        &[],
    );
    assert_same(
        follow(&stream, usize::MAX),
        "60-master-restart/d-agents-back",
        &[],
    );
    // The order of agents, frameworks and tasks says nothing: agent 1 comes after its tasks.
    let before = follow(
        &recording("60-master-restart/stream-before.recordio"),
        usize::MAX,
    );
    assert_eq!(
        before.cluster().tasks.len(),
        follow(&stream, 7).cluster().tasks.len()
    );
}
