//! Clients of the HTTP interface that are slow, many or too talkative, over real sockets: each costs it
//! its own connection and nothing more. The times are shorter than those of `limits`, and no test
//! looks at a clock: it waits until the connection is cut, or a place is free.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rollcall::config::Config;
use rollcall::http::{ConnectionLimits, Server};
use rollcall::mesos::cluster::AddressSource;
use socket2::{Domain, Socket, Type};

use crate::support::{DEADLINE, wait_until};
use crate::{http, worlds};

const SOON: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(3600);

/// Nothing is ever too slow or too much.
fn patient() -> ConnectionLimits {
    ConnectionLimits {
        connections_max: 100,
        per_client_max: 100,
        head: NEVER,
        idle: NEVER,
        write: NEVER,
    }
}

fn server(tasks: usize, limits: ConnectionLimits) -> Server {
    let tasks = (0..tasks).map(|number| {
        let mut task = worlds::task(&format!("web.{number}"), &format!("web-{number}"));
        let address = Ipv4Addr::from_bits(0x0a00_0000 + number as u32);
        task.addresses = [(AddressSource::NetInfo, address.into())].into();
        task
    });
    http::serving(tasks.collect(), Config::default(), limits)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.local_address()).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Over a connection of its own: the status; `None`: there was none.
fn status(server: &Server, request: &str) -> Option<u16> {
    let mut stream = connect(server);
    // A refused connection may be gone before the request is sent.
    let _ = stream.write_all(request.as_bytes());
    status_of(&mut stream)
}

fn status_of(stream: &mut TcpStream) -> Option<u16> {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split(' ').nth(1).and_then(|word| word.parse().ok())
}

const GET: &str = "GET /healthz HTTP/1.0\r\n\r\n";
const KEPT: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends a request on a connection that stays, and reads the answer.
fn ask_and_keep(stream: &mut TcpStream) {
    stream.write_all(KEPT.as_bytes()).expect("write");
    let mut text = Vec::new();
    while !text.ends_with(b"ok\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("an answer");
        text.extend_from_slice(&octet);
    }
}

#[test]
fn one_client_cannot_take_all_places() {
    let server = server(
        1,
        ConnectionLimits {
            per_client_max: 3,
            ..patient()
        },
    );
    let mut kept: Vec<TcpStream> = (0..3).map(|_| connect(&server)).collect();
    kept.iter_mut().for_each(ask_and_keep);
    assert!(matches!(status(&server, GET), Some(503) | None));
    // Another client of this host.
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::from(([127, 0, 0, 2], 0));
    other.bind(&from.into()).expect("bind");
    other
        .connect(&server.local_address().into())
        .expect("connect");
    let mut other = TcpStream::from(other);
    other.write_all(GET.as_bytes()).expect("write");
    assert_eq!(status_of(&mut other), Some(200));
    // Those that were taken are not disturbed, and a place that is given back is free.
    kept.iter_mut().for_each(ask_and_keep);
    kept.pop();
    wait_until("free place", || status(&server, GET) == Some(200));
}

#[test]
fn connections_beyond_all_places_wait_for_one() {
    let server = server(
        1,
        ConnectionLimits {
            connections_max: 2,
            ..patient()
        },
    );
    let mut kept: Vec<TcpStream> = (0..2).map(|_| connect(&server)).collect();
    kept.iter_mut().for_each(ask_and_keep);
    let mut waits = connect(&server);
    waits.write_all(GET.as_bytes()).expect("write");
    // It is in the kernel's queue: those who have a place are answered meanwhile.
    kept.iter_mut().for_each(ask_and_keep);
    drop(kept.pop());
    assert_eq!(status_of(&mut waits), Some(200));
}

#[test]
fn a_head_that_comes_octet_by_octet_is_cut_off() {
    let server = server(
        1,
        ConnectionLimits {
            head: SOON,
            ..patient()
        },
    );
    let mut slow = connect(&server);
    slow.set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    let head = "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ".to_owned() + &"x".repeat(2000);
    let mut octets = head.bytes().cycle();
    wait_until("cut", || {
        let octet = octets.next().expect("an octet");
        slow.write_all(&[octet]).is_err() || is_closed(&mut slow)
    });
}

/// Whether the other side ended it; what it sent before is read.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut octets = [0; 1024];
    loop {
        match stream.read(&mut octets) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                let waits = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                return !waits;
            }
        }
    }
}

#[test]
fn a_connection_is_not_kept_without_requests() {
    let server = server(
        1,
        ConnectionLimits {
            head: SOON,
            ..patient()
        },
    );
    let mut kept = connect(&server);
    ask_and_keep(&mut kept);
    ask_and_keep(&mut kept);
    assert!(is_closed(&mut kept));
    // One that never asked anything.
    assert!(is_closed(&mut connect(&server)));
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let server = server(
        20_000,
        ConnectionLimits {
            write: SOON,
            per_client_max: 1,
            ..patient()
        },
    );
    let mut deaf = connect(&server);
    deaf.write_all(b"GET /v1/axfr HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("write");
    // Its answer has begun, so that it has the only place; then the place is free.
    let mut first = [0; 12];
    deaf.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    wait_until("place of the deaf", || status(&server, GET) == Some(200));
    let mut text = Vec::new();
    let read = deaf.read_to_end(&mut text);
    // What had been sent may be read; it never looks complete.
    assert!(read.is_err() || !text.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_client_that_reads_with_pauses_gets_all_of_its_answer() {
    let server = server(
        20_000,
        ConnectionLimits {
            write: Duration::from_secs(2),
            idle: Duration::from_secs(2),
            ..patient()
        },
    );
    let mut slow = connect(&server);
    slow.write_all(b"GET /v1/axfr HTTP/1.0\r\n\r\n")
        .expect("write");
    let mut text = Vec::new();
    let mut piece = vec![0; 256 << 10];
    loop {
        let length = slow.read(&mut piece).expect("no cut");
        if length == 0 {
            break;
        }
        text.extend_from_slice(&piece[..length]);
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = String::from_utf8(text).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str::<serde_json::Value>(body).expect("all of it");
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let server = server(1, patient());
    let long = format!(
        "GET /healthz HTTP/1.0\r\nX: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    assert!(matches!(status(&server, &long), Some(431) | None));
    let fields: String = (0..101).map(|n| format!("X-{n}: x\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.0\r\n{fields}\r\n");
    assert_eq!(status(&server, &many), Some(431));
    let path = format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(64 << 10));
    assert!(matches!(status(&server, &path), Some(414 | 431) | None));
}

#[test]
fn nobody_waits_for_the_rest_of_a_body() {
    let server = server(1, patient());
    let head = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    // Announced and never sent; in pieces without an end; too long.
    for (fields, wanted) in [
        ("Content-Length: 60000\r\n\r\nx", 200),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", 200),
        ("Content-Length: 70000\r\n\r\nx", 413),
    ] {
        assert_eq!(status(&server, &format!("{head}{fields}")), Some(wanted));
    }
    // Nor is it read without bound where it does come.
    let mut talker = connect(&server);
    talker.set_nonblocking(true).expect("nonblocking");
    let begin = "POST /v1/cache/flush HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    talker.write_all(begin.as_bytes()).expect("write");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    wait_until("end of the talk", || match talker.write(chunk.as_bytes()) {
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    });
}
