//! The file of static records, while it runs. In: what the disk says, now and then. Out: records that
//! differ from those before. A file that is wrong, or gone, leaves those in force.

use std::sync::Arc;
use std::time::Instant;

use tracing::{error, info};

use super::StaticFile;
use super::crank::Crank;
use crate::config::static_file::Stamp;
use crate::limits::STATIC_LOOK_EVERY;
use crate::zonefile::StaticRecords;

pub(super) struct StaticWatch {
    /// The last good one.
    file: StaticFile,
    /// Of the file that was read last, good or not; `None`: it was gone since.
    read: Option<Stamp>,
    /// At the last look.
    seen: Option<Stamp>,
    pub(super) due: Instant,
    last_error: String,
}

impl StaticWatch {
    pub(super) fn new(file: StaticFile, now: Instant) -> Self {
        Self {
            read: Some(file.stamp),
            seen: Some(file.stamp),
            file,
            due: now + STATIC_LOOK_EVERY,
            last_error: String::new(),
        }
    }

    /// Looks at the file, and reads it where it changed and has stopped changing: many a program writes
    /// in pieces.
    fn look(&mut self, now: Instant) -> Option<Arc<StaticRecords>> {
        self.due = now + STATIC_LOOK_EVERY;
        let stamp = match Stamp::of(&self.file.path) {
            Ok(stamp) => stamp,
            Err(failure) => {
                (self.read, self.seen) = (None, None);
                self.tell(format!("the file cannot be read: {failure}"));
                return None;
            }
        };
        let stays = self.seen.replace(stamp) == Some(stamp);
        if self.read == Some(stamp) || !stays {
            return None;
        }
        self.read = Some(stamp);
        match StaticFile::read(&self.file.path, &self.file.around) {
            Ok(file) => {
                self.last_error.clear();
                self.read = Some(file.stamp);
                self.file = file;
                Some(Arc::clone(&self.file.records))
            }
            Err((problem, cure)) => {
                self.tell(format!("{problem}; {cure}"));
                None
            }
        }
    }

    fn tell(&mut self, text: String) {
        if text != self.last_error {
            let path = self.file.path.display();
            error!("{path}: {text}; the static records of before stay");
            self.last_error = text;
        }
    }
}

impl Crank {
    /// Watches the file of the configuration from now on, whose records are in force.
    pub(super) fn watch_statics(&mut self, now: Instant) {
        let file = self.settings.static_file.clone();
        self.static_watch = file.map(|file| StaticWatch::new(file, now));
        self.serve_statics(now);
    }

    /// Serves the static records where there is nothing else to be served yet.
    fn serve_statics(&mut self, now: Instant) {
        if self.press.press_statics(now) {
            (self.wake)();
            self.press.tell_feed();
        }
    }

    pub(super) fn look_at_statics(&mut self, now: Instant) {
        let watch = self.static_watch.as_mut().filter(|watch| watch.due <= now);
        let Some(records) = watch.and_then(|watch| watch.look(now)) else {
            return;
        };
        info!(
            "{}: its {} static records are in force",
            records.file,
            records.records.len()
        );
        self.settings.naming.statics = Arc::clone(&records);
        self.press.set_statics(records);
        self.publish_soon(now);
        self.serve_statics(now);
    }
}
