//! Fetches the leading master's state over HTTP, blocking, on the refresh thread. In: the masters
//! and how to ask them. Out: a Cluster. A secret must never stand in an error.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::cluster::{Cluster, Endpoint};
use super::hosts::look_up;
use super::leader::{Answer, Ask, Hops, find_leader_state};
use super::state::{StateError, read_state};
use super::tls::tls_config;
use crate::config::{Authentication, Config};
use crate::limits::MASTER_CONNECT_MS;

/// How masters are asked.
#[derive(Clone)]
pub struct ClientSettings {
    /// In the order in which they are asked.
    pub masters: Vec<Endpoint>,
    /// Bound on one request, from connecting to the last octet.
    pub timeout: Duration,
    /// A longer document is refused.
    pub state_bytes_max: u64,
    pub https: bool,
    pub ca_cert_file: Option<PathBuf>,
    /// Both or none.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub authentication: Authentication,
}

impl From<&Config> for ClientSettings {
    fn from(config: &Config) -> Self {
        let masters = config.masters.iter().map(|master| Endpoint {
            host: master.host.as_str().into(),
            port: Some(master.port),
        });
        Self {
            masters: masters.collect(),
            timeout: config.state_timeout,
            state_bytes_max: config.state_bytes_max,
            https: config.mesos_https,
            ca_cert_file: config.ca_cert_file.clone(),
            cert_file: config.cert_file.clone(),
            key_file: config.key_file.clone(),
            authentication: config.authentication.clone(),
        }
    }
}

/// A fetch that succeeded.
#[derive(Debug)]
pub struct Fetched {
    pub cluster: Cluster,
    /// The master whose document it is.
    pub from: Endpoint,
    /// Length of the document, after decompression.
    pub bytes: u64,
    /// Objects that could not be read.
    pub bad_count: u64,
    pub took: Duration,
}

#[derive(Debug)]
pub enum FetchError {
    File { path: PathBuf, why: String },
    NoRoots,
    IamMissing,
    Request { url: String, why: String },
    Tls { url: String, why: String },
    Status { url: String, status: u16 },
    Redirect { url: String, to: String },
    Circle { way: String },
    State { url: String, error: StateError },
    NoMaster { errors: Vec<FetchError> },
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, why } => write!(f, "cannot use {}: {why}", path.display()),
            Self::NoRoots => f.write_str(
                "MesosHTTPSOn needs certificates to trust: set CACertFile, or install the system's bundle",
            ),
            Self::IamMissing => f.write_str(
                "MesosAuthentication \"iam\" is not available in this version; use \"basic\" or \"\"",
            ),
            Self::Request { url, why } => write!(f, "cannot read {url}: {why}"),
            Self::Tls { url, why } => write!(
                f,
                "no trust between us and {url}: {why}; CACertFile must hold the authority of the master's \
                 certificate, and that must name the master's address as a subjectAltName; a master that \
                 asks for a certificate needs CertFile and KeyFile"
            ),
            Self::Status { url, status } => {
                write!(f, "{url} answered with status {status}")?;
                match status {
                    401 | 403 => f.write_str("; check MesosAuthentication and MesosCredentials"),
                    503 => f.write_str("; the masters have no leader yet"),
                    _ => Ok(()),
                }
            }
            Self::Redirect { url, to } => write!(
                f,
                "{url} redirects to {to:?}, which is no master to follow; check MesosHTTPSOn"
            ),
            Self::Circle { way } => write!(
                f,
                "the masters send us in a circle: {way}; check what they advertise as their address"
            ),
            Self::State { url, error } => write!(f, "the state of {url} is not taken: {error}"),
            Self::NoMaster { errors } if errors.is_empty() => {
                f.write_str("there is no master to ask; set Masters")
            }
            Self::NoMaster { errors } => {
                f.write_str("no master gave its state")?;
                errors.iter().try_for_each(|error| write!(f, "; {error}"))
            }
        }
    }
}

impl std::error::Error for FetchError {}

/// Asks masters for their state; remembers who led and where each has it.
pub struct MasterClient {
    masters: Vec<Endpoint>,
    last_leader: Option<Endpoint>,
    requester: Requester,
}

impl MasterClient {
    /// Reads the certificate files; they are not looked at again.
    pub fn new(settings: ClientSettings) -> Result<Self, FetchError> {
        let authorization = match &settings.authentication {
            Authentication::None => None,
            Authentication::Basic { principal, secret } => {
                let pair = format!("{principal}:{secret}");
                Some(format!("Basic {}", base64(pair.as_bytes())))
            }
            Authentication::Iam { .. } => return Err(FetchError::IamMissing),
        };
        let connect_timeout = Duration::from_millis(MASTER_CONNECT_MS).min(settings.timeout);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Followed by us: the location has no scheme, and hops are counted.
            .max_redirects(0)
            .timeout_global(Some(settings.timeout))
            .timeout_connect(Some(connect_timeout))
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls_config(&settings)?)
            .build()
            .new_agent();
        Ok(Self {
            masters: settings.masters,
            last_leader: None,
            requester: Requester {
                agent,
                scheme: if settings.https { "https" } else { "http" },
                authorization,
                bytes_max: settings.state_bytes_max,
                paths: HashMap::new(),
            },
        })
    }

    /// Fetches the leader's state: from the last known leader, or by way of the listed masters.
    pub fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let started = Instant::now();
        let mut candidates: Vec<Endpoint> = self.last_leader.iter().cloned().collect();
        for master in &self.masters {
            if !candidates.contains(master) {
                candidates.push(master.clone());
            }
        }
        let Answer { state, from } = find_leader_state(&mut self.requester, &candidates)?;
        self.last_leader = Some(from.clone());
        Ok(Fetched {
            cluster: state.cluster,
            from,
            bytes: state.bytes,
            bad_count: state.bad_count,
            took: started.elapsed(),
        })
    }
}

struct Requester {
    agent: Agent,
    scheme: &'static str,
    authorization: Option<String>,
    bytes_max: u64,
    /// Which of `PATHS` a master has; a handful of masters in the life of a cluster.
    paths: HashMap<Endpoint, usize>,
}

/// Where masters of all ages have their state: today's, those behind a prefix, those before 1.0.
const PATHS: [&str; 3] = ["/state", "/master/state", "/master/state.json"];

impl Ask for Requester {
    fn ask(&mut self, master: &Endpoint, hops: &mut Hops) -> Result<Answer, FetchError> {
        let known = self.paths.get(master).copied();
        let others = (0..PATHS.len()).filter(|index| Some(*index) != known);
        let mut result = Err(FetchError::NoMaster { errors: Vec::new() });
        for index in known.into_iter().chain(others) {
            result = self.ask_path(master, PATHS[index], hops);
            match &result {
                Err(FetchError::Status { status: 404, .. }) => {}
                Err(_) => break,
                Ok(_) => {
                    self.paths.insert(master.clone(), index);
                    break;
                }
            }
        }
        result
    }

    fn addresses(&mut self, host: &str) -> Option<Arc<[IpAddr]>> {
        look_up(host)
    }
}

impl Requester {
    /// Asks for a path and follows redirects from there.
    fn ask_path(
        &self,
        master: &Endpoint,
        path: &str,
        hops: &mut Hops,
    ) -> Result<Answer, FetchError> {
        let mut at = master.clone();
        let mut path = path.to_owned();
        loop {
            let url = format!("{}://{at}{path}", self.scheme);
            let response = self.request(&url)?;
            let status = response.status();
            if status == StatusCode::OK {
                let body = response.into_body().into_reader();
                let state = read_state(body, self.bytes_max);
                let state = state.map_err(|error| FetchError::State { url, error })?;
                return Ok(Answer { state, from: at });
            }
            if !status.is_redirection() {
                let status = status.as_u16();
                return Err(FetchError::Status { url, status });
            }
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let location = location.unwrap_or_default();
            let Some((to, to_path)) = self.read_location(location, &at, &path) else {
                let to = location.chars().take(200).collect();
                return Err(FetchError::Redirect { url, to });
            };
            hops.add(&to)?;
            (at, path) = (to, to_path);
        }
    }

    fn request(&self, url: &str) -> Result<Response<Body>, FetchError> {
        let mut request = self
            .agent
            .get(url)
            // Masters do not defend themselves against idle connections.
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.call().map_err(|error| {
            let url = url.to_owned();
            match &error {
                ureq::Error::Rustls(_) | ureq::Error::Tls(_) => FetchError::Tls {
                    url,
                    why: error.to_string(),
                },
                ureq::Error::Io(inner)
                    if inner
                        .get_ref()
                        .is_some_and(|inner| inner.is::<rustls::Error>()) =>
                {
                    FetchError::Tls {
                        url,
                        why: inner.to_string(),
                    }
                }
                _ => FetchError::Request {
                    url,
                    why: error.to_string(),
                },
            }
        })
    }

    /// Reads `//host:port/path` as masters give it, `http://host:port/path`, or `/path`. The
    /// credentials go along, so the scheme must stay.
    fn read_location(
        &self,
        location: &str,
        at: &Endpoint,
        path: &str,
    ) -> Option<(Endpoint, String)> {
        let rest = match location.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(self.scheme) => rest,
            Some(_) => return None,
            None => match location.strip_prefix("//") {
                Some(rest) => rest,
                None if location.starts_with('/') => {
                    return Some((at.clone(), location.to_owned()));
                }
                None => return None,
            },
        };
        let (authority, to_path) = match rest.find('/') {
            Some(place) => (&rest[..place], &rest[place..]),
            None => (rest, path),
        };
        let default_port = if self.scheme == "https" { 443 } else { 80 };
        let bare = authority.strip_suffix(']').is_some() || !authority.contains(':');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !bare => (host, port.parse().ok()?),
            _ => (authority, default_port),
        };
        let host = host
            .strip_prefix('[')
            .map_or(host, |host| host.trim_end_matches(']'));
        if host.is_empty() || host.contains('@') || port == 0 {
            return None;
        }
        let to = Endpoint {
            host: host.into(),
            port: Some(port),
        };
        Some((to, to_path.to_owned()))
    }
}

/// RFC 4648, 4.
fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, index| {
            bits << 8 | usize::from(group.get(index).copied().unwrap_or(0))
        });
        for index in 0..4 {
            match index <= group.len() {
                true => text.push(LETTERS[bits >> (18 - 6 * index) & 63].into()),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
