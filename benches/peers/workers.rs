//! One worker beside two. In: each server twice, once with a core of its own and the load on the other,
//! once with two workers on both cores and half of the load on each. Out: a table. On a machine with two
//! cores two workers share them with the load, so that the table tells what sharing costs, and not how
//! the servers grow on a larger machine.

use std::fmt::Write as _;
use std::io;
use std::thread;

use rollcall::sys::affinity;
use serde_json::json;

use crate::figures::{CPU, Figures, RATE, Sample};
use crate::judge::Expect;
use crate::load::{Load, Outcome, Until};
use crate::options::Options;
use crate::queries::Queries;
use crate::report::{head, shown, shown_ratio, write_files};
use crate::rounds::{Mistakes, QUERIES, WARM_UP, failed, load};
use crate::stage::{Server, Stage};

pub fn run(options: &Options) -> Result<(), String> {
    let stage = Stage::start(options.tasks, &[1, 2])?;
    let mut figures = Figures::default();
    let mut mistakes = Mistakes::default();
    for &kind in &options.kinds {
        let queries = Queries::draw(kind, &stage.zone, QUERIES);
        for round in 0..options.rounds {
            for (index, server) in stage.servers.iter().enumerate() {
                let load = load(options, kind, &queries, server, round);
                if round == 0 {
                    let _ = failed(server, ask(&stage, server, &load, options, WARM_UP))?;
                }
                let cpu_before = server.process.cpu_ns();
                let outcome = failed(server, ask(&stage, server, &load, options, options.time))?;
                let cpu_ns = server.process.cpu_ns() - cpu_before;
                let cpu_us = cpu_ns as f64 / 1_000.0 / outcome.answered as f64;
                let values = [(CPU.to_owned(), cpu_us), (RATE.to_owned(), outcome.rate())];
                figures.0.push(Sample {
                    kind,
                    round,
                    server: index,
                    values: values.into(),
                    lost: outcome.lost,
                    wrong: mistakes.check(server, &queries, &stage.zone, &outcome),
                    window: options.window,
                });
            }
        }
    }
    write(options, &stage, &figures)?;
    mistakes.verdict()
}

/// A closed load, from one core or from both.
fn ask(
    stage: &Stage,
    server: &Server,
    load: &Load<'_>,
    options: &Options,
    time: std::time::Duration,
) -> io::Result<Outcome> {
    if server.workers == 1 {
        return load.closed(Until::After(time), options.window);
    }
    let cores = [stage.cores.server, stage.cores.load];
    thread::scope(|scope| {
        let threads = cores.map(|core| {
            let mut load = load.clone();
            load.sockets = load.sockets.div_ceil(cores.len());
            load.start_at += core * load.queries.len() / cores.len();
            scope.spawn(move || {
                affinity::pin_current_thread(core)?;
                load.closed(Until::After(time), options.window / cores.len())
            })
        });
        let mut sum = Outcome::default();
        for thread in threads {
            sum.add(thread.join().expect("a load that does not panic")?);
        }
        Ok(sum)
    })
}

fn write(options: &Options, stage: &Stage, figures: &Figures) -> Result<(), String> {
    let mut text = head(options, stage);
    for &kind in &options.kinds {
        writeln!(text, "\n### {kind}: one worker, load on the other core; two workers, load on both cores\n\n\
            | server | queries/s, 1 | queries/s, 2 | 2 / 1 | CPU us, 1 | CPU us, 2 | 2 / 1 | CPU x echo, 1 | CPU x echo, 2 | lost, 1 | lost, 2 |\n\
            | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
        .expect("a string has room");
        for (one, server) in stage.servers.iter().enumerate() {
            let Some(two) = same(stage, &server.peer.name, 2).filter(|_| server.workers == 1)
            else {
                continue;
            };
            let lost = |index| {
                let samples = figures.of(kind, index);
                samples.map(|sample| sample.lost).sum::<u64>()
            };
            let to_floor = |index: usize| {
                let servers = stage.servers.iter();
                let mut floors = servers.enumerate().filter(|(_, floor)| {
                    floor.peer.expect == Expect::Echo
                        && floor.workers == stage.servers[index].workers
                });
                let (floor, _) = floors.next()?;
                figures.ratio(kind, index, floor, CPU)
            };
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                server.peer.name,
                shown(figures.spread(kind, one, RATE), 0),
                shown(figures.spread(kind, two, RATE), 0),
                shown_ratio(figures.ratio(kind, two, one, RATE)),
                shown(figures.spread(kind, one, CPU), 2),
                shown(figures.spread(kind, two, CPU), 2),
                shown_ratio(figures.ratio(kind, two, one, CPU)),
                shown_ratio(to_floor(one)),
                shown_ratio(to_floor(two)),
                lost(one),
                lost(two),
            )
            .expect("a string has room");
        }
    }
    print!("{text}");
    let Some(directory) = &options.directory else {
        return Ok(());
    };
    let samples: Vec<_> = figures
        .0
        .iter()
        .map(|sample| {
            let server = &stage.servers[sample.server];
            json!({
                "kind": sample.kind.to_string(), "round": sample.round, "server": server.peer.name,
                "workers": server.workers, "values": sample.values, "lost": sample.lost,
                "wrong": sample.wrong,
            })
        })
        .collect();
    let samples = format!("{:#}\n", json!({ "samples": samples }));
    let files = [("workers.md", text), ("workers.json", samples)];
    write_files(directory, &files)
}

fn same(stage: &Stage, name: &str, workers: usize) -> Option<usize> {
    let mut servers = stage.servers.iter();
    servers.position(|server| server.peer.name == name && server.workers == workers)
}
