//! Resolvers of the bench's. In: queries over UDP. Out: for every name one address, which is a function of
//! the name, after a delay; or nothing, while it is told to be silent. Each has two threads, so that a
//! query that waits for its time holds up no other.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Its threads end with it.
pub struct Upstream {
    pub address: SocketAddr,
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    asked: AtomicU64,
    is_silent: AtomicBool,
    has_ended: AtomicBool,
}

/// A reply, when it leaves, and for whom.
type Due = (Instant, Vec<u8>, SocketAddr);

impl Upstream {
    pub fn start(delay: Duration) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let tick = Some(Duration::from_millis(50));
        socket.set_read_timeout(tick).expect("a timeout");
        let address = socket.local_addr().expect("an address");
        let replies = socket.try_clone().expect("a socket");
        let state = Arc::new(State::default());
        let (sender, receiver) = channel();
        let seen = Arc::clone(&state);
        let threads = vec![
            thread::spawn(move || read(&socket, &seen, delay, &sender)),
            thread::spawn(move || send(&replies, &receiver)),
        ];
        Self {
            address,
            state,
            threads,
        }
    }

    /// Queries that came, answered or not.
    pub fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::Relaxed)
    }

    /// As one that is dead, with its replies under way.
    pub fn fall_silent(&self) {
        self.state.is_silent.store(true, Ordering::Relaxed);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn read(socket: &UdpSocket, state: &State, delay: Duration, sender: &Sender<Due>) {
    let mut query = [0; 4_096];
    while !state.has_ended.load(Ordering::Relaxed) {
        let Ok((bytes, from)) = socket.recv_from(&mut query) else {
            continue;
        };
        state.asked.fetch_add(1, Ordering::Relaxed);
        if state.is_silent.load(Ordering::Relaxed) {
            continue;
        }
        let Some(reply) = reply(&query[..bytes]) else {
            continue;
        };
        if delay.is_zero() {
            // Who left needs no reply.
            let _ = socket.send_to(&reply, from);
        } else if sender.send((Instant::now() + delay, reply, from)).is_err() {
            return;
        }
    }
}

/// In the order in which they came: the delay is the same for all.
fn send(socket: &UdpSocket, receiver: &Receiver<Due>) {
    // Sleeps of this thread end on time, and not when it suits others.
    let _ = fs::write("/proc/thread-self/timerslack_ns", "1");
    while let Ok((due, reply, to)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let _ = socket.send_to(&reply, to);
    }
}

/// One address for every name; nothing of another type.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let (name, rest) = question(query)?;
    let end = query.len() - rest.len() + 4;
    let is_address = rest.get(..4)? == [0, 1, 0, 1];
    let mut reply = query[..end].to_vec();
    // QR and RD as asked; RA.
    (reply[2], reply[3]) = (0x80 | query[2] & 1, 0x80);
    reply[4..12].copy_from_slice(&[0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    if is_address {
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(TTL_SECONDS.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(address_of(name).octets());
    }
    Some(reply)
}

/// The name of a message's question, and what stands behind it.
fn question(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 12;
    loop {
        match usize::from(*message.get(end)?) {
            0 => break,
            bytes => end += 1 + bytes,
        }
    }
    Some((message.get(12..=end)?, message.get(end + 1..)?))
}

/// The address of a name on the wire, in whatever case.
pub fn address_of(name: &[u8]) -> Ipv4Addr {
    let mix = |hash: u64, octet: &u8| {
        (hash ^ u64::from(octet.to_ascii_lowercase())).wrapping_mul(0x100_0000_01b3)
    };
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    let [a, b, c, ..] = hash.to_be_bytes();
    Ipv4Addr::new(10, a, b, c)
}

/// Whether an answer to a query has the one address of its name.
pub fn is_right(query: &[u8], answer: &[u8]) -> bool {
    let Some((name, rest)) = question(query) else {
        return false;
    };
    let end = query.len() - rest.len() + 4;
    let record = answer.get(end..end + 16).unwrap_or_default();
    answer.get(..2) == query.get(..2)
        && answer.get(12..end) == query.get(12..end)
        && answer[2] & 0x82 == 0x80
        && answer[3] & 15 == 0
        && answer[4..8] == [0, 1, 0, 1]
        && record.ends_with(&address_of(name).octets())
}

/// A day: no answer expires, nor is asked for ahead, while it is measured.
const TTL_SECONDS: u32 = 86_400;
