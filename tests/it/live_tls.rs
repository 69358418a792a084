//! The event stream of a simulated master over TLS, with a password and a certificate of ours: what it
//! tells is answered; what it refuses is named with its cure and takes no answer away.

use rollcall::simulate::{SimulateOptions, Simulator, TlsFiles};
use serde_json::{Value, json};

use crate::support::client::A;
use crate::support::files::Folder;
use crate::support::openssl::{Authority, Says};
use crate::support::process::Rollcall;
use crate::support::vigil::{Vigil, addresses_of, expected};
use crate::support::wait_until;

const SECRET: &str = "s3same-0pen";
/// `rollcall:s3same-0pen`, as the header has it.
const IN_HEADER: &str = "cm9sbGNhbGw6czNzYW1lLTBwZW4=";

fn credentials(secret: &str) -> Value {
    json!({"mesosCredentials": {"principal": "rollcall", "secret": secret}})
}

/// One instance moves, and the answer follows.
fn move_web(master: &Simulator, rollcall: &Rollcall) {
    master.step_app("web").expect("web runs");
    let now = addresses_of(master, "web");
    let client = rollcall.client();
    wait_until("moved instance", || {
        client.ask_tcp_data("web.marathon.mesos", A) == now
    });
}

#[test]
fn stream_over_tls_with_a_password_is_followed_and_refusals_take_nothing_away() {
    let (servers, clients, other) = (
        Authority::new("servers"),
        Authority::new("clients"),
        Authority::new("other"),
    );
    let folder = Folder::new();
    let (cert, key) = servers.issue(Says::Loopback).write(&folder, "server");
    let master = Simulator::start(&SimulateOptions {
        credentials: Some(format!("rollcall:{SECRET}").parse().expect("credentials")),
        tls: Some(TlsFiles {
            cert,
            key,
            client_ca: Some(folder.write("clients", clients.certificate())),
        }),
        ..SimulateOptions::default()
    })
    .expect("a simulated master");
    let (certificate, key) = clients.issue(Says::Loopback).write(&folder, "client");
    let trusted = folder.write("trusted", servers.certificate());
    let mut settings = json!({
        "RefreshSeconds": 1, "CheckFactor": 600, "MesosHTTPSOn": true, "CACertFile": trusted,
        "CertFile": certificate, "KeyFile": key, "mesosAuthentication": "basic",
    });
    settings["mesosCredentials"] = credentials(SECRET)["mesosCredentials"].clone();
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let still = [("worker", "worker.marathon.mesos")];
    let vigil = Vigil::keep(rollcall.client(), expected(&master, &still));
    for _ in 0..3 {
        move_web(&master, &rollcall);
    }
    assert_eq!(rollcall.status()["source"], "stream");
    let counts = master.counts();
    assert_eq!((counts.of("SUBSCRIBE"), counts.of("state")), (1, 0));

    let address = master.address().to_string();
    let unknown = json!({"CACertFile": folder.write("other", other.certificate())});
    let refusals = [
        (
            credentials("wrong-one"),
            credentials(SECRET),
            ["status 401", "MesosCredentials"],
        ),
        (
            unknown,
            json!({"CACertFile": trusted}),
            ["an authority that we do not trust", "to CACertFile"],
        ),
    ];
    for (count, (wrong, right, fragments)) in refusals.into_iter().enumerate() {
        rollcall.configure(wrong);
        rollcall.signal("HUP");
        // The stream's failure is followed by a poll, and what is in its way is the error.
        wait_until(fragments[0], || {
            let error = rollcall.status()["last_error"]["text"].clone();
            error.as_str().is_some_and(|it| it.contains(fragments[0]))
        });
        let kept = "the answers stay as they were";
        assert!(rollcall.has_line(&["ERROR", &address, fragments[0], fragments[1], kept]));
        // The answers are those of before, and later those of what happened meanwhile.
        master.step_app("web").expect("web runs");
        rollcall.configure(right);
        rollcall.signal("HUP");
        wait_until("next subscription", || {
            rollcall.status()["counters"]["subscriptions"] == count + 2
        });
        move_web(&master, &rollcall);
    }
    vigil.end();
    let shown = ["/v1/config", "/v1/status", "/v1/metrics"].map(|path| rollcall.get(path).1);
    for text in shown.iter().chain([&rollcall.log()]) {
        for secret in [SECRET, IN_HEADER, "wrong-one"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
