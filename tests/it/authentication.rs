//! Masters that ask for a password, with the real nginx in front of them: where the password may come
//! from, and what happens when it changes.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use super::config::{check, with_masters};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::nginx::{Front, Nginx};
use crate::support::openssl::openssl;
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::wait_until;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);

/// A master with one task `web` behind nginx, which lets in `dns` with a password.
struct Guarded {
    folder: Folder,
    master: Master,
    nginx: Nginx,
}

impl Guarded {
    fn new(password: &str) -> Self {
        let folder = Folder::new();
        let file = folder.write("passwords", line_of(password));
        let master =
            Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", OLD).text()));
        let nginx = Nginx::start(master.address(), &Front::passwords(&file));
        Self {
            folder,
            master,
            nginx,
        }
    }

    /// From now on nginx wants another one.
    fn expect(&self, password: &str) {
        self.folder.replace("passwords", line_of(password));
    }

    fn move_web(&self, address: Ipv4Addr) {
        let state = State::new(self.master.address()).task("web", address);
        self.master.set(Behaviour::Serve(state.text()));
    }

    fn serving(&self, settings: Value) -> Rollcall {
        Rollcall::serving(&[self.nginx.address()], settings)
    }
}

fn line_of(password: &str) -> String {
    let hash = openssl(&["passwd", "-apr1", password]);
    format!("dns:{}", String::from_utf8(hash).expect("text"))
}

fn basic(credentials: Value) -> Value {
    json!({"MesosAuthentication": "basic", "MesosCredentials": credentials, "RefreshSeconds": 1,
        "Source": "poll"})
}

fn with_file(file: &Path) -> Value {
    basic(json!({"Principal": "dns", "SecretFile": file}))
}

fn web(rollcall: &Rollcall) -> Vec<Ipv4Addr> {
    rollcall.client().addresses("web.marathon.mesos")
}

#[test]
fn password_may_come_from_configuration_variable_or_file() {
    let guarded = Guarded::new("pässwörd: 1");
    let file = guarded.folder.write("secret", "pässwörd: 1\n");
    let text = basic(json!({"Principal": "dns", "Secret": "pässwörd: 1"}));
    for settings in [text, with_file(&file)] {
        assert_eq!(web(&guarded.serving(settings)), [OLD]);
    }
    for variable in [
        ("ROLLCALL_MESOS_CREDENTIALS_SECRET", "pässwörd: 1"),
        (
            "ROLLCALL_MESOS_CREDENTIALS_SECRET_FILE",
            &file.display().to_string(),
        ),
    ] {
        let settings = basic(json!({"Principal": "dns"}));
        let rollcall = Rollcall::listening_with(&[guarded.nginx.address()], settings, &[variable]);
        wait_until("first table", || web(&rollcall) == [OLD]);
    }
}

#[test]
fn wrong_password_is_named() {
    let guarded = Guarded::new("right");
    let settings = basic(json!({"Principal": "dns", "Secret": "wrong"}));
    let rollcall = Rollcall::listening(&[guarded.nginx.address()], settings);
    let address = guarded.nginx.address().to_string();
    wait_until("line that says so", || {
        rollcall.has_line(&[&address, "status 401", "MesosCredentials"])
    });
    assert_eq!(guarded.master.answered(), 0);
}

#[test]
fn password_that_changes_is_used_without_a_restart() {
    let guarded = Guarded::new("first");
    let folder = &guarded.folder;
    folder.mount("one", &[("secret", b"first\n")]);
    let rollcall = guarded.serving(with_file(&folder.join("secret")));
    let serves_again = |password: &str, address| {
        guarded.expect(password);
        guarded.move_web(address);
        wait_until(password, || web(&rollcall) == [address]);
    };
    folder.mount("two", &[("secret", b"by a link\n")]);
    serves_again("by a link", NEW);
    folder.replace("one/secret", "not looked at\n");
    folder.replace("two/secret", "by renaming\n");
    serves_again("by renaming", OLD);
    fs::write(folder.join("two/secret"), "in place\n").expect("written");
    serves_again("in place", NEW);
    // The masters change first: refused, and then let in again.
    guarded.expect("last");
    guarded.move_web(OLD);
    wait_until("refusal", || rollcall.has_line(&["status 401"]));
    assert_eq!(web(&rollcall), [NEW]);
    folder.replace("two/secret", "last\n");
    wait_until("last", || web(&rollcall) == [OLD]);
}

#[test]
fn password_file_that_is_gone_or_empty_keeps_the_last_password() {
    let guarded = Guarded::new("first");
    let path = guarded.folder.write("secret", "first");
    let rollcall = guarded.serving(with_file(&path));
    let told = || rollcall.log_lines("what was read before stays in use");
    for (number, address) in [(1, NEW), (2, OLD)] {
        match number {
            1 => fs::remove_file(&path).expect("removed"),
            _ => fs::write(&path, "\n").expect("written"),
        }
        guarded.move_web(address);
        wait_until("the new address all the same", || {
            web(&rollcall) == [address]
        });
        guarded.master.wait_for_two_more_requests();
        assert_eq!(told(), number);
    }
    guarded.folder.replace("secret", "second");
    guarded.expect("second");
    guarded.move_web(NEW);
    wait_until("new password", || web(&rollcall) == [NEW]);
    assert_eq!(told(), 2);
}

#[test]
fn credentials_that_cannot_work_are_refused_by_key_and_file() {
    let folder = Folder::new();
    let path = |name: &str, content: &str| folder.write(name, content).display().to_string();
    let (good, empty) = (path("good", "s3cret\n"), path("empty", "\n"));
    let gone = folder.join("gone").display().to_string();
    for (credentials, fragments) in [
        (
            json!({"Principal": "p", "Secret": "s3cret", "SecretFile": good}),
            ["MesosCredentials.Secret is set as well", "one of the two"],
        ),
        (
            json!({"Principal": "p", "SecretFile": gone}),
            [&*gone, "cannot be read"],
        ),
        (
            json!({"Principal": "p", "SecretFile": empty}),
            [&*empty, "it is empty"],
        ),
        (json!({}), ["MesosCredentials is missing", "SecretFile"]),
    ] {
        let members = format!(r#""MesosAuthentication":"basic","MesosCredentials":{credentials}"#);
        let (output, file) = check("credentials", &with_masters(&members), &[]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        for fragment in fragments.into_iter().chain([&*file, "right would be"]) {
            assert!(message.contains(fragment), "no {fragment:?} in {message}");
        }
        assert!(!message.contains("s3cret"), "{message}");
    }
    let members = format!(
        r#""MesosAuthentication":"basic","MesosCredentials":{{"Principal":"p","SecretFile":"{good}"}}"#
    );
    let (output, _) = check("credentials", &with_masters(&members), &[]);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(
        report.contains(&good) && !report.contains("s3cret"),
        "{report}"
    );
}
