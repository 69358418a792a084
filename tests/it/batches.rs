//! Queries that are answered in batches: each gets the answer that it gets alone, whatever stands
//! beside it.

use rollcall::dns::rtype;
use rollcall::limits::UDP_BATCH_DATAGRAMS;
use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::responses::Snapshot;
use rollcall::serve::respond::Responder;
use rollcall::serve::{Client, Outcome, Respond, Transport};

use crate::worlds::{settings, snapshot, task, world_of};

const CLIENT: Client = Client {
    transport: Transport::Udp,
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
};

/// Applications with one task each, so that no answer depends on chance.
fn applications(count: u16) -> Snapshot {
    let tasks = (0..count).map(|n| Task {
        addresses: [(
            AddressSource::NetInfo,
            [10, 1, (n >> 8) as u8, n as u8].into(),
        )]
        .into(),
        port_ranges: [(31000, 31000)].into(),
        ..task(&format!("app-{n}.1"), &format!("app-{n}"))
    });
    snapshot(&world_of(tasks.collect()), 1)
}

/// A query, often a damaged one.
fn message(random: &mut fastrand::Rng) -> Vec<u8> {
    let number = random.u16(..600);
    let name = match random.u8(..8) {
        0 => "mesos".to_owned(),
        1 => format!("_app-{number}._tcp.marathon.mesos"),
        2 => format!("no-{number}.mesos"),
        3 => "www.example.com".to_owned(),
        4 => format!("APP-{number}.*.Marathon.Mesos"),
        _ => format!("app-{number}.marathon.mesos"),
    };
    let types = [rtype::A, rtype::A, rtype::SRV, rtype::AAAA, rtype::SOA, 255];
    let mut message = vec![random.u8(..), random.u8(..), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(rollcall::dns::name::wire_from_text(&name).expect("a name"));
    message.extend(types[random.usize(..types.len())].to_be_bytes());
    message.extend([0, 1 + 2 * u8::from(random.u8(..16) == 0)]);
    match random.u8(..8) {
        0 => message.truncate(random.usize(..=message.len())),
        1 => {
            let at = random.usize(..message.len());
            message[at] = random.u8(..);
        }
        _ => {}
    }
    message
}

fn answer(outcome: Outcome, response: &[u8]) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Answer(bytes) => Some(response[..bytes].to_vec()),
        _ => None,
    }
}

#[test]
fn each_query_of_a_batch_is_answered_as_it_is_alone() {
    let snapshot = applications(500);
    let (mut batched, mut alone) = (
        Responder::new(&settings(), 1),
        Responder::new(&settings(), 1),
    );
    let mut random = fastrand::Rng::with_seed(4);
    let mut response = [0; 1232];
    let mut answered = 0;
    for round in 0..2_000 {
        let snapshot = (round % 50 != 0).then_some(&snapshot);
        let count = random.usize(1..=UDP_BATCH_DATAGRAMS);
        let messages: Vec<_> = (0..count).map(|_| message(&mut random)).collect();
        for (place, message) in messages.iter().enumerate() {
            batched.read(snapshot, place, message);
        }
        // Fetching is a hint: without it the answers are the same.
        if round % 2 == 0 {
            (0..count).for_each(|place| batched.fetch_slot(snapshot, place));
            (0..count).for_each(|place| batched.fetch_entry(snapshot, place));
        }
        for (place, message) in messages.iter().enumerate() {
            let outcome = batched.respond_read(snapshot, place, message, CLIENT, &mut response);
            let in_batch = answer(outcome, &response);
            let outcome = alone.respond(snapshot, message, CLIENT, &mut response);
            assert_eq!(in_batch, answer(outcome, &response), "{message:02x?}");
            answered += usize::from(in_batch.is_some());
        }
    }
    assert!(answered > 50_000, "{answered}");
}
