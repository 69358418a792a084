//! Many questions at once, from one thread over several sockets of UDP: a bounded number of them under
//! way, each answer matched with its question by the ID. It counts what came back, and how late.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::client::{A, query};

/// Sent in one go at most, so that no buffer of a busy machine overflows.
const BURST: usize = 16;
/// What comes later than this does not come.
const LOST_AFTER: Duration = Duration::from_secs(20);

pub struct Crowd {
    sockets: Vec<UdpSocket>,
    /// Questions under way at most.
    pub window: usize,
    /// Asks again where nothing came for so long, as stub resolvers do.
    pub repeat_after: Option<Duration>,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers by RCODE.
    pub rcodes: HashMap<u8, usize>,
    pub unanswered: usize,
    pub longest: Duration,
    pub time: Duration,
}

struct Waiting {
    since: Instant,
    sent: Instant,
}

impl Crowd {
    pub fn new(server: SocketAddr, sockets: usize, window: usize) -> Self {
        let open = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
            socket.connect(server).expect("loopback has a route");
            socket.set_nonblocking(true).expect("a socket");
            socket
        };
        Self {
            sockets: (0..sockets).map(open).collect(),
            window,
            repeat_after: None,
        }
    }

    /// Asks for the addresses of so many names, until each is answered or lost.
    pub fn ask(&self, count: u16, name: impl Fn(u16) -> String) -> Tally {
        let (begin, mut tally) = (Instant::now(), Tally::default());
        let (mut next, mut waiting) = (0, HashMap::new());
        let send = |number: u16| {
            let mut message = query(&name(number), A);
            message[..2].copy_from_slice(&number.to_be_bytes());
            let socket = &self.sockets[usize::from(number) % self.sockets.len()];
            // Where it fails the question counts as lost, or is asked again.
            let _ = socket.send(&message);
        };
        while next < count || !waiting.is_empty() {
            for _ in 0..BURST {
                if next == count || waiting.len() >= self.window {
                    break;
                }
                send(next);
                let sent = Instant::now();
                waiting.insert(next, Waiting { since: sent, sent });
                next += 1;
            }
            if !self.receive(&mut waiting, &mut tally) {
                std::thread::sleep(Duration::from_millis(1));
            }
            for (number, one) in &mut waiting {
                if self
                    .repeat_after
                    .is_some_and(|wait| one.sent.elapsed() > wait)
                {
                    send(*number);
                    one.sent = Instant::now();
                }
            }
            let before = waiting.len();
            waiting.retain(|_, one| one.since.elapsed() < LOST_AFTER);
            tally.unanswered += before - waiting.len();
        }
        tally.time = begin.elapsed();
        tally
    }

    /// Takes all that is there. False: nothing is.
    fn receive(&self, waiting: &mut HashMap<u16, Waiting>, tally: &mut Tally) -> bool {
        let (mut answer, mut any) = ([0; 4096], false);
        for socket in &self.sockets {
            while let Ok(bytes) = socket.recv(&mut answer) {
                any = true;
                assert!(bytes >= 12, "a header");
                let id = u16::from_be_bytes([answer[0], answer[1]]);
                // A second answer, where the question was asked twice.
                let Some(one) = waiting.remove(&id) else {
                    assert!(self.repeat_after.is_some(), "{id} is answered twice");
                    continue;
                };
                *tally.rcodes.entry(answer[3] & 15).or_default() += 1;
                tally.longest = tally.longest.max(one.since.elapsed());
            }
        }
        any
    }
}
