//! Opens sockets. In: an address. Out: a UDP socket or a TCP listener there, shared by SO_REUSEPORT with
//! those of our other workers and with nobody else.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::limits::{TCP_BACKLOG_CONNECTIONS, UDP_SOCKET_BUFFER_BYTES};
use crate::sys::socket;

/// Why serving could not start.
#[derive(Debug)]
pub enum ServeError {
    AddressInUse(SocketAddr),
    PermissionDenied(SocketAddr),
    NoSuchAddress(SocketAddr),
    Bind(SocketAddr, io::Error),
    /// Threads or event queues could not be made.
    Start(io::Error),
}

impl ServeError {
    pub fn of_bind(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse(address),
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(address),
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress(address),
            _ => Self::Bind(address, error),
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse(address) => write!(
                formatter,
                "cannot bind {address}: address already in use; stop the program that listens \
                 there (mesos-dns, systemd-resolved, dnsmasq?) or set Listener to the addresses that it \
                 leaves, or Port"
            ),
            Self::PermissionDenied(address) => write!(
                formatter,
                "cannot bind {address}: permission denied; grant CAP_NET_BIND_SERVICE or set Port \
                 to 1024 or above"
            ),
            Self::NoSuchAddress(address) => write!(
                formatter,
                "cannot bind {address}: no interface of this host has that address; set Listener \
                 to one that it has, or to 0.0.0.0 for all"
            ),
            Self::Bind(address, error) => write!(
                formatter,
                "cannot bind {address}: {error}; set Listener/Port to what this host can bind"
            ),
            Self::Start(error) => write!(
                formatter,
                "cannot start an answering thread: {error}; raise the limits on threads and open \
                 files (LimitNPROC, LimitNOFILE)"
            ),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(_, error) | Self::Start(error) => Some(error),
            _ => None,
        }
    }
}

/// The sockets of one worker, nonblocking; one of each kind at least.
pub struct Sockets {
    pub udp: Vec<UdpSocket>,
    pub listeners: Vec<TcpListener>,
}

/// One more of the address, behind those that there are.
pub fn open_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let udp = open(address, Type::DGRAM)?;
    udp.set_reuse_port(true)?;
    prepare_udp(&udp, address)?;
    udp.bind(&SockAddr::from(address))?;
    Ok(udp.into())
}

pub fn open_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = open(address, Type::STREAM)?;
    listener.set_reuse_port(true)?;
    // Connections inherit it: answers are written whole, there is nothing to wait for.
    listener.set_tcp_nodelay(true)?;
    listener.bind(&SockAddr::from(address))?;
    listener.listen(TCP_BACKLOG_CONNECTIONS)?;
    Ok(listener.into())
}

/// Does what `open_udp` does where it still can be done. What the service manager set stays: it may have
/// had leave for more than we.
pub fn prepare_handed_udp(udp: &Socket, address: SocketAddr) -> io::Result<()> {
    match udp.recv_buffer_size()? <= UDP_BUFFER_UNSET_BYTES {
        true => prepare_udp(udp, address),
        false => receive_destination(udp, address),
    }
}

/// Nobody set a buffer that is no larger: the kernel's default. What is set without privilege is larger.
const UDP_BUFFER_UNSET_BYTES: usize = 212_992;

/// Does what `open_listener` does where it still can be done.
pub fn prepare_handed_listener(listener: &Socket) -> io::Result<()> {
    listener.set_tcp_nodelay(true)
}

/// Has a socket receive nothing more, and keep what it has: one that is connected takes datagrams of
/// its peer alone, and nobody sends from the discard port of this host (RFC 863). Closing it loses
/// what came in a moment before. Where it fails, that is so.
pub fn turn_away(udp: &UdpSocket) {
    let nobody = udp.local_addr().map(|local| match local {
        SocketAddr::V4(_) if local.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) if local.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        local => local.ip(),
    });
    if let Err(error) = nobody.and_then(|nobody| udp.connect((nobody, DISCARD_PORT))) {
        tracing::debug!(%error, "a socket that is to be closed goes on receiving");
    }
}

const DISCARD_PORT: u16 = 9;

/// Binds both transports once without SO_REUSEPORT, and lets go again. Another program, or another
/// Rollcall, that set SO_REUSEPORT would let us share its port and get half of the queries each;
/// this bind it refuses. Says the address with the port that the kernel picked.
pub fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let udp = open(address, Type::DGRAM)?;
    udp.bind(&SockAddr::from(address))?;
    let picked = udp.local_addr()?;
    let mut address = address;
    address.set_port(picked.as_socket().map_or(address.port(), |at| at.port()));
    let listener = open(address, Type::STREAM)?;
    listener.bind(&SockAddr::from(address))?;
    Ok(address)
}

fn open(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let (domain, protocol) = (
        Domain::for_address(address),
        match kind {
            Type::STREAM => Protocol::TCP,
            _ => Protocol::UDP,
        },
    );
    let socket = Socket::new(domain, kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // `::` takes IPv4 too, whatever the system's default, as the original does.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if kind == Type::STREAM {
        // Connections of an earlier run in TIME_WAIT do not keep us out; a listener still does.
        // Never for UDP, where this option shares the port with whoever sets it as well.
        socket.set_reuse_address(true)?;
    }
    Ok(socket)
}

fn prepare_udp(udp: &Socket, address: SocketAddr) -> io::Result<()> {
    if socket::force_buffer_sizes(udp, UDP_SOCKET_BUFFER_BYTES).is_err() {
        // Without CAP_NET_ADMIN we get what net.core.rmem_max allows.
        udp.set_recv_buffer_size(UDP_SOCKET_BUFFER_BYTES)?;
        udp.set_send_buffer_size(UDP_SOCKET_BUFFER_BYTES)?;
    }
    receive_destination(udp, address)
}

fn receive_destination(udp: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        _ if !address.ip().is_unspecified() => Ok(()),
        SocketAddr::V4(_) => socket::receive_destination_ipv4(udp),
        SocketAddr::V6(_) => socket::receive_destination_ipv6(udp),
    }
}
