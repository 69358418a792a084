//! The real program: started with a configuration in a directory of its own and on free ports, waited
//! for with a deadline, ended with the value. What it logged is shown when a test fails.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use serde_json::{Value, json};

use super::client::{Client, SOA};
use super::{DEADLINE, wait_until};
use rollcall::config::Engine;

pub struct Rollcall {
    child: Child,
    directory: PathBuf,
    dns: SocketAddr,
    http: SocketAddr,
    variables: Vec<(String, String)>,
    /// How many files it may have open; as many as the tests where there is none.
    files_max: Option<u32>,
}

impl Rollcall {
    /// Starts with these masters and waits until the domain is answered.
    pub fn serving(masters: &[SocketAddr], settings: Value) -> Self {
        let rollcall = Self::listening(masters, settings);
        rollcall.wait_for_table();
        rollcall
    }

    fn wait_for_table(&self) {
        let client = self.client();
        wait_until("first table", || {
            client.rcode("mesos", SOA) == ResponseCode::NoError
        });
    }

    /// Starts and waits until something answers, be it SERVFAIL.
    pub fn listening(masters: &[SocketAddr], settings: Value) -> Self {
        Self::listening_with(masters, settings, &[])
    }

    /// As `serving`, with so many files open at most, which it cannot raise.
    pub fn serving_within(files_max: u32, masters: &[SocketAddr], settings: Value) -> Self {
        let rollcall = Self::started(masters, settings, &[], Some(files_max));
        rollcall.wait_for_table();
        rollcall
    }

    /// As `listening`, with these environment variables and no others.
    pub fn listening_with(
        masters: &[SocketAddr],
        settings: Value,
        variables: &[(&str, &str)],
    ) -> Self {
        Self::started(masters, settings, variables, None)
    }

    fn started(
        masters: &[SocketAddr],
        settings: Value,
        variables: &[(&str, &str)],
        files_max: Option<u32>,
    ) -> Self {
        // Another test may take a port between the look and the bind: then it exits, and we look again.
        for _ in 0..5 {
            let mut rollcall = Self::launch(masters, &settings, variables, files_max);
            if rollcall.answers() {
                return rollcall;
            }
        }
        panic!("rollcall does not start");
    }

    /// Where it answers DNS.
    pub fn dns_address(&self) -> SocketAddr {
        self.dns
    }

    /// Has it take these keys while it runs.
    pub fn reconfigure(&self, settings: Value) {
        let taken = || self.log_lines("was read anew and is in force");
        let before = taken();
        self.configure(settings);
        self.signal("HUP");
        wait_until("configuration in force", || taken() > before);
    }

    /// Where its HTTP interface listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    pub fn client(&self) -> Client {
        Client::new(self.dns)
    }

    /// Lines of the log so far that hold a text.
    pub fn log_lines(&self, text: &str) -> usize {
        let log = self.log();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Whether some line of the log holds all of these.
    pub fn has_line(&self, texts: &[&str]) -> bool {
        let log = self.log();
        log.lines()
            .any(|line| texts.iter().all(|text| line.contains(text)))
    }

    /// All that was logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).expect("the log")
    }

    /// The configuration that it runs with.
    pub fn config_file(&self) -> PathBuf {
        self.directory.join("config.json")
    }

    /// What everybody on the machine sees of it in a list of processes.
    pub fn command_line(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.child.id());
        let words = fs::read(path).expect("the process runs");
        String::from_utf8_lossy(&words).replace('\0', " ")
    }

    /// What it has of memory, in KiB, and its threads.
    pub fn memory_and_threads(&self) -> (u64, usize) {
        let number = self.numbers("status");
        (number("VmRSS:"), number("Threads:") as usize)
    }

    /// The numbers of a file of /proc, by the labels of their lines.
    fn numbers(&self, file: &str) -> impl Fn(&str) -> u64 {
        let path = format!("/proc/{}/{file}", self.child.id());
        let text = fs::read_to_string(path).expect("the process runs");
        move |label| {
            let line = text.lines().find_map(|line| line.strip_prefix(label));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).expect("a number")
        }
    }

    /// Its process id, for what the system can do to it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has of memory, page by page as the kernel has it mapped: in all, and of its own (not of
    /// files), in KiB.
    pub fn mapped_kib(&self) -> (u64, u64) {
        let number = self.numbers("smaps_rollup");
        (number("Rss:"), number("Anonymous:"))
    }

    /// The sum of a family of `/metrics`, over all its labels.
    pub fn metric(&self, family: &str) -> f64 {
        let (code, text) = self.get("/metrics");
        assert_eq!(code, 200, "{text}");
        let samples = text.lines().filter_map(|line| line.strip_prefix(family));
        let values = samples.filter(|rest| rest.starts_with([' ', '{']));
        let number = |rest: &str| rest.rsplit(' ').next()?.parse::<f64>().ok();
        values.filter_map(number).sum()
    }

    /// What the kernel says of each of its threads.
    pub fn threads(&self) -> Vec<String> {
        let path = format!("/proc/{}/task", self.child.id());
        let threads = fs::read_dir(path).expect("the process runs").flatten();
        // One may have ended since.
        let texts = threads.map(|thread| fs::read_to_string(thread.path().join("status")));
        texts.filter_map(Result::ok).collect()
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(path).expect("the process runs").count()
    }

    /// The names of its threads, and what its descriptors are.
    pub fn threads_and_files(&self) -> (Vec<String>, Vec<String>) {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let entries = |name: &str| {
            fs::read_dir(process.join(name))
                .into_iter()
                .flatten()
                .flatten()
        };
        let threads =
            entries("task").filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
        let files = entries("fd").filter_map(|it| fs::read_link(it.path()).ok());
        (
            threads.map(|name| name.trim().to_owned()).collect(),
            files.map(|file| file.display().to_string()).collect(),
        )
    }

    /// How many rings of io_uring it has.
    pub fn ring_count(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        let files = fs::read_dir(path).expect("the process runs").flatten();
        let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        targets
            .filter(|target| target.as_os_str() == "anon_inode:[io_uring]")
            .count()
    }

    /// One GET of the HTTP interface: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.http, path)
    }

    fn launch(
        masters: &[SocketAddr],
        settings: &Value,
        variables: &[(&str, &str)],
        files_max: Option<u32>,
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("it-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory below target");
        let (dns, http) = (free_address(), free_address());
        let mut config = json!({
            "Masters": masters.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "Port": dns.port(), "HttpPort": http.port(),
            "Listener": "127.0.0.1", "HTTPListener": "127.0.0.1", "RefreshSeconds": 1,
            // Nothing is asked of the default's resolver, which is out in the world.
            "ExternalOn": false,
        });
        for (key, value) in settings.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let path = directory.join("config.json");
        fs::write(&path, config.to_string()).expect("the configuration is written");
        let child = spawn(&directory, variables, files_max);
        Self {
            child,
            directory,
            dns,
            http,
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            files_max,
        }
    }

    /// Writes these keys into its configuration; it reads them at a restart or on SIGHUP.
    pub fn configure(&self, settings: Value) {
        let text = fs::read(self.config_file()).expect("the configuration");
        let mut config: Value = serde_json::from_slice(&text).expect("JSON");
        for (key, value) in settings.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        fs::write(self.config_file(), config.to_string()).expect("the configuration is written");
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "{name} is sent");
    }

    /// Has it do nothing, with its sockets open, until CONT.
    pub fn pause(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        let stands = |stat: String| {
            let state = stat
                .rsplit_once(')')
                .map(|(_, rest)| rest.starts_with(" T"));
            state == Some(true)
        };
        wait_until("process that stands still", || {
            let tasks = fs::read_dir(&tasks).expect("the process is there");
            let mut stats = tasks.flatten().map(|task| task.path().join("stat"));
            stats.all(|stat| fs::read_to_string(stat).is_ok_and(stands))
        });
    }

    /// Sends a signal where it may have ended already.
    pub fn signal_if_running(&self, name: &str) {
        let _ = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .stderr(Stdio::null())
            .status();
    }

    /// Starts it where it is to end by itself; the one before must have ended.
    pub fn run_to_the_end(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg(format!("-config={}", self.config_file().display()))
            .env_clear()
            .output()
            .expect("rollcall runs")
    }

    /// Whether it has ended, by itself or by a signal.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// Waits for its end, and says how it ended and after how long.
    pub fn wait_for_end(&mut self) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        let mut ended = None;
        wait_until("end of the program", || {
            ended = self.child.try_wait().expect("a child of ours");
            ended.is_some()
        });
        (ended.expect("it ended"), begin.elapsed())
    }

    /// CPU time that it took so far, to a hundredth of a second.
    pub fn cpu_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(path).expect("the process runs");
        // Behind the name, which is in brackets: the 12th and 13th word, in ticks.
        let (_, words) = stat.rsplit_once(')').expect("a name");
        let ticks = words.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|it| it.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Starts it anew, with its configuration, variables and ports; the one before must have ended.
    pub fn start_again(&mut self) {
        let status = self.child.try_wait().expect("a child of ours");
        assert!(status.is_some(), "it runs already");
        let variables = self.variables.iter();
        let variables: Vec<(&str, &str)> = variables
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.child = spawn(&self.directory, &variables, self.files_max);
        assert!(self.answers(), "rollcall starts again");
    }

    /// `/v1/status`.
    pub fn status(&self) -> Value {
        let (code, body) = self.get("/v1/status");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn answers(&mut self) -> bool {
        let end = Instant::now() + DEADLINE;
        let query = super::client::query("mesos", SOA);
        while Instant::now() < end {
            if self.child.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            // A port that nobody listens on refuses at once; then there is no answer to wait for.
            if TcpStream::connect(self.dns).is_ok() && self.client().try_udp(&query).is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Rollcall {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            eprintln!("--- what rollcall logged:\n{log}");
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// One GET: status and body.
pub fn get(server: SocketAddr, path: &str) -> (u16, String) {
    request(server, "GET", path)
}

/// The status of a GET with a bearer token.
pub fn status_with_token(server: SocketAddr, path: &str, token: &str) -> u16 {
    request_with(
        server,
        "GET",
        path,
        &format!("Authorization: Bearer {token}\r\n"),
    )
    .0
}

/// One request without a body: status and body of the answer.
pub fn request(server: SocketAddr, method: &str, path: &str) -> (u16, String) {
    request_with(server, method, path, "")
}

fn request_with(server: SocketAddr, method: &str, path: &str, fields: &str) -> (u16, String) {
    let mut stream = None;
    // DNS is answered a moment before HTTP listens.
    wait_until("HTTP interface that listens", || {
        stream = TcpStream::connect(server).ok();
        stream.is_some()
    });
    let mut stream = stream.expect("it listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout above zero");
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\n{fields}\r\n"
    )
    .expect("the request is sent");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .expect("a response in UTF-8");
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    (status, body.to_owned())
}

/// The engine that this run of the tests is for, as the program is told.
pub fn engine_variable() -> Option<(&'static str, String)> {
    let name = std::env::var("ROLLCALL_ENGINE").ok()?;
    Some(("ROLLCALL_ENGINE", name))
}

/// The same for a server in this process.
pub fn engine() -> Engine {
    engine_variable().map_or(Engine::Auto, |(_, name)| {
        Engine::named(&name).expect("ROLLCALL_ENGINE")
    })
}

/// Starts the program with the configuration of its directory; the log goes on where it ended.
fn spawn(directory: &Path, variables: &[(&str, &str)], files_max: Option<u32>) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("a log");
    let program = env!("CARGO_BIN_EXE_rollcall");
    let mut command = match files_max {
        None => Command::new(program),
        // It sets the limit and becomes the program.
        Some(count) => {
            let mut command = Command::new("prlimit");
            command
                .arg(format!("--nofile={count}:{count}"))
                .arg(program);
            command
        }
    };
    command
        .arg(format!(
            "-config={}",
            directory.join("config.json").display()
        ))
        .env_clear()
        .envs(engine_variable())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("rollcall starts")
}

/// A port that is free for UDP and for TCP, below those that the kernel gives to clients.
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(12_000..32_000)));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
