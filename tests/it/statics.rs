//! The file of static records and the real program: read at the start, read anew when it changes, refused
//! where it is wrong.

use std::net::Ipv4Addr;
use std::process::{Command, Output};

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::support::client::{A, AAAA, SOA, SRV, TXT, records};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::wait_until;

const FILE: &str = "static.zone";
const WEB: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const TEXT: &str = "\
; databases
$TTL 30
db        A     10.8.0.1
          AAAA  fd00::8
_pg._tcp  SRV   1 2 5432 db
db        TXT   \"hello there\"
www 5     CNAME web.marathon
*.lab.example. A 10.8.0.2
1.0.8.10.in-addr.arpa. PTR db
leader    TXT   reserved
marathon  CNAME db
";

fn master() -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", WEB).text()))
}

fn check_config(text: &str) -> Output {
    let folder = Folder::new();
    let statics = folder.write(FILE, text);
    let config = json!({"Masters": ["127.0.0.1:5050"], "StaticRecords": statics});
    let config = folder.write("config.json", config.to_string());
    Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["check", &format!("-config={}", config.display())])
        .env_clear()
        .output()
        .expect("rollcall runs")
}

#[test]
fn static_records_are_answered_over_both_transports_and_http() {
    let (folder, master) = (Folder::new(), master());
    let file = folder.write(FILE, TEXT);
    let rollcall = Rollcall::serving(
        &[master.address()],
        json!({"StaticRecords": file, "Source": "poll"}),
    );
    let client = rollcall.client();
    for (name, rtype, expected) in [
        ("db.mesos", A, &["db.mesos. 30 IN A 10.8.0.1"][..]),
        ("db.mesos", AAAA, &["db.mesos. 30 IN AAAA fd00::8"]),
        ("db.mesos", TXT, &["db.mesos. 30 IN TXT hello there"]),
        (
            "_pg._tcp.mesos",
            SRV,
            &["_pg._tcp.mesos. 30 IN SRV 1 2 5432 db.mesos."],
        ),
        (
            "www.mesos",
            A,
            &[
                "web.marathon.mesos. 60 IN A 10.3.0.1",
                "www.mesos. 5 IN CNAME web.marathon.mesos.",
            ],
        ),
        ("a.b.lab.example", A, &["a.b.lab.example. 30 IN A 10.8.0.2"]),
        (
            "1.0.8.10.in-addr.arpa",
            12,
            &["1.0.8.10.in-addr.arpa. 30 IN PTR db.mesos."],
        ),
    ] {
        let message = client.ask_both(name, rtype);
        assert_eq!(records(&message)[0], expected, "{name}");
        assert!(message.metadata.authoritative);
    }
    assert_eq!(client.rcode("lab.example", A), ResponseCode::Refused);
    for (path, part) in [
        ("/v1/hosts/www.mesos", r#""ip": "10.3.0.1""#),
        ("/v1/hosts/q.lab.example", r#""ip": "10.8.0.2""#),
        ("/v1/services/_pg._tcp.mesos", r#""ip": "10.8.0.1""#),
        ("/v1/axfr", r#""db.mesos.""#),
        ("/v1/axfr", r#""db.mesos.:5432""#),
    ] {
        let (status, body) = rollcall.get(path);
        let plain = |text: &str| text.replace([' ', '\n'], "");
        assert_eq!(status, 200);
        assert!(plain(&body).contains(&plain(part)), "{path}: {body}");
    }
    // The framework's name is the cluster's, and its CNAME is told of once.
    assert_eq!(
        client.addresses("marathon.mesos"),
        [Ipv4Addr::new(10, 9, 0, 1)]
    );
    assert_eq!(rollcall.status()["names_left_out"], 1);
    assert_eq!(rollcall.log_lines("the static CNAME of marathon.mesos."), 1);
    let explained = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args([
            "explain",
            "--http",
            &rollcall.http_address().to_string(),
            "db.mesos",
        ])
        .output()
        .expect("rollcall runs");
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    let place = format!("static record of {}:3", file.display());
    assert!(text.contains(&place), "{text}");
}

#[test]
fn file_is_read_anew_when_it_changes_and_a_wrong_one_changes_nothing() {
    let (folder, master) = (Folder::new(), master());
    let file = folder.write(FILE, "db A 10.8.0.1\n");
    let rollcall = Rollcall::serving(
        &[master.address()],
        json!({"StaticRecords": file, "Source": "poll", "StateDirectory": folder.join("state")}),
    );
    let client = rollcall.client();
    let one = |last| vec![Ipv4Addr::new(10, 8, 0, last)];
    assert_eq!(client.addresses("db.mesos"), one(1));
    folder.replace(FILE, "db A 10.8.0.2\nnew.example. TXT x\n");
    wait_until("new records", || client.addresses("db.mesos") == one(2));
    assert_eq!(client.ask("new.example", TXT).answers.len(), 1);
    assert_eq!(client.addresses("web.marathon.mesos"), [WEB]);
    folder.replace(FILE, "db A 10.8.0.3\n\nx A nonsense\n");
    let complaint = ["ERROR", FILE, "line 3", "nonsense", "192.0.2.1"];
    wait_until("complaint", || rollcall.has_line(&complaint));
    assert_eq!(client.addresses("db.mesos"), one(2));
    // Told once, however often it is looked at.
    folder.write("other", "");
    folder.write(FILE, "db A 10.8.0.4\n");
    wait_until("good file", || client.addresses("db.mesos") == one(4));
    assert_eq!(client.rcode("new.example", TXT), ResponseCode::Refused);
    assert_eq!(rollcall.log_lines("nonsense"), 1);
    std::fs::remove_file(&file).expect("the file is removed");
    wait_until("complaint", || {
        rollcall.has_line(&["ERROR", FILE, "cannot be read"])
    });
    assert_eq!(client.addresses("db.mesos"), one(4));
    folder.write(FILE, "db A 10.8.0.5\n@ NS x\n");
    rollcall.signal("HUP");
    wait_until("refusal", || {
        rollcall.has_line(&["ERROR", "is not taken", FILE, "line 2"])
    });
    assert_eq!(client.addresses("db.mesos"), one(4));
    folder.write(FILE, "db A 10.8.0.5\n");
    rollcall.signal("HUP");
    wait_until("records at a reload", || {
        client.addresses("db.mesos") == one(5)
    });
    rollcall.configure(json!({"StaticRecords": ""}));
    rollcall.signal("HUP");
    wait_until("end of the records", || {
        client.rcode("db.mesos", A) == ResponseCode::NXDomain
    });
}

#[test]
fn static_names_are_answered_before_any_master_speaks() {
    let (folder, master) = (Folder::new(), Master::start(|_| Behaviour::HangUp));
    let file = folder.write(FILE, TEXT);
    let rollcall = Rollcall::listening(
        &[master.address()],
        json!({"StaticRecords": file, "Source": "poll"}),
    );
    let client = rollcall.client();
    wait_until("static names", || {
        client.rcode("db.mesos", A) == ResponseCode::NoError
    });
    assert_eq!(
        client.addresses("x.lab.example"),
        [Ipv4Addr::new(10, 8, 0, 2)]
    );
    for (name, rtype) in [("web.marathon.mesos", A), ("www.mesos", A), ("mesos", SOA)] {
        assert_eq!(client.rcode(name, rtype), ResponseCode::ServFail, "{name}");
    }
    assert_eq!(rollcall.get("/readyz").0, 503);
    assert_eq!(rollcall.get("/v1/hosts/db.mesos").0, 503);
    folder.replace(FILE, "db A 10.8.0.9\n");
    wait_until("other records", || {
        client.addresses("db.mesos") == [Ipv4Addr::new(10, 8, 0, 9)]
    });
    assert_eq!(client.rcode("x.lab.example", A), ResponseCode::Refused);
    let leader = master.address();
    master.set(Behaviour::Serve(State::new(leader).task("web", WEB).text()));
    rollcall.signal("USR1");
    wait_until("first table", || {
        client.rcode("mesos", SOA) == ResponseCode::NoError
    });
    assert_eq!(client.addresses("web.marathon.mesos"), [WEB]);
    assert_eq!(client.addresses("db.mesos"), [Ipv4Addr::new(10, 8, 0, 9)]);
    assert_eq!(client.rcode("none.mesos", A), ResponseCode::NXDomain);
}

#[test]
fn warm_start_has_the_records_of_the_present_file() {
    let (folder, master) = (Folder::new(), master());
    let file = folder.write(FILE, TEXT);
    let settings =
        json!({"StaticRecords": file, "Source": "poll", "StateDirectory": folder.join("state")});
    let mut rollcall = Rollcall::serving(&[master.address()], settings);
    master.set(Behaviour::HangUp);
    for (text, db) in [
        (TEXT, [10, 8, 0, 1]),
        ("db A 10.8.0.7\n*.lab.example. A 10.8.0.2", [10, 8, 0, 7]),
    ] {
        rollcall.signal("TERM");
        assert!(rollcall.wait_for_end().0.success());
        folder.write(FILE, text);
        rollcall.start_again();
        let client = rollcall.client();
        wait_until("records of before", || {
            client.rcode("mesos", SOA) == ResponseCode::NoError
        });
        assert_eq!(client.addresses("web.marathon.mesos"), [WEB]);
        assert_eq!(client.addresses("db.mesos"), [Ipv4Addr::from(db)]);
        assert_eq!(
            client.addresses("x.lab.example"),
            [Ipv4Addr::new(10, 8, 0, 2)]
        );
        // Read anew although no master has spoken since the start.
        folder.replace(FILE, format!("{text}\nlate A 10.8.0.8\n"));
        wait_until("late record", || {
            client.rcode("late.mesos", A) == ResponseCode::NoError
        });
        assert_eq!(client.addresses("web.marathon.mesos"), [WEB]);
        master.set(Behaviour::Serve(
            State::new(master.address()).task("web", WEB).text(),
        ));
        rollcall.signal("USR1");
        wait_until("a master", || rollcall.status()["source"] == "poll");
        master.set(Behaviour::HangUp);
    }
}

#[test]
fn wrong_file_is_refused_with_line_culprit_and_cure() {
    let good = check_config(TEXT);
    assert!(good.status.success());
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(
        text.contains("StaticRecords") && text.contains(FILE),
        "{text}"
    );
    for (text, parts) in [
        ("\nx A 1.2.3", ["line 2", "1.2.3", "192.0.2.1"]),
        ("$INCLUDE x", ["line 1", "$INCLUDE", "this one file"]),
        (
            "leader A 10.0.0.1",
            ["line 1", "leader.mesos.", "another name"],
        ),
    ] {
        let refused = check_config(text);
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            said.contains(FILE) && said.contains("StaticRecords"),
            "{said}"
        );
        for part in parts {
            assert!(said.contains(part), "{said}");
        }
    }
}
