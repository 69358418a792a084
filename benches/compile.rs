//! Records and table: built from nothing for 1,000, 10,000 and 100,000 tasks, and one task changed.

mod common;

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::records::{RecordSet, World};
use rollcall::responses::table::ResponseTable;
use rollcall::responses::turns::Turns;

/// The World with another address for one of its tasks; all else is shared with it.
fn moved(world: &World, task: &Task, address: u32) -> World {
    let mut task = task.clone();
    task.addresses = [(AddressSource::NetInfo, address.to_be_bytes().into())].into();
    let mut moved = world.clone();
    moved.cluster.tasks.insert(Arc::new(task));
    moved
}

fn compile(criterion: &mut Criterion) {
    let answering = common::answering();
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for tasks in [1_000, 10_000, 100_000] {
        let world = common::world(tasks);
        group.bench_function(BenchmarkId::new("records", tasks), |bencher| {
            bencher.iter_with_large_drop(|| RecordSet::build(&world));
        });
        let mut records = RecordSet::build(&world);
        group.bench_function(BenchmarkId::new("table", tasks), |bencher| {
            bencher.iter_with_large_drop(|| ResponseTable::build(&records, &answering, 1, 1));
        });
        // As the refresh thread does it: the old World and table are freed by who made them.
        let mut world = world;
        let mut table = ResponseTable::build(&records, &answering, 1, 1);
        let tasks_of_world: Vec<Arc<Task>> = world.cluster.tasks.iter().cloned().collect();
        let (mut turn, mut turns) = (0, Turns::default());
        group.bench_function(BenchmarkId::new("one task moved", tasks), |bencher| {
            bencher.iter(|| {
                turn += 1;
                // Another one each time, so that no change finds its data in the cache.
                let task = &tasks_of_world[turn * 7_919 % tasks];
                let next = moved(&world, task, 0x0a00_0000 + turn as u32 % 0x00ff_ffff);
                let touched = records.update(&world, &next);
                let generation = turn as u64;
                let turns_now = (&mut turns, generation);
                let next_table = table.updated(&records, &touched, &answering, 2, turns_now);
                turns.take_back(generation - 1, std::mem::replace(&mut table, next_table));
                world = next;
            });
        });
        let octets = table.byte_count();
        println!(
            "{tasks} tasks: {} names in {octets} octets",
            table.name_count()
        );
    }
    group.finish();
}

criterion_group!(benches, compile);
criterion_main!(benches);
