//! HTTP with masters: scheme, certificates, credentials and redirects, for whoever asks them. In: a
//! master, a path and what to do there. Out: an answer of status 200 and who gave it, or an error.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::{Agent, Body, RequestBuilder};

use super::agent::Agents;
use super::cluster::Endpoint;
use super::credentials::Credentials;
use super::error::MasterError;
use super::leader::Hops;
use super::tls::{Trust, distrust};
use crate::config::{Authentication, Config};

/// How masters are asked.
#[derive(Clone, PartialEq)]
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

/// A client of the masters. Its clones share credentials and certificates.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    scheme: &'static str,
    agents: Agents,
    credentials: Credentials,
}

impl Http {
    /// Reads the certificate files, and with each request those that changed.
    pub fn new(settings: &ClientSettings) -> Result<Self, MasterError> {
        let trust = Arc::new(Trust::new(settings));
        let masters = settings.https.then(|| Arc::clone(&trust));
        let agents = Agents::new(masters, settings.timeout);
        // What is wrong with the certificates is told now, not with the first request.
        agents.current()?;
        let shared = Shared {
            scheme: if settings.https { "https" } else { "http" },
            agents,
            credentials: Credentials::new(&settings.authentication, trust)?,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Whether two are one: made at once, for the same masters and credentials.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// A new agent with the certificates of now, for `ask_with`. `timeout` bounds each request, from
    /// connecting to the last octet; `None` leaves it open.
    pub fn agent(&self, timeout: Option<Duration>) -> Result<Agent, MasterError> {
        self.shared.agents.fresh(timeout)
    }

    /// Asks a master for a path and follows redirects from there.
    pub fn ask(
        &self,
        call: Call<'_>,
        master: &Endpoint,
        path: &str,
        hops: &mut Hops,
    ) -> Result<Reply, MasterError> {
        self.ask_with(&self.shared.agents.current()?, call, master, path, hops)
    }

    /// The same by an agent of the asker's own, from `agent`.
    pub fn ask_with(
        &self,
        agent: &Agent,
        call: Call<'_>,
        master: &Endpoint,
        path: &str,
        hops: &mut Hops,
    ) -> Result<Reply, MasterError> {
        let mut at = master.clone();
        let mut path = path.to_owned();
        loop {
            let url = format!("{}://{at}{path}", self.shared.scheme);
            let response = self.request(agent, call, &url)?;
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

    /// One answer. A 401 makes one more attempt where the credentials changed meanwhile.
    fn request(
        &self,
        agent: &Agent,
        call: Call<'_>,
        url: &str,
    ) -> Result<Response<Body>, MasterError> {
        let credentials = &self.shared.credentials;
        let Some(authorization) = credentials.authorization()? else {
            return send(agent, call, url, None);
        };
        let response = send(agent, call, url, Some(&authorization))?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match credentials.after_refusal(&authorization)? {
            Some(other) => send(agent, call, url, Some(&other)),
            None => Ok(response),
        }
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
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(self.shared.scheme) => rest,
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
        let default_port = if self.shared.scheme == "https" {
            443
        } else {
            80
        };
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

fn send(
    agent: &Agent,
    call: Call<'_>,
    url: &str,
    authorization: Option<&HeaderValue>,
) -> Result<Response<Body>, MasterError> {
    let sent = match call {
        Call::Get => {
            let request = with_headers(agent.get(url), authorization);
            request.call()
        }
        Call::Post(json) => {
            let request = with_headers(agent.post(url), authorization);
            request.header(header::ACCEPT, JSON).send(json)
        }
    };
    sent.map_err(|error| request_error(url, &error))
}

fn with_headers<B>(
    request: RequestBuilder<B>,
    authorization: Option<&HeaderValue>,
) -> RequestBuilder<B> {
    let request = request
        // Masters do not defend themselves against idle connections.
        .header(header::CONNECTION, "close")
        // With a charset behind it masters answer 415.
        .header(header::CONTENT_TYPE, JSON);
    match authorization {
        Some(value) => request.header(header::AUTHORIZATION, value),
        None => request,
    }
}

fn request_error(url: &str, error: &ureq::Error) -> MasterError {
    let url = url.to_owned();
    match distrust(error) {
        Some((why, cure)) => MasterError::Tls { url, why, cure },
        None => MasterError::Request {
            url,
            why: error.to_string(),
        },
    }
}
