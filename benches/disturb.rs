//! How much a refresh disturbs the answers: a steady 20,000 queries a second, each timed from when it was
//! meant to be sent, first while nothing is refreshed and then while the state is polled once a second and
//! differs each time. The real program on one core; the load and the master on another.
//!
//!     cargo bench --bench disturb [-- --tasks 10000,100000 --queries 20000 --seconds 10 --rounds 3]
//!
//! ROLLCALL=path measures a binary that exists. Needs `chrt`: the master must not disturb the load that
//! it shares a core with, so it runs where that leaves time. Queries that were sent late by the load
//! itself are counted in `late`; many of them say that the machine is too busy for this bench.

#[path = "common/wait.rs"]
mod wait;
#[path = "common/wire.rs"]
mod wire;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rollcall::simulate::{SimulateOptions, Simulator};
use rollcall::sys::affinity;
use wait::wait_for;
use wire::{free_address, query};

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(SERVE) {
        return serve(
            &PathBuf::from(args.next().expect("a directory")),
            args.next(),
        );
    }
    let options = Options::from_args();
    let cores = affinity::allowed_cores().expect("the cores are known");
    let [server_core, load_core] = cores[..] else {
        panic!("needs two cores exactly (taskset -c 0,1 ...)");
    };
    affinity::pin_current_thread(load_core).expect("a core of ours");
    println!(
        "{} queries a second for {} s, medians of {} rounds; server on core {server_core}, the rest on core {load_core}",
        options.queries, options.seconds, options.rounds
    );
    println!(
        "{:>8} {:>10} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6} {:>9}",
        "tasks", "refresh", "p50 us", "p99 us", "p99.9 us", "max us", "lost", "late", "refreshes"
    );
    for &tasks in &options.tasks {
        measure(&options, tasks, server_core);
    }
}

struct Options {
    tasks: Vec<usize>,
    queries: u64,
    seconds: u64,
    rounds: usize,
}

impl Options {
    fn from_args() -> Self {
        let mut options = Self {
            tasks: vec![10_000, 100_000],
            queries: 20_000,
            seconds: 10,
            rounds: 3,
        };
        // Cargo adds `--bench`.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            let value = args.next().unwrap_or_default();
            let number =
                |text: &str| -> u64 { text.parse().unwrap_or_else(|_| panic!("{flag} {text:?}")) };
            match flag.as_str() {
                "--tasks" => {
                    options.tasks = value.split(',').map(|text| number(text) as usize).collect();
                }
                "--queries" => options.queries = number(&value).max(1),
                "--seconds" => options.seconds = number(&value).max(1),
                "--rounds" => options.rounds = number(&value).max(1) as usize,
                _ => panic!("{flag}: one of --tasks, --queries, --seconds, --rounds"),
            }
        }
        options
    }
}

/// One size of cluster: idle and refreshing in turn, for one machine drifts by itself.
fn measure(options: &Options, tasks: usize, server_core: usize) {
    let directory = std::env::temp_dir().join(format!("rollcall-disturb-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let master = free_address();
    let name = write_documents(&directory, tasks, master);
    let exe = std::env::current_exe().expect("this program");
    let mut serving = Command::new("chrt");
    serving
        .args(["--idle", "0"])
        .arg(exe)
        .arg(SERVE)
        .arg(&directory);
    let serving = Running(serving.arg(master.to_string()).spawn().expect("chrt"));
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds {
        for (refresh_seconds, rounds) in [3_600, 1].into_iter().zip(&mut rounds) {
            let server = Server::start(&directory, master, refresh_seconds, server_core);
            wait_for(server.dns, &name);
            thread::sleep(Duration::from_secs(2));
            let before = server.refreshes();
            let mut seen = ask(server.dns, &name, options);
            seen.refreshes = server.refreshes() - before;
            rounds.push(seen);
        }
    }
    drop(serving);
    let _ = fs::remove_dir_all(&directory);
    let p999 = rounds.map(|mut rounds| {
        rounds.sort_by_key(|seen| seen.times.value_at_quantile(0.999));
        let is_refreshed = rounds.iter().any(|seen| seen.refreshes > 0);
        let middle = &rounds[rounds.len() / 2];
        middle.print(tasks, if is_refreshed { "each 1 s" } else { "none" });
        middle.times.value_at_quantile(0.999) as f64
    });
    println!(
        "{tasks:>8} p99.9 while refreshing is {:.2} of idle",
        p999[1] / p999[0]
    );
}

/// Two states that differ in the address of one task, and a name that is in both.
fn write_documents(directory: &Path, tasks: usize, at: SocketAddr) -> String {
    let simulator = Simulator::start(&SimulateOptions {
        agents: (tasks / 20).max(20),
        tasks,
        ..SimulateOptions::default()
    })
    .expect("a simulated master");
    let app = simulator.with_cluster(|cluster| {
        let is_plain =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'.';
        let mut apps = cluster.apps.iter().map(|app| &app.plan);
        let plain = apps.find(|plan| plan.framework == 0 && plan.name.bytes().all(is_plain));
        let name = &plain.expect("a plain name").name;
        // A task's name is one label.
        format!("{}.marathon.mesos", name.replace('.', "-"))
    });
    for file in DOCUMENTS {
        let document = simulator.document().expect("a state");
        let document = String::from_utf8_lossy(&document);
        let document = document.replace(&simulator.address().to_string(), &at.to_string());
        fs::write(directory.join(file), document).expect("a document");
        simulator.step().expect("a task that can move");
    }
    app
}

/// The master: gives the two documents in turn.
fn serve(directory: &Path, at: Option<String>) {
    let documents = DOCUMENTS.map(|file| fs::read(directory.join(file)).expect("a document"));
    let listener = TcpListener::bind(at.expect("an address")).expect("the address is free");
    let mut turn = 0;
    for stream in listener.incoming().flatten() {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let is_state = lines
            .next()
            .is_some_and(|line| line.starts_with("GET /state "));
        lines.find(String::is_empty);
        let (status, body) = match is_state {
            true => ("200 OK", &documents[turn % 2][..]),
            false => ("404 Not Found", &b""[..]),
        };
        turn += usize::from(is_state);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // A client that left has no more use for it.
        let _ = (&stream)
            .write_all(head.as_bytes())
            .and_then(|()| (&stream).write_all(body));
    }
}

/// What came of one run.
struct Seen {
    /// In microseconds.
    times: Histogram<u64>,
    lost: u64,
    late: u64,
    refreshes: u64,
}

impl Seen {
    fn print(&self, tasks: usize, refresh: &str) {
        let us = |quantile: f64| self.times.value_at_quantile(quantile);
        println!(
            "{tasks:>8} {refresh:>10} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6} {:>9}",
            us(0.5),
            us(0.99),
            us(0.999),
            self.times.max(),
            self.lost,
            self.late,
            self.refreshes
        );
    }
}

/// Asks at a steady rate, whatever comes back.
fn ask(server: SocketAddr, name: &str, options: &Options) -> Seen {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("the server");
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let count = options.queries * options.seconds;
    // When each query in flight was meant to be sent, by its id.
    let meant: Arc<Vec<AtomicU64>> = Arc::new((0..1 << 16).map(|_| AtomicU64::new(0)).collect());
    let started = Instant::now();
    let (eyes, known) = (socket.try_clone().expect("a socket"), Arc::clone(&meant));
    let eyes = thread::spawn(move || {
        let mut times = Histogram::<u64>::new(3).expect("three digits");
        let mut answer = [0; 1500];
        while times.len() < count {
            let Ok(bytes) = eyes.recv(&mut answer) else {
                break;
            };
            let now = started.elapsed().as_micros() as u64;
            assert!(bytes > 12 && answer[3] & 15 == 0, "a good answer");
            let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
            let meant = known[id].load(Ordering::Acquire);
            times
                .record(now.saturating_sub(meant).max(1))
                .expect("it fits");
        }
        times
    });
    // Sleeps of this thread end on time, and not when it suits others.
    let _ = fs::write("/proc/thread-self/timerslack_ns", "1");
    let mut query = query(name);
    let mut late = 0;
    for number in 0..count {
        let due = Duration::from_nanos(number * 1_000_000_000 / options.queries);
        if let Some(wait) = due.checked_sub(started.elapsed()) {
            thread::sleep(wait);
        }
        late += u64::from(started.elapsed() > due + LATE);
        let id = number as u16;
        meant[usize::from(id)].store(due.as_micros() as u64, Ordering::Release);
        query[..2].copy_from_slice(&id.to_be_bytes());
        // A full queue is a lost query.
        let _ = socket.send(&query);
    }
    let times = eyes.join().expect("the eyes");
    Seen {
        lost: count - times.len(),
        times,
        late,
        refreshes: 0,
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

struct Server {
    _process: Running,
    dns: SocketAddr,
    http: SocketAddr,
}

impl Server {
    fn start(directory: &Path, master: SocketAddr, refresh_seconds: u32, core: usize) -> Self {
        let (dns, http) = (free_address(), free_address());
        let config = format!(
            r#"{{"Masters":["{master}"],"Source":"poll","RefreshSeconds":{refresh_seconds},"Listener":"127.0.0.1","Port":{},
            "HTTPListener":"127.0.0.1","HttpPort":{},"ExternalOn":false}}"#,
            dns.port(),
            http.port()
        );
        let file = directory.join("config.json");
        fs::write(&file, config).expect("a configuration");
        let binary = std::env::var("ROLLCALL");
        let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall").to_owned());
        let mut command = Command::new("taskset");
        command.args([
            "-c",
            &core.to_string(),
            &binary,
            &format!("-config={}", file.display()),
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running(command.spawn().expect("taskset"));
        Self {
            _process: process,
            dns,
            http,
        }
    }

    /// How many documents were read.
    fn refreshes(&self) -> u64 {
        let mut stream = TcpStream::connect(self.http).expect("HTTP");
        write!(
            stream,
            "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a status");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let polls = &status["counters"]["polls"];
        polls
            .as_u64()
            .unwrap_or_else(|| panic!("no number of polls: {body}"))
    }
}

const SERVE: &str = "--serve-documents";
const DOCUMENTS: [&str; 2] = ["one.json", "other.json"];
/// So much later than meant counts as late.
const LATE: Duration = Duration::from_micros(200);
