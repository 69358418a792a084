//! Paths of HTTP requests: decoded, cleaned and matched; a redirection leads to what is clean, and what
//! `explain` is asked for is told of without a fault.

use rollcall::http::route::{Route, clean_name, route};
use rollcall::records::explain::explain;

use super::world::small;

pub fn run(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*text, None),
    };
    for enumeration_on in [true, false] {
        match route(path, query, enumeration_on) {
            Route::Moved(target) => {
                // A browser that follows it must come to an end, and stay here.
                assert!(
                    target.starts_with('/') && !target.starts_with("//"),
                    "{path:?} {target:?}"
                );
                let (path, _) = target.split_once('?').unwrap_or((&target, ""));
                let next = route(path, None, enumeration_on);
                assert!(
                    !matches!(next, Route::Moved(_) | Route::BadEncoding),
                    "{target:?} {next:?}"
                );
            }
            Route::Host(name) | Route::Service(name) => {
                if let Some(clean) = clean_name(&name) {
                    assert!(clean.ends_with('.'));
                    assert!(!clean.contains(".*."), "{name:?} {clean:?}");
                }
            }
            Route::Explain(name) => {
                let explanation = explain(small(), &name);
                assert!(explanation.name.ends_with('.'));
            }
            _ => {}
        }
    }
}
