//! What the sources tell, and what follows from it. In: the stream's and the poll's words. Out: the
//! live cluster, and the times of what is to be done next.

use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::Source;
use super::backoff::Backoff;
use super::crank::{Asked, Crank, Phase, Streaming};
use crate::limits::{
    CHECK_LOGGED_MAX, CHECK_MENDED_MAX, CHECK_SOON, CHECK_SOON_EVERY, PIDS_WAIT, RETRY_FIRST,
    RETRY_MAX, STREAM_GOOD, STREAM_MISSING_RETRY, STREAM_RETRY_FIRST, STREAM_RETRY_FLOOR,
    STREAM_RETRY_MAX,
};
use crate::mesos::check::{Differences, How};
use crate::mesos::cluster::Cluster;
use crate::mesos::error::MasterError;
use crate::mesos::events::Event;
use crate::mesos::fetch::Fetched;
use crate::mesos::live::{Effect, Live};
use crate::mesos::poll::PollTold;
use crate::mesos::subscribe::{StreamEnd, StreamTold, Subscription};
use crate::mesos::summary::Pids;
use crate::stats::freshness::SourceKind;
use crate::stats::repeated::Telling;

impl Crank {
    pub(super) fn take_stream(&mut self, told: StreamTold, now: Instant) {
        match told {
            StreamTold::Subscribed(subscription) => self.take_subscription(*subscription, now),
            StreamTold::Events(events) => self.take_events(events, now),
            StreamTold::Ended(end) => self.take_stream_end(&end, now),
        }
    }

    fn take_subscription(&mut self, subscription: Subscription, now: Instant) {
        let Subscription {
            mut cluster,
            from,
            heartbeat,
            bytes,
            bad_count,
            took,
        } = subscription;
        info!(
            "subscribed to the events of {from} ({bytes} octets, {} tasks, {} ms)",
            cluster.tasks.len(),
            took.as_millis()
        );
        if bad_count > 0 {
            debug!("{bad_count} objects of the snapshot cannot be read");
        }
        carry_pids(self.live.cluster(), &mut cluster);
        let is_first = self.press.world().is_none();
        let has_frameworks = !cluster.frameworks.is_empty();
        self.leader_at = Some(from.clone());
        self.tell_source(SourceKind::Stream, &from);
        self.take_snapshot(cluster, now);
        self.freshness.update(|it| it.subscriptions += 1);
        self.subscription += 1;
        if let Some(tally) = self.stream_error.end() {
            info!("there is an event stream again, it failed {tally}");
        }
        self.lacks_stream = false;
        self.phase = Phase::Streaming(Streaming {
            from,
            since: now,
            heartbeat,
            last_sign: now,
        });
        self.touched = None;
        self.poll_at = match self.settings.source {
            Source::Auto => Some(now + self.until_check()),
            Source::Stream | Source::Poll => None,
        };
        if has_frameworks {
            self.pids_at = Some(now);
            if is_first {
                // The first table is the only one that nobody sees without them.
                self.publish_at = Some(now + PIDS_WAIT);
            }
        }
    }

    fn take_events(&mut self, events: Vec<Event>, now: Instant) {
        if let Phase::Streaming(streaming) = &mut self.phase {
            streaming.last_sign = now;
        }
        self.confirm(now);
        let (count, mut unfitting) = (events.len() as u64, 0);
        for event in events {
            let is_framework = matches!(event, Event::FrameworkTold(_));
            match self.apply(event, now) {
                Effect::Nothing => {}
                Effect::Changed => self.publish_soon(now),
                Effect::Unfitting => unfitting += 1,
            }
            if is_framework {
                let earliest = self.pids_asked_at.map(|at| at + self.settings.interval);
                self.pids_at
                    .get_or_insert(earliest.map_or(now, |at| at.max(now)));
            }
        }
        if unfitting > 0 {
            self.check_soon(now);
        }
        if self.holder.is_due(now) {
            self.let_go(now);
        }
        if count > 0 {
            self.freshness.update(|it| {
                it.events += count;
                it.events_unfitting += unfitting;
            });
            if self.holder.counts().is_some() {
                self.tell_held();
            }
        }
    }

    /// Something was missed: the whole state will tell what.
    fn check_soon(&mut self, now: Instant) {
        let is_recent = |at: Instant| now.duration_since(at) < CHECK_SOON_EVERY;
        if self.settings.source == Source::Auto && !self.checked_soon_at.is_some_and(is_recent) {
            debug!("an event does not fit what is known; the state is looked at");
            self.checked_soon_at = Some(now);
            self.poll_by(now + CHECK_SOON);
        }
    }

    fn take_stream_end(&mut self, end: &StreamEnd, now: Instant) {
        let lasted = match &self.phase {
            Phase::Streaming(streaming) => Some(now.duration_since(streaming.since)),
            _ => None,
        };
        self.freshness.update(|it| it.stream_failures += 1);
        self.touched = None;
        self.pids_at = None;
        if lasted.is_some_and(|lasted| lasted >= STREAM_GOOD) {
            self.stream_failures = 0;
            if let Some(tally) = self.stream_cuts.end().filter(|tally| tally.count > 1) {
                info!("before the event stream lasted it was cut {tally}");
            }
        }
        self.lacks_stream = matches!(end, StreamEnd::Unsupported { .. });
        let wait = match end {
            StreamEnd::Unsupported { .. } => STREAM_MISSING_RETRY,
            _ => STREAM_BACKOFF.wait(self.stream_failures, fastrand::f64()),
        };
        if let Some(at) = self.reconnect_at.take() {
            // We ended it, for another leader.
            self.phase = Phase::Waiting { until: at.max(now) };
            return;
        }
        self.stream_failures = self.stream_failures.saturating_add(1);
        self.phase = Phase::Waiting { until: now + wait };
        match (end, lasted) {
            (_, Some(_)) => {
                let line = format!("{end}; subscribing anew, the answers stay as they were");
                self.tell_cut(line, now);
            }
            // The poll, which follows, tells of what is in its way, too.
            (_, None) if self.settings.source == Source::Auto => {
                if self.stream_error.note(&end.to_string(), now) == Telling::First {
                    info!("{end}; the state is polled meanwhile");
                }
            }
            (_, None) => self.tell_error(SourceKind::Stream, end.to_string()),
        }
        if self.settings.source == Source::Auto && !matches!(self.asked, Some(Asked::State { .. }))
        {
            let due = self.confirmed_at.map(|at| at + self.settings.interval);
            let is_served = self.press.world().is_some();
            self.poll_at = Some(due.filter(|_| is_served).map_or(now, |at| at.max(now)));
        }
    }

    pub(super) fn take_poll(&mut self, told: PollTold, now: Instant) {
        let asked = self.asked.take();
        match (told, asked) {
            (PollTold::State(Ok(fetched)), Some(Asked::State { check_of })) => {
                self.poll_failures = 0;
                self.take_state(*fetched, check_of, now);
            }
            (PollTold::State(Err(error)), _) => self.take_poll_failure(&error, now),
            (PollTold::Pids(Ok(pids)), Some(Asked::Pids { subscription })) => {
                if subscription == self.subscription {
                    self.take_pids(&pids, now);
                }
            }
            (PollTold::Pids(Err(error)), _) => {
                debug!("no pids of frameworks: {error}");
                self.pids_at = Some(now + self.settings.interval);
                self.end_wait_for_pids(now);
            }
            // The answer to a question of before the configuration changed.
            (PollTold::State(Ok(_)) | PollTold::Pids(Ok(_)), _) => {}
        }
    }

    fn take_state(&mut self, fetched: Fetched, check_of: Option<u64>, now: Instant) {
        if let Phase::Streaming(_) = self.phase {
            match check_of {
                Some(number) if number == self.subscription => self.check(fetched.cluster, now),
                // It may be older than the snapshot that the stream began with.
                _ => debug!("a state that was asked for before the stream began is passed over"),
            }
            self.poll_at = Some(now + self.until_check());
            return;
        }
        if let Some(tally) = self.poll_error.end() {
            info!("the masters answer again, it failed {tally}");
        }
        debug!(
            "read the state of {} ({} octets, {} ms)",
            fetched.from,
            fetched.bytes,
            fetched.took.as_millis()
        );
        self.leader_at = Some(fetched.from.clone());
        self.tell_source(SourceKind::Poll, &fetched.from);
        self.take_snapshot(fetched.cluster, now);
        self.freshness.update(|it| it.polls += 1);
        self.poll_at = match self.settings.source {
            Source::Stream => None,
            Source::Poll | Source::Auto => Some(now + shortened(self.settings.interval)),
        };
    }

    fn take_poll_failure(&mut self, error: &MasterError, now: Instant) {
        self.freshness.update(|it| it.poll_failures += 1);
        self.touched = None;
        self.tell_error(SourceKind::Poll, error.to_string());
        let backoff = Backoff {
            floor: RETRY_FIRST / 2,
            first: RETRY_FIRST,
            max: RETRY_MAX.min(self.settings.interval.max(RETRY_FIRST)),
        };
        let wait = backoff.wait(self.poll_failures, fastrand::f64());
        self.poll_failures = self.poll_failures.saturating_add(1);
        if self.settings.source != Source::Stream {
            self.poll_by(now + wait);
        }
    }

    /// Takes a whole view of the cluster in place of what was known.
    fn take_snapshot(&mut self, mut cluster: Cluster, now: Instant) {
        let old = self.live.cluster();
        cluster.adopt(old);
        if cluster.frameworks.is_empty() && !cluster.agents.is_empty() {
            warn!(
                "the master lists {} agents and no framework; where there are some, the access control \
                 lists hide them from our principal",
                cluster.agents.len()
            );
        }
        let held_before = self.holder.counts();
        if self.holder.take_snapshot(old, &mut cluster, now)
            && let Some(held) = self.holder.counts()
        {
            warn!(
                "{}: {} tasks, {} agents and {} frameworks that it does not list keep their names until \
                 {} % of {} agents are back, {} s at the most",
                held.cause,
                held.tasks,
                held.agents,
                held.frameworks,
                self.settings.hold.agents_percent,
                held.agents_known,
                self.settings.hold.time_max.as_secs()
            );
            self.freshness.update(|it| {
                it.holds += 1;
                it.tasks_held += held.tasks as u64;
            });
        } else if self.holder.counts().is_none()
            && let Some(held) = held_before
        {
            info!(
                "the master lists enough of {} agents again; {} tasks had been held",
                held.agents_known, held.tasks
            );
        }
        self.live = Live::new(cluster);
        self.confirm(now);
        self.is_snapshot = true;
        self.publish_at = Some(now);
        self.tell_held();
    }

    /// Compares the stream's cluster with the whole state, and mends what differs.
    fn check(&mut self, mut state: Cluster, now: Instant) {
        let touched = self.touched.take().unwrap_or_default();
        let cluster = self.live.cluster();
        self.freshness.update(|it| it.checks += 1);
        if self.holder.counts().is_some() {
            return debug!("the state is not compared while something is held");
        }
        let is_empty = state.agents.is_empty() && !cluster.agents.is_empty()
            || state.frameworks.is_empty() && !cluster.frameworks.is_empty();
        if is_empty {
            let text = "the master's state lists no agents or no frameworks while its event stream knows \
                        of some; the stream is believed";
            return self.tell_error(SourceKind::Poll, text.to_owned());
        }
        let differences = Differences::between(&self.live, &mut state, &touched);
        if !differences.is_empty() {
            self.freshness.update(|it| it.checks_differing += 1);
        }
        if differences.len() > CHECK_MENDED_MAX.max(cluster.tasks.len() / 10) {
            let text = format!(
                "the event stream and the master's state differ in {} objects; subscribing anew",
                differences.len()
            );
            self.tell_error(SourceKind::Poll, text);
            return self.cut_stream(now);
        }
        if let Some(tally) = self.poll_error.end() {
            info!("the state and the event stream are compared again, it failed {tally}");
        }
        for (count, difference) in differences.iter().enumerate() {
            let how = match difference.how {
                How::Lacking => "was lacking",
                How::Surplus => "is no more",
                How::Other => "is another",
            };
            if count < CHECK_LOGGED_MAX {
                info!(
                    "the state tells what the event stream did not: {} {how}",
                    difference.what
                );
            }
            self.freshness.update(|it| match difference.how {
                How::Lacking => it.differences.lacking += 1,
                How::Surplus => it.differences.surplus += 1,
                How::Other => it.differences.other += 1,
            });
        }
        if let Some(more) = differences.len().checked_sub(CHECK_LOGGED_MAX + 1) {
            info!("and {} more", more + 1);
        }
        if differences.mend(&mut self.live, &state) {
            self.publish_soon(now);
        }
    }

    fn take_pids(&mut self, pids: &Pids, now: Instant) {
        if self.live.set_pids(pids) == Effect::Changed {
            self.publish_soon(now);
        }
        self.end_wait_for_pids(now);
    }

    /// The first table waited for pids; it waits no longer.
    fn end_wait_for_pids(&mut self, now: Instant) {
        if self.press.world().is_none() && self.publish_at.is_some() {
            self.publish_at = Some(now);
        }
    }

    fn until_check(&self) -> Duration {
        shortened(
            self.settings
                .interval
                .saturating_mul(self.settings.check_factor),
        )
    }
}

/// Up to a tenth shorter, at random, so that the instances of a cluster do not ask in step.
fn shortened(interval: Duration) -> Duration {
    interval.mul_f64(1.0 - 0.1 * fastrand::f64())
}

/// The stream never tells pids: those that are known stay until somebody tells others.
fn carry_pids(old: &Cluster, new: &mut Cluster) {
    let pids: Pids = old
        .frameworks
        .iter()
        .filter(|framework| framework.pid.is_some())
        .map(|framework| (framework.id.clone(), framework.pid.clone()))
        .collect();
    let mut live = Live::new(std::mem::take(new));
    live.set_pids(&pids);
    *new = live.cluster().clone();
}

const STREAM_BACKOFF: Backoff = Backoff {
    floor: STREAM_RETRY_FLOOR,
    first: STREAM_RETRY_FIRST,
    max: STREAM_RETRY_MAX,
};
