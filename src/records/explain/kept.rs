//! Which of a name's records are answered, and which are kept aside. In: the records that a Watcher
//! met. Out: those that are left out beside others, with the reason. What is not answered must never
//! be shown as if it were.

use super::super::build::Data;
use super::super::claims::{Claim, claims_to};
use super::super::explanation::ExplainedRecord;
use super::super::rank::Rank;
use super::{Span, Watcher};
use crate::limits::{EXPLAIN_SOURCES_MAX, RRSET_RECORDS_MAX};

impl Watcher<'_> {
    /// Whether a record of the name is of a framework that does not have the name.
    pub(super) fn is_anothers(&self, data: Data<Span>) -> bool {
        !matches!(data, Data::Ptr { .. }) && !self.claims.allow(self.rank.claim())
    }

    /// That of the present source to what its PTR records point to.
    pub(super) fn pointer_claim(&self) -> Claim {
        match self.rank.claim() {
            Claim::BESIDE => Claim::FIRST,
            claim => claim,
        }
    }

    pub(super) fn say_left_out(&mut self, text: String) {
        if self.left_out.len() < EXPLAIN_SOURCES_MAX && !self.left_out.contains(&text) {
            self.left_out.push(text);
        }
    }

    /// Puts the records aside that are left out beside better ones of their type, and those that point
    /// to a name which their framework does not have.
    pub(super) fn part_omitted(&mut self) {
        let records = std::mem::take(&mut self.explanation.records);
        let ranked: Vec<(Rank, ExplainedRecord)> = std::mem::take(&mut self.ranks)
            .into_iter()
            .zip(records)
            .collect();
        let pointers = ranked
            .iter()
            .filter(|(rank, record)| record.rtype == "PTR" && rank.claim() != Claim::FIRST);
        let targets: Vec<&str> = pointers.map(|(_, record)| &*record.data).collect();
        let claims = claims_to(self.emitter, &targets);
        let others: Vec<String> = targets
            .iter()
            .zip(claims)
            .filter(|(target, claims)| {
                let of_target = ranked.iter().find(|(_, record)| record.data == **target);
                of_target.is_some_and(|(rank, _)| !claims.allow(rank.claim()))
            })
            .map(|(target, _)| (*target).to_owned())
            .collect();
        for (rank, record) in ranked {
            let is_worse = rank.is_omitted() && self.types.contains(&record.rtype);
            if is_worse || record.rtype == "PTR" && others.contains(&record.data) {
                self.explanation.omitted.push(record);
                self.explanation.record_count -= 1;
            } else {
                self.explanation.records.push(record);
            }
        }
    }

    /// Says where there are more records than are answered.
    pub(super) fn say_crowded(&mut self) {
        if self.explanation.record_count > RRSET_RECORDS_MAX {
            let note = format!("{RRSET_RECORDS_MAX} records of each type are answered at the most");
            self.explanation.notes.push(note);
        }
    }
}
