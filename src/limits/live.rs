//! Bounds of the change feed, of the status page's streams and of searches for names.

use std::time::Duration;

use super::HTTP_CONNECTIONS_MAX;

/// Publications that the change feed keeps for readers that were away: 20 s where tasks come and go
/// 50 times a second, and more than a minute of most clusters.
pub const FEED_CHANGES_MAX: usize = 1024;
/// Octets of them all. A moved task has some 15 names, which cost 4 to 6 KB before and after.
pub const FEED_BYTES_MAX: usize = 2 << 20;
/// A publication that touches more names is not told name by name: whoever reads starts over. An agent
/// that is lost with 100 tasks touches half as many.
pub const FEED_NAMES_MAX: usize = 2_000;
/// A longer entry (1,000 addresses) is not copied for the feed, which says only that it differs.
pub const FEED_ENTRY_BYTES_MAX: usize = 4 << 10;
/// Changes that are taken from the feed at once, so that its lock is held for a microsecond.
pub const FEED_READ_MAX: usize = 64;

/// Seconds of samples that the status page shows when it opens.
pub const LIVE_SAMPLES_MAX: usize = 300;
/// Streams of the status page at one time. Each costs a connection of `HTTP_CONNECTIONS_MAX`.
pub const LIVE_STREAMS_MAX: usize = 64;
/// Events that wait for a slow reader; then it is cut off, some 15 s after it took the last one.
pub const LIVE_EVENTS_WAITING_MAX: usize = 16;
/// Changes within this are one event of the status page: nobody reads faster.
pub const LIVE_CHANGES_EVERY: Duration = Duration::from_millis(100);
/// Names of one such event, and of the changes that the page shows when it opens; the rest of a
/// publication is a count.
pub const LIVE_NAMES_MAX: usize = 200;
/// Changes that the page shows when it opens.
pub const LIVE_CHANGES_MAX: usize = 40;
/// Records of a changed name that are shown.
pub const LIVE_RECORDS_MAX: usize = 8;
/// What `/v1/names` gives where the request does not say how many, and at most.
pub const NAMES_GIVEN_DEFAULT: usize = 50;
pub const NAMES_GIVEN_MAX: usize = 1_000;
/// Names that a search looks at before other requests have their turn: a third of a millisecond.
pub const NAMES_PER_TURN: usize = 1_024;
/// Searches at one time; all of them share the server's one thread.
pub const NAMES_SEARCHES_MAX: usize = 2;

const _: () = assert!(LIVE_STREAMS_MAX < HTTP_CONNECTIONS_MAX);
const _: () = assert!(FEED_ENTRY_BYTES_MAX * 2 < FEED_BYTES_MAX);
