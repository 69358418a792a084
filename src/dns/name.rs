//! Domain names: wire format to text and back, and lower case. Text follows RFC 1035, 5.1: `\.`,
//! `\\` and `\DDD` for octets that are no printable ASCII.

use crate::limits::{LABEL_BYTES_MAX, NAME_BYTES_MAX};

/// Why text is not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    EmptyLabel,
    LabelTooLong,
    NameTooLong,
    BadEscape,
}

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EmptyLabel => "a label is empty",
            Self::LabelTooLong => "a label is over 63 octets",
            Self::NameTooLong => "the name is over 255 octets",
            Self::BadEscape => {
                "a backslash is followed by neither a character nor three digits up to 255"
            }
        })
    }
}

/// Wire format of a name given as text, with or without its final dot; case is kept.
pub fn wire_from_text(text: &str) -> Result<Vec<u8>, NameError> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    if text == "." || text.is_empty() {
        return Ok(vec![0]);
    }
    let mut label: Vec<u8> = Vec::with_capacity(LABEL_BYTES_MAX);
    let mut octets = text.bytes().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' => {
                end_label(&mut wire, &mut label)?;
                if octets.peek().is_none() {
                    break;
                }
            }
            b'\\' => label.push(unescape(&mut octets)?),
            _ => label.push(octet),
        }
        if octets.peek().is_none() {
            end_label(&mut wire, &mut label)?;
        }
    }
    wire.push(0);
    if wire.len() > NAME_BYTES_MAX {
        return Err(NameError::NameTooLong);
    }
    Ok(wire)
}

fn end_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), NameError> {
    match label.len() {
        0 => return Err(NameError::EmptyLabel),
        length if length > LABEL_BYTES_MAX => return Err(NameError::LabelTooLong),
        length => wire.push(length as u8),
    }
    wire.append(label);
    Ok(())
}

/// The octet behind a backslash (RFC 1035, 5.1).
pub fn unescape(octets: &mut impl Iterator<Item = u8>) -> Result<u8, NameError> {
    let first = octets.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = octets
            .next()
            .filter(u8::is_ascii_digit)
            .ok_or(NameError::BadEscape)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadEscape)
}

/// Text of an uncompressed name in wire format, with its final dot. Stops at the first octet that
/// is not part of a name, so any input gives some text.
pub fn text_from_wire(wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len());
    for label in labels(wire) {
        for &octet in label {
            match octet {
                b'.' | b'\\' => {
                    text.push('\\');
                    text.push(char::from(octet));
                }
                0x21..=0x7e => text.push(char::from(octet)),
                _ => text.push_str(&format!("\\{octet:03}")),
            }
        }
        text.push('.');
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}

/// The labels of an uncompressed name, without the root label.
pub fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&length, after) = rest.split_first()?;
        if length == 0 || usize::from(length) > LABEL_BYTES_MAX {
            return None;
        }
        let (label, next) = after.split_at_checked(usize::from(length))?;
        rest = next;
        Some(label)
    })
}

/// The octets of the uncompressed name that a slice begins with.
pub fn first_name(octets: &[u8]) -> Option<&[u8]> {
    let end: usize = labels(octets).map(|label| label.len() + 1).sum();
    (octets.get(end) == Some(&0)).then(|| octets.get(..=end))?
}

/// Whether an uncompressed name in wire format is an apex or ends in it at a label's boundary; both in
/// one case.
pub fn is_at_or_below(wire: &[u8], apex: &[u8]) -> bool {
    wire.len() == apex.len() && wire == apex || is_below(wire, apex)
}

/// The same for a name that has more labels than the apex.
pub fn is_below(wire: &[u8], apex: &[u8]) -> bool {
    // Most names differ in the last octets, so that comparing comes before walking the labels.
    if !wire.ends_with(apex) {
        return false;
    }
    let mut rest = wire.len();
    for label in labels(wire) {
        rest -= label.len() + 1;
        if rest == apex.len() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_wire_are_inverse() {
        for text in [
            ".",
            "mesos.",
            "web.marathon.mesos.",
            "a\\.b.c.",
            "x\\000\\255\\\\.y.",
        ] {
            let wire = wire_from_text(text).expect(text);
            assert_eq!(text_from_wire(&wire), text);
        }
    }

    #[test]
    fn final_dot_is_optional() {
        assert_eq!(wire_from_text("a.b"), wire_from_text("a.b."));
    }

    #[test]
    fn labels_and_names_that_are_too_long_are_refused() {
        assert_eq!(
            wire_from_text(&"x".repeat(64)),
            Err(NameError::LabelTooLong)
        );
        assert_eq!(
            wire_from_text(&"xxxxxxxxx.".repeat(26)),
            Err(NameError::NameTooLong)
        );
        assert_eq!(wire_from_text("a..b"), Err(NameError::EmptyLabel));
        assert_eq!(wire_from_text(".a"), Err(NameError::EmptyLabel));
        assert_eq!(wire_from_text("a\\"), Err(NameError::BadEscape));
        assert_eq!(wire_from_text("a\\256"), Err(NameError::BadEscape));
    }
}
