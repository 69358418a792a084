//! What the process gives up once its sockets are open. In: a Config. Out: a thread, and all that it
//! starts from then on, that can do what Rollcall does and little else, and what is in force. It must
//! never keep the program from serving: what the kernel lacks is told and done without.
//!
//! It is done by the thread that starts all others, before it starts the first, because the kernel
//! confines threads, and each inherits from the one that started it. The order: capabilities, then files,
//! then system calls, whose list lacks what the others take.

mod calls;
mod capabilities;
mod files;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tracing::{info, warn};

use crate::config::{self, Config, ConfigError};
use crate::stats::sandbox::{Calls, Sandbox, SharedSandbox};

pub use files::OutOfReach;
use files::Reach;

/// What is in force in this process. The default: nothing.
#[derive(Clone, Debug, Default)]
pub struct Confined {
    shown: SharedSandbox,
    /// Where Landlock is in force.
    reach: Option<Reach>,
}

impl Confined {
    /// Confines the present thread as the configuration says, and logs what came of it.
    pub fn enter(config: &Config) -> Self {
        if config.sandbox == config::Sandbox::Off {
            info!("sandbox off: the process may do all that its user may, because Sandbox is off");
            return Self::default();
        }
        let reach = Reach::of(config);
        let mut shown = Sandbox {
            mode: config.sandbox.name(),
            ..Sandbox::default()
        };
        let mut lacks = |what: &str, why: &dyn std::fmt::Display| {
            shown.lacking.push(format!("{what}: {why}"));
        };
        let privileges = files::take_no_new_privileges();
        let privileges = privileges.map_err(|why| lacks("no new privileges", &why));
        let capabilities = capabilities::drop_others();
        let capabilities = capabilities.map_err(|why| lacks("capabilities", &why));
        let confined = files::version().map_err(str::to_owned);
        let confined = confined.and_then(|abi| reach.confine().map(|()| abi));
        let confined = confined.map_err(|why| lacks("files (Landlock)", &why));
        let filtered = calls::filter(config.sandbox);
        let filtered = filtered.map_err(|why| lacks("system calls (seccomp)", &why));
        shown.no_new_privileges = privileges.is_ok();
        shown.capabilities = capabilities.ok();
        shown.landlock_abi = confined.ok();
        shown.calls = filtered.unwrap_or_default();
        info!("sandbox {shown}");
        for lacking in &shown.lacking {
            warn!("the sandbox goes without {lacking}");
        }
        for file in Reach::unreadable(config) {
            warn!("{file}");
        }
        Self {
            reach: shown.landlock_abi.map(|_| reach),
            shown: Arc::new(shown),
        }
    }

    pub fn shown(&self) -> &SharedSandbox {
        &self.shown
    }

    /// What of another configuration this process cannot get at any more.
    pub fn misses(&self, config: &Config) -> Option<OutOfReach> {
        self.reach.as_ref()?.misses(config)
    }

    /// Why another configuration could not be read, where it is our own doing.
    pub fn misses_file_of(&self, error: &ConfigError) -> Option<OutOfReach> {
        self.reach.as_ref()?.misses_file_of(error)
    }

    /// Whether another configuration asks for what only a start can give.
    pub fn is_outdated(&self, config: &Config) -> bool {
        let mode = Some(self.shown.mode).filter(|mode| !mode.is_empty());
        mode.unwrap_or("off") != config.sandbox.name()
    }
}

/// What would be in force here, for `rollcall check`; nothing is.
pub fn findings(config: &Config) -> Vec<String> {
    let mut shown = Sandbox {
        mode: config.sandbox.name(),
        ..Sandbox::default()
    };
    if config.sandbox != config::Sandbox::Off {
        let version = files::version();
        let calls = calls::wanted(config.sandbox);
        shown.no_new_privileges = true;
        shown.capabilities = capabilities::kept().ok();
        shown.landlock_abi = version.ok();
        shown.calls = *calls.as_ref().unwrap_or(&Calls::Free);
        let files = version.err().map(|why| format!("files (Landlock): {why}"));
        let calls = calls
            .err()
            .map(|why| format!("system calls (seccomp): {why}"));
        shown.lacking.extend(files.into_iter().chain(calls));
    }
    let lacking = shown.lacking.iter();
    let lacking = lacking.map(|lacking| format!("warning: the sandbox goes without {lacking}"));
    std::iter::once(format!("sandbox: {shown}"))
        .chain(lacking)
        .collect()
}
