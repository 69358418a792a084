//! The line that `systemctl status` shows. In: how many names are served, and what is known of their
//! freshness. Out: one line. It must not change from one second to the next where nothing happens.

use crate::stats::freshness::{Freshness, SourceKind};

/// `names`: those of the table; `None`: there is none yet.
pub fn status_line(names: Option<usize>, freshness: &Freshness) -> String {
    let Some(names) = names else {
        let why = freshness.last_error.as_ref();
        let why = why.map_or_else(String::new, |(_, error)| format!(": {error}"));
        return format!("no records yet, no master has spoken{why}");
    };
    let leader = freshness.leader.as_deref().unwrap_or("an unknown leader");
    let source = match freshness.source {
        SourceKind::Stream => format!("the event stream of {leader}"),
        SourceKind::Poll => format!("the state of {leader}"),
        SourceKind::WarmStart | SourceKind::None => "the run before".to_owned(),
    };
    let tasks = freshness.counts.tasks;
    let age = freshness.age.map(|age| age.now().as_secs());
    let age = match age {
        None => "of unknown age".to_owned(),
        Some(0..60) => "less than a minute old".to_owned(),
        Some(seconds @ 60..7_200) => format!("{} min old", seconds / 60),
        Some(seconds) => format!("{} h old", seconds / 3_600),
    };
    format!("serving {names} names of {tasks} tasks from {source}, {age}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::*;
    use crate::stats::freshness::Age;

    #[test]
    fn line_says_what_is_served_from_whom_and_how_old_it_is() {
        let mut freshness = Freshness::default();
        assert_eq!(
            status_line(None, &freshness),
            "no records yet, no master has spoken"
        );
        freshness.last_error = Some((SystemTime::now(), "10.0.0.1:5050: refused".to_owned()));
        assert!(status_line(None, &freshness).ends_with("spoken: 10.0.0.1:5050: refused"));
        freshness.source = SourceKind::Poll;
        freshness.leader = Some("10.0.0.1:5050".to_owned());
        freshness.counts.tasks = 3;
        let mut line = |was| {
            let was = Duration::from_secs(was);
            freshness.age = Some(Age {
                at: Instant::now(),
                was,
            });
            status_line(Some(7), &freshness)
        };
        assert_eq!(
            line(5),
            "serving 7 names of 3 tasks from the state of 10.0.0.1:5050, less than a minute old"
        );
        assert!(line(150).ends_with(", 2 min old"));
        assert!(line(8_000).ends_with(", 2 h old"));
    }
}
