//! Everything goes wrong in turn while answers are watched: leaders are killed, ZooKeeper goes away and
//! comes back, the leader answers rubbish, tasks move, and dnsperf asks 5,000 questions a second. No
//! answer may be wrong or missing at any time.
//!
//! An ordinary run takes half a minute. For ten minutes, with a leader killed every 30 seconds:
//!
//!     ROLLCALL_CHAOS_SECONDS=600 cargo test --test it chaos:: -- --nocapture

mod all;
mod masters;
mod mover;
mod rubbish;

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dnsperf::Dnsperf;
use crate::support::process::Rollcall;
use crate::support::vigil::{Expected, Vigil, expected};
use crate::support::wait_until;
use crate::support::zookeeper::ZooKeeper;
use masters::Masters;
use mover::Mover;

/// Applications whose tasks stay where they are, and their names.
const STILL: [(&str, &str); 8] = [
    ("worker", "worker.marathon.mesos"),
    ("cassandra-seed", "cassandra-seed.marathon.mesos"),
    ("api.shop", "api-shop.marathon.mesos"),
    ("nginx", "nginx.marathon.mesos"),
    ("sidecar", "sidecar.marathon.mesos"),
    ("mail.prod", "mail-prod.marathon.mesos"),
    ("billing.prod", "billing-prod.marathon.mesos"),
    ("search.prod", "search-prod.marathon.mesos"),
];
const QUERIES_PER_SECOND: u32 = 5_000;

#[test]
fn no_answer_is_wrong_or_missing_whatever_goes_wrong_around_us() {
    let plan = Plan::from_environment();
    let mut chaos = Chaos::begin(&plan);
    let still = chaos.still();
    let vigils = [(); 2].map(|()| Vigil::keep(chaos.rollcall.client(), still.clone()));
    let client = chaos.rollcall.client();
    let mover = Mover::start(chaos.masters.clone(), client, plan.move_pause);
    let server = chaos.rollcall.client().server();
    let load = Dnsperf::start(server, &questions(), QUERIES_PER_SECOND, plan.time);

    chaos.run(&plan, || {
        !mover.has_given_up() && !vigils.iter().any(Vigil::has_given_up)
    });
    chaos.calm_down();

    let moved = mover.end();
    let load = load.finish();
    let seen = vigils.map(Vigil::finish);
    let counters = chaos.rollcall.status()["counters"].clone();
    let (end, stop_took) = chaos.end_of_program();
    let done = &chaos.done;
    println!("{done:?}\nmoving: {moved:?}\ndnsperf: {load:?}\nstill: {seen:?}\n{counters}");
    println!("ended after {stop_took:?}: {end}");

    for report in &seen {
        assert_eq!((report.wrong.len(), report.missing.len()), (0, 0));
        assert!(report.asked > 1_000, "{report:?}");
    }
    assert_eq!((moved.wrong.len(), moved.missing.len()), (0, 0));
    assert!(moved.moves >= 5, "{moved:?}");
    assert_eq!((load.lost, load.good), (0, load.completed), "{load:?}");
    assert!(load.sent > 1_000, "{load:?}");
    assert!(done.leaders_killed >= 2 && done.zookeeper_restarts >= 1);
    assert!(done.rubbish >= 3 && done.leaders_lost >= 1);
    assert!(done.leaders_followed >= done.leaders_lost, "{done:?}");
    let (first, last) = (&done.first, &done.last);
    let kib_max = first.resident_kib * 3 / 2 + 16 * 1_024;
    assert!(last.resident_kib < kib_max, "{first:?} {last:?}");
    assert!(last.files <= first.files + 8, "{first:?} {last:?}");
    assert!(last.threads <= first.threads + 8, "{first:?} {last:?}");
    assert!(end.success(), "{end}");
    assert!(!chaos.rollcall.has_line(&["panicked"]));
}

/// What happens when.
struct Plan {
    time: Duration,
    kill: Every,
    dead_for: Duration,
    zookeeper: Every,
    /// In turn; a session lasts two seconds at the most.
    zookeeper_away_ms: &'static [u64],
    rubbish: Every,
    rubbish_for: Duration,
    move_pause: Duration,
}

/// From a time on, again and again.
#[derive(Clone, Copy)]
struct Every {
    next: Duration,
    period: Duration,
}

impl Plan {
    fn from_environment() -> Self {
        let seconds = std::env::var("ROLLCALL_CHAOS_SECONDS").ok();
        let seconds = seconds.map(|text| text.parse().expect("ROLLCALL_CHAOS_SECONDS: a number"));
        match seconds {
            None => Self {
                time: ms(23_000),
                kill: every(4_000, 9_000),
                dead_for: ms(4_000),
                zookeeper: every(8_000, 30_000),
                zookeeper_away_ms: &[2_500],
                rubbish: every(1_000, 3_000),
                rubbish_for: ms(1_500),
                move_pause: ms(200),
            },
            Some(seconds) => Self {
                time: Duration::from_secs(seconds),
                kill: every(15_000, 30_000),
                dead_for: ms(12_000),
                zookeeper: every(37_000, 65_000),
                zookeeper_away_ms: &[4_000, 300, 2_500, 8_000],
                rubbish: every(5_000, 17_000),
                rubbish_for: ms(6_000),
                move_pause: ms(1_000),
            },
        }
    }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn every(first_ms: u64, period_ms: u64) -> Every {
    Every {
        next: ms(first_ms),
        period: ms(period_ms),
    }
}

impl Every {
    fn is_due(&self, now: Duration) -> bool {
        self.next <= now
    }

    /// What had to wait shortens the next pause, not those behind it.
    fn done(&mut self, now: Duration) {
        self.next = (self.next + self.period).max(now + self.period / 2);
    }
}

struct Chaos {
    zookeeper: ZooKeeper,
    masters: Arc<Masters>,
    rollcall: Rollcall,
    leader: Value,
    done: Done,
}

/// What was done, and what the program made of it.
#[derive(Debug, Default)]
struct Done {
    leaders_killed: usize,
    /// Of these, those that `/v1/status` named.
    leaders_lost: usize,
    /// Changes of the leader in `/v1/status`.
    leaders_followed: usize,
    zookeeper_restarts: usize,
    rubbish: usize,
    first: Use,
    last: Use,
    resident_kib_max: u64,
}

/// What the program uses of the machine.
#[derive(Clone, Debug, Default)]
struct Use {
    resident_kib: u64,
    files: usize,
    threads: usize,
}

impl Chaos {
    fn begin(plan: &Plan) -> Self {
        let zookeeper = ZooKeeper::start();
        let masters = Arc::new(Masters::start(zookeeper.url("/mesos"), RETURN_OVER));
        // Nothing that we do to it may take longer than a part of the whole.
        let settings = json!({
            "Zk": zookeeper.url("/mesos"), "RefreshSeconds": 1, "CheckFactor": 2,
            "StateTimeoutSeconds": 3,
        });
        let rollcall = Rollcall::serving(&[], settings);
        println!("{:?} of chaos", plan.time);
        let leader = rollcall.status()["leader"].clone();
        Self {
            zookeeper,
            masters,
            rollcall,
            leader,
            done: Done::default(),
        }
    }

    /// Names, and the addresses that they have throughout.
    fn still(&self) -> Vec<Expected> {
        let mut still = self.masters.with_one(|master| expected(master, &STILL));
        // All masters are on this address.
        let leader = ["127.0.0.1".to_owned()].into();
        still.push(("leader.mesos".to_owned(), leader));
        still
    }

    /// Goes on while `is_good`.
    fn run(&mut self, plan: &Plan, is_good: impl Fn() -> bool) {
        let begin = Instant::now();
        let (mut kill, mut zookeeper, mut rubbish) = (plan.kill, plan.zookeeper, plan.rubbish);
        let mut back_at = None;
        let mut amend_at = None;
        loop {
            let now = begin.elapsed();
            if now >= plan.time || !is_good() {
                break;
            }
            let tell = |what: &str| println!("{:>7.2} s: {what}", now.as_secs_f64());
            if kill.is_due(now)
                && let Some(who) = self.masters.kill_leader()
            {
                tell(&format!("{who}, which leads, is killed"));
                self.done.leaders_killed += 1;
                // One that led for a moment may never have been heard of.
                let was_followed = self.leader == who.to_string();
                self.done.leaders_lost += usize::from(was_followed);
                kill.done(now);
            }
            self.masters.revive(plan.dead_for);
            if zookeeper.is_due(now) && back_at.is_none() {
                let away = plan.zookeeper_away_ms;
                let away = ms(away[self.done.zookeeper_restarts % away.len()]);
                tell(&format!("ZooKeeper is killed for {away:?}"));
                self.zookeeper.kill();
                back_at = Some(now + away);
                zookeeper.done(now);
            }
            if back_at.is_some_and(|at| at <= now) {
                self.zookeeper.restart();
                tell("ZooKeeper is started");
                back_at = None;
                self.done.zookeeper_restarts += 1;
            }
            if amend_at.is_some_and(|at| at <= now) {
                self.masters.amend();
                amend_at = None;
            }
            let kind = &rubbish::KINDS[self.done.rubbish % rubbish::KINDS.len()];
            if rubbish.is_due(now) && amend_at.is_none() && self.masters.spoil(kind) {
                tell(&format!("{kind:?}"));
                amend_at = Some(now + plan.rubbish_for);
                self.done.rubbish += 1;
                rubbish.done(now);
            }
            self.look(now > plan.time / 4);
            std::thread::sleep(LOOK_PAUSE);
        }
        if back_at.is_some() {
            self.zookeeper.restart();
            self.done.zookeeper_restarts += 1;
        }
    }

    /// What the program says and uses.
    fn look(&mut self, is_warm: bool) {
        let leader = self.rollcall.status()["leader"].clone();
        if leader != self.leader && !leader.is_null() {
            self.leader = leader;
            self.done.leaders_followed += 1;
        }
        let (resident_kib, threads) = self.rollcall.memory_and_threads();
        let now = Use {
            resident_kib,
            files: self.rollcall.open_files(),
            threads,
        };
        self.done.resident_kib_max = self.done.resident_kib_max.max(resident_kib);
        if is_warm && self.done.first.resident_kib == 0 {
            self.done.first = now.clone();
        }
        self.done.last = now;
    }

    /// Nothing is done to anybody any more.
    fn calm_down(&mut self) {
        self.masters.amend();
        self.masters.revive(Duration::ZERO);
        wait_until("calm", || self.masters.is_calm());
        wait_until("the leader and its agents", || {
            let status = self.rollcall.status();
            let leader = self.masters.leader();
            status["held"].is_null() && leader.is_some_and(|leader| status["leader"] == leader)
        });
        wait_until("its stream", || {
            self.rollcall.status()["source"] == "stream"
        });
        self.look(true);
    }

    fn end_of_program(&mut self) -> (std::process::ExitStatus, Duration) {
        self.rollcall.signal("TERM");
        self.rollcall.wait_for_end()
    }
}

/// For dnsperf: the names, with types that they have and types that they lack.
fn questions() -> String {
    let mut text = format!("{} A\nleader.mesos A\n", mover::NAME);
    for (_, name) in STILL {
        let _ = write!(text, "{name} A\n{name} TXT\n");
    }
    text
}

/// Its agents take longer to come back to a later leader than we do.
const RETURN_OVER: Duration = ms(4_000);
/// Between two looks at what the program says.
const LOOK_PAUSE: Duration = ms(100);
