//! Bounds of what strangers are answered over UDP, and of their cookies.

/// Slots of an answering thread's table of rates: 512 KiB, of which the pages are there that clients which
/// are not exempt have used. A flood that names every /24 of the world has 16 million; who is limited
/// stays in it as long as others of its set are not.
pub const RATE_SLOTS: usize = 1 << 16;
/// Slots in which one client and answer may be: one cache line has two such sets.
pub const RATE_SLOTS_PER_SET: usize = 4;
/// The most answers a second that RateLimit may name: what 14 bits of a slot count.
pub const RATE_LIMIT_MAX: u32 = 10_000;
/// The most that RateLimitSlip may name: what 4 bits of a slot count.
pub const RATE_SLIP_MAX: u32 = 10;
/// Clients of one network that counts as one: an IPv4 /24, as networks are announced, and an IPv6 /56, as
/// sites are given.
pub const RATE_PREFIX_BITS: (u8, u8) = (24, 56);

/// A server cookie is good for an hour, and may come from a clock five minutes ahead; one of over half an
/// hour is renewed (RFC 9018, 4.3). Seconds.
pub const COOKIE_AGE_SECONDS_MAX: i32 = 3_600;
pub const COOKIE_AHEAD_SECONDS_MAX: i32 = 300;
pub const COOKIE_RENEWED_SECONDS: i32 = 1_800;

const _: () = assert!(RATE_SLOTS.is_power_of_two() && RATE_SLOTS_PER_SET.is_power_of_two());
