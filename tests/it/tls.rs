//! Masters behind TLS, with the real nginx in front of them: who is trusted, what is shown, and files
//! that change while the program runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::client::A;
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::nginx::{Front, Nginx};
use crate::support::openssl::{Authority, Pair, Says};
use crate::support::process::{Rollcall, free_address};
use crate::support::state::State;
use crate::support::wait_until;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);

/// A master with one task `web`.
fn master() -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", OLD).text()))
}

fn move_web(master: &Master, address: Ipv4Addr) {
    let state = State::new(master.address()).task("web", address).text();
    master.set(Behaviour::Serve(state));
}

fn web(rollcall: &Rollcall) -> Vec<Ipv4Addr> {
    rollcall.client().addresses("web.marathon.mesos")
}

/// https, and these members besides.
fn https(members: Value) -> Value {
    let mut settings = json!({"RefreshSeconds": 1, "MesosHTTPSOn": true, "Source": "poll"});
    for (key, value) in members.as_object().into_iter().flatten() {
        settings[key] = value.clone();
    }
    settings
}

/// Waits for a line of the log that holds all of these.
fn wait_for_line(rollcall: &Rollcall, fragments: &[&str]) {
    wait_until(&format!("line with {fragments:?}"), || {
        rollcall.has_line(fragments)
    });
}

#[test]
fn master_that_asks_for_a_certificate_is_read_where_both_sides_trust() {
    let (servers, clients, other) = (
        Authority::new("servers"),
        Authority::new("clients"),
        Authority::new("other"),
    );
    let folder = Folder::new();
    let front = Front::tls(
        &servers.issue(Says::Loopback).write(&folder, "server"),
        Some(&folder.write("clients", clients.certificate())),
    );
    let master = master();
    let nginx = Nginx::start(master.address(), &front);
    // The second of several authorities is the one.
    let several = [other.certificate(), servers.certificate()].concat();
    let (certificate, key) = clients.issue(Says::Loopback).write(&folder, "client");
    let rollcall = Rollcall::serving(
        &[nginx.address()],
        https(json!({
            "CACertFile": folder.write("several", several),
            "CertFile": certificate,
            "KeyFile": key,
        })),
    );
    assert_eq!(web(&rollcall), [OLD]);
}

#[test]
fn each_fault_of_trust_is_named_with_its_cure() {
    let (authority, other) = (Authority::new("masters"), Authority::new("other"));
    let folder = Folder::new();
    let ca = folder.write("ca", authority.certificate());
    let master = master();
    let pair = |says, name| authority.issue(says).write(&folder, name);
    let good = pair(Says::Loopback, "good");
    let ca_alone = || json!({"CACertFile": ca});
    let cases = [
        (
            "other authority",
            Front::tls(&good, None),
            json!({"CACertFile": folder.write("other", other.certificate())}),
            ["an authority that we do not trust", "to CACertFile"],
        ),
        (
            "no CACertFile",
            Front::tls(&good, None),
            json!({}),
            ["an authority that we do not trust", "to CACertFile"],
        ),
        (
            "expired",
            Front::tls(&pair(Says::Expired, "expired"), None),
            ca_alone(),
            ["has expired", "renew it, or set this machine's clock"],
        ),
        (
            "no subjectAltName",
            Front::tls(&pair(Says::NoAddress, "nameless"), None),
            ca_alone(),
            ["not valid for name \"127.0.0.1\"", "as a subjectAltName"],
        ),
        (
            "no client certificate",
            Front::tls(&good, Some(&ca)),
            ca_alone(),
            ["status 400", "check CertFile and KeyFile"],
        ),
    ];
    for (what, front, settings, fragments) in cases {
        let nginx = Nginx::start(master.address(), &front);
        let rollcall = Rollcall::listening(&[nginx.address()], https(settings));
        let address = nginx.address().to_string();
        wait_for_line(&rollcall, &[&address, fragments[0], fragments[1]]);
        assert_eq!(master.answered(), 0, "{what}");
    }
    let plain = Nginx::start(master.address(), &Front::passwords(&folder.join("none")));
    let plain = Rollcall::listening(&[plain.address()], https(ca_alone()));
    wait_for_line(&plain, &["is it TLS that is spoken there?", "MesosHTTPSOn"]);
}

/// A server that refuses in the handshake, as libprocess does; nginx lets the client finish it.
struct Strict {
    child: Child,
    address: SocketAddr,
}

impl Strict {
    fn start((certificate, key): &(PathBuf, PathBuf), clients: &PathBuf) -> Self {
        let address = free_address();
        let child = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-tls1_2",
                "-Verify",
                "1",
                "-verify_return_error",
            ])
            .arg("-accept")
            .arg(address.to_string())
            .arg("-cert")
            .arg(certificate)
            .arg("-key")
            .arg(key)
            .arg("-CAfile")
            .arg(clients)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        Self { child, address }
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn refusal_of_our_certificate_in_the_handshake_names_our_files() {
    let (authority, other) = (Authority::new("masters"), Authority::new("other"));
    let folder = Folder::new();
    let ca = folder.write("ca", authority.certificate());
    let server = authority.issue(Says::Loopback).write(&folder, "server");
    let strict = Strict::start(&server, &ca);
    let (certificate, key) = other.issue(Says::Loopback).write(&folder, "client");
    for settings in [
        json!({"CACertFile": ca}),
        json!({"CACertFile": ca, "CertFile": certificate, "KeyFile": key}),
    ] {
        let rollcall = Rollcall::listening(&[strict.address], https(settings));
        wait_for_line(
            &rollcall,
            &[
                "it wants another certificate of us, or one at all",
                "CertFile and KeyFile",
            ],
        );
    }
}

#[test]
fn authority_that_changes_is_trusted_without_a_restart() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let folder = Folder::new();
    let server = |authority: &Authority, name| authority.issue(Says::Loopback).write(&folder, name);
    let master = master();
    let mut nginx = Nginx::start(
        master.address(),
        &Front::tls(&server(&first, "first"), None),
    );
    let ca = folder.write("ca", first.certificate());
    let rollcall = Rollcall::serving(&[nginx.address()], https(json!({"CACertFile": ca})));
    // A file that is cut short changes nothing, and is told of once.
    let whole = second.certificate();
    folder.write("ca", &whole[..whole.len() / 2]);
    wait_for_line(
        &rollcall,
        &["cut short", "what was read before stays in use"],
    );
    move_web(&master, NEW);
    wait_until("new address", || web(&rollcall) == [NEW]);
    master.wait_for_two_more_requests();
    assert_eq!(rollcall.log_lines("cut short"), 1);
    // Now the masters have the new authority's certificate, and we come to know it.
    nginx.restart(&Front::tls(&server(&second, "second"), None));
    move_web(&master, OLD);
    wait_for_line(&rollcall, &["an authority that we do not trust"]);
    assert_eq!(web(&rollcall), [NEW]);
    folder.replace("ca", whole);
    wait_until("new address", || web(&rollcall) == [OLD]);
    assert!(rollcall.has_line(&["/ca changed and is used as it is now"]));
}

#[test]
fn client_certificate_that_changes_is_shown_without_a_restart() {
    let (servers, first, second) = (
        Authority::new("servers"),
        Authority::new("first"),
        Authority::new("second"),
    );
    let folder = Folder::new();
    let server = servers.issue(Says::Loopback).write(&folder, "server");
    let front = |authority: &Authority, name: &str| {
        Front::tls(&server, Some(&folder.write(name, authority.certificate())))
    };
    let mount = |version: &str, certificate: &Pair, key: &Pair| {
        let files = [
            ("client.pem", &*certificate.certificate),
            ("client.key", &*key.key),
        ];
        folder.mount(version, &files);
    };
    let (one, two) = (first.issue(Says::Loopback), second.issue(Says::Loopback));
    mount("one", &one, &one);
    let master = master();
    let mut nginx = Nginx::start(master.address(), &front(&first, "first"));
    let rollcall = Rollcall::serving(
        &[nginx.address()],
        https(json!({
            "CACertFile": folder.write("ca", servers.certificate()),
            "CertFile": folder.join("client.pem"),
            "KeyFile": folder.join("client.key"),
        })),
    );
    // A key that is not that of the certificate: the old pair is shown.
    mount("mixed", &two, &one);
    wait_for_line(
        &rollcall,
        &["client.key", "not that of the certificate", "stays in use"],
    );
    move_web(&master, NEW);
    wait_until("new address", || web(&rollcall) == [NEW]);
    nginx.restart(&front(&second, "second"));
    move_web(&master, OLD);
    wait_for_line(&rollcall, &["status 400"]);
    mount("two", &two, &two);
    wait_until("new address", || web(&rollcall) == [OLD]);
    assert_eq!(rollcall.log_lines("not that of the certificate"), 1);
    assert_eq!(
        rollcall.client().ask("web.marathon.mesos", A).answers.len(),
        1
    );
}
