//! What the threads of a simulated master share: the cluster, the master's part in the election, its
//! subscribers and the faults it was asked for, behind one lock. In: changes. Out: views, and events
//! to every subscriber, each after the snapshot it belongs to. It must never hold the lock while a
//! document is written.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{self, Sender};

use super::cluster::Cluster;
use super::documents::Documents;
use super::events::Batch;
use super::faults::{Scope, StateFault, StreamFault};
use super::options::SimulateOptions;
use super::stream::Subscriber;
use super::term::Word;
use super::text::Uuid;
use super::view::{MasterInfo, View};

/// A simulated master.
pub struct Master {
    pub options: SimulateOptions,
    pub documents: Documents,
    inner: Mutex<Inner>,
    counts: Mutex<Counts>,
    /// To the director, for a restart.
    words: Sender<Word>,
    /// Connections that are open, to end them at the stop.
    sockets: Mutex<HashMap<u64, TcpStream>>,
    last_id: AtomicU64,
    /// Stored by `stop`, loaded by `server::accept` after each connection (the stop makes one) and by
    /// connections before each request.
    is_stopping: AtomicBool,
}

struct Inner {
    cluster: Cluster,
    info: MasterInfo,
    role: Role,
    /// Rises with every change of what the master shows.
    generation: u64,
    subscribers: Vec<Arc<Subscriber>>,
    /// What each new stream suffers; pace and kind are apart.
    new_streams: StreamFault,
    new_pace: StreamFault,
    state_fault: StateFault,
}

/// The master's part in the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nobody is known to lead.
    NoLeader,
    /// `HOST:PORT` leads.
    Follows(String),
    /// It leads itself; at first it reads its registry.
    Leads { has_recovered: bool },
}

/// What a simulated master was asked, by kind: `state`, `state-summary`, `redirect`, `health`,
/// `version`, the calls of the v1 API by their own names (`SUBSCRIBE`, `GET_STATE`, ..), `bad-call`
/// and `other`. Whatever the answer was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: BTreeMap<&'static str, u64>,
    /// Of all requests those that were answered 401.
    pub unauthorized: u64,
    /// Streams that got their SUBSCRIBED, ever.
    pub subscribed: u64,
    /// Streams that are open now.
    pub streams_open: usize,
}

impl Role {
    pub const LEADS: Self = Self::Leads {
        has_recovered: true,
    };
    pub const RECOVERS: Self = Self::Leads {
        has_recovered: false,
    };
}

impl Counts {
    /// Requests of one kind.
    pub fn of(&self, kind: &str) -> u64 {
        self.requests.get(kind).copied().unwrap_or(0)
    }
}

impl Master {
    pub fn new(
        options: SimulateOptions,
        cluster: Cluster,
        address: SocketAddr,
        role: Role,
        words: Sender<Word>,
    ) -> Self {
        let now = unix_time();
        let id = options.id.clone().unwrap_or_else(random_id);
        Self {
            documents: Documents::default(),
            inner: Mutex::new(Inner {
                cluster,
                info: MasterInfo {
                    id,
                    address,
                    start_time: now,
                    elected_time: now,
                },
                role,
                generation: 0,
                subscribers: Vec::new(),
                new_streams: StreamFault::Normal,
                new_pace: StreamFault::Normal,
                state_fault: StateFault::Normal,
            }),
            counts: Mutex::default(),
            words,
            sockets: Mutex::default(),
            last_id: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            options,
        }
    }

    /// Changes the cluster and tells every subscriber, in one write for each. Gives the moment just
    /// before that write.
    pub fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> (T, Instant) {
        let mut inner = self.lock();
        let outcome = change(&mut inner.cluster);
        let sent_at = inner.tell();
        (outcome, sent_at)
    }

    pub fn with_cluster<T>(&self, read: impl FnOnce(&Cluster) -> T) -> T {
        read(&self.lock().cluster)
    }

    pub fn role(&self) -> Role {
        self.lock().role.clone()
    }

    pub fn info(&self) -> MasterInfo {
        self.lock().info.clone()
    }

    pub fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// What the master shows now, and its generation.
    pub fn view(&self, is_blind: bool) -> (u64, View) {
        let inner = self.lock();
        (inner.generation, inner.view(is_blind))
    }

    /// Takes another part in the election. One that leads no more loses its subscribers.
    pub fn follow(&self, role: Role) {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.role = role;
        inner.end_streams();
    }

    /// Leads, as the first of a run: it knows everything.
    pub fn lead_first(&self) {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.info.elected_time = unix_time();
        inner.role = Role::LEADS;
    }

    /// Has another id and start, as after a restart.
    pub fn renew(&self) {
        let mut inner = self.lock();
        inner.info.start_time = unix_time();
        if self.options.id.is_none() {
            inner.info.id = random_id();
        }
    }

    /// Leads, after another or after its own restart: it knows nothing yet.
    pub fn lead_later(&self) {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.end_streams();
        inner.cluster.forget_all();
        inner.info.elected_time = unix_time();
        inner.role = Role::RECOVERS;
    }

    /// As when its process is started anew; returns when it has forgotten everything. `false`: it does
    /// not lead, or ZooKeeper decides who does.
    pub fn restart(&self) -> bool {
        if self.options.zk.is_some() || !matches!(self.role(), Role::Leads { .. }) {
            return false;
        }
        let (done, is_done) = channel::bounded(1);
        self.words.send(Word::Restart(done)).is_ok() && is_done.recv().is_ok()
    }

    /// Has read its registry. With `all_back` every agent is back at the same moment.
    pub fn recover(&self, all_back: bool) {
        let mut inner = self.lock();
        inner.role = Role::LEADS;
        if all_back {
            inner.cluster.return_all();
        }
        inner.tell();
    }

    /// A new stream: registered and seen in one moment, so that no event is missed or told twice.
    /// The oldest stream is closed where there are too many.
    pub fn subscribe(
        &self,
        socket: TcpStream,
        is_blind: bool,
    ) -> Result<(Arc<Subscriber>, View, StreamFault), Role> {
        let mut inner = self.lock();
        if inner.role != Role::LEADS {
            return Err(inner.role.clone());
        }
        if inner.subscribers.len() >= self.options.streams_max {
            inner.subscribers.remove(0).end();
        }
        let id = self.next_id();
        let is_silent = inner.new_streams != StreamFault::Normal;
        let subscriber = Subscriber::new(id, is_blind, socket, is_silent);
        subscriber.suffer(inner.new_pace);
        let subscriber = Arc::new(subscriber);
        inner.subscribers.push(Arc::clone(&subscriber));
        Ok((subscriber, inner.view(is_blind), inner.new_streams))
    }

    pub fn unsubscribe(&self, id: u64) {
        self.lock().subscribers.retain(|one| one.id != id);
    }

    pub fn fault_streams(&self, scope: Scope, fault: StreamFault) {
        let mut inner = self.lock();
        if scope != Scope::Open {
            match fault {
                StreamFault::Normal => {
                    inner.new_streams = fault;
                    inner.new_pace = fault;
                }
                StreamFault::Split(_) | StreamFault::Delay(_) => inner.new_pace = fault,
                _ => inner.new_streams = fault,
            }
        }
        if scope != Scope::New {
            for subscriber in &inner.subscribers {
                subscriber.suffer(fault);
            }
        }
    }

    /// What a SUBSCRIBE meets now.
    pub fn new_streams(&self) -> StreamFault {
        self.lock().new_streams
    }

    pub fn fault_state(&self, fault: StateFault) {
        self.lock().state_fault = fault;
    }

    pub fn state_fault(&self) -> StateFault {
        self.lock().state_fault
    }

    pub fn counts(&self) -> Counts {
        let mut counts = guard(&self.counts).clone();
        counts.streams_open = self.lock().subscribers.len();
        counts
    }

    pub fn count(&self, kind: &'static str) {
        *guard(&self.counts).requests.entry(kind).or_default() += 1;
    }

    pub fn count_unauthorized(&self) {
        guard(&self.counts).unauthorized += 1;
    }

    pub fn count_subscribed(&self) {
        guard(&self.counts).subscribed += 1;
    }

    /// Remembers a connection until `forget`. Gives its number, or the error of copying its handle.
    pub fn remember(&self, socket: &TcpStream) -> io::Result<u64> {
        let id = self.next_id();
        guard(&self.sockets).insert(id, socket.try_clone()?);
        Ok(id)
    }

    pub fn forget(&self, id: u64) {
        guard(&self.sockets).remove(&id);
    }

    pub fn connections(&self) -> usize {
        guard(&self.sockets).len()
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    pub fn begin_stop(&self) {
        // Pairs with the load in `is_stopping`.
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Ends every connection; after `begin_stop`, and when nobody accepts any more.
    pub fn end_connections(&self) {
        for socket in guard(&self.sockets).values() {
            // It may be closed by the other side already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        guard(&self.inner)
    }
}

impl Inner {
    /// Writes what happened to whom it concerns, while the lock is held: in the order of the changes.
    fn tell(&mut self) -> Instant {
        self.generation += 1;
        let events = self.cluster.take_events();
        if self.subscribers.is_empty() || events.is_empty() || self.role != Role::LEADS {
            return Instant::now();
        }
        let batch = Batch::of(&self.cluster, &events);
        let sent_at = Instant::now();
        self.subscribers.retain(|one| match one.is_blind {
            true => one.deliver(&batch.blind),
            false => one.deliver(&batch.full),
        });
        sent_at
    }

    fn view(&self, is_blind: bool) -> View {
        View {
            cluster: self.cluster.clone(),
            master: self.info.clone(),
            is_empty: self.role == Role::RECOVERS,
            is_blind,
        }
    }

    fn end_streams(&mut self) {
        for subscriber in self.subscribers.drain(..) {
            subscriber.end();
        }
    }
}

/// What these locks guard is whole after each statement that changes it.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_time() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

fn random_id() -> String {
    Uuid(fastrand::u128(..)).to_string()
}
