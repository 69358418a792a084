//! What changed, publication by publication. In: from the refresh thread, the names whose answers
//! differ, with their entries before and after. Out: bounded history for readers of HTTP, and a wake
//! that they wait on. It must never make the refresh thread wait for a reader.
//!
//! A reader remembers the index of the last change that it took, and asks for what came since. Where
//! that is no longer kept it starts over from the Snapshot. Indices count from the start of the
//! process, which the epoch tells from any other: an index of another epoch means nothing here.
//!
//! Each HTTP server follows the feed once and hands on to its clients what it reads: a publication
//! wakes servers, never clients.

mod difference;
mod history;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

pub use difference::TypeChange;
use history::History;

/// The feed, for its one writer and all readers.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

struct Shared {
    epoch: u64,
    history: Mutex<History>,
    /// The index of the last change.
    latest: watch::Sender<u64>,
}

/// One publication.
#[derive(Debug)]
pub struct Change {
    /// One more than that of the change before.
    pub index: u64,
    /// SOA serial of the table that it brought.
    pub serial: u32,
    pub at: SystemTime,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// A table made anew, or too much to tell: whoever reads starts over.
    All,
    Names(Box<[NameChange]>),
}

/// A name whose answers differ: its own records, or the addresses of what its SRV records point to.
#[derive(Debug)]
pub struct NameChange {
    /// Wire format, lower case.
    pub name: Box<[u8]>,
    pub before: Side,
    pub after: Side,
}

/// A name in one of the two tables.
#[derive(Debug, PartialEq, Eq)]
pub enum Side {
    /// It did not exist.
    Absent,
    /// Its entry, as `responses::layout` has it.
    Entry(Box<[u8]>),
    /// Its entry is too long to be kept here: look it up.
    TooLong,
}

/// What a reader missed.
#[derive(Debug)]
pub enum Since {
    /// In order; empty where there is nothing new.
    Changes(Vec<Arc<Change>>),
    /// It is no longer known: read the Snapshot, and go on from this index. The Snapshot may be newer
    /// than the index says, so that a change may be met which it has already.
    StartOver { index: u64 },
}

impl Default for Feed {
    fn default() -> Self {
        Self::new(fastrand::u64(..))
    }
}

impl Feed {
    /// `epoch` must differ from that of every other start.
    pub fn new(epoch: u64) -> Self {
        Self(Arc::new(Shared {
            epoch,
            history: Mutex::default(),
            latest: watch::Sender::new(0),
        }))
    }

    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// The index of the last change; 0: there was none.
    pub fn latest(&self) -> u64 {
        *self.0.latest.borrow()
    }

    /// Tells of each new index. One for each HTTP server: all of them are woken by the refresh thread.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.0.latest.subscribe()
    }

    /// Whether anybody reads. Where nobody does, `skip` is enough.
    pub fn is_followed(&self) -> bool {
        self.0.latest.receiver_count() > 0
    }

    /// Takes a publication, and wakes the readers.
    pub fn push(&self, serial: u32, at: SystemTime, what: What) {
        let index = self.history().push(serial, at, what);
        self.0.latest.send_replace(index);
    }

    /// Counts a publication that nobody reads. Readers to come start over.
    pub fn skip(&self) {
        let index = self.history().skip();
        self.0.latest.send_replace(index);
    }

    /// What came after the change of this index, `count_max` changes at most.
    pub fn since(&self, index: u64, count_max: usize) -> Since {
        self.history().since(index, count_max)
    }

    /// The last changes, `count_max` at most, in order, and the index to go on from.
    pub fn last(&self, count_max: usize) -> (Vec<Arc<Change>>, u64) {
        self.history().last(count_max)
    }

    /// Held for as long as it takes to copy a few pointers.
    fn history(&self) -> MutexGuard<'_, History> {
        // Every statement that changes it leaves it whole.
        self.0
            .history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
