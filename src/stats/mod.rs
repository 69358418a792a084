//! What the answering threads counted. In: one writer per counter, its own worker. Out: sums, made
//! only when somebody reads. Counting must never make two cores share a cache line.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::WORKERS_MAX;
use upstream::{Gauge, Upstreams};

pub mod engine;
pub mod freshness;
pub mod upstream;

/// Counters of every worker, also of those that were dismissed.
pub struct Stats {
    workers: Box<[OnceLock<Box<WorkerStats>>]>,
    pub upstreams: Upstreams,
}

impl Default for Stats {
    fn default() -> Self {
        let workers = (0..WORKERS_MAX).map(|_| OnceLock::new());
        Self {
            workers: workers.collect(),
            upstreams: Upstreams::default(),
        }
    }
}

impl Stats {
    /// The counters of one worker, below WORKERS_MAX.
    pub fn worker(&self, index: usize) -> Option<&WorkerStats> {
        let worker = self.workers.get(index)?;
        Some(worker.get_or_init(Box::default))
    }

    /// Sums over all workers. Each counter is exact; two of them may be some queries apart.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in self.workers.iter().filter_map(OnceLock::get) {
            worker.add_to(&mut totals);
        }
        totals
    }
}

/// A number with one writer.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Called by the worker that owns the counter and by nobody else, so that a load and a store
    /// are enough: no locked instruction on the way of a query.
    #[inline]
    pub fn add(&self, amount: u64) {
        // The load reads what this same thread stored last.
        let value = self.0.load(Ordering::Relaxed).wrapping_add(amount);
        // Pairs with the load in `value`; a number alone orders nothing else.
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        // Pairs with the store in `add`.
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares the counters once: as atomics of a worker and as sums.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker, on cache lines of its own (128: two lines are fetched together).
        #[derive(Default)]
        #[repr(align(128))]
        pub struct WorkerStats {
            $($(#[$doc])* pub $name: Counter,)*
            /// Answers by the RCODE of their header (its lower four bits; BADVERS is under 0).
            pub answers_by_rcode: [Counter; 16],
            /// TCP connections closed, by `CloseReason`.
            pub tcp_closed_by_reason: [Counter; CloseReason::ALL.len()],
            /// Octets that the cache holds.
            pub cache_bytes: Gauge,
            /// Queries under way to upstreams.
            pub forwards_in_flight: Gauge,
        }

        /// Sums over all workers, at one time.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
            /// Answers by the RCODE of their header (its lower four bits; BADVERS is under 0).
            pub answers_by_rcode: [u64; 16],
            /// TCP connections closed, by `CloseReason`.
            pub tcp_closed_by_reason: [u64; CloseReason::ALL.len()],
            /// Octets that the caches hold.
            pub cache_bytes: u64,
            /// Queries under way to upstreams.
            pub forwards_in_flight: u64,
        }

        impl WorkerStats {
            fn add_to(&self, totals: &mut Totals) {
                $(totals.$name += self.$name.value();)*
                totals.cache_bytes += self.cache_bytes.value();
                totals.forwards_in_flight += self.forwards_in_flight.value();
                for (sum, counter) in totals.answers_by_rcode.iter_mut().zip(&self.answers_by_rcode) {
                    *sum += counter.value();
                }
                let reasons = totals.tcp_closed_by_reason.iter_mut();
                for (sum, counter) in reasons.zip(&self.tcp_closed_by_reason) {
                    *sum += counter.value();
                }
            }
        }
    };
}

counters! {
    /// Datagrams received.
    queries_udp,
    /// Messages received over TCP.
    queries_tcp,
    /// Messages that got no answer, by intent (QR set, too short).
    dropped,
    /// Answers with TC set.
    truncated,
    /// Datagrams longer than the largest query that is read.
    oversized,
    /// Times that the kernel took only a part of a batch of answers.
    short_sends,
    /// Answers that could not be sent: no route, a firewall, no room for too long.
    send_errors,
    /// Receive calls that failed for another reason than that nothing was there.
    receive_errors,
    tcp_accepted,
    /// Connections that could not be accepted: out of descriptors or memory.
    tcp_accept_errors,
    /// Times that a worker failed and was started again. Any value above 0 is a defect.
    worker_restarts,
    /// Queries that upstreams were asked: those that had no answer in the cache and nobody to share with.
    forwarded,
    /// Of them: of nobody, to have an answer anew before it expires, or after.
    cache_prefetches,
    cache_hits,
    cache_misses,
    /// Answers that had expired, given because no upstream answered.
    cache_stale,
    /// Queries that gave up since too many were under way.
    forward_overflows,
    /// Queries that no upstream answered in time.
    forward_failures,
}

impl WorkerStats {
    /// Counts an answer by what its header says.
    #[inline]
    pub fn count_answer(&self, answer: &[u8]) {
        let Some(&[flags_high, flags_low]) = answer.get(2..4) else {
            return;
        };
        if let Some(counter) = self.answers_by_rcode.get(usize::from(flags_low & 0x0f)) {
            counter.add(1);
        }
        self.truncated.add(u64::from(flags_high >> 1 & 1));
    }

    pub fn count_close(&self, reason: CloseReason) {
        if let Some(counter) = self.tcp_closed_by_reason.get(reason as usize) {
            counter.add(1);
        }
    }
}

/// Why a TCP connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum CloseReason {
    /// The client was done.
    Finished,
    /// No complete query and no progress of an answer for too long.
    Idle,
    /// It had been idle longest when another one came and all places were taken.
    Evicted,
    /// A message shorter than a header.
    BadMessage,
    /// The connection broke.
    Error,
    /// The server stopped, or its worker was started again.
    Stopped,
}

impl CloseReason {
    pub const ALL: [Self; 6] = [
        Self::Finished,
        Self::Idle,
        Self::Evicted,
        Self::BadMessage,
        Self::Error,
        Self::Stopped,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::BadMessage => "bad_message",
            Self::Error => "error",
            Self::Stopped => "stopped",
        }
    }
}

impl Totals {
    /// Connections that ended for one reason.
    pub fn tcp_closed(&self, reason: CloseReason) -> u64 {
        self.tcp_closed_by_reason
            .get(reason as usize)
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_of_all_workers() {
        let stats = Stats::default();
        for index in 0..3 {
            let worker = stats.worker(index).unwrap();
            worker.queries_udp.add(10 + index as u64);
            worker.count_answer(&[0, 0, 0x82, 0x83]);
            worker.count_answer(&[0, 0, 0x80, 0x00]);
            worker.count_close(CloseReason::Idle);
        }
        let totals = stats.totals();
        assert_eq!(totals.queries_udp, 33);
        assert_eq!(totals.answers_by_rcode[3], 3);
        assert_eq!(totals.answers_by_rcode[0], 3);
        assert_eq!(totals.truncated, 3);
        assert_eq!(totals.tcp_closed(CloseReason::Idle), 3);
        assert!(stats.worker(WORKERS_MAX).is_none());
    }

    #[test]
    fn reasons_are_numbered_as_listed() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }

    #[test]
    fn workers_share_no_cache_line() {
        assert_eq!(align_of::<WorkerStats>(), 128);
        assert_eq!(size_of::<WorkerStats>() % 128, 0);
    }
}
