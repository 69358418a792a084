//! Whose a name is that several frameworks would have. In: frameworks' names. Out: a claim for each,
//! and of several claims to one name the one that counts. It must never depend on the order of a
//! document, nor on who came first.
//!
//! A framework chooses its name, and so where its names stand; its tasks choose theirs below it. All
//! ways in which names of two frameworks can meet follow from how they are made (`task_names`):
//!
//! * Two frameworks of one name (after mangling): their names are the same space, as in mesos-dns, where
//!   a framework that failed over and its successor, or two Marathons, are answered together. They are
//!   listed as collisions, and nothing is left out.
//! * The one's name ends in the other's: `web.marathon` and `marathon`. The scheduler of the former has
//!   its address at `web.marathon.mesos`, where a task `web` of the latter has it; a task `a` of the
//!   former has `a.web.marathon.mesos`, as has a DiscoveryInfo name `a.web` of the latter, which is
//!   entered as it stands; a DiscoveryInfo name `_a._tcp.web` meets the SRV records of `a`, and
//!   `_framework._tcp.web` those of the scheduler. All of it again below `.slave`, and in the PTR
//!   records that point to such names.
//! * Nothing else. Labels of frameworks have no `_`, so that no framework stands at or below `_tcp` or
//!   `_udp`, nor beside `_leader._tcp` and `_slave._tcp` of the domain. A framework whose name ends in
//!   `.slave`, `.leader`, `.master`, `.masterN` or SOAMname is reserved (`suffix`), so that names outside
//!   of `.slave` never meet those in it. Host names of agents and ids make no names of their own: the
//!   tail of an agent's id is the end of a label, or is left out.
//!
//! In the second case mesos-dns answers the records of both. Here the name belongs to the framework whose
//! own name has fewer labels, as DNS would have it: who holds `marathon.mesos` holds what is below. So
//! a framework that calls itself `web.marathon` takes nothing from Marathon's task `web`; it has the name
//! only while Marathon has no record there. Records of the others are kept aside, the name is counted
//! and listed, and `explain` shows each. Static records are the operator's: they stand beside either.

use std::net::IpAddr;

use super::build::{Data, Emitter, Sink, Why};
use super::left_out::Reason;
use super::rank::Rank;
use super::suffix::Suffix;
use super::task_names::Scratch;
use crate::limits::FRAMEWORK_LABELS_MAX;

/// How a name is claimed: by a framework of so many labels, or not at all. The least has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Claim(u8);

impl Claim {
    /// That of frameworks whose name is one label, which nothing can take a name from; and of the names
    /// that nobody else can have.
    pub(super) const FIRST: Self = Self(0);
    /// That of static records: it takes no name from anybody, and loses none.
    pub(super) const BESIDE: Self = Self(FRAMEWORK_LABELS_MAX as u8);
    pub(super) const COUNT: u8 = Self::BESIDE.0 + 1;

    /// `None`: it has more labels than frameworks may have.
    pub(super) fn of_framework(labels: &str) -> Option<Self> {
        let dots = labels.bytes().filter(|&octet| octet == b'.').count();
        (dots < FRAMEWORK_LABELS_MAX).then_some(Self(dots as u8))
    }

    /// How many labels the framework's name has.
    pub(super) fn label_count(self) -> usize {
        usize::from(self.0) + 1
    }

    pub(super) fn number(self) -> u8 {
        self.0
    }

    pub(super) fn from_number(number: u8) -> Self {
        Self(number)
    }
}

/// The claims that one name has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims(u16);

impl Claims {
    pub(super) fn add(&mut self, claim: Claim) {
        if claim != Claim::BESIDE {
            self.0 |= 1 << claim.0;
        }
    }

    /// The one that counts.
    pub(super) fn least(self) -> Option<Claim> {
        (self.0 != 0).then(|| Claim(self.0.trailing_zeros() as u8))
    }

    pub(super) fn is_contested(self) -> bool {
        self.0 & self.0.wrapping_sub(1) != 0
    }

    /// Whether a record that is claimed so is answered.
    pub(super) fn allow(self, claim: Claim) -> bool {
        claim == Claim::BESIDE || self.least().is_none_or(|least| claim <= least)
    }

    /// Each but the one that counts.
    pub(super) fn others(self) -> impl Iterator<Item = Claim> {
        let others = self.0 & self.0.wrapping_sub(1);
        (0..Claim::BESIDE.0)
            .filter(move |number| others & 1 << number != 0)
            .map(Claim)
    }
}

const _: () = assert!(Claim::COUNT <= u16::BITS as u8);

/// The claims to a few names, as `explain` wants them: worked out from the whole World at one go.
pub(super) fn claims_to(emitter: &Emitter<'_>, names: &[&str]) -> Vec<Claims> {
    let mut finder = Finder {
        names,
        rank: Rank::PLAIN,
        claims: vec![Claims::default(); names.len()],
    };
    let cluster = &emitter.world().cluster;
    let mut frameworks = cluster.frameworks.iter();
    // Nearly always nobody could contest any.
    if names.is_empty() || !frameworks.any(|framework| framework.name.contains('.')) {
        return finder.claims;
    }
    for framework in cluster.frameworks.iter() {
        emitter.framework(framework, &mut finder);
    }
    let mut scratch = Scratch::default();
    for task in cluster.tasks.iter() {
        emitter.task(task, &mut finder, &mut scratch);
    }
    finder.claims
}

struct Finder<'a> {
    names: &'a [&'a str],
    rank: Rank,
    claims: Vec<Claims>,
}

impl Sink for Finder<'_> {
    /// Place among the names that are looked for.
    type Name = Option<usize>;

    fn name(&mut self, left: &[u8], suffix: &Suffix) -> Option<usize> {
        self.names.iter().position(|name| {
            let rest = name.strip_suffix(&*suffix.text).map(str::as_bytes);
            rest.is_some_and(|rest| match left.is_empty() {
                true => rest.is_empty(),
                false => rest.strip_suffix(b".") == Some(left),
            })
        })
    }

    fn reverse(&mut self, _address: IpAddr) -> Option<usize> {
        None
    }

    fn add(&mut self, owner: Option<usize>, _data: Data<Option<usize>>, _why: Why) {
        if let Some(claims) = owner.and_then(|place| self.claims.get_mut(place)) {
            claims.add(self.rank.claim());
        }
    }

    fn left_out(&mut self, _reason: Reason, _name: Option<(&[u8], &Suffix)>) {}

    fn rank(&mut self, rank: Rank) {
        self.rank = rank;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framework_of_fewest_labels_has_the_name() {
        let claim = |labels| Claim::of_framework(labels).expect("few labels");
        let mut claims = Claims::default();
        assert!(claims.allow(claim("a.b")) && !claims.is_contested());
        claims.add(claim("x.a.b"));
        claims.add(Claim::BESIDE);
        assert!(!claims.is_contested() && claims.allow(claim("x.a.b")));
        claims.add(claim("a.b"));
        assert!(claims.is_contested());
        assert!(claims.allow(claim("a.b")) && !claims.allow(claim("x.a.b")));
        assert!(claims.allow(Claim::BESIDE));
        assert_eq!(claims.others().collect::<Vec<_>>(), [claim("x.a.b")]);
        assert_eq!(claim("a.b").label_count(), 2);
    }

    #[test]
    fn a_framework_has_a_bounded_number_of_labels() {
        let labels = ["a"; FRAMEWORK_LABELS_MAX].join(".");
        assert!(Claim::of_framework(&labels).is_some());
        assert_eq!(Claim::of_framework(&format!("a.{labels}")), None);
    }
}
