//! How soon a program that is started anew answers: from the start of the process to the first right
//! answer. Warm: from the file that the run before left, and no master is there. Cold: without a file,
//! from a simulated master. The real program on one core; the client and the master on another.
//!
//!     cargo bench --bench restart [-- --tasks 10000,100000 --starts 10]
//!
//! ROLLCALL=path measures a binary that exists. The client asks every 0.2 ms; each start is asked for
//! another application, and an answer counts when it has the addresses of all its instances and no
//! others. The file is in the page cache, as it is after a restart of the program, but not after one of
//! the machine. Memory is that of the process when the cluster of before is in place, too.

use std::collections::{BTreeMap, BTreeSet};
#[path = "common/wire.rs"]
mod wire;

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use rollcall::simulate::{SimulateOptions, Simulator};
use rollcall::sys::affinity;
use wire::{free_address, query};

fn main() {
    let (sizes, starts) = arguments();
    let cores = affinity::allowed_cores().expect("the cores are known");
    let [server_core, client_core] = cores[..] else {
        panic!(
            "needs two cores exactly (taskset -c 0,1 ...): one for the server, one for the client"
        );
    };
    let cores = Cores {
        server: server_core,
        client: client_core,
    };
    affinity::pin_current_thread(cores.client).expect("a core of ours");
    println!(
        "{starts} starts each; server on core {server_core}, the rest on core {client_core}; ms to the first answer, MB = 1,000,000 octets"
    );
    println!(
        "{:>8} {:>5} {:>8} {:>8} {:>8} {:>6} {:>8} {:>9} {:>9}",
        "tasks", "start", "min", "median", "max", "aim", "file MB", "VmHWM MB", "VmRSS MB"
    );
    for tasks in sizes {
        measure(tasks, starts, &cores);
    }
}

struct Cores {
    server: usize,
    client: usize,
}

fn arguments() -> (Vec<usize>, usize) {
    let (mut sizes, mut starts) = (vec![10_000, 100_000], 10);
    // Cargo adds `--bench`.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_default();
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{flag} {text:?}"));
        match flag.as_str() {
            "--tasks" => sizes = value.split(',').map(number).collect(),
            "--starts" => starts = number(&value).max(1),
            _ => panic!("{flag}: one of --tasks, --starts"),
        }
    }
    (sizes, starts)
}

/// One size of cluster: cold starts, the last of which leaves the file, and then warm ones.
fn measure(tasks: usize, starts: usize, cores: &Cores) {
    let master = Simulator::start(&SimulateOptions {
        agents: (tasks / 20).max(20),
        tasks,
        ..SimulateOptions::default()
    })
    .expect("a simulated master");
    let apps = apps(&master);
    let place = Place::new(master.address());
    let app = |start: usize| &apps[(start * 7_919) % apps.len()];

    let mut cold = Figures::default();
    for start in 0..starts {
        let _ = fs::remove_file(place.file());
        let mut server = place.start(cores);
        cold.add(&mut server, app(start), "the event stream");
        if start + 1 == starts {
            // On a busy machine the last write may be given up; one of before is as good.
            wait_for("the file", || place.file().exists());
        }
        server.end();
    }
    cold.print(tasks, "cold", None, None);

    drop(master);
    let bytes = fs::metadata(place.file())
        .expect("the file of the warm start")
        .len();
    let mut warm = Figures::default();
    for start in 0..starts {
        let mut server = place.start(cores);
        warm.add(&mut server, app(start), "serving the records of before");
        // No master confirmed anything, so that the file stays as it is.
        server.end();
    }
    let aim = AIMS_MS.iter().find(|(size, _)| *size == tasks);
    warm.print(tasks, "warm", aim.map(|(_, ms)| *ms), Some(bytes));
}

/// What some starts came to.
#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    peak_bytes: u64,
    resident_bytes: u64,
}

impl Figures {
    /// Waits for the answer, and for a line of the log behind which the memory is looked at.
    fn add(&mut self, server: &mut Server, app: &App, line: &str) {
        self.times.push(server.first_answer(app));
        server.wait_for_line(line);
        self.peak_bytes = self.peak_bytes.max(server.memory("VmHWM:"));
        self.resident_bytes = self.resident_bytes.max(server.memory("VmRSS:"));
    }

    fn print(mut self, tasks: usize, start: &str, aim_ms: Option<u32>, bytes: Option<u64>) {
        self.times.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let count = self.times.len();
        let median = ms(self.times[(count - 1) / 2] + self.times[count / 2]) / 2.0;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        println!(
            "{tasks:>8} {start:>5} {:>8.1} {median:>8.1} {:>8.1} {:>6} {:>8} {:>9.1} {:>9.1}",
            ms(self.times[0]),
            ms(self.times[count - 1]),
            or_none(aim_ms.map(|aim| aim.to_string())),
            or_none(bytes.map(|bytes| format!("{:.1}", mb(bytes)))),
            mb(self.peak_bytes),
            mb(self.resident_bytes),
        );
    }
}

/// An application and what its name resolves to.
struct App {
    query: Vec<u8>,
    addresses: BTreeSet<IpAddr>,
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
        // One application waits for a machine, and has no name.
        let mut running: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
        for task in cluster.running() {
            let name = &*cluster.apps[task.app as usize].plan.name;
            let address = Some(cluster.address(task)).filter(IpAddr::is_ipv4);
            running.entry(name).or_default().extend(address);
        }
        apps.map(|app| App {
            // A task's name is one label.
            query: query(&format!(
                "{}.marathon.mesos",
                app.plan.name.replace('.', "-")
            )),
            addresses: running.get(&*app.plan.name).cloned().unwrap_or_default(),
        })
        .filter(|app| !app.addresses.is_empty())
        .collect()
    })
}

/// A directory with a configuration and what is kept between two starts.
struct Place {
    directory: PathBuf,
    dns: SocketAddr,
}

impl Place {
    fn new(master: SocketAddr) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("restart-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory below target");
        let dns = free_address();
        let config = serde_json::json!({
            "Masters": [master.to_string()], "RefreshSeconds": 3600, "Listener": "127.0.0.1",
            "Port": dns.port(), "HttpOn": false, "StateDirectory": directory.join("state"),
        });
        fs::write(directory.join("config.json"), config.to_string()).expect("the configuration");
        Self { directory, dns }
    }

    fn file(&self) -> PathBuf {
        self.directory.join("state/warm-start")
    }

    fn start(&self, cores: &Cores) -> Server {
        let log = self.directory.join("log");
        let output = fs::File::create(&log).expect("a log");
        // Another binary, to compare with.
        let program = std::env::var("ROLLCALL");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall").to_owned());
        let mut command = Command::new(program);
        command
            .arg(format!(
                "-config={}",
                self.directory.join("config.json").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output);
        // A child has the core of its parent; a program in between would be part of what is measured.
        affinity::pin_current_thread(cores.server).expect("a core of ours");
        let begin = Instant::now();
        let child = command.spawn().expect("rollcall starts");
        affinity::pin_current_thread(cores.client).expect("a core of ours");
        Server {
            child,
            begin,
            dns: self.dns,
            log,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The real program, on a core of its own.
struct Server {
    child: Child,
    begin: Instant,
    dns: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// The time from the start to the first right answer.
    fn first_answer(&mut self, app: &App) -> Duration {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(self.dns).expect("loopback");
        // A timeout of the kernel's is never this short.
        socket.set_nonblocking(true).expect("a socket of ours");
        loop {
            let asked_at = Instant::now();
            assert!(asked_at - self.begin < PATIENCE, "no answer");
            // Nobody listens yet: the kernel says so here, or to the next call.
            let _ = socket.send(&app.query);
            while asked_at.elapsed() < ASK_EVERY {
                if is_answered(&socket, app) {
                    return self.begin.elapsed();
                }
                std::hint::spin_loop();
            }
        }
    }

    fn wait_for_line(&self, text: &str) {
        wait_for(text, || read(&self.log).contains(text));
    }

    /// A line of its status, in octets.
    fn memory(&self, label: &str) -> u64 {
        let status = read(Path::new(&format!("/proc/{}/status", self.child.id())));
        let rest = status.split(label).nth(1).unwrap_or_default();
        let kibibytes = rest.split_whitespace().next().unwrap_or_default();
        kibibytes.parse::<u64>().expect("a count of kB") * 1_024
    }

    /// Ends it as its supervisor would, so that it leaves its file.
    fn end(mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM is sent");
        let ended = self.child.wait().expect("a child of ours");
        assert!(ended.success(), "{ended}: {}", read(&self.log));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}", read(&self.log));
        }
    }
}

fn is_answered(socket: &UdpSocket, app: &App) -> bool {
    let mut buffer = [0; 4_096];
    let Ok(length) = socket.recv(&mut buffer) else {
        return false;
    };
    let answer = Message::from_vec(&buffer[..length]).expect("an answer that decodes");
    // SERVFAIL until there is a table.
    if answer.metadata.response_code != ResponseCode::NoError {
        return false;
    }
    let found = answer.answers.iter().map(|record| record.data.to_string());
    let found: BTreeSet<String> = found.collect();
    let wanted: BTreeSet<String> = app.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(found, wanted, "an answer, but a wrong one");
    true
}

fn wait_for(what: &str, check: impl Fn() -> bool) {
    let begin = Instant::now();
    while !check() {
        assert!(begin.elapsed() < PATIENCE, "no {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Sizes of clusters, and how soon a warm start should answer.
const AIMS_MS: [(usize, u32); 2] = [(10_000, 50), (100_000, 250)];
const ASK_EVERY: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(60);
