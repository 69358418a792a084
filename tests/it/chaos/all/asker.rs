//! Clients that never look away: one asks for names of the domain, one for names outside. In: what is true.
//! Out: how many answers were judged; what was not good is the truth's to keep. One query in a hundred is
//! sent damaged first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use hickory_proto::op::{Message, ResponseCode};

use super::truth::Truth;
use crate::storm::mutators::Mutator;
use crate::support::client::{A, ID, query, with_edns};
use std::net::{SocketAddr, UdpSocket};

pub struct Askers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Report>>,
}

/// What was asked and answered.
#[derive(Debug, Default)]
pub struct Report {
    pub asked: u64,
    pub answered: u64,
    pub damaged: u64,
    /// The longest time without an answer that nobody but the program is to blame for.
    pub gap: Duration,
}

impl Askers {
    pub fn start(server: SocketAddr, truth: &Arc<Truth>, random: &mut Rng) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asks: [fn(&mut Asker); 2] = [Asker::ask_inside, Asker::ask_outside];
        let start = |ask: fn(&mut Asker)| {
            let (stop, seed) = (Arc::clone(&stop), random.u64(..));
            let mut asker = Asker {
                server,
                truth: Arc::clone(truth),
                names: truth.names(),
                random: Rng::with_seed(seed),
                mutator: Mutator::new(seed),
                socket: socket(server),
                heard: Instant::now(),
                report: Report::default(),
            };
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    asker.damage();
                    ask(&mut asker);
                    thread::sleep(PAUSE);
                }
                asker.report
            })
        };
        let threads = asks.map(start).into();
        Self { stop, threads }
    }

    /// Those inside and outside.
    pub fn end(mut self) -> Vec<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.drain(..);
        threads
            .map(|thread| thread.join().expect("each answer decodes"))
            .collect()
    }
}

impl Drop for Askers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Asker {
    server: SocketAddr,
    truth: Arc<Truth>,
    names: Vec<String>,
    random: Rng,
    mutator: Mutator,
    socket: UdpSocket,
    /// When the last answer came.
    heard: Instant,
    report: Report,
}

impl Asker {
    /// What comes back of it is taken by nobody.
    fn damage(&mut self) {
        if self.random.u8(..100) == 0 {
            let mut message = Vec::new();
            self.mutator.next(&mut message);
            let _ = socket(self.server).send(&message);
            self.report.damaged += 1;
        }
    }

    fn ask_inside(&mut self) {
        if self.random.u8(..10) == 0 {
            let name = format!("no-such-{}.marathon.mesos", self.random.u16(..));
            if let Some(answer) = self.ask(&name) {
                let rcode = answer.metadata.response_code;
                let is_starting = self.truth.is_silent() || self.truth.excused().servfail;
                let may = is_starting && rcode == ResponseCode::ServFail;
                if rcode != ResponseCode::NXDomain && !may {
                    self.truth.complain(format!("{name}: {rcode}"));
                }
            }
        } else {
            let name = self.names[self.random.usize(..self.names.len())].clone();
            let horizon = self.truth.horizon();
            if let Some(answer) = self.ask(&name) {
                self.truth.judge(&name, &answer, horizon);
            }
        }
        let gap = self.truth.gap(self.heard);
        self.report.gap = self.report.gap.max(gap);
        if gap > GAP_MAX {
            self.truth
                .complain(format!("nothing was answered for {gap:?}"));
            self.heard = Instant::now();
        }
    }

    fn ask_outside(&mut self) {
        // Some are in the cache, and others were never asked for.
        let name = format!("n{}.example", self.random.u16(..2_000));
        let excused = self.truth.excused().outside || self.truth.is_silent();
        let answer = self.ask(&name);
        let truth = &self.truth;
        let excused = excused || truth.excused().outside || truth.is_silent();
        let fault = match answer {
            None => "no answer".to_owned(),
            Some(answer) => {
                let records = answer.answers.iter();
                let found: Vec<String> = records.map(|record| record.data.to_string()).collect();
                let rcode = answer.metadata.response_code;
                match (rcode, found.as_slice()) {
                    (ResponseCode::NoError, [one]) if one == OUTSIDE => return,
                    // A resolver that gets a damaged query says so, and the other is struck.
                    (ResponseCode::ServFail | ResponseCode::FormErr, []) if excused => return,
                    _ => return truth.complain(format!("{name}: {rcode} {found:?}")),
                }
            }
        };
        if !excused {
            truth.complain(format!("{name}: {fault}"));
        }
    }

    /// Who gets no answer asks from another port, to which no late one comes.
    fn ask(&mut self, name: &str) -> Option<Message> {
        let message = with_edns(query(name, A), 1232, 0, false);
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 4_096];
        while Instant::now() < end {
            self.report.asked += 1;
            let sent = self.socket.send(&message);
            if let Ok(bytes) = sent.and_then(|_| self.socket.recv(&mut buffer)) {
                let answer = Message::from_vec(&buffer[..bytes]).expect("an answer that decodes");
                assert_eq!(answer.metadata.id, ID);
                self.report.answered += 1;
                self.heard = Instant::now();
                return Some(answer);
            }
            // Refused at once, where nobody listens.
            thread::sleep(PAUSE);
            self.socket = socket(self.server);
        }
        None
    }
}

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("loopback has a route");
    socket.set_read_timeout(Some(WAIT)).expect("above zero");
    socket
}

/// The address of every name outside.
pub const OUTSIDE: &str = "192.0.2.101";
/// Between two questions: it runs beside other tests.
const PAUSE: Duration = Duration::from_millis(8);
/// For one answer, and for any.
const WAIT: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(4);
/// Longer than this nobody is without an answer, while the program is not stopped by us.
const GAP_MAX: Duration = Duration::from_secs(5);
