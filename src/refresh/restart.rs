//! From one run to the next: the records of before at the start, the records of now at the end and once
//! in a while between. In: the file of the warm start. Out: a table that answers until a master speaks.

use std::io::{self, ErrorKind};
use std::time::{Instant, SystemTime};

use tracing::{error, info, warn};

use super::crank::Crank;
use super::warm::{Keeper, ToSave, WarmError, WarmFile};
use crate::limits::{WARM_HOLD_AGE_MAX, WARM_SAVE_EVERY, WARM_SAVE_FIRST, WARM_SAVE_RETRY};
use crate::mesos::live::Live;
use crate::records::World;
use crate::stats::freshness::{Age, SourceKind};

/// An error of a file of the warm start, with the cure where it is one of rights.
pub(super) fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "{error}; give the directory to the user that the process runs as (chown), for not even root has \
             a right to all files once the process has confined itself (Sandbox), or restart it where the \
             directory was made anew"
        ),
        _ => error.to_string(),
    }
}

impl Crank {
    /// Serves the records of the run before, if they were kept.
    pub(super) fn start_warm(&mut self, now: Instant) {
        self.start_keeper();
        let Some(warm) = self.settings.warm.clone() else {
            return;
        };
        let taken = WarmFile::open(&warm.directory, &warm.identity)
            .and_then(|file| file.map(|file| self.take_warm(&file, now)).transpose());
        if let Err(why) = taken {
            let directory = warm.directory.display();
            warn!("the records kept in {directory} are not served: {why}");
        }
    }

    fn take_warm(&mut self, file: &WarmFile, now: Instant) -> Result<(), WarmError> {
        let age = file.age();
        self.press.set_serial_floor(file.serial());
        let table = file.table(&self.settings.naming, &self.settings.answering)?;
        let has_table = table.is_some();
        if let Some(table) = table {
            let world = self.press.empty_world(now);
            self.press.take_warm(table, &world);
            (self.wake)();
            self.press.tell_feed();
        }
        let (cluster, hosts) = file.cluster()?;
        let naming = self.press.empty_world(now).naming.clone();
        let tasks = cluster.tasks.len();
        // What was known long ago is served, but says nothing of who should be back.
        if age <= WARM_HOLD_AGE_MAX {
            self.live = Live::new(cluster.clone());
        }
        self.press.adopt_world(World {
            cluster: cluster.clone(),
            hosts,
            naming,
        });
        if !has_table {
            // Under another configuration the names are others: they are worked out from the cluster.
            self.press.press(cluster, now);
        }
        (self.wake)();
        self.tell_counts_of_served();
        // Last: whoever reads this source reads the counts of its records beside it.
        self.freshness.update(|it| {
            it.source = SourceKind::WarmStart;
            it.age = Some(Age { at: now, was: age });
        });
        info!(
            "serving the records of before, {tasks} tasks as they were {} s ago, until a master speaks",
            age.as_secs()
        );
        Ok(())
    }

    pub(super) fn start_keeper(&mut self) {
        self.keeper = None;
        let Some(warm) = &self.settings.warm else {
            return;
        };
        match Keeper::start(warm.directory.clone()) {
            Ok(keeper) => self.keeper = Some(keeper),
            Err(failure) => error!("records are not kept: cannot start a thread: {failure}"),
        }
    }

    /// Has what was published written, at its time.
    pub(super) fn save_soon(&mut self, now: Instant) {
        if self.keeper.is_some() && self.save_at.is_none() && self.confirmed_at.is_some() {
            let due = self
                .saved_at
                .map_or(now + WARM_SAVE_FIRST, |at| at + WARM_SAVE_EVERY);
            self.save_at = Some(due.max(now));
        }
    }

    pub(super) fn save(&mut self, now: Instant) {
        self.save_at = None;
        if let (Some(keeper), Some(to_save)) = (&self.keeper, self.to_save()) {
            if keeper.offer(to_save) {
                self.saved_at = Some(now);
            } else {
                self.save_at = Some(now + WARM_SAVE_RETRY);
            }
        }
    }

    /// The end of the program.
    pub(super) fn end(mut self) {
        let to_save = self.to_save();
        if let (Some(keeper), Some(to_save)) = (self.keeper.take(), to_save) {
            keeper.save_last(&to_save);
        }
    }

    /// What is served, where a master has confirmed it.
    fn to_save(&self) -> Option<ToSave> {
        let warm = self.settings.warm.as_ref()?;
        let confirmed_at = SystemTime::now().checked_sub(self.confirmed_at?.elapsed())?;
        Some(ToSave {
            snapshot: self.press.current().filter(|it| !it.is_partial())?,
            identity: warm.identity.clone(),
            confirmed_at,
        })
    }
}
