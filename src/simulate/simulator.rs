//! A simulated master as a handle: a made-up cluster, its HTTP side and its churn. In: options. Out:
//! an address to point Rollcall at, and changes on demand. For `simulate`, `demo`, tests and benches.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, RecvTimeoutError};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::cluster::{Cluster, Step};
use super::document;
use super::server::{self, Served};

/// How the simulated master is made.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateOptions {
    pub agents: usize,
    pub tasks: usize,
    /// Instances that end and start anew each second; 0: only by `Simulator::step`.
    pub churn_per_second: f64,
    /// The same seed gives the same cluster and the same changes.
    pub seed: u64,
    pub listen: SocketAddr,
    /// `HOST:PORT` of the leader: this master is a standby and redirects to it.
    pub standby: Option<String>,
}

impl Default for SimulateOptions {
    fn default() -> Self {
        Self {
            agents: 20,
            tasks: 100,
            churn_per_second: 0.0,
            seed: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            standby: None,
        }
    }
}

/// A running simulated master. Dropping it stops it.
pub struct Simulator {
    address: SocketAddr,
    served: Arc<Served>,
    stop_churn: Option<channel::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Why there is no simulated master.
#[derive(Debug)]
pub enum SimulateError {
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    Thread(io::Error),
    Signals(io::Error),
    Churn(f64),
}

impl Simulator {
    /// Makes the cluster and listens.
    pub fn start(options: &SimulateOptions) -> Result<Self, SimulateError> {
        let churn = options.churn_per_second;
        if !(0.0..=CHURN_PER_SECOND_MAX).contains(&churn) {
            return Err(SimulateError::Churn(churn));
        }
        let failed = |source| SimulateError::Listen {
            address: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        let address = reachable(listener.local_addr().map_err(failed)?);
        let own = address.to_string();
        let served = Arc::new(Served {
            documents: Documents::new(
                Cluster::new(options.agents, options.tasks, options.seed),
                own.clone(),
            ),
            standby_of: options.standby.clone(),
            own,
            is_stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let mut simulator = Self {
            address,
            served: Arc::clone(&served),
            stop_churn: None,
            threads: Vec::new(),
        };
        simulator.spawn("simulate-accept", move || {
            server::accept(&listener, &served);
        })?;
        if churn > 0.0 {
            let (stop, stopped) = channel::bounded(0);
            let served = Arc::clone(&simulator.served);
            simulator.stop_churn = Some(stop);
            simulator.spawn("simulate-churn", move || {
                churn_until(&served.documents, churn, &stopped);
            })?;
        }
        Ok(simulator)
    }

    /// Where it listens, as a client on this host reaches it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One instance ends and another of its application starts.
    pub fn step(&self) -> Option<Step> {
        self.served.documents.change(Cluster::step)
    }

    /// The same for one application.
    pub fn step_app(&self, name: &str) -> Option<Step> {
        self.served
            .documents
            .change(|cluster| cluster.step_app(name))
    }

    /// Reads the cluster as it is now.
    pub fn with_cluster<T>(&self, read: impl FnOnce(&Cluster) -> T) -> T {
        read(&self.served.documents.lock().cluster)
    }

    /// The document that `/state` would give now.
    pub fn document(&self) -> io::Result<Arc<Vec<u8>>> {
        self.served.documents.present(false)
    }

    /// Stops listening; returns when the threads that accept and churn are gone.
    pub fn stop(mut self) {
        self.end();
    }

    fn spawn(
        &mut self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), SimulateError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(SimulateError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    fn end(&mut self) {
        // Pairs with the load in `server::accept`, which this connection wakes.
        self.served.is_stopping.store(true, Ordering::Release);
        drop(self.stop_churn.take());
        let _woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the simulated master had panicked");
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// The cluster and its documents, each written once a generation and only when asked for.
pub struct Documents {
    inner: Mutex<Inner>,
    leader: String,
}

struct Inner {
    cluster: Cluster,
    plain: Option<Arc<Vec<u8>>>,
    gzip: Option<Arc<Vec<u8>>>,
}

impl Documents {
    fn new(cluster: Cluster, leader: String) -> Self {
        Self {
            inner: Mutex::new(Inner {
                cluster,
                plain: None,
                gzip: None,
            }),
            leader,
        }
    }

    /// The document of the cluster as it is now.
    pub fn present(&self, as_gzip: bool) -> io::Result<Arc<Vec<u8>>> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let plain = inner.plain.get_or_insert_with(|| {
            Arc::new(document::state(&inner.cluster, &self.leader).into_bytes())
        });
        if !as_gzip {
            return Ok(Arc::clone(plain));
        }
        if let Some(gzip) = &inner.gzip {
            return Ok(Arc::clone(gzip));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain)?;
        let gzip = Arc::new(encoder.finish()?);
        inner.gzip = Some(Arc::clone(&gzip));
        Ok(gzip)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        let mut inner = self.lock();
        inner.plain = None;
        inner.gzip = None;
        change(&mut inner.cluster)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A cluster is whole after each statement that changes it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn churn_until(documents: &Documents, per_second: f64, stopped: &channel::Receiver<()>) {
    let begin = Instant::now();
    let pause = Duration::from_secs_f64((1.0 / per_second).clamp(0.01, 3600.0));
    let mut done = 0_u64;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
        let due = (begin.elapsed().as_secs_f64() * per_second) as u64;
        for _ in done..due {
            let _ = documents.change(Cluster::step);
        }
        done = done.max(due);
    }
}

/// An unspecified address is no address to go to: loopback of its family is.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

impl fmt::Display for SimulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => write!(
                f,
                "cannot listen on {address} as a simulated master: {source}; give another --listen"
            ),
            Self::Thread(source) => write!(
                f,
                "cannot start a thread: {source}; raise the limit of processes"
            ),
            Self::Signals(source) => write!(f, "cannot wait for signals: {source}"),
            Self::Churn(churn) => write!(
                f,
                "--churn {churn} is out of range: give a number from 0 to {CHURN_PER_SECOND_MAX}"
            ),
        }
    }
}

impl std::error::Error for SimulateError {}

/// Faster than any cluster, and slow enough to be done within a second.
const CHURN_PER_SECOND_MAX: f64 = 100_000.0;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn ask(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.write_all(request.as_bytes()).expect("write");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head");
        let body = bytes.split_off(end + 4);
        (String::from_utf8(bytes).expect("text"), body)
    }

    fn get(address: SocketAddr, path: &str, fields: &str) -> (String, Vec<u8>) {
        ask(
            address,
            &format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"),
        )
    }

    #[test]
    fn state_is_served_plain_and_as_gzip_until_a_step_changes_it() {
        let simulator = Simulator::start(&SimulateOptions::default()).expect("start");
        let (head, plain) = get(simulator.address(), "/state", "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let (head, packed) = get(
            simulator.address(),
            "/master/state/",
            "Accept-Encoding: gzip\r\n",
        );
        assert!(head.contains("Content-Encoding: gzip"), "{head}");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .expect("gzip");
        assert_eq!(plain, unpacked);
        assert!(simulator.step().is_some());
        assert_ne!(get(simulator.address(), "/state", "").1, plain);
        let (head, body) = ask(
            simulator.address(),
            "HEAD /state HTTP/1.1\r\nConnection: close\r\n\r\n",
        );
        assert!(
            head.contains("200 OK") && body.is_empty() && !head.contains("Content-Length: 0\r"),
            "{head}"
        );
        simulator.stop();
    }

    #[test]
    fn standby_redirects_as_a_master_that_does_not_lead() {
        let options = SimulateOptions {
            standby: Some("192.0.2.1:5050".to_owned()),
            ..SimulateOptions::default()
        };
        let simulator = Simulator::start(&options).expect("start");
        let (head, _) = get(simulator.address(), "/state?a=b", "");
        assert!(head.starts_with("HTTP/1.1 307"), "{head}");
        assert!(
            head.contains("Location: //192.0.2.1:5050/master/state?a=b\r\n"),
            "{head}"
        );
        assert!(get(simulator.address(), "/health", "").0.contains("200"));
        assert!(
            get(simulator.address(), "/state.json", "")
                .0
                .contains("404")
        );
    }

    #[test]
    fn an_address_in_use_is_an_error_with_the_cure() {
        let simulator = Simulator::start(&SimulateOptions::default()).expect("start");
        let options = SimulateOptions {
            listen: simulator.address(),
            ..SimulateOptions::default()
        };
        let error = Simulator::start(&options).err().expect("an error");
        assert!(error.to_string().contains("give another --listen"));
    }

    #[test]
    fn churn_changes_the_cluster_by_itself() {
        let options = SimulateOptions {
            churn_per_second: 500.0,
            ..SimulateOptions::default()
        };
        let simulator = Simulator::start(&options).expect("start");
        let begin = simulator.with_cluster(|cluster| cluster.clock);
        let deadline = Instant::now() + Duration::from_secs(20);
        while simulator.with_cluster(|cluster| cluster.clock) == begin {
            assert!(Instant::now() < deadline, "no churn");
            std::thread::yield_now();
        }
    }
}
