//! Names that several would have, for `/v1/status`, the log and metrics. In: what the RecordSet counts
//! as it changes. Out: counts, and a bounded list in the order of names. It must never walk through
//! all names: it is made with each publication.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claims::Claim;
use super::directory::Directory;
use super::set::RecordSet;
use super::suffix::Suffix;
use crate::limits::{COLLISION_FRAMEWORKS_SHOWN_MAX, COLLISIONS_SHOWN_MAX};

/// What kind of collision it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A framework or task would have a reserved name. It gets none.
    Reserved,
    /// A framework would have a name that is another's. Its records are kept aside.
    OfAnother,
    /// Several frameworks have one name, and share what is below it.
    Shared,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Reserved, Self::OfAnother, Self::Shared];

    /// The word for metrics and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::OfAnother => "of_another",
            Self::Shared => "shared",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// With its final dot.
    pub name: Box<str>,
    pub kind: Kind,
    /// Frameworks, by the labels of their names; of `Shared` by their ids, some of them.
    pub wanted_by: Vec<Arc<str>>,
    /// Who has it: a framework, or the reserved name itself.
    pub belongs_to: Box<str>,
}

/// All collisions of a RecordSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collisions {
    counts: [usize; Kind::ALL.len()],
    /// By name, the first of them.
    pub shown: Vec<Collision>,
}

impl Collisions {
    pub fn count(&self, kind: Kind) -> usize {
        self.counts[kind as usize]
    }

    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}

impl RecordSet {
    /// The names that several would have.
    pub fn collisions(&self, domain: &str, soa_mname: &str) -> Arc<Collisions> {
        let directory = &self.directory;
        let contested = self.tree.contested();
        let counts = [
            self.refused.names.len(),
            contested.len(),
            directory.shared.len(),
        ];
        let max = COLLISIONS_SHOWN_MAX;
        let refused = self.refused.names.keys().take(max);
        let refused = refused.map(|(name, framework)| Collision {
            name: name.clone(),
            kind: Kind::Reserved,
            wanted_by: vec![framework.clone()],
            belongs_to: reserved_in(name, domain, soa_mname).into(),
        });
        let contested = contested.iter().take(max).map(|(name, &claims)| {
            let whose = |claim| framework_in(name, domain, claim);
            Collision {
                name: name.clone(),
                kind: Kind::OfAnother,
                wanted_by: claims.others().map(|claim| whose(claim).into()).collect(),
                belongs_to: claims.least().map_or("", whose).into(),
            }
        });
        let shared = directory.shared.iter().take(max).map(|(labels, ids)| {
            let ids = ids.iter().take(COLLISION_FRAMEWORKS_SHOWN_MAX);
            Collision {
                name: format!("{labels}.{domain}.").into(),
                kind: Kind::Shared,
                wanted_by: ids.cloned().collect(),
                belongs_to: Box::from(&**labels),
            }
        });
        let mut shown: Vec<Collision> = refused.chain(contested).chain(shared).collect();
        shown.sort_by(|a, b| (&a.name, a.kind, &a.wanted_by).cmp(&(&b.name, b.kind, &b.wanted_by)));
        shown.truncate(max);
        Arc::new(Collisions { counts, shown })
    }
}

/// Reserved names that frameworks would have, and how often.
#[derive(Default)]
pub(super) struct Refused {
    /// By name and the framework's labels.
    names: BTreeMap<(Box<str>, Arc<str>), u32>,
}

impl Refused {
    /// One source more would have the name, or one less.
    pub(super) fn count(&mut self, more: bool, left: &[u8], suffix: &Suffix) {
        let mut name = String::new();
        suffix.append_text(left, &mut name);
        let key = (name.into_boxed_str(), suffix.framework.clone());
        if more {
            *self.names.entry(key).or_default() += 1;
        } else if let Some(count) = self.names.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(&key);
            }
        }
    }
}

/// Frameworks of one name, by its labels.
pub(super) type Shared = BTreeMap<Arc<str>, Vec<Arc<str>>>;

impl Directory {
    /// Leaves those names that several frameworks have, with their ids in order.
    pub(super) fn shared_only(mut names: Shared) -> Shared {
        names.retain(|_, ids| {
            ids.sort_unstable();
            ids.dedup();
            ids.len() > 1
        });
        names
    }
}

/// What stands before the domain.
fn labels_in<'a>(name: &'a str, domain: &str) -> &'a str {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels = name.strip_suffix(domain).unwrap_or(name);
    labels.strip_suffix('.').unwrap_or(labels)
}

/// The labels of the framework that claims a name so.
fn framework_in<'a>(name: &'a str, domain: &str, claim: Claim) -> &'a str {
    let labels = labels_in(name, domain);
    let labels = labels.strip_suffix(".slave").unwrap_or(labels);
    let dots = labels.rmatch_indices('.').map(|(dot, _)| dot);
    let dot = dots.take(claim.label_count()).nth(claim.label_count() - 1);
    dot.map_or(labels, |dot| &labels[dot + 1..])
}

/// The reserved name that a name is, or stands below.
fn reserved_in(name: &str, domain: &str, soa_mname: &str) -> String {
    let mname = soa_mname.to_ascii_lowercase();
    let is_mname = name
        .strip_suffix(&*mname)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is_mname {
        return mname;
    }
    let labels = labels_in(name, domain);
    let last = labels.rsplit('.').next().unwrap_or_default();
    format!("{last}.{domain}.")
}
