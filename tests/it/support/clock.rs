//! A wall clock that jumps while a program runs (libfaketime): days ahead, days back, and to 1970. The
//! monotonic clock stays as it is.

use std::time::{SystemTime, UNIX_EPOCH};

use super::files::Folder;

/// Debian's, by way of the dynamic linker's own word for its directory of libraries.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";
pub const DAY: i64 = 24 * 3600;

/// A program's clock, so many seconds off.
pub struct Clock(Folder);

impl Clock {
    pub fn new() -> Self {
        let clock = Self(Folder::new());
        clock.set(0);
        clock
    }

    pub fn set(&self, offset_seconds: i64) {
        self.0.replace("offset", format!("{offset_seconds:+}\n"));
    }

    /// The environment of a program that goes by it.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        let file = self.0.join("offset").display().to_string();
        [
            ("LD_PRELOAD", LIBRARY.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}

pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs() as i64
}

/// A day ahead, a day back, the beginning of 1970, and right again.
pub fn jumps() -> [i64; 4] {
    [DAY, -DAY, 100 - unix_seconds(), 0]
}
