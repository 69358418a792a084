//! The processes of the soak. In: where the cluster's master is, and a core for each. Out: Rollcall with a
//! resolver behind it (knot with a zone `example.`), and what the kernel counts of Rollcall. Both end with
//! the values.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::wire::free_address;

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Rollcall {
    process: Running,
    pub dns: SocketAddr,
}

/// What it uses of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    pub resident_kib: u64,
    pub files: u64,
    pub threads: u64,
    pub cpu: Duration,
}

impl Rollcall {
    pub fn start(directory: &Path, master: SocketAddr, resolver: SocketAddr, core: usize) -> Self {
        let (dns, http) = (free_address(), free_address());
        let config = json!({
            "Masters": [master.to_string()], "RefreshSeconds": 60, "Workers": 1,
            "Listener": "127.0.0.1", "Port": dns.port(),
            "HTTPListener": "127.0.0.1", "HttpPort": http.port(),
            "Resolvers": [resolver.to_string()], "CacheBytes": CACHE_BYTES,
        });
        let file = directory.join("config.json");
        fs::write(&file, config.to_string()).expect("a configuration");
        let binary = std::env::var("ROLLCALL");
        let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall").to_owned());
        let file = format!("-config={}", file.display());
        let process = start(&[&binary, &file], core, &directory.join("log"));
        Self { process, dns }
    }

    pub fn uses(&self) -> Use {
        let id = self.process.0.id();
        let read = |file: &str| {
            let text = fs::read_to_string(format!("/proc/{id}/{file}"));
            text.expect("it runs")
        };
        let number = |text: &str, label: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(label));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).expect("a number")
        };
        let stat = read("stat");
        // Behind the name, which is in brackets: the 12th and 13th word, in hundredths of a second.
        let (_, words) = stat.rsplit_once(')').expect("a name");
        let ticks = words.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|it| it.parse::<u64>().expect("ticks")).sum();
        let files = fs::read_dir(format!("/proc/{id}/fd")).expect("it runs");
        Use {
            resident_kib: number(&read("smaps_rollup"), "Rss:"),
            files: files.count() as u64,
            threads: number(&read("status"), "Threads:"),
            cpu: Duration::from_millis(ticks * 10),
        }
    }
}

pub struct Knot {
    _process: Running,
    pub address: SocketAddr,
}

impl Knot {
    pub fn start(directory: &Path, core: usize) -> Self {
        let address = free_address();
        let zone = "$ORIGIN example.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n\
                    @ NS ns\nns A 127.0.0.1\n* A 192.0.2.1\n";
        fs::write(directory.join("example.zone"), zone).expect("a zone");
        let (ip, port, directory) = (address.ip(), address.port(), directory.display());
        let settings = format!(
            "server:
    listen: {ip}@{port}
    rundir: \"{directory}\"
    pidfile: \"{directory}/pid\"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: \"{directory}\"
template:
  - id: default
    storage: \"{directory}\"
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: example
    file: example.zone
"
        );
        let file = PathBuf::from(directory.to_string()).join("knot.conf");
        fs::write(&file, settings).expect("a configuration");
        let log = file.with_extension("log");
        let process = start(&["knotd", "-c", &file.display().to_string()], core, &log);
        Self {
            _process: process,
            address,
        }
    }
}

fn start(command: &[&str], core: usize, log: &Path) -> Running {
    let log = fs::File::create(log).expect("a log");
    let child = Command::new("taskset")
        .args(["-c", &core.to_string()])
        .args(command)
        .env(
            "PATH",
            "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
        )
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn();
    Running(child.expect("taskset starts it (apt-get install util-linux knot)"))
}

/// Full long before the soak begins.
pub const CACHE_BYTES: u64 = 2 << 20;
