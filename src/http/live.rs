//! `/v1/live`: the events that the status page follows. In: the clock, and the change feed. Out: each
//! event written once and handed to every stream, on the server's own thread. A slow reader is cut
//! off; it must never make us hold more than `LIVE_EVENTS_WAITING_MAX` events, nor take a thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::HttpSettings;
use super::figures;
use super::samples::Samples;
use super::serve::{respond, try_later};
use super::stream::{Body, Chunk};
use crate::feed::{Change, Since};
use crate::limits::{
    FEED_READ_MAX, LIVE_CHANGES_EVERY, LIVE_CHANGES_MAX, LIVE_EVENTS_WAITING_MAX, LIVE_STREAMS_MAX,
};
use crate::responses::publish::{Published, served};

/// The streams of one server, and what a new one is told of before.
pub struct Live {
    settings: HttpSettings,
    published: Published,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    samples: Samples,
    sampled_at: Option<Instant>,
    streams: Vec<mpsc::Sender<Chunk>>,
    is_closed: bool,
}

impl Live {
    pub fn new(settings: HttpSettings, published: Published) -> Self {
        Self {
            settings,
            published,
            state: Mutex::default(),
        }
    }

    /// A stream for as long as the client reads it.
    pub fn answer(&self, is_head: bool) -> Response<Body> {
        let body = match is_head {
            true => Some(Body::Whole(None)),
            false => self.open(),
        };
        let Some(body) = body else {
            return try_later("503: too many streams are open");
        };
        let mut response = respond(StatusCode::OK, "text/event-stream", body);
        let headers = response.headers_mut();
        let no_store = HeaderValue::from_static("no-store");
        headers.insert(header::CACHE_CONTROL, no_store);
        // An nginx in between hands on each event as it comes.
        let unbuffered = HeaderName::from_static("x-accel-buffering");
        headers.insert(unbuffered, HeaderValue::from_static("no"));
        response
    }

    /// A stream of its own; `None`: there are too many, or the server stops.
    fn open(&self) -> Option<Body> {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.is_closed());
        if state.is_closed || state.streams.len() >= LIVE_STREAMS_MAX {
            return None;
        }
        let (changes, index) = self.settings.feed.last(LIVE_CHANGES_MAX);
        let snapshot = served(&self.published);
        let samples = &state.samples;
        let hello = figures::hello(
            &self.settings,
            snapshot.as_deref(),
            samples,
            (&changes, index),
        );
        let (sender, receiver) = mpsc::channel(LIVE_EVENTS_WAITING_MAX);
        // An empty channel has room.
        let hello = [RETRY.as_bytes(), &event("hello", &hello)].concat();
        let _ = sender.try_send(Chunk::Bytes(hello.into()));
        state.streams.push(sender);
        Some(Body::Stream(receiver))
    }

    /// Ends every stream, and lets none begin.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.end_streams();
    }

    /// Samples, and tells the streams, until the server ends.
    pub async fn run(&self) {
        let mut feed = self.settings.feed.follow();
        let mut told = *feed.borrow_and_update();
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Changes that come soon after others wait, so that a rush of them is one event.
        let (mut has_changes, mut tell_at) = (false, Instant::now());
        loop {
            tokio::select! {
                _ = second.tick() => self.tick(),
                // The feed cannot end: it is ours as well.
                changed = feed.changed(), if !has_changes => has_changes = changed.is_ok(),
                () = sleep_until(tell_at), if has_changes => {
                    (has_changes, tell_at) = (false, Instant::now() + LIVE_CHANGES_EVERY);
                    told = self.tell_changes(told);
                }
            }
        }
    }

    fn tick(&self) {
        let mut state = self.state();
        if !self.settings.config.load().status_page {
            // A configuration read anew may turn the page off.
            state.end_streams();
            return state.samples.forget();
        }
        let now = Instant::now();
        let before = state.sampled_at.replace(now);
        match self.settings.engine.load().as_deref() {
            None => state.samples.forget(),
            Some(engine) => {
                let elapsed = before.map(|before| now - before).unwrap_or_default();
                let totals = engine.stats.totals();
                state.samples.take(figures::now(), elapsed, totals);
            }
        }
        state.streams.retain(|stream| !stream.is_closed());
        if !state.streams.is_empty() {
            let snapshot = served(&self.published);
            let figures = figures::figures(&self.settings, snapshot.as_deref(), &state.samples);
            state.tell(&event("figures", &figures));
        }
    }

    /// Tells what came since an index; returns the one to go on from.
    fn tell_changes(&self, since: u64) -> u64 {
        let mut state = self.state();
        if state.streams.is_empty() {
            return self.settings.feed.latest();
        }
        let mut changes: Vec<Arc<Change>> = Vec::new();
        let mut index = since;
        let mut start_over = false;
        loop {
            match self.settings.feed.since(index, FEED_READ_MAX) {
                Since::Changes(more) if more.is_empty() => break,
                Since::Changes(more) => {
                    index = more.last().map_or(index, |change| change.index);
                    changes.extend(more);
                }
                Since::StartOver { index: latest } => {
                    (index, start_over) = (latest, true);
                    changes.clear();
                }
            }
        }
        let value = json!({
            "index": index,
            "start_over": start_over,
            "changes": figures::changes_value(&changes, &self.settings.config.load()),
        });
        state.tell(&event("changes", &value));
        index
    }

    /// Never held across a wait.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Readers that are gone, and those that did not read for too long, are let go of.
    fn tell(&mut self, event: &Bytes) {
        self.streams
            .retain(|stream| stream.try_send(Chunk::Bytes(event.clone())).is_ok());
    }

    fn end_streams(&mut self) {
        for stream in self.streams.drain(..) {
            // One that is full is cut off instead.
            let _ = stream.try_send(Chunk::End);
        }
    }
}

/// One server-sent event. JSON of one line has no line end inside.
fn event(name: &str, value: &Value) -> Bytes {
    format!("event: {name}\ndata: {value}\n\n").into()
}

/// A browser that lost its stream asks for another after so many milliseconds.
const RETRY: &str = "retry: 1000\n\n";

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use http_body_util::BodyExt;
    use hyper::body::Body as _;

    use super::*;
    use crate::config::Config;
    use crate::feed::{Feed, What};

    fn live() -> Live {
        let settings = HttpSettings {
            config: Arc::new(ArcSwap::from_pointee(Config::default())),
            freshness: Default::default(),
            feed: Feed::default(),
            engine: Default::default(),
            sandbox: Default::default(),
            forward: Arc::default(),
        };
        Live::new(settings, Published::default())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(future)
    }

    /// The next event: its name and its value.
    async fn next(body: &mut Body) -> (String, Value) {
        let frame = body.frame().await.expect("an event").expect("no error");
        let text = frame.into_data().expect("data");
        let text = std::str::from_utf8(&text).expect("text");
        let text = text.strip_prefix(RETRY).unwrap_or(text);
        let text = text.strip_suffix("\n\n").expect("an end");
        let (name, data) = text.split_once('\n').expect("two lines");
        let name = name.strip_prefix("event: ").expect("a name").to_owned();
        let data = data.strip_prefix("data: ").expect("data");
        (name, serde_json::from_str(data).expect("JSON"))
    }

    #[test]
    fn a_stream_begins_with_hello_and_follows_the_feed() {
        block_on(async {
            let live = Arc::new(live());
            let feed = live.settings.feed.clone();
            let following = Arc::clone(&live);
            tokio::spawn(async move { following.run().await });
            tokio::task::yield_now().await;
            assert!(feed.is_followed());
            let mut body = live.open().expect("a stream");
            let (name, hello) = next(&mut body).await;
            assert_eq!((&*name, &hello["index"]), ("hello", &json!(0)));
            feed.push(7, std::time::SystemTime::now(), What::All);
            loop {
                let (name, value) = next(&mut body).await;
                if name == "changes" {
                    assert_eq!(value["index"], 1);
                    assert_eq!(value["changes"][0]["serial"], 7);
                    break;
                }
                assert_eq!(name, "figures");
            }
        });
    }

    #[test]
    fn streams_are_bounded_and_the_places_of_those_that_left_are_given_again() {
        let live = live();
        let mut open: Vec<Body> = (0..LIVE_STREAMS_MAX).filter_map(|_| live.open()).collect();
        assert_eq!(open.len(), LIVE_STREAMS_MAX);
        assert!(live.open().is_none());
        open.pop();
        assert!(live.open().is_some());
    }

    #[test]
    fn a_reader_that_does_not_read_is_cut_off() {
        block_on(async {
            let live = live();
            let mut body = live.open().expect("a stream");
            for _ in 0..LIVE_EVENTS_WAITING_MAX {
                live.tick();
            }
            assert!(live.state().streams.is_empty());
            for _ in 0..LIVE_EVENTS_WAITING_MAX {
                assert!(matches!(body.frame().await, Some(Ok(_))));
            }
            assert!(matches!(body.frame().await, Some(Err(_))), "cut short");
        });
    }

    #[test]
    fn a_stop_ends_the_streams_whole() {
        block_on(async {
            let live = live();
            let body = live.open().expect("a stream");
            live.close();
            assert!(live.open().is_none());
            assert!(!body.is_end_stream());
            let whole = body.collect().await.expect("a whole body").to_bytes();
            let begin = [RETRY, "event: hello\n"].concat();
            assert!(whole.starts_with(begin.as_bytes()));
        });
    }
}
