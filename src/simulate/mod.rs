//! The simulated master: a plausible, deterministic cluster behind a real master's HTTP interface. In:
//! a seed and sizes. Out: `/state` documents that change. It must never be part of a real answer.

mod ask;
pub mod cluster;
pub mod demo;
mod document;
mod plan;
mod server;
mod simulator;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

pub use simulator::{SimulateError, SimulateOptions, Simulator};

/// `rollcall simulate`: serves the cluster until SIGINT or SIGTERM.
pub fn run(options: &SimulateOptions) -> Result<(), SimulateError> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(SimulateError::Signals)?;
    let simulator = Simulator::start(options)?;
    let address = simulator.address();
    match &options.standby {
        Some(leader) => println!("simulated standby master of {leader} on http://{address}/state"),
        None => println!(
            "simulated master on http://{address}/state: {} agents, {} tasks, {} changes a second, seed {}",
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
