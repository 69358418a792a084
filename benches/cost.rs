//! The work whose instructions `tests/cost` counts, one kind after the other: `respond` by kind of
//! query, batches as an engine answers them, what is counted of an answer, and a changed task on its way
//! to a published table.
//! Prints each kind with how often it was done. Every run does the same: it must draw nothing from
//! the clock, the system's randomness or an address.

mod common;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use rollcall::config::Config;
use rollcall::dns::cookie::Secret;
use rollcall::dns::name::wire_from_text;
use rollcall::dns::rtype;
use rollcall::dns::subnet::Blocks;
use rollcall::limits::UDP_BATCH_DATAGRAMS;
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::mesos::events::Event;
use rollcall::mesos::live::Live;
use rollcall::records::{RecordSet, World};
use rollcall::responses::Snapshot;
use rollcall::responses::publish::Publisher;
use rollcall::responses::table::{ResponseTable, Seeds};
use rollcall::responses::turns::Turns;
use rollcall::serve::rates::Rates;
use rollcall::serve::respond::{Limiting, Responder, Settings};
use rollcall::serve::{Client, Respond, Transport};
use rollcall::stats::WorkerStats;
use rollcall::stats::traffic::{QueryType, Route};

fn main() {
    assert!(Seeds::fix_process(1), "before the first table");
    let world = common::world(TASKS_ASKED);
    let snapshot = snapshot(&world, &RecordSet::build(&world));
    for (kind, queries) in kinds(&snapshot) {
        let mut responder = responder();
        count(kind, queries.len(), || {
            alone(&mut responder, &snapshot, &queries)
        });
    }
    for (kind, rtype, records) in [("A", rtype::A, 1), ("SRV, 4 targets", rtype::SRV, 4)] {
        let queries = existing(&snapshot, rtype, records, true);
        let kind = format!("batches of 64, {kind}");
        let mut responder = responder();
        count(&kind, queries.len(), || {
            in_batches(&mut responder, &snapshot, &queries)
        });
    }
    let stats = WorkerStats::default();
    let answers = [[0, 0, 0x84, 0x80], [0, 0, 0x84, 0x83]];
    count("a query and its answer counted", QUERIES, || {
        (0..QUERIES).for_each(|turn| count_one(&stats, &answers[turn % 2]));
    });
    count("the time of a batch noted", QUERIES, || {
        (0..QUERIES).for_each(|turn| {
            let took = black_box(Duration::from_nanos(500 + 100 * turn as u64));
            stats.note_latency(Transport::Udp, took, black_box(3));
        });
    });
    let limiting = Limiting {
        per_second: 50,
        slip: 2,
        exempt: exempt(),
    };
    let mut rates = Rates::default();
    for (kind, client) in [
        ("an answer to an exempt client let pass", [192, 168, 1, 1]),
        ("an answer to a stranger weighed", [192, 0, 2, 1]),
    ] {
        let mut answer = query(
            &wire_from_text("web.marathon.mesos").expect("a name"),
            1,
            false,
        );
        // A response with nothing in it but TC.
        answer[2] = 0x82;
        count(kind, QUERIES, || {
            (0..QUERIES).for_each(|turn| {
                let client = IpAddr::from(black_box(client));
                if limiting.covers(client) {
                    let now_ms = black_box(turn as u64);
                    black_box(rates.judge(&limiting, client, false, black_box(&answer), now_ms));
                }
            });
        });
    }
    for tasks in [1_000, 10_000] {
        let mut changed = Changed::among(tasks);
        // What the first changes allocate, later ones use again.
        (0..CHANGES_BEFORE).for_each(|_| changed.move_task());
        let kind = format!("a task moved among {tasks}");
        count(&kind, CHANGES, || {
            (0..CHANGES).for_each(|_| changed.move_task());
        });
    }
}

/// The default of RateLimitExempt.
fn exempt() -> Blocks {
    let blocks = Config::default().rate_limit_exempt;
    Blocks::new(&blocks)
}

/// Does the work where `tests/cost` counts, and says of what it was the count.
fn count(kind: &str, times: usize, mut work: impl FnMut()) {
    counted(&mut work);
    println!("{times}\t{kind}");
}

/// Callgrind counts while this runs. Not the last thing it does is the work, for then the compiler
/// would jump there and callgrind see no end of it.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

fn snapshot(world: &World, records: &RecordSet) -> Snapshot {
    Snapshot {
        generation: 1,
        serial: 1,
        published_at: SystemTime::UNIX_EPOCH,
        record_counts: Default::default(),
        collisions: Default::default(),
        table: ResponseTable::build(records, &common::answering(), 1, 1),
        world: Arc::new(world.clone()),
    }
}

fn kinds(snapshot: &Snapshot) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let existing = |rtype, records, with_edns| existing(snapshot, rtype, records, with_edns);
    let repeated = |query: Vec<u8>| vec![query; QUERIES];
    let wire = |name: &str| wire_from_text(name).expect(name);
    let nodata = existing(rtype::A, 1, false).into_iter().map(|mut query| {
        let at = query.len() - 3;
        query[at] = rtype::AAAA as u8;
        query
    });
    let absent = (0..QUERIES).map(|index| {
        let name = wire(&format!(
            "nothing{index}.group{}.marathon.mesos",
            index % 50
        ));
        query(&name, rtype::A, true)
    });
    let mut random = fastrand::Rng::with_seed(3);
    let garbage = (0..QUERIES).map(|_| {
        // The header of a query, so that it is answered.
        let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(std::iter::repeat_with(|| random.u8(..)).take(40));
        query
    });
    vec![
        ("A, 1 address", existing(rtype::A, 1, false)),
        ("A, 4 addresses", existing(rtype::A, 4, false)),
        ("A, 4 addresses, EDNS", existing(rtype::A, 4, true)),
        (
            "SRV, 4 targets with addresses, EDNS",
            existing(rtype::SRV, 4, true),
        ),
        ("PTR", existing(rtype::PTR, 1, true)),
        ("NODATA", nodata.collect()),
        ("NXDOMAIN, EDNS", absent.collect()),
        ("SOA", repeated(query(&wire("mesos"), rtype::SOA, false))),
        (
            "outside, REFUSED",
            repeated(query(&wire("www.example.com"), rtype::A, false)),
        ),
        ("garbage, FORMERR", garbage.collect()),
    ]
}

/// Queries for names that have so many records of a type, in an order of no meaning.
fn existing(snapshot: &Snapshot, rtype: u16, records: usize, edns: bool) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = snapshot
        .table
        .entries()
        .filter(|entry| {
            let rrset = entry.rrset(rtype);
            rrset.is_some_and(|rrset| rrset.record_count == records)
        })
        .map(|entry| entry.name())
        .collect();
    names.sort_unstable();
    fastrand::Rng::with_seed(2).shuffle(&mut names);
    let names = names.iter().take(QUERIES);
    let queries: Vec<_> = names.map(|name| query(name, rtype, edns)).collect();
    assert_eq!(
        queries.len(),
        QUERIES,
        "names with {records} records of {rtype}"
    );
    queries
}

/// As resolvers of today ask: every third letter is upper case.
fn query(name: &[u8], rtype: u16, edns: bool) -> Vec<u8> {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    query.extend(name);
    query
        .iter_mut()
        .skip(12)
        .step_by(3)
        .for_each(|octet| octet.make_ascii_uppercase());
    query.extend(rtype.to_be_bytes());
    query.extend([0, 1]);
    if edns {
        query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    query
}

fn responder() -> Responder {
    let settings = Settings {
        domain: common::answering().domain,
        recurse_on: true,
        set_truncate_bit: true,
        reverse_dns_on: true,
        reverse_zones: [].into(),
        subnet_first: None,
        chaos: None,
        limiting: Limiting::default(),
        cookie_secret: Secret::new([7; 16]),
        forwarding: None,
    };
    Responder::new(&settings, 1)
}

fn alone(responder: &mut Responder, snapshot: &Snapshot, queries: &[Vec<u8>]) {
    let mut response = [0; 1232];
    for query in queries {
        let response = black_box(&mut response);
        black_box(responder.respond(Some(snapshot), black_box(query), CLIENT, response));
    }
}

/// As an engine does it.
fn in_batches(responder: &mut Responder, snapshot: &Snapshot, queries: &[Vec<u8>]) {
    let mut response = [0; 1232];
    let snapshot = Some(snapshot);
    for queries in queries.chunks(UDP_BATCH_DATAGRAMS) {
        responder.begin_batch(0);
        for (place, query) in queries.iter().enumerate() {
            responder.read(snapshot, place, black_box(query));
        }
        (0..queries.len()).for_each(|place| responder.fetch_slot(snapshot, place));
        (0..queries.len()).for_each(|place| responder.fetch_entry(snapshot, place));
        for (place, query) in queries.iter().enumerate() {
            let response = black_box(&mut response);
            black_box(responder.respond_read(snapshot, place, query, CLIENT, response));
        }
    }
}

/// As a worker does it, of what the responder told.
fn count_one(stats: &WorkerStats, answer: &[u8]) {
    stats.count_query(Transport::Udp, black_box(QueryType::A));
    stats.count_answer(Transport::Udp, black_box(Route::Table), black_box(answer));
}

/// What the refresh thread has: all but sockets, host names and the clock.
struct Changed {
    live: Live,
    world: Arc<World>,
    records: RecordSet,
    publisher: Publisher,
    turns: Turns,
    tasks: Vec<Arc<Task>>,
    turn: usize,
}

impl Changed {
    fn among(tasks: usize) -> Self {
        let world = common::world(tasks);
        let records = RecordSet::build(&world);
        let mut publisher = Publisher::new(Arc::new(ArcSwapOption::empty()));
        publisher.publish(snapshot(&world, &records));
        Self {
            live: Live::new(world.cluster.clone()),
            tasks: world.cluster.tasks.iter().cloned().collect(),
            world: Arc::new(world),
            records,
            publisher,
            turns: Turns::default(),
            turn: 0,
        }
    }

    /// An event gives a task another address; the table that has it is published, and the one before
    /// comes back.
    fn move_task(&mut self) {
        self.turn += 1;
        let index = self.turn * 7_919 % self.tasks.len();
        let mut task = Task::clone(&self.tasks[index]);
        let address = 0x0a00_0000 + self.turn as u32;
        task.addresses = [(AddressSource::NetInfo, address.to_be_bytes().into())].into();
        self.live.apply(Event::TaskAdded(Arc::new(task)));
        let world = Arc::new(World {
            cluster: self.live.cluster().clone(),
            ..World::clone(&self.world)
        });
        let touched = self.records.update(&self.world, &world);
        assert!(!touched.is_empty(), "a task moved");
        let current = self.publisher.current().expect("a Snapshot");
        let generation = current.generation + 1;
        let turns = (&mut self.turns, generation);
        let answering = common::answering();
        let table = current
            .table
            .updated(&self.records, &touched, &answering, 2, turns);
        drop(current);
        self.publisher.publish(Snapshot {
            generation,
            serial: 2,
            published_at: SystemTime::UNIX_EPOCH,
            record_counts: self.records.record_counts(),
            collisions: Default::default(),
            table,
            world: Arc::clone(&world),
        });
        self.world = world;
        let turns = &mut self.turns;
        self.publisher
            .free_retired(|snapshot| turns.take_back(snapshot.generation, snapshot.table));
    }
}

const CLIENT: Client = Client {
    transport: Transport::Udp,
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
};
const TASKS_ASKED: usize = 10_000;
/// Of each kind.
const QUERIES: usize = 1_024;
const CHANGES: usize = 256;
const CHANGES_BEFORE: usize = 64;
