//! Takes a fuzzer's octets for choices and for data. In: octets. Out: numbers and pieces; zeros where
//! there are no more, so that every input means something.

use std::io::{self, Read};

pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// At most as many octets as there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece whose length, below 256, stands before it.
    pub fn piece(&mut self) -> &'a [u8] {
        let count = self.u8();
        self.take(count.into())
    }

    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.u8()) % from.len()]
    }
}

/// A source that gives its octets in pieces, whose sizes come round and round.
pub struct Pieces<'a> {
    rest: &'a [u8],
    sizes: &'a [u8],
    turn: usize,
}

impl<'a> Pieces<'a> {
    /// A size of 0 counts as 256; without sizes all comes at once.
    pub fn new(octets: &'a [u8], sizes: &'a [u8]) -> Self {
        Self {
            rest: octets,
            sizes,
            turn: 0,
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = match self.sizes.get(self.turn) {
            None => usize::MAX,
            Some(0) => 256,
            Some(size) => usize::from(*size),
        };
        self.turn = (self.turn + 1) % self.sizes.len().max(1);
        let count = size.min(out.len()).min(self.rest.len());
        let (now, rest) = self.rest.split_at(count);
        out[..count].copy_from_slice(now);
        self.rest = rest;
        Ok(count)
    }
}
