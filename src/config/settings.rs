//! One value for each key, from the environment, the file or the default, read as the key's type.
//! In: what `file` and the variables set. Out: typed values, or the error that names the place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{ConfigError, Origin, ValueError};
use super::file::{Json, Values};
use super::keys::{self, KEYS, Kind};

/// The name of a variable that is set, and its text.
pub type Variable = (&'static str, String);

/// The values in force, with where each came from.
pub struct Settings {
    pub file: Option<PathBuf>,
    values: Vec<(Json, Origin)>,
}

impl Settings {
    /// The environment wins over the file, the file over the default.
    pub fn new(
        file: Option<PathBuf>,
        from_file: Values,
        mut from_environment: Vec<Option<Variable>>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self {
            file,
            values: Vec::with_capacity(KEYS.len()),
        };
        for (index, (key, in_file)) in KEYS.iter().zip(from_file).enumerate() {
            let variable = from_environment.get_mut(index).and_then(Option::take);
            let value = match (variable, in_file) {
                (Some((name, text)), _) => {
                    let origin = Origin::Environment(name);
                    let value = from_text(key.kind, &text).map_err(|cure| {
                        settings.error(key.name, &origin, text, "not this type", cure)
                    })?;
                    (value, origin)
                }
                (None, Some(value)) => (value, Origin::File),
                (None, None) => {
                    let value = from_text(key.kind, key.default).unwrap_or(Json::Null);
                    (value, Origin::Default)
                }
            };
            settings.values.push(value);
        }
        Ok(settings)
    }

    /// Sets the text of a key that nobody else has set; `variable` says so.
    pub fn set_default(&mut self, name: &str, text: String, variable: &'static str) {
        let place = &mut self.values[index_of(name)];
        if place.1 == Origin::Default {
            *place = (Json::Text(text), Origin::Environment(variable));
        }
    }

    pub fn origins(&self) -> Vec<(&'static str, Origin)> {
        let origins = self.values.iter().map(|(_, origin)| origin.clone());
        KEYS.iter().map(|key| key.name).zip(origins).collect()
    }

    pub fn is_default(&self, name: &str) -> bool {
        self.value(name).1 == Origin::Default
    }

    /// An integer within the key's own range.
    pub fn integer<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, ConfigError> {
        let (value, _) = self.value(name);
        let Json::Number(number) = value else {
            return Err(self.wrong_type(name));
        };
        let Kind::Integer { min, max } = KEYS[index_of(name)].kind else {
            return Err(self.wrong_type(name));
        };
        number
            .as_i64()
            .filter(|value| (min..=max).contains(value))
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| match number.is_f64() {
                true => self.wrong_type(name),
                false => self.wrong(name, "out of range", wanted(name)),
            })
    }

    pub fn boolean(&self, name: &'static str) -> Result<bool, ConfigError> {
        match self.value(name).0 {
            Json::Boolean(value) => Ok(value),
            _ => Err(self.wrong_type(name)),
        }
    }

    pub fn text(&self, name: &'static str) -> Result<&str, ConfigError> {
        match &self.value(name).0 {
            Json::Text(value) => Ok(value),
            _ => Err(self.wrong_type(name)),
        }
    }

    pub fn list(&self, name: &'static str) -> Result<Vec<String>, ConfigError> {
        texts(&self.value(name).0).ok_or_else(|| self.wrong_type(name))
    }

    /// The one text, or those of the list.
    pub fn texts(&self, name: &'static str) -> Result<Vec<String>, ConfigError> {
        match &self.value(name).0 {
            Json::Text(text) => Ok(vec![text.clone()]),
            list => texts(list).ok_or_else(|| self.wrong_type(name)),
        }
    }

    /// Zones as written, with their resolvers; of equal zones the later wins.
    pub fn zones(&self, name: &'static str) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
        let Json::Object(members) = &self.value(name).0 else {
            return Err(self.wrong_type(name));
        };
        let pairs = members
            .iter()
            .map(|(zone, list)| Some((zone.clone(), texts(list)?)));
        pairs
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong_type(name))
    }

    /// The error of a key's whole value.
    pub fn wrong(
        &self,
        name: &'static str,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> ConfigError {
        let (value, _) = self.value(name);
        self.wrong_part(name, value.to_string(), problem, cure)
    }

    /// The error of a part of a key's value, such as one member of a list.
    pub fn wrong_part(
        &self,
        name: &'static str,
        part: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> ConfigError {
        let (_, origin) = self.value(name);
        self.error(name, origin, part, problem, cure)
    }

    fn error(
        &self,
        key: &'static str,
        origin: &Origin,
        value: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> ConfigError {
        ConfigError::Value(Box::new(ValueError {
            origin: origin.clone(),
            file: self.file.clone(),
            key,
            value: value.into(),
            problem: problem.into(),
            cure: cure.into(),
        }))
    }

    fn wrong_type(&self, name: &'static str) -> ConfigError {
        let (value, _) = self.value(name);
        self.wrong(name, format!("this is {}", value.described()), wanted(name))
    }

    fn value(&self, name: &str) -> &(Json, Origin) {
        &self.values[index_of(name)]
    }
}

/// Names come from this crate's own code, so a name that is not in the table is our mistake.
fn index_of(name: &str) -> usize {
    keys::position(name).unwrap_or_else(|| panic!("{name} is not in the table of keys"))
}

fn wanted(name: &str) -> String {
    format!("right would be {}", KEYS[index_of(name)].kind.wanted())
}

fn texts(value: &Json) -> Option<Vec<String>> {
    let Json::List(items) = value else {
        return None;
    };
    let texts = items.iter().map(|item| match item {
        Json::Text(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

/// A variable's text as the value of a key; the error says what would be right.
fn from_text(kind: Kind, text: &str) -> Result<Json, String> {
    let wrong = || format!("right would be {}", kind.wanted());
    Ok(match kind {
        Kind::Integer { .. } => {
            let number: i64 = text.trim().parse().map_err(|_| wrong())?;
            Json::Number(number.into())
        }
        Kind::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Json::Boolean(true),
            "false" | "0" => Json::Boolean(false),
            _ => return Err(wrong()),
        },
        Kind::Text | Kind::Secret => Json::Text(text.to_owned()),
        Kind::List => list_from_text(text),
        // Without a comma it is read, and shown in errors, as it stands there.
        Kind::Texts if text.contains(',') || text.trim() == "[]" => list_from_text(text),
        Kind::Texts => Json::Text(text.to_owned()),
        Kind::Zones => {
            let zones = text
                .split(';')
                .map(str::trim)
                .filter(|zone| !zone.is_empty());
            let zones = zones.map(|zone| {
                let (zone, list) = zone.split_once('=')?;
                Some((zone.trim().to_owned(), list_from_text(list)))
            });
            let zones = zones.collect::<Option<Vec<_>>>();
            Json::Object(zones.ok_or("right would be zone=IP,IP;zone2=IP")?)
        }
    })
}

/// Comma-separated; `[]` is the empty list, since an empty variable counts as not set.
fn list_from_text(text: &str) -> Json {
    let items = text.split(',').map(str::trim);
    let items = items.filter(|item| !item.is_empty() && *item != "[]");
    Json::List(items.map(|item| Json::Text(item.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_reads_as_its_own_type() {
        for key in KEYS {
            from_text(key.kind, key.default).expect(key.name);
        }
    }

    #[test]
    fn variables_read_as_their_keys_type() {
        let text = |value: &str| Json::Text(value.to_owned());
        let list = Json::List(vec![text("a:1"), text("b:2")]);
        assert_eq!(from_text(Kind::List, "a:1, b:2"), Ok(list));
        assert_eq!(from_text(Kind::List, "[]"), Ok(Json::List(Vec::new())));
        let list = Json::List(vec![text("::1"), text("127.0.0.1")]);
        assert_eq!(from_text(Kind::Texts, "::1, 127.0.0.1"), Ok(list));
        assert_eq!(from_text(Kind::Texts, "::1"), Ok(text("::1")));
        assert_eq!(from_text(Kind::Boolean, "TRUE"), Ok(Json::Boolean(true)));
        assert!(from_text(Kind::Boolean, "yes").is_err());
        let zones = Json::Object(vec![
            (
                "corp".to_owned(),
                Json::List(vec![text("10.0.0.1"), text("10.0.0.2")]),
            ),
            ("lab".to_owned(), Json::List(vec![text("10.0.0.3")])),
        ]);
        assert_eq!(
            from_text(Kind::Zones, "corp=10.0.0.1,10.0.0.2;lab=10.0.0.3"),
            Ok(zones)
        );
        assert!(from_text(Kind::Zones, "corp").is_err());
    }
}
