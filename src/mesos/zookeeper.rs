//! Who leads, from ZooKeeper. In: the members of an ensemble and a path. Out: the masters registered
//! there, told whenever they change. It must never end, panic or fall silent because of ZooKeeper.
//!
//! A session costs the ensemble one list when it begins and one read for each master, and after that
//! one or two requests for each change; nothing is polled. The client is our own: it reads frames of
//! bounded length, and a member that hangs up again and again is asked ever less often.

mod connection;
pub mod fault;
pub mod protocol;
pub mod registered;
mod session;
mod teller;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error};

use super::cluster::Endpoint;
use crate::config::ZkUrl;
use crate::config::zk::ZkMember;
use crate::limits::{
    HOST_LOOKUP_THREADS, ZK_LOST, ZK_RETRY_FIRST, ZK_RETRY_MAX, ZK_SESSION, ZK_STOP,
};
use fault::Fault;
use session::Session;
use teller::{Teller, Trouble};

/// What ZooKeeper says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// All masters that are registered: the leader (lowest sequence) first, then by sequence. Empty:
    /// ZooKeeper answers, but there is no master, or not even the path.
    Masters(Vec<MasterInfo>),
    /// ZooKeeper cannot be asked; what was told last still is the best that is known. The text names
    /// the culprit and the cure.
    Lost(String),
    /// It can be asked again; `Masters` follows.
    Restored,
}

/// A master as it registered itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterInfo {
    /// With a port, always.
    pub endpoint: Endpoint,
    /// New with each start of a master, so that one that came back at its old place differs.
    pub id: Option<Arc<str>>,
}

/// A running watch. Dropping it ends its thread within `ZK_STOP`, whatever ZooKeeper does; then
/// nothing is told any more.
pub struct Watch {
    stop: Option<oneshot::Sender<Infallible>>,
    ended: Receiver<Infallible>,
}

impl Watch {
    /// `tell` is called on the watch's own thread and must not block. The same is never told twice in
    /// a row, and everything told is logged here.
    pub fn start(url: ZkUrl, tell: impl Fn(Told) + Send + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("zookeeper-names")
            .max_blocking_threads(HOST_LOOKUP_THREADS)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = channel();
        let body = move || {
            // Dropped with the thread's end, which is how the other side sees it.
            let _ending: Sender<Infallible> = ending;
            let mut watcher = Watcher::new(url, Box::new(tell));
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = watcher.run() => {}
                }
                watcher.session.close().await;
            });
            // A look-up of a host name cannot be hurried; it is left to its own end.
            runtime.shutdown_background();
        };
        std::thread::Builder::new()
            .name("zookeeper".into())
            .spawn(body)?;
        let stop = Some(stop);
        Ok(Self { stop, ended })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ended.recv_timeout(ZK_STOP) == Err(RecvTimeoutError::Timeout) {
            error!("the ZooKeeper thread does not end; it is left behind");
        }
    }
}

/// What the thread owns.
struct Watcher {
    members: Members,
    session: Session,
    touch: Touch,
    retry: Retry,
}

impl Watcher {
    fn new(url: ZkUrl, tell: Box<dyn Fn(Told) + Send>) -> Self {
        Self {
            members: Members::new(url.members.clone()),
            session: Session::new(url.clone()),
            touch: Touch {
                teller: Teller::new(url, tell),
                lost_since: Some(Instant::now()),
            },
            retry: Retry::default(),
        }
    }

    /// One connection after the other, for ever.
    async fn run(&mut self) {
        loop {
            let lived = match self.connect().await {
                Some(member) => {
                    let began = Instant::now();
                    let fault = self.follow().await;
                    self.lose(member, &fault);
                    began.elapsed()
                }
                None => {
                    self.touch.lose();
                    Duration::ZERO
                }
            };
            if self.touch.is_lost_for(2 * ZK_SESSION) {
                // It has expired long since, unless nobody is left who knows of it.
                self.session.forget();
            }
            let wait = sleep(self.retry.next_wait(lived));
            self.touch.meanwhile(&self.members, wait).await;
        }
    }

    /// Once through the members, in random order; gives the first that takes us.
    async fn connect(&mut self) -> Option<usize> {
        let Self {
            members, session, ..
        } = self;
        let mut order: Vec<usize> = (0..members.list.len()).collect();
        fastrand::shuffle(&mut order);
        let pass = async {
            for index in order {
                members.trying.set(Some(index));
                let mut connected = session.connect(&members.list[index]).await;
                if connected == Err(Fault::Expired) {
                    session.forget();
                    connected = session.connect(&members.list[index]).await;
                }
                members.trying.set(None);
                match connected {
                    Ok(()) => return Some(index),
                    Err(fault) => members.note(index, &fault),
                }
            }
            None
        };
        self.touch.meanwhile(members, pass).await
    }

    /// Tells of the masters for as long as the connection lasts; gives why it does not.
    async fn follow(&mut self) -> Fault {
        loop {
            let waited = match self.session.read().await {
                Ok(found) if !found.is_denied() => {
                    self.touch.lost_since = None;
                    self.touch.teller.found(found);
                    // Nothing is asked until ZooKeeper says that something changed.
                    self.session.next(None).await
                }
                Ok(_) | Err(Fault::Denied) => {
                    // No watch tells of a changed ACL, so it is asked again in a while.
                    self.touch.fail(Trouble::Denied);
                    self.session.forget_denied();
                    let wait = self.retry.next_wait(Duration::ZERO);
                    self.session.next(Some(Instant::now() + wait)).await
                }
                Err(fault) => Err(fault),
            };
            if let Err(fault) = waited {
                return fault;
            }
        }
    }

    /// A connection is lost.
    fn lose(&mut self, member: usize, fault: &Fault) {
        self.members.note(member, fault);
        self.session.disconnect();
        match fault {
            Fault::Refused => self.touch.fail(Trouble::Refused),
            Fault::Expired => {
                self.session.forget();
                self.touch.lose();
            }
            _ => self.touch.lose(),
        }
    }
}

/// The members and what was wrong with each, for the message.
struct Members {
    list: Vec<ZkMember>,
    faults: RefCell<Vec<Option<String>>>,
    /// The one that an answer is waited for.
    trying: Cell<Option<usize>>,
}

impl Members {
    fn new(list: Vec<ZkMember>) -> Self {
        Self {
            faults: RefCell::new(vec![None; list.len()]),
            trying: Cell::new(None),
            list,
        }
    }

    fn note(&self, index: usize, fault: &Fault) {
        debug!("ZooKeeper: {} {fault}", self.list[index]);
        if let Some(noted) = self.faults.borrow_mut().get_mut(index) {
            *noted = Some(fault.to_string());
        }
    }

    fn faults_text(&self) -> String {
        let faults = self.faults.borrow();
        let parts = self.list.iter().zip(&*faults).enumerate();
        let parts = parts.filter_map(|(index, (member, fault))| match fault {
            _ if self.trying.get() == Some(index) => Some(format!("{member} does not answer")),
            Some(fault) => Some(format!("{member} {fault}")),
            None => None,
        });
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// Whether ZooKeeper is in touch, and telling of it.
struct Touch {
    teller: Teller,
    lost_since: Option<Instant>,
}

impl Touch {
    fn is_lost_for(&self, time: Duration) -> bool {
        self.lost_since.is_some_and(|since| since.elapsed() > time)
    }

    fn lose(&mut self) {
        self.lost_since.get_or_insert_with(Instant::now);
        self.teller.count_failure();
    }

    /// ZooKeeper answers, but not what we need.
    fn fail(&mut self, trouble: Trouble) {
        self.lost_since = None;
        self.teller.lost(trouble);
        self.teller.count_failure();
    }

    /// Waits for something that brings ZooKeeper back; tells that it is lost where that takes long.
    async fn meanwhile<T>(&mut self, members: &Members, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let Some(since) = self.lost_since.filter(|_| !self.teller.is_unreachable()) else {
            return work.await;
        };
        tokio::select! {
            done = &mut work => return done,
            () = sleep_until(since + ZK_LOST) => {
                self.teller.lost(Trouble::Unreachable(members.faults_text()));
            }
        }
        work.await
    }
}

/// Backoff with full jitter.
struct Retry {
    wait_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let wait_max = ZK_RETRY_FIRST;
        Self { wait_max }
    }
}

impl Retry {
    /// How long to wait after a connection that lived so long. One that outlived the wait was a good
    /// one, and the waits begin anew.
    fn next_wait(&mut self, lived: Duration) -> Duration {
        if lived > self.wait_max {
            self.wait_max = ZK_RETRY_FIRST;
        }
        let wait = self.wait_max.mul_f64(fastrand::f64());
        self.wait_max = (self.wait_max * 2).min(ZK_RETRY_MAX);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_are_drawn_from_zero_up() {
        let mut retry = Retry::default();
        for bound in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            let bound = Duration::from_millis(bound);
            assert_eq!(retry.wait_max, bound);
            assert!(retry.next_wait(bound) <= bound);
        }
        let waits = (0..100).map(|_| retry.next_wait(Duration::ZERO));
        let waits: Vec<_> = waits.collect();
        assert!(waits.iter().any(|wait| *wait < ZK_RETRY_MAX / 4));
        assert!(waits.iter().any(|wait| *wait > ZK_RETRY_MAX / 2));
        let lived = ZK_RETRY_MAX + Duration::from_millis(1);
        assert!(retry.next_wait(lived) <= ZK_RETRY_FIRST);
    }
}
