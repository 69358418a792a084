//! What a comparison tells. In: the figures of a run. Out: tables in Markdown on stdout, and where a
//! directory was named the same there, with every sample as JSON and a picture.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::figures::{CPU, Figures, LOADS, QUANTILES, RATE, RESIDENT, Spread, time_name};
use crate::options::Options;
use crate::plot;
use crate::queries::Kind;
use crate::stage::Stage;

/// Prints the tables, and writes them where that was asked for.
pub fn write(options: &Options, stage: &Stage, figures: &Figures) -> Result<(), String> {
    let mut text = head(options, stage);
    let floor = position(stage, "echo");
    let knot = position(stage, "knot");
    for &kind in &options.kinds {
        writeln!(text, "\n### {kind}: {}\n", kind.meaning()).expect("a string has room");
        text += &costs(options, stage, figures, kind, [floor, knot]);
        text.push('\n');
        text += &times(stage, figures, kind, [floor, knot]);
    }
    print!("{text}");
    let Some(directory) = &options.directory else {
        return Ok(());
    };
    let files = [
        ("versus.md", text),
        (
            "versus.json",
            format!("{:#}\n", json(options, stage, figures, [floor, knot])),
        ),
        ("versus.svg", plot::svg(options, stage, figures)),
    ];
    write_files(directory, &files)
}

pub fn write_files(directory: &Path, files: &[(&str, String)]) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(told)?;
    for (name, content) in files {
        fs::write(directory.join(name), content).map_err(told)?;
    }
    Ok(())
}

/// What ran where, and when.
pub fn head(options: &Options, stage: &Stage) -> String {
    let machine = Machine::look();
    let mut text = format!(
        "## Servers beside each other\n\n\
         {}, {} cores, Linux {}, {}. {} tasks, {} names; {} rounds, interleaved; a closed run of {} s\n\
         with {} queries under way, open runs of half of that. Server on core {}, load on core {}, loopback.\n\n",
        machine.model,
        machine.cores,
        machine.kernel,
        machine.date,
        options.tasks,
        stage.zone.records.len(),
        options.rounds,
        options.time.as_secs_f64(),
        options.window,
        stage.cores.server,
        stage.cores.load,
    );
    for server in stage.servers.iter().filter(|server| server.workers == 1) {
        writeln!(text, "- {}: {}", server.peer.name, server.peer.version).expect("room");
    }
    for note in &stage.notes {
        writeln!(text, "- {note}").expect("room");
    }
    text
}

fn position(stage: &Stage, name: &str) -> Option<usize> {
    let mut servers = stage.servers.iter();
    servers.position(|server| server.peer.name == name)
}

/// CPU, rate and memory.
fn costs(
    options: &Options,
    stage: &Stage,
    figures: &Figures,
    kind: Kind,
    [floor, knot]: [Option<usize>; 2],
) -> String {
    let mut text = "| server | CPU us a query | x echo | x knot | queries/s without loss | x echo | x knot | RSS MiB | x echo | x knot | lost | wrong |\n\
        | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for (index, server) in stage.servers.iter().enumerate() {
        let spread = |what| figures.spread(kind, index, what);
        let ratio = |other: Option<usize>, what| {
            shown_ratio(other.and_then(|other| figures.ratio(kind, index, other, what)))
        };
        let sum =
            |count: fn(&crate::figures::Sample) -> u64| figures.of(kind, index).map(count).sum();
        let (lost, wrong): (u64, u64) = (sum(|sample| sample.lost), sum(|sample| sample.wrong));
        let window = figures.of(kind, index).map(|sample| sample.window).min();
        let window = match window {
            Some(window) if window < options.window => format!(" ({window} under way)"),
            _ => String::new(),
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {}{window} | {} | {} | {} | {} | {} | {lost} | {wrong} |",
            server.peer.name,
            shown(spread(CPU), 2),
            ratio(floor, CPU),
            ratio(knot, CPU),
            shown(spread(RATE), 0),
            ratio(floor, RATE),
            ratio(knot, RATE),
            spread(RESIDENT).map_or("-".to_owned(), |spread| format!("{:.0}", spread.median)),
            ratio_median(floor.and_then(|other| figures.ratio(kind, index, other, RESIDENT))),
            ratio_median(knot.and_then(|other| figures.ratio(kind, index, other, RESIDENT))),
        )
        .expect("a string has room");
    }
    text
}

/// Times at parts of each server's own rate.
fn times(
    stage: &Stage,
    figures: &Figures,
    kind: Kind,
    [floor, knot]: [Option<usize>; 2],
) -> String {
    let mut text = "| server | at % of its rate | p50 us | p99 us | p99.9 us | p50 x echo | p99 x echo | p50 x knot | p99 x knot |\n\
        | --- | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for (index, server) in stage.servers.iter().enumerate() {
        for load in LOADS {
            write!(text, "| {} | {load} |", server.peer.name).expect("room");
            for (quantile, _) in QUANTILES {
                let spread = figures.spread(kind, index, &time_name(quantile, load));
                write!(text, " {} |", shown(spread, 0)).expect("room");
            }
            for other in [floor, knot] {
                for quantile in ["p50", "p99"] {
                    let what = time_name(quantile, load);
                    let ratio = other.and_then(|other| figures.ratio(kind, index, other, &what));
                    write!(text, " {} |", shown_ratio(ratio)).expect("room");
                }
            }
            text.push('\n');
        }
    }
    text
}

fn json(
    options: &Options,
    stage: &Stage,
    figures: &Figures,
    [floor, knot]: [Option<usize>; 2],
) -> Value {
    let machine = Machine::look();
    let servers = stage.servers.iter();
    let servers: Vec<Value> = servers
        .map(|server| json!({"name": server.peer.name, "version": server.peer.version}))
        .collect();
    let mut summary = Vec::new();
    for &kind in &options.kinds {
        for (index, server) in stage.servers.iter().enumerate() {
            let names = figures.of(kind, index).next();
            for what in names.into_iter().flat_map(|sample| sample.values.keys()) {
                let to = |other: Option<usize>| figures.ratio(kind, index, other?, what);
                summary.push(json!({
                    "kind": kind.to_string(), "server": server.peer.name, "what": what,
                    "value": figures.spread(kind, index, what),
                    "to_echo": to(floor), "to_knot": to(knot),
                }));
            }
        }
    }
    let samples = figures.0.iter();
    let samples: Vec<Value> = samples
        .map(|sample| {
            json!({
                "kind": sample.kind.to_string(), "round": sample.round,
                "server": stage.servers[sample.server].peer.name, "values": sample.values,
                "lost": sample.lost, "wrong": sample.wrong, "window": sample.window,
            })
        })
        .collect();
    json!({
        "machine": machine.model, "cores": machine.cores, "kernel": machine.kernel,
        "date": machine.date, "tasks": options.tasks, "names": stage.zone.records.len(),
        "rounds": options.rounds, "seconds": options.time.as_secs_f64(),
        "window": options.window, "sockets": options.sockets, "servers": servers,
        "notes": stage.notes, "summary": summary, "samples": samples,
    })
}

/// `median (least-most)`.
pub fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or("-".to_owned(), |spread| {
        let Spread { median, min, max } = spread;
        format!("{median:.digits$} ({min:.digits$}-{max:.digits$})")
    })
}

pub fn shown_ratio(spread: Option<Spread>) -> String {
    shown(spread, 2)
}

fn ratio_median(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |spread| format!("{:.2}", spread.median))
}

/// What this runs on.
pub struct Machine {
    pub model: String,
    pub cores: usize,
    pub kernel: String,
    pub date: String,
}

impl Machine {
    pub fn look() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let value = |label: &str| {
            let mut lines = processors.lines().filter(|line| line.starts_with(label));
            let line = lines.next().unwrap_or_default();
            line.rsplit(": ").next().unwrap_or_default().to_owned()
        };
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
        let date = date.map(|output| output.stdout).unwrap_or_default();
        let numbered = processors.lines();
        Self {
            model: value("model name"),
            cores: numbered
                .filter(|line| line.starts_with("processor"))
                .count(),
            kernel: kernel.trim().to_owned(),
            date: String::from_utf8_lossy(&date).trim().to_owned(),
        }
    }
}
