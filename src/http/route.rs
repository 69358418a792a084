//! Paths of the HTTP interface. In: a request's path as sent. Out: which answer is wanted, or why
//! none. Pure. Paths are decoded, cleaned and matched in the order in which mesos-dns does it.

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Version,
    Config,
    Host(String),
    /// mesos-dns has the path and says 501 to it; so do we.
    Ports,
    Service(String),
    Enumerate,
    Transfer,
    Explain(String),
    Status,
    /// The status page.
    Page,
    /// What it follows.
    Live,
    /// A search over all names.
    Names,
    /// The one that takes POST and nothing else.
    FlushCache,
    Ready,
    Health,
    Metrics,
    /// 301 to the clean form of the path (no `//`, `.` or `..`).
    Moved(String),
    NotFound,
    /// The path's percent signs are not followed by two hexadecimal digits.
    BadEncoding,
}

/// Finds the route of a path, which is given still percent-encoded and without its query.
pub fn route(path: &str, query: Option<&str>, enumeration_on: bool) -> Route {
    let Some(decoded) = percent_decode(path) else {
        return Route::BadEncoding;
    };
    let clean = clean_path(&decoded);
    if clean != decoded {
        let mut target = percent_encode(&clean);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        return Route::Moved(target);
    }
    let segments: Vec<&[u8]> = trim_slashes(&decoded).split(|&o| o == b'/').collect();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match segments[..] {
        [b""] => Route::Page,
        [b"v1", b"version"] => Route::Version,
        [b"v1", b"config"] => Route::Config,
        [b"v1", b"hosts", host] => Route::Host(text(host)),
        [b"v1", b"hosts", _, b"ports"] => Route::Ports,
        [b"v1", b"services", service] => Route::Service(text(service)),
        [b"v1", b"enumerate"] if enumeration_on => Route::Enumerate,
        [b"v1", b"axfr"] if enumeration_on => Route::Transfer,
        [b"v1", b"explain", name] => Route::Explain(text(name)),
        [b"v1", b"status"] => Route::Status,
        [b"v1", b"live"] => Route::Live,
        [b"v1", b"names"] if enumeration_on => Route::Names,
        [b"v1", b"cache", b"flush"] => Route::FlushCache,
        [b"readyz"] => Route::Ready,
        [b"healthz"] => Route::Health,
        [b"metrics"] => Route::Metrics,
        _ => Route::NotFound,
    }
}

/// The name as DNS would ask for it: wildcard labels (`*`, but not the first) are cut out, lower
/// case, with a final dot. `None`: nothing is left.
pub fn clean_name(name: &str) -> Option<String> {
    let mut clean = String::with_capacity(name.len() + 1);
    for (index, label) in name.split('.').enumerate() {
        if index > 0 {
            if label == "*" {
                continue;
            }
            clean.push('.');
        }
        clean.push_str(&label.to_ascii_lowercase());
    }
    if clean.is_empty() {
        return None;
    }
    if !clean.ends_with('.') {
        clean.push('.');
    }
    Some(clean)
}

pub fn percent_decode(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut octets = path.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            decoded.push(octet);
            continue;
        }
        let high = char::from(octets.next()?).to_digit(16)?;
        let low = char::from(octets.next()?).to_digit(16)?;
        decoded.push((high * 16 + low) as u8);
    }
    Some(decoded)
}

fn percent_encode(path: &[u8]) -> String {
    let mut encoded = String::with_capacity(path.len());
    for &octet in path {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => encoded.push(char::from(octet)),
            b'/' | b'-' | b'_' | b'.' | b'~' | b'$' | b'+' | b',' | b':' | b'=' | b'@' => {
                encoded.push(char::from(octet));
            }
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

/// Without empty segments, `.` and `..`; a final slash is kept.
fn clean_path(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&o| o == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut clean = Vec::with_capacity(path.len() + 1);
    for segment in &kept {
        clean.push(b'/');
        clean.extend_from_slice(segment);
    }
    if clean.is_empty() || path.ends_with(b"/") {
        clean.push(b'/');
    }
    clean
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.strip_suffix(b"/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_and_without_final_slash_are_one() {
        for path in ["/v1/hosts/leader.mesos.", "/v1/hosts/leader.mesos./"] {
            assert_eq!(route(path, None, true), Route::Host("leader.mesos.".into()));
        }
        assert_eq!(route("/v1/hosts/x/ports/", None, true), Route::Ports);
        assert_eq!(route("/v1/version/", None, true), Route::Version);
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for path in [
            "/v1",
            "/v1/",
            "/v1/hosts",
            "/v1/hosts/",
            "/v1/services",
            "/v1/hosts/leader.mesos./x",
            "/v1/version/x",
            "/V1/version",
            "/v2/version",
            "/v1/hosts/a%2Fb",
            "/metrics/x",
        ] {
            assert_eq!(route(path, None, true), Route::NotFound, "{path}");
        }
    }

    #[test]
    fn enumeration_off_hides_enumerate_and_axfr() {
        assert_eq!(route("/v1/axfr", None, true), Route::Transfer);
        assert_eq!(route("/v1/axfr", None, false), Route::NotFound);
        assert_eq!(route("/v1/enumerate", None, false), Route::NotFound);
        assert_eq!(route("/v1/names", None, false), Route::NotFound);
    }

    #[test]
    fn unclean_paths_move_to_their_clean_form_and_keep_the_query() {
        for path in [
            "//v1/version",
            "/v1//version",
            "/v1/./version",
            "/v1/../v1/version",
        ] {
            assert_eq!(
                route(path, None, true),
                Route::Moved("/v1/version".into()),
                "{path}"
            );
        }
        assert_eq!(
            route("/v1/hosts/.", Some("a=b"), true),
            Route::Moved("/v1/hosts?a=b".into())
        );
    }

    #[test]
    fn names_are_decoded_once_and_bad_encodings_are_refused() {
        assert_eq!(
            route("/v1/hosts/%2e%2a", None, true),
            Route::Host(".*".into())
        );
        assert_eq!(
            route("/v1/hosts/%C3%A9.mesos", None, true),
            Route::Host("é.mesos".into())
        );
        assert_eq!(route("/v1/hosts/%zz", None, true), Route::BadEncoding);
        assert_eq!(route("/v1/hosts/%2", None, true), Route::BadEncoding);
    }

    #[test]
    fn only_whole_wildcard_labels_are_cut_out_of_names() {
        assert_eq!(clean_name("Web.*.mesos").as_deref(), Some("web.mesos."));
        assert_eq!(clean_name("web.mesos.*").as_deref(), Some("web.mesos."));
        assert_eq!(clean_name("web.*x.mesos").as_deref(), Some("web.*x.mesos."));
        assert_eq!(clean_name("*.mesos").as_deref(), Some("*.mesos."));
        assert_eq!(clean_name(".*"), None);
        assert_eq!(clean_name(""), None);
    }
}
