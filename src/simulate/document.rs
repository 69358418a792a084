//! The `/state` document of the made-up cluster, with the keys, types and order of a real master's.
//! In: a Cluster and where its leader listens. Out: JSON text. It must never say the same thing
//! differently in two runs.

use std::fmt::Write;

use super::cluster::{App, Cluster, Task};
use super::plan::{Docker, FRAMEWORKS, IdStyle};

/// The document; `leader` is `HOST:PORT`.
pub fn state(cluster: &Cluster, leader: &str) -> String {
    let mut text = String::with_capacity(
        4_096 + cluster.agents.len() * 1_024 + cluster.tasks.len() * TASK_BYTES_TYPICAL,
    );
    // Writing to a String does not fail, so results are not looked at in this file.
    let _ = write_state(&mut text, cluster, leader);
    text
}

fn write_state(text: &mut String, cluster: &Cluster, leader: &str) -> std::fmt::Result {
    let id = Uuid(cluster.id);
    let (host, port) = leader.rsplit_once(':').unwrap_or((leader, "5050"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let agents = cluster.agents.len();
    write!(
        text,
        r#"{{"version":"{VERSION}","git_sha":"0000000000000000000000000000000000000000","build_date":"2026-01-01 00:00:00 UTC","build_time":1767225600.0,"build_user":"simulate","start_time":1767225600.0,"elected_time":1767225601.5,"id":"{id}","pid":"master@{leader}","hostname":"{host}","capabilities":["AGENT_UPDATE","AGENT_DRAINING","QUOTA_V2"],"activated_slaves":{agents}.0,"deactivated_slaves":0.0,"unreachable_slaves":0.0,"leader":"master@{leader}","leader_info":{{"id":"{id}","pid":"master@{leader}","port":{port},"hostname":"{host}"}},"cluster":"simulated","flags":{{"cluster":"simulated","port":"{port}","quiet":"false"}},"slaves":["#
    )?;
    for (index, agent) in cluster.agents.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(
            text,
            r#"{comma}{{"id":"{id}-S{index}","hostname":"agent-{index}.example.internal","port":5051,"attributes":{{"rack":"r{}"}},"pid":"slave(1)@{}:5051","registered_time":1767225602.25,"resources":{{"disk":900000.0,"mem":128000.0,"gpus":0.0,"cpus":32.0,"ports":"[31000-32000]"}},"used_resources":{{"disk":0.0,"mem":4096.0,"gpus":0.0,"cpus":4.0,"ports":"[31000-31003]"}},"offered_resources":{{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0}},"reserved_resources":{{}},"active":true,"deactivated":false,"version":"{VERSION}","capabilities":["MULTI_ROLE","HIERARCHICAL_ROLE","AGENT_DRAINING"]}}"#,
            index % 40,
            agent.address
        )?;
    }
    text.push_str(r#"],"recovered_slaves":[],"frameworks":["#);
    for index in 0..FRAMEWORKS.len() {
        if index > 0 {
            text.push(',');
        }
        write_framework(text, cluster, index)?;
    }
    text.push_str(r#"],"completed_frameworks":[],"orphan_tasks":[],"unregistered_frameworks":[]}"#);
    Ok(())
}

fn write_framework(text: &mut String, cluster: &Cluster, index: usize) -> std::fmt::Result {
    let framework = &FRAMEWORKS[index];
    let id = Uuid(cluster.id);
    write!(
        text,
        r#"{{"id":"{id}-{index:04}","name":"{}","#,
        framework.name
    )?;
    if let Some(pid) = framework.pid {
        write!(text, r#""pid":"{pid}","#)?;
    }
    write!(
        text,
        r#""used_resources":{{"disk":0.0,"mem":1024.0,"gpus":0.0,"cpus":8.0}},"offered_resources":{{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0}},"capabilities":["MULTI_ROLE","PARTITION_AWARE","TASK_KILLING_STATE"],"hostname":"{}","webui_url":"","active":true,"connected":true,"recovered":false,"user":"root","failover_timeout":604800.0,"checkpoint":true,"registered_time":1767225603.5,"unregistered_time":0.0,"roles":["*"],"tasks":["#,
        framework.hostname
    )?;
    let of_framework = |app: &&App| app.plan.framework == index;
    let mut comma = "";
    for app in cluster.apps.iter().filter(of_framework) {
        for &place in &app.tasks {
            text.push_str(comma);
            comma = ",";
            let task = &cluster.tasks[place as usize];
            write_task(text, cluster, app, task, State::Running)?;
        }
    }
    if index == 0 {
        // Every cluster has one that waits for a machine with enough memory.
        write!(
            text,
            r#"{comma}{{"id":"hungry.instance-0._app.1","name":"hungry","framework_id":"{id}-0000","executor_id":"","slave_id":"{id}-S0","state":"TASK_STAGING","resources":{{"disk":0.0,"mem":4096.0,"gpus":0.0,"cpus":4.0}},"role":"*","statuses":[]}}"#
        )?;
    }
    text.push_str(r#"],"unreachable_tasks":[],"completed_tasks":["#);
    comma = "";
    for task in &cluster.ended {
        let app = &cluster.apps[task.app as usize];
        if of_framework(&app) {
            text.push_str(comma);
            comma = ",";
            write_task(text, cluster, app, task, State::Finished)?;
        }
    }
    text.push_str(r#"],"offers":[],"executors":[],"offer_constraints":{}}"#);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Finished,
}

fn write_task(
    text: &mut String,
    cluster: &Cluster,
    app: &App,
    task: &Task,
    state: State,
) -> std::fmt::Result {
    let plan = &app.plan;
    let cluster_id = Uuid(cluster.id);
    text.push_str(r#"{"id":""#);
    write_task_id(text, app, task)?;
    write!(
        text,
        r#"","name":"{}","framework_id":"{cluster_id}-{:04}","executor_id":""#,
        plan.name, plan.framework
    )?;
    if plan.style == IdStyle::Pod {
        write!(text, "instance-shop_cart.{}", Uuid(task.instance))?;
    }
    let state_name = match state {
        State::Running => "TASK_RUNNING",
        State::Finished => "TASK_FINISHED",
    };
    write!(
        text,
        r#"","slave_id":"{cluster_id}-S{}","state":"{state_name}","resources":{{"disk":0.0,"mem":256.0,"gpus":0.0,"cpus":0.5"#,
        task.agent
    )?;
    if plan.ports > 0 {
        let last = task.port + u16::from(plan.ports) - 1;
        write!(text, r#","ports":"[{}-{last}]""#, task.port)?;
    }
    text.push_str(r#"},"role":"*","statuses":["#);
    write_status(text, cluster, task, "TASK_STARTING", 0)?;
    text.push(',');
    write_status(text, cluster, task, "TASK_RUNNING", 1)?;
    if state == State::Finished {
        text.push(',');
        write_status(text, cluster, task, state_name, 60)?;
    }
    text.push(']');
    if plan.framework == 0 {
        text.push_str(r#","labels":[{"key":"team","value":"a"}]"#);
    }
    if plan.has_discovery {
        write_discovery(text, app, task)?;
    }
    text.push_str(match plan.docker {
        Docker::None => "",
        Docker::Host => {
            r#","container":{"type":"DOCKER","docker":{"image":"example/app:1","network":"HOST","privileged":false}}"#
        }
        Docker::Bridge => {
            r#","container":{"type":"DOCKER","docker":{"image":"example/app:1","network":"BRIDGE","privileged":false}}"#
        }
        Docker::User => {
            r#","container":{"type":"DOCKER","docker":{"image":"example/app:1","network":"USER","privileged":false}}"#
        }
    });
    text.push('}');
    Ok(())
}

fn write_task_id(text: &mut String, app: &App, task: &Task) -> std::fmt::Result {
    let (name, instance) = (&app.plan.name, task.instance);
    match app.plan.style {
        IdStyle::Marathon => {
            // Marathon turns the path of the application's id around for the task's name.
            for (index, part) in name.rsplit('.').enumerate() {
                let separator = if index > 0 { "_" } else { "" };
                write!(text, "{separator}{}", part.replace('/', "_"))?;
            }
            write!(text, ".instance-{}._app.1", Uuid(instance))
        }
        IdStyle::Pod => write!(text, "shop_cart.instance-{}.{name}", Uuid(instance)),
        IdStyle::Chronos => write!(
            text,
            "ct:{}{:03}:0:{name}:",
            task.started,
            instance as u32 % 1_000
        ),
        IdStyle::Plain => write!(text, "{}", instance as u32),
    }
}

fn write_status(
    text: &mut String,
    cluster: &Cluster,
    task: &Task,
    state: &str,
    after_seconds: u64,
) -> std::fmt::Result {
    write!(
        text,
        r#"{{"state":"{state}","timestamp":{}.25,"container_status":{{"container_id":{{"value":"{}"}},"network_infos":[{{"ip_addresses":["#,
        task.started + after_seconds,
        Uuid(task.instance.rotate_left(64))
    )?;
    match task.container {
        Some(address) => write!(text, r#"{{"protocol":"IPv4","ip_address":"{address}"}}"#)?,
        // An agent fills in its own where nobody sets one.
        None => write!(
            text,
            r#"{{"protocol":"IPv4","ip_address":"{}"}}"#,
            cluster.agents[task.agent as usize].address
        )?,
    }
    if let Some(address) = task.container_v6 {
        write!(text, r#",{{"protocol":"IPv6","ip_address":"{address}"}}"#)?;
    }
    text.push_str("]}]}}");
    Ok(())
}

fn write_discovery(text: &mut String, app: &App, task: &Task) -> std::fmt::Result {
    write!(
        text,
        r#","discovery":{{"visibility":"FRAMEWORK","name":"{}","ports":{{"ports":["#,
        app.plan.name
    )?;
    for index in 0..app.plan.ports {
        let comma = if index > 0 { "," } else { "" };
        let number = task.port + u16::from(index);
        let name = app.plan.port_names.get(usize::from(index)).unwrap_or(&"");
        let protocol = if name == &"metrics" { "udp,tcp" } else { "tcp" };
        write!(text, r#"{comma}{{"number":{number}"#)?;
        if !name.is_empty() {
            write!(text, r#","name":"{name}""#)?;
        }
        write!(text, r#","protocol":"{protocol}"}}"#)?;
    }
    text.push_str("]}}");
    Ok(())
}

/// 128 bits as a UUID of version 4 is written.
struct Uuid(u128);

impl std::fmt::Display for Uuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let bits = self.0 & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let mut text = [b'-'; 36];
        let mut shift = 128;
        for (index, octet) in text.iter_mut().enumerate() {
            if ![8, 13, 18, 23].contains(&index) {
                shift -= 4;
                *octet = DIGITS[(bits >> shift) as usize & 15];
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Of the real ones: with a container, two statuses and discovery.
const TASK_BYTES_TYPICAL: usize = 1_100;
pub const VERSION: &str = "1.11.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_json_and_holds_every_task() {
        let cluster = Cluster::new(7, 300, 1);
        let text = state(&cluster, "127.0.0.1:5050");
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["slaves"].as_array().map(Vec::len), Some(7));
        assert_eq!(read["leader"], "master@127.0.0.1:5050");
        let mut running = std::collections::HashSet::new();
        for framework in read["frameworks"].as_array().expect("frameworks") {
            for task in framework["tasks"].as_array().expect("tasks") {
                if task["state"] == "TASK_RUNNING" {
                    let id = task["id"].as_str().expect("an id").to_owned();
                    assert!(running.insert((framework["id"].to_string(), id)));
                }
            }
        }
        assert_eq!(running.len(), 300);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let document = |seed| state(&Cluster::new(3, 50, seed), "127.0.0.1:5050");
        assert_eq!(document(5), document(5));
        assert_ne!(document(5), document(6));
    }

    #[test]
    fn ids_are_written_as_uuids() {
        let text = Uuid(u128::MAX).to_string();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
