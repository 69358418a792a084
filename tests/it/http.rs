//! The HTTP interface over a real table: what the /v1 routes say of names that exist and do not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rollcall::config::Config;
use rollcall::feed::Feed;
use rollcall::http::{ConnectionLimits, HttpSettings, Server};
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::responses::publish::{Published, Publisher};
use rollcall::stats::engine::SharedEngine;
use rollcall::stats::freshness::SharedFreshness;
use serde_json::{Value, json};

use crate::worlds;

const SERIAL: u32 = 42;

fn server(config: Config) -> Server {
    let mut web = worlds::task("web.1", "web");
    web.addresses = [
        (AddressSource::NetInfo, [172, 16, 0, 1].into()),
        (
            AddressSource::NetInfo,
            "fd00::1".parse().expect("an address"),
        ),
    ]
    .into();
    web.port_ranges = [(31000, 31000)].into();
    serving(vec![web], config, ConnectionLimits::default())
}

/// A server over a table of these tasks.
pub fn serving(tasks: Vec<Task>, config: Config, limits: ConnectionLimits) -> Server {
    let world = worlds::world_of(tasks);
    let published = Published::default();
    let snapshot = worlds::snapshot(&world, SERIAL.into());
    Publisher::new(Arc::clone(&published)).publish(snapshot);
    let settings = HttpSettings {
        config: Arc::new(arc_swap::ArcSwap::from_pointee(config)),
        freshness: SharedFreshness::default(),
        feed: Feed::default(),
        engine: SharedEngine::default(),
        sandbox: Default::default(),
        forward: Arc::default(),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Server::start_within(address, settings, published, limits).expect("start")
}

/// Over HTTP/1.0, whose bodies have no chunks to put together.
fn get(server: &Server, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.local_address()).expect("connect");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("timeout");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("write");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

fn get_json(server: &Server, path: &str) -> Value {
    let (status, body) = get(server, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

#[test]
fn hosts_are_echoed_in_lower_case_with_a_dot() {
    let server = server(Config::default());
    let expected = json!([
        {"host": "web.marathon.mesos.", "ip": "172.16.0.1"},
        {"host": "web.marathon.mesos.", "ip": "fd00::1"}]);
    for asked in [
        "web.marathon.mesos",
        "WEB.Marathon.mesos.",
        "web.*.marathon.mesos./",
        "%77eb.marathon.mesos.?x=y",
    ] {
        let answer = get_json(&server, &format!("/v1/hosts/{asked}"));
        assert_eq!(answer, expected, "{asked}");
    }
}

#[test]
fn services_are_echoed_as_asked_and_give_every_address() {
    let server = server(Config::default());
    let asked = "_Web.*._tcp.marathon.mesos";
    let rows = get_json(&server, &format!("/v1/services/{asked}"));
    let rows = rows.as_array().expect("a list");
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!(row["service"], asked);
        assert_eq!(row["port"], "31000");
        assert!(row["host"].as_str().expect("a name").ends_with(".mesos."));
        assert_ne!(row["ip"], "");
    }
}

#[test]
fn a_name_that_does_not_exist_is_one_record_of_empty_strings() {
    let server = server(Config::default());
    let long = "x".repeat(300);
    for host in [
        "nothing.mesos",
        "outside.example.",
        "%20",
        "a..b",
        "*",
        &long,
    ] {
        let answer = get_json(&server, &format!("/v1/hosts/{host}"));
        assert_eq!(answer, json!([{"host": "", "ip": ""}]), "{host}");
        let answer = get_json(&server, &format!("/v1/services/{host}"));
        let empty = json!([{"service": "", "host": "", "ip": "", "port": ""}]);
        assert_eq!(answer, empty, "{host}");
    }
    assert_eq!(get(&server, "/v1/hosts/.*").0, 400);
    assert_eq!(get(&server, "/v1/services/.*").0, 400);
}

#[test]
fn axfr_has_every_name_and_the_keys_of_upstream() {
    let server = server(Config::default());
    let (_, text) = get(&server, "/v1/axfr");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer["Serial"], SERIAL);
    assert_eq!(answer["Domain"], "mesos");
    assert_eq!(answer["Mname"], "ns1.mesos.");
    let records = answer["Records"].as_object().expect("an object");
    assert_eq!(records.len(), 3, "As, AAAAs, SRVs and no more");
    assert_eq!(records["As"]["web.marathon.mesos."], json!(["172.16.0.1"]));
    assert_eq!(records["AAAAs"]["web.marathon.mesos."], json!(["fd00::1"]));
    assert_eq!(
        records["SRVs"]["_leader._tcp.mesos."],
        json!(["leader.mesos.:5050"])
    );
    let owners: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("\"As\""))
        .take_while(|line| !line.contains("\"AAAAs\""))
        .filter_map(|line| line.trim().strip_suffix(": ["))
        .collect();
    assert!(owners.len() > 5 && owners.is_sorted(), "{owners:?}");
}

#[test]
fn axfr_shows_ptr_records_only_where_they_are_served() {
    let config = Config {
        reverse_dns_on: true,
        ..Config::default()
    };
    let answer = get_json(&server(config), "/v1/axfr");
    let ptrs = &answer["Records"]["PTRs"];
    let names = &ptrs["1.0.16.172.in-addr.arpa."];
    let names = names.as_array().expect("a list of names");
    assert!(names.contains(&json!("web.marathon.mesos.")), "{ptrs}");
}

#[test]
fn enumeration_lists_tasks_and_is_absent_where_switched_off() {
    let answer = get_json(&server(Config::default()), "/v1/enumerate");
    assert_eq!(answer["frameworks"][0]["name"], "marathon");
    let task = &answer["frameworks"][0]["tasks"][0];
    assert_eq!(
        (&task["name"], &task["id"]),
        (&json!("web"), &json!("web.1"))
    );
    let first = json!({"name": "web.marathon.mesos.", "host": "172.16.0.1", "rtype": "A"});
    assert_eq!(task["records"][0], first);
    let off = server(Config {
        enumeration_on: false,
        ..Config::default()
    });
    for path in ["/v1/enumerate", "/v1/axfr"] {
        assert_eq!(get(&off, path), (404, "404: Page Not Found".to_owned()));
    }
}

#[test]
fn ready_once_a_table_is_served_and_config_shows_its_serial() {
    let server = server(Config::default());
    assert_eq!(get(&server, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get_json(&server, "/v1/config")["SOASerial"], SERIAL);
}
