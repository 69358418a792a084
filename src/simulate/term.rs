//! What a master does as the election goes: it follows, it leads, and as a later leader it first reads
//! its registry and then hears of one agent after the other. In: words of the election. Out: roles and
//! changes of the Master. It must never go on with one word once there is another.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};

use super::master::{Master, Role};

/// What the election says.
#[derive(Clone, Debug)]
pub enum Word {
    /// Nobody leads, or ZooKeeper cannot be asked.
    NoLeader,
    /// `HOST:PORT` leads.
    Follow(String),
    /// This master leads; the first of a run knows everything.
    Lead { is_first: bool },
    /// This master leads, and is to start anew; told when it has forgotten everything.
    Restart(Sender<()>),
    /// The thread ends.
    Stop,
}

/// The director's thread, until `Word::Stop`.
pub fn direct(master: &Master, words: &Receiver<Word>) {
    let mut next = None;
    while let Some(word) = next.take().or_else(|| words.recv().ok()) {
        match word {
            Word::Stop => return,
            Word::NoLeader => master.follow(Role::NoLeader),
            Word::Follow(leader) => master.follow(Role::Follows(leader)),
            Word::Lead { is_first: true } => master.lead_first(),
            Word::Lead { is_first: false } => {
                master.lead_later();
                next = recover(master, words);
            }
            Word::Restart(done) => {
                master.renew();
                master.lead_later();
                // Whoever asked may have given up.
                let _ = done.send(());
                next = recover(master, words);
            }
        }
    }
}

/// From an empty leader to one that every agent has come back to. A word that comes meanwhile ends it.
fn recover(master: &Master, words: &Receiver<Word>) -> Option<Word> {
    if let Some(word) = wait(words, master.options.recovery) {
        return Some(word);
    }
    let over = master.options.return_over;
    master.recover(over.is_zero());
    if over.is_zero() {
        return None;
    }
    let begin = Instant::now();
    let awaited: Vec<usize> = master.with_cluster(|cluster| cluster.awaited().collect());
    for (done, &index) in awaited.iter().enumerate() {
        let share = (done + 1) as f64 / awaited.len() as f64;
        let due = begin + over.mul_f64(share);
        if let Some(word) = wait(words, due.saturating_duration_since(Instant::now())) {
            return Some(word);
        }
        master.change(|cluster| cluster.reregister(index));
    }
    None
}

fn wait(words: &Receiver<Word>, pause: Duration) -> Option<Word> {
    match words.recv_timeout(pause) {
        Ok(word) => Some(word),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Word::Stop),
    }
}
