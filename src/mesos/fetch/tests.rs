//! Tests of `fetch`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;

use super::super::http::ClientSettings;
use super::*;
use crate::config::{Authentication, Secret};
use crate::limits::LEADER_HOPS_MAX;

/// A server of one thread: gives what `answer` says of the path, and notes what was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What to write for a path; the stream is there for those that do not answer properly.
type Respond = Box<dyn Fn(&str, &mut TcpStream) -> String + Send>;

impl Server {
    fn start(respond: impl Fn(SocketAddr) -> Respond) -> Self {
        Self::start_at("127.0.0.1", respond)
    }

    fn start_at(host: &str, respond: impl Fn(SocketAddr) -> Respond) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let respond = respond(address);
        let notes = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    match line {
                        Ok(line) if !line.is_empty() => head.push(line),
                        _ => break,
                    }
                }
                let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else {
                    continue;
                };
                let path = path.to_owned();
                notes.lock().unwrap().push(head.join("\n"));
                let text = respond(&path, &mut stream);
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Self { address, asked }
    }

    fn paths(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let path = |head: &String| head.split(' ').nth(1).unwrap().to_owned();
        asked.iter().map(path).collect()
    }
}

fn state(leader: SocketAddr) -> String {
    format!(
        r#"{{"leader":"master@{leader}","slaves":[{{"id":"S0","pid":"slave(1)@10.0.0.1:5051"}}],"frameworks":[
        {{"id":"f","name":"marathon","tasks":[{{"id":"web.1","name":"web","slave_id":"S0","state":"TASK_RUNNING"}}]}}]}}"#
    )
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn plain(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
}

fn settings(masters: &[SocketAddr]) -> ClientSettings {
    let masters = masters.iter().map(|address| Endpoint {
        host: address.ip().to_string().into(),
        port: Some(address.port()),
    });
    ClientSettings {
        masters: masters.collect(),
        timeout: Duration::from_secs(20),
        state_bytes_max: 1 << 20,
        https: false,
        ca_cert_file: None,
        cert_file: None,
        key_file: None,
        authentication: Authentication::None,
    }
}

/// A client with the masters that it is to ask.
struct Client {
    client: MasterClient,
    masters: Vec<Endpoint>,
}

impl Client {
    fn new(settings: ClientSettings) -> Result<Self, MasterError> {
        let http = Http::new(&settings)?;
        Ok(Self {
            client: MasterClient::new(http, settings.state_bytes_max),
            masters: settings.masters,
        })
    }

    fn fetch(&mut self) -> Result<Fetched, MasterError> {
        self.client.fetch(&self.masters)
    }
}

fn fetch(masters: &[SocketAddr]) -> Result<Fetched, String> {
    let mut client = Client::new(settings(masters)).unwrap();
    client.fetch().map_err(|error| error.to_string())
}

/// An address where nobody listens.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn state_is_fetched_from_the_first_path_that_exists_and_that_is_remembered() {
    for (wanted, path) in PATHS.iter().enumerate() {
        let server = Server::start(|address| {
            Box::new(move |asked, _| match asked == *path {
                true => ok(&state(address)),
                false => plain("404 Not Found"),
            })
        });
        let mut client = Client::new(settings(&[server.address])).unwrap();
        let fetched = client.fetch().unwrap();
        assert_eq!(fetched.cluster.tasks.len(), 1);
        assert_eq!(fetched.bytes, state(server.address).len() as u64);
        client.fetch().unwrap();
        assert_eq!(server.paths()[..=wanted], PATHS[..=wanted]);
        assert_eq!(server.paths()[wanted + 1..], [*path]);
    }
}

#[test]
fn only_status_200_is_taken() {
    for status in [
        "500 Internal",
        "204 None",
        "401 Unauthorized",
        "503 Unavailable",
        "404 Not Found",
    ] {
        let server = Server::start(|address| {
            Box::new(move |_, _| ok(&state(address)).replace("200 OK", status))
        });
        let error = fetch(&[server.address]).unwrap_err();
        assert!(
            error.contains(&status[..3]) && error.contains(&server.address.to_string()),
            "{error}"
        );
    }
}

#[test]
fn request_says_who_asks_and_carries_the_credentials() {
    let server = Server::start(|address| Box::new(move |_, _| ok(&state(address))));
    let mut settings = settings(&[server.address]);
    settings.authentication = Authentication::Basic {
        principal: "dns".to_owned(),
        secret: Secret::Text("s3cret".to_owned()),
    };
    Client::new(settings).unwrap().fetch().unwrap();
    let head = server.asked.lock().unwrap()[0].to_ascii_lowercase();
    for line in [
        "authorization: basic zg5zonmzy3jlda==".to_owned(),
        "accept-encoding: gzip".to_owned(),
        "connection: close".to_owned(),
        format!("user-agent: rollcall/{}", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.contains(&line), "{line} in {head}");
    }
}

#[test]
fn secrets_stand_in_no_error() {
    let server = Server::start(|_| Box::new(|_, _| plain("401 Unauthorized")));
    let mut settings = settings(&[server.address]);
    settings.authentication = Authentication::Basic {
        principal: "dns".to_owned(),
        secret: Secret::Text("s3cret".to_owned()),
    };
    let error = Client::new(settings).unwrap().fetch().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    assert!(error.to_string().contains("MesosCredentials"));
}

#[test]
fn missing_files_are_refused_by_name() {
    let mut iam = settings(&[]);
    iam.authentication = Authentication::Iam {
        config_file: PathBuf::from("/nonexistent"),
    };
    let error = Client::new(iam).err().unwrap().to_string();
    assert!(error.contains("/nonexistent: No such file"), "{error}");
    let mut https = settings(&[]);
    https.https = true;
    https.ca_cert_file = Some(PathBuf::from("/nonexistent/ca.pem"));
    let error = Client::new(https).err().unwrap().to_string();
    assert!(error.contains("/nonexistent/ca.pem"), "{error}");
}

#[test]
fn gzip_and_chunks_are_read() {
    let server = Server::start(|_| {
        Box::new(|_, stream| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                GZIP.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(GZIP).unwrap();
            String::new()
        })
    });
    assert_eq!(fetch(&[server.address]).unwrap().cluster.agents.len(), 1);
    let server = Server::start(|address| {
        Box::new(move |_, _| {
            let state = state(address);
            let (one, two) = state.split_at(31);
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
                one.len(),
                two.len()
            )
        })
    });
    assert_eq!(fetch(&[server.address]).unwrap().cluster.tasks.len(), 1);
}

/// A state whose leader has no port, so that it is the one who was asked.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x49\x4d\x4c\x49\x2d\x52\xb2\x52\xca\
    \x4d\x2c\x2e\x49\x2d\x72\x30\x34\x32\xd7\x33\x00\x42\x43\x2b\x25\x1d\xa5\xe2\x9c\xc4\xb2\
    \xd4\x62\x25\xab\xe8\x6a\xa5\xcc\x14\xa0\x9a\x60\x03\xa0\x60\x01\x98\x09\x96\xd2\x30\xd4\
    \x74\x30\x34\x80\xaa\x37\x35\x30\x35\x54\xaa\x8d\xd5\x51\x4a\x2b\x4a\xcc\x4d\x2d\xcf\x2f\
    \xca\x06\xe9\x8c\xad\x05\x00\x55\x7c\xf4\x5d\x64\x00\x00\x00";

#[test]
fn body_that_is_cut_short_is_an_error() {
    // Within the document, and behind it: then the end that was promised is missing.
    for missing in [50, 0] {
        let server = Server::start(|address| {
            Box::new(move |_, _| {
                let state = state(address);
                let length = state.len() + 20;
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}",
                    &state[..state.len() - missing]
                )
            })
        });
        assert!(fetch(&[server.address]).is_err(), "{missing}");
    }
}

#[test]
fn slow_master_is_given_up_in_time_and_the_next_is_asked() {
    let slow = Server::start(|_| {
        Box::new(|_, stream| {
            // Waits for the client to hang up.
            let _ = stream.read(&mut [0; 1]);
            String::new()
        })
    });
    let good = Server::start(|address| Box::new(move |_, _| ok(&state(address))));
    let mut settings = settings(&[slow.address, good.address]);
    settings.timeout = Duration::from_millis(300);
    let fetched = Client::new(settings).unwrap().fetch().unwrap();
    assert_eq!(fetched.from.port, Some(good.address.port()));
}

#[test]
fn long_document_is_refused() {
    let server = Server::start(|address| Box::new(move |_, _| ok(&state(address))));
    let mut settings = settings(&[server.address]);
    settings.state_bytes_max = 100;
    let error = Client::new(settings)
        .unwrap()
        .fetch()
        .unwrap_err()
        .to_string();
    assert!(error.contains("StateBytesMax"), "{error}");
}

#[test]
fn redirects_of_all_forms_are_followed() {
    let leader = Server::start(|address| {
        Box::new(move |path, _| match path {
            "/master/state" | "/state" => ok(&state(address)),
            _ => plain("404 Not Found"),
        })
    });
    let to = leader.address;
    for (status, location) in [
        ("307 Temporary Redirect", format!("//{to}/master/state")),
        ("302 Found", format!("http://{to}/master/state")),
        ("307 Temporary Redirect", format!("//{to}")),
    ] {
        let follower = Server::start(|_| {
            let answer =
                plain(status).replace("\r\n\r\n", &format!("\r\nLocation: {location}\r\n\r\n"));
            Box::new(move |_, _| answer.clone())
        });
        let fetched = fetch(&[follower.address]).unwrap();
        assert_eq!(fetched.from.port, Some(to.port()), "{location}");
    }
}

#[test]
fn redirect_in_a_circle_or_to_another_scheme_is_an_error() {
    let answer = |location: String| {
        plain("307 Go").replace("\r\n\r\n", &format!("\r\nLocation: {location}\r\n\r\n"))
    };
    let server =
        Server::start(|address| Box::new(move |_, _| answer(format!("//{address}/state"))));
    let error = fetch(&[server.address]).unwrap_err();
    assert!(error.contains("circle"), "{error}");
    assert_eq!(server.paths().len(), LEADER_HOPS_MAX + 1);
    for bad in [
        "https://127.0.0.1:1/state",
        "",
        "state",
        "//",
        "//a@127.0.0.1:1/",
        "//127.0.0.1:x/",
        "ftp://127.0.0.1:1/",
    ] {
        let server = Server::start(|_| Box::new(move |_, _| answer(bad.to_owned())));
        let error = fetch(&[server.address]).unwrap_err();
        assert!(error.contains("redirects to"), "{bad}: {error}");
    }
}

#[test]
fn leader_elsewhere_is_asked() {
    let leader = Server::start_at("127.0.0.2", |address| {
        Box::new(move |_, _| ok(&state(address)))
    });
    let to = leader.address;
    let follower = Server::start(|_| Box::new(move |_, _| ok(&state(to))));
    let mut client = Client::new(settings(&[dead(), follower.address])).unwrap();
    assert_eq!(client.fetch().unwrap().from.port, Some(to.port()));
    assert_eq!((follower.paths().len(), leader.paths().len()), (1, 1));
}

#[test]
fn every_master_that_failed_is_named() {
    let garbage = Server::start(|_| Box::new(|_, _| ok("garbage")));
    let (one, two) = (dead(), garbage.address);
    let error = fetch(&[one, two]).unwrap_err();
    assert!(
        error.contains(&one.to_string()) && error.contains(&two.to_string()),
        "{error}"
    );
    assert!(fetch(&[]).unwrap_err().contains("Masters"));
}

#[test]
fn leader_that_has_not_recovered_is_not_believed_but_an_empty_cluster_is() {
    for (status, is_taken) in [
        ("503 Service Unavailable", false),
        ("404 Not Found", true),
        ("200 OK", true),
    ] {
        let server = Server::start(|address| {
            Box::new(move |path, _| match path {
                "/api/v1" => plain(status),
                _ => ok(&format!(
                    r#"{{"leader":"master@{address}","slaves":[],"frameworks":[]}}"#
                )),
            })
        });
        let fetched = fetch(&[server.address]);
        assert_eq!(fetched.is_ok(), is_taken, "{status}: {fetched:?}");
        assert!(
            fetched
                .err()
                .is_none_or(|error| error.contains("not recovered"))
        );
    }
}
