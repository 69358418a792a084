//! Tests of `watched`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rollcall-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl std::ops::Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

/// Takes any text, but not an empty one.
fn watch(path: PathBuf) -> Result<Watched<Vec<u8>>, FileError> {
    Watched::read(vec![path], |contents| match contents.concat() {
        text if text.is_empty() => Err(Fault {
            file: 0,
            why: "it is empty".to_owned(),
        }),
        text => Ok(text),
    })
}

/// Makes a file look as if it had been written long ago and for good.
fn settle<T>(watched: &mut Watched<T>) {
    watched.seen = stamps(&watched.paths);
    assert!(watched.seen.is_some());
}

#[test]
fn what_cannot_be_used_at_first_is_an_error_that_names_the_file() {
    let folder = Folder::new("first");
    let path = folder.join("text");
    let error = |path: &Path| {
        let error = watch(path.to_owned()).err().unwrap().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        error
    };
    assert!(error(&path).contains("No such file"));
    assert!(error(&folder).contains("no regular file"));
    fs::write(&path, "").unwrap();
    assert!(error(&path).contains("empty"));
    let long = File::create(&path).unwrap();
    long.set_len(WATCHED_FILE_BYTES_MAX + 1).unwrap();
    assert!(error(&path).contains("longer"));
}

#[test]
fn change_is_seen_however_it_is_made() {
    let folder = Folder::new("ways");
    fs::create_dir(folder.join("one")).unwrap();
    fs::write(folder.join("one/text"), "first").unwrap();
    symlink("one", folder.join("data")).unwrap();
    symlink("data/text", folder.join("text")).unwrap();
    let mut watched = watch(folder.join("text")).unwrap();
    let mut expect = |text: &str| {
        assert!(watched.look(false), "{text}");
        assert_eq!(watched.value(), text.as_bytes());
        settle(&mut watched);
        assert!(!watched.look(false), "{text}");
    };
    // In place, with the same length.
    fs::write(folder.join("one/text"), "2econd").unwrap();
    expect("2econd");
    fs::write(folder.join("one/text"), "tjird").unwrap();
    expect("tjird");
    // By renaming.
    fs::write(folder.join("new"), "renamed").unwrap();
    fs::rename(folder.join("new"), folder.join("one/text")).unwrap();
    expect("renamed");
    // By a symbolic link in the middle, as Kubernetes swaps all files of a volume at once.
    fs::create_dir(folder.join("two")).unwrap();
    fs::write(folder.join("two/text"), "swapped").unwrap();
    symlink("two", folder.join("data-new")).unwrap();
    fs::rename(folder.join("data-new"), folder.join("data")).unwrap();
    expect("swapped");
}

#[test]
fn young_files_are_read_again_though_they_look_the_same() {
    let folder = Folder::new("young");
    let path = folder.join("text");
    fs::write(&path, "first").unwrap();
    let watched = watch(path).unwrap();
    assert!(watched.seen.is_none());
    let stamp = stamps(&watched.paths).unwrap()[0];
    assert!(!stamp.is_settled(SystemTime::now()));
    assert!(stamp.is_settled(SystemTime::now() + FILE_SETTLE * 2));
    // The clock went back: nothing can be said.
    assert!(!stamp.is_settled(SystemTime::UNIX_EPOCH));
}

#[test]
fn close_look_reads_what_looks_unchanged() {
    let folder = Folder::new("closely");
    let path = folder.join("text");
    fs::write(&path, "first").unwrap();
    let mut watched = watch(path.clone()).unwrap();
    fs::write(&path, "other").unwrap();
    settle(&mut watched);
    assert!(!watched.look(false));
    assert!(watched.look(true));
    assert_eq!(watched.value(), b"other");
    assert!(!watched.look(true));
}

#[test]
fn bad_files_keep_the_last_good_value_and_are_told_of_once() {
    let folder = Folder::new("bad");
    let path = folder.join("text");
    fs::write(&path, "good").unwrap();
    let mut watched = watch(path.clone()).unwrap();
    let mut stays = |fault: &str| {
        assert!(!watched.look(false));
        assert_eq!(
            (watched.value().as_slice(), watched.generation()),
            (&b"good"[..], 0)
        );
        let told = watched.fault.clone().unwrap_or_default();
        assert!(told.contains(fault), "{told}");
        // `tell` writes where the text differs from the one before.
        assert!(!watched.look(false));
        assert_eq!(watched.fault.clone().unwrap_or_default(), told);
    };
    fs::write(&path, "").unwrap();
    stays("empty");
    fs::remove_file(&path).unwrap();
    stays("No such file");
    fs::create_dir(&path).unwrap();
    stays("no regular file");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "good").unwrap();
    stays("");
    assert!(watched.fault.is_none());
    fs::write(&path, "better").unwrap();
    assert!(watched.look(false));
    assert_eq!(watched.generation(), 1);
}
