//! Tests of `subscribe`, with the octets of a real master.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::super::http::ClientSettings;
use super::*;
use crate::config::Authentication;

const WAIT: Duration = Duration::from_secs(20);

/// A master that answers each call with what `answer` writes; the body tells the call.
fn serve(answer: impl Fn(&str, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
                let mut length = 0;
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = text.trim().parse().expect("a length");
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                answer(&String::from_utf8_lossy(&body), stream);
            });
        }
    });
    address
}

fn recording(path: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/tests/recordings/{path}")).expect(path)
}

fn answer_get_master(stream: &mut TcpStream) {
    let body = recording("13-many-tasks/v1_get_master.body");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).expect("written");
    stream.write_all(&body).expect("written");
}

fn start(record_bytes_max: u64) -> Subscriber {
    let settings = ClientSettings {
        masters: Vec::new(),
        timeout: WAIT,
        state_bytes_max: record_bytes_max,
        https: false,
        ca_cert_file: None,
        cert_file: None,
        key_file: None,
        authentication: Authentication::None,
    };
    let http = Http::new(&settings).expect("a client");
    Subscriber::start(http, record_bytes_max).expect("a thread")
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        host: address.ip().to_string().into(),
        port: Some(address.port()),
    }
}

fn told(subscriber: &Subscriber) -> StreamTold {
    subscriber
        .told()
        .recv_timeout(WAIT)
        .expect("something told")
}

fn end(subscriber: &Subscriber) -> StreamEnd {
    loop {
        if let StreamTold::Ended(end) = told(subscriber) {
            return end;
        }
    }
}

#[test]
fn stream_of_a_real_master_is_told_in_order_to_its_end() {
    // However the network cuts it, octet by octet at the worst.
    for size in [usize::MAX, 1_000, 1] {
        let address = serve(move |call, mut stream| match call {
            GET_MASTER => answer_get_master(&mut stream),
            _ => {
                assert_eq!(call, SUBSCRIBE);
                stream.set_nodelay(true).expect("TCP_NODELAY");
                let wire = recording("10-stream/json.wire");
                for piece in wire.chunks(size) {
                    stream.write_all(piece).expect("written");
                }
            }
        });
        let subscriber = start(1 << 20);
        subscriber.connect(vec![endpoint(address)]);
        follow_real_stream(&subscriber, &endpoint(address));
    }
}

fn follow_real_stream(subscriber: &Subscriber, from: &Endpoint) {
    let StreamTold::Subscribed(first) = told(subscriber) else {
        panic!("no subscription");
    };
    assert_eq!(first.from, *from);
    assert_eq!(first.heartbeat, Duration::from_secs(15));
    assert_eq!(
        first.cluster.leader.map(|leader| leader.to_string()),
        Some("127.0.0.1:5050".to_owned())
    );
    assert_eq!(
        first.cluster.master_id.as_deref(),
        Some("f2910c91-7c53-402e-8b72-d7796905d5c8")
    );
    let mut events = Vec::new();
    let end = loop {
        match told(subscriber) {
            StreamTold::Events(more) => events.extend(more),
            StreamTold::Ended(end) => break end,
            StreamTold::Subscribed(_) => panic!("one subscription"),
        }
    };
    assert!(matches!(events[0], Event::AgentAdded(_)));
    assert!(matches!(
        events[events.len() - 1],
        Event::FrameworkRemoved(_)
    ));
    assert_eq!(events.len(), 250);
    // A real master's stream ends without its last chunk.
    assert!(matches!(end, StreamEnd::Record { .. }), "{end}");
}

#[test]
fn cut_ends_a_silent_stream_and_a_new_order_is_taken() {
    let address = serve(|call, mut stream| match call {
        GET_MASTER => answer_get_master(&mut stream),
        _ => {
            stream
                .write_all(&recording("20-ha/leader-stream.wire"))
                .expect("written");
            // Nothing more, and no end, until the client is gone.
            let _ = stream.read(&mut [0; 1]);
        }
    });
    let subscriber = start(1 << 20);
    for _ in 0..3 {
        subscriber.connect(vec![endpoint(address)]);
        assert!(matches!(told(&subscriber), StreamTold::Subscribed(_)));
        assert!(
            matches!(told(&subscriber), StreamTold::Events(_)),
            "a heartbeat"
        );
        let begin = Instant::now();
        subscriber.cut();
        assert!(matches!(
            told(&subscriber),
            StreamTold::Ended(StreamEnd::Record { .. })
        ));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn events_are_told_when_they_come_and_not_when_a_buffer_is_full() {
    let (release, released) = bounded::<()>(0);
    let address = serve(move |call, mut stream| match call {
        GET_MASTER => answer_get_master(&mut stream),
        _ => {
            let wire = recording("10-stream/json.wire");
            stream.write_all(&wire[..2_015]).expect("written");
            // The rest comes only once these were seen.
            let _ = released.recv_timeout(WAIT);
            stream.write_all(&wire[2_015..]).expect("written");
        }
    });
    let subscriber = start(1 << 20);
    subscriber.connect(vec![endpoint(address)]);
    assert!(matches!(told(&subscriber), StreamTold::Subscribed(_)));
    let mut seen = Vec::new();
    while seen.is_empty() {
        if let StreamTold::Events(events) = told(&subscriber) {
            seen = events;
        }
    }
    assert!(matches!(seen[0], Event::AgentAdded(_)));
    release.send(()).expect("the master waits");
    end(&subscriber);
}

#[test]
fn damaged_streams_end_with_the_reason() {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let beginning =
        r#"{"type":"SUBSCRIBED","subscribed":{"get_state":{},"heartbeat_interval_seconds":15.0}}"#;
    let beginning = format!("{}\n{beginning}", beginning.len());
    for (bad, reason) in [
        ("wrong\n{}", "not the length"),
        ("99999999\n{}", "longer than 1048576"),
        ("5\n{\"a\":", "ends at octet 5"),
        ("26\n{\"type\":\"HEARTBEAT\",\"x\":\"}", "ends at octet 26"),
        ("27\n{\"task_added\":{\"task\":{]}}}", "is not JSON"),
    ] {
        let wire = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}{}",
            chunk(&beginning),
            chunk(bad)
        );
        let address = serve(move |call, mut stream| match call {
            GET_MASTER => answer_get_master(&mut stream),
            _ => stream.write_all(wire.as_bytes()).expect("written"),
        });
        let subscriber = start(1 << 20);
        subscriber.connect(vec![endpoint(address)]);
        let end = end(&subscriber).to_string();
        assert!(end.contains(reason), "{bad}: {end}");
    }
}

#[test]
fn masters_without_a_stream_are_told_from_masters_that_are_away() {
    let plain = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    for (status, is_unsupported) in [
        ("404 Not Found", true),
        ("405 Method Not Allowed", true),
        ("403 Forbidden", true),
        ("503 Service Unavailable", false),
        ("401 Unauthorized", false),
        ("500 Internal Server Error", false),
    ] {
        let answer = plain(status);
        let address =
            serve(move |_, mut stream| stream.write_all(answer.as_bytes()).expect("written"));
        let subscriber = start(1 << 20);
        subscriber.connect(vec![endpoint(address)]);
        let end = end(&subscriber);
        let found = matches!(end, StreamEnd::Unsupported { .. });
        assert_eq!(found, is_unsupported, "{status}: {end}");
    }
    // Before 1.5 a stream had neither heartbeats nor events of frameworks.
    let address = serve(|call, mut stream| match call {
        GET_MASTER => answer_get_master(&mut stream),
        _ => {
            let record = r#"{"type":"SUBSCRIBED","subscribed":{"get_state":{}}}"#;
            let body = format!("{}\n{record}", record.len());
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(text.as_bytes()).expect("written");
        }
    });
    let subscriber = start(1 << 20);
    subscriber.connect(vec![endpoint(address)]);
    assert!(end(&subscriber).to_string().contains("heartbeats"));
}

#[test]
fn dead_masters_are_passed_over_and_named() {
    let dead = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let address = serve(|call, mut stream| match call {
        GET_MASTER => answer_get_master(&mut stream),
        _ => stream
            .write_all(&recording("20-ha/leader-stream.wire"))
            .expect("written"),
    });
    let subscriber = start(1 << 20);
    subscriber.connect(vec![endpoint(dead), endpoint(address)]);
    assert!(matches!(told(&subscriber), StreamTold::Subscribed(_)));
    end(&subscriber);
    subscriber.connect(vec![endpoint(dead)]);
    let end = end(&subscriber).to_string();
    assert!(end.contains(&dead.to_string()), "{end}");
}
