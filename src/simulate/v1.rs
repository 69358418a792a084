//! The made-up cluster in the shapes of a master's v1 API: ids as `{"value"}`, resources as lists,
//! statuses in full, no framework's pid. In: a View. Out: JSON, written to whatever takes text, piece
//! by piece. It must name the same tasks, agents and frameworks as `/state`.

use std::fmt::{Result, Write};

use super::changes::Update;
use super::cluster::{App, Cluster, Framework, Task, TaskState};
use super::document::{last_update, separated, write_health, write_networks};
use super::plan::IdStyle;
use super::text::{
    Base64, ExecutorId, Json, TaskId, Uuid, container, container_id, state_name, write_discovery,
};
use super::view::{DOMAIN, Domain, MasterInfo, VERSION, View};

/// The value of `get_state`, which SUBSCRIBED holds too.
pub fn write_state(out: &mut impl Write, view: &View) -> Result {
    let cluster = &view.cluster;
    out.write_str(r#"{"get_tasks":{"tasks":["#)?;
    separated(out, view.tasks(None, false), |out, (app, task)| {
        write_task(out, cluster, app, task, Depth::Full)
    })?;
    out.write_str(r#"],"unreachable_tasks":["#)?;
    separated(out, view.tasks(None, true), |out, (app, task)| {
        write_task(out, cluster, app, task, Depth::Full)
    })?;
    out.write_str(r#"],"completed_tasks":["#)?;
    separated(out, view.ended(), |out, (app, task)| {
        write_task(out, cluster, app, task, Depth::Full)
    })?;
    out.write_str(r#"]},"get_executors":{"executors":[]},"get_frameworks":"#)?;
    write_frameworks(out, view)?;
    out.write_str(r#","get_agents":"#)?;
    write_agents(out, view)?;
    out.write_char('}')
}

/// The value of `get_frameworks`.
pub fn write_frameworks(out: &mut impl Write, view: &View) -> Result {
    let mut before = r#"{"frameworks":["#;
    for removed in [false, true] {
        out.write_str(before)?;
        separated(out, view.frameworks(removed), |out, (index, framework)| {
            write_framework(out, &view.cluster, index, framework, Depth::Full)
        })?;
        before = r#"],"completed_frameworks":["#;
    }
    out.write_str("]}")
}

/// The value of `get_agents`.
pub fn write_agents(out: &mut impl Write, view: &View) -> Result {
    out.write_str(r#"{"agents":["#)?;
    separated(out, view.agents(), |out, index| {
        write_agent(out, &view.cluster, index, Depth::Full)
    })?;
    out.write_str(r#"],"recovered_agents":["#)?;
    separated(out, view.recovered_agents(), |out, index| {
        write_agent_info(out, &view.cluster, index, Depth::Full)
    })?;
    out.write_str("]}")
}

/// The value of `get_master`.
pub fn write_master(out: &mut impl Write, master: &MasterInfo) -> Result {
    let (id, address, host, ip) = (
        &master.id,
        master.address,
        master.hostname(),
        master.ip_number(),
    );
    let port = address.port();
    write!(
        out,
        r#"{{"master_info":{{"id":"{id}","ip":{ip},"port":{port},"pid":"master@{address}","hostname":"{host}","version":"{VERSION}","address":{{"hostname":"{host}","ip":"{host}","port":{port}}},"domain":{DOMAIN},"capabilities":[{{"type":"AGENT_UPDATE"}},{{"type":"AGENT_DRAINING"}},{{"type":"QUOTA_V2"}}]}},"start_time":{:?},"elected_time":{:?}}}"#,
        master.start_time, master.elected_time
    )
}

/// How much is said of something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// As the event has it that adds it.
    Added,
    /// As GET_STATE has it.
    Full,
}

/// An agent that is registered.
pub fn write_agent(out: &mut impl Write, cluster: &Cluster, index: u32, depth: Depth) -> Result {
    let agent = &cluster.agents[index as usize];
    out.write_str(r#"{"agent_info":"#)?;
    write_agent_info(out, cluster, index, depth)?;
    write!(
        out,
        r#","active":true,"deactivated":false,"version":"{VERSION}","pid":"slave(1)@{}:5051","registered_time":{{"nanoseconds":1767225602250000000}}"#,
        agent.address
    )?;
    if let Some(time) = agent.reregistered {
        write!(
            out,
            r#","reregistered_time":{{"nanoseconds":{time}250000000}}"#
        )?;
    }
    out.write_str(r#","total_resources":["#)?;
    write_agent_resources(out, r#","role":"*""#)?;
    out.write_str(r#"],"allocated_resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":4.0},"role":"*","allocation_info":{"role":"*"}},{"name":"mem","type":"SCALAR","scalar":{"value":4096.0},"role":"*","allocation_info":{"role":"*"}},{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31000,"end":31003}]},"role":"*","allocation_info":{"role":"*"}}],"capabilities":[{"type":"MULTI_ROLE"},{"type":"HIERARCHICAL_ROLE"},{"type":"AGENT_DRAINING"}]}"#)
}

fn write_agent_info(out: &mut impl Write, cluster: &Cluster, index: u32, depth: Depth) -> Result {
    write!(
        out,
        r#"{{"hostname":"agent-{index}.example.internal","port":5051,"resources":["#
    )?;
    write_agent_resources(out, "")?;
    write!(
        out,
        r#"],"attributes":[{{"name":"rack","type":"TEXT","text":{{"value":"r{}"}}}}],"id":{{"value":"{}-S{index}"}},"domain":{}"#,
        index % 40,
        Uuid(cluster.id),
        Domain(&cluster.agents[index as usize])
    )?;
    out.write_str(match depth {
        Depth::Added => "}",
        Depth::Full => r#","checkpoint":true}"#,
    })
}

fn write_agent_resources(out: &mut impl Write, role: &str) -> Result {
    for (name, value) in [("cpus", "32.0"), ("mem", "128000.0"), ("disk", "900000.0")] {
        write!(
            out,
            r#"{{"name":"{name}","type":"SCALAR","scalar":{{"value":{value}}}{role}}},"#
        )?;
    }
    write!(
        out,
        r#"{{"name":"ports","type":"RANGES","ranges":{{"range":[{{"begin":31000,"end":32000}}]}}{role}}}"#
    )
}

pub fn write_framework(
    out: &mut impl Write,
    cluster: &Cluster,
    index: usize,
    framework: &Framework,
    depth: Depth,
) -> Result {
    let is_active = !framework.is_recovered && !framework.is_removed;
    // What the scheduler alone can say is 0 before it returned.
    let registered = if framework.is_recovered {
        "0"
    } else {
        "1767225603500000000"
    };
    out.write_str(r#"{"framework_info":"#)?;
    write_framework_info(out, cluster, index, framework)?;
    write!(
        out,
        r#","active":{is_active},"connected":{is_active},"recovered":{},"registered_time":{{"nanoseconds":{registered}}},"reregistered_time":{{"nanoseconds":"#,
        framework.is_recovered
    )?;
    match framework.reregistered {
        Some(time) => write!(out, "{time}500000000")?,
        None => out.write_str(registered)?,
    }
    out.write_char('}')?;
    if framework.is_removed || depth == Depth::Added {
        let unregistered = framework.unregistered;
        write!(
            out,
            r#","unregistered_time":{{"nanoseconds":{}}}"#,
            unregistered * 1_000_000_000
        )?;
    }
    if depth == Depth::Added {
        return out.write_char('}');
    }
    if !framework.is_removed {
        out.write_str(r#","allocated_resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":8.0},"role":"*","allocation_info":{"role":"*"}},{"name":"mem","type":"SCALAR","scalar":{"value":1024.0},"role":"*","allocation_info":{"role":"*"}}]"#)?;
    }
    out.write_str(r#","offer_constraints":{}}"#)
}

/// What FRAMEWORK_REMOVED has of a framework.
pub fn write_framework_info(
    out: &mut impl Write,
    cluster: &Cluster,
    index: usize,
    framework: &Framework,
) -> Result {
    write!(
        out,
        r#"{{"user":"root","name":"{}","id":{{"value":"{}-{index:04}"}},"failover_timeout":604800.0,"checkpoint":true,"roles":["*"],"#,
        Json(&framework.name),
        Uuid(cluster.id)
    )?;
    if !framework.hostname.is_empty() {
        write!(out, r#""hostname":"{}","#, Json(&framework.hostname))?;
    }
    write!(
        out,
        r#""webui_url":"{}","capabilities":[{{"type":"MULTI_ROLE"}},{{"type":"PARTITION_AWARE"}},{{"type":"TASK_KILLING_STATE"}}]}}"#,
        framework.webui_url()
    )
}

pub fn write_task(
    out: &mut impl Write,
    cluster: &Cluster,
    app: &App,
    task: &Task,
    depth: Depth,
) -> Result {
    let plan = &app.plan;
    let cluster_id = Uuid(cluster.id);
    write!(
        out,
        r#"{{"name":"{}","task_id":{{"value":"{}"}},"framework_id":{{"value":"{cluster_id}-{:04}"}},"#,
        Json(&plan.name),
        TaskId(app, task),
        plan.framework
    )?;
    if plan.style == IdStyle::Pod {
        write!(out, r#""executor_id":{{"value":"{}"}},"#, ExecutorId(task))?;
    }
    write!(
        out,
        r#""agent_id":{{"value":"{cluster_id}-S{}"}},"state":"{}","resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":{:?}}},"allocation_info":{{"role":"*"}}}},{{"name":"mem","type":"SCALAR","scalar":{{"value":{}.0}},"allocation_info":{{"role":"*"}}}}"#,
        task.agent,
        state_name(task.state),
        plan.cpus,
        plan.mem_mb
    )?;
    if plan.ports > 0 {
        let last = task.port + u16::from(plan.ports) - 1;
        write!(
            out,
            r#",{{"name":"ports","type":"RANGES","ranges":{{"range":[{{"begin":{},"end":{last}}}]}},"allocation_info":{{"role":"*"}}}}"#,
            task.port
        )?;
    }
    out.write_char(']')?;
    write_statuses(out, cluster, app, task, depth)?;
    if plan.framework == 0 && !task.is_hungry() {
        out.write_str(r#","labels":{"labels":[{"key":"team","value":"a"}]}"#)?;
    }
    if plan.has_discovery {
        write_discovery(out, app, task)?;
    }
    out.write_str(container(app))?;
    out.write_char('}')
}

/// The member `statuses`; protobuf leaves an empty list out.
fn write_statuses(
    out: &mut impl Write,
    cluster: &Cluster,
    app: &App,
    task: &Task,
    depth: Depth,
) -> Result {
    if task.state == TaskState::Staging {
        return Ok(());
    }
    let last = last_update(cluster, app, task);
    let first = [Update::Starting, Update::Running]
        .into_iter()
        .filter(|_| !task.is_hungry());
    out.write_str(r#","statuses":["#)?;
    separated(out, first.chain(last), |out, update| {
        write_status(out, cluster, app, task, update)
    })?;
    out.write_char(']')?;
    if depth == Depth::Added || task.is_hungry() {
        return Ok(());
    }
    let said = match last {
        Some(Update::Killed) => Update::Killed,
        _ => Update::Running,
    };
    write!(
        out,
        r#","status_update_state":"{}","status_update_uuid":"{}""#,
        said.state_name(),
        status_uuid(task, said)
    )
}

/// A status as TASK_UPDATED has it too: of the executor, or of the master.
pub fn write_status(
    out: &mut impl Write,
    cluster: &Cluster,
    app: &App,
    task: &Task,
    update: Update,
) -> Result {
    write!(
        out,
        r#"{{"task_id":{{"value":"{}"}},"state":"{}","#,
        TaskId(app, task),
        update.state_name()
    )?;
    let reason = match update {
        Update::Starting | Update::Running => None,
        Update::Killed => {
            out.write_str(r#""message":"Command terminated with signal Terminated","#)?;
            None
        }
        Update::AgentUnreachable => {
            out.write_str(r#""message":"health check timed out","#)?;
            Some("REASON_AGENT_REMOVED")
        }
        Update::AgentRemoved => {
            write!(
                out,
                r#""message":"Agent agent-{}.example.internal removed: the agent unregistered","#,
                task.agent
            )?;
            Some("REASON_AGENT_REMOVED")
        }
        Update::FrameworkRemoved => {
            write!(
                out,
                r#""message":"Framework {}-{:04} removed","#,
                Uuid(cluster.id),
                app.plan.framework
            )?;
            Some("REASON_FRAMEWORK_REMOVED")
        }
    };
    match reason {
        Some(reason) => write!(out, r#""source":"SOURCE_MASTER","reason":"{reason}","#)?,
        None => out.write_str(r#""source":"SOURCE_EXECUTOR","#)?,
    }
    write!(
        out,
        r#""agent_id":{{"value":"{}-S{}"}},"#,
        Uuid(cluster.id),
        task.agent
    )?;
    match reason {
        Some(_) => write_master_rest(out, app, task, update),
        None => write_executor_rest(out, cluster, app, task, update),
    }
}

fn write_master_rest(out: &mut impl Write, app: &App, task: &Task, update: Update) -> Result {
    if app.plan.style == IdStyle::Pod {
        write!(out, r#""executor_id":{{"value":"{}"}},"#, ExecutorId(task))?;
    }
    write!(out, r#""timestamp":{}"#, update.timestamp(task))?;
    if update == Update::AgentUnreachable {
        write!(
            out,
            r#","unreachable_time":{{"nanoseconds":{}500000000}}"#,
            task.changed
        )?;
    }
    out.write_char('}')
}

fn write_executor_rest(
    out: &mut impl Write,
    cluster: &Cluster,
    app: &App,
    task: &Task,
    update: Update,
) -> Result {
    // A command's executor has the task's id.
    match app.plan.style {
        IdStyle::Pod => write!(out, r#""executor_id":{{"value":"{}"}}"#, ExecutorId(task))?,
        _ => write!(out, r#""executor_id":{{"value":"{}"}}"#, TaskId(app, task))?,
    }
    write!(
        out,
        r#","timestamp":{},"uuid":"{}","container_status":{{"container_id":{{"value":"{}"}}"#,
        update.timestamp(task),
        status_uuid(task, update),
        container_id(task)
    )?;
    // The networks of a pod's container are not known before it runs.
    if app.plan.style != IdStyle::Pod || update != Update::Starting {
        write_networks(out, cluster, task)?;
    }
    out.write_str(r#","executor_pid":1000}"#)?;
    if update == Update::Running && task.healthy.is_some() {
        out.write_str(r#","reason":"REASON_TASK_HEALTH_CHECK_STATUS_UPDATED""#)?;
    }
    write_health(out, task, update)?;
    out.write_char('}')
}

/// Another for each status of a task.
fn status_uuid(task: &Task, update: Update) -> Base64 {
    Base64(task.instance ^ u128::from(update as u8) << 64)
}
