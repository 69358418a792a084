//! The simulated master's HTTP side. In: connections. Out: what a real master answers, leading or not,
//! with whatever fault it was asked for. A tool for demonstrations, tests and benches: threads and
//! blocking I/O, and never more than `SIMULATE_CONNECTIONS_MAX` of them.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;

use super::faults::{GARBAGE, StateFault};
use super::http::{self, Head, Request, head_text, send, send_json, send_text};
use super::master::{Master, Role};
use super::options::Credentials;
use super::summary::summary;
use super::tls::Wire;
use super::view::VERSION;
use super::{api, control, document};
use crate::limits::{SIMULATE_CONNECTIONS_MAX, SIMULATE_IDLE_MS};

/// Takes connections until the stop.
pub fn accept(listener: &TcpListener, master: &Arc<Master>, tls: Option<&Arc<ServerConfig>>) {
    for socket in listener.incoming() {
        if master.is_stopping() {
            return;
        }
        let Ok(socket) = socket else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if master.connections() >= SIMULATE_CONNECTIONS_MAX {
            continue;
        }
        let Ok(id) = master.remember(&socket) else {
            continue;
        };
        let (of_thread, tls) = (Arc::clone(master), tls.cloned());
        let started = std::thread::Builder::new()
            .name("simulate-http".to_owned())
            .spawn(move || {
                // A client that goes away is no event.
                let _ = converse(&of_thread, socket, tls.as_ref());
                of_thread.forget(id);
            });
        if started.is_err() {
            master.forget(id);
        }
    }
}

fn converse(
    master: &Arc<Master>,
    socket: TcpStream,
    tls: Option<&Arc<ServerConfig>>,
) -> io::Result<()> {
    let idle = Duration::from_millis(SIMULATE_IDLE_MS);
    socket.set_read_timeout(Some(idle))?;
    socket.set_write_timeout(Some(idle))?;
    socket.set_nodelay(true)?;
    let beneath = socket.try_clone()?;
    let mut wire = BufReader::new(Wire::new(socket, tls)?);
    while !master.is_stopping() {
        let Some(request) = Request::read(&mut wire)? else {
            return Ok(());
        };
        match answer(master, &request, wire.get_mut())? {
            Next::Request if request.keep_alive => {}
            Next::Request | Next::HangUp => return Ok(()),
            Next::Stream { is_blind } => {
                return api::stream(master, &request, wire.into_inner(), beneath, is_blind);
            }
        }
    }
    Ok(())
}

/// What a connection does after a request.
pub enum Next {
    Request,
    HangUp,
    /// It becomes an event stream.
    Stream {
        is_blind: bool,
    },
}

fn answer(master: &Master, request: &Request, wire: &mut Wire) -> io::Result<Next> {
    if let Some(path) = request.path.strip_prefix("/simulate/") {
        control::answer(master, request, path, wire)?;
        return Ok(Next::Request);
    }
    let path = request.path.trim_end_matches('/');
    match path {
        "/api/v1" | "/master/api/v1" => return api::answer(master, request, wire),
        "/state" | "/master/state" => {
            master.count("state");
            return answer_state(master, request, wire);
        }
        "/state-summary" | "/master/state-summary" => {
            master.count("state-summary");
            let Some(is_blind) = admit(master, request, wire, "readonly", "state-summary")? else {
                return Ok(Next::Request);
            };
            let (_, view) = master.view(is_blind);
            send_json(wire, request, summary(&view).as_bytes())?;
        }
        "/redirect" | "/master/redirect" => {
            master.count("redirect");
            answer_redirect(master, request, wire)?;
        }
        "/health" | "/master/health" => {
            master.count("health");
            let head = Head {
                status: 200,
                fields: "",
            };
            send(wire, request, &head, b"")?;
        }
        "/version" => {
            master.count("version");
            send_json(wire, request, version().as_bytes())?;
        }
        // Today's masters have no state.json any more; this is their answer to it.
        _ => {
            master.count("other");
            send_text(wire, request, 404, "404 Not Found.")?;
        }
    }
    Ok(Next::Request)
}

/// Build information, as `/version` and GET_VERSION have it.
pub fn version() -> String {
    format!(
        r#"{{"build_date":"2026-01-01 00:00:00 UTC","build_time":1767225600.0,"build_user":"simulate","git_sha":"0000000000000000000000000000000000000000","version":"{VERSION}"}}"#
    )
}

/// Lets a request pass to this master as the leader. `None`: it was answered, 401, 307 or 503. Else
/// whether its principal is blind. `path` is that of the leader below `/master`.
pub fn admit(
    master: &Master,
    request: &Request,
    wire: &mut Wire,
    realm: &str,
    path: &str,
) -> io::Result<Option<bool>> {
    let Some(is_blind) = principal(master, request) else {
        master.count_unauthorized();
        let fields = format!(
            "WWW-Authenticate: Basic realm=\"mesos-master-{realm}\"\r\n{}",
            http::TEXT
        );
        let head = Head {
            status: 401,
            fields: &fields,
        };
        send(wire, request, &head, b"401 Unauthorized.")?;
        return Ok(None);
    };
    match master.role() {
        Role::Leads { .. } => return Ok(Some(is_blind)),
        Role::NoLeader => send_text(wire, request, 503, NO_LEADER)?,
        Role::Follows(leader) => {
            let query = match request.query.as_str() {
                "" => String::new(),
                query => format!("?{query}"),
            };
            let fields = format!("Location: //{leader}/master/{path}{query}\r\n");
            let head = Head {
                status: 307,
                fields: &fields,
            };
            send(wire, request, &head, b"")?;
        }
    }
    Ok(None)
}

/// `None`: nobody that is let in. Else whether it is the blind one.
fn principal(master: &Master, request: &Request) -> Option<bool> {
    let options = &master.options;
    if options.credentials.is_none() && options.blind.is_none() {
        return Some(false);
    }
    let given = request.authorization.as_deref()?;
    let is = |credentials: &Option<Credentials>| {
        credentials.as_ref().is_some_and(|credentials| {
            let pair = format!("{}:{}", credentials.name, credentials.password);
            given == format!("Basic {}", STANDARD.encode(pair))
        })
    };
    if is(&options.credentials) {
        return Some(false);
    }
    is(&options.blind).then_some(true)
}

fn answer_redirect(master: &Master, request: &Request, wire: &mut Wire) -> io::Result<()> {
    let leader = match master.role() {
        Role::NoLeader => return send_text(wire, request, 503, NO_LEADER),
        Role::Follows(leader) => leader,
        Role::Leads { .. } => master.info().address.to_string(),
    };
    let fields = format!("Location: //{leader}\r\n");
    let head = Head {
        status: 307,
        fields: &fields,
    };
    send(wire, request, &head, b"")
}

fn answer_state(master: &Master, request: &Request, wire: &mut Wire) -> io::Result<Next> {
    let fault = master.state_fault();
    if fault == StateFault::HangUp {
        return Ok(Next::HangUp);
    }
    let Some(is_blind) = admit(master, request, wire, "readonly", "state")? else {
        return Ok(Next::Request);
    };
    match fault {
        StateFault::Status(status) => {
            let text = format!("{status} {}.", http::reason(status));
            send_text(wire, request, status, &text)?;
            return Ok(Next::Request);
        }
        StateFault::Garbage => {
            send_json(wire, request, GARBAGE.as_bytes())?;
            return Ok(Next::Request);
        }
        StateFault::Slow(pause) => std::thread::sleep(pause),
        _ => {}
    }
    if fault == StateFault::Empty || is_blind {
        let (_, mut view) = master.view(is_blind);
        view.is_empty |= fault == StateFault::Empty;
        send_json(wire, request, document::state(&view).as_bytes())?;
        return Ok(Next::Request);
    }
    let document = master.documents.present(master, request.takes_gzip)?;
    let head = Head {
        status: 200,
        fields: match request.takes_gzip {
            true => http::JSON_GZIP,
            false => http::JSON,
        },
    };
    if fault == StateFault::Cut {
        wire.write_all(head_text(request, &head, document.len()).as_bytes())?;
        wire.write_all(document.get(..document.len() / 2).unwrap_or_default())?;
        wire.flush()?;
        return Ok(Next::HangUp);
    }
    send(wire, request, &head, &document)?;
    Ok(Next::Request)
}

pub const NO_LEADER: &str = "No leader elected";
