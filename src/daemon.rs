//! Start order, who owns which thread, shutdown order. In: a Config. Out: a running server, or an
//! error that names the culprit and the cure. It alone knows everyone.
//!
//! Start: open the sockets (so that a port in use is told at once and names are answered SERVFAIL
//! until a table is there), then the HTTP interface, then the refresh thread. Stop: the other way
//! round, so that nothing publishes to readers that are gone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::config::{Config, IpSource};
use crate::dns::name::wire_from_text;
use crate::mesos::cluster::{AddressSource, Endpoint};
use crate::mesos::error::MasterError;
use crate::mesos::http::{ClientSettings, Http};
use crate::records::Naming;
use crate::refresh::{self, HoldSettings, Parts, Refresher};
use crate::responses::publish::Published;
use crate::responses::zone::Answering;
use crate::serve::respond::{Chaos, Responder, Settings, SubnetFirst};
use crate::serve::{ServeError, ServeOptions, Server};
use crate::stats::freshness::SharedFreshness;
use crate::{http, sys};

/// A running Rollcall.
pub struct Daemon {
    published: Published,
    server: Option<Server>,
    http: Option<http::Server>,
    refresher: Refresher,
}

/// Why the program cannot start.
#[derive(Debug)]
pub enum DaemonError {
    Serve(ServeError),
    Http(http::HttpError),
    Master(MasterError),
    /// A name of the configuration cannot be encoded; `Config::load` refuses it before.
    Name(&'static str),
    Thread(std::io::Error),
    Signals(std::io::Error),
}

impl std::fmt::Display for DaemonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serve(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::Master(error) => error.fmt(f),
            Self::Name(key) => write!(f, "{key} is not a domain name that can be encoded"),
            Self::Thread(error) => write!(f, "cannot start the refresh thread: {error}"),
            Self::Signals(error) => write!(f, "cannot watch for SIGTERM: {error}"),
        }
    }
}

impl std::error::Error for DaemonError {}

/// Runs until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), DaemonError> {
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGINT,
    ])
    .map_err(DaemonError::Signals)?;
    let daemon = Daemon::start(config)?;
    let signal = signals.forever().next();
    info!("stopping on signal {}", signal.unwrap_or_default());
    daemon.stop();
    Ok(())
}

/// Chooses the one TLS provider of the whole program. Before anything reads a certificate.
pub fn install_tls_provider() {
    // An error means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl Daemon {
    /// Starts everything and returns.
    pub fn start(config: Config) -> Result<Self, DaemonError> {
        sys::memory::use_one_heap();
        install_tls_provider();
        let config = Arc::new(config);
        let published = Published::default();
        let settings = settings(&config)?;
        let answering = answering(&config)?;
        let http_client =
            Http::new(&ClientSettings::from(&*config)).map_err(DaemonError::Master)?;
        let freshness = SharedFreshness::default();
        let server = config.dns_on.then(|| {
            let address = SocketAddr::new(config.listener, config.port);
            let options = ServeOptions {
                workers: config.workers,
                seed: fastrand::u64(..),
                ..ServeOptions::new(address)
            };
            let responder = move |seed| Responder::new(&settings, seed);
            Server::start(&options, &published, responder)
        });
        let server = server.transpose().map_err(DaemonError::Serve)?;
        let http = config.http_on.then(|| {
            let settings = http::HttpSettings {
                listen: SocketAddr::new(config.http_listener, config.http_port),
                enumeration_on: config.enumeration_on,
                config: Arc::clone(&config),
            };
            http::Server::start(settings, Arc::clone(&published))
        });
        let http = http.transpose().map_err(DaemonError::Http)?;
        let woken = server.as_ref().map(Server::waker);
        let refresher = Refresher::start(Parts {
            settings: refresh_settings(&config, http_client, answering),
            published: Arc::clone(&published),
            freshness,
            wake: Box::new(move || woken.iter().for_each(|wake| wake())),
        })
        .map_err(DaemonError::Thread)?;
        let daemon = Self {
            published,
            server,
            http,
            refresher,
        };
        daemon.log_addresses(&config.domain);
        Ok(daemon)
    }

    /// Where DNS is answered, UDP and TCP.
    pub fn dns_address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|server| server.local_address())
    }

    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(http::Server::local_address)
    }

    /// Where the present Snapshot is found.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Stops every thread, within 2 s.
    pub fn stop(self) {
        self.refresher.stop(Duration::from_millis(500));
        if let Some(http) = self.http {
            http.stop();
        }
        if let Some(server) = self.server {
            server.stop();
        }
    }

    fn log_addresses(&self, domain: &str) {
        if let Some(address) = self.dns_address() {
            info!("answering DNS for {domain} on {address}");
        }
        if let Some(address) = self.http_address() {
            info!("answering HTTP on {address}");
        }
    }
}

/// What `respond` needs of the configuration.
fn settings(config: &Config) -> Result<Settings, DaemonError> {
    let chaos = config.chaos_on.then(|| Chaos {
        version: concat!("rollcall ", env!("CARGO_PKG_VERSION")).into(),
        hostname: host_name().into(),
    });
    Ok(Settings {
        domain: Answering::wire_domain(&config.domain).map_err(|_| DaemonError::Name("Domain"))?,
        recurse_on: config.recurse_on,
        set_truncate_bit: config.set_truncate_bit,
        reverse_dns_on: config.reverse_dns_on,
        subnet_first: config.resolv_subnet_first.then(|| SubnetFirst {
            believed: config.client_subnet_from.clone().into(),
        }),
        chaos,
    })
}

/// What the table needs of the configuration.
fn answering(config: &Config) -> Result<Answering, DaemonError> {
    let wire = |key, text: &str| wire_from_text(text).map_err(|_| DaemonError::Name(key));
    Ok(Answering {
        domain: Answering::wire_domain(&config.domain).map_err(|_| DaemonError::Name("Domain"))?,
        ttl_seconds: config.ttl_seconds,
        srv_weight: config.srv_weight,
        soa_mname: wire("SOAMname", &config.soa.mname)?.into(),
        soa_rname: wire("SOARname", &config.soa.rname)?.into(),
        soa_refresh_seconds: config.soa.refresh_seconds,
        soa_retry_seconds: config.soa.retry_seconds,
        soa_expire_seconds: config.soa.expire_seconds,
        soa_minimum_seconds: config.soa.minimum_seconds,
    })
}

/// What refreshing needs of the configuration.
fn refresh_settings(config: &Config, http: Http, answering: Answering) -> refresh::Settings {
    refresh::Settings {
        source: config.source,
        http,
        masters: masters(config),
        state_bytes_max: config.state_bytes_max,
        interval: config.refresh_interval,
        check_factor: config.check_factor,
        publish_interval: config.publish_interval,
        state_timeout: config.state_timeout,
        hold: HoldSettings {
            agents_percent: config.hold_percent,
            time_max: config.hold_max,
        },
        naming: naming(config),
        listener: config.listener,
        answering,
    }
}

fn masters(config: &Config) -> Vec<Endpoint> {
    let masters = config.masters.iter().map(|master| Endpoint {
        host: master.host.as_str().into(),
        port: Some(master.port),
    });
    masters.collect()
}

/// What names are made from; the listener's addresses are filled in by each refresh.
fn naming(config: &Config) -> Naming {
    Naming {
        domain: config.domain.as_str().into(),
        rfc952: config.enforce_rfc952,
        ip_sources: config
            .ip_sources
            .iter()
            .map(|&source| address_source(source))
            .collect(),
        masters: masters(config).into(),
        soa_mname: config.soa.mname.as_str().into(),
        listener_addresses: Box::new([] as [IpAddr; 0]),
    }
}

fn address_source(source: IpSource) -> AddressSource {
    match source {
        IpSource::Host => AddressSource::Host,
        IpSource::Mesos => AddressSource::Mesos,
        IpSource::Docker => AddressSource::Docker,
        IpSource::NetInfo => AddressSource::NetInfo,
    }
}

/// The machine's name, for `hostname.bind`.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".into(), |name| name.trim().into())
}
