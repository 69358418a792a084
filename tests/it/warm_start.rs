//! The warm start: a restart answers from the records of before, until a master speaks; a file that
//! cannot be trusted is ignored.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use serde_json::{Value, json};

use crate::support::client::{A, Client, SOA, SRV};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::wait_until;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);

fn master_with(address: Ipv4Addr) -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", address).text()))
}

fn settings(folder: &Folder) -> Value {
    json!({"StateDirectory": folder.join("state"), "Source": "poll"})
}

fn file(folder: &Folder) -> PathBuf {
    folder.join("state/warm-start")
}

fn web(client: &Client) -> Vec<Ipv4Addr> {
    client.addresses("web.marathon.mesos")
}

fn serial(client: &Client) -> u32 {
    match &client.ask("mesos", SOA).answers[0].data {
        RData::SOA(soa) => soa.serial,
        other => panic!("{other}"),
    }
}

/// A program that has served and ended cleanly, with its master gone.
fn ended(folder: &Folder) -> (Rollcall, Master, u32) {
    let master = master_with(OLD);
    let mut rollcall = Rollcall::serving(&[master.address()], settings(folder));
    assert_eq!(web(&rollcall.client()), [OLD]);
    let serial = serial(&rollcall.client());
    rollcall.signal("TERM");
    assert!(rollcall.wait_for_end().0.success());
    (rollcall, master, serial)
}

#[test]
fn restart_answers_from_disk_until_a_master_speaks() {
    let folder = Folder::new();
    let (mut rollcall, master, before) = ended(&folder);
    let mode = fs::metadata(file(&folder))
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    master.set(Behaviour::HangUp);
    rollcall.start_again();
    let client = rollcall.client();
    wait_until("records of before", || {
        client.rcode("mesos", SOA) == ResponseCode::NoError
    });
    assert_eq!(web(&client), [OLD]);
    assert_eq!(client.ask("_web._tcp.marathon.mesos", SRV).answers.len(), 1);
    assert_eq!(
        client.rcode("no-such-name.mesos", A),
        ResponseCode::NXDomain
    );
    wait_until("status", || rollcall.status()["source"] == "warm_start");
    let status = rollcall.status();
    assert!(
        status["age_seconds"]
            .as_f64()
            .is_some_and(|age| (0.0..60.0).contains(&age))
    );
    assert_eq!(status["tasks"]["served"], 1);
    assert!(
        rollcall
            .get("/v1/explain/web.marathon.mesos")
            .1
            .contains("web.0")
    );
    assert!(serial(&client) >= before);
    // It serves on for as long as no master speaks, and then what the master says.
    master.wait_for_two_more_requests();
    assert_eq!(web(&client), [OLD]);
    master.set(Behaviour::Serve(
        State::new(master.address()).task("web", NEW).text(),
    ));
    wait_until("the master's word", || web(&client) == [NEW]);
    assert!(serial(&client) > before);
    assert_eq!(rollcall.status()["source"], "poll");
}

#[test]
fn other_naming_is_served_from_the_cluster_of_before() {
    let folder = Folder::new();
    let (mut rollcall, master, _) = ended(&folder);
    master.set(Behaviour::HangUp);
    rollcall.configure(json!({"Domain": "other.test"}));
    rollcall.start_again();
    let client = rollcall.client();
    wait_until("records of before", || {
        client.rcode("web.marathon.other.test", A) == ResponseCode::NoError
    });
    assert_eq!(client.addresses("web.marathon.other.test"), [OLD]);
    assert_eq!(client.rcode("web.marathon.mesos", A), ResponseCode::Refused);
}

#[test]
fn files_that_are_damaged_or_of_another_cluster_are_ignored_with_one_warning() {
    let folder = Folder::new();
    let (mut rollcall, master, _) = ended(&folder);
    master.set(Behaviour::HangUp);
    let good = fs::read(file(&folder)).expect("the file");
    let changed = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    };
    let count = good.len();
    let cases: [(Vec<u8>, &str); 8] = [
        (Vec::new(), "no file of Rollcall"),
        (b"hello".to_vec(), "no file of Rollcall"),
        (good[..count / 2].to_vec(), "cut short"),
        (good[..count - 1].to_vec(), "cut short"),
        (changed(count - 12), "format"),
        (changed(count - 30), "checksum"),
        (changed(20), "checksum"),
        (good.repeat(2), "more than its head"),
    ];
    for (number, (bad, reason)) in cases.into_iter().enumerate() {
        fs::write(file(&folder), bad).expect("written");
        rollcall.start_again();
        let warned = || rollcall.log_lines("are not served");
        wait_until("warning", || warned() == number + 1);
        let line = rollcall.log();
        let line = line.lines().rfind(|line| line.contains("are not served"));
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{reason}: {line:?}"
        );
        assert_eq!(
            rollcall.client().rcode("mesos", SOA),
            ResponseCode::ServFail,
            "{reason}"
        );
        rollcall.signal("KILL");
        rollcall.wait_for_end();
    }
    fs::write(file(&folder), good).expect("written");
    rollcall.configure(json!({"Masters": ["127.0.0.9:5050"]}));
    rollcall.start_again();
    wait_until("warning", || {
        rollcall.has_line(&["are not served", "another cluster"])
    });
    assert_eq!(
        rollcall.client().rcode("mesos", SOA),
        ResponseCode::ServFail
    );
}

#[test]
fn kill_in_the_middle_of_a_write_leaves_the_old_file_or_the_new_one() {
    let folder = Folder::new();
    let (mut rollcall, master, _) = ended(&folder);
    // A state large enough that writing it takes a while; each start writes it after its first table.
    let state = |address| {
        State::new(master.address())
            .task("web", address)
            .tasks("worker", 20_000)
    };
    for round in 0..6_u64 {
        let address = Ipv4Addr::new(10, 3, 1, round as u8);
        master.set(Behaviour::Serve(state(address).text()));
        rollcall.start_again();
        let client = rollcall.client();
        wait_until("new address", || web(&client) == [address]);
        rollcall.signal("TERM");
        // Somewhere in the last write, or before it, or after it.
        std::thread::sleep(std::time::Duration::from_millis(round * 15));
        rollcall.signal_if_running("KILL");
        rollcall.wait_for_end();
        master.set(Behaviour::HangUp);
        rollcall.start_again();
        let client = rollcall.client();
        wait_until("records of before", || {
            client.rcode("mesos", SOA) == ResponseCode::NoError
        });
        let found = web(&client);
        assert!(
            found == [OLD] || found.len() == 1 && found[0].octets()[2] == 1,
            "{found:?} after round {round}"
        );
        assert_eq!(rollcall.log_lines("are not served"), 0);
        rollcall.signal("KILL");
        rollcall.wait_for_end();
    }
}

#[test]
fn nothing_is_kept_where_no_directory_is_configured_and_a_bad_one_is_told_once() {
    let folder = Folder::new();
    let master = master_with(OLD);
    let mut rollcall = Rollcall::serving(&[master.address()], json!({"Source": "poll"}));
    rollcall.signal("TERM");
    rollcall.wait_for_end();
    folder.write("state", "a file");
    rollcall.configure(settings(&folder));
    let output = rollcall.run_to_the_end();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("StateDirectory") && text.contains("no directory"),
        "{text}"
    );
}
