//! What a member of an ensemble may send: frames, lists, nodes. Nothing of it makes us fall, and what we
//! take for a master can be asked for.

use rollcall::mesos::zookeeper::protocol::{read_children, read_data, read_granted, read_said};
use rollcall::mesos::zookeeper::registered::{read_master, sorted};

use super::octets::Octets;

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    match octets.u8() % 5 {
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
        _ => {
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
    }
}
