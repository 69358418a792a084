//! The shapes of a task and an agent in the state document, with the fields that records need. In:
//! the octets of one object. Out: borrowed texts. What Go's decoder accepts must be accepted here.
//!
//! Go's rules: unknown fields are ignored, a missing field or `null` is the empty value, of two
//! equal keys the last wins, keys match whatever their case. A wrong type is an error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use simd_json::{Buffers, INPUT_PADDING, Tape};

/// A string; missing or null is empty.
#[derive(Debug, Default)]
pub struct Text<'a>(pub Cow<'a, str>);

/// A number; missing or null is 0.
#[derive(Debug, Default)]
pub struct Real(pub f64);

/// A field that may be anything without harm to the object that it stands in.
#[derive(Debug, Default)]
pub enum Loose<'a> {
    #[default]
    Missing,
    Text(Cow<'a, str>),
    Number(f64),
    /// `true`, `false`, a list or an object.
    Other,
}

/// A list; missing or null is empty.
#[derive(Debug)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Declares an object: its fields and their keys, in lower case. Whoever uses it elsewhere imports
/// what it names.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident { $($key:literal => $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name<'a> {
            $(pub $field: $type,)*
        }

        impl<'a> Deserialize<'a> for $name<'a> {
            fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(non_camel_case_types)]
                enum Key {
                    $($field,)*
                    Unknown,
                }

                impl Key {
                    fn find(text: &str) -> Self {
                        match text {
                            $($key => Self::$field,)*
                            _ if is_folded(text) => Self::Unknown,
                            _ => Self::find(&fold(text)),
                        }
                    }
                }

                impl<'a> Deserialize<'a> for Key {
                    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
                        struct KeyVisitor;
                        impl Visitor<'_> for KeyVisitor {
                            type Value = Key;
                            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                                f.write_str("a key")
                            }
                            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                                Ok(Key::find(text))
                            }
                        }
                        deserializer.deserialize_identifier(KeyVisitor)
                    }
                }

                struct ObjectVisitor<'a>(PhantomData<&'a ()>);
                impl<'a> Visitor<'a> for ObjectVisitor<'a> {
                    type Value = $name<'a>;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_unit<E>(self) -> Result<Self::Value, E> {
                        Ok(Self::Value::default())
                    }
                    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = Self::Value::default();
                        while let Some(found) = map.next_key::<Key>()? {
                            match found {
                                $(Key::$field => object.$field = map.next_value().map_err(|error| {
                                    A::Error::custom(format_args!("{}: {error}", $key))
                                })?,)*
                                Key::Unknown => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(object)
                    }
                }
                deserializer.deserialize_any(ObjectVisitor(PhantomData))
            }
        }
    };
}

pub(super) use object;

object! {
    /// One of `frameworks[].tasks`.
    TaskFields {
        "id" => id: Text<'a>,
        "name" => name: Text<'a>,
        "slave_id" => agent_id: Text<'a>,
        "state" => state: Text<'a>,
        "statuses" => statuses: List<StatusFields<'a>>,
        "resources" => resources: ResourcesFields<'a>,
        "discovery" => discovery: DiscoveryFields<'a>,
    }
}

object! {
    StatusFields {
        "state" => state: Text<'a>,
        "timestamp" => timestamp: Real,
        "labels" => labels: List<LabelFields<'a>>,
        "container_status" => container: ContainerFields<'a>,
    }
}

object! {
    LabelFields {
        "key" => key: Text<'a>,
        "value" => value: Text<'a>,
    }
}

object! {
    ContainerFields {
        "network_infos" => networks: List<NetworkFields<'a>>,
    }
}

object! {
    NetworkFields {
        "ip_addresses" => addresses: List<AddressFields<'a>>,
        // Mesos 0.25 had one address here.
        "ip_address" => address: Text<'a>,
    }
}

object! {
    AddressFields {
        "ip_address" => address: Text<'a>,
    }
}

object! {
    ResourcesFields {
        "ports" => ports: Text<'a>,
    }
}

object! {
    DiscoveryFields {
        "name" => name: Text<'a>,
        "ports" => ports: PortsFields<'a>,
    }
}

object! {
    PortsFields {
        "ports" => ports: List<PortFields<'a>>,
    }
}

object! {
    PortFields {
        "number" => number: Loose<'a>,
        "name" => name: Text<'a>,
        "protocol" => protocol: Text<'a>,
    }
}

object! {
    /// One of `slaves`.
    AgentFields {
        "id" => id: Text<'a>,
        "hostname" => hostname: Text<'a>,
        "pid" => pid: Loose<'a>,
    }
}

/// Whether folding would leave the key as it is: then it is compared once only.
pub fn is_folded(key: &str) -> bool {
    key.bytes()
        .all(|octet| octet.is_ascii() && !octet.is_ascii_uppercase())
}

/// The key in lower case by Go's rule, which knows two letters beyond ASCII that fold into it.
pub fn fold(key: &str) -> String {
    key.chars()
        .map(|letter| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            // What else is not ASCII matches no key of ours; this makes folding end.
            _ if !letter.is_ascii() => '?',
            _ => letter.to_ascii_lowercase(),
        })
        .collect()
}

impl<'a> Deserialize<'a> for Text<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'a> Visitor<'a> for TextVisitor {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'a>, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'a> Deserialize<'a> for Real {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct RealVisitor;
        impl Visitor<'_> for RealVisitor {
            type Value = Real;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_f64<E>(self, number: f64) -> Result<Real, E> {
                Ok(Real(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Real, E> {
                Ok(Real(number as f64))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Real, E> {
                Ok(Real(number as f64))
            }
            fn visit_unit<E>(self) -> Result<Real, E> {
                Ok(Real(0.0))
            }
        }
        deserializer.deserialize_any(RealVisitor)
    }
}

impl<'a> Deserialize<'a> for Loose<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct LooseVisitor;
        impl<'a> Visitor<'a> for LooseVisitor {
            type Value = Loose<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Loose<'a>, E> {
                Ok(Loose::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose<'a>, E> {
                Ok(Loose::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Loose<'a>, E> {
                Ok(Loose::Number(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Loose<'a>, E> {
                Ok(Loose::Number(number as f64))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Loose<'a>, E> {
                Ok(Loose::Number(number as f64))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loose<'a>, E> {
                Ok(Loose::Other)
            }
            fn visit_unit<E>(self) -> Result<Loose<'a>, E> {
                Ok(Loose::Missing)
            }
            fn visit_seq<A: SeqAccess<'a>>(self, list: A) -> Result<Loose<'a>, A::Error> {
                IgnoredAny.visit_seq(list).map(|_| Loose::Other)
            }
            fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<Loose<'a>, A::Error> {
                IgnoredAny.visit_map(map).map(|_| Loose::Other)
            }
        }
        deserializer.deserialize_any(LooseVisitor)
    }
}

impl<'a, T: Deserialize<'a>> Deserialize<'a> for List<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'a, T: Deserialize<'a>> Visitor<'a> for ListVisitor<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_unit<E>(self) -> Result<List<T>, E> {
                Ok(List::default())
            }
            fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

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
    /// simd-json first, for its speed. It refuses some of what Go takes (numbers out of range in
    /// fields that nobody reads), so serde_json is asked next; then once more with broken text
    /// repaired. An error says what is wrong with the value.
    pub fn decode<'a, T: Deserialize<'a>>(&'a mut self, raw: &'a [u8]) -> Result<T, String> {
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
