//! The HTTP client library, set up our way. In: bounds on time, and whom to trust. Out: an Agent that
//! has the certificates of now. It must never follow a redirect or a proxy by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::Agent;

use super::error::MasterError;
use super::tls::{Trust, no_trust};
use crate::limits::MASTER_CONNECT_MS;

/// Makes agents that reach one kind of server.
pub struct Agents {
    /// `None`: TLS is not spoken.
    trust: Option<Arc<Trust>>,
    timeout: Duration,
    /// The agent of `current`, and which state of the certificates it has.
    last: Mutex<Option<(Agent, u64)>>,
}

impl Agents {
    /// `timeout` bounds one request of `current`, from connecting to the last octet.
    pub fn new(trust: Option<Arc<Trust>>, timeout: Duration) -> Self {
        Self {
            trust,
            timeout,
            last: Mutex::new(None),
        }
    }

    /// One agent for all, for as long as the certificates stay the same: it resumes TLS sessions.
    pub fn current(&self) -> Result<Agent, MasterError> {
        let (tls_config, generation) = self.tls_config()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((agent, of)) if *of == generation => Ok(agent.clone()),
            _ => {
                let agent = self.build(tls_config, Some(self.timeout));
                *last = Some((agent.clone(), generation));
                Ok(agent)
            }
        }
    }

    /// An agent of its own, for one who means to shut it down or to wait longer.
    pub fn fresh(&self, timeout: Option<Duration>) -> Result<Agent, MasterError> {
        let (tls_config, _) = self.tls_config()?;
        Ok(self.build(tls_config, timeout))
    }

    fn tls_config(&self) -> Result<(ureq::tls::TlsConfig, u64), MasterError> {
        match &self.trust {
            Some(trust) => trust.tls_config(),
            None => Ok((no_trust(), 0)),
        }
    }

    fn build(&self, tls_config: ureq::tls::TlsConfig, timeout: Option<Duration>) -> Agent {
        let connect_timeout = Duration::from_millis(MASTER_CONNECT_MS).min(self.timeout);
        Agent::config_builder()
            .http_status_as_error(false)
            // Followed by us, if at all: a master's location has no scheme, and hops are counted.
            .max_redirects(0)
            .timeout_global(timeout)
            .timeout_connect(Some(connect_timeout))
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls_config)
            .build()
            .new_agent()
    }
}
