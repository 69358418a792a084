//! Bounds of the change feed.

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

const _: () = assert!(FEED_ENTRY_BYTES_MAX * 2 < FEED_BYTES_MAX);
