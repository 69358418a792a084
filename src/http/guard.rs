//! Who may ask for what changes something or reveals more than DNS does. In: a route and what the
//! request shows. Out: whether it may pass. It must never show the token, nor how much of it was right.
//!
//! A page in a browser asks its user for the token and sends it with `fetch`, in the header
//! `Authorization: Bearer TOKEN`; an `EventSource` cannot, so that a stream of events is read with
//! `fetch` too. It is not taken from the query of a URL, which histories and logs of proxies keep.

use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use super::route::Route;
use crate::config::Secret;
use crate::config::http::token_in;
use crate::watched::{Fault, Watched};

/// Whether a route asks for the token, where one is configured. Each is listed, so that a new one
/// cannot be forgotten.
pub fn needs_token(route: &Route) -> bool {
    match route {
        // They change something, list what DNS only answers to those who know a name, or show the
        // configuration and what stands behind the names.
        Route::FlushCache
        | Route::Enumerate
        | Route::Transfer
        | Route::Names
        | Route::Config
        | Route::Explain(_) => true,
        // The same as DNS says; probes, and numbers for those who watch: `/v1/live` tells no names then.
        Route::Host(_)
        | Route::Service(_)
        | Route::Version
        | Route::Ports
        | Route::Status
        | Route::Metrics
        | Route::Page
        | Route::Live
        | Route::Ready
        | Route::Health => false,
        Route::Moved(_) | Route::NotFound | Route::BadEncoding => false,
    }
}

/// Knows the token.
#[derive(Default)]
pub struct Guard(Mutex<Held>);

/// The token of the configuration that was seen last.
#[derive(Default)]
struct Held {
    secret: Secret,
    /// Where `secret` is a file. Without it nobody may pass.
    file: Option<Watched<Vec<u8>>>,
    /// That the file cannot be used was told.
    told: bool,
}

impl Guard {
    /// Whether a request with these headers may have a route that needs `secret`, where one is set.
    pub fn lets_pass(&self, headers: &HeaderMap, secret: &Secret) -> bool {
        if !secret.is_set() {
            return true;
        }
        let Some(shown) = shown_token(headers) else {
            return false;
        };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = held.token(secret);
        token.is_some_and(|token| bool::from(token.ct_eq(shown)))
    }
}

impl Held {
    fn token(&mut self, secret: &Secret) -> Option<&[u8]> {
        if self.secret != *secret {
            *self = Self {
                secret: secret.clone(),
                ..Self::default()
            };
        }
        let path = match &self.secret {
            Secret::Text(text) => return Some(text.as_bytes()),
            Secret::File(path) => path,
        };
        match &mut self.file {
            Some(file) => _ = file.look(false),
            none => {
                let read = Watched::read(vec![path.clone()], |contents| {
                    let token = token_in(&contents.concat()).map(<[u8]>::to_vec);
                    let fault = |why: &str| Fault {
                        file: 0,
                        why: why.to_owned(),
                    };
                    token.map_err(fault)
                });
                match read {
                    Ok(file) => *none = Some(file),
                    Err(error) if !self.told => {
                        tracing::error!("{error}; until it can be read no token is right");
                        self.told = true;
                    }
                    Err(_) => {}
                }
            }
        }
        self.file.as_ref().map(|file| file.value().as_slice())
    }
}

/// The token that a request shows (RFC 6750, 2.1). Two of them are none.
fn shown_token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (values.next()?, values.next());
    if second.is_some() {
        return None;
    }
    let (scheme, token) = first.as_bytes().split_at_checked(BEARER.len())?;
    scheme
        .eq_ignore_ascii_case(BEARER)
        .then(|| token.trim_ascii())
}

const BEARER: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect(value));
        }
        headers
    }

    #[test]
    fn only_the_token_itself_lets_pass() {
        let guard = Guard::default();
        let secret = Secret::Text("tokentoken".to_owned());
        for good in [
            "Bearer tokentoken",
            "bearer  tokentoken",
            "BEARER tokentoken ",
        ] {
            assert!(guard.lets_pass(&headers(&[good]), &secret), "{good}");
        }
        for bad in [
            &["Bearer tokentoke"][..],
            &["Bearer tokentokentoken"],
            &["Bearer "],
            &["Bearer"],
            &["tokentoken"],
            &["Basic tokentoken"],
            &["Bearer tokentoken", "Bearer tokentoken"],
            &[],
        ] {
            assert!(!guard.lets_pass(&headers(bad), &secret), "{bad:?}");
        }
    }

    #[test]
    fn without_a_token_everybody_passes_and_with_a_lost_file_nobody() {
        let guard = Guard::default();
        assert!(guard.lets_pass(&headers(&[]), &Secret::default()));
        let lost = Secret::File("/nowhere/token".into());
        assert!(!guard.lets_pass(&headers(&["Bearer x"]), &lost));
        assert!(!guard.lets_pass(&headers(&["Bearer "]), &lost));
        let text = Secret::Text("x".to_owned());
        assert!(guard.lets_pass(&headers(&["Bearer x"]), &text));
    }
}
