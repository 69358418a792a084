//! Why a master's answer is not there or not taken. In: what went wrong. Out: a sentence that names
//! the culprit and the cure. A secret must never stand in it.

use std::fmt;

use super::state::StateError;
use crate::watched::FileError;

#[derive(Debug)]
pub enum MasterError {
    File(FileError),
    NoRoots,
    Login {
        endpoint: String,
        why: String,
    },
    Request {
        url: String,
        why: String,
    },
    Tls {
        url: String,
        why: String,
        cure: &'static str,
    },
    Status {
        url: String,
        status: u16,
    },
    /// Its state is empty because it has not read its registry yet.
    NotRecovered {
        url: String,
    },
    Redirect {
        url: String,
        to: String,
    },
    Circle {
        way: String,
    },
    State {
        url: String,
        error: StateError,
    },
    NoMaster {
        errors: Vec<MasterError>,
    },
}

impl fmt::Display for MasterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::NoRoots => f.write_str(
                "TLS needs certificates to trust: set CACertFile, or install the system's bundle",
            ),
            Self::Login { endpoint, why } => write!(f, "no token from {endpoint}: {why}"),
            Self::Request { url, why } => write!(f, "cannot read {url}: {why}"),
            Self::Tls { url, why, cure } => {
                write!(f, "no trust between us and {url}: {why}; {cure}")
            }
            Self::Status { url, status } => {
                write!(f, "{url} answered with status {status}")?;
                match status {
                    400 if url.starts_with("https:") => f.write_str(
                        "; if it asks for a certificate of ours, check CertFile and KeyFile",
                    ),
                    401 | 403 => f.write_str(
                        "; check MesosAuthentication, and MesosCredentials or IAMConfigFile",
                    ),
                    503 => f.write_str("; the masters have no leader yet"),
                    _ => Ok(()),
                }
            }
            Self::NotRecovered { url } => write!(
                f,
                "{url} leads but has not recovered its registry, so that its state is empty; it does when a \
                 quorum of the masters is there"
            ),
            Self::Redirect { url, to } => write!(
                f,
                "{url} redirects to {to:?}, which is no master to follow; check MesosHTTPSOn"
            ),
            Self::Circle { way } => write!(
                f,
                "the masters send us in a circle: {way}; check what they advertise as their address"
            ),
            Self::State { url, error } => write!(f, "the state of {url} is not taken: {error}"),
            Self::NoMaster { errors } if errors.is_empty() => {
                f.write_str("there is no master to ask; set Masters")
            }
            Self::NoMaster { errors } => {
                f.write_str("no master gave its state")?;
                errors.iter().try_for_each(|error| write!(f, "; {error}"))
            }
        }
    }
}

impl std::error::Error for MasterError {}

impl From<FileError> for MasterError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}
