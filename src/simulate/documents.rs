//! The `/state` document, written once a generation and only when asked for: at 100,000 tasks it has
//! 110 MB. In: a Master. Out: octets, plain or packed. It must never hold up a change of the cluster.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::document;
use super::http::gzip;
use super::master::Master;

/// The document that was written last.
#[derive(Default)]
pub struct Documents {
    written: Mutex<Option<Written>>,
}

struct Written {
    generation: u64,
    plain: Arc<Vec<u8>>,
    gzip: Option<Arc<Vec<u8>>>,
}

impl Documents {
    /// The document of the cluster as it is now.
    pub fn present(&self, master: &Master, as_gzip: bool) -> io::Result<Arc<Vec<u8>>> {
        // Whoever asks meanwhile waits here for the same document; nobody else does.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = master.generation();
        let is_old = |written: &Written| written.generation != generation;
        if written.as_ref().is_none_or(is_old) {
            // The old one's memory is free before the new one takes as much.
            *written = None;
            let (generation, view) = master.view(false);
            let plain = Arc::new(document::state(&view).into_bytes());
            *written = Some(Written {
                generation,
                plain,
                gzip: None,
            });
        }
        let Some(written) = written.as_mut() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if !as_gzip {
            return Ok(Arc::clone(&written.plain));
        }
        if written.gzip.is_none() {
            written.gzip = Some(Arc::new(gzip(&written.plain)?));
        }
        let packed = written.gzip.as_ref().unwrap_or(&written.plain);
        Ok(Arc::clone(packed))
    }
}
