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
    /// Wrong answers and missing ones, at most `KEPT_MAX`.
    pub wrong: Vec<String>,
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
            while !stopped.load(Ordering::Relaxed) {
                for (name, addresses) in &expected {
                    report.asked += 1;
                    if let Some(why) = fault(&client, name, addresses) {
                        report.wrong.push(why);
                    }
                }
                assert!(report.wrong.len() < KEPT_MAX, "{:#?}", report.wrong);
                std::thread::sleep(PAUSE);
            }
            report
        });
        Self { stop, thread }
    }

    /// Ends it; panics where an answer was wrong.
    pub fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let report = self.thread.join().expect("the vigil ends");
        assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
        assert!(report.asked > 0);
        report.asked
    }
}

fn fault(client: &Client, name: &str, addresses: &BTreeSet<String>) -> Option<String> {
    let begin = Instant::now();
    let Some(answer) = client.try_udp(&query(name, A)) else {
        return Some(format!("{name}: no answer within {:?}", begin.elapsed()));
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
    (rcode != ResponseCode::NoError || found != *addresses)
        .then(|| format!("{name}: {rcode}, {found:?} instead of {addresses:?}"))
}

const KEPT_MAX: usize = 20;
/// Between two rounds, so that a slow machine has time for what is tested, too.
const PAUSE: Duration = Duration::from_millis(2);
