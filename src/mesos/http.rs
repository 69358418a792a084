//! HTTP with masters: scheme, certificates, credentials and redirects, for whoever asks them. In: a
//! master, a path and what to do there. Out: an answer of status 200 and who gave it, or an error.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body, RequestBuilder};

use super::cluster::Endpoint;
use super::credentials::Credentials;
use super::error::MasterError;
use super::leader::Hops;
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

/// What a master is asked to do.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    Get,
    /// A call of the v1 operator API: POST with this JSON.
    Post(&'a str),
}

/// A client of the masters.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    scheme: &'static str,
    credentials: Credentials,
    /// Shared by clones alone.
    identity: Arc<()>,
    /// An answer may last: only its beginning is bounded in time.
    lasts: bool,
}

impl Http {
    /// Reads the certificate files; they are not looked at again.
    pub fn new(settings: &ClientSettings) -> Result<Self, MasterError> {
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
            .tls_config(tls_config(settings)?)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            scheme: if settings.https { "https" } else { "http" },
            credentials: Credentials::new(&settings.authentication)?,
            identity: Arc::new(()),
            lasts: false,
        })
    }

    /// The same client with a connection of its own that may last, and that `shut_down` ends alone.
    pub fn for_stream(&self) -> Result<Self, MasterError> {
        Ok(Self {
            agent: Agent::new_with_config(self.agent.config().clone()),
            lasts: true,
            ..self.clone()
        })
    }

    /// Whether two are one: made at once, for the same masters and credentials.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
    }

    /// Ends the connections of this client, whatever they wait for.
    pub fn shut_down(self) {
        self.agent.shutdown();
    }

    /// Asks a master for a path and follows redirects from there.
    pub fn ask(
        &self,
        call: Call<'_>,
        master: &Endpoint,
        path: &str,
        hops: &mut Hops,
    ) -> Result<Reply, MasterError> {
        let mut at = master.clone();
        let mut path = path.to_owned();
        loop {
            let url = format!("{}://{at}{path}", self.scheme);
            let response = self.request(call, &url)?;
            let status = response.status();
            if status == StatusCode::OK {
                let body = response.into_body();
                return Ok(Reply {
                    url,
                    from: at,
                    body,
                });
            }
            if !status.is_redirection() {
                let status = status.as_u16();
                return Err(MasterError::Status { url, status });
            }
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let location = location.unwrap_or_default();
            let Some((to, to_path)) = self.read_location(location, &at, &path) else {
                let to = location.chars().take(200).collect();
                return Err(MasterError::Redirect { url, to });
            };
            hops.add(&to)?;
            (at, path) = (to, to_path);
        }
    }

    fn request(&self, call: Call<'_>, url: &str) -> Result<Response<Body>, MasterError> {
        let authorization = self.credentials.authorization()?;
        let sent = match call {
            Call::Get => {
                let request = self
                    .agent
                    .get(url)
                    // Masters do not defend themselves against idle connections.
                    .header(header::CONNECTION, "close")
                    .header(header::CONTENT_TYPE, JSON);
                with_authorization(request, authorization).call()
            }
            Call::Post(json) => {
                let mut request = self.agent.post(url);
                if self.lasts {
                    let bound = self.agent.config().timeouts().global;
                    request = request
                        .config()
                        .timeout_global(None)
                        .timeout_send_request(bound)
                        .timeout_recv_response(bound)
                        .build();
                }
                let request = request
                    .header(header::CONNECTION, "close")
                    // With a charset behind it masters answer 415.
                    .header(header::CONTENT_TYPE, JSON)
                    .header(header::ACCEPT, JSON);
                with_authorization(request, authorization).send(json)
            }
        };
        sent.map_err(|error| request_error(url, &error))
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

/// An answer of status 200.
pub struct Reply {
    /// What was asked in the end.
    pub url: String,
    /// The master that answered, after redirects.
    pub from: Endpoint,
    pub body: Body,
}

const JSON: &str = "application/json";

fn with_authorization<B>(
    request: RequestBuilder<B>,
    authorization: Option<String>,
) -> RequestBuilder<B> {
    match authorization {
        Some(value) => request.header(header::AUTHORIZATION, value),
        None => request,
    }
}

fn request_error(url: &str, error: &ureq::Error) -> MasterError {
    let url = url.to_owned();
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => MasterError::Tls {
            url,
            why: error.to_string(),
        },
        ureq::Error::Io(inner)
            if inner
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>()) =>
        {
            MasterError::Tls {
                url,
                why: inner.to_string(),
            }
        }
        _ => MasterError::Request {
            url,
            why: error.to_string(),
        },
    }
}
