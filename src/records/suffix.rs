//! Suffixes: what a name ends in (`marathon.mesos`, `_tcp.marathon.slave.mesos`), worked out once
//! for each framework, with the names below it that are reserved. Text only; no tree.

use std::sync::Arc;

use super::claims::Claim;
use super::left_out::Reason;
use crate::dns::name;
use crate::limits::{LABEL_BYTES_MAX, NAME_BYTES_MAX};

/// The end of a name.
#[derive(Clone, Debug)]
pub(super) struct Suffix {
    /// Place in the emitter's list.
    pub(super) index: usize,
    /// Lower case, with its final dot.
    pub(super) text: Box<str>,
    wire_bytes: usize,
    guard: Guard,
    /// The framework whose names end so, as labels; empty for the domain.
    pub(super) framework: Arc<str>,
    pub(super) claim: Claim,
}

/// Which names that end so are reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Guard {
    Open,
    /// All: the suffix is a reserved name or stands below one.
    Closed,
    /// The one of these labels, and what stands below it.
    Closes(Box<str>),
    /// All, for the framework's name has too many labels.
    Deep,
}

impl Suffix {
    /// Appends the text of the name of these labels, none for the suffix itself.
    pub(super) fn append_text(&self, left: &[u8], text: &mut String) {
        text.extend(left.iter().copied().map(char::from));
        if !left.is_empty() {
            text.push('.');
        }
        text.push_str(&self.text);
    }

    /// The domain itself: names of masters, agents and the listener.
    pub(super) fn domain(domain: &str, index: usize) -> Self {
        let text = format!("{domain}.");
        // A domain that cannot be encoded takes no name at all.
        let wire_bytes = name::wire_from_text(&text).map_or(NAME_BYTES_MAX + 1, |wire| wire.len());
        Self {
            index,
            text: text.into(),
            wire_bytes,
            guard: Guard::Open,
            framework: Arc::default(),
            claim: Claim::FIRST,
        }
    }

    /// `labels` below the domain.
    pub(super) fn below(&self, labels: &str, reserved: &Reserved, index: usize) -> Self {
        Self {
            index,
            text: format!("{labels}.{}", self.text).into(),
            wire_bytes: self.wire_bytes + labels.len() + 1,
            guard: reserved.guard(labels),
            framework: Arc::default(),
            claim: Claim::FIRST,
        }
    }

    /// Whether the name of these labels (lower case, may be empty) can be entered.
    pub(super) fn check(&self, left: &[u8]) -> Result<(), Reason> {
        let left_bytes = if left.is_empty() { 0 } else { left.len() + 1 };
        if left_bytes > 0 {
            for label in left.split(|&octet| octet == b'.') {
                if label.is_empty() {
                    return Err(Reason::EmptyLabel);
                }
                if label.len() > LABEL_BYTES_MAX {
                    return Err(Reason::LabelTooLong);
                }
            }
        }
        if self.wire_bytes + left_bytes > NAME_BYTES_MAX {
            return Err(Reason::NameTooLong);
        }
        match &self.guard {
            Guard::Open => Ok(()),
            Guard::Closed => Err(Reason::Reserved),
            Guard::Deep => Err(Reason::TooManyLabels),
            Guard::Closes(labels) if is_at_or_below(left, labels.as_bytes()) => {
                Err(Reason::Reserved)
            }
            Guard::Closes(_) => Ok(()),
        }
    }
}

/// Names that tasks and frameworks cannot take.
pub(super) struct Reserved {
    /// `SOAMname` relative to the domain, lower case; `None` where it is outside or the domain.
    listener: Option<Box<str>>,
}

impl Reserved {
    pub(super) fn new(listener: Option<&str>) -> Self {
        Self {
            // One that is reserved anyway adds nothing; with `slave` it would close all of .slave.
            listener: listener
                .filter(|labels| !labels.is_empty() && !is_builtin(labels))
                .map(Into::into),
        }
    }

    /// Labels are relative to the domain and begin with a framework's name or what stands below.
    fn guard(&self, labels: &str) -> Guard {
        let Some(listener) = &self.listener else {
            return Guard::Open;
        };
        if is_at_or_below(labels.as_bytes(), listener.as_bytes()) {
            return Guard::Closed;
        }
        match listener
            .strip_suffix(labels)
            .and_then(|rest| rest.strip_suffix('.'))
        {
            Some(rest) => Guard::Closes(rest.into()),
            None => Guard::Open,
        }
    }
}

impl Suffix {
    /// A suffix of this framework.
    pub(super) fn of_framework(mut self, labels: &Arc<str>) -> Self {
        match Claim::of_framework(labels) {
            Some(claim) => self.claim = claim,
            None => self.guard = Guard::Deep,
        }
        self.framework = labels.clone();
        self
    }

    /// Closes a suffix of a framework whose own name is reserved.
    pub(super) fn closed_if(mut self, reserved: bool) -> Self {
        if reserved {
            self.guard = Guard::Closed;
        }
        self
    }
}

/// Whether a framework of this name would stand at or below `leader`, `master`, `masterN` or
/// `slave`.
pub(super) fn is_builtin(labels: &str) -> bool {
    let last = labels.rsplit('.').next().unwrap_or_default();
    match last.strip_prefix("master") {
        Some(number) => number.bytes().all(|octet| octet.is_ascii_digit()),
        None => matches!(last, "leader" | "slave"),
    }
}

fn is_at_or_below(labels: &[u8], name: &[u8]) -> bool {
    labels
        .strip_suffix(name)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_names_and_what_stands_below_them_are_reserved() {
        for name in [
            "slave",
            "x.slave",
            "leader",
            "master",
            "master0",
            "a.master12",
        ] {
            assert!(is_builtin(name), "{name}");
        }
        for name in ["masterx", "slaves", "slave.x", "web", "mymaster"] {
            assert!(!is_builtin(name), "{name}");
        }
    }

    #[test]
    fn the_listeners_name_is_closed_wherever_it_stands() {
        let domain = Suffix::domain("mesos", 0);
        let reserved = Reserved::new(Some("web.marathon"));
        let framework = domain.below("marathon", &reserved, 1);
        assert_eq!(framework.check(b"web"), Err(Reason::Reserved));
        assert_eq!(framework.check(b"x.web"), Err(Reason::Reserved));
        assert_eq!(framework.check(b"xweb"), Ok(()));
        assert_eq!(framework.check(b""), Ok(()));
        let below = domain.below("web.marathon", &reserved, 1);
        assert_eq!(below.check(b""), Err(Reason::Reserved));
    }

    #[test]
    fn lengths_are_checked_to_the_octet() {
        let domain = Suffix::domain("mesos", 0);
        assert_eq!(domain.check(&[b'a'; 63]), Ok(()));
        assert_eq!(domain.check(&[b'a'; 64]), Err(Reason::LabelTooLong));
        let long = [b'a'; 62];
        let mut left = [&long[..]; 4].join(&b'.');
        assert_eq!(left.len() + 1 + 7, 259);
        left.drain(..4);
        assert_eq!(domain.check(&left), Ok(()));
        left.push(b'a');
        assert_eq!(domain.check(&left), Err(Reason::NameTooLong));
        assert_eq!(domain.check(b"a..b"), Err(Reason::EmptyLabel));
    }
}
