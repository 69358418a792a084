//! The log of queries, on its way out of the answering threads. In: answers, of which one in so many
//! is taken. Out: records of a fixed size, for the thread that writes them. Where that is slower than
//! they come they are dropped and counted: answering must never wait, nor hold more than the queue.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use super::traffic::{QueryType, rcode_label};
use crate::dns::message::HEADER_BYTES;
use crate::dns::{Rcode, Transport, class, name, rtype};
use crate::limits::{NAME_BYTES_MAX, QUERY_LOG_RECORDS_MAX};

/// What all answering threads share of it.
#[derive(Debug, Default)]
pub struct QueryLog {
    /// Of so many answers of a thread one is logged; 0: none.
    every: AtomicU32,
    /// Made when there is something to log for the first time.
    records: OnceLock<ArrayQueue<Record>>,
    dropped: AtomicU64,
}

impl QueryLog {
    /// Has one answer in so many logged from each thread's next batch on; 0: none.
    pub fn set_every(&self, every: u32) {
        if every > 0 {
            self.records
                .get_or_init(|| ArrayQueue::new(QUERY_LOG_RECORDS_MAX));
        }
        // Pairs with the load in `Tap::every`; the queue orders itself.
        self.every.store(every, Ordering::Relaxed);
    }

    /// The record that waits longest.
    pub fn next(&self) -> Option<Record> {
        self.records.get()?.pop()
    }

    /// Records that found no room, so far.
    pub fn dropped(&self) -> u64 {
        // Pairs with the addition in `push`.
        self.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, record: Record) {
        let Some(records) = self.records.get() else {
            return;
        };
        if records.push(record).is_err() {
            // Pairs with the load in `dropped`.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One thread's way to it.
#[derive(Debug)]
pub struct Tap<'a> {
    log: &'a QueryLog,
    /// Answers until the next that is logged.
    left: Cell<u32>,
}

impl<'a> Tap<'a> {
    pub fn new(log: &'a QueryLog) -> Self {
        Self {
            log,
            left: Cell::new(0),
        }
    }

    #[inline]
    fn every(&self) -> u32 {
        // Pairs with the store in `set_every`.
        self.log.every.load(Ordering::Relaxed)
    }

    /// Whether anything is logged.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.every() != 0
    }

    /// Logs an answer if it is its turn. `asked` says who gets it.
    #[cold]
    #[inline(never)]
    pub fn note(&self, answer: &[u8], asked: impl FnOnce() -> Asked) {
        let every = self.every();
        let left = match self.left.get() {
            0 => every,
            left => left.min(every),
        };
        // Switched off meanwhile.
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        self.left.set(left);
        if left == 0 {
            self.log.push(Record::of(answer, asked()));
        }
    }
}

/// Who gets an answer, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub client: IpAddr,
    pub transport: Transport,
    /// Others were asked for it, and it was waited for.
    pub waited: bool,
}

/// What is logged of one answer.
#[derive(Clone, Debug)]
pub struct Record {
    name: [u8; NAME_BYTES_MAX],
    name_bytes: u8,
    qtype: u16,
    qclass: u16,
    flags: u16,
    pub bytes: u16,
    pub asked: Asked,
}

impl Record {
    /// The question is read from the answer, which has it as it was asked.
    fn of(answer: &[u8], asked: Asked) -> Self {
        let number = |at: usize| match answer.get(at..at + 2) {
            Some(&[high, low]) => u16::from_be_bytes([high, low]),
            _ => 0,
        };
        let mut record = Self {
            name: [0; NAME_BYTES_MAX],
            name_bytes: 0,
            qtype: 0,
            qclass: 0,
            flags: number(2),
            bytes: u16::try_from(answer.len()).unwrap_or(u16::MAX),
            asked,
        };
        let questions = number(4);
        let wire = answer.get(HEADER_BYTES..).and_then(name::first_name);
        if let Some(wire) = wire.filter(|_| questions > 0)
            && let Some(to) = record.name.get_mut(..wire.len())
        {
            to.copy_from_slice(wire);
            record.name_bytes = wire.len() as u8;
            record.qtype = number(HEADER_BYTES + wire.len());
            record.qclass = number(HEADER_BYTES + wire.len() + 2);
        }
        record
    }

    /// The name as it was asked; `-` where the question could not be read.
    pub fn name(&self) -> String {
        match self.name.get(..usize::from(self.name_bytes)) {
            Some(wire) if !wire.is_empty() => name::text_from_wire(wire),
            _ => "-".to_owned(),
        }
    }

    pub fn qtype(&self) -> Mnemonic {
        let label = match (QueryType::of(self.qtype), self.qtype) {
            (QueryType::Other, 48) => Some("DNSKEY"),
            (QueryType::Other, rtype::IXFR) => Some("IXFR"),
            (QueryType::Other, rtype::AXFR) => Some("AXFR"),
            (QueryType::Other, _) => None,
            (known, _) => Some(known.label()),
        };
        Mnemonic::of(self.qtype, "TYPE", label)
    }

    pub fn qclass(&self) -> Mnemonic {
        let label = match self.qclass {
            class::IN => Some("IN"),
            class::CH => Some("CH"),
            255 => Some("ANY"),
            _ => None,
        };
        Mnemonic::of(self.qclass, "CLASS", label)
    }

    /// Of the header: its lower four bits.
    pub fn rcode(&self) -> Mnemonic {
        let rcode = self.flags & 0x000f;
        let is_named = rcode <= Rcode::Refused as u16;
        let label = is_named.then(|| rcode_label(rcode.into()));
        Mnemonic::of(rcode, "RCODE", label)
    }

    /// Where the answer came from: our own records, the cache, others that were asked; `-`: nowhere,
    /// since it says that there is none.
    pub fn route(&self) -> &'static str {
        let is_authoritative = self.flags & 0x0400 != 0;
        match self.flags & 0x000f {
            _ if self.asked.waited => "upstream",
            _ if is_authoritative => "own",
            0 | 3 => "cache",
            _ => "-",
        }
    }

    pub fn transport(&self) -> &'static str {
        self.asked.transport.label()
    }
}

/// A number with its name, where it has one (RFC 3597, 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mnemonic {
    name: &'static str,
    number: Option<u16>,
}

impl Mnemonic {
    fn of(number: u16, prefix: &'static str, name: Option<&'static str>) -> Self {
        Self {
            name: name.unwrap_or(prefix),
            number: name.is_none().then_some(number),
        }
    }
}

impl fmt::Display for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            None => f.write_str(self.name),
            Some(number) => write!(f, "{}{number}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked {
        client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        transport: Transport::Udp,
        waited: false,
    };

    fn answer(flags: u16, question: &[u8]) -> Vec<u8> {
        let flags = flags.to_be_bytes();
        let count = u8::from(!question.is_empty());
        let header = [0, 7, flags[0], flags[1], 0, count, 0, 0, 0, 0, 0, 0];
        [&header, question].concat()
    }

    #[test]
    fn one_answer_in_so_many_is_taken_and_none_when_off() {
        let log = QueryLog::default();
        let tap = Tap::new(&log);
        let taken_of = |answers: usize| {
            for _ in 0..answers {
                tap.note(&answer(0, &[]), || ASKED);
            }
            std::iter::from_fn(|| log.next()).count()
        };
        assert!(!tap.is_on());
        assert_eq!(taken_of(100), 0);
        for (every, taken) in [(1, 100), (10, 10), (0, 0), (7, 14)] {
            log.set_every(every);
            assert_eq!(taken_of(100), taken, "{every}");
        }
        // A smaller number counts at once.
        log.set_every(u32::MAX);
        assert_eq!(taken_of(3), 0);
        log.set_every(2);
        assert_eq!(taken_of(2), 1);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let log = QueryLog::default();
        log.set_every(1);
        let tap = Tap::new(&log);
        for _ in 0..QUERY_LOG_RECORDS_MAX + 5 {
            tap.note(&answer(0, &[]), || ASKED);
        }
        assert_eq!(log.dropped(), 5);
        assert_eq!(
            std::iter::from_fn(|| log.next()).count(),
            QUERY_LOG_RECORDS_MAX
        );
    }

    #[test]
    fn a_record_says_what_was_asked_and_what_became_of_it() {
        let question = b"\x03Web\x05mesos\0\0\x21\0\x01";
        let record = Record::of(&answer(0x8583, question), ASKED);
        let shown = [record.qtype(), record.qclass(), record.rcode()].map(|it| it.to_string());
        assert_eq!(record.name(), "Web.mesos.");
        assert_eq!(shown, ["SRV", "IN", "NXDOMAIN"]);
        assert_eq!((record.route(), record.bytes), ("own", 12 + 15));
        let record = Record::of(&answer(0x8180, b"\0\xff\x00\xfe\xff"), ASKED);
        let shown = [record.qtype(), record.qclass(), record.rcode()].map(|it| it.to_string());
        assert_eq!(shown, ["TYPE65280", "CLASS65279", "NOERROR"]);
        assert_eq!((record.name().as_str(), record.route()), (".", "cache"));
    }

    #[test]
    fn octets_that_are_no_answer_are_no_trouble() {
        for octets in [
            &[][..],
            &[0; 11],
            &answer(0x8001, &[]),
            &answer(0x8000, b"\x3fcut"),
            &answer(0x8000, &[0xc0, 12, 0, 1, 0, 1]),
            &answer(0x8000, &[63; 300]),
        ] {
            let record = Record::of(octets, ASKED);
            assert_eq!(record.name(), "-", "{octets:?}");
        }
    }
}
