//! TCP connections where there are more than places: whose goes, and what keeps one open.

use socket2::{Domain, Socket, Type};

use super::*;

const NEVER: Duration = Duration::from_secs(3_600);

/// A connection of another client of this host, by the last octet of its address.
fn client_from(server: &Server, last: u8) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = SocketAddr::from(([127, 0, 0, last], 0));
    socket.bind(&from.into()).unwrap();
    socket.connect(&server.local_address().into()).unwrap();
    let client = TcpStream::from(socket);
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

fn asked_from(server: &Server, last: u8) -> TcpStream {
    let mut client = client_from(server, last);
    ask_tcp(&mut client, last.into());
    client
}

fn with_places(places: usize) -> Server {
    start(&ServeOptions {
        tcp_connections_max: places,
        tcp_idle: NEVER,
        ..options(Ipv4Addr::LOCALHOST)
    })
}

#[test]
fn client_that_floods_closes_its_own_connections_and_nobody_elses() {
    let server = with_places(8);
    let mut honest: Vec<_> = [2, 3, 4].map(|last| asked_from(&server, last)).into();
    let mut flood: Vec<_> = (0..5).map(|_| asked_from(&server, 9)).collect();
    // All places are taken, and the honest ones were idle for longest.
    for _ in 0..50 {
        flood.push(asked_from(&server, 9));
    }
    honest.iter_mut().for_each(|client| ask_tcp(client, 1));
    let totals = server.totals();
    assert_eq!(totals.tcp_closed(CloseReason::OwnShare), 50);
    assert_eq!(totals.tcp_closed(CloseReason::Evicted), 0);
    // Its newest are open; the oldest are not.
    assert_closed(&mut flood[0]);
    ask_tcp(&mut flood[54], 2);
    // Others who come find a place, until all have as many.
    for last in 5..9 {
        honest.push(asked_from(&server, last));
    }
    assert_eq!(server.totals().tcp_closed(CloseReason::Evicted), 4);
    honest.iter_mut().for_each(|client| ask_tcp(client, 3));
    ask_tcp(&mut flood[54], 4);
    assert_eq!(server.totals().tcp_open(), 8);
}

#[test]
fn where_nobody_has_two_the_one_longest_idle_goes() {
    let server = with_places(3);
    let mut clients = [2, 3, 4].map(|last| asked_from(&server, last));
    ask_tcp(&mut clients[0], 1);
    let mut fourth = asked_from(&server, 5);
    assert_closed(&mut clients[1]);
    for client in [0, 2] {
        ask_tcp(&mut clients[client], 2);
    }
    // Who has as many as another loses its own: they do not push each other out.
    let again = [5, 5].map(|last| asked_from(&server, last));
    assert_closed(&mut fourth);
    ask_tcp(&mut clients[0], 3);
    drop(again);
    let totals = server.totals();
    assert_eq!(totals.tcp_closed(CloseReason::Evicted), 1);
    assert_eq!(totals.tcp_closed(CloseReason::OwnShare), 2);
}

#[test]
fn connection_in_use_is_closed_after_its_life_and_loses_no_answer() {
    let server = start(&ServeOptions {
        tcp_idle: NEVER,
        tcp_lifetime: Duration::from_millis(100),
        ..options(Ipv4Addr::LOCALHOST)
    });
    let mut client = tcp_client(&server);
    let deadline = Instant::now() + DEADLINE;
    let mut answers = 0;
    // One query at a time: none is sent that a close could cross but the last.
    while server.totals().tcp_closed(CloseReason::Lifetime) == 0 {
        assert!(Instant::now() < deadline, "{answers} answers and no end");
        let mut length = [0; 2];
        let sent = client.write_all(&framed(&query(answers, b"q")));
        if sent.and_then(|()| client.read_exact(&mut length)).is_ok() {
            let mut answer = [0; 13];
            client.read_exact(&mut answer).unwrap();
            answers = answers.wrapping_add(1);
        }
    }
    let totals = server.totals();
    assert!(totals.queries_tcp > 0);
    assert_eq!(u64::from(answers), totals.queries_tcp);
}

#[test]
fn client_that_takes_its_answers_octet_by_octet_is_cut_off() {
    let server = start(&ServeOptions {
        tcp_idle: Duration::from_millis(300),
        ..options(Ipv4Addr::LOCALHOST)
    });
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // The window that it offers: what the kernels hold between the two is small.
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.connect(&server.local_address().into()).unwrap();
    let mut slow = TcpStream::from(socket);
    slow.set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    slow.set_nonblocking(true).unwrap();
    let chunk: Vec<u8> = (0..200).flat_map(|id| framed(&query(id, &[BIG]))).collect();
    let _ = slow.write(&chunk);
    slow.set_nonblocking(false).unwrap();
    wait_until("it is cut off", || {
        let _ = (&slow).read(&mut [0]);
        server.totals().tcp_closed(CloseReason::Idle) == 1
    });
}
