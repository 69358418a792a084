//! What can go wrong, each a type of its own in one list. A fault begins, may do more while it is on, and
//! ends; the stand is as before then, but for what follows of it.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;

use rollcall::simulate::faults::{Scope, StateFault, StreamFault};
use serde_json::{Value, json};

use super::memory::prlimit;
use super::stand::Stand;
use super::truth::Excuses;
use crate::chaos::rubbish::{KINDS, Rubbish};
use crate::support::client::{A, query};

pub trait Fault {
    fn name(&self) -> &'static str;
    /// Whom it strikes: of those that strike the same one is on at a time.
    fn victim(&self) -> Victim;
    fn begin(&self, stand: &mut Stand);
    /// Again and again, every few milliseconds.
    fn go_on(&self, _stand: &mut Stand) {}
    fn end(&self, stand: &mut Stand);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Master,
    ZooKeeper,
    Upstreams,
    Program,
    Limits,
    Disk,
    Clock,
    Configuration,
}

pub fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(LeaderDies),
        Box::new(LeaderIsWrong),
        Box::new(LeaderStandsStill),
        Box::new(ZooKeeperDies),
        Box::new(ZooKeeperStandsStill),
        Box::new(UpstreamsDie::default()),
        Box::new(UpstreamsStandStill::default()),
        Box::new(ProgramDies),
        Box::new(ProgramRestarts),
        Box::new(ProgramStandsStill),
        Box::new(MemoryRunsOut::default()),
        Box::new(DescriptorsRunOut::default()),
        Box::new(DiskFills),
        Box::new(ClockJumps),
        Box::new(Reloads),
    ]
}

struct LeaderDies;

impl Fault for LeaderDies {
    fn name(&self) -> &'static str {
        "the leader is killed"
    }
    fn victim(&self) -> Victim {
        Victim::Master
    }
    fn begin(&self, stand: &mut Stand) {
        stand.masters.kill_leader();
    }
    fn end(&self, stand: &mut Stand) {
        stand.masters.revive(std::time::Duration::ZERO);
    }
}

struct LeaderIsWrong;

impl Fault for LeaderIsWrong {
    fn name(&self) -> &'static str {
        "the leader answers rubbish"
    }
    fn victim(&self) -> Victim {
        Victim::Master
    }
    fn begin(&self, stand: &mut Stand) {
        let kind = &KINDS[stand.random.usize(..KINDS.len())];
        stand.masters.spoil(kind);
    }
    fn end(&self, stand: &mut Stand) {
        stand.masters.amend();
    }
}

/// The masters are threads of the test: one that takes connections and says nothing is as one that was
/// stopped.
struct LeaderStandsStill;

impl Fault for LeaderStandsStill {
    fn name(&self) -> &'static str {
        "the leader stands still"
    }
    fn victim(&self) -> Victim {
        Victim::Master
    }
    fn begin(&self, stand: &mut Stand) {
        stand.masters.spoil(&STILL);
    }
    fn end(&self, stand: &mut Stand) {
        stand.masters.amend();
    }
}

const STILL: Rubbish = Rubbish {
    streams: &[
        (Scope::New, StreamFault::Silence),
        (Scope::Open, StreamFault::Silence),
    ],
    state: StateFault::Slow(std::time::Duration::from_secs(5)),
};

struct ZooKeeperDies;

impl Fault for ZooKeeperDies {
    fn name(&self) -> &'static str {
        "ZooKeeper is killed"
    }
    fn victim(&self) -> Victim {
        Victim::ZooKeeper
    }
    fn begin(&self, stand: &mut Stand) {
        stand.zookeeper.kill();
    }
    fn end(&self, stand: &mut Stand) {
        stand.zookeeper.restart();
    }
}

struct ZooKeeperStandsStill;

impl Fault for ZooKeeperStandsStill {
    fn name(&self) -> &'static str {
        "ZooKeeper is stopped"
    }
    fn victim(&self) -> Victim {
        Victim::ZooKeeper
    }
    fn begin(&self, stand: &mut Stand) {
        stand.zookeeper.signal("STOP");
    }
    fn end(&self, stand: &mut Stand) {
        stand.zookeeper.signal("CONT");
    }
}

/// Which of the two: the first, the second, or both.
#[derive(Default)]
struct UpstreamsDie(RefCell<Vec<usize>>);

impl Fault for UpstreamsDie {
    fn name(&self) -> &'static str {
        "resolvers are killed"
    }
    fn victim(&self) -> Victim {
        Victim::Upstreams
    }
    fn begin(&self, stand: &mut Stand) {
        stand.truth.excuse(OUTSIDE_FAILS);
        *self.0.borrow_mut() = some(stand);
        for &index in &*self.0.borrow() {
            stand.upstreams[index].kill();
        }
    }
    fn end(&self, stand: &mut Stand) {
        for &index in &*self.0.borrow() {
            stand.upstreams[index].start_again();
        }
    }
}

#[derive(Default)]
struct UpstreamsStandStill(RefCell<Vec<usize>>);

impl Fault for UpstreamsStandStill {
    fn name(&self) -> &'static str {
        "resolvers are stopped"
    }
    fn victim(&self) -> Victim {
        Victim::Upstreams
    }
    fn begin(&self, stand: &mut Stand) {
        stand.truth.excuse(OUTSIDE_FAILS);
        *self.0.borrow_mut() = some(stand);
        for &index in &*self.0.borrow() {
            stand.upstreams[index].pause();
        }
    }
    fn end(&self, stand: &mut Stand) {
        for &index in &*self.0.borrow() {
            stand.upstreams[index].go_on();
        }
    }
}

const OUTSIDE_FAILS: Excuses = Excuses {
    servfail: false,
    outside: true,
};

fn some(stand: &mut Stand) -> Vec<usize> {
    let ways = [vec![0], vec![1], vec![0, 1]];
    ways[stand.random.usize(..ways.len())].clone()
}

struct ProgramDies;

impl Fault for ProgramDies {
    fn name(&self) -> &'static str {
        "the program is killed"
    }
    fn victim(&self) -> Victim {
        Victim::Program
    }
    fn begin(&self, stand: &mut Stand) {
        stand.end_rollcall("KILL");
    }
    fn end(&self, stand: &mut Stand) {
        stand.start_rollcall();
    }
}

struct ProgramRestarts;

impl Fault for ProgramRestarts {
    fn name(&self) -> &'static str {
        "the program is started anew"
    }
    fn victim(&self) -> Victim {
        Victim::Program
    }
    fn begin(&self, stand: &mut Stand) {
        stand.end_rollcall("TERM");
        stand.start_rollcall();
    }
    fn end(&self, _: &mut Stand) {}
}

struct ProgramStandsStill;

impl Fault for ProgramStandsStill {
    fn name(&self) -> &'static str {
        "the program is stopped"
    }
    fn victim(&self) -> Victim {
        Victim::Program
    }
    fn begin(&self, stand: &mut Stand) {
        stand.truth.silence_begins();
        stand.rollcall.signal("STOP");
    }
    fn end(&self, stand: &mut Stand) {
        stand.rollcall.signal("CONT");
        stand.truth.silence_ends();
    }
}

/// It lives with that, or ends and is started anew.
#[derive(Default)]
struct MemoryRunsOut(RefCell<u64>);

impl Fault for MemoryRunsOut {
    fn name(&self) -> &'static str {
        "memory runs out"
    }
    fn victim(&self) -> Victim {
        Victim::Program
    }
    fn begin(&self, stand: &mut Stand) {
        stand.truth.silence_begins();
        stand.truth.excuse(OUTSIDE_FAILS);
        let more = 16 << stand.random.u64(10..17);
        stand.memory.bound(stand.rollcall.id(), more);
    }
    /// Names that nobody asked before, for the cache.
    fn go_on(&self, stand: &mut Stand) {
        let client = stand.rollcall.client();
        for _ in 0..50 {
            let mut number = self.0.borrow_mut();
            *number += 1;
            let message = query(&format!("{}-{number}.example", "m".repeat(50)), A);
            // Refused, where the program has ended.
            let _ = client.send_if_taken(&message);
        }
    }
    fn end(&self, stand: &mut Stand) {
        stand.memory.unbound(stand.rollcall.id());
        stand.start_rollcall();
    }
}

/// With TCP connections that wait for one.
#[derive(Default)]
struct DescriptorsRunOut(RefCell<Vec<TcpStream>>);

impl Fault for DescriptorsRunOut {
    fn name(&self) -> &'static str {
        "descriptors run out"
    }
    fn victim(&self) -> Victim {
        Victim::Limits
    }
    fn begin(&self, stand: &mut Stand) {
        // New connections to resolvers may need one.
        stand.truth.excuse(OUTSIDE_FAILS);
        if !stand.rollcall.has_ended() {
            let count = stand.rollcall.open_files() + 3;
            prlimit(stand.rollcall.id(), &format!("--nofile={count}:"));
        }
    }
    fn go_on(&self, stand: &mut Stand) {
        let mut held = self.0.borrow_mut();
        if held.len() < 60 {
            held.extend(TcpStream::connect(stand.rollcall.dns_address()).ok());
            held.extend(TcpStream::connect(stand.rollcall.http_address()).ok());
        }
    }
    fn end(&self, stand: &mut Stand) {
        let limits = format!("/proc/{}/limits", stand.rollcall.id());
        let text = fs::read_to_string(limits).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max open files"));
        let hard = line.and_then(|line| line.split_whitespace().nth(4));
        if let Some(hard) = hard {
            prlimit(stand.rollcall.id(), &format!("--nofile={hard}:"));
        }
        self.0.borrow_mut().clear();
    }
}

struct DiskFills;

impl Fault for DiskFills {
    fn name(&self) -> &'static str {
        "the disk is full"
    }
    fn victim(&self) -> Victim {
        Victim::Disk
    }
    fn begin(&self, stand: &mut Stand) {
        let Some(ballast) = &stand.disk else { return };
        let mut file = File::create(ballast).expect("a file");
        while file.write_all(&[0; 512]).is_ok() {}
    }
    fn end(&self, stand: &mut Stand) {
        if let Some(ballast) = &stand.disk {
            fs::remove_file(ballast).expect("the ballast goes");
        }
    }
}

/// By less than half of what makes the file of the warm start too old to say which agents should be back
/// after a failover (`WARM_HOLD_AGE_MAX`); tests of the clock have greater jumps.
struct ClockJumps;

impl Fault for ClockJumps {
    fn name(&self) -> &'static str {
        "the clock jumps"
    }
    fn victim(&self) -> Victim {
        Victim::Clock
    }
    fn begin(&self, stand: &mut Stand) {
        let seconds = stand.random.i64(-JUMP_SECONDS_MAX..=JUMP_SECONDS_MAX);
        stand.clock.set(seconds);
    }
    fn end(&self, stand: &mut Stand) {
        stand.clock.set(0);
    }
}

const JUMP_SECONDS_MAX: i64 = 11 * 3_600;

struct Reloads;

impl Fault for Reloads {
    fn name(&self) -> &'static str {
        "configurations come without end"
    }
    fn victim(&self) -> Victim {
        Victim::Configuration
    }
    fn begin(&self, _: &mut Stand) {}
    fn go_on(&self, stand: &mut Stand) {
        let mut settings: Value = serde_json::from_str(&stand.settings).expect("JSON");
        let others = [
            json!({}),
            json!({"Workers": 1}),
            json!({"TTL": 5}),
            json!({"Engine": "uring"}),
            json!({"Engine": "epoll", "CacheBytes": 0}),
            json!({"RefreshSeconds": "often"}),
            json!({"Domain": "a..b"}),
        ];
        let other = &others[stand.random.usize(..others.len())];
        for (key, value) in other.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        let mut text = settings.to_string();
        if stand.random.u8(..4) == 0 {
            text.truncate(stand.random.usize(..text.len()));
        }
        reload(stand, &text);
    }
    fn end(&self, stand: &mut Stand) {
        let settings = stand.settings.clone();
        reload(stand, &settings);
    }
}

fn reload(stand: &mut Stand, text: &str) {
    // One that starts reads what `start_rollcall` writes.
    if !stand.rollcall.has_ended() {
        fs::write(stand.rollcall.config_file(), text).expect("the configuration");
        stand.rollcall.signal("HUP");
    }
}
