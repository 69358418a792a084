//! Our reader of queries against a naive one, and against hickory where that agrees to read them.

use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use rollcall::dns::Rcode;
use rollcall::dns::message::{LowerName, Parsed, Query, parse};
use rollcall::dns::subnet::Subnet;

use super::octets::Octets;
use super::query;
use super::wire::OPT;
use super::world::names;

/// What the rules make of a message.
#[derive(Debug, PartialEq)]
enum Meant {
    Drop,
    Fault(Rcode),
    Query {
        name: Vec<u8>,
        qtype: u16,
        qclass: u16,
    },
}

pub fn run(octets: &[u8]) {
    let message = query::message(&mut Octets(octets), names());
    let mut name = LowerName::default();
    let parsed = parse(&message, &mut name);
    let ours = match &parsed {
        Parsed::Drop => Meant::Drop,
        Parsed::Fault { rcode, .. } => Meant::Fault(*rcode),
        Parsed::Query(query) => Meant::Query {
            name: name.as_wire().to_vec(),
            qtype: query.qtype,
            qclass: query.qclass,
        },
    };
    let shown = message.escape_ascii();
    assert_eq!(ours, meant(&message), "{shown}");
    if let Parsed::Query(query) = &parsed {
        judge_by_hickory(&message, query);
    }
}

/// The rules, one after the other (RFC 1035, RFC 6891, RFC 9619).
fn meant(message: &[u8]) -> Meant {
    let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    if message.len() < 12 || word(2) & 0x8000 != 0 {
        return Meant::Drop;
    }
    if word(2) & 0x7800 != 0 {
        return Meant::Fault(Rcode::NotImp);
    }
    let counts = [6, 8, 10].map(|at| usize::from(word(at)));
    let question = plain_name(&message[12..]).filter(|_| word(4) == 1);
    let Some((labels, [t0, t1, c0, c1, rest @ ..])) = question else {
        return Meant::Fault(Rcode::FormErr);
    };
    let Some(opts) = records(rest, counts) else {
        return Meant::Fault(Rcode::FormErr);
    };
    if opts.first().is_some_and(|version| *version != 0) {
        return Meant::Fault(Rcode::BadVers);
    }
    let mut name = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        if number == 0 || *label != b"*" {
            name.push(label.len() as u8);
            name.extend(label.to_ascii_lowercase());
        }
    }
    name.push(0);
    Meant::Query {
        name,
        qtype: u16::from_be_bytes([*t0, *t1]),
        qclass: u16::from_be_bytes([*c0, *c1]),
    }
}

/// The labels of a name without pointers, and what is behind it.
fn plain_name(octets: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let mut labels = Vec::new();
    let mut rest = octets;
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            let bytes = octets.len() - after.len();
            return (bytes <= 255).then_some((labels, after));
        }
        let (label, next) = after.split_at_checked((*length).into())?;
        if *length > 63 {
            return None;
        }
        labels.push(label);
        rest = next;
    }
}

/// The versions of all OPT records, of which there may be one; `None`: the records are not in order.
fn records(mut rest: &[u8], counts: [usize; 3]) -> Option<Vec<u8>> {
    let mut versions = Vec::new();
    for (section, count) in counts.into_iter().enumerate() {
        for _ in 0..count {
            let owner_begins = rest;
            // Up to the root's label, or a pointer.
            loop {
                let (length, after) = rest.split_first()?;
                match length {
                    0 => rest = after,
                    1..=63 => {
                        rest = after.get(usize::from(*length)..)?;
                        continue;
                    }
                    0xc0.. => rest = after.get(1..)?,
                    _ => return None,
                }
                break;
            }
            let [t0, t1, _, _, _, version, _, _, l0, l1] = *rest.first_chunk::<10>()?;
            let (data, next) = rest[10..].split_at_checked(u16::from_be_bytes([l0, l1]).into())?;
            rest = next;
            if u16::from_be_bytes([t0, t1]) == OPT {
                versions.push(version);
                let mut options = data;
                let mut cookies = Vec::new();
                while !options.is_empty() {
                    let [c0, c1, l0, l1] = *options.first_chunk::<4>()?;
                    let bytes = usize::from(u16::from_be_bytes([l0, l1]));
                    options = options.get(4 + bytes..)?;
                    if [c0, c1] == [0, 10] {
                        cookies.push(bytes);
                    }
                }
                // RFC 7873, 5.2 and 5.2.2: the first one counts.
                if !matches!(cookies.first(), None | Some(8 | 16..=40)) {
                    return None;
                }
                if section != 2 || owner_begins[0] != 0 {
                    return None;
                }
            }
        }
    }
    (rest.is_empty() && versions.len() <= 1).then_some(versions)
}

/// It refuses data of records that we do not look at, and so may refuse the whole.
fn judge_by_hickory(message: &[u8], query: &Query) {
    let Ok(seen) = Message::from_vec(message) else {
        return;
    };
    let shown = message.escape_ascii();
    assert_eq!(seen.metadata.message_type, MessageType::Query);
    assert_eq!(seen.metadata.op_code, OpCode::Query);
    let [question] = &seen.queries[..] else {
        panic!("{} questions: {shown}", seen.queries.len());
    };
    assert_eq!(u16::from(question.query_type()), query.qtype, "{shown}");
    assert_eq!(u16::from(question.query_class()), query.qclass, "{shown}");
    assert_eq!(seen.edns.is_some(), query.edns.is_some(), "{shown}");
    let (Some(seen), Some(edns)) = (&seen.edns, &query.edns) else {
        return;
    };
    assert_eq!(
        seen.max_payload().max(512),
        edns.udp_bytes.max(512),
        "{shown}"
    );
    assert_eq!(
        (seen.version(), seen.flags().dnssec_ok),
        (edns.version, edns.dnssec_ok)
    );
    let options = seen.options().as_ref();
    let subnets: Vec<_> = options
        .iter()
        .filter(|(code, _)| *code == EdnsCode::Subnet)
        .collect();
    // It takes addresses that are longer than their prefix wants.
    if let [(_, EdnsOption::Subnet(subnet))] = subnets[..]
        && let Some(ours) = edns.subnet
    {
        let theirs = Subnet::new(subnet.addr(), subnet.source_prefix());
        assert_eq!(ours, theirs, "{shown}");
    }
}
