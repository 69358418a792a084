//! Asks masters for whole documents, on a thread of its own, so that a slow one never holds up the
//! events of the stream. In: an order. Out: its answer. One order at a time.

use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use tracing::{debug, warn};

use super::cluster::Endpoint;
use super::error::MasterError;
use super::fetch::{Fetched, MasterClient};
use super::summary::Pids;

/// What to ask.
#[derive(Debug)]
pub enum PollOrder {
    /// The leader's state, by way of these masters.
    State(Vec<Endpoint>),
    /// Where the leader's libprocess schedulers are.
    Pids(Endpoint),
}

/// What came of it.
#[derive(Debug)]
pub enum PollTold {
    State(Result<Box<Fetched>, MasterError>),
    Pids(Result<Pids, MasterError>),
}

/// The thread that asks. It ends after the answer that it waits for, once this is dropped.
pub struct Poller {
    orders: Sender<PollOrder>,
    told: Receiver<PollTold>,
    thread: JoinHandle<()>,
}

impl Poller {
    pub fn start(mut client: MasterClient) -> std::io::Result<Self> {
        let (orders, to_do) = bounded::<PollOrder>(1);
        let (tell, told) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("poll".to_owned())
            .spawn(move || {
                if let Err(failure) = crate::sys::priority::give_way() {
                    debug!("the poll's thread keeps its priority: {failure}");
                }
                for order in to_do {
                    let answer = match order {
                        PollOrder::State(masters) => {
                            PollTold::State(client.fetch(&masters).map(Box::new))
                        }
                        PollOrder::Pids(leader) => PollTold::Pids(client.fetch_pids(&leader)),
                    };
                    if tell.send(answer).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            orders,
            told,
            thread,
        })
    }

    /// Asks. To be called only when the answer to the order before has come.
    pub fn ask(&self, order: PollOrder) {
        // Full or disconnected would mean that it was called too early, or that the thread failed.
        if self.orders.try_send(order).is_err() {
            warn!("the thread that asks masters takes no order");
        }
    }

    pub fn told(&self) -> &Receiver<PollTold> {
        &self.told
    }

    /// Whether the thread is gone.
    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }
}
