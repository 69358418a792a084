//! How long answers take. In: times of batches and of single answers, from one thread. Out: how many fell
//! into each bucket, for percentiles between two readings. Recording must never lock, nor be read half.
//!
//! The cells are our own and not an `hdrhistogram::Histogram`: that one is recorded to by `&mut`, so that
//! a scrape from another thread would need a lock around it or its queue of samples, and a store of a
//! plain `Counter` needs neither. The buckets are hdrhistogram's: powers of two, each cut in `SUB_BUCKETS`
//! equal parts, so that a percentile is at most an eighth above the truth.

use std::time::Duration;

use super::Counter;

/// Parts of a power of two.
const SUB_BUCKETS: usize = 1 << SUB_BITS;
const SUB_BITS: u32 = 3;
/// What takes no longer than this many bits of nanoseconds, 256 ns, is not told apart: one query takes as long.
const FIRST_BITS: u32 = 8;
/// And what takes longer than these, 34 s, is longer than any query waits.
const LAST_BITS: u32 = 35;
/// The first, the parts of each power of two, and one for all above.
pub const BUCKETS: usize = 2 + SUB_BUCKETS * (LAST_BITS - FIRST_BITS) as usize;

/// Times, by one writer.
pub struct Latency {
    buckets: [Counter; BUCKETS],
    sum_ns: Counter,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: [const { Counter::new() }; BUCKETS],
            sum_ns: Counter::new(),
        }
    }
}

impl Latency {
    /// Notes that so many answers took a time each.
    #[inline]
    pub fn record(&self, took: Duration, answers: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.add(nanos.wrapping_mul(answers));
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.add(answers);
        }
    }
}

/// The bucket of a time; its bound belongs to it.
#[inline]
fn bucket_of(nanos: u64) -> usize {
    let below = nanos.saturating_sub(1);
    let bits = u64::BITS - below.leading_zeros();
    if bits <= FIRST_BITS {
        return 0;
    }
    let octave = (bits - FIRST_BITS - 1) as usize;
    let part = (below >> (bits - 1 - SUB_BITS)) as usize & (SUB_BUCKETS - 1);
    (1 + octave * SUB_BUCKETS + part).min(BUCKETS - 1)
}

/// Up to how many nanoseconds a bucket holds; `None`: it has no bound.
pub fn bucket_max_ns(bucket: usize) -> Option<u64> {
    match bucket.checked_sub(1) {
        None => Some(1 << FIRST_BITS),
        Some(place) if bucket < BUCKETS - 1 => {
            let (octave, part) = (place / SUB_BUCKETS, place % SUB_BUCKETS);
            let unit = 1 << (FIRST_BITS as usize + octave - SUB_BITS as usize);
            Some((SUB_BUCKETS + part + 1) as u64 * unit)
        }
        Some(_) => None,
    }
}

/// Sums over all threads since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyTotals {
    /// Answers in each bucket.
    pub buckets: [u64; BUCKETS],
    /// Wraps after 584 years of waiting.
    pub sum_ns: u64,
}

impl Default for LatencyTotals {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            sum_ns: 0,
        }
    }
}

impl LatencyTotals {
    pub(super) fn add(&mut self, latency: &Latency) {
        self.sum_ns = self.sum_ns.wrapping_add(latency.sum_ns.value());
        for (sum, bucket) in self.buckets.iter_mut().zip(&latency.buckets) {
            *sum += bucket.value();
        }
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What came after an earlier reading. Where that has more, the threads were started anew since: then
    /// all of it came after.
    pub fn since(&self, before: &Self) -> Self {
        let mut pairs = self.buckets.iter().zip(&before.buckets);
        if pairs.any(|(now, then)| now < then) {
            return self.clone();
        }
        let mut later = self.clone();
        later.sum_ns = self.sum_ns.wrapping_sub(before.sum_ns);
        for (bucket, then) in later.buckets.iter_mut().zip(&before.buckets) {
            *bucket -= then;
        }
        later
    }

    /// The sums of both.
    pub fn plus(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.sum_ns = both.sum_ns.wrapping_add(other.sum_ns);
        for (sum, bucket) in both.buckets.iter_mut().zip(&other.buckets) {
            *sum += bucket;
        }
        both
    }

    /// The time that so many percent of the answers took at most: the bound of its bucket. `None`: there
    /// was no answer, or it took longer than the last bound.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = (count as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil() as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|bucket| {
            seen += bucket;
            count > 0 && seen >= wanted.max(1)
        })?;
        bucket_max_ns(bucket).map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_holds_what_is_above_the_bound_before_and_up_to_its_own() {
        for bucket in 0..BUCKETS - 1 {
            let bound = bucket_max_ns(bucket).expect("a bound");
            assert_eq!(bucket_of(bound), bucket, "{bound}");
            assert_eq!(bucket_of(bound + 1), bucket + 1, "{bound}");
        }
        assert_eq!(bucket_max_ns(BUCKETS - 1), None);
        assert_eq!(bucket_max_ns(BUCKETS - 2), Some(1 << LAST_BITS));
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn bound_is_at_most_an_eighth_above_what_it_bounds() {
        for nanos in [257, 300, 1_000, 12_345, 1_000_000, 3_000_000_000] {
            let bound = bucket_max_ns(bucket_of(nanos)).expect("a bound");
            assert!(
                bound >= nanos && bound <= nanos + nanos / 8,
                "{nanos}: {bound}"
            );
        }
    }

    fn totals(times_us: &[u64]) -> LatencyTotals {
        let latency = Latency::default();
        for micros in times_us {
            latency.record(Duration::from_micros(*micros), 1);
        }
        let mut totals = LatencyTotals::default();
        totals.add(&latency);
        totals
    }

    #[test]
    fn percentile_between_two_readings_is_that_of_what_came_between() {
        let before = totals(&[1_000; 100]);
        let after = before.plus(&totals(&[10, 10, 10, 10, 10, 10, 10, 10, 10, 500]));
        let p50 = after.since(&before).percentile(50.0).expect("answers");
        assert!(p50 >= Duration::from_micros(10) && p50 < Duration::from_micros(12));
        let p99 = after.since(&before).percentile(99.0).expect("answers");
        assert!(p99 >= Duration::from_micros(500) && p99 < Duration::from_micros(570));
        assert_eq!(after.since(&after).percentile(50.0), None);
        // Another server began at zero.
        assert_eq!(
            before.since(&after).percentile(50.0),
            before.percentile(50.0)
        );
        assert_eq!(after.since(&before).count(), 10);
        assert_eq!(after.since(&before).sum_ns, 9 * 10_000 + 500_000);
    }

    #[test]
    fn percentile_beyond_the_last_bound_is_not_told() {
        assert_eq!(totals(&[100_000_000]).percentile(50.0), None);
        assert_eq!(totals(&[]).percentile(50.0), None);
    }
}
