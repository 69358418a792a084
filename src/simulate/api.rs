//! The v1 operator API. In: requests to `/api/v1`. Out: a real master's answers and refusals, in its
//! order of looking, and event streams. It must never answer a call that a real master refuses.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use super::faults::StreamFault;
use super::http::{self, Head, Request, send, send_json, send_text};
use super::master::{Master, Role};
use super::options::Stream;
use super::server::{NO_LEADER, Next, admit, version};
use super::stream::Opening;
use super::tls::Wire;
use super::v1;
use super::view::View;

/// The calls that are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    GetMaster,
    GetState,
    GetHealth,
    GetVersion,
    GetAgents,
    GetFrameworks,
    Subscribe,
}

const CALLS: [(&str, Call); 7] = [
    ("GET_MASTER", Call::GetMaster),
    ("GET_STATE", Call::GetState),
    ("GET_HEALTH", Call::GetHealth),
    ("GET_VERSION", Call::GetVersion),
    ("GET_AGENTS", Call::GetAgents),
    ("GET_FRAMEWORKS", Call::GetFrameworks),
    ("SUBSCRIBE", Call::Subscribe),
];

/// Why a body is no call; the text is a real master's.
enum BadBody {
    Json,
    Type,
}

pub fn answer(master: &Master, request: &Request, wire: &mut Wire) -> io::Result<Next> {
    let call = read_call(&request.body);
    let kind = call.as_ref().map_or("bad-call", |(name, _)| name);
    master.count(kind);
    if master.options.stream == Stream::None {
        send_text(wire, request, 404, "404 Not Found.")?;
        return Ok(Next::Request);
    }
    let is_subscribe = matches!(call, Ok((_, Call::Subscribe)));
    if is_subscribe {
        match master.new_streams() {
            StreamFault::HangUp => return Ok(Next::HangUp),
            StreamFault::Refuse(status) => {
                let text = format!("{status} {}.", http::reason(status));
                send_text(wire, request, status, &text)?;
                return Ok(Next::Request);
            }
            _ => {}
        }
    }
    // The order is that of `Master::Http::api`.
    let Some(is_blind) = admit(master, request, wire, "readwrite", "api/v1")? else {
        return Ok(Next::Request);
    };
    if master.role() == Role::RECOVERS {
        send_text(wire, request, 503, NOT_RECOVERED)?;
        return Ok(Next::Request);
    }
    let call = match checked(request, call) {
        Ok(call) => call,
        Err((status, text)) => {
            refuse(wire, request, status, &text)?;
            return Ok(Next::Request);
        }
    };
    if call == Call::Subscribe {
        return Ok(Next::Stream { is_blind });
    }
    let (_, view) = master.view(is_blind);
    send_json(wire, request, document(call, &view).as_bytes())?;
    Ok(Next::Request)
}

fn read_call(body: &[u8]) -> Result<(&'static str, Call), BadBody> {
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|_| BadBody::Json)?;
    let kind = value.get("type").and_then(|kind| kind.as_str());
    let found = CALLS.iter().find(|(name, _)| Some(*name) == kind);
    // Real masters take an unknown type for none.
    found.copied().ok_or(BadBody::Type)
}

fn checked(
    request: &Request,
    call: Result<(&'static str, Call), BadBody>,
) -> Result<Call, (u16, String)> {
    let refused = |status, text: &str| Err((status, text.to_owned()));
    if request.method != "POST" {
        let text = format!(
            "405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{}'.",
            request.method
        );
        return Err((405, text));
    }
    match request.content_type.as_deref() {
        None | Some("") => return refused(400, "Expecting 'Content-Type' to be present"),
        Some("application/json") => {}
        Some(_) => {
            return refused(
                415,
                "Expecting 'Content-Type' of application/json or application/x-protobuf",
            );
        }
    }
    let call = match call {
        Ok((_, call)) => call,
        Err(BadBody::Json) => {
            return refused(
                400,
                "Failed to parse body into JSON: syntax error at line 1 near: ",
            );
        }
        Err(BadBody::Type) => {
            return refused(
                400,
                "Failed to validate master::Call: Expecting 'type' to be present",
            );
        }
    };
    if !request.accepts_json() {
        return refused(
            406,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        );
    }
    Ok(call)
}

fn refuse(wire: &mut Wire, request: &Request, status: u16, text: &str) -> io::Result<()> {
    let allow = if status == 405 { "Allow: POST\r\n" } else { "" };
    let head = Head {
        status,
        fields: &format!("{allow}{}", http::TEXT),
    };
    send(wire, request, &head, text.as_bytes())
}

fn document(call: Call, view: &View) -> String {
    let name = CALLS.iter().find(|(_, known)| *known == call);
    let name = name.map_or("UNKNOWN", |(name, _)| name);
    let mut text = format!(r#"{{"type":"{name}","{}":"#, name.to_ascii_lowercase());
    // Writing to a String does not fail.
    let _ = match call {
        Call::GetMaster => v1::write_master(&mut text, &view.master),
        Call::GetState => v1::write_state(&mut text, view),
        Call::GetAgents => v1::write_agents(&mut text, view),
        Call::GetFrameworks => v1::write_frameworks(&mut text, view),
        Call::GetVersion => {
            text.push_str(&format!(r#"{{"version_info":{}}}"#, version()));
            Ok(())
        }
        Call::GetHealth | Call::Subscribe => {
            text.push_str(r#"{"healthy":true}"#);
            Ok(())
        }
    };
    text.push('}');
    text
}

/// A connection that subscribes, to its end.
pub fn stream(
    master: &Arc<Master>,
    request: &Request,
    mut wire: Wire,
    socket: TcpStream,
    is_blind: bool,
) -> io::Result<()> {
    let (subscriber, view, fault) = match master.subscribe(socket, is_blind) {
        Ok(found) => found,
        // It led when the request came in.
        Err(Role::Leads { .. }) => return send_text(&mut wire, request, 503, NOT_RECOVERED),
        Err(_) => return send_text(&mut wire, request, 503, NO_LEADER),
    };
    let opening = match fault {
        StreamFault::Normal => {
            master.count_subscribed();
            Opening::Snapshot(Box::new(view))
        }
        StreamFault::Disconnect => Opening::End,
        fault => Opening::Wrong(fault.octets().unwrap_or_default()),
    };
    let heartbeat = match master.options.stream {
        Stream::Modern => Some(master.options.heartbeat),
        Stream::Old | Stream::None => None,
    };
    let outcome = subscriber.run(wire, opening, heartbeat);
    master.unsubscribe(subscriber.id);
    outcome
}

const NOT_RECOVERED: &str = "Master has not finished recovery";
