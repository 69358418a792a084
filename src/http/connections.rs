//! Who has how many connections. In: the listener. Out: connections, each with its place among all and
//! among its client's. One client must never have all places, be it this host itself.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info, warn};

use crate::clients::{Clients, client_of};
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
    counts: Arc<Counts>,
    limits: ConnectionLimits,
    /// Accepts that failed.
    failures: Repeated,
    refused: Repeated,
}

/// How many connections each client has.
#[derive(Default)]
struct Counts(Mutex<Clients>);

/// One connection's place; free again when it is dropped.
pub struct Place {
    _among_all: OwnedSemaphorePermit,
    counts: Arc<Counts>,
    /// Its client.
    number: usize,
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
            counts: Arc::default(),
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
        let client = client_of(peer.ip());
        let Some(number) = self.counts.add(client, self.limits.per_client_max) else {
            refuse(stream);
            return Ok(Accepted::TooMany(client));
        };
        let place = Place {
            _among_all: permit,
            counts: Arc::clone(&self.counts),
            number,
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

impl Counts {
    /// The client's number; `None`: it has as many as one may have.
    fn add(&self, client: IpAddr, max: usize) -> Option<usize> {
        let mut clients = self.lock();
        let fits = clients.amount_of(client) < max;
        fits.then(|| clients.add(client, 1))
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.lock().remove(self.number, 1);
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
    fn places_are_free_again_and_not_kept() {
        let counts = Counts::default();
        let client = client_of([127, 0, 0, 1].into());
        let number = counts.add(client, 2).expect("a first");
        assert_eq!(counts.add(client, 2), Some(number));
        assert_eq!(counts.add(client, 2), None);
        counts.lock().remove(number, 1);
        assert_eq!(counts.add(client, 2), Some(number));
        counts.lock().remove(number, 2);
        assert!(counts.lock().is_empty());
    }

    #[test]
    fn the_refusal_states_its_length() {
        let (head, body) = TOO_MANY.split_once("\r\n\r\n").expect("a head");
        let length = format!("Content-Length: {}", body.len());
        assert!(head.ends_with(&length), "{length}");
    }
}
