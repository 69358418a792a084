//! Tells of names that several would have. In: the collisions of each publication. Out: a line in the log
//! for the first of a kind, with how many there are. It must never write more than a line of each kind
//! in `REPEATED_TOLD_EVERY`, whatever frameworks do.

use std::time::Instant;

use tracing::{info, warn};

use crate::limits::REPEATED_TOLD_EVERY;
use crate::records::collisions::{Collision, Collisions, Kind};

/// What was told last, of each kind.
#[derive(Default)]
pub struct Clashes {
    told: [Told; Kind::ALL.len()],
}

#[derive(Clone, Copy, Default)]
struct Told {
    at: Option<Instant>,
    count: usize,
}

impl Clashes {
    pub fn tell(&mut self, collisions: &Collisions, now: Instant) {
        for kind in Kind::ALL {
            let count = collisions.count(kind);
            if !self.told[kind as usize].is_due(count, now) {
                continue;
            }
            let line = match collisions.shown.iter().find(|it| it.kind == kind) {
                Some(collision) => sentence(collision),
                None => format!("there are collisions of names ({})", kind.word()),
            };
            let line = format!("{line}; {count} such in all, /v1/status lists them");
            match kind {
                Kind::Shared => info!("{line}"),
                Kind::Reserved | Kind::OfAnother => warn!("{line}"),
            }
        }
    }
}

impl Told {
    /// Whether another count is to be told; then it is.
    fn is_due(&mut self, count: usize, now: Instant) -> bool {
        let is_soon = self
            .at
            .is_some_and(|at| now.saturating_duration_since(at) < REPEATED_TOLD_EVERY);
        if count == 0 || count == self.count || is_soon {
            return false;
        }
        *self = Self {
            at: Some(now),
            count,
        };
        true
    }
}

fn sentence(collision: &Collision) -> String {
    let Collision {
        name,
        kind,
        wanted_by,
        belongs_to,
    } = collision;
    let who: Vec<String> = wanted_by.iter().map(|who| format!("{who:?}")).collect();
    let who = who.join(", ");
    match kind {
        Kind::Reserved => {
            format!("framework {who} gets no record at {name}: {belongs_to} is reserved")
        }
        Kind::OfAnother => format!(
            "records of framework {who} at {name} are left out: framework {belongs_to:?} has the name"
        ),
        Kind::Shared => format!("several frameworks share {name}: {who}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_once_and_another_count_later() {
        let mut told = Told::default();
        let now = Instant::now();
        assert!(!told.is_due(0, now));
        assert!(told.is_due(1, now));
        // However often a framework comes and goes.
        for count in [0, 2, 1, 0, 5] {
            assert!(!told.is_due(count, now));
        }
        let later = now + REPEATED_TOLD_EVERY;
        assert!(!told.is_due(1, later) && !told.is_due(0, later));
        assert!(told.is_due(5, later));
    }
}
