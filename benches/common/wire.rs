//! What a bench that asks a real server needs: a place for it, and a question.

use std::net::{SocketAddr, TcpListener, UdpSocket};

/// Whose port is free for UDP and TCP.
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(12_000..32_000)));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// For the A records of a name, with the ID 0.
pub fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(rollcall::dns::name::wire_from_text(name).expect("a name"));
    query.extend([0, 1, 0, 1]);
    query
}
