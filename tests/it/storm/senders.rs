//! Threads that throw messages at a server, over UDP from several sockets and over TCP. In: a share of the
//! storm and a seed. Out: what was sent and what came back. Behind each few datagrams goes an honest query,
//! whose answer is waited for and must be right: so that no more is under way than the sockets hold.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};

use super::mutators::Mutator;
use crate::support::DEADLINE;
use crate::support::client::framed;

/// A query, and what its answer must say: RCODE and the data of its answers.
pub struct Honest {
    pub query: Vec<u8>,
    pub rcode: ResponseCode,
    pub data: Vec<String>,
}

/// What was sent and what came back.
#[derive(Debug, Default)]
pub struct Tally {
    pub sent: u64,
    pub honest: u64,
    /// Honest ones that were asked again.
    pub asked_again: u64,
    pub answers: u64,
    pub decoded: u64,
    pub by_rcode: BTreeMap<u8, u64>,
    pub connections: u64,
    /// Connections that the server closed at once at what it got.
    pub closed: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.honest += other.honest;
        self.asked_again += other.asked_again;
        self.answers += other.answers;
        self.decoded += other.decoded;
        self.connections += other.connections;
        self.closed += other.closed;
        for (rcode, count) in other.by_rcode {
            *self.by_rcode.entry(rcode).or_default() += count;
        }
    }

    /// One of many answers is decoded with somebody else's code; all have the head of one.
    fn take(&mut self, answer: &[u8]) {
        assert!(answer.len() >= 12 && answer[2] & 0x80 != 0, "{answer:02x?}");
        *self.by_rcode.entry(answer[3] & 15).or_default() += 1;
        if self.answers.is_multiple_of(DECODED_OF) {
            if let Err(error) = Message::from_vec(answer) {
                panic!("an answer that does not decode, {error}: {answer:02x?}");
            }
            self.decoded += 1;
        }
        self.answers += 1;
    }
}

/// Sends so many datagrams; `progress` counts those of all threads.
pub fn over_udp(
    server: SocketAddr,
    count: u64,
    seed: u64,
    honest: &[Honest],
    progress: &AtomicU64,
) -> Tally {
    let mut mutator = Mutator::new(seed);
    let mut tally = Tally::default();
    let mut lanes: Vec<Lane> = (0..LANES).map(|_| Lane::new(server)).collect();
    let mut message = Vec::new();
    while tally.sent < count {
        for lane in &mut lanes {
            for _ in 0..BATCH {
                mutator.next(&mut message);
                lane.send(&message);
            }
            tally.sent += BATCH;
            progress.fetch_add(BATCH, Ordering::Relaxed);
            lane.ask(&honest[tally.honest as usize % honest.len()]);
            tally.honest += 1;
        }
        for (index, lane) in lanes.iter_mut().enumerate() {
            let first = tally.honest as usize - LANES;
            lane.hear(&honest[(first + index) % honest.len()], &mut tally);
        }
    }
    tally
}

/// One socket, and the ID of its last honest query.
struct Lane {
    socket: UdpSocket,
    id: u16,
}

impl Lane {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(server).expect("loopback has a route");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, id: HONEST }
    }

    fn send(&self, message: &[u8]) {
        while let Err(error) = self.socket.send(message) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        }
    }

    fn ask(&mut self, honest: &Honest) {
        self.id = HONEST | self.id.wrapping_add(1);
        let mut query = honest.query.clone();
        query[..2].copy_from_slice(&self.id.to_be_bytes());
        self.send(&query);
    }

    /// Takes all answers until that of the honest query, which must be right.
    fn hear(&mut self, honest: &Honest, tally: &mut Tally) {
        let end = Instant::now() + DEADLINE;
        let mut buffer = [0; 65_535];
        loop {
            let Ok(bytes) = self.socket.recv(&mut buffer) else {
                assert!(Instant::now() < end, "no answer to an honest query");
                tally.asked_again += 1;
                self.ask(honest);
                continue;
            };
            let answer = &buffer[..bytes];
            tally.take(answer);
            if answer[..2] == self.id.to_be_bytes() {
                return check(answer, honest);
            }
        }
    }
}

fn check(answer: &[u8], honest: &Honest) {
    let message = Message::from_vec(answer).expect("an honest answer decodes");
    let records = message.answers.iter();
    let mut data: Vec<String> = records.map(|record| record.data.to_string()).collect();
    data.sort();
    let found = (message.metadata.response_code, data);
    assert_eq!(found, (honest.rcode, honest.data.clone()));
}

/// Sends so many messages over TCP, a few on each connection: framed as they should be and with an honest
/// query behind them, with lengths that lie, and as a stream without sense.
pub fn over_tcp(server: SocketAddr, count: u64, seed: u64, honest: &Honest) -> Tally {
    let mut mutator = Mutator::new(seed);
    let mut random = fastrand::Rng::with_seed(!seed);
    let mut tally = Tally::default();
    let mut message = Vec::new();
    while tally.sent < count {
        tally.connections += 1;
        let mut octets = Vec::new();
        let is_sound = random.bool();
        for _ in 0..random.u8(1..30) {
            mutator.next(&mut message);
            tally.sent += 1;
            match random.u8(..4) {
                0 if !is_sound => octets.extend(&message),
                1 if !is_sound => {
                    octets.extend(random.u16(..).to_be_bytes());
                    octets.extend(&message);
                }
                _ => octets.extend(framed(&message)),
            }
        }
        if is_sound {
            let mut query = honest.query.clone();
            query[..2].copy_from_slice(&HONEST.to_be_bytes());
            octets.extend(framed(&query));
            tally.honest += 1;
        }
        let stream = TcpStream::connect(server).expect("a connection");
        let heard = converse(&stream, &octets, &mut random, &mut tally);
        match heard {
            Some(answer) if is_sound => check(&answer, honest),
            _ => tally.closed += u64::from(is_sound),
        }
    }
    tally
}

/// Writes it in pieces and reads what comes until the end, or for no reason no longer. Gives the answer to
/// an honest query.
fn converse(
    mut stream: &TcpStream,
    octets: &[u8],
    random: &mut fastrand::Rng,
    tally: &mut Tally,
) -> Option<Vec<u8>> {
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let middle = random.usize(..=octets.len());
    for piece in [&octets[..middle], &octets[middle..]] {
        // Closed already, at what the first piece said.
        stream.write_all(piece).ok()?;
    }
    // Some leave without a word, with answers under way.
    if random.u8(..8) == 0 {
        tally.closed += 1;
        return None;
    }
    stream.shutdown(Shutdown::Write).ok()?;
    let mut found = None;
    loop {
        let mut length = [0; 2];
        let Ok(()) = stream.read_exact(&mut length) else {
            return found;
        };
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).ok()?;
        tally.take(&answer);
        if answer[..2] == HONEST.to_be_bytes() {
            found = Some(answer);
        }
    }
}

/// Honest queries have IDs with the first bit set.
const HONEST: u16 = 0x8000;
/// Sockets of a thread, and datagrams on each before it is waited for. Eight times as many queries fit
/// into the buffer that a kernel gives to a server that may ask for no more.
const LANES: usize = 4;
const BATCH: u64 = 24;
/// After so long an honest query is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
const DECODED_OF: u64 = 16;
