//! Cuts a JSON document into values while its bytes arrive. In: any `Read`. Out: keys, and whole
//! values as slices of its own buffer. It must never hold more than one value, nor trust a length.
//!
//! What is skipped is only balanced (strings, brackets), not checked; what is taken is checked by
//! who takes it. The hot part finds the end of an object, 64 octets at a time, with bit masks.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use crate::limits::{JSON_DEPTH_MAX, STATE_CUT_BUFFER_BYTES, STATE_OBJECT_BYTES_MAX};
use crate::sys::block::{BLOCK_BYTES, JsonMasks};

/// A pull cutter. The caller walks: `root`, then `next_key` and one of `enter`, `take_value`,
/// `skip_value` for each, until `next_key` says false; `finish` last.
pub struct Cutter<R> {
    source: R,
    /// Unread octets are `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    bytes_read: u64,
    bytes_max: u64,
    /// Nothing of the container that was entered last has been read: no comma is due.
    fresh: bool,
}

/// What a value is, by its first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    List,
    Text,
    Null,
    /// Number or Boolean.
    Other,
}

#[derive(Debug)]
pub enum CutError {
    Source(io::Error),
    TooLong { bytes_max: u64 },
    TooDeep { offset: u64 },
    CutShort { offset: u64 },
    Syntax { offset: u64, expected: &'static str },
}

impl fmt::Display for CutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "the document broke off: {error}"),
            Self::TooLong { bytes_max } => write!(
                f,
                "the document is longer than {bytes_max} octets; raise StateBytesMax if that is right"
            ),
            Self::TooDeep { offset } => write!(
                f,
                "the document is nested deeper than {JSON_DEPTH_MAX} at octet {offset}"
            ),
            Self::CutShort { offset } => {
                write!(
                    f,
                    "the document ends at octet {offset} before it is complete"
                )
            }
            Self::Syntax { offset, expected } => {
                write!(
                    f,
                    "the document is not JSON: expected {expected} at octet {offset}"
                )
            }
        }
    }
}

impl std::error::Error for CutError {}

impl<R: Read> Cutter<R> {
    pub fn new(source: R, bytes_max: u64) -> Self {
        Self::with_buffer(source, bytes_max, vec![0; STATE_CUT_BUFFER_BYTES])
    }

    /// The same with the buffer of a Cutter before, for many short documents; it must not be empty.
    pub fn with_buffer(source: R, bytes_max: u64, buffer: Vec<u8>) -> Self {
        Self {
            source,
            buffer,
            start: 0,
            end: 0,
            bytes_read: 0,
            bytes_max,
            fresh: false,
        }
    }

    /// The buffer, for the next document.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Octets read from the source so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Enters the document, which must be an object.
    pub fn root(&mut self) -> Result<(), CutError> {
        match self.peek()? {
            Some(b'{') => self.enter(),
            Some(_) => Err(self.syntax("an object")),
            None => Err(self.cut_short()),
        }
    }

    /// The kind of the value that comes next.
    pub fn kind(&mut self) -> Result<Kind, CutError> {
        match self.peek()? {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b'"') => Ok(Kind::Text),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(Kind::Other),
            Some(_) => Err(self.syntax("a value")),
            None => Err(self.cut_short()),
        }
    }

    /// Enters the object or list that `kind` found.
    pub fn enter(&mut self) -> Result<(), CutError> {
        self.peek()?;
        self.start += 1;
        self.fresh = true;
        Ok(())
    }

    /// Reads the next key of the object into `key`; false at the object's end, which is consumed.
    pub fn next_key(&mut self, key: &mut String) -> Result<bool, CutError> {
        if !self.next_place(b'}')? {
            return Ok(false);
        }
        self.expect(b'"', "a key")?;
        key.clear();
        let length = self.find_text_end(true)?;
        match length {
            // A key longer than an object may be is none of ours.
            None => {}
            Some(length) => {
                let raw = &self.buffer[self.start..self.start + length];
                decode_key(raw, key);
                self.start += length;
            }
        }
        self.expect(b':', "':'")?;
        self.start += 1;
        Ok(true)
    }

    /// Goes to the next item of the list; false at the list's end, which is consumed.
    pub fn next_item(&mut self) -> Result<bool, CutError> {
        self.next_place(b']')
    }

    /// Discards the next value, of any size.
    pub fn skip_value(&mut self) -> Result<(), CutError> {
        self.value(false).map(drop)
    }

    /// The octets of the next value. `None`: it is longer than `STATE_OBJECT_BYTES_MAX` and gone.
    pub fn take_value(&mut self) -> Result<Option<&[u8]>, CutError> {
        let Some(length) = self.value(true)? else {
            return Ok(None);
        };
        let value = &self.buffer[self.start..self.start + length];
        self.start += length;
        Ok(Some(value))
    }

    /// After the document's last bracket: nothing but white space may follow, to the source's end.
    pub fn finish(&mut self) -> Result<(), CutError> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end")),
        }
    }

    /// Steps over the comma, or over `close` and says false.
    fn next_place(&mut self, close: u8) -> Result<bool, CutError> {
        let fresh = std::mem::replace(&mut self.fresh, false);
        let Some(octet) = self.peek()? else {
            return Err(self.cut_short());
        };
        if octet == close {
            self.start += 1;
            return Ok(false);
        }
        if fresh {
            return Ok(true);
        }
        if octet != b',' {
            return Err(self.syntax("',' or a closing bracket"));
        }
        self.start += 1;
        match self.peek()? {
            Some(b'}' | b']') => Err(self.syntax("a value after ','")),
            Some(_) => Ok(true),
            None => Err(self.cut_short()),
        }
    }

    /// Finds the end of the next value. Kept: its length from `start`. Not kept, or too long to be
    /// kept: `None`, and it is consumed.
    fn value(&mut self, keep: bool) -> Result<Option<usize>, CutError> {
        match self.kind()? {
            Kind::Object | Kind::List => self.find_container_end(keep),
            Kind::Text => self.find_text_end(keep),
            Kind::Null | Kind::Other => {
                let length = self.find_plain_end()?;
                let raw = &self.buffer[self.start..self.start + length];
                if serde_json::from_slice::<serde::de::IgnoredAny>(raw).is_err() {
                    return Err(self.syntax("a value"));
                }
                Ok(self.end_value(keep, length))
            }
        }
    }

    /// The value ends `length` octets from `start`: keeps it there, or consumes it.
    fn end_value(&mut self, keep: bool, length: usize) -> Option<usize> {
        if keep && length <= STATE_OBJECT_BYTES_MAX {
            return Some(length);
        }
        self.start += length;
        None
    }

    fn find_container_end(&mut self, mut keep: bool) -> Result<Option<usize>, CutError> {
        let mut scan = Scan::default();
        let mut scanned = 0;
        loop {
            let window = &self.buffer[self.start + scanned..self.end];
            let (blocks, rest) = window.as_chunks::<BLOCK_BYTES>();
            let rest_length = rest.len();
            let mut found = None;
            for block in blocks {
                if let Some(length) = scan.block(block) {
                    found = Some(length);
                    break;
                }
                scanned += BLOCK_BYTES;
                if scan.depth > JSON_DEPTH_MAX {
                    let offset = self.offset();
                    return Err(CutError::TooDeep { offset });
                }
            }
            if found.is_none() {
                keep &= scanned < STATE_OBJECT_BYTES_MAX;
                if !keep {
                    self.start += scanned;
                    scanned = 0;
                }
                if self.fill()? {
                    continue;
                }
                // The source has ended: what is left is less than a block, filled up with spaces.
                let mut block = [b' '; BLOCK_BYTES];
                let from = self.start + scanned;
                block[..rest_length].copy_from_slice(&self.buffer[from..from + rest_length]);
                found = scan.block(&block);
            }
            let Some(length) = found else {
                return Err(self.cut_short());
            };
            return Ok(self.end_value(keep, scanned + length));
        }
    }

    fn find_text_end(&mut self, mut keep: bool) -> Result<Option<usize>, CutError> {
        // Behind the opening quote.
        let mut scanned = 1;
        loop {
            let window = self.buffer[..self.end]
                .get(self.start + scanned..)
                .unwrap_or_default();
            match window
                .iter()
                .position(|&octet| octet == b'"' || octet == b'\\')
            {
                Some(place) if window[place] == b'"' => {
                    return Ok(self.end_value(keep, scanned + place + 1));
                }
                // Over the backslash and what it escapes, which may not have arrived yet.
                Some(place) => {
                    scanned += place + 2;
                    continue;
                }
                None => scanned = scanned.max(self.end - self.start),
            }
            keep &= scanned < STATE_OBJECT_BYTES_MAX;
            if !keep {
                let step = scanned.min(self.end - self.start);
                self.start += step;
                scanned -= step;
            }
            if !self.fill()? {
                return Err(self.cut_short());
            }
        }
    }

    /// The length of a number, `true`, `false` or `null`.
    fn find_plain_end(&mut self) -> Result<usize, CutError> {
        let mut scanned = 0;
        loop {
            let window = &self.buffer[self.start + scanned..self.end];
            let place = window.iter().position(|octet| {
                matches!(octet, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')
            });
            if let Some(place) = place {
                return Ok(scanned + place);
            }
            scanned = self.end - self.start;
            if scanned >= STATE_OBJECT_BYTES_MAX {
                return Err(self.syntax("the end of a number"));
            }
            if !self.fill()? {
                return Err(self.cut_short());
            }
        }
    }

    /// The next octet that is not white space, not consumed; `None` at the source's end.
    fn peek(&mut self) -> Result<Option<u8>, CutError> {
        loop {
            while self.start < self.end {
                let octet = self.buffer[self.start];
                if !matches!(octet, b' ' | b'\t' | b'\r' | b'\n') {
                    return Ok(Some(octet));
                }
                self.start += 1;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn expect(&mut self, octet: u8, expected: &'static str) -> Result<(), CutError> {
        match self.peek()? {
            Some(found) if found == octet => Ok(()),
            Some(_) => Err(self.syntax(expected)),
            None => Err(self.cut_short()),
        }
    }

    /// Reads more behind `end`, after moving what is unread to the front or growing the buffer.
    /// False at the source's end. Offsets from `start` stay right.
    fn fill(&mut self) -> Result<bool, CutError> {
        if self.end == self.buffer.len() {
            let unread = self.end - self.start;
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.start = 0;
                self.end = unread;
            }
            if unread > self.buffer.len() / 2 {
                let length = self.buffer.len() * 2;
                self.buffer.resize(length, 0);
            }
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.end += count;
                    self.bytes_read += count as u64;
                    if self.bytes_read > self.bytes_max {
                        return Err(CutError::TooLong {
                            bytes_max: self.bytes_max,
                        });
                    }
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CutError::Source(error)),
            }
        }
    }

    /// The place of `start` in the document.
    fn offset(&self) -> u64 {
        self.bytes_read - (self.end - self.start) as u64
    }

    fn syntax(&self, expected: &'static str) -> CutError {
        CutError::Syntax {
            offset: self.offset(),
            expected,
        }
    }

    fn cut_short(&self) -> CutError {
        CutError::CutShort {
            offset: self.bytes_read,
        }
    }
}

/// Decodes a key with its quotes. A key that cannot be decoded is none of ours: it stays empty.
fn decode_key(raw: &[u8], key: &mut String) {
    let inner = &raw[1..raw.len() - 1];
    if !inner.contains(&b'\\') {
        key.push_str(std::str::from_utf8(inner).unwrap_or_default());
    } else if let Ok(text) = serde_json::from_slice::<String>(raw) {
        key.push_str(&text);
    }
}

/// Where a scan for the end of a container stands between two blocks.
#[derive(Default)]
struct Scan {
    depth: u32,
    /// All ones while the last block ended within a string.
    in_string: u64,
    /// 1 where the last block ended with a backslash that escapes.
    escape: u64,
}

impl Scan {
    /// Takes the next block; the container's length within it where it ends here.
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK_BYTES]) -> Option<usize> {
        let masks = JsonMasks::of(block);
        let quotes = masks.quotes & !self.escaped(masks.backslashes);
        // From each opening quote up to its closing quote.
        let strings = prefix_xor(quotes) ^ self.in_string;
        self.in_string = ((strings as i64) >> 63) as u64;
        let opens = masks.opens & !strings;
        let closes = masks.closes & !strings;
        let close_count = closes.count_ones();
        if self.depth > close_count {
            // It cannot end within this block, whatever the order.
            self.depth = self.depth + opens.count_ones() - close_count;
            return None;
        }
        let mut brackets = opens | closes;
        while brackets != 0 {
            let place = brackets.trailing_zeros();
            if opens >> place & 1 == 1 {
                self.depth += 1;
            } else {
                self.depth -= 1;
                if self.depth == 0 {
                    return Some(place as usize + 1);
                }
            }
            brackets &= brackets - 1;
        }
        None
    }

    /// Which octets a backslash escapes: in a run of backslashes every second one, and what
    /// follows a run of odd length.
    #[inline]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        if backslashes == 0 {
            return std::mem::take(&mut self.escape);
        }
        let starts = backslashes & !self.escape;
        let follows = (starts << 1) | ODD;
        let codes = follows.wrapping_sub(starts) ^ ODD;
        let escaped = codes ^ (backslashes | self.escape);
        self.escape = (codes & backslashes) >> 63;
        escaped
    }
}

/// Each bit is the parity of the bits up to and with its place.
#[inline]
fn prefix_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    bits
}

#[cfg(test)]
mod tests;
