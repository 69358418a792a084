//! Where the records come from, and how old they are. In: one writer, the refresh thread. Out: a copy
//! for whoever shows it. Never read or written by an answering thread.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What all readers share with the writer.
#[derive(Clone, Default)]
pub struct SharedFreshness(Arc<Mutex<Freshness>>);

impl SharedFreshness {
    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut Freshness)) {
        change(&mut self.lock());
    }

    /// A copy of it as it is now.
    pub fn read(&self) -> Freshness {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Freshness> {
        // Every field is whole after each statement that changes it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the refresh thread, as it last told it. Counters count since the start.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    pub source: SourceKind,
    /// The leading master as it names itself, `host:port`.
    pub leader: Option<String>,
    /// When the present source began to speak.
    pub connected_since: Option<SystemTime>,
    pub age: Option<Age>,
    /// The error that happened last, and when.
    pub last_error: Option<(SystemTime, String)>,
    /// `None`: not asked.
    pub zookeeper: Option<ZooKeeper>,
    pub counts: Counts,
    pub held: Option<Held>,
    /// Snapshots of the event stream that were taken.
    pub subscriptions: u64,
    /// Times that a stream ended, or did not come about.
    pub stream_failures: u64,
    pub events: u64,
    /// Events that did not fit what was known.
    pub events_unfitting: u64,
    /// State documents that were taken.
    pub polls: u64,
    pub poll_failures: u64,
    /// State documents that were compared with what the stream came to.
    pub checks: u64,
    /// Those of them that found a difference, also where there were too many to mend.
    pub checks_differing: u64,
    pub differences: Differences,
    /// Tables that were published with other answers than the one before.
    pub publishes: u64,
    /// How long the last of them took to make, from the cluster to the swapped pointer.
    pub build_last: Duration,
    /// All of them.
    pub build_total: Duration,
    /// Times that another master was found to lead.
    pub leader_changes: u64,
    /// Times that something was held after a failover.
    pub holds: u64,
    /// Tasks that were held, all times together.
    pub tasks_held: u64,
}

/// Who spoke last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// Nobody yet.
    #[default]
    None,
    /// The records of a run before, from disk.
    WarmStart,
    Poll,
    Stream,
}

impl SourceKind {
    /// Its name in `/v1/status` and in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WarmStart => "warm_start",
            Self::Poll => "poll",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How old the records are: so much at a moment, and older since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    pub at: Instant,
    pub was: Duration,
}

impl Age {
    /// Of what a master confirmed just now.
    pub fn none(at: Instant) -> Self {
        Self {
            at,
            was: Duration::ZERO,
        }
    }

    pub fn now(&self) -> Duration {
        self.was + self.at.elapsed()
    }
}

/// What ZooKeeper says of the masters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZooKeeper {
    /// Why it cannot be asked; `None`: it can.
    pub lost: Option<String>,
    /// Masters that it lists.
    pub masters: usize,
    /// Since when it has told of no leader.
    pub no_leader_since: Option<Instant>,
}

/// Objects of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub frameworks: usize,
    pub agents: usize,
    /// Tasks with records.
    pub tasks: usize,
    /// Tasks that do not run, or whose agent is not known.
    pub tasks_waiting: usize,
    /// Objects without records, unreadable ones among them.
    pub skipped: u64,
    /// Names that were not entered.
    pub names_left_out: u64,
}

/// What is held although the master does not list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub counts: HeldCounts,
    /// Some of the tasks.
    pub some: Vec<HeldTask>,
}

/// What holding came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCounts {
    pub cause: &'static str,
    pub since: Instant,
    pub until: Instant,
    pub tasks: usize,
    pub agents: usize,
    pub frameworks: usize,
    pub agents_known: usize,
    pub agents_back: usize,
}

/// The ids of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTask {
    pub agent_id: String,
    pub framework_id: String,
    pub id: String,
}

/// Objects that a check found otherwise than the stream had them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub lacking: u64,
    pub surplus: u64,
    pub other: u64,
}

impl Freshness {
    /// Why the records should not be relied on; `None`: they may be. `age_max` zero: of any age.
    /// `leader_wait` is the time without a leader in ZooKeeper after which they should not; zero: none.
    pub fn doubt(
        &self,
        has_table: bool,
        age_max: Duration,
        leader_wait: Duration,
    ) -> Option<String> {
        if !has_table {
            return Some("no table yet; no master's state was read since the start".to_owned());
        }
        let age = self.age.map(|age| age.now()).unwrap_or_default();
        if !age_max.is_zero() && age > age_max {
            return Some(format!(
                "the records are {} s old, over ReadyAgeSeconds of {} s",
                age.as_secs(),
                age_max.as_secs()
            ));
        }
        let since = self.zookeeper.as_ref()?.no_leader_since?;
        let waited = since.elapsed();
        (!leader_wait.is_zero() && waited > leader_wait).then(|| {
            format!(
                "ZooKeeper has told of no leading master for {} s, over ZkDetectionTimeout of {} s",
                waited.as_secs(),
                leader_wait.as_secs()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_are_named_with_the_key_that_sets_the_bound() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut freshness = Freshness::default();
        let doubt = |it: &Freshness| it.doubt(true, minute, minute).unwrap_or_default();
        assert!(freshness.doubt(false, minute, minute).is_some());
        assert_eq!(doubt(&freshness), "");
        freshness.age = Some(Age {
            at: Instant::now(),
            was: minute + second,
        });
        assert!(doubt(&freshness).contains("ReadyAgeSeconds"));
        assert_eq!(freshness.doubt(true, Duration::ZERO, minute), None);
        freshness.age = Some(Age::none(Instant::now()));
        freshness.zookeeper = Some(ZooKeeper {
            no_leader_since: Some(Instant::now()),
            ..ZooKeeper::default()
        });
        std::thread::sleep(Duration::from_millis(2));
        let doubt = freshness.doubt(true, minute, Duration::from_millis(1));
        assert!(doubt.is_some_and(|doubt| doubt.contains("ZkDetectionTimeout")));
        assert_eq!(freshness.doubt(true, minute, minute), None);
        assert_eq!(freshness.doubt(true, minute, Duration::ZERO), None);
    }
}
