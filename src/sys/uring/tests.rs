//! Tests of `uring`, and of nothing where the kernel forbids it.

use super::*;
use crate::sys::mmsg::{self, tests::servers_of_every_kind};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(5);

fn client_of(server: &UdpSocket) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// A server's socket with a ring on it, a client, and a descriptor that is watched.
fn pair() -> Option<(UdpSocket, UdpSocket, UdpSocket, Ring)> {
    if let Err(unavailable) = probe() {
        eprintln!("not tested: {unavailable}");
        return None;
    }
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let watched = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = client_of(&server);
    let ring = Ring::open(&[server.as_fd()], watched.as_fd()).unwrap();
    Some((server, client, watched, ring))
}

/// Receives until a batch has something.
fn receive(ring: &mut Ring) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let count = ring.receive(Some(PATIENCE)).unwrap();
        if count > 0 {
            return count;
        }
        assert!(Instant::now() < deadline, "nothing came");
    }
}

/// Answers every query of a batch with itself.
fn echo(ring: &mut Ring, count: usize) {
    for place in 0..count {
        let datagram = ring.datagram(place).unwrap();
        let bytes = datagram.query.len().min(UDP_EDNS_BYTES_MAX);
        datagram.response[..bytes].copy_from_slice(&datagram.query[..bytes]);
        ring.queue(place, bytes);
    }
}

#[test]
fn nothing_is_there_until_the_time_is_over() {
    let Some((_server, _client, _watched, mut ring)) = pair() else {
        return;
    };
    let begin = Instant::now();
    assert_eq!(ring.receive(Some(Duration::from_millis(30))).unwrap(), 0);
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert!(!ring.take_ready());
    assert!(ring.datagram(0).is_none());
}

/// More rounds than there are buffers, so that each is used many times.
#[test]
fn answers_go_to_their_askers_round_after_round() {
    let Some((server, _, _watched, mut ring)) = pair() else {
        return;
    };
    let clients: Vec<_> = (0..3).map(|_| client_of(&server)).collect();
    for round in 0..200_u8 {
        for (number, client) in clients.iter().enumerate() {
            for part in 0..5 {
                client.send(&[round, number as u8, part]).unwrap();
            }
        }
        let mut answered = 0;
        while answered < 15 {
            let count = receive(&mut ring);
            answered += count;
            echo(&mut ring, count);
        }
        assert_eq!(ring.receive(Some(Duration::ZERO)).unwrap(), 0);
        for (number, client) in clients.iter().enumerate() {
            for part in 0..5 {
                let mut answer = [0; 8];
                assert_eq!(client.recv(&mut answer).unwrap(), 3);
                assert_eq!(answer[..3], [round, number as u8, part]);
            }
        }
    }
    let sent = ring.take_sent();
    assert_eq!((sent.sent, sent.errors), (200 * 15, 0));
}

/// Twice as many as there are buffers: the receive ends for want of one, and begins again.
#[test]
fn more_than_the_buffers_hold_is_not_lost() {
    let Some((server, client, _watched, mut ring)) = pair() else {
        return;
    };
    let wanted = 2 * URING_BUFFERS;
    let server = socket2::SockRef::from(&server);
    server.set_recv_buffer_size(4 << 20).unwrap();
    for number in 0..wanted as u16 {
        client.send(&number.to_be_bytes()).unwrap();
    }
    let mut numbers = Vec::new();
    while numbers.len() < wanted {
        let count = receive(&mut ring);
        assert!(count <= UDP_BATCH_DATAGRAMS);
        for place in 0..count {
            let octets = ring.query_octets(place).unwrap();
            numbers.push(u16::from_be_bytes(octets.try_into().unwrap()));
        }
    }
    assert!(numbers.into_iter().eq(0..wanted as u16));
    assert_eq!(ring.take_receive_errors(), 0);
}

#[test]
fn datagram_of_the_largest_size_is_whole_and_one_more_octet_is_not() {
    let Some((_server, client, _watched, mut ring)) = pair() else {
        return;
    };
    let sizes = [
        (UDP_QUERY_BYTES_MAX, UDP_QUERY_BYTES_MAX, false),
        (UDP_QUERY_BYTES_MAX + 1, UDP_QUERY_BYTES_MAX, true),
        (0, 0, false),
    ];
    for (sent, read, cut) in sizes {
        client.send(&vec![1; sent]).unwrap();
        assert_eq!(receive(&mut ring), 1);
        let datagram = ring.datagram(0).unwrap();
        assert_eq!((datagram.query.len(), datagram.truncated), (read, cut));
    }
}

#[test]
fn watched_descriptor_wakes_and_is_watched_again() {
    let Some((_server, _client, watched, mut ring)) = pair() else {
        return;
    };
    let waker = client_of(&watched);
    for round in 0..3 {
        waker.send(&[round]).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !ring.take_ready() {
            assert!(Instant::now() < deadline, "not woken in round {round}");
            assert_eq!(ring.receive(Some(PATIENCE)).unwrap(), 0);
        }
        let mut octets = [0; 8];
        watched.recv(&mut octets).unwrap();
        // It may have been asked for before it was read.
        while ring.receive(Some(Duration::from_millis(1))).unwrap() > 0 || ring.take_ready() {}
    }
}

#[test]
fn refused_answer_is_counted_and_does_not_hold_up_the_others() {
    let Some((_server, client, _watched, mut ring)) = pair() else {
        return;
    };
    for number in 0..3_u8 {
        client.send(&[number]).unwrap();
        assert_eq!(receive(&mut ring), 1);
        if number == 1 {
            let message = ring.message(0).unwrap();
            // SAFETY: a message of the batch, to which nothing else refers now; octets 2 and 3 of an
            // address are its port, and port 0 cannot be sent to.
            unsafe { (&mut (*message).peer)[2..4].fill(0) };
        }
        echo(&mut ring, 1);
    }
    assert_eq!(ring.receive(Some(Duration::ZERO)).unwrap(), 0);
    let sent = ring.take_sent();
    assert_eq!((sent.sent, sent.errors), (2, 1));
    let mut answer = [0; 8];
    assert_eq!((client.recv(&mut answer).unwrap(), answer[0]), (1, 0));
    assert_eq!((client.recv(&mut answer).unwrap(), answer[0]), (1, 2));
}

/// A send buffer that holds one answer, and a peer that is slow to read it.
#[test]
fn answer_that_finds_no_room_is_sent_later_or_counted() {
    let Some((server, client, _watched, mut ring)) = pair() else {
        return;
    };
    let socket = socket2::SockRef::from(&server);
    socket.set_send_buffer_size(1).unwrap();
    for number in 0..50_u8 {
        client.send(&[number; 500]).unwrap();
    }
    let mut answered = 0;
    while answered < 50 {
        let count = receive(&mut ring);
        answered += count;
        echo(&mut ring, count);
    }
    assert_eq!(ring.receive(Some(Duration::ZERO)).unwrap(), 0);
    let sent = ring.take_sent();
    assert_eq!(sent.sent + sent.errors, 50, "{sent:?}");
    client.set_nonblocking(true).unwrap();
    let mut octets = [0; 600];
    let heard = std::iter::from_fn(|| client.recv(&mut octets).ok()).count();
    assert_eq!(heard as u64, sent.sent);
}

#[test]
fn address_that_was_asked_is_the_one_that_answers() {
    if pair().is_none() {
        return;
    }
    let servers = servers_of_every_kind();
    let watched = UdpSocket::bind("127.0.0.1:0").unwrap();
    let descriptors: Vec<_> = servers.iter().map(AsFd::as_fd).collect();
    let mut ring = Ring::open(&descriptors, watched.as_fd()).unwrap();
    for round in 0..6_u8 {
        for (kind, server) in servers.iter().enumerate() {
            let client = mmsg::tests::client_of(server, kind, round);
            client.send(&[round, kind as u8]).unwrap();
            assert_eq!(receive(&mut ring), 1);
            let peer = ring.datagram(0).unwrap().peer;
            assert_eq!(peer, client.local_addr().unwrap().ip());
            echo(&mut ring, 1);
            assert_eq!(ring.receive(Some(Duration::ZERO)).unwrap(), 0);
            let mut answer = [0; 8];
            assert_eq!(client.recv(&mut answer).unwrap(), 2);
            assert_eq!(answer[..2], [round, kind as u8]);
        }
    }
}

#[test]
fn what_came_before_the_stop_is_given_and_the_rest_stays_in_the_socket() {
    let Some((server, client, _watched, mut ring)) = pair() else {
        return;
    };
    // Armed, so that the first is taken by the ring.
    assert_eq!(ring.receive(Some(Duration::ZERO)).unwrap(), 0);
    client.send(b"before").unwrap();
    ring.stop_receiving().unwrap();
    client.send(b"after").unwrap();
    let mut texts = Vec::new();
    while let count @ 1.. = ring.receive(None).unwrap() {
        texts.extend((0..count).map(|place| ring.query_octets(place).unwrap().to_vec()));
    }
    drop(ring);
    server.set_nonblocking(true).unwrap();
    let mut octets = [0; 16];
    while let Ok(bytes) = server.recv(&mut octets) {
        texts.push(octets[..bytes].to_vec());
    }
    assert_eq!(texts, [&b"before"[..], b"after"]);
}

/// The port is free as soon as ring and socket are gone, whatever the kernel still clears up.
#[test]
fn socket_is_closed_when_ring_and_socket_are_dropped() {
    for _ in 0..20 {
        let Some((server, client, _watched, mut ring)) = pair() else {
            return;
        };
        client.send(b"?").unwrap();
        receive(&mut ring);
        let address = server.local_addr().unwrap();
        drop(ring);
        drop(server);
        UdpSocket::bind(address).unwrap();
    }
}

#[test]
fn a_ring_refuses_what_the_engine_never_asks() {
    let Some((server, _client, _watched, mut ring)) = pair() else {
        return;
    };
    let nothing = io_uring::opcode::Nop::new().build();
    assert!(ring.push(nothing.user_data(Job::Send.with(0))));
    assert_eq!(ring.receive(Some(Duration::ZERO)).unwrap(), 0);
    assert_eq!(ring.take_sent().errors, 1);
    // Nor is anything registered that the engine does not.
    let refused = ring.ring.submitter().register_eventfd(server.as_raw_fd());
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EACCES));
}
