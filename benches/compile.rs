//! Records and table: built from nothing for 1,000, 10,000 and 100,000 tasks, and one task changed.

mod common;

use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use rollcall::mesos::cluster::{AddressSource, Task, Tasks};
use rollcall::records::{RecordSet, World};
use rollcall::responses::table::ResponseTable;

/// The World with another address for one of its tasks.
fn moved(world: &World, address: u32) -> World {
    let mut tasks: Vec<Arc<Task>> = world.cluster.tasks.iter().cloned().collect();
    let mut task = Task::clone(&tasks[0]);
    task.addresses = [(AddressSource::NetInfo, address.to_be_bytes().into())].into();
    tasks[0] = Arc::new(task);
    let mut moved = world.clone();
    moved.cluster.tasks = Tasks::from_unsorted(tasks);
    moved.cluster.adopt(&world.cluster);
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
        let table = ResponseTable::build(&records, &answering, 1, 1);
        let worlds = [moved(&world, 0x0a00_0001), moved(&world, 0x0a00_0002)];
        records.update(&world, &worlds[0]);
        let mut now = 0;
        group.bench_function(BenchmarkId::new("one task moved", tasks), |bencher| {
            bencher.iter_batched(
                || {},
                |()| {
                    let touched = records.update(&worlds[now], &worlds[1 - now]);
                    now = 1 - now;
                    table.updated(&records, &touched, &answering, 2)
                },
                BatchSize::PerIteration,
            );
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
