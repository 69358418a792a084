//! What was true when: the addresses of each name with their times, and since when something has been wrong
//! around the program. In: moves, and the begin and the end of what is done to it. Out: a verdict on each
//! answer.
//!
//! An answer that came at `r` to a question sent at `s` is good if each of its addresses was the name's at
//! some time in [h, r], and each address that was the name's throughout [h, r] is in it. `h` is `s - BOUND`,
//! but not before the last time at which all names were seen as they are: nothing may fall back. While
//! something is wrong, and until all names have been seen as they are again, `h` is what it was when that
//! began; for a program that was started anew, not after what the file of its warm start was good for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};

pub type Addresses = BTreeSet<String>;

pub struct Truth(Mutex<Inner>);

struct Inner {
    names: BTreeMap<String, Vec<Stay>>,
    /// What `h` is while something is wrong.
    spell: Option<Instant>,
    /// What it was in the last spell.
    last_spell: Instant,
    /// When all names were seen as they are.
    seen_at: Instant,
    /// What `h` was when the file of the warm start was written.
    saved: Instant,
    /// The program cannot answer, because of us; else since when it can.
    silent: bool,
    heard_since: Instant,
    /// Since the spell began: it was started anew, and resolvers were in trouble.
    excused: Excuses,
    wrong: Vec<String>,
}

/// An address of a name, and how long it was that.
struct Stay {
    address: String,
    from: Instant,
    until: Option<Instant>,
}

/// What clients may notice of what is wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excuses {
    /// The domain may be SERVFAIL: the program was started anew, perhaps without a file to begin with.
    pub servfail: bool,
    /// Names outside the domain may be SERVFAIL or without an answer.
    pub outside: bool,
}

impl Truth {
    pub fn new(names: impl IntoIterator<Item = (String, Addresses)>) -> Self {
        let now = Instant::now();
        let stays = |addresses: Addresses| {
            let stay = |address| Stay {
                address,
                from: now,
                until: None,
            };
            addresses.into_iter().map(stay).collect()
        };
        let names = names.into_iter();
        Self(Mutex::new(Inner {
            names: names
                .map(|(name, addresses)| (name, stays(addresses)))
                .collect(),
            spell: None,
            last_spell: now,
            seen_at: now,
            saved: now,
            silent: false,
            heard_since: now,
            excused: Excuses::default(),
            wrong: Vec::new(),
        }))
    }

    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// Has `step` move something of this name's; no answer is judged meanwhile.
    pub fn step(&self, name: &str, step: impl FnOnce() -> Addresses) {
        let mut inner = self.lock();
        let before = Instant::now();
        let now = step();
        let after = Instant::now();
        let stays = inner.names.get_mut(name).expect("a name of ours");
        for stay in stays.iter_mut().filter(|stay| stay.until.is_none()) {
            if !now.contains(&stay.address) {
                stay.until = Some(after);
            }
        }
        for address in now {
            let is_there = |stay: &Stay| stay.address == address && stay.until.is_none();
            if !stays.iter().any(is_there) {
                stays.push(Stay {
                    address,
                    from: before,
                    until: None,
                });
            }
        }
        // Answers are judged at once: what ended long ago is asked for no more.
        stays.retain(|stay| stay.until.is_none_or(|at| at.elapsed() < KEPT));
    }

    /// What a name has now.
    pub fn now(&self, name: &str) -> Addresses {
        let inner = self.lock();
        let stays = inner.names[name].iter();
        let present = stays.filter(|stay| stay.until.is_none());
        present.map(|stay| stay.address.clone()).collect()
    }

    /// Something is wrong from now on.
    pub fn spell_begins(&self) {
        let mut inner = self.lock();
        let horizon = inner.horizon(Instant::now());
        inner.spell.get_or_insert(horizon);
    }

    pub fn excuse(&self, excuses: Excuses) {
        let mut inner = self.lock();
        inner.excused.servfail |= excuses.servfail;
        inner.excused.outside |= excuses.outside;
    }

    /// Nothing is, and all names were seen as they are, each after this time.
    pub fn spell_ends(&self, seen_at: Instant) {
        let mut inner = self.lock();
        if let Some(horizon) = inner.spell.take() {
            inner.last_spell = horizon;
        }
        inner.seen_at = seen_at;
        inner.excused = Excuses::default();
    }

    /// The file of the warm start was written, of records that may be from before the last spell's end.
    pub fn saved(&self) {
        let mut inner = self.lock();
        let is_late = inner.seen_at.elapsed() > SAVE_MAX;
        inner.saved = match inner.spell {
            Some(horizon) => horizon,
            None if is_late => inner.horizon(Instant::now()),
            None => inner.last_spell,
        };
    }

    /// The program is stopped or ended, by us.
    pub fn silence_begins(&self) {
        self.lock().silent = true;
    }

    /// It is about to be started anew, with the file.
    pub fn starts_anew(&self) {
        let mut inner = self.lock();
        let saved = inner.saved;
        inner.spell = inner.spell.map(|horizon| horizon.min(saved));
        inner.excused.servfail = true;
    }

    /// It answers again.
    pub fn silence_ends(&self) {
        let mut inner = self.lock();
        inner.silent = false;
        inner.heard_since = Instant::now();
    }

    /// From when a question that is sent now may be answered.
    pub fn horizon(&self) -> Instant {
        self.lock().horizon(Instant::now())
    }

    /// How long nobody has been heard since `heard`, as far as that is the program's fault.
    pub fn gap(&self, heard: Instant) -> Duration {
        let inner = self.lock();
        match inner.silent {
            true => Duration::ZERO,
            false => heard.max(inner.heard_since).elapsed(),
        }
    }

    /// Judges the answer for a name of the domain; `horizon` is that of when it was sent.
    pub fn judge(&self, name: &str, answer: &Message, horizon: Instant) {
        let mut inner = self.lock();
        let now = Instant::now();
        let horizon = horizon.min(inner.horizon(now));
        if let Some(fault) = inner.fault_of(name, answer, horizon, now) {
            let ago = horizon.elapsed();
            let fault = format!("{name}: {fault}; what was true in the last {ago:?} is right");
            inner.wrong.push(fault);
        }
    }

    pub fn excused(&self) -> Excuses {
        self.lock().excused
    }

    pub fn is_silent(&self) -> bool {
        self.lock().silent
    }

    pub fn complain(&self, fault: String) {
        self.lock().wrong.push(fault);
    }

    /// All that was not good.
    pub fn wrong(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panicked with it")
    }
}

impl Inner {
    fn horizon(&self, now: Instant) -> Instant {
        let bound = now.checked_sub(BOUND).unwrap_or(now);
        self.spell.unwrap_or(bound.max(self.seen_at))
    }

    fn fault_of(
        &self,
        name: &str,
        answer: &Message,
        horizon: Instant,
        now: Instant,
    ) -> Option<String> {
        let rcode = answer.metadata.response_code;
        let is_starting = self.silent || self.excused.servfail;
        if rcode == ResponseCode::ServFail && is_starting {
            return None;
        }
        if rcode != ResponseCode::NoError || answer.metadata.truncation {
            return Some(format!("{rcode}, TC {}", answer.metadata.truncation));
        }
        let records = answer.answers.iter();
        let found: Addresses = records.map(|record| record.data.to_string()).collect();
        let stays = &self.names[name];
        let was_there = |stay: &Stay| stay.until.is_none_or(|until| until >= horizon);
        let stayed =
            |stay: &Stay| stay.from <= horizon && stay.until.is_none_or(|until| until >= now);
        let old = found.iter().find(|address| {
            let mut stays = stays.iter().filter(|stay| stay.address == **address);
            !stays.any(was_there)
        });
        let lacking = stays
            .iter()
            .find(|stay| stayed(stay) && !found.contains(&stay.address));
        match (old, lacking) {
            (Some(address), _) => Some(format!("{found:?}: {address} is not its any more")),
            (_, Some(stay)) => Some(format!("{found:?}: {} is lacking", stay.address)),
            _ if found.is_empty() => Some("no address".to_owned()),
            _ => None,
        }
    }
}

/// So old may an answer be while nothing is wrong: RefreshSeconds, which is 1, where the stream is waited
/// for, what a fetch takes, and some time for a machine that has other work.
pub const BOUND: Duration = Duration::from_secs(5);
/// So long may it take to write the file.
const SAVE_MAX: Duration = Duration::from_secs(3);
/// Longer than any spell, and than the time between two files of the warm start.
const KEPT: Duration = Duration::from_secs(600);
