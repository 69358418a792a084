//! What the service manager is told (sd_notify(3)). In: the table, what is known of its freshness, and
//! the daemon's word. Out: READY, a status line, the watchdog's feed, and the sockets that the manager
//! keeps for the next process. Where none listens it does nothing; it must never say that all is well
//! because time has passed.
//!
//! Ready is said when a table is served, with a warm start at once. The watchdog is fed when every
//! answering thread and the refresh thread have gone round since the feed before; an idle one is woken
//! for that.

mod status;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use sd_notify::NotifyState;
use tracing::{debug, warn};

use crate::limits::{SERVICE_FIRST_LOOK, SERVICE_TICK, SERVICE_WORDS_MAX, WATCHDOG_PARTS};
use crate::responses::publish::{Published, served};
use crate::stats::freshness::SharedFreshness;
use crate::stats::pulse::{Pulse, Vigil};
use status::status_line;

/// The manager's ear; nothing where there is no manager.
pub struct Service {
    speaker: Option<Speaker>,
    /// Names of the sockets that it keeps.
    kept: BTreeSet<String>,
}

struct Speaker {
    words: Sender<Word>,
    thread: JoinHandle<()>,
}

enum Word {
    /// Something may have changed.
    Look,
    Watch(Vec<Pulse>),
    Reloading,
    Reloaded,
    Stop,
}

/// What the thread looks at.
struct Seen {
    published: Published,
    freshness: SharedFreshness,
}

impl Service {
    /// Looks for the manager in the environment.
    pub fn start(published: Published, freshness: SharedFreshness) -> io::Result<Self> {
        let kept = BTreeSet::new();
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Self {
                speaker: None,
                kept,
            });
        }
        let (words, inbox) = bounded(SERVICE_WORDS_MAX);
        let seen = Seen {
            published,
            freshness,
        };
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / WATCHDOG_PARTS);
        let thread = thread::Builder::new()
            .name("service".into())
            .spawn(move || Speech::new(seen, watchdog).run(&inbox))?;
        Ok(Self {
            speaker: Some(Speaker { words, thread }),
            kept,
        })
    }

    /// To be called after each publication: readiness is not to wait for the next look.
    pub fn looker(&self) -> impl Fn() + Send + 'static {
        let words = self.speaker.as_ref().map(|speaker| speaker.words.clone());
        move || {
            if let Some(words) = &words {
                // Full means that it will look anyway.
                let _ = words.try_send(Word::Look);
            }
        }
    }

    /// Who has to go round from now on for the watchdog to be fed.
    pub fn watch(&self, pulses: Vec<Pulse>) {
        self.say(Word::Watch(pulses));
    }

    pub fn reloading(&self) {
        self.say(Word::Reloading);
    }

    /// The reload is over, whatever became of it.
    pub fn reloaded(&self) {
        self.say(Word::Reloaded);
    }

    fn say(&self, word: Word) {
        if let Some(speaker) = &self.speaker
            && speaker.words.send(word).is_err()
        {
            warn!("the thread that speaks with the service manager has ended");
        }
    }

    /// Has the manager keep these sockets for the next process and no others of ours. False: it keeps
    /// none, or there is no manager.
    pub fn keep(&mut self, sockets: &[(String, BorrowedFd<'_>)]) -> bool {
        if self.speaker.is_none() {
            return false;
        }
        let wanted: BTreeSet<_> = sockets.iter().map(|(name, _)| name.clone()).collect();
        match self.tell_of(&wanted, sockets) {
            Ok(()) => self.kept = wanted,
            Err(error) => warn!(
                "the service manager may not keep the sockets, so that a restart may lose queries: {error}"
            ),
        }
        !self.kept.is_empty()
    }

    fn tell_of(
        &self,
        wanted: &BTreeSet<String>,
        sockets: &[(String, BorrowedFd<'_>)],
    ) -> io::Result<()> {
        for name in self.kept.difference(wanted) {
            sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)])?;
        }
        let mut new = sockets.iter().filter(|(name, _)| !self.kept.contains(name));
        for (name, socket) in &mut new {
            // Unpolled: the manager would drop a socket for an error that is one client's.
            let words = [
                NotifyState::FdStore,
                NotifyState::FdName(name),
                NotifyState::Custom("FDPOLL=0"),
            ];
            sd_notify::notify_with_fds(&words, &[*socket])?;
        }
        Ok(())
    }

    /// Knows that the manager keeps sockets of these names: it passed them to this process.
    pub fn note_kept(&mut self, names: Vec<String>) {
        self.kept.extend(names);
    }

    /// Says that the program stops; after it nothing is said.
    pub fn stop(self) {
        if let Some(speaker) = self.speaker {
            // A thread that has ended says nothing either.
            let _ = speaker.words.send(Word::Stop);
            if speaker.thread.join().is_err() {
                warn!("the thread that speaks with the service manager had panicked");
            }
        }
    }
}

/// The thread, and what it said last.
struct Speech {
    seen: Seen,
    status: String,
    is_ready: bool,
    has_become_ready: bool,
    vigil: Vigil,
    /// How often the threads are asked whether they go round, and when next. `None`: nobody wants it.
    watchdog: Option<(Duration, Instant)>,
}

impl Speech {
    fn new(seen: Seen, watchdog: Option<Duration>) -> Self {
        Self {
            seen,
            status: String::new(),
            is_ready: false,
            has_become_ready: false,
            vigil: Vigil::default(),
            watchdog: watchdog.map(|every| (every, Instant::now() + every)),
        }
    }

    fn run(mut self, inbox: &Receiver<Word>) {
        let mut look_at = Instant::now();
        loop {
            let due = self.watchdog.map_or(look_at, |(_, at)| at.min(look_at));
            let word = inbox.recv_timeout(due.saturating_duration_since(Instant::now()));
            match word {
                Ok(Word::Watch(pulses)) => self.vigil.watch(pulses),
                Ok(Word::Reloading) if self.is_ready => match NotifyState::monotonic_usec_now() {
                    Ok(now) => tell(&[NotifyState::Reloading, now]),
                    Err(_) => tell(&[NotifyState::Reloading]),
                },
                Ok(Word::Reloaded) if self.is_ready => tell(&[NotifyState::Ready]),
                Ok(Word::Stop) => return tell(&[NotifyState::Stopping]),
                Err(RecvTimeoutError::Disconnected) => return,
                // Once it is ready, publications need no word: there may be hundreds a second.
                Ok(Word::Look) if self.is_ready => {}
                Ok(_) => self.look(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if look_at <= now {
                self.look();
                look_at = now + SERVICE_TICK;
            }
            if self.has_become_ready {
                // A moment later more is known than that there is a table.
                self.has_become_ready = false;
                look_at = now + SERVICE_FIRST_LOOK;
            }
            self.feed(now);
        }
    }

    /// Says what differs from what was said.
    fn look(&mut self) {
        let names = served(&self.seen.published).map(|snapshot| snapshot.table.name_count());
        let status = status_line(names, &self.seen.freshness.read());
        if names.is_some() && !self.is_ready {
            (self.is_ready, self.has_become_ready) = (true, true);
            tell(&[NotifyState::Ready]);
        } else if status != self.status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    fn feed(&mut self, now: Instant) {
        if let Some((every, at)) = self.watchdog
            && at <= now
        {
            self.watchdog = Some((every, now + every));
            if self.vigil.ask() {
                tell(&[NotifyState::Watchdog]);
            }
        }
    }
}

fn tell(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        debug!(%error, "the service manager does not listen");
    }
}
