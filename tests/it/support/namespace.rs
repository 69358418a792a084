//! Tests in namespaces of their own, where they may change what all processes of a machine share: its
//! addresses, its /etc. A process that may not have such passes them over.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Set in the process inside.
const INSIDE: &str = "ROLLCALL_TEST_NAMESPACES";

/// Whether `enter` would enter such, or has.
pub fn may_enter(kinds: &[&str]) -> bool {
    std::env::var_os(INSIDE).is_some() || way(kinds).is_some()
}

/// What `unshare` must be told besides, so that this process may have namespaces of these kinds.
fn way(kinds: &[&str]) -> Option<&'static [&'static str]> {
    let ways: [&'static [&'static str]; 2] = [&[], &["--user", "--map-root-user"]];
    ways.into_iter().find(|way| {
        let output = unshare(way, kinds).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    })
}

fn unshare(way: &[&str], kinds: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(way).args(kinds);
    command
}

/// Runs a test of this program (its whole name) anew in namespaces of these kinds, which `unshare` names
/// (`--net`), and false here; true inside. Nothing but the test must run in that process.
pub fn enter(test: &str, kinds: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let Some(way) = way(kinds) else {
        eprintln!("passed over: this process may not have namespaces of its own");
        return false;
    };
    let mut child = unshare(way, kinds)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare runs");
    // Line by line, for a test that takes long.
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut has_passed = false;
    for line in lines.map_while(Result::ok) {
        println!("{line}");
        has_passed |= line.contains("1 passed");
    }
    let status = child.wait().expect("a child of ours");
    assert!(status.success() && has_passed, "{status}");
    false
}

/// Runs a command that must not fail.
pub fn run(line: &str) {
    let mut words = line.split(' ');
    let program = words.next().expect("a program");
    let status = Command::new(program).args(words).status();
    assert!(status.expect(program).success(), "{line}");
}
