//! A wire between a client of ZooKeeper and a server: passes octets on, can go silent or be cut, and
//! reads along which requests the client makes and which session it has. Ends with the value.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use super::zookeeper::SessionKey;

pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_silent: bool,
    is_stopping: bool,
    /// Both ends of each open connection.
    open: Vec<(u64, TcpStream, TcpStream)>,
    connection_count: u64,
    /// Kinds of the requests since they were asked for last, without pings.
    requests: Vec<i32>,
    session: Option<SessionKey>,
}

impl Wire {
    /// Listens on an address of loopback; an error where this host has none of its family.
    pub fn start(host: IpAddr, target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((host, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared })
    }

    /// To an address on 127.0.0.1.
    pub fn to(target: SocketAddr) -> Self {
        Self::start([127, 0, 0, 1].into(), target).expect("a port on loopback")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections stay, but nothing gets through: a network that lost its packets.
    pub fn set_silent(&self, is_silent: bool) {
        self.shared.state().is_silent = is_silent;
        self.shared.changed.notify_all();
    }

    /// Closes every connection; new ones are taken.
    pub fn cut(&self) {
        for (_, left, right) in self.shared.state().open.drain(..) {
            let _ = left.shutdown(Shutdown::Both);
            let _ = right.shutdown(Shutdown::Both);
        }
    }

    pub fn is_used(&self) -> bool {
        !self.shared.state().open.is_empty()
    }

    /// Connections so far.
    pub fn connection_count(&self) -> u64 {
        self.shared.state().connection_count
    }

    /// Kinds of the requests (ZooKeeper's OpCode) since the last call, without pings.
    pub fn requests(&self) -> Vec<i32> {
        std::mem::take(&mut self.shared.state().requests)
    }

    /// The session that was given out last.
    pub fn session(&self) -> Option<SessionKey> {
        self.shared.state().session.clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.state().is_stopping = true;
        self.set_silent(false);
        self.cut();
        // Wakes `accept`.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the wire panicked")
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.state().is_stopping {
            return;
        }
        let Ok(client) = client else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let _ = join(&client, &shared);
        });
    }
}

/// One connection, until either end closes it.
fn join(client: &TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    let number = {
        let mut state = shared.state();
        state.connection_count += 1;
        state.connection_count
    };
    let Ok(server) = TcpStream::connect(shared.target) else {
        return client.shutdown(Shutdown::Both);
    };
    // Else the kernel gathers small frames for 40 ms.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ends = (number, client.try_clone()?, server.try_clone()?);
    shared.state().open.push(ends);
    let up = thread::spawn({
        let (client, server) = (client.try_clone()?, server.try_clone()?);
        let shared = Arc::clone(shared);
        move || pass(client, server, &shared, note_request)
    });
    pass(server, client.try_clone()?, shared, note_answer);
    let _ = up.join();
    shared.state().open.retain(|(open, ..)| *open != number);
    Ok(())
}

/// Reads a frame of the client's or the server's; `index` is its place in the connection.
type Note = fn(state: &mut State, index: usize, frame: &[u8]);

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared, note: Note) {
    let mut octets = [0; 16 << 10];
    let (mut frames, mut index) = (Vec::new(), 0);
    while let Ok(count) = from.read(&mut octets) {
        if count == 0 {
            break;
        }
        frames.extend_from_slice(&octets[..count]);
        let mut state = shared.state();
        while state.is_silent {
            state = shared.changed.wait(state).expect("no thread panicked");
        }
        while let Some(length) = frames
            .first_chunk()
            .map(|length| u32::from_be_bytes(*length))
        {
            let end = 4 + usize::try_from(length).expect("64 bits");
            if frames.len() < end {
                break;
            }
            note(&mut state, index, &frames[4..end]);
            frames.drain(..end);
            index += 1;
        }
        drop(state);
        if to.write_all(&octets[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// The first frame asks for the session; then each begins with its number and its kind.
fn note_request(state: &mut State, index: usize, frame: &[u8]) {
    let kind = frame.get(4..8).and_then(|kind| kind.first_chunk());
    if let Some(kind) = kind.map(|kind| i32::from_be_bytes(*kind))
        && index > 0
        && kind != PING
    {
        state.requests.push(kind);
    }
}

/// The first frame has version, timeout, session, length of the password and the password.
fn note_answer(state: &mut State, index: usize, frame: &[u8]) {
    let id = frame.get(8..16).and_then(|id| id.first_chunk());
    let password = frame
        .get(20..36)
        .and_then(|password| password.first_chunk());
    if let (0, Some(id), Some(password)) = (index, id, password) {
        let (id, password) = (*id, *password);
        state.session = Some(SessionKey { id, password });
    }
}

const PING: i32 = 11;
