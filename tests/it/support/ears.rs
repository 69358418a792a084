//! Listens to a watch of ZooKeeper: what it tells, one after the other, each waited for with a deadline. And
//! what a master writes there.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rollcall::config::ZkUrl;
use rollcall::limits::ZK_STOP;
use rollcall::mesos::zookeeper::{Told, Watch};

use super::DEADLINE;

/// A watch and what it tells.
pub struct Ears {
    told: Receiver<Told>,
    watch: Watch,
}

impl Ears {
    pub fn open(url: &str) -> Self {
        let url = ZkUrl::parse(url).expect("a good URL");
        let (sender, told) = channel();
        let watch = Watch::start(url, move |what| {
            // Nobody listens any more only while the watch is dropped.
            let _ = sender.send(what);
        });
        let watch = watch.expect("a thread");
        Self { told, watch }
    }

    /// On a path of one server.
    pub fn at(server: SocketAddr, path: &str) -> Self {
        Self::open(&format!("zk://{server}{path}"))
    }

    #[track_caller]
    pub fn next(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("something is told")
    }

    /// The next that is told must be these masters.
    #[track_caller]
    pub fn hears(&self, endpoints: &[&str]) {
        match self.next() {
            Told::Masters(masters) => {
                let found = masters.iter().map(|master| master.endpoint.to_string());
                assert_eq!(found.collect::<Vec<_>>(), endpoints);
            }
            other => panic!("{other:?} instead of {endpoints:?}"),
        }
    }

    /// Endpoints of the masters told next, behind whatever trouble there was before.
    #[track_caller]
    pub fn next_masters(&self) -> Vec<String> {
        loop {
            if let Told::Masters(masters) = self.next() {
                let endpoints = masters.iter().map(|master| master.endpoint.to_string());
                return endpoints.collect();
            }
        }
    }

    #[track_caller]
    pub fn hears_lost(&self) -> String {
        match self.next() {
            Told::Lost(text) => text,
            other => panic!("{other:?} instead of Lost"),
        }
    }

    #[track_caller]
    pub fn hears_restored(&self, endpoints: &[&str]) {
        assert_eq!(self.next(), Told::Restored);
        self.hears(endpoints);
    }

    /// Ends the watch, in time; gives what was told and not heard.
    #[track_caller]
    pub fn close(self) -> Vec<Told> {
        let begin = Instant::now();
        drop(self.watch);
        assert!(begin.elapsed() < ZK_STOP, "{:?}", begin.elapsed());
        self.told.iter().collect()
    }
}

/// The MasterInfo of a master at a port.
pub fn info(port: u16) -> String {
    format!(
        r#"{{"address":{{"hostname":"127.0.0.1","ip":"127.0.0.1","port":{port}}},"hostname":"127.0.0.1","id":"id-{port}","ip":16777343,"pid":"master@127.0.0.1:{port}","port":{port},"version":"1.11.0"}}"#
    )
}

pub fn node(path: &str, sequence: i64) -> String {
    format!("{path}/json.info_{sequence:010}")
}
