//! How often one network is answered the same over UDP. In: answers that are to be sent, and to whom. Out:
//! whether they are, or a short one in their place, or nothing. It must never take memory for a stranger,
//! nor hold one network or answer for another.
//!
//! Who sends queries with somebody else's address has us send answers there. They get few of them, for
//! answers are counted by the network that they go to and by what they say: those with records by name and
//! type, those that deny by the zone that they deny in, what wildcards of ours answer all together, errors
//! by their code. Each has a bucket of RateLimit answers, which fills again within a second. Of those that
//! find it empty each RateLimitSlip-th is answered with TC, which sends an honest client to TCP, or with
//! BADCOOKIE, after which it has the cookie that lets it through (RFC 7873, 5.2.3); others get nothing.
//!
//! A bucket is one word of a table of fixed size. Where its set is full, the one that is fullest, and so has
//! least to say, makes room: whoever is limited stays, and whoever is new begins with a full bucket. Of
//! names below a wildcard of others nothing is known: each of them counts by itself.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dns::cookie::Judged;
use crate::dns::message::{HEADER_BYTES, OPT_BYTES, flag};
use crate::dns::subnet::{Blocks, Subnet};
use crate::dns::{Rcode, rtype};
use crate::forward::walk::{self, Records, Section};
use crate::limits::{
    LABEL_BYTES_MAX, RATE_PREFIX_BITS, RATE_SLOTS, RATE_SLOTS_PER_SET, REPEATED_TOLD_EVERY,
};
use crate::stats::WorkerStats;
use crate::sys::clock;
use crate::sys::pages::Words;

/// What bounds answers over UDP.
#[derive(Clone, Debug, PartialEq)]
pub struct Limiting {
    /// Answers a second for one network and answer; 0: as many as it asks for.
    pub per_second: u32,
    /// Of those above each so many-th is answered shortly; 0: none.
    pub slip: u32,
    /// Who is never limited.
    pub exempt: Blocks,
}

impl Default for Limiting {
    /// Nobody is limited, nor a stranger.
    fn default() -> Self {
        let all = ["0.0.0.0/0", "::/0"].map(Subnet::parse);
        Self {
            per_second: 0,
            slip: 0,
            exempt: Blocks::new(&all.into_iter().flatten().collect::<Vec<_>>()),
        }
    }
}

impl Limiting {
    /// Whether answers to an address are counted.
    #[inline]
    pub fn covers(&self, address: IpAddr) -> bool {
        self.per_second != 0 && !self.exempt.hold(address)
    }
}

/// The buckets of one answering thread.
pub struct Rates {
    slots: Words<RATE_SLOTS>,
    keys: RandomState,
    /// The time that this batch has; 0: it was not asked for yet.
    now_ms: u64,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Slip,
    Drop,
}

/// What is left of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    All,
    /// The first octets are a short one.
    Short(usize),
    Nothing,
}

/// A bucket: 26 bits that tell whose it is, 4 that count those that found it empty, 14 for what is in it, 20
/// for when that was: milliseconds, which come round after 17 minutes. Then a bucket may seem to have been
/// used lately, and is fuller by a second's answers a moment later.
#[derive(Clone, Copy)]
struct Slot {
    tag: u64,
    slipped: u64,
    credit: u64,
    at_ms: u64,
}

const TAG_BITS: u32 = 26;
const SLIPPED_BITS: u32 = 4;
const CREDIT_BITS: u32 = 14;
const TIME_BITS: u32 = 20;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const _: () = assert!(TAG_BITS + SLIPPED_BITS + CREDIT_BITS + TIME_BITS == u64::BITS);
const _: () = assert!(crate::limits::RATE_LIMIT_MAX < 1 << CREDIT_BITS);
const _: () = assert!(crate::limits::RATE_SLIP_MAX < 1 << SLIPPED_BITS);

impl Slot {
    /// `None`: nobody's.
    fn of(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            tag: word >> (u64::BITS - TAG_BITS),
            slipped: word >> (CREDIT_BITS + TIME_BITS) & ((1 << SLIPPED_BITS) - 1),
            credit: word >> TIME_BITS & ((1 << CREDIT_BITS) - 1),
            at_ms: word & TIME_MASK,
        })
    }

    fn word(self) -> u64 {
        self.tag << (u64::BITS - TAG_BITS)
            | self.slipped << (CREDIT_BITS + TIME_BITS)
            | self.credit << TIME_BITS
            | self.at_ms
    }

    /// With what has come into it since.
    fn filled(mut self, now_ms: u64, per_second: u64) -> Self {
        let elapsed_ms = now_ms.wrapping_sub(self.at_ms) & TIME_MASK;
        let more = elapsed_ms * per_second / 1_000;
        if self.credit + more >= per_second {
            (self.credit, self.at_ms) = (per_second, now_ms & TIME_MASK);
        } else if more > 0 {
            self.credit += more;
            // No later than what came in: the rest counts the next time.
            self.at_ms = (self.at_ms + more * 1_000 / per_second) & TIME_MASK;
        }
        self
    }

    fn take(&mut self, slip: u64) -> Verdict {
        if self.credit > 0 {
            self.credit -= 1;
            return Verdict::Pass;
        }
        if slip == 0 {
            return Verdict::Drop;
        }
        self.slipped += 1;
        if self.slipped < slip {
            return Verdict::Drop;
        }
        self.slipped = 0;
        Verdict::Slip
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            slots: Words::zeroed(),
            keys: RandomState::new(),
            now_ms: 0,
        }
    }
}

impl Rates {
    /// What comes now comes later than what came before.
    pub fn begin_batch(&mut self) {
        self.now_ms = 0;
    }

    /// The time, for which a batch without strangers never asks.
    fn now_ms(&mut self) -> u64 {
        if self.now_ms == 0 {
            self.now_ms = clock::milliseconds();
        }
        self.now_ms
    }

    /// Takes an answer out of its bucket.
    pub fn judge(
        &mut self,
        limiting: &Limiting,
        address: IpAddr,
        is_covered: bool,
        answer: &[u8],
        now_ms: u64,
    ) -> Verdict {
        let hash = self.hash(address, is_covered, answer);
        let per_second = u64::from(limiting.per_second);
        // No word of a bucket is 0.
        let tag = (hash >> (u64::BITS - TAG_BITS)).max(1);
        let (sets, _) = self
            .slots
            .as_mut_slice()
            .as_chunks_mut::<RATE_SLOTS_PER_SET>();
        let place = hash as usize % sets.len();
        let Some(set) = sets.get_mut(place) else {
            return Verdict::Pass;
        };
        let slots = set.map(|word| Slot::of(word).map(|slot| slot.filled(now_ms, per_second)));
        let own = slots
            .iter()
            .position(|slot| slot.is_some_and(|slot| slot.tag == tag));
        let fullest = |(_, slot): &(usize, &Option<Slot>)| slot.map_or(u64::MAX, |it| it.credit);
        let place = own.or_else(|| {
            let best = slots.iter().enumerate().max_by_key(fullest);
            best.map(|(place, _)| place)
        });
        let kept = own.and_then(|own| slots.get(own).copied().flatten());
        let mut slot = kept.unwrap_or(Slot {
            tag,
            slipped: 0,
            credit: per_second,
            at_ms: now_ms & TIME_MASK,
        });
        let verdict = slot.take(limiting.slip.into());
        if let Some(word) = place.and_then(|place| set.get_mut(place)) {
            *word = slot.word();
        }
        verdict
    }

    /// Of the network and the answer.
    fn hash(&self, address: IpAddr, is_covered: bool, answer: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        let (ipv4_bits, ipv6_bits) = RATE_PREFIX_BITS;
        match address {
            IpAddr::V4(v4) => hasher.write_u32(v4.to_bits() >> (32 - ipv4_bits)),
            IpAddr::V6(v6) => hasher.write_u128(v6.to_bits() >> (128 - ipv6_bits)),
        }
        // What cannot be read says nothing: it is one more answer.
        let _ = hash_answer(&mut hasher, is_covered, answer);
        hasher.finish()
    }
}

/// What an answer says, as far as answers of one kind count together.
fn hash_answer(hasher: &mut impl Hasher, is_covered: bool, answer: &[u8]) -> Option<()> {
    let (_, flags) = walk::id_and_flags(answer)?;
    let [questions, answers, ..] = walk::counts(answer)?;
    let rcode = (flags & 15) as u8;
    let denies = [Rcode::NoError as u8, Rcode::NxDomain as u8].contains(&rcode);
    if !denies || questions != 1 {
        hasher.write(&[0, rcode]);
        return Some(());
    }
    let question_end = walk::name_end(answer, HEADER_BYTES)? + 4;
    // What was cut has its records elsewhere.
    if rcode == Rcode::NoError as u8 && (answers > 0 || flags & flag::TC != 0) {
        if is_covered {
            hasher.write(&[1]);
            return Some(());
        }
        hasher.write(&[2]);
        hasher.write(answer.get(question_end - 4..question_end)?);
        return hash_name(hasher, answer, HEADER_BYTES);
    }
    hasher.write(&[3]);
    let mut records = Records::behind(answer, question_end)?.flatten();
    let soa = records.find(|it| it.section == Section::Authority && it.rtype == rtype::SOA);
    hash_name(hasher, answer, soa?.owner_at)
}

/// In lower case, without the wildcards that are cut out of a question: spelling makes no other answer.
fn hash_name(hasher: &mut impl Hasher, message: &[u8], at: usize) -> Option<()> {
    let mut is_first = true;
    walk::each_label(message, at, |label| {
        let mut folded = [0; 1 + LABEL_BYTES_MAX];
        if let Some(folded) = folded.get_mut(..label.len())
            && (is_first || label != b"\x01*")
        {
            folded.copy_from_slice(label);
            folded.make_ascii_lowercase();
            hasher.write(folded);
        }
        is_first = false;
    })
    .map(|_| ())
}

/// Holds the answers of one thread to what bounds them.
pub struct Limiter<'a> {
    pub rates: &'a mut Rates,
    pub limiting: Option<&'a Limiting>,
    pub stats: &'a WorkerStats,
}

impl Limiter<'_> {
    /// What is left of an answer over UDP. `cookie` is what that of its query was worth.
    #[inline]
    pub fn limit(
        &mut self,
        address: IpAddr,
        cookie: impl FnOnce() -> Option<Judged>,
        is_covered: bool,
        answer: &mut [u8],
    ) -> Left {
        match self.limiting {
            Some(limiting) if limiting.covers(address) => {
                self.limit_stranger(limiting, address, cookie(), is_covered, answer)
            }
            _ => Left::All,
        }
    }

    #[cold]
    #[inline(never)]
    fn limit_stranger(
        &mut self,
        limiting: &Limiting,
        address: IpAddr,
        cookie: Option<Judged>,
        is_covered: bool,
        answer: &mut [u8],
    ) -> Left {
        // It gets what is sent to it: nobody is hurt whom it does not know of.
        if cookie.is_some_and(|cookie| cookie.is_good) {
            return Left::All;
        }
        let now_ms = self.rates.now_ms();
        let verdict = self
            .rates
            .judge(limiting, address, is_covered, answer, now_ms);
        if verdict == Verdict::Pass {
            return Left::All;
        }
        tell(address, limiting, now_ms);
        let short = match verdict {
            Verdict::Slip => shorten(answer, cookie.as_ref()),
            _ => None,
        };
        match short {
            Some(bytes) => Left::Short(bytes),
            None => {
                self.stats.dropped_by_limit.add(1);
                Left::Nothing
            }
        }
    }
}

/// Leaves of an answer the question, and OPT with the cookie; how many octets that is. To a client with a
/// cookie it is BADCOOKIE, to others what it was, with TC.
fn shorten(answer: &mut [u8], cookie: Option<&Judged>) -> Option<usize> {
    let (_, flags) = walk::id_and_flags(answer)?;
    let [questions, ..] = walk::counts(answer)?;
    let question_end = match questions {
        1 => walk::name_end(answer, HEADER_BYTES)? + 4,
        _ => HEADER_BYTES,
    };
    let mut records = Records::behind(answer, question_end)?.flatten();
    let opt_at = records.find(walk::Record::is_opt).map(|it| it.owner_at);
    let mut opt: Option<[u8; OPT_BYTES]> = match opt_at {
        Some(at) => answer.get(at..)?.first_chunk().copied(),
        None => None,
    };
    let option = cookie.map(|cookie| cookie.option).filter(|_| opt.is_some());
    let mut flags = flags | flag::TC;
    if let Some([_, _, _, _, _, upper, _, _, _, high, low]) = &mut opt {
        // Options of others stay away.
        (*high, *low) = (0, 0);
        if let Some(option) = &option {
            let rcode = Rcode::BadCookie as u16;
            *upper = (rcode >> 4) as u8;
            *low = option.len() as u8;
            flags = flags & !(flag::TC | flag::AA | flag::AD | 15) | rcode & 15;
        }
    }
    let behind = [
        opt.as_ref().map(<[u8; _]>::as_slice),
        option.as_ref().map(<[u8; _]>::as_slice),
    ];
    let mut length = question_end;
    for octets in behind.into_iter().flatten() {
        let end = length + octets.len();
        answer.get_mut(length..end)?.copy_from_slice(octets);
        length = end;
    }
    let [f0, f1] = flags.to_be_bytes();
    *answer.get_mut(2..)?.first_chunk_mut()? = [f0, f1];
    answer.get_mut(6..11)?.fill(0);
    *answer.get_mut(11)? = u8::from(opt.is_some());
    Some(length)
}

/// Says that a network is limited: once, and then now and then, of all threads together.
fn tell(address: IpAddr, limiting: &Limiting, now_ms: u64) {
    /// When it was said last; 0: never.
    static TOLD_AT_MS: AtomicU64 = AtomicU64::new(0);
    // Pairs with the exchange below; a number alone orders nothing else.
    let told = TOLD_AT_MS.load(Ordering::Relaxed);
    let every_ms = REPEATED_TOLD_EVERY.as_millis() as u64;
    if told != 0 && now_ms.saturating_sub(told) < every_ms {
        return;
    }
    // Of several threads one tells.
    let mine =
        TOLD_AT_MS.compare_exchange(told, now_ms.max(1), Ordering::Relaxed, Ordering::Relaxed);
    if mine.is_ok() {
        let per_second = limiting.per_second;
        tracing::warn!(
            "{address} and its neighbours ask for the same more than RateLimit ({per_second}) times a second: \
             answers over UDP are held back. It may be a flood in their name; where it is not, add their \
             network to RateLimitExempt"
        );
    }
}

#[cfg(test)]
#[path = "rates/tests.rs"]
mod tests;
