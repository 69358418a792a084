//! One record of one owner, and how many sources give it. In: a source more or less. Out: whether the
//! record is there. It must never lose count, however many sources there are.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::records::claims::Claim;
use crate::records::rank::{PLACES, Rank};
use crate::records::set::Record;

/// One record of one owner. A large cluster has 2 million: no octet is spent in vain.
pub(super) struct Row {
    pub(super) owner: u32,
    pub(super) next_in_owner: u32,
    pub(super) next_referrer: u32,
    /// The IPv4 address, the target's node, a place in `ipv6`, or the number of a static record.
    pub(super) data: u32,
    pub(super) port: u16,
    pub(super) class: Class,
    pub(super) sources: Sources,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
    Ptr,
    Cname,
    Text,
}

/// How many there are.
pub(super) const KINDS: usize = 6;

impl Kind {
    /// Whether frameworks claim the owners of such records. That of a PTR record is an address, and the
    /// cluster has no CNAME and TXT records.
    pub(super) fn is_claimed(self) -> bool {
        matches!(self, Self::A | Self::Aaaa | Self::Srv)
    }

    /// Whether a row's data is another node.
    pub(super) fn has_target(self) -> bool {
        matches!(self, Self::Srv | Self::Ptr | Self::Cname)
    }

    pub(super) fn of(record: &Record) -> Self {
        match record {
            Record::A(_) => Self::A,
            Record::Aaaa(_) => Self::Aaaa,
            Record::Srv { .. } => Self::Srv,
            Record::Ptr { .. } => Self::Ptr,
            Record::Cname { .. } => Self::Cname,
            Record::Text { .. } => Self::Text,
        }
    }
}

/// Kind and rank of a record, in one octet. Sources that give one record with several ranks give as
/// many rows. Only addresses have every rank: SRV records have one for each health and claim, PTR
/// records for each claim, CNAME and TXT records one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u8);

impl Class {
    pub(super) fn new(kind: Kind, rank: Rank) -> Self {
        debug_assert!(Self::can_have(kind, rank), "a rank that the kind never has");
        let claim = rank.claim().number();
        Self(match kind {
            Kind::A => rank.number(),
            Kind::Aaaa => AAAA + rank.number(),
            Kind::Srv => SRV + claim * HEALTHS + rank.bare().number() / PLACES,
            Kind::Ptr => PTR + claim,
            Kind::Cname => CNAME,
            Kind::Text => TEXT,
        })
    }

    pub(super) fn can_have(kind: Kind, rank: Rank) -> bool {
        match kind {
            Kind::A | Kind::Aaaa => true,
            Kind::Srv => rank == rank.of_health(),
            Kind::Ptr => rank.bare() == Rank::PLAIN,
            Kind::Cname | Kind::Text => rank == Rank::PLAIN,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self.0 {
            TEXT.. => Kind::Text,
            CNAME => Kind::Cname,
            PTR.. => Kind::Ptr,
            SRV.. => Kind::Srv,
            AAAA.. => Kind::Aaaa,
            _ => Kind::A,
        }
    }

    pub(super) fn rank(self) -> Rank {
        match self.kind() {
            Kind::A => Rank::from_number(self.0),
            Kind::Aaaa => Rank::from_number(self.0 - AAAA),
            Kind::Srv => {
                let (claim, health) = ((self.0 - SRV) / HEALTHS, (self.0 - SRV) % HEALTHS);
                let bare = Rank::from_number(health * PLACES).of_health();
                bare.claimed(Claim::from_number(claim))
            }
            Kind::Ptr => Rank::PLAIN.claimed(Claim::from_number(self.0 - PTR)),
            Kind::Cname | Kind::Text => Rank::PLAIN,
        }
    }
}

const HEALTHS: u8 = Rank::BARE_COUNT / PLACES;
const AAAA: u8 = Rank::COUNT;
const SRV: u8 = AAAA + Rank::COUNT;
const PTR: u8 = SRV + Claim::COUNT * HEALTHS;
const CNAME: u8 = PTR + Claim::COUNT;
const TEXT: u8 = CNAME + 1;

/// How many sources give a record, up to `COUNT_MAX`, which says that `ManySources` has the count; and
/// a bit for whether the record was made since the last `settle`.
#[derive(Clone, Copy)]
pub(super) struct Sources(u8);

impl Sources {
    pub(super) fn one(fresh: bool) -> Self {
        Self(if fresh { FRESH | 1 } else { 1 })
    }

    /// At none the row is removed by `settle`.
    pub(super) fn is_none(self) -> bool {
        self.0 & !FRESH == 0
    }

    pub(super) fn is_fresh(self) -> bool {
        self.0 & FRESH != 0
    }

    pub(super) fn age(&mut self) {
        self.0 &= !FRESH;
    }

    fn set(&mut self, count: u8) {
        self.0 = self.0 & FRESH | count;
    }
}

/// Counts of the few rows with more sources than a row has room to count.
#[derive(Default)]
pub(super) struct ManySources(HashMap<u32, u32, RandomState>);

impl ManySources {
    /// One source more gives the row of this number.
    pub(super) fn gain(&mut self, number: u32, sources: &mut Sources) {
        let count = sources.0 & !FRESH;
        if count < COUNT_MAX {
            sources.set(count + 1);
        }
        if count + 1 >= COUNT_MAX {
            *self.0.entry(number).or_insert(u32::from(COUNT_MAX) - 1) += 1;
        }
    }

    /// One source less gives it.
    pub(super) fn lose(&mut self, number: u32, sources: &mut Sources) {
        let count = sources.0 & !FRESH;
        debug_assert!(count > 0, "a record is removed once too often");
        if count < COUNT_MAX {
            return sources.set(count.saturating_sub(1));
        }
        let left = self.0.get_mut(&number).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left < u32::from(COUNT_MAX) {
            self.0.remove(&number);
            sources.set(left as u8);
        }
    }
}

const FRESH: u8 = 1 << 7;
/// Small in tests, whose records have few sources.
const COUNT_MAX: u8 = if cfg!(test) { 2 } else { FRESH - 1 };
const _: () = assert!(size_of::<Row>() == 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_holds_every_kind_with_every_rank() {
        for number in 0..Rank::COUNT {
            let rank = Rank::from_number(number);
            assert_eq!(rank.bare().claimed(rank.claim()), rank);
            for kind in [
                Kind::A,
                Kind::Aaaa,
                Kind::Srv,
                Kind::Ptr,
                Kind::Cname,
                Kind::Text,
            ] {
                if Class::can_have(kind, rank) {
                    let class = Class::new(kind, rank);
                    assert!(class.kind() == kind && class.rank() == rank);
                }
            }
        }
    }

    #[test]
    fn as_many_sources_are_lost_as_were_gained() {
        let (mut many, mut sources) = (ManySources::default(), Sources::one(true));
        for _ in 0..1_000 {
            many.gain(7, &mut sources);
        }
        for _ in 0..1_000 {
            assert!(!sources.is_none() && sources.is_fresh());
            many.lose(7, &mut sources);
        }
        assert!(!sources.is_none() && many.0.is_empty());
        many.lose(7, &mut sources);
        assert!(sources.is_none() && sources.is_fresh());
    }
}
