//! Tests of `mmsg`.

use super::*;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

fn pair() -> (UdpSocket, UdpSocket, Batch) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    (server, client, Batch::new())
}

#[test]
fn empty_socket_would_block() {
    let (server, _client, mut batch) = pair();
    let error = batch.receive(server.as_fd()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(batch.datagram(0).is_none());
}

#[test]
fn answers_go_to_their_askers_and_skipped_ones_to_nobody() {
    let (server, client, mut batch) = pair();
    for round in 0..3_u8 {
        for number in 0..70_u8 {
            client.send(&[round, number]).unwrap();
        }
        let mut numbers = Vec::new();
        while let Ok(count) = batch.receive(server.as_fd()) {
            for index in 0..count {
                let datagram = batch.datagram(index).unwrap();
                assert!(!datagram.truncated);
                datagram.response[..2].copy_from_slice(datagram.query);
                if datagram.query[1] % 2 == 0 {
                    batch.queue(index, 2);
                }
            }
            let sent = batch.send(server.as_fd());
            assert_eq!((sent.short, sent.errors), (0, 0));
            numbers.extend((0..sent.sent).map(|_| {
                let mut answer = [0; 8];
                assert_eq!(client.recv(&mut answer).unwrap(), 2);
                assert_eq!(answer[0], round);
                answer[1]
            }));
        }
        let even: Vec<u8> = (0..70).filter(|number| number % 2 == 0).collect();
        assert_eq!(numbers, even);
    }
}

#[test]
fn datagram_of_the_largest_size_is_whole_and_one_more_octet_is_not() {
    let (server, client, mut batch) = pair();
    client.send(&[1; UDP_QUERY_BYTES_MAX]).unwrap();
    client.send(&[2; UDP_QUERY_BYTES_MAX + 1]).unwrap();
    client.send(&[]).unwrap();
    assert_eq!(batch.receive(server.as_fd()).unwrap(), 3);
    let whole = batch.datagram(0).unwrap();
    assert_eq!(
        (whole.query.len(), whole.truncated),
        (UDP_QUERY_BYTES_MAX, false)
    );
    let cut = batch.datagram(1).unwrap();
    assert_eq!(
        (cut.query.len(), cut.truncated),
        (UDP_QUERY_BYTES_MAX, true)
    );
    let empty = batch.datagram(2).unwrap();
    assert_eq!((empty.query.len(), empty.truncated), (0, false));
}

#[test]
fn refused_datagram_does_not_hold_up_the_others() {
    let (server, client, mut batch) = pair();
    for number in 0..3_u8 {
        client.send(&[number]).unwrap();
    }
    assert_eq!(batch.receive(server.as_fd()).unwrap(), 3);
    for index in 0..3 {
        let datagram = batch.datagram(index).unwrap();
        datagram.response[0] = datagram.query[0];
        batch.queue(index, 1);
    }
    // Port 0 cannot be sent to: the kernel refuses this one alone.
    // SAFETY: an address of the arena, which nothing else refers to now.
    unsafe { (*batch.peer(1)).sin6_port = 0 };
    let sent = batch.send(server.as_fd());
    assert_eq!((sent.sent, sent.errors), (2, 1));
    let mut answer = [0; 8];
    assert_eq!((client.recv(&mut answer).unwrap(), answer[0]), (1, 0));
    assert_eq!((client.recv(&mut answer).unwrap(), answer[0]), (1, 2));
}

/// One batch in turn on sockets of both families, with the address asked and without it.
#[test]
fn one_batch_answers_on_sockets_of_every_kind() {
    let mut batch = Batch::new();
    let servers = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"];
    let servers = servers.map(|bound| UdpSocket::bind(bound).unwrap());
    socket::receive_destination_ipv4(&servers[1]).unwrap();
    socket::receive_destination_ipv6(&servers[3]).unwrap();
    for round in 0..6_u8 {
        for (kind, server) in servers.iter().enumerate() {
            let port = server.local_addr().unwrap().port();
            // A connected client hears the address that it asked and no other.
            let (from, to) = match kind {
                0 => ("127.0.0.1:0", "127.0.0.1"),
                1 => ("127.0.0.1:0", "127.0.0.2"),
                3 if round % 2 == 0 => ("127.0.0.1:0", "127.0.0.3"),
                _ => ("[::1]:0", "::1"),
            };
            let client = UdpSocket::bind(from).unwrap();
            client.connect((to, port)).unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            client.send(&[round, kind as u8]).unwrap();
            assert_eq!(batch.receive(server.as_fd()).unwrap(), 1);
            let datagram = batch.datagram(0).unwrap();
            assert_eq!(datagram.peer, client.local_addr().unwrap().ip());
            datagram.response[..2].copy_from_slice(datagram.query);
            batch.queue(0, 2);
            assert_eq!(batch.send(server.as_fd()).sent, 1);
            let mut answer = [0; 8];
            assert_eq!(client.recv(&mut answer).unwrap(), 2);
            assert_eq!(answer[..2], [round, kind as u8]);
        }
    }
}
