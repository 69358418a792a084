//! Drives the stand-in for systemd (`systemd.py`), in which the program runs as a unit does. In: orders.
//! Out: what the program said and when it ended. Both end with the value.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::client::Client;
use super::files::Folder;
use super::process::{engine_variable, free_address};
use super::wait_until;

pub struct Unit {
    folder: Folder,
    dns: SocketAddr,
    pub variables: Vec<(String, String)>,
    manager: Child,
    orders: Option<ChildStdin>,
    heard: Arc<Mutex<Heard>>,
    ear: Option<JoinHandle<()>>,
}

/// Since the last start, but for what is kept.
#[derive(Default)]
struct Heard {
    words: Vec<String>,
    kept: Vec<String>,
    process: Option<u64>,
    ended: Option<i64>,
    listening: usize,
}

impl Unit {
    /// Starts nothing yet.
    pub fn new(masters: &[SocketAddr], settings: Value) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Folder::new();
        let dns = free_address();
        let mut config = json!({
            "Masters": masters.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "Port": dns.port(), "HttpPort": free_address().port(), "Listener": "127.0.0.1",
            "HTTPListener": "127.0.0.1", "RefreshSeconds": 1, "ExternalOn": false, "Source": "poll",
        });
        merge(&mut config, settings);
        folder.write("config.json", config.to_string());
        // The path of a Unix socket is short.
        let notify = format!("rollcall-{}-{number}", std::process::id());
        let notify = std::env::temp_dir().join(notify);
        let _ = std::fs::remove_file(&notify);
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/systemd.py");
        let mut manager = Command::new("python3")
            .arg("-B")
            .arg(script)
            .arg(notify)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let lines = BufReader::new(manager.stdout.take().expect("its output"));
        let ear = thread::spawn({
            let heard = Arc::clone(&heard);
            move || {
                for line in lines.lines().map_while(Result::ok) {
                    let event = serde_json::from_str(&line).expect("JSON");
                    heard.lock().expect("no thread panicked").note(&event);
                }
            }
        });
        let state = folder.join("state").display().to_string();
        Self {
            orders: manager.stdin.take(),
            folder,
            dns,
            variables: vec![("STATE_DIRECTORY".to_owned(), state)],
            manager,
            heard,
            ear: Some(ear),
        }
    }

    pub fn dns_address(&self) -> SocketAddr {
        self.dns
    }

    pub fn client(&self) -> Client {
        Client::new(self.dns)
    }

    /// Writes these keys into its configuration.
    pub fn configure(&self, settings: Value) {
        let text = std::fs::read(self.folder.join("config.json")).expect("the configuration");
        let mut config: Value = serde_json::from_slice(&text).expect("JSON");
        merge(&mut config, settings);
        self.folder.write("config.json", config.to_string());
    }

    /// Has it take these keys while it runs, or refuse them; returns when it says that the reload is over.
    pub fn reload(&mut self, settings: Value) {
        let said = self.count_of("READY=1");
        self.configure(settings);
        self.signal("HUP");
        wait_until("end of the reload", || self.count_of("READY=1") == said + 1);
    }

    /// Has the manager open a socket, as for a socket unit: `kind` is "udp" or "tcp".
    pub fn listen(&mut self, kind: &str, address: SocketAddr) {
        let count = self.heard().listening;
        let (ip, port) = (address.ip().to_string(), address.port());
        self.order(json!({"do": "listen", "kind": kind, "address": ip, "port": port}));
        wait_until("socket of the unit", || self.heard().listening > count);
    }

    /// Starts it, with the unit's sockets and those that it had kept.
    pub fn start(&mut self) {
        self.start_for(None);
    }

    /// The same with sockets that are meant for another process.
    pub fn start_for(&mut self, listen_pid: Option<&str>) {
        let mut heard = self.heard();
        *heard = Heard {
            listening: heard.listening,
            kept: std::mem::take(&mut heard.kept),
            ..Heard::default()
        };
        drop(heard);
        let engine = engine_variable().map(|(name, value)| (name.to_owned(), value));
        let variables = self.variables.iter().cloned().chain(engine);
        let variables: serde_json::Map<_, _> = variables
            .map(|(name, value)| (name, value.into()))
            .collect();
        self.order(json!({
            "do": "start", "arguments": [env!("CARGO_BIN_EXE_rollcall")], "variables": variables,
            "directory": *self.folder, "log": self.folder.join("log"), "listen_pid": listen_pid,
        }));
        wait_until("process of the unit", || self.heard().process.is_some());
    }

    /// Waits until it said this since its start.
    pub fn wait_for(&self, word: &str) {
        wait_until(word, || self.count_of(word) > 0);
    }

    /// How often it said something that begins so since its start.
    pub fn count_of(&self, begin: &str) -> usize {
        let heard = self.heard();
        let words = heard.words.iter();
        words.filter(|word| word.starts_with(begin)).count()
    }

    /// What it said since its start.
    pub fn words(&self) -> Vec<String> {
        self.heard().words.clone()
    }

    /// Names of the sockets that the manager keeps.
    pub fn kept(&self) -> Vec<String> {
        self.heard().kept.clone()
    }

    pub fn signal(&mut self, name: &str) {
        self.order(json!({"do": "signal", "name": name}));
    }

    /// Has it stand still, threads and all, as SIGSTOP does; it goes on with SIGCONT.
    pub fn freeze(&mut self) {
        self.signal("STOP");
        let process = self.heard().process.expect("it runs");
        wait_until("stillness", || {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
            let stat = stat.expect("the process is there");
            // Behind the name, which is in brackets.
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        });
    }

    /// The first half of `systemctl restart`: what is kept stays.
    pub fn stop(&mut self) {
        self.signal("TERM");
        wait_until("end of the program", || self.heard().ended.is_some());
        assert_eq!(self.heard().ended, Some(0));
    }

    /// The rest of a `systemctl stop`: nothing is kept.
    pub fn forget(&mut self) {
        self.order(json!({"do": "forget"}));
        wait_until("end of what was kept", || self.kept().is_empty());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("no thread panicked")
    }

    fn order(&mut self, order: Value) {
        let orders = self.orders.as_mut().expect("it is not over");
        writeln!(orders, "{order}").expect("the manager runs");
    }
}

impl Heard {
    fn note(&mut self, event: &Value) {
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten();
            texts
                .filter_map(|it| it.as_str().map(str::to_owned))
                .collect()
        };
        self.words.extend(texts(&event["said"]));
        if event["kept"].is_array() {
            self.kept = texts(&event["kept"]);
        }
        self.process = event["started"].as_u64().or(self.process);
        self.ended = event["ended"].as_i64().or(self.ended);
        self.listening += usize::from(event["listens"].is_number());
    }
}

fn merge(config: &mut Value, settings: Value) {
    for (key, value) in settings.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // The manager ends with its orders.
        self.orders = None;
        let _ = self.manager.wait();
        if let Some(ear) = self.ear.take() {
            let _ = ear.join();
        }
        if thread::panicking() {
            eprintln!("--- what rollcall logged:\n{}", self.log());
            if let Ok(heard) = self.heard.lock() {
                eprintln!("--- what it said: {:#?}", heard.words);
            }
        }
    }
}
