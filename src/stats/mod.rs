//! What the answering threads counted. In: one writer per counter, its own worker. Out: sums, made
//! only when somebody reads. Counting must never make two cores share a cache line.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::dns::{Rcode, Transport};
use crate::limits::WORKERS_MAX;
use latency::{Latency, LatencyTotals};
use traffic::{BADCOOKIE, BADVERS, QueryType, RCODES, Route};
use upstream::{Gauge, Upstreams};

pub mod engine;
pub mod freshness;
pub mod latency;
pub mod pulse;
pub mod query_log;
pub mod repeated;
pub mod sandbox;
pub mod traffic;
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
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

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

/// What the header has of BADCOOKIE.
const BADCOOKIE_LOW: usize = Rcode::BadCookie as usize & 15;

/// Declares the counters once: as atomics of a worker and as sums.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker, on cache lines of its own (128: two lines are fetched together).
        #[derive(Default)]
        #[repr(align(128))]
        pub struct WorkerStats {
            $($(#[$doc])* pub $name: Counter,)*
            /// Messages received, by `Transport` and `QueryType`.
            pub queries: [[Counter; QueryType::ALL.len()]; Transport::ALL.len()],
            /// Answers, by `Transport` and RCODE. Of an answer of others the header's four bits count.
            pub answers: [[Counter; RCODES]; Transport::ALL.len()],
            /// Answers, by `Route`.
            pub routed: [Counter; Route::ALL.len()],
            /// Time of answers that were given at once, by `Transport`.
            pub latency: [Latency; Transport::ALL.len()],
            /// Time of answers that were waited for.
            pub latency_forwarded: Latency,
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
            /// Messages received, by `Transport` and `QueryType`.
            pub queries: [[u64; QueryType::ALL.len()]; Transport::ALL.len()],
            /// Answers, by `Transport` and RCODE. Of an answer of others the header's four bits count.
            pub answers: [[u64; RCODES]; Transport::ALL.len()],
            /// Answers, by `Route`.
            pub routed: [u64; Route::ALL.len()],
            /// Time of answers that were given at once, by `Transport`.
            pub latency: [LatencyTotals; Transport::ALL.len()],
            /// Time of answers that were waited for.
            pub latency_forwarded: LatencyTotals,
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
                add_all(&mut totals.routed, &self.routed);
                add_all(&mut totals.tcp_closed_by_reason, &self.tcp_closed_by_reason);
                for transport in Transport::ALL {
                    let place = transport as usize;
                    add_all(&mut totals.queries[place], &self.queries[place]);
                    add_all(&mut totals.answers[place], &self.answers[place]);
                    totals.latency[place].add(&self.latency[place]);
                }
                totals.latency_forwarded.add(&self.latency_forwarded);
            }
        }
    };
}

counters! {
    /// Times that a worker went round: it answered a batch, or looked and found nothing. The watchdog
    /// wants it to grow.
    turns,
    /// Datagrams received.
    queries_udp,
    /// Messages received over TCP.
    queries_tcp,
    /// Messages that got no answer, by intent (QR set, too short).
    dropped,
    /// Queries that got none because their client has had that answer too often.
    dropped_by_limit,
    /// Queries that got none because there is no forwarder, or what it had could not be written.
    dropped_by_forwarder,
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
    /// Queries that were not asked of anybody, since their client had as many under way as it may.
    forward_over_share,
    /// Queries that no upstream answered in time.
    forward_failures,
}

impl WorkerStats {
    /// Counts a message that was received.
    #[inline]
    pub fn count_query(&self, transport: Transport, query_type: QueryType) {
        let counters = &self.queries[transport as usize];
        if let Some(counter) = counters.get(query_type as usize) {
            counter.add(1);
        }
    }

    /// Counts an answer, by what its header says and where it came from.
    #[inline]
    pub fn count_answer(&self, transport: Transport, route: Route, answer: &[u8]) {
        let Some(&[flags_high, flags_low]) = answer.get(2..4) else {
            return;
        };
        // Of all faults only BADVERS has nothing in the header's four bits; YXRRSET is never limited.
        let rcode = match (route, usize::from(flags_low & 0x0f)) {
            (Route::Fault, 0) => BADVERS,
            (Route::Limited, BADCOOKIE_LOW) => BADCOOKIE,
            (_, rcode) => rcode,
        };
        let counters = &self.answers[transport as usize];
        if let (Some(of_rcode), Some(of_route)) =
            (counters.get(rcode), self.routed.get(route as usize))
        {
            of_rcode.add(1);
            of_route.add(1);
        }
        if flags_high & 2 != 0 {
            self.truncated.add(1);
        }
    }

    /// Notes that so many answers over a transport took a time each.
    #[inline]
    pub fn note_latency(&self, transport: Transport, took: Duration, answers: u64) {
        self.latency[transport as usize].record(took, answers);
    }

    pub fn count_close(&self, reason: CloseReason) {
        if let Some(counter) = self.tcp_closed_by_reason.get(reason as usize) {
            counter.add(1);
        }
    }
}

fn add_all(sums: &mut [u64], counters: &[Counter]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum += counter.value();
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
    /// All places were taken when another client came: no client had more, and of its own it was idle
    /// longest.
    Evicted,
    /// The same, but the one that came was of its own client.
    OwnShare,
    /// It was used for too long.
    Lifetime,
    /// A message shorter than a header.
    BadMessage,
    /// The connection broke.
    Error,
    /// The server stopped, or its worker was started again.
    Stopped,
}

impl CloseReason {
    pub const ALL: [Self; 8] = [
        Self::Finished,
        Self::Idle,
        Self::Evicted,
        Self::OwnShare,
        Self::Lifetime,
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
            Self::OwnShare => "own_share",
            Self::Lifetime => "lifetime",
            Self::BadMessage => "bad_message",
            Self::Error => "error",
            Self::Stopped => "stopped",
        }
    }
}

impl Totals {
    /// Messages received of a type, over both transports.
    pub fn queries_of(&self, query_type: QueryType) -> u64 {
        let places = self.queries.iter();
        places.map(|by_type| by_type[query_type as usize]).sum()
    }

    /// Answers with an RCODE, over both transports.
    pub fn answers_of(&self, rcode: usize) -> u64 {
        let places = self.answers.iter();
        places.filter_map(|by_rcode| by_rcode.get(rcode)).sum()
    }

    pub fn routed_by(&self, route: Route) -> u64 {
        self.routed[route as usize]
    }

    /// Time of all answers that were given at once.
    pub fn latency_at_once(&self) -> LatencyTotals {
        let [one, other] = &self.latency;
        one.plus(other)
    }

    /// TCP connections that are open.
    pub fn tcp_open(&self) -> u64 {
        let closed: u64 = self.tcp_closed_by_reason.iter().sum();
        self.tcp_accepted.saturating_sub(closed)
    }

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
            worker.count_answer(Transport::Udp, Route::Table, &[0, 0, 0x82, 0x83]);
            worker.count_answer(Transport::Tcp, Route::Cache, &[0, 0, 0x80, 0x00]);
            worker.count_answer(Transport::Tcp, Route::Fault, &[0, 0, 0x80, 0x00]);
            worker.count_query(Transport::Tcp, QueryType::Srv);
            worker.note_latency(Transport::Udp, Duration::from_micros(3), 2);
            worker.count_close(CloseReason::Idle);
        }
        let totals = stats.totals();
        assert_eq!(totals.queries_udp, 33);
        assert_eq!((totals.answers_of(3), totals.answers[0][3]), (3, 3));
        assert_eq!((totals.answers_of(0), totals.answers[1][0]), (3, 3));
        assert_eq!(totals.answers_of(BADVERS), 3);
        assert_eq!(totals.routed_by(Route::Cache), 3);
        assert_eq!(totals.queries_of(QueryType::Srv), 3);
        assert_eq!(totals.latency_at_once().count(), 6);
        assert_eq!(totals.latency_at_once().sum_ns, 18_000);
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
