//! Workers on real sockets of the loopback interface, with a responder that echoes.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpStream, UdpSocket};
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwapOption;

use super::*;
use crate::config;
use crate::limits::{TCP_PENDING_BYTES_MAX, UDP_QUERY_BYTES_MAX};
use crate::stats::CloseReason;

/// Sends the query back with QR set. The octet after the header may ask for more.
struct Echo;

const BIG: u8 = b'B';
const BIG_BYTES: usize = 60_000;
const PANIC: u8 = b'P';

impl Respond for Echo {
    fn respond_read(
        &mut self,
        _: Option<&Snapshot>,
        _: usize,
        query: &[u8],
        client: Client,
        response: &mut [u8],
    ) -> Outcome {
        if query.len() < 12 || query[2] & 0x80 != 0 {
            return Outcome::Drop;
        }
        let length = query.len().min(response.len());
        response[..length].copy_from_slice(&query[..length]);
        response[2] |= 0x80;
        match query.get(12) {
            Some(&PANIC) => panic!("asked to"),
            Some(&BIG) if client.transport == Transport::Tcp => Outcome::Answer(BIG_BYTES),
            _ => Outcome::Answer(length),
        }
    }

    fn respond_truncated(&mut self, query: &[u8], response: &mut [u8]) -> Outcome {
        response[..12].copy_from_slice(&query[..12]);
        response[2] |= 0x80;
        response[3] = 1;
        Outcome::Answer(12)
    }
}

const DEADLINE: Duration = Duration::from_secs(10);

/// The engine that this run of the tests is for.
fn engine() -> config::Engine {
    let name = std::env::var("ROLLCALL_ENGINE").unwrap_or_else(|_| "auto".to_owned());
    config::Engine::named(&name).expect("ROLLCALL_ENGINE")
}

fn options(ip: impl Into<IpAddr>) -> ServeOptions {
    ServeOptions {
        engine: engine(),
        workers: 1,
        ..ServeOptions::new(SocketAddr::new(ip.into(), 0))
    }
}

fn start(options: &ServeOptions) -> Server {
    let published: Published = Arc::new(ArcSwapOption::empty());
    Server::start(options, &published, |_| Echo).unwrap()
}

fn local() -> Server {
    start(&options(Ipv4Addr::LOCALHOST))
}

fn query(id: u16, rest: &[u8]) -> Vec<u8> {
    let mut query = vec![0; 12];
    query[..2].copy_from_slice(&id.to_be_bytes());
    query.extend_from_slice(rest);
    query
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    framed
}

fn udp_client(server: SocketAddr) -> UdpSocket {
    let ip: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let client = UdpSocket::bind((ip, 0)).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.connect(server).unwrap();
    client
}

fn tcp_client(server: &Server) -> TcpStream {
    let client = TcpStream::connect(server.local_address()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.set_write_timeout(Some(DEADLINE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

fn read_id(client: &mut TcpStream) -> (u16, usize) {
    let mut length = [0; 2];
    client.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer[2] & 0x80, 0x80);
    (u16::from_be_bytes([answer[0], answer[1]]), answer.len())
}

fn ask_udp(client: &UdpSocket, id: u16) {
    client.send(&query(id, b"q")).unwrap();
    let mut answer = [0; 512];
    assert_eq!(client.recv(&mut answer).unwrap(), 13);
    assert_eq!(answer[..3], [(id >> 8) as u8, id as u8, 0x80]);
}

fn ask_tcp(client: &mut TcpStream, id: u16) {
    client.write_all(&framed(&query(id, b"q"))).unwrap();
    assert_eq!(read_id(client), (id, 13));
}

/// The other side closed: the end, or a reset.
fn assert_closed(client: &mut TcpStream) {
    let mut rest = Vec::new();
    match client.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty()),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

#[test]
fn every_query_in_flight_is_answered_with_its_own_id() {
    let server = start(&ServeOptions {
        workers: 2,
        ..options(Ipv4Addr::LOCALHOST)
    });
    let clients: Vec<_> = (0..20)
        .map(|_| udp_client(server.local_address()))
        .collect();
    for round in 0..5_u16 {
        for client in &clients {
            for number in 0..200 {
                client.send(&query(round * 200 + number, b"q")).unwrap();
            }
            let answered: HashSet<u16> = (0..200)
                .map(|_| {
                    let mut answer = [0; 64];
                    assert_eq!(client.recv(&mut answer).unwrap(), 13);
                    u16::from_be_bytes([answer[0], answer[1]])
                })
                .collect();
            assert_eq!(answered, (round * 200..round * 200 + 200).collect());
        }
    }
    let totals = server.totals();
    assert_eq!(totals.queries_udp, 20_000);
    assert_eq!(totals.answers_of(0), 20_000);
    assert_eq!((totals.send_errors, totals.receive_errors), (0, 0));
}

#[test]
fn query_that_is_dropped_leaves_its_neighbours_answered() {
    let server = local();
    let client = udp_client(server.local_address());
    for id in 0..50 {
        let mut message = query(id, b"q");
        if id % 3 == 0 {
            message[2] = 0x80;
        }
        client.send(&message).unwrap();
    }
    client.send(b"short").unwrap();
    for id in (0..50_u16).filter(|id| id % 3 != 0) {
        let mut answer = [0; 64];
        client.recv(&mut answer).unwrap();
        assert_eq!(u16::from_be_bytes([answer[0], answer[1]]), id);
    }
    wait_until("drops counted", || server.totals().dropped == 18);
}

/// A connected client takes answers only from the address that it asked.
#[test]
fn answer_leaves_from_the_address_asked() {
    let server = start(&options(Ipv4Addr::UNSPECIFIED));
    let port = server.local_address().port();
    for ip in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 9, 8, 7]] {
        let client = udp_client((ip, port).into());
        for id in 0..100 {
            ask_udp(&client, id);
        }
    }
}

#[test]
fn ipv6_wildcard_answers_both_families_from_the_address_asked() {
    let server = start(&options(Ipv6Addr::UNSPECIFIED));
    let port = server.local_address().port();
    ask_udp(&udp_client((Ipv6Addr::LOCALHOST, port).into()), 1);
    for ip in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        let client = udp_client((ip, port).into());
        for id in 0..100 {
            ask_udp(&client, id);
        }
        let mut stream = TcpStream::connect((IpAddr::from(ip), port)).unwrap();
        ask_tcp(&mut stream, 7);
    }
}

#[test]
fn oversized_datagram_is_answered_from_its_header() {
    let server = local();
    let client = udp_client(server.local_address());
    client.send(&query(5, &[0; UDP_QUERY_BYTES_MAX])).unwrap();
    let mut answer = [0; 512];
    assert_eq!(client.recv(&mut answer).unwrap(), 12);
    assert_eq!(answer[..4], [0, 5, 0x80, 1]);
    let totals = server.totals();
    assert_eq!((totals.oversized, totals.answers_of(1)), (1, 1));
}

#[test]
fn tcp_message_is_reassembled_whatever_the_split() {
    let server = local();
    let mut client = tcp_client(&server);
    let two = [framed(&query(1, b"first")), framed(&query(2, b"second"))].concat();
    for split in 0..two.len() {
        client.write_all(&two[..split]).unwrap();
        // An answer on another connection shows that the worker has seen the first part.
        ask_udp(&udp_client(server.local_address()), 3);
        client.write_all(&two[split..]).unwrap();
        assert_eq!(read_id(&mut client), (1, 17));
        assert_eq!(read_id(&mut client), (2, 18));
    }
    for octet in &two {
        client.write_all(&[*octet]).unwrap();
    }
    assert_eq!(read_id(&mut client).0, 1);
    assert_eq!(read_id(&mut client).0, 2);
}

#[test]
fn largest_tcp_message_is_answered() {
    let server = local();
    let mut client = tcp_client(&server);
    let largest = query(9, &[0; 65_535 - 12]);
    for _ in 0..3 {
        client.write_all(&framed(&largest)).unwrap();
        assert_eq!(read_id(&mut client), (9, 65_535));
        ask_tcp(&mut client, 10);
    }
}

#[test]
fn pipeline_of_300_queries_in_one_write_is_answered_in_order() {
    let server = local();
    let mut client = tcp_client(&server);
    let pipeline: Vec<u8> = (0..300).flat_map(|id| framed(&query(id, b"p"))).collect();
    client.write_all(&pipeline).unwrap();
    for id in 0..300 {
        assert_eq!(read_id(&mut client), (id, 13));
    }
    assert_eq!(server.totals().queries_tcp, 300);
}

#[test]
fn half_closed_connection_gets_its_answers_and_then_the_end() {
    let server = local();
    let mut client = tcp_client(&server);
    let pipeline: Vec<u8> = (0..100).flat_map(|id| framed(&query(id, b"p"))).collect();
    client.write_all(&pipeline).unwrap();
    client.write_all(&[0, 50, 1]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    for id in 0..100 {
        assert_eq!(read_id(&mut client).0, id);
    }
    assert_closed(&mut client);
    assert_eq!(server.totals().tcp_closed(CloseReason::Finished), 1);
}

#[test]
fn message_without_a_whole_header_closes_after_earlier_answers() {
    let server = local();
    for bad in [&[0, 0][..], &[0, 11, 1, 2, 3]] {
        let mut client = tcp_client(&server);
        client
            .write_all(&[&framed(&query(1, b"q")), bad].concat())
            .unwrap();
        assert_eq!(read_id(&mut client), (1, 13));
        assert_closed(&mut client);
    }
    assert_eq!(server.totals().tcp_closed(CloseReason::BadMessage), 2);
}

#[test]
fn slow_reader_is_no_longer_read_and_others_are_answered() {
    let server = local();
    let mut slow = tcp_client(&server);
    slow.set_nonblocking(true).unwrap();
    let chunk: Vec<u8> = (0..500).flat_map(|id| framed(&query(id, &[BIG]))).collect();
    // It asks for some 300 MB and reads nothing, until no more of its queries are taken.
    let (mut asked, mut at, mut refused) = (0, 0, 0);
    while refused < 200 && asked < 500_000 {
        match slow.write(&chunk[at..]) {
            Ok(written) => {
                at = (at + written) % chunk.len();
                asked += written;
                refused = 0;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                refused += 1;
            }
        }
        // Others go on meanwhile.
        ask_udp(&udp_client(server.local_address()), 1);
    }
    ask_tcp(&mut tcp_client(&server), 2);
    // What was answered lies in the kernel's buffers (at most some 10 MB) and in our own.
    let answered = server.totals().queries_tcp as usize * BIG_BYTES;
    assert!(answered < 64 << 20, "{answered} octets answered to nobody");
    // And it gets what it asked for once it reads.
    slow.set_nonblocking(false).unwrap();
    let messages = (TCP_PENDING_BYTES_MAX / BIG_BYTES + 100).min(asked / 15);
    for id in 0..messages {
        assert_eq!(read_id(&mut slow), ((id % 500) as u16, BIG_BYTES));
    }
}

#[test]
fn connection_past_the_limit_evicts_the_one_longest_idle() {
    let server = start(&ServeOptions {
        tcp_connections_max: 3,
        ..options(Ipv4Addr::LOCALHOST)
    });
    let mut clients: Vec<_> = (0..3)
        .map(|id| {
            let mut client = tcp_client(&server);
            ask_tcp(&mut client, id);
            client
        })
        .collect();
    ask_tcp(&mut clients[0], 10);
    let mut fourth = tcp_client(&server);
    ask_tcp(&mut fourth, 11);
    assert_closed(&mut clients[1]);
    ask_tcp(&mut clients[0], 12);
    ask_tcp(&mut clients[2], 13);
    ask_tcp(&mut fourth, 14);
    assert_eq!(server.totals().tcp_closed(CloseReason::OwnShare), 1);
}

#[test]
fn idle_connection_is_closed_even_where_octets_drip() {
    let idle = Duration::from_millis(200);
    let server = start(&ServeOptions {
        tcp_idle: idle,
        ..options(Ipv4Addr::LOCALHOST)
    });
    let mut silent = tcp_client(&server);
    let mut dripping = tcp_client(&server);
    dripping.write_all(&[0, 100]).unwrap();
    let begin = Instant::now();
    let closed = || server.totals().tcp_closed(CloseReason::Idle);
    wait_until("both closed", || {
        let _ = (&dripping).write(&[0]);
        // A tenth of the time limit between two octets, without missing the end of it.
        let _ = silent.set_read_timeout(Some(idle / 10));
        let _ = (&silent).read(&mut [0]);
        closed() == 2
    });
    assert!(begin.elapsed() >= idle);
    assert!(begin.elapsed() < idle * 10);
    assert_closed(&mut silent);
}

#[test]
fn panic_costs_one_batch_and_not_the_worker() {
    let server = local();
    let client = udp_client(server.local_address());
    ask_udp(&client, 1);
    for restarts in 1..4 {
        client.send(&query(2, &[PANIC])).unwrap();
        wait_until("restart", || server.totals().worker_restarts == restarts);
        ask_udp(&client, 3);
        ask_tcp(&mut tcp_client(&server), 4);
    }
}

#[test]
fn second_server_on_the_same_port_is_refused_with_the_cure() {
    let server = local();
    let published: Published = Arc::new(ArcSwapOption::empty());
    let second = ServeOptions::new(server.local_address());
    let error = Server::start(&second, &published, |_| Echo).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, ServeError::AddressInUse(_)));
    let address = server.local_address();
    assert!(text.starts_with(&format!(
        "cannot bind {address}: address already in use; stop"
    )));
    // And once the first has gone, even with connections in TIME_WAIT, the port is free.
    let mut client = tcp_client(&server);
    ask_tcp(&mut client, 1);
    server.stop();
    assert_closed(&mut client);
    Server::start(&second, &published, |_| Echo).unwrap();
}

#[test]
fn address_of_no_interface_is_refused_with_the_cure() {
    let published: Published = Arc::new(ArcSwapOption::empty());
    let error = Server::start(&options([192, 0, 2, 1]), &published, |_| Echo)
        .err()
        .unwrap();
    assert!(error.to_string().contains("set Listener"), "{error}");
}

#[test]
fn stop_joins_idle_and_busy_workers_within_a_second() {
    let server = start(&ServeOptions {
        workers: 4,
        ..options(Ipv4Addr::LOCALHOST)
    });
    let mut client = tcp_client(&server);
    ask_tcp(&mut client, 1);
    server.waker()();
    ask_udp(&udp_client(server.local_address()), 2);
    let stats = server.stats();
    let begin = Instant::now();
    server.stop();
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_closed(&mut client);
    assert_eq!(stats.totals().tcp_closed(CloseReason::Stopped), 1);
}

mod crowded;
mod listeners;
mod managed;
