//! Reading a master's state document of 1,000, 10,000 and 100,000 tasks from memory, and adopting
//! it where nothing changed. `cargo bench --bench state`; pin it to one core for steady figures.

use std::fmt::Write;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rollcall::mesos::state::read_state;

/// A document like those of real masters, about 1.1 KB a task; the same for the same count.
fn document(task_count: usize) -> String {
    let agent_count = task_count.div_ceil(20);
    let mut text =
        String::from(r#"{"version":"1.11.0","leader":"master@127.0.0.1:5050","slaves":["#);
    for agent in 0..agent_count {
        let comma = if agent == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"id":"7c9d2f4e-5a1b-4c3d-8e6f-0a1b2c3d4e5f-S{agent}","pid":"slave(1)@10.0.{}.{}:5051","hostname":"agent-{agent}.example.com","registered_time":1700000000.5,"active":true,"version":"1.11.0","capabilities":["MULTI_ROLE","HIERARCHICAL_ROLE"],"resources":{{"cpus":32.0,"mem":128000.0,"disk":900000.0,"gpus":0.0,"ports":"[31000-32000]"}},"attributes":{{"rack":"r{}"}}}}"#,
            agent / 250,
            agent % 250 + 1,
            agent % 40
        );
    }
    text.push_str(r#"],"frameworks":[{"id":"7c9d2f4e-5a1b-4c3d-8e6f-0a1b2c3d4e5f-0000","name":"marathon","pid":"scheduler-1@10.200.0.1:9000","hostname":"fw.example.com","active":true,"role":"*","tasks":["#);
    for task in 0..task_count {
        let comma = if task == 0 { "" } else { "," };
        write_task(&mut text, comma, task, agent_count);
    }
    text.push_str(r#"],"completed_tasks":[],"unreachable_tasks":[]}],"completed_frameworks":[],"orphan_tasks":[]}"#);
    text
}

fn write_task(text: &mut String, comma: &str, task: usize, agent_count: usize) {
    let app = task / 4;
    let name = format!("app{app}.group{}", app % 50);
    let id = format!(
        "app{app}_group{}.{:08x}-1a2b-4c3d-8e6f-{task:012x}",
        app % 50,
        task * 40_503
    );
    // Another step than 1, so that neighbours run on different agents.
    let agent = task * 7919 % agent_count;
    let port = 31000 + task % 1000;
    let address = format!(
        "172.{}.{}.{}",
        16 + task / 65536,
        task / 256 % 256,
        task % 256
    );
    let _ = write!(
        text,
        r#"{comma}{{"id":"{id}","name":"{name}","framework_id":"marathon","executor_id":"","slave_id":"7c9d2f4e-5a1b-4c3d-8e6f-0a1b2c3d4e5f-S{agent}","state":"TASK_RUNNING","resources":{{"cpus":0.5,"mem":256.0,"disk":0.0,"gpus":0.0,"ports":"[{port}-{}]"}},"role":"slave_public","statuses":["#,
        port + 1
    );
    for (comma, state, timestamp) in [("", "TASK_STARTING", 0), (",", "TASK_RUNNING", 1)] {
        let _ = write!(
            text,
            r#"{comma}{{"state":"{state}","timestamp":17000000{timestamp}.25,"container_status":{{"container_id":{{"value":"5f0e9d8c-1a2b-4c3d-8e6f-{task:012x}"}},"network_infos":[{{"ip_addresses":[{{"ip_address":"{address}","protocol":"IPv4"}}],"name":"dcos"}}]}}}}"#
        );
    }
    text.push_str(r#"],"labels":[{"key":"HAPROXY_GROUP","value":"external"}],"container":{"type":"DOCKER","docker":{"image":"nginx:1.25","network":"USER","privileged":false,"force_pull_image":false}}"#);
    if app.is_multiple_of(2) {
        let _ = write!(
            text,
            r#","discovery":{{"visibility":"FRAMEWORK","name":"{name}","ports":{{"ports":[{{"number":{port},"name":"http","protocol":"tcp"}},{{"number":{},"name":"metrics","protocol":"tcp"}}]}}}}"#,
            port + 1
        );
    }
    text.push('}');
}

fn state(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state");
    group.sample_size(10);
    for task_count in [1_000, 10_000, 100_000] {
        let text = document(task_count);
        let read = || read_state(text.as_bytes(), u64::MAX).expect("the document is good");
        let old = read().cluster;
        assert_eq!(old.tasks.len(), task_count);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("read", task_count), |bencher| {
            bencher.iter_with_large_drop(read);
        });
        group.bench_function(BenchmarkId::new("adopt", task_count), |bencher| {
            let adopt = |mut new: rollcall::mesos::cluster::Cluster| new.adopt(&old);
            bencher.iter_batched(|| read().cluster, adopt, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, state);
criterion_main!(benches);
