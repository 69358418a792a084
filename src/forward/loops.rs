//! Upstreams that lead back to this server. In: names that were asked. Out: which upstream our own query
//! came back through. Shared by all answering threads.
//!
//! Queries are passed on as they are, with nothing of ours in them, so that a query that comes back looks
//! like anybody's. But it then meets itself: the same question is under way already. When that happens
//! the upstream is sent a question that nobody else can ask, a secret in a name below `test.` (RFC 6761,
//! 6.2). If that arrives here, through however many others, the upstream is shunned for a while.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::dns::message::flag;
use crate::dns::{class, rtype};
use crate::limits::LOOP_SHUNNED;

/// What the secret names end in.
const SUFFIX: &[u8] = b"\x04loop\x08rollcall\x04test\0";
/// Hexadecimal digits of a secret.
const SECRET_BYTES: u8 = 16;

#[derive(Default)]
pub struct Loops {
    secret: RandomState,
    shunned: ArcSwap<Vec<Shunned>>,
    changes: AtomicU64,
}

#[derive(Clone, Copy)]
struct Shunned {
    address: SocketAddr,
    until: Instant,
}

impl Loops {
    /// The query that finds out whether an upstream leads here; its ID is for the sender to fill in.
    pub fn probe(&self, address: SocketAddr) -> Vec<u8> {
        let [r0, r1] = flag::RD.to_be_bytes();
        let mut query = vec![0, 0, r0, r1, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(self.name(address));
        query.extend(rtype::A.to_be_bytes());
        query.extend(class::IN.to_be_bytes());
        query
    }

    fn name(&self, address: SocketAddr) -> Vec<u8> {
        let mut digits = String::with_capacity(usize::from(SECRET_BYTES));
        // Writing to a string cannot fail.
        let _ = write!(digits, "{:016x}", self.secret.hash_one(address));
        [&[SECRET_BYTES], digits.as_bytes(), SUFFIX].concat()
    }

    /// Which of these upstreams was sent the probe that asks for a name (wire format, lower case).
    pub fn upstream_of(
        &self,
        name: &[u8],
        mut upstreams: impl Iterator<Item = SocketAddr>,
    ) -> Option<SocketAddr> {
        upstreams.find(|address| self.name(*address) == name)
    }

    /// Whether a name may be that of a probe, ours or another's.
    pub fn is_probe(name: &[u8]) -> bool {
        name.ends_with(SUFFIX)
    }

    /// An upstream leads here: it is not asked for a while. True: that is news.
    pub fn shun(&self, address: SocketAddr, now: Instant) -> bool {
        let shunned = Shunned {
            address,
            until: now + LOOP_SHUNNED,
        };
        let before = self.shunned.rcu(|all| {
            let mut all: Vec<Shunned> = Vec::clone(all);
            all.retain(|one| one.address != address);
            all.push(shunned);
            all
        });
        let mut known = before.iter().filter(|one| one.address == address);
        // One that leads here still after its time was up is no news.
        let is_news = known.all(|one| one.until + 2 * LOOP_SHUNNED < now);
        // Pairs with the load in `changes`: who sees the number sees the list.
        self.changes.fetch_add(1, Ordering::Release);
        is_news
    }

    pub fn is_shunned(&self, address: SocketAddr, now: Instant) -> bool {
        let shunned = self.shunned.load();
        let mut shunned = shunned.iter();
        shunned.any(|one| one.address == address && now < one.until)
    }

    /// Changes with each `shun`.
    pub fn changes(&self) -> u64 {
        // Pairs with the store in `shun`.
        self.changes.load(Ordering::Acquire)
    }

    /// Those that are shunned now.
    pub fn shunned(&self, now: Instant) -> Vec<SocketAddr> {
        let shunned: Arc<_> = self.shunned.load_full();
        let shunned = shunned.iter().filter(|one| now < one.until);
        shunned.map(|one| one.address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::{LowerName, Parsed, parse};

    #[test]
    fn probe_names_its_upstream_to_the_process_that_sent_it_alone() {
        let [ours, theirs] = [Loops::default(), Loops::default()];
        let all = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 53)));
        for address in all {
            let mut name = LowerName::default();
            let parsed = parse(&ours.probe(address), &mut name);
            assert!(matches!(parsed, Parsed::Query(_)));
            let found = |loops: &Loops| loops.upstream_of(name.as_wire(), all.into_iter());
            assert_eq!(found(&ours), Some(address));
            assert_eq!(found(&theirs), None);
        }
        assert_eq!(ours.upstream_of(b"\x04test\0", all.into_iter()), None);
    }

    #[test]
    fn upstream_that_leads_here_is_shunned_for_a_while_and_told_of_once() {
        let (loops, now) = (Loops::default(), Instant::now());
        let address = SocketAddr::from(([192, 0, 2, 1], 53));
        assert!(!loops.is_shunned(address, now));
        assert!(loops.shun(address, now));
        assert!(!loops.shun(address, now));
        assert!(loops.is_shunned(address, now));
        assert_eq!(loops.shunned(now), [address]);
        let later = now + LOOP_SHUNNED;
        assert!(!loops.is_shunned(address, later));
        assert!(!loops.shun(address, later));
        assert!(loops.shun(address, later + 4 * LOOP_SHUNNED));
    }
}
