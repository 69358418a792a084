//! A storm: random and mutated messages at the live program, over UDP and TCP, at its own pace, with honest
//! queries in between. It must go on, answer those rightly, and have no more memory at the end than after
//! the first part.
//!
//! An ordinary run sends 200,000 packets. Ten millions, at both engines:
//!
//!     ROLLCALL_STORM_PACKETS=10000000 cargo test --test it storm:: -- --nocapture
//!
//! ROLLCALL_STORM_SEED=N repeats a storm whose seed was printed; ROLLCALL_ENGINE has one engine alone.

pub mod mutators;
mod senders;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::support::client::{A, SRV, query};
use crate::support::crowd::Crowd;
use crate::support::master::{Behaviour, Master};
use crate::support::process::{Rollcall, engine_variable};
use crate::support::state::State;
use crate::support::upstream::Upstream;
use crate::support::wait_until;
use senders::{Honest, Tally, over_tcp, over_udp};

const WEB: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

#[test]
fn a_storm_of_mutated_packets_crashes_nothing_and_leaves_no_memory_behind() {
    let packets = number("ROLLCALL_STORM_PACKETS");
    let seed = number("ROLLCALL_STORM_SEED").unwrap_or_else(|| fastrand::u64(..));
    let engines: Vec<String> = match (engine_variable(), packets) {
        (Some((_, engine)), _) => vec![engine],
        (None, None) => vec!["auto".to_owned()],
        (None, Some(_)) => vec!["epoll".to_owned(), "uring".to_owned()],
    };
    for engine in engines {
        storm(&engine, packets.unwrap_or(PACKETS), seed);
    }
}

fn storm(engine: &str, packets: u64, seed: u64) {
    println!("{packets} packets at {engine}: ROLLCALL_STORM_SEED={seed}");
    let master = Master::start(|leader| {
        let state = State::new(leader).task("web", WEB).tasks("many", 200);
        Behaviour::Serve(state.text())
    });
    let resolver = Upstream::knot(ZONE);
    let rollcall = Rollcall::listening_with(
        &[master.address()],
        json!({
            "ExternalOn": true, "Resolvers": [resolver.address().to_string()], "Workers": 2,
            "CacheBytes": CACHE_BYTES, "RefreshSeconds": 3600, "Source": "poll",
        }),
        &[("ROLLCALL_ENGINE", engine)],
    );
    wait_until("first table", || {
        rollcall.client().addresses("web.marathon.mesos") == [WEB]
    });
    let server = rollcall.dns_address();
    // A cache that fills is no leak: it is full from the beginning.
    let crowd = Crowd::new(server, 4, 32);
    crowd.ask(6_000, |number| format!("fill{number}.example"));
    let (begin, progress) = (Instant::now(), AtomicU64::new(0));
    let mut random = fastrand::Rng::with_seed(seed);
    let seeds = [(); 3].map(|()| random.u64(..));
    let share = packets * UDP_OF_100 / 100 / 2;
    let mut early = None;
    let tally = thread::scope(|scope| {
        let progress = &progress;
        let udp = [seeds[0], seeds[1]]
            .map(|seed| scope.spawn(move || over_udp(server, share, seed, &honest(), progress)));
        let tcp = packets - 2 * share;
        let tcp = scope.spawn(move || over_tcp(server, tcp, seeds[2], &honest()[0]));
        let mut next = packets / 5;
        while !udp.iter().all(thread::ScopedJoinHandle::is_finished) {
            let sent = progress.load(Ordering::Relaxed);
            if sent >= next {
                let (all, own) = rollcall.mapped_kib();
                let cache = rollcall.metric("rollcall_cache_bytes") as u64 >> 10;
                println!(
                    "{:>5.0} s: {sent} sent, RSS {all} KiB, {own} of them its own, {cache} in the cache",
                    begin.elapsed().as_secs_f64()
                );
                early.get_or_insert((all, own));
                next += packets / 10;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let mut tally = Tally::default();
        for thread in udp.into_iter().chain([tcp]) {
            tally.add(thread.join().expect("every answer is sound"));
        }
        tally
    });
    let (all, own) = rollcall.mapped_kib();
    let took = begin.elapsed().as_secs_f64();
    let received = rollcall.metric("rollcall_dns_queries_total") as u64;
    let drops = rollcall.metric("rollcall_udp_socket_drops") as u64;
    println!(
        "{took:.0} s: {received} received, {drops} lost in sockets, RSS {all} KiB, {own} of them its own"
    );
    println!("{tally:?}");

    assert_eq!(rollcall.metric("rollcall_worker_restarts_total"), 0.0);
    assert!(!rollcall.has_line(&["panicked"]));
    assert!(tally.decoded > packets / 100, "{tally:?}");
    // What was sent and not lost was received, but for messages on connections that ended before.
    assert!(
        received + drops > packets * 9 / 10,
        "{received} received, {drops} lost"
    );
    assert!(drops < packets / 50, "{drops} lost");
    let (early_all, early_own) = early.expect("a first part");
    assert!(
        own <= early_own + GROWTH_KIB_MAX,
        "{early_own} KiB, then {own} KiB"
    );
    // Pages of the program's file, which it runs the first time, are no growth; that is over early, too.
    let is_long = packets >= 1_000_000;
    assert!(
        !is_long || all <= early_all + GROWTH_KIB_MAX,
        "{early_all} KiB, then {all} KiB"
    );
}

/// What is asked in between: own names, one that does not exist, and one of the resolver.
fn honest() -> Vec<Honest> {
    let one = |name: &str, rtype, rcode, data: &[&str]| Honest {
        query: query(name, rtype),
        rcode,
        data: data.iter().map(ToString::to_string).collect(),
    };
    let good = ResponseCode::NoError;
    vec![
        one("web.marathon.mesos", A, good, &["10.1.0.1"]),
        one("a.example", A, good, &["192.0.2.1"]),
        one("no-such-name.mesos", A, ResponseCode::NXDomain, &[]),
        one("web.marathon.mesos", SRV, good, &[]),
    ]
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: a number")),
    )
}

/// Any name of it is this address.
const ZONE: &str = "$ORIGIN example.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n\
    ns A 127.0.0.1\n* A 192.0.2.1\n";
const CACHE_BYTES: usize = 256 << 10;
const PACKETS: u64 = 200_000;
/// The others go over TCP.
const UDP_OF_100: u64 = 98;
const GROWTH_KIB_MAX: u64 = 1_024;
