//! Gives equal texts one allocation: thousands of tasks share their names and agents. Lives for one
//! document. It must never be fed texts that differ in each task.

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
}

impl Interner {
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
        let index = texts.len() as u32;
        texts.push(text.into());
        let hasher = &self.hasher;
        self.indexes.insert_unique(hash, index, |&index| {
            hasher.hash_one(&*texts[index as usize])
        });
        (texts[index as usize].clone(), index)
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
