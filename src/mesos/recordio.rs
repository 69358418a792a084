//! RecordIO, the framing of the event stream: a length in decimal digits, a line feed, a record of
//! that many octets. In: the octets of a response, in pieces of any size. Out: one record after the
//! other, as a reader that ends where the record ends. It must never trust a length.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use crate::limits::{RECORD_BUFFER_BYTES, RECORD_LENGTH_DIGITS_MAX};

/// Cuts a stream into records. Reads, as a `Read`, the present record.
pub struct Records<R> {
    source: R,
    /// Unread octets are `buffer[start..end]`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Octets of the present record that were not read.
    left: u64,
    record_bytes_max: u64,
}

/// Why a stream cannot be read on.
#[derive(Debug)]
pub enum RecordError {
    Source(io::Error),
    /// What should be a length is none; its beginning.
    Length {
        text: String,
    },
    TooLong {
        bytes: u64,
        bytes_max: u64,
    },
    /// The stream ended within a record.
    CutShort,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "it broke off: {error}"),
            Self::Length { text } => write!(f, "{text:?} is not the length of a record"),
            Self::TooLong { bytes, bytes_max } => write!(
                f,
                "a record of {bytes} octets is longer than {bytes_max}; raise StateBytesMax if that is right"
            ),
            Self::CutShort => f.write_str("it ended within a record"),
        }
    }
}

impl std::error::Error for RecordError {}

impl<R: Read> Records<R> {
    pub fn new(source: R, record_bytes_max: u64) -> Self {
        Self {
            source,
            buffer: vec![0; RECORD_BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            left: 0,
            record_bytes_max,
        }
    }

    /// Goes to the next record, past what of the present one was not read, and says how long it is.
    /// `None`: the stream has ended, between two records.
    pub fn next_record(&mut self) -> Result<Option<u64>, RecordError> {
        self.skip_rest()?;
        let mut length = 0_u64;
        let mut digits = 0;
        loop {
            let Some(octet) = self.octet()? else {
                return match digits {
                    0 => Ok(None),
                    _ => Err(RecordError::CutShort),
                };
            };
            match octet {
                b'\n' if digits > 0 => break,
                b'0'..=b'9' if digits < RECORD_LENGTH_DIGITS_MAX => {
                    digits += 1;
                    length = length * 10 + u64::from(octet - b'0');
                }
                _ => return Err(self.no_length(length, digits, octet)),
            }
        }
        if length > self.record_bytes_max {
            return Err(RecordError::TooLong {
                bytes: length,
                bytes_max: self.record_bytes_max,
            });
        }
        self.left = length;
        Ok(Some(length))
    }

    /// Whether octets beyond the present record have arrived: then the next one is not worth waiting
    /// without.
    pub fn has_more(&self) -> bool {
        (self.end - self.start) as u64 > self.left
    }

    fn no_length(&self, length: u64, digits: usize, octet: u8) -> RecordError {
        let mut text = if digits > 0 {
            length.to_string()
        } else {
            String::new()
        };
        text.push(octet.into());
        let behind = &self.buffer[self.start..self.end.min(self.start + SHOWN_BYTES)];
        text.push_str(&String::from_utf8_lossy(behind));
        RecordError::Length { text }
    }

    fn skip_rest(&mut self) -> Result<(), RecordError> {
        while self.left > 0 {
            if self.start == self.end && !self.fill().map_err(RecordError::Source)? {
                return Err(RecordError::CutShort);
            }
            let step =
                (self.end - self.start).min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.start += step;
            self.left -= step as u64;
        }
        Ok(())
    }

    fn octet(&mut self) -> Result<Option<u8>, RecordError> {
        if self.start == self.end && !self.fill().map_err(RecordError::Source)? {
            return Ok(None);
        }
        self.start += 1;
        Ok(Some(self.buffer[self.start - 1]))
    }

    /// False at the source's end. Called when all was read.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.source.read(&mut self.buffer) {
                Ok(count) => {
                    self.start = 0;
                    self.end = count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Read for Records<R> {
    /// What is left of the present record, and not an octet more.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = out
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        if self.start == self.end && !self.fill()? {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the stream ended within a record",
            ));
        }
        let count = wanted.min(self.end - self.start);
        out[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        self.left -= count as u64;
        Ok(count)
    }
}

/// What is shown of octets that are no length.
const SHOWN_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its octets in pieces of a size.
    struct Pieces<'a> {
        rest: &'a [u8],
        size: usize,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.size.min(out.len()).min(self.rest.len());
            let (now, rest) = self.rest.split_at(count);
            out[..count].copy_from_slice(now);
            self.rest = rest;
            Ok(count)
        }
    }

    fn records(octets: &[u8], size: usize) -> Result<Vec<String>, RecordError> {
        let mut records = Records::new(Pieces { rest: octets, size }, 1_000);
        let mut found = Vec::new();
        while records.next_record()?.is_some() {
            let mut text = String::new();
            records
                .read_to_string(&mut text)
                .map_err(RecordError::Source)?;
            found.push(text);
        }
        Ok(found)
    }

    #[test]
    fn records_are_found_however_they_arrive() {
        let octets = b"5\nhello0\n1\n\n11\n{\"a\":\"\\n\"}\n";
        for size in 1..=octets.len() {
            let found = records(octets, size).expect("records");
            assert_eq!(found, ["hello", "", "\n", "{\"a\":\"\\n\"}\n"], "{size}");
        }
    }

    #[test]
    fn what_of_a_record_was_not_read_is_passed_over() {
        for size in 1..20 {
            let source = Pieces {
                rest: b"10\n0123456789\x33\nabc",
                size,
            };
            let mut records = Records::new(source, 1_000);
            assert_eq!(records.next_record().expect("a record"), Some(10));
            let mut some = [0; 4];
            records.read_exact(&mut some).expect("the beginning");
            assert_eq!(records.next_record().expect("a record"), Some(3));
            let mut text = String::new();
            records.read_to_string(&mut text).expect("the rest");
            assert_eq!(text, "abc");
        }
    }

    #[test]
    fn lengths_are_not_trusted() {
        for bad in [
            "x",
            "-1\nx",
            "+1\nx",
            " 1\nx",
            "1 \nx",
            "\n",
            "1\r\nx",
            "0x1\na",
            "1.0\na",
            "99999999999999999999999\n",
        ] {
            let error = records(bad.as_bytes(), 3).expect_err(bad);
            assert!(
                matches!(error, RecordError::Length { .. }),
                "{bad}: {error}"
            );
        }
        for long in ["1001\nx", "9999999999999999999\nx"] {
            let error = records(long.as_bytes(), 3).expect_err(long);
            assert!(
                matches!(
                    error,
                    RecordError::TooLong {
                        bytes_max: 1_000,
                        ..
                    }
                ),
                "{long}: {error}"
            );
        }
    }

    #[test]
    fn end_within_a_record_is_no_end() {
        for cut in ["5", "5\n", "5\nhell"] {
            assert!(records(cut.as_bytes(), 2).is_err(), "{cut}");
        }
    }

    #[test]
    fn more_is_known_to_have_come_when_it_has() {
        let mut records = Records::new(&b"2\nab2\ncd"[..], 10);
        records.next_record().expect("a record");
        assert!(records.has_more());
        records.next_record().expect("a record");
        assert!(!records.has_more());
    }
}
