//! What the tests of the whole process share: the real binary on loopback, a DNS client of its own with
//! somebody else's decoder, and a master that can be told to fail. Nothing here uses our own wire code.

pub mod browser;
pub mod client;
pub mod clock;
pub mod crowd;
pub mod dnsperf;
pub mod ears;
pub mod files;
pub mod liar;
pub mod log;
pub mod login;
pub mod master;
pub mod namespace;
pub mod nginx;
pub mod openssl;
pub mod process;
pub mod resolver;
pub mod state;
pub mod stream;
pub mod systemd;
pub mod upstream;
pub mod vigil;
pub mod wire;
pub mod zookeeper;

use std::time::{Duration, Instant};

/// How long anything may take on a slow machine before the test gives up.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Polls until `check` is true; panics with `what` at the deadline.
pub fn wait_until(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !check() {
        assert!(Instant::now() < end, "no {what} after {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
