//! A server that speaks just enough of ZooKeeper's protocol to say something wrong: one lie to its first
//! client, in place of one answer, and nothing but the truth after that; or one that always hangs up. Ends
//! with the value.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What is said instead of the answer to the first request of a kind (`CONNECT`, or ZooKeeper's OpCode);
/// given the number of the request. Nothing more is said on that connection.
#[derive(Clone, Copy)]
pub struct Lie {
    pub about: i32,
    pub says: fn(number: i32) -> Vec<u8>,
}

pub const CONNECT: i32 = 0;
pub const GET_DATA: i32 = 4;
pub const GET_CHILDREN: i32 = 8;

pub struct Liar {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_stopping: AtomicBool,
    has_lied: AtomicBool,
    connection_count: AtomicUsize,
}

impl Liar {
    /// One master is registered with it, and `data` is what its node holds.
    pub fn start(lie: Lie, data: String) -> Self {
        Self::listen(move |stream, shared| serve(stream, lie, &shared.has_lied, &data))
    }

    /// Gives a session to everybody, answers pings and hangs up at the first question.
    pub fn that_hangs_up() -> Self {
        Self::listen(|mut stream, _| {
            read_frame(&mut stream)?;
            stream.write_all(&session()).ok()?;
            while read_request(&mut stream)? == (PING_NUMBER, PING) {
                stream.write_all(&reply(PING_NUMBER, &[])).ok()?;
            }
            None
        })
    }

    /// Two masters, 1 and 2, of which this is said in answer to one question after the other, octets
    /// that the number of the question is given to; nothing but silence is left at their end.
    pub fn that_says(script: &'static [fn(number: i32) -> Vec<u8>]) -> Self {
        Self::listen(|mut stream, _| {
            stream.set_nodelay(true).ok()?;
            read_frame(&mut stream)?;
            stream.write_all(&session()).ok()?;
            let mut said = script.iter();
            loop {
                let says = match read_request(&mut stream)? {
                    (number, GET_CHILDREN) => reply(number, &children(&[&name(1), &name(2)])),
                    (number, GET_DATA) => said.next().map_or(Vec::new(), |says| says(number)),
                    (number, _) => reply(number, &[]),
                };
                stream.write_all(&says).ok()?;
            }
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn connection_count(&self) -> usize {
        self.shared.connection_count.load(Ordering::SeqCst)
    }

    fn listen(serve: impl Fn(TcpStream, &Shared) -> Option<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let serve = Arc::new(serve);
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.is_stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    shared.connection_count.fetch_add(1, Ordering::SeqCst);
                    let (shared, serve) = (Arc::clone(&shared), Arc::clone(&serve));
                    thread::spawn(move || serve(stream, &shared));
                }
            }
        });
        Self { address, shared }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`.
        let _ = TcpStream::connect(self.address);
    }
}

/// One connection; None where it ends.
fn serve(mut stream: TcpStream, lie: Lie, has_lied: &AtomicBool, data: &str) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    read_frame(&mut stream)?;
    let (mut kind, mut number) = (CONNECT, 0);
    loop {
        if kind == lie.about && !has_lied.swap(true, Ordering::SeqCst) {
            let says = (lie.says)(number);
            stream.write_all(&says).ok()?;
            // The client is the one who must act, at the end of its patience. Without a session that is
            // long, so that only silence has to be suffered to the end.
            let is_patient = kind != CONNECT || says.is_empty();
            while is_patient && read_frame(&mut stream).is_some() {}
            return None;
        }
        let answer = match kind {
            CONNECT => session(),
            GET_CHILDREN => reply(number, &children(&[&name(1)])),
            GET_DATA => node_holds(number, data),
            _ => reply(number, &[]),
        };
        stream.write_all(&answer).ok()?;
        if kind == CLOSE_SESSION {
            return None;
        }
        (number, kind) = read_request(&mut stream)?;
    }
}

/// Its number and its kind.
fn read_request(stream: &mut TcpStream) -> Option<(i32, i32)> {
    let frame = read_frame(stream)?;
    let number = frame.first_chunk()?;
    let kind = frame.get(4..)?.first_chunk()?;
    Some((i32::from_be_bytes(*number), i32::from_be_bytes(*kind)))
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// The answer to a ConnectRequest: version, timeout in milliseconds, session, password, read-only.
fn session() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(0_i32.to_be_bytes());
    body.extend(2_000_i32.to_be_bytes());
    body.extend(7_i64.to_be_bytes());
    body.extend(buffer(&[1; 16]));
    body.push(0);
    buffer(&body)
}

/// An answer with its head: number of the request, zxid, no error.
pub fn reply(number: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = number.to_be_bytes().to_vec();
    frame.extend(9_i64.to_be_bytes());
    frame.extend(0_i32.to_be_bytes());
    frame.extend(body);
    buffer(&frame)
}

/// The answer that says what a node holds.
pub fn node_holds(number: i32, data: &str) -> Vec<u8> {
    let body = [&buffer(data.as_bytes())[..], &[0; STAT_BYTES]];
    reply(number, &body.concat())
}

/// The event that a node of `/mesos` holds something else (type 3) in a session that goes on (state 3).
pub fn node_changed(sequence: i64) -> Vec<u8> {
    let path = format!("/mesos/{}", name(sequence));
    let (kind, state) = (3_i32.to_be_bytes(), 3_i32.to_be_bytes());
    reply(-1, &[&kind, &state, &buffer(path.as_bytes())[..]].concat())
}

fn name(sequence: i64) -> String {
    format!("json.info_{sequence:010}")
}

fn children(names: &[&str]) -> Vec<u8> {
    let count = i32::try_from(names.len()).expect("few");
    let names = names.iter().map(|name| buffer(name.as_bytes()));
    [
        &count.to_be_bytes()[..],
        &names.collect::<Vec<_>>().concat(),
    ]
    .concat()
}

/// Octets behind their count.
pub fn buffer(octets: &[u8]) -> Vec<u8> {
    let count = u32::try_from(octets.len()).expect("short");
    [&count.to_be_bytes(), octets].concat()
}

const CLOSE_SESSION: i32 = -11;
const PING: i32 = 11;
const PING_NUMBER: i32 = -2;
const STAT_BYTES: usize = 68;
