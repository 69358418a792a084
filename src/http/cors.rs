//! Pages of other origins (the CORS protocol of the Fetch standard). In: a request, and whose pages the
//! configuration lists. Out: the headers that let such a page read the answer. A request without
//! `Origin` must never get another answer for it.
//!
//! No answer ever allows credentials in the protocol's sense, since no cookie means anything here: a
//! page sends its token itself, in `Authorization`. That header is allowed to the pages that are
//! listed one by one, not to everybody's (`*`).

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, Response, StatusCode};

use super::route::Route;
use super::stream::Body;
use crate::config::CorsOrigins;
use crate::limits::HTTP_PREFLIGHT_SECONDS;

/// Whose page asks.
#[derive(Debug, PartialEq)]
pub enum Page {
    /// None, or the configuration lists nobody: as if there were no such protocol.
    Nobodys,
    NotListed,
    /// Everybody's may read.
    Anybodys,
    /// One that is listed, with its origin.
    Listed(HeaderValue),
}

impl Page {
    pub fn of(headers: &HeaderMap, origins: &CorsOrigins) -> Self {
        let Some(origin) = headers.get(ORIGIN) else {
            return Self::Nobodys;
        };
        let is_origin = |listed: &String| listed.as_bytes() == origin.as_bytes();
        if origins.listed.iter().any(is_origin) {
            Self::Listed(origin.clone())
        } else if origins.any {
            Self::Anybodys
        } else if origins.listed.is_empty() {
            Self::Nobodys
        } else {
            Self::NotListed
        }
    }

    /// The answer to a browser that asks whether a page may send a request.
    pub fn preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
        route: &Route,
    ) -> Option<Response<Body>> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let allowed = match self {
            Self::Nobodys | Self::NotListed => return None,
            Self::Anybodys => "Content-Type",
            Self::Listed(_) => "Authorization, Content-Type",
        };
        let methods = match route {
            Route::NotFound | Route::BadEncoding | Route::Moved(_) => return None,
            Route::FlushCache => "POST",
            _ => "GET, HEAD",
        };
        let mut response = Response::new(Body::Whole(None));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(methods),
        );
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(allowed),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HTTP_PREFLIGHT_SECONDS.into());
        Some(response)
    }

    /// Has the page read the answer, where it may, and caches tell pages apart.
    pub fn mark(self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        let allowed = match self {
            Self::Nobodys => return,
            Self::NotListed => None,
            Self::Anybodys => Some(HeaderValue::from_static("*")),
            Self::Listed(origin) => Some(origin),
        };
        if let Some(allowed) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}
