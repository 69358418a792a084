//! ZooKeeper's protocol, as much of it as a reader needs. In: what to ask; the octets of a frame. Out:
//! frames; what a frame says. Pure; no octets may make it panic or reserve more than they are long.
//!
//! A frame is a length and as many octets. Numbers are big-endian, text and octets stand behind their
//! length, lists behind their count (zookeeper.jute). The first frame each way is the session's; then
//! requests carry a number that their answer repeats, in the order of asking.

use std::fmt;

use super::fault::Fault;
use crate::limits::ZK_FRAME_BYTES_MAX;

/// What a client shows to get its session again.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// 0 for a session that is to be made.
    pub id: i64,
    pub password: Vec<u8>,
}

impl Default for SessionKey {
    fn default() -> Self {
        Self {
            id: 0,
            password: vec![0; PASSWORD_BYTES],
        }
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({:#x})", self.id)
    }
}

/// A session as the server gives it.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    pub key: SessionKey,
    pub timeout_ms: u32,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// The children of a path, with a watch on them.
    Children(&'a str),
    /// The data of a path, with a watch on them.
    Data(&'a str),
    /// Whether a path is there, with a watch on that.
    Exists(&'a str),
    /// Watches of an earlier connection; the server tells first what they missed.
    SetWatches {
        since_zxid: i64,
        data: &'a [String],
        exist: &'a [String],
        children: &'a [String],
    },
}

/// What a frame behind the first one says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    Event {
        kind: EventKind,
        path: &'a str,
    },
    /// The answer to a ping.
    Pong,
    /// Credentials were taken (no error) or not.
    Auth {
        error: i32,
    },
    Answer {
        number: i32,
        zxid: i64,
        error: i32,
        body: &'a [u8],
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Created,
    Deleted,
    DataChanged,
    ChildrenChanged,
    /// A kind that a reader's watches do not have.
    Other,
}

/// The first frame. `seen_zxid` keeps us from a member that is behind what we have read.
pub fn connect(key: &SessionKey, seen_zxid: i64, timeout_ms: i32) -> Vec<u8> {
    Frame::new()
        .int(PROTOCOL_VERSION)
        .long(seen_zxid)
        .int(timeout_ms)
        .long(key.id)
        .octets(&key.password)
        .flag(false)
        .finish()
}

/// The answer to it; `None` where the session is no more.
pub fn read_granted(frame: &[u8]) -> Result<Option<Granted>, Fault> {
    let mut rest = Reader(frame);
    let version = rest.int()?;
    if version != PROTOCOL_VERSION {
        return Err(Fault::Nonsense("a session of another protocol"));
    }
    let (timeout_ms, id) = (rest.int()?, rest.long()?);
    let password = rest.octets()?.to_vec();
    // Old servers say nothing behind it, others whether they only read; which we did not allow.
    match u32::try_from(timeout_ms) {
        _ if id == 0 => Ok(None),
        Ok(timeout_ms) if timeout_ms > 0 => Ok(Some(Granted {
            key: SessionKey { id, password },
            timeout_ms,
        })),
        _ => Ok(None),
    }
}

/// `user:password` in scheme `digest`. The server takes any, and lets ACLs decide.
pub fn authenticate(user: &str, password: &str) -> Vec<u8> {
    Frame::request(AUTH_NUMBER, AUTH)
        .int(0)
        .text("digest")
        .octets(format!("{user}:{password}").as_bytes())
        .finish()
}

pub fn ping() -> Vec<u8> {
    Frame::request(PING_NUMBER, PING).finish()
}

/// Ends the session; the server hangs up.
pub fn close_session() -> Vec<u8> {
    Frame::request(CLOSE_NUMBER, CLOSE_SESSION).finish()
}

pub fn request(number: i32, request: Request<'_>) -> Vec<u8> {
    match request {
        Request::Children(path) => watched(number, GET_CHILDREN, path),
        Request::Data(path) => watched(number, GET_DATA, path),
        Request::Exists(path) => watched(number, EXISTS, path),
        Request::SetWatches {
            since_zxid,
            data,
            exist,
            children,
        } => Frame::request(number, SET_WATCHES)
            .long(since_zxid)
            .texts(data)
            .texts(exist)
            .texts(children)
            .finish(),
    }
}

fn watched(number: i32, kind: i32, path: &str) -> Vec<u8> {
    Frame::request(number, kind).text(path).flag(true).finish()
}

pub fn read_said(frame: &[u8]) -> Result<Said<'_>, Fault> {
    let mut rest = Reader(frame);
    let (number, zxid, error) = (rest.int()?, rest.long()?, rest.int()?);
    match number {
        PING_NUMBER => Ok(Said::Pong),
        AUTH_NUMBER => Ok(Said::Auth { error }),
        EVENT_NUMBER => {
            let kind = match rest.int()? {
                1 => EventKind::Created,
                2 => EventKind::Deleted,
                3 => EventKind::DataChanged,
                4 => EventKind::ChildrenChanged,
                _ => EventKind::Other,
            };
            // The state of the connection, which we see ourselves.
            rest.int()?;
            let path = rest.text()?;
            Ok(Said::Event { kind, path })
        }
        number => Ok(Said::Answer {
            number,
            zxid,
            error,
            body: rest.0,
        }),
    }
}

/// The answer to `Children`.
pub fn read_children(body: &[u8]) -> Result<Vec<String>, Fault> {
    let mut rest = Reader(body);
    let count = rest.int()?;
    let mut names = Vec::new();
    // -1 is a list that is not there.
    for _ in 0..count {
        names.push(rest.text()?.to_owned());
    }
    Ok(names)
}

/// The answer to `Data`: the octets, and the number of the change that they had last.
pub fn read_data(body: &[u8]) -> Result<(&[u8], i64), Fault> {
    let mut rest = Reader(body);
    let data = rest.octets()?;
    let (_created, changed) = (rest.long()?, rest.long()?);
    Ok((data, changed))
}

/// Cuts a frame off what came, without its length; `None` while it is not whole.
pub fn take_frame(input: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Fault> {
    let Some(length) = input.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    let end = match usize::try_from(length) {
        Ok(bytes) if bytes <= ZK_FRAME_BYTES_MAX => LENGTH_BYTES + bytes,
        _ => return Err(Fault::TooLong(length)),
    };
    if input.len() < end {
        return Ok(None);
    }
    let rest = input.split_off(end);
    let mut frame = std::mem::replace(input, rest);
    frame.drain(..LENGTH_BYTES);
    Ok(Some(frame))
}

/// A frame under construction.
struct Frame(Vec<u8>);

impl Frame {
    fn new() -> Self {
        // Its length is known last.
        Self(vec![0; LENGTH_BYTES])
    }

    fn request(number: i32, kind: i32) -> Self {
        Self::new().int(number).int(kind)
    }

    fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn long(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn flag(mut self, value: bool) -> Self {
        self.0.push(u8::from(value));
        self
    }

    fn octets(mut self, value: &[u8]) -> Self {
        self = self.int(length_of(value.len()));
        self.0.extend(value);
        self
    }

    fn text(self, value: &str) -> Self {
        self.octets(value.as_bytes())
    }

    fn texts(self, values: &[String]) -> Self {
        let list = self.int(length_of(values.len()));
        values.iter().fold(list, |list, value| list.text(value))
    }

    fn finish(mut self) -> Vec<u8> {
        let length = length_of(self.0.len() - LENGTH_BYTES).to_be_bytes();
        self.0[..LENGTH_BYTES].copy_from_slice(&length);
        self.0
    }
}

/// Of paths and credentials of the configuration, and of names that came in a bounded frame.
fn length_of(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// What is left of a frame.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn int(&mut self) -> Result<i32, Fault> {
        self.fixed().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, Fault> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// A negative length stands for octets that are not there.
    fn octets(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.int()?).unwrap_or(0);
        let (octets, rest) = self.0.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(octets)
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.octets()?).map_err(|_| Fault::Nonsense("a name that is no text"))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (octets, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(*octets)
    }
}

const CUT_SHORT: Fault = Fault::Nonsense("a frame cut short");
/// Octets of a frame's length.
const LENGTH_BYTES: usize = 4;
const PASSWORD_BYTES: usize = 16;
const PROTOCOL_VERSION: i32 = 0;

// Numbers of requests that have a meaning of their own; ours count from 1.
const EVENT_NUMBER: i32 = -1;
const PING_NUMBER: i32 = -2;
const AUTH_NUMBER: i32 = -4;
const CLOSE_NUMBER: i32 = 0;

// Kinds of requests (ZooDefs.OpCode).
const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
const GET_CHILDREN: i32 = 8;
const PING: i32 = 11;
const AUTH: i32 = 100;
const SET_WATCHES: i32 = 101;
const CLOSE_SESSION: i32 = -11;

// Errors of answers (KeeperException.Code).
pub const OK: i32 = 0;
pub const NO_NODE: i32 = -101;
pub const NO_AUTH: i32 = -102;
pub const SESSION_EXPIRED: i32 = -112;
pub const AUTH_FAILED: i32 = -115;
pub const SESSION_MOVED: i32 = -118;
pub const AUTH_REQUIRED: i32 = -124;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_written_as_the_protocol_has_them() {
        let frame = request(7, Request::Children("/m"));
        let wanted = [
            &[0, 0, 0, 15][..],
            &[0, 0, 0, 7, 0, 0, 0, 8],
            &[0, 0, 0, 2, b'/', b'm', 1],
        ];
        assert_eq!(frame, wanted.concat());
        assert_eq!(ping(), [0, 0, 0, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11]);
        let frame = connect(&SessionKey::default(), 0x0102, 3);
        assert_eq!(frame.len(), 4 + 45);
        assert_eq!(frame[..4], [0, 0, 0, 45]);
        assert_eq!(frame[8..20], [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]);
    }

    #[test]
    fn session_that_is_no_more_is_none() {
        let frame = |id: i64, timeout_ms: i32| {
            let frame = Frame::new().int(0).int(timeout_ms).long(id);
            frame.octets(&[1; 16]).flag(false).finish()
        };
        let read = |frame: &[u8]| read_granted(&frame[LENGTH_BYTES..]);
        let granted = read(&frame(9, 2_000)).unwrap().unwrap();
        assert_eq!((granted.key.id, granted.timeout_ms), (9, 2_000));
        for gone in [frame(0, 2_000), frame(0, 0), frame(9, 0), frame(9, -1)] {
            assert_eq!(read(&gone), Ok(None));
        }
        assert!(read(b"\0\0\0\0HTTP/1.1 400").is_err());
    }

    #[test]
    fn answers_and_events_are_told_apart() {
        let head = |number: i32, error: i32| Frame::new().int(number).long(5).int(error);
        let read = |frame: Vec<u8>| format!("{:?}", read_said(&frame[LENGTH_BYTES..]));
        assert_eq!(read(head(-2, 0).finish()), "Ok(Pong)");
        assert_eq!(read(head(-4, -115).finish()), "Ok(Auth { error: -115 })");
        let event = head(-1, 0).int(4).int(3).text("/m").finish();
        let wanted = r#"Ok(Event { kind: ChildrenChanged, path: "/m" })"#;
        assert_eq!(read(event), wanted);
        let answer = head(3, -101).int(1).finish();
        let wanted = "Ok(Answer { number: 3, zxid: 5, error: -101, body: [0, 0, 0, 1] })";
        assert_eq!(read(answer), wanted);
    }

    #[test]
    fn list_that_claims_more_than_it_holds_is_refused_and_reserves_nothing() {
        assert!(read_children(&i32::MAX.to_be_bytes()).is_err());
        assert_eq!(read_children(&(-1_i32).to_be_bytes()), Ok(Vec::new()));
        assert!(read_data(&i32::MAX.to_be_bytes()).is_err());
        assert!(read_data(&[0; 19]).is_err());
        assert_eq!(read_data(&[0; 20]), Ok((&[][..], 0)));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_granted(&octets);
            let _ = read_said(&octets);
            let _ = read_children(&octets);
            let _ = read_data(&octets);
        }
    }
}
