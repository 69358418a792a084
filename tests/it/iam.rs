//! Service accounts: what is shown to log in, how long a token is kept, and what happens when masters,
//! the endpoint or the account's file change their mind.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rollcall::config::Authentication;
use rollcall::limits::LOGIN_AFTER_REFUSAL_MIN;
use rollcall::mesos::cluster::Endpoint;
use rollcall::mesos::error::MasterError;
use rollcall::mesos::http::{Call, ClientSettings, Http};
use rollcall::mesos::leader::Hops;
use serde_json::{Value, json};

use super::config::{check, with_masters};
use crate::support::files::Folder;
use crate::support::login::{Account, Form, Gives, Login, endpoint};
use crate::support::master::{Behaviour, Master};
use crate::support::nginx::{Front, Nginx};
use crate::support::openssl::{Authority, Says, openssl};
use crate::support::process::{Rollcall, free_address};
use crate::support::state::State;
use crate::support::wait_until;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);
const HOUR: Duration = Duration::from_secs(3600);

/// A master with one task `web` at `address` that takes the tokens of `login`.
fn behaviour(leader: SocketAddr, login: &Login, address: Ipv4Addr) -> Behaviour {
    let state = State::new(leader).task("web", address).text();
    Behaviour::Guarded(state, login.judge())
}

fn master_of(login: &Login) -> Master {
    Master::start(|leader| behaviour(leader, login, OLD))
}

fn iam(file: &PathBuf) -> Value {
    json!({"MesosAuthentication": "iam", "IAMConfigFile": file, "RefreshSeconds": 1, "Source": "poll"})
}

fn web(rollcall: &Rollcall) -> Vec<Ipv4Addr> {
    rollcall.client().addresses("web.marathon.mesos")
}

#[test]
fn one_token_serves_many_requests() {
    for (form, begins) in [
        (Form::Pkcs1, "-----BEGIN RSA PRIVATE KEY"),
        (Form::Pkcs8, "-----BEGIN PRIVATE KEY"),
    ] {
        let (folder, account) = (Folder::new(), Account::new("dns", form));
        assert!(account.private_key.starts_with(begins));
        let login = Login::start(account, Gives::Token(HOUR));
        let file = folder.write("account.json", login.account_file());
        let master = master_of(&login);
        let rollcall = Rollcall::serving(&[master.address()], iam(&file));
        assert_eq!(web(&rollcall), [OLD]);
        master.wait_for_two_more_requests();
        assert_eq!((login.log_ins(), master.refused()), (1, 0));
        assert!(login.faults().is_empty(), "{:?}", login.faults());
    }
}

#[test]
fn refused_token_is_renewed_at_once() {
    let (folder, account) = (Folder::new(), Account::new("dns", Form::Pkcs8));
    let login = Login::start(account, Gives::Token(HOUR));
    let file = folder.write("account.json", login.account_file());
    let master = master_of(&login);
    let rollcall = Rollcall::serving(&[master.address()], iam(&file));
    // Older than a token that is refused for other reasons than its age.
    master.wait_for_two_more_requests();
    login.revoke();
    master.set(behaviour(master.address(), &login, NEW));
    wait_until("new address", || web(&rollcall) == [NEW]);
    assert_eq!((login.log_ins(), master.refused()), (2, 1));
    assert_eq!(rollcall.log_lines("401"), 0);
    // Masters that refuse whatever they are shown are named, and not in every round again.
    let state = State::new(master.address()).text();
    master.set(Behaviour::Guarded(state, Arc::new(|_| false)));
    wait_until("line that says so", || {
        rollcall.has_line(&["status 401", "IAMConfigFile"])
    });
    master.wait_for_two_more_requests();
    assert_eq!(rollcall.log_lines("status 401"), 1);
    assert_eq!(web(&rollcall), [NEW]);
}

#[test]
fn log_in_that_fails_is_named_and_tried_again() {
    let (folder, account) = (Folder::new(), Account::new("dns", Form::Pkcs8));
    let address = free_address();
    let file = folder.write("account.json", account.file(&endpoint(address)));
    let master = Master::start(|_| Behaviour::HangUp);
    let rollcall = Rollcall::listening(&[master.address()], iam(&file));
    let says = |fragments: [&str; 2]| {
        let endpoint = endpoint(address);
        wait_until(&format!("line with {fragments:?}"), || {
            rollcall.has_line(&["no token from", &endpoint, fragments[0], fragments[1]])
        });
    };
    says(["Connection refused", ""]);
    let login = Login::start_at(address, account, Gives::Status(403));
    master.set(behaviour(master.address(), &login, OLD));
    says(["status 403", "check uid and private_key"]);
    // A redirect would take what we signed to somebody else.
    let before = login.log_ins();
    login.set(Gives::Status(307));
    says(["status 307", "redirects are not followed"]);
    assert!(login.log_ins() > before && login.faults().is_empty());
    login.set(Gives::Nonsense);
    says(["has no token", "login_endpoint"]);
    login.set(Gives::Opaque(Duration::ZERO));
    wait_until("first table", || web(&rollcall) == [OLD]);
    assert!(rollcall.has_line(&["gives tokens again"]));
    assert_eq!(master.refused(), 0);
}

#[test]
fn endpoint_behind_tls_is_verified_as_masters_are() {
    let (folder, account) = (Folder::new(), Account::new("dns", Form::Pkcs8));
    let (authority, other) = (Authority::new("masters"), Authority::new("other"));
    let server = authority.issue(Says::Loopback).write(&folder, "server");
    let (ca, wrong) = (
        folder.write("ca", authority.certificate()),
        folder.write("wrong", other.certificate()),
    );
    let login = Login::start(account, Gives::Token(HOUR));
    let nginx = Nginx::start(login.address(), &Front::tls(&server, None));
    let at = login.endpoint().replace("http://", "https://");
    let at = at.replace(&login.address().to_string(), &nginx.address().to_string());
    let file = folder.write("account.json", login.account_file_at(&at));
    // The masters themselves are asked over http.
    let master = master_of(&login);
    let with = |ca: &PathBuf| {
        let mut settings = iam(&file);
        settings["CACertFile"] = json!(ca);
        Rollcall::listening(&[master.address()], settings)
    };
    let distrusting = with(&wrong);
    wait_until("line that says so", || {
        distrusting.has_line(&[&at, "an authority that we do not trust", "CACertFile"])
    });
    assert_eq!((login.log_ins(), master.answered()), (0, 0));
    let trusting = with(&ca);
    wait_until("first table", || web(&trusting) == [OLD]);
}

#[test]
fn account_that_changes_is_used_without_a_restart() {
    let folder = Folder::new();
    let (first, second) = (
        Account::new("first", Form::Pkcs1),
        Account::new("second", Form::Pkcs8),
    );
    let login = Login::start(first, Gives::Token(Duration::from_secs(2)));
    let (one, two) = (login.account_file(), second.file(&login.endpoint()));
    folder.mount("one", &[("account.json", one.as_bytes())]);
    let master = master_of(&login);
    let rollcall = Rollcall::serving(&[master.address()], iam(&folder.join("account.json")));
    // One without a key changes nothing: the first account logs in as before.
    folder.mount("bad", &[("account.json", br#"{"uid":"second"}"#)]);
    wait_until("line that says so", || {
        rollcall.has_line(&["account.json", "login_endpoint is missing", "stays in use"])
    });
    let before = login.log_ins();
    wait_until("another log-in", || login.log_ins() > before);
    assert!(login.faults().is_empty(), "{:?}", login.faults());
    login.know(second);
    login.revoke();
    folder.mount("two", &[("account.json", two.as_bytes())]);
    master.set(behaviour(master.address(), &login, NEW));
    wait_until("new address", || web(&rollcall) == [NEW]);
    assert_eq!(rollcall.log_lines("login_endpoint is missing"), 1);
}

/// Asks a master by itself, without the rest of the program.
#[derive(Clone)]
struct Asker {
    http: Http,
    master: Endpoint,
}

impl Asker {
    fn new(master: &Master, config_file: PathBuf) -> Self {
        let http = Http::new(&ClientSettings {
            masters: Vec::new(),
            timeout: Duration::from_secs(20),
            state_bytes_max: 1 << 20,
            https: false,
            ca_cert_file: None,
            cert_file: None,
            key_file: None,
            authentication: Authentication::Iam { config_file },
        });
        let master = Endpoint {
            host: master.address().ip().to_string().into(),
            port: Some(master.address().port()),
        };
        let http = http.expect("a good account");
        Self { http, master }
    }

    fn ask(&self) -> Result<(), MasterError> {
        let mut hops = Hops::new(&self.master);
        let reply = self.http.ask(Call::Get, &self.master, "/state", &mut hops);
        reply.map(drop)
    }

    /// From many threads at once, each with its own clone.
    fn ask_at_once(&self) -> Vec<Result<(), MasterError>> {
        let start = |_| {
            let asker = self.clone();
            thread::spawn(move || asker.ask())
        };
        let threads: Vec<_> = (0..8).map(start).collect();
        let join = |thread: thread::JoinHandle<_>| thread.join().expect("no panic");
        threads.into_iter().map(join).collect()
    }
}

#[test]
fn token_is_renewed_before_it_ends_and_serves_to_its_end() {
    let (folder, account) = (Folder::new(), Account::new("dns", Form::Pkcs8));
    let login = Login::start(account, Gives::Token(Duration::from_secs(3)));
    let master = master_of(&login);
    let asker = Asker::new(&master, folder.write("account.json", login.account_file()));
    wait_until("third token", || {
        assert!(asker.ask().is_ok());
        login.log_ins() >= 3
    });
    assert_eq!(master.refused(), 0);
    // No new one is to be had: the old one serves beyond the attempts to renew it, as long as it lasts.
    login.set(Gives::Status(503));
    let (before, mut served) = (login.log_ins(), 0);
    wait_until("end of the token", || {
        let attempted = login.log_ins() > before;
        match asker.ask() {
            Ok(()) => {
                served += usize::from(attempted);
                false
            }
            Err(error) => error.to_string().contains("status 503"),
        }
    });
    assert!(served > 0);
    login.set(Gives::Token(HOUR));
    wait_until("tokens again", || asker.ask().is_ok());
    assert_eq!(master.refused(), 0);
}

#[test]
fn many_that_ask_at_once_log_in_once() {
    let (folder, account) = (Folder::new(), Account::new("dns", Form::Pkcs8));
    let login = Login::start(account, Gives::Opaque(Duration::from_millis(200)));
    let master = master_of(&login);
    let asker = Asker::new(&master, folder.write("account.json", login.account_file()));
    assert!(asker.ask_at_once().iter().all(Result::is_ok));
    assert_eq!((login.log_ins(), master.refused()), (1, 0));
    // All of them are refused, and one of them logs in for all: a token of that age may be renewed.
    let came = Instant::now();
    wait_until("token that is old enough", || {
        came.elapsed() > LOGIN_AFTER_REFUSAL_MIN
    });
    login.revoke();
    assert!(asker.ask_at_once().iter().all(Result::is_ok));
    assert_eq!(login.log_ins(), 2);
    assert!(master.refused() >= 1);
    // At once another one would fare no better.
    login.revoke();
    let refused = asker.ask();
    assert!(matches!(
        refused,
        Err(MasterError::Status { status: 401, .. })
    ));
    assert_eq!(login.log_ins(), 2);
}

#[test]
fn failed_log_in_is_not_tried_again_by_all_who_wait() {
    let (folder, account) = (Folder::new(), Account::new("dns", Form::Pkcs8));
    let login = Login::start(account, Gives::Status(503));
    let master = master_of(&login);
    let asker = Asker::new(&master, folder.write("account.json", login.account_file()));
    for result in asker.ask_at_once() {
        let error = result.expect_err("there is no token").to_string();
        assert!(
            error.contains("no token from") && error.contains("503"),
            "{error}"
        );
    }
    // On a slow machine the first wait may be over before the last of them had its turn.
    assert!(login.log_ins() < 4, "{}", login.log_ins());
    assert_eq!(master.answered(), 0);
}

#[test]
fn account_files_that_cannot_work_are_refused_by_field() {
    let folder = Folder::new();
    let elliptic = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    let elliptic = String::from_utf8(elliptic).expect("PEM is text");
    let account = |uid: &str, key: &str, endpoint: &str| {
        json!({"uid": uid, "private_key": key, "login_endpoint": endpoint}).to_string()
    };
    for (content, fragment) in [
        (
            account("dns", &elliptic, "http://a/"),
            "private_key is no RSA key",
        ),
        (
            account("dns", "s3cret", "http://a/"),
            "private_key is no RSA key",
        ),
        (account("", "s3cret", "http://a/"), "uid is empty"),
        (
            account("dns", "s3cret", "a/login"),
            "login_endpoint is no place to log in",
        ),
        (r#"{"private_key":"s3cret"}"#.to_owned(), "uid is missing"),
        (
            r#"{"private_key":"s3cret"#.to_owned(),
            "no JSON object: line 1",
        ),
    ] {
        let path = folder.write("account.json", &content).display().to_string();
        let members = format!(r#""MesosAuthentication":"iam","IAMConfigFile":"{path}""#);
        let (output, file) = check("account", &with_masters(&members), &[]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        for fragment in [fragment, &file, &path, "IAMConfigFile", "right would be"] {
            assert!(message.contains(fragment), "no {fragment:?} in {message}");
        }
        let key_line = elliptic.lines().nth(1).expect("a line of the key");
        assert!(
            !message.contains("s3cret") && !message.contains(key_line),
            "{message}"
        );
    }
}
