//! Messages over a connection, cut anywhere, against a reader that has all octets at once.

use rollcall::dns::frames::{Frame, Frames};

use super::octets::{Octets, Pieces};

/// The largest message and its length.
const HELD_BYTES_MAX: usize = 2 + 65_535;

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let sizes = octets.piece();
    let stream = octets.0;
    let mut source = Pieces::new(stream, sizes);
    let mut frames = Frames::default();
    let mut found: Vec<Vec<u8>> = Vec::new();
    let is_bad = loop {
        match frames.frame() {
            Frame::Bad => break true,
            Frame::Message(bytes) => {
                found.push(frames.message(bytes).to_vec());
                frames.consume(bytes);
            }
            Frame::Incomplete => {
                let count = frames.fill(&mut source).expect("pieces do not fail");
                assert!(frames.capacity() <= HELD_BYTES_MAX);
                if count == 0 {
                    break false;
                }
            }
        }
    };
    let (whole, rest) = split(stream);
    assert_eq!(found, whole);
    let begins_bad = rest
        .first_chunk()
        .is_some_and(|length| u16::from_be_bytes(*length) < 12);
    assert_eq!(is_bad, begins_bad);
}

/// The messages of at least a header's length, and what is behind them.
fn split(mut stream: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let mut whole = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk() {
        let bytes = usize::from(u16::from_be_bytes(*length));
        match rest.split_at_checked(bytes).filter(|_| bytes >= 12) {
            Some((message, behind)) => {
                whole.push(message.to_vec());
                stream = behind;
            }
            None => break,
        }
    }
    (whole, stream)
}
