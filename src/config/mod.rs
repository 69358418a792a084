//! The configuration: mesos-dns's `config.json` and `ROLLCALL_*` variables in, a validated,
//! immutable `Config` out. It must never start the program with a value that was not understood.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::dns::cookie;
use crate::dns::subnet::Subnet;

pub mod account;
mod aliases;
mod authentication;
pub mod check;
pub mod error;
pub mod file;
mod forwarding;
pub mod http;
pub mod keys;
mod load;
mod secret;
mod settings;
mod shown;
pub mod static_file;
pub mod tls;
mod values;
pub mod zk;

pub use error::{ConfigError, Origin, Warning};
pub use load::{DEFAULT_FILES, Loaded, environment};
pub use secret::Secret;
pub use static_file::StaticFile;
pub use zk::ZkUrl;

/// The effective configuration. Every field is in range; addresses are addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `Zk`: where masters register; `None` where ZooKeeper is not used.
    pub zk: Option<ZkUrl>,
    /// `ZkDetectionTimeout`: without a leader for this long readiness turns false; zero: never.
    pub zk_detection_timeout: Duration,
    /// `ExitOnZkTimeout` (Rollcall's own): then the program exits as well, as mesos-dns does.
    pub exit_on_zk_timeout: bool,
    /// `Masters`, in the file's order, without duplicates; beside `zk` the fallback.
    pub masters: Vec<Master>,
    /// `RefreshSeconds`: from the end of one fetch to the start of the next, before jitter.
    pub refresh_interval: Duration,
    /// `Source` (Rollcall's own, like the seven that follow).
    pub source: Source,
    /// `CheckFactor`: intervals from one check of the stream to the next.
    pub check_factor: u32,
    /// `PublishIntervalMs`: the shortest time between two publications.
    pub publish_interval: Duration,
    /// `HoldPercent`: 1 to 100.
    pub hold_percent: u32,
    /// `HoldSeconds`; zero: nothing is held.
    pub hold_max: Duration,
    /// `ReadyAgeSeconds`; zero: any age.
    pub ready_age_max: Duration,
    /// `StateDirectory`.
    pub state_directory: Option<PathBuf>,
    /// `StateTimeoutSeconds`: bound on one fetch of the state.
    pub state_timeout: Duration,
    /// `StateBytesMax` (Rollcall's own): a longer state document is refused.
    pub state_bytes_max: u64,
    /// `MesosHTTPSOn`.
    pub mesos_https: bool,
    pub ca_cert_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// `MesosAuthentication`, with what it needs.
    pub authentication: Authentication,
    /// `MesosCredentials`, also where `authentication` does not use them: /v1/config shows them.
    pub credentials: Credentials,
    /// `IAMConfigFile`, checked to be a JSON object.
    pub iam_config_file: Option<PathBuf>,
    /// `Domain`: lower case, no final dot.
    pub domain: String,
    /// `TTL` of every record, 0 to 2^31 - 1 seconds.
    pub ttl_seconds: u32,
    /// `StaticRecords` (Rollcall's own), as it was when the configuration was read.
    pub static_records: Option<StaticFile>,
    pub port: u16,
    /// `Listener`, in the order written: at least one, none twice, none beside a wildcard that takes it.
    pub listeners: Vec<IpAddr>,
    pub dns_on: bool,
    pub http_on: bool,
    pub http_port: u16,
    pub http_listener: IpAddr,
    /// `HttpToken` or `HttpTokenFile` (Rollcall's own): what requests that need one have to show.
    pub http_token: Secret,
    /// `CorsOrigins` (Rollcall's own).
    pub cors_origins: CorsOrigins,
    pub soa: Soa,
    /// `RecurseOn`: RA in our own answers.
    pub recurse_on: bool,
    /// `ExternalOn`: names outside are forwarded; false: REFUSED.
    pub external_on: bool,
    /// `Resolvers`; `None` where the list is empty: take those of /etc/resolv.conf.
    pub resolvers: Option<Vec<SocketAddr>>,
    /// `ZoneResolvers`: zone (lower case, no final dot) to resolvers.
    pub zone_resolvers: BTreeMap<String, Vec<SocketAddr>>,
    /// `Timeout` of outbound DNS; zero: that of mesos-dns's library.
    pub forward_timeout: Duration,
    /// `AllowRecursion` (Rollcall's own, like the four that follow): who may ask for names outside.
    pub allow_recursion: Vec<AllowedClients>,
    /// `ReverseZones`: blocks whose reverse names are ours in full.
    pub reverse_zones: Vec<Subnet>,
    /// `CacheBytes`, of all answering threads together; 0: nothing is remembered.
    pub cache_bytes: u64,
    /// `CacheMinTTL`, not above the next.
    pub cache_ttl_min_seconds: u32,
    /// `CacheMaxTTL`.
    pub cache_ttl_max_seconds: u32,
    /// `IPSources`, the most wanted first, no duplicates, never empty.
    pub ip_sources: Vec<IpSource>,
    /// `SkipNetInfoForBridge` (Rollcall's own, like the two that follow).
    pub skip_netinfo_for_bridge: bool,
    /// `IpAllow`; empty: all addresses.
    pub ip_allow: Vec<Subnet>,
    /// `IpDeny`.
    pub ip_deny: Vec<Subnet>,
    /// `SRVRecordDefaultWeight`.
    pub srv_weight: u16,
    pub enforce_rfc952: bool,
    pub set_truncate_bit: bool,
    pub enumeration_on: bool,
    /// `StatusPage` (Rollcall's own).
    pub status_page: bool,
    /// Absolute path of the file read; `None` where the environment alone was used.
    pub file: Option<PathBuf>,
    pub reverse_dns_on: bool,
    pub resolv_subnet_first: bool,
    /// `ClientSubnetFrom` (Rollcall's own): whose client subnet option is believed.
    pub client_subnet_from: Vec<Subnet>,
    /// `PreferLocal` (Rollcall's own).
    pub prefer_local: bool,
    /// `Unhealthy` (Rollcall's own).
    pub unhealthy: Unhealthy,
    /// `RateLimit` (Rollcall's own, like the three that follow): answers a second; 0: no limit.
    pub rate_limit: u32,
    /// `RateLimitSlip`; 0: nothing above the limit is answered.
    pub rate_limit_slip: u32,
    /// `RateLimitExempt`.
    pub rate_limit_exempt: Vec<Subnet>,
    /// `CookieSecret`; `None`: one of this process's own.
    pub cookie_secret: Option<cookie::Secret>,
    /// `ChaosOn` (Rollcall's own): answer `version.bind` and `hostname.bind` in class CHAOS.
    pub chaos_on: bool,
    /// `Workers` (Rollcall's own): answering threads; 0: one for each core of the affinity mask.
    pub workers: usize,
    /// `Engine` (Rollcall's own).
    pub engine: Engine,
    /// `LogFormat` (Rollcall's own, like the one that follows).
    pub log_format: LogFormat,
    /// `QueryLog`: of so many answers one is logged; 0: none.
    pub query_log: u32,
    /// `Sandbox` (Rollcall's own).
    pub sandbox: Sandbox,
    /// Lists and addresses in the configuration's own spelling, for /v1/config and `check`.
    pub spelled: Spelled,
}

/// Values that /v1/config shows as they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spelled {
    pub masters: Vec<String>,
    pub resolvers: Vec<String>,
    pub zone_resolvers: BTreeMap<String, Vec<String>>,
}

/// `MesosCredentials`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Credentials {
    pub principal: String,
    pub secret: Secret,
}

/// One of `Masters`: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// An address in canonical text, or a host name; without brackets.
    pub host: String,
    pub port: u16,
}

/// `CorsOrigins`: whose pages may read the HTTP interface in a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsOrigins {
    /// `*`: everybody's.
    pub any: bool,
    /// Each as browsers send it: lower case, without the port that the scheme has anyway.
    pub listed: Vec<String>,
}

/// One of `AllowRecursion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedClients {
    Block(Subnet),
    /// Those in the subnets of this host's own interfaces.
    Interfaces,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Authentication {
    None,
    Basic { principal: String, secret: Secret },
    Iam { config_file: PathBuf },
}

/// Fields of the SOA record (RFC 1035, 3.3.13); its serial is the table's.
#[derive(Clone, Debug, PartialEq)]
pub struct Soa {
    /// `SOAMname` with a final dot, spelled as written.
    pub mname: String,
    /// `SOARname` with a final dot, `@` turned into `.`.
    pub rname: String,
    pub refresh_seconds: u32,
    pub retry_seconds: u32,
    pub expire_seconds: u32,
    /// Also the bound on negative answers' TTL (RFC 2308, 5).
    pub minimum_seconds: u32,
}

/// Where changes of the cluster come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The event stream where the master has one, checked against the state; else the state.
    Auto,
    /// The event stream alone.
    Stream,
    /// The state alone.
    Poll,
}

impl Source {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Stream, Self::Poll];

    /// As `Source` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Stream => "stream",
            Self::Poll => "poll",
        }
    }
}

/// What becomes of the records of unhealthy tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    Serve,
    Last,
    Omit,
}

impl Unhealthy {
    pub const ALL: [Self; 3] = [Self::Serve, Self::Last, Self::Omit];

    /// As `Unhealthy` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Last => "last",
            Self::Omit => "omit",
        }
    }
}

/// How datagrams are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// What measures better.
    Auto,
    /// io_uring where the kernel allows it, else epoll.
    Uring,
    Epoll,
}

impl Engine {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Uring, Self::Epoll];

    /// The one that is spelled so.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|engine| engine.name() == name)
    }

    /// As `Engine` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

/// What lines of the log look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal's where it has stderr, else plain.
    #[default]
    Auto,
    Plain,
    Json,
    Journald,
}

impl LogFormat {
    pub const ALL: [Self; 4] = [Self::Auto, Self::Plain, Self::Json, Self::Journald];

    /// As `LogFormat` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Plain => "plain",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

/// What the process gives up once its sockets are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    #[default]
    On,
    /// System calls that are not in the list are logged by the kernel, and go on.
    Log,
    Off,
}

impl Sandbox {
    pub const ALL: [Self; 3] = [Self::On, Self::Log, Self::Off];

    /// As `Sandbox` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Log => "log",
            Self::Off => "off",
        }
    }
}

/// One of `IPSources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpSource {
    Host,
    Mesos,
    Docker,
    NetInfo,
}

impl IpSource {
    /// As `IPSources` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Mesos => "mesos",
            Self::Docker => "docker",
            Self::NetInfo => "netinfo",
        }
    }
}
