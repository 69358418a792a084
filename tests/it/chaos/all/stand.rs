//! The program and all that is around it, each of which can be harmed: three masters elected in a real
//! ZooKeeper, two real resolvers, one of them behind a bad cable, a small disk for the state, a wall clock
//! and a bound on memory of its own. All of it ends with the value.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

use super::asker::OUTSIDE;
use super::memory::Memory;
use super::proxy::Proxy;
use super::truth::{Addresses, Truth};
use crate::chaos::masters::Masters;
use crate::support::client::{A, Client};
use crate::support::clock::Clock;
use crate::support::files::Folder;
use crate::support::namespace;
use crate::support::process::Rollcall;
use crate::support::upstream::Upstream;
use crate::support::vigil::addresses_of;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{DEADLINE, wait_until};

pub struct Stand {
    /// Ends before what it uses.
    pub rollcall: Rollcall,
    pub masters: Arc<Masters>,
    pub zookeeper: ZooKeeper,
    pub upstreams: [Upstream; 2],
    pub proxy: Proxy,
    pub clock: Clock,
    pub memory: Memory,
    pub truth: Arc<Truth>,
    pub random: Rng,
    /// The configuration that holds while nothing is wrong.
    pub settings: String,
    /// On a disk of its own, or not.
    pub disk: Option<PathBuf>,
    _folder: Folder,
    /// Which file of the warm start was there at the last look.
    saved: Option<(u64, i64, i64)>,
    saves: PathBuf,
    pub restarts: usize,
    /// Restarts that had the file to begin with.
    pub warm_starts: usize,
}

/// What the program uses of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    pub files: usize,
    pub threads: usize,
}

impl Use {
    pub fn most(self, other: Self) -> Self {
        Self {
            files: self.files.max(other.files),
            threads: self.threads.max(other.threads),
        }
    }
}

impl Stand {
    /// Returns when everything is answered.
    pub fn new(mut random: Rng) -> Self {
        let zookeeper = ZooKeeper::start();
        let masters = Arc::new(Masters::start(zookeeper.url("/mesos"), RETURN_OVER));
        let upstreams = [(); 2].map(|()| Upstream::knot(&zone()));
        let proxy = Proxy::start(upstreams[0].address(), &mut random);
        let (clock, memory, folder) = (Clock::new(), Memory::new(), Folder::new());
        println!("memory is bound by {}", memory.how());
        let state = folder.join("state");
        fs::create_dir(&state).expect("a directory");
        let disk = namespace::may_enter(&["--mount"]).then(|| {
            let size = format!("size={DISK_KIB}k");
            let state = state.display();
            namespace::run(&format!("mount -t tmpfs -o {size},mode=700 tmpfs {state}"));
            folder.join("state/ballast")
        });
        // The first is preferred.
        let resolvers = [proxy.address(), upstreams[1].address()];
        let resolvers = resolvers.map(|address| address.to_string());
        let settings = json!({
            "Zk": zookeeper.url("/mesos"), "RefreshSeconds": 1, "CheckFactor": 2,
            "StateTimeoutSeconds": 2, "HoldSeconds": 4, "StateDirectory": state, "Workers": 2,
            "ExternalOn": true, "Resolvers": resolvers, "CacheBytes": 8 << 20,
        });
        let variables = clock.variables();
        let variables = variables.each_ref().map(|(name, value)| (*name, &**value));
        let rollcall = Rollcall::listening_with(&[], settings, &variables);
        memory.add(rollcall.id());
        let settings = fs::read_to_string(rollcall.config_file()).expect("the configuration");
        let names = APPS.map(|(app, name)| {
            let addresses = masters.with_one(|master| addresses_of(master, app));
            (name.to_owned(), addresses)
        });
        let mut stand = Self {
            rollcall,
            masters,
            zookeeper,
            upstreams,
            proxy,
            clock,
            memory,
            truth: Arc::new(Truth::new(names)),
            random,
            settings,
            disk,
            saves: state.join("warm-start"),
            _folder: folder,
            saved: None,
            restarts: 0,
            warm_starts: 0,
        };
        stand.truth.spell_begins();
        stand.wait_until_fresh();
        // Without it a program that is started anew while agents come back to another leader knows of none.
        wait_until("file of the warm start", || stand.saves.exists());
        stand
    }

    /// Until somebody leads who is well, and every name is seen as it is; then nothing is wrong any more.
    pub fn wait_until_fresh(&mut self) -> Duration {
        let begin = Instant::now();
        let end = begin + FRESH_MAX;
        loop {
            self.look_at_disk();
            let seen_at = Instant::now();
            let Some(stale) = self.staleness() else {
                self.truth.spell_ends(seen_at);
                return begin.elapsed();
            };
            assert!(Instant::now() < end, "{stale} after {FRESH_MAX:?}");
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// What is not as it should be once nothing is wrong.
    fn staleness(&self) -> Option<String> {
        if !self.masters.is_calm() {
            return Some("no master that is well".to_owned());
        }
        let client = Client::new(self.rollcall.dns_address());
        let ask = |name: &str| -> Addresses {
            let message = crate::support::client::query(name, A);
            let message = crate::support::client::with_edns(message, 1232, 0, false);
            let answer = client.try_udp(&message);
            let answer = answer.map(|answer| crate::support::client::decode(&answer));
            let records = answer.into_iter().flat_map(|answer| answer.answers);
            records.map(|record| record.data.to_string()).collect()
        };
        for (_, name) in APPS {
            let before = self.truth.now(name);
            let found = ask(name);
            let after = self.truth.now(name);
            if found != before && found != after {
                return Some(format!("{name}: {found:?} instead of {after:?}"));
            }
        }
        let found = ask("fresh.example");
        let is_good = found.iter().eq([OUTSIDE]);
        (!is_good).then(|| format!("fresh.example: {found:?}"))
    }

    /// Whether there is another file of the warm start.
    pub fn look_at_disk(&mut self) {
        let file = fs::metadata(&self.saves).ok();
        let now = file.map(|file| (file.ino(), file.mtime(), file.mtime_nsec()));
        if now != self.saved {
            self.saved = now;
            self.truth.saved();
        }
    }

    /// Ends the program with a signal, if it has not ended by itself.
    pub fn end_rollcall(&mut self, signal: &str) {
        self.truth.silence_begins();
        if !self.rollcall.has_ended() {
            self.rollcall.signal(signal);
        }
        self.rollcall.wait_for_end();
        self.look_at_disk();
    }

    /// Starts it anew, where it has ended: as a service manager does.
    pub fn start_rollcall(&mut self) {
        if !self.rollcall.has_ended() {
            return self.truth.silence_ends();
        }
        self.look_at_disk();
        self.truth.starts_anew();
        // What the storm of configurations may have left.
        fs::write(self.rollcall.config_file(), &self.settings).expect("the configuration");
        self.rollcall.start_again();
        self.memory.add(self.rollcall.id());
        self.restarts += 1;
        self.warm_starts += usize::from(self.rollcall.status()["source"] == "warm_start");
        self.truth.silence_ends();
    }

    pub fn uses(&self) -> Use {
        Use {
            files: self.rollcall.open_files(),
            threads: self.rollcall.memory_and_threads().1,
        }
    }

    /// It has hardly more files open and threads than these.
    pub fn wait_until_it_uses(&self, early: Use) {
        let end = Instant::now() + DEADLINE;
        loop {
            let now = self.uses();
            if now.files <= early.files + 16 && now.threads <= early.threads + LOOK_UPS {
                return;
            }
            let what = || self.rollcall.threads_and_files();
            assert!(
                Instant::now() < end,
                "{early:?}, then {now:?}: {:?}",
                what()
            );
            std::thread::sleep(LOOK_PAUSE);
        }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.rollcall.signal_if_running("KILL");
        if self.disk.is_some() {
            let _ = std::process::Command::new("umount")
                .arg("-l")
                .arg(self.saves.parent().expect("a directory"))
                .status();
        }
    }
}

fn zone() -> String {
    format!(
        "$ORIGIN example.
$TTL 2
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
* A {OUTSIDE}
"
    )
}

/// Applications and their names: the first three move.
pub const APPS: [(&str, &str); 8] = [
    ("web", "web.marathon.mesos"),
    ("worker", "worker.marathon.mesos"),
    ("nginx", "nginx.marathon.mesos"),
    ("cassandra-seed", "cassandra-seed.marathon.mesos"),
    ("api.shop", "api-shop.marathon.mesos"),
    ("mail.prod", "mail-prod.marathon.mesos"),
    ("billing.prod", "billing-prod.marathon.mesos"),
    ("search.prod", "search-prod.marathon.mesos"),
];
pub const MOVING: usize = 3;
/// Over how long the agents come back to another leader.
const RETURN_OVER: Duration = Duration::from_millis(800);
/// Some files of the warm start.
const DISK_KIB: usize = 1_024;
/// Once nothing is wrong any more everything is fresh within this.
const FRESH_MAX: Duration = Duration::from_secs(30);
/// Threads that look names up; they begin when they are needed first.
const LOOK_UPS: usize = 4;
const LOOK_PAUSE: Duration = Duration::from_millis(50);
