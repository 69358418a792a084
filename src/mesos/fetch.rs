//! Fetches the leading master's state over HTTP, blocking, on the refresh thread. In: the masters
//! and how to ask them. Out: a Cluster. A secret must never stand in an error.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, Endpoint};
use super::error::MasterError;
use super::hosts::look_up;
use super::http::{Call, ClientSettings, Http};
use super::leader::{Answer, Ask, Hops, find_leader_state};
use super::state::read_state;

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

/// Asks masters for their state; remembers who led and where each has it.
pub struct MasterClient {
    masters: Vec<Endpoint>,
    last_leader: Option<Endpoint>,
    requester: Requester,
}

impl MasterClient {
    pub fn new(settings: ClientSettings) -> Result<Self, MasterError> {
        let http = Http::new(&settings)?;
        Ok(Self {
            masters: settings.masters,
            last_leader: None,
            requester: Requester {
                http,
                bytes_max: settings.state_bytes_max,
                paths: HashMap::new(),
            },
        })
    }

    /// Fetches the leader's state: from the last known leader, or by way of the listed masters.
    pub fn fetch(&mut self) -> Result<Fetched, MasterError> {
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
    http: Http,
    bytes_max: u64,
    /// Which of `PATHS` a master has; a handful of masters in the life of a cluster.
    paths: HashMap<Endpoint, usize>,
}

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
