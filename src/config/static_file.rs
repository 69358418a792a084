//! The file of `StaticRecords`, at the start and whenever it changes. In: its path. Out: its records
//! and a stamp that tells whether it changed, or what is wrong with it. It must never read more than
//! a file may have.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::settings::Settings;
use super::values::Wrong;
use crate::limits::STATIC_FILE_BYTES_MAX;
use crate::zonefile::{Around, StaticRecords, parse};

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticFile {
    pub path: PathBuf,
    pub around: Around,
    pub stamp: Stamp,
    pub records: Arc<StaticRecords>,
}

/// Differs where a file was written to or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    changed_at: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Stamp {
    pub fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            changed_at: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: metadata.len(),
            inode: metadata.ino(),
        }
    }
}

impl StaticFile {
    /// Reads all of it; an error is what is wrong, and what would be right.
    pub fn read(path: &Path, around: &Around) -> Result<Self, Wrong> {
        let unreadable = |error: io::Error| {
            let problem = format!("the file cannot be read: {error}");
            let cure = "right would be the path of a file that this user may read";
            (problem, cure.to_owned())
        };
        // Before it is opened: a pipe would be waited for.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            let cure = "right would be the path of a file in zone-file syntax".to_owned();
            return Err(("this is no file".to_owned(), cure));
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mut text = Vec::new();
        let mut bounded = file.take(STATIC_FILE_BYTES_MAX + 1);
        bounded.read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > STATIC_FILE_BYTES_MAX {
            let problem = format!("the file has over {STATIC_FILE_BYTES_MAX} octets");
            let cure = "right would be a name server for so many records, in ZoneResolvers";
            return Err((problem, cure.to_owned()));
        }
        let records = parse(&path.display().to_string(), &text, around)
            .map_err(|fault| (fault.to_string(), fault.cure))?;
        Ok(Self {
            path: path.to_owned(),
            around: around.clone(),
            stamp: Stamp::from(&metadata),
            records: Arc::new(records),
        })
    }
}

/// `StaticRecords`, read; `None` where no file is named.
pub(super) fn static_file(
    settings: &Settings,
    around: &Around,
) -> Result<Option<StaticFile>, ConfigError> {
    const KEY: &str = "StaticRecords";
    match settings.text(KEY)? {
        "" => Ok(None),
        path => StaticFile::read(Path::new(path), around)
            .map(Some)
            .map_err(|(problem, cure)| settings.wrong(KEY, problem, cure)),
    }
}
