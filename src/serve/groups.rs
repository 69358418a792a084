//! The sockets of all workers. In: listeners, and the addresses of this host. Out: for each address the
//! sockets of every worker, kept where a server takes over from another, or from one of before this
//! process (`handed`). It never lets one go unread.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::handed::{Handed, Passed, kept_name};
use super::sockets::{ServeError, Sockets, open_listener, open_udp, probe, turn_away};
use crate::limits::{
    LISTENERS_MAX, PORT_PATIENCE, PORT_PICKS_MAX, PORT_RETRY, UDP_SOCKETS_PER_WORKER_MAX,
    WILDCARD_DESCRIPTORS_PART, WILDCARD_SOCKETS_MAX,
};
use crate::sys::{descriptors, interfaces, steering};

/// The sockets of one address: those of all workers, in the order in which they are in the kernel's
/// group. Another server of this process may have them too.
struct Group<S> {
    address: SocketAddr,
    sockets: Vec<Arc<S>>,
    /// They are a socket unit's: every worker reads all of them, and nobody closes one.
    is_shared: bool,
}

/// What there is already of the sockets that a server wants.
#[derive(Clone, Copy)]
pub struct Before<'a> {
    /// Those of another server of this process.
    pub replaced: Option<&'a Groups>,
    pub handed: &'a Handed,
}

/// All sockets of a server.
pub struct Groups {
    /// Where it was told to listen, with the port that was picked.
    listeners: Vec<SocketAddr>,
    /// Those of them that no socket unit has.
    own_listeners: Vec<IpAddr>,
    /// Addresses of this host that a wildcard takes and that were to have sockets of their own.
    local: Vec<IpAddr>,
    /// How many such addresses there may be.
    local_max: usize,
    /// For the listeners, then for such addresses; also of workers that were dismissed: closing one
    /// would lose what comes in just then.
    udp: Vec<Group<UdpSocket>>,
    /// For the listeners: a connection knows its address by itself.
    tcp: Vec<Group<TcpListener>>,
}

impl Groups {
    /// Binds the sockets of `count` workers. Those that there are at the same addresses are taken over, and
    /// others of the replaced server are in nobody's way.
    pub fn bind(
        listeners: &[IpAddr],
        port: u16,
        mut before: Before<'_>,
        count: usize,
    ) -> Result<Self, ServeError> {
        let replaced = before.replaced;
        before.replaced = replaced.filter(|replaced| replaced.port() == Some(port));
        let mut last = Self::bind_once(listeners, port, before, count);
        // A picked port that is free for UDP may be taken for TCP or at another address, or be taken
        // between two binds.
        for _ in 1..PORT_PICKS_MAX {
            if port != 0 || last.is_ok() {
                break;
            }
            last = Self::bind_once(listeners, port, before, count);
        }
        // A process that was killed may hold its port for a moment after its end: the kernel clears its
        // rings in the background.
        let deadline = Instant::now() + PORT_PATIENCE;
        while matches!(last, Err(ServeError::AddressInUse(_))) && Instant::now() < deadline {
            thread::sleep(PORT_RETRY);
            last = Self::bind_once(listeners, port, before, count);
        }
        last
    }

    fn bind_once(
        listeners: &[IpAddr],
        mut port: u16,
        before: Before<'_>,
        count: usize,
    ) -> Result<Self, ServeError> {
        let Before { replaced, handed } = before;
        // Before anything is bound: our own sockets would be in the way.
        for &ip in listeners {
            let is_in_the_way = replaced.is_some_and(|replaced| replaced.overlaps(ip));
            if !is_in_the_way && !handed.overlaps(ip, port) {
                let address = SocketAddr::new(ip, port);
                port = probe(address)
                    .map_err(|error| ServeError::of_bind(address, error))?
                    .port();
            }
        }
        let at_port = |&ip: &IpAddr| SocketAddr::new(ip, port);
        let descriptors = descriptors::limit().unwrap_or_default();
        let local_max = local_addresses_max(descriptors, count);
        let has_no_unit = |ip: &&IpAddr| handed.udp.unit_at(at_port(ip)).is_empty();
        let own_listeners: Vec<_> = listeners.iter().filter(has_no_unit).copied().collect();
        let local = local_addresses(&own_listeners, local_max);
        let mut groups = Self {
            listeners: listeners.iter().map(at_port).collect(),
            udp: Vec::with_capacity(listeners.len() + local.len()),
            tcp: Vec::with_capacity(listeners.len()),
            own_listeners,
            local,
            local_max,
        };
        for ip in listeners.iter().chain(&groups.local) {
            let known = replaced.map_or(Default::default(), |replaced| replaced.udp.as_slice());
            let mut group = Group::taken_over(at_port(ip), known);
            let groups_max = listeners.len() + groups.local.len();
            group.take_handed(&handed.udp, UDP_SOCKETS_PER_WORKER_MAX / groups_max, count);
            groups.udp.push(group);
        }
        for ip in listeners {
            let known = replaced.map_or(Default::default(), |replaced| replaced.tcp.as_slice());
            let mut group = Group::taken_over(at_port(ip), known);
            if !group.is_shared {
                // The kernel gives connections to each listener that is open.
                group.sockets.truncate(count);
            }
            group.take_handed(&handed.tcp, LISTENERS_MAX / listeners.len(), count);
            groups.tcp.push(group);
        }
        groups.grow(0, count)?;
        groups.udp.retain(|group| !group.sockets.is_empty());
        Ok(groups)
    }

    /// Binds what is missing for more workers than the first, who run already. Addresses beside a
    /// wildcard may fail: the wildcard has what comes in there.
    pub fn grow(&mut self, first: usize, count: usize) -> Result<(), ServeError> {
        for (place, group) in self.udp.iter_mut().enumerate() {
            let address = group.address;
            if group.sockets.len() < first || group.is_shared {
                // It failed before. The next socket would be that of a worker who does not know it.
                continue;
            }
            match group.fill(count, open_udp) {
                Ok(()) => {}
                Err(error) if place >= self.listeners.len() => tell_of(address, &error),
                Err(error) => return Err(ServeError::of_bind(address, error)),
            }
        }
        for group in self.tcp.iter_mut().filter(|group| !group.is_shared) {
            group
                .fill(count, open_listener)
                .map_err(|error| ServeError::of_bind(group.address, error))?;
        }
        Ok(())
    }

    /// Those of one of so many workers, to be its own.
    pub fn sockets_of(&self, worker: usize, count: usize) -> io::Result<Sockets> {
        let udp = self.udp.iter().flat_map(|it| it.of(worker, count));
        let tcp = self.tcp.iter().flat_map(|it| it.of(worker, count));
        Ok(Sockets {
            udp: udp
                .map(|socket| socket.try_clone())
                .collect::<io::Result<_>>()?,
            listeners: tcp
                .map(|listener| listener.try_clone())
                .collect::<io::Result<_>>()?,
        })
    }

    /// Has datagrams go to the first workers, each to the one on the core that they came in on. False
    /// where the kernel refuses; it then chooses among all sockets by a hash.
    pub fn steer(&self, cores: &[Option<usize>]) -> bool {
        let mut own = self.udp.iter().filter(|group| !group.is_shared);
        own.all(|group| {
            let there = cores.get(..group.sockets.len()).unwrap_or(cores);
            let steered = group
                .sockets
                .first()
                .map(|one| steering::steer(&**one, there));
            if let Some(Err(error)) = &steered {
                // Forbidden in some sandboxes.
                tracing::debug!(%error, "datagrams are not steered by core");
            }
            matches!(steered, Some(Ok(())))
        })
    }

    /// Lets go of listeners that no worker has any more.
    pub fn truncate_listeners(&mut self, count: usize) {
        let groups = self.tcp.iter_mut().filter(|group| !group.is_shared);
        groups.for_each(|group| group.sockets.truncate(count));
    }

    /// Lets go of all sockets that no worker has any more.
    pub fn truncate(&mut self, count: usize) {
        self.truncate_listeners(count);
        let groups = self.udp.iter_mut().filter(|group| !group.is_shared);
        groups.for_each(|group| group.sockets.truncate(count));
    }

    /// Has the sockets that no other server of ours took over receive nothing more. What comes from
    /// now on goes to another server, where one listens there; what has come is still to be answered.
    pub fn turn_away(&self) {
        let own = self.udp.iter().filter(|group| !group.is_shared);
        for socket in own.flat_map(|group| &group.sockets) {
            // One thread starts and ends servers, so that nobody takes it over meanwhile.
            if Arc::strong_count(socket) == 1 {
                turn_away(socket);
            }
        }
    }

    /// Whether some are a socket unit's.
    pub fn has_shared(&self) -> bool {
        let mut udp = self.udp.iter().map(|group| group.is_shared);
        let mut tcp = self.tcp.iter().map(|group| group.is_shared);
        udp.any(|is_shared| is_shared) || tcp.any(|is_shared| is_shared)
    }

    /// Those that the service manager may keep for the next process, with the names that `handed` reads.
    pub fn to_keep(&self) -> io::Result<Vec<(String, BorrowedFd<'_>)>> {
        let mut kept = Vec::new();
        for group in &self.udp {
            group.to_keep(&mut kept)?;
        }
        for group in &self.tcp {
            group.to_keep(&mut kept)?;
        }
        Ok(kept)
    }

    /// Where it was told to listen, with the port that was picked. Never empty.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// Whether the wildcards would have sockets for the same addresses of this host now.
    pub fn is_current(&self) -> bool {
        self.local == local_addresses(&self.own_listeners, self.local_max)
    }

    fn port(&self) -> Option<u16> {
        self.listeners.first().map(SocketAddr::port)
    }

    /// Whether a socket of ours keeps others from an address.
    fn overlaps(&self, ip: IpAddr) -> bool {
        let mut own = self.udp.iter().map(|group| group.address.ip());
        own.any(|own| overlap(own, ip))
    }
}

/// Whether a socket at one of the addresses keeps others from the other one.
pub fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || takes(one, other) || takes(other, one)
}

impl<S: AsFd> Group<S> {
    /// Has the sockets of the same address among those known.
    fn taken_over(address: SocketAddr, known: &[Self]) -> Self {
        let known = known.iter().find(|group| group.address == address);
        Self {
            address,
            sockets: known.map_or_else(Vec::new, |group| group.sockets.clone()),
            is_shared: known.is_some_and(|group| group.is_shared),
        }
    }

    /// Where it has none yet, has those that are older than this process: a unit's, else our own of
    /// before, no more of them than each of `count` workers may read `each_max`.
    fn take_handed(&mut self, passed: &Passed<S>, each_max: usize, count: usize) {
        if !self.sockets.is_empty() {
            return;
        }
        self.sockets = passed.unit_at(self.address);
        self.is_shared = !self.sockets.is_empty();
        let max = match self.is_shared {
            true => each_max,
            false => {
                self.sockets = passed.kept_at(self.address);
                each_max * count
            }
        };
        if self.sockets.len() > max {
            let (address, found) = (self.address, self.sockets.len());
            tracing::warn!("{max} of the {found} sockets of before at {address} are read");
            self.sockets.truncate(max);
        }
    }

    /// Those of one of so many workers. A run before may have had more workers than this one: theirs are
    /// shared out, for something may wait there.
    fn of(&self, worker: usize, count: usize) -> impl Iterator<Item = &Arc<S>> {
        let places = self.sockets.iter().enumerate();
        let is_its_own = move |place: usize| match place < count {
            true => place == worker,
            false => place % count.max(1) == worker,
        };
        places
            .filter(move |(place, _)| self.is_shared || is_its_own(*place))
            .map(|(_, socket)| socket)
    }

    fn to_keep<'a>(&'a self, kept: &mut Vec<(String, BorrowedFd<'a>)>) -> io::Result<()> {
        if !self.is_shared {
            for (place, socket) in self.sockets.iter().enumerate() {
                kept.push((kept_name(place, &**socket)?, socket.as_fd()));
            }
        }
        Ok(())
    }

    fn fill(&mut self, count: usize, open: fn(SocketAddr) -> io::Result<S>) -> io::Result<()> {
        while self.sockets.len() < count {
            self.sockets.push(Arc::new(open(self.address)?));
        }
        Ok(())
    }
}

/// Whether a wildcard has what is sent to an address: `::` takes IPv4 as well.
fn takes(wildcard: IpAddr, ip: IpAddr) -> bool {
    match wildcard {
        IpAddr::V4(wildcard) => wildcard.is_unspecified() && ip.is_ipv4(),
        IpAddr::V6(wildcard) => wildcard.is_unspecified(),
    }
}

/// Addresses of this host that the wildcards among the listeners take, up to a bound. Only a wildcard
/// has the kernel tell with each datagram which address was asked, which costs it time.
fn local_addresses(listeners: &[IpAddr], max: usize) -> Vec<IpAddr> {
    let wildcards: Vec<_> = listeners.iter().filter(|ip| ip.is_unspecified()).collect();
    if wildcards.is_empty() {
        return Vec::new();
    }
    let local = interfaces::local_addresses().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read this machine's addresses; none has a socket of its own");
        Vec::new()
    });
    // A link-local address means nothing without its interface (RFC 4007, 6).
    let is_plain = |ip: &IpAddr| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    local
        .into_iter()
        .filter(is_plain)
        .filter(|ip| wildcards.iter().any(|wildcard| takes(**wildcard, *ip)))
        .filter(|ip| !listeners.contains(ip))
        .take(max)
        .collect()
}

/// How many addresses may have sockets of their own where there are so many descriptors and workers:
/// each worker has one descriptor of a socket, and the server another.
fn local_addresses_max(descriptors: usize, workers: usize) -> usize {
    let spared = descriptors / WILDCARD_DESCRIPTORS_PART;
    WILDCARD_SOCKETS_MAX.min(spared / (2 * workers.max(1)))
}

fn tell_of(address: SocketAddr, error: &io::Error) {
    match error.kind() {
        io::ErrorKind::AddrInUse => tracing::warn!(
            "another program listens on {address} and keeps it; Listener has the other addresses"
        ),
        // It went away a moment ago, or is not ready yet (RFC 4862, 5.4).
        _ => tracing::debug!(%address, %error, "the wildcard has what is sent there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_local_addresses_leave_most_descriptors_to_connections() {
        assert_eq!(local_addresses_max(1 << 20, 64), WILDCARD_SOCKETS_MAX);
        assert_eq!(local_addresses_max(1024, 64), 2);
        assert_eq!(local_addresses_max(1024, 1024), 0);
        assert_eq!(local_addresses_max(0, 0), 0);
    }

    #[test]
    fn wildcard_takes_its_own_family_and_that_of_ipv6_both() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (wildcard, other, expected) in [
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("::", "127.0.0.1", true),
            ("::", "::1", true),
            ("::1", "::1", false),
        ] {
            assert_eq!(
                takes(ip(wildcard), ip(other)),
                expected,
                "{wildcard} {other}"
            );
        }
    }

    #[test]
    fn local_addresses_of_a_wildcard_are_those_that_can_be_bound() {
        let any = [IpAddr::from([0, 0, 0, 0])];
        let local = local_addresses(&any, usize::MAX);
        assert!(local.contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(local.iter().all(IpAddr::is_ipv4));
        assert!(local_addresses(&any, 0).is_empty());
        assert!(local_addresses(&[[127, 0, 0, 1].into()], usize::MAX).is_empty());
    }
}
