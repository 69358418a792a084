//! One process of a server's. In: a command and its cores. Out: a running process, what it uses of the
//! machine with its threads and children, and its end. Must never end a process that it did not start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub struct Process {
    child: Child,
    pub log: PathBuf,
    pub started: Instant,
}

impl Process {
    /// On these cores, as all of its threads and children will be. Ends when we end, however that is.
    pub fn start(command: &[String], cores: &[usize], log: &Path) -> Self {
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        let output = fs::File::create(log).expect("a log");
        let started = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", &cores.join(","), "setpriv", "--pdeathsig", "TERM"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn()
            .expect("taskset starts (apt-get install util-linux)");
        Self {
            child,
            log: log.to_owned(),
            started,
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// The last lines of what it said.
    pub fn last_words(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Time on a core, of all threads and children, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        let mut sum = 0;
        for id in self.family() {
            let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter();
            for thread in threads.flatten().flatten() {
                let stat = fs::read_to_string(thread.path().join("schedstat"));
                let stat = stat.unwrap_or_default();
                let first = stat.split(' ').next().unwrap_or_default();
                sum += first.parse::<u64>().unwrap_or(0);
            }
        }
        sum
    }

    /// Memory of it and its children that is in place, in octets; what they share counts for each.
    pub fn resident_bytes(&self) -> u64 {
        let family = self.family();
        family.iter().map(|id| status_bytes(*id, "VmRSS:")).sum()
    }

    /// The most that it had in place so far.
    pub fn peak_bytes(&self) -> u64 {
        status_bytes(self.child.id(), "VmHWM:")
    }

    /// Itself and all below it.
    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(&id) = family.get(next) {
            let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter();
            for thread in threads.flatten().flatten() {
                let children = fs::read_to_string(thread.path().join("children"));
                let children = children.unwrap_or_default();
                family.extend(
                    children
                        .split_whitespace()
                        .filter_map(|id| id.parse::<u32>().ok()),
                );
            }
            next += 1;
        }
        family
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let family = self.family();
        let process = Pid::from_raw(self.child.id() as i32);
        let _ = kill(process, Signal::SIGTERM);
        let end = Instant::now() + PATIENCE;
        while !self.has_ended() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        if !self.has_ended() {
            for id in family {
                let _ = kill(Pid::from_raw(id as i32), Signal::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// A line of a process's status, in octets.
fn status_bytes(id: u32, label: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let rest = status.split(label).nth(1).unwrap_or_default();
    let kibibytes = rest.split_whitespace().next().unwrap_or_default();
    kibibytes.parse::<u64>().unwrap_or(0) * 1_024
}

/// For a server to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);
