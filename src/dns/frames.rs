//! Messages of a TCP connection, each behind its length (RFC 1035, 4.2.2). In: octets, cut anywhere. Out:
//! whole messages, one after the other. A stated length alone must never get memory.

use std::io::{self, Read};

use super::message::HEADER_BYTES;
use crate::limits::{TCP_INPUT_BYTES_MIN, TCP_MESSAGE_BYTES_MAX};

/// Octets of a message's length.
pub const LENGTH_BYTES: usize = 2;

/// What the next octets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Incomplete,
    /// A message of this many octets, after its length.
    Message(usize),
    /// Too short for a header: there is no way to answer it, and what follows is not to be trusted.
    Bad,
}

/// Octets received and not yet consumed: `buffer[start..end]`. The buffer is small, grows only as
/// octets come, to one message of the largest size.
#[derive(Default)]
pub struct Frames {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    pub fn frame(&self) -> Frame {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else {
            return Frame::Incomplete;
        };
        let bytes = usize::from(u16::from_be_bytes(*length));
        if bytes < HEADER_BYTES {
            Frame::Bad
        } else if rest.len() < bytes {
            Frame::Incomplete
        } else {
            Frame::Message(bytes)
        }
    }

    /// The first message, whose length `frame` told.
    pub fn message(&self, bytes: usize) -> &[u8] {
        let start = self.start + LENGTH_BYTES;
        self.buffer.get(start..start + bytes).unwrap_or_default()
    }

    /// Goes past the first message, whose length `frame` told.
    pub fn consume(&mut self, bytes: usize) {
        self.start = (self.start + LENGTH_BYTES + bytes).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > TCP_INPUT_BYTES_MIN {
                self.buffer = Vec::new();
            }
        }
    }

    /// Reads once. Called only while the first message is incomplete, so there is room to make.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let bytes = (2 * self.buffer.len())
                    .clamp(TCP_INPUT_BYTES_MIN, LENGTH_BYTES + TCP_MESSAGE_BYTES_MAX);
                self.buffer.reserve_exact(bytes - self.end);
                self.buffer.resize(bytes, 0);
            }
        }
        let space = self.buffer.get_mut(self.end..).unwrap_or_default();
        let bytes = source.read(space)?;
        self.end += bytes;
        Ok(bytes)
    }

    /// Octets that it holds memory for.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
