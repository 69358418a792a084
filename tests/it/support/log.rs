//! What this process logs, at every level: kept, so that a test can look for lines, or for their absence.

use std::io::Write;
use std::sync::{Mutex, Once};

static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to keep the log of the whole process.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Kept)
            .init();
    });
}

/// Lines so far that hold a text.
pub fn lines(text: &str) -> usize {
    let kept = KEPT.lock().expect("no thread panicked while logging");
    let kept = String::from_utf8_lossy(&kept);
    kept.lines().filter(|line| line.contains(text)).count()
}

struct Kept;

impl Write for Kept {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        let mut kept = KEPT.lock().expect("no thread panicked while logging");
        kept.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
