//! `GET /`: the status page, one document with its style and its script inside. In: the file that it was
//! built with. Out: its octets, and the header that forbids a browser to load or run anything else. It
//! must never hold what a stranger chose: the script asks for that, and shows it as text alone.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::serve::{HTML, respond};
use super::stream::Body;

const PAGE: &str = include_str!("page/status.html");

pub fn answer() -> Response<Body> {
    let mut response = respond(StatusCode::OK, HTML, Body::Whole(Some(PAGE.into())));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        // All are plain ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The Content-Security-Policy: the page's own style and script, by their hashes, and requests to the
/// server that it came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(inside("style")),
        hash(inside("script")),
    )
});

/// What stands between a tag and its end; there is one of each.
fn inside(tag: &str) -> &'static str {
    let begin = PAGE.split_once(&format!("<{tag}>"));
    let text = begin.and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
    text.map_or("", |(text, _)| text)
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_style_and_one_script_and_the_policy_names_both() {
        for tag in ["style", "script"] {
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "{tag}");
            assert!(inside(tag).len() > 100, "{tag}");
        }
        assert_eq!(POLICY.matches("'sha256-").count(), 2);
        assert_eq!(
            hash("abc"),
            "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='"
        );
    }

    #[test]
    fn the_page_brings_all_that_it_needs_and_writes_no_markup() {
        let lower = PAGE.to_ascii_lowercase();
        for word in ["src=", "@import", "url(", "<link rel=\"stylesheet"] {
            assert!(!lower.contains(word), "{word}");
        }
        // What a stranger chose is only ever text. Attributes that run, markup from strings: none.
        for word in [
            "innerhtml",
            "outerhtml",
            "insertadjacenthtml",
            "document.write",
            "eval(",
            "new function",
            " style=",
            "onclick",
            "onload",
            "onerror=",
        ] {
            assert!(!lower.contains(word), "{word}");
        }
    }
}
