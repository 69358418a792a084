//! A value that is read from files and read anew when they change. In: paths, and what makes a value
//! of their contents. Out: the value. Files that cannot be used must never take a good value away.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use tracing::{info, warn};

use crate::limits::{FILE_SETTLE, WATCHED_FILE_BYTES_MAX};

/// A value of type `T`, and the files that it was made of.
pub struct Watched<T> {
    paths: Vec<PathBuf>,
    make: Make<T>,
    value: T,
    /// How often `value` was replaced.
    generation: u64,
    contents: Vec<Vec<u8>>,
    /// What the files looked like when they were last read; `None`: they must be read again.
    seen: Option<Vec<Stamp>>,
    /// Why the files of now cannot be used, as it was told.
    fault: Option<String>,
}

/// Makes a value of the contents of the files, in the order of their paths.
type Make<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, Fault> + Send>;

/// Why contents cannot be used. It must not quote them: they may hold secrets.
pub struct Fault {
    /// Index of the file at fault.
    pub file: usize,
    pub why: String,
}

/// A file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    pub path: PathBuf,
    pub why: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for FileError {}

impl<T> Watched<T> {
    /// Reads the files for the first time; then each of them must be good.
    pub fn read(
        paths: Vec<PathBuf>,
        make: impl Fn(&[Vec<u8>]) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Self, FileError> {
        let (contents, seen) = read_all(&paths).map_err(|fault| file_error(&paths, fault))?;
        let value = make(&contents).map_err(|fault| file_error(&paths, fault))?;
        Ok(Self {
            paths,
            make: Box::new(make),
            value,
            generation: 0,
            contents,
            seen,
            fault: None,
        })
    }

    pub fn value(&self) -> &T {
        &self.value
    }

    /// Differs after each `look` that replaced the value.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Replaces the value where the files changed; true where it did. `closely` reads them whatever
    /// they look like. A fault is told once, and the value stays.
    pub fn look(&mut self, closely: bool) -> bool {
        if !closely && self.seen.is_some() && self.seen == stamps(&self.paths) {
            return false;
        }
        self.seen = None;
        let contents = match read_all(&self.paths) {
            Ok((contents, seen)) => {
                self.seen = seen;
                contents
            }
            Err(fault) => {
                self.tell(fault);
                return false;
            }
        };
        if contents == self.contents {
            self.recover();
            return false;
        }
        match (self.make)(&contents) {
            Ok(value) => {
                self.value = value;
                self.contents = contents;
                self.generation += 1;
                self.fault = None;
                info!("{} changed and is used as it is now", self.names());
                true
            }
            Err(fault) => {
                self.tell(fault);
                false
            }
        }
    }

    fn tell(&mut self, fault: Fault) {
        let text = file_error(&self.paths, fault).to_string();
        if self.fault.as_deref() != Some(&text) {
            warn!("{text}; what was read before stays in use");
            self.fault = Some(text);
        }
    }

    fn recover(&mut self) {
        if self.fault.take().is_some() {
            info!("{} can be used again, unchanged", self.names());
        }
    }

    fn names(&self) -> String {
        let names = self.paths.iter().map(|path| path.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    }
}

fn file_error(paths: &[PathBuf], fault: Fault) -> FileError {
    FileError {
        path: paths.get(fault.file).cloned().unwrap_or_default(),
        why: fault.why,
    }
}

/// What tells a file from the one that was read: which it is, and when it was last written. A file
/// that was swapped in has another inode, be it by renaming or by a symbolic link on the way to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Of the inode: no tool can set it back, and a new permission shows in it.
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(of: &Metadata) -> Self {
        Self {
            device: of.dev(),
            inode: of.ino(),
            bytes: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }
}

impl Stamp {
    /// Whether another write would show. The kernel's file times advance in steps, of some
    /// milliseconds on a local disk and up to a second elsewhere, so that two writes in quick
    /// succession can look alike.
    fn is_settled(self, now: SystemTime) -> bool {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let settled = now.saturating_sub(FILE_SETTLE).as_secs();
        u64::try_from(self.changed.0).is_ok_and(|changed| changed < settled)
    }
}

fn stamps(paths: &[PathBuf]) -> Option<Vec<Stamp>> {
    let stamp = |path: &PathBuf| std::fs::metadata(path).ok().as_ref().map(Stamp::from);
    paths.iter().map(stamp).collect()
}

/// Contents, and the stamps of what was read where they can be relied on.
type Contents = (Vec<Vec<u8>>, Option<Vec<Stamp>>);

fn read_all(paths: &[PathBuf]) -> Result<Contents, Fault> {
    let now = SystemTime::now();
    let (mut contents, mut stamps) = (Vec::new(), Vec::new());
    for (file, path) in paths.iter().enumerate() {
        let (content, stamp) = read(path).map_err(|why| Fault { file, why })?;
        contents.push(content);
        stamps.push(stamp);
    }
    let settled = stamps.iter().all(|stamp| stamp.is_settled(now));
    Ok((contents, settled.then_some(stamps)))
}

/// The stamp is that of the open file, from before it is read: what is written meanwhile shows at
/// the next look.
fn read(path: &PathBuf) -> Result<(Vec<u8>, Stamp), String> {
    // Asked before opening, which would wait for ever on a pipe that nobody writes to.
    let before = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !before.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "{error}; let the service's user read it, or restart the service where it lies in another \
             directory than at its start (Sandbox)"
        ),
        _ => error.to_string(),
    })?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    file.take(WATCHED_FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| error.to_string())?;
    if content.len() as u64 > WATCHED_FILE_BYTES_MAX {
        return Err(format!(
            "it is longer than {WATCHED_FILE_BYTES_MAX} octets; is it the right file?"
        ));
    }
    Ok((content, Stamp::from(&metadata)))
}

#[cfg(test)]
mod tests;
