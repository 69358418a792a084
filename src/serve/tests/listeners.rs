//! Tests of a server with several listeners.

use std::thread;

use super::*;

#[test]
fn several_listeners_have_one_port_and_answer_on_both_transports() {
    let ips: [IpAddr; 3] = [
        Ipv6Addr::LOCALHOST.into(),
        Ipv4Addr::LOCALHOST.into(),
        [127, 0, 0, 2].into(),
    ];
    let server = start(&ServeOptions {
        workers: 2,
        engine: engine(),
        ..ServeOptions::at(ips.into(), 0)
    });
    let port = server.local_address().port();
    assert_eq!(
        server.local_addresses(),
        ips.map(|ip| SocketAddr::new(ip, port))
    );
    for &address in server.local_addresses() {
        let client = udp_client(address);
        let mut stream = TcpStream::connect(address).unwrap();
        for id in 0..50 {
            ask_udp(&client, id);
            ask_tcp(&mut stream, id);
        }
    }
}

#[test]
fn flood_of_datagrams_starves_neither_tcp_nor_another_listener() {
    let ips = [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]].map(IpAddr::from);
    let server = start(&ServeOptions {
        workers: 1,
        engine: engine(),
        ..ServeOptions::at(ips.into(), 0)
    });
    let port = server.local_address().port();
    let (flooding, begin) = (AtomicBool::new(true), Instant::now());
    thread::scope(|scope| {
        for ip in &ips[..2] {
            scope.spawn(|| {
                let client = udp_client(SocketAddr::new(*ip, port));
                // The deadline is for a failure below, which would leave nobody to stop it.
                while flooding.load(Ordering::Relaxed) && begin.elapsed() < 3 * DEADLINE {
                    let _ = client.send(&query(1, b"flood"));
                }
            });
        }
        wait_until("flood", || server.totals().queries_udp > 5_000);
        let before = server.totals().queries_udp;
        let mut client = tcp_client(&server);
        let other = udp_client(SocketAddr::new(ips[2], port));
        for id in 0..20 {
            ask_tcp(&mut client, id);
            ask_udp(&other, id);
        }
        wait_until("flood goes on", || server.totals().queries_udp > before);
        flooding.store(false, Ordering::Relaxed);
    });
}
