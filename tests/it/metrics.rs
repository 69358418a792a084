//! `/metrics` of the real program: it counts what was asked and answered, on each engine, and the text is
//! such as Prometheus's own tool finds no fault with.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use rollcall::http::metrics::FAMILIES;
use serde_json::json;

use crate::support::client::{A, AAAA, ANY, Client, NS, SOA, SRV, TXT, query, with_edns};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::{Rollcall, free_address};
use crate::support::resolver::Resolver;
use crate::support::state::State;
use crate::support::wait_until;

const WEB: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const PTR: u16 = 12;
const CNAME: u16 = 5;
const DS: u16 = 43;
const HTTPS: u16 = 65;
/// Nobody asks for it.
const HINFO: u16 = 13;

fn master() -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", WEB).text()))
}

/// The samples of a scrape, by name with labels.
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    pub fn of(rollcall: &Rollcall) -> Self {
        let (code, text) = rollcall.get("/metrics");
        assert_eq!(code, 200, "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self(samples.collect())
    }

    pub fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Of all samples whose names begin so.
    pub fn sum(&self, begin: &str) -> f64 {
        let all = self.0.iter().filter(|(name, _)| name.starts_with(begin));
        all.map(|(_, value)| value).sum()
    }

    /// How much a sample rose since.
    fn rose(&self, before: &Self, name: &str) -> f64 {
        self.get(name) - before.0.get(name).copied().unwrap_or_default()
    }
}

/// What rises between before and after, and by how much.
fn assert_rose(before: &Samples, after: &Samples, expected: &[(&str, f64)]) {
    for (name, amount) in expected {
        assert_eq!(after.rose(before, name), *amount, "{name}");
    }
}

fn each_engine(test: impl Fn(&str)) {
    test("epoll");
    if rollcall::sys::uring::probe().is_ok() {
        test("uring");
    }
}

fn with_engine(engine: &str, settings: serde_json::Value) -> (Master, Rollcall) {
    let master = master();
    let variables = [("ROLLCALL_ENGINE", engine)];
    let rollcall = Rollcall::listening_with(&[master.address()], settings, &variables);
    wait_until("a table", || {
        rollcall.client().addresses("web.marathon.mesos") == [WEB]
    });
    (master, rollcall)
}

#[test]
fn queries_and_answers_are_counted_by_type_rcode_transport_and_route() {
    each_engine(|engine| {
        let settings = json!({"ChaosOn": true, "ReverseDnsOn": true});
        let (_master, rollcall) = with_engine(engine, settings);
        let client = rollcall.client();
        let before = Samples::of(&rollcall);
        assert_eq!(
            before.get(&format!("rollcall_engine_info{{engine=\"{engine}\"}}")),
            1.0
        );
        let reverse = "1.0.3.10.in-addr.arpa";
        for (name, rtype) in [
            ("web.marathon.mesos", A),
            ("web.marathon.mesos", AAAA),
            ("_web._tcp.marathon.mesos", SRV),
            (reverse, PTR),
            ("mesos", SOA),
            ("mesos", NS),
            ("web.marathon.mesos", ANY),
            ("web.marathon.mesos", TXT),
            ("web.marathon.mesos", CNAME),
            ("web.marathon.mesos", DS),
            ("web.marathon.mesos", HTTPS),
            ("web.marathon.mesos", HINFO),
            ("nothing.marathon.mesos", A),
            ("localhost", A),
            ("www.example.com", A),
        ] {
            client.udp(&query(name, rtype));
            client.tcp(&query(name, rtype));
        }
        ask_for_faults(&client);
        let after = Samples::of(&rollcall);
        for transport in ["udp", "tcp"] {
            for (rtype, count) in [
                ("A", 4.0),
                ("AAAA", 1.0),
                ("SRV", 1.0),
                ("PTR", 1.0),
                ("SOA", 1.0),
                ("NS", 1.0),
                ("ANY", 1.0),
                ("CNAME", 1.0),
                ("DS", 1.0),
                ("HTTPS", 1.0),
                ("other", 1.0),
            ] {
                let name = format!(
                    "rollcall_dns_queries_total{{transport=\"{transport}\",type=\"{rtype}\"}}"
                );
                assert_eq!(after.rose(&before, &name), count, "{name}, {engine}");
            }
        }
        let of = |transport: &str, rcode: &str| {
            format!("rollcall_dns_responses_total{{transport=\"{transport}\",rcode=\"{rcode}\"}}")
        };
        for (transport, rcode, count) in [
            // 13 of the list and version.bind; NXDOMAIN and REFUSED are one each.
            ("udp", "NOERROR", 14.0),
            ("tcp", "NOERROR", 13.0),
            ("udp", "NXDOMAIN", 1.0),
            ("tcp", "NXDOMAIN", 1.0),
            ("udp", "REFUSED", 1.0),
            ("udp", "FORMERR", 1.0),
            ("udp", "NOTIMP", 1.0),
            ("tcp", "BADVERS", 1.0),
        ] {
            let rose = after.rose(&before, &of(transport, rcode));
            assert_eq!(rose, count, "{transport} {rcode}, {engine}");
        }
        assert_rose(
            &before,
            &after,
            &[
                (
                    "rollcall_dns_queries_total{transport=\"udp\",type=\"TXT\"}",
                    2.0,
                ),
                (
                    "rollcall_dns_queries_total{transport=\"tcp\",type=\"TXT\"}",
                    1.0,
                ),
                // A fault, another opcode, a response.
                (
                    "rollcall_dns_queries_total{transport=\"udp\",type=\"unread\"}",
                    3.0,
                ),
                (
                    "rollcall_dns_queries_total{transport=\"tcp\",type=\"unread\"}",
                    1.0,
                ),
                ("rollcall_dns_routed_total{route=\"table\"}", 26.0),
                ("rollcall_dns_routed_total{route=\"special\"}", 2.0),
                ("rollcall_dns_routed_total{route=\"refused\"}", 2.0),
                ("rollcall_dns_routed_total{route=\"fault\"}", 3.0),
                ("rollcall_dns_routed_total{route=\"chaos\"}", 1.0),
                ("rollcall_dns_dropped_total{reason=\"not_a_query\"}", 1.0),
                (
                    "rollcall_dns_answer_duration_seconds_count{transport=\"tcp\"}",
                    16.0,
                ),
                ("rollcall_dns_forwarded_duration_seconds_count", 0.0),
            ],
        );
        // Of so many batches some are timed.
        let time = "rollcall_dns_answer_duration_seconds_sum{transport=\"udp\"}";
        assert!(after.rose(&before, time) > 0.0);
        let connections = "rollcall_tcp_connections_accepted_total";
        assert!(after.rose(&before, connections) >= 16.0);
    });
}

/// FORMERR, NOTIMP, a response that is dropped and class CHAOS over UDP; BADVERS over TCP.
fn ask_for_faults(client: &Client) {
    let mut two_questions = query("web.marathon.mesos", A);
    two_questions[5] = 2;
    client.udp(&two_questions);
    let mut status = query("web.marathon.mesos", A);
    status[2] = 0x11;
    client.udp(&status);
    client.tcp(&with_edns(query("web.marathon.mesos", A), 1232, 9, false));
    let mut response = query("web.marathon.mesos", A);
    response[2] |= 0x80;
    client.send_udp(&response);
    let mut chaos = query("version.bind", TXT);
    let class_at = chaos.len() - 1;
    chaos[class_at] = 3;
    // It comes behind the response, which is then counted.
    client.udp(&chaos);
}

#[test]
fn forwarded_names_are_counted_by_route_and_resolver() {
    each_engine(|engine| {
        let (resolver, dead) = (Resolver::start(), free_address());
        let settings = json!({
            "ExternalOn": true, "Workers": 1, "Timeout": 1,
            "Resolvers": [resolver.address().to_string()],
            "ZoneResolvers": {"dead.example": [dead.to_string()]},
        });
        let (_master, rollcall) = with_engine(engine, settings);
        let client = rollcall.client();
        let before = Samples::of(&rollcall);
        client.ask("web.example", A);
        client.ask("web.example", A);
        client.tcp(&query("web.example", A));
        client.udp(&query("servfail.example", A));
        client.udp(&query("x.dead.example", A));
        let after = Samples::of(&rollcall);
        assert_rose(
            &before,
            &after,
            &[
                (
                    "rollcall_dns_queries_total{transport=\"udp\",type=\"A\"}",
                    4.0,
                ),
                ("rollcall_dns_routed_total{route=\"forwarded\"}", 2.0),
                ("rollcall_dns_routed_total{route=\"cache\"}", 2.0),
                ("rollcall_dns_routed_total{route=\"failed\"}", 1.0),
                ("rollcall_dns_routed_total{route=\"table\"}", 0.0),
                (
                    "rollcall_dns_responses_total{transport=\"udp\",rcode=\"NOERROR\"}",
                    2.0,
                ),
                (
                    "rollcall_dns_responses_total{transport=\"udp\",rcode=\"SERVFAIL\"}",
                    2.0,
                ),
                (
                    "rollcall_dns_responses_total{transport=\"tcp\",rcode=\"NOERROR\"}",
                    1.0,
                ),
                ("rollcall_dns_forwarded_duration_seconds_count", 3.0),
                (
                    "rollcall_dns_answer_duration_seconds_count{transport=\"tcp\"}",
                    1.0,
                ),
                ("rollcall_forward_queries_total", 3.0),
                ("rollcall_forward_failures_total", 2.0),
                ("rollcall_cache_hits_total", 2.0),
                ("rollcall_cache_misses_total", 3.0),
            ],
        );
        let of = |family: &str, address| format!("{family}{{upstream=\"{address}\"}}");
        assert!(after.get(&of("rollcall_upstream_queries_total", resolver.address())) >= 2.0);
        assert!(
            after.get(&of(
                "rollcall_upstream_rtt_seconds_count",
                resolver.address()
            )) >= 2.0
        );
        assert!(after.get(&of("rollcall_upstream_failures_total", dead)) >= 1.0);
        assert!(after.get("rollcall_cache_bytes") > 0.0);
        assert!(after.get("rollcall_dns_forwarded_duration_seconds_sum") > 0.0);
    });
}

#[test]
fn truncations_oversized_queries_and_connections_are_counted() {
    each_engine(|engine| {
        let master = Master::start(|leader| {
            let state = State::new(leader).task("web", WEB).tasks("many", 60);
            Behaviour::Serve(state.text())
        });
        let variables = [("ROLLCALL_ENGINE", engine)];
        let rollcall = Rollcall::listening_with(&[master.address()], json!({}), &variables);
        let client = rollcall.client();
        wait_until("a table", || {
            client.addresses("web.marathon.mesos") == [WEB]
        });
        let open = |samples: &Samples| samples.get("rollcall_tcp_connections");
        wait_until("no connection", || open(&Samples::of(&rollcall)) == 0.0);
        let before = Samples::of(&rollcall);
        client.udp(&query("many.marathon.mesos", A));
        let mut long = query("web.marathon.mesos", A);
        long.resize(5_000, 0);
        client.udp(&long);
        let mut connection = client.connect();
        connection.send(&query("many.marathon.mesos", A));
        connection.receive().expect("an answer");
        let after = Samples::of(&rollcall);
        assert_rose(
            &before,
            &after,
            &[
                ("rollcall_dns_truncated_total", 1.0),
                ("rollcall_dns_oversized_total", 1.0),
                ("rollcall_tcp_connections", 1.0),
                ("rollcall_tcp_connections_accepted_total", 1.0),
                ("rollcall_udp_socket_drops", 0.0),
            ],
        );
        drop(connection);
        let finished = "rollcall_tcp_connections_closed_total{reason=\"finished\"}";
        wait_until("the end of the connection", || {
            let now = Samples::of(&rollcall);
            now.rose(&before, finished) == 1.0 && open(&now) == 0.0
        });
    });
}

#[test]
fn table_source_and_process_are_told() {
    let (master, rollcall) = with_engine("", json!({"Source": "poll"}));
    // It is told a moment after it is served.
    wait_until("the first table", || {
        Samples::of(&rollcall).get("rollcall_table_publishes_total") == 1.0
    });
    let first = Samples::of(&rollcall);
    for (name, value) in [
        ("rollcall_ready", 1.0),
        ("rollcall_leader_known", 1.0),
        ("rollcall_source{source=\"poll\"}", 1.0),
        ("rollcall_source{source=\"none\"}", 0.0),
        ("rollcall_cluster_tasks{state=\"served\"}", 1.0),
        ("rollcall_cluster_agents", 4.0),
        ("rollcall_table_publishes_total", 1.0),
        ("rollcall_table_records{type=\"TXT\"}", 0.0),
    ] {
        assert_eq!(first.get(name), value, "{name}");
    }
    for name in [
        "rollcall_table_names",
        "rollcall_table_bytes",
        "rollcall_table_build_seconds_total",
        "rollcall_table_build_last_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(first.get(name) > 0.0, "{name}");
    }
    let status = rollcall.status();
    assert_eq!(
        Some(first.get("rollcall_table_serial")),
        status["serial"].as_f64()
    );
    assert_eq!(
        Some(first.get("rollcall_table_names")),
        status["names"].as_f64()
    );
    master.set(Behaviour::Serve(
        State::new(master.address()).tasks("web", 3).text(),
    ));
    wait_until("the other table", || {
        Samples::of(&rollcall).get("rollcall_table_publishes_total") == 2.0
    });
    master.set(Behaviour::HangUp);
    wait_until("a failed poll", || {
        let now = Samples::of(&rollcall);
        now.get("rollcall_source_poll_failures_total") > 0.0
            && now.get("rollcall_records_age_seconds") > 0.0
    });
}

/// What `promtool` says to a text on its standard input.
fn promtool(arguments: &[&str], text: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed; tests/run does it");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8(said).expect("text"),
    )
}

#[test]
fn promtool_has_no_complaint_and_every_family_is_there() {
    let resolver = Resolver::start();
    let settings = json!({
        "ExternalOn": true, "Resolvers": [resolver.address().to_string()],
    });
    let (_master, rollcall) = with_engine("", settings);
    rollcall.client().ask("web.example", A);
    let (_, text) = rollcall.get("/metrics");
    assert_eq!(
        promtool(&["check", "metrics"], &text),
        (true, String::new())
    );
    for family in FAMILIES {
        let line = format!("# TYPE {} {}", family.full_name(), family.kind.label());
        assert!(text.lines().any(|it| it == line), "{line}");
    }
    // A fault is found: the tool looked at it.
    let (is_good, said) = promtool(&["check", "metrics"], "# TYPE a_total gauge\na_total 1\n");
    assert!(!is_good && said.contains("a_total"), "{said}");
}

#[test]
fn openmetrics_is_given_to_who_asks_and_head_is_answered() {
    let (_master, rollcall) = with_engine("", json!({}));
    let curl = |arguments: &[&str]| {
        let url = format!("http://{}/metrics", rollcall.http_address());
        let output = Command::new("curl")
            .args(["-s", "-i", &url])
            .args(arguments)
            .output()
            .expect("curl is installed; tests/run does it");
        String::from_utf8(output.stdout).expect("text")
    };
    let plain = curl(&[]);
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    let open = curl(&["-H", "Accept: application/openmetrics-text;version=1.0.0"]);
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(open.ends_with("# EOF\n"));
    let head = curl(&["-I"]);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn without_dns_or_a_table_the_rest_is_told() {
    let http = free_address();
    let folder = Folder::new();
    let config = json!({
        "Masters": [free_address().to_string()], "DnsOn": false,
        "HttpPort": http.port(), "HTTPListener": "127.0.0.1",
    });
    let file = folder.write("config.json", config.to_string());
    let mut child = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .arg(format!("-config={}", file.display()))
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("rollcall runs");
    let (code, text) = crate::support::process::get(http, "/metrics");
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(code, 200);
    assert!(
        text.lines().any(|line| line == "rollcall_ready 0"),
        "{text}"
    );
    assert!(!text.contains("\nrollcall_table_names "));
    assert!(!text.contains("rollcall_engine_info{"));
}
