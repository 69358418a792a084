//! What `/v1/status` shows of names outside the domain: the cache, and each resolver. In: the counters of
//! the answering threads. Out: one JSON object.

use serde_json::{Value, json};

use crate::forward::Common;
use crate::stats::Stats;
use crate::stats::upstream::{UpstreamTotals, bucket_max_us};

/// Counts are sums over all threads since the server started.
pub fn forwarding(stats: &Stats, forward: &Common) -> Value {
    let totals = stats.totals();
    let looping = forward.looping();
    let upstreams = stats.upstreams.totals();
    let upstreams = upstreams
        .iter()
        .map(|upstream| upstream_value(upstream, looping.contains(&upstream.address)));
    json!({
        "asked": totals.forwarded,
        "unanswered": totals.forward_failures,
        "overflows": totals.forward_overflows,
        "over_share": totals.forward_over_share,
        "in_flight": totals.forwards_in_flight,
        "cache": {
            "hits": totals.cache_hits,
            "misses": totals.cache_misses,
            "stale": totals.cache_stale,
            "prefetches": totals.cache_prefetches,
            "bytes": totals.cache_bytes,
            "bytes_max": forward.settings.load().cache_bytes,
        },
        "upstreams": upstreams.collect::<Vec<_>>(),
    })
}

fn upstream_value(upstream: &UpstreamTotals, leads_here: bool) -> Value {
    let buckets = upstream.rtt_buckets.iter().enumerate();
    // Only what was seen: most of the buckets are empty.
    let buckets = buckets.filter(|(_, count)| **count > 0);
    let buckets = buckets.map(|(bucket, count)| json!([bucket_max_us(bucket), count]));
    json!({
        "address": upstream.address.to_string(),
        "queries": upstream.queries,
        "failures": upstream.failures,
        "in_flight": upstream.in_flight,
        "threads_that_find_it_down": upstream.down,
        "leads_back_here": leads_here,
        "rtt_us": {
            "p50": upstream.rtt_percentile_us(50),
            "p99": upstream.rtt_percentile_us(99),
            "sum": upstream.rtt_sum_us,
            // Of each bucket its upper bound (null: none) and how many replies fell into it.
            "buckets": buckets.collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn upstreams_and_cache_are_shown() {
        let (stats, forward) = (Stats::default(), Common::default());
        let address = SocketAddr::from(([192, 0, 2, 1], 53));
        let upstream = stats.upstreams.join(address);
        upstream.queries.add(3);
        upstream.rtt.record(Duration::from_micros(100));
        upstream.rtt.record(Duration::from_secs(1_000));
        stats.worker(0).expect("a worker").cache_hits.add(5);
        let value = forwarding(&stats, &forward);
        assert_eq!(value["cache"]["hits"], 5);
        let shown = &value["upstreams"][0];
        assert_eq!(shown["address"], "192.0.2.1:53");
        assert_eq!(shown["queries"], 3);
        assert_eq!(shown["leads_back_here"], false);
        assert_eq!(shown["rtt_us"]["p50"], 128);
        assert_eq!(shown["rtt_us"]["buckets"], json!([[128, 1], [null, 1]]));
    }
}
