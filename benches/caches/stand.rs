//! What all parts need. In: the options. Out: a cluster, two cores, and servers on one of them: Rollcall
//! with resolvers of the bench's, and other caches that are installed. Must never ask anybody outside
//! loopback.

use std::net::SocketAddr;

use serde_json::json;

use crate::Options;
use crate::cluster::Cluster;
use crate::peers::{self, Peer, Setup};
use crate::stage::{Cores, Place, Server};
use crate::wire::free_address;

/// The cluster ends before its directory goes.
pub struct Stand {
    pub engines: Vec<String>,
    /// What is not measured, and why.
    pub notes: Vec<String>,
    cores: Cores,
    setup: Setup,
    cluster: Cluster,
    _place: Place,
}

impl Stand {
    pub fn start(options: &Options) -> Result<Self, String> {
        let cores = Cores::take()?;
        let place = Place::new();
        let cluster = Cluster::start(&place.0, options.tasks, cores.load)?;
        let setup = Setup {
            directory: place.0.clone(),
            zone_file: place.0.join("none"),
            master: cluster.master,
            workers: 1,
        };
        let (engines, notes) = setup.engines();
        let is_wanted = |engine: &&str| match &options.engines {
            Some(wanted) => wanted.iter().any(|wanted| wanted == engine),
            None => true,
        };
        let engines: Vec<String> = engines
            .into_iter()
            .filter(is_wanted)
            .map(str::to_owned)
            .collect();
        if engines.is_empty() {
            return Err(format!(
                "none of the engines is there; {}",
                notes.join("; ")
            ));
        }
        Ok(Self {
            engines,
            notes,
            cores,
            setup,
            cluster,
            _place: place,
        })
    }

    /// Returns when it answers for the cluster.
    pub fn rollcall(
        &self,
        engine: &str,
        resolvers: &[SocketAddr],
        timeout_seconds: u64,
    ) -> Result<Server, String> {
        let name = format!("rollcall {engine}");
        let mut peer = self.setup.peer(&name, &[&peers::rollcall()], "--version");
        let http = free_address();
        let resolvers: Vec<_> = resolvers.iter().map(SocketAddr::to_string).collect();
        let config = json!({
            "Masters": [self.cluster.master.to_string()], "Source": "poll", "RefreshSeconds": 3600,
            "Listener": "127.0.0.1", "Port": peer.dns.port(),
            "HTTPListener": "127.0.0.1", "HttpPort": http.port(),
            "Engine": engine, "Workers": 1,
            "Resolvers": resolvers, "Timeout": timeout_seconds,
        });
        let file = self.setup.write(&name, "json", &config.to_string());
        peer.command.push(format!("-config={file}"));
        (peer.http, peer.is_ours) = (Some(http), true);
        Server::start(peer, 1, &self.cores, &self.cluster.name)
    }

    /// Other caches that ask this resolver, and notes about those that are missing. They answer for the
    /// name.
    pub fn others(
        &self,
        resolver: SocketAddr,
        name: &str,
    ) -> Result<(Vec<Server>, Vec<String>), String> {
        let makers: [(&str, Maker); 2] = [("unbound", unbound), ("dnsmasq", dnsmasq)];
        let (mut servers, mut notes) = (Vec::new(), Vec::new());
        for (program, make) in makers {
            match peers::find(program) {
                Some(path) => {
                    let peer = make(&self.setup, &path, resolver);
                    servers.push(Server::start(peer, 1, &self.cores, name)?);
                }
                None => notes.push(format!("{program} is not installed: not measured")),
            }
        }
        Ok((servers, notes))
    }
}

type Maker = fn(&Setup, &str, SocketAddr) -> Peer;

fn unbound(setup: &Setup, program: &str, resolver: SocketAddr) -> Peer {
    let mut peer = setup.peer("unbound", &[program], "-V");
    let directory = setup.place("unbound");
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
    num-threads: 1
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    module-config: iterator
    msg-cache-size: 64m
    rrset-cache-size: 128m
    so-rcvbuf: 4m
    so-sndbuf: 4m
    use-syslog: no
remote-control:
    control-enable: no
forward-zone:
    name: .
    forward-addr: {ip}@{resolver_port}
",
        port = peer.dns.port(),
        ip = resolver.ip(),
        resolver_port = resolver.port(),
    );
    let file = setup.write("unbound", "conf", &config);
    let arguments = ["-d".to_owned(), "-c".to_owned(), file];
    peer.command.extend(arguments);
    peer
}

fn dnsmasq(setup: &Setup, program: &str, resolver: SocketAddr) -> Peer {
    let mut peer = setup.peer("dnsmasq", &[program], "--version");
    let own = [
        format!("--port={}", peer.dns.port()),
        format!("--server={}#{}", resolver.ip(), resolver.port()),
    ];
    let fixed = [
        "--no-daemon",
        "--conf-file=/dev/null",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--cache-size=20000",
        "--dns-forward-max=1000",
    ];
    peer.command.extend(own);
    peer.command.extend(fixed.map(str::to_owned));
    peer
}
