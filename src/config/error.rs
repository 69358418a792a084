//! Why a configuration is refused, and what is odd about one that is taken. Every message names
//! the place, the key, the value and what would be right; it must never show a secret.

use std::fmt;
use std::path::PathBuf;

use super::keys::{KEYS, Kind};
use super::zk;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File,
    /// The name of the variable.
    Environment(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("file"),
            Self::Environment(variable) => write!(f, "environment, {variable}"),
        }
    }
}

/// Why the program does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    Unreadable { file: PathBuf, reason: String },
    /// The configuration file is no JSON.
    Syntax {
        file: PathBuf,
        line: usize,
        column: usize,
        reason: String,
    },
    /// One value is wrong.
    Value(Box<ValueError>),
}

/// A value that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    pub origin: Origin,
    /// The configuration file, where there is one.
    pub file: Option<PathBuf>,
    pub key: &'static str,
    /// The value as it was written.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub cure: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => write!(
                f,
                "cannot read the configuration {}: {reason}; name one with -config=FILE or set \
                 ROLLCALL_MASTERS=host:port",
                file.display()
            ),
            Self::Syntax {
                file,
                line,
                column,
                reason,
            } => write!(
                f,
                "{}: line {line}, column {column}: {reason}; right would be one JSON object, as in \
                 {{\"masters\": [\"10.0.0.1:5050\"]}}",
                file.display()
            ),
            Self::Value(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.file) {
            (Origin::Environment(variable), _) => write!(f, "environment: {variable}: ")?,
            (_, Some(file)) => write!(f, "{}: ", file.display())?,
            (_, None) => write!(f, "configuration: ")?,
        }
        let key = KEYS.iter().find(|key| key.name == self.key);
        let value = match key {
            Some(key) if key.kind == Kind::Secret => "******".to_owned(),
            Some(key) if key.name == "Zk" => zk::masked(&self.value),
            _ => self.value.clone(),
        };
        write!(f, "{}: {value}: {}; {}", self.key, self.problem, self.cure)
    }
}

impl std::error::Error for ConfigError {}

/// What is odd about a configuration that is taken all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    UnknownKey {
        file: PathBuf,
        key: String,
        nearest: &'static str,
    },
    UnknownVariable {
        variable: String,
        nearest: &'static str,
    },
    /// Credentials for a way of authentication that is not chosen.
    CredentialsNotUsed { key: &'static str },
    /// Resolvers of a zone whose names are answered here.
    ZoneNeverAsked { zone: String },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { file, key, nearest } => write!(
                f,
                "{}: unknown key {key:?} is ignored; the nearest known key is {nearest}",
                file.display()
            ),
            Self::UnknownVariable { variable, nearest } => write!(
                f,
                "environment: unknown variable {variable} is ignored; the nearest known one is {nearest}"
            ),
            Self::CredentialsNotUsed { key } => {
                write!(f, "{key} is not used, because MesosAuthentication is empty")
            }
            Self::ZoneNeverAsked { zone } => write!(
                f,
                "ZoneResolvers: the resolvers of {zone} are never asked, because such names are answered \
                 here (RFC 6761, RFC 7686)"
            ),
        }
    }
}
