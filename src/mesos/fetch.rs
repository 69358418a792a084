//! Fetches the leading master's state over HTTP, blocking, on the refresh thread. In: the masters
//! and how to ask them. Out: a Cluster. A secret must never stand in an error.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, Endpoint};
use super::error::MasterError;
use super::hosts::look_up;
use super::http::{Call, Http};
use super::leader::{Answer, Ask, Hops, find_leader_state};
use super::state::{StateError, read_state};
use super::summary::{Pids, read_pids};

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

/// Asks masters for their state; remembers where each has it.
pub struct MasterClient {
    requester: Requester,
}

impl MasterClient {
    /// A document longer than `state_bytes_max` is refused.
    pub fn new(http: Http, state_bytes_max: u64) -> Self {
        Self {
            requester: Requester {
                http,
                bytes_max: state_bytes_max,
                paths: HashMap::new(),
            },
        }
    }

    /// Fetches the leader's state by way of these masters, in their order.
    pub fn fetch(&mut self, masters: &[Endpoint]) -> Result<Fetched, MasterError> {
        let started = Instant::now();
        let Answer { state, from } = find_leader_state(&mut self.requester, masters)?;
        if state.cluster.agents.is_empty() && state.cluster.frameworks.is_empty() {
            self.check_recovery(&from)?;
        }
        Ok(Fetched {
            cluster: state.cluster,
            from,
            bytes: state.bytes,
            bad_count: state.bad_count,
            took: started.elapsed(),
        })
    }

    /// A leader that has not recovered yet gives an empty state, with status 200; only the v1 API says
    /// so (503). Masters that have no such API, or do not answer there, are believed.
    fn check_recovery(&self, leader: &Endpoint) -> Result<(), MasterError> {
        let call = Call::Post(r#"{"type":"GET_MASTER"}"#);
        let http = &self.requester.http;
        match http.ask(call, leader, "/api/v1", &mut Hops::new(leader)) {
            Err(MasterError::Status { url, status: 503 }) => Err(MasterError::NotRecovered { url }),
            _ => Ok(()),
        }
    }

    /// Asks a leader where its libprocess schedulers are.
    pub fn fetch_pids(&mut self, leader: &Endpoint) -> Result<Pids, MasterError> {
        let Requester {
            http, bytes_max, ..
        } = &self.requester;
        let reply = http.ask(Call::Get, leader, SUMMARY, &mut Hops::new(leader))?;
        let url = reply.url;
        read_pids(reply.body.into_reader(), *bytes_max).map_err(|error| {
            let error = StateError::Cut(error);
            MasterError::State { url, error }
        })
    }
}

struct Requester {
    http: Http,
    bytes_max: u64,
    /// Which of `PATHS` a master has; a handful of masters in the life of a cluster.
    paths: HashMap<Endpoint, usize>,
}

/// A few hundred octets an agent and a framework; masters since 0.23 have it.
const SUMMARY: &str = "/state-summary";

/// Where masters of all ages have their state: today's, those behind a prefix, those before 1.0.
const PATHS: [&str; 3] = ["/state", "/master/state", "/master/state.json"];

impl Ask for Requester {
    fn ask(&mut self, master: &Endpoint, hops: &mut Hops) -> Result<Answer, MasterError> {
        let known = self.paths.get(master).copied();
        let others = (0..PATHS.len()).filter(|index| Some(*index) != known);
        let mut result = Err(MasterError::NoMaster { errors: Vec::new() });
        for index in known.into_iter().chain(others) {
            result = self.ask_path(master, PATHS[index], hops);
            match &result {
                Err(MasterError::Status { status: 404, .. }) => {}
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
    fn ask_path(
        &self,
        master: &Endpoint,
        path: &str,
        hops: &mut Hops,
    ) -> Result<Answer, MasterError> {
        let reply = self.http.ask(Call::Get, master, path, hops)?;
        let url = reply.url;
        let state = read_state(reply.body.into_reader(), self.bytes_max)
            .map_err(|error| MasterError::State { url, error })?;
        Ok(Answer {
            state,
            from: reply.from,
        })
    }
}

#[cfg(test)]
mod tests;
