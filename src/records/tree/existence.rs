//! Which nodes of the tree exist as names. In: nodes that gain their first record or lose their last.
//! Out: whether a node exists, and how many do. An ancestor must never be told twice of one child.

use super::{ABOVE, FREED, NONE, PINNED, Tree};

impl Tree {
    /// Makes `apex` exist whatever it holds, and takes what stands above it out of the names.
    pub(in crate::records) fn pin(&mut self, apex: u32) {
        self.touch(apex);
        if !self.exists(apex) {
            self.began(apex);
        }
        self.nodes[apex as usize].flags |= PINNED;
        let mut node = self.nodes[apex as usize].parent;
        while node != NONE {
            self.put_above(node);
            node = self.nodes[node as usize].parent;
        }
    }

    pub(in crate::records) fn unpin(&mut self, apex: u32) {
        self.touch(apex);
        self.nodes[apex as usize].flags &= !PINNED;
        if !self.exists(apex) {
            self.ceased(apex);
        }
        for node in std::mem::take(&mut self.above) {
            self.touch(node);
            self.nodes[node as usize].flags &= !ABOVE;
        }
    }

    /// Takes a node out of the names, though names below it exist.
    pub(in crate::records) fn put_above(&mut self, node: u32) {
        if self.nodes[node as usize].flags & ABOVE == 0 {
            self.touch(node);
            self.nodes[node as usize].flags |= ABOVE;
            self.above.push(node);
        }
    }

    /// Takes a node back in among the names.
    pub(in crate::records) fn take_from_above(&mut self, node: u32) {
        if self.nodes[node as usize].flags & ABOVE != 0 {
            self.touch(node);
            self.nodes[node as usize].flags &= !ABOVE;
            self.above.retain(|&other| other != node);
        }
    }

    /// Called before the node exists: tells its ancestors.
    pub(super) fn began(&mut self, node: u32) {
        self.existing_count += 1;
        let mut parent = self.nodes[node as usize].parent;
        while parent != NONE {
            self.touch(parent);
            let existed = self.exists(parent);
            self.nodes[parent as usize].existing_children += 1;
            if existed {
                break;
            }
            self.existing_count += 1;
            parent = self.nodes[parent as usize].parent;
        }
    }

    /// Called after the node ceased to exist: tells its ancestors.
    pub(super) fn ceased(&mut self, node: u32) {
        self.existing_count -= 1;
        let mut parent = self.nodes[node as usize].parent;
        while parent != NONE {
            self.touch(parent);
            self.nodes[parent as usize].existing_children -= 1;
            if self.exists(parent) {
                break;
            }
            self.existing_count -= 1;
            parent = self.nodes[parent as usize].parent;
        }
    }

    /// Whether the node has records or names below it.
    pub(super) fn exists(&self, node: u32) -> bool {
        let node = &self.nodes[node as usize];
        node.live_rows > 0 || node.existing_children > 0 || node.flags & PINNED != 0
    }

    /// Whether the node exists and is ours.
    pub(in crate::records) fn is_name(&self, node: u32) -> bool {
        self.exists(node) && self.nodes[node as usize].flags & (ABOVE | FREED) == 0
    }

    pub(in crate::records) fn names(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.nodes.len() as u32).filter(|&node| self.is_name(node))
    }

    pub(in crate::records) fn name_count(&self) -> usize {
        let above = self.above.iter().filter(|&&node| self.exists(node)).count();
        self.existing_count - above
    }
}
