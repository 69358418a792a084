//! Names that several frameworks claim. In: the ranks of their rows. Out: whose records are answered, and
//! which names they are. Where no framework's name has a dot it must cost nothing.

use std::collections::BTreeMap;

use super::Tree;
use super::row::Class;
use super::{CONTESTED, NONE};
use crate::dns::name::text_from_wire;
use crate::records::claims::{Claim, Claims};
use crate::records::rank::Rank;
use crate::records::set::Record;

impl Tree {
    /// Whether there can be contests at all.
    pub(super) fn has_claims(&self) -> bool {
        self.ranks & CONTESTABLE != 0
    }

    /// The claims to a name.
    pub(super) fn claims(&self, node: u32) -> Claims {
        let mut claims = Claims::default();
        for row in self.rows_of(node).map(|row| &self.rows[row as usize]) {
            if row.class.kind().is_claimed() && !row.sources.is_none() {
                claims.add(row.class.rank().claim());
            }
        }
        claims
    }

    /// The records of a name that are answered, with their ranks but without claims.
    pub(in crate::records) fn answered(
        &self,
        owner: u32,
    ) -> impl Iterator<Item = (Rank, Record)> + '_ {
        let claims = match self.has_claims() {
            true => self.claims(owner),
            false => Claims::default(),
        };
        self.records(owner)
            .filter(move |(rank, record)| match record {
                // Who does not have a name has no address point to it.
                Record::Ptr { target } if rank.claim() != Claim::FIRST => {
                    self.claims(target.0).allow(rank.claim())
                }
                Record::Ptr { .. } => true,
                _ => claims.allow(rank.claim()),
            })
            .map(|(rank, record)| (rank.bare(), record))
    }

    /// Names that several claims meet at.
    pub(in crate::records) fn contested(&self) -> &BTreeMap<Box<str>, Claims> {
        &self.contested
    }

    pub(super) fn note_contest(&mut self, node: u32, claims: Claims) {
        let is_known = self.nodes[node as usize].flags & CONTESTED != 0;
        if !is_known && !claims.is_contested() {
            return;
        }
        let mut wire = Vec::new();
        self.append_wire(node, &mut wire);
        let name = text_from_wire(&wire);
        if claims.is_contested() {
            self.nodes[node as usize].flags |= CONTESTED;
            self.contested.insert(name.into(), claims);
        } else {
            self.nodes[node as usize].flags &= !CONTESTED;
            self.contested.remove(&*name);
        }
    }

    /// The same of all names, after they were made.
    pub(super) fn note_all_contests(&mut self) {
        if !self.has_claims() {
            return;
        }
        for node in 0..self.nodes.len() as u32 {
            if self.nodes[node as usize].first_row != NONE {
                let claims = self.claims(node);
                self.note_contest(node, claims);
            }
        }
    }
}

/// What the rows of one name claimed before a round of changes, and after.
#[derive(Default)]
pub(super) struct Contest {
    before: Claims,
    pub(super) after: Claims,
}

impl Contest {
    pub(super) fn see(&mut self, class: Class, was_live: bool, is_live: bool) {
        if class.kind().is_claimed() {
            let claim = class.rank().claim();
            if was_live {
                self.before.add(claim);
            }
            if is_live {
                self.after.add(claim);
            }
        }
    }

    /// Whether records of others are answered now.
    pub(super) fn is_decided_anew(&self) -> bool {
        self.before.least() != self.after.least()
    }
}

/// Every claim but the first, in whichever rank, and but that of static records.
const CONTESTABLE: u128 = {
    let all_but_static = (1_u128 << (Rank::BARE_COUNT * (Claim::COUNT - 1))) - 1;
    let first = (1_u128 << Rank::BARE_COUNT) - 1;
    all_but_static & !first
};
