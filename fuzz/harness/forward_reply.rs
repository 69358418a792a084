//! What upstreams reply, against the naive reader: a reply that is read is one, its places are where they
//! are said to be; what is remembered of it, passed on, or put behind a CNAME of ours is a message
//! within its limit that says the same.

use std::time::{Duration, Instant};

use rollcall::dns::message::{LowerName, Parsed, parse};
use rollcall::forward::Settings;
use rollcall::forward::answers::passed_on;
use rollcall::forward::cache::{Cache, Found};
use rollcall::forward::follow::{complete, query_for};
use rollcall::forward::question::{Question, message_of};
use rollcall::forward::reply::{self, Reply};

use super::octets::Octets;
use super::query;
use super::wire::{A, AAAA, CNAME, NS, OPT, Parts, Record, SOA, SRV, TXT, wire};
use super::world::names;

const TYPES: &[u16] = &[A, CNAME, AAAA, SOA, NS, SRV, TXT, OPT, 15, 46, 250, 6, 35];
const TC: u16 = 0x0200;
const LIMITS: &[usize] = &[512, 1232, 65_535, 600, 513];

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let asked = asked(&mut octets);
    let mut name = LowerName::default();
    let Parsed::Query(query) = parse(&asked, &mut name) else {
        return;
    };
    let Some(question) = Question::read(&asked, &query) else {
        return;
    };
    judge_key(&question);
    let reply = reply_to(&question, &mut octets);
    let read = reply::read(&reply);
    judge_reading(&reply, read.as_ref());
    let is_its = reply::matches(&asked, question.question_end, &reply);
    let (Some(read), true) = (read, is_its) else {
        return;
    };
    let bytes_max = octets.choose(LIMITS);
    judge_passing_on(&question, &reply, &read, bytes_max);
    judge_cache(&question, &reply, &read, &mut octets);
    judge_following(&question, &octets, bytes_max);
}

fn asked(octets: &mut Octets<'_>) -> Vec<u8> {
    let mut part = Octets(octets.piece());
    query::message(&mut part, names())
}

/// A reply of the query's ID and question, record by record; or the octets as they are.
fn reply_to(question: &Question<'_>, octets: &mut Octets<'_>) -> Vec<u8> {
    let kind = octets.u8();
    if kind & 7 == 7 {
        return std::mem::take(&mut octets.0).to_vec();
    }
    let mut reply = question.message[..question.question_end].to_vec();
    let flags = 0x8180 ^ if kind & 8 != 0 { octets.u16() } else { 0 };
    reply[2..4].copy_from_slice(&flags.to_be_bytes());
    reply[6..12].fill(0);
    let mut owners = vec![12];
    for section in [6, 8, 10] {
        for _ in 0..octets.u8() % 5 {
            record(&mut reply, &mut owners, octets);
            reply[section + 1] += 1;
        }
    }
    if kind & 16 != 0 {
        let at = usize::from(octets.u16()) % reply.len();
        reply[at] = octets.u8();
    }
    if kind & 32 != 0 {
        reply.extend(octets.piece());
    }
    reply
}

/// Appends a record, of a name that was there before or of another.
fn record(reply: &mut Vec<u8>, owners: &mut Vec<usize>, octets: &mut Octets<'_>) {
    let rtype = octets.choose(TYPES);
    if rtype == OPT {
        let options = octets.piece();
        reply.extend([
            0,
            0,
            41,
            4,
            208,
            octets.u8() & 1,
            0,
            0,
            0,
            0,
            options.len() as u8,
        ]);
        reply.extend(options);
        return;
    }
    name(reply, owners, octets);
    let ttl =
        [0, 1, 60, 300, 86_400, 100_000, 0x7fff_ffff, 0x8000_0000][usize::from(octets.u8() % 8)];
    reply.extend(rtype.to_be_bytes());
    reply.extend([0, 1 + u8::from(octets.u8() == 255)]);
    reply.extend(u32::to_be_bytes(ttl));
    let length_at = reply.len();
    reply.extend([0, 0]);
    match rtype {
        A => reply.extend([192, 0, 2, octets.u8()]),
        AAAA => reply.extend([
            0x20,
            1,
            0xd,
            0xb8,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            octets.u8(),
        ]),
        CNAME | NS => {
            owners.push(reply.len());
            name(reply, owners, octets);
        }
        SOA => {
            name(reply, owners, octets);
            name(reply, owners, octets);
            reply.extend([0; 16]);
            reply.extend([0, 0, 0, octets.u8()]);
        }
        SRV => {
            reply.extend([0, 1, 0, 2, 0, octets.u8()]);
            name(reply, owners, octets);
        }
        TXT => {
            let text = octets.piece();
            reply.push(text.len() as u8);
            reply.extend(text);
        }
        _ => reply.extend(octets.piece()),
    }
    let bytes = (reply.len() - length_at - 2) as u16;
    reply[length_at..length_at + 2].copy_from_slice(&bytes.to_be_bytes());
}

fn name(reply: &mut Vec<u8>, owners: &mut Vec<usize>, octets: &mut Octets<'_>) {
    match octets.u8() {
        kind @ 0..200 => {
            let at = owners[usize::from(kind) % owners.len()];
            reply.extend((0xc000 | (at & 0x3fff) as u16).to_be_bytes());
        }
        200..240 => {
            owners.push(reply.len());
            reply.extend(wire(
                ["a.example", "b.example", "example", "c.a.example"][usize::from(octets.u8() % 4)],
            ));
        }
        _ => reply.extend(octets.piece()),
    }
}

/// A key stands for a question of that key.
fn judge_key(question: &Question<'_>) {
    if !question.is_sharable() {
        return;
    }
    let mut made = Vec::new();
    message_of(question.key().as_bytes(), 7, &mut made).expect("a key of ours");
    let mut name = LowerName::default();
    let Parsed::Query(query) = parse(&made, &mut name) else {
        panic!("no query: {}", made.escape_ascii());
    };
    let again = Question::read(&made, &query).expect("a question");
    assert!(again.is_sharable());
    assert_eq!(again.key().as_bytes(), question.key().as_bytes());
}

fn judge_reading(reply: &[u8], read: Option<&Reply>) {
    let Some(parts) = Parts::read(reply) else {
        return;
    };
    let Some(read) = read else {
        return;
    };
    let shown = || format!("{read:?}\n{parts:?}\n{}", reply.escape_ascii());
    assert_eq!(u16::from(read.rcode), parts.flags & 15);
    assert_eq!(read.truncated, parts.flags & TC != 0);
    let records = parts.sections.iter().flatten();
    let ttls = read.ttl_places.iter().map(|at| {
        let at = usize::from(*at);
        u32::from_be_bytes(*reply[at..].first_chunk().expect("four octets"))
    });
    assert!(ttls.eq(records.clone().map(|it| it.ttl)), "{}", shown());
    assert_eq!(read.opt_at.is_some(), parts.opt.is_some());
    let cached = |ttl: u32| if ttl >> 31 == 0 { ttl } else { 0 };
    let least = records.map(|it| cached(it.ttl)).min();
    if let (Some(ttl), Some(least)) = (read.ttl_seconds, least) {
        let is_whole = read.negative || ttl == least;
        assert!(
            is_whole && !read.truncated && [0, 3].contains(&read.rcode),
            "{}",
            shown()
        );
    }
    if read.ttl_seconds.is_some() && read.negative {
        assert!(
            parts.sections[1].iter().any(|it| it.rtype == SOA),
            "{}",
            shown()
        );
    }
}

fn judge_passing_on(question: &Question<'_>, reply: &[u8], read: &Reply, bytes_max: usize) {
    for was_asked_with_edns in [true, false] {
        let mut out = vec![0xee; bytes_max];
        let bytes = passed_on(
            question,
            reply,
            read,
            was_asked_with_edns,
            bytes_max,
            &mut out,
        );
        let Some(bytes) = bytes else {
            // A question alone always has room.
            panic!("nothing to pass on: {}", reply.escape_ascii());
        };
        assert!(bytes <= bytes_max);
        let (Some(before), Some(after)) = (Parts::read(reply), Parts::read(&out[..bytes])) else {
            assert!(
                Parts::read(reply).is_none(),
                "{}",
                out[..bytes].escape_ascii()
            );
            continue;
        };
        assert_eq!(after.id.to_be_bytes(), question.message[..2]);
        if after.sections != before.sections {
            assert!(after.flags & TC != 0 && reply.len() > bytes_max - 11);
        }
        if before.question.is_some() {
            let asked = &question.message[12..question.question_end];
            assert_eq!(after.question.as_deref(), Some(asked));
        }
    }
}

/// Remembered, and given to one who asks the same otherwise.
fn judge_cache(question: &Question<'_>, reply: &[u8], read: &Reply, octets: &mut Octets<'_>) {
    let bounds = Settings {
        ttl_min_seconds: [0, 0, 30][usize::from(octets.u8() % 3)],
        ttl_max_seconds: [86_400, 60][usize::from(octets.u8() % 2)],
        ..Settings::default()
    };
    let stored_at = Instant::now();
    let mut cache = Cache::new(1 << 20);
    cache.insert(question, reply, read, &bounds, stored_at);
    assert!(cache.is_empty() || question.is_sharable() && read.ttl_seconds.is_some());
    let age = Duration::from_secs(octets.u16().into());
    let bytes_max = octets.choose(LIMITS);
    let mut out = vec![0xee; 65_535];
    let (entry, stale) = match cache.get(question.key().as_bytes(), stored_at + age) {
        Found::Nothing => return,
        Found::Fresh { entry, .. } => (entry, false),
        Found::Stale(entry) => (entry, true),
    };
    let written = entry.write(question, stored_at + age, stale, bytes_max, &mut out);
    let bytes = written.unwrap_or_else(|| panic!("not written: {}", reply.escape_ascii()));
    assert!(bytes <= bytes_max);
    let Some(before) = Parts::read(reply) else {
        return;
    };
    let after = Parts::read(&out[..bytes]);
    let after = after.unwrap_or_else(|| panic!("unreadable: {}", out[..bytes].escape_ascii()));
    assert_eq!(after.id.to_be_bytes(), question.message[..2]);
    assert_eq!(
        after.question.as_deref(),
        Some(&question.message[12..question.question_end])
    );
    assert_eq!(after.opt.is_some(), question.edns.is_some());
    let is_cut = after.flags & TC != 0;
    for (number, (before, after)) in before.sections.iter().zip(&after.sections).enumerate() {
        if after.is_empty() && (is_cut || number == 2) {
            continue;
        }
        let without_ttl = |it: &Record| Record {
            ttl: 0,
            ..it.clone()
        };
        let same = after
            .iter()
            .map(without_ttl)
            .eq(before.iter().map(without_ttl));
        assert!(same, "{before:?}\n{after:?}");
        for record in after {
            let ttl_max = if stale { 30 } else { bounds.ttl_max_seconds };
            assert!(record.ttl <= ttl_max, "{record:?}");
        }
    }
    if is_cut {
        assert!(reply.len() + 11 > bytes_max || before.sections[2].is_empty());
    }
}

/// Behind a CNAME of ours, which is made here: its target is asked for, and this is the reply to that.
fn judge_following(question: &Question<'_>, octets: &Octets<'_>, bytes_max: usize) {
    let target = wire("www.example.com");
    let mut out = vec![0xee; 65_535];
    let mut begun = question.message[..question.question_end].to_vec();
    begun[2..4].copy_from_slice(&0x8580_u16.to_be_bytes());
    begun[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    begun.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, target.len() as u8]);
    begun.extend(&target);
    out[..begun.len()].copy_from_slice(&begun);
    let mut asked = Vec::new();
    query_for(&target, question, 9, &mut asked).expect("a name of ours");
    let Parsed::Query(query) = parse(&asked, &mut LowerName::default()) else {
        panic!("no query: {}", asked.escape_ascii());
    };
    let of_target = Question::read(&asked, &query).expect("a question of ours");
    let reply = reply_to(&of_target, &mut Octets(octets.0));
    let Some(bytes) = complete(question, &mut out, begun.len(), &reply, bytes_max) else {
        return;
    };
    assert!(bytes <= bytes_max);
    let after = Parts::read(&out[..bytes]);
    let Some(before) = Parts::read(&reply) else {
        return;
    };
    let after = after.unwrap_or_else(|| panic!("unreadable: {}", out[..bytes].escape_ascii()));
    let [answers, authorities, additionals] = &after.sections;
    let (cname, answers) = answers.split_first().expect("the CNAME");
    assert_eq!((cname.rtype, &cname.data), (CNAME, &target));
    let is_same = |pair: (&Record, &Record)| told(pair.0) == told(pair.1);
    let are_same = before.sections[0].iter().zip(answers).all(is_same);
    assert!(are_same, "{before:?}\n{after:?}");
    let mut told_before = before.sections[1].iter().map(told);
    assert!(
        authorities
            .iter()
            .all(|it| told_before.any(|before| before == told(it)))
    );
    assert!(additionals.is_empty());
    assert_eq!(after.opt.is_some(), question.edns.is_some());
    let is_cut = after.flags & TC != 0;
    assert!(
        is_cut || answers.len() == before.sections[0].len(),
        "{before:?}\n{after:?}"
    );
}

/// What can be compared: the naive reader does not make names whole in data of SIG, PX, NXT and NAPTR.
fn told(record: &Record) -> Record {
    let mut record = record.clone();
    if [24, 26, 30, 35].contains(&record.rtype) {
        record.data.clear();
    }
    record
}
