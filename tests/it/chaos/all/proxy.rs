//! A bad cable between the program and a resolver: it passes datagrams on and damages one in a hundred, each
//! way. In: both addresses and a seed. Out: how many it damaged. It leaves the records of an answer alone:
//! nobody could tell that from a lie of the resolver's.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::support::process::free_address;

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_stopping: AtomicBool,
    damaged: AtomicU64,
    /// By the ID that the resolver sees: who asked, and with which ID.
    asked: Mutex<HashMap<u16, (SocketAddr, [u8; 2])>>,
}

impl Proxy {
    pub fn start(resolver: SocketAddr, random: &mut Rng) -> Self {
        let address = free_address();
        let front = UdpSocket::bind(address).expect("a free port");
        let back = UdpSocket::bind("127.0.0.1:0").expect("a port");
        back.connect(resolver).expect("loopback has a route");
        let shared = Arc::new(Shared::default());
        for is_query in [true, false] {
            let (front, back) = (twin(&front), twin(&back));
            let (shared, random) = (Arc::clone(&shared), random.fork());
            thread::spawn(move || match is_query {
                true => shared.queries(&front, &back, random),
                false => shared.answers(&front, &back, random),
            });
        }
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn damaged(&self) -> u64 {
        self.shared.damaged.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn queries(&self, front: &UdpSocket, back: &UdpSocket, mut random: Rng) {
        let mut buffer = [0; 4_096];
        let mut next = 0_u16;
        while !self.is_stopping.load(Ordering::Relaxed) {
            let Ok((bytes, from)) = front.recv_from(&mut buffer) else {
                continue;
            };
            let mut message = buffer[..bytes].to_vec();
            let Some(id) = message.first_chunk_mut::<2>() else {
                continue;
            };
            next = next.wrapping_add(1);
            self.asked
                .lock()
                .expect("no panic")
                .insert(next, (from, *id));
            *id = next.to_be_bytes();
            self.damage(&mut message, &mut random);
            let _ = back.send(&message);
        }
    }

    fn answers(&self, front: &UdpSocket, back: &UdpSocket, mut random: Rng) {
        let mut buffer = [0; 4_096];
        while !self.is_stopping.load(Ordering::Relaxed) {
            let Ok(bytes) = back.recv(&mut buffer) else {
                continue;
            };
            let mut message = buffer[..bytes].to_vec();
            let Some(id) = message.first_chunk_mut::<2>() else {
                continue;
            };
            let asked = self.asked.lock().expect("no panic");
            let Some(&(to, own)) = asked.get(&u16::from_be_bytes(*id)) else {
                continue;
            };
            drop(asked);
            *id = own;
            self.damage(&mut message, &mut random);
            let _ = front.send_to(&message, to);
        }
    }

    fn damage(&self, message: &mut Vec<u8>, random: &mut Rng) {
        if random.u8(..100) != 0 {
            return;
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
        // Behind the header is the name of the question, of this length at the least.
        let name = 12..18.min(message.len());
        match random.u8(..5) {
            0 => message[random.usize(..2)] ^= 1 << random.u8(..8),
            1 => message[2] ^= 0x80,
            2 => message.truncate(random.usize(..message.len())),
            3 if !name.is_empty() => message[random.usize(name)] ^= 1 << random.u8(..8),
            _ => message.iter_mut().for_each(|octet| *octet = random.u8(..)),
        }
    }
}

/// Another handle of a socket.
fn twin(socket: &UdpSocket) -> UdpSocket {
    let twin = socket.try_clone().expect("a second handle");
    let wait = Duration::from_millis(100);
    twin.set_read_timeout(Some(wait)).expect("above zero");
    twin
}
