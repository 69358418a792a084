//! Secrets are seen by the masters and the endpoint alone: not in the log at its most talkative, not in
//! /v1/config, not in `check`, not in a list of processes; whether requests succeed or fail.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

use crate::support::files::Folder;
use crate::support::login::{Account, Form, Gives, Login};
use crate::support::master::{Behaviour, Master};
use crate::support::process::{self, Rollcall};
use crate::support::state::State;
use crate::support::wait_until;

const TRACE: (&str, &str) = ("RUST_LOG", "trace");
/// Of any secret, so many characters in a row are seen nowhere.
const WINDOW: usize = 12;

fn state(master: &Master) -> String {
    let address = Ipv4Addr::new(10, 3, 0, 1);
    State::new(master.address()).task("web", address).text()
}

/// All that the program shows to others than masters and endpoints.
fn shown_by(rollcall: &Rollcall) -> Vec<(&'static str, String)> {
    let check = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .arg("check")
        .arg(format!("-config={}", rollcall.config_file().display()))
        .env_clear()
        .envs([TRACE])
        .output()
        .expect("rollcall runs");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let paths = ["/v1/config", "/v1/axfr", "/v1/enumerate", "/readyz"];
    let mut shown = vec![
        ("the log", rollcall.log()),
        ("what check says", text(&check.stdout)),
        ("what check complains of", text(&check.stderr)),
        ("the list of processes", rollcall.command_line()),
    ];
    shown.extend(paths.map(|path| (path, rollcall.get(path).1)));
    shown
}

#[track_caller]
fn assert_hidden(rollcall: &Rollcall, secrets: &[String]) {
    let shown = shown_by(rollcall);
    // The log is as talkative as it gets. What the HTTP client would write into it at this level is
    // whole requests, as octets in rows, where no window would find them.
    assert!(rollcall.has_line(&["DEBUG"]), "{}", rollcall.log());
    assert!(!rollcall.log().contains("ureq"), "{}", rollcall.log());
    for secret in secrets {
        assert!(secret.len() >= WINDOW, "{secret:?} is short");
        let octets: Vec<_> = secret.bytes().collect();
        for part in octets.windows(WINDOW) {
            let part = String::from_utf8_lossy(part);
            for (place, text) in &shown {
                assert!(!text.contains(&*part), "{place} has {part} of {secret}");
            }
        }
    }
}

#[test]
fn password_of_the_masters_is_hidden() {
    let folder = Folder::new();
    let password = "hunter2-hunter3-hunter4";
    let header = BASE64_STANDARD.encode(format!("dns:{password}"));
    let wanted = format!("Basic {header}");
    let in_file = json!({"Principal": "dns", "SecretFile": folder.write("secret", password)});
    let in_text = json!({"Principal": "dns", "Secret": password});
    for credentials in [in_text, in_file] {
        let wanted = wanted.clone();
        let master = Master::start(|_| Behaviour::HangUp);
        let settings = json!({"MesosAuthentication": "basic", "MesosCredentials": credentials});
        let rollcall = Rollcall::listening_with(&[master.address()], settings, &[TRACE]);
        wait_until("failure", || rollcall.has_line(&["ERROR", "cannot read"]));
        master.set(Behaviour::Guarded(state(&master), Arc::new(|_| false)));
        wait_until("refusal", || rollcall.has_line(&["ERROR", "status 401"]));
        let accept = Arc::new(move |shown: &str| shown == wanted);
        master.set(Behaviour::Guarded(state(&master), accept));
        wait_until("first table", || rollcall.get("/readyz").0 == 200);
        master.wait_for_two_more_requests();
        assert_hidden(&rollcall, &[password.to_owned(), header.clone()]);
    }
}

#[test]
fn token_of_the_http_interface_is_hidden() {
    let folder = Folder::new();
    let token = "bearer-of-good-news-0123456789";
    let wrong = "bearer-of-bad-news-0123456789";
    let in_file = json!({"HttpTokenFile": folder.write("token", token)});
    for settings in [json!({"HttpToken": token}), in_file] {
        let master = Master::start(|_| Behaviour::HangUp);
        master.set(Behaviour::Serve(state(&master)));
        let rollcall = Rollcall::listening_with(&[master.address()], settings, &[TRACE]);
        wait_until("first table", || rollcall.get("/readyz").0 == 200);
        let server = rollcall.http_address();
        let status = |token| process::status_with_token(server, "/v1/config", token);
        assert_eq!((status(wrong), status(token)), (401, 200));
        assert_hidden(&rollcall, &[token.to_owned(), wrong.to_owned()]);
    }
}

#[test]
fn key_and_tokens_of_a_service_account_are_hidden() {
    let folder = Folder::new();
    let account = Account::new("dns", Form::Pkcs8);
    let key: Vec<String> = account
        .private_key
        .lines()
        .filter(|line| line.len() >= WINDOW && !line.starts_with('-'))
        .map(str::to_owned)
        .collect();
    assert!(key.len() > 20);
    let login = Login::start(account, Gives::Status(403));
    let content = login.account_file();
    let file = folder.write("account.json", &content);
    let master = Master::start(|_| Behaviour::HangUp);
    let settings = json!({"MesosAuthentication": "iam", "IAMConfigFile": file});
    let rollcall = Rollcall::listening_with(&[master.address()], settings, &[TRACE]);
    wait_until("refused log-in", || rollcall.has_line(&["status 403"]));
    login.set(Gives::Nonsense);
    wait_until("answer without a token", || {
        rollcall.has_line(&["its answer has no token"])
    });
    master.set(Behaviour::Guarded(state(&master), Arc::new(|_| false)));
    login.set(Gives::Token(Duration::from_secs(2)));
    wait_until("refused token", || rollcall.has_line(&["status 401"]));
    master.set(Behaviour::Guarded(state(&master), login.judge()));
    wait_until("first table", || rollcall.get("/readyz").0 == 200);
    let before = login.log_ins();
    wait_until("renewed token", || login.log_ins() > before);
    // A file that is cut short in the middle of the key.
    folder.replace("account.json", &content[..content.len() / 2]);
    wait_until("warning", || {
        rollcall.has_line(&["account.json", "no JSON object"])
    });
    let secrets: Vec<String> = login.passed().into_iter().chain(key).collect();
    assert_hidden(&rollcall, &secrets);
}
