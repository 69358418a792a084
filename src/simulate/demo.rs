//! `rollcall demo`: a simulated master and Rollcall in one process, on loopback and without rights.
//! In: sizes. Out: commands to try, and lines that show tasks moving and DNS following. It must
//! leave nothing behind.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::ask::addresses_of;
use super::{SimulateError, SimulateOptions, Simulator};
use crate::config::Config;
use crate::daemon::Daemon;

/// What the demonstration shows.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoOptions {
    pub agents: usize,
    pub tasks: usize,
    pub seed: u64,
    /// Moves shown each second.
    pub churn_per_second: f64,
    /// Ends by itself after this; `None`: at SIGINT or SIGTERM.
    pub seconds: Option<u64>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            agents: 20,
            tasks: 100,
            seed: 1,
            churn_per_second: 0.3,
            seconds: None,
        }
    }
}

/// Why the demonstration ended early.
#[derive(Debug)]
pub enum DemoError {
    Simulate(SimulateError),
    /// The message of the part of Rollcall that refused.
    Rollcall(String),
    Signals(io::Error),
    NoPort {
        first: u16,
        last: u16,
    },
    ConfigFile {
        file: PathBuf,
        source: io::Error,
    },
    NoAnswer {
        name: String,
        server: SocketAddr,
    },
}

/// Runs until a signal, or for `seconds`.
pub fn run(options: &DemoOptions) -> Result<(), DemoError> {
    let stopped = stop_channel(options.seconds)?;
    let simulator = Simulator::start(&SimulateOptions {
        agents: options.agents,
        tasks: options.tasks,
        seed: options.seed,
        ..SimulateOptions::default()
    })
    .map_err(DemoError::Simulate)?;
    let dns = free_address(DNS_PORT_FIRST)?;
    let http = free_address(HTTP_PORT_FIRST)?;
    let config = config(simulator.address(), dns, http)?;
    let daemon = Daemon::start(config).map_err(|error| DemoError::Rollcall(error.to_string()))?;
    let outcome = show(options, &simulator, dns, http, &stopped);
    daemon.stop();
    simulator.stop();
    outcome
}

fn show(
    options: &DemoOptions,
    simulator: &Simulator,
    dns: SocketAddr,
    http: SocketAddr,
    stopped: &Receiver<()>,
) -> Result<(), DemoError> {
    let name = first_name(simulator);
    let deadline = Instant::now() + FIRST_ANSWER_MAX;
    while addresses_of(dns, &name).is_none_or(|addresses| addresses.is_empty()) {
        if Instant::now() > deadline {
            return Err(DemoError::NoAnswer { name, server: dns });
        }
        if is_over(stopped, POLL_PAUSE) {
            return Ok(());
        }
    }
    print(&commands(options, simulator.address(), dns, http));
    let pause = Duration::from_secs_f64(1.0 / options.churn_per_second.clamp(0.001, 100.0));
    let mut shown = 0;
    while !is_over(stopped, pause) {
        show_move(
            simulator,
            dns,
            SHOWN_APPS[shown % SHOWN_APPS.len()],
            stopped,
        );
        shown += 1;
    }
    Ok(())
}

/// Moves one instance and waits until DNS says so.
fn show_move(simulator: &Simulator, dns: SocketAddr, app: &str, stopped: &Receiver<()>) {
    // The new instance may land on the old one's machine; that would show nothing.
    let moved = (0..MOVE_TRIES)
        .filter_map(|_| Some((Instant::now(), simulator.step_app(app)?)))
        .find(|(_, step)| step.old != step.new);
    let Some((begin, moved)) = moved else { return };
    let name = format!("{app}.{DOMAIN}");
    print(&format!("{name}: {} -> {}", moved.old, moved.new));
    while begin.elapsed() < MOVE_SEEN_MAX {
        let seen = |addresses: Vec<IpAddr>| addresses.contains(&moved.new);
        if addresses_of(dns, &name).is_some_and(seen) {
            let milliseconds = begin.elapsed().as_millis();
            return print(&format!(
                "; DNS answers {} after {milliseconds} ms\n",
                moved.new
            ));
        }
        if is_over(stopped, MOVE_POLL_PAUSE) {
            return print("\n");
        }
    }
    print("; DNS did not follow, see the log\n");
}

fn commands(
    options: &DemoOptions,
    master: SocketAddr,
    dns: SocketAddr,
    http: SocketAddr,
) -> String {
    let DemoOptions { agents, tasks, .. } = options;
    let port = dns.port();
    let program = std::env::args().next();
    let program = program.as_deref().unwrap_or("rollcall");
    format!(
        "\
A simulated Mesos cluster of {agents} agents and {tasks} tasks: http://{master}/state
Rollcall answers its names: DNS on {dns}, HTTP on {http}. Try:

  dig @127.0.0.1 -p {port} web.{DOMAIN}
  dig @127.0.0.1 -p {port} _web._tcp.{DOMAIN} SRV
  dig @127.0.0.1 -p {port} +short cassandra-seed.{DOMAIN}
  curl http://{http}/v1/services/_cassandra-seed._tcp.{DOMAIN}.
  {program} explain --http {http} web.{DOMAIN}

Tasks move, and Rollcall follows the master's events: http://{http}/ shows it in a
browser. Ctrl-C ends it.
"
    )
}

/// A name that every cluster of this size has; without a task there is still a leader.
fn first_name(simulator: &Simulator) -> String {
    let has_web = simulator.with_cluster(|cluster| cluster.find_app(SHOWN_APPS[0]).is_some());
    if has_web {
        format!("{}.{DOMAIN}", SHOWN_APPS[0])
    } else {
        "leader.mesos".to_owned()
    }
}

/// Through the ordinary loader, from a file of its own: neither a `config.json` that lies about nor
/// the environment changes the demonstration.
fn config(master: SocketAddr, dns: SocketAddr, http: SocketAddr) -> Result<Config, DemoError> {
    let text = serde_json::json!({
        "Masters": [master.to_string()],
        "RefreshSeconds": 1,
        "TTL": 1,
        "Listener": dns.ip().to_string(),
        "Port": dns.port(),
        "HTTPListener": http.ip().to_string(),
        "HttpPort": http.port(),
        "ExternalOn": false,
    });
    let file = std::env::temp_dir().join(format!("rollcall-demo-{}.json", std::process::id()));
    let failed = |source| DemoError::ConfigFile {
        file: file.clone(),
        source,
    };
    std::fs::write(&file, text.to_string()).map_err(failed)?;
    let loaded = Config::load(Some(&file), std::iter::empty());
    std::fs::remove_file(&file).map_err(failed)?;
    match loaded {
        Ok(loaded) => Ok(loaded.config),
        Err(error) => Err(DemoError::Rollcall(error.to_string())),
    }
}

/// A loopback address whose port is free for UDP and TCP, from `first` on.
fn free_address(first: u16) -> Result<SocketAddr, DemoError> {
    let last = first.saturating_add(PORTS_TRIED);
    (first..=last)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|&address| UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok())
        .ok_or(DemoError::NoPort { first, last })
}

/// Says something, or loses its other end, when the demonstration is to end.
fn stop_channel(seconds: Option<u64>) -> Result<Receiver<()>, DemoError> {
    if let Some(seconds) = seconds {
        let (stop, stopped) = channel::bounded(1);
        let ended = channel::after(Duration::from_secs(seconds));
        let spawned = std::thread::Builder::new()
            .name("demo-clock".to_owned())
            .spawn(move || {
                let _ = ended.recv();
                drop(stop);
            });
        return spawned.map(|_| stopped).map_err(DemoError::Signals);
    }
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(DemoError::Signals)?;
    let (stop, stopped) = channel::bounded(1);
    std::thread::Builder::new()
        .name("demo-signals".to_owned())
        .spawn(move || {
            let _ = signals.forever().next();
            drop(stop);
        })
        .map_err(DemoError::Signals)?;
    Ok(stopped)
}

fn is_over(stopped: &Receiver<()>, pause: Duration) -> bool {
    stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
}

/// A reader that went away (`| head`) is no failure.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulate(error) => error.fmt(f),
            Self::Rollcall(message) => f.write_str(message),
            Self::Signals(source) => write!(f, "cannot wait for the end: {source}"),
            Self::NoPort { first, last } => write!(
                f,
                "every port from {first} to {last} of 127.0.0.1 is taken; free one of them"
            ),
            Self::ConfigFile { file, source } => write!(
                f,
                "cannot keep the configuration in {}: {source}; set TMPDIR to a folder that can be written",
                file.display()
            ),
            Self::NoAnswer { name, server } => {
                write!(f, "{server} gave no address for {name}; the log says why")
            }
        }
    }
}

impl std::error::Error for DemoError {}

const DOMAIN: &str = "marathon.mesos";
const DNS_PORT_FIRST: u16 = 8053;
const HTTP_PORT_FIRST: u16 = 8123;
const PORTS_TRIED: u16 = 100;
/// Applications of `plan::apps` whose names need no mangling.
const SHOWN_APPS: [&str; 4] = ["web", "cassandra-seed", "nginx", "worker"];
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);
const MOVE_SEEN_MAX: Duration = Duration::from_secs(10);
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// Short against what is measured.
const MOVE_POLL_PAUSE: Duration = Duration::from_millis(1);
const MOVE_TRIES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let first = free_address(20_000).expect("a port");
        let _taken = UdpSocket::bind(first).expect("bind");
        let next = free_address(first.port()).expect("another port");
        assert!(next.port() > first.port());
    }

    #[test]
    fn shown_applications_are_in_every_default_cluster() {
        let options = DemoOptions::default();
        let cluster =
            super::super::cluster::Cluster::new(options.agents, options.tasks, options.seed);
        for name in SHOWN_APPS {
            let app = cluster.find_app(name).expect(name);
            assert_eq!(app.plan.framework, 0, "{name} is Marathon's");
            assert!(!app.tasks.is_empty());
        }
    }
}
