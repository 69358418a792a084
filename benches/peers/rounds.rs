//! The comparison. In: servers that answer and kinds of queries. Out: for each kind, round and server the
//! cost of a query, the most that it answers without loss, and times at parts of that. Servers take turns
//! within a round, so that what the machine does meanwhile meets all of them.

use std::time::Duration;

use crate::figures::{CPU, Figures, LOADS, QUANTILES, RATE, RESIDENT, Sample, time_name};
use crate::judge::{self, Wrong};
use crate::load::{Load, Outcome, Until};
use crate::options::Options;
use crate::queries::{Kind, Queries};
use crate::report;
use crate::stage::{Server, Stage};
use crate::zone::Zone;

pub fn run(options: &Options) -> Result<(), String> {
    let stage = Stage::start(options.tasks, &[1])?;
    let mut figures = Figures::default();
    let mut mistakes = Mistakes::default();
    for &kind in &options.kinds {
        let queries = Queries::draw(kind, &stage.zone, QUERIES);
        eprintln!(
            "{kind}: {} names, {} queries drawn",
            queries.names,
            queries.len()
        );
        let mut windows = vec![options.window; stage.servers.len()];
        for server in &stage.servers {
            let load = load(options, kind, &queries, server, 0);
            let _ = failed(server, load.closed(Until::After(WARM_UP), options.window))?;
        }
        for round in 0..options.rounds {
            for (index, server) in stage.servers.iter().enumerate() {
                let load = load(options, kind, &queries, server, round);
                let window = &mut windows[index];
                let mut sample = measure(options, &load, server, window, |outcome| {
                    mistakes.check(server, &queries, &stage.zone, outcome)
                })?;
                (sample.round, sample.server, sample.kind) = (round, index, kind);
                eprintln!(
                    "{kind} {round} {:<16} {:>8.0} q/s {:>6.2} us, window {window}",
                    server.peer.name, sample.values[RATE], sample.values[CPU]
                );
                figures.0.push(sample);
            }
        }
    }
    report::write(options, &stage, &figures)?;
    mistakes.verdict()
}

/// A load for one server.
pub fn load<'a>(
    options: &Options,
    kind: Kind,
    queries: &'a Queries,
    server: &Server,
    round: usize,
) -> Load<'a> {
    let is_many = kind == Kind::Many;
    Load {
        server: server.peer.dns,
        queries,
        expect: server.peer.expect,
        sockets: if is_many { 1 } else { options.sockets },
        is_segmented: is_many,
        spins: server.workers == 1,
        sample_every: 4_096,
        patience: Duration::from_secs(1),
        start_at: round * (queries.len() / options.rounds),
    }
}

/// One server, one round. The window shrinks until nothing is lost, and stays so.
fn measure(
    options: &Options,
    load: &Load<'_>,
    server: &Server,
    window: &mut usize,
    mut check: impl FnMut(&Outcome) -> u64,
) -> Result<Sample, String> {
    let mut sample = Sample {
        kind: Kind::A,
        round: 0,
        server: 0,
        values: Default::default(),
        lost: 0,
        wrong: 0,
        window: *window,
    };
    let rate = loop {
        let cpu_before = server.process.cpu_ns();
        let outcome = failed(server, load.closed(Until::After(options.time), *window))?;
        let cpu_ns = server.process.cpu_ns() - cpu_before;
        sample.wrong += check(&outcome);
        let can_shrink = *window > WINDOW_MIN.max(load.sockets);
        if outcome.lost > 0 && can_shrink {
            *window /= 2;
            continue;
        }
        sample.lost += outcome.lost;
        let cpu_us = cpu_ns as f64 / 1_000.0 / outcome.answered as f64;
        sample.values.insert(CPU.to_owned(), cpu_us);
        sample.values.insert(RATE.to_owned(), outcome.rate());
        break outcome.rate();
    };
    sample.window = *window;
    let resident = server.process.resident_bytes() as f64 / f64::from(1 << 20);
    sample.values.insert(RESIDENT.to_owned(), resident);
    for percent in LOADS {
        let rate = rate * f64::from(percent) / 100.0;
        let outcome = failed(server, load.open(options.time / 2, rate))?;
        sample.wrong += check(&outcome);
        sample.lost += outcome.lost;
        let times = outcome.times.ok_or("an open load has times")?;
        for (name, quantile) in QUANTILES {
            let us = times.value_at_quantile(quantile) as f64 / 1_000.0;
            sample.values.insert(time_name(name, percent), us);
        }
    }
    Ok(sample)
}

/// Names the server where a load could not go on.
pub fn failed(server: &Server, outcome: std::io::Result<Outcome>) -> Result<Outcome, String> {
    outcome.map_err(|error| {
        let says = server.process.last_words();
        format!("{} is gone: {error}; {says}", server.peer.name)
    })
}

/// Wrong answers of all servers; those of Rollcall count.
#[derive(Default)]
pub struct Mistakes {
    ours: Vec<String>,
}

impl Mistakes {
    /// Compares the answers that were kept; gives the number of all that are wrong.
    pub fn check(
        &mut self,
        server: &Server,
        queries: &Queries,
        zone: &Zone,
        outcome: &Outcome,
    ) -> u64 {
        let mut wrong = outcome.wrong;
        let mut first = outcome.first_wrong.clone();
        if server.peer.expect == judge::Expect::Answers {
            for (index, answer) in &outcome.samples {
                if let Err(found) = judge::compare(queries.get(*index), answer, zone) {
                    wrong += 1;
                    first.get_or_insert(found);
                }
            }
        }
        if let Some(found) = first {
            self.add(server, &found);
        }
        wrong
    }

    pub fn add(&mut self, server: &Server, wrong: &Wrong) {
        let line = format!(
            "{}: {}: expected {}, got {}",
            server.peer.name, wrong.query, wrong.expected, wrong.got
        );
        if server.peer.is_ours {
            self.ours.push(line);
        } else {
            eprintln!("{line}");
        }
    }

    pub fn verdict(self) -> Result<(), String> {
        match self.ours.first() {
            None => Ok(()),
            Some(first) => Err(format!("wrong answer: {first}")),
        }
    }
}

/// Drawn before a load; a load that asks more begins again.
pub const QUERIES: usize = 1 << 20;
/// Caches and memory are in place after it.
pub const WARM_UP: Duration = Duration::from_millis(200);
/// A window is not made smaller to get rid of losses.
const WINDOW_MIN: usize = 64;
