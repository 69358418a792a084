//! Reads objects of ordinary shape in one pass over their octets. In: one object. Out: its fields, or
//! `None` where anything is out of the ordinary, and then the decoder decides. It must never take
//! what the decoder refuses, nor read anything otherwise.
//!
//! A tape of all values costs more than to step over those that nobody reads: most of a task.

use std::borrow::Cow;

use super::fields::{List, Loose, Loosely, Real, Text};
use crate::sys::block::plain_text_length;

/// What can be read so; `object!` makes it of objects.
pub trait Quick<'a>: Sized {
    fn read(scan: &mut Scan<'a>) -> Option<Self>;
}

/// The whole value, with nothing but white space behind it.
pub fn read<'a, T: Quick<'a>>(octets: &'a [u8]) -> Option<T> {
    let mut scan = Scan { octets, at: 0 };
    let value = T::read(&mut scan)?;
    (scan.peek() == END && scan.at == octets.len()).then_some(value)
}

/// A place in the octets.
pub struct Scan<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// The next octet that is not white space, not consumed; `END` at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        loop {
            match self.octets.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(&octet) => return octet,
                None => return END,
            }
        }
    }

    /// Steps over this octet, which must come next.
    #[inline]
    fn expect(&mut self, octet: u8) -> Option<()> {
        (self.peek() == octet).then(|| self.at += 1)
    }

    /// Steps over `null`, where it comes next.
    pub fn null(&mut self) -> Option<bool> {
        match self.peek() {
            b'n' => self.word(b"null").map(|()| true),
            _ => Some(false),
        }
    }

    /// Enters an object or list; whether there is something in it.
    #[inline]
    pub fn enter(&mut self, open: u8, close: u8) -> Option<bool> {
        self.expect(open)?;
        if self.peek() == close {
            self.at += 1;
            return Some(false);
        }
        Some(true)
    }

    /// Behind a value: whether another one comes before the object's or list's end.
    #[inline]
    pub fn more(&mut self, close: u8) -> Option<bool> {
        match self.peek() {
            b',' => {
                self.at += 1;
                Some(true)
            }
            octet if octet == close => {
                self.at += 1;
                Some(false)
            }
            _ => None,
        }
    }

    /// A key and its colon. One with escapes is out of the ordinary.
    #[inline]
    pub fn key(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let begin = self.at;
        self.at += plain_text_length(&self.octets[begin..]);
        let key = &self.octets[begin..self.at];
        (self.octets.get(self.at) == Some(&b'"')).then(|| self.at += 1)?;
        self.expect(b':')?;
        Some(key)
    }

    /// Steps over a value, which must be JSON all the same.
    pub fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek() {
            b'"' => self.text().map(drop),
            b'{' if depth < DEPTH_MAX => {
                let mut more = self.enter(b'{', b'}')?;
                while more {
                    if self.peek() != b'"' {
                        return None;
                    }
                    self.text()?;
                    self.expect(b':')?;
                    self.skip(depth + 1)?;
                    more = self.more(b'}')?;
                }
                Some(())
            }
            b'[' if depth < DEPTH_MAX => {
                let mut more = self.enter(b'[', b']')?;
                while more {
                    self.skip(depth + 1)?;
                    more = self.more(b']')?;
                }
                Some(())
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.octets[self.at..].starts_with(word).then(|| {
            self.at += word.len();
        })
    }

    /// The octets of a string, with its quotes, and whether something in it is escaped.
    #[inline]
    fn text(&mut self) -> Option<(&'a [u8], bool)> {
        let begin = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += plain_text_length(self.octets.get(self.at..)?);
            match self.octets.get(self.at..)? {
                [b'"', ..] => {
                    self.at += 1;
                    return Some((&self.octets[begin..self.at], escaped));
                }
                [
                    b'\\',
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    ..,
                ] => {
                    self.at += 2;
                }
                [b'\\', b'u', a, b, c, d, ..]
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    self.at += 6;
                }
                _ => return None,
            }
            escaped = true;
        }
    }

    fn owned_text(&mut self) -> Option<Cow<'a, str>> {
        if self.peek() != b'"' {
            return None;
        }
        let (raw, escaped) = self.text()?;
        if escaped {
            return serde_json::from_slice(raw).ok().map(Cow::Owned);
        }
        let inner = &raw[1..raw.len() - 1];
        std::str::from_utf8(inner).ok().map(Cow::Borrowed)
    }

    /// The octets of a number.
    fn number(&mut self) -> Option<&'a str> {
        let begin = self.at;
        self.at += usize::from(self.octets[begin] == b'-');
        let first = self.octets.get(self.at).copied();
        let digits = self.digits();
        if digits == 0 || digits > 1 && first == Some(b'0') {
            return None;
        }
        if self.octets.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.octets.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.octets.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        std::str::from_utf8(&self.octets[begin..self.at]).ok()
    }

    fn digits(&mut self) -> usize {
        let rest = &self.octets[self.at..];
        let count = rest.iter().take_while(|octet| octet.is_ascii_digit());
        let count = count.count();
        self.at += count;
        count
    }

    fn real(&mut self) -> Option<f64> {
        let text = self.number()?;
        // As the decoder has it: -0 is an integer, and so 0.
        let number = match text.parse::<i64>() {
            Ok(whole) => whole as f64,
            Err(_) => text.parse().ok()?,
        };
        number.is_finite().then_some(number)
    }
}

impl<'a> Quick<'a> for Text<'a> {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        match scan.null()? {
            true => Some(Self::default()),
            false => scan.owned_text().map(Self),
        }
    }
}

impl<'a> Quick<'a> for Real {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        match scan.peek() {
            b'n' => scan.word(b"null").map(|()| Self::default()),
            b'-' | b'0'..=b'9' => scan.real().map(Self),
            _ => None,
        }
    }
}

impl<'a> Quick<'a> for Loose<'a> {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        match scan.peek() {
            b'n' => scan.word(b"null").map(|()| Self::Missing),
            b'"' => scan.owned_text().map(Self::Text),
            b'-' | b'0'..=b'9' => scan.real().map(Self::Number),
            b't' => scan.word(b"true").map(|()| Self::Truth(true)),
            b'f' => scan.word(b"false").map(|()| Self::Truth(false)),
            _ => scan.skip(0).map(|()| Self::Other),
        }
    }
}

impl<'a, T: Quick<'a> + Default> Quick<'a> for Loosely<T> {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        match scan.peek() {
            b'{' => T::read(scan).map(Self),
            _ => scan.skip(0).map(|()| Self::default()),
        }
    }
}

impl<'a, T: Quick<'a>> Quick<'a> for List<T> {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        let mut items = Vec::new();
        if scan.null()? {
            return Some(Self(items));
        }
        let mut more = scan.enter(b'[', b']')?;
        while more {
            items.push(T::read(scan)?);
            more = scan.more(b']')?;
        }
        Some(Self(items))
    }
}

/// No octet of JSON outside of strings, where it is escaped.
const END: u8 = 0;
/// What is nested deeper is out of the ordinary.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests;
