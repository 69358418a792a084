//! The servers that are compared. In: what is installed, the zone, a number of workers. Out: for each a
//! configuration, a command and a version; for what is missing a line that says so. Everything listens on
//! loopback alone and writes below one directory.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::judge::Expect;
use crate::wire::free_address;

/// A server that can be started.
pub struct Peer {
    pub name: String,
    pub version: String,
    pub command: Vec<String>,
    pub dns: SocketAddr,
    /// Where Rollcall tells its records.
    pub http: Option<SocketAddr>,
    pub expect: Expect,
    /// Rollcall, whose answers must be right.
    pub is_ours: bool,
    pub log: PathBuf,
}

/// What every configuration is made of.
pub struct Setup {
    pub directory: PathBuf,
    pub zone_file: PathBuf,
    pub master: SocketAddr,
    pub workers: usize,
}

impl Setup {
    /// Rollcall with every engine that works here, and notes about others.
    pub fn rollcalls(&self) -> (Vec<Peer>, Vec<String>) {
        let binary = rollcall();
        let (engines, notes) = self.engines();
        let ours = engines.into_iter().map(|engine| {
            let name = format!("rollcall {engine}");
            self.rollcall(&name, &binary, Some(engine))
        });
        let mut peers: Vec<_> = ours.collect();
        if let Ok(before) = env::var("ROLLCALL_BEFORE") {
            peers.push(self.rollcall("before", &before, None));
        }
        (peers, notes)
    }

    /// Those that work here, and notes about others.
    pub fn engines(&self) -> (Vec<&'static str>, Vec<String>) {
        let (mut engines, mut notes) = (Vec::new(), Vec::new());
        for engine in ["epoll", "uring"] {
            match self.chosen_for(engine) {
                chosen if chosen.starts_with(&format!("datagrams: {engine}")) => {
                    engines.push(engine);
                }
                chosen => notes.push(format!("no engine {engine} here: {chosen}")),
            }
        }
        (engines, notes)
    }

    /// The floor and all others that are installed, and notes about those that are not.
    pub fn others(&self) -> (Vec<Peer>, Vec<String>) {
        let mut peers = vec![self.echo()];
        let mut notes = Vec::new();
        let makers: [(&str, Maker); 6] = [
            ("knotd", Self::knot),
            ("nsd", Self::nsd),
            ("unbound", Self::unbound),
            ("named", Self::bind),
            ("coredns", Self::coredns),
            ("mesos-dns", Self::mesos_dns),
        ];
        for (program, make) in makers {
            match find(program) {
                Some(path) => peers.push(make(self, &path)),
                None => notes.push(format!("{program} is not installed: not measured")),
            }
        }
        (peers, notes)
    }

    pub fn rollcall(&self, name: &str, binary: &str, engine: Option<&str>) -> Peer {
        let http = free_address();
        let mut peer = self.peer(name, &[binary], "--version");
        let mut config = self.mesos_config(peer.dns, http);
        if let Some(engine) = engine {
            config["Engine"] = engine.into();
        }
        let file = self.write(name, "json", &config.to_string());
        peer.command.push(format!("-config={file}"));
        peer.http = Some(http);
        peer.is_ours = true;
        peer
    }

    /// What `check` says of the engine that it would use where this one is asked for.
    fn chosen_for(&self, engine: &str) -> String {
        let config = serde_json::json!({"Masters": ["127.0.0.1:5050"], "Engine": engine});
        let file = self.write("probe", "json", &config.to_string());
        let checked = Command::new(rollcall())
            .args(["check", &format!("-config={file}")])
            .output()
            .expect("rollcall starts");
        let said = [checked.stdout, checked.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().find(|line| line.starts_with("datagrams: "));
        line.unwrap_or(&said).to_owned()
    }

    fn mesos_config(&self, dns: SocketAddr, http: SocketAddr) -> serde_json::Value {
        serde_json::json!({
            "Masters": [self.master.to_string()], "RefreshSeconds": 3600, "ExternalOn": false,
            "Listener": "127.0.0.1", "Port": dns.port(),
            "HTTPListener": "127.0.0.1", "HttpPort": http.port(),
        })
    }

    pub fn mesos_dns(&self, program: &str) -> Peer {
        let mut peer = self.peer("mesos-dns", &[program], "-version");
        let mut config = self.mesos_config(peer.dns, free_address());
        config["refreshSeconds"] = 3600.into();
        let file = self.write("mesos-dns", "json", &config.to_string());
        peer.command.push(format!("-config={file}"));
        self.limit_go(&mut peer);
        peer
    }

    fn echo(&self) -> Peer {
        let program = self.directory.join("echo");
        if !program.exists() {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tools/echo.c");
            let built = Command::new("gcc")
                .args(["-O2", "-o"])
                .args([&program, &source])
                .status()
                .expect("gcc starts (apt-get install gcc libc6-dev)");
            assert!(built.success(), "echo.c compiles");
        }
        let dns = free_address();
        Peer {
            name: "echo".to_owned(),
            version: "benches/tools/echo.c".to_owned(),
            command: vec![
                program.display().to_string(),
                dns.port().to_string(),
                self.workers.to_string(),
            ],
            dns,
            http: None,
            expect: Expect::Echo,
            is_ours: false,
            log: self.directory.join("echo.log"),
        }
    }

    fn knot(&self, program: &str) -> Peer {
        let mut peer = self.peer("knot", &[program], "--version");
        let (directory, zone, workers) = (self.place("knot"), self.zone(), self.workers);
        let config = format!(
            "server:
    rundir: {directory}
    listen: 127.0.0.1@{port}
    udp-workers: {workers}
    tcp-workers: 1
    background-workers: 1
database:
    storage: {directory}
log:
  - target: stderr
    any: error
zone:
  - domain: mesos
    file: {zone}
    storage: {directory}
    zonefile-sync: -1
    journal-content: none
",
            port = peer.dns.port()
        );
        let file = self.write("knot", "conf", &config);
        peer.command.extend(["-c".to_owned(), file]);
        peer
    }

    fn nsd(&self, program: &str) -> Peer {
        let mut peer = self.peer("nsd", &[program], "-v");
        let (directory, zone, workers) = (self.place("nsd"), self.zone(), self.workers);
        // Its rate limits would drop the load.
        let config = format!(
            "server:
    ip-address: 127.0.0.1
    port: {port}
    server-count: {workers}
    reuseport: yes
    username: \"\"
    zonesdir: {directory}
    database: \"\"
    pidfile: {directory}/nsd.pid
    xfrdfile: {directory}/xfrd.state
    zonelistfile: {directory}/zone.list
    cookie-secret-file: \"\"
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: mesos
    zonefile: {zone}
",
            port = peer.dns.port()
        );
        let file = self.write("nsd", "conf", &config);
        peer.command
            .extend(["-d".to_owned(), "-c".to_owned(), file]);
        peer
    }

    fn unbound(&self, program: &str) -> Peer {
        let mut peer = self.peer("unbound", &[program], "-V");
        let (directory, zone, workers) = (self.place("unbound"), self.zone(), self.workers);
        let config = format!(
            "server:
    directory: {directory}
    chroot: \"\"
    username: \"\"
    pidfile: {directory}/unbound.pid
    interface: 127.0.0.1
    port: {port}
    do-ip6: no
    do-daemonize: no
    num-threads: {workers}
    so-reuseport: yes
    access-control: 127.0.0.0/8 allow
    module-config: iterator
    use-syslog: no
remote-control:
    control-enable: no
auth-zone:
    name: mesos
    zonefile: {zone}
    for-downstream: yes
    for-upstream: no
    fallback-enabled: no
",
            port = peer.dns.port()
        );
        let file = self.write("unbound", "conf", &config);
        peer.command
            .extend(["-d".to_owned(), "-c".to_owned(), file]);
        peer
    }

    fn bind(&self, program: &str) -> Peer {
        let mut peer = self.peer("bind", &[program], "-v");
        let (directory, zone) = (self.place("bind"), self.zone());
        // `slave.mesos` has an address of every agent.
        let config = format!(
            "options {{
    directory \"{directory}\";
    pid-file \"{directory}/named.pid\";
    session-keyfile \"{directory}/session.key\";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    notify no;
    allow-transfer {{ none; }};
    dnssec-validation no;
    minimal-responses no-auth;
    max-records-per-type 0;
}};
controls {{ }};
zone \"mesos\" {{ type primary; file \"{zone}\"; check-names ignore; }};
",
            port = peer.dns.port()
        );
        let file = self.write("bind", "conf", &config);
        let workers = self.workers.to_string();
        let arguments = ["-g", "-4", "-n", &workers, "-c", &file];
        peer.command
            .extend(arguments.iter().map(ToString::to_string));
        peer
    }

    fn coredns(&self, program: &str) -> Peer {
        let mut peer = self.peer("coredns", &[program], "-version");
        let port = peer.dns.port();
        let zone = self.zone();
        let config = format!("mesos:{port} {{\n    bind 127.0.0.1\n    file {zone} mesos\n}}\n");
        let file = self.write("coredns", "Corefile", &config);
        peer.command.extend(["-conf".to_owned(), file]);
        self.limit_go(&mut peer);
        peer
    }

    /// Programs in Go take as many threads as they see cores.
    fn limit_go(&self, peer: &mut Peer) {
        let limit = format!("GOMAXPROCS={}", self.workers);
        peer.command.splice(..0, ["env".to_owned(), limit]);
    }

    pub fn peer(&self, name: &str, command: &[&str], version_flag: &str) -> Peer {
        Peer {
            name: name.to_owned(),
            version: version(command[0], version_flag),
            command: command.iter().map(ToString::to_string).collect(),
            dns: free_address(),
            http: None,
            expect: Expect::Answers,
            is_ours: false,
            log: self
                .directory
                .join(format!("{name} {}.log", self.workers).replace(' ', "-")),
        }
    }

    /// A directory for what a server writes.
    pub fn place(&self, name: &str) -> String {
        let place = self.directory.join(format!("{name}-{}", self.workers));
        fs::create_dir_all(&place).expect("a directory below target");
        place.display().to_string()
    }

    fn zone(&self) -> String {
        self.zone_file.display().to_string()
    }

    pub fn write(&self, name: &str, ending: &str, text: &str) -> String {
        let name = format!("{name}-{}.{ending}", self.workers).replace(' ', "-");
        let file = self.directory.join(name);
        fs::write(&file, text).expect("a configuration");
        file.display().to_string()
    }
}

type Maker = fn(&Setup, &str) -> Peer;

/// Another binary than the one that was built with the bench, to compare with.
pub fn rollcall() -> String {
    env::var("ROLLCALL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall").to_owned())
}

/// A program, by its variable (`MESOS_DNS` for mesos-dns) or in the path; servers are often outside of
/// an ordinary user's.
pub fn find(program: &str) -> Option<String> {
    if program == "mesos-dns"
        && let Ok(path) = env::var("MESOS_DNS")
    {
        return Some(path);
    }
    let path = env::var("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut files = directories.map(|directory: PathBuf| directory.join(program));
    let found = files.find(|file| file.is_file())?;
    Some(found.display().to_string())
}

/// The first line with a number of what it says of itself.
fn version(program: &str, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else {
        return "unknown".to_owned();
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let mut lines = said.lines().map(str::trim);
    let line = lines.find(|line| line.bytes().any(|octet| octet.is_ascii_digit()));
    line.unwrap_or("unknown").to_owned()
}
