//! The server's thread: connections in, responses out, on one single-threaded runtime. Long answers
//! are written on up to `HTTP_STREAMS_MAX` threads beside it, so that short ones never wait for them.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{Semaphore, oneshot};

use super::answers::{self, HostRows, ServiceRows};
use super::connections::Connections;
use super::cors::Page;
use super::enumerate::write_enumeration;
use super::guard::{self, Guard};
use super::idle::IdleBounded;
use super::live::Live;
use super::names::{self, Search};
use super::route::{self, Route};
use super::stream::{self, Body, Output, ReaderGone};
use super::{ConnectionLimits, HttpSettings, json, metrics, page, status, transfer};
use crate::config::Config;
use crate::limits::{
    HTTP_REQUEST_BODY_BYTES_MAX, HTTP_REQUEST_HEAD_BYTES_MAX, HTTP_REQUEST_HEADERS_MAX,
    HTTP_ROWS_AT_ONCE_MAX, HTTP_STOP_MS_MAX, HTTP_STREAM_WAIT_MS, HTTP_STREAMS_MAX,
    NAMES_SEARCHES_MAX,
};
use crate::records::explain;
use crate::responses::Snapshot;
use crate::responses::publish::{Published, served};
use crate::sys::priority;
use crate::sys::process::{self, Usage};

/// What all requests share.
struct Shared {
    settings: HttpSettings,
    published: Published,
    streams: Arc<Semaphore>,
    searches: Semaphore,
    live: Live,
    guard: Guard,
}

/// The body of the thread; returns when `stopped` says so or its other end is gone.
pub fn run(
    listener: TcpListener,
    settings: HttpSettings,
    published: Published,
    limits: ConnectionLimits,
    stopped: oneshot::Receiver<()>,
) {
    if let Err(error) = priority::give_way() {
        tracing::debug!(%error, "the HTTP thread keeps its priority");
    }
    let shared = Arc::new(Shared {
        live: Live::new(settings.clone(), Arc::clone(&published)),
        searches: Semaphore::new(NAMES_SEARCHES_MAX),
        settings,
        published,
        streams: Arc::new(Semaphore::new(HTTP_STREAMS_MAX)),
        guard: Guard::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HTTP_STREAMS_MAX)
        .thread_name("http-stream")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "no HTTP: its runtime did not start"),
    };
    runtime.block_on(async {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => serve(listener, shared, limits, stopped).await,
            Err(error) => tracing::error!(%error, "no HTTP: its listener was not taken"),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(HTTP_STOP_MS_MAX));
}

async fn serve(
    listener: tokio::net::TcpListener,
    shared: Arc<Shared>,
    limits: ConnectionLimits,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = Connections::new(limits.clone());
    let graceful = GracefulShutdown::new();
    let followed = Arc::clone(&shared);
    tokio::spawn(async move { followed.live.run().await });
    loop {
        let (stream, place) = tokio::select! {
            _ = &mut stopped => break,
            next = connections.next(&listener) => next,
        };
        let of_connection = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&of_connection);
            async move { Ok::<_, Infallible>(answer(&shared, &request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HTTP_REQUEST_HEAD_BYTES_MAX)
            .max_headers(HTTP_REQUEST_HEADERS_MAX)
            .serve_connection(IdleBounded::new(stream, limits.idle, limits.write), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    shared.live.close();
    let stop_bound = Duration::from_millis(HTTP_STOP_MS_MAX);
    if tokio::time::timeout(stop_bound, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::debug!("HTTP answers under way were cut off by the stop");
    }
}

async fn answer(shared: &Arc<Shared>, request: &Request<Incoming>) -> Response<Body> {
    let (uri, headers) = (request.uri(), request.headers());
    let config = shared.settings.config.load_full();
    let route = route::route(uri.path(), uri.query(), config.enumeration_on);
    let page = Page::of(headers, &config.cors_origins);
    let mut response = match page.preflight(request.method(), headers, &route) {
        Some(response) => response,
        None if guard::needs_token(&route)
            && !shared.guard.lets_pass(headers, &config.http_token) =>
        {
            unauthorized()
        }
        None => routed(shared, request, route, &config).await,
    };
    page.mark(&mut response);
    response
}

async fn routed(
    shared: &Arc<Shared>,
    request: &Request<Incoming>,
    route: Route,
    config: &Config,
) -> Response<Body> {
    if content_length(request) > HTTP_REQUEST_BODY_BYTES_MAX {
        return error(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match &route {
        Route::NotFound => return not_found(),
        Route::Page | Route::Live if !config.status_page => return not_found(),
        Route::BadEncoding => return error(StatusCode::BAD_REQUEST),
        Route::Moved(target) => return moved(target),
        Route::FlushCache if request.method() != Method::POST => return not_allowed("POST"),
        Route::FlushCache => {}
        _ if request.method() != Method::GET && request.method() != Method::HEAD => {
            return not_allowed("GET, HEAD");
        }
        _ if has_foreign_body(request) => return error(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => {}
    }
    match route {
        Route::Version => whole(answers::write_version),
        Route::Config => config_of(shared, config),
        Route::Ports => text(StatusCode::NOT_IMPLEMENTED, "To be implemented..."),
        Route::Health => text(StatusCode::OK, "ok\n"),
        Route::Ready => ready(shared),
        Route::Status => status_of(shared),
        Route::Metrics => metrics_of(shared, request),
        Route::Page => page::answer(),
        Route::Live => shared.live.answer(request.method() == Method::HEAD),
        Route::FlushCache => {
            shared.settings.forward.flush();
            text(StatusCode::OK, "flushed\n")
        }
        route => match served(&shared.published) {
            Some(snapshot) => from_snapshot(shared, request, route, snapshot).await,
            None => try_later(NO_TABLE),
        },
    }
}

/// The routes that need a table. The generation found here is kept for this one answer.
async fn from_snapshot(
    shared: &Arc<Shared>,
    request: &Request<Incoming>,
    route: Route,
    snapshot: Arc<Snapshot>,
) -> Response<Body> {
    match route {
        Route::Host(host) => {
            let Some(host) = route::clean_name(&host) else {
                return text(StatusCode::BAD_REQUEST, EMPTY_NAME);
            };
            let rows = HostRows::find(&snapshot.table, host);
            if rows.count() <= HTTP_ROWS_AT_ONCE_MAX {
                return whole(|output| rows.write(output));
            }
            streamed(shared, request, JSON, move |output| rows.write(output)).await
        }
        Route::Service(service) => {
            let Some(clean) = route::clean_name(&service) else {
                return text(StatusCode::BAD_REQUEST, EMPTY_NAME);
            };
            let rows = ServiceRows::find(snapshot, service, &clean);
            if !rows.are_more_than(HTTP_ROWS_AT_ONCE_MAX) {
                return whole(|output| rows.write(output));
            }
            streamed(shared, request, JSON, move |output| rows.write(output)).await
        }
        Route::Transfer => {
            let config = shared.settings.config.load_full();
            streamed(shared, request, JSON, move |output| {
                transfer::write_transfer(&snapshot, &config, output)
            })
            .await
        }
        Route::Enumerate => {
            streamed(shared, request, JSON, move |output| {
                write_enumeration(&snapshot.world, output)
            })
            .await
        }
        Route::Explain(name) => {
            let as_text = wants_text(request);
            let content_type = if as_text { TEXT } else { JSON };
            streamed(shared, request, content_type, move |output| {
                let explanation = explain::explain(&snapshot.world, &name);
                if as_text {
                    output.text.raw(explanation.to_string().as_bytes());
                } else {
                    let text = json::text_of(&explanation).map_err(|_| ReaderGone)?;
                    output.text.raw(&text);
                }
                Ok(())
            })
            .await
        }
        Route::Names => {
            let reverse_dns_on = shared.settings.config.load().reverse_dns_on;
            let search = Search::from_query(request.uri().query(), reverse_dns_on);
            names::answer(&shared.searches, snapshot, search).await
        }
        _ => not_found(),
    }
}

fn unauthorized() -> Response<Body> {
    let mut response = text(StatusCode::UNAUTHORIZED, NO_TOKEN);
    let scheme = HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, scheme);
    response
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED);
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

fn config_of(shared: &Shared, config: &Config) -> Response<Body> {
    let serial = served(&shared.published).map_or(0, |s| s.serial);
    json_value(&config.upstream_json(serial))
}

fn ready(shared: &Shared) -> Response<Body> {
    let has_table = served(&shared.published).is_some();
    let freshness = shared.settings.freshness.read();
    match status::doubt(&freshness, has_table, &shared.settings.config.load()) {
        None => text(StatusCode::OK, "ready\n"),
        Some(doubt) => text(StatusCode::SERVICE_UNAVAILABLE, format!("503: {doubt}\n")),
    }
}

fn status_of(shared: &Shared) -> Response<Body> {
    let freshness = shared.settings.freshness.read();
    let snapshot = served(&shared.published);
    let config = shared.settings.config.load();
    let engine = shared.settings.engine.load();
    json_value(&status::status(
        &freshness,
        snapshot.as_deref(),
        engine.as_deref(),
        &shared.settings.sandbox,
        &shared.settings.forward,
        &config,
        process::udp_drops(),
    ))
}

fn metrics_of(shared: &Shared, request: &Request<Incoming>) -> Response<Body> {
    let settings = &shared.settings;
    let (freshness, snapshot) = (settings.freshness.read(), served(&shared.published));
    let doubt = status::doubt(&freshness, snapshot.is_some(), &settings.config.load());
    let scrape = metrics::Scrape {
        ready: doubt.is_none(),
        freshness,
        snapshot,
        engine: settings.engine.load_full(),
        forward: Arc::clone(&settings.forward),
        usage: Usage::read(),
    };
    let form = metrics::Form::wanted(header_text(request, header::ACCEPT));
    match metrics::write(scrape, form) {
        Ok(text) => {
            let body = Body::Whole(Some(text.into()));
            respond(StatusCode::OK, form.content_type(), body)
        }
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

pub(super) fn json_value(value: &serde_json::Value) -> Response<Body> {
    match json::text_of(value) {
        Ok(text) => respond(StatusCode::OK, JSON, Body::Whole(Some(text.into()))),
        Err(cause) => {
            tracing::error!(%cause, "a value cannot be written as JSON");
            error(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn whole(job: impl FnOnce(&mut Output) -> Result<(), ReaderGone>) -> Response<Body> {
    respond(StatusCode::OK, JSON, Body::Whole(Some(stream::whole(job))))
}

/// Writes a long answer on a thread beside this one, once it is its turn.
async fn streamed(
    shared: &Shared,
    request: &Request<Incoming>,
    content_type: &'static str,
    job: impl FnOnce(&mut Output) -> Result<(), ReaderGone> + Send + 'static,
) -> Response<Body> {
    if request.method() == Method::HEAD {
        // The headers of a body of unknown length; nobody polls it.
        let (_, receiver) = tokio::sync::mpsc::channel(1);
        return respond(StatusCode::OK, content_type, Body::Stream(receiver));
    }
    let turn = Arc::clone(&shared.streams).acquire_owned();
    match tokio::time::timeout(Duration::from_millis(HTTP_STREAM_WAIT_MS), turn).await {
        Ok(Ok(permit)) => respond(StatusCode::OK, content_type, stream::stream(permit, job)),
        Ok(Err(_)) | Err(_) => try_later("503: too many long answers are under way"),
    }
}

pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    respond(status, TEXT, Body::Whole(Some(text.into())))
}

/// mesos-dns's form of an error: the number and its name.
fn error(status: StatusCode) -> Response<Body> {
    let reason = status.canonical_reason().unwrap_or("Error");
    text(status, format!("{}: {reason}", status.as_u16()))
}

fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404: Page Not Found")
}

pub(super) fn try_later(why: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    let seconds = HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

fn moved(target: &str) -> Response<Body> {
    let link = target.replace('&', "&amp;").replace('\'', "&#39;");
    let body = format!("<a href=\"{link}\">Moved Permanently</a>.\n\n");
    let body = Body::Whole(Some(body.into()));
    let mut response = respond(StatusCode::MOVED_PERMANENTLY, HTML, body);
    // A target that no header can hold came from a query that no header can hold.
    match HeaderValue::from_str(target) {
        Ok(target) => response.headers_mut().insert(header::LOCATION, target),
        Err(_) => return not_found(),
    };
    response
}

fn content_length(request: &Request<Incoming>) -> u64 {
    header_text(request, header::CONTENT_LENGTH)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// A body that says it is something other than JSON: 415, although nobody reads it.
fn has_foreign_body(request: &Request<Incoming>) -> bool {
    content_length(request) > 0
        && header_text(request, header::CONTENT_TYPE)
            .is_some_and(|kind| !kind.contains("application/json") && !kind.contains("*/*"))
}

fn wants_text(request: &Request<Incoming>) -> bool {
    header_text(request, header::ACCEPT).is_some_and(|accept| accept.contains("text/plain"))
}

fn header_text(request: &Request<Incoming>, name: header::HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
const NO_TABLE: &str = "503: no table yet; no master's state was read since the start";
const NO_TOKEN: &str = "401: Unauthorized; this needs the header Authorization: Bearer TOKEN, with the \
    token of HttpToken";
const EMPTY_NAME: &str = "400: the name is empty once its wildcards are cut out";
