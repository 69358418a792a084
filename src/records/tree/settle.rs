//! The end of a round of changes to the tree. In: the nodes that were touched. Out: the names whose
//! answers may differ; what no source gives any more is taken out of every list and used again.

use super::Node;
use super::contest::Contest;
use super::row::{Kind, Row};
use super::{
    ABOVE, CHANGED, EXISTED, FREED, MANY, NONE, PINNED, SWEEP, TOUCHED, Tree, hash_label, label_of,
};
use crate::records::set::NameId;

impl Tree {
    /// Ends a round of changes: removes the records that no source gives any more, and returns the
    /// names whose answers may differ from before the round.
    pub(in crate::records) fn settle(&mut self) -> Vec<NameId> {
        let touched = std::mem::take(&mut self.touched);
        let mut round = Round::default();
        for &node in &touched {
            self.settle_node(node, &mut round);
        }
        for &target in &round.targets {
            self.sweep_referrers(target);
        }
        for &(node, is_anothers) in &round.readdressed {
            let mut row = self.nodes[node as usize].first_referrer;
            while row != NONE {
                let Row { owner, class, .. } = self.rows[row as usize];
                let kind = class.kind();
                if kind == Kind::Srv || kind == Kind::Ptr && is_anothers {
                    self.mark_changed(owner, &mut round.changed);
                }
                row = self.rows[row as usize].next_referrer;
            }
        }
        for &row in &round.dead {
            let Row { class, data, .. } = self.rows[row as usize];
            if class.kind() == Kind::Aaaa {
                self.free_ipv6.push(data);
            }
            self.free_rows.push(row);
        }
        for &node in touched.iter().chain(&round.targets) {
            if !self.is_needed(node) {
                self.dying.push(node);
            }
        }
        let mut changed = Vec::with_capacity(round.changed.len());
        for &node in &round.changed {
            self.nodes[node as usize].flags &= !CHANGED;
            changed.push(NameId(node));
        }
        changed
    }

    fn settle_node(&mut self, node: u32, round: &mut Round) {
        let flags = self.nodes[node as usize].flags;
        self.nodes[node as usize].flags &= !(TOUCHED | EXISTED);
        let mut changed = (flags & EXISTED != 0) != self.is_name(node);
        let mut readdressed = false;
        let (mut contest, has_claims) = (Contest::default(), self.has_claims());
        let mut previous = NONE;
        let mut row = self.nodes[node as usize].first_row;
        while row != NONE {
            let Row {
                next_in_owner,
                sources,
                data,
                class,
                ..
            } = self.rows[row as usize];
            let kind = class.kind();
            // A record that came and went within the round was never answered.
            let is_live = !sources.is_none();
            let differs = sources.is_fresh() == is_live;
            changed |= differs;
            if has_claims {
                contest.see(class, !sources.is_fresh(), is_live);
            }
            readdressed |= differs && matches!(kind, Kind::A | Kind::Aaaa);
            self.rows[row as usize].sources.age();
            if is_live {
                previous = row;
            } else {
                if flags & MANY != 0 {
                    self.unindex_row(row);
                }
                match previous {
                    NONE => self.nodes[node as usize].first_row = next_in_owner,
                    _ => self.rows[previous as usize].next_in_owner = next_in_owner,
                }
                round.dead.push(row);
                if kind.has_target() && self.nodes[data as usize].flags & SWEEP == 0 {
                    self.nodes[data as usize].flags |= SWEEP;
                    round.targets.push(data);
                }
            }
            row = next_in_owner;
        }
        if self.nodes[node as usize].first_row == NONE {
            self.nodes[node as usize].flags &= !MANY;
        }
        if changed && (flags & ABOVE == 0 || flags & EXISTED != 0) {
            self.mark_changed(node, &mut round.changed);
        }
        let is_anothers = has_claims && contest.is_decided_anew();
        if has_claims {
            self.note_contest(node, contest.after);
        }
        if readdressed || is_anothers {
            round.readdressed.push((node, is_anothers));
        }
    }

    fn mark_changed(&mut self, node: u32, changed: &mut Vec<u32>) {
        if self.nodes[node as usize].flags & CHANGED == 0 {
            self.nodes[node as usize].flags |= CHANGED;
            changed.push(node);
        }
    }

    fn unindex_row(&mut self, row: u32) {
        let hash = self.hash_row(row);
        if let Ok(entry) = self.many.find_entry(hash, |&other| other == row) {
            entry.remove();
        }
    }

    fn sweep_referrers(&mut self, target: u32) {
        self.nodes[target as usize].flags &= !SWEEP;
        let mut previous = NONE;
        let mut row = self.nodes[target as usize].first_referrer;
        while row != NONE {
            let Row {
                next_referrer,
                sources,
                ..
            } = self.rows[row as usize];
            if !sources.is_none() {
                previous = row;
            } else if previous == NONE {
                self.nodes[target as usize].first_referrer = next_referrer;
            } else {
                self.rows[previous as usize].next_referrer = next_referrer;
            }
            row = next_referrer;
        }
    }

    fn is_needed(&self, node: u32) -> bool {
        let node = &self.nodes[node as usize];
        node.first_row != NONE
            || node.first_referrer != NONE
            || node.children > 0
            || node.parent == NONE
            || node.flags & (PINNED | ABOVE) != 0
    }

    /// Frees the nodes that the last round left without need. Their numbers are given out again.
    pub(in crate::records) fn bury(&mut self) {
        for mut node in std::mem::take(&mut self.dying) {
            while self.nodes[node as usize].flags & FREED == 0 && !self.is_needed(node) {
                let parent = self.nodes[node as usize].parent;
                self.free_node(node);
                self.nodes[parent as usize].children -= 1;
                node = parent;
            }
        }
    }

    fn free_node(&mut self, node: u32) {
        let Node {
            parent,
            label_offset,
            label_bytes,
            ..
        } = self.nodes[node as usize];
        let hash = hash_label(
            &self.hasher,
            parent,
            label_of(&self.labels, &self.nodes[node as usize]),
        );
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == node) {
            entry.remove();
        }
        self.free_labels[usize::from(label_bytes)].push(label_offset);
        self.nodes[node as usize].flags = FREED;
        self.free_nodes.push(node);
    }
}

/// What `settle` gathers.
#[derive(Default)]
struct Round {
    changed: Vec<u32>,
    /// Names whose addresses changed, and whether others' records are answered there now.
    readdressed: Vec<(u32, bool)>,
    /// Rows out of their owner's list.
    dead: Vec<u32>,
    /// Targets of dead rows.
    targets: Vec<u32>,
}
