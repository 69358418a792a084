//! What a name asked for may have been meant to be. In: the name, tasks, other names. Out: whether they
//! are alike. For people who misspelled one.

use super::World;
use super::labels::LabelRule;
use crate::mesos::cluster::Task;

/// What a name asked for may have been meant to be.
pub(super) struct Likeness {
    words: Vec<String>,
}

impl Likeness {
    /// The first labels of the name, without `_` and without what makes an instance name.
    pub(super) fn new(name: &str, domain: &str) -> Self {
        let below = name.trim_end_matches('.');
        let below = below
            .strip_suffix(domain)
            .unwrap_or(below)
            .trim_end_matches('.');
        let mut words = Vec::new();
        for label in below.split('.').take(2) {
            let label = label.strip_prefix('_').unwrap_or(label);
            if matches!(label, "" | "tcp" | "udp" | "slave") {
                continue;
            }
            words.push(label.to_owned());
            let mut parts = label.rsplitn(3, '-');
            if let (Some(_), Some(_), Some(name)) = (parts.next(), parts.next(), parts.next()) {
                words.push(name.to_owned());
            }
        }
        words.push(below.to_owned());
        Self { words }
    }

    pub(super) fn is_like_task(&self, task: &Task, world: &World) -> bool {
        let rule = LabelRule::from_flag(world.naming.rfc952);
        let discovery = task.discovery.as_ref().map(|info| &*info.name);
        [Some(&*task.name), discovery, Some(&*task.id)]
            .into_iter()
            .flatten()
            .any(|text| self.is_like(text) || self.is_word(&rule.label(text)))
    }

    pub(super) fn is_like(&self, text: &str) -> bool {
        self.is_word(&text.to_ascii_lowercase()) || self.is_word(&LabelRule::Rfc1123.label(text))
    }

    fn is_word(&self, text: &str) -> bool {
        !text.is_empty() && self.words.iter().any(|word| word == text)
    }
}

/// Levenshtein's distance, or `bound` where it is that or more.
pub(super) fn edit_distance(a: &[u8], b: &[u8], bound: usize) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        let mut least = row[0];
        for (place, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[place + 1];
            row[place + 1] = substituted.min(diagonal + 1).min(row[place] + 1);
            least = least.min(row[place + 1]);
        }
        if least >= bound {
            return bound;
        }
    }
    row[b.len()].min(bound)
}
