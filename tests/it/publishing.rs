//! Publication: no answer mixes two tables, and who built a Snapshot frees it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::records::World;
use rollcall::responses::publish::{Published, Publisher};
use rollcall::serve::respond::Responder;
use rollcall::serve::{ServeOptions, Server};

use crate::support::process::engine;
use crate::worlds::{settings, snapshot, task, world_of};

/// Twenty instances of `web`, all in 10.`net`.0.0/16.
fn world_in(net: u8) -> World {
    let tasks = (0..20).map(|n| Task {
        addresses: [(AddressSource::NetInfo, [10, net, 0, n].into())].into(),
        ..task(&format!("web.{n}"), "web")
    });
    world_of(tasks.collect())
}

/// The second octets of the addresses of `web`, as one answer has them.
fn nets(socket: &UdpSocket) -> Vec<u8> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(rollcall::dns::name::wire_from_text("web.marathon.mesos").expect("a name"));
    query.extend([0, 1, 0, 1]);
    socket.send(&query).expect("loopback takes it");
    let mut answer = [0; 1232];
    let length = socket.recv(&mut answer).expect("an answer in time");
    let answer = Message::from_vec(&answer[..length]).expect("it decodes");
    let address = |data: &RData| match data {
        RData::A(a) => Ipv4Addr::from(*a).octets()[1],
        other => panic!("no address: {other}"),
    };
    answer
        .answers
        .iter()
        .map(|record| address(&record.data))
        .collect()
}

#[test]
fn no_answer_mixes_two_tables() {
    let published = Published::default();
    let mut publisher = Publisher::new(Arc::clone(&published));
    publisher.publish(snapshot(&world_in(1), 1));
    let options = ServeOptions {
        workers: 2,
        engine: engine(),
        ..ServeOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)))
    };
    let responder = |seed| Responder::new(&settings(), seed);
    let server = Server::start(&options, &published, responder).expect("a free port");
    let address = server.local_address();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                socket.connect(address).expect("loopback");
                socket
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .expect("a timeout");
                let mut seen = [false; 3];
                while !over.load(Ordering::Relaxed) {
                    let nets = nets(&socket);
                    assert_eq!(nets.len(), 20);
                    assert!(nets.iter().all(|net| *net == nets[0]), "{nets:?}");
                    seen[usize::from(nets[0])] = true;
                }
                seen
            })
        })
        .collect();
    let wake = server.waker();
    let worlds = [world_in(2), world_in(1)];
    for generation in 2..1_000 {
        publisher.publish(snapshot(&worlds[generation as usize % 2], generation));
        wake();
        publisher.free_retired(drop);
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let seen = client.join().expect("no answer was mixed");
        assert!(seen[1] && seen[2], "both tables were met");
    }
    // Idle workers are woken, so that they let go of what was replaced.
    let deadline = Instant::now() + Duration::from_secs(5);
    while publisher.free_retired(drop) > 0 {
        assert!(
            Instant::now() < deadline,
            "a worker still holds an old table"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_reader_never_frees_a_snapshot() {
    let published = Published::default();
    let mut publisher = Publisher::new(Arc::clone(&published));
    publisher.publish(snapshot(&world_in(1), 1));
    let reader = published.load_full().expect("published");
    let watch = Arc::downgrade(&reader);
    publisher.publish(snapshot(&world_in(2), 2));
    assert_eq!(publisher.free_retired(drop), 1, "the reader still holds it");
    drop(reader);
    assert!(watch.upgrade().is_some(), "only the publisher frees it");
    assert_eq!(publisher.free_retired(drop), 0);
    assert!(watch.upgrade().is_none());
}
