//! Three masters of one cluster, elected in a real ZooKeeper: each knows of every change, whoever leads.
//! The leader can be killed and answer rubbish; who was killed comes back at its old place.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rollcall::simulate::faults::{StateFault, StreamFault};
use rollcall::simulate::{Role, SimulateOptions, Simulator};

use super::rubbish::Rubbish;
use crate::support::process::free_address;
use crate::support::vigil::addresses_of;
use crate::support::wait_until;

pub struct Masters {
    zk: String,
    /// Over how long the agents come back to a later leader.
    return_over: Duration,
    places: Mutex<Vec<Place>>,
    /// One of them answers rubbish.
    is_wrong: AtomicBool,
}

/// Where a master is, or was.
struct Place {
    address: SocketAddr,
    master: Result<Simulator, Instant>,
}

impl Masters {
    /// Returns when the first leads and the others follow.
    pub fn start(zk: String, return_over: Duration) -> Self {
        let options = |address| options(&zk, address, return_over);
        let leader = Simulator::start(&options(free_address())).expect("a simulated master");
        wait_until("a leader", || leader.role() == Role::LEADS);
        let follows = Role::Follows(leader.address().to_string());
        let followers = [free_address(), free_address()].map(|address| {
            let follower = Simulator::start_beside(&options(address), &leader);
            follower.expect("a simulated master")
        });
        wait_until("two followers", || {
            followers.iter().all(|master| master.role() == follows)
        });
        let places = std::iter::once(leader)
            .chain(followers)
            .map(|master| Place {
                address: master.address(),
                master: Ok(master),
            });
        Self {
            zk,
            return_over,
            places: Mutex::new(places.collect()),
            is_wrong: AtomicBool::new(false),
        }
    }

    /// What the leader, or whoever else is there, says of the cluster.
    pub fn with_one<T>(&self, read: impl FnOnce(&Simulator) -> T) -> T {
        let places = self.lock();
        let leader = leading(&places).or_else(|| living(&places).next());
        read(leader.expect("one of them lives"))
    }

    /// One instance of an application moves; gives where it is from now on.
    pub fn step(&self, app: &str) -> BTreeSet<String> {
        let places = self.lock();
        for master in living(&places) {
            master.step_app(app).expect("it runs");
        }
        let mut all = living(&places).map(|master| addresses_of(master, app));
        let first = all.next().expect("one of them lives");
        assert!(all.all(|other| other == first), "they are not alike");
        first
    }

    /// Somebody leads, has heard of all agents and answers what is so.
    pub fn is_calm(&self) -> bool {
        let places = self.lock();
        let leader = leading(&places).filter(|master| master.role() == Role::LEADS);
        !self.is_wrong.load(Ordering::Relaxed)
            && leader.is_some_and(|it| it.with_cluster(|cluster| cluster.awaited().count()) == 0)
    }

    /// `HOST:PORT` of the leader.
    pub fn leader(&self) -> Option<String> {
        let places = self.lock();
        leading(&places).map(|master| master.address().to_string())
    }

    /// As with SIGKILL; gives who it was, unless nobody leads, or nobody else is there.
    pub fn kill_leader(&self) -> Option<SocketAddr> {
        let (address, master) = {
            let mut places = self.lock();
            if living(&places).count() < 2 {
                return None;
            }
            let place = places
                .iter_mut()
                .find(|place| place.master.as_ref().is_ok_and(is_leading))?;
            let gone = std::mem::replace(&mut place.master, Err(Instant::now()));
            (place.address, gone.ok()?)
        };
        master.kill();
        Some(address)
    }

    /// Starts those that were dead for so long.
    pub fn revive(&self, dead_for: Duration) {
        let options = |address| options(&self.zk, address, self.return_over);
        let mut places = self.lock();
        for index in 0..places.len() {
            let is_due = matches!(places[index].master, Err(since) if since.elapsed() >= dead_for);
            if !is_due {
                continue;
            }
            let other = living(&places).next().expect("one of them lives");
            let mut address = places[index].address;
            let started = Simulator::start_beside(&options(address), other);
            let master = started.unwrap_or_else(|_| {
                // Somebody took its port meanwhile.
                address = free_address();
                let started = Simulator::start_beside(&options(address), other);
                started.expect("a simulated master")
            });
            let master = Ok(master);
            places[index] = Place { address, master };
        }
    }

    /// Has the leader answer rubbish until `amend`; false where nobody leads.
    pub fn spoil(&self, rubbish: &Rubbish) -> bool {
        let places = self.lock();
        let Some(leader) = leading(&places).filter(|master| master.role() == Role::LEADS) else {
            return false;
        };
        self.is_wrong.store(true, Ordering::Relaxed);
        leader.fault_state(rubbish.state);
        for &(scope, fault) in rubbish.streams {
            leader.fault_streams_for(scope, fault);
        }
        true
    }

    pub fn amend(&self) {
        for master in living(&self.lock()) {
            master.fault_state(StateFault::Normal);
            master.fault_streams(StreamFault::Normal);
        }
        self.is_wrong.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().expect("nobody panicked with it")
    }
}

fn options(zk: &str, listen: SocketAddr, return_over: Duration) -> SimulateOptions {
    SimulateOptions {
        listen,
        zk: Some(zk.to_owned()),
        zk_session: Duration::from_millis(1_200),
        recovery: Duration::from_millis(200),
        return_over,
        heartbeat: Duration::from_secs(1),
        ..SimulateOptions::default()
    }
}

fn living(places: &[Place]) -> impl Iterator<Item = &Simulator> {
    places.iter().filter_map(|place| place.master.as_ref().ok())
}

fn leading(places: &[Place]) -> Option<&Simulator> {
    living(places).find(|master| is_leading(master))
}

fn is_leading(master: &Simulator) -> bool {
    matches!(master.role(), Role::Leads { .. })
}
