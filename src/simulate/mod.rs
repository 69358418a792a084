//! The simulated master: a plausible, deterministic cluster behind a real master's HTTP interface. In:
//! a seed and sizes. Out: `/state`, the v1 API and its event stream, failover, and failures on request.
//! It must never be part of a real answer.

mod api;
mod ask;
pub mod changes;
pub mod cluster;
mod control;
pub mod demo;
mod document;
mod documents;
mod election;
mod events;
pub mod faults;
mod http;
mod master;
mod options;
mod plan;
mod server;
mod simulator;
mod stream;
mod summary;
mod term;
mod text;
mod tls;
mod v1;
mod view;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

pub use master::{Counts, Role};
pub use options::{Credentials, SimulateError, SimulateOptions, Stream, TlsFiles};
pub use simulator::{Simulator, Step};

/// `rollcall simulate`: serves the cluster until SIGINT or SIGTERM.
pub fn run(options: &SimulateOptions) -> Result<(), SimulateError> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(SimulateError::Signals)?;
    let simulator = Simulator::start(options)?;
    let address = simulator.address();
    let scheme = if options.tls.is_some() {
        "https"
    } else {
        "http"
    };
    match &options.standby {
        Some(leader) => {
            println!("simulated standby master of {leader} on {scheme}://{address}/state");
        }
        None => println!(
            "simulated master on {scheme}://{address}/state: {} agents, {} tasks, {} changes a second, seed {}",
            options.agents.max(1),
            options.tasks,
            options.churn_per_second,
            options.seed
        ),
    }
    let _ = signals.forever().next();
    simulator.stop();
    Ok(())
}
