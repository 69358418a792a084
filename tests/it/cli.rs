//! The command line, with the real binary: flags, exit status, and `explain` against an HTTP
//! server of the test's own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

fn rollcall(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env_clear()
        .output()
        .expect("rollcall runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn version_and_help_go_to_stdout() {
    for flag in ["-version", "--version"] {
        let output = rollcall(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(
            text(&output.stdout),
            format!("rollcall {}\n", env!("CARGO_PKG_VERSION"))
        );
    }
    for flag in ["--help", "-help", "-h"] {
        let output = rollcall(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        assert!(
            help.lines().count() <= 24 && help.contains("rollcall explain NAME"),
            "{help}"
        );
    }
}

#[test]
fn unknown_arguments_exit_2_with_one_line() {
    for (arguments, culprit) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["-frobnicate=1"], "-frobnicate"),
        (&["bogus"], "bogus"),
        (&["explain"], "NAME"),
        (&["-v=many"], "many"),
    ] {
        let output = rollcall(arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(
            message.contains(culprit) && message.contains("rollcall --help"),
            "{message}"
        );
    }
}

#[test]
fn serving_refuses_a_bad_configuration_like_check() {
    let output = rollcall(&["-config=no-such-file.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no-such-file.json"));
}

#[test]
fn explain_says_when_nobody_answers() {
    // A port that was free a moment ago and that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let address = address.to_string();
    let output = rollcall(&["explain", "web.marathon.mesos", "--http", &address]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains(&address) && message.contains("--http ADDRESS:PORT"),
        "{message}"
    );
}

#[test]
fn healthy_says_by_its_status_whether_the_instance_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let server = thread::spawn(move || {
        for reply in ["200 OK", "503 Service Unavailable"] {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).expect("a request");
            assert!(request[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            let reply =
                format!("HTTP/1.1 {reply}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream
                .write_all(reply.as_bytes())
                .expect("the reply is sent");
        }
    });
    // The third time nobody listens.
    for status in [0, 1, 1] {
        let output = rollcall(&["healthy", "--http", &address]);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert_eq!(output.stderr.is_empty(), status == 0, "{output:?}");
    }
    server.join().expect("the server ends");
}

#[test]
fn pages_and_completions_go_to_stdout() {
    for (arguments, beginning) in [
        (&["man", "8"][..], ".Dd "),
        (&["man", "5"], ".Dd "),
        (&["completions", "bash"], "# Completions"),
        (&["completions", "zsh"], "#compdef rollcall"),
        (&["completions", "fish"], "# Completions"),
    ] {
        let output = rollcall(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).starts_with(beginning), "{arguments:?}");
    }
}

#[test]
fn explain_prints_the_text_of_the_running_instance() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let length = stream.read(&mut chunk).expect("a request");
            request.extend_from_slice(&chunk[..length]);
        }
        let reply =
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nbecause web\n";
        stream
            .write_all(reply.as_bytes())
            .expect("the reply is sent");
        text(&request)
    });
    let output = rollcall(&["explain", "_a b._tcp.mesos", "--http", &address]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "because web\n");
    let request = server.join().expect("the server ends");
    assert!(
        request.starts_with("GET /v1/explain/_a%20b._tcp.mesos HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.to_ascii_lowercase().contains("accept: text/plain"),
        "{request}"
    );
}
