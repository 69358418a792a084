//! One TCP connection. In: octets, cut anywhere. Out: an answer for each whole message, in order
//! (RFC 7766, 8). Its buffers have bounds, and what the client does not read stops its own turn only;
//! octets that come or go one by one keep it open no longer than silence does.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::answering::Answering;
use super::{Client, Outcome, Respond, Transport};
use crate::dns::frames::{Frame, Frames, LENGTH_BYTES};
use crate::forward::{self, Way};
use crate::limits::{
    FORWARD_PER_CONNECTION_MAX, TCP_MESSAGE_BYTES_MAX, TCP_OUTPUT_KEPT_BYTES_MAX,
    TCP_PENDING_BYTES_MAX, TCP_WRITE_BYTES_MIN,
};
use crate::stats::CloseReason;
use crate::stats::query_log::Asked;

/// A client's connection and what is pending on it.
pub struct Connection {
    pub stream: TcpStream,
    pub client: Client,
    /// When it last completed a query, or took all of its answers or a good part of them. Octets that
    /// complete nothing do not count: dripping them, either way, keeps no connection open.
    pub progress_at: Instant,
    /// When the last octets came: a message that waits in `input` waits since then.
    read_at: Instant,
    /// There was no room for answers, because the client reads none: what waits does so for its sake.
    was_full: bool,
    pub readable: bool,
    pub writable: bool,
    /// Its place, and a number that no other connection of it has: where later answers go.
    pub number: usize,
    pub serial: u64,
    /// A whole query has come.
    pub was_asked: bool,
    /// No query is read of it any more from here on.
    ends_at: Instant,
    /// Octets of answers taken since `progress_at`.
    taken: usize,
    /// Queries whose answers come later.
    forwarded: usize,
    input: Frames,
    output: Vec<u8>,
    /// No more messages are taken; it closes when its answers are sent.
    ending: Option<CloseReason>,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to do until the socket is ready again.
    Wait,
    /// Its share was used up; more is there.
    Again,
    Close(CloseReason),
}

impl Connection {
    pub fn new(stream: TcpStream, peer: IpAddr, now: Instant, lifetime: Duration) -> Self {
        let client = Client {
            transport: Transport::Tcp,
            address: peer.to_canonical(),
        };
        Self {
            stream,
            client,
            progress_at: now,
            read_at: now,
            was_full: false,
            // Nothing is known yet, and trying costs one call.
            readable: true,
            writable: true,
            number: 0,
            serial: 0,
            was_asked: false,
            ends_at: now + lifetime,
            taken: 0,
            forwarded: 0,
            input: Frames::default(),
            output: Vec::new(),
            ending: None,
        }
    }

    /// Reads, answers and writes as far as the socket and `queries_left` go.
    pub fn turn<R: Respond>(
        &mut self,
        answering: &mut Answering<'_, '_, R>,
        response: &mut [u8],
        queries_left: &mut usize,
        now: Instant,
    ) -> Turn {
        if std::mem::take(&mut self.was_full) {
            self.read_at = now;
        }
        loop {
            self.answer_messages(answering, response, queries_left, now);
            if self.flush(now).is_err() {
                return Turn::Close(CloseReason::Error);
            }
            let message_waits = !matches!(self.input.frame(), Frame::Incomplete);
            match self.ending {
                Some(reason) if !message_waits || reason == CloseReason::BadMessage => {
                    if self.output.is_empty() && self.forwarded == 0 {
                        return Turn::Close(reason);
                    }
                    return Turn::Wait;
                }
                _ => {}
            }
            if !self.has_room() {
                // The client does not read: no more is read from it (RFC 7766, 6.2.1.1 asks to
                // accept pipelines, not to store them without bound).
                self.was_full = true;
                return Turn::Wait;
            }
            if message_waits {
                if *queries_left == 0 {
                    return Turn::Again;
                }
                continue;
            }
            if !self.readable {
                // Nothing is there to be lost: closing with octets unread would cost it answers that are
                // on their way.
                if now >= self.ends_at && self.ending.is_none() {
                    self.ending = Some(CloseReason::Lifetime);
                    continue;
                }
                return Turn::Wait;
            }
            match self.input.fill(&mut self.stream) {
                // Half-closed: what was asked is answered first (RFC 7766, 6.2.4).
                Ok(0) => self.ending = Some(CloseReason::Finished),
                Ok(_) => self.read_at = Instant::now(),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return Turn::Close(CloseReason::Error),
                },
            }
        }
    }

    /// Answers whole messages of the input while there is room for the largest answer.
    fn answer_messages<R: Respond>(
        &mut self,
        answering: &mut Answering<'_, '_, R>,
        response: &mut [u8],
        queries_left: &mut usize,
        now: Instant,
    ) {
        let mut answers = 0;
        while *queries_left > 0 && self.has_room() && self.ending != Some(CloseReason::BadMessage) {
            let bytes = match self.input.frame() {
                Frame::Incomplete => break,
                Frame::Message(bytes) => bytes,
                Frame::Bad => {
                    self.ending = Some(CloseReason::BadMessage);
                    break;
                }
            };
            *queries_left -= 1;
            self.was_asked = true;
            answering.stats.queries_tcp.add(1);
            let query = self.input.message(bytes);
            let answer = match answering.answer(query, self.client, response) {
                Outcome::Answer(bytes) => Some(bytes),
                Outcome::Drop => None,
                outcome => {
                    let way = Way::Tcp {
                        connection: self.number,
                        serial: self.serial,
                        cookie: answering.cookie(),
                    };
                    match answering.forward(outcome, query, (way, self.client.address), response) {
                        forward::Asked::Answered { bytes, .. } => Some(bytes),
                        forward::Asked::Dropped => None,
                        forward::Asked::Waits => {
                            self.forwarded += 1;
                            self.progress_at = now;
                            None
                        }
                    }
                }
            };
            let answer = answer.and_then(|bytes| response.get(..bytes));
            self.input.consume(bytes);
            if let Some(answer) = answer {
                self.progress_at = now;
                if answering.tap.is_on() {
                    answering.tap.note(answer, || Asked {
                        client: self.client.address,
                        transport: Transport::Tcp,
                        waited: false,
                    });
                }
                push_answer(&mut self.output, answer);
                answers += 1;
            }
        }
        if answers > 0 {
            let took = self.read_at.elapsed();
            let stats = answering.stats;
            stats.note_latency(Transport::Tcp, took, answers);
        }
    }

    /// Takes an answer that was waited for, in whatever order (RFC 7766, 6.2.1.1). False: the client does
    /// not read, and what it leaves has no room any more.
    pub fn deliver(&mut self, answer: &[u8]) -> bool {
        self.forwarded = self.forwarded.saturating_sub(1);
        let fits = self.output.len() + LENGTH_BYTES + answer.len() <= TCP_PENDING_BYTES_MAX;
        if fits {
            push_answer(&mut self.output, answer);
        }
        fits
    }

    /// Whether the largest answer fits what may be pending, and another query what may be forwarded.
    fn has_room(&self) -> bool {
        self.forwarded < FORWARD_PER_CONNECTION_MAX
            && self.output.len() + LENGTH_BYTES + TCP_MESSAGE_BYTES_MAX <= TCP_PENDING_BYTES_MAX
    }

    /// Writes pending answers as far as the socket takes them.
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        let mut written = 0;
        while self.writable {
            let pending = self.output.get(written..).unwrap_or_default();
            if pending.is_empty() {
                break;
            }
            match self.stream.write(pending) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.writable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        if written > 0 {
            self.output.drain(..written.min(self.output.len()));
            self.taken += written;
            if self.output.is_empty() || self.taken >= TCP_WRITE_BYTES_MIN {
                (self.progress_at, self.taken) = (now, 0);
            }
        }
        if self.output.is_empty() && self.output.capacity() > TCP_OUTPUT_KEPT_BYTES_MAX {
            self.output = Vec::new();
        }
        Ok(())
    }
}

/// Appends an answer and its length. The buffer doubles, but never past its bound.
fn push_answer(output: &mut Vec<u8>, answer: &[u8]) {
    let Ok(length) = u16::try_from(answer.len()) else {
        return;
    };
    let needed = output.len() + LENGTH_BYTES + answer.len();
    if needed > output.capacity() {
        let capacity = (2 * output.capacity())
            .min(TCP_PENDING_BYTES_MAX)
            .max(needed);
        output.reserve_exact(capacity - output.len());
    }
    output.extend_from_slice(&length.to_be_bytes());
    output.extend_from_slice(answer);
}
