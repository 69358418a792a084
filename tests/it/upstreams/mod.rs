//! Names outside the domain where the resolvers are real ones, knot and unbound: what comes through is
//! what they say, and that they fall, stand still and come back is not noticed.

mod crowds;
mod falls;
mod loops;
mod reloads;
mod transparent;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;

/// Where `web.marathon.mesos` is.
const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Rollcall with a domain of its own, in front of resolvers.
struct Host {
    rollcall: Rollcall,
    _master: Master,
}

impl Host {
    fn new(resolvers: &[SocketAddr], settings: Value) -> Self {
        Self::started(resolvers, settings, Rollcall::serving)
    }

    /// It may have so many files open.
    fn within(files_max: u32, resolvers: &[SocketAddr], settings: Value) -> Self {
        Self::started(resolvers, settings, |masters, settings| {
            Rollcall::serving_within(files_max, masters, settings)
        })
    }

    fn started(
        resolvers: &[SocketAddr],
        settings: Value,
        start: impl FnOnce(&[SocketAddr], Value) -> Rollcall,
    ) -> Self {
        let state = |leader| State::new(leader).task("web", WEB).text();
        let master = Master::start(|leader| Behaviour::Serve(state(leader)));
        let mut all = json!({"ExternalOn": true, "Resolvers": addresses(resolvers)});
        for (key, value) in settings.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        Self {
            rollcall: start(&[master.address()], all),
            _master: master,
        }
    }
}

fn addresses(resolvers: &[SocketAddr]) -> Vec<String> {
    resolvers.iter().map(ToString::to_string).collect()
}

/// The domain's own names are answered, whatever becomes of others.
fn ask_domain(client: &Client) {
    assert_eq!(client.addresses("web.marathon.mesos"), [WEB]);
}

/// The zone `example.`: any name below it but those here is this address.
fn zone(any: &str) -> String {
    format!(
        "$ORIGIN example.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
* A {any}
short 1 A 192.0.2.1
"
    )
}
