//! Finished answers: a `RecordSet` in, a `ResponseTable` of wire bytes out, published as part of a
//! `Snapshot`. Compiling runs on the refresh thread only; reading is for every thread and takes no lock.

pub mod compile;
mod draft;
pub mod layout;
mod own;
pub mod publish;
mod rrsets;
pub mod saved;
pub mod table;
pub mod turns;
pub mod zone;

use std::sync::Arc;
use std::time::SystemTime;

use crate::records::collisions::Collisions;
use crate::records::{RecordCounts, World};
use table::ResponseTable;

/// What DNS and HTTP both read, swapped as one pointer, so that they can never disagree.
pub struct Snapshot {
    /// 1 for the first, one more for each that was published since.
    pub generation: u64,
    /// SOA serial: max(previous + 1, unix time).
    pub serial: u32,
    pub published_at: SystemTime,
    pub table: ResponseTable,
    pub record_counts: RecordCounts,
    /// Names that several would have.
    pub collisions: Arc<Collisions>,
    /// For `enumerate` and `explain`.
    pub world: Arc<World>,
}

impl Snapshot {
    /// Whether it has the static records alone, because nothing is known of the cluster yet.
    pub fn is_partial(&self) -> bool {
        self.table.marks().partial
    }
}
