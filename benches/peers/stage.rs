//! Everything that runs while measuring. In: the size of the cluster and the numbers of workers. Out:
//! servers that answer the names of one zone, each on its cores. Must never leave a process or a file.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rollcall::sys::affinity;

use crate::cluster::Cluster;
use crate::judge::Expect;
use crate::peers::{Peer, Setup};
use crate::process::Process;
use crate::wire::query;
use crate::zone::Zone;

/// Processes end before their directory goes.
pub struct Stage {
    pub servers: Vec<Server>,
    pub zone: Zone,
    /// What is not measured, and why.
    pub notes: Vec<String>,
    pub cores: Cores,
    _cluster: Cluster,
    _place: Place,
}

pub struct Server {
    pub peer: Peer,
    pub process: Process,
    pub workers: usize,
}

#[derive(Clone, Copy)]
pub struct Cores {
    pub server: usize,
    pub load: usize,
}

impl Cores {
    /// The first two that we may use; the calling thread goes to that of the load.
    pub fn take() -> Result<Self, String> {
        let allowed = affinity::allowed_cores().map_err(|error| error.to_string())?;
        let [server, load, ..] = allowed[..] else {
            return Err("needs two cores, one for the server and one for the load".to_owned());
        };
        affinity::pin_current_thread(load).map_err(|error| error.to_string())?;
        Ok(Self { server, load })
    }

    /// Those of a server with so many workers.
    pub fn of_server(&self, workers: usize) -> Vec<usize> {
        match workers {
            1 => vec![self.server],
            _ => vec![self.server, self.load],
        }
    }
}

impl Stage {
    pub fn start(tasks: usize, workers: &[usize]) -> Result<Self, String> {
        let cores = Cores::take()?;
        let place = Place::new();
        let cluster = Cluster::start(&place.0, tasks, cores.load)?;
        let (mut servers, mut notes) = (Vec::new(), Vec::new());
        let mut zone = None;
        for &workers in workers {
            let setup = Setup {
                directory: place.0.clone(),
                zone_file: place.0.join("mesos.zone"),
                master: cluster.master,
                workers,
            };
            let (ours, ours_missing) = setup.rollcalls();
            for peer in ours {
                servers.push(Server::start(peer, workers, &cores, &cluster.name)?);
            }
            let is_first = zone.is_none();
            if is_first {
                let http = servers.iter().find_map(|server| server.peer.http);
                let read = read_zone(http.ok_or("no Rollcall runs")?)?;
                read.write(&setup.zone_file);
                zone = Some(read);
            }
            let (others, others_missing) = setup.others();
            for peer in others {
                match Server::start(peer, workers, &cores, &cluster.name) {
                    Ok(server) => servers.push(server),
                    Err(error) => notes.push(error),
                }
            }
            if is_first {
                notes.extend([ours_missing, others_missing].concat());
            }
        }
        Ok(Self {
            servers,
            zone: zone.ok_or("no workers")?,
            notes,
            cores,
            _cluster: cluster,
            _place: place,
        })
    }
}

impl Server {
    /// Returns when it answers for a name of the cluster.
    pub fn start(peer: Peer, workers: usize, cores: &Cores, name: &str) -> Result<Self, String> {
        let cores = cores.of_server(workers);
        let mut process = Process::start(&peer.command, &cores, &peer.log);
        let begin = Instant::now();
        while !answers(peer.dns, name, peer.expect) {
            if process.has_ended() || begin.elapsed() > PATIENCE {
                let says = process.last_words();
                return Err(format!("{} does not answer {name}; {says}", peer.name));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self {
            peer,
            process,
            workers,
        })
    }
}

/// Whether a name has an address; asks once and waits a little.
pub fn answers(server: SocketAddr, name: &str, expect: Expect) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a timeout");
    let mut answer = [0; 4_096];
    // Nobody listens yet: the kernel says so, at once.
    let came = socket.send(&query(name)).is_ok() && socket.recv(&mut answer).is_ok();
    came && (expect == Expect::Echo || answer[3] & 15 == 0 && answer[6..8] != [0, 0])
}

/// All names of a Rollcall.
pub fn read_zone(http: SocketAddr) -> Result<Zone, String> {
    let told = ureq::get(format!("http://{http}/v1/axfr"))
        .call()
        .map_err(|error| error.to_string())?;
    let mut body = told.into_body();
    let json = body.with_config().limit(AXFR_BYTES_MAX).read_to_vec();
    Zone::from_axfr(&json.map_err(|error| error.to_string())?)
}

/// A directory that goes when we do.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Self {
        let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // What a run left that was killed.
        for entry in fs::read_dir(below).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix("versus-"));
            if id.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let directory = below.join(format!("versus-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory below target");
        Self(directory)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// For a server to read its zone.
const PATIENCE: Duration = Duration::from_secs(60);
/// A million tasks make less.
const AXFR_BYTES_MAX: u64 = 2 << 30;
