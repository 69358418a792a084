//! Numbers that nobody outside can foretell: message IDs and which socket is taken (RFC 5452, 4.5).
//! In: nothing. Out: numbers. A keyed hash (SipHash, its key from the system) of a counter.

use std::hash::{BuildHasher, RandomState};

/// One thread's source of numbers.
#[derive(Default)]
pub struct Numbers {
    key: RandomState,
    counter: u64,
}

impl Numbers {
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        self.key.hash_one(self.counter)
    }

    pub fn next_u16(&mut self) -> u16 {
        self.next_u64() as u16
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() >> 32) as usize % bound.max(1)
    }
}
