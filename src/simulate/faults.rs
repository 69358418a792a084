//! Faults on request: what a simulated master does wrong with its streams and with `/state`. In: the
//! name of a fault. Out: what to do, and the octets that must not be sent. PURE.

use std::time::Duration;

use super::events::{HEARTBEAT, push_chunk, push_record};
use crate::limits::SIMULATE_PAUSE_MS_MAX;

/// What goes wrong with event streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// Nothing does any more; a stream that fell silent stays so.
    Normal,
    /// The connection ends between two records, without a last chunk.
    Disconnect,
    /// An open connection ends within a record, a new one without a word.
    HangUp,
    /// No octet more, heartbeats neither.
    Silence,
    /// Octets that are no HTTP chunk.
    Garbage,
    /// A record that is not JSON.
    BadJson,
    /// A length that is too short, so that the next one is read within a record.
    BadLength,
    /// A length beyond every limit.
    TooLong,
    /// So many octets in one write.
    Split(usize),
    /// Everything is sent so much later.
    Delay(Duration),
    /// SUBSCRIBE is answered with this status.
    Refuse(u16),
}

/// Which streams a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that are open now.
    Open,
    /// Each that is opened until the next `Normal`.
    New,
    All,
}

/// What goes wrong with `/state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateFault {
    #[default]
    Normal,
    /// 200, and neither agents nor frameworks.
    Empty,
    /// 200 with what is no JSON.
    Garbage,
    /// Half of the document, though all of it is announced.
    Cut,
    /// This status.
    Status(u16),
    /// The document, but only after this.
    Slow(Duration),
    /// The connection ends without a word.
    HangUp,
}

impl StreamFault {
    /// `number` is what the fault is asked with: octets, milliseconds or a status.
    pub fn named(name: &str, number: Option<u64>) -> Result<Self, &'static str> {
        Ok(match name {
            "normal" => Self::Normal,
            "disconnect" => Self::Disconnect,
            "hang-up" => Self::HangUp,
            "silence" => Self::Silence,
            "garbage" => Self::Garbage,
            "bad-json" => Self::BadJson,
            "bad-length" => Self::BadLength,
            "too-long" => Self::TooLong,
            "split" => {
                let octets = number.filter(|&octets| octets > 0);
                Self::Split(octets.ok_or("split needs bytes=N, 1 or more")? as usize)
            }
            "delay" => Self::Delay(pause(number.ok_or("delay needs ms=N")?)?),
            "refuse" => Self::Refuse(status(number.unwrap_or(500))?),
            _ => return Err(NO_STREAM_FAULT),
        })
    }

    /// Whom it is for where nobody says.
    pub fn scope(self) -> Scope {
        match self {
            Self::Normal | Self::Split(_) | Self::Delay(_) => Scope::All,
            Self::Refuse(_) => Scope::New,
            _ => Scope::Open,
        }
    }

    /// What is sent in place of a record.
    pub fn octets(self) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        match self {
            Self::Garbage => octets.extend_from_slice(GARBAGE.as_bytes()),
            Self::BadJson => push_record(&mut octets, r#"{"type":"TASK_ADDED","task_added":{"#),
            Self::BadLength => push_chunk(&mut octets, format!("7\n{HEARTBEAT}").as_bytes()),
            Self::TooLong => push_chunk(&mut octets, b"9999999999999999\n{\"type\":"),
            Self::HangUp => octets.extend_from_slice(b"17\r\n20\n{\"type\":\"HEA"),
            _ => return None,
        }
        Some(octets)
    }
}

impl StateFault {
    pub fn named(name: &str, number: Option<u64>) -> Result<Self, &'static str> {
        Ok(match name {
            "normal" => Self::Normal,
            "empty" => Self::Empty,
            "garbage" => Self::Garbage,
            "cut" => Self::Cut,
            "status" => Self::Status(status(number.ok_or("status needs status=N")?)?),
            "slow" => Self::Slow(pause(number.ok_or("slow needs ms=N")?)?),
            "hang-up" => Self::HangUp,
            _ => return Err(NO_STATE_FAULT),
        })
    }
}

impl Scope {
    pub fn named(name: &str) -> Result<Self, &'static str> {
        match name {
            "open" => Ok(Self::Open),
            "new" => Ok(Self::New),
            "all" => Ok(Self::All),
            _ => Err("for= is open, new or all"),
        }
    }
}

fn pause(milliseconds: u64) -> Result<Duration, &'static str> {
    match milliseconds <= SIMULATE_PAUSE_MS_MAX {
        true => Ok(Duration::from_millis(milliseconds)),
        false => Err("ms= is at most 600000"),
    }
}

fn status(number: u64) -> Result<u16, &'static str> {
    let status = u16::try_from(number).ok();
    status
        .filter(|status| (200..600).contains(status))
        .ok_or("status= is a number from 200 to 599")
}

/// Neither an HTTP chunk nor JSON.
pub const GARBAGE: &str = "\u{0}\u{1}<html>what is this?</html>\r\n{]}\u{7f}\r\n";
const NO_STREAM_FAULT: &str = "do= is normal, disconnect, hang-up, silence, garbage, bad-json, bad-length, too-long, split, delay or refuse";
const NO_STATE_FAULT: &str = "do= is normal, empty, garbage, cut, status, slow or hang-up";
