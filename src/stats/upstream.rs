//! What was counted of upstream resolvers and of the cache. In: one writer per number, the answering
//! thread that it belongs to. Out: sums by upstream, made only when somebody reads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Counter;

/// Upper bounds of the buckets of round trips: powers of two in microseconds, from 64 us to 4.2 s, and
/// one for all above.
pub const RTT_BUCKETS: usize = 18;
const FIRST_BUCKET_BITS: u32 = 6;

/// Counters of one upstream in one thread.
pub struct UpstreamStats {
    pub address: SocketAddr,
    pub queries: Counter,
    /// Replies that did not come in time, and packets that the system refused.
    pub failures: Counter,
    /// Queries whose reply is waited for.
    pub in_flight: Gauge,
    /// 1: it is asked only beside others.
    pub down: Gauge,
    pub rtt: Histogram,
}

impl UpstreamStats {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            queries: Counter::default(),
            failures: Counter::default(),
            in_flight: Gauge::default(),
            down: Gauge::default(),
            rtt: Histogram::default(),
        }
    }
}

/// A number with one writer that goes up and down.
#[derive(Default)]
pub struct Gauge(Counter);

impl Gauge {
    pub fn set(&self, value: u64) {
        // Wraps where the value falls, as `Counter::add` does.
        self.0.add(value.wrapping_sub(self.0.value()));
    }

    pub fn value(&self) -> u64 {
        self.0.value()
    }
}

/// Times by power of two.
#[derive(Default)]
pub struct Histogram {
    buckets: [Counter; RTT_BUCKETS],
    sum_us: Counter,
}

impl Histogram {
    pub fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.add(micros);
        let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
        let bucket = bits.saturating_sub(FIRST_BUCKET_BITS) as usize;
        if let Some(bucket) = self.buckets.get(bucket.min(RTT_BUCKETS - 1)) {
            bucket.add(1);
        }
    }
}

/// Where the threads' counters of upstreams are found. Entries stay for good, so that no sum ever falls.
#[derive(Default)]
pub struct Upstreams(Mutex<Vec<Arc<UpstreamStats>>>);

/// Sums of one upstream over all threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTotals {
    pub address: SocketAddr,
    pub queries: u64,
    pub failures: u64,
    pub in_flight: u64,
    /// Threads that ask it only beside others.
    pub down: u64,
    pub rtt_buckets: [u64; RTT_BUCKETS],
    pub rtt_sum_us: u64,
}

impl Upstreams {
    /// Counters for a thread that begins to ask an upstream.
    pub fn join(&self, address: SocketAddr) -> Arc<UpstreamStats> {
        let stats = Arc::new(UpstreamStats::new(address));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&stats));
        stats
    }

    /// By address, in the order in which they were first asked.
    pub fn totals(&self) -> Vec<UpstreamTotals> {
        let mut totals: Vec<UpstreamTotals> = Vec::new();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for stats in all.iter() {
            let known = totals.iter().position(|of| of.address == stats.address);
            let place = known.unwrap_or_else(|| {
                totals.push(UpstreamTotals {
                    address: stats.address,
                    queries: 0,
                    failures: 0,
                    in_flight: 0,
                    down: 0,
                    rtt_buckets: [0; RTT_BUCKETS],
                    rtt_sum_us: 0,
                });
                totals.len() - 1
            });
            let sums = &mut totals[place];
            sums.queries += stats.queries.value();
            sums.failures += stats.failures.value();
            // A thread that went away took what it waited for with it.
            if Arc::strong_count(stats) > 1 {
                sums.in_flight += stats.in_flight.value();
                sums.down += stats.down.value();
            }
            sums.rtt_sum_us += stats.rtt.sum_us.value();
            for (sum, bucket) in sums.rtt_buckets.iter_mut().zip(&stats.rtt.buckets) {
                *sum += bucket.value();
            }
        }
        totals
    }
}

impl UpstreamTotals {
    /// The time that so many percent of the replies took at most, as far as the buckets tell; microseconds.
    pub fn rtt_percentile_us(&self, percent: u64) -> Option<u64> {
        let count: u64 = self.rtt_buckets.iter().sum();
        let wanted = (count * percent).div_ceil(100);
        let mut seen = 0;
        let bucket = self.rtt_buckets.iter().position(|bucket| {
            seen += bucket;
            count > 0 && seen >= wanted
        })?;
        Some(1 << (bucket as u32 + FIRST_BUCKET_BITS))
    }
}

/// Up to how many microseconds a bucket holds; `None`: it has no bound.
pub fn bucket_max_us(bucket: usize) -> Option<u64> {
    (bucket + 1 < RTT_BUCKETS).then(|| 1 << (bucket as u32 + FIRST_BUCKET_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_by_address() {
        let upstreams = Upstreams::default();
        let [one, other] = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 53)));
        let threads = [one, other, one].map(|address| upstreams.join(address));
        for (index, stats) in threads.iter().enumerate() {
            stats.queries.add(10 + index as u64);
            stats.in_flight.set(3);
            stats.in_flight.set(1);
            stats.rtt.record(Duration::from_micros(64));
            stats.rtt.record(Duration::from_millis(1));
            stats.rtt.record(Duration::from_secs(100));
        }
        let totals = upstreams.totals();
        assert_eq!(totals.len(), 2);
        assert_eq!((totals[0].address, totals[0].queries), (one, 22));
        assert_eq!(totals[0].in_flight, 2);
        assert_eq!(totals[0].rtt_buckets[0], 2);
        assert_eq!(totals[0].rtt_buckets[4], 2);
        assert_eq!(totals[0].rtt_buckets[RTT_BUCKETS - 1], 2);
        assert_eq!(totals[1].rtt_percentile_us(50), Some(1024));
        drop(threads);
        assert_eq!(upstreams.totals()[0].in_flight, 0);
        assert_eq!(upstreams.totals()[0].queries, 22);
    }
}
