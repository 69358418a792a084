//! Waits for a server that was started. In: its address, and a name that it will know. Out: the moment from
//! which it answers, or a panic where that does not come.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::query;

/// Until a name has an address.
pub fn wait_for(server: SocketAddr, name: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("loopback");
    let wait = Duration::from_millis(20);
    socket.set_read_timeout(Some(wait)).expect("a timeout");
    let end = Instant::now() + Duration::from_secs(60);
    let mut answer = [0; 4_096];
    loop {
        // Nobody listens yet: the kernel says so, at once.
        let asked = socket.send(&query(name));
        if asked.is_ok() && socket.recv(&mut answer).is_ok_and(|bytes| bytes > 12) {
            let has_failed = answer[3] & 15 != 0;
            if !has_failed && answer[7] > 0 {
                return;
            }
        }
        assert!(Instant::now() < end, "no answer for {name} of {server}");
        thread::sleep(Duration::from_millis(5));
    }
}
