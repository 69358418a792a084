//! Which of a name's records come first, and which are left out beside better ones. In: records with
//! their ranks. Out: those that are answered, best first. A record must never be lost with all others
//! of its kind: what there is is answered, however bad. In the same number stands whose framework claims
//! the name (see `claims`).

use super::claims::Claim;
use crate::limits::RRSET_RECORDS_MAX;

/// How good a record is; the least is the best. It is that of what the record was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(u8);

/// What a task's health does to its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// Behind all others.
    Last,
    /// Left out where there are others.
    Omitted,
}

impl Rank {
    /// The task's agent is on this host.
    pub(super) const HOST: Self = Self(0);
    /// In the same zone.
    pub(super) const ZONE: Self = Self(1);
    /// In the same region.
    pub(super) const REGION: Self = Self(2);
    /// That of most records, and of all where no rule tells them apart.
    pub const PLAIN: Self = Self(PLACES - 1);
    /// Every rank of one claim is below this.
    pub(super) const BARE_COUNT: u8 = 3 * PLACES;
    /// Every rank is below this.
    pub(super) const COUNT: u8 = Self::BARE_COUNT * Claim::COUNT;

    /// The same, of a task of this health.
    pub(super) fn with(self, health: Health) -> Self {
        let place = self.0 % PLACES;
        let bare = Self(match health {
            Health::Good => place,
            Health::Last => place + PLACES,
            Health::Omitted => place + 2 * PLACES,
        });
        bare.claimed(self.claim())
    }

    /// The same, of a name that is claimed so.
    pub(super) fn claimed(self, claim: Claim) -> Self {
        Self(claim.number() * Self::BARE_COUNT + self.bare().0)
    }

    pub(super) fn claim(self) -> Claim {
        Claim::from_number(self.0 / Self::BARE_COUNT)
    }

    /// Without the claim.
    pub(super) fn bare(self) -> Self {
        Self(self.0 % Self::BARE_COUNT)
    }

    /// Without regard to where the task is.
    pub(super) fn of_health(self) -> Self {
        Self(self.0 - self.0 % PLACES + Self::PLAIN.0)
    }

    /// The task is not healthy.
    pub fn is_unhealthy(self) -> bool {
        self.bare().0 >= PLACES
    }

    /// It is left out where there are better ones.
    pub fn is_omitted(self) -> bool {
        self.bare().0 >= 2 * PLACES
    }

    /// What `explain` adds to a record's sentence.
    pub(super) fn explained(self) -> String {
        let place = match Self(self.0 % PLACES) {
            Self::HOST => "; on this host: PreferLocal puts it first",
            Self::ZONE => "; in this host's zone: PreferLocal puts it behind this host's",
            Self::REGION => "; in this host's region: PreferLocal puts it behind this zone's",
            _ => "",
        };
        let health = match (self.is_unhealthy(), self.is_omitted()) {
            (_, true) => "; it is not healthy: Unhealthy leaves it out beside healthy ones",
            (true, _) => "; it is not healthy: Unhealthy puts it last",
            _ => "",
        };
        format!("{place}{health}")
    }

    pub(super) fn number(self) -> u8 {
        self.0
    }

    pub(super) fn from_number(number: u8) -> Self {
        Self(number)
    }
}

/// Leaves of one name's records of one type those that are answered: each once, with its best rank;
/// sorted by rank, and within it by data. The first of too many.
pub fn choose<T: Ord + Copy>(records: &mut Vec<(Rank, T)>) {
    let Some(&(first, _)) = records.first() else {
        return;
    };
    // Nearly always.
    if records.iter().all(|&(rank, _)| rank == first) {
        if records.len() > RRSET_RECORDS_MAX {
            records.select_nth_unstable_by_key(RRSET_RECORDS_MAX, |&(_, data)| data);
            records.truncate(RRSET_RECORDS_MAX);
        }
        records.sort_unstable_by_key(|&(_, data)| data);
        // A static record may be one of the cluster's as well.
        return records.dedup_by_key(|&mut (_, data)| data);
    }
    records.sort_unstable_by_key(|&(rank, data)| (data, rank));
    records.dedup_by_key(|&mut (_, data)| data);
    if records.iter().any(|(rank, _)| !rank.is_omitted()) {
        records.retain(|(rank, _)| !rank.is_omitted());
    }
    records.sort_unstable();
    records.truncate(RRSET_RECORDS_MAX);
}

/// Ranks of each health.
pub(super) const PLACES: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Rank = Rank(2 * PLACES - 1);
    const OMITTED: Rank = Rank(3 * PLACES - 1);

    fn chosen(mut records: Vec<(Rank, u8)>) -> Vec<(Rank, u8)> {
        choose(&mut records);
        records
    }

    #[test]
    fn ranks_of_health_are_as_their_names_say() {
        assert_eq!(Rank::PLAIN.with(Health::Good), Rank::PLAIN);
        assert_eq!(Rank::PLAIN.with(Health::Last), LAST);
        assert_eq!(Rank::PLAIN.with(Health::Omitted), OMITTED);
        assert!(LAST.is_unhealthy() && !LAST.is_omitted() && OMITTED.is_omitted());
        assert!(!Rank::PLAIN.is_unhealthy() && OMITTED.0 < Rank::BARE_COUNT);
    }

    #[test]
    fn a_claim_stands_beside_all_else_that_a_rank_says() {
        for number in 0..Claim::COUNT {
            let claim = Claim::from_number(number);
            for rank in [Rank::HOST, Rank::PLAIN, LAST, OMITTED] {
                let claimed = rank.claimed(claim);
                assert!(claimed.claim() == claim && claimed.bare() == rank);
                assert!(claimed.is_omitted() == rank.is_omitted());
                assert_eq!(claimed.of_health(), rank.of_health().claimed(claim));
                let omitted = claimed.with(Health::Omitted);
                assert_eq!(omitted, rank.with(Health::Omitted).claimed(claim));
            }
        }
    }

    #[test]
    fn record_counts_once_with_the_best_of_its_ranks() {
        let records = vec![(LAST, 1), (Rank::PLAIN, 2), (Rank::PLAIN, 1), (LAST, 3)];
        let wanted = [(Rank::PLAIN, 1), (Rank::PLAIN, 2), (LAST, 3)];
        assert_eq!(chosen(records), wanted);
    }

    #[test]
    fn omitted_records_are_left_out_beside_others_and_kept_alone() {
        let records = vec![(OMITTED, 1), (Rank::PLAIN, 2), (OMITTED, 3)];
        assert_eq!(chosen(records), [(Rank::PLAIN, 2)]);
        let alone = vec![(OMITTED, 3), (OMITTED, 1)];
        assert_eq!(chosen(alone), [(OMITTED, 1), (OMITTED, 3)]);
        assert_eq!(chosen(vec![]), []);
    }
}
