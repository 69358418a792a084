//! Why a connection with ZooKeeper is of no use. In: what went wrong. Out: half a sentence, with the
//! member as its subject. A password must never stand in it.

use std::fmt;
use std::io;

use super::protocol;

#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    Connect(String),
    /// The connection took too long to come about.
    NoConnection,
    HungUp,
    /// Neither answers nor pings came in the time of the session.
    Silent,
    /// A frame of so many octets.
    TooLong(u32),
    Nonsense(&'static str),
    /// The session is no more; another one can be had.
    Expired,
    /// Our credentials are not accepted, or there should be some.
    Refused,
    /// An ACL does not let us read.
    Denied,
    Error(i32),
}

impl Fault {
    /// What an answer with an error means for whoever asked.
    pub fn of_code(code: i32) -> Self {
        match code {
            protocol::NO_AUTH => Self::Denied,
            protocol::SESSION_EXPIRED | protocol::SESSION_MOVED => Self::Expired,
            protocol::AUTH_FAILED | protocol::AUTH_REQUIRED => Self::Refused,
            code => Self::Error(code),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "cannot be connected to ({why})"),
            Self::NoConnection => f.write_str("does not answer"),
            Self::HungUp => f.write_str("hangs up"),
            Self::Silent => f.write_str("has fallen silent"),
            Self::TooLong(length) => {
                write!(f, "sends a frame of {length} octets, which is too long")
            }
            Self::Nonsense(what) => write!(f, "is no ZooKeeper: it sends {what}"),
            Self::Expired => f.write_str("knows our session no more"),
            Self::Refused => f.write_str("refuses our credentials"),
            Self::Denied => f.write_str("does not let us read"),
            Self::Error(code) => write!(f, "answers with error {code}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::HungUp,
            _ => Self::Connect(error.to_string()),
        }
    }
}
