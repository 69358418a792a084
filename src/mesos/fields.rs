//! The shapes of a task and an agent in the state document, with the fields that records need. In:
//! the octets of one object. Out: borrowed texts. What Go's decoder accepts must be accepted here.
//!
//! Go's rules: unknown fields are ignored, a missing field or `null` is the empty value, of two
//! equal keys the last wins, keys match whatever their case. A wrong type is an error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
    Truth(bool),
    /// A list or an object.
    Other,
}

impl Loose<'_> {
    /// The text; empty for anything else.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

/// An object without which the one that it stands in is as good: of another type it is empty.
#[derive(Debug, Default)]
pub struct Loosely<T>(pub T);

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
                            _ if is_folded(text.as_bytes()) => Self::Unknown,
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

        impl<'a> crate::mesos::quick::Quick<'a> for $name<'a> {
            fn read(scan: &mut crate::mesos::quick::Scan<'a>) -> Option<Self> {
                let mut object = Self::default();
                if scan.null()? {
                    return Some(object);
                }
                let mut more = scan.enter(b'{', b'}')?;
                while more {
                    match scan.key()? {
                        $(key if key == $key.as_bytes() => {
                            object.$field = crate::mesos::quick::Quick::read(scan)?;
                        })*
                        key if is_folded(key) => scan.skip(0)?,
                        _ => return None,
                    }
                    more = scan.more(b'}')?;
                }
                Some(object)
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
        "container" => container: Loosely<ContainerInfoFields<'a>>,
    }
}

object! {
    /// How the task was to be run.
    ContainerInfoFields {
        "type" => kind: Loose<'a>,
        "docker" => docker: Loosely<DockerFields<'a>>,
    }
}

object! {
    DockerFields {
        "network" => network: Loose<'a>,
    }
}

object! {
    StatusFields {
        "state" => state: Text<'a>,
        "timestamp" => timestamp: Real,
        "labels" => labels: List<LabelFields<'a>>,
        "container_status" => container: ContainerFields<'a>,
        "healthy" => healthy: Loose<'a>,
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
        "domain" => domain: Loosely<DomainFields<'a>>,
    }
}

object! {
    DomainFields {
        "fault_domain" => fault_domain: Loosely<FaultDomainFields<'a>>,
    }
}

object! {
    FaultDomainFields {
        "region" => region: Loosely<PlaceFields<'a>>,
        "zone" => zone: Loosely<PlaceFields<'a>>,
    }
}

object! {
    PlaceFields {
        "name" => name: Loose<'a>,
    }
}

/// Whether folding would leave the key as it is: then it is compared once only.
pub fn is_folded(key: &[u8]) -> bool {
    key.iter()
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
            fn visit_bool<E>(self, truth: bool) -> Result<Loose<'a>, E> {
                Ok(Loose::Truth(truth))
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

impl<'a, T: Deserialize<'a> + Default> Deserialize<'a> for Loosely<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct LooselyVisitor<T>(PhantomData<T>);
        impl<'a, T: Deserialize<'a> + Default> Visitor<'a> for LooselyVisitor<T> {
            type Value = Loosely<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_str<E>(self, _: &str) -> Result<Loosely<T>, E> {
                Ok(Loosely::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Loosely<T>, E> {
                Ok(Loosely::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Loosely<T>, E> {
                Ok(Loosely::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Loosely<T>, E> {
                Ok(Loosely::default())
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loosely<T>, E> {
                Ok(Loosely::default())
            }
            fn visit_unit<E>(self) -> Result<Loosely<T>, E> {
                Ok(Loosely::default())
            }
            fn visit_seq<A: SeqAccess<'a>>(self, list: A) -> Result<Loosely<T>, A::Error> {
                IgnoredAny.visit_seq(list).map(|_| Loosely::default())
            }
            fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<Loosely<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Loosely)
            }
        }
        deserializer.deserialize_any(LooselyVisitor(PhantomData))
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
