//! The `/state-summary` document: agents and frameworks with counts of their tasks, and the pids of
//! the frameworks that have one, which the v1 API never says. In: a View. Out: JSON text. PURE.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::cluster::TaskState;
use super::document::{separated, write_agent, write_framework_begin};
use super::text::Uuid;
use super::view::View;

/// Counts of tasks by state, and where they are: frameworks of an agent, agents of a framework.
#[derive(Clone, Default)]
struct Tally {
    staging: usize,
    running: usize,
    killed: usize,
    lost: usize,
    unreachable: usize,
    others: BTreeSet<u32>,
}

/// The document of a leader.
pub fn summary(view: &View) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_summary(&mut text, view);
    text
}

fn write_summary(text: &mut String, view: &View) -> std::fmt::Result {
    let cluster = &view.cluster;
    let (by_agent, by_framework) = tally(view);
    write!(
        text,
        r#"{{"hostname":"{}","cluster":"simulated","slaves":["#,
        view.master.hostname()
    )?;
    let id = Uuid(cluster.id);
    separated(text, view.agents(), |text, index| {
        text.push('{');
        write_agent(text, cluster, index)?;
        let tally = &by_agent[index as usize];
        write_counts(text, tally)?;
        text.push_str(r#","framework_ids":["#);
        separated(text, tally.others.iter(), |text, framework| {
            write!(text, r#""{id}-{framework:04}""#)
        })?;
        text.write_str("]}")
    })?;
    text.push_str(r#"],"frameworks":["#);
    separated(text, view.frameworks(false), |text, (index, framework)| {
        text.push('{');
        write_framework_begin(text, cluster, index, framework)?;
        let tally = &by_framework[index];
        write_counts(text, tally)?;
        text.push_str(r#","slave_ids":["#);
        separated(text, tally.others.iter(), |text, agent| {
            write!(text, r#""{id}-S{agent}""#)
        })?;
        text.write_str("]}")
    })?;
    text.write_str("]}")
}

/// A principal who may not see tasks is told their counts by agent all the same.
fn tally(view: &View) -> (Vec<Tally>, Vec<Tally>) {
    let cluster = &view.cluster;
    let mut by_agent = vec![Tally::default(); cluster.agents.len()];
    let mut by_framework = vec![Tally::default(); cluster.frameworks.len()];
    for task in cluster.tasks.iter().filter(|task| cluster.is_known(task)) {
        let framework = cluster.apps[task.app as usize].plan.framework;
        by_agent[task.agent as usize].add(task.state, framework as u32);
        by_framework[framework].add(task.state, task.agent);
    }
    (by_agent, by_framework)
}

impl Tally {
    fn add(&mut self, state: TaskState, other: u32) {
        let is_here = matches!(state, TaskState::Staging | TaskState::Running);
        if is_here {
            self.others.insert(other);
        }
        match state {
            TaskState::Staging => self.staging += 1,
            TaskState::Running => self.running += 1,
            TaskState::Unreachable => self.unreachable += 1,
            TaskState::Killed => self.killed += 1,
            TaskState::Lost => self.lost += 1,
        }
    }
}

fn write_counts(text: &mut String, tally: &Tally) -> std::fmt::Result {
    write!(
        text,
        r#","TASK_STAGING":{},"TASK_STARTING":0,"TASK_RUNNING":{},"TASK_KILLING":0,"TASK_FINISHED":0,"TASK_KILLED":{},"TASK_FAILED":0,"TASK_LOST":{},"TASK_ERROR":0,"TASK_UNREACHABLE":{}"#,
        tally.staging, tally.running, tally.killed, tally.lost, tally.unreachable
    )
}
