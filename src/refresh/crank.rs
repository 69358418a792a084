//! The loop of the refresh thread. In: what the sources' threads tell, commands, and the time. Out:
//! orders to those threads, and publications. It must never wait for anything but all of them at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, never, select};
use tracing::{debug, error, info};

use super::clashes::Clashes;
use super::election::Election;
use super::hold::Holder;
use super::notable::Notable;
use super::press::Press;
use super::static_watch::StaticWatch;
use super::told::Told;
use super::warm::Keeper;
use super::{Command, GiveUp, Parts, Settings, Source, Wake};
use crate::limits::{
    STREAM_FIRST_PATIENCE, STREAM_HEARTBEATS_MISSED_MAX, STREAM_NEW_LEADER_SPREAD,
};
use crate::mesos::check::Touched;
use crate::mesos::cluster::Endpoint;
use crate::mesos::events::Event;
use crate::mesos::fetch::MasterClient;
use crate::mesos::hosts::HostAnswer;
use crate::mesos::live::{Effect, Live};
use crate::mesos::poll::{PollOrder, PollTold, Poller};
use crate::mesos::subscribe::{StreamTold, Subscriber};
use crate::mesos::zookeeper::Told as Elected;
use crate::stats::Counter;
use crate::stats::freshness::SharedFreshness;
use crate::stats::repeated::Repeated;
use crate::sys;

/// All that the refresh thread has.
pub(super) struct Crank {
    pub(super) settings: Settings,
    pub(super) freshness: SharedFreshness,
    pub(super) wake: Wake,
    pub(super) give_up: GiveUp,
    /// Times that the loop went round.
    pub(super) turns: Arc<Counter>,
    /// What ZooKeeper tells, where it is asked.
    pub(super) election: Option<Election>,
    pub(super) press: Press,
    pub(super) told: Told,
    pub(super) clashes: Clashes,
    /// The cluster as the sources have it, with what is held.
    pub(super) live: Live,
    pub(super) holder: Holder,
    pub(super) stream: Subscriber,
    pub(super) phase: Phase,
    /// When to connect after a cut, where that is not to wait as after a failure.
    pub(super) reconnect_at: Option<Instant>,
    /// Streams that failed in a row.
    pub(super) stream_failures: u32,
    /// The masters were found to have no stream that could be used.
    pub(super) lacks_stream: bool,
    /// Counts subscriptions, so that an answer can be told to belong to another one.
    pub(super) subscription: u64,
    pub(super) poller: Poller,
    pub(super) asked: Option<Asked>,
    pub(super) poll_failures: u32,
    pub(super) poll_at: Option<Instant>,
    pub(super) pids_at: Option<Instant>,
    pub(super) pids_asked_at: Option<Instant>,
    pub(super) checked_soon_at: Option<Instant>,
    /// What events touched since a check was asked for.
    pub(super) touched: Option<Touched>,
    pub(super) publish_at: Option<Instant>,
    pub(super) published_at: Instant,
    /// The next publication follows a whole view of the cluster.
    pub(super) is_snapshot: bool,
    /// Where the leader was reached last.
    pub(super) leader_at: Option<Endpoint>,
    pub(super) confirmed_at: Option<Instant>,
    /// The last error of each source, until it is over.
    pub(super) stream_error: Repeated,
    pub(super) poll_error: Repeated,
    /// Streams that were cut, until one lasts.
    pub(super) stream_cuts: Repeated,
    pub(super) notable: Notable,
    pub(super) keeper: Option<Keeper>,
    /// Something was published that is not on disk, and the time to write it.
    pub(super) save_at: Option<Instant>,
    pub(super) saved_at: Option<Instant>,
    pub(super) static_watch: Option<StaticWatch>,
}

/// How the stream stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// `Source` is "poll".
    Off,
    Waiting {
        until: Instant,
    },
    Connecting {
        since: Instant,
    },
    Streaming(Streaming),
}

#[derive(Debug)]
pub(super) struct Streaming {
    pub(super) from: Endpoint,
    pub(super) since: Instant,
    pub(super) heartbeat: Duration,
    pub(super) last_sign: Instant,
}

/// What the poller is asked at present.
#[derive(Debug)]
pub(super) enum Asked {
    /// The number of the subscription that it is to check; `None`: it is to replace what is known.
    State {
        check_of: Option<u64>,
    },
    Pids {
        subscription: u64,
    },
}

/// What came in.
enum Input {
    Command(Command),
    Stream(StreamTold),
    Poll(PollTold),
    Elected(Elected),
    Host(HostAnswer),
    Nothing,
}

impl Crank {
    pub(super) fn new(parts: Parts) -> std::io::Result<Self> {
        let Parts {
            settings,
            published,
            freshness,
            feed,
            wake,
            give_up,
        } = parts;
        let now = Instant::now();
        let press = Press::new(
            published,
            settings.naming.clone(),
            settings.listeners.clone(),
            settings.answering.clone(),
            feed,
        );
        let mut crank = Self {
            stream: Subscriber::start(settings.http.clone(), settings.state_bytes_max)?,
            poller: start_poller(&settings)?,
            holder: Holder::new(settings.hold),
            press,
            settings,
            freshness,
            wake,
            give_up,
            turns: Arc::default(),
            election: None,
            told: Told::default(),
            clashes: Clashes::default(),
            live: Live::default(),
            phase: Phase::Off,
            reconnect_at: None,
            stream_failures: 0,
            lacks_stream: false,
            subscription: 0,
            asked: None,
            poll_failures: 0,
            poll_at: None,
            pids_at: None,
            pids_asked_at: None,
            checked_soon_at: None,
            touched: None,
            publish_at: None,
            published_at: now,
            is_snapshot: false,
            leader_at: None,
            confirmed_at: None,
            stream_error: Repeated::default(),
            poll_error: Repeated::default(),
            stream_cuts: Repeated::default(),
            notable: Notable::default(),
            keeper: None,
            save_at: None,
            saved_at: None,
            static_watch: None,
        };
        crank.start_election(now);
        crank.begin(now + crank.election_patience());
        Ok(crank)
    }

    /// Sets out from the first source of the configuration.
    fn begin(&mut self, now: Instant) {
        self.asked = None;
        self.touched = None;
        self.stream_failures = 0;
        self.poll_failures = 0;
        (self.phase, self.poll_at) = match self.settings.source {
            Source::Poll => (Phase::Off, Some(now)),
            Source::Stream | Source::Auto => (Phase::Waiting { until: now }, None),
        };
    }

    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        if let Err(failure) = sys::priority::give_way() {
            debug!("the refresh thread keeps its priority: {failure}");
        }
        self.watch_statics(Instant::now());
        // The masters are on their way while the records of before are read.
        self.act(Instant::now());
        self.start_warm(Instant::now());
        loop {
            self.act(Instant::now());
            self.turns.add(1);
            match self.wait(inbox) {
                Input::Command(Command::Stop) => return self.end(),
                Input::Command(Command::Refresh) => self.refresh_now(Instant::now()),
                Input::Command(Command::Configure(settings, wake)) => {
                    self.configure(*settings, wake, Instant::now());
                }
                Input::Stream(told) => self.take_stream(told, Instant::now()),
                Input::Poll(told) => self.take_poll(told, Instant::now()),
                Input::Elected(told) => self.take_election(told, Instant::now()),
                Input::Host(answer) => {
                    self.press.take_late_host(answer);
                    self.publish_soon(Instant::now());
                }
                Input::Command(Command::Turn) | Input::Nothing => {}
            }
        }
    }

    /// Waits for the first thing that comes, or for the time of the next thing to do.
    fn wait(&self, inbox: &Receiver<Command>) -> Input {
        let nobody = never();
        let hosts = self.press.late_hosts().unwrap_or(&nobody);
        let nobody = never();
        let elected = self.election.as_ref().map_or(&nobody, Election::told);
        let wait = self
            .deadline()
            .map_or(IDLE_MAX, |at| at.saturating_duration_since(Instant::now()));
        select! {
            // A sender that is gone is the daemon's, which has then forgotten to stop us.
            recv(inbox) -> command => Input::Command(command.unwrap_or(Command::Stop)),
            recv(self.stream.told()) -> told => told.map_or(Input::Nothing, Input::Stream),
            recv(self.poller.told()) -> told => told.map_or(Input::Nothing, Input::Poll),
            recv(elected) -> told => told.map_or(Input::Nothing, Input::Elected),
            recv(hosts) -> answer => answer.map_or(Input::Nothing, Input::Host),
            default(wait) => Input::Nothing,
        }
    }

    /// When `act` has something to do, at the latest.
    fn deadline(&self) -> Option<Instant> {
        let of_phase = match &self.phase {
            Phase::Off => None,
            Phase::Waiting { until } => Some(*until),
            Phase::Connecting { since } => Some(*since + self.settings.state_timeout),
            Phase::Streaming(streaming) => Some(streaming.silent_at()),
        };
        let is_free = self.asked.is_none();
        let retired = self
            .press
            .has_retired()
            .then(|| Instant::now() + RETIRED_EVERY);
        [
            of_phase,
            self.poll_at.filter(|_| is_free),
            self.pids_at.filter(|_| is_free),
            self.publish_at,
            self.press.hosts_due(),
            self.save_at,
            self.give_up_at(),
            self.static_watch.as_ref().map(|watch| watch.due),
            retired,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    fn act(&mut self, now: Instant) {
        self.watch_stream(now);
        if self.asked.is_none() && self.poll_at.is_some_and(|at| at <= now) {
            self.poll_at = None;
            self.ask_state();
        }
        if self.asked.is_none() && self.pids_at.is_some_and(|at| at <= now) {
            self.pids_at = None;
            self.ask_pids(now);
        }
        if self.press.hosts_due().is_some_and(|at| at <= now) {
            self.publish_soon(now);
        }
        self.look_at_statics(now);
        if self.publish_at.is_some_and(|at| at <= now) {
            self.publish(now);
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save(now);
        }
        if self.give_up_at().is_some_and(|at| at <= now) {
            self.give_up_without_leader();
        }
        self.press.free_retired();
    }

    fn watch_stream(&mut self, now: Instant) {
        match &self.phase {
            Phase::Waiting { until } if *until <= now => {
                let masters = self.masters_to_ask();
                if masters.is_empty() {
                    // ZooKeeper has told of none yet.
                    let until = now + IDLE_MAX;
                    self.phase = Phase::Waiting { until };
                    return;
                }
                self.phase = Phase::Connecting { since: now };
                self.stream.connect(masters);
                // A large snapshot takes its time; but without any table somebody has to speak.
                if self.settings.source == Source::Auto && self.press.world().is_none() {
                    self.poll_by(now + STREAM_FIRST_PATIENCE);
                }
            }
            Phase::Connecting { since } if *since + self.settings.state_timeout <= now => {
                let seconds = self.settings.state_timeout.as_secs();
                self.tell_cut(
                    format!(
                        "no snapshot of the event stream within StateTimeoutSeconds of {seconds} s"
                    ),
                    now,
                );
                self.cut_stream(now);
            }
            Phase::Streaming(streaming) if streaming.silent_at() <= now => {
                let from = &streaming.from;
                let line = format!(
                    "the event stream of {from} is silent for {STREAM_HEARTBEATS_MISSED_MAX} heartbeats \
                     and is given up"
                );
                self.tell_cut(line, now);
                self.cut_stream(now);
            }
            _ => {}
        }
    }

    /// Ends the stream; what follows is decided when its end is told.
    pub(super) fn cut_stream(&mut self, now: Instant) {
        self.stream.cut();
        if let Phase::Streaming(streaming) = &mut self.phase {
            // Its end comes at once, and must not be waited for in a loop.
            streaming.last_sign = now;
        } else if let Phase::Connecting { since } = &mut self.phase {
            *since = now;
        }
    }

    fn ask_state(&mut self) {
        let masters = self.masters_to_ask();
        if masters.is_empty() {
            return;
        }
        let check_of = match self.phase {
            Phase::Streaming(_) => {
                self.touched = Some(Touched::default());
                Some(self.subscription)
            }
            _ => None,
        };
        self.asked = Some(Asked::State { check_of });
        self.poller.ask(PollOrder::State(masters));
    }

    fn ask_pids(&mut self, now: Instant) {
        if let Phase::Streaming(streaming) = &self.phase {
            self.pids_asked_at = Some(now);
            self.asked = Some(Asked::Pids {
                subscription: self.subscription,
            });
            self.poller.ask(PollOrder::Pids(streaming.from.clone()));
        }
    }

    /// Has the state asked for at this time, if not before.
    pub(super) fn poll_by(&mut self, at: Instant) {
        self.poll_at = Some(self.poll_at.map_or(at, |planned| planned.min(at)));
    }

    fn refresh_now(&mut self, now: Instant) {
        info!("asking the masters now");
        self.poll_by(now);
        if let Phase::Waiting { until } = &mut self.phase {
            *until = now;
        }
    }

    fn configure(&mut self, settings: Settings, wake: Wake, now: Instant) {
        self.press.configure(
            settings.naming.clone(),
            settings.listeners.clone(),
            settings.answering.clone(),
        );
        self.holder.set(settings.hold);
        self.wake = wake;
        let same_sources = self.settings.has_same_sources(&settings);
        let same_zk = self.settings.zk == settings.zk;
        let same_warm = self.settings.warm == settings.warm;
        self.settings = settings;
        if !same_warm {
            self.start_keeper();
        }
        match same_zk {
            true => self.name_masters(),
            false => self.start_election(now),
        }
        if !same_sources {
            let started =
                Subscriber::start(self.settings.http.clone(), self.settings.state_bytes_max)
                    .and_then(|stream| Ok((stream, start_poller(&self.settings)?)));
            match started {
                Ok((stream, poller)) => (self.stream, self.poller) = (stream, poller),
                Err(failure) => error!("cannot start the threads of the new masters: {failure}"),
            }
            self.leader_at = None;
            let spread = STREAM_NEW_LEADER_SPREAD.mul_f64(fastrand::f64());
            self.begin(now + spread.max(self.election_patience()));
        }
        self.watch_statics(now);
        if self.press.world().is_some() {
            self.publish_at = Some(now);
            self.is_snapshot = true;
        }
    }

    /// Applies an event, and says whether records may differ.
    pub(super) fn apply(&mut self, event: Event, now: Instant) -> Effect {
        if let Some(touched) = &mut self.touched {
            touched.note(&event);
        }
        self.holder.take_event(&event, now);
        if let Event::TaskAdded(task) = &event {
            self.told.task(task);
        }
        self.live.apply(event)
    }
}

impl Streaming {
    fn silent_at(&self) -> Instant {
        self.last_sign + self.heartbeat * STREAM_HEARTBEATS_MISSED_MAX
    }
}

impl Settings {
    /// Whether the threads of the sources can stay as they are.
    fn has_same_sources(&self, other: &Self) -> bool {
        self.source == other.source
            && self.zk == other.zk
            && self.masters == other.masters
            && self.state_bytes_max == other.state_bytes_max
            && self.http.is_same(&other.http)
    }
}

fn start_poller(settings: &Settings) -> std::io::Result<Poller> {
    let client = MasterClient::new(settings.http.clone(), settings.state_bytes_max);
    Poller::start(client)
}

/// Nothing is due; woken by whatever comes.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How often replaced Snapshots that a reader holds are looked at again.
const RETIRED_EVERY: Duration = Duration::from_millis(50);
