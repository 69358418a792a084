//! Gives equal texts one allocation: thousands of tasks share their names and agents. Lives for one
//! document, or is swept from time to time. It must never be fed texts that differ in each task.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Gives equal texts one allocation.
#[derive(Default)]
pub struct Interner {
    indexes: HashTable<u32>,
    texts: Vec<Arc<str>>,
    hasher: FixedState,
    /// Texts that were left by the last sweep.
    swept: usize,
}

impl Interner {
    /// Forgets the texts that nobody else holds, once there are twice as many as after the last time,
    /// so that a sweep costs little for each text that came. Places are others afterwards.
    pub fn sweep_when_grown(&mut self) {
        if self.texts.len() < 2 * self.swept + SWEEP_TEXTS_MIN {
            return;
        }
        let texts = std::mem::take(&mut self.texts);
        self.indexes.clear();
        for text in texts {
            if Arc::strong_count(&text) > 1 {
                self.add(text);
            }
        }
        self.swept = self.texts.len();
    }

    /// How many different texts there are; their places count from 0.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text, shared, and its place.
    pub fn intern(&mut self, text: &str) -> (Arc<str>, u32) {
        let hash = self.hasher.hash_one(text);
        let texts = &mut self.texts;
        if let Some(&index) = self
            .indexes
            .find(hash, |&index| *texts[index as usize] == *text)
        {
            return (texts[index as usize].clone(), index);
        }
        let text: Arc<str> = text.into();
        (text.clone(), self.add(text))
    }

    /// Adds a text that is not there.
    fn add(&mut self, text: Arc<str>) -> u32 {
        let index = self.texts.len() as u32;
        let (texts, hasher) = (&mut self.texts, &self.hasher);
        let hash = hasher.hash_one(&*text);
        texts.push(text);
        self.indexes.insert_unique(hash, index, |&index| {
            hasher.hash_one(&*texts[index as usize])
        });
        index
    }

    /// The place of a text that was interned.
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let found = self
            .indexes
            .find(hash, |&index| *self.texts[index as usize] == *text);
        found.copied()
    }
}

/// So few texts are not worth a sweep.
const SWEEP_TEXTS_MIN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_nobody_holds_are_forgotten_and_others_keep_their_allocation() {
        let mut interner = Interner::default();
        let kept: Vec<Arc<str>> = (0..100)
            .map(|index| interner.intern(&format!("kept {index}")).0)
            .collect();
        for round in 0..100 {
            for index in 0..1_000 {
                interner.intern(&format!("{round} {index}"));
            }
            interner.sweep_when_grown();
        }
        assert!(interner.len() < 3 * SWEEP_TEXTS_MIN, "{}", interner.len());
        for text in &kept {
            assert!(Arc::ptr_eq(text, &interner.intern(text).0));
        }
    }
}
