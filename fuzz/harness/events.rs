//! The master's event stream: frames and records, cut anywhere, against the same stream as a whole; what
//! was understood is applied to a cluster, whose records can be made at the end.

use rollcall::mesos::events::{EventReader, Told};
use rollcall::mesos::live::Live;
use rollcall::mesos::recordio::Records;

use super::octets::{Octets, Pieces};
use super::state::judge_records;
use super::world::small;

const RECORD_BYTES_MAX: u64 = 1_000_000;

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let sizes = octets.piece();
    let stream = octets.0;
    let whole = told(stream, &[]);
    let cut = told(stream, sizes);
    let shown = |told: &[Result<Told, String>]| format!("{told:#?}");
    assert_eq!(shown(&whole), shown(&cut));
    let mut live = Live::new(small().cluster.clone());
    for told in whole {
        match told {
            Ok(Told::Subscribed(subscribed)) => live = Live::new(subscribed.cluster),
            Ok(Told::Event(event)) => drop(live.apply(event)),
            _ => {}
        }
    }
    judge_records(live.cluster().clone());
}

/// What a stream says, to its end or to the first fault.
fn told(stream: &[u8], sizes: &[u8]) -> Vec<Result<Told, String>> {
    let mut records = Records::new(Pieces::new(stream, sizes), RECORD_BYTES_MAX);
    let mut reader = EventReader::default();
    let mut told = Vec::new();
    loop {
        match records.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => return told,
            Err(error) => {
                // Its text shows what had arrived by then.
                let kind = std::mem::discriminant(&error);
                told.push(Err(format!("{kind:?}")));
                return told;
            }
        }
        let read = reader.read(&mut records).map_err(|error| error.to_string());
        let is_over = read.is_err();
        told.push(read);
        if is_over {
            return told;
        }
    }
}
