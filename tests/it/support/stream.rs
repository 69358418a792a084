//! Questions without end: 10,000 a second over UDP from several sockets, and some over TCP, each counted
//! until its answer is there. It ends when told, and says what was lost.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::DEADLINE;
use super::client::{A, framed, query};

const SOCKETS: usize = 8;
/// Each socket's IDs go round: no more may be on their way than there are.
const IDS: usize = 1 << 16;
const PER_MILLISECOND: usize = 10;
const CLIENT_BUFFER_BYTES: usize = 16 << 20;

/// What became of the questions.
#[derive(Debug)]
pub struct Tally {
    pub udp_asked: usize,
    pub udp_lost: usize,
    pub tcp_asked: usize,
    pub tcp_lost: usize,
    /// Answers that were not the one that was expected, or came twice.
    pub wrong: usize,
}

pub struct Asking {
    shared: Arc<Shared>,
    hearing: Vec<JoinHandle<()>>,
    asking: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Shared {
    ending: AtomicBool,
    over: AtomicBool,
    udp_asked: AtomicUsize,
    udp_answered: AtomicUsize,
    tcp_asked: AtomicUsize,
    tcp_lost: AtomicUsize,
    wrong: AtomicUsize,
}

/// Asks a server for the address of a name.
pub fn ask(server: SocketAddr, name: &'static str, expected: Ipv4Addr) -> Asking {
    let shared = Arc::new(Shared::default());
    let sockets: Vec<_> = (0..SOCKETS).map(|_| client(server)).collect();
    let waiting: Arc<[AtomicBool]> = (0..SOCKETS * IDS).map(|_| AtomicBool::default()).collect();
    let mut hearing = Vec::new();
    for (number, socket) in sockets.iter().enumerate() {
        let socket = socket.try_clone().expect("a second handle");
        let (shared, waiting) = (Arc::clone(&shared), Arc::clone(&waiting));
        let end = expected.octets();
        hearing.push(thread::spawn(move || {
            hear(&socket, &waiting[number * IDS..][..IDS], end, &shared);
        }));
    }
    let over_udp = thread::spawn({
        let shared = Arc::clone(&shared);
        move || send(&sockets, &waiting, &query(name, A), &shared)
    });
    let over_tcp = thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            while !shared.ending.load(Ordering::SeqCst) {
                shared.tcp_asked.fetch_add(1, Ordering::SeqCst);
                if ask_over_tcp(server, &query(name, A), expected.octets()).is_none() {
                    shared.tcp_lost.fetch_add(1, Ordering::SeqCst);
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
    });
    Asking {
        shared,
        hearing,
        asking: [over_udp, over_tcp],
    }
}

impl Asking {
    /// How many so far, over UDP and over TCP.
    pub fn asked(&self) -> (usize, usize) {
        let count = |it: &AtomicUsize| it.load(Ordering::SeqCst);
        (count(&self.shared.udp_asked), count(&self.shared.tcp_asked))
    }

    /// Asks nothing more, waits for what is on its way, and counts.
    pub fn end(self) -> Tally {
        let shared = &self.shared;
        let count = |it: &AtomicUsize| it.load(Ordering::SeqCst);
        shared.ending.store(true, Ordering::SeqCst);
        // What is asked last is heard as well.
        for thread in self.asking {
            thread.join().expect("no panic");
        }
        // Only what is lost is waited for in vain.
        let end = Instant::now() + DEADLINE;
        while count(&shared.udp_answered) < count(&shared.udp_asked) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        shared.over.store(true, Ordering::SeqCst);
        for thread in self.hearing {
            thread.join().expect("no panic");
        }
        Tally {
            udp_asked: count(&shared.udp_asked),
            udp_lost: count(&shared.udp_asked) - count(&shared.udp_answered),
            tcp_asked: count(&shared.tcp_asked),
            tcp_lost: count(&shared.tcp_lost),
            wrong: count(&shared.wrong),
        }
    }
}

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("loopback has a route");
    let patience = Duration::from_millis(50);
    socket.set_read_timeout(Some(patience)).expect("a timeout");
    // Answers to all that waited come at once. Without privilege it stays as it is.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &CLIENT_BUFFER_BYTES);
    socket
}

fn send(sockets: &[UdpSocket], waiting: &[AtomicBool], query: &[u8], shared: &Shared) {
    let (begin, mut sent) = (Instant::now(), 0);
    let mut query = query.to_vec();
    while !shared.ending.load(Ordering::SeqCst) {
        let due = begin.elapsed().as_millis() as usize * PER_MILLISECOND;
        // A machine that was busy elsewhere catches up, but not with a burst that no buffer holds.
        let due = due.min(sent + 100 * PER_MILLISECOND);
        while sent < due {
            let (socket, id) = (sent % SOCKETS, sent / SOCKETS % IDS);
            query[..2].copy_from_slice(&(id as u16).to_be_bytes());
            waiting[socket * IDS + id].store(true, Ordering::SeqCst);
            shared.udp_asked.fetch_add(1, Ordering::SeqCst);
            // Refused, where nobody has the port open: lost.
            let _ = sockets[socket].send(&query);
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn hear(socket: &UdpSocket, waiting: &[AtomicBool], end: [u8; 4], shared: &Shared) {
    let mut octets = [0; 512];
    while !shared.over.load(Ordering::SeqCst) {
        let Ok(length) = socket.recv(&mut octets) else {
            continue;
        };
        let answer = &octets[..length];
        let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
        let was_waiting = waiting[id].swap(false, Ordering::SeqCst);
        if was_waiting && is_answer(answer, end) {
            shared.udp_answered.fetch_add(1, Ordering::SeqCst);
        } else {
            shared.wrong.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// NOERROR, and one record, the address.
fn is_answer(answer: &[u8], end: [u8; 4]) -> bool {
    answer[3] & 15 == 0 && answer[7] == 1 && answer.ends_with(&end)
}

fn ask_over_tcp(server: SocketAddr, query: &[u8], end: [u8; 4]) -> Option<()> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(&framed(query)).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).ok()?;
    is_answer(&answer, end).then_some(())
}
