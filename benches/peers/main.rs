//! Whole processes beside each other on loopback: Rollcall, with each of its engines, and knot, nsd,
//! unbound, bind, CoreDNS and mesos-dns where they are installed, and a bare echo server as the floor.
//! All answer the same names; each server has one core, the load the other; rounds are interleaved, and
//! ratios are medians of same-round pairs, for one machine drifts by itself.
//!
//!     benches/versus --help
//!
//! Everything binds 127.0.0.1 and is ended by its id.

#[path = "../common/wire.rs"]
mod wire;

mod cluster;
mod datagrams;
mod figures;
mod first_answer;
mod judge;
mod load;
mod options;
mod peers;
mod plot;
mod process;
mod queries;
mod quick;
mod report;
mod rounds;
mod stage;
mod waiting;
mod workers;
mod zone;

use std::process::ExitCode;

use options::{Options, Task};

fn main() -> ExitCode {
    let ended = Options::from_args().and_then(|options| match &options.task {
        Task::Quick => quick::run(),
        Task::Load(sizes) => first_answer::run(sizes),
        Task::Compare if options.workers > 1 => workers::run(&options),
        Task::Compare => rounds::run(&options),
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("benches/versus: {message}");
            ExitCode::FAILURE
        }
    }
}
