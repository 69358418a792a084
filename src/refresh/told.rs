//! Tells of faults once. In: a World after each round. Out: a line in the log for each object that
//! was left out and had not been told of, and none for those that had. It must never write more
//! lines a round than `FAULTS_LOGGED_MAX`.

use std::collections::HashSet;
use std::fmt;

use tracing::warn;

use crate::dns::name::text_from_wire;
use crate::limits::FAULTS_LOGGED_MAX;
use crate::mesos::cluster::{Cluster, SkippedKind, Task};
use crate::records::{Reason, RecordSet};

/// What was told of already and is still so; what went away is told of again if it comes back.
#[derive(Default)]
pub struct Told {
    objects: HashSet<(SkippedKind, Box<str>)>,
    names: String,
    /// Static CNAMEs that the cluster is in the way of.
    cnames: HashSet<String>,
    /// Lines since the last whole view.
    of_events: usize,
}

impl Told {
    /// Objects of the state, and parts of tasks, that could not be used.
    pub fn objects(&mut self, cluster: &Cluster) {
        self.of_events = 0;
        let mut lines = Lines::default();
        let mut present = HashSet::new();
        for skipped in cluster.skipped.iter().filter(|skipped| !skipped.expected) {
            let key = (skipped.kind, skipped.id.clone());
            if !self.objects.contains(&key) && !present.contains(&key) {
                let (kind, id, name) = (skipped.kind, &skipped.id, &skipped.name);
                lines.add(format_args!(
                    "{kind} {id:?} ({name:?}) gives no records: {}",
                    skipped.why
                ));
            }
            present.insert(key);
        }
        for task in cluster.tasks.iter() {
            let Some(faults) = &task.faults else { continue };
            let key = (SkippedKind::Task, task.id.clone());
            if !self.objects.contains(&key) && !present.contains(&key) {
                let faults = faults.join("; ");
                lines.add(format_args!("task {:?} loses a part: {faults}", task.id));
            }
            present.insert(key);
        }
        self.objects = present;
        lines.end("objects of the state");
    }

    /// The same of one task that an event brought; at most so many between two whole views.
    pub fn task(&mut self, task: &Task) {
        let Some(faults) = &task.faults else { return };
        let key = (SkippedKind::Task, task.id.clone());
        if self.of_events < FAULTS_LOGGED_MAX && self.objects.insert(key) {
            self.of_events += 1;
            warn!("task {:?} loses a part: {}", task.id, faults.join("; "));
        }
    }

    /// Names that were not entered, when their counts differ from those told last.
    pub fn names(&mut self, records: &RecordSet) {
        let counts: Vec<String> = records
            .left_out()
            .iter()
            .filter(|&(reason, count)| count > 0 && reason != Reason::BesideCname)
            .map(|(reason, count)| format!("{count} because {reason}"))
            .collect();
        let names = counts.join(", ");
        if names != self.names && !names.is_empty() {
            warn!("names left out: {names}; `rollcall explain NAME` tells which");
        }
        self.names = names;
    }

    /// Static CNAMEs that are not answered.
    pub fn cnames(&mut self, records: &RecordSet) {
        let mut lines = Lines::default();
        let mut present = HashSet::new();
        for name in records.cnames_left_out() {
            let mut wire = Vec::new();
            records.append_wire(name, &mut wire);
            let name = text_from_wire(&wire);
            if !self.cnames.contains(&name) {
                lines.add(format_args!(
                    "the static CNAME of {name} is left out: the cluster has records of that name"
                ));
            }
            present.insert(name);
        }
        self.cnames = present;
        lines.end("static CNAMEs");
    }
}

/// Counts the lines of one round.
#[derive(Default)]
struct Lines {
    count: usize,
}

impl Lines {
    fn add(&mut self, line: fmt::Arguments<'_>) {
        if self.count < FAULTS_LOGGED_MAX {
            warn!("{line}");
        }
        self.count += 1;
    }

    fn end(self, what: &str) {
        if let Some(more) = self
            .count
            .checked_sub(FAULTS_LOGGED_MAX)
            .filter(|&more| more > 0)
        {
            warn!("{more} more {what} have faults; `rollcall explain NAME` tells of each");
        }
    }
}
