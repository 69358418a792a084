//! Remembers what was left out of a Cluster. In: the object and why. Out: a bounded list and exact
//! counts. It must never hold the objects themselves, which may be large and many.

use super::cluster::{Skipped, SkippedKind};
use crate::limits::{SKIPPED_KEPT_MAX, SKIPPED_TEXT_BYTES_MAX, STATE_OBJECT_BYTES_MAX};

/// What was left out: all of it counted, some of it kept.
#[derive(Default)]
pub struct Skips {
    pub kept: Vec<Skipped>,
    pub count: u64,
    /// Of these, the objects that could not be read.
    pub bad_count: u64,
}

impl Skips {
    pub fn add(&mut self, kind: SkippedKind, id: &str, name: &str, why: String) {
        self.add_with(kind, id, name, false, || why);
    }

    /// `expected`: see `Skipped`. `why` is not made where there is no room for it.
    pub fn add_with(
        &mut self,
        kind: SkippedKind,
        id: &str,
        name: &str,
        expected: bool,
        why: impl FnOnce() -> String,
    ) {
        self.count += 1;
        if self.kept.len() < SKIPPED_KEPT_MAX {
            self.kept.push(Skipped {
                kind,
                id: shorten(id).into(),
                name: shorten(name).into(),
                why: why().into(),
                expected,
            });
        }
    }

    /// An object that could not be decoded; its id and name are found where they can be.
    pub fn add_bad(&mut self, kind: SkippedKind, raw: &[u8], why: &str) {
        self.bad_count += 1;
        let value: serde_json::Value = serde_json::from_slice(raw).unwrap_or_default();
        let text = |key| value.get(key).and_then(|text| text.as_str());
        let name = text("name").or(text("hostname")).unwrap_or_default();
        let id = text("id").unwrap_or_default();
        self.add(kind, id, name, shorten(why).to_owned());
    }

    pub fn add_too_long(&mut self, kind: SkippedKind) {
        self.bad_count += 1;
        let why = format!("is longer than {STATE_OBJECT_BYTES_MAX} octets");
        self.add(kind, "", "", why);
    }

    pub fn append(&mut self, other: Self) {
        self.count += other.count;
        self.bad_count += other.bad_count;
        self.kept.extend(other.kept);
        self.kept.truncate(SKIPPED_KEPT_MAX);
    }
}

/// The beginning of a text from the document, for messages.
pub fn shorten(text: &str) -> &str {
    match text
        .char_indices()
        .find(|(place, _)| *place > SKIPPED_TEXT_BYTES_MAX)
    {
        Some((place, _)) => &text[..place],
        None => text,
    }
}
