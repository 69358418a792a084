//! What names outside the domain cost, and what they do to others: the figures of a host's only resolver.
//! Whole processes on loopback; the server has one core, everything else another. Resolvers are threads
//! of the bench.
//!
//!     cargo bench --bench caches -- --hits       CPU of a cache hit beside an answer of the table, unbound and dnsmasq
//!     cargo bench --bench caches -- --dead       times of table answers while a dead resolver is asked
//!     cargo bench --bench caches -- --failover   times of forwarded answers while one of two resolvers is dead
//!     cargo bench --bench caches -- --quick      all of them, small: answers are compared, times are not judged
//!
//! Without one of these, the first three. `--engines epoll,uring`, `--rounds 5`, `--seconds 2` (of each
//! load), `--asks 2000` (of each failover), `--delay 10` (of their resolvers, ms). ROLLCALL=path measures a
//! binary that exists.

#[path = "common/wire.rs"]
mod wire;

// Shared with `versus`, each as far as it goes.
#[allow(dead_code)]
#[path = "peers/cluster.rs"]
mod cluster;
#[allow(dead_code)]
#[path = "peers/datagrams.rs"]
mod datagrams;
#[allow(dead_code)]
#[path = "peers/figures.rs"]
mod figures;
#[allow(dead_code)]
#[path = "peers/judge.rs"]
mod judge;
#[allow(dead_code)]
#[path = "peers/load.rs"]
mod load;
#[allow(dead_code)]
#[path = "peers/peers.rs"]
mod peers;
#[allow(dead_code)]
#[path = "peers/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "peers/queries.rs"]
mod queries;
#[allow(dead_code)]
#[path = "peers/stage.rs"]
mod stage;
#[path = "peers/waiting.rs"]
mod waiting;
#[allow(dead_code)]
#[path = "peers/zone.rs"]
mod zone;

#[path = "caches/dead.rs"]
mod dead;
#[path = "caches/failover.rs"]
mod failover;
#[path = "caches/hits.rs"]
mod hits;
#[path = "caches/stand.rs"]
mod stand;
#[path = "caches/upstream.rs"]
mod upstream;

use std::process::ExitCode;
use std::time::Duration;

use stand::Stand;

fn main() -> ExitCode {
    match Options::from_args().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("caches: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let stand = Stand::start(options)?;
    for note in &stand.notes {
        println!("{note}");
    }
    for part in &options.parts {
        match part {
            Part::Hits => hits::run(options, &stand)?,
            Part::Dead => dead::run(options, &stand)?,
            Part::Failover => failover::run(options, &stand)?,
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Part {
    Hits,
    Dead,
    Failover,
}

/// What is measured, and how much of it.
pub struct Options {
    parts: Vec<Part>,
    engines: Option<Vec<String>>,
    is_quick: bool,
    rounds: usize,
    /// Of one load.
    time: Duration,
    tasks: usize,
    /// Of the table, and as many outside.
    names: usize,
    /// Queries a second of the table, and beside them for outside names.
    rates: (f64, f64),
    /// Before a load of those is measured: as long as it takes to have all under way that may be.
    settling: Duration,
    /// Rollcall's own, in seconds.
    timeout_seconds: u64,
    /// Queries of one failover.
    asks: usize,
    /// What its resolvers take to answer.
    delay: Duration,
}

impl Options {
    fn from_args() -> Result<Self, String> {
        let mut options = Self {
            parts: Vec::new(),
            engines: None,
            is_quick: false,
            rounds: 5,
            time: Duration::from_secs(2),
            tasks: 10_000,
            names: 10_000,
            rates: (20_000.0, 5_000.0),
            settling: Duration::from_secs(2),
            timeout_seconds: 5,
            asks: 2_000,
            delay: Duration::from_millis(10),
        };
        // Cargo adds `--bench`.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or(format!("{flag} needs a value"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("{flag} {text}"));
            match flag.as_str() {
                "--hits" => options.parts.push(Part::Hits),
                "--dead" => options.parts.push(Part::Dead),
                "--failover" => options.parts.push(Part::Failover),
                "--quick" => options.be_quick(),
                "--engines" => {
                    options.engines = Some(value()?.split(',').map(str::to_owned).collect());
                }
                "--rounds" => options.rounds = number(value()?)?.max(1) as usize,
                "--seconds" => options.time = Duration::from_secs(number(value()?)?.max(1)),
                "--asks" => options.asks = number(value()?)?.max(8) as usize,
                "--delay" => options.delay = Duration::from_millis(number(value()?)?),
                _ => return Err(format!("{flag} is unknown; see the head of {}", file!())),
            }
        }
        if options.parts.is_empty() {
            options.parts = vec![Part::Hits, Part::Dead, Part::Failover];
        }
        Ok(options)
    }

    fn be_quick(&mut self) {
        self.is_quick = true;
        self.rounds = 1;
        self.time = Duration::from_millis(200);
        (self.tasks, self.names) = (400, 1_000);
        self.rates = (2_000.0, 500.0);
        self.settling = Duration::ZERO;
        self.timeout_seconds = 1;
        self.asks = 40;
    }

    /// Judges a figure, where figures are judged.
    fn verdict(&self, is_reached: bool) -> &'static str {
        match (self.is_quick, is_reached) {
            (true, _) => "not judged",
            (false, true) => "reached",
            (false, false) => "MISSED",
        }
    }
}
