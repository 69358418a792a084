//! Who leads, as ZooKeeper tells it. In: its words. Out: the masters to ask and to name, and a stream
//! that changes over to a new leader at once. What was told last stays, whatever becomes of ZooKeeper.

use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::{Receiver, unbounded};
use tracing::{error, info};

use super::Source;
use super::crank::{Crank, Phase};
use crate::config::ZkUrl;
use crate::limits::{STREAM_NEW_LEADER_SPREAD, ZK_LOST};
use crate::mesos::cluster::Endpoint;
use crate::mesos::zookeeper::{MasterInfo, Told, Watch};
use crate::stats::freshness;

/// What is known from ZooKeeper.
pub(super) struct Election {
    /// Ends its thread when it is dropped.
    _watch: Watch,
    told: Receiver<Told>,
    /// The masters of the last list that had some, the leader first.
    masters: Vec<MasterInfo>,
    /// Of the last list, however short.
    listed_count: usize,
    lost: Option<String>,
    /// Since when ZooKeeper tells of no leader, or cannot be asked; at first since the start.
    no_leader_since: Option<Instant>,
    has_given_up: bool,
}

impl Election {
    fn start(url: ZkUrl, now: Instant) -> std::io::Result<Self> {
        // One word for each change in ZooKeeper, taken within one turn of the crank.
        let (tell, told) = unbounded();
        let watch = Watch::start(url, move |word| {
            // Nobody listens any more where the crank is at its end.
            let _ = tell.send(word);
        })?;
        Ok(Self {
            _watch: watch,
            told,
            masters: Vec::new(),
            listed_count: 0,
            lost: None,
            no_leader_since: Some(now),
            has_given_up: false,
        })
    }

    pub(super) fn told(&self) -> &Receiver<Told> {
        &self.told
    }
}

impl Crank {
    /// Watches the ensemble of the configuration, if there is one.
    pub(super) fn start_election(&mut self, now: Instant) {
        // The old one ends first, so that its last words are not taken for the new one's.
        self.election = None;
        if let Some(url) = self.settings.zk.clone() {
            match Election::start(url, now) {
                Ok(election) => self.election = Some(election),
                Err(failure) => error!("cannot start the thread for ZooKeeper: {failure}"),
            }
        }
        self.name_masters();
        self.tell_election();
    }

    /// How long the masters of the configuration wait for ZooKeeper's word.
    pub(super) fn election_patience(&self) -> Duration {
        match &self.election {
            Some(election) if election.masters.is_empty() => ZK_LOST,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn take_election(&mut self, told: Told, now: Instant) {
        let Some(election) = &mut self.election else {
            return;
        };
        match told {
            Told::Restored => election.lost = None,
            Told::Lost(why) => {
                election.lost = Some(why.clone());
                election.no_leader_since.get_or_insert(now);
                let at = SystemTime::now();
                self.freshness
                    .update(|it| it.last_error = Some((at, why.clone())));
            }
            Told::Masters(masters) => {
                election.listed_count = masters.len();
                if masters.is_empty() {
                    election.no_leader_since.get_or_insert(now);
                } else {
                    election.no_leader_since = None;
                    election.has_given_up = false;
                    let before = std::mem::replace(&mut election.masters, masters);
                    self.take_masters(&before, now);
                }
            }
        }
        self.tell_election();
    }

    fn take_masters(&mut self, before: &[MasterInfo], now: Instant) {
        self.name_masters();
        self.publish_soon(now);
        let leader = self.election.as_ref().and_then(|it| it.masters.first());
        if let Some(leader) = leader.cloned()
            && before.first() != Some(&leader)
        {
            self.follow(&leader, now);
        }
    }

    /// Changes over to another leader. All hosts hear of it in the same moment, so each waits a
    /// little, at random.
    fn follow(&mut self, leader: &MasterInfo, now: Instant) {
        self.stream_failures = 0;
        self.poll_failures = 0;
        let soon = match self.press.world().is_some() {
            true => now + STREAM_NEW_LEADER_SPREAD.mul_f64(fastrand::f64()),
            false => now,
        };
        match &mut self.phase {
            Phase::Streaming(streaming) => {
                // It may be where it belongs already: by a redirect, or by way of `Masters`.
                let known = &self.live.cluster().master_id;
                let is_there = match (known, &leader.id) {
                    (Some(known), Some(id)) => **known == **id,
                    _ => streaming.from == leader.endpoint,
                };
                if is_there {
                    return;
                }
                let (from, to) = (&streaming.from, &leader.endpoint);
                info!("{to} leads now; the event stream of {from} is given up");
                self.leader_at = None;
                self.reconnect_at = Some(soon);
                self.cut_stream(now);
            }
            Phase::Connecting { .. } => {
                self.leader_at = None;
                self.reconnect_at = Some(soon);
                self.cut_stream(now);
            }
            Phase::Waiting { until } => {
                self.leader_at = None;
                *until = soon.min(*until);
            }
            Phase::Off => self.leader_at = None,
        }
        let is_polled = match self.settings.source {
            Source::Poll => true,
            Source::Auto => self.lacks_stream,
            Source::Stream => false,
        };
        if is_polled {
            self.poll_by(soon);
        }
    }

    /// The masters in the order in which they are asked: the leader of whom ZooKeeper told, or who
    /// answered last where it cannot be asked; then the others, and those of the configuration.
    pub(super) fn masters_to_ask(&self) -> Vec<Endpoint> {
        let (elected, is_lost) = match &self.election {
            Some(election) => (&*election.masters, election.no_leader_since.is_some()),
            None => (&[][..], true),
        };
        let elected = elected.iter().map(|master| &master.endpoint);
        let last = self.leader_at.iter();
        let mut masters: Vec<Endpoint> = Vec::new();
        let mut add = |master: &Endpoint| {
            if !masters.contains(master) {
                masters.push(master.clone());
            }
        };
        match is_lost {
            true => last.chain(elected).for_each(&mut add),
            false => elected.chain(last).for_each(&mut add),
        }
        self.settings.masters.iter().for_each(&mut add);
        masters
    }

    /// Has `masterN` be the masters that are known: ZooKeeper's, or else those of the configuration.
    pub(super) fn name_masters(&mut self) {
        let elected = self.election.iter().flat_map(|election| &election.masters);
        let elected: Box<[Endpoint]> = elected.map(|master| master.endpoint.clone()).collect();
        let masters = match elected.is_empty() {
            true => self.settings.naming.masters.clone(),
            false => elected,
        };
        self.press.name_masters(masters);
    }

    /// When ExitOnZkTimeout ends the program.
    pub(super) fn give_up_at(&self) -> Option<Instant> {
        let election = self.election.as_ref()?;
        let wait = self.settings.zk_exit_after?;
        let since = election
            .no_leader_since
            .filter(|_| !election.has_given_up)?;
        Some(since + wait)
    }

    /// Ends the program as mesos-dns would.
    pub(super) fn give_up_without_leader(&mut self) {
        let (Some(election), Some(wait)) = (&mut self.election, self.settings.zk_exit_after) else {
            return;
        };
        election.has_given_up = true;
        let why = election.lost.as_deref().unwrap_or("it lists no master");
        (self.give_up)(format!(
            "no leading master in ZooKeeper for ZkDetectionTimeout of {} s: {why}; ExitOnZkTimeout \
             ends the program",
            wait.as_secs()
        ));
    }

    fn tell_election(&self) {
        let told = self.election.as_ref().map(|it| freshness::ZooKeeper {
            lost: it.lost.clone(),
            masters: it.listed_count,
            no_leader_since: it.no_leader_since,
        });
        self.freshness.update(|it| it.zookeeper = told);
    }
}
