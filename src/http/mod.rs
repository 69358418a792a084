//! The HTTP interface: mesos-dns's `/v1` API, `explain`, the probes, metrics, and the status page. In:
//! requests and the Snapshot that DNS answers from. Out: JSON, and one page. Runs on a thread of its own;
//! it must never make a DNS answer wait, nor hold more than its limits for any number of clients of any kind.

mod answers;
mod connections;
mod cors;
mod enumerate;
mod figures;
mod forwarding;
mod guard;
mod idle;
mod json;
mod live;
pub mod metrics;
mod names;
mod page;
pub mod route;
mod samples;
mod serve;
mod status;
mod stream;
mod transfer;

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::feed::Feed;
use crate::forward;
use crate::responses::publish::Published;
use crate::stats::engine::SharedEngine;
use crate::stats::freshness::SharedFreshness;
use crate::stats::sandbox::SharedSandbox;
pub use connections::ConnectionLimits;

/// What the server needs to know beside the table.
#[derive(Clone)]
pub struct HttpSettings {
    /// Shown by `/v1/config`, and what each request needs of it; another one may be stored.
    pub config: SharedConfig,
    pub freshness: SharedFreshness,
    /// What changed, for the status page.
    pub feed: Feed,
    pub engine: SharedEngine,
    /// What the process has given up.
    pub sandbox: SharedSandbox,
    /// Whose cache `POST /v1/cache/flush` empties.
    pub forward: Arc<forward::Common>,
}

/// The configuration in force.
pub type SharedConfig = Arc<ArcSwap<Config>>;

/// A running server. Dropping it stops it as `stop` does.
pub struct Server {
    local_address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why the server did not start.
#[derive(Debug)]
pub enum HttpError {
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    Thread(io::Error),
}

impl Server {
    /// Listens, and answers from then on.
    pub fn start(
        address: SocketAddr,
        settings: HttpSettings,
        published: Published,
    ) -> Result<Self, HttpError> {
        Self::start_within(address, settings, published, ConnectionLimits::default())
    }

    /// The same, with other limits.
    pub fn start_within(
        address: SocketAddr,
        settings: HttpSettings,
        published: Published,
        limits: ConnectionLimits,
    ) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Listen { address, source };
        let listener = listen(address).map_err(failed)?;
        let local_address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || serve::run(listener, settings, published, limits, stopped))
            .map_err(HttpError::Thread)?;
        Ok(Self {
            local_address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Takes no new connection, lets answers under way end within `HTTP_STOP_MS_MAX`, and returns
    /// when the thread is gone.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the HTTP thread had panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// An unspecified address means every address of both families, as it does in Go.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip().is_unspecified() {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
        match listen_on(both) {
            // A kernel without IPv6.
            Err(error) if matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL)) => {}
            listened => return listened,
        }
    }
    listen_on(address)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restarted server finds connections of its predecessor in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address} for HTTP: {source}; ")?;
                f.write_str(match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        "stop the program that listens there or set HttpPort"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        "set HTTPListener to an address of this host or to 0.0.0.0"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "grant CAP_NET_BIND_SERVICE or set HttpPort to 1024 or above"
                    }
                    _ => "look at HTTPListener and HttpPort, or set HttpOn to false",
                })
            }
            Self::Thread(source) => write!(
                f,
                "cannot start the HTTP thread: {source}; raise the limit of processes"
            ),
        }
    }
}

impl std::error::Error for HttpError {}

/// Connections that wait for `accept`; the kernel lowers it to net.core.somaxconn.
const LISTEN_BACKLOG: i32 = 1024;
const EAFNOSUPPORT: i32 = libc::EAFNOSUPPORT;
const EADDRNOTAVAIL: i32 = libc::EADDRNOTAVAIL;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    /// A server whose table has not come yet.
    fn start() -> Server {
        start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("start")
    }

    fn start_at(address: SocketAddr) -> Result<Server, HttpError> {
        let settings = HttpSettings {
            config: Arc::new(ArcSwap::from_pointee(Config::default())),
            freshness: SharedFreshness::default(),
            feed: Feed::default(),
            engine: SharedEngine::default(),
            sandbox: SharedSandbox::default(),
            forward: Arc::default(),
        };
        Server::start(address, settings, Published::default())
    }

    /// Sends a request as it is; gives the status line's number, the head and the body.
    fn ask(server: &Server, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(server.local_address()).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        stream.write_all(request.as_bytes()).expect("write");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        (
            status.parse().expect("a number"),
            head.to_owned(),
            body.to_owned(),
        )
    }

    fn get(server: &Server, path: &str) -> (u16, String, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        ask(server, &request)
    }

    #[test]
    fn before_the_first_table_only_what_needs_none_is_answered() {
        let server = start();
        for path in ["/v1/config", "/v1/version", "/healthz"] {
            assert_eq!(get(&server, path).0, 200, "{path}");
        }
        for path in [
            "/v1/hosts/a.mesos",
            "/v1/services/_a._tcp.mesos",
            "/v1/enumerate",
            "/v1/axfr",
            "/v1/explain/a.mesos",
            "/readyz",
        ] {
            assert_eq!(get(&server, path).0, 503, "{path}");
        }
        assert_eq!(get(&server, "/v1/hosts/a/ports").0, 501);
    }

    #[test]
    fn version_has_the_keys_of_upstream() {
        let (_, head, body) = get(&start(), "/v1/version");
        assert!(head.contains("content-type: application/json"), "{head}");
        let read: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let keys: Vec<&String> = read.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["Service", "URL", "Version"]);
    }

    #[test]
    fn errors_are_worded_as_upstream_words_them() {
        let server = start();
        let (status, head, body) = get(&server, "/v1/nothing");
        assert_eq!((status, &*body), (404, "404: Page Not Found"));
        assert!(head.contains("text/plain; charset=utf-8"), "{head}");
        let request = |line: &str, fields: &str| {
            let request = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}");
            let (status, _, body) = ask(&server, &request);
            (status, body)
        };
        assert_eq!(
            request("DELETE /v1/config", "\r\n"),
            (405, "405: Method Not Allowed".to_owned())
        );
        let foreign = "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(
            request("GET /v1/version", foreign),
            (415, "415: Unsupported Media Type".to_owned())
        );
        assert_eq!(
            request("GET /v1/version", "Content-Type: text/plain\r\n\r\n").0,
            200
        );
        assert_eq!(
            request("GET /v1/version", "Accept: image/png\r\n\r\n").0,
            200
        );
        assert_eq!(
            request("GET /v1/version", "Content-Length: 65537\r\n\r\n").0,
            413
        );
        assert_eq!(get(&server, "//v1/version").0, 301);
        assert_eq!(get(&server, "/v1/hosts/%zz").0, 400);
    }

    #[test]
    fn head_is_answered_as_get_without_the_body() {
        let server = start();
        let (status, head, body) = ask(
            &server,
            "HEAD /v1/version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        );
        let (_, _, of_get) = get(&server, "/v1/version");
        assert_eq!((status, &*body), (200, ""));
        let length = format!("content-length: {}", of_get.len());
        assert!(head.contains(&length), "{head}");
    }

    #[test]
    fn an_address_in_use_is_an_error_with_address_and_cure() {
        let server = start();
        let error = start_at(server.local_address())
            .err()
            .expect("an error")
            .to_string();
        assert!(error.contains(&server.local_address().to_string()));
        assert!(error.contains("set HttpPort"), "{error}");
    }

    #[test]
    fn stop_does_not_wait_for_idle_or_silent_clients() {
        let server = start();
        let mut idle = TcpStream::connect(server.local_address()).expect("connect");
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("write");
        let mut first = [0; 12];
        idle.read_exact(&mut first).expect("an answer");
        let mut unfinished = TcpStream::connect(server.local_address()).expect("connect");
        unfinished.write_all(b"GET /heal").expect("write");
        let begin = Instant::now();
        server.stop();
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
