//! Everything that can go wrong does, by chance and at the same time: with masters, ZooKeeper and resolvers,
//! with the program's memory, descriptors, disk, clock and configuration, and with the program itself. No
//! answer may be one that was not true within the bound that `truth` states, nobody may be without answers
//! for longer than `asker` says, and after each blow everything must be fresh again.
//!
//! An ordinary run takes a minute. ROLLCALL_CHAOS_SECONDS=N is for longer ones, ROLLCALL_CHAOS_SEED=N has
//! the same blows in the same order as the run that printed it, ROLLCALL_CHAOS_FAULTS=TEXT those alone whose
//! names hold the text.

mod asker;
mod faults;
mod memory;
mod proxy;
mod stand;
mod truth;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::support::namespace;
use asker::Askers;
use faults::Fault;
use stand::{APPS, MOVING, Stand};

#[test]
fn every_answer_was_true_lately_whatever_is_done_to_the_program() {
    let kinds = ["--mount"];
    if namespace::may_enter(&kinds) {
        let name = "chaos::all::every_answer_was_true_lately_whatever_is_done_to_the_program";
        if !namespace::enter(name, &kinds) {
            return;
        }
    } else {
        println!("without a namespace of its own: the disk is never full");
    }
    let seconds = number("ROLLCALL_CHAOS_SECONDS").unwrap_or(SECONDS);
    let seed = number("ROLLCALL_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{seconds} s of chaos: ROLLCALL_CHAOS_SEED={seed}");
    chaos(Duration::from_secs(seconds), Rng::with_seed(seed));
}

fn chaos(time: Duration, mut random: Rng) {
    let mut stand = Stand::new(random.fork());
    let askers = Askers::start(stand.rollcall.dns_address(), &stand.truth, &mut random);
    let mover = Mover::start(&stand, random.fork());
    let faults = wanted();
    let (mut deck, mut struck) = (Vec::new(), BTreeMap::new());
    let (mut slowest, mut early) = (Duration::ZERO, stand.uses());
    let begin = Instant::now();
    while begin.elapsed() < time && stand.truth.wrong().is_empty() {
        let blow = deal(&faults, &mut deck, &mut random);
        for fault in &blow {
            *struck.entry(fault.name()).or_insert(0) += 1;
        }
        let lasts = Duration::from_millis(random.u64(300..2_500));
        let names: Vec<_> = blow.iter().map(|fault| fault.name()).collect();
        let at = begin.elapsed().as_secs_f64();
        print!("{at:>7.2} s: {}, for {lasts:.1?}", names.join("; "));
        strike(&mut stand, &blow, lasts);
        let took = stand.wait_until_fresh();
        let uses = stand.uses();
        println!("; fresh after {took:.1?}; {uses:?}");
        slowest = slowest.max(took);
        // Sockets to resolvers are opened as they are needed.
        if begin.elapsed() < time / 2 {
            early = early.most(uses);
        }
        rest(&mut stand, Duration::from_millis(random.u64(500..1_500)));
    }
    mover.end();
    let reports = askers.end();
    let wrong = stand.truth.wrong();
    assert!(wrong.is_empty(), "{wrong:#?}\n{reports:?}");
    stand.wait_until_fresh();
    stand.wait_until_it_uses(early);
    println!("{struck:#?}\n{reports:?}");
    println!(
        "{} started anew, {} of them warm; {} packets damaged on the wire; fresh after {slowest:.1?} at most; {early:?}, then {:?}",
        stand.restarts,
        stand.warm_starts,
        stand.proxy.damaged(),
        stand.uses()
    );
    assert!(
        reports.iter().all(|report| report.answered > 500),
        "{reports:?}"
    );
    assert_eq!(stand.rollcall.metric("rollcall_worker_restarts_total"), 0.0);
    assert!(!stand.rollcall.has_line(&["panicked"]));
    stand.rollcall.signal("TERM");
    assert!(stand.rollcall.wait_for_end().0.success());
}

/// All, or those whose names hold ROLLCALL_CHAOS_FAULTS.
fn wanted() -> Vec<Box<dyn Fault>> {
    let part = std::env::var("ROLLCALL_CHAOS_FAULTS").unwrap_or_default();
    let mut faults = faults::all();
    faults.retain(|fault| fault.name().contains(&part));
    assert!(
        !faults.is_empty(),
        "ROLLCALL_CHAOS_FAULTS: a part of a name"
    );
    faults
}

/// One to three faults of different victims. Each of the list comes before any comes again.
fn deal<'a>(
    faults: &'a [Box<dyn Fault>],
    deck: &mut Vec<usize>,
    random: &mut Rng,
) -> Vec<&'a dyn Fault> {
    let mut blow: Vec<&dyn Fault> = Vec::new();
    for _ in 0..random.u8(1..4) {
        if deck.is_empty() {
            deck.extend(0..faults.len());
            random.shuffle(deck);
        }
        let fits = |&index: &usize| blow.iter().all(|it| it.victim() != faults[index].victim());
        if let Some(place) = deck.iter().rposition(fits) {
            blow.push(&*faults[deck.remove(place)]);
        }
    }
    blow
}

fn strike(stand: &mut Stand, blow: &[&dyn Fault], lasts: Duration) {
    stand.truth.spell_begins();
    for fault in blow {
        fault.begin(stand);
    }
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        for fault in blow {
            fault.go_on(stand);
        }
        stand.look_at_disk();
        thread::sleep(PAUSE);
    }
    for fault in blow.iter().rev() {
        fault.end(stand);
    }
}

/// Nothing is done, but what was done before may still bring an election.
fn rest(stand: &mut Stand, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        stand.look_at_disk();
        if !stand.masters.is_calm() {
            stand.truth.spell_begins();
            stand.wait_until_fresh();
        }
        thread::sleep(PAUSE);
    }
}

/// Moves one instance after the other, and has it known when.
struct Mover {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Mover {
    fn start(stand: &Stand, mut random: Rng) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (masters, truth) = (Arc::clone(&stand.masters), Arc::clone(&stand.truth));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let (app, name) = APPS[random.usize(..MOVING)];
                truth.step(name, || masters.step(app));
                thread::sleep(Duration::from_millis(random.u64(100..700)));
            }
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("somebody is there to be told");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: a number")),
    )
}

const SECONDS: u64 = 60;
/// Between two looks, and two turns of what goes on.
const PAUSE: Duration = Duration::from_millis(10);
