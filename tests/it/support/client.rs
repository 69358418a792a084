//! A small DNS client of the tests' own: it writes queries octet by octet and decodes answers with
//! hickory-proto, so that an error of ours cannot hide in both directions.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const SOA: u16 = 6;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
pub const ANY: u16 = 255;

/// The id of every query; the answer must bring it back.
pub const ID: u16 = 0x5a17;

/// A query of one question, RD set. `name` as in a zone file, with or without its final dot.
pub fn query(name: &str, rtype: u16) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend(ID.to_be_bytes());
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).expect("a label of the test is short"));
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(rtype.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// The same query with an OPT record (RFC 6891, 6.1.2).
pub fn with_edns(mut message: Vec<u8>, size_bytes: u16, version: u8, dnssec_ok: bool) -> Vec<u8> {
    message[11] += 1;
    message.extend([0, 0, 41]);
    message.extend(size_bytes.to_be_bytes());
    message.extend([0, version, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    message
}

pub struct Client {
    server: SocketAddr,
    udp: UdpSocket,
}

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        let from: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        Self::at(from, server)
    }

    /// With another address than most have.
    pub fn at(from: IpAddr, server: SocketAddr) -> Self {
        let udp = UdpSocket::bind((from, 0)).expect("a port on loopback");
        udp.connect(server).expect("loopback has a route");
        udp.set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout above zero");
        Self { server, udp }
    }

    /// One datagram there and one back; `None` where nothing comes.
    pub fn try_udp(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.udp.send(message).ok()?;
        self.receive()
    }

    pub fn udp(&self, message: &[u8]) -> Vec<u8> {
        self.try_udp(message).expect("an answer over UDP")
    }

    pub fn ask(&self, name: &str, rtype: u16) -> Message {
        decode(&self.udp(&query(name, rtype)))
    }

    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.server).expect("a TCP connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout above zero");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Connection { stream }
    }

    pub fn tcp(&self, message: &[u8]) -> Vec<u8> {
        let mut connection = self.connect();
        connection.send(message);
        connection.receive().expect("an answer over TCP")
    }

    /// Both transports give the same records; returns the answer over TCP.
    pub fn ask_both(&self, name: &str, rtype: u16) -> Message {
        let (udp, tcp) = (
            self.ask(name, rtype),
            decode(&self.tcp(&query(name, rtype))),
        );
        assert_eq!(
            udp.metadata.response_code, tcp.metadata.response_code,
            "{name}"
        );
        assert_eq!(records(&udp), records(&tcp), "{name}");
        tcp
    }

    /// The data of all answers, which only TCP is sure to have.
    pub fn ask_tcp_data(&self, name: &str, rtype: u16) -> BTreeSet<String> {
        decode(&self.tcp(&query(name, rtype)))
            .answers
            .iter()
            .map(|record| record.data.to_string())
            .collect()
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The next datagram that comes; `None` where none does.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        let length = self.udp.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    /// The same, where it comes within a moment.
    pub fn receive_soon(&self) -> Option<Vec<u8>> {
        let wait = |time| self.udp.set_read_timeout(Some(time));
        wait(Duration::from_millis(20)).expect("a timeout above zero");
        let received = self.receive();
        wait(Duration::from_secs(5)).expect("a timeout above zero");
        received
    }

    /// Sends a datagram and waits for nothing.
    pub fn send_udp(&self, message: &[u8]) {
        self.udp.send(message).expect("loopback takes it");
    }

    /// The same, where nobody may be listening.
    pub fn send_if_taken(&self, message: &[u8]) -> bool {
        self.udp.send(message).is_ok()
    }

    pub fn rcode(&self, name: &str, rtype: u16) -> ResponseCode {
        self.ask(name, rtype).metadata.response_code
    }

    /// The addresses of a name, sorted.
    pub fn addresses(&self, name: &str) -> Vec<Ipv4Addr> {
        let answer = self.ask(name, A);
        let mut found: Vec<_> = answer
            .answers
            .iter()
            .map(|record| record.data.to_string().parse().expect("an address"))
            .collect();
        found.sort();
        found
    }
}

pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub fn send(&mut self, message: &[u8]) {
        self.send_octets(&framed(message));
    }

    pub fn send_octets(&mut self, octets: &[u8]) {
        self.stream
            .write_all(octets)
            .expect("the connection is open");
    }

    /// The next answer; `None` where the server closed.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut message).ok()?;
        Some(message)
    }
}

/// A message with its length in front (RFC 1035, 4.2.2).
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message of the test is short");
    [&length.to_be_bytes(), message].concat()
}

pub fn decode(octets: &[u8]) -> Message {
    let message = Message::from_vec(octets).expect("an answer that decodes");
    assert_eq!(message.metadata.id, ID);
    message
}

/// Every record of the three sections as text, each section sorted.
pub fn records(message: &Message) -> [Vec<String>; 3] {
    [&message.answers, &message.authorities, &message.additionals].map(|section| {
        let mut texts: Vec<_> = section.iter().map(ToString::to_string).collect();
        texts.sort();
        texts
    })
}
