//! Writes the log of queries. In: records that the answering threads left. Out: a line for each, by a
//! thread of its own that gives way to all others. It must never have them wait for it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use tracing::{debug, error, info, warn};

use crate::limits::{QUERY_LOG_LOOK, REPEATED_TOLD_EVERY};
use crate::stats::query_log::{QueryLog, Record};
use crate::sys::priority;

/// The log, and the thread that writes it while there is something to write.
#[derive(Default)]
pub struct QueryLogger {
    log: Arc<QueryLog>,
    writer: Option<Writer>,
}

struct Writer {
    /// Dropping it ends the thread.
    _stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl QueryLogger {
    pub fn log(&self) -> &Arc<QueryLog> {
        &self.log
    }

    /// Logs one answer in so many from now on; 0: none.
    pub fn follow(&mut self, every: u32) {
        self.log.set_every(every);
        match (every, &self.writer) {
            (0, _) => self.end(),
            (_, Some(_)) => {}
            (_, None) => match start(Arc::clone(&self.log)) {
                Ok(writer) => self.writer = Some(writer),
                Err(failure) => {
                    self.log.set_every(0);
                    error!("no queries are logged: cannot start a thread: {failure}");
                }
            },
        }
    }

    /// What waits is written first.
    fn end(&mut self) {
        if let Some(Writer {
            _stop: stop,
            thread,
        }) = self.writer.take()
        {
            drop(stop);
            if thread.join().is_err() {
                error!("the thread that logs queries had panicked");
            }
        }
    }
}

impl Drop for QueryLogger {
    fn drop(&mut self) {
        self.end();
    }
}

fn start(log: Arc<QueryLog>) -> std::io::Result<Writer> {
    let (stop, stopped) = bounded(0);
    let body = move || {
        if let Err(failure) = priority::give_way() {
            debug!("the thread that logs queries keeps its priority: {failure}");
        }
        let mut missing = Missing::new(log.dropped());
        // It looks now and then: waking it would cost an answering thread a system call.
        while stopped.recv_timeout(QUERY_LOG_LOOK) == Err(RecvTimeoutError::Timeout) {
            write_all(&log);
            missing.tell(log.dropped(), Instant::now());
        }
        write_all(&log);
    };
    let thread = std::thread::Builder::new()
        .name("query-log".to_owned())
        .spawn(body)?;
    Ok(Writer {
        _stop: stop,
        thread,
    })
}

fn write_all(log: &QueryLog) {
    while let Some(record) = log.next() {
        write(&record);
    }
}

fn write(record: &Record) {
    info!(
        target: "rollcall::query",
        name = record.name(),
        r#type = %record.qtype(),
        class = %record.qclass(),
        client = %record.asked.client,
        transport = record.transport(),
        rcode = %record.rcode(),
        bytes = record.bytes,
        route = record.route(),
        "answered"
    );
}

/// Records that were dropped, and how many of them were told of.
struct Missing {
    told: u64,
    told_at: Option<Instant>,
}

impl Missing {
    fn new(dropped: u64) -> Self {
        Self {
            told: dropped,
            told_at: None,
        }
    }

    fn tell(&mut self, dropped: u64, now: Instant) {
        let is_early = |at| now.duration_since(at) < REPEATED_TOLD_EVERY;
        let more = dropped - self.told;
        if more == 0 || self.told_at.is_some_and(is_early) {
            return;
        }
        warn!(
            "{more} lines are missing in the log of queries, which cannot be written so fast; raise QueryLog"
        );
        (self.told, self.told_at) = (dropped, Some(now));
    }
}
