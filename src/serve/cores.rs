//! Which cores the answering threads have. In: the affinity mask and the share of processors that the
//! process may use. Out: how many workers, and where each of them runs.

use std::thread;

use crate::limits::WORKERS_MAX;
use crate::sys::affinity;

/// The cores of this process, as they were at its start.
#[derive(Clone, Debug)]
pub struct Cores {
    /// Of the affinity mask, ascending; empty where it cannot be read.
    allowed: Vec<usize>,
    /// Processors' worth of time: fewer than cores where a cgroup has a quota.
    share: usize,
}

impl Cores {
    pub fn of_process() -> Self {
        let allowed = affinity::allowed_cores().unwrap_or_default();
        // It reads the quota of the cgroup as well as the mask.
        let share = thread::available_parallelism().map_or(1, usize::from);
        Self { allowed, share }
    }

    /// How many workers there are where so many are wanted; 0: as many as can run at once.
    pub fn worker_count(&self, wanted: usize) -> usize {
        let count = if wanted == 0 { self.share } else { wanted };
        count.clamp(1, WORKERS_MAX)
    }

    /// Where a worker is kept. Nowhere under a quota: other containers have the same first cores, and
    /// the scheduler knows which one is idle.
    pub fn core_of(&self, worker: usize) -> Option<usize> {
        if self.share < self.allowed.len() {
            return None;
        }
        self.allowed
            .get(worker % self.allowed.len().max(1))
            .copied()
    }

    /// From which core each of so many workers gets its datagrams; `None`: from any. Two on one core
    /// share what comes with all others.
    pub fn steered_to(&self, workers: usize) -> Vec<Option<usize>> {
        let core_of = |worker| match workers <= self.allowed.len() {
            true => self.core_of(worker),
            false => None,
        };
        (0..workers).map(core_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(allowed: &[usize], share: usize) -> Cores {
        Cores {
            allowed: allowed.into(),
            share,
        }
    }

    #[test]
    fn each_core_of_the_mask_has_one_worker() {
        let cores = cores(&[2, 5, 7], 3);
        assert_eq!(cores.worker_count(0), 3);
        let places: Vec<_> = (0..4).map(|worker| cores.core_of(worker)).collect();
        assert_eq!(places, [Some(2), Some(5), Some(7), Some(2)]);
        assert_eq!(cores.steered_to(2), [Some(2), Some(5)]);
        assert_eq!(cores.steered_to(4), [None; 4]);
    }

    #[test]
    fn quota_has_as_many_workers_as_it_can_feed_and_keeps_them_nowhere() {
        let cores = cores(&[0, 1, 2, 3], 1);
        assert_eq!(cores.worker_count(0), 1);
        assert_eq!(cores.core_of(0), None);
        assert_eq!(cores.worker_count(3), 3);
    }

    #[test]
    fn there_is_a_worker_whatever_is_known() {
        assert_eq!(cores(&[], 1).worker_count(0), 1);
        assert_eq!(cores(&[], 1).core_of(0), None);
        assert_eq!(cores(&[0], 1).worker_count(1 << 20), WORKERS_MAX);
    }
}
