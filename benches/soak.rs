//! Half an hour at half of what it can do: does it grow, leak or become slower? The real program on one
//! core, with a cluster of which 100 tasks a second move and a resolver for names outside; the load, the
//! simulated master and the resolver (knot) on another.
//!
//!     cargo bench --bench soak [-- --seconds 1800 --warm-up 120 --every 10 --tasks 1000 --churn 100 --queries 0]
//!
//! `--queries` 0 finds the rate at which the program's core is half busy. ROLLCALL=path measures a binary
//! that exists, ROLLCALL_ENGINE chooses its engine. The first third of the time behind the warm-up is
//! compared with the last; it fails where memory is not within 2 %, a descriptor or a thread is more, the
//! median p99.9 is over 1.5 times, or an answer is not NOERROR.

#[path = "common/wait.rs"]
mod wait;
#[path = "common/wire.rs"]
mod wire;

#[path = "soak/load.rs"]
mod load;
#[path = "soak/servers.rs"]
mod servers;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rollcall::simulate::{SimulateOptions, Simulator};
use rollcall::sys::affinity;

use load::{Load, Seen, fill_cache};
use servers::{CACHE_BYTES, Knot, Rollcall, Use};
use wait::wait_for;

fn main() -> ExitCode {
    let options = Options::from_args();
    let cores = affinity::allowed_cores().expect("the cores are known");
    let [server_core, load_core] = cores[..] else {
        panic!("needs two cores exactly (taskset -c 0,1 ...)");
    };
    affinity::pin_current_thread(load_core).expect("a core of ours");
    let directory = Directory::new();
    let master = Simulator::start(&SimulateOptions {
        agents: (options.tasks / 20).max(20),
        tasks: options.tasks,
        churn_per_second: options.churn as f64,
        ..SimulateOptions::default()
    })
    .expect("a simulated master");
    let knot = Knot::start(&directory.0, load_core);
    let rollcall = Rollcall::start(&directory.0, master.address(), knot.address, server_core);
    let names = names(&master);
    for name in [&names[0], "fresh.example"] {
        wait_for(rollcall.dns, name);
    }
    fill_cache(rollcall.dns, CACHE_BYTES / 64);
    let load = Load::start(rollcall.dns, &names);
    let rate = match options.queries {
        0 => half_load(&rollcall, &load),
        rate => rate,
    };
    load.set_rate(rate);
    println!(
        "{rate} queries a second, {} changes a second of {} tasks, {} s behind {} s of warm-up; server on core {server_core}, the rest on core {load_core}",
        options.churn, options.tasks, options.seconds, options.warm_up
    );
    thread::sleep(Duration::from_secs(options.warm_up));
    let spans = soak(&options, &rollcall, &load);
    drop(load);
    verdict(&spans)
}

struct Options {
    seconds: u64,
    warm_up: u64,
    every: u64,
    tasks: usize,
    churn: u64,
    queries: u64,
}

impl Options {
    fn from_args() -> Self {
        let mut options = Self {
            seconds: 1_800,
            warm_up: 120,
            every: 10,
            tasks: 1_000,
            churn: 100,
            queries: 0,
        };
        // Cargo adds `--bench`.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            let value = args.next().unwrap_or_default();
            let number: u64 = value
                .parse()
                .unwrap_or_else(|_| panic!("{flag} {value:?}: a number"));
            match flag.as_str() {
                "--seconds" => options.seconds = number,
                "--warm-up" => options.warm_up = number,
                "--every" => options.every = number.max(1),
                "--tasks" => options.tasks = number as usize,
                "--churn" => options.churn = number,
                "--queries" => options.queries = number,
                _ => panic!(
                    "{flag}: one of --seconds, --warm-up, --every, --tasks, --churn, --queries"
                ),
            }
        }
        options
    }
}

/// A folder for configurations, which goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("rollcall-soak-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Of applications with several instances, so that there is one while another moves, and whose names are
/// as they stand.
fn names(master: &Simulator) -> Vec<String> {
    let is_plain =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'.';
    master.with_cluster(|cluster| {
        let apps = cluster.apps.iter().filter(|app| {
            let size = app.tasks.len();
            app.plan.framework == 0
                && (2..=20).contains(&size)
                && app.plan.name.bytes().all(is_plain)
        });
        // A task's name is one label.
        apps.map(|app| format!("{}.marathon.mesos", app.plan.name.replace('.', "-")))
            .collect()
    })
}

/// The rate at which the program takes half of its core: from that of a known one, twice, for batches
/// grow with the rate.
fn half_load(rollcall: &Rollcall, load: &Load) -> u64 {
    let mut rate = 10_000;
    for _ in 0..2 {
        load.set_rate(rate);
        thread::sleep(Duration::from_secs(1));
        load.take();
        let (cpu, begin) = (rollcall.uses().cpu, Instant::now());
        thread::sleep(Duration::from_secs(4));
        let busy = (rollcall.uses().cpu - cpu).as_secs_f64() / begin.elapsed().as_secs_f64();
        let answers = load.take().answers() as f64 / begin.elapsed().as_secs_f64();
        let half = (answers * 0.5 / busy.max(0.01)) as u64;
        println!(
            "{answers:.0} answers a second take {:.0} % of the core",
            busy * 100.0
        );
        rate = half.clamp(1_000, RATE_MAX);
    }
    rate
}

/// One line of the report.
struct Span {
    uses: Use,
    p999_us: u64,
    bad: u64,
    lost: u64,
    sent: u64,
}

fn soak(options: &Options, rollcall: &Rollcall, load: &Load) -> Vec<Span> {
    println!(
        "{:>7} {:>9} {:>5} {:>7} {:>5} {:>8} {:>7} {:>7} {:>8} {:>9} {:>10} {:>6} {:>5} {:>6}",
        "s",
        "RSS KiB",
        "files",
        "threads",
        "CPU %",
        "answers",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "outs. p50",
        "outs. p99",
        "lost",
        "bad",
        "late"
    );
    load.take();
    let begin = Instant::now();
    let (mut cpu, mut at) = (rollcall.uses().cpu, Instant::now());
    let mut spans = Vec::new();
    while begin.elapsed() < Duration::from_secs(options.seconds) {
        thread::sleep(Duration::from_secs(options.every));
        let (seen, uses, took) = (load.take(), rollcall.uses(), at.elapsed().as_secs_f64());
        let busy = (uses.cpu - cpu).as_secs_f64() / took * 100.0;
        (cpu, at) = (uses.cpu, Instant::now());
        // Those that are under way come with the next span.
        let lost = seen.sent.saturating_sub(seen.answers());
        println!(
            "{:>7.0} {:>9} {:>5} {:>7} {busy:>5.0} {:>8.0} {:>7} {:>7} {:>8} {:>9} {:>10} {lost:>6} {:>5} {:>6}",
            begin.elapsed().as_secs_f64(),
            uses.resident_kib,
            uses.files,
            uses.threads,
            seen.answers() as f64 / took,
            us(&seen.inside, 0.5),
            us(&seen.inside, 0.99),
            us(&seen.inside, 0.999),
            us(&seen.outside, 0.5),
            us(&seen.outside, 0.99),
            seen.bad,
            seen.late
        );
        spans.push(Span {
            uses,
            p999_us: us(&all(&seen), 0.999),
            bad: seen.bad,
            lost,
            sent: seen.sent,
        });
    }
    spans
}

fn us(times: &Histogram<u64>, quantile: f64) -> u64 {
    times.value_at_quantile(quantile)
}

fn all(seen: &Seen) -> Histogram<u64> {
    let mut all = seen.inside.clone();
    all.add(&seen.outside).expect("the same bounds");
    all
}

/// Compares the first third with the last.
fn verdict(spans: &[Span]) -> ExitCode {
    let third = (spans.len() / 3).max(1);
    let (first, last) = (&spans[..third], &spans[spans.len() - third..]);
    let median = |spans: &[Span], of: fn(&Span) -> u64| {
        let mut values: Vec<u64> = spans.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2] as f64
    };
    let most = |spans: &[Span], of: fn(&Span) -> u64| spans.iter().map(of).max().unwrap_or(0);
    let memory = median(last, |it| it.uses.resident_kib) / median(first, |it| it.uses.resident_kib);
    let slowness = median(last, |it| it.p999_us) / median(first, |it| it.p999_us);
    let files = (
        most(first, |it| it.uses.files),
        most(last, |it| it.uses.files),
    );
    let threads = (
        most(first, |it| it.uses.threads),
        most(last, |it| it.uses.threads),
    );
    let sum = |of: fn(&Span) -> u64| spans.iter().map(of).sum::<u64>();
    let (sent, lost, bad) = (sum(|it| it.sent), sum(|it| it.lost), sum(|it| it.bad));
    let checks = [
        (
            (memory - 1.0).abs() <= MEMORY_OFF_MAX,
            format!("memory {memory:.4} of the first third"),
        ),
        (
            files.1 <= files.0,
            format!("descriptors {} then {}", files.0, files.1),
        ),
        (
            threads.1 <= threads.0,
            format!("threads {} then {}", threads.0, threads.1),
        ),
        (
            slowness <= SLOWNESS_MAX,
            format!("p99.9 of all answers {slowness:.2} of the first third"),
        ),
        (bad == 0, format!("{bad} bad answers")),
        (
            lost as f64 <= sent as f64 * LOST_MAX,
            format!("{lost} of {sent} without an answer"),
        ),
    ];
    for (is_good, what) in &checks {
        println!("{} {what}", if *is_good { "ok    " } else { "FAILED" });
    }
    match checks.iter().all(|(is_good, _)| *is_good) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

const MEMORY_OFF_MAX: f64 = 0.02;
const SLOWNESS_MAX: f64 = 1.5;
const LOST_MAX: f64 = 0.000_1;
/// More than this one core cannot ask in time and hear.
const RATE_MAX: u64 = 60_000;
