//! The connection to the master's event stream, on a thread of its own. In: an order to connect, with
//! the masters to ask. Out: the snapshot, then events in the order in which they came, then why it
//! ended. It decides nothing: when to connect again, and whether silence lasts too long, is the
//! refresh thread's affair.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use tracing::{debug, warn};
use ureq::Agent;

use super::cluster::{Cluster, Endpoint};
use super::decode::Decoder;
use super::error::MasterError;
use super::events::{Event, EventError, EventReader, Told};
use super::http::{Call, Http};
use super::leader::Hops;
use super::recordio::{RecordError, Records};
use super::v1::GetMasterFields;
use super::values::read_loose_pid;
use crate::limits::{EVENT_BATCH_MAX, EVENT_BATCHES_WAITING_MAX, MASTER_ANSWER_BYTES_MAX};

/// What comes from the stream.
#[derive(Debug)]
pub enum StreamTold {
    Subscribed(Box<Subscription>),
    /// In their order; empty: a heartbeat.
    Events(Vec<Event>),
    /// The last of a connection.
    Ended(StreamEnd),
}

/// A subscription that stands.
#[derive(Debug)]
pub struct Subscription {
    pub cluster: Cluster,
    /// The master that it is with.
    pub from: Endpoint,
    /// What it promised to send in every such time.
    pub heartbeat: Duration,
    /// Length of the snapshot.
    pub bytes: u64,
    /// Objects that could not be read.
    pub bad_count: u64,
    pub took: Duration,
}

/// Why a connection ended, or did not come about.
#[derive(Debug)]
pub enum StreamEnd {
    /// No master could be asked.
    Master(MasterError),
    /// The master has no stream that could be used; asking again soon is of no use.
    Unsupported {
        from: Endpoint,
        why: String,
    },
    Record {
        from: Endpoint,
        error: RecordError,
    },
    Event {
        from: Endpoint,
        error: EventError,
    },
    /// The master ended it, between two records.
    Finished {
        from: Endpoint,
    },
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master(error) => error.fmt(f),
            Self::Unsupported { from, why } => {
                write!(f, "{from} has no event stream for us: {why}")
            }
            Self::Record { from, error } => {
                write!(f, "the event stream of {from} is lost: {error}")
            }
            Self::Event { from, error } => {
                write!(f, "the event stream of {from} cannot be read: {error}")
            }
            Self::Finished { from } => write!(f, "{from} ended the event stream"),
        }
    }
}

/// The thread of the stream. Dropping it cuts the connection; the thread then ends by itself.
pub struct Subscriber {
    orders: Sender<Vec<Endpoint>>,
    told: Receiver<StreamTold>,
    connection: Connection,
    thread: Option<JoinHandle<()>>,
}

/// The client of the connection that stands, for cutting it from another thread.
type Connection = Arc<Mutex<Option<Agent>>>;

impl Subscriber {
    /// A longer record is refused.
    pub fn start(http: Http, record_bytes_max: u64) -> std::io::Result<Self> {
        let (orders, to_do) = bounded::<Vec<Endpoint>>(1);
        let (tell, told) = bounded(EVENT_BATCHES_WAITING_MAX);
        let connection = Connection::default();
        let mut worker = Worker {
            http,
            record_bytes_max,
            connection: connection.clone(),
            reader: EventReader::default(),
            decoder: Decoder::default(),
            tell,
        };
        let thread = std::thread::Builder::new()
            .name("stream".to_owned())
            .spawn(move || {
                if let Err(failure) = crate::sys::priority::give_way() {
                    debug!("the stream's thread keeps its priority: {failure}");
                }
                for masters in to_do {
                    let end = match worker.run(&masters) {
                        Ok(Gone) => return,
                        Err(end) => end,
                    };
                    if worker.tell.send(StreamTold::Ended(end)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            orders,
            told,
            connection,
            thread: Some(thread),
        })
    }

    /// Connects to the leader that one of these masters leads to. To be called only when nothing
    /// stands: at the start, and after each `Ended`.
    pub fn connect(&self, masters: Vec<Endpoint>) {
        // Full or disconnected would mean that it was called too early, or that the thread failed.
        if self.orders.try_send(masters).is_err() {
            warn!("the event stream takes no order");
        }
    }

    pub fn told(&self) -> &Receiver<StreamTold> {
        &self.told
    }

    /// Cuts the connection, whatever it waits for; `Ended` follows.
    pub fn cut(&self) {
        let held = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(agent) = held {
            agent.shutdown();
        }
    }

    /// Whether the thread is gone, as it is soon after nobody listens any more.
    pub fn has_failed(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.cut();
        // The thread ends when its orders and its listener are gone, which they are after this; it is
        // not waited for, since a connection that is being made cannot be cut.
        drop(self.thread.take());
    }
}

struct Worker {
    http: Http,
    record_bytes_max: u64,
    connection: Connection,
    reader: EventReader,
    decoder: Decoder,
    tell: Sender<StreamTold>,
}

/// Nobody listens any more.
struct Gone;

/// A leading master, as it describes itself.
struct Leader {
    /// Where it was asked.
    from: Endpoint,
    /// Where it says that it is: `leader.DOMAIN` points there.
    endpoint: Option<Endpoint>,
    id: Option<Arc<str>>,
}

impl Worker {
    fn run(&mut self, masters: &[Endpoint]) -> Result<Gone, StreamEnd> {
        let started = Instant::now();
        let leader = self.find_leader(masters)?;
        let from = leader.from.clone();
        // Without a bound in time: whoever waits for it cuts it.
        let agent = self.http.agent(None).map_err(StreamEnd::Master)?;
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(agent.clone());
        let mut hops = Hops::new(&from);
        let reply = self
            .http
            .ask_with(&agent, Call::Post(SUBSCRIBE), &from, API, &mut hops)
            .map_err(|error| refusal(&from, error))?;
        let from = reply.from;
        let mut records = Records::new(reply.body.into_reader(), self.record_bytes_max);
        let bytes = next(&mut records, &from)?;
        let told = self.reader.read(&mut records);
        let told = told.map_err(|error| event_end(&from, error))?;
        let Told::Subscribed(subscribed) = told else {
            let why = "its first record is not SUBSCRIBED".to_owned();
            return Err(StreamEnd::Unsupported { from, why });
        };
        let Some(heartbeat) = subscribed.heartbeat.filter(|it| !it.is_zero()) else {
            let why =
                "it promises no heartbeats (Mesos before 1.5), so that its end could not be told \
                       from silence"
                    .to_owned();
            return Err(StreamEnd::Unsupported { from, why });
        };
        let mut cluster = subscribed.cluster;
        cluster.leader = leader.endpoint.or_else(|| Some(from.clone()));
        cluster.master_id = leader.id;
        let subscription = Subscription {
            cluster,
            from: from.clone(),
            heartbeat,
            bytes,
            bad_count: subscribed.bad_count,
            took: started.elapsed(),
        };
        let told = StreamTold::Subscribed(Box::new(subscription));
        if self.tell.send(told).is_err() {
            return Ok(Gone);
        }
        self.follow(&mut records, &from)
    }

    /// Tells events, all that have arrived at once, until the stream ends.
    fn follow<R: Read>(
        &mut self,
        records: &mut Records<R>,
        from: &Endpoint,
    ) -> Result<Gone, StreamEnd> {
        let mut unreadable_count = 0_u64;
        loop {
            let mut events = Vec::new();
            loop {
                next(records, from)?;
                let told = self.reader.read(&mut *records);
                match told.map_err(|error| event_end(from, error))? {
                    Told::Event(event) => events.push(event),
                    Told::Heartbeat => {}
                    Told::Unknown(kind) => debug!("an event of type {kind:?} is none of ours"),
                    Told::Subscribed(_) => debug!("a second SUBSCRIBED is passed over"),
                    Told::Unreadable { kind, why } => {
                        unreadable_count += 1;
                        if unreadable_count.is_power_of_two() {
                            warn!(
                                "an event of {from} is passed over, its {kind} cannot be read: {why} \
                                 ({unreadable_count} so far)"
                            );
                        }
                    }
                }
                if !records.has_more() || events.len() >= EVENT_BATCH_MAX {
                    break;
                }
            }
            if self.tell.send(StreamTold::Events(events)).is_err() {
                return Ok(Gone);
            }
        }
    }

    /// The leader that one of the masters leads to, in their order.
    fn find_leader(&mut self, masters: &[Endpoint]) -> Result<Leader, StreamEnd> {
        let mut errors = Vec::new();
        for master in masters {
            match self.ask_for_leader(master) {
                Ok(leader) => return Ok(leader),
                Err(StreamEnd::Master(error)) => errors.push(error),
                Err(end) => return Err(end),
            }
        }
        Err(StreamEnd::Master(match errors.len() {
            1 => errors.remove(0),
            _ => MasterError::NoMaster { errors },
        }))
    }

    fn ask_for_leader(&mut self, master: &Endpoint) -> Result<Leader, StreamEnd> {
        let mut hops = Hops::new(master);
        let reply = self
            .http
            .ask(Call::Post(GET_MASTER), master, API, &mut hops)
            .map_err(|error| refusal(master, error))?;
        let mut body = Vec::new();
        let read = reply
            .body
            .into_reader()
            .take(MASTER_ANSWER_BYTES_MAX)
            .read_to_end(&mut body);
        let url = reply.url;
        read.map_err(|error| {
            let why = error.to_string();
            StreamEnd::Master(MasterError::Request {
                url: url.clone(),
                why,
            })
        })?;
        let fields: GetMasterFields<'_> = self.decoder.decode(&body).map_err(|why| {
            let why = format!("GET_MASTER is answered with something else: {why}");
            StreamEnd::Master(MasterError::Request { url, why })
        })?;
        let info = &fields.answer.info;
        Ok(Leader {
            from: reply.from,
            endpoint: read_loose_pid(&info.pid).ok().flatten(),
            id: Some(&*info.id.0).filter(|id| !id.is_empty()).map(Arc::from),
        })
    }
}

/// Goes to the next record; the end of the stream is an end like others here.
fn next<R: Read>(records: &mut Records<R>, from: &Endpoint) -> Result<u64, StreamEnd> {
    match records.next_record() {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(StreamEnd::Finished { from: from.clone() }),
        Err(error) => Err(StreamEnd::Record {
            from: from.clone(),
            error,
        }),
    }
}

fn event_end(from: &Endpoint, error: EventError) -> StreamEnd {
    StreamEnd::Event {
        from: from.clone(),
        error,
    }
}

/// Masters before 1.0 have no such path; others refuse the call, its form or its sender.
fn refusal(from: &Endpoint, error: MasterError) -> StreamEnd {
    match error {
        MasterError::Status {
            status: 400 | 403 | 404 | 405 | 406 | 415 | 501,
            ..
        } => StreamEnd::Unsupported {
            from: from.clone(),
            why: error.to_string(),
        },
        error => StreamEnd::Master(error),
    }
}

/// Of masters since 1.0; followers redirect it to the leader's `/master/api/v1`.
const API: &str = "/api/v1";
const GET_MASTER: &str = r#"{"type":"GET_MASTER"}"#;
const SUBSCRIBE: &str = r#"{"type":"SUBSCRIBE"}"#;

#[cfg(test)]
mod tests;
