//! A real ZooKeeper, alone or as an ensemble of three, on loopback and in a directory of its own; what a
//! master or an operator does there; and a wire between it and a client that can be cut or go silent.
//! All of it ends with the value, also when a test panics.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::DEADLINE;
use super::process::free_address;

/// One server. Its data outlive a `kill`.
pub struct ZooKeeper {
    child: Option<Child>,
    directory: PathBuf,
    address: SocketAddr,
    java_options: Vec<String>,
}

impl ZooKeeper {
    /// A server of its own, which answers when this returns.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further options of the Java machine.
    pub fn start_with(java_options: &[&str]) -> Self {
        // Another test may take a port between the look and the bind: then it exits, and we look again.
        for _ in 0..5 {
            let mut server = Self::prepare(free_address(), java_options, "");
            server.launch();
            if server.serves() {
                return server;
            }
        }
        panic!("ZooKeeper does not start");
    }

    /// Three servers that have elected a leader.
    pub fn ensemble() -> Vec<Self> {
        for _ in 0..5 {
            let members: String = (1..=3)
                .map(|id| {
                    let (peer, election) = (free_address().port(), free_address().port());
                    format!("server.{id}=127.0.0.1:{peer}:{election}\n")
                })
                .collect();
            let mut servers = Vec::new();
            for id in 1..=3 {
                let mut server = Self::prepare(free_address(), &[], &members);
                fs::write(server.directory.join("data/myid"), format!("{id}\n"))
                    .expect("the identity is written");
                server.launch();
                servers.push(server);
            }
            if servers.iter_mut().all(Self::serves) {
                return servers;
            }
        }
        panic!("the ZooKeeper ensemble does not start");
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `Zk` says of this server and a path.
    pub fn url(&self, path: &str) -> String {
        format!("zk://{}{path}", self.address)
    }

    /// SIGKILL; the kernel closes its connections.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it, again with the same data and port, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
        assert!(self.serves(), "ZooKeeper does not come back");
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        let status = Command::new("kill")
            .args(["-s", name, &child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success(), "{name} is sent");
    }

    /// Whether it is the leader of the ensemble.
    pub fn is_leading(&self) -> bool {
        ask(self.address, "srvr").is_some_and(|answer| answer.contains("Mode: leader"))
    }

    /// Makes a node that everybody may use, and the nodes above it.
    pub fn create(&self, path: &str, data: &str) {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        self.with(None, async |client| {
            if let Some((parent, _)) = path
                .rsplit_once('/')
                .filter(|(parent, _)| !parent.is_empty())
            {
                client.mkdir(parent, &options).await?;
            }
            client
                .create(path, data.as_bytes(), &options)
                .await
                .map(drop)
        });
    }

    pub fn set(&self, path: &str, data: &str) {
        self.with(None, async |client| {
            client.set_data(path, data.as_bytes(), None).await.map(drop)
        });
    }

    pub fn delete(&self, path: &str) {
        self.with(None, async |client| client.delete(path, None).await);
    }

    /// What is directly below a path, by name: names and data; nothing where there is no such path.
    pub fn children(&self, path: &str) -> Vec<(String, String)> {
        self.with(None, async |client| {
            let mut found = Vec::new();
            for child in client.list_children(path).await.unwrap_or_default() {
                let (data, _) = client.get_data(&format!("{path}/{child}")).await?;
                found.push((child, String::from_utf8_lossy(&data).into_owned()));
            }
            found.sort();
            Ok(found)
        })
    }

    /// What a client does, with `user:password` where given, in a session of its own.
    pub fn with<T>(
        &self,
        credentials: Option<&str>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let result = runtime.block_on(async {
            let mut connector = Client::connector();
            if let Some(credentials) = credentials {
                connector = connector.with_auth("digest", credentials.as_bytes());
            }
            let client = connector.connect(&self.address.to_string()).await?;
            work(&client).await
        });
        result.expect("ZooKeeper does it")
    }

    fn prepare(address: SocketAddr, java_options: &[&str], members: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("zookeeper-{}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("data")).expect("a directory below target");
        // A session lasts 2 s here, however long a client wants it.
        let config = format!(
            "tickTime=200\ninitLimit=50\nsyncLimit=25\nmaxSessionTimeout=2000\n\
             dataDir={}\nclientPort={}\nclientPortAddress={}\nadmin.enableServer=false\n\
             4lw.commands.whitelist=srvr\n{members}",
            directory.join("data").display(),
            address.port(),
            address.ip()
        );
        fs::write(directory.join("zoo.cfg"), config).expect("the configuration is written");
        fs::write(directory.join("log4j.properties"), LOG_SETTINGS).expect("the log's settings");
        Self {
            child: None,
            directory,
            address,
            java_options: java_options.iter().map(ToString::to_string).collect(),
        }
    }

    fn launch(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))
            .expect("a log");
        let settings = self.directory.join("log4j.properties");
        let child = Command::new("java")
            // A short life on a busy machine: no second compiler, no parallel collector.
            .args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dlog4j.configuration=file:{}", settings.display()))
            .arg("-Dzookeeper.jmx.log4j.disable=true")
            .args(&self.java_options)
            .args(["-cp", CLASS_PATH])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(self.directory.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("java starts; tests/run installs it with zookeeper");
        self.child = Some(child);
    }

    /// Waits until it answers; false where it exits instead.
    fn serves(&mut self) -> bool {
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            let child = self.child.as_mut().expect("launched");
            if child.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            if ask(self.address, "srvr").is_some_and(|answer| answer.contains("Mode: ")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            show_end_of(&self.directory.join("log"));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Ends a session as if it had expired: somebody else takes it over and closes it.
pub fn expire(server: SocketAddr, session: &SessionKey) {
    let mut stream = TcpStream::connect(server).expect("ZooKeeper listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout above zero");
    // ConnectRequest: version, last change seen, timeout, session, password, read-only.
    let mut connect = Vec::new();
    connect.extend(0_i32.to_be_bytes());
    connect.extend(0_i64.to_be_bytes());
    connect.extend(2_000_i32.to_be_bytes());
    connect.extend(session.id);
    connect.extend(16_i32.to_be_bytes());
    connect.extend(session.password);
    connect.push(0);
    // CloseSession: number of the request, its kind.
    let close = [1_i32.to_be_bytes(), (-11_i32).to_be_bytes()].concat();
    send(&mut stream, &connect);
    // The answer's length, version, timeout and session; that of a session unknown to it is zero.
    let mut answer = [0; 41];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer[12..20], session.id, "the session was not taken over");
    send(&mut stream, &close);
    // The server closes the connection behind its answer.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn send(stream: &mut TcpStream, frame: &[u8]) {
    let length = u32::try_from(frame.len()).expect("short");
    let frame = [&length.to_be_bytes(), frame].concat();
    stream.write_all(&frame).expect("sent");
}

/// What ZooKeeper gave a client to come back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKey {
    pub id: [u8; 8],
    pub password: [u8; 16],
}

/// One of ZooKeeper's four-letter words.
fn ask(address: SocketAddr, word: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    // A server that has just begun to listen may forget who came first.
    stream.set_read_timeout(Some(ANSWER_WAIT)).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn show_end_of(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let stack = |line: &&str| line.starts_with("\tat ");
    let lines: Vec<&str> = text.lines().filter(|line| !stack(line)).collect();
    let end = &lines[lines.len().saturating_sub(60)..];
    eprintln!("--- what ZooKeeper logged last:\n{}", end.join("\n"));
}

const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// As Debian's package zookeeper lays them.
const CLASS_PATH: &str =
    "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-log4j12.jar:/usr/share/java/log4j-1.2.jar";
const LOG_SETTINGS: &str = "log4j.rootLogger=INFO,out\n\
    log4j.appender.out=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.out.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n\n";
