//! `/v1/status`: where the records come from and how old they are, for people and monitors. In: the
//! freshness and the Snapshot. Out: one JSON object. It must never show a secret.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::figures::shows_names;
use super::forwarding::forwarding;
use crate::config::Config;
use crate::forward::Common;
use crate::records::collisions::{Collision, Collisions, Kind};
use crate::records::enumerate::names_of_tasks;
use crate::responses::Snapshot;
use crate::stats::engine::EngineInUse;
use crate::stats::freshness::{Freshness, Held, HeldTask, ZooKeeper};
use crate::stats::sandbox::Sandbox;

/// The whole answer. Times are seconds; points in time count from 1970.
pub fn status(
    freshness: &Freshness,
    snapshot: Option<&Snapshot>,
    engine: Option<&EngineInUse>,
    sandbox: &Sandbox,
    forward: &Common,
    config: &Config,
    socket_drops: Option<u64>,
) -> Value {
    let doubt = doubt(freshness, snapshot.is_some(), config);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": doubt.is_none(),
        "not_ready_because": doubt,
        "engine": engine.map(|engine| json!({
            "uses": engine.name,
            "why": engine.why,
        })),
        "sandbox": {
            "mode": if sandbox.mode.is_empty() { "off" } else { sandbox.mode },
            "no_new_privileges": sandbox.no_new_privileges,
            "capabilities": sandbox.capabilities,
            "system_calls": sandbox.calls.name(),
            "landlock": sandbox.landlock_abi,
            "lacking": sandbox.lacking,
        },
        "forwarding": engine.map(|engine| forwarding(&engine.stats, forward)),
        "udp_socket_drops": socket_drops,
        "source": freshness.source.label(),
        "leader": freshness.leader,
        "connected_since": freshness.connected_since.map(unix_seconds),
        "age_seconds": freshness.age.map(|age| seconds(age.now())),
        "serial": snapshot.map(|it| it.serial),
        "generation": snapshot.map(|it| it.generation),
        "published_at": snapshot.map(|it| unix_seconds(it.published_at)),
        "names": snapshot.map(|it| it.table.name_count()),
        "records": snapshot.map(|it| json!({
            "A": it.record_counts.a,
            "AAAA": it.record_counts.aaaa,
            "SRV": it.record_counts.srv,
            "PTR": it.record_counts.ptr,
            "CNAME": it.record_counts.cname,
            "TXT": it.record_counts.txt,
        })),
        "frameworks": freshness.counts.frameworks,
        "agents": freshness.counts.agents,
        "tasks": {
            "served": freshness.counts.tasks,
            "waiting": freshness.counts.tasks_waiting,
        },
        "objects_skipped": freshness.counts.skipped,
        "collisions": snapshot.map(|it| collisions_value(&it.collisions, config)),
        "names_left_out": freshness.counts.names_left_out,
        "held": freshness.held.as_ref().map(|held| held_value(held, snapshot)),
        "zookeeper": freshness.zookeeper.as_ref().map(zookeeper_value),
        "last_error": freshness.last_error.as_ref().map(|(at, text)| json!({
            "at": unix_seconds(*at),
            "text": text,
        })),
        "counters": {
            "subscriptions": freshness.subscriptions,
            "stream_failures": freshness.stream_failures,
            "events": freshness.events,
            "events_unfitting": freshness.events_unfitting,
            "polls": freshness.polls,
            "poll_failures": freshness.poll_failures,
            "checks": freshness.checks,
            "differences": {
                "lacking": freshness.differences.lacking,
                "surplus": freshness.differences.surplus,
                "other": freshness.differences.other,
            },
            "publishes": freshness.publishes,
            "holds": freshness.holds,
            "tasks_held": freshness.tasks_held,
        },
    })
}

/// Why `/readyz` says no; `None`: it says yes.
pub fn doubt(freshness: &Freshness, has_table: bool, config: &Config) -> Option<String> {
    freshness.doubt(has_table, config.ready_age_max, config.zk_detection_timeout)
}

fn held_value(held: &Held, snapshot: Option<&Snapshot>) -> Value {
    let key = |task: &HeldTask| {
        let HeldTask {
            agent_id,
            framework_id,
            id,
        } = task.clone();
        [agent_id, framework_id, id]
    };
    let counts = &held.counts;
    let keys: Vec<[String; 3]> = held.some.iter().map(key).collect();
    let names = snapshot.map(|it| names_of_tasks(&it.world, &keys));
    json!({
        "because": counts.cause,
        "for_seconds": seconds(counts.since.elapsed()),
        "ends_in_seconds": seconds(counts.until.saturating_duration_since(Instant::now())),
        "tasks": counts.tasks,
        "agents": counts.agents,
        "frameworks": counts.frameworks,
        "agents_known": counts.agents_known,
        "agents_back": counts.agents_back,
        "some_names": names.unwrap_or_default(),
    })
}

/// With the names, where whoever asks may see them.
fn collisions_value(collisions: &Collisions, config: &Config) -> Value {
    let counts = Kind::ALL.map(|kind| (kind.word(), collisions.count(kind)));
    let shown: &[Collision] = match shows_names(config) {
        true => &collisions.shown,
        false => &[],
    };
    let some = shown.iter().map(|it| {
        json!({
            "name": it.name,
            "reason": it.kind.word(),
            "wanted_by": it.wanted_by.iter().map(|who| &**who).collect::<Vec<&str>>(),
            "belongs_to": it.belongs_to,
        })
    });
    json!({
        "total": collisions.total(),
        "by_reason": counts.into_iter().collect::<BTreeMap<&str, usize>>(),
        "some": some.collect::<Vec<Value>>(),
    })
}

fn zookeeper_value(zookeeper: &ZooKeeper) -> Value {
    json!({
        "reachable": zookeeper.lost.is_none(),
        "trouble": zookeeper.lost,
        "masters": zookeeper.masters,
        "no_leader_for_seconds": zookeeper.no_leader_since.map(|since| seconds(since.elapsed())),
    })
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// Since 1970, to the millisecond.
pub fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, seconds)
}
