//! Tests of a server below a service manager: who watches over it, when it begins, how it hands over.

use std::sync::{Condvar, Mutex};

use super::*;
use crate::stats::pulse::Vigil;

const HANG: u8 = b'H';

/// Holds up the worker that it was asked on, for as long as it is closed.
#[derive(Default)]
struct Door {
    is_closed: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicBool,
}

impl Door {
    fn pass(&self) {
        let mut is_closed = self.is_closed.lock().unwrap();
        while *is_closed {
            self.waiting.store(true, Ordering::SeqCst);
            is_closed = self.changed.wait(is_closed).unwrap();
        }
    }

    fn set_closed(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.changed.notify_all();
    }
}

struct Held(Arc<Door>);

impl Respond for Held {
    fn respond_read(
        &mut self,
        snapshot: Option<&Snapshot>,
        place: usize,
        query: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome {
        if query.get(12) == Some(&HANG) {
            self.0.pass();
        }
        Echo.respond_read(snapshot, place, query, client, response)
    }

    fn respond_truncated(&mut self, query: &[u8], response: &mut [u8]) -> Outcome {
        Echo.respond_truncated(query, response)
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn one_answering_thread_that_hangs_is_noticed_and_idle_ones_are_not() {
    let door = Arc::new(Door::default());
    let published: Published = Arc::new(ArcSwapOption::empty());
    let options = ServeOptions {
        workers: 2,
        ..options(Ipv4Addr::LOCALHOST)
    };
    let held = Arc::clone(&door);
    let server = Server::start(&options, &published, move |_| Held(Arc::clone(&held))).unwrap();
    let mut vigil = Vigil::default();
    vigil.watch(vec![server.pulse()]);
    for _ in 0..3 {
        wait_for("idle threads go round", || vigil.ask());
    }
    door.set_closed(true);
    let client = udp_client(server.local_address());
    client.send(&query(1, &[HANG])).unwrap();
    wait_for("a thread that hangs", || {
        door.waiting.load(Ordering::SeqCst)
    });
    vigil.ask();
    let turns = server.pulse().turns;
    for _ in 0..3 {
        let before = turns();
        (server.pulse().wake)();
        wait_for("the other thread goes round", || turns() != before);
        assert!(!vigil.ask());
    }
    door.set_closed(false);
    wait_for("both go round", || vigil.ask());
    assert_eq!(client.recv(&mut [0; 64]).unwrap(), 13);
}

#[test]
fn what_comes_before_the_beginning_waits_for_it() {
    let options = ServeOptions {
        starts_closed: true,
        workers: 2,
        ..options(Ipv4Addr::LOCALHOST)
    };
    let server = start(&options);
    let clients: Vec<_> = (0..20)
        .map(|_| udp_client(server.local_address()))
        .collect();
    for client in &clients {
        client.send(&query(7, b"q")).unwrap();
    }
    let mut stream = tcp_client(&server);
    stream.write_all(&framed(&query(8, b"q"))).unwrap();
    assert_eq!(server.totals().queries_udp, 0);
    server.open();
    for client in &clients {
        assert_eq!(client.recv(&mut [0; 64]).unwrap(), 13);
    }
    assert_eq!(read_id(&mut stream), (8, 13));
    // One that never begins ends all the same.
    drop(start(&options));
}

#[test]
fn connection_that_was_taken_is_answered_and_one_that_waits_is_left_at_a_hand_over() {
    let server = local();
    let address = server.local_address();
    let kept: Vec<_> = server
        .to_keep()
        .unwrap()
        .into_iter()
        .map(|(name, socket)| (name, socket.try_clone_to_owned().unwrap()))
        .collect();
    let mut taken = tcp_client(&server);
    wait_until("an accepted connection", || {
        server.totals().tcp_accepted == 1
    });
    let handing = thread::spawn(move || server.hand_over());
    ask_tcp(&mut taken, 3);
    handing.join().unwrap();
    // Nobody runs now.
    let waiting = udp_client(address);
    waiting.send(&query(4, b"q")).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&framed(&query(5, b"q"))).unwrap();
    let published: Published = Arc::new(ArcSwapOption::empty());
    let options = ServeOptions {
        engine: engine(),
        workers: 2,
        ..ServeOptions::new(address)
    };
    let handed = handed::Handed::new(kept);
    let next = Server::start_beside(None, &handed, &options, &published, |_| Echo).unwrap();
    assert_eq!(waiting.recv(&mut [0; 64]).unwrap(), 13);
    assert_eq!(read_id(&mut stream), (5, 13));
    assert_eq!(next.to_keep().unwrap().len(), 4);
}
