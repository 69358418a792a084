//! Clocks that are read with each batch: those that the kernel sets with its tick, which cost a few
//! nanoseconds and are up to 10 ms late. In: nothing. Out: numbers.

/// Seconds since 1970, by the clock that is set from outside.
pub fn seconds() -> u32 {
    // The 32 bits that cookies have; their arithmetic goes round with them.
    read(libc::CLOCK_REALTIME_COARSE).tv_sec as u32
}

/// Milliseconds since some time, which nobody sets.
pub fn milliseconds() -> u64 {
    let time = read(libc::CLOCK_MONOTONIC_COARSE);
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one timespec, which is this frame's. It fails for clocks that there are not,
    // and then writes nothing.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    #[test]
    fn clocks_are_the_systems() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("1970");
        assert!(now.as_secs().abs_diff(super::seconds().into()) <= 2);
        let (first, begun) = (super::milliseconds(), Instant::now());
        while super::milliseconds() == first {
            assert!(begun.elapsed().as_secs() < 5, "it stands");
        }
        assert!(super::milliseconds() > first);
    }
}
