//! What is always told, since answers may be wrong by it: another leader, another source, a table that
//! lost much. In: what is so now. Out: a line in the log where it was otherwise before, with both. It
//! must never tell of the same thing twice.

use tracing::{info, warn};

use crate::limits::{SHRINKAGE_NAMES_MIN, SHRINKAGE_PART};
use crate::mesos::cluster::Endpoint;
use crate::stats::freshness::SourceKind;

/// What was told last.
#[derive(Default)]
pub struct Notable {
    leader: Option<Endpoint>,
    source: Option<(SourceKind, Endpoint)>,
    /// How many names there were before the table shrank.
    names_before: Option<usize>,
}

/// What became of the number of names.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Shrank { from: usize },
    GrewBack { first: usize },
}

impl Notable {
    /// Who leads, where that is known.
    pub fn leader(&mut self, leader: Option<&Endpoint>) {
        let Some(leader) = leader.filter(|leader| self.leader.as_ref() != Some(leader)) else {
            return;
        };
        if let Some(before) = self.leader.replace(leader.clone()) {
            warn!("the leading master is {leader} now, before it was {before}");
        } else {
            info!("the leading master is {leader}");
        }
    }

    /// Where the records come from.
    pub fn source(&mut self, kind: SourceKind, from: &Endpoint) {
        let before = self.source.replace((kind, from.clone()));
        let now = name_of(kind);
        match before {
            Some((was, at)) if was != kind => {
                let was = name_of(was);
                let line = format!(
                    "the records come from the {now} of {from} now, before from the {was} of {at}"
                );
                // With `auto` the stream is what is wanted, and the state what is left without it.
                match kind {
                    SourceKind::Stream => info!("{line}"),
                    _ => warn!("{line}"),
                }
            }
            Some(_) => {}
            None => info!("the records come from the {now} of {from} now"),
        }
    }

    /// A table was published: how many names the one before had, and this one has.
    pub fn names(&mut self, before: usize, now: usize) {
        match self.change(before, now) {
            Some(Change::Shrank { from }) => warn!(
                "the table shrank from {from} names to {now}; if that is not so in the cluster, look at \
                 what the master lists"
            ),
            Some(Change::GrewBack { first }) => {
                info!("the table has {now} names again, of {first} before it shrank");
            }
            None => {}
        }
    }

    fn change(&mut self, before: usize, now: usize) -> Option<Change> {
        let is_much = |of: usize| of >= SHRINKAGE_NAMES_MIN && now < of - of / SHRINKAGE_PART;
        if is_much(before) {
            // Of a table that shrinks on, what it was at first is to come back.
            let first = self.names_before.map_or(before, |first| first.max(before));
            self.names_before = Some(first);
            return Some(Change::Shrank { from: before });
        }
        let first = self.names_before.filter(|&first| !is_much(first))?;
        self.names_before = None;
        Some(Change::GrewBack { first })
    }
}

fn name_of(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "event stream",
        _ => "state",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_loses_more_than_a_quarter_of_twenty_names_shrank() {
        for (before, now, told) in [
            (100, 75, false),
            (100, 74, true),
            (20, 14, true),
            (20, 15, false),
            (19, 0, false),
            (0, 0, false),
            (10, 1000, false),
        ] {
            let change = Notable::default().change(before, now);
            assert_eq!(change.is_some(), told, "{before} {now} {change:?}");
        }
    }

    #[test]
    fn growth_back_is_told_once_and_measured_by_what_was_there_first() {
        let mut notable = Notable::default();
        let shrank = |from| Some(Change::Shrank { from });
        assert_eq!(notable.change(1000, 100), shrank(1000));
        assert_eq!(notable.change(100, 20), shrank(100));
        assert_eq!(notable.change(20, 700), None);
        let back = Some(Change::GrewBack { first: 1000 });
        assert_eq!(notable.change(700, 750), back);
        assert_eq!(notable.change(750, 800), None);
    }
}
