//! Connections by how long they have been idle. In: numbers of connections. Out: the one that made
//! no progress for the longest time. Every change of them takes constant time.

/// A doubly linked list over small numbers, oldest first. A number is in it at most once.
#[derive(Default)]
pub struct IdleList {
    links: Vec<Link>,
    oldest: Option<usize>,
    newest: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct Link {
    present: bool,
    older: Option<usize>,
    newer: Option<usize>,
}

impl IdleList {
    /// The number that was not renewed for the longest time.
    pub fn oldest(&self) -> Option<usize> {
        self.oldest
    }

    /// All numbers, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let newer = |number: &usize| self.links.get(*number).and_then(|link| link.newer);
        std::iter::successors(self.oldest, newer)
    }

    /// Puts a number at the newest end, wherever it was.
    pub fn renew(&mut self, number: usize) {
        self.remove(number);
        if self.links.len() <= number {
            self.links.resize(number + 1, Link::default());
        }
        let older = self.newest.replace(number);
        if let Some(link) = self.links.get_mut(number) {
            *link = Link {
                present: true,
                older,
                newer: None,
            };
        }
        match older.and_then(|older| self.links.get_mut(older)) {
            Some(link) => link.newer = Some(number),
            None => self.oldest = Some(number),
        }
    }

    /// Takes a number out, if it is in.
    pub fn remove(&mut self, number: usize) {
        let Some(link) = self.links.get_mut(number).filter(|link| link.present) else {
            return;
        };
        let Link { older, newer, .. } = std::mem::take(link);
        match older.and_then(|older| self.links.get_mut(older)) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.links.get_mut(newer)) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn list_agrees_with_a_plain_vector(steps in prop::collection::vec((any::<bool>(), 0..8_usize), 0..200)) {
            let mut list = IdleList::default();
            let mut model: Vec<usize> = Vec::new();
            for (renew, number) in steps {
                model.retain(|&other| other != number);
                if renew {
                    model.push(number);
                    list.renew(number);
                } else {
                    list.remove(number);
                }
                prop_assert_eq!(list.oldest(), model.first().copied());
                prop_assert_eq!(list.iter().collect::<Vec<_>>(), model.clone());
                prop_assert_eq!(list.newest, model.last().copied());
            }
        }
    }
}
