//! What a member of an ensemble may send: frames, lists, nodes. Nothing of it makes us fall, and what we
//! take for a master can be asked for.

use std::io::Read;

use rollcall::mesos::zookeeper::fault::Fault;
use rollcall::mesos::zookeeper::protocol::{
    read_children, read_data, read_granted, read_said, take_frame,
};
use rollcall::mesos::zookeeper::registered::{read_master, sorted};

use super::octets::{Octets, Pieces};

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    match octets.u8() % 6 {
        0 => drop(read_said(octets.0)),
        1 => {
            if let Ok(Some(granted)) = read_granted(octets.0) {
                assert!(granted.timeout_ms > 0 && granted.key.id != 0);
            }
        }
        2 => {
            if let Ok((data, _)) = read_data(octets.0) {
                assert!(data.len() <= octets.0.len());
            }
        }
        3 => {
            let Ok(children) = read_children(octets.0) else {
                return;
            };
            let names = sorted(children.clone());
            assert!(names.json.len() <= 64);
            assert!(names.json.is_sorted());
            assert!(
                names
                    .json
                    .iter()
                    .all(|(_, name)| children.iter().any(|it| **it == **name))
            );
            let count = names.json.len() + names.left_out_count + names.binary_count;
            assert!(count <= children.len());
        }
        4 => {
            let Ok(master) = read_master(octets.0) else {
                return;
            };
            let host = &master.endpoint.host;
            assert!(master.endpoint.port.is_some() && !host.is_empty());
            assert!(host.len() <= 255 && host.is_ascii(), "{host:?}");
            assert!(
                !host.contains(['/', '@', '?', '#', ' ', '%', '\\']),
                "{host:?}"
            );
        }
        _ => frames(octets.piece(), octets.0),
    }
}

/// A connection's octets, cut anywhere, against a reader that has all of them at once.
fn frames(sizes: &[u8], stream: &[u8]) {
    let mut source = Pieces::new(stream, sizes);
    let (mut input, mut naive, mut piece) = (Vec::new(), stream, [0; 256]);
    loop {
        match take_frame(&mut input) {
            Ok(Some(frame)) => {
                let whole = length(naive).and_then(|(length, rest)| rest.get(..length as usize));
                assert_eq!(whole, Some(&frame[..]));
                naive = &naive[4 + frame.len()..];
                drop(read_said(&frame));
            }
            // Only what is still missing is waited for.
            Ok(None) => match source.read(&mut piece) {
                Ok(0) | Err(_) => {
                    let whole =
                        length(naive).and_then(|(length, rest)| rest.get(..length as usize));
                    assert!(whole.is_none() && input == naive);
                    return;
                }
                Ok(count) => input.extend_from_slice(&piece[..count]),
            },
            Err(fault) => {
                let told = length(naive).map(|(length, _)| Fault::TooLong(length));
                assert_eq!(told, Some(fault));
                assert!(length(naive).is_some_and(|(length, _)| length > 4 << 20));
                return;
            }
        }
    }
}

fn length(stream: &[u8]) -> Option<(u32, &[u8])> {
    let (length, rest) = stream.split_first_chunk()?;
    Some((u32::from_be_bytes(*length), rest))
}
