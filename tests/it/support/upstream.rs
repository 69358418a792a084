//! Real servers to ask: knot with a zone, unbound in front of it. Each is one process in the foreground
//! with a folder of its own; it can be killed, stopped for a while and started again at its address, and
//! ends with the value, by its process id. Neither asks anybody but those on loopback.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::client::{Client, SOA, query};
use super::files::Folder;
use super::process::free_address;
use super::wait_until;

pub struct Upstream {
    folder: Folder,
    address: SocketAddr,
    program: Program,
    child: Child,
}

enum Program {
    /// The zone `example.`, as in a zone file; signed by knot where so wanted.
    Knot { zone: String, is_signed: bool },
    /// A resolver that knows this server of `example.` and no other, and trusts these anchors.
    Unbound {
        authority: SocketAddr,
        anchors: Vec<String>,
    },
}

impl Upstream {
    /// knot as the server of `example.`
    pub fn knot(zone: &str) -> Self {
        let zone = zone.to_owned();
        let is_signed = false;
        Self::start(|| Program::Knot {
            zone: zone.clone(),
            is_signed,
        })
    }

    /// The same, signed.
    pub fn signed_knot(zone: &str) -> Self {
        let zone = zone.to_owned();
        let is_signed = true;
        Self::start(|| Program::Knot {
            zone: zone.clone(),
            is_signed,
        })
    }

    /// unbound in front of a knot; `anchors` are records of the zone, which it then validates.
    pub fn unbound(authority: &Self, anchors: &[String]) -> Self {
        let authority = authority.address;
        Self::start(|| Program::Unbound {
            authority,
            anchors: anchors.to_vec(),
        })
    }

    fn start(program: impl Fn() -> Program) -> Self {
        let mut log = String::new();
        // Another test may take the port between the look and the bind.
        for _ in 0..5 {
            let (folder, address, program) = (Folder::new(), free_address(), program());
            let child = launch(&folder, address, &program);
            let mut upstream = Self {
                folder,
                address,
                program,
                child,
            };
            if upstream.serves() {
                return upstream;
            }
            log = upstream.log();
        }
        panic!("the server does not start:\n{log}");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Another process with the same zone at the same address; the one before must have been killed.
    pub fn start_again(&mut self) {
        self.child = launch(&self.folder, self.address, &self.program);
        assert!(self.serves(), "the server does not start again");
    }

    /// Has it do nothing, with its sockets open, until `go_on`.
    pub fn pause(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        wait_until("process that stands still", || {
            let text = fs::read_to_string(&stat).expect("the process is there");
            text.rsplit_once(')')
                .is_some_and(|(_, rest)| rest.starts_with(" T"))
        });
    }

    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "{name} is sent");
    }

    /// Waits until it answers for the zone. False: it has ended.
    fn serves(&mut self) -> bool {
        let mut runs = true;
        wait_until("answer of the server", || {
            runs = self.child.try_wait().expect("a child of ours").is_none();
            !runs || TcpStream::connect(self.address).is_ok() && knows_zone(self.address)
        });
        runs
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // SIGKILL ends one that is stopped as well.
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("--- what the server at {} logged:\n{log}", self.address);
        }
    }
}

/// Whether NOERROR comes for the zone's SOA.
fn knows_zone(address: SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    let wait = Duration::from_millis(500);
    socket.set_read_timeout(Some(wait)).expect("above zero");
    let mut answer = [0; 4096];
    let asked = socket.send_to(&query("example", SOA), address);
    asked.is_ok() && socket.recv(&mut answer).is_ok() && answer[3] & 15 == 0 && answer[7] > 0
}

fn launch(folder: &Folder, address: SocketAddr, program: &Program) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log");
    let mut command = match program {
        Program::Knot { zone, is_signed } => {
            folder.write("example.zone", zone);
            let settings = folder.write("settings", knot(folder, address, *is_signed));
            let mut command = Command::new("knotd");
            command.arg("-c").arg(settings);
            command
        }
        Program::Unbound { authority, anchors } => {
            let settings = folder.write("settings", unbound(folder, address, *authority, anchors));
            let mut command = Command::new("unbound");
            command.args(["-d", "-c"]).arg(settings);
            command
        }
    };
    command
        .env(
            "PATH",
            "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
        )
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("knotd and unbound are installed; tests/run does it")
}

fn knot(folder: &Folder, address: SocketAddr, is_signed: bool) -> String {
    let (ip, port) = (address.ip(), address.port());
    let folder = folder.display();
    let signing = match is_signed {
        true => "    dnssec-signing: on\n    dnssec-policy: quick\n",
        false => "",
    };
    format!(
        "server:
    listen: {ip}@{port}
    rundir: \"{folder}\"
    pidfile: \"{folder}/pid\"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 4096
log:
  - target: stderr
    any: info
database:
    storage: \"{folder}\"
policy:
  - id: quick
    algorithm: ecdsap256sha256
    single-type-signing: on
template:
  - id: default
    storage: \"{folder}\"
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: example
    file: example.zone
{signing}"
    )
}

fn unbound(
    folder: &Folder,
    address: SocketAddr,
    authority: SocketAddr,
    anchors: &[String],
) -> String {
    let modules = match anchors {
        [] => "iterator",
        _ => "validator iterator",
    };
    let anchors: String = anchors
        .iter()
        .map(|anchor| format!("    trust-anchor: \"{anchor}\"\n"))
        .collect();
    format!(
        "server:
    directory: \"{}\"
    chroot: \"\"
    username: \"\"
    pidfile: \"\"
    use-syslog: no
    logfile: \"\"
    do-daemonize: no
    interface: {}@{}
    num-threads: 1
    do-ip6: no
    edns-buffer-size: 4096
    max-udp-size: 4096
    do-not-query-localhost: no
    local-zone: \".\" refuse
    local-zone: \"example.\" transparent
    module-config: \"{modules}\"
{anchors}stub-zone:
    name: \"example.\"
    stub-addr: {}@{}
remote-control:
    control-enable: no
",
        folder.display(),
        address.ip(),
        address.port(),
        authority.ip(),
        authority.port(),
    )
}
