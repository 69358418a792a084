//! What one thread knows of one upstream resolver. In: round trips and failures, with the time. Out:
//! whether to ask it first, and how long to wait before another is asked beside it. Pure.
//!
//! The smoothed RTT is that of TCP (RFC 6298, 2). An upstream is down after some failures in a row, a
//! failure being that it let its patience pass while another answered, or that the system refused the
//! packet. One that is down is asked only beside others, at growing intervals, and is up again with its
//! first reply.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{
    UPSTREAM_DOWN_AFTER, UPSTREAM_PATIENCE_FIRST, UPSTREAM_PATIENCE_MAX, UPSTREAM_PATIENCE_MIN,
    UPSTREAM_PROBE_WAIT_MAX, UPSTREAM_PROBE_WAIT_MIN,
};
use crate::stats::upstream::UpstreamStats;

pub struct Upstream {
    pub address: SocketAddr,
    pub stats: Arc<UpstreamStats>,
    round_trip: Option<RoundTrip>,
    failures: u32,
    probe_at: Option<Instant>,
    probe_wait: Duration,
}

#[derive(Clone, Copy)]
struct RoundTrip {
    smoothed: Duration,
    variation: Duration,
}

impl Upstream {
    pub fn new(address: SocketAddr, stats: Arc<UpstreamStats>) -> Self {
        Self {
            address,
            stats,
            round_trip: None,
            failures: 0,
            probe_at: None,
            probe_wait: UPSTREAM_PROBE_WAIT_MIN,
        }
    }

    /// It replied, after so long.
    pub fn replied(&mut self, after: Duration) {
        self.stats.rtt.record(after);
        self.failures = 0;
        self.probe_at = None;
        self.probe_wait = UPSTREAM_PROBE_WAIT_MIN;
        self.note_state();
        self.round_trip = Some(match self.round_trip {
            None => RoundTrip {
                smoothed: after,
                variation: after / 2,
            },
            Some(before) => RoundTrip {
                variation: before.variation * 3 / 4 + before.smoothed.abs_diff(after) / 4,
                smoothed: before.smoothed * 7 / 8 + after / 8,
            },
        });
    }

    pub fn failed(&mut self, now: Instant) {
        self.stats.failures.add(1);
        self.failures = self.failures.saturating_add(1);
        if self.failures == UPSTREAM_DOWN_AFTER {
            self.probe_at = Some(now + self.probe_wait);
        }
        self.note_state();
    }

    pub fn is_down(&self) -> bool {
        self.failures >= UPSTREAM_DOWN_AFTER
    }

    /// How long its reply is waited for before another upstream is asked as well.
    pub fn patience(&self) -> Duration {
        let Some(round_trip) = self.round_trip else {
            return UPSTREAM_PATIENCE_FIRST;
        };
        let wait = round_trip.smoothed + 4 * round_trip.variation;
        wait.clamp(UPSTREAM_PATIENCE_MIN, UPSTREAM_PATIENCE_MAX)
    }

    /// Whether it is down and due to be asked once beside others; then it is not due for a while.
    pub fn take_probe(&mut self, now: Instant) -> bool {
        if !self.is_down() || self.probe_at.is_some_and(|at| now < at) {
            return false;
        }
        self.probe_wait = (2 * self.probe_wait).min(UPSTREAM_PROBE_WAIT_MAX);
        self.probe_at = Some(now + self.probe_wait);
        true
    }

    fn note_state(&self) {
        self.stats.down.set(u64::from(self.is_down()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Upstream {
        let address = SocketAddr::from(([192, 0, 2, 1], 53));
        Upstream::new(address, Arc::new(UpstreamStats::new(address)))
    }

    #[test]
    fn patience_is_a_few_round_trips_within_bounds() {
        let mut upstream = upstream();
        assert_eq!(upstream.patience(), UPSTREAM_PATIENCE_FIRST);
        for _ in 0..50 {
            upstream.replied(Duration::from_millis(20));
        }
        let patience = upstream.patience();
        assert!(patience >= Duration::from_millis(19), "{patience:?}");
        assert!(patience <= Duration::from_millis(40), "{patience:?}");
        for _ in 0..50 {
            upstream.replied(Duration::from_micros(1));
        }
        assert_eq!(upstream.patience(), UPSTREAM_PATIENCE_MIN);
        for _ in 0..50 {
            upstream.replied(Duration::from_secs(9));
        }
        assert_eq!(upstream.patience(), UPSTREAM_PATIENCE_MAX);
    }

    #[test]
    fn upstream_that_fails_in_a_row_is_down_and_is_probed_ever_more_rarely() {
        let (mut upstream, start) = (upstream(), Instant::now());
        for _ in 1..UPSTREAM_DOWN_AFTER {
            upstream.failed(start);
        }
        assert!(!upstream.is_down());
        upstream.replied(Duration::from_millis(1));
        for _ in 0..UPSTREAM_DOWN_AFTER {
            assert!(!upstream.is_down());
            upstream.failed(start);
        }
        assert!(upstream.is_down());
        let mut probed = Vec::new();
        for second in 0..100 {
            if upstream.take_probe(start + Duration::from_secs(second)) {
                probed.push(second);
            }
        }
        assert_eq!(probed, [1, 3, 7, 15, 31, 61, 91]);
        upstream.replied(Duration::from_millis(1));
        assert!(!upstream.is_down());
        assert!(!upstream.take_probe(start + Duration::from_secs(999)));
    }
}
