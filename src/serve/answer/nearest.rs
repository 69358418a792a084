//! Addresses in the client's subnet first. In: an entry and what is asked. Out: its RRsets, each in up
//! to two parts. It must never put an address of an unhealthy task before one of a healthy task.

use super::Answer;
use crate::dns::rtype;
use crate::responses::layout::{Entry, RrSet};
use crate::responses::zone::Zone;

/// Which addresses of an RRset are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// Those in the client's subnet.
    Near,
    /// The others.
    Far,
}

impl Answer<'_> {
    /// The same with addresses in the client's subnet first. Those of unhealthy tasks, which stand
    /// behind an RRset without records, are last all the same.
    pub(super) fn nearest_first(
        &mut self,
        entry: &Entry<'_>,
        qtype: u16,
        zone: &Zone,
        random: &mut fastrand::Rng,
    ) -> bool {
        let wanted = |rrset: &RrSet<'_>| rrset.rtype == qtype || qtype == rtype::ANY;
        let (mut found, mut is_parted) = (false, false);
        for is_behind in [false, true] {
            for part in [Part::Near, Part::Far] {
                let mut parted = None;
                for rrset in entry.rrsets().filter(wanted) {
                    found = true;
                    if rrset.record_count == 0 {
                        parted = Some(rrset.rtype);
                        is_parted = true;
                    } else if (parted == Some(rrset.rtype)) == is_behind {
                        self.rrset(&rrset, part, zone, random);
                    }
                }
            }
            if !is_parted {
                break;
            }
        }
        found
    }
}
