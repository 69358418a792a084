//! Who has how many connections. In: the listener. Out: connections, each with its place among all and
//! among its client's. One client must never have all places, be it this host itself.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info, warn};

use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_PER_CLIENT_MAX, HTTP_HEAD_MS_MAX, HTTP_IDLE_MS,
    HTTP_SEND_BUFFER_BYTES, HTTP_WRITE_MS_MAX,
};
use crate::stats::repeated::{Repeated, Telling};

/// What connections may have. Those of `limits`, but where a test cannot wait for them.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    pub connections_max: usize,
    pub per_client_max: usize,
    /// For the head of a request, and between two requests.
    pub head: Duration,
    pub idle: Duration,
    pub write: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: HTTP_CONNECTIONS_MAX,
            per_client_max: HTTP_CONNECTIONS_PER_CLIENT_MAX,
            head: Duration::from_millis(HTTP_HEAD_MS_MAX),
            idle: Duration::from_millis(HTTP_IDLE_MS),
            write: Duration::from_millis(HTTP_WRITE_MS_MAX),
        }
    }
}

/// The places of all connections.
pub struct Connections {
    all: Arc<Semaphore>,
    clients: Arc<Clients>,
    limits: ConnectionLimits,
    /// Accepts that failed.
    failures: Repeated,
    refused: Repeated,
}

/// How many connections each client has; those without any are not kept.
#[derive(Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// One connection's place; free again when it is dropped.
pub struct Place {
    _among_all: OwnedSemaphorePermit,
    clients: Arc<Clients>,
    client: IpAddr,
}

/// What came of a connection.
enum Accepted {
    Taken(TcpStream, Place),
    /// Its client has as many as one may have.
    TooMany(IpAddr),
}

impl Connections {
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max)),
            clients: Arc::default(),
            limits,
            failures: Repeated::default(),
            refused: Repeated::default(),
        }
    }

    /// The next connection, once there is a place for it; until then it waits in the kernel's queue.
    pub async fn next(&mut self, listener: &TcpListener) -> (TcpStream, Place) {
        loop {
            match self.accept(listener).await {
                Ok(Accepted::Taken(stream, place)) => {
                    if let Some(tally) = self.failures.end_when_quiet(Instant::now()) {
                        info!("HTTP connections are accepted again, it failed {tally}");
                    }
                    return (stream, place);
                }
                Ok(Accepted::TooMany(client)) => self.tell_refused(client),
                Err(error) => {
                    // Out of descriptors, mostly: the kernel keeps the connection until there are.
                    match self.failures.note(&error.to_string(), Instant::now()) {
                        Telling::First => warn!(%error, "HTTP connection not accepted"),
                        Telling::Again(tally) => {
                            warn!(%error, "HTTP connections not accepted: {tally}");
                        }
                        Telling::Nothing => {}
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Whose connections they were is told of one: there may be many clients.
    fn tell_refused(&mut self, client: IpAddr) {
        match self.refused.note("too many", Instant::now()) {
            Telling::First => warn!(
                "{client} has as many HTTP connections as one client may; more of it are refused"
            ),
            Telling::Again(tally) => warn!(
                "HTTP connections of clients that have too many were refused {tally}, now one of {client}"
            ),
            Telling::Nothing => debug!(%client, "HTTP connection refused"),
        }
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<Accepted> {
        let permit = Arc::clone(&self.all).acquire_owned().await;
        let permit = permit.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        let client = client_of(peer);
        if !self.clients.add(client, self.limits.per_client_max) {
            refuse(stream);
            return Ok(Accepted::TooMany(client));
        }
        let place = Place {
            _among_all: permit,
            clients: Arc::clone(&self.clients),
            client,
        };
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        // The kernel gives up a peer that acknowledges nothing, or has no room, for so long: what fits
        // into the socket's buffer, such as a heartbeat, would not show it to us for a long time.
        socket.set_tcp_user_timeout(Some(self.limits.write))?;
        socket.set_send_buffer_size(HTTP_SEND_BUFFER_BYTES)?;
        Ok(Accepted::Taken(stream, place))
    }
}

impl Clients {
    fn add(&self, client: IpAddr, max: usize) -> bool {
        let mut counts = self.lock();
        let count = counts.entry(client).or_default();
        let fits = *count < max;
        *count += usize::from(fits);
        fits
    }

    fn remove(&self, client: IpAddr) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&client);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.remove(self.client);
    }
}

/// An address, or of IPv6 the network: a client has all addresses of its /64.
fn client_of(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

/// Says why, as far as the socket takes it at once, and closes.
fn refuse(stream: TcpStream) {
    use std::io::Write;
    if let Ok(mut stream) = stream.into_std() {
        // It is a courtesy: whoever does not get it sees the end of the connection.
        let _ = stream.write_all(TOO_MANY.as_bytes());
    }
}

/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 51\r\n\r\n\
    503: this client has too many connections open here";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_ipv6_is_its_network_and_ipv4_in_its_clothes_is_ipv4() {
        let client = |text: &str| client_of(SocketAddr::new(text.parse().expect(text), 1));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
        assert_eq!(client("::1").to_string(), "::1");
    }

    #[test]
    fn places_are_free_again_and_not_kept() {
        let clients = Clients::default();
        let client = client_of(([127, 0, 0, 1], 1).into());
        assert!(clients.add(client, 2) && clients.add(client, 2));
        assert!(!clients.add(client, 2));
        clients.remove(client);
        assert!(clients.add(client, 2));
        clients.remove(client);
        clients.remove(client);
        assert!(clients.lock().is_empty());
    }

    #[test]
    fn the_refusal_states_its_length() {
        let (head, body) = TOO_MANY.split_once("\r\n\r\n").expect("a head");
        let length = format!("Content-Length: {}", body.len());
        assert!(head.ends_with(&length), "{length}");
    }
}
