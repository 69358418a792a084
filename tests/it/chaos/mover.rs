//! An application that moves, one instance at a time, and an eye on its name: each answer must be where
//! it was, where it is, or what is between the two, and after a while where it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;

use super::masters::Masters;
use crate::support::client::{A, Client, decode, query};
use crate::support::vigil::addresses_of;

pub const APP: &str = "web";
pub const NAME: &str = "web.marathon.mesos";

pub struct Mover {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Report>>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    pub moves: u64,
    pub asked: u64,
    /// Answers that are neither before nor after, nor between.
    pub wrong: Vec<String>,
    pub missing: Vec<String>,
    /// From a move to its answer, at the most: in all, and while somebody led who could tell it.
    pub slowest: Duration,
    pub slowest_in_calm: Duration,
}

impl Mover {
    pub fn start(masters: Arc<Masters>, client: Client, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut report = Report::default();
            let mut shown = masters.with_one(|master| addresses_of(master, APP));
            while !stopped.load(Ordering::Relaxed) {
                shown = report.move_once(&masters, &client, &shown);
                std::thread::sleep(pause);
            }
            report
        });
        let thread = Some(thread);
        Self { stop, thread }
    }

    /// Too much was wrong to go on.
    pub fn has_given_up(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Returns when the last move was answered.
    pub fn end(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it runs");
        thread.join().expect("every move is answered")
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Report {
    fn move_once(
        &mut self,
        masters: &Masters,
        client: &Client,
        before: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let after = masters.step(APP);
        let moved_at = Instant::now();
        let mut calm_since = moved_at;
        self.moves += 1;
        loop {
            self.asked += 1;
            let found = ask(client);
            let is_calm = masters.is_calm();
            match found {
                Some(found) if found == after => break,
                Some(found) if is_between(&found, before, &after) => {}
                Some(found) => self
                    .wrong
                    .push(format!("{NAME}: {found:?}, from {before:?} to {after:?}")),
                None => self.missing.push(format!("{NAME}: no answer")),
            }
            assert!(
                self.wrong.len() + self.missing.len() < KEPT_MAX,
                "{self:#?}"
            );
            if !is_calm {
                calm_since = Instant::now();
            }
            let waited = calm_since.elapsed();
            assert!(waited < CALM_MAX, "{NAME}: not {after:?} after {waited:?}");
            std::thread::sleep(PAUSE);
        }
        self.slowest = self.slowest.max(moved_at.elapsed());
        self.slowest_in_calm = self.slowest_in_calm.max(calm_since.elapsed());
        after
    }
}

/// The addresses, none where the answer is an error.
fn ask(client: &Client) -> Option<BTreeSet<String>> {
    let answer = decode(&client.try_udp(&query(NAME, A))?);
    let is_good = answer.metadata.response_code == ResponseCode::NoError;
    let records = answer.answers.iter().filter(|_| is_good);
    Some(records.map(|record| record.data.to_string()).collect())
}

fn is_between(
    found: &BTreeSet<String>,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> bool {
    let known = before.union(after).cloned().collect();
    let stayed = before.intersection(after).cloned().collect();
    !found.is_empty() && found.is_subset(&known) && found.is_superset(&stayed)
}

/// So long may a leader that knows of a move have to wait until it is answered.
const CALM_MAX: Duration = Duration::from_secs(15);
const KEPT_MAX: usize = 20;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
