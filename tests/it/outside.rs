//! Names outside the domain: what of the configuration decides about them, and what the real program
//! answers and says of them without asking anybody.

use std::net::Ipv4Addr;
use std::process::Command;

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::config::{refused, taken, with_masters};
use crate::support::client::A;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::{namespace, wait_until};

const PTR: u16 = 12;

#[test]
fn keys_of_forwarding_are_refused_with_the_value_at_fault() {
    for (members, key, value) in [
        (r#""ZoneResolvers":{"corp":[]}"#, "ZoneResolvers", "corp"),
        (
            r#""ZoneResolvers":{"corp":["x"]}"#,
            "ZoneResolvers",
            "corp=x",
        ),
        (
            r#""ZoneResolvers":{"mesos":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "mesos",
        ),
        (
            r#""ZoneResolvers":{"MESOS":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "MESOS",
        ),
        (
            r#""ZoneResolvers":{"x.mesos":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "x.mesos",
        ),
        (
            r#""ZoneResolvers":{"corp":["127.0.0.1"],"CORP":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "corp",
        ),
        (
            r#""ZoneResolvers":{"a_b":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "a_b",
        ),
        (
            r#""AllowRecursion":["10.0.0.0/33"]"#,
            "AllowRecursion",
            "10.0.0.0/33",
        ),
        (
            r#""AllowRecursion":["interface"]"#,
            "AllowRecursion",
            "the word interfaces",
        ),
        (
            r#""ReverseZones":["interfaces"]"#,
            "ReverseZones",
            "interfaces",
        ),
        (r#""CacheBytes":-1"#, "CacheBytes", "0 to 1099511627776"),
        (
            r#""CacheMinTTL":8,"CacheMaxTTL":7"#,
            "CacheMinTTL: 8: this is more than CacheMaxTTL",
            "7 at most",
        ),
    ] {
        refused("outside-refused", &with_masters(members), &[key, value]);
    }
}

#[test]
fn keys_of_forwarding_are_taken_and_zones_may_lie_in_one_another() {
    let cases: [(&str, &[&str]); 4] = [
        (
            r#""ZoneResolvers":{"corp":["127.0.0.1:5302"],"xcorp":["127.0.0.1"]}"#,
            &["ZoneResolvers {\"corp\":[\"127.0.0.1:5302\"],\"xcorp\":[\"127.0.0.1\"]}"],
        ),
        (
            r#""domain":"a.corp","ZoneResolvers":{"corp":["::1"],"b.corp":["::2"]}"#,
            &["ZoneResolvers {\"b.corp\":[\"::2\"],\"corp\":[\"::1\"]} file"],
        ),
        (
            r#""allowrecursion":["10.1.2.3/8","interfaces"],"reversezones":["192.0.2.0/25"]"#,
            &[
                "AllowRecursion [\"10.0.0.0/8\",\"interfaces\"] file",
                "ReverseZones [\"192.0.2.0/25\"] file",
                "CacheBytes 33554432 default",
                "CacheMinTTL 0 default",
                "CacheMaxTTL 86400 default",
            ],
        ),
        (
            r#""AllowRecursion":[],"CacheBytes":0,"CacheMinTTL":7,"CacheMaxTTL":7"#,
            &[
                "AllowRecursion []",
                "CacheBytes 0",
                "CacheMinTTL 7",
                "CacheMaxTTL 7",
            ],
        ),
    ];
    for (members, shown) in cases {
        taken("outside-taken", &with_masters(members), shown);
    }
}

#[test]
fn zone_whose_names_are_answered_here_warns() {
    let zones = r#""ZoneResolvers":{"corp":["::1"],"onion":["::1"],"a.localhost":["::1"]}"#;
    let report = taken("special", &with_masters(zones), &[]);
    for zone in ["onion", "a.localhost"] {
        let warning = format!("warning: ZoneResolvers: the resolvers of {zone} are never asked");
        assert!(report.contains(&warning), "{report}");
    }
    assert!(!report.contains("of corp are never"), "{report}");
}

#[test]
fn check_says_who_may_ask_for_names_outside_and_whom_they_are_asked_of() {
    for (members, lines) in [
        (
            r#""Resolvers":["192.0.2.1"],"AllowRecursion":["192.0.2.0/24"]"#,
            &[
                "names outside the domain are asked of 192.0.2.1:53; clients of 192.0.2.0/24 may ask",
            ][..],
        ),
        (
            r#""AllowRecursion":["0.0.0.0/0"]"#,
            &["0.0.0.0/0 may ask: it is open to the world"],
        ),
        (
            r#""ExternalOn":false"#,
            &["names outside the domain are REFUSED"],
        ),
    ] {
        let report = taken("outside", &with_masters(members), &[]);
        for line in lines {
            assert!(report.contains(line), "{line}\n{report}");
        }
        assert!(!report.contains("warning"), "{report}");
    }
}

fn master() -> Master {
    Master::start(|leader| {
        let web = State::new(leader).task("web", [10, 1, 2, 3].into());
        Behaviour::Serve(web.text())
    })
}

#[test]
fn special_names_and_reverse_zones_are_answered_without_asking_anybody() {
    let master = master();
    let settings = json!({"ReverseDnsOn": true, "ReverseZones": ["10.1.0.0/16"]});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let client = rollcall.client();
    assert_eq!(client.addresses("x.localhost"), [Ipv4Addr::LOCALHOST]);
    for (name, expected) in [
        ("x.onion", ResponseCode::NXDomain),
        ("x.invalid", ResponseCode::NXDomain),
        ("3.2.1.10.in-addr.arpa", ResponseCode::NoError),
        ("4.2.1.10.in-addr.arpa", ResponseCode::NXDomain),
        ("4.2.2.10.in-addr.arpa", ResponseCode::Refused),
    ] {
        let answer = client.ask_both(name, PTR);
        assert_eq!(answer.metadata.response_code, expected, "{name}");
    }
}

#[test]
fn reload_says_and_does_who_may_ask_for_names_outside() {
    let master = master();
    let settings = json!({
        "ExternalOn": true, "Resolvers": ["127.0.0.1:9"], "AllowRecursion": ["192.0.2.0/24"],
    });
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let line = "asked of 127.0.0.1:9; clients of 192.0.2.0/24 may ask";
    assert_eq!(rollcall.log_lines(line), 1, "{}", rollcall.log());
    let client = rollcall.client();
    assert_eq!(client.rcode("example.com", A), ResponseCode::Refused);
    rollcall.configure(json!({"AllowRecursion": [], "ReverseZones": ["192.0.2.0/24"]}));
    rollcall.signal("HUP");
    wait_until("the new list", || {
        rollcall.has_line(&["nobody may ask", "AllowRecursion"])
    });
    wait_until("the new reverse zone", || {
        client.rcode("1.2.0.192.in-addr.arpa", PTR) == ResponseCode::NXDomain
    });
    // What is refused changes nothing, and nothing is said.
    rollcall.configure(json!({"CacheMinTTL": 7, "CacheMaxTTL": 6}));
    rollcall.signal("HUP");
    wait_until("refusal", || {
        rollcall.has_line(&["is not taken", "CacheMinTTL"])
    });
    assert_eq!(rollcall.log_lines("names outside the domain"), 2);
}

/// In namespaces of its own, for /etc and the addresses of a host.
#[test]
fn resolv_conf_and_interfaces_are_followed() {
    let name = "outside::resolv_conf_and_interfaces_are_followed";
    if namespace::enter(name, &["--mount", "--net"]) {
        resolv_conf_and_interfaces_change();
    }
}

fn resolv_conf_and_interfaces_change() {
    namespace::run("mount -t tmpfs none /etc");
    namespace::run("ip link set lo up");
    let write = |path: &str, text: &str| std::fs::write(path, text).expect(path);
    write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.53\nnameserver 192.0.2.1\n",
    );
    let master = master();
    let settings = json!({"ExternalOn": true, "Resolvers": []});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let said = |part: &str| {
        wait_until(part, || rollcall.log_lines(part) > 0);
        assert_eq!(rollcall.log_lines(part), 1, "{}", rollcall.log());
    };
    said("are asked of 192.0.2.1:53; ");
    write("/etc/resolv.conf", "nameserver 192.0.2.2\n");
    said("are asked of 192.0.2.2:53; ");
    // By a link that is turned, as systemd-resolved has it.
    write(
        "/etc/other.conf",
        "nameserver 192.0.2.3\nnameserver 192.0.2.4\n",
    );
    std::os::unix::fs::symlink("other.conf", "/etc/new.conf").expect("a link");
    std::fs::rename("/etc/new.conf", "/etc/resolv.conf").expect("the link is turned");
    said("are asked of 192.0.2.3:53, 192.0.2.4:53; ");
    std::fs::remove_file("/etc/other.conf").expect("a file");
    said("/etc/resolv.conf is of no use: No such file");
    said("are asked of nobody; ");
    write("/etc/other.conf", "nameserver ::1\n");
    said("/etc/resolv.conf is of no use: it names no other host");
    namespace::run("ip addr add 203.0.113.9/25 dev lo");
    said("203.0.113.0/25 may ask");
    // It is this host now.
    write(
        "/etc/other.conf",
        "nameserver 203.0.113.9\nnameserver 192.0.2.5\n",
    );
    said("are asked of 192.0.2.5:53; ");
    assert_eq!(rollcall.log_lines("of no use"), 2, "{}", rollcall.log());
    let checked = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["check", "-config"])
        .arg(rollcall.config_file())
        .output()
        .expect("rollcall runs");
    let text = String::from_utf8_lossy(&checked.stdout);
    assert!(text.contains("are asked of 192.0.2.5:53; "), "{text}");
}
