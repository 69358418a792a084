//! A client that never looks away: it asks for the same names again and again, on a thread of its own,
//! and keeps every answer that is not what it should be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use rollcall::simulate::Simulator;

use super::client::{A, Client, decode, query};

pub struct Vigil {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    pub asked: u64,
    /// Wrong answers and missing ones, each with its time since the beginning; at most `KEPT_MAX`.
    pub wrong: Vec<String>,
    pub missing: Vec<String>,
    /// The longest wait for an answer.
    pub slowest: Duration,
}

/// A name, and the addresses that every answer must have.
pub type Expected = (String, BTreeSet<String>);

/// Names of the simulated cluster's applications whose tasks stay where they are.
pub fn expected(master: &Simulator, apps: &[(&str, &str)]) -> Vec<Expected> {
    let of_app = |&(app, name): &(&str, &str)| {
        let addresses = addresses_of(master, app);
        assert!(!addresses.is_empty(), "{app} has no task");
        (name.to_owned(), addresses)
    };
    apps.iter().map(of_app).collect()
}

/// What an application's name resolves to, as the simulated cluster has it.
pub fn addresses_of(master: &Simulator, app: &str) -> BTreeSet<String> {
    master.with_cluster(|cluster| {
        let of_app = |index: u32| cluster.apps[index as usize].plan.name == app;
        let tasks = cluster.running().filter(|task| of_app(task.app));
        tasks
            .map(|task| cluster.address(task).to_string())
            .filter(|address| !address.contains(':'))
            .collect()
    })
}

impl Vigil {
    /// Asks one question after the other, over UDP where the answer fits.
    pub fn keep(client: Client, expected: Vec<Expected>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut report = Report::default();
            let begin = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                for (name, addresses) in &expected {
                    report.ask(&client, name, addresses, begin);
                }
                let count = report.wrong.len() + report.missing.len();
                assert!(count < KEPT_MAX, "{report:#?}");
                std::thread::sleep(PAUSE);
            }
            report
        });
        Self { stop, thread }
    }

    /// Ends it; panics where an answer was wrong.
    pub fn end(self) -> u64 {
        let report = self.finish();
        let is_good = report.wrong.is_empty() && report.missing.is_empty();
        assert!(is_good && report.asked > 0, "{report:#?}");
        report.asked
    }

    /// Too much was wrong to go on.
    pub fn has_given_up(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, whatever was seen.
    pub fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the vigil ends")
    }
}

impl Report {
    fn ask(&mut self, client: &Client, name: &str, addresses: &BTreeSet<String>, begin: Instant) {
        self.asked += 1;
        let asked_at = Instant::now();
        let answer = client.try_udp(&query(name, A));
        let waited = asked_at.elapsed();
        self.slowest = self.slowest.max(waited);
        let at = begin.elapsed();
        let Some(answer) = answer else {
            let text = format!("{at:?}: {name}: no answer within {waited:?}");
            return self.missing.push(text);
        };
        let answer = decode(&answer);
        let found: BTreeSet<String> = match answer.metadata.truncation {
            true => client.ask_tcp_data(name, A),
            false => {
                let records = answer.answers.iter();
                records.map(|record| record.data.to_string()).collect()
            }
        };
        let rcode = answer.metadata.response_code;
        if rcode != ResponseCode::NoError || found != *addresses {
            let text = format!("{at:?}: {name}: {rcode}, {found:?} instead of {addresses:?}");
            self.wrong.push(text);
        }
    }
}

const KEPT_MAX: usize = 20;
/// Between two rounds, so that a slow machine has time for what is tested, too.
const PAUSE: Duration = Duration::from_millis(2);
