//! The records of a master's event stream. In: a Cluster's events. Out: `LENGTH`, a line end and JSON,
//! each record in an HTTP chunk of its own, as a real master sends them. PURE.

use std::fmt::{self, Write};

use super::changes::Event;
use super::cluster::Cluster;
use super::v1::{self, Depth};
use super::view::View;

/// Records for the two kinds of subscribers, ready for their sockets.
#[derive(Default)]
pub struct Batch {
    /// For those who see everything.
    pub full: Vec<u8>,
    /// For those who may see neither frameworks nor tasks: agents alone.
    pub blind: Vec<u8>,
}

impl Batch {
    /// The records of what just happened to this cluster.
    pub fn of(cluster: &Cluster, events: &[Event]) -> Self {
        let mut batch = Self::default();
        let mut json = String::new();
        for event in events {
            json.clear();
            // Writing to a String does not fail.
            let _ = write_event(&mut json, cluster, event);
            push_record(&mut batch.full, &json);
            if matches!(event, Event::AgentAdded(_) | Event::AgentRemoved(_)) {
                push_record(&mut batch.blind, &json);
            }
        }
        batch
    }
}

/// A record in its chunk.
pub fn push_record(out: &mut Vec<u8>, json: &str) {
    let length = json.len().to_string();
    push_chunk(out, format!("{length}\n{json}").as_bytes());
}

/// An HTTP chunk (RFC 9112, 7.1).
pub fn push_chunk(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", octets.len()).as_bytes());
    out.extend_from_slice(octets);
    out.extend_from_slice(b"\r\n");
}

/// The first record of a stream: the whole cluster. `heartbeat_seconds` is told where the master is
/// new enough to.
pub fn write_subscribed(
    out: &mut impl Write,
    view: &View,
    heartbeat_seconds: Option<f64>,
) -> fmt::Result {
    out.write_str(r#"{"type":"SUBSCRIBED","subscribed":{"get_state":"#)?;
    v1::write_state(out, view)?;
    if let Some(seconds) = heartbeat_seconds {
        write!(out, r#","heartbeat_interval_seconds":{seconds:?}"#)?;
    }
    out.write_str("}}")
}

pub const HEARTBEAT: &str = r#"{"type":"HEARTBEAT"}"#;

fn write_event(out: &mut String, cluster: &Cluster, event: &Event) -> fmt::Result {
    match event {
        Event::TaskAdded(task) => {
            let app = &cluster.apps[task.app as usize];
            out.push_str(r#"{"type":"TASK_ADDED","task_added":{"task":"#);
            v1::write_task(out, cluster, app, task, Depth::Added)?;
            out.push_str("}}");
        }
        Event::TaskUpdated(task, update) => {
            let app = &cluster.apps[task.app as usize];
            write!(
                out,
                r#"{{"type":"TASK_UPDATED","task_updated":{{"framework_id":{{"value":"{}-{:04}"}},"status":"#,
                super::text::Uuid(cluster.id),
                app.plan.framework
            )?;
            v1::write_status(out, cluster, app, task, *update)?;
            write!(out, r#","state":"{}"}}}}"#, update.state_name())?;
        }
        Event::AgentAdded(index) => {
            out.push_str(r#"{"type":"AGENT_ADDED","agent_added":{"agent":"#);
            v1::write_agent(out, cluster, *index, Depth::Added)?;
            out.push_str("}}");
        }
        Event::AgentRemoved(index) => write!(
            out,
            r#"{{"type":"AGENT_REMOVED","agent_removed":{{"agent_id":{{"value":"{}-S{index}"}}}}}}"#,
            super::text::Uuid(cluster.id)
        )?,
        Event::FrameworkAdded(index) => write_framework(out, cluster, "added", *index)?,
        Event::FrameworkUpdated(index) => write_framework(out, cluster, "updated", *index)?,
        Event::FrameworkRemoved(index) => {
            let framework = &cluster.frameworks[*index as usize];
            out.push_str(r#"{"type":"FRAMEWORK_REMOVED","framework_removed":{"framework_info":"#);
            v1::write_framework_info(out, cluster, *index as usize, framework)?;
            out.push_str("}}");
        }
    }
    Ok(())
}

fn write_framework(out: &mut String, cluster: &Cluster, what: &str, index: u32) -> fmt::Result {
    let framework = &cluster.frameworks[index as usize];
    write!(
        out,
        r#"{{"type":"FRAMEWORK_{}","framework_{what}":{{"framework":"#,
        what.to_ascii_uppercase()
    )?;
    v1::write_framework(out, cluster, index as usize, framework, Depth::Added)?;
    out.write_str("}}")
}
