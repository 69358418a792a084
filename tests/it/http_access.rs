//! Who may use the HTTP interface: the token, with the real program, and pages of other origins.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Output};

use rollcall::config::{Config, CorsOrigins, Secret};
use rollcall::http::{ConnectionLimits, Server};
use serde_json::json;

use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::{DEADLINE, wait_until};
use crate::{http, worlds};

const TOKEN: &str = "0123456789abcdef-of-a-token";
/// Method, path, and whether it needs the token.
const ROUTES: [(&str, &str, bool); 10] = [
    ("POST", "/v1/cache/flush", true),
    ("GET", "/v1/enumerate", true),
    ("GET", "/v1/axfr", true),
    ("GET", "/v1/config", true),
    ("GET", "/v1/explain/web.marathon.mesos", true),
    ("GET", "/v1/hosts/web.marathon.mesos", false),
    ("GET", "/v1/services/_web._tcp.marathon.mesos", false),
    ("GET", "/v1/version", false),
    ("GET", "/v1/status", false),
    ("GET", "/readyz", false),
];

/// Status and head of an answer.
fn ask(server: SocketAddr, method: &str, path: &str, fields: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let request = format!("{method} {path} HTTP/1.0\r\nHost: a\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("write");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), head.to_lowercase())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn master() -> Master {
    let master = Master::start(|_| Behaviour::HangUp);
    let state = State::new(master.address()).task("web", Ipv4Addr::new(10, 3, 0, 1));
    master.set(Behaviour::Serve(state.text()));
    master
}

fn explain(rollcall: &Rollcall, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["explain", "web.marathon.mesos"])
        .args(more)
        .env_clear()
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env("ROLLCALL_MASTERS", "127.0.0.1:5050")
        .env(
            "ROLLCALL_HTTP_PORT",
            rollcall.http_address().port().to_string(),
        )
        .output()
        .expect("rollcall runs")
}

#[test]
fn what_reveals_more_than_dns_needs_the_token_and_the_rest_does_not() {
    let master = master();
    let rollcall = Rollcall::serving(&[master.address()], json!({"HttpToken": TOKEN}));
    let server = rollcall.http_address();
    for (method, path, needs) in ROUTES {
        let refused = if needs { 401 } else { 200 };
        for fields in [String::new(), bearer("0123456789abcdef-of-a-tokem")] {
            let (status, head) = ask(server, method, path, &fields);
            assert_eq!(status, refused, "{path}");
            assert_eq!(head.contains("www-authenticate: bearer"), needs, "{head}");
        }
        assert_eq!(ask(server, method, path, &bearer(TOKEN)).0, 200, "{path}");
    }
    // HEAD tells no more than GET.
    assert_eq!(ask(server, "HEAD", "/v1/axfr", "").0, 401);
    // The same for a path that has to be cleaned first.
    assert_eq!(ask(server, "GET", "//v1/config", "").0, 301);
    assert_eq!(ask(server, "GET", "/v1/%63onfig/", "").0, 401);
    let shown = [
        rollcall.log(),
        ask(server, "GET", "/v1/config", &bearer(TOKEN)).1,
    ];
    assert!(shown.iter().all(|text| !text.contains(TOKEN)));
}

#[test]
fn without_a_token_everything_is_open_as_in_mesos_dns() {
    let master = master();
    let rollcall = Rollcall::serving(&[master.address()], json!({}));
    for (method, path, _) in ROUTES {
        assert_eq!(
            ask(rollcall.http_address(), method, path, "").0,
            200,
            "{path}"
        );
    }
}

#[test]
fn token_of_a_file_is_read_anew_and_a_broken_file_changes_nothing() {
    let (master, folder) = (master(), Folder::new());
    let file = folder.write("token", "first-token\n");
    let rollcall = Rollcall::serving(&[master.address()], json!({"HttpTokenFile": file}));
    let server = rollcall.http_address();
    let passes = |token: &str| ask(server, "GET", "/v1/config", &bearer(token)).0 == 200;
    assert!(passes("first-token") && !passes("second-token"));
    folder.replace("token", "second-token");
    assert!(passes("second-token") && !passes("first-token"));
    folder.replace("token", "two words\n");
    assert!(passes("second-token") && !passes("two words"));
    assert_eq!(rollcall.log_lines("no token may have"), 1);
    // Another way of having one, and none.
    rollcall.reconfigure(json!({"HttpTokenFile": "", "HttpToken": "third-token"}));
    assert!(passes("third-token") && !passes("second-token"));
    rollcall.reconfigure(json!({"HttpToken": ""}));
    assert!(passes("any"));
    assert!(!rollcall.log().contains("-token\""), "{}", rollcall.log());
}

#[test]
fn explain_shows_the_token_of_its_configuration_where_one_is_asked_for() {
    let master = master();
    let rollcall = Rollcall::serving(&[master.address()], json!({"HttpToken": TOKEN}));
    let config = format!("-config={}", rollcall.config_file().display());
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let own = explain(&rollcall, &[&config]);
    assert!(own.status.success(), "{}", text(&own.stderr));
    assert!(text(&own.stdout).contains("10.3.0.1"));
    let address = rollcall.http_address().to_string();
    let named = explain(&rollcall, &[&config, "--http", &address]);
    assert!(named.status.success(), "{}", text(&named.stderr));
    // Without the configuration there is a cure, and no token goes anywhere.
    for more in [&[][..], &["--http", &address]] {
        let output = explain(&rollcall, more);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("-config=FILE"), "{more:?}");
    }
    rollcall.configure(json!({"HttpToken": "another"}));
    let wrong = explain(&rollcall, &[&config]);
    assert_eq!(wrong.status.code(), Some(1));
    let told = text(&wrong.stderr);
    assert!(
        told.contains("HttpToken") && !told.contains("another\n"),
        "{told}"
    );
}

const PAGE: &str = "Origin: https://status.example\r\n";

fn server(origins: &[&str], token: &str) -> Server {
    let listed = origins.iter().filter(|origin| **origin != "*");
    let config = Config {
        cors_origins: CorsOrigins {
            any: origins.contains(&"*"),
            listed: listed.map(|origin| (*origin).to_owned()).collect(),
        },
        http_token: Secret::Text(token.to_owned()),
        ..Config::default()
    };
    let task = worlds::task("web.1", "web");
    http::serving(vec![task], config, ConnectionLimits::default())
}

fn preflight(server: &Server, origin: &str, path: &str) -> (u16, String) {
    let fields = format!("{origin}Access-Control-Request-Method: GET\r\n");
    ask(server.local_address(), "OPTIONS", path, &fields)
}

#[test]
fn pages_that_are_listed_may_read_and_others_may_not() {
    let server = server(&["https://status.example", "http://other.example:8080"], "");
    let get = |fields: &str| ask(server.local_address(), "GET", "/v1/version", fields);
    let (status, head) = get(PAGE);
    assert_eq!(status, 200);
    assert!(head.contains("access-control-allow-origin: https://status.example\r\n"));
    assert!(head.contains("vary: origin"), "{head}");
    for origin in [
        "https://status.example.evil",
        "http://status.example",
        "https://status.example:8443",
        "null",
    ] {
        let (status, head) = get(&format!("Origin: {origin}\r\n"));
        assert_eq!(status, 200);
        assert!(!head.contains("access-control"), "{head}");
        assert!(head.contains("vary: origin"), "{head}");
        let (status, head) = preflight(&server, &format!("Origin: {origin}\r\n"), "/v1/version");
        assert_eq!(status, 405);
        assert!(!head.contains("access-control"), "{head}");
    }
    // Nothing is different for those who are no page of another origin.
    let without = get("").1;
    assert!(!without.contains("access-control") && !without.contains("vary"));
}

#[test]
fn a_preflight_is_answered_for_listed_pages_with_the_methods_of_its_path() {
    let server = server(&["https://status.example"], "token");
    for (path, methods) in [
        ("/v1/config", "get, head"),
        ("/v1/hosts/web.marathon.mesos", "get, head"),
        ("/v1/cache/flush", "post"),
    ] {
        let (status, head) = preflight(&server, PAGE, path);
        assert_eq!(status, 204, "{path}: browsers send no token with it");
        for line in [
            &format!("access-control-allow-methods: {methods}"),
            "access-control-allow-origin: https://status.example",
            "access-control-allow-headers: authorization, content-type",
            "access-control-max-age: 600",
            "vary: origin",
        ] {
            assert!(head.contains(line), "{path}: {line}: {head}");
        }
    }
    assert_eq!(preflight(&server, PAGE, "/v1/nothing").0, 404);
    // OPTIONS alone is no preflight.
    let (status, _) = ask(server.local_address(), "OPTIONS", "/v1/config", PAGE);
    assert_eq!(status, 401);
    // A page reads why it is refused.
    let (status, head) = ask(server.local_address(), "GET", "/v1/config", PAGE);
    assert_eq!(status, 401);
    assert!(head.contains("access-control-allow-origin: https://status.example"));
    let fields = format!("{PAGE}{}", bearer("token"));
    assert_eq!(
        ask(server.local_address(), "GET", "/v1/config", &fields).0,
        200
    );
}

#[test]
fn everybodys_pages_never_send_a_token() {
    for origins in [&["*"][..], &["*", "https://listed.example"]] {
        let server = server(origins, "token");
        let (status, head) = preflight(&server, PAGE, "/v1/version");
        assert_eq!(status, 204);
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
        assert!(
            !head.contains("authorization") && !head.contains("credentials"),
            "{head}"
        );
        let (_, head) = ask(server.local_address(), "GET", "/v1/version", PAGE);
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
        assert!(!head.contains("credentials"), "{head}");
    }
}

#[test]
fn without_listed_origins_nothing_is_said_of_them() {
    let server = server(&[], "");
    let with = ask(server.local_address(), "GET", "/v1/version", PAGE).1;
    let without = ask(server.local_address(), "GET", "/v1/version", "").1;
    let lines = |head: &str| {
        let lines = head.lines().filter(|line| !line.starts_with("date:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&with), lines(&without));
    assert_eq!(preflight(&server, PAGE, "/v1/version").0, 405);
}

#[test]
fn check_says_in_one_line_who_reaches_an_open_interface() {
    let check = |variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("check")
            .env_clear()
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .env("ROLLCALL_MASTERS", "127.0.0.1:5050")
            .envs(variables.iter().copied())
            .output()
            .expect("rollcall runs");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    let lines = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("HTTP: "))
            .count()
    };
    assert_eq!(lines(&check(&[])), 1);
    let text = check(&[("ROLLCALL_HTTP_TOKEN", TOKEN)]);
    assert_eq!(lines(&text), 0);
    assert!(!text.contains(TOKEN) && text.contains("HttpToken"));
    assert_eq!(lines(&check(&[("ROLLCALL_HTTP_LISTENER", "127.0.0.1")])), 0);
}

#[test]
fn a_wrong_token_is_not_told_of_again_and_again() {
    let master = master();
    let folder = Folder::new();
    let file = folder.write("token", "token-in-a-file");
    let rollcall = Rollcall::serving(&[master.address()], json!({"HttpTokenFile": file}));
    folder.replace("token", "");
    let server = rollcall.http_address();
    for _ in 0..20 {
        assert_eq!(ask(server, "GET", "/v1/config", &bearer("wrong")).0, 401);
    }
    wait_until("fault of the file", || {
        rollcall.log_lines("it is empty") > 0
    });
    assert_eq!(rollcall.log_lines("it is empty"), 1);
    assert_eq!(rollcall.log_lines("wrong"), 0);
}
