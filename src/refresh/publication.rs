//! Publication, and what is told of it: the log, the freshness. In: the live cluster when it differs.
//! Out: a Snapshot, and what `/v1/status` shows.

use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, error, info, warn};

use super::crank::Crank;
use super::hold::Release;
use super::press::Pressed;
use crate::limits::HELD_TASKS_SHOWN_MAX;
use crate::mesos::cluster::{Endpoint, Task};
use crate::stats::freshness::{Age, Counts, Held, HeldCounts, HeldTask, SourceKind};
use crate::stats::repeated::Telling;
use crate::sys;

impl Crank {
    /// Has what differs published as soon as it may be.
    pub(super) fn publish_soon(&mut self, now: Instant) {
        if self.press.world().is_some() {
            let at = now.max(self.published_at + self.settings.publish_interval);
            self.publish_at = Some(self.publish_at.map_or(at, |planned| planned.min(at)));
        }
    }

    pub(super) fn publish(&mut self, now: Instant) {
        self.publish_at = None;
        self.published_at = now;
        // Until a master speaks there is what was known before, which may be too old to be live.
        let before = self.press.world().filter(|_| self.confirmed_at.is_none());
        let cluster = before.map_or(self.live.cluster(), |world| &world.cluster);
        let cluster = cluster.clone();
        let tasks = cluster.tasks.len();
        self.notable.leader(cluster.leader.as_ref());
        let names_before = self.names_served();
        let begun = Instant::now();
        let pressed = self.press.press(cluster, now);
        let took = begun.elapsed();
        (self.wake)();
        self.press.tell_feed();
        let is_snapshot = std::mem::take(&mut self.is_snapshot);
        if is_snapshot || pressed == Pressed::Built {
            // On a machine of one core the answering thread comes first.
            std::thread::yield_now();
            self.press.free_retired();
            sys::memory::release_free_pages();
            self.told.objects(self.live.cluster());
            if let Some(records) = self.press.records() {
                self.told.names(records);
            }
        }
        let took_ms = now.elapsed().as_millis();
        match pressed {
            Pressed::Built => {
                let names = self.press.current().map_or(0, |now| now.table.name_count());
                info!("serving {names} names of {tasks} tasks (built in {took_ms} ms)");
            }
            Pressed::Updated(names) if is_snapshot => {
                info!("{names} names changed in {took_ms} ms; {tasks} tasks");
            }
            Pressed::Updated(names) => debug!("{names} names changed; {tasks} tasks"),
            Pressed::Unchanged => debug!("nothing changed; {tasks} tasks"),
        }
        if pressed != Pressed::Unchanged {
            if let (Some(before), Some(now)) = (names_before, self.names_served()) {
                self.notable.names(before, now);
            }
            self.save_soon(now);
            if let Some(records) = self.press.records() {
                self.told.cnames(records);
            }
        }
        if let Some(current) = self.press.current() {
            self.clashes.tell(&current.collisions, now);
        }
        self.tell_counts(pressed, took);
        self.tell_held();
    }

    /// Names of the table, once it is that of a cluster.
    fn names_served(&self) -> Option<usize> {
        let snapshot = self.press.current()?;
        (!snapshot.is_partial()).then(|| snapshot.table.name_count())
    }

    /// Shows what is served although no master has spoken.
    pub(super) fn tell_counts_of_served(&self) {
        self.tell_counts(Pressed::Unchanged, Duration::ZERO);
    }

    fn tell_counts(&self, pressed: Pressed, took: Duration) {
        let world = self.press.world();
        let cluster = world.map_or(self.live.cluster(), |world| &world.cluster);
        let records = self.press.records();
        let counts = Counts {
            frameworks: cluster.frameworks.len(),
            agents: cluster.agents.len(),
            tasks: cluster.tasks.len(),
            tasks_waiting: cluster.waiting.len(),
            skipped: cluster.skipped_count,
            names_left_out: records.map_or(0, |records| records.left_out().total()),
        };
        let leader = cluster.leader.as_ref().map(ToString::to_string);
        self.freshness.update(|it| {
            it.counts = counts;
            it.leader_changes += u64::from(leader.is_some() && leader != it.leader);
            it.leader = leader;
            if pressed != Pressed::Unchanged {
                it.publishes += 1;
                it.build_last = took;
                it.build_total += took;
            }
        });
    }

    /// The cluster is known to be as it is here.
    pub(super) fn confirm(&mut self, now: Instant) {
        self.confirmed_at = Some(now);
        self.freshness.update(|it| it.age = Some(Age::none(now)));
    }

    /// Another source speaks from now on.
    pub(super) fn tell_source(&mut self, kind: SourceKind, from: &Endpoint) {
        self.freshness.update(|it| {
            if it.source != kind || kind == SourceKind::Stream {
                it.connected_since = Some(SystemTime::now());
            }
            it.source = kind;
        });
        self.notable.source(kind, from);
    }

    /// Tells of an error: the same one again and again is one line, not one a round.
    pub(super) fn tell_error(&mut self, of: SourceKind, text: String) {
        let last = match of {
            SourceKind::Stream => &mut self.stream_error,
            _ => &mut self.poll_error,
        };
        match last.note(&text, Instant::now()) {
            Telling::First => error!("{text}; the answers stay as they were"),
            Telling::Again(tally) => error!("{text}; {tally}, the answers stay as they were"),
            Telling::Nothing => debug!("again: {text}"),
        }
        let at = SystemTime::now();
        self.freshness.update(|it| it.last_error = Some((at, text)));
    }

    /// Tells of a stream that was cut; one that is cut again and again for one reason is one line.
    pub(super) fn tell_cut(&mut self, line: String, now: Instant) {
        match self.stream_cuts.note(&line, now) {
            Telling::First => warn!("{line}"),
            Telling::Again(tally) => warn!("{line}; {tally}"),
            Telling::Nothing => debug!("again: {line}"),
        }
    }

    pub(super) fn let_go(&mut self, now: Instant) {
        let held = self.holder.counts();
        let (changed, release) = self.holder.tick(&mut self.live, now);
        if changed {
            self.publish_soon(now);
        }
        if let (Some(release), Some(held)) = (release, held) {
            let HeldCounts {
                tasks,
                agents_known,
                agents_back,
                ..
            } = held;
            match release {
                Release::AgentsBack => info!(
                    "{agents_back} of {agents_known} agents are back; {tasks} held tasks are let go"
                ),
                Release::TimeOver => warn!(
                    "{agents_back} of {agents_known} agents are back after HoldSeconds of {} s; \
                     {tasks} held tasks are let go",
                    self.settings.hold.time_max.as_secs()
                ),
            }
        }
        self.tell_held();
    }

    /// Shows what is held at present.
    pub(super) fn tell_held(&self) {
        let held = self.holder.counts().map(|counts| {
            let cluster = self.live.cluster();
            let tasks = self.holder.tasks(cluster).take(HELD_TASKS_SHOWN_MAX);
            Held {
                counts,
                some: tasks.map(|task| held_task(task)).collect(),
            }
        });
        self.freshness.update(|it| it.held = held);
    }
}

fn held_task(task: &Task) -> HeldTask {
    HeldTask {
        agent_id: task.agent_id.to_string(),
        framework_id: task.framework_id.to_string(),
        id: task.id.to_string(),
    }
}
