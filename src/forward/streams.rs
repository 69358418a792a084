//! The TCP connections by which one thread asks upstreams. In: queries to send, readiness. Out: replies,
//! each with the attempt that it is for. One connection for each upstream, opened when it is needed and
//! used by many queries at once (RFC 7766, 6.2.1.1); what it holds is bounded, and nothing here waits.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::numbers::Numbers;
use super::sockets::Sent;
use crate::dns::frames::{Frame, Frames, LENGTH_BYTES};
use crate::limits::{
    TCP_MESSAGE_BYTES_MAX, UPSTREAM_PENDING_PER_SOCKET_MAX, UPSTREAM_STREAM_IDLE_MAX,
};

/// Queries that wait to be written.
const OUTPUT_BYTES_MAX: usize = 4 * TCP_MESSAGE_BYTES_MAX;

pub struct Streams<T> {
    streams: Vec<Option<Stream<T>>>,
    /// Tokens of connections: their numbers and this.
    token_first: usize,
}

struct Stream<T> {
    stream: TcpStream,
    upstream: usize,
    /// Written to only once the connection stands.
    writable: bool,
    readable: bool,
    output: Vec<u8>,
    input: Frames,
    pending: HashMap<u16, Sent<T>>,
    used_at: Instant,
}

/// A message, with the attempt that it has the ID of.
type Message<T> = (Vec<u8>, Option<Sent<T>>);

/// What came of a connection's turn.
pub enum Turned<T> {
    /// The next message, with the attempt that it is for.
    Reply { message: Vec<u8>, sent: Sent<T> },
    /// It is gone, and with it what was pending.
    Closed(Vec<Sent<T>>),
    /// There is no more to do.
    Waits,
}

impl<T: Copy> Streams<T> {
    pub fn new(token_first: usize) -> Self {
        Self {
            streams: Vec::new(),
            token_first,
        }
    }

    pub fn number_of(&self, token: Token) -> Option<usize> {
        let number = token.0.checked_sub(self.token_first)?;
        (number < self.streams.len()).then_some(number)
    }

    /// Queues a message for an upstream, with an ID of its own; the number of the connection, which wants
    /// a turn.
    pub fn send(
        &mut self,
        message: &[u8],
        sent: Sent<T>,
        address: SocketAddr,
        numbers: &mut Numbers,
        registry: &Registry,
    ) -> io::Result<usize> {
        let number = match self.position(sent.upstream) {
            Some(number) => number,
            None => self.open(sent.upstream, address, sent.at, registry)?,
        };
        let stream = self.stream(number).ok_or(io::ErrorKind::NotConnected)?;
        let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        if stream.pending.len() >= UPSTREAM_PENDING_PER_SOCKET_MAX
            || stream.output.len() + LENGTH_BYTES + message.len() > OUTPUT_BYTES_MAX
        {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let mut id = numbers.next_u16();
        while stream.pending.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        stream.output.extend(length.to_be_bytes());
        stream.output.extend(id.to_be_bytes());
        stream.output.extend(message.get(2..).unwrap_or_default());
        stream.pending.insert(id, sent);
        stream.used_at = sent.at;
        Ok(number)
    }

    fn position(&self, upstream: usize) -> Option<usize> {
        let mut streams = self.streams.iter();
        streams.position(|stream| stream.as_ref().is_some_and(|it| it.upstream == upstream))
    }

    fn open(
        &mut self,
        upstream: usize,
        address: SocketAddr,
        now: Instant,
        registry: &Registry,
    ) -> io::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        // Queries are small and each is written whole: none shall wait for another's acknowledgement.
        let _ = stream.set_nodelay(true);
        let free = self.streams.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        let token = Token(self.token_first + number);
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, token, interest)?;
        if let Some(place) = self.streams.get_mut(number) {
            *place = Some(Stream {
                stream,
                upstream,
                writable: false,
                readable: false,
                output: Vec::new(),
                input: Frames::default(),
                pending: HashMap::new(),
                used_at: now,
            });
        }
        Ok(number)
    }

    pub fn note(&mut self, number: usize, event: &Event) {
        if let Some(stream) = self.stream(number) {
            // Errors and hang-ups come out of the next read or write.
            let is_over = event.is_error() || event.is_read_closed();
            stream.readable |= event.is_readable() || is_over;
            stream.writable |= event.is_writable() || event.is_error();
        }
    }

    /// Writes and reads as far as the connection goes, up to the next message.
    pub fn turn(&mut self, number: usize) -> Turned<T> {
        let Some(stream) = self.stream(number) else {
            return Turned::Waits;
        };
        loop {
            if stream.flush().is_err() {
                return self.close(number);
            }
            match stream.next_message() {
                Ok(Some((message, Some(sent)))) => return Turned::Reply { message, sent },
                // A message that nobody waits for.
                Ok(Some((_, None))) => continue,
                Err(_) => return self.close(number),
                Ok(None) => {}
            }
            if !stream.readable {
                return Turned::Waits;
            }
            if stream.fill().is_err() {
                return self.close(number);
            }
        }
    }

    /// The message of this ID is answered.
    pub fn settle(&mut self, number: usize, id: u16) {
        if let Some(stream) = self.stream(number) {
            stream.pending.remove(&id);
        }
    }

    fn close(&mut self, number: usize) -> Turned<T> {
        let closed = self.streams.get_mut(number).and_then(Option::take);
        let pending = closed.map(|stream| stream.pending.into_values().collect());
        Turned::Closed(pending.unwrap_or_default())
    }

    /// Closes those that idle, and those that owe a reply for too long: what comes late is of no use, and
    /// the next query is better off with a new connection.
    pub fn close_idle(&mut self, reply_max: Duration, now: Instant) {
        for place in &mut self.streams {
            let Some(stream) = place else { continue };
            let owes_since = stream.pending.values().map(|sent| sent.at).min();
            let is_over = match owes_since {
                Some(since) => now.saturating_duration_since(since) > reply_max,
                None => now.saturating_duration_since(stream.used_at) > UPSTREAM_STREAM_IDLE_MAX,
            };
            if is_over {
                *place = None;
            }
        }
    }

    /// Closes those of upstreams that are not asked any more.
    pub fn keep(&mut self, is_asked: impl Fn(usize) -> bool) {
        for place in &mut self.streams {
            if place.as_ref().is_some_and(|it| !is_asked(it.upstream)) {
                *place = None;
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.streams.iter().all(Option::is_none)
    }

    /// Replies of an upstream that are waited for.
    pub fn pending_of(&self, upstream: usize) -> usize {
        let streams = self.streams.iter().flatten();
        let own = streams.filter(|stream| stream.upstream == upstream);
        own.map(|stream| stream.pending.len()).sum()
    }

    fn stream(&mut self, number: usize) -> Option<&mut Stream<T>> {
        self.streams.get_mut(number)?.as_mut()
    }
}

impl<T: Copy> Stream<T> {
    fn flush(&mut self) -> io::Result<()> {
        while self.writable && !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => drop(self.output.drain(..bytes.min(self.output.len()))),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.writable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Takes the first whole message out of what was read. An error: it is none.
    fn next_message(&mut self) -> io::Result<Option<Message<T>>> {
        let bytes = match self.input.frame() {
            Frame::Incomplete => return Ok(None),
            Frame::Bad => return Err(io::ErrorKind::InvalidData.into()),
            Frame::Message(bytes) => bytes,
        };
        let message = self.input.message(bytes).to_vec();
        self.input.consume(bytes);
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let sent = id.and_then(|id| self.pending.get(&id)).copied();
        Ok(Some((message, sent)))
    }

    /// Reads once. Called only while the first message is incomplete: what is kept has the length of one.
    fn fill(&mut self) -> io::Result<()> {
        match self.input.fill(&mut self.stream) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Ok(())
                }
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            },
        }
    }
}
