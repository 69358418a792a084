//! Tests of `mmsg`.

use super::*;
use crate::limits::UDP_SEGMENTS_PAUSE_BATCHES;
use crate::sys::socket;
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
    unsafe { (*batch.arena.peer(1)).sin6_port = 0 };
    let sent = batch.send(server.as_fd());
    assert_eq!((sent.sent, sent.errors), (2, 1));
    let mut answer = [0; 8];
    assert_eq!((client.recv(&mut answer).unwrap(), answer[0]), (1, 0));
    assert_eq!((client.recv(&mut answer).unwrap(), answer[0]), (1, 2));
}

/// A client of a server of one of the kinds below. Connected, it hears the address that it asked and
/// no other.
pub fn client_of(server: &UdpSocket, kind: usize, round: u8) -> UdpSocket {
    let port = server.local_addr().unwrap().port();
    let (from, to) = match kind {
        0 => ("127.0.0.1:0", "127.0.0.1"),
        1 => ("127.0.0.1:0", "127.0.0.2"),
        3 if round.is_multiple_of(2) => ("127.0.0.1:0", "127.0.0.3"),
        _ => ("[::1]:0", "::1"),
    };
    let client = UdpSocket::bind(from).unwrap();
    client.connect((to, port)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client
}

/// Bound to one address and to all, in both families.
pub fn servers_of_every_kind() -> [UdpSocket; 4] {
    let servers = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"];
    let servers = servers.map(|bound| UdpSocket::bind(bound).unwrap());
    socket::receive_destination_ipv4(&servers[1]).unwrap();
    socket::receive_destination_ipv6(&servers[3]).unwrap();
    servers
}

/// One batch in turn on sockets of both families, with the address asked and without it.
#[test]
fn one_batch_answers_on_sockets_of_every_kind() {
    let mut batch = Batch::new();
    let servers = servers_of_every_kind();
    for round in 0..6_u8 {
        for (kind, server) in servers.iter().enumerate() {
            let client = client_of(server, kind, round);
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

/// Sends `octets` as datagrams of `segment_bytes` each, in one message.
fn send_segments(client: &UdpSocket, octets: &[u8], segment_bytes: u16) {
    let segments = arena::Segments::of(segment_bytes);
    let mut vector = libc::iovec {
        iov_base: octets.as_ptr().cast_mut().cast(),
        iov_len: octets.len(),
    };
    // SAFETY: zero bits are a value of each field.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = (&raw const segments).cast_mut().cast();
    header.msg_controllen = size_of::<arena::Segments>() as _;
    // SAFETY: everything that the header points to lives across the call.
    let sent = unsafe { libc::sendmsg(client.as_raw_fd(), &raw const header, 0) };
    assert_eq!(sent, octets.len() as isize);
}

/// Again and again 250 queries in two messages: more than a batch has places, and each last one is
/// shorter.
#[test]
fn datagrams_that_come_together_are_answered_each() {
    let (server, client, mut batch) = pair();
    socket::receive_together(&server, true).unwrap();
    for round in 0..4_u8 {
        let numbers = 0..250_u8;
        let octets = numbers
            .clone()
            .flat_map(|number| [number, round, 7, 7, 8, 8])
            .collect::<Vec<u8>>();
        for half in octets.chunks(6 * 125) {
            send_segments(&client, &half[..half.len() - 2], 6);
        }
        let mut counts = Vec::new();
        while let Ok(mut count) = batch.receive(server.as_fd()) {
            while count > 0 {
                for place in 0..count {
                    let datagram = batch.datagram(place).unwrap();
                    let bytes = datagram.query.len();
                    assert!(!datagram.truncated);
                    datagram.response[..bytes].copy_from_slice(datagram.query);
                    batch.queue(place, bytes);
                }
                assert_eq!(batch.send(server.as_fd()).sent, count as u64);
                counts.push(count);
                count = batch.next_places();
            }
        }
        assert_eq!(counts, [64, 64, 64, 58]);
        let mut heard: Vec<u8> = numbers
            .clone()
            .map(|_| {
                let mut answer = [0; 8];
                let bytes = client.recv(&mut answer).unwrap();
                let is_last = [124, 249].contains(&answer[0]);
                assert_eq!(bytes, if is_last { 4 } else { 6 });
                assert_eq!(answer[1..4], [round, 7, 7]);
                answer[0]
            })
            .collect();
        heard.sort_unstable();
        assert!(heard.into_iter().eq(numbers));
    }
}

/// How many messages the answers to these were sent in: pairs of a client and the octets of an answer.
fn messages_for(answers: &[(&UdpSocket, usize)], server: &UdpSocket, batch: &mut Batch) -> usize {
    for (number, (client, _)) in answers.iter().enumerate() {
        client.send(&[number as u8]).unwrap();
    }
    assert_eq!(batch.receive(server.as_fd()).unwrap(), answers.len());
    for (place, (_, bytes)) in answers.iter().enumerate() {
        let datagram = batch.datagram(place).unwrap();
        datagram.response[..*bytes].fill(datagram.query[0]);
        batch.queue(place, *bytes);
    }
    let sent = batch.send(server.as_fd());
    assert_eq!((sent.sent, sent.errors), (answers.len() as u64, 0));
    for (number, (client, bytes)) in answers.iter().enumerate() {
        let mut answer = [0; 2048];
        // Each client hears its own, in the order of their lengths' first appearance.
        assert!(client.recv(&mut answer).unwrap() > 0, "{number}, {bytes}");
    }
    batch.sending.message_count
}

#[test]
fn answers_of_one_length_to_one_peer_are_one_message() {
    for bound in ["127.0.0.1:0", "[::1]:0"] {
        let server = UdpSocket::bind(bound).unwrap();
        let mut batch = Batch::new();
        let clients = [0, 1].map(|_| {
            let client = UdpSocket::bind(bound).unwrap();
            client.connect(server.local_addr().unwrap()).unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            client
        });
        let [one, two] = &clients;
        let cases: [(&[(&UdpSocket, usize)], usize); 5] = [
            (&[(one, 100)], 1),
            (&[(one, 100), (one, 100), (one, 100)], 1),
            (&[(one, 100), (two, 100), (one, 100), (two, 100)], 2),
            (&[(one, 100), (one, 101), (one, 100)], 2),
            // 64 of the largest do not fit in one packet.
            (&[(one, UDP_EDNS_BYTES_MAX); 64], 2),
        ];
        for (answers, messages) in cases {
            assert_eq!(messages_for(answers, &server, &mut batch), messages);
        }
    }
}

/// A socket without checksums, as a kernel without what is needed for it, refuses to cut.
#[test]
fn refused_message_is_sent_one_by_one_and_none_is_tried_for_a_while() {
    let (server, client, mut batch) = pair();
    let off: libc::c_int = 1;
    // SAFETY: the option's value is an int, which lives across the call.
    let set = unsafe {
        libc::setsockopt(
            server.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const off).cast(),
            size_of::<libc::c_int>() as _,
        )
    };
    assert_eq!(set, 0);
    let answers = [(&client, 100); 3];
    assert_eq!(messages_for(&answers, &server, &mut batch), 3);
    assert_eq!(batch.sending.pause_batches, UDP_SEGMENTS_PAUSE_BATCHES);
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    assert_eq!(messages_for(&answers, &server, &mut batch), 3);
    batch.sending.pause_batches = 0;
    assert_eq!(messages_for(&answers, &server, &mut batch), 1);
}
