//! A load of ordinary queries from somebody else's program (dnsperf, as Debian packs it), and its own
//! report on what came back. It ends with the value.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Dnsperf {
    child: Option<Child>,
    names: PathBuf,
}

/// What it counted.
#[derive(Debug)]
pub struct Report {
    pub sent: u64,
    pub completed: u64,
    pub lost: u64,
    /// Answers with NOERROR.
    pub good: u64,
}

impl Dnsperf {
    /// `questions` are lines of a name and a type; at most so many a second, over UDP.
    pub fn start(server: SocketAddr, questions: &str, rate: u32, time: Duration) -> Self {
        let names = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "dnsperf-{}-{}",
            std::process::id(),
            server.port()
        ));
        fs::write(&names, questions).expect("the questions are written");
        let (port, rate) = (server.port().to_string(), rate.to_string());
        let (seconds, timeout) = (time.as_secs().to_string(), TIMEOUT_SECONDS.to_string());
        let child = Command::new("dnsperf")
            .args(["-s", "127.0.0.1", "-p", &port, "-d"])
            .arg(&names)
            .args(["-l", &seconds, "-Q", &rate, "-t", &timeout])
            // On a busy machine the rate falls before a socket's buffer overflows.
            .args(["-c", "4", "-q", "100", "-T", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsperf starts; tests/run installs it");
        let child = Some(child);
        Self { child, names }
    }

    /// Waits for the end of its time.
    pub fn finish(mut self) -> Report {
        let child = self.child.take().expect("it runs");
        let output = child.wait_with_output().expect("dnsperf ends");
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |label: &str| {
            let rest = text.split(label).nth(1).unwrap_or_default();
            let word = rest.split_whitespace().next().unwrap_or_default();
            word.parse().ok()
        };
        let wanted = |label| number(label).unwrap_or_else(|| panic!("{label} in {text}"));
        Report {
            sent: wanted("Queries sent:"),
            completed: wanted("Queries completed:"),
            lost: wanted("Queries lost:"),
            good: number("NOERROR ").unwrap_or(0),
        }
    }
}

impl Drop for Dnsperf {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(&self.names);
    }
}

/// An answer that is later than this is lost. Long, for a machine on which everybody has to wait.
const TIMEOUT_SECONDS: u32 = 10;
