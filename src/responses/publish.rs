//! Publication: one pointer swap, and the free of what it replaced. In: Snapshots from the refresh
//! thread. Out: the present one, to any thread. The thread that built a Snapshot frees it: an
//! answering thread must never drop the last reference.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Snapshot;

/// Where readers find the present Snapshot; `None` until the first was published. Tests publish what
/// tells who frees it.
pub type Published<T = Snapshot> = Arc<ArcSwapOption<T>>;

/// The present Snapshot, once it is that of a cluster: static records alone are no answer to who asks
/// for the cluster's.
pub fn served(published: &Published) -> Option<Arc<Snapshot>> {
    let published = published.load_full();
    published.filter(|snapshot| !snapshot.is_partial())
}

/// The one writer of a `Published`.
pub struct Publisher<T = Snapshot> {
    published: Published<T>,
    /// Replaced Snapshots that a reader may still hold.
    retired: Vec<Arc<T>>,
}

impl<T> Publisher<T> {
    pub fn new(published: Published<T>) -> Self {
        Self {
            published,
            retired: Vec::new(),
        }
    }

    /// The present Snapshot.
    pub fn current(&self) -> Option<Arc<T>> {
        self.published.load_full()
    }

    /// Makes a Snapshot the present one. The caller wakes the readers, then calls `free_retired`.
    pub fn publish(&mut self, snapshot: T) {
        if let Some(replaced) = self.published.swap(Some(Arc::new(snapshot))) {
            self.retired.push(replaced);
        }
    }

    /// Gives the replaced Snapshots that nobody holds any more, the oldest first; returns how many are
    /// still held.
    pub fn free_retired(&mut self, mut take: impl FnMut(T)) -> usize {
        // A count of one is ours. It cannot rise again: nobody else knows the Snapshot, for it is
        // no longer in `published` (arc-swap counts every borrowed reader before `swap` returns).
        let free = self
            .retired
            .extract_if(.., |snapshot| Arc::strong_count(snapshot) == 1);
        free.filter_map(Arc::into_inner).for_each(&mut take);
        self.retired.len()
    }
}

#[cfg(test)]
mod tests;
