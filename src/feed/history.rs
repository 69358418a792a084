//! The changes that are kept. In: one after the other. Out: those since an index, or that some of them
//! are gone. Pure; it must never keep more than its bounds, whatever comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Change, NameChange, Side, Since, What};
use crate::limits::{FEED_BYTES_MAX, FEED_CHANGES_MAX};

#[derive(Default)]
pub(super) struct History {
    kept: VecDeque<Arc<Change>>,
    /// Octets of what is kept.
    bytes: usize,
    /// The index of the last change.
    latest: u64,
}

impl History {
    /// Returns the index that the change got.
    pub(super) fn push(&mut self, serial: u32, at: SystemTime, what: What) -> u64 {
        if matches!(what, What::All) {
            // Nobody needs the way to a table that was replaced as a whole.
            self.forget();
        }
        self.latest += 1;
        let change = Change {
            index: self.latest,
            serial,
            at,
            what,
        };
        self.bytes += change.byte_count();
        self.kept.push_back(Arc::new(change));
        while self.kept.len() > FEED_CHANGES_MAX || self.bytes > FEED_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.byte_count();
        }
        self.latest
    }

    /// A change that is not kept.
    pub(super) fn skip(&mut self) -> u64 {
        self.forget();
        self.latest += 1;
        self.latest
    }

    fn forget(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    pub(super) fn since(&self, index: u64, count_max: usize) -> Since {
        if index == self.latest {
            return Since::Changes(Vec::new());
        }
        // Indices follow each other without a gap, so that the place is a subtraction.
        let oldest = self.kept.front().map(|change| change.index);
        let behind = oldest.and_then(|oldest| (index + 1).checked_sub(oldest));
        match behind {
            Some(behind) if index < self.latest => {
                let new = self.kept.iter().skip(behind as usize);
                Since::Changes(new.take(count_max).cloned().collect())
            }
            _ => Since::StartOver { index: self.latest },
        }
    }

    pub(super) fn last(&self, count_max: usize) -> (Vec<Arc<Change>>, u64) {
        let skipped = self.kept.len().saturating_sub(count_max);
        let last = self.kept.iter().skip(skipped).cloned();
        (last.collect(), self.latest)
    }
}

impl Change {
    /// What it costs to keep, by and large.
    fn byte_count(&self) -> usize {
        let names = match &self.what {
            What::All => 0,
            What::Names(names) => names.iter().map(NameChange::byte_count).sum(),
        };
        size_of::<Self>() + names
    }
}

impl NameChange {
    fn byte_count(&self) -> usize {
        let sides = [&self.before, &self.after];
        let sides = sides.map(|side| match side {
            Side::Entry(entry) => entry.len(),
            Side::Absent | Side::TooLong => 0,
        });
        size_of::<Self>() + self.name.len() + sides[0] + sides[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: usize) -> What {
        What::Names(
            [NameChange {
                name: b"\x01a\0".as_slice().into(),
                before: Side::Absent,
                after: Side::Entry(vec![0; bytes].into()),
            }]
            .into(),
        )
    }

    fn push(history: &mut History, what: What) -> u64 {
        history.push(1, SystemTime::UNIX_EPOCH, what)
    }

    /// The indices since one; `None`: start over.
    fn since(history: &History, index: u64) -> Option<Vec<u64>> {
        match history.since(index, 1_000_000) {
            Since::Changes(changes) => Some(changes.iter().map(|it| it.index).collect()),
            Since::StartOver { index } => {
                assert_eq!(index, history.latest);
                None
            }
        }
    }

    #[test]
    fn a_reader_gets_what_came_since_its_index() {
        let mut history = History::default();
        assert_eq!(since(&history, 0), Some(vec![]));
        for expected in 1..=5 {
            assert_eq!(push(&mut history, names(10)), expected);
        }
        assert_eq!(since(&history, 0), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(since(&history, 3), Some(vec![4, 5]));
        assert_eq!(since(&history, 5), Some(vec![]));
        let Since::Changes(first) = history.since(2, 1) else {
            panic!("known");
        };
        assert_eq!(first[0].index, 3);
        assert_eq!(history.last(2).0[0].index, 4);
    }

    #[test]
    fn an_index_that_was_never_given_starts_over() {
        let mut history = History::default();
        assert_eq!(since(&history, 1), None);
        push(&mut history, names(10));
        assert_eq!(since(&history, 2), None);
        assert_eq!(since(&history, u64::MAX - 1), None);
    }

    #[test]
    fn history_is_bounded_by_count_and_by_octets() {
        let mut history = History::default();
        for _ in 0..FEED_CHANGES_MAX + 10 {
            push(&mut history, names(10));
        }
        assert_eq!(history.kept.len(), FEED_CHANGES_MAX);
        assert_eq!(since(&history, 9), None);
        assert_eq!(
            since(&history, 10).map(|it| it.len()),
            Some(FEED_CHANGES_MAX)
        );
        for _ in 0..10 {
            push(&mut history, names(FEED_BYTES_MAX / 4));
            assert!(history.bytes <= FEED_BYTES_MAX);
        }
        assert!(history.kept.len() < 4);
        // One that is longer than all that may be kept is not kept, and whoever waits starts over.
        let index = push(&mut history, names(FEED_BYTES_MAX + 1));
        assert_eq!((history.kept.len(), history.bytes), (0, 0));
        assert_eq!(since(&history, index - 1), None);
        assert_eq!(since(&history, index), Some(vec![]));
    }

    #[test]
    fn a_table_made_anew_ends_the_history() {
        let mut history = History::default();
        push(&mut history, names(10));
        push(&mut history, names(10));
        push(&mut history, What::All);
        assert_eq!(since(&history, 1), None);
        // Who had all before it is told of it.
        assert_eq!(since(&history, 2), Some(vec![3]));
        history.skip();
        assert_eq!(since(&history, 3), None);
        push(&mut history, names(10));
        assert_eq!(since(&history, 4), Some(vec![5]));
    }
}
