//! A resolver that does what the name asked tells it to, over UDP and TCP. Its first label says what:
//! `late-50-x` answers after 50 ms, `silent` never, `servfail`, `refused`, `nx`, `nodata` with that RCODE,
//! `ttl-5-x` with that TTL, `tc` with TC over UDP, `big-40` with as many TXT records; `wrong-id`,
//! `wrong-question` and `rubbish` send that before the answer, `drip` answers over TCP octet by octet.
//! Anything else is 192.0.2.1. It ends with the value.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub struct Resolver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_stopping: AtomicBool,
    /// Takes queries and says nothing, as a host that is cut off.
    is_dead: AtomicBool,
    /// By name as it was spelled, and whether it came over TCP.
    asked: Mutex<HashMap<(String, bool), usize>>,
    /// The last query, and where it came from.
    last: Mutex<Option<(Vec<u8>, SocketAddr)>>,
    ports: Mutex<HashMap<u16, usize>>,
    connections: AtomicUsize,
}

impl Resolver {
    pub fn start() -> Self {
        Self::start_at(super::process::free_address())
    }

    pub fn start_at(address: SocketAddr) -> Self {
        let udp = UdpSocket::bind(address).expect("a free port");
        let tcp = TcpListener::bind(address).expect("a free port");
        udp.set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a timeout above zero");
        let shared = Arc::new(Shared::default());
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve_udp(&udp, &shared)
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in tcp.incoming() {
                    if shared.is_stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve_tcp(stream, &shared));
                }
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it says nothing, or answers again.
    pub fn set_dead(&self, is_dead: bool) {
        self.shared.is_dead.store(is_dead, Ordering::SeqCst);
    }

    /// How often a name was asked, over UDP and TCP.
    pub fn asked(&self, name: &str) -> usize {
        [false, true]
            .map(|tcp| self.asked_over(name, tcp))
            .iter()
            .sum()
    }

    pub fn asked_over(&self, name: &str, tcp: bool) -> usize {
        let asked = self.shared.asked.lock().expect("no panic");
        asked.get(&(name.to_owned(), tcp)).copied().unwrap_or(0)
    }

    /// How many queries came.
    pub fn asked_in_all(&self) -> usize {
        let asked = self.shared.asked.lock().expect("no panic");
        asked.values().sum()
    }

    /// The last query, octet by octet.
    pub fn last_query(&self) -> Vec<u8> {
        let last = self.shared.last.lock().expect("no panic");
        last.as_ref().expect("a query").0.clone()
    }

    /// The ports that queries came from.
    pub fn ports(&self) -> usize {
        self.shared.ports.lock().expect("no panic").len()
    }

    /// TCP connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Notes a query: the first label, and whether it is to be answered.
    fn note(&self, query: &[u8], from: SocketAddr, tcp: bool) -> Option<String> {
        let (name, _) = name_of(query)?;
        let mut asked = self.asked.lock().expect("no panic");
        *asked.entry((name.clone(), tcp)).or_default() += 1;
        *self.last.lock().expect("no panic") = Some((query.to_vec(), from));
        let mut ports = self.ports.lock().expect("no panic");
        *ports.entry(from.port()).or_default() += 1;
        let label = name.split('.').next().unwrap_or_default().to_lowercase();
        let answers = !self.is_dead.load(Ordering::SeqCst) && label != "silent";
        answers.then_some(label)
    }

    fn delay(label: &str) -> Duration {
        Duration::from_millis(label.strip_prefix("late-").map_or(0, number_of) as u64)
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Arc<Shared>) {
    let mut buffer = [0; 65_535];
    while !shared.is_stopping.load(Ordering::SeqCst) {
        let Ok((bytes, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let query = buffer[..bytes].to_vec();
        let Some(label) = shared.note(&query, from, false) else {
            continue;
        };
        let delay = Shared::delay(&label);
        let send = |message: &[u8]| drop(socket.send_to(message, from));
        let answer = answer(&query, &label, false);
        if !delay.is_zero() {
            let socket = socket.try_clone().expect("a second handle");
            thread::spawn(move || {
                thread::sleep(delay);
                let _ = socket.send_to(&answer, from);
            });
            continue;
        }
        let mut wrong = answer.clone();
        match label.as_str() {
            "wrong-id" => {
                wrong[0] ^= 0x55;
                send(&wrong);
            }
            "wrong-question" => {
                wrong[13] ^= 1;
                send(&wrong);
            }
            "wrong-port" => {
                let ip: IpAddr = "127.0.0.1".parse().expect("an address");
                let other = UdpSocket::bind((ip, 0)).expect("a free port");
                let end = wrong.len() - 1;
                wrong[end] = 66;
                let _ = other.send_to(&wrong, from);
            }
            "rubbish" => {
                send(&wrong[..20]);
                continue;
            }
            _ => {}
        }
        send(&answer);
    }
}

fn serve_tcp(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let from = stream.peer_addr().ok()?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).ok()?;
        let Some(label) = shared.note(&query, from, true) else {
            continue;
        };
        thread::sleep(Shared::delay(&label));
        let answer = answer(&query, &label, true);
        let framed = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
        if label == "drip" {
            for octet in framed {
                stream.write_all(&[octet]).ok()?;
                thread::sleep(Duration::from_millis(200));
            }
        } else {
            stream.write_all(&framed).ok()?;
        }
        if label == "hangup" {
            return None;
        }
    }
}

/// The name of the question as it is spelled, and where the question ends.
fn name_of(query: &[u8]) -> Option<(String, usize)> {
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at + 4));
        }
        if !name.is_empty() {
            name.push('.');
        }
        name += &String::from_utf8_lossy(query.get(at..at + length)?);
        at += length;
    }
}

fn number_of(text: &str) -> usize {
    let digits = text.split('-').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// An answer with everything of the query's OPT record in its own.
fn answer(query: &[u8], label: &str, tcp: bool) -> Vec<u8> {
    let (_, end) = name_of(query).expect("a question");
    let qtype = u16::from_be_bytes([query[end - 4], query[end - 3]]);
    let mut records: Vec<Vec<u8>> = Vec::new();
    let mut authority: Vec<Vec<u8>> = Vec::new();
    let ttl = label.strip_prefix("ttl-").map_or(300, number_of) as u32;
    let mut record = |rtype: u16, data: &[u8]| {
        let head = [&[0xc0, 12][..], &rtype.to_be_bytes(), &[0, 1]].concat();
        let length = (data.len() as u16).to_be_bytes();
        records.push([&head, &ttl.to_be_bytes()[..], &length, data].concat());
    };
    let (mut flags, mut rcode) = (0x8180_u16, 0);
    match label.split('-').next().unwrap_or_default() {
        "tc" if !tcp => flags |= 0x0200,
        "servfail" => rcode = 2,
        "refused" => rcode = 5,
        kind @ ("nx" | "nodata") => {
            rcode = if kind == "nx" { 3 } else { 0 };
            // example. SOA with a minimum of 60 under a TTL of 300.
            let soa = [
                &b"\x07example\0\x00\x06\x00\x01\x00\x00\x01\x2c\x00\x16\x00\x00"[..],
                &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 60],
            ];
            authority.push(soa.concat());
        }
        "big" => {
            for index in 0..number_of(label.strip_prefix("big-").unwrap_or_default()) {
                let text = format!("{index:063}");
                record(16, &[&[63], text.as_bytes()].concat());
            }
        }
        _ if qtype == 28 => record(
            28,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        _ => record(1, &[192, 0, 2, 1]),
    }
    let copied = u16::from_be_bytes([query[2], query[3]]) & 0x0110;
    let mut message = query[..2].to_vec();
    message.extend((flags & !0x0110 | copied | rcode).to_be_bytes());
    let opt = if query[11] == 1 { &query[end..] } else { &[] };
    for count in [
        1,
        records.len(),
        authority.len(),
        usize::from(!opt.is_empty()),
    ] {
        message.extend((count as u16).to_be_bytes());
    }
    message.extend(&query[12..end]);
    message.extend(records.concat());
    message.extend(authority.concat());
    message.extend(opt);
    message
}
