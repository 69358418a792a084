//! Bounds that keep one client, or many slow ones, from having what others need.

use super::{FORWARD_FLIGHTS_MAX, FORWARD_PENDING_BYTES_MAX, TCP_PENDING_BYTES_MAX};

/// The part of the descriptors that the process may have open which TCP connections of all workers take
/// at most: where there are few, a flood of connections leaves some for files, upstreams and HTTP.
pub const TCP_DESCRIPTORS_PART: usize = 4;
/// A TCP connection that is never idle is closed after this, between two queries: an hour of use is worth
/// one more handshake, and no place is held for ever.
pub const TCP_LIFETIME_MS: u64 = 3_600_000;
/// A client that takes less than this of its answers within `TCP_IDLE_MS` makes no progress: 400 octets a
/// second come over any line. Taking the last of what waits always is progress.
pub const TCP_WRITE_BYTES_MIN: usize = 4096;

/// What one who waits for a forwarded answer has at least of `FORWARD_PENDING_BYTES_MAX`, so that as many
/// fit as flights.
pub const FORWARD_PLACE_BYTES: usize = FORWARD_PENDING_BYTES_MAX / FORWARD_FLIGHTS_MAX;

const _: () = assert!(TCP_WRITE_BYTES_MIN < TCP_PENDING_BYTES_MAX);
