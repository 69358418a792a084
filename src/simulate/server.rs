//! The simulated master's HTTP side. In: requests. Out: what a real master answers to `/state`,
//! `/version`, `/health` and `/redirect`, leading or not. A tool for demonstrations, tests and
//! benches: threads and blocking I/O, and never more than `SIMULATE_CONNECTIONS_MAX` of them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::document::VERSION;
use super::simulator::Documents;
use crate::limits::{SIMULATE_CONNECTIONS_MAX, SIMULATE_HEAD_BYTES_MAX, SIMULATE_IDLE_MS};

/// What the threads share.
pub struct Served {
    pub documents: Documents,
    /// `HOST:PORT` of the leader, where this master is not it.
    pub standby_of: Option<String>,
    /// `HOST:PORT` of this master.
    pub own: String,
    /// Stored by `Simulator::stop`, loaded by `accept` after each connection (it makes one).
    pub is_stopping: AtomicBool,
    pub connections: AtomicUsize,
}

/// Takes connections until the stop.
pub fn accept(listener: &TcpListener, served: &Arc<Served>) {
    for stream in listener.incoming() {
        if served.is_stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if served.connections.fetch_add(1, Ordering::Relaxed) >= SIMULATE_CONNECTIONS_MAX {
            served.connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let of_thread = Arc::clone(served);
        let started = std::thread::Builder::new()
            .name("simulate-http".to_owned())
            .spawn(move || {
                // A client that goes away is no event.
                let _ = converse(&of_thread, &stream);
                of_thread.connections.fetch_sub(1, Ordering::Relaxed);
            });
        if started.is_err() {
            served.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What of a request decides its answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    method: String,
    path: String,
    query: String,
    body_bytes: u64,
    takes_gzip: bool,
    keep_alive: bool,
}

fn converse(served: &Served, stream: &TcpStream) -> io::Result<()> {
    let idle = Duration::from_millis(SIMULATE_IDLE_MS);
    stream.set_read_timeout(Some(idle))?;
    stream.set_write_timeout(Some(idle))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while !served.is_stopping.load(Ordering::Acquire) {
        let Some(head) = read_head(&mut reader)? else {
            return Ok(());
        };
        io::copy(&mut (&mut reader).take(head.body_bytes), &mut io::sink())?;
        answer(served, &head, &mut writer)?;
        if !head.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}

/// `None`: the client is done.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut lines = reader.take(SIMULATE_HEAD_BYTES_MAX);
    let mut line = String::new();
    if lines.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut head = Head {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        keep_alive: words.next() == Some("HTTP/1.1"),
        ..Head::default()
    };
    loop {
        line.clear();
        // The end of the input before the end of the head: cut off, or over the limit.
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let field = line.trim_end();
        if field.is_empty() {
            return Ok(Some(head));
        }
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.body_bytes = value.parse().unwrap_or(0),
            "accept-encoding" => head.takes_gzip = value.contains("gzip"),
            "connection" if value == "close" => head.keep_alive = false,
            _ => {}
        }
    }
}

fn answer(served: &Served, head: &Head, writer: &mut impl Write) -> io::Result<()> {
    let path = head.path.trim_end_matches('/');
    let leader = served.standby_of.as_ref().unwrap_or(&served.own);
    match path {
        "/state" | "/master/state" => {
            if served.standby_of.is_some() {
                let query = if head.query.is_empty() {
                    String::new()
                } else {
                    format!("?{}", head.query)
                };
                let location = format!("Location: //{leader}/master/state{query}\r\n");
                return send(writer, head, "307 Temporary Redirect", &location, b"");
            }
            let document = served.documents.present(head.takes_gzip)?;
            let encoding = if head.takes_gzip {
                "Content-Encoding: gzip\r\n"
            } else {
                ""
            };
            let fields = format!("{encoding}Content-Type: application/json\r\n");
            send(writer, head, "200 OK", &fields, &document)
        }
        "/redirect" | "/master/redirect" => {
            let location = format!("Location: //{leader}\r\n");
            send(writer, head, "307 Temporary Redirect", &location, b"")
        }
        "/health" | "/master/health" => send(writer, head, "200 OK", "", b""),
        "/version" => {
            let body = format!(
                r#"{{"build_date":"2026-01-01 00:00:00 UTC","build_time":1767225600.0,"build_user":"simulate","git_sha":"0000000000000000000000000000000000000000","version":"{VERSION}"}}"#
            );
            let fields = "Content-Type: application/json\r\n";
            send(writer, head, "200 OK", fields, body.as_bytes())
        }
        // Today's masters have no state.json any more; this is their answer to it.
        _ => {
            let fields = "Content-Type: text/plain; charset=utf-8\r\n";
            send(writer, head, "404 Not Found", fields, b"404 Not Found.")
        }
    }
}

fn send(
    writer: &mut impl Write,
    head: &Head,
    status: &str,
    fields: &str,
    body: &[u8],
) -> io::Result<()> {
    let end = if head.keep_alive {
        ""
    } else {
        "Connection: close\r\n"
    };
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\n{fields}{end}Content-Length: {length}\r\n\r\n");
    writer.write_all(text.as_bytes())?;
    if head.method != "HEAD" {
        writer.write_all(body)?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_of_a_request_is_read_to_its_end() {
        let text = b"POST /state?x=y HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\nContent-Length: 3\r\n\r\nabcGET";
        let mut reader = &text[..];
        let head = read_head(&mut reader).expect("a head").expect("a request");
        assert_eq!(
            head,
            Head {
                method: "POST".into(),
                path: "/state".into(),
                query: "x=y".into(),
                body_bytes: 3,
                takes_gzip: true,
                keep_alive: true,
            }
        );
        assert_eq!(reader, b"abcGET");
    }

    #[test]
    fn endless_heads_are_refused() {
        let text = [b'a'; 100_000];
        assert!(read_head(&mut &text[..]).is_err());
    }
}
