//! Queries at a steady rate, whatever comes back: nine in ten for names of the cluster, one for names outside,
//! of which one in ten was never asked before. In: a rate, which may be changed. Out: times of answers since
//! they were asked for last, each from when its query was meant to be sent.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use hdrhistogram::Histogram;

use crate::wire::query;

pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    begin: Instant,
    ends: AtomicBool,
    /// Queries a second.
    rate: AtomicU64,
    sent: AtomicU64,
    late: AtomicU64,
    lanes: Vec<Lane>,
}

/// A socket, and what is known of its queries.
struct Lane {
    socket: UdpSocket,
    /// When each was meant to be sent, in microseconds and doubled; odd: for a name outside.
    meant: Vec<AtomicU64>,
    seen: Mutex<Seen>,
}

/// What came back; times are in microseconds.
pub struct Seen {
    pub inside: Histogram<u64>,
    pub outside: Histogram<u64>,
    /// Answers that were not NOERROR.
    pub bad: u64,
    pub sent: u64,
    /// Sent over a millisecond after they were meant to be: the machine had other work.
    pub late: u64,
}

impl Seen {
    pub fn new() -> Self {
        let empty = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
        Self {
            inside: empty(),
            outside: empty(),
            bad: 0,
            sent: 0,
            late: 0,
        }
    }

    pub fn answers(&self) -> u64 {
        self.inside.len() + self.outside.len() + self.bad
    }
}

impl Load {
    /// At a rate of 0 until it is told one.
    pub fn start(server: SocketAddr, names: &[String]) -> Self {
        let lanes = (0..LANES).map(|_| Lane::new(server)).collect();
        let shared = Arc::new(Shared {
            begin: Instant::now(),
            ends: AtomicBool::new(false),
            rate: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            late: AtomicU64::new(0),
            lanes,
        });
        let mut threads = Vec::new();
        for index in 0..LANES {
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn(move || shared.hear(index)));
        }
        let queries = names.iter().map(|name| query(name)).collect();
        let sender = Arc::clone(&shared);
        threads.push(thread::spawn(move || sender.send(queries)));
        Self { shared, threads }
    }

    pub fn set_rate(&self, queries_per_second: u64) {
        let rate = &self.shared.rate;
        rate.store(queries_per_second, Ordering::Relaxed);
    }

    /// What was seen since the last call.
    pub fn take(&self) -> Seen {
        let mut all = Seen::new();
        for lane in &self.shared.lanes {
            let mut seen = lane.seen.lock().expect("no panic");
            let seen = std::mem::replace(&mut *seen, Seen::new());
            all.inside.add(&seen.inside).expect("the same bounds");
            all.outside.add(&seen.outside).expect("the same bounds");
            all.bad += seen.bad;
        }
        all.sent = self.shared.sent.swap(0, Ordering::Relaxed);
        all.late = self.shared.late.swap(0, Ordering::Relaxed);
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Lane {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(server).expect("loopback");
        let wait = Duration::from_millis(100);
        socket.set_read_timeout(Some(wait)).expect("a timeout");
        Self {
            socket,
            meant: (0..1 << 16).map(|_| AtomicU64::new(0)).collect(),
            seen: Mutex::new(Seen::new()),
        }
    }
}

impl Shared {
    fn send(&self, inside: Vec<Vec<u8>>) {
        // Sleeps of this thread end on time, and not when it suits others.
        let _ = std::fs::write("/proc/thread-self/timerslack_ns", "1");
        let mut random = Rng::with_seed(1);
        let outside: Vec<_> = (0..OUTSIDE)
            .map(|n| query(&format!("h{n}.example")))
            .collect();
        let (mut number, mut owed, mut due) = (0_u64, 0.0, self.begin.elapsed());
        let mut message = Vec::new();
        while !self.ends.load(Ordering::Relaxed) {
            due += TICK;
            match due.checked_sub(self.begin.elapsed()) {
                Some(wait) => thread::sleep(wait),
                // What could not be sent for long is not made up for.
                None if self.begin.elapsed() > due + TICK * 50 => due = self.begin.elapsed(),
                None => {}
            }
            let is_late = self.begin.elapsed() > due + Duration::from_millis(1);
            owed += self.rate.load(Ordering::Relaxed) as f64 * TICK.as_secs_f64();
            while owed >= 1.0 {
                owed -= 1.0;
                number += 1;
                let is_outside = random.u8(..10) == 0;
                message.clear();
                match (is_outside, random.u8(..10)) {
                    (false, _) => message.extend(&inside[random.usize(..inside.len())]),
                    (true, 0) => message.extend(query(&format!("u{number}.example"))),
                    (true, _) => message.extend(&outside[random.usize(..outside.len())]),
                }
                let lane = &self.lanes[number as usize % LANES];
                let id = (number / LANES as u64) as u16;
                let meant = due.as_micros() as u64 * 2 + u64::from(is_outside);
                lane.meant[usize::from(id)].store(meant, Ordering::Release);
                message[..2].copy_from_slice(&id.to_be_bytes());
                // A full queue is a lost query.
                let _ = lane.socket.send(&message);
                self.sent.fetch_add(1, Ordering::Relaxed);
                self.late.fetch_add(u64::from(is_late), Ordering::Relaxed);
            }
        }
    }

    fn hear(&self, index: usize) {
        let lane = &self.lanes[index];
        let mut answer = [0; 1_500];
        while !self.ends.load(Ordering::Relaxed) {
            let Ok(bytes) = lane.socket.recv(&mut answer) else {
                continue;
            };
            let now = self.begin.elapsed().as_micros() as u64;
            assert!(bytes >= 12, "a whole header");
            let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
            let meant = lane.meant[id].load(Ordering::Acquire);
            let took = now.saturating_sub(meant / 2).max(1);
            let mut seen = lane.seen.lock().expect("no panic");
            match (answer[3] & 15, meant % 2) {
                (0, 0) => seen.inside.saturating_record(took),
                (0, _) => seen.outside.saturating_record(took),
                _ => seen.bad += 1,
            }
        }
    }
}

/// Asks for so many names outside that nobody asked before, a few at a time.
pub fn fill_cache(server: SocketAddr, names: u64) {
    let lane = Lane::new(server);
    let mut answer = [0; 1_500];
    for begin in (0..names).step_by(32) {
        for number in begin..begin + 32 {
            let _ = lane.socket.send(&query(&format!("fill{number}.example")));
        }
        for _ in 0..32 {
            let _ = lane.socket.recv(&mut answer);
        }
    }
}

const LANES: usize = 4;
/// What is due is sent together this often.
const TICK: Duration = Duration::from_micros(200);
/// Names outside that are asked again and again.
const OUTSIDE: usize = 1_000;
