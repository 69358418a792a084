//! Finds the leading master. In: masters to ask, and a way to ask one. Out: the leader's own state.
//! It must never follow masters that name each other in a circle.

use std::net::IpAddr;
use std::sync::Arc;

use super::cluster::Endpoint;
use super::error::MasterError;
use super::state::StateRead;
use super::values::read_address;
use crate::limits::LEADER_HOPS_MAX;

/// A state and the master that gave it, after redirects.
#[derive(Debug)]
pub struct Answer {
    pub state: StateRead,
    pub from: Endpoint,
}

/// Asks one master. Redirects that it follows are taken from the hops that are left.
pub trait Ask {
    fn ask(&mut self, master: &Endpoint, hops: &mut Hops) -> Result<Answer, MasterError>;

    /// The addresses of a host name, for comparing.
    fn addresses(&mut self, host: &str) -> Option<Arc<[IpAddr]>>;
}

/// The way from a master to its leader.
#[derive(Debug)]
pub struct Hops {
    way: Vec<String>,
}

impl Hops {
    pub fn new(first: &Endpoint) -> Self {
        Self {
            way: vec![first.to_string()],
        }
    }

    /// Notes that `to` is asked next; an error where that has gone on for too long.
    pub fn add(&mut self, to: &Endpoint) -> Result<(), MasterError> {
        self.way.push(to.to_string());
        if self.way.len() > LEADER_HOPS_MAX + 1 {
            return Err(MasterError::Circle {
                way: self.way.join(" -> "),
            });
        }
        Ok(())
    }
}

/// Asks the candidates in turn until one leads to the leader's state.
pub fn find_leader_state<A: Ask>(
    asker: &mut A,
    candidates: &[Endpoint],
) -> Result<Answer, MasterError> {
    let mut errors = Vec::new();
    for candidate in candidates {
        match follow(asker, candidate) {
            Ok(answer) => return Ok(answer),
            Err(error) => errors.push(error),
        }
    }
    match errors.len() {
        1 => Err(errors.remove(0)),
        _ => Err(MasterError::NoMaster { errors }),
    }
}

/// From a master to the leader that its state names, at the leader's own address and port.
fn follow<A: Ask>(asker: &mut A, first: &Endpoint) -> Result<Answer, MasterError> {
    let mut hops = Hops::new(first);
    let mut master = first.clone();
    loop {
        let answer = asker.ask(&master, &mut hops)?;
        let Some(leader) = answer.state.cluster.leader.clone() else {
            return Ok(answer);
        };
        let leader = Endpoint {
            port: leader.port.or(answer.from.port),
            host: leader.host,
        };
        if is_same_host(asker, &leader.host, &answer.from.host) {
            return Ok(answer);
        }
        hops.add(&leader)?;
        master = leader;
    }
}

/// Whether two hosts are one, whatever their spelling. A master that names its own address with
/// another port is reached through a proxy or a forwarded port, and its state is the leader's: who
/// does not lead redirects and gives no state.
fn is_same_host<A: Ask>(asker: &mut A, one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let mut addresses = |host: &str| match read_address(host) {
        Some(address) => Some(Arc::from([address])),
        None => asker.addresses(host),
    };
    let (Some(one), Some(other)) = (addresses(one), addresses(other)) else {
        return false;
    };
    one.iter().any(|address| other.contains(address))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::cluster::Cluster;
    use super::*;

    /// Masters by their place, each with the leader that it names.
    #[derive(Default)]
    struct Masters {
        leaders: HashMap<String, Endpoint>,
        asked: Vec<String>,
    }

    fn endpoint(text: &str) -> Endpoint {
        let (host, port) = text.rsplit_once(':').unwrap();
        Endpoint {
            host: host.into(),
            port: port.parse().ok(),
        }
    }

    impl Ask for Masters {
        fn ask(&mut self, master: &Endpoint, _: &mut Hops) -> Result<Answer, MasterError> {
            self.asked.push(master.to_string());
            let leader = self.leaders.get(&master.to_string());
            let leader = leader.ok_or(MasterError::NoMaster { errors: Vec::new() })?;
            Ok(Answer {
                state: StateRead {
                    cluster: Cluster {
                        leader: Some(leader.clone()),
                        ..Cluster::default()
                    },
                    bytes: 0,
                    bad_count: 0,
                },
                from: master.clone(),
            })
        }

        fn addresses(&mut self, host: &str) -> Option<Arc<[IpAddr]>> {
            (host == "m.test").then(|| [IpAddr::from([10, 0, 0, 1])].into())
        }
    }

    fn find(
        leaders: &[(&str, &str)],
        candidates: &[&str],
    ) -> (Result<String, String>, Vec<String>) {
        let mut masters = Masters::default();
        for (master, leader) in leaders {
            masters
                .leaders
                .insert((*master).to_owned(), endpoint(leader));
        }
        let candidates: Vec<_> = candidates.iter().map(|text| endpoint(text)).collect();
        let found = find_leader_state(&mut masters, &candidates);
        let found = found
            .map(|answer| answer.from.to_string())
            .map_err(|error| error.to_string());
        (found, masters.asked)
    }

    #[test]
    fn leader_is_asked_once() {
        let (found, asked) = find(&[("10.0.0.1:5050", "10.0.0.1:5050")], &["10.0.0.1:5050"]);
        assert_eq!(found.unwrap(), "10.0.0.1:5050");
        assert_eq!(asked.len(), 1);
    }

    #[test]
    fn other_leader_is_asked_at_its_own_address_and_port() {
        let masters = [
            ("10.0.0.1:5050", "10.0.0.2:6060"),
            ("10.0.0.2:6060", "10.0.0.2:6060"),
        ];
        let (found, asked) = find(&masters, &["10.0.0.1:5050"]);
        assert_eq!(found.unwrap(), "10.0.0.2:6060");
        assert_eq!(asked, ["10.0.0.1:5050", "10.0.0.2:6060"]);
    }

    #[test]
    fn spelling_or_port_of_an_address_makes_no_other_master() {
        for leader in [
            "m.test:5050",
            "::ffff:10.0.0.1:5050",
            "10.0.0.1:none",
            "10.0.0.1:15050",
        ] {
            let (found, asked) = find(&[("10.0.0.1:5050", leader)], &["10.0.0.1:5050"]);
            assert!(found.is_ok(), "{leader}");
            assert_eq!(asked.len(), 1, "{leader}");
        }
    }

    #[test]
    fn dead_masters_are_passed_over() {
        let masters = [("10.0.0.3:1", "10.0.0.3:1"), ("10.0.0.2:1", "10.0.0.9:1")];
        let (found, asked) = find(&masters, &["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
        assert_eq!(found.unwrap(), "10.0.0.3:1");
        assert_eq!(
            asked,
            ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.9:1", "10.0.0.3:1"]
        );
    }

    #[test]
    fn circle_of_masters_is_told_with_its_way() {
        let masters = [("10.0.0.1:1", "10.0.0.2:1"), ("10.0.0.2:1", "10.0.0.1:1")];
        let (found, asked) = find(&masters, &["10.0.0.1:1"]);
        let error = found.unwrap_err();
        assert!(
            error.contains("10.0.0.1:1 -> 10.0.0.2:1 -> 10.0.0.1:1"),
            "{error}"
        );
        assert_eq!(asked.len(), LEADER_HOPS_MAX + 1);
    }
}
