//! One subscriber's event stream. In: the cluster at one moment, then records. Out: all of them on its
//! connection, in order, each once. A record is written by whoever changes the cluster, at once; only
//! while the snapshot is under way, or a fault slows the stream, does it wait in a queue for the
//! stream's own thread. It must never hold up a change for longer than `SIMULATE_STALL_MS`.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::events::{self, HEARTBEAT};
use super::faults::StreamFault;
use super::tls::Wire;
use super::view::View;
use crate::limits::{
    SIMULATE_IDLE_MS, SIMULATE_PIECE_BYTES, SIMULATE_QUEUE_BYTES_MAX, SIMULATE_STALL_MS,
    SIMULATE_TICK_MS,
};

/// A stream that is open.
pub struct Subscriber {
    pub id: u64,
    pub is_blind: bool,
    /// The connection beneath the wire, to end it and to notice its end.
    socket: TcpStream,
    feed: Mutex<Feed>,
}

struct Feed {
    /// Here while records may be written at once; else with the stream's own thread.
    wire: Option<Wire>,
    queue: VecDeque<(Instant, Arc<[u8]>)>,
    queued_bytes: usize,
    pace: Pace,
    is_silent: bool,
    is_over: bool,
}

/// How a stream is slowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    split_bytes: Option<usize>,
    delay: Duration,
}

/// What the stream's own thread does next.
enum Turn {
    Over,
    Write(Arc<[u8]>, Pace),
    Wait(Duration),
}

/// How a stream begins.
pub enum Opening {
    /// SUBSCRIBED with this, and a heartbeat.
    Snapshot(Box<View>),
    /// Nothing, or what must not be sent.
    Wrong(Vec<u8>),
    /// The end.
    End,
}

impl Subscriber {
    /// A silent one is told of no event: it begins with what must not be sent.
    pub fn new(id: u64, is_blind: bool, socket: TcpStream, is_silent: bool) -> Self {
        Self {
            id,
            is_blind,
            socket,
            feed: Mutex::new(Feed {
                wire: None,
                queue: VecDeque::new(),
                queued_bytes: 0,
                pace: Pace::default(),
                is_silent,
                is_over: false,
            }),
        }
    }

    /// Sends octets now, or after those that wait. `false`: the stream is over.
    pub fn deliver(&self, octets: &[u8]) -> bool {
        let mut feed = self.lock();
        if feed.is_over || feed.is_silent || octets.is_empty() {
            return !feed.is_over;
        }
        let at_once = feed.pace == Pace::default() && feed.queue.is_empty();
        let outcome = match feed.wire.as_mut().filter(|_| at_once) {
            Some(wire) => write_all(wire, octets, Duration::from_millis(SIMULATE_STALL_MS)),
            None => feed.push(octets),
        };
        if let Err(error) = outcome {
            tracing::debug!("a subscriber is dropped: {error}");
            self.close(&mut feed);
        }
        !feed.is_over
    }

    /// Does to an open stream what the fault says.
    pub fn suffer(&self, fault: StreamFault) {
        match fault {
            StreamFault::Disconnect => self.end(),
            StreamFault::HangUp => {
                self.deliver(&fault.octets().unwrap_or_default());
                self.end();
            }
            StreamFault::Silence => {
                let mut feed = self.lock();
                feed.is_silent = true;
                feed.queue.clear();
                feed.queued_bytes = 0;
            }
            StreamFault::Normal | StreamFault::Split(_) | StreamFault::Delay(_) => {
                self.lock().pace.set(fault);
            }
            _ => {
                self.deliver(&fault.octets().unwrap_or_default());
            }
        }
    }

    /// Ends the stream without a last chunk, as a real master does.
    pub fn end(&self) {
        self.close(&mut self.lock());
    }

    fn close(&self, feed: &mut Feed) {
        feed.is_over = true;
        // It may be closed by the other side already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// The stream's own thread, from its head to its end.
    pub fn run(
        &self,
        mut wire: Wire,
        opening: Opening,
        heartbeat: Option<Duration>,
    ) -> io::Result<()> {
        let tick = Duration::from_millis(SIMULATE_TICK_MS);
        self.socket.set_write_timeout(Some(tick))?;
        let pace = self.lock().pace;
        if let Err(error) = self.open(&mut wire, pace, opening, heartbeat) {
            self.end();
            return Err(error);
        }
        let mut held = Some(wire);
        let mut next_beat = heartbeat.map(|interval| Instant::now() + interval);
        loop {
            let now = Instant::now();
            if let (Some(due), Some(interval)) = (next_beat, heartbeat)
                && due <= now
            {
                let mut record = Vec::new();
                events::push_record(&mut record, HEARTBEAT);
                self.deliver(&record);
                next_beat = Some((due + interval).max(now));
            }
            let wait = match self.turn(&mut held) {
                Turn::Over => return Ok(()),
                Turn::Write(octets, pace) => {
                    let wire = held.as_mut().ok_or(io::ErrorKind::NotConnected)?;
                    if let Err(error) = (Paced { wire, pace }).write_all(&octets) {
                        self.end();
                        return Err(error);
                    }
                    continue;
                }
                Turn::Wait(wait) => wait,
            };
            let until_beat = next_beat.map(|due| due.saturating_duration_since(now));
            if self.has_left(wait.min(tick).min(until_beat.unwrap_or(tick)))? {
                self.end();
                return Ok(());
            }
        }
    }

    fn open(
        &self,
        wire: &mut Wire,
        pace: Pace,
        opening: Opening,
        heartbeat: Option<Duration>,
    ) -> io::Result<()> {
        let mut out = Paced { wire, pace };
        out.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n",
        )?;
        std::thread::sleep(pace.delay);
        match opening {
            Opening::Wrong(octets) => out.write_all(&octets),
            Opening::End => {
                self.end();
                Ok(())
            }
            Opening::Snapshot(view) => {
                let seconds = heartbeat.map(|interval| interval.as_secs_f64());
                write_subscribed(&mut out, &view, seconds)?;
                let mut first = Vec::new();
                if heartbeat.is_some() {
                    events::push_record(&mut first, HEARTBEAT);
                }
                out.write_all(&first)
            }
        }
    }

    fn turn(&self, held: &mut Option<Wire>) -> Turn {
        let mut feed = self.lock();
        if feed.is_over {
            return Turn::Over;
        }
        let Some((due, _)) = feed.queue.front() else {
            if feed.pace == Pace::default() && held.is_some() {
                feed.wire = held.take();
            }
            return Turn::Wait(Duration::MAX);
        };
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            return Turn::Wait(wait);
        }
        if let Some(wire) = feed.wire.take() {
            *held = Some(wire);
        }
        let pace = feed.pace;
        match feed.queue.pop_front() {
            Some((_, octets)) => {
                feed.queued_bytes -= octets.len();
                Turn::Write(octets, pace)
            }
            None => Turn::Wait(Duration::MAX),
        }
    }

    /// Waits for the client to end the stream. It has nothing else to say; a closing TLS session
    /// says goodbye, which is the same.
    fn has_left(&self, wait: Duration) -> io::Result<bool> {
        self.socket
            .set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match self.socket.peek(&mut [0]) {
            Ok(_) => Ok(true),
            Err(error) if is_timeout(&error) => Ok(false),
            Err(_) => Ok(true),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Feed> {
        // A feed is whole after each statement that changes it.
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        self.queued_bytes += octets.len();
        if self.queued_bytes > SIMULATE_QUEUE_BYTES_MAX {
            return Err(io::Error::other("too much waits for it"));
        }
        let due = Instant::now() + self.pace.delay;
        self.queue.push_back((due, octets.into()));
        Ok(())
    }
}

impl Pace {
    fn set(&mut self, fault: StreamFault) {
        match fault {
            StreamFault::Split(octets) => self.split_bytes = Some(octets.max(1)),
            StreamFault::Delay(delay) => self.delay = delay,
            StreamFault::Normal => *self = Self::default(),
            _ => {}
        }
    }
}

/// Writes to a wire from the stream's own thread, in pieces where they are asked for.
struct Paced<'a> {
    wire: &'a mut Wire,
    pace: Pace,
}

impl Write for Paced<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let idle = Duration::from_millis(SIMULATE_IDLE_MS);
        for piece in octets.chunks(self.pace.split_bytes.unwrap_or(usize::MAX)) {
            write_all(self.wire, piece, idle)?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes and flushes; gives up once nothing was taken for so long.
fn write_all(wire: &mut Wire, mut octets: &[u8], stall: Duration) -> io::Result<()> {
    let mut moved = Instant::now();
    loop {
        let outcome = match octets.is_empty() {
            true => wire.flush().map(|()| 0),
            false => wire.write(octets),
        };
        match outcome {
            Ok(0) if octets.is_empty() => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                octets = octets.get(written..).unwrap_or_default();
                moved = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) && moved.elapsed() < stall => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// SUBSCRIBED in one chunk whose length is known before: written twice, once to be measured, so that
/// nobody holds a snapshot of 100 MB as one text.
fn write_subscribed(
    out: &mut impl Write,
    view: &View,
    heartbeat_seconds: Option<f64>,
) -> io::Result<()> {
    let mut measure = Measure(0);
    events::write_subscribed(&mut measure, view, heartbeat_seconds).map_err(io::Error::other)?;
    let begin = format!("{}\n", measure.0);
    write!(out, "{:x}\r\n{begin}", begin.len() + measure.0)?;
    let mut pieces = Pieces {
        text: String::with_capacity(2 * SIMULATE_PIECE_BYTES),
        out,
        error: None,
    };
    let written = events::write_subscribed(&mut pieces, view, heartbeat_seconds);
    if let Some(error) = pieces.error.take() {
        return Err(error);
    }
    written.map_err(io::Error::other)?;
    pieces.text.push_str("\r\n");
    let text = pieces.text;
    out.write_all(text.as_bytes())
}

/// Counts octets.
struct Measure(usize);

impl fmt::Write for Measure {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Text on its way to a connection.
struct Pieces<'a, W> {
    text: String,
    out: &'a mut W,
    error: Option<io::Error>,
}

impl<W: Write> fmt::Write for Pieces<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        if self.text.len() < SIMULATE_PIECE_BYTES {
            return Ok(());
        }
        let written = self.out.write_all(self.text.as_bytes());
        self.text.clear();
        written.map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}
