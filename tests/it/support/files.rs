//! A folder of a test's own, and the ways in which operators change files in it. It goes with the value.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("files-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory below target");
        Self(path)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).expect("the file is written");
        path
    }

    /// Another file takes the name, in one step.
    pub fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.write(&format!("{name}.new"), content);
        fs::rename(new, self.join(name)).expect("the file is renamed");
    }

    /// As Kubernetes and Vault mount secrets: each name is a link to `data/NAME`, and `data` a link to
    /// a directory. All files change in one step, when `data` is pointed to another directory.
    pub fn mount(&self, version: &str, files: &[(&str, &[u8])]) {
        fs::create_dir(self.join(version)).expect("a directory for the version");
        for (name, content) in files {
            self.write(&format!("{version}/{name}"), content);
            if !self.join(name).is_symlink() {
                symlink(format!("data/{name}"), self.join(name)).expect("a link");
            }
        }
        symlink(version, self.join("data.new")).expect("a link");
        fs::rename(self.join("data.new"), self.join("data")).expect("the link is renamed");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}
