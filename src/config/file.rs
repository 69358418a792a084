//! The configuration file's shape: JSON text in, one value for each known key out, in Go's way of
//! matching keys. It must never guess: what does not have the key's type is left to the reader.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::{ConfigError, Origin, ValueError, Warning};
use super::keys::{self, CREDENTIALS, KEYS, Kind, OBSOLETE};

/// A JSON value that keeps the order of an object's keys, and equal keys too.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Boolean(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// What the file sets: `values[i]` belongs to `KEYS[i]`.
pub type Values = Vec<Option<Json>>;

/// Takes the file's text apart.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<(Values, Vec<Warning>), ConfigError> {
    // Go replaces what is not UTF-8 too, so that a comment in Latin-1 never stops the program.
    let text = String::from_utf8_lossy(bytes);
    let members = match serde_json::from_str::<Json>(&text) {
        Ok(Json::Object(members)) => members,
        Ok(other) => {
            return Err(ConfigError::Syntax {
                file: file.to_owned(),
                line: 1,
                column: 1,
                reason: format!("this is {}, not an object", other.described()),
            });
        }
        Err(error) => {
            return Err(ConfigError::Syntax {
                file: file.to_owned(),
                line: error.line(),
                column: error.column(),
                reason: without_place(&error.to_string()),
            });
        }
    };
    let mut values: Values = KEYS.iter().map(|_| None).collect();
    let mut warnings = Vec::new();
    for (name, value) in members {
        if keys::fold(&name) != keys::fold(CREDENTIALS) {
            set(&mut values, &mut warnings, file, name, value);
            continue;
        }
        match value {
            Json::Null => {}
            Json::Object(fields) => {
                for (field, value) in fields {
                    let name = format!("{CREDENTIALS}.{field}");
                    set(&mut values, &mut warnings, file, name, value);
                }
            }
            other => return Err(wrong_credentials(file, &other)),
        }
    }
    Ok((values, warnings))
}

fn set(values: &mut Values, warnings: &mut Vec<Warning>, file: &Path, name: String, value: Json) {
    let Some(index) = keys::position(&name) else {
        if !OBSOLETE
            .iter()
            .any(|old| keys::fold(old) == keys::fold(&name))
        {
            warnings.push(Warning::UnknownKey {
                file: file.to_owned(),
                nearest: keys::nearest_name(&name),
                key: name,
            });
        }
        return;
    };
    // Of equal keys the later wins, but null changes no number, string or boolean (Go's rule); a
    // list becomes empty by it.
    match (value, KEYS[index].kind) {
        (Json::Null, Kind::List) => values[index] = Some(Json::List(Vec::new())),
        (Json::Null, Kind::Zones) => values[index] = Some(Json::Object(Vec::new())),
        (Json::Null, _) => {}
        (value, _) => values[index] = Some(value),
    }
}

/// The value is not shown: it may well hold the secret.
fn wrong_credentials(file: &Path, value: &Json) -> ConfigError {
    ConfigError::Value(Box::new(ValueError {
        origin: Origin::File,
        file: Some(file.to_owned()),
        key: CREDENTIALS,
        value: "******".to_owned(),
        problem: format!("this is {}", value.described()),
        cure: "right would be an object, as in {\"principal\": \"dns\", \"secret\": \"...\"}"
            .to_owned(),
    }))
}

/// serde_json ends its messages with the place, which ours begin with.
fn without_place(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message.to_owned(),
    }
}

impl Json {
    /// The kind of value, for messages.
    pub fn described(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Number(number) if number.is_f64() => "a number that is not whole or is too large",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// As JSON on one line, for messages.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{}", serde_json::Value::from(value.as_str())),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    let name = serde_json::Value::from(name.as_str());
                    write!(f, "{}{name}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Boolean(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(text: &str, key: &str) -> Option<Json> {
        let (mut values, _) = parse(Path::new("c.json"), text.as_bytes()).expect(text);
        values[keys::position(key).expect(key)].take()
    }

    #[test]
    fn of_equal_keys_the_later_wins_and_null_changes_nothing() {
        let seven = Some(Json::Number(7.into()));
        assert_eq!(value_of(r#"{"TTL":1,"ttl":2,"TTL":7}"#, "TTL"), seven);
        assert_eq!(value_of(r#"{"ttl":7,"TTL":null}"#, "TTL"), seven);
        assert_eq!(value_of(r#"{"ttl":null}"#, "TTL"), None);
        let empty = Some(Json::List(Vec::new()));
        assert_eq!(value_of(r#"{"Resolvers":null}"#, "Resolvers"), empty);
    }

    #[test]
    fn credentials_are_taken_apart_in_any_case() {
        let text = r#"{"mesoscredentials":{"PRINCIPAL":"p","secret":"s"}}"#;
        let secret = Some(Json::Text("s".to_owned()));
        assert_eq!(value_of(text, "MesosCredentials.Secret"), secret);
        assert_eq!(
            value_of(r#"{"MesosCredentials":null}"#, "MesosCredentials.Secret"),
            None
        );
    }

    #[test]
    fn obsolete_keys_are_silent_and_unknown_ones_warn() {
        let text = br#"{"email":"x","NS":1,"SOASerial":1,"file":"f","Foo":{"a":1}}"#;
        let (_, warnings) = parse(Path::new("c.json"), text).expect("valid");
        let shown: Vec<String> = warnings.iter().map(Warning::to_string).collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].contains("\"Foo\""), "{shown:?}");
    }

    #[test]
    fn broken_json_is_refused_with_its_place() {
        for (text, place) in [
            ("", "line 1, column 0"),
            ("{", "line 1, column 1"),
            ("[]", "line 1, column 1"),
            ("{\n \"TTL\": 1,\n}", "line 3, column 1"),
            ("{} x", "line 1, column 4"),
        ] {
            let error = parse(Path::new("c.json"), text.as_bytes()).expect_err(text);
            assert!(error.to_string().contains(place), "{text:?}: {error}");
            assert!(error.to_string().starts_with("c.json: "), "{error}");
        }
    }
}
