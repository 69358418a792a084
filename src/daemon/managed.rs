//! A daemon below a service manager. In: the sockets that it passed. Out: what it is to know and to
//! keep. Without a manager nothing of this may change anything.

use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Daemon;
use crate::limits::FIRST_RECORDS_MAX;
use crate::responses::publish::served;
use crate::serve::Server;
use crate::serve::handed::{Handed, is_kept_name};
use crate::sys;

/// Takes what was passed, once; also the names of those that the manager keeps for us.
pub fn take_passed() -> (Handed, Vec<String>) {
    let passed = sys::passed::descriptors().unwrap_or_else(|error| {
        warn!("the sockets of the service manager are not used: {error}");
        Vec::new()
    });
    let names = passed.iter().map(|(name, _)| name.clone());
    let kept_names = names.filter(|name| is_kept_name(name)).collect();
    (Handed::new(passed), kept_names)
}

impl Daemon {
    /// Lets the answering threads begin, where they waited, once there is something to answer with; and
    /// tells the service manager of all that there is.
    pub(super) fn open_doors(&mut self) {
        if let Some(server) = self.server.as_ref().filter(|_| !self.handed.is_empty()) {
            let end = Instant::now() + FIRST_RECORDS_MAX;
            while served(&self.published).is_none() && Instant::now() < end {
                thread::sleep(LOOK_EVERY);
            }
            info!("the sockets of before this process are read again");
            server.open();
        }
        self.handed.forget_kept();
        self.tell_service();
    }

    /// Tells the service manager which sockets to keep and which threads have to go round.
    pub(super) fn tell_service(&mut self) {
        let listeners = self.dns_addresses().to_vec();
        self.handed.tell_of_unused(&listeners);
        let sockets = self.server.as_ref().map(Server::to_keep).transpose();
        self.is_kept = match sockets {
            Ok(sockets) => self.service.keep(&sockets.unwrap_or_default()),
            Err(error) => {
                warn!("sockets have no number by which they could be kept: {error}");
                false
            }
        };
        let server = self.server.as_ref().map(Server::pulse);
        let pulses = server.into_iter().chain([self.refresher.pulse()]);
        self.service.watch(pulses.collect());
    }
}

/// How often the first records are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(1);
