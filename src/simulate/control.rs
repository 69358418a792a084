//! `POST /simulate/...`: what tests ask of a simulated master and of no real one. In: a path and its
//! parameters. Out: the change or fault, and JSON that says what was done. It must never be there
//! where a real master is.

use std::io;

use serde_json::{Value, json};

use super::changes::ChangeError;
use super::cluster::Cluster;
use super::faults::{Scope, StateFault, StreamFault};
use super::http::{Head, JSON, Request, send};
use super::master::{Master, Role};
use super::simulator::Step;
use super::tls::Wire;
use crate::limits::SIMULATE_STEPS_MAX;

/// What a request is not granted for: a status and a sentence.
struct Refusal(u16, String);

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self(400, why.to_owned())
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        Self(409, error.to_string())
    }
}

pub fn answer(master: &Master, request: &Request, path: &str, wire: &mut Wire) -> io::Result<()> {
    let outcome = match (path, request.method.as_str()) {
        ("counts", _) => Ok(counts(master)),
        (_, "POST") => act(master, request, path),
        _ => Err(Refusal(405, "POST it".to_owned())),
    };
    let (status, value) = match outcome {
        Ok(value) => (200, value),
        Err(Refusal(status, why)) => (status, json!({ "error": why })),
    };
    let head = Head {
        status,
        fields: JSON,
    };
    send(wire, request, &head, value.to_string().as_bytes())
}

fn act(master: &Master, request: &Request, path: &str) -> Result<Value, Refusal> {
    match path {
        "step" => steps(master, request, |master| master.step()),
        "step-app" => {
            let name = request.parameter("name").ok_or("step-app needs name=APP")?;
            steps(master, request, |master| master.step_app(&name))
        }
        "agent" => agent(master, request),
        "health" => health(master, request),
        "framework" => framework(master, request),
        "stream" => {
            let name = request.parameter("do").ok_or("stream needs do=FAULT")?;
            let fault = StreamFault::named(&name, number_of_fault(request)?)?;
            let scope = match request.parameter("for") {
                Some(scope) => Scope::named(&scope)?,
                None => fault.scope(),
            };
            master.fault_streams(scope, fault);
            Ok(json!({ "do": name, "streams_open": master.counts().streams_open }))
        }
        "state" => {
            let name = request.parameter("do").ok_or("state needs do=FAULT")?;
            master.fault_state(StateFault::named(&name, number_of_fault(request)?)?);
            Ok(json!({ "do": name }))
        }
        "restart" => match master.restart() {
            true => Ok(json!({ "do": "restart" })),
            false => Err(Refusal(
                409,
                "only a master that leads without --zk restarts; kill the process".to_owned(),
            )),
        },
        _ => Err(Refusal(404, format!("there is no /simulate/{path}"))),
    }
}

fn number(request: &Request, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = request.parameter(name) else {
        return Ok(None);
    };
    let number = text.parse();
    number.map(Some).map_err(|_| {
        Refusal(
            400,
            format!("{name}={text} is no whole number; give one, as in {name}=1"),
        )
    })
}

/// The parameter of a fault has the name of what it is.
fn number_of_fault(request: &Request) -> Result<Option<u64>, Refusal> {
    for name in ["bytes", "ms", "status"] {
        if let Some(number) = number(request, name)? {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn steps(
    master: &Master,
    request: &Request,
    step: impl Fn(&Master) -> Option<Step>,
) -> Result<Value, Refusal> {
    let count = number(request, "count")?.unwrap_or(1) as usize;
    if count > SIMULATE_STEPS_MAX {
        return Err(Refusal(
            400,
            format!("count={count} is too many; ask for at most {SIMULATE_STEPS_MAX}"),
        ));
    }
    let mut done = Vec::new();
    for _ in 0..count {
        let Some(step) = step(master) else { break };
        done.push(json!({ "app": step.name, "old": step.old, "new": step.new }));
    }
    Ok(json!({ "steps": done }))
}

fn agent(master: &Master, request: &Request) -> Result<Value, Refusal> {
    let index = number(request, "index")?.ok_or("agent needs index=N")? as usize;
    let what = request.parameter("do");
    let change = match what.as_deref() {
        Some("lose") => Cluster::lose_agent,
        Some("return") => Cluster::return_agent,
        Some("remove") => Cluster::remove_agent,
        _ => return Err("do= is lose, return or remove".into()),
    };
    master.change(|cluster| change(cluster, index)).0?;
    Ok(json!({ "agent": index, "do": what }))
}

fn health(master: &Master, request: &Request) -> Result<Value, Refusal> {
    let app = request.parameter("app").ok_or("health needs app=APP")?;
    let instance = number(request, "instance")?.unwrap_or(0) as usize;
    let healthy = match request.parameter("is").as_deref() {
        Some("good") => Some(true),
        Some("bad") => Some(false),
        Some("unknown") => None,
        _ => return Err("is= is good, bad or unknown".into()),
    };
    let set = |cluster: &mut Cluster| cluster.set_health(&app, instance, healthy);
    master.change(set).0?;
    Ok(json!({ "app": app, "instance": instance, "healthy": healthy }))
}

fn framework(master: &Master, request: &Request) -> Result<Value, Refusal> {
    let what = request.parameter("do");
    if what.as_deref() == Some("add") {
        let name = request.parameter("name").ok_or("add needs name=NAME")?;
        let app = request.parameter("app").unwrap_or_else(|| "app".to_owned());
        let tasks = number(request, "tasks")?.unwrap_or(0) as usize;
        let add = |cluster: &mut Cluster| cluster.add_framework(&name, &app, tasks);
        let index = master.change(add).0?;
        return Ok(json!({ "framework": index, "do": what }));
    }
    let index = number(request, "index")?.ok_or("framework needs index=N")? as usize;
    let (hostname, pid) = (request.parameter("hostname"), request.parameter("pid"));
    let change = |cluster: &mut Cluster| match what.as_deref() {
        Some("tear-down") => Ok(cluster.tear_down(index)?),
        Some("update") => {
            Ok(cluster.update_framework(index, hostname.as_deref(), pid.as_deref())?)
        }
        _ => Err(Refusal::from("do= is add, tear-down or update")),
    };
    master.change(change).0?;
    Ok(json!({ "framework": index, "do": what }))
}

fn counts(master: &Master) -> Value {
    let counts = master.counts();
    let (role, leader) = match master.role() {
        Role::NoLeader => ("no-leader", None),
        Role::Follows(leader) => ("follows", Some(leader)),
        Role::RECOVERS => ("recovers", None),
        Role::Leads { .. } => ("leads", None),
    };
    json!({
        "requests": counts.requests,
        "unauthorized": counts.unauthorized,
        "subscribed": counts.subscribed,
        "streams_open": counts.streams_open,
        "id": master.info().id,
        "role": role,
        "leader": leader,
        "tasks_running": master.with_cluster(|cluster| cluster.running().count()),
        "agents_awaited": master.with_cluster(|cluster| cluster.awaited().count()),
    })
}
