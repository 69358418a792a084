//! Sockets that are older than this process, so that a restart loses no query. In: what the service
//! manager passed. Out: for an address, the sockets that are there. It must never do to one of them what
//! the next process cannot undo.
//!
//! ```text
//!   kept     our own, one of each worker: given to the manager (FDSTORE), back at the next start
//!   unit's   those of a socket unit, opened by the manager itself
//! ```
//!
//! Why kept ones: a socket that stays open goes on receiving while nobody reads, UDP datagrams in its
//! buffer and TCP connections in its backlog, and the kernel steers to it as before. So a stop needs
//! neither to steer elsewhere nor to win a race against what is just coming in: it stops reading, and
//! the next process reads on. That holds for `restart`, for an upgrade and, but for what it had in hand,
//! for a crash; it follows Listener, Port and Workers by itself, and each core keeps its own socket.
//! After a `stop` the manager closes them, as whoever stops a name server wants.
//!
//! The unit's stay over `stop` and `start` as well. They belong to the manager's user, next to whose
//! sockets the kernel lets no other user bind (SO_REUSEPORT is for one user's), so that all workers
//! read the same ones: right in every case, and slower on many cores. Therefore the socket unit is an
//! option and not the rule.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use socket2::{Domain, SockRef, Socket, Type};

use super::sockets::{prepare_handed_listener, prepare_handed_udp};

/// Before the place and the number in the name of a kept socket.
const KEPT: &str = "dns.";

/// What was passed, by address.
#[derive(Default)]
pub struct Handed {
    pub udp: Passed<UdpSocket>,
    pub tcp: Passed<TcpListener>,
    /// What was told of last.
    unused: Vec<(&'static str, SocketAddr)>,
}

/// Sockets of one kind.
pub struct Passed<S> {
    unit: Vec<(SocketAddr, Arc<S>)>,
    /// With their places among the sockets of their address.
    kept: Vec<(SocketAddr, usize, Arc<S>)>,
}

impl<S> Default for Passed<S> {
    fn default() -> Self {
        Self {
            unit: Vec::new(),
            kept: Vec::new(),
        }
    }
}

impl Handed {
    /// Sorts what was passed. What is no socket of ours is told of, and closed.
    pub fn new(passed: Vec<(String, OwnedFd)>) -> Self {
        let mut handed = Self::default();
        for (name, descriptor) in passed {
            if let Err(error) = handed.take(&name, descriptor) {
                tracing::warn!("{name:?} of the service manager is of no use here: {error}");
            }
        }
        handed.udp.kept.sort_by_key(|(_, place, _)| *place);
        handed.tcp.kept.sort_by_key(|(_, place, _)| *place);
        handed
    }

    fn take(&mut self, name: &str, descriptor: OwnedFd) -> io::Result<()> {
        let socket = Socket::from(descriptor);
        let other = || io::Error::other("it is neither a UDP socket nor a TCP listener");
        let address = socket.local_addr()?.as_socket().ok_or_else(other)?;
        if !matches!(socket.domain()?, Domain::IPV4 | Domain::IPV6) {
            return Err(other());
        }
        // The manager makes them blocking, unless told otherwise (NonBlocking=).
        socket.set_nonblocking(true)?;
        let place = place_of(name);
        match socket.r#type()? {
            Type::DGRAM => {
                if place.is_none() {
                    prepare_handed_udp(&socket, address)?;
                }
                self.udp.put(address, place, socket.into());
            }
            Type::STREAM if socket.is_listener()? => {
                prepare_handed_listener(&socket)?;
                self.tcp.put(address, place, socket.into());
            }
            _ => return Err(other()),
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.udp.is_empty() && self.tcp.is_empty()
    }

    /// Closes those of our own that nobody took: Listener, Port or the number of workers is another one.
    pub fn forget_kept(&mut self) {
        self.udp.kept.clear();
        self.tcp.kept.clear();
    }

    /// Whether one of them keeps others from an address.
    pub fn overlaps(&self, ip: IpAddr, port: u16) -> bool {
        let own = self.udp.addresses().chain(self.tcp.addresses());
        let mut ips = own.filter(|own| own.port() == port).map(|own| own.ip());
        ips.any(|own| own == ip || super::groups::overlap(own, ip))
    }

    /// Says, for each address that the socket unit has and nobody uses, what to do; once, until it is
    /// used.
    pub fn tell_of_unused(&mut self, listeners: &[SocketAddr]) {
        let udp = self.udp.unit.iter().map(|(at, _)| ("ListenDatagram", *at));
        let tcp = self.tcp.unit.iter().map(|(at, _)| ("ListenStream", *at));
        let is_unused =
            |(_, at): &(&str, SocketAddr)| !listeners.iter().any(|one| is_same(*one, *at));
        let unused: Vec<_> = udp.chain(tcp).filter(is_unused).collect();
        for (key, address) in unused.iter().filter(|one| !self.unused.contains(one)) {
            tracing::warn!(
                "the socket unit has {key}={address}, which nobody reads: it is not in Listener and \
                 Port; give rollcall.socket their addresses, or disable it"
            );
        }
        self.unused = unused;
    }
}

impl<S> Passed<S> {
    fn put(&mut self, address: SocketAddr, place: Option<usize>, socket: S) {
        let socket = Arc::new(socket);
        match place {
            Some(place) => self.kept.push((address, place, socket)),
            None => self.unit.push((address, socket)),
        }
    }

    fn is_empty(&self) -> bool {
        self.unit.is_empty() && self.kept.is_empty()
    }

    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let kept = self.kept.iter().map(|(address, ..)| *address);
        self.unit.iter().map(|(address, _)| *address).chain(kept)
    }

    /// The socket unit's at an address.
    pub fn unit_at(&self, address: SocketAddr) -> Vec<Arc<S>> {
        let there = self.unit.iter().filter(|(at, _)| is_same(*at, address));
        there.map(|(_, socket)| Arc::clone(socket)).collect()
    }

    /// Our own of before at an address, in the order in which they were bound.
    pub fn kept_at(&self, address: SocketAddr) -> Vec<Arc<S>> {
        let there = self.kept.iter().filter(|(at, ..)| is_same(*at, address));
        there.map(|(_, _, socket)| Arc::clone(socket)).collect()
    }
}

/// The name under which the manager keeps a socket: its place among those of its address, and the number
/// that it has for as long as it lives (SO_COOKIE).
pub fn kept_name(place: usize, socket: &impl AsFd) -> io::Result<String> {
    let cookie = SockRef::from(socket).cookie()?;
    Ok(format!("{KEPT}{place}.{cookie:x}"))
}

/// Whether it is such a name.
pub fn is_kept_name(name: &str) -> bool {
    place_of(name).is_some()
}

fn place_of(name: &str) -> Option<usize> {
    let (place, _) = name.strip_prefix(KEPT)?.split_once('.')?;
    place.parse().ok()
}

/// Scope and flow of an IPv6 address say nothing here.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(name: &str, socket: impl Into<OwnedFd>) -> (String, OwnedFd) {
        (name.to_owned(), socket.into())
    }

    #[test]
    fn sockets_are_found_by_kind_and_address_and_kept_ones_in_their_order() {
        let udp = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        let tcp = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (unit, own, listener) = (udp(), udp(), tcp());
        let at = |socket: &UdpSocket| socket.local_addr().expect("its address");
        let (unit_at, own_at) = (at(&unit), at(&own));
        let listener_at = listener.local_addr().expect("its address");
        let second = own.try_clone().expect("a second handle");
        let second_cookie = SockRef::from(&second).cookie().expect("a number");
        let handed = Handed::new(vec![
            passed("rollcall.socket", unit),
            passed("dns.1.a", second),
            passed("dns.0.b", own),
            passed("rollcall.socket", listener),
            passed("odd", std::fs::File::open("/dev/null").expect("there")),
        ]);
        assert_eq!(handed.udp.unit_at(unit_at).len(), 1);
        assert!(handed.udp.kept_at(unit_at).is_empty());
        let kept = handed.udp.kept_at(own_at);
        assert_eq!(kept.len(), 2);
        let name = kept_name(1, &*kept[1]).expect("a number");
        assert_eq!(name, format!("dns.1.{second_cookie:x}"));
        assert_eq!(handed.tcp.unit_at(listener_at).len(), 1);
        assert!(handed.overlaps(unit_at.ip(), unit_at.port()));
        assert!(handed.overlaps([0, 0, 0, 0].into(), unit_at.port()));
        assert!(!handed.overlaps([127, 0, 0, 2].into(), unit_at.port()));
    }
}
