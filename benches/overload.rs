//! What becomes of the answers when more is asked than a core can answer: load at a half, once, twice and
//! three times the maximum, whatever comes back, and then a half of it again. The real program with one
//! answering thread on one core; the load on another.
//!
//!     cargo bench --bench overload [-- --engines epoll,uring --seconds 3 --beside 1]
//!
//! One core cannot send three times what another can answer, so that `--beside` programs of the same weight
//! run on the server's core, and it has a part of that; with 0 what is really offered falls short, and the
//! table says by how much. Of the queries every eighth batch comes from a socket whose answers are timed,
//! from when they were meant to be sent; of the others the server's own counts tell. ROLLCALL=path measures
//! a binary that exists.

#[allow(dead_code)]
#[path = "peers/datagrams.rs"]
mod datagrams;
#[path = "common/wait.rs"]
mod wait;
#[path = "common/wire.rs"]
mod wire;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datagrams::{BATCH, Channel};
use hdrhistogram::Histogram;
use rollcall::simulate::{SimulateOptions, Simulator};
use rollcall::sys::affinity;
use wait::wait_for;
use wire::{free_address, query};

fn main() {
    let options = Options::from_args();
    let cores = affinity::allowed_cores().expect("the cores are known");
    let [server_core, load_core] = cores[..] else {
        panic!("needs two cores exactly (taskset -c 0,1 ...)");
    };
    affinity::pin_current_thread(load_core).expect("a core of ours");
    let master = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    println!(
        "{} s each; server on core {server_core} beside {} others, the load on core {load_core}",
        options.seconds, options.beside
    );
    for engine in &options.engines {
        let server = Server::start(master.address(), engine, server_core);
        wait_for(server.dns, NAME);
        let _beside: Vec<_> = (0..options.beside).map(|_| spin(server_core)).collect();
        measure(&server, engine, &options);
    }
}

struct Options {
    engines: Vec<String>,
    seconds: u64,
    beside: usize,
}

impl Options {
    fn from_args() -> Self {
        let mut options = Self {
            engines: ["epoll", "uring"].map(str::to_owned).into(),
            seconds: 3,
            beside: 1,
        };
        // Cargo adds `--bench`.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            let value = args.next().unwrap_or_default();
            let number =
                |text: &str| -> u64 { text.parse().unwrap_or_else(|_| panic!("{flag} {text:?}")) };
            match flag.as_str() {
                "--engines" => options.engines = value.split(',').map(str::to_owned).collect(),
                "--seconds" => options.seconds = number(&value).max(1),
                "--beside" => options.beside = number(&value) as usize,
                _ => panic!("{flag}: one of --engines, --seconds, --beside"),
            }
        }
        options
    }
}

fn measure(server: &Server, engine: &str, options: &Options) {
    let mut load = Load::new(server.dns);
    let maximum = find_maximum(server, &mut load);
    println!("{engine}: at most {maximum:.0} answers a second");
    println!(
        "{:>6} {:>10} {:>10} {:>8} {:>8} {:>10} {:>8} {:>8} {:>8}",
        "times",
        "offered/s",
        "answers/s",
        "in time",
        "goodput",
        "dropped",
        "lost",
        "p50 ms",
        "p99 ms"
    );
    let length = Duration::from_secs(options.seconds);
    for times in [0.5, 1.0, 2.0, 3.0] {
        Seen::of(server, &mut load, times * maximum, length).print(times, maximum);
    }
    // Three times as much, and a half of it at once.
    load.offer(3.0 * maximum, Duration::from_secs(1), SAMPLED);
    let calm = load.offer(0.5 * maximum, length, 1);
    load.settle();
    let samples = &load.samples[calm.first_sample..];
    let begin = samples.first().map_or(Duration::ZERO, |sample| sample.at);
    let after = |is_bad: &dyn Fn(&Sample) -> bool| {
        let last = samples.iter().rposition(is_bad);
        let next = last.map_or(samples.first(), |last| samples.get(last + 1));
        match next {
            Some(sample) => format!("{:.0} ms", (sample.at - begin).as_secs_f64() * 1e3),
            None => "never".to_owned(),
        }
    };
    println!(
        "back at a half of it, nothing is lost after {}, and all is answered within 10 ms after {}",
        after(&|sample| sample.took.is_none()),
        after(&|sample| sample
            .took
            .is_none_or(|took| took > Duration::from_millis(10)))
    );
}

/// Raises the load until no more comes of it three times in a row: once may be somebody else's work.
fn find_maximum(server: &Server, load: &mut Load) -> f64 {
    let (mut rate, mut best): (f64, f64) = (20_000.0, 0.0);
    let mut falls = 0;
    while falls < 3 {
        let goodput = Seen::of(server, load, rate, Duration::from_millis(500)).goodput();
        best = best.max(goodput);
        falls = if goodput < 0.7 * rate { falls + 1 } else { 0 };
        rate *= 1.2;
    }
    best
}

/// What came of one phase.
struct Seen {
    offered: u64,
    answered: u64,
    dropped: u64,
    /// From the first query to the last answer.
    took: Duration,
    /// In microseconds, of those that were timed and answered.
    times: Histogram<u64>,
    in_time: u64,
}

impl Seen {
    fn of(server: &Server, load: &mut Load, rate: f64, length: Duration) -> Self {
        let before = server.counts();
        let phase = load.offer(rate, length, SAMPLED);
        load.settle();
        let after = server.settled_counts();
        let samples = &load.samples[phase.first_sample..];
        let mut times = Histogram::new(3).expect("three digits");
        let mut end = phase.begin + length;
        for sample in samples {
            if let Some(took) = sample.took {
                let took_us = took.as_micros() as u64;
                times.record(took_us.max(1)).expect("it fits");
                end = end.max(sample.at + took);
            }
        }
        let in_time = times.count_between(0, PATIENCE.as_micros() as u64);
        Self {
            offered: phase.offered,
            answered: after.answered - before.answered,
            dropped: after.dropped - before.dropped,
            took: end - phase.begin,
            times,
            in_time,
        }
    }

    fn print(&self, times: f64, maximum: f64) {
        let seconds = self.took.as_secs_f64();
        let ms = |quantile| self.times.value_at_quantile(quantile) as f64 / 1e3;
        println!(
            "{times:>6} {:>10.0} {:>10.0} {:>7.1}% {:>7.1}% {:>10} {:>8} {:>8.2} {:>8.2}",
            self.offered as f64 / seconds,
            self.answered as f64 / seconds,
            100.0 * self.share_in_time(),
            100.0 * self.goodput() / maximum,
            self.dropped,
            // Where the load's own side lost it: none should be.
            self.offered as i64 - self.answered as i64 - self.dropped as i64,
            ms(0.5),
            ms(0.99)
        );
    }

    /// Of the answers.
    fn share_in_time(&self) -> f64 {
        self.in_time as f64 / self.times.len().max(1) as f64
    }

    /// Answers in time, a second.
    fn goodput(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64() * self.share_in_time()
    }
}

/// Sends queries at a rate, and notes what comes back of some.
struct Load {
    /// Whose answers are read.
    timed: Channel,
    others: Channel,
    query: Vec<u8>,
    origin: Instant,
    samples: Vec<Sample>,
    /// The latest sample of each ID.
    latest: Vec<usize>,
}

struct Sample {
    /// Since the load's origin.
    at: Duration,
    took: Option<Duration>,
}

struct Phase {
    begin: Duration,
    first_sample: usize,
    offered: u64,
}

impl Load {
    fn new(server: SocketAddr) -> Self {
        let channel = || Channel::connect(server, false).expect("a socket");
        Self {
            timed: channel(),
            others: channel(),
            query: query(NAME),
            origin: Instant::now(),
            samples: Vec::new(),
            latest: vec![0; 1 << 16],
        }
    }

    /// For so long at so many a second, of which each `sampled`th batch is timed. What this thread is late
    /// with is sent late; what it cannot send in all this time is not offered.
    fn offer(&mut self, rate: f64, length: Duration, sampled: u64) -> Phase {
        let begin = self.origin.elapsed();
        let first_sample = self.samples.len();
        let mut batches = 0;
        loop {
            let due = begin + Duration::from_secs_f64((batches * BATCH as u64) as f64 / rate);
            if due >= begin + length {
                break;
            }
            self.receive();
            let now = self.origin.elapsed();
            if now >= begin + length {
                break;
            }
            if now < due {
                std::hint::spin_loop();
                continue;
            }
            self.send(batches % sampled == 0, now);
            batches += 1;
        }
        Phase {
            begin,
            first_sample,
            offered: batches * BATCH as u64,
        }
    }

    fn send(&mut self, is_timed: bool, now: Duration) {
        for _ in 0..BATCH {
            if is_timed {
                let id = self.samples.len() as u16;
                self.latest[usize::from(id)] = self.samples.len();
                self.samples.push(Sample {
                    at: now,
                    took: None,
                });
                self.timed.queue(&self.query, id);
            } else {
                self.others.queue(&self.query, 0);
            }
        }
        let channel = if is_timed {
            &mut self.timed
        } else {
            &mut self.others
        };
        channel.send().expect("loopback takes it");
    }

    fn receive(&mut self) -> usize {
        let now = self.origin.elapsed();
        let (samples, latest) = (&mut self.samples, &self.latest);
        let received = self.timed.receive(|answer| {
            assert!(answer.len() > 12 && answer[3] & 15 == 0, "a good answer");
            let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
            let sample = &mut samples[latest[id]];
            let took = now.saturating_sub(sample.at);
            sample.took.get_or_insert(took);
        });
        received.expect("a socket")
    }

    /// Until nothing has come for a while.
    fn settle(&mut self) {
        let mut last = Instant::now();
        while last.elapsed() < QUIET {
            if self.receive() > 0 {
                last = Instant::now();
            }
        }
    }
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Something else to do for a core.
fn spin(core: usize) -> Running {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "sh", "-c", "while :; do :; done"]);
    Running(command.spawn().expect("taskset"))
}

struct Server {
    _process: Running,
    dns: SocketAddr,
    http: SocketAddr,
    file: std::path::PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Counts {
    answered: u64,
    dropped: u64,
}

impl Server {
    fn start(master: SocketAddr, engine: &str, core: usize) -> Self {
        let (dns, http) = (free_address(), free_address());
        let config = serde_json::json!({
            "Masters": [master.to_string()], "Source": "poll", "RefreshSeconds": 3600,
            "Listener": "127.0.0.1", "Port": dns.port(), "HTTPListener": "127.0.0.1",
            "HttpPort": http.port(), "ExternalOn": false, "Engine": engine,
        });
        let name = format!("rollcall-overload-{}.json", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, config.to_string()).expect("a configuration");
        let binary = std::env::var("ROLLCALL");
        let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall").to_owned());
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string(), &binary]);
        command.arg(format!("-config={}", file.display()));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running(command.spawn().expect("taskset"));
        Self {
            _process: process,
            dns,
            http,
            file,
        }
    }

    /// Of its own and of the kernel.
    fn counts(&self) -> Counts {
        let mut stream = TcpStream::connect(self.http).expect("HTTP");
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("metrics");
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value: f64 = line.and_then(|it| it.trim().parse().ok()).expect(name);
            value as u64
        };
        Counts {
            answered: value("rollcall_dns_responses_total{transport=\"udp\",rcode=\"NOERROR\"}"),
            dropped: value("rollcall_udp_socket_drops"),
        }
    }

    /// When they rise no more.
    fn settled_counts(&self) -> Counts {
        let mut counts = self.counts();
        loop {
            std::thread::sleep(QUIET);
            let now = self.counts();
            if now == counts {
                return now;
            }
            counts = now;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

const NAME: &str = "web.marathon.mesos";
/// Of so many batches the answers of one are read.
const SAMPLED: u64 = 8;
/// An answer that comes later is of no use.
const PATIENCE: Duration = Duration::from_millis(100);
/// So long nothing comes any more when all has come.
const QUIET: Duration = Duration::from_millis(300);
