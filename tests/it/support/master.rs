//! A Mesos master for tests: serves one document, which can be changed, delayed or made to fail while
//! it runs. In: a `Behaviour`. Out: HTTP on loopback. It ends with the value.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the next request meets.
#[derive(Clone)]
pub enum Behaviour {
    /// 200 with this document.
    Serve(String),
    /// This document, but only after the delay.
    Slow(String, Duration),
    /// This document for those whose `Authorization` is accepted, 401 for others.
    Guarded(String, Accept),
    /// A status with a document that must not be taken.
    Status(u16, String),
    /// 307 to another master, without a scheme, as a real follower writes it.
    Redirect(SocketAddr),
    /// 200 with fewer octets than announced.
    CutShort(String),
    /// The connection is closed without a word.
    HangUp,
}

/// Judges the value of an `Authorization` header; empty where there is none.
pub type Accept = Arc<dyn Fn(&str) -> bool + Send + Sync>;

struct Shared {
    behaviour: Mutex<Behaviour>,
    answered: AtomicUsize,
    refused: AtomicUsize,
    stopping: AtomicBool,
}

pub struct Master {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Master {
    /// Listens at once. `make` is given the address, for the document names its leader.
    pub fn start(make: impl FnOnce(SocketAddr) -> Behaviour) -> Self {
        Self::start_at([127, 0, 0, 1].into(), make)
    }

    /// The same on another address of loopback, which makes it another host.
    pub fn start_at(host: Ipv4Addr, make: impl FnOnce(SocketAddr) -> Behaviour) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(make(address)),
            answered: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, behaviour: Behaviour) {
        *self
            .shared
            .behaviour
            .lock()
            .expect("no test thread panicked") = behaviour;
    }

    /// Requests answered so far, whatever the answer was.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Requests that were answered with 401.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Waits until the present behaviour met two requests, so that one of them began after it was set.
    pub fn wait_for_two_more_requests(&self) {
        let before = self.answered();
        super::wait_until("two more requests to the master", || {
            self.answered() >= before + 2
        });
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`; where it cannot connect the listener is gone already.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // A client that hangs up is its own affair.
        thread::spawn(move || {
            let _ = serve(stream, &shared);
        });
    }
}

/// One request a connection; of the head one line is kept.
fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut authorization) = (String::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = value.trim().to_owned();
        }
        line.clear();
    }
    let behaviour = shared
        .behaviour
        .lock()
        .expect("no test thread panicked")
        .clone();
    let behaviour = match behaviour {
        Behaviour::Guarded(body, accept) if accept(&authorization) => Behaviour::Serve(body),
        Behaviour::Guarded(..) => {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            Behaviour::Status(401, "Unauthorized".into())
        }
        other => other,
    };
    let result = respond(&mut stream, behaviour);
    shared.answered.fetch_add(1, Ordering::SeqCst);
    result
}

fn respond(stream: &mut TcpStream, behaviour: Behaviour) -> std::io::Result<()> {
    let mut send = |status: &str, extra: &str, announced: usize, body: &str| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{extra}Content-Length: {announced}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())
    };
    match behaviour {
        Behaviour::Serve(body) | Behaviour::Guarded(body, _) => {
            send("200 OK", "", body.len(), &body)
        }
        Behaviour::Slow(body, delay) => {
            thread::sleep(delay);
            send("200 OK", "", body.len(), &body)
        }
        Behaviour::Status(status, body) => send(&format!("{status} Status"), "", body.len(), &body),
        Behaviour::Redirect(leader) => send(
            "307 Temporary Redirect",
            &format!("Location: //{leader}/master/state\r\n"),
            0,
            "",
        ),
        Behaviour::CutShort(body) => send("200 OK", "", body.len() + 100, &body),
        Behaviour::HangUp => Ok(()),
    }
}
