//! The `/state` document of the made-up cluster, with the keys, types and order of a real master's.
//! In: a View. Out: JSON text. It must never say the same thing differently in two runs.

use std::fmt::Write;

use super::changes::Update;
use super::cluster::{App, Cluster, Framework, Task, TaskState};
use super::plan::IdStyle;
use super::text::{
    ExecutorId, Json, TaskId, Uuid, container, container_id, state_name, write_discovery,
};
use super::view::{DOMAIN, Domain, VERSION, View};

/// The document of a leader.
pub fn state(view: &View) -> String {
    let cluster = &view.cluster;
    let mut text = String::with_capacity(
        4_096 + cluster.agents.len() * 1_024 + cluster.tasks.len() * TASK_BYTES_TYPICAL,
    );
    // Writing to a String does not fail, so results are not looked at in this file.
    let _ = write_state(&mut text, view);
    text
}

fn write_state(text: &mut String, view: &View) -> std::fmt::Result {
    let master = &view.master;
    let (id, address, host, port) = (
        &master.id,
        master.address,
        master.hostname(),
        master.address.port(),
    );
    let (agents, unreachable) = (view.agents().count(), view.unreachable_agents());
    write!(
        text,
        r#"{{"version":"{VERSION}","git_sha":"0000000000000000000000000000000000000000","build_date":"2026-01-01 00:00:00 UTC","build_time":1767225600.0,"build_user":"simulate","start_time":{:?},"elected_time":{:?},"id":"{id}","pid":"master@{address}","hostname":"{host}","capabilities":["AGENT_UPDATE","AGENT_DRAINING","QUOTA_V2"],"activated_slaves":{agents}.0,"deactivated_slaves":0.0,"unreachable_slaves":{unreachable}.0,"domain":{DOMAIN},"leader":"master@{address}","leader_info":{{"id":"{id}","pid":"master@{address}","port":{port},"hostname":"{host}","domain":{DOMAIN}}},"cluster":"simulated","#,
        master.start_time, master.elected_time
    )?;
    // Who may not see frameworks may not see flags either.
    if !view.is_blind {
        write!(
            text,
            r#""flags":{{"cluster":"simulated","port":"{port}","quiet":"false"}},"#
        )?;
    }
    text.push_str(r#""slaves":["#);
    separated(text, view.agents(), |text, index| {
        text.push('{');
        write_agent_name(text, &view.cluster, index)?;
        write_agent_rest(text, &view.cluster, index)?;
        text.push('}');
        Ok(())
    })?;
    text.push_str(r#"],"recovered_slaves":["#);
    separated(text, view.recovered_agents(), |text, index| {
        text.push('{');
        write_agent_name(text, &view.cluster, index)?;
        write!(text, r#","domain":{DOMAIN}}}"#)
    })?;
    for (key, removed) in [("frameworks", false), ("completed_frameworks", true)] {
        write!(text, r#"],"{key}":["#)?;
        separated(
            text,
            view.frameworks(removed),
            |text, (index, framework)| write_framework(text, view, index, framework),
        )?;
    }
    text.push_str(r#"],"orphan_tasks":[],"unregistered_frameworks":[]}"#);
    Ok(())
}

/// What the registry knows of an agent, so that a new leader has it without having heard of it.
fn write_agent_name(text: &mut String, cluster: &Cluster, index: u32) -> std::fmt::Result {
    write!(
        text,
        r#""id":"{}-S{index}","hostname":"agent-{index}.example.internal","port":5051,"attributes":{{"rack":"r{}"}}"#,
        Uuid(cluster.id),
        index % 40
    )
}

/// What an agent says itself; also in `/state-summary`.
pub fn write_agent(text: &mut String, cluster: &Cluster, index: u32) -> std::fmt::Result {
    write_agent_name(text, cluster, index)?;
    write_agent_rest(text, cluster, index)
}

fn write_agent_rest(text: &mut String, cluster: &Cluster, index: u32) -> std::fmt::Result {
    let agent = &cluster.agents[index as usize];
    write!(
        text,
        r#","domain":{},"pid":"slave(1)@{}:5051","registered_time":1767225602.25,"#,
        Domain(agent),
        agent.address
    )?;
    if let Some(time) = agent.reregistered {
        write!(text, r#""reregistered_time":{time}.25,"#)?;
    }
    text.push_str(r#""resources":{"disk":900000.0,"mem":128000.0,"gpus":0.0,"cpus":32.0,"ports":"[31000-32000]"},"used_resources":{"disk":0.0,"mem":4096.0,"gpus":0.0,"cpus":4.0,"ports":"[31000-31003]"},"offered_resources":{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0},"reserved_resources":{},"active":true,"deactivated":false,"version":""#);
    text.push_str(VERSION);
    text.push_str(r#"","capabilities":["MULTI_ROLE","HIERARCHICAL_ROLE","AGENT_DRAINING"]"#);
    Ok(())
}

/// From the id to `recovered`, as it begins in `/state` and `/state-summary` alike.
pub fn write_framework_begin(
    text: &mut String,
    cluster: &Cluster,
    index: usize,
    framework: &Framework,
) -> std::fmt::Result {
    write!(
        text,
        r#""id":"{}-{index:04}","name":"{}","#,
        Uuid(cluster.id),
        Json(&framework.name)
    )?;
    // A framework that its tasks alone told of has no scheduler that the master could name.
    if let Some(pid) = framework.pid.as_ref().filter(|_| !framework.is_recovered) {
        write!(text, r#""pid":"{}","#, Json(pid))?;
    }
    let is_active = !framework.is_recovered && !framework.is_removed;
    write!(
        text,
        r#""used_resources":{{"disk":0.0,"mem":1024.0,"gpus":0.0,"cpus":8.0}},"offered_resources":{{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0}},"capabilities":["MULTI_ROLE","PARTITION_AWARE","TASK_KILLING_STATE"],"hostname":"{}","webui_url":"{}","active":{is_active},"connected":{is_active},"recovered":{}"#,
        Json(&framework.hostname),
        framework.webui_url(),
        framework.is_recovered
    )
}

fn write_framework(
    text: &mut String,
    view: &View,
    index: usize,
    framework: &Framework,
) -> std::fmt::Result {
    let cluster = &view.cluster;
    text.push('{');
    write_framework_begin(text, cluster, index, framework)?;
    let registered = if framework.is_recovered {
        "0.0"
    } else {
        "1767225603.5"
    };
    write!(
        text,
        r#","user":"root","failover_timeout":604800.0,"checkpoint":true,"registered_time":{registered},"unregistered_time":{}.0,"#,
        framework.unregistered
    )?;
    if let Some(time) = framework.reregistered {
        write!(text, r#""reregistered_time":{time}.5,"#)?;
    }
    text.push_str(r#""roles":["*"],"tasks":["#);
    let write = |text: &mut String, (app, task)| write_task(text, cluster, app, task);
    separated(text, view.tasks(Some(index), false), write)?;
    text.push_str(r#"],"unreachable_tasks":["#);
    separated(text, view.tasks(Some(index), true), write)?;
    text.push_str(r#"],"completed_tasks":["#);
    let ended = view.ended().filter(|(app, _)| app.plan.framework == index);
    separated(text, ended, write)?;
    text.push_str(r#"],"offers":[],"executors":[],"offer_constraints":{}}"#);
    Ok(())
}

/// Writes items with commas between them.
pub fn separated<W: Write, T>(
    out: &mut W,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut W, T) -> std::fmt::Result,
) -> std::fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.write_char(',')?;
        }
        write(out, item)?;
    }
    Ok(())
}

fn write_task(text: &mut String, cluster: &Cluster, app: &App, task: &Task) -> std::fmt::Result {
    let plan = &app.plan;
    let cluster_id = Uuid(cluster.id);
    write!(
        text,
        r#"{{"id":"{}","name":"{}","framework_id":"{cluster_id}-{:04}","executor_id":""#,
        TaskId(app, task),
        Json(&plan.name),
        plan.framework
    )?;
    if plan.style == IdStyle::Pod {
        write!(text, "{}", ExecutorId(task))?;
    }
    write!(
        text,
        r#"","slave_id":"{cluster_id}-S{}","state":"{}","resources":{{"disk":0.0,"mem":{}.0,"gpus":0.0,"cpus":{:?}"#,
        task.agent,
        state_name(task.state),
        plan.mem_mb,
        plan.cpus
    )?;
    if plan.ports > 0 {
        let last = task.port + u16::from(plan.ports) - 1;
        write!(text, r#","ports":"[{}-{last}]""#, task.port)?;
    }
    text.push_str(r#"},"role":"*","statuses":["#);
    write_statuses(text, cluster, app, task)?;
    text.push(']');
    if plan.framework == 0 && !task.is_hungry() {
        text.push_str(r#","labels":[{"key":"team","value":"a"}]"#);
    }
    if plan.has_discovery {
        write_discovery(text, app, task)?;
    }
    text.push_str(container(app));
    text.push('}');
    Ok(())
}

fn write_statuses(
    text: &mut String,
    cluster: &Cluster,
    app: &App,
    task: &Task,
) -> std::fmt::Result {
    if !task.is_hungry() {
        write_status(text, cluster, app, task, Update::Starting)?;
        text.push(',');
        write_status(text, cluster, app, task, Update::Running)?;
    }
    let Some(last) = last_update(cluster, app, task) else {
        return Ok(());
    };
    if !task.is_hungry() {
        text.push(',');
    }
    write_status(text, cluster, app, task, last)
}

/// Why a task neither waits nor runs.
pub fn last_update(cluster: &Cluster, app: &App, task: &Task) -> Option<Update> {
    Some(match task.state {
        TaskState::Staging | TaskState::Running => return None,
        TaskState::Unreachable => Update::AgentUnreachable,
        TaskState::Lost => Update::AgentRemoved,
        TaskState::Killed if cluster.frameworks[app.plan.framework].is_removed => {
            Update::FrameworkRemoved
        }
        TaskState::Killed => Update::Killed,
    })
}

fn write_status(
    text: &mut String,
    cluster: &Cluster,
    app: &App,
    task: &Task,
    update: Update,
) -> std::fmt::Result {
    write!(
        text,
        r#"{{"state":"{}","timestamp":{}"#,
        update.state_name(),
        update.timestamp(task)
    )?;
    if update.is_of_executor() {
        write!(
            text,
            r#","container_status":{{"container_id":{{"value":"{}"}}"#,
            container_id(task)
        )?;
        // The networks of a pod's container are not known before it runs.
        if app.plan.style != IdStyle::Pod || update != Update::Starting {
            write_networks(text, cluster, task)?;
        }
        text.push('}');
    }
    write_health(text, task, update)?;
    text.push('}');
    Ok(())
}

/// The member `healthy`, with a comma before it, where a health check says anything.
pub fn write_health(out: &mut impl Write, task: &Task, update: Update) -> std::fmt::Result {
    match task.healthy.filter(|_| update == Update::Running) {
        Some(healthy) => write!(out, r#","healthy":{healthy}"#),
        None => Ok(()),
    }
}

/// The member `network_infos`, with a comma before it: the same in `/state` and in the v1 API.
pub fn write_networks(out: &mut impl Write, cluster: &Cluster, task: &Task) -> std::fmt::Result {
    // An agent fills in its own address where nobody sets one.
    write!(
        out,
        r#","network_infos":[{{"ip_addresses":[{{"protocol":"IPv4","ip_address":"{}"}}"#,
        cluster.address(task)
    )?;
    if let Some(address) = task.container_v6 {
        write!(out, r#",{{"protocol":"IPv6","ip_address":"{address}"}}"#)?;
    }
    out.write_str("]}]")
}

/// Of the real ones: with a container, two statuses and discovery.
const TASK_BYTES_TYPICAL: usize = 1_100;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::view::MasterInfo;
    use super::*;

    fn view(cluster: Cluster) -> View {
        View {
            cluster,
            master: MasterInfo {
                id: "m1".to_owned(),
                address: SocketAddr::from(([127, 0, 0, 1], 5050)),
                start_time: 1.0,
                elected_time: 1.5,
            },
            is_empty: false,
            is_blind: false,
        }
    }

    #[test]
    fn document_is_json_and_holds_every_task() {
        let text = state(&view(Cluster::new(7, 300, 1)));
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
        let document = |seed| state(&view(Cluster::new(3, 50, seed)));
        assert_eq!(document(5), document(5));
        assert_ne!(document(5), document(6));
    }
}
