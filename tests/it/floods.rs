//! Floods of one client, and of addresses that do not exist, against the real program with few files to
//! open: UDP goes on, others find a place, and all that was taken is given back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use hickory_proto::op::ResponseCode;
use rollcall::sys::descriptors;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use crate::forwarding::forwarding;
use crate::metrics::Samples;
use crate::support::client::{A, Client, SOA, decode, framed, query};
use crate::support::master::{Behaviour, Master};
use crate::support::namespace::{self, run};
use crate::support::process::{Rollcall, free_address};
use crate::support::resolver::Resolver;
use crate::support::state::State;
use crate::support::{DEADLINE, wait_until};

/// So few that a flood reaches its bounds at once.
const FILES_MAX: u32 = 160;
const FLOOD: usize = 2_000;

fn cluster() -> (Master, Rollcall) {
    let master = Master::start(|leader| Behaviour::Serve(State::new(leader).text()));
    let settings = json!({"RefreshSeconds": 3600, "Source": "poll", "Workers": 1});
    let rollcall = Rollcall::serving_within(FILES_MAX, &[master.address()], settings);
    (master, rollcall)
}

/// A connection of another client of this host, by the last octet of its address.
fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::from(([127, 0, 0, last], 0));
    socket.bind(&from.into()).expect("an address of this host");
    socket.connect(&to.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Asks over TCP and waits for the answer.
fn ask(stream: &mut TcpStream) {
    stream
        .write_all(&framed(&query("mesos", SOA)))
        .expect("open");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("an answer");
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(
        decode(&answer).metadata.response_code,
        ResponseCode::NoError
    );
}

/// Each of them begins a message and never ends it.
#[test]
fn thousands_of_connections_of_one_client_keep_nobody_else_from_being_answered() {
    descriptors::raise_limit().expect("it may");
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    rollcall.get("/healthz");
    let files_before = rollcall.open_files();
    let mut kept = connect_from(2, rollcall.dns_address());
    ask(&mut kept);
    let mut flood = Vec::new();
    for number in 0..FLOOD {
        let mut slow = connect_from(9, rollcall.dns_address());
        // It may be closed by now.
        let _ = slow.write_all(&[0]);
        flood.push(slow);
        if number % 100 == 0 {
            assert_eq!(client.rcode("mesos", SOA), ResponseCode::NoError);
            ask(&mut connect_from(3, rollcall.dns_address()));
        }
        if number % 500 == 499 {
            // Idle for longer than any of the flood's that are left.
            ask(&mut kept);
        }
    }
    let samples = Samples::of(&rollcall);
    let closed = |reason| {
        samples.get(&format!(
            "rollcall_tcp_connections_closed_total{{reason=\"{reason}\"}}"
        ))
    };
    let open = samples.get("rollcall_tcp_connections");
    assert!(open <= f64::from(FILES_MAX / 4), "{open}");
    assert!(closed("own_share") > 1_000.0);
    assert_eq!(samples.get("rollcall_tcp_accept_errors_total"), 0.0);
    drop((flood, kept));
    wait_until("files as before", || rollcall.open_files() <= files_before);
}

#[test]
fn flood_of_http_connections_leaves_dns_and_other_clients_answered() {
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    rollcall.get("/healthz");
    let files_before = rollcall.open_files();
    let flood: Vec<_> = (0..FLOOD / 4)
        .map(|number| {
            let mut slow = connect_from(9, rollcall.http_address());
            let _ = slow.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ");
            if number % 50 == 0 {
                assert_eq!(rollcall.get("/healthz").0, 200);
                assert_eq!(client.rcode("mesos", SOA), ResponseCode::NoError);
                ask(&mut connect_from(3, rollcall.dns_address()));
            }
            slow
        })
        .collect();
    drop(flood);
    wait_until("files as before", || rollcall.open_files() <= files_before);
}

/// Names of a zone whose resolver is dead: each waits for the whole of Timeout.
#[test]
fn client_that_asks_for_thousands_of_dead_names_leaves_others_their_answers() {
    let good = Resolver::start();
    // It takes what comes, and never reads it.
    let dead = UdpSocket::bind(free_address()).expect("a free port");
    let dead_at = dead.local_addr().expect("an address").to_string();
    let settings = json!({"ZoneResolvers": {"dead.example": [dead_at]}, "Timeout": 30});
    let rollcall = forwarding(&[good.address()], settings);
    let client = rollcall.client();
    let flood = UdpSocket::bind("127.0.0.9:0").expect("an address of this host");
    flood.connect(rollcall.dns_address()).expect("a route");
    flood.set_nonblocking(true).expect("a socket");
    let mut number = 0;
    let asked =
        || Samples::of(&rollcall).get("rollcall_dns_queries_total{transport=\"udp\",type=\"A\"}");
    let before = asked();
    let mut flood_more = |count: u32| {
        for _ in 0..count {
            number += 1;
            flood
                .send(&query(&format!("n{number}.dead.example"), A))
                .expect("room");
            // No buffer of a busy machine overflows.
            if number % 1_000 == 0 {
                wait_until("queries read", || asked() >= before + f64::from(number));
            }
        }
    };
    // While these wait, others would push them out.
    let waiting: Vec<_> = (0..10).map(|_| rollcall.client()).collect();
    for (number, client) in waiting.iter().enumerate() {
        client.send_udp(&query(&format!("late-1500-{number}.example"), A));
    }
    let mut over_tcp = client.connect();
    over_tcp.send(&query("late-1500-tcp.example", A));
    flood_more(10_000);
    // And those who come now find room.
    assert_eq!(client.rcode("web.example", A), ResponseCode::NoError);
    let answers = waiting.iter().map(Client::receive);
    for answer in answers.chain([over_tcp.receive()]) {
        let answer = decode(&answer.expect("an answer"));
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }
    let samples = Samples::of(&rollcall);
    assert!(samples.get("rollcall_forward_over_share_total") > 5_000.0);
    assert_eq!(samples.get("rollcall_forward_overflows_total"), 0.0);
}

/// More half-open connections than the kernel keeps for a listener, of addresses that never answer: it
/// goes over to SYN cookies, and the program sees none of them.
#[test]
fn syn_flood_of_spoofed_addresses_costs_the_program_nothing() {
    let name = "floods::syn_flood_of_spoofed_addresses_costs_the_program_nothing";
    if !namespace::enter(name, &["--net"]) {
        return;
    }
    run("ip link set lo up");
    // What is sent to them goes out and comes to nobody.
    run("ip route add 10.0.0.0/8 dev lo");
    let (_master, rollcall) = cluster();
    let client = rollcall.client();
    rollcall.get("/healthz");
    let files_before = rollcall.open_files();
    let raw = Socket::new(
        Domain::IPV4,
        Type::from(RAW),
        Some(Protocol::from(IPPROTO_RAW)),
    );
    let Ok(raw) = raw else {
        eprintln!("passed over: this process may not send packets of its own making");
        return;
    };
    let to = rollcall.dns_address();
    let SocketAddr::V4(server) = to else {
        panic!("{to} is not of IPv4");
    };
    for number in 0..20_000_u32 {
        let from = Ipv4Addr::from_bits(0x0a00_0001 + number);
        let packet = syn(
            from,
            1024 + (number % 60_000) as u16,
            *server.ip(),
            server.port(),
        );
        raw.send_to(&packet, &to.into()).expect("sent");
        if number % 1_000 == 0 {
            assert_eq!(client.rcode("mesos", SOA), ResponseCode::NoError);
            ask(&mut connect_from(2, to));
        }
    }
    assert!(syn_cookies() > 1_000, "{} cookies", syn_cookies());
    let samples = Samples::of(&rollcall);
    assert!(samples.get("rollcall_tcp_connections_accepted_total") < 100.0);
    wait_until("files as before", || rollcall.open_files() <= files_before);
}

/// A packet that asks for a connection (RFC 791, RFC 9293).
fn syn(from: Ipv4Addr, port: u16, to: Ipv4Addr, to_port: u16) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(port.to_be_bytes());
    tcp.extend(to_port.to_be_bytes());
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 2, 0xff, 0xff, 0, 0, 0, 0]);
    let mut summed = [from.octets(), to.octets()].concat();
    summed.extend([0, 6, 0, 20]);
    summed.extend(&tcp);
    let sum: u32 = summed
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    // The kernel fills in length and checksum of the header.
    let mut packet = vec![0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(tcp);
    packet
}

/// How many connections this network has answered with a cookie in place of a place.
fn syn_cookies() -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").expect("/proc/net");
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut both = names.split(' ').zip(values.split(' '));
    let (_, value) = both
        .find(|(name, _)| *name == "SyncookiesSent")
        .expect("a counter");
    value.parse().expect("a number")
}

/// SOCK_RAW and IPPROTO_RAW of Linux.
const RAW: i32 = 3;
const IPPROTO_RAW: i32 = 255;

/// What a buffer loses while nobody reads it is what the metric says.
#[test]
fn datagrams_lost_in_a_full_buffer_are_those_that_the_kernel_counted() {
    let (_master, rollcall) = cluster();
    let client = Client::new(rollcall.dns_address());
    assert_eq!(client.rcode("mesos", SOA), ResponseCode::NoError);
    let seen = || {
        let samples = Samples::of(&rollcall);
        let received = samples.get("rollcall_dns_queries_total{transport=\"udp\",type=\"SOA\"}");
        (received, samples.get("rollcall_udp_socket_drops"))
    };
    let (received_before, drops_before) = seen();
    rollcall.pause();
    let sender = UdpSocket::bind("127.0.0.9:0").expect("an address of this host");
    sender.connect(rollcall.dns_address()).expect("a route");
    let message = query("mesos", SOA);
    for _ in 0..SENT {
        sender.send(&message).expect("sent");
    }
    rollcall.signal("CONT");
    let mut lost = 0.0;
    wait_until("everything read", || {
        let (received, drops) = seen();
        lost = drops - drops_before;
        received - received_before + lost >= f64::from(SENT)
    });
    let (received, drops) = seen();
    assert_eq!(
        received - received_before + drops - drops_before,
        f64::from(SENT)
    );
    assert!(lost > 1_000.0, "{lost}");
    let shown = rollcall.status()["udp_socket_drops"].as_f64();
    assert_eq!(shown, Some(drops));
    // It is none the worse for it.
    assert_eq!(client.rcode("mesos", SOA), ResponseCode::NoError);
}

/// More than any buffer holds that the program asks for.
const SENT: u32 = 40_000;
