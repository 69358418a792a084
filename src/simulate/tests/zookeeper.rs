//! A real ZooKeeper for the tests of the election: Debian's package, on loopback, in a directory of its
//! own, ended by process id. In: nothing. Out: its address. `None` where it is not installed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

pub struct ZooKeeper {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl ZooKeeper {
    /// `None`, and a line that says so, where Java or ZooKeeper is not installed.
    pub fn start() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let classes = Path::new("/usr/share/java/zookeeper.jar").exists();
        let java = Command::new("java")
            .arg("-version")
            .stderr(Stdio::null())
            .status();
        if !classes || java.is_err() {
            println!("skipped: ZooKeeper is not installed (apt-get install zookeeper)");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!(
            "rollcall-simulate-zk-{}-{number}",
            std::process::id()
        ));
        fs::create_dir_all(&directory).expect("a directory");
        let port = loop {
            let port = fastrand::u16(12_000..32_000);
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
        let child = launch(&directory, port);
        let mut zookeeper = Self {
            child,
            directory,
            port,
        };
        zookeeper.wait();
        Some(zookeeper)
    }

    pub fn url(&self) -> String {
        format!("zk://127.0.0.1:{}/mesos", self.port)
    }

    pub fn url_with(&self, credentials: &str, path: &str) -> String {
        format!("zk://{credentials}@127.0.0.1:{}{path}", self.port)
    }

    /// As SIGKILL does it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts again with the same data.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(&self.directory, self.port);
        self.wait();
    }

    /// What a client sees below a path: names and data.
    pub fn children(&self, path: &str) -> Vec<(String, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let address = format!("127.0.0.1:{}", self.port);
            let client = zookeeper_client::Client::connect(&address)
                .await
                .expect("a session");
            let mut found = Vec::new();
            for child in client.list_children(path).await.unwrap_or_default() {
                let (data, _) = client
                    .get_data(&format!("{path}/{child}"))
                    .await
                    .expect("data");
                found.push((child, String::from_utf8(data).expect("text")));
            }
            found.sort();
            found
        })
    }

    fn wait(&mut self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        wait_until("ZooKeeper", || {
            let status = self.child.try_wait().expect("a child of ours");
            assert!(status.is_none(), "ZooKeeper ended: {}", self.log());
            let Ok(mut stream) = TcpStream::connect(address) else {
                return false;
            };
            // One that is just starting may take the question and never answer it.
            let patience = Some(Duration::from_millis(300));
            stream.set_read_timeout(patience).expect("a timeout");
            let mut answer = String::new();
            let asked = stream.write_all(b"ruok");
            asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer == "imok"
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

fn launch(directory: &Path, port: u16) -> Child {
    let config = directory.join("zoo.cfg");
    let text = format!(
        "tickTime=100\nmaxSessionTimeout=60000\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=ruok\n",
        directory.join("data").display()
    );
    fs::write(&config, text).expect("a configuration");
    let log = File::create(directory.join("log")).expect("a log");
    Command::new("java")
        .args([
            "-Xmx64m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
        ])
        .arg("/usr/share/java/*")
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("java starts")
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- what ZooKeeper logged:\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}
