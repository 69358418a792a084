//! The UDP sockets by which one thread asks upstreams. In: queries to send. Out: replies, each with the
//! attempt that it is for. It must never open more sockets than its share, however much is asked.
//!
//! A socket is connected to one upstream, so that the kernel passes on what comes from there alone, and
//! has a port of the kernel's random choice; of several one is taken at random, and each is given up for
//! a new one after some queries. With the random ID that is what a forger has to guess (RFC 5452, 4.5).

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use super::numbers::Numbers;
use crate::limits::{
    UPSTREAM_PENDING_PER_SOCKET_MAX, UPSTREAM_REPLIES_PER_TURN_MAX, UPSTREAM_SOCKET_AGE_MAX,
    UPSTREAM_SOCKET_QUERIES_MAX, UPSTREAM_SOCKETS_MAX,
};

/// What a message that was sent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<T> {
    pub for_whom: T,
    pub upstream: usize,
    pub at: Instant,
}

pub struct Sockets<T> {
    /// By number.
    sockets: Vec<Option<Socket<T>>>,
    open_count: usize,
    /// Bound on `open_count`.
    open_max: usize,
    /// Tokens of sockets: their numbers and this.
    token_first: usize,
}

struct Socket<T> {
    socket: UdpSocket,
    upstream: usize,
    /// By ID.
    pending: HashMap<u16, Sent<T>>,
    /// The IDs of `pending`, and some that are gone, oldest first.
    order: VecDeque<(u16, Instant)>,
    queries: u32,
    opened: Instant,
}

/// What came of reading a socket.
pub enum Read<T> {
    /// A message in the buffer with the ID of an attempt, which is still pending.
    Reply {
        bytes: usize,
        sent: Sent<T>,
    },
    /// A message that nobody waits for.
    Stray,
    /// The upstream's host says that nobody listens there, or there is no way to it.
    Refused,
    Empty,
}

impl<T: Copy> Sockets<T> {
    pub fn new(token_first: usize, open_max: usize) -> Self {
        Self {
            sockets: Vec::new(),
            open_count: 0,
            open_max: open_max.max(1),
            token_first,
        }
    }

    /// The number of the socket that a token stands for.
    pub fn number_of(&self, token: Token) -> Option<usize> {
        let number = token.0.checked_sub(self.token_first)?;
        (number < self.sockets.len()).then_some(number)
    }

    /// Sends a message to an upstream, with an ID that is put into it and returned.
    pub fn send(
        &mut self,
        message: &mut [u8],
        sent: Sent<T>,
        address: SocketAddr,
        numbers: &mut Numbers,
        registry: &Registry,
    ) -> io::Result<()> {
        let number = self.pick(sent.upstream, address, sent.at, numbers, registry)?;
        let socket = self.socket(number).ok_or(io::ErrorKind::NotConnected)?;
        while socket.pending.len() >= UPSTREAM_PENDING_PER_SOCKET_MAX {
            // The oldest has been asked of others since.
            let Some((oldest, _)) = socket.order.pop_front() else {
                break;
            };
            socket.pending.remove(&oldest);
        }
        if socket.order.len() > 2 * UPSTREAM_PENDING_PER_SOCKET_MAX {
            let pending = &socket.pending;
            let waits = |(id, at): &(u16, Instant)| pending.get(id).is_some_and(|it| it.at == *at);
            socket.order.retain(waits);
        }
        let mut id = numbers.next_u16();
        while socket.pending.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        if let Some(place) = message.first_chunk_mut() {
            *place = id.to_be_bytes();
        }
        socket.queries += 1;
        let result = match socket.socket.send(message) {
            // An error of an earlier datagram is told once, and not by this one.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                socket.socket.send(message)
            }
            result => result,
        };
        result?;
        socket.pending.insert(id, sent);
        socket.order.push_back((id, sent.at));
        Ok(())
    }

    /// One of the upstream's sockets; a new one while it has few, or where the one that was drawn is used
    /// up.
    fn pick(
        &mut self,
        upstream: usize,
        address: SocketAddr,
        now: Instant,
        numbers: &mut Numbers,
        registry: &Registry,
    ) -> io::Result<usize> {
        let own = |socket: &Option<Socket<T>>| {
            socket
                .as_ref()
                .is_some_and(|socket| socket.upstream == upstream)
        };
        let count = self.sockets.iter().filter(|socket| own(socket)).count();
        let drawn = numbers.below(UPSTREAM_SOCKETS_MAX);
        let number = self
            .sockets
            .iter()
            .enumerate()
            .filter(|(_, socket)| own(socket))
            .map(|(number, _)| number)
            .nth(drawn.min(count.saturating_sub(1)));
        // While there are fewer than wanted, the missing ones are drawn as well.
        let Some(number) = number.filter(|_| drawn < count) else {
            return match (self.open(upstream, address, now, registry), number) {
                (Err(_), Some(number)) => Ok(number),
                (result, _) => result,
            };
        };
        let is_used_up = self.socket(number).is_some_and(|socket| {
            let is_old = socket.queries >= UPSTREAM_SOCKET_QUERIES_MAX
                || now.saturating_duration_since(socket.opened) > UPSTREAM_SOCKET_AGE_MAX;
            // Replies may be under way to it.
            is_old && socket.pending.is_empty()
        });
        if is_used_up {
            self.close(number);
            return self.open(upstream, address, now, registry);
        }
        Ok(number)
    }

    fn open(
        &mut self,
        upstream: usize,
        address: SocketAddr,
        now: Instant,
        registry: &Registry,
    ) -> io::Result<usize> {
        if self.open_count >= self.open_max {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let mut socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        let free = self.sockets.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        let token = Token(self.token_first + number);
        registry.register(&mut socket, token, Interest::READABLE)?;
        if let Some(place) = self.sockets.get_mut(number) {
            *place = Some(Socket {
                socket,
                upstream,
                pending: HashMap::new(),
                order: VecDeque::new(),
                queries: 0,
                opened: now,
            });
            self.open_count += 1;
        }
        Ok(number)
    }

    fn close(&mut self, number: usize) {
        if let Some(place) = self.sockets.get_mut(number)
            && place.take().is_some()
        {
            self.open_count -= 1;
        }
    }

    /// Reads one message of a socket. What is pending stays so until `settle`.
    pub fn read(&mut self, number: usize, buffer: &mut [u8]) -> Read<T> {
        let Some(socket) = self.socket(number) else {
            return Read::Empty;
        };
        match socket.socket.recv(buffer) {
            Ok(bytes) => {
                let id = buffer.first_chunk().map(|id| u16::from_be_bytes(*id));
                let sent = id.and_then(|id| socket.pending.get(&id));
                match sent {
                    Some(sent) => Read::Reply { bytes, sent: *sent },
                    None => Read::Stray,
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Read::Empty,
                io::ErrorKind::Interrupted => Read::Stray,
                _ => Read::Refused,
            },
        }
    }

    /// The message with this ID is answered.
    pub fn settle(&mut self, number: usize, id: u16) {
        if let Some(socket) = self.socket(number) {
            socket.pending.remove(&id);
            while let Some((oldest, at)) = socket.order.front()
                && socket.pending.get(oldest).is_none_or(|sent| sent.at != *at)
            {
                socket.order.pop_front();
            }
        }
    }

    /// Takes everything that is pending at a socket.
    pub fn take_pending(&mut self, number: usize) -> Vec<Sent<T>> {
        let Some(socket) = self.socket(number) else {
            return Vec::new();
        };
        socket.order.clear();
        socket.pending.drain().map(|(_, sent)| sent).collect()
    }

    /// Forgets what has been waited for too long to be worth a look.
    pub fn forget_before(&mut self, age_max: Duration, now: Instant) {
        for socket in self.sockets.iter_mut().flatten() {
            while let Some(&(oldest, at)) = socket.order.front()
                && now.saturating_duration_since(at) > age_max
            {
                socket.order.pop_front();
                if socket
                    .pending
                    .get(&oldest)
                    .is_some_and(|sent| sent.at == at)
                {
                    socket.pending.remove(&oldest);
                }
            }
        }
    }

    /// Closes those of upstreams that are not asked any more.
    pub fn keep(&mut self, is_asked: impl Fn(usize) -> bool) {
        for place in &mut self.sockets {
            if place.as_ref().is_some_and(|it| !is_asked(it.upstream)) {
                *place = None;
                self.open_count -= 1;
            }
        }
    }

    /// Whether any reply is waited for.
    pub fn has_pending(&self) -> bool {
        let mut sockets = self.sockets.iter().flatten();
        sockets.any(|socket| !socket.pending.is_empty())
    }

    /// Replies of an upstream that are waited for.
    pub fn pending_of(&self, upstream: usize) -> usize {
        let sockets = self.sockets.iter().flatten();
        let own = sockets.filter(|socket| socket.upstream == upstream);
        own.map(|socket| socket.pending.len()).sum()
    }

    fn socket(&mut self, number: usize) -> Option<&mut Socket<T>> {
        self.sockets.get_mut(number)?.as_mut()
    }
}

/// Messages that are read of one socket before others have their turn.
pub const REPLIES_PER_TURN_MAX: usize = UPSTREAM_REPLIES_PER_TURN_MAX;
