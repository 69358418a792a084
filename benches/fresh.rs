//! From an event to its answer: how long after a master wrote a change to its event stream the first
//! DNS answer shows it, and what the change costs, while other clients ask as well. The real program on
//! one core; the simulated master, the load (dnsperf) and the eyes on another.
//!
//!     cargo bench --bench fresh [-- --tasks 1000,100000 --changes 100 --queries 50000 --seconds 20]
//!
//! ROLLCALL=path measures a binary that exists. `--changes` and `--queries` (0: no load) are a second.
//! A change is a task that ends and another that starts, which is four events. Its CPU is that of the
//! threads that read the stream and make the tables.

#[path = "common/wait.rs"]
mod wait;
#[path = "common/wire.rs"]
mod wire;

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;
use hickory_proto::op::Message;
use rollcall::simulate::{SimulateOptions, Simulator};
use rollcall::sys::affinity;
use wait::wait_for;
use wire::{free_address, query};

fn main() {
    let options = Options::from_args();
    let cores = affinity::allowed_cores().expect("the cores are known");
    let [server_core, load_core] = cores[..] else {
        panic!(
            "needs two cores exactly (taskset -c 0,1 ...): one for the server, one for the load"
        );
    };
    affinity::pin_current_thread(load_core).expect("a core of ours");
    println!(
        "{} changes and {} queries a second for {} s; server on core {server_core}, the rest on core {load_core}",
        options.changes, options.queries, options.seconds
    );
    println!(
        "{:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>12} {:>8} {:>6} {:>13}",
        "tasks",
        "seen",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "answers/s",
        "lost",
        "moves",
        "CPU us/change"
    );
    let mut costs = Vec::new();
    for &tasks in &options.tasks {
        costs.push((tasks, measure(&options, tasks, server_core)));
    }
    if let [(few, cost_of_few), .., (many, cost_of_many)] = costs[..] {
        let ratio = cost_of_many / cost_of_few;
        println!("a change among {many} tasks costs {ratio:.2} of one among {few}");
    }
}

struct Options {
    tasks: Vec<usize>,
    changes: u32,
    queries: u32,
    seconds: u32,
}

impl Options {
    fn from_args() -> Self {
        let mut options = Self {
            tasks: vec![1_000, 100_000],
            changes: 100,
            queries: 50_000,
            seconds: 20,
        };
        // Cargo adds `--bench`.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            let value = args.next().unwrap_or_default();
            let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{flag} {text:?}"));
            match flag.as_str() {
                "--tasks" => {
                    let counts = value.split(',').map(|text| number(text) as usize);
                    options.tasks = counts.collect();
                }
                "--changes" => options.changes = number(&value),
                "--queries" => options.queries = number(&value),
                "--seconds" => options.seconds = number(&value),
                _ => panic!("{flag}: one of --tasks, --changes, --queries, --seconds"),
            }
        }
        options
    }
}

/// One size of cluster; gives the CPU time for one change, in microseconds.
fn measure(options: &Options, tasks: usize, server_core: usize) -> f64 {
    let master = Simulator::start(&SimulateOptions {
        agents: (tasks / 20).max(20),
        tasks,
        ..SimulateOptions::default()
    })
    .expect("a simulated master");
    let server = Server::start(&master, server_core);
    let apps = apps(&master);
    let names = server.directory.join("names");
    let lines: String = apps.iter().map(|app| format!("{} A\n", app.name)).collect();
    fs::write(&names, lines).expect("names for the load");
    wait_for(server.dns, &apps[0].name);

    let load = (options.queries > 0).then(|| dnsperf(options, server.dns, &names));
    let (tell, told) = bounded(1_024);
    let server_dns = server.dns;
    let eyes = thread::spawn(move || watch(server_dns, &told));
    // The load is in full swing.
    thread::sleep(Duration::from_secs(1));
    let cpu_before = server.refresh_cpu_us();
    let moves = change(options, &master, &apps, &tell);
    let cpu = server.refresh_cpu_us() - cpu_before;
    drop(tell);
    let seen = eyes.join().expect("the eyes");
    let load = load.map(|load| load.wait_with_output().expect("dnsperf ends"));
    let report = load.map_or_else(String::new, |load| {
        String::from_utf8_lossy(&load.stdout).into_owned()
    });
    let ms = |quantile: f64| seen.value_at_quantile(quantile) as f64 / 1_000.0;
    let cost = cpu / f64::from(moves);
    println!(
        "{tasks:>8} {:>7} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>12} {:>8} {moves:>6} {cost:>13.0}",
        seen.len(),
        ms(0.5),
        ms(0.99),
        ms(0.999),
        seen.max() as f64 / 1_000.0,
        field(&report, "Queries per second:"),
        field(&report, "Queries lost:"),
    );
    assert!(!seen.is_empty(), "no change was seen");
    cost
}

/// An application that may move.
struct App {
    name: String,
    task_name: String,
}

/// Applications of a few instances, whose answers fit a datagram and whose names are as they stand.
fn apps(master: &Simulator) -> Vec<App> {
    master.with_cluster(|cluster| {
        let is_plain = |name: &str| {
            name.bytes()
                .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'.')
        };
        let apps = cluster.apps.iter().filter(|app| {
            app.plan.framework == 0 && app.tasks.len() <= 8 && is_plain(&app.plan.name)
        });
        apps.map(|app| App {
            // A task's name is one label.
            name: format!("{}.marathon.mesos", app.plan.name.replace('.', "-")),
            task_name: app.plan.name.clone(),
        })
        .collect()
    })
}

/// What the eyes look for: a name, and an address that it has from a moment on.
struct Expected {
    query: Vec<u8>,
    address: IpAddr,
    sent_at: Instant,
}

/// Moves instances at an even pace; returns how many.
fn change(options: &Options, master: &Simulator, apps: &[App], tell: &Sender<Expected>) -> u32 {
    let pause = Duration::from_secs(1) / options.changes;
    let begin = Instant::now();
    let total = options.changes * options.seconds;
    let mut moves = 0;
    for turn in 0..total {
        let due = begin + pause * turn;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // Far apart, so that the one before has long been seen.
        let app = &apps[(turn as usize * 7_919) % apps.len()];
        let before = addresses(master, &app.task_name);
        let Some(step) = master.step_app(&app.task_name) else {
            continue;
        };
        moves += 1;
        // On the machine of another instance there would be nothing to see.
        if !before.contains(&step.new) && step.new.is_ipv4() {
            let expected = Expected {
                query: query(&app.name),
                address: step.new,
                sent_at: step.sent_at,
            };
            tell.send(expected).expect("the eyes are open");
        }
    }
    moves
}

fn addresses(master: &Simulator, task_name: &str) -> Vec<IpAddr> {
    master.with_cluster(|cluster| {
        let app = cluster.find_app(task_name).expect("an application");
        let tasks = app
            .tasks
            .iter()
            .map(|&place| &cluster.tasks[place as usize]);
        tasks.map(|task| cluster.address(task)).collect()
    })
}

/// Asks for everything that is expected, again and again, until it is there.
fn watch(server: SocketAddr, told: &Receiver<Expected>) -> Histogram<u64> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    let mut seen = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
    let mut expected: Vec<Expected> = Vec::new();
    loop {
        match expected.is_empty() {
            true => match told.recv() {
                Ok(one) => expected.push(one),
                Err(_) => return seen,
            },
            false => expected.extend(told.try_iter()),
        }
        expected.retain(|one| {
            if !shows(&socket, one) {
                assert!(one.sent_at.elapsed() < MISSED, "{} is missed", one.address);
                return true;
            }
            let us = one.sent_at.elapsed().as_micros() as u64;
            seen.record(us.max(1)).expect("within the bounds");
            false
        });
    }
}

fn shows(socket: &UdpSocket, expected: &Expected) -> bool {
    let mut query = expected.query.clone();
    let id = fastrand::u16(..).to_be_bytes();
    query[..2].copy_from_slice(&id);
    socket.send(&query).expect("sent");
    let mut buffer = [0; 4_096];
    let length = loop {
        match socket.recv(&mut buffer) {
            Ok(length) if buffer.starts_with(&id) => break length,
            // The late answer to a question before.
            Ok(_) => {}
            Err(_) => return false,
        }
    };
    let answer = Message::from_vec(&buffer[..length]).expect("an answer that decodes");
    let address = expected.address.to_string();
    answer
        .answers
        .iter()
        .any(|record| record.data.to_string() == address)
}

/// The real program, on a core of its own.
struct Server {
    child: Child,
    directory: PathBuf,
    dns: SocketAddr,
}

impl Server {
    fn start(master: &Simulator, core: usize) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("fresh-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory below target");
        let dns = free_address();
        // Nothing but the stream tells of a change.
        let config = format!(
            r#"{{"Masters": ["{}"], "RefreshSeconds": 3600, "Listener": "127.0.0.1", "Port": {}, "HttpOn": false}}"#,
            master.address(),
            dns.port()
        );
        let file = directory.join("config.json");
        fs::write(&file, config).expect("the configuration");
        let log = fs::File::create(directory.join("log")).expect("a log");
        // Another binary, to compare with.
        let program = std::env::var("ROLLCALL");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall").to_owned());
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), &program])
            .arg(format!("-config={}", file.display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("taskset starts rollcall");
        Self {
            child,
            directory,
            dns,
        }
    }

    /// Of the threads that read the stream and that make the tables.
    fn refresh_cpu_us(&self) -> f64 {
        let tasks = format!("/proc/{}/task", self.child.id());
        let threads = fs::read_dir(tasks).expect("its threads");
        let cpu_ns = |thread: io::Result<fs::DirEntry>| {
            let path = thread.ok()?.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let stat = fs::read_to_string(path.join("schedstat")).ok()?;
            let is_ours = ["refresh", "stream"].contains(&name.trim());
            let cpu_ns = stat.split(' ').next()?.parse::<f64>().ok()?;
            is_ours.then_some(cpu_ns)
        };
        threads.filter_map(cpu_ns).sum::<f64>() / 1_000.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "{}",
                fs::read_to_string(self.directory.join("log")).unwrap_or_default()
            );
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn dnsperf(options: &Options, server: SocketAddr, names: &Path) -> Child {
    Command::new("dnsperf")
        .args(["-s", "127.0.0.1", "-p", &server.port().to_string(), "-d"])
        .arg(names)
        .args(["-l", &(options.seconds + 2).to_string()])
        .args([
            "-Q",
            &options.queries.to_string(),
            "-c",
            "8",
            "-q",
            "512",
            "-T",
            "1",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("dnsperf starts (apt-get install dnsperf)")
}

/// What follows a label in dnsperf's report, to the first blank.
fn field<'a>(report: &'a str, label: &str) -> &'a str {
    let rest = report.split(label).nth(1).unwrap_or("-");
    rest.split_whitespace().next().unwrap_or("-")
}

/// A change that is not seen for so long is lost.
const MISSED: Duration = Duration::from_secs(30);
