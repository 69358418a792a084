//! `rollcall explain`: a name in, the text of a running instance's HTTP API out. It must never
//! wait for ever, nor leave open what to do where nobody answers, nor send the token to an instance
//! that does not ask for it, or that the token's configuration was not named for.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::HeaderValue;

use super::ExplainOptions;
use crate::config::http::token_in;
use crate::config::{Config, ConfigError, Loaded, Secret};

/// Why `explain` has no answer, or `healthy` none that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExplainError {
    HttpOff,
    Unreachable {
        address: String,
        reason: String,
    },
    Refused {
        address: String,
        status: u16,
        body: String,
    },
    /// It asks for a token, and we have none, or another.
    Unauthorized {
        address: String,
        shown: bool,
    },
    Token(String),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HttpOff => f.write_str(
                "the HTTP API is asked, which HttpOn switches off; set HttpOn to true, or name an \
                 instance with --http ADDRESS:PORT",
            ),
            Self::Unreachable { address, reason } => write!(
                f,
                "no running instance answers at {address}: {reason}; start one, or name another \
                 with --http ADDRESS:PORT"
            ),
            Self::Refused {
                address,
                status,
                body,
            } => {
                write!(
                    f,
                    "{address} answered with status {status}: {}",
                    body.trim_end()
                )
            }
            Self::Unauthorized {
                address,
                shown: false,
            } => write!(
                f,
                "{address} asks for a token; name the configuration that has it with -config=FILE"
            ),
            Self::Unauthorized { address, .. } => write!(
                f,
                "{address} asks for another token than that of the configuration; check HttpToken and \
                 HttpTokenFile"
            ),
            Self::Token(why) => write!(f, "HttpTokenFile: {why}"),
        }
    }
}

impl Error for ExplainError {}

/// The text for a name, from the instance that was named or else that of the configuration.
pub fn run(
    asked: &ExplainOptions,
    load: impl FnOnce(Option<PathBuf>) -> Result<Loaded, ConfigError>,
) -> Result<String, Box<dyn Error>> {
    // An instance that was named alone need not be that of the configuration in the working directory.
    let (address, config) = match (&asked.http, &asked.config) {
        (Some(address), None) => (address.clone(), None),
        (Some(address), config) => (address.clone(), Some(load(config.clone())?.config)),
        (None, config) => {
            let config = load(config.clone())?.config;
            (http_address(&config)?, Some(config))
        }
    };
    let unauthorized = |shown| ExplainError::Unauthorized {
        address: address.clone(),
        shown,
    };
    if let Some(text) = ask(&asked.name, &address, None)? {
        return Ok(text);
    }
    let secret = config.map(|config| config.http_token);
    let Some(secret) = secret.filter(Secret::is_set) else {
        return Err(unauthorized(false).into());
    };
    let token = token(&secret)?;
    let text = ask(&asked.name, &address, Some(&token))?;
    text.ok_or_else(|| unauthorized(true).into())
}

fn token(secret: &Secret) -> Result<Vec<u8>, ExplainError> {
    match secret {
        Secret::Text(text) => Ok(text.as_bytes().to_vec()),
        Secret::File(path) => {
            let content =
                std::fs::read(path).map_err(|error| ExplainError::Token(error.to_string()))?;
            let token = token_in(&content).map_err(|why| ExplainError::Token(why.to_owned()))?;
            Ok(token.to_vec())
        }
    }
}

/// The HTTP API of an instance with this configuration, as reached from its own host.
pub(super) fn http_address(config: &Config) -> Result<String, ExplainError> {
    if !config.http_on {
        return Err(ExplainError::HttpOff);
    }
    let address = match config.http_listener {
        IpAddr::V4(any) if any.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(any) if any.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    Ok(SocketAddr::new(address, config.http_port).to_string())
}

/// Asks the instance at `address` about `name`, and gives its text; `None`: it asks for a token, or
/// another.
fn ask(name: &str, address: &str, token: Option<&[u8]>) -> Result<Option<String>, ExplainError> {
    let unreachable = |error: ureq::Error| ExplainError::Unreachable {
        address: address.to_owned(),
        reason: error.to_string(),
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(EXPLAIN_TIMEOUT))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let url = format!("http://{address}/v1/explain/{}", percent_encoded(name));
    let mut request = agent.get(url).header("Accept", "text/plain");
    if let Some(token) = token {
        let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat());
        let mut value = value.map_err(|error| ExplainError::Token(error.to_string()))?;
        value.set_sensitive(true);
        request = request.header("Authorization", value);
    }
    let mut response = request.call().map_err(unreachable)?;
    let body = response.body_mut().read_to_string().map_err(unreachable)?;
    match response.status().as_u16() {
        200 => Ok(Some(body)),
        401 => Ok(None),
        status => Err(ExplainError::Refused {
            address: address.to_owned(),
            status,
            body,
        }),
    }
}

/// Long enough for an instance that is loading 100,000 tasks.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// RFC 3986, 2.3: unreserved characters stay as they are.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for octet in name.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(octet));
            }
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_for_the_path() {
        assert_eq!(
            percent_encoded("_web._tcp.a b/é"),
            "_web._tcp.a%20b%2F%C3%A9"
        );
    }

    #[test]
    fn instance_is_asked_where_its_own_host_reaches_it() {
        let mut config = Config::default();
        assert_eq!(http_address(&config), Ok("127.0.0.1:8123".to_owned()));
        config.http_listener = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        assert_eq!(http_address(&config), Ok("[::1]:8123".to_owned()));
        config.http_on = false;
        assert_eq!(http_address(&config), Err(ExplainError::HttpOff));
    }
}
