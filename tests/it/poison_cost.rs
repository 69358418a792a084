//! What a poisoned cluster costs beside an ordinary one of the same size, for people to read. It judges
//! no times.
//!
//! ```text
//! ROLLCALL_POISON_TASKS=50000 cargo test --release --test it poison_cost -- --ignored --nocapture
//! ```

use std::sync::Arc;
use std::time::Instant;

use rollcall::mesos::cluster::*;
use rollcall::records::{RecordSet, World};
use rollcall::responses::table::ResponseTable;
use rollcall::responses::turns::Turns;

use crate::worlds::{agent, answering, framework, task, world};

const AGENTS: usize = 250;
const PORTS: u16 = 100;

/// Tasks of one framework with host ports; `name` tells that of each.
fn cluster(tasks: usize, name: impl Fn(usize) -> String) -> World {
    let task = |index: usize| Task {
        agent_id: agent((index % AGENTS) as u8).id,
        port_ranges: [(1_000, 999 + PORTS)].into(),
        ..task(&format!("t{index}"), &name(index))
    };
    let agents = (0..AGENTS).map(|index| agent(index as u8)).collect();
    let tasks = (0..tasks).map(task).collect();
    world(vec![framework("f0", "marathon")], agents, tasks)
}

/// Seconds of building records and table, and of a change of one task.
fn cost(world: &World) -> [f64; 3] {
    let begun = Instant::now();
    let mut records = RecordSet::build(world);
    let built = begun.elapsed();
    let table = ResponseTable::build(&records, &answering(), 1, 1);
    let compiled = begun.elapsed() - built;
    let mut changed = world.clone();
    let tasks: Vec<Arc<Task>> = world.cluster.tasks.iter().skip(1).cloned().collect();
    changed.cluster.tasks = Tasks::from_unsorted(tasks);
    let begun = Instant::now();
    let touched = records.update(world, &changed);
    let turns = &mut Turns::default();
    let _table = table.updated(&records, &touched, &answering(), 2, (turns, 2));
    [built, compiled, begun.elapsed()].map(|time| time.as_secs_f64())
}

#[test]
#[ignore = "a measurement, not a rule"]
fn a_poisoned_cluster_beside_an_ordinary_one() {
    let tasks = std::env::var("ROLLCALL_POISON_TASKS");
    let tasks = tasks.map_or(10_000, |text| text.parse().expect("a number of tasks"));
    let ordinary = cost(&cluster(tasks, |index| format!("app{}", index / 10)));
    let poisoned = cost(&cluster(tasks, |_| "web".to_owned()));
    let steps = ["records", "table", "a change"];
    for ((step, one), other) in steps.into_iter().zip(ordinary).zip(poisoned) {
        let ratio = other / one;
        println!("{step}: ordinary {one:.3} s, of one name {other:.3} s, ratio {ratio:.2}");
    }
}
