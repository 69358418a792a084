//! What the answering threads counted, as metrics. In: their sums. Out: samples.

use std::fmt;

use super::families as f;
use super::sheet::{Distribution, Family, Sheet, Values};
use crate::dns::Transport;
use crate::stats::latency::{LatencyTotals, bucket_max_ns};
use crate::stats::traffic::{QueryType, Route, rcode_label};
use crate::stats::upstream::{UpstreamTotals, bucket_max_us};
use crate::stats::{CloseReason, Totals};

/// Queries, answers and connections.
pub fn answering(totals: &Totals, socket_drops: Option<u64>, sheet: &mut Sheet<'_>) -> fmt::Result {
    sheet.counts(&f::QUERIES, each(&queries(totals)))?;
    sheet.counts(&f::RESPONSES, each(&responses(totals)))?;
    let routed = Route::ALL.map(|route| ([route.label()], totals.routed_by(route)));
    sheet.counts(&f::ROUTED, each(&routed))?;
    sheet.count(&f::TRUNCATED, totals.truncated)?;
    let dropped = [
        (["not_a_query"], totals.dropped),
        (["rate_limited"], totals.dropped_by_limit),
        (["no_forwarder"], totals.dropped_by_forwarder),
        (["send_failed"], totals.send_errors),
    ];
    sheet.counts(&f::DROPPED, each(&dropped))?;
    sheet.count(&f::OVERSIZED, totals.oversized)?;
    sheet.one(&f::SOCKET_DROPS, socket_drops.map(|count| count as f64))?;
    let labels = Transport::ALL.map(|transport| [transport.label()]);
    let times = labels.iter().zip(&totals.latency);
    let times = times.map(|(label, latency)| (&label[..], distribution(latency)));
    sheet.distributions(&f::ANSWER_DURATION, times)?;
    let time = distribution(&totals.latency_forwarded);
    sheet.distributions(&f::FORWARDED_DURATION, [(&[][..], time)])?;
    sheet.count(&f::RECEIVE_ERRORS, totals.receive_errors)?;
    sheet.count(&f::SHORT_SENDS, totals.short_sends)?;
    sheet.count(&f::WORKER_RESTARTS, totals.worker_restarts)?;
    sheet.count(&f::TCP_OPEN, totals.tcp_open())?;
    sheet.count(&f::TCP_ACCEPTED, totals.tcp_accepted)?;
    let closed = CloseReason::ALL.map(|reason| ([reason.label()], totals.tcp_closed(reason)));
    sheet.counts(&f::TCP_CLOSED, each(&closed))?;
    sheet.count(&f::TCP_ACCEPT_ERRORS, totals.tcp_accept_errors)
}

/// Names outside the domain, and the cache.
pub fn forwarding(totals: &Totals, cache_bytes_max: usize, sheet: &mut Sheet<'_>) -> fmt::Result {
    sheet.count(&f::FORWARDED, totals.forwarded)?;
    sheet.count(&f::FORWARD_FAILURES, totals.forward_failures)?;
    sheet.count(&f::FORWARD_OVERFLOWS, totals.forward_overflows)?;
    sheet.count(&f::FORWARD_OVER_SHARE, totals.forward_over_share)?;
    sheet.count(&f::FORWARD_IN_FLIGHT, totals.forwards_in_flight)?;
    sheet.count(&f::CACHE_HITS, totals.cache_hits)?;
    sheet.count(&f::CACHE_MISSES, totals.cache_misses)?;
    sheet.count(&f::CACHE_STALE, totals.cache_stale)?;
    sheet.count(&f::CACHE_PREFETCHES, totals.cache_prefetches)?;
    sheet.count(&f::CACHE_BYTES, totals.cache_bytes)?;
    sheet.count(&f::CACHE_BYTES_MAX, cache_bytes_max as u64)
}

/// Each resolver; `looping` says which of them lead back here.
pub fn upstreams(
    upstreams: &[UpstreamTotals],
    looping: impl Fn(&UpstreamTotals) -> bool,
    sheet: &mut Sheet<'_>,
) -> fmt::Result {
    let addresses = upstreams.iter().map(|it| [it.address.to_string()]);
    let addresses: Vec<_> = addresses.collect();
    let labels: Vec<_> = addresses.iter().map(|[text]| [text.as_str()]).collect();
    let mut counts = |family: &Family, count: &dyn Fn(&UpstreamTotals) -> u64| {
        let samples = labels.iter().zip(upstreams);
        sheet.counts(family, samples.map(|(label, it)| (&label[..], count(it))))
    };
    counts(&f::UPSTREAM_QUERIES, &|it| it.queries)?;
    counts(&f::UPSTREAM_FAILURES, &|it| it.failures)?;
    counts(&f::UPSTREAM_IN_FLIGHT, &|it| it.in_flight)?;
    counts(&f::UPSTREAM_DOWN, &|it| it.down)?;
    counts(&f::UPSTREAM_LOOPING, &|it| u64::from(looping(it)))?;
    let times = labels.iter().zip(upstreams);
    let times = times.map(|(label, it)| (&label[..], round_trips(it)));
    sheet.distributions(&f::UPSTREAM_RTT, times)
}

fn queries(totals: &Totals) -> Vec<([&'static str; 2], u64)> {
    let mut all = Vec::new();
    for (transport, by_type) in Transport::ALL.into_iter().zip(&totals.queries) {
        let samples = QueryType::ALL.into_iter().zip(by_type);
        all.extend(samples.map(|(it, count)| ([transport.label(), it.label()], *count)));
    }
    all
}

/// Those RCODEs that there were, and those that a monitor asks for.
fn responses(totals: &Totals) -> Vec<([&'static str; 2], u64)> {
    const ALWAYS: usize = 6;
    let mut all = Vec::new();
    for (transport, by_rcode) in Transport::ALL.into_iter().zip(&totals.answers) {
        let samples = by_rcode.iter().enumerate();
        let samples = samples.filter(|(rcode, count)| *rcode < ALWAYS || **count > 0);
        all.extend(samples.map(|(rcode, count)| ([transport.label(), rcode_label(rcode)], *count)));
    }
    all
}

fn each<'v, const LABELS: usize>(
    samples: &'v [([&'static str; LABELS], u64)],
) -> impl Iterator<Item = (Values<'v>, u64)> {
    samples.iter().map(|(labels, count)| (&labels[..], *count))
}

/// By powers of two: the parts of each are for whoever reads the totals themselves.
fn distribution(latency: &LatencyTotals) -> Distribution {
    let mut buckets = Vec::new();
    let mut count = 0;
    for (bucket, more) in latency.buckets.iter().enumerate() {
        count += more;
        match bucket_max_ns(bucket) {
            Some(bound) if !bound.is_power_of_two() || bound < SHORTEST_NS => {}
            Some(bound) => buckets.push((bound as f64 / 1e9, std::mem::take(&mut count))),
            None => buckets.push((f64::INFINITY, std::mem::take(&mut count))),
        }
    }
    Distribution {
        buckets,
        sum_seconds: latency.sum_ns as f64 / 1e9,
    }
}

/// The first bound that is written: 1.024 us.
const SHORTEST_NS: u64 = 1 << 10;

fn round_trips(upstream: &UpstreamTotals) -> Distribution {
    let buckets = upstream.rtt_buckets.iter().enumerate();
    let bound = |bucket| bucket_max_us(bucket).map_or(f64::INFINITY, |us| us as f64 / 1e6);
    Distribution {
        buckets: buckets
            .map(|(bucket, count)| (bound(bucket), *count))
            .collect(),
        sum_seconds: upstream.rtt_sum_us as f64 / 1e6,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::Stats;

    #[test]
    fn buckets_of_metrics_have_every_answer_once() {
        let stats = Stats::default();
        let worker = stats.worker(0).expect("a worker");
        for nanos in [1, 1_024, 1_025, 1_000_000, 100_000_000_000] {
            worker.note_latency(Transport::Udp, Duration::from_nanos(nanos), 2);
        }
        let totals = stats.totals();
        let it = distribution(&totals.latency[0]);
        assert_eq!(it.buckets.iter().map(|(_, count)| count).sum::<u64>(), 10);
        assert_eq!(it.buckets[0], (1.024e-6, 4));
        assert_eq!(it.buckets[1], (2.048e-6, 2));
        assert_eq!(it.buckets.last(), Some(&(f64::INFINITY, 2)));
        assert!(it.buckets.is_sorted_by(|(one, _), (other, _)| one < other));
    }
}
