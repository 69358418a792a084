//! A bound on the memory of one process: by a group of its own (cgroup, version 2 or 1) where this process
//! may make one, by its address space (RLIMIT_AS) where it may not. The group goes with the value.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub enum Memory {
    Group {
        directory: PathBuf,
        limit: &'static str,
        usage: &'static str,
        none: &'static str,
    },
    AddressSpace,
}

impl Memory {
    pub fn new() -> Self {
        let name = format!("rollcall-chaos-{}", std::process::id());
        let kinds = [
            ("/sys/fs/cgroup", "memory.max", "memory.current", "max"),
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "-1",
            ),
        ];
        for (root, limit, usage, none) in kinds {
            let directory = Path::new(root).join(&name);
            if fs::create_dir(&directory).is_err() {
                continue;
            }
            // Elsewhere it is an ordinary directory, or one without a bound on memory.
            let is_group = directory.join(usage).exists();
            if is_group && fs::write(directory.join(limit), none).is_ok() {
                return Self::Group {
                    directory,
                    limit,
                    usage,
                    none,
                };
            }
            let _ = fs::remove_dir(&directory);
        }
        Self::AddressSpace
    }

    /// In words.
    pub fn how(&self) -> &'static str {
        match self {
            Self::Group { limit, .. } => limit,
            Self::AddressSpace => "RLIMIT_AS",
        }
    }

    /// Counts what a process takes from now on.
    pub fn add(&self, process: u32) {
        if let Self::Group { directory, .. } = self {
            let file = directory.join("cgroup.procs");
            fs::write(file, process.to_string()).expect("the process joins the group");
        }
    }

    /// It may take so much more than it has.
    pub fn bound(&self, process: u32, more_bytes: u64) {
        match self {
            Self::Group {
                directory,
                limit,
                usage,
                ..
            } => {
                let usage = fs::read_to_string(directory.join(usage)).expect("the group's usage");
                let usage: u64 = usage.trim().parse().expect("octets");
                // Refused where it grew past it meanwhile.
                let _ = fs::write(directory.join(limit), (usage + more_bytes).to_string());
            }
            Self::AddressSpace => {
                let pages = fs::read_to_string(format!("/proc/{process}/statm"));
                let pages = pages.unwrap_or_default();
                let pages = pages.split(' ').next().and_then(|word| word.parse().ok());
                let pages: u64 = pages.unwrap_or(0);
                prlimit(process, &format!("--as={}:", pages * 4_096 + more_bytes));
            }
        }
    }

    pub fn unbound(&self, process: u32) {
        match self {
            Self::Group {
                directory,
                limit,
                none,
                ..
            } => fs::write(directory.join(limit), none).expect("the group has no limit"),
            Self::AddressSpace => prlimit(process, "--as=unlimited:"),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Self::Group { directory, .. } = self {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Sets a limit of a process; one that has ended has none.
pub fn prlimit(process: u32, limit: &str) {
    let _ = Command::new("prlimit")
        .args(["--pid", &process.to_string(), limit])
        .output()
        .expect("prlimit; tests/run installs it");
}
