//! Tests in namespaces of their own, where they may change what all processes of a machine share: its
//! addresses, its /etc. A process that may not have such passes them over.

use std::process::Command;

/// Set in the process inside.
const INSIDE: &str = "ROLLCALL_TEST_NAMESPACES";

/// Runs a test of this program (its whole name) anew in namespaces of these kinds, which `unshare` names
/// (`--net`), and false here; true inside. Nothing but the test must run in that process.
pub fn enter(test: &str, kinds: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let unshare = |way: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(way).args(kinds);
        command
    };
    let may = |way: &&&[&str]| {
        let output = unshare(way).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(way) = ways.iter().find(may) else {
        eprintln!("passed over: this process may not have namespaces of its own");
        return false;
    };
    let output = unshare(way)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    false
}

/// Runs a command that must not fail.
pub fn run(line: &str) {
    let mut words = line.split(' ');
    let program = words.next().expect("a program");
    let status = Command::new(program).args(words).status();
    assert!(status.expect(program).success(), "{line}");
}
