//! What is served, and where it comes from, as metrics. In: the Snapshot and the freshness. Out: samples.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::families as f;
use super::sheet::Sheet;
use crate::records::collisions::Kind;
use crate::responses::Snapshot;
use crate::stats::freshness::{Freshness, SourceKind};
use crate::sys::process::Usage;

/// The table. Without one its families have no sample.
pub fn table(
    snapshot: Option<&Snapshot>,
    freshness: &Freshness,
    sheet: &mut Sheet<'_>,
) -> fmt::Result {
    let number = |of: &dyn Fn(&Snapshot) -> f64| snapshot.map(of);
    sheet.one(&f::TABLE_NAMES, number(&|it| it.table.name_count() as f64))?;
    let records = snapshot.map(|it| {
        let counts = &it.record_counts;
        [
            ("A", counts.a),
            ("AAAA", counts.aaaa),
            ("SRV", counts.srv),
            ("PTR", counts.ptr),
            ("CNAME", counts.cname),
            ("TXT", counts.txt),
        ]
        .map(|(rtype, count)| ([rtype], count as f64))
    });
    let records = records.iter().flatten();
    sheet.samples(
        &f::TABLE_RECORDS,
        records.map(|(label, it)| (&label[..], *it)),
    )?;
    sheet.one(&f::TABLE_BYTES, number(&|it| it.table.byte_count() as f64))?;
    sheet.one(&f::TABLE_SERIAL, number(&|it| f64::from(it.serial)))?;
    let published = number(&|it| unix_seconds(it.published_at));
    sheet.one(&f::TABLE_PUBLISHED, published)?;
    sheet.count(&f::TABLE_PUBLISHES, freshness.publishes)?;
    sheet.one(&f::TABLE_BUILD, freshness.build_total.as_secs_f64())?;
    let last = (freshness.publishes > 0).then_some(freshness.build_last.as_secs_f64());
    sheet.one(&f::TABLE_BUILD_LAST, last)?;
    let counts = &freshness.counts;
    sheet.count(&f::NAMES_LEFT_OUT, counts.names_left_out)?;
    let collisions =
        snapshot.map(|it| Kind::ALL.map(|kind| ([kind.word()], it.collisions.count(kind) as u64)));
    let collisions = collisions.iter().flatten();
    sheet.counts(
        &f::NAME_COLLISIONS,
        collisions.map(|(label, it)| (&label[..], *it)),
    )?;
    sheet.count(&f::OBJECTS_SKIPPED, counts.skipped)?;
    let tasks = [
        (&["served"][..], counts.tasks as u64),
        (&["waiting"][..], counts.tasks_waiting as u64),
    ];
    sheet.counts(&f::TASKS, tasks)?;
    sheet.count(&f::AGENTS, counts.agents as u64)?;
    sheet.count(&f::FRAMEWORKS, counts.frameworks as u64)
}

/// The masters, their stream and their states.
pub fn source(freshness: &Freshness, sheet: &mut Sheet<'_>) -> fmt::Result {
    sheet.one(&f::AGE, freshness.age.map(|age| age.now().as_secs_f64()))?;
    let kinds = [
        SourceKind::None,
        SourceKind::WarmStart,
        SourceKind::Poll,
        SourceKind::Stream,
    ]
    .map(|kind| ([kind.label()], u64::from(kind == freshness.source)));
    sheet.counts(
        &f::SOURCE,
        kinds.iter().map(|(label, it)| (&label[..], *it)),
    )?;
    sheet.count(&f::LEADER_KNOWN, u64::from(freshness.leader.is_some()))?;
    sheet.count(&f::LEADER_CHANGES, freshness.leader_changes)?;
    let zookeeper = freshness.zookeeper.as_ref();
    let up = zookeeper.map(|it| f64::from(u8::from(it.lost.is_none())));
    sheet.one(&f::ZOOKEEPER_UP, up)?;
    sheet.one(&f::ZOOKEEPER_MASTERS, zookeeper.map(|it| it.masters as f64))?;
    let leaderless = zookeeper.map(|it| {
        let since = it.no_leader_since.map(|since| since.elapsed());
        since.unwrap_or(Duration::ZERO).as_secs_f64()
    });
    sheet.one(&f::ZOOKEEPER_LEADERLESS, leaderless)?;
    sheet.count(&f::EVENTS, freshness.events)?;
    sheet.count(&f::EVENTS_UNFITTING, freshness.events_unfitting)?;
    sheet.count(&f::SUBSCRIPTIONS, freshness.subscriptions)?;
    sheet.count(&f::STREAM_FAILURES, freshness.stream_failures)?;
    sheet.count(&f::POLLS, freshness.polls)?;
    sheet.count(&f::POLL_FAILURES, freshness.poll_failures)?;
    sheet.count(&f::CHECKS, freshness.checks)?;
    sheet.count(&f::CHECKS_DIFFERING, freshness.checks_differing)?;
    let differences = [
        (&["lacking"][..], freshness.differences.lacking),
        (&["surplus"][..], freshness.differences.surplus),
        (&["other"][..], freshness.differences.other),
    ];
    sheet.counts(&f::CHECK_DIFFERENCES, differences)?;
    let held = freshness.held.as_ref().map_or(0, |held| held.counts.tasks);
    sheet.count(&f::HELD_TASKS, held as u64)?;
    sheet.count(&f::HELD_TASKS_SEEN, freshness.tasks_held)?;
    sheet.count(&f::HOLDS, freshness.holds)
}

/// The process, by the names that all programs have for it.
pub fn process(usage: &Usage, sheet: &mut Sheet<'_>) -> fmt::Result {
    let number = |count: Option<u64>| count.map(|count| count as f64);
    sheet.one(&f::CPU, usage.cpu_seconds)?;
    sheet.one(&f::RESIDENT, number(usage.resident_bytes))?;
    sheet.one(&f::VIRTUAL, number(usage.virtual_bytes))?;
    sheet.one(&f::THREADS, number(usage.threads))?;
    sheet.one(&f::OPEN_FDS, number(usage.descriptors))?;
    sheet.one(&f::MAX_FDS, number(usage.descriptors_max))?;
    sheet.one(&f::START, usage.start_seconds)
}

fn unix_seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64()
}
