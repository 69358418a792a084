//! Decodes one object of a master's JSON. In: its octets. Out: the fields of `fields`, borrowed from
//! them, or what is wrong. What Go's decoder accepts must be accepted here.

use serde::de::Deserialize;
use simd_json::{Buffers, INPUT_PADDING, Tape};

use super::quick::{self, Quick};

/// Decodes one value at a time, with buffers that live on.
#[derive(Default)]
pub struct Decoder {
    /// simd-json unescapes in place, so it gets a copy, with the padding that it asks for.
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Option<Tape<'static>>,
    repaired: Vec<u8>,
}

impl Decoder {
    /// Reads what is of ordinary shape in one pass, and all else as JSON in general. An error says what
    /// is wrong with the value.
    pub fn decode<'a, T>(&'a mut self, raw: &'a [u8]) -> Result<T, String>
    where
        T: Deserialize<'a> + Quick<'a>,
    {
        match quick::read(raw) {
            Some(value) => Ok(value),
            None => self.decode_any(raw),
        }
    }

    /// simd-json first, for its speed. It refuses some of what Go takes (numbers out of range in
    /// fields that nobody reads), so serde_json is asked next; then once more with broken text
    /// repaired.
    pub(super) fn decode_any<'a, T: Deserialize<'a>>(
        &'a mut self,
        raw: &'a [u8],
    ) -> Result<T, String> {
        let Self {
            copy,
            buffers,
            tape,
            repaired,
        } = self;
        copy.clear();
        copy.extend_from_slice(raw);
        copy.resize(raw.len() + INPUT_PADDING, 0);
        let mut nodes = tape.take().unwrap_or_else(Tape::null);
        if simd_json::fill_tape_padded(copy, raw.len(), buffers, &mut nodes).is_ok() {
            let mut deserializer = simd_json::Deserializer::from_tape(nodes);
            let value = T::deserialize(&mut deserializer);
            *tape = Some(deserializer.into_tape().reset());
            if let Ok(value) = value {
                return Ok(value);
            }
        }
        let refusal = match serde_json::from_slice(raw) {
            Ok(value) => return Ok(value),
            Err(refusal) => refusal,
        };
        repair(raw, repaired);
        serde_json::from_slice(repaired).map_err(|_| refusal.to_string())
    }
}

/// Copies JSON with U+FFFD in place of each octet that is no UTF-8 and of each half of a surrogate
/// pair that stands alone, as Go reads them.
pub fn repair(raw: &[u8], repaired: &mut Vec<u8>) {
    const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
    repaired.clear();
    let mut rest = raw;
    let mut valid = valid_length(rest);
    while !rest.is_empty() {
        if valid == 0 {
            repaired.extend_from_slice(REPLACEMENT);
            rest = &rest[1..];
            valid = valid_length(rest);
            continue;
        }
        let count = match rest {
            [b'\\', b'u', ..] => match (unit(rest), unit(rest.get(6..).unwrap_or_default())) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
                (Some(0xd800..=0xdfff), _) => {
                    repaired.extend_from_slice(REPLACEMENT);
                    rest = &rest[6..];
                    valid -= 6;
                    continue;
                }
                _ => 2,
            },
            [b'\\', _, ..] if valid >= 2 => 2,
            _ => 1,
        };
        repaired.extend_from_slice(&rest[..count]);
        rest = &rest[count..];
        valid -= count;
    }
}

/// How many octets at the beginning are UTF-8.
fn valid_length(text: &[u8]) -> usize {
    std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len)
}

/// The number of `\u0041` at the beginning.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::fields::{TaskFields, fold};
    use super::*;

    fn name_of(raw: &[u8]) -> Result<String, String> {
        let mut decoder = Decoder::default();
        let task: TaskFields<'_> = decoder.decode(raw)?;
        Ok(task.name.0.into_owned())
    }

    #[test]
    fn keys_match_in_any_case_and_the_last_wins() {
        assert_eq!(name_of(br#"{"NAME":"a"}"#).unwrap(), "a");
        assert_eq!(name_of(br#"{"name":"a","Name":"b"}"#).unwrap(), "b");
        assert_eq!(name_of(br#"{"\u006eame":"a"}"#).unwrap(), "a");
        assert_eq!(fold("ta\u{17f}\u{212a}s"), "tasks");
    }

    #[test]
    fn null_and_missing_are_empty() {
        for raw in [
            "null",
            "{}",
            r#"{"name":null,"statuses":null,"discovery":null,"resources":null}"#,
            r#"{"statuses":[null,{"labels":null,"container_status":{"network_infos":[null]}}]}"#,
        ] {
            assert_eq!(name_of(raw.as_bytes()).unwrap(), "", "{raw}");
        }
    }

    #[test]
    fn odd_numbers_in_unknown_fields_lose_no_task() {
        let raw = br#"{"x":1e400,"y":123456789012345678901234567890,"name":"web"}"#;
        assert_eq!(name_of(raw).unwrap(), "web");
    }

    #[test]
    fn broken_text_is_replaced_as_go_replaces_it() {
        assert_eq!(name_of(br#"{"name":"w\ud800eb"}"#).unwrap(), "w\u{fffd}eb");
        assert_eq!(
            name_of(br#"{"name":"w\udc00\ud800eb\ud83d\ude00"}"#).unwrap(),
            "w\u{fffd}\u{fffd}eb\u{1f600}"
        );
        assert_eq!(
            name_of(b"{\"name\":\"w\xff\xe2\x82eb\\\\ud800\"}").unwrap(),
            "w\u{fffd}\u{fffd}\u{fffd}eb\\ud800"
        );
    }

    #[test]
    fn wrong_type_says_which_field() {
        for (raw, field) in [
            (
                r#"{"name":5}"#,
                "name: invalid type: integer `5`, expected a string",
            ),
            (
                r#"{"statuses":[{"timestamp":"5"}]}"#,
                "statuses: timestamp: invalid type",
            ),
            (
                r#"{"resources":{"ports":[31000]}}"#,
                "resources: ports: invalid type",
            ),
            (r#"{"discovery":"x"}"#, "discovery: invalid type"),
            (r#""x""#, "expected an object"),
        ] {
            let error = name_of(raw.as_bytes()).unwrap_err();
            assert!(error.contains(field), "{raw}: {error}");
        }
    }

    #[test]
    fn control_characters_in_strings_are_no_json() {
        assert!(name_of(b"{\"name\":\"w\teb\"}").is_err());
    }
}
