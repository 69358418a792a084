//! What the status page is told, as JSON. In: the freshness, the counters, the Snapshot, changes of the
//! feed. Out: values of bounded size. It must never show more of a name than DNS or `explain` would.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::HttpSettings;
use super::samples::{Sample, Samples};
use super::status::{self, unix_seconds};
use crate::config::Config;
use crate::dns::rtype;
use crate::feed::{Change, NameChange, What};
use crate::limits::{LIVE_NAMES_MAX, LIVE_RECORDS_MAX};
use crate::responses::Snapshot;
use crate::stats::Totals;
use crate::stats::traffic::{QueryType, RCODES, Route, rcode_label};
use crate::sys::process;

/// Every second.
pub fn figures(settings: &HttpSettings, snapshot: Option<&Snapshot>, samples: &Samples) -> Value {
    let freshness = settings.freshness.read();
    let engine = settings.engine.load();
    let config = settings.config.load();
    let mut status = status::status(
        &freshness,
        snapshot,
        engine.as_deref(),
        &settings.sandbox,
        &settings.forward,
        &config,
        process::udp_drops(),
    );
    // Every second is too often for a list.
    if let Some(collisions) = status["collisions"].as_object_mut() {
        collisions.remove("some");
    }
    json!({
        "now": now(),
        "sample": samples.last().map(Sample::value),
        "dns": engine.as_ref().map(|engine| dns(&engine.stats.totals())),
        "status": status,
    })
}

/// Once, when a stream begins.
pub fn hello(
    settings: &HttpSettings,
    snapshot: Option<&Snapshot>,
    samples: &Samples,
    (changes, index): (&[Arc<Change>], u64),
) -> Value {
    let config = settings.config.load();
    json!({
        "epoch": format!("{:016x}", settings.feed.epoch()),
        "index": index,
        "domain": config.domain,
        "search": config.enumeration_on,
        "refresh_seconds": config.refresh_interval.as_secs_f64(),
        "samples": samples.value(),
        "changes": changes_value(changes, &config),
        "figures": figures(settings, snapshot, samples),
    })
}

/// The newest come last. Where there are too many names, the changes before are left out.
pub fn changes_value(changes: &[Arc<Change>], config: &Config) -> Value {
    let mut room = LIVE_NAMES_MAX;
    let mut rows = Vec::new();
    for change in changes.iter().rev() {
        if room == 0 {
            break;
        }
        let names = match &change.what {
            What::All => None,
            What::Names(names) => Some(names.iter().filter_map(|it| name_value(it, config))),
        };
        let names: Option<Vec<Value>> = names.map(Iterator::collect);
        let count = names.as_ref().map(Vec::len);
        let shown = names.map(|mut names| {
            names.truncate(if shows_names(config) { room } else { 0 });
            room -= names.len();
            names
        });
        rows.push(json!({
            "index": change.index,
            "at": unix_seconds(change.at),
            "serial": change.serial,
            "all": count.is_none(),
            "count": count,
            "names": shown,
        }));
    }
    rows.reverse();
    rows.into()
}

/// Whether changed names are listed, as `/v1/enumerate` lists names: with EnumerationOn, and to everybody
/// only where no token is asked for. A stream of events shows none.
pub fn shows_names(config: &Config) -> bool {
    config.enumeration_on && !config.http_token.is_set()
}

/// `None`: nothing of its own differs that is answered. Where only what its SRV records lead to has other
/// addresses, that is told of under those names.
fn name_value(change: &NameChange, config: &Config) -> Option<Value> {
    let Some(mut types) = change.types() else {
        // It is too long for the feed.
        return Some(json!({ "name": change.text(), "types": null }));
    };
    types.retain(|it| it.rtype != rtype::PTR || config.reverse_dns_on);
    if types.is_empty() {
        return None;
    }
    let types = types.into_iter().map(|it| {
        json!({
            "type": QueryType::of(it.rtype).label(),
            "removed_count": it.removed.len(),
            "added_count": it.added.len(),
            "removed": some(it.removed),
            "added": some(it.added),
        })
    });
    Some(json!({ "name": change.text(), "types": types.collect::<Vec<_>>() }))
}

fn some(mut records: Vec<String>) -> Vec<String> {
    records.truncate(LIVE_RECORDS_MAX);
    records
}

fn dns(totals: &Totals) -> Value {
    let counts = (0..RCODES).map(|rcode| (rcode_label(rcode), totals.answers_of(rcode)));
    let seen = counts.filter(|(_, count)| *count > 0);
    let answers: Map<String, Value> = seen
        .map(|(rcode, count)| (rcode.to_owned(), count.into()))
        .collect();
    json!({
        "queries_udp": totals.queries_udp,
        "queries_tcp": totals.queries_tcp,
        "answers": answers,
        "truncated": totals.truncated,
        "dropped": totals.dropped,
        "rate_limited": {
            "dropped": totals.dropped_by_limit,
            "shortened": totals.routed_by(Route::Limited),
        },
    })
}

pub fn now() -> f64 {
    unix_seconds(SystemTime::now())
}
