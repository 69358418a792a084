//! Errors that come again and again. In: the text of each, when it comes. Out: what is to be told of it:
//! the first one, and then how often it came, now and then and at its end. It must never keep more
//! than a few texts, nor write to the log itself: who gives up tells.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::limits::{REPEATED_ERRORS_MAX, REPEATED_QUIET, REPEATED_TOLD_EVERY};

/// The errors of one kind of work, until it succeeds again.
#[derive(Debug, Default)]
pub struct Repeated {
    errors: VecDeque<Error>,
}

#[derive(Debug)]
struct Error {
    text: String,
    tally: Tally,
    first_at: Instant,
    told_at: Instant,
}

/// What is to be told of an error that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is new.
    First,
    /// It came so often since the first time.
    Again(Tally),
    /// It was told lately.
    Nothing,
}

/// How often an error came, and within which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub within: Duration,
}

impl Repeated {
    /// An error came.
    pub fn note(&mut self, text: &str, now: Instant) -> Telling {
        if let Some(error) = self.errors.iter_mut().find(|error| error.text == text) {
            error.tally.count += 1;
            error.tally.within = now.saturating_duration_since(error.first_at);
            if now.saturating_duration_since(error.told_at) < REPEATED_TOLD_EVERY {
                return Telling::Nothing;
            }
            error.told_at = now;
            return Telling::Again(error.tally);
        }
        if self.errors.len() == REPEATED_ERRORS_MAX {
            self.errors.pop_front();
        }
        self.errors.push_back(Error {
            text: text.to_owned(),
            tally: Tally {
                count: 1,
                within: Duration::ZERO,
            },
            first_at: now,
            told_at: now,
        });
        Telling::First
    }

    /// The work succeeded. How often it had failed, where it had.
    pub fn end(&mut self) -> Option<Tally> {
        let first_at = self.errors.iter().map(|error| error.first_at).min()?;
        let last_at = self.last_at()?;
        let count = self.errors.iter().map(|error| error.tally.count).sum();
        self.errors.clear();
        Some(Tally {
            count,
            within: last_at.saturating_duration_since(first_at),
        })
    }

    /// The same where it may well fail again at once: only after some time without an error.
    pub fn end_when_quiet(&mut self, now: Instant) -> Option<Tally> {
        let quiet = now.saturating_duration_since(self.last_at()?);
        match quiet < REPEATED_QUIET {
            true => None,
            false => self.end(),
        }
    }

    fn last_at(&self) -> Option<Instant> {
        let last = |error: &Error| error.first_at + error.tally.within;
        self.errors.iter().map(last).max()
    }
}

/// `once`, or `240 times in 20 min`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 1 {
            return f.write_str("once");
        }
        write!(f, "{} times in ", self.count)?;
        match self.within.as_secs() {
            0 => write!(f, "{} ms", self.within.as_millis()),
            seconds @ 1..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds => write!(f, "{} h", seconds / 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_is_told_once_then_counted_and_summed_up() {
        let (mut repeated, begin) = (Repeated::default(), Instant::now());
        assert_eq!(repeated.end(), None);
        assert_eq!(repeated.note("a", begin), Telling::First);
        let every = Duration::from_secs(5);
        let tellings = (1..240).map(|n| repeated.note("a", begin + every * n));
        let told: Vec<String> = tellings
            .filter_map(|telling| match telling {
                Telling::Again(tally) => Some(tally.to_string()),
                _ => None,
            })
            .collect();
        // 20 minutes less one step.
        let times = 1195 / REPEATED_TOLD_EVERY.as_secs();
        assert_eq!(told.len() as u64, times, "{told:?}");
        assert_eq!(
            repeated.end().map(|tally| tally.to_string()),
            Some("240 times in 19 min".to_owned())
        );
        assert_eq!(repeated.note("a", begin), Telling::First);
        assert_eq!(
            repeated.end().map(|tally| tally.to_string()),
            Some("once".into())
        );
    }

    #[test]
    fn errors_that_take_turns_are_each_told_once() {
        let (mut repeated, now) = (Repeated::default(), Instant::now());
        for round in 0..10 {
            for text in ["a", "b"] {
                let wanted = match round {
                    0 => Telling::First,
                    _ => Telling::Nothing,
                };
                assert_eq!(repeated.note(text, now), wanted);
            }
        }
        assert_eq!(repeated.end().map(|tally| tally.count), Some(20));
    }

    #[test]
    fn what_fails_now_and_then_is_over_when_it_was_quiet_for_a_while() {
        let (mut repeated, begin) = (Repeated::default(), Instant::now());
        assert_eq!(repeated.end_when_quiet(begin), None);
        assert_eq!(repeated.note("a", begin), Telling::First);
        let soon = begin + REPEATED_QUIET / 2;
        assert_eq!(repeated.end_when_quiet(soon), None);
        assert_eq!(repeated.note("a", soon), Telling::Nothing);
        let ended = repeated.end_when_quiet(soon + REPEATED_QUIET);
        assert_eq!(ended.map(|tally| tally.count), Some(2));
    }

    #[test]
    fn few_texts_are_kept() {
        let (mut repeated, now) = (Repeated::default(), Instant::now());
        for number in 0..10 * REPEATED_ERRORS_MAX {
            assert_eq!(repeated.note(&number.to_string(), now), Telling::First);
        }
        assert_eq!(repeated.errors.len(), REPEATED_ERRORS_MAX);
    }
}
