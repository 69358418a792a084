//! Tests of the simulated master over real sockets: a client of their own that knows HTTP, chunks and
//! RecordIO, and a cluster put together from what streams say. In: a Simulator. Out: JSON values.

mod changes;
mod election;
mod faults;
mod master;
mod streams;
mod terms;
mod tls;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use rollcall::simulate::{SimulateOptions, Simulator};

use crate::support::{DEADLINE, wait_until};

fn start(options: SimulateOptions) -> Simulator {
    Simulator::start(&options).expect("a simulated master")
}

/// An answer: its status, its head and its body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head))
    }
}

/// Sends a request as it is, and reads the answer to the end of the connection.
fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("write");
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).expect("read");
    answer_of(octets)
}

fn answer_of(mut octets: Vec<u8>) -> Answer {
    let end = octets
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head");
    let body = octets.split_off(end + 4);
    let head = String::from_utf8(octets).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.expect("a status"),
        head,
        body,
    }
}

/// A GET with more fields, each with its line end.
fn get(address: SocketAddr, path: &str, fields: &str) -> Answer {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"),
    )
}

/// A call of the v1 API as Rollcall sends it.
fn call(address: SocketAddr, kind: &str, fields: &str) -> Answer {
    let fields = format!("Content-Type: application/json\r\nAccept: application/json\r\n{fields}");
    post(
        address,
        "/api/v1",
        &fields,
        &format!(r#"{{"type":"{kind}"}}"#),
    )
}

fn post(address: SocketAddr, path: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    ask(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ),
    )
}

/// A request of `/simulate/...`, which must be granted.
fn control(address: SocketAddr, path: &str) -> Value {
    let answer = post(address, &format!("/simulate/{path}"), "", "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// A subscriber.
struct Subscription {
    reader: BufReader<TcpStream>,
    head: String,
}

impl Subscription {
    fn open(address: SocketAddr) -> Self {
        Self::open_with(address, "")
    }

    fn open_with(address: SocketAddr, fields: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        write!(
            stream,
            "POST /api/v1 HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n{fields}Content-Length: 20\r\n\r\n{{\"type\":\"SUBSCRIBE\"}}"
        )
        .expect("write");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = reader.read_line(&mut head).expect("a head");
            assert!(read > 0, "the connection ends within {head:?}");
        }
        Self { reader, head }
    }

    /// The next chunk; `None` at the end of the connection.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's length");
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk).ok()?;
        assert_eq!(chunk.split_off(length), b"\r\n");
        Some(chunk)
    }

    /// The next record; `None` at the end of the connection.
    fn record(&mut self) -> Option<Value> {
        let chunk = self.chunk()?;
        let text = String::from_utf8(chunk).expect("text");
        let (length, json) = text.split_once('\n').expect("a length");
        assert_eq!(length.parse::<usize>().ok(), Some(json.len()));
        Some(serde_json::from_str(json).expect("JSON"))
    }

    /// The next record that is no heartbeat.
    fn event(&mut self) -> Value {
        loop {
            let record = self.record().expect("the stream goes on");
            if record["type"] != "HEARTBEAT" {
                return record;
            }
        }
    }

    /// So many events' types, TASK_UPDATED with its state.
    fn kinds(&mut self, count: usize) -> Vec<String> {
        let kind = |event: Value| match event["task_updated"]["state"].as_str() {
            Some(state) => format!("TASK_UPDATED {state}"),
            None => event["type"].as_str().expect("a type").to_owned(),
        };
        (0..count).map(|_| kind(self.event())).collect()
    }
}

/// What a reader of documents or streams knows of a cluster, in text that can be compared.
#[derive(Clone, Default, PartialEq, Eq)]
struct Known {
    agents: BTreeMap<String, String>,
    frameworks: BTreeMap<String, String>,
    /// By framework and task.
    tasks: BTreeMap<(String, String), String>,
}

/// Short, since a failing test shows it.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (agents, frameworks, tasks) =
            (self.agents.len(), self.frameworks.len(), self.tasks.len());
        write!(f, "{agents} agents, {frameworks} frameworks, {tasks} tasks")
    }
}

impl Known {
    /// From `/state`.
    fn from_state(state: &Value) -> Self {
        let mut known = Self::default();
        for agent in list(&state["slaves"]) {
            known.agents.insert(text(&agent["id"]), text(&agent["pid"]));
        }
        for framework in list(&state["frameworks"]) {
            let id = text(&framework["id"]);
            let shown = format!("{} {}", framework["name"], framework["hostname"]);
            known.frameworks.insert(id.clone(), shown);
            for task in list(&framework["tasks"]) {
                let ports = task["resources"]["ports"].as_str().unwrap_or("[]");
                let last = task["statuses"].as_array().and_then(|all| all.last());
                let shown = shown_task(
                    &task["name"],
                    &text(&task["slave_id"]),
                    &text(&task["state"]),
                    ports,
                    &task["discovery"],
                    last,
                );
                known.tasks.insert((id.clone(), text(&task["id"])), shown);
            }
        }
        known
    }

    /// From GET_STATE, or from SUBSCRIBED.
    fn from_get_state(state: &Value) -> Self {
        let mut known = Self::default();
        for agent in list(&state["get_agents"]["agents"]) {
            known.add_agent(agent);
        }
        for framework in list(&state["get_frameworks"]["frameworks"]) {
            known.add_framework(framework);
        }
        for task in list(&state["get_tasks"]["tasks"]) {
            known.add_task(task);
        }
        known
    }

    /// What an event says, taken into account.
    fn apply(&mut self, event: &Value) {
        match event["type"].as_str().expect("a type") {
            "TASK_ADDED" => self.add_task(&event["task_added"]["task"]),
            "TASK_UPDATED" => self.update_task(&event["task_updated"]),
            "AGENT_ADDED" => self.add_agent(&event["agent_added"]["agent"]),
            "AGENT_REMOVED" => {
                let id = text(&event["agent_removed"]["agent_id"]["value"]);
                self.agents.remove(&id).expect("an agent that was there");
            }
            "FRAMEWORK_ADDED" => self.add_framework(&event["framework_added"]["framework"]),
            "FRAMEWORK_UPDATED" => self.add_framework(&event["framework_updated"]["framework"]),
            "FRAMEWORK_REMOVED" => {
                let info = &event["framework_removed"]["framework_info"];
                let id = text(&info["id"]["value"]);
                self.frameworks.remove(&id).expect("a framework");
            }
            kind => assert_eq!(kind, "HEARTBEAT"),
        }
    }

    fn add_agent(&mut self, agent: &Value) {
        let id = text(&agent["agent_info"]["id"]["value"]);
        self.agents.insert(id, text(&agent["pid"]));
    }

    fn add_framework(&mut self, framework: &Value) {
        let info = &framework["framework_info"];
        let hostname = info["hostname"].as_str().unwrap_or("");
        let shown = format!("{} \"{hostname}\"", info["name"]);
        self.frameworks.insert(text(&info["id"]["value"]), shown);
        assert!(framework["pid"].is_null() && info["pid"].is_null());
    }

    fn add_task(&mut self, task: &Value) {
        let resources = list(&task["resources"]);
        let ports = resources.iter().find(|one| one["name"] == "ports");
        let ranges = ports.map_or(&Value::Null, |ports| &ports["ranges"]["range"]);
        let ranges: Vec<_> = ranges.as_array().into_iter().flatten().collect();
        let ranges = ranges
            .iter()
            .map(|range| format!("{}-{}", range["begin"], range["end"]));
        let shown = shown_task(
            &task["name"],
            &text(&task["agent_id"]["value"]),
            &text(&task["state"]),
            &format!("[{}]", ranges.collect::<Vec<_>>().join(", ")),
            &task["discovery"],
            task["statuses"].as_array().and_then(|all| all.last()),
        );
        let framework = text(&task["framework_id"]["value"]);
        let key = (framework, text(&task["task_id"]["value"]));
        let replaced = self.tasks.insert(key, shown);
        assert_eq!(replaced, None, "TASK_ADDED of a task that is there");
    }

    fn update_task(&mut self, update: &Value) {
        let status = &update["status"];
        let framework = text(&update["framework_id"]["value"]);
        let key = (framework, text(&status["task_id"]["value"]));
        let state = text(&update["state"]);
        let old = self.tasks.remove(&key).expect("a task that was added");
        if !matches!(
            state.as_str(),
            "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING"
        ) {
            return;
        }
        // Name, agent, ports and discovery stay; state and addresses are the status's.
        let mut parts: Vec<_> = old.split('|').map(str::to_owned).collect();
        parts[2] = state;
        parts[5] = addresses(Some(status));
        self.tasks.insert(key, parts.join("|"));
    }
}

fn shown_task(
    name: &Value,
    agent: &str,
    state: &str,
    ports: &str,
    discovery: &Value,
    status: Option<&Value>,
) -> String {
    let addresses = addresses(status);
    format!("{name}|{agent}|{state}|{ports}|{discovery}|{addresses}")
}

fn addresses(status: Option<&Value>) -> String {
    let infos = status.map(|status| &status["container_status"]["network_infos"]);
    let infos = infos.and_then(Value::as_array).into_iter().flatten();
    let addresses = infos.flat_map(|info| list(&info["ip_addresses"]));
    let addresses: Vec<_> = addresses.map(|one| text(&one["ip_address"])).collect();
    addresses.join(",")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn state(simulator: &Simulator) -> Known {
    Known::from_state(&get(simulator.address(), "/state", "").json())
}

fn get_state(simulator: &Simulator) -> Known {
    let answer = call(simulator.address(), "GET_STATE", "").json();
    Known::from_get_state(&answer["get_state"])
}
