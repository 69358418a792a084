//! RecordIO, cut anywhere and read in part, against a reader that has all octets at once.

use std::io::Read;

use rollcall::mesos::recordio::{RecordError, Records};

use super::octets::{Octets, Pieces};

const RECORD_BYTES_MAX: u64 = 100_000;

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let (sizes, parts) = (octets.piece(), octets.piece());
    let stream = octets.0;
    let mut records = Records::new(Pieces::new(stream, sizes), RECORD_BYTES_MAX);
    let mut naive = stream;
    for turn in 0.. {
        let told = records.next_record();
        let Some((length, behind)) = length(naive) else {
            let is_end = matches!(told, Ok(None));
            assert_eq!(
                is_end,
                naive.is_empty(),
                "{told:?} of {}",
                naive.escape_ascii()
            );
            return;
        };
        if length > RECORD_BYTES_MAX {
            assert!(matches!(told, Err(RecordError::TooLong { .. })), "{told:?}");
            return;
        }
        assert!(
            matches!(told, Ok(Some(bytes)) if bytes == length),
            "{told:?} for {length}"
        );
        let bytes = length as usize;
        let whole = behind.get(..bytes);
        // What is not read of a record is passed over.
        let wanted = parts
            .get(turn % parts.len().max(1))
            .map_or(usize::MAX, |it| (*it).into());
        let mut read = Vec::new();
        let result = records.by_ref().take(wanted as u64).read_to_end(&mut read);
        assert!(behind.starts_with(&read) && read.len() <= bytes);
        let Some(whole) = whole else {
            // It ends within the record, and says so at the latest when the rest is wanted.
            assert!(result.is_err() || records.next_record().is_err());
            return;
        };
        assert_eq!(read.len(), whole.len().min(wanted));
        assert!(result.is_ok());
        naive = &behind[bytes..];
    }
}

/// What a stream begins with, if that is a length: up to 19 digits and a line feed.
fn length(stream: &[u8]) -> Option<(u64, &[u8])> {
    let end = stream.iter().position(|octet| *octet == b'\n')?;
    let digits = &stream[..end];
    let is_number =
        !digits.is_empty() && digits.len() <= 19 && digits.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(digits).ok().filter(|_| is_number)?;
    Some((text.parse().ok()?, &stream[end + 1..]))
}
