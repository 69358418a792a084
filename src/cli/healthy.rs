//! `rollcall healthy`: the answer of the running instance's `/healthz`, for the health checks of
//! containers that have no shell. In: whom to ask. Out: nothing, or why it does not serve. It must
//! never wait for ever, and never call an instance bad because a master is away.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use super::HealthOptions;
use super::explain::{ExplainError, http_address};
use crate::config::{ConfigError, Loaded};

pub fn run(
    asked: &HealthOptions,
    load: impl FnOnce(Option<PathBuf>) -> Result<Loaded, ConfigError>,
) -> Result<(), Box<dyn Error>> {
    let address = match &asked.http {
        Some(address) => address.clone(),
        None => http_address(&load(asked.config.clone())?.config)?,
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(HEALTH_TIMEOUT))
        .proxy(None)
        .build()
        .into();
    // A status that is no success is an error here.
    let answer = agent.get(format!("http://{address}/healthz")).call();
    answer.map_err(|error| ExplainError::Unreachable {
        address,
        reason: error.to_string(),
    })?;
    Ok(())
}

/// Shorter than what engines give a health check (30 s by default), so that it ends with a reason.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(4);
