//! Messages for the tests of this module: queries, and replies record by record.

use crate::dns::class;
use crate::dns::message::{LowerName, Parsed, flag, parse};
use crate::dns::name::wire_from_text;
use crate::dns::rtype;
use crate::forward::question::{Question, opt_record, put_question};

pub const SUBNET_OPTION: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2];
/// A pointer to the question's name.
pub const QNAME: &[u8] = &[0xc0, 12];

pub fn wire(name: &str) -> Vec<u8> {
    wire_from_text(name).expect(name)
}

/// `behind` is one record, or nothing.
pub fn query(name: &str, qtype: u16, flags: u16, behind: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let has_more = !behind.is_empty();
    put_question(
        &mut message,
        7,
        flags,
        &wire(name),
        qtype,
        class::IN,
        has_more,
    );
    message.extend(behind);
    message
}

pub fn opt(flags: u16, options: &[u8]) -> Vec<u8> {
    let mut opt = opt_record(false, options.len() as u8);
    [opt[7], opt[8]] = flags.to_be_bytes();
    [&opt[..], options].concat()
}

pub fn question(message: &[u8]) -> Question<'_> {
    let Parsed::Query(query) = parse(message, &mut LowerName::default()) else {
        panic!("no query: {message:?}")
    };
    Question::read(message, &query).expect("a question")
}

pub fn record(owner: &[u8], rtype: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(rtype.to_be_bytes());
    record.extend(class::IN.to_be_bytes());
    record.extend(ttl.to_be_bytes());
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

pub fn a(owner: &[u8], ttl: u32, last: u8) -> Vec<u8> {
    record(owner, rtype::A, ttl, &[192, 0, 2, last])
}

pub fn cname(owner: &[u8], ttl: u32, target: &str) -> Vec<u8> {
    record(owner, rtype::CNAME, ttl, &wire(target))
}

pub fn soa(owner: &[u8], ttl: u32, minimum: u32) -> Vec<u8> {
    let mut data = [wire("ns.example"), wire("root.example")].concat();
    for number in [1, 2, 3, 4, minimum] {
        data.extend(number.to_be_bytes());
    }
    record(owner, rtype::SOA, ttl, &data)
}

/// A reply of the query's ID and question; `flags` beside QR, RD and RA, with the RCODE.
pub fn reply(query: &[u8], flags: u16, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
    let question_end = question(query).question_end;
    let mut message = query[..question_end].to_vec();
    let flags = flag::QR | flag::RD | flag::RA | flags;
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    for (section, at) in sections.iter().zip([6, 8, 10]) {
        let count = section.len() as u16;
        message[at..at + 2].copy_from_slice(&count.to_be_bytes());
        section.iter().for_each(|record| message.extend(record));
    }
    message
}
