//! What resolvers answered, kept for its time and written anew for each who asks; one a thread. In:
//! replies, questions, the time. Out: finished answers. A hit allocates nothing; the octets kept never
//! pass the bound.

use std::cell::Cell;
use std::hash::RandomState;
use std::time::Instant;

use quick_cache::Weighter;
use quick_cache::unsync::{self, DefaultLifecycle};

use super::Settings;
use super::question::{KeyParts, Question, opt_record};
use super::reply::{Reply, is_question_of};
use super::walk::{self, Records, Section};
use crate::dns::message::{HEADER_BYTES, OPT_BYTES, OPTION_HEAD_BYTES, flag};
use crate::limits::{
    CACHE_ENTRY_BYTES_EXPECTED, CACHE_ENTRY_BYTES_MIN, CACHE_ENTRY_OVERHEAD_BYTES,
    CACHE_ENTRY_PART, CACHE_PREFETCH_HITS_MIN, CACHE_PREFETCH_LIFE_SECONDS_MIN,
    CACHE_PREFETCH_PART, CACHE_RESERVED_ENTRIES_MAX, CACHE_STALE_SECONDS_MAX,
    CACHE_STALE_TTL_SECONDS,
};

/// The answers that one thread remembers.
pub struct Cache {
    bytes_max: usize,
    /// None where nothing is kept.
    entries: Option<Entries>,
}

/// Keys are what strangers send: the standard hasher, keyed anew each time.
type Entries = unsync::Cache<Box<[u8]>, Entry, Octets, RandomState>;

/// What there is for a key.
pub enum Found<'c> {
    Fresh {
        entry: &'c Entry,
        /// Whether it should be asked for anew, so that it is there when this one expires. Said once.
        prefetch: bool,
    },
    /// Expired less than a day ago (RFC 8767).
    Stale(&'c Entry),
    Nothing,
}

/// One answer: what stands behind the question, without OPT.
pub struct Entry {
    /// The records, with TTLs as when they came; the client subnet option of the reply; the places of
    /// the TTLs among the records, two octets each.
    octets: Box<[u8]>,
    records_bytes: u16,
    /// How many of them come before the additional ones.
    needed_bytes: u16,
    subnet_bytes: u8,
    /// Of the answer but for RD, CD and TC.
    flags: u16,
    /// ANCOUNT, NSCOUNT, and ARCOUNT without OPT.
    counts: [u16; 3],
    life_seconds: u32,
    stored_at: Instant,
    hits: Cell<u8>,
    is_prefetched: Cell<bool>,
}

/// Weighs an entry in octets.
#[derive(Clone)]
struct Octets;

impl Weighter<Box<[u8]>, Entry> for Octets {
    fn weight(&self, key: &Box<[u8]>, entry: &Entry) -> u64 {
        weight(key.len(), entry.octets.len()) as u64
    }
}

fn weight(key_bytes: usize, octets: usize) -> usize {
    key_bytes + octets + CACHE_ENTRY_OVERHEAD_BYTES
}

impl Cache {
    /// Keeps no more than so many octets, everything counted; 0: nothing.
    pub fn new(bytes_max: usize) -> Self {
        let expected = bytes_max / CACHE_ENTRY_BYTES_EXPECTED;
        let entries = (bytes_max > 0).then(|| {
            let (hasher, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
            let mut entries = Entries::with(expected, bytes_max as u64, Octets, hasher, lifecycle);
            let places = bytes_max / CACHE_ENTRY_BYTES_MIN + expected / 2;
            entries.reserve(places.min(CACHE_RESERVED_ENTRIES_MAX));
            entries
        });
        Self { bytes_max, entries }
    }

    pub fn get(&mut self, key: &[u8], now: Instant) -> Found<'_> {
        let entry = self.entries.as_ref().and_then(|entries| entries.get(key));
        let Some(entry) = entry else {
            return Found::Nothing;
        };
        let age_seconds = now.saturating_duration_since(entry.stored_at).as_secs();
        let life_seconds = u64::from(entry.life_seconds);
        if age_seconds < life_seconds {
            let prefetch = entry.hit(life_seconds - age_seconds);
            Found::Fresh { entry, prefetch }
        } else if age_seconds < life_seconds + CACHE_STALE_SECONDS_MAX {
            Found::Stale(entry)
        } else {
            Found::Nothing
        }
    }

    /// Keeps a reply (`reply` is what `message` was read as) for the question that it matches, where
    /// others may have it.
    pub fn insert(
        &mut self,
        question: &Question<'_>,
        message: &[u8],
        reply: &Reply,
        bounds: &Settings,
        now: Instant,
    ) {
        if question.is_sharable() {
            self.insert_for_key(question.key().as_bytes(), message, reply, bounds, now);
        }
    }

    /// The same for a reply to the query that a key stands for.
    pub fn insert_for_key(
        &mut self,
        key: &[u8],
        message: &[u8],
        reply: &Reply,
        bounds: &Settings,
        now: Instant,
    ) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        let Some(entry) = Entry::new(key, message, reply, bounds, now) else {
            return;
        };
        if weight(key.len(), entry.octets.len()) <= self.bytes_max / CACHE_ENTRY_PART {
            entries.insert(key.into(), entry);
        }
    }

    pub fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    /// Octets kept, everything counted.
    pub fn bytes(&self) -> usize {
        let weight = self.entries.as_ref().map_or(0, Entries::weight);
        usize::try_from(weight).unwrap_or(usize::MAX)
    }

    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, Entries::len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entry {
    /// `None`: not to be kept.
    fn new(
        key: &[u8],
        message: &[u8],
        reply: &Reply,
        bounds: &Settings,
        now: Instant,
    ) -> Option<Self> {
        let ttl_seconds = reply.ttl_seconds?;
        let bounded = ttl_seconds.max(bounds.ttl_min_seconds);
        let life_seconds = bounded.min(bounds.ttl_max_seconds);
        let parts = KeyParts::of(key)?;
        let is_its = is_question_of(message, reply, parts.name, parts.qtype, parts.qclass);
        if life_seconds == 0 || !is_its || has_names_of_ttls(message, reply)? {
            return None;
        }
        let [_, answers, authorities, mut additionals] = walk::counts(message)?;
        let records_end = match &reply.opt_at {
            None => message.len(),
            // What stands behind OPT may point to names behind it.
            Some(opt) if opt.end != message.len() => return None,
            Some(opt) => {
                additionals = additionals.checked_sub(1)?;
                opt.start
            }
        };
        let records = message.get(reply.question_end..records_end)?;
        let needed_end = additional_at(message, reply.question_end)?.unwrap_or(records_end);
        let needed_bytes = needed_end.checked_sub(reply.question_end)?;
        let subnet = subnet_of(message, reply, parts.subnet)?;
        let places_bytes = 2 * reply.ttl_places.len();
        let mut octets = Vec::with_capacity(records.len() + subnet.len() + places_bytes);
        octets.extend(records);
        octets.extend(subnet);
        for place in &reply.ttl_places {
            let place = usize::from(*place).checked_sub(reply.question_end)?;
            let ttl = octets.get_mut(place..)?.first_chunk_mut::<4>()?;
            *ttl = shown_ttl(u32::from_be_bytes(*ttl), life_seconds, reply, bounds).to_be_bytes();
            octets.extend(u16::try_from(place).ok()?.to_le_bytes());
        }
        let (_, flags) = walk::id_and_flags(message)?;
        Some(Self {
            records_bytes: u16::try_from(records.len()).ok()?,
            needed_bytes: u16::try_from(needed_bytes).ok()?,
            subnet_bytes: u8::try_from(subnet.len()).ok()?,
            octets: octets.into(),
            flags: flags & !(flag::AA | flag::TC | flag::RD | flag::CD),
            counts: [answers, authorities, additionals],
            life_seconds,
            stored_at: now,
            hits: Cell::new(0),
            is_prefetched: Cell::new(false),
        })
    }

    /// Counts a hit; whether the entry should be asked for anew.
    fn hit(&self, left_seconds: u64) -> bool {
        let hits = self.hits.get().saturating_add(1);
        self.hits.set(hits);
        hits >= CACHE_PREFETCH_HITS_MIN
            && left_seconds * CACHE_PREFETCH_PART <= u64::from(self.life_seconds)
            && self.life_seconds >= CACHE_PREFETCH_LIFE_SECONDS_MIN
            && !self.is_prefetched.replace(true)
    }

    /// Writes the answer to a question of the entry's key, and returns its length: ID, spelling, RD and
    /// CD are the question's; AA is clear; AD stays for those who can tell; OPT is our own, where the
    /// question has one. TTLs are what is left of them, rounded down, so that 0 is seen in the last
    /// second only; those of a stale answer are 30. An answer of over `bytes_max` goes without its
    /// additional records; one that is too long even so is cut behind the question and has TC. `None`:
    /// the buffer is too short.
    pub fn write(
        &self,
        question: &Question<'_>,
        now: Instant,
        stale: bool,
        bytes_max: usize,
        out: &mut [u8],
    ) -> Option<usize> {
        let (records, rest) = self.octets.split_at_checked(self.records_bytes.into())?;
        let (subnet, places) = rest.split_at_checked(self.subnet_bytes.into())?;
        let question_octets = question.message.get(..question.question_end)?;
        let opt_bytes = match question.edns {
            Some(_) => OPT_BYTES + subnet.len(),
            None => 0,
        };
        let room = bytes_max.checked_sub(question_octets.len() + opt_bytes);
        let fits = |records: &[u8]| room.is_some_and(|room| records.len() <= room);
        let needed = records.get(..usize::from(self.needed_bytes))?;
        let [answers, authorities, additionals] = self.counts;
        // TC is for what an answer cannot be without (RFC 2181, 9).
        let (records, [answers, authorities, additionals], is_cut) = if fits(records) {
            (records, [answers, authorities, additionals], false)
        } else if fits(needed) {
            (needed, [answers, authorities, 0], false)
        } else {
            (&[] as &[u8], [0; 3], true)
        };
        let length = question_octets.len() + records.len() + opt_bytes;
        let out = out.get_mut(..length)?;
        let (question_place, rest) = out.split_at_mut_checked(question_octets.len())?;
        let (records_place, opt_place) = rest.split_at_mut_checked(records.len())?;
        question_place.copy_from_slice(question_octets);
        records_place.copy_from_slice(records);
        self.put_ttls(places, records_place, now, stale);
        let mut flags = self.flags | question.flags & (flag::RD | flag::CD);
        if !question.takes_authentic_data() {
            flags &= !flag::AD;
        }
        if is_cut {
            flags |= flag::TC;
        }
        let additionals = additionals + u16::from(question.edns.is_some());
        if let Some(edns) = question.edns {
            let (fixed, option) = opt_place.split_first_chunk_mut::<OPT_BYTES>()?;
            *fixed = opt_record(edns.dnssec_ok, self.subnet_bytes);
            option.copy_from_slice(subnet);
        }
        let header = question_place.first_chunk_mut::<HEADER_BYTES>()?;
        let [i0, i1, ..] = *header;
        let [f0, f1] = flags.to_be_bytes();
        let [a0, a1] = answers.to_be_bytes();
        let [n0, n1] = authorities.to_be_bytes();
        let [r0, r1] = additionals.to_be_bytes();
        *header = [i0, i1, f0, f1, 0, 1, a0, a1, n0, n1, r0, r1];
        Some(length)
    }

    fn put_ttls(&self, places: &[u8], records: &mut [u8], now: Instant, stale: bool) {
        let age = now.saturating_duration_since(self.stored_at);
        let age_seconds = age.as_secs() + u64::from(age.subsec_nanos() != 0);
        let age_seconds = u32::try_from(age_seconds).unwrap_or(u32::MAX);
        let (places, _) = places.as_chunks();
        for place in places {
            let place = usize::from(u16::from_le_bytes(*place));
            let ttl = records.get_mut(place..).and_then(<[u8]>::first_chunk_mut);
            // This record and those behind it are left out.
            let Some(ttl) = ttl else { return };
            let shown = match stale {
                true => CACHE_STALE_TTL_SECONDS,
                false => u32::from_be_bytes(*ttl).saturating_sub(age_seconds),
            };
            *ttl = shown.to_be_bytes();
        }
    }
}

/// Whether some name leads through a TTL, so that it would be another one when the TTL is. No server
/// writes such a reply; what it says must not change while it is kept.
fn has_names_of_ttls(message: &[u8], reply: &Reply) -> Option<bool> {
    let mut records = Records::behind(message, reply.question_end)?.flatten();
    Some(records.any(|record| {
        let in_data = walk::names_in(message, &record);
        let mut names = [Some(record.owner_at)].into_iter().chain(in_data).flatten();
        names.any(|name| walk::is_made_of(message, name, &reply.ttl_places))
    }))
}

/// Where the first additional record stands, be it OPT.
fn additional_at(message: &[u8], question_end: usize) -> Option<Option<usize>> {
    let mut records = Records::behind(message, question_end)?.flatten();
    let first = records.find(|record| record.section == Section::Additional);
    Some(first.map(|record| record.owner_at))
}

/// The TTL that a record has in the first answer from the cache. Bounds hold for what clients see, too,
/// and nothing expires before the entry; those of a negative answer are how long it may be kept
/// (RFC 2308, 5).
fn shown_ttl(ttl: u32, life_seconds: u32, reply: &Reply, bounds: &Settings) -> u32 {
    // RFC 2181, 8.
    let ttl = if ttl >> 31 == 0 { ttl } else { 0 };
    match reply.negative {
        true => life_seconds,
        false => ttl.max(life_seconds).min(bounds.ttl_max_seconds),
    }
}

/// The client subnet option of a reply to a query with this option's data, or nothing where either
/// has none. `None`: it is of another subnet than was asked for (RFC 7871, 7.3).
fn subnet_of<'m>(message: &'m [u8], reply: &Reply, asked: &[u8]) -> Option<&'m [u8]> {
    let Some(range) = reply.client_subnet.clone().filter(|_| !asked.is_empty()) else {
        return Some(&[]);
    };
    let option = message.get(range)?;
    let (head, address) = option.get(OPTION_HEAD_BYTES..)?.split_first_chunk::<4>()?;
    let (asked_head, asked_address) = asked.split_first_chunk::<4>()?;
    // The scope is the answer's own.
    let [family @ .., _] = head;
    let [asked_family @ .., _] = asked_head;
    (family == asked_family && address == asked_address).then_some(option)
}

#[cfg(test)]
#[path = "tests/cache.rs"]
mod tests;
