//! Ten thousand different names at once, with few files to open.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{Host, ask_domain, zone};
use crate::support::crowd::{Crowd, Tally};
use crate::support::process::free_address;
use crate::support::upstream::Upstream;

const NAMES: u16 = 10_000;
const FILES_MAX: u32 = 256;
const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;

/// What was seen of the process while the crowd asked.
#[derive(Debug, Default)]
struct Seen {
    files_most: usize,
    memory_kib_most: u64,
    /// Names of the domain that were answered meanwhile.
    answered: usize,
}

/// Has the crowd ask, and the domain's names with it.
fn watch(host: &Host, crowd: &Crowd) -> (Tally, Seen) {
    let (is_over, mut seen) = (AtomicBool::new(false), Seen::default());
    let client = host.rollcall.client();
    let tally = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let tally = crowd.ask(NAMES, |number| format!("n{number}.example"));
            is_over.store(true, Ordering::SeqCst);
            tally
        });
        while !is_over.load(Ordering::SeqCst) && !asking.is_finished() {
            ask_domain(&client);
            seen.answered += 1;
            seen.files_most = seen.files_most.max(host.rollcall.open_files());
            let (memory, _) = host.rollcall.memory_and_threads();
            seen.memory_kib_most = seen.memory_kib_most.max(memory);
            thread::sleep(Duration::from_millis(5));
        }
        asking.join().expect("the crowd's end")
    });
    (tally, seen)
}

#[test]
fn ten_thousand_names_are_answered_with_256_files() {
    let knot = Upstream::knot(&zone("192.0.2.9"));
    let host = Host::within(FILES_MAX, &[knot.address()], json!({"Workers": 2}));
    let crowd = Crowd::new(host.rollcall.dns_address(), 8, 256);
    let (tally, seen) = watch(&host, &crowd);
    let good = tally.rcodes.get(&NOERROR).copied();
    assert_eq!(good, Some(usize::from(NAMES)), "{tally:?}, {seen:?}");
    assert!(tally.time < Duration::from_secs(20), "{tally:?}");
    assert!(seen.files_most < FILES_MAX as usize, "{seen:?}");
    assert!(seen.answered > 10, "{seen:?}");
}

#[test]
fn ten_thousand_names_of_a_dead_upstream_cost_neither_files_nor_memory_nor_the_domain() {
    // It takes what comes, and never reads it.
    let dead = UdpSocket::bind(free_address()).expect("a free port");
    let address = dead.local_addr().expect("an address");
    let settings = json!({"Workers": 2, "Timeout": 1});
    let host = Host::within(FILES_MAX, &[address], settings);
    let before = host.rollcall.memory_and_threads().0;
    let mut crowd = Crowd::new(host.rollcall.dns_address(), 16, usize::from(NAMES));
    crowd.repeat_after = Some(Duration::from_secs(3));
    let (tally, seen) = watch(&host, &crowd);
    let failed = tally.rcodes.get(&SERVFAIL).copied();
    assert_eq!(failed, Some(usize::from(NAMES)), "{tally:?}, {seen:?}");
    assert!(seen.files_most < FILES_MAX as usize, "{seen:?}");
    assert!(seen.answered > 10, "{seen:?}");
    let grown = seen.memory_kib_most.saturating_sub(before);
    assert!(grown < 64 * 1024, "{before} KiB and {grown} more");
}
