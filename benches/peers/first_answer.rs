//! Time from the start of a process to its first answer, and its memory. In: sizes of clusters. Out: a
//! line for each start of Rollcall, and of mesos-dns where it is installed.

use std::thread;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::judge::Expect;
use crate::peers::{Setup, find, rollcall};
use crate::process::Process;
use crate::stage::{Cores, Place, answers};

pub fn run(sizes: &[usize]) -> Result<(), String> {
    let cores = Cores::take()?;
    let place = Place::new();
    println!(
        "{:<10} {:>8} {:>9} {:>14} {:>9} {:>9}",
        "program", "tasks", "state MB", "first answer s", "peak MiB", "then MiB"
    );
    for &tasks in sizes {
        let cluster = Cluster::start(&place.0, tasks, cores.load)?;
        let setup = Setup {
            directory: place.0.clone(),
            zone_file: place.0.join("none"),
            master: cluster.master,
            workers: 1,
        };
        for start in 0..2 * STARTS {
            let peer = match (start < STARTS, find("mesos-dns")) {
                (true, _) => setup.rollcall("rollcall", &rollcall(), None),
                (false, Some(program)) => setup.mesos_dns(&program),
                (false, None) => break,
            };
            let mut process = Process::start(&peer.command, &[cores.server], &peer.log);
            while !answers(peer.dns, &cluster.name, Expect::Answers) {
                let ended = process.has_ended();
                if ended || process.started.elapsed() > PATIENCE {
                    let says = process.last_words();
                    return Err(format!("{} does not answer; {says}", peer.name));
                }
                thread::sleep(ASK_EVERY);
            }
            let first = process.started.elapsed();
            // What was needed to get there is let go of meanwhile.
            thread::sleep(SETTLES);
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            println!(
                "{:<10} {tasks:>8} {:>9.1} {:>14.3} {:>9.0} {:>9.0}",
                peer.name,
                cluster.state_bytes as f64 / 1e6,
                first.as_secs_f64(),
                mib(process.peak_bytes()),
                mib(process.resident_bytes()),
            );
        }
    }
    Ok(())
}

const STARTS: usize = 3;
const SETTLES: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);
