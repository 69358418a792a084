//! The program gives up what it does not need: every thread of it, on both engines, and it says so.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::process::Command;

use serde_json::{Value, json};

use crate::engines::has_rings;
use crate::support::client::A;
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::wait_until;

const WEB: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NAME: &str = "web.marathon.mesos";
/// CAP_NET_BIND_SERVICE, as the kernel writes a set of it alone.
const BIND: u64 = 1 << 10;

fn master() -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", WEB).text()))
}

/// A field of a thread's status.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map_or("", |rest| rest.trim_start_matches(':').trim())
}

fn capabilities(status: &str, name: &str) -> u64 {
    u64::from_str_radix(field(status, name), 16).expect(name)
}

#[test]
fn every_thread_is_confined_on_both_engines() {
    let engines = ["epoll", "uring"];
    for engine in engines
        .into_iter()
        .filter(|it| *it == "epoll" || has_rings())
    {
        let (master, state) = (master(), Folder::new());
        let settings = json!({
            "Engine": engine, "StateDirectory": state.join("kept"), "QueryLog": 1, "Workers": 2,
        });
        let variables = [("ROLLCALL_ENGINE", "")];
        let rollcall = Rollcall::listening_with(&[master.address()], settings, &variables);
        let client = rollcall.client();
        wait_until("an answer", || client.addresses(NAME) == [WEB]);
        wait_until("kept records", || state.join("kept/warm-start").exists());
        let threads = rollcall.threads();
        assert!(threads.len() > 6, "{}", threads.len());
        for thread in &threads {
            assert_eq!(field(thread, "NoNewPrivs"), "1", "{thread}");
            assert_eq!(field(thread, "Seccomp"), "2", "{thread}");
            for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
                assert_eq!(capabilities(thread, set) & !BIND, 0, "{set}\n{thread}");
            }
        }
        let shown = rollcall.status()["sandbox"].clone();
        assert_eq!(shown["mode"], "on", "{shown}");
        assert_eq!(shown["system_calls"], "refused", "{shown}");
        assert!(rollcall.has_line(&["sandbox on: no new privileges"]));
    }
}

#[test]
fn off_leaves_the_process_as_it_was_started() {
    let master = master();
    let rollcall = Rollcall::serving(&[master.address()], json!({"Sandbox": "off"}));
    for thread in rollcall.threads() {
        assert_eq!(field(&thread, "Seccomp"), "0", "{thread}");
    }
    assert_eq!(rollcall.status()["sandbox"]["mode"], "off");
    // What was not given up can be, at the next start.
    rollcall.reconfigure(json!({"Sandbox": "on"}));
    assert!(rollcall.has_line(&["Sandbox on takes a restart"]));
}

#[test]
fn log_lets_calls_pass() {
    let master = master();
    let rollcall = Rollcall::serving(&[master.address()], json!({"Sandbox": "log"}));
    assert_eq!(rollcall.client().addresses(NAME), [WEB]);
    let shown = rollcall.status()["sandbox"].clone();
    assert_eq!(shown["mode"], "log", "{shown}");
    assert_ne!(shown["system_calls"], "refused", "{shown}");
}

#[test]
fn check_says_what_would_be_in_force() {
    let check = |mode: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("check")
            .env_clear()
            .env("ROLLCALL_MASTERS", "127.0.0.1:5050")
            .env("ROLLCALL_SANDBOX", mode)
            .output()
            .expect("rollcall runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    let (code, text) = check("on");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("\nsandbox: on: no new privileges; "),
        "{text}"
    );
    let (_, text) = check("off");
    assert!(text.contains("\nsandbox: off: "), "{text}");
    let (code, text) = check("strict");
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("Sandbox") && text.contains("on, log or off"),
        "{text}"
    );
}

/// Landlock's version, as the program found it.
fn landlock(rollcall: &Rollcall) -> Option<u64> {
    let found = rollcall.status()["sandbox"]["landlock"].as_u64();
    if found.is_none() {
        eprintln!("not tested: there is no Landlock here");
    }
    found
}

#[test]
fn a_reload_that_leads_out_of_reach_names_path_and_cure_and_changes_nothing() {
    let (master, elsewhere) = (master(), Folder::new());
    let mut rollcall = Rollcall::serving(&[master.address()], json!({}));
    if landlock(&rollcall).is_none() {
        return;
    }
    let zone = elsewhere.write("zone", "static.mesos. A 10.9.9.9\n");
    let kept = elsewhere.join("kept");
    let before = fs::read(rollcall.config_file()).expect("the configuration");
    for (key, path) in [("StaticRecords", &zone), ("StateDirectory", &kept)] {
        rollcall.configure(json!({key: path}));
        rollcall.signal("HUP");
        let shown = path.display().to_string();
        wait_until("refusal", || {
            rollcall.has_line(&["is not taken", key, &shown, "Sandbox", "restart"])
        });
        assert_eq!(rollcall.client().addresses(NAME), [WEB]);
        fs::write(rollcall.config_file(), &before).expect("written");
    }
    // A start takes what a reload could not.
    rollcall.configure(json!({"StaticRecords": zone}));
    rollcall.signal("TERM");
    rollcall.wait_for_end();
    rollcall.start_again();
    let client = rollcall.client();
    wait_until("the static record", || {
        client.addresses("static.mesos") == [Ipv4Addr::new(10, 9, 9, 9)]
    });
    // And what lies beside a file that was named is in reach.
    let other = elsewhere.write("other", "static.mesos. A 10.9.9.8\n");
    rollcall.reconfigure(json!({"StaticRecords": other}));
    wait_until("the other record", || {
        client.addresses("static.mesos") == [Ipv4Addr::new(10, 9, 9, 8)]
    });
}

/// Root without its capabilities is a user like others.
#[test]
fn a_state_directory_of_another_user_is_told_with_the_cure() {
    let (master, state) = (master(), Folder::new());
    let kept = state.join("kept");
    fs::create_dir(&kept).expect("a directory");
    if chown(&kept, Some(65_533), Some(65_533)).is_err() {
        eprintln!("not tested: this user is not root");
        return;
    }
    let rollcall = Rollcall::serving(&[master.address()], json!({"StateDirectory": kept}));
    let shown = kept.display().to_string();
    wait_until("the warning", || {
        rollcall.has_line(&["cannot keep records in", &shown, "chown", "Sandbox"])
    });
    let config: Value = serde_json::from_str(&rollcall.get("/v1/config").1).expect("JSON");
    assert!(config.is_object());
    assert!(!rollcall.client().ask(NAME, A).answers.is_empty());
}
