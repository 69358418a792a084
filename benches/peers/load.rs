//! The load generator. In: a server, queries, and how hard to ask. Out: how many came back, how fast, and
//! whether they were right. Must never ask twice for an answer that is missing, and never run without an
//! end. Closed: so many queries are always under way, which finds the most that a server can do. Open: a
//! fixed rate, whatever the server does; times count from when a query should have left, so that a stall
//! of the server (or of the load) is in them, and not left out.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::datagrams::{BATCH, Channel};
use crate::judge::{self, Expect, Wrong};
use crate::queries::Queries;
use crate::waiting::Waiting;

/// How to ask.
#[derive(Clone)]
pub struct Load<'a> {
    pub server: SocketAddr,
    pub queries: &'a Queries,
    pub expect: Expect,
    pub sockets: usize,
    /// Queries leave in groups of one length, cut by the kernel.
    pub is_segmented: bool,
    /// Turns instead of sleeping while nothing is there: only where the core is the load's own.
    pub spins: bool,
    /// Every answer of so many is kept, to be compared whole.
    pub sample_every: u64,
    /// An answer that takes longer is lost.
    pub patience: Duration,
    /// The first query.
    pub start_at: usize,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub asked: u64,
    pub answered: u64,
    pub lost: u64,
    pub wrong: u64,
    pub first_wrong: Option<Wrong>,
    pub seconds: f64,
    /// Answers within the time.
    pub in_time: u64,
    /// Answers that were kept, each with the number of its query.
    pub samples: Vec<(usize, Vec<u8>)>,
    /// Nanoseconds; open load only.
    pub times: Option<Histogram<u64>>,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.in_time as f64 / self.seconds
    }

    /// Adds what another thread of the same load has.
    pub fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.answered += other.answered;
        self.lost += other.lost;
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.take().or(other.first_wrong);
        self.seconds = self.seconds.max(other.seconds);
        self.in_time += other.in_time;
        self.samples.extend(other.samples);
    }
}

/// When a closed load ends.
#[derive(Clone, Copy)]
pub enum Until {
    After(Duration),
    /// When so many are answered or lost.
    Asked(u64),
}

impl Load<'_> {
    /// Keeps `window` queries under way, shared evenly by the sockets.
    pub fn closed(&self, until: Until, window: usize) -> io::Result<Outcome> {
        let unit = self.unit();
        let slots = (window / self.sockets).next_multiple_of(unit).max(unit);
        let mut run = Run::start(self, slots)?;
        let end = match until {
            Until::After(time) => run.begin + time,
            Until::Asked(_) => run.begin + LONGEST,
        };
        let asked_max = match until {
            Until::After(_) => u64::MAX,
            Until::Asked(count) => count,
        };
        let mut sweep_at = run.begin + SWEEP_EVERY;
        loop {
            let now = Instant::now();
            if now >= end || run.outcome.asked >= asked_max {
                break;
            }
            let mut received = 0;
            for index in 0..run.lanes.len() {
                received += run.take(index)?;
                let lane = &run.lanes[index];
                let free = (lane.waiting.free() / unit * unit).min(BATCH);
                let left = asked_max - run.outcome.asked;
                let count = free.min(usize::try_from(left).unwrap_or(BATCH));
                run.ask(index, count, run.nanoseconds(now))?;
            }
            if received == 0 && !self.spins {
                run.sleep()?;
            }
            if now >= sweep_at {
                sweep_at = now + SWEEP_EVERY;
                run.sweep(now);
            }
        }
        run.finish()
    }

    /// Asks so many a second, evenly.
    pub fn open(&self, time: Duration, rate: f64) -> io::Result<Outcome> {
        let unit = self.unit();
        let mut run = Run::start(self, OPEN_SLOTS)?;
        run.outcome.times =
            Some(Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds of times"));
        let gap_ns = 1e9 * unit as f64 / rate;
        let end_ns = time.as_nanos() as u64;
        let (mut groups, mut turn) = (0_u64, 0);
        let mut sweep_at = run.begin + SWEEP_EVERY;
        loop {
            let now = Instant::now();
            let now_ns = run.nanoseconds(now);
            if now_ns >= end_ns {
                break;
            }
            for index in 0..run.lanes.len() {
                run.take(index)?;
            }
            let mut asked = 0;
            loop {
                let due_ns = (groups as f64 * gap_ns) as u64;
                if due_ns > now_ns || asked + unit > BATCH {
                    break;
                }
                groups += 1;
                asked += unit;
                run.queue(turn, unit, due_ns);
            }
            run.lanes[turn].channel.send()?;
            if asked > 0 {
                turn = (turn + 1) % run.lanes.len();
            }
            if now >= sweep_at {
                sweep_at = now + SWEEP_EVERY;
                run.sweep(now);
            }
        }
        run.finish()
    }

    /// Queries that leave together.
    fn unit(&self) -> usize {
        if self.is_segmented { BATCH } else { 1 }
    }
}

/// A socket and what it waits for.
struct Lane {
    channel: Channel,
    waiting: Waiting,
}

/// A load under way.
struct Run<'a> {
    load: &'a Load<'a>,
    lanes: Vec<Lane>,
    cursor: usize,
    begin: Instant,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn start(load: &'a Load<'a>, slots: usize) -> io::Result<Self> {
        let lanes = (0..load.sockets).map(|_| {
            Ok(Lane {
                channel: Channel::connect(load.server, load.is_segmented)?,
                waiting: Waiting::new(slots),
            })
        });
        Ok(Self {
            load,
            lanes: lanes.collect::<io::Result<_>>()?,
            // A group begins at a multiple of its size.
            cursor: load.start_at % load.queries.len() / BATCH * BATCH,
            begin: Instant::now(),
            outcome: Outcome::default(),
        })
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        (now - self.begin).as_nanos() as u64
    }

    fn ask(&mut self, index: usize, count: usize, due_ns: u64) -> io::Result<()> {
        self.queue(index, count, due_ns);
        self.lanes[index].channel.send()
    }

    fn queue(&mut self, index: usize, count: usize, due_ns: u64) {
        let lane = &mut self.lanes[index];
        for _ in 0..count {
            if lane.channel.is_full() {
                break;
            }
            let query = self.load.queries.get(self.cursor);
            self.outcome.asked += 1;
            match lane.waiting.open(self.cursor as u32, due_ns) {
                Some(id) => lane.channel.queue(query.octets, id),
                // Whole seconds of answers are missing: this one never leaves.
                None => self.outcome.lost += 1,
            }
            self.cursor += 1;
            if self.cursor == self.load.queries.len() {
                self.cursor = 0;
            }
        }
    }

    /// What came in on one socket.
    #[inline]
    fn take(&mut self, index: usize) -> io::Result<usize> {
        let Lane { channel, waiting } = &mut self.lanes[index];
        let (load, begin, outcome) = (self.load, self.begin, &mut self.outcome);
        let mut now_ns = None;
        channel.receive(|answer| {
            let Some(id) = answer.first_chunk::<2>() else {
                return;
            };
            // What was given up, or what nobody asked, fills no place; the place tells.
            let Some((place, due_ns)) = waiting.close(u16::from_be_bytes(*id)) else {
                return;
            };
            let query = load.queries.get(place as usize);
            outcome.answered += 1;
            if let Some(times) = &mut outcome.times {
                // One reading for what came together.
                let now_ns = *now_ns.get_or_insert_with(|| begin.elapsed().as_nanos() as u64);
                times.saturating_record(now_ns.saturating_sub(due_ns).max(1));
            }
            if !judge::is_alike(query, answer, load.expect) {
                outcome.wrong += 1;
                let describe = || judge::describe(query, answer);
                outcome.first_wrong.get_or_insert_with(describe);
            } else if outcome.answered.is_multiple_of(load.sample_every)
                && outcome.samples.len() < SAMPLES_MAX
            {
                outcome.samples.push((place as usize, answer.to_vec()));
            }
        })
    }

    /// Gives up what takes too long.
    fn sweep(&mut self, now: Instant) {
        let patience_ns = self.load.patience.as_nanos() as u64;
        let Some(before_ns) = self.nanoseconds(now).checked_sub(patience_ns) else {
            return;
        };
        for lane in &mut self.lanes {
            self.outcome.lost += lane.waiting.expire(before_ns) as u64;
        }
    }

    /// Until something comes; 1 ms at most.
    fn sleep(&self) -> io::Result<()> {
        let mut sockets: Vec<PollFd<'_>> = Vec::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            sockets.push(PollFd::new(lane.channel.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut sockets, PollTimeout::from(1_u8)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for what is still under way.
    fn finish(mut self) -> io::Result<Outcome> {
        let stopped = Instant::now();
        self.outcome.seconds = (stopped - self.begin).as_secs_f64();
        self.outcome.in_time = self.outcome.answered;
        while self.lanes.iter().any(|lane| lane.waiting.is_any_open())
            && stopped.elapsed() < self.load.patience
        {
            let mut received = 0;
            for index in 0..self.lanes.len() {
                received += self.take(index)?;
            }
            if received == 0 {
                self.sleep()?;
            }
        }
        for lane in &mut self.lanes {
            self.outcome.lost += lane.waiting.expire(u64::MAX) as u64;
        }
        Ok(self.outcome)
    }
}

/// Queries under way on one socket of an open load: a good part of a second of the fastest server.
const OPEN_SLOTS: usize = 8_192;
/// How often answers that take too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// A closed load that counts ends by then.
const LONGEST: Duration = Duration::from_secs(60);
/// Answers of one run that are kept.
const SAMPLES_MAX: usize = 20_000;
